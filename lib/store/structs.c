/* structs.c -- public structs of other sizes than ours: older or newer programs. See store.h. */
#include <string.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "store/store.h"

void clg_copy_out(void *out, const void *filled, uint32_t bytes)
{
    uint32_t theirs;
    memcpy(&theirs, out, sizeof(theirs));
    uint32_t n = theirs == 0 || theirs > bytes ? bytes : theirs;
    CLG_ASSERT(bytes >= sizeof(theirs));
    memcpy(out, filled, n);
    memcpy(out, &n, n < sizeof(n) ? n : sizeof(n));
}

int clg_copy_in(void *ours, uint32_t bytes, const void *in)
{
    uint32_t theirs;
    memcpy(&theirs, in, sizeof(theirs));
    if (theirs == 0) {
        theirs = bytes;
    }
    if (theirs < sizeof(theirs) ||
        (theirs > bytes && !clg_is_zero((const uint8_t *)in + bytes, theirs - bytes))) {
        return COMMITLOG_EINVAL;
    }
    memset(ours, 0, bytes);
    memcpy(ours, in, theirs < bytes ? theirs : bytes);
    return COMMITLOG_OK;
}
