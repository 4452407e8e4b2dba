/*
 * options-page.c - prints the library's own table of options as commitlog-options(7) states it:
 * name, a tab, and the sentence that stands below the name in the page.
 *
 * Used by tools/check/options-page.
 */
#include <commitlog.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TEXT = 64 };

/* A number as commitlog_options_set_text reads it: 65536 is 64K. */
static const char *number(uint64_t value, const char *unit, char text[TEXT])
{
    static const char letters[] = "KMGT";
    int scale = 0;
    if (strcmp(unit, "octal") == 0) {
        snprintf(text, TEXT, "0%" PRIo64, value);
        return text;
    }
    while (strncmp(unit, "bytes", 5) == 0 && value != 0 && value % 1024 == 0 && scale < 4) {
        value /= 1024;
        scale++;
    }
    if (scale == 0)
        snprintf(text, TEXT, "%" PRIu64, value);
    else
        snprintf(text, TEXT, "%" PRIu64 "%c", value, letters[scale - 1]);
    return text;
}

/* Prints the words with commas; returns the one for `initial` in `word`. */
static void choices(const struct commitlog_option_info *info, char word[TEXT])
{
    const char *at = info->choices;
    for (uint64_t value = 0; *at != '\0'; value++) {
        const size_t bytes = strcspn(at, "|");
        printf("%s%.*s", value == 0 ? "" : ", ", (int)bytes, at);
        if (value == info->initial)
            snprintf(word, TEXT, "%.*s", (int)bytes, at);
        at += bytes + (at[bytes] == '|');
    }
}

static void print(const struct commitlog_option_info *info)
{
    char low[TEXT], high[TEXT], initial[TEXT] = "";
    printf("%s\tOption %" PRId32, info->name, info->id);
    if (info->unit[0] != '\0')
        printf(", %s", info->unit);
    if (info->type == COMMITLOG_OPTION_CHOICE) {
        printf(": ");
        choices(info, initial);
        printf("; default %s.\n", initial);
        return;
    }
    if (info->maximum >= (UINT64_C(1) << 62)) /* as good as none */
        printf(", %s or more", number(info->minimum, info->unit, low));
    else
        printf(", %s to %s", number(info->minimum, info->unit, low),
               number(info->maximum, info->unit, high));
    printf(", default %s.\n", number(info->initial, info->unit, initial));
}

int main(void)
{
    struct commitlog_option_info info;
    uint32_t index = 0;
    while (commitlog_option_info(index, &info) == COMMITLOG_OK) {
        print(&info);
        index++;
    }
    return index > 0 ? 0 : 1;
}
