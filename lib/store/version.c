/* version.c -- which library is running. */
#include <stdbool.h>

#include "commitlog.h"

#define VERSION_TEXT "0.1.0"
/* The preprocessor does not see enumerators: this holds the text to them. */
_Static_assert(COMMITLOG_VERSION_MAJOR == 0 && COMMITLOG_VERSION_MINOR == 1 &&
                   COMMITLOG_VERSION_PATCH == 0,
               "VERSION_TEXT");

uint32_t commitlog_version_number(void)
{
    return (uint32_t)COMMITLOG_VERSION_MAJOR * 1000000u +
           (uint32_t)COMMITLOG_VERSION_MINOR * 1000u + (uint32_t)COMMITLOG_VERSION_PATCH;
}

const char *commitlog_version_text(void)
{
    return VERSION_TEXT;
}

int32_t commitlog_version_check(uint32_t major, uint32_t minor)
{
    /* Before 1.0 a minor version may change the interface. */
    bool same = major == COMMITLOG_VERSION_MAJOR &&
                (major > 0 ? minor <= COMMITLOG_VERSION_MINOR : minor == COMMITLOG_VERSION_MINOR);
    return same ? COMMITLOG_OK : COMMITLOG_EUNSUPPORTED;
}
