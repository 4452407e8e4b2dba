/*
 * when.c -- times and amounts: see when.h.
 */
#include "when.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WHEN_S_NS INT64_C(1000000000)

/* Exactly `count` digits in [minimum, maximum]; moves *text behind them. */
static bool when_field(const char **text, int count, int minimum, int maximum, int *value)
{
    assert(count > 0 && count <= 4);
    int number = 0;
    for (int i = 0; i < count; i++) {
        const char digit = (*text)[i];
        if (digit < '0' || digit > '9') {
            return false;
        }
        number = number * 10 + (digit - '0');
    }
    *text += count;
    *value = number;
    return number >= minimum && number <= maximum;
}

static bool when_char(const char **text, const char *allowed)
{
    if (**text == '\0' || strchr(allowed, **text) == NULL) {
        return false;
    }
    (*text)++;
    return true;
}

static int when_days_in_month(int year, int month)
{
    assert(month >= 1 && month <= 12);
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

/* ".5" as nanoseconds; more than nine digits are read and dropped. */
static bool when_fraction(const char **text, int64_t *ns)
{
    *ns = 0;
    if (!when_char(text, ".")) {
        return true;
    }
    int64_t unit = WHEN_S_NS / 10;
    int digits = 0;
    for (; **text >= '0' && **text <= '9'; (*text)++, digits++) {
        *ns += (**text - '0') * unit;
        unit /= 10;
    }
    return digits > 0;
}

/* "Z" or "+hh:mm" as seconds east of UTC. */
static bool when_zone(const char **text, int64_t *seconds)
{
    *seconds = 0;
    if (when_char(text, "Zz")) {
        return true;
    }
    const int sign = **text == '-' ? -1 : 1;
    int hours;
    int minutes;
    if (!when_char(text, "+-") || !when_field(text, 2, 0, 23, &hours) || !when_char(text, ":") ||
        !when_field(text, 2, 0, 59, &minutes)) {
        return false;
    }
    *seconds = sign * (int64_t)(hours * 3600 + minutes * 60);
    return true;
}

static bool when_rfc3339(const char *text, int64_t *time_ns)
{
    struct tm tm = {0};
    int year;
    int month;
    int64_t ns;
    int64_t east;
    if (!when_field(&text, 4, 0, 9999, &year) || !when_char(&text, "-") ||
        !when_field(&text, 2, 1, 12, &month) || !when_char(&text, "-") ||
        !when_field(&text, 2, 1, when_days_in_month(year, month), &tm.tm_mday) ||
        !when_char(&text, "Tt ") || !when_field(&text, 2, 0, 23, &tm.tm_hour) ||
        !when_char(&text, ":") || !when_field(&text, 2, 0, 59, &tm.tm_min) ||
        !when_char(&text, ":") || !when_field(&text, 2, 0, 60, &tm.tm_sec) ||
        !when_fraction(&text, &ns) || !when_zone(&text, &east) || *text != '\0') {
        return false;
    }
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    const int64_t seconds = (int64_t)timegm(&tm) - east;
    if (seconds < 0) {
        *time_ns = 0;
    } else if (seconds >= INT64_MAX / WHEN_S_NS) {
        *time_ns = INT64_MAX;
    } else {
        *time_ns = seconds * WHEN_S_NS + ns;
    }
    return true;
}

bool when_parse_age(const char *text, uint64_t *age_ms)
{
    assert(text != NULL && age_ms != NULL);
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {{"ms", 1},      {"s", 1000},     {"m", 60000},
                 {"h", 3600000}, {"d", 86400000}, {"w", 604800000}};
    uint64_t sum = 0;
    if (*text == '\0') {
        return false;
    }
    while (*text != '\0') {
        if (*text < '0' || *text > '9') {
            return false;
        }
        char *end;
        const unsigned long long number = strtoull(text, &end, 10);
        size_t found = 0;
        size_t length = strspn(end, "mshdw");
        for (; found < sizeof(units) / sizeof(units[0]); found++) {
            if (strlen(units[found].name) == length &&
                strncmp(units[found].name, end, length) == 0) {
                break;
            }
        }
        if (found == sizeof(units) / sizeof(units[0]) ||
            number > ((uint64_t)INT64_MAX - sum) / units[found].ms) {
            return false;
        }
        sum += number * units[found].ms;
        text = end + length;
    }
    *age_ms = sum;
    return true;
}

bool when_parse(const char *text, int64_t now_ns, int64_t *time_ns)
{
    assert(text != NULL && time_ns != NULL);
    assert(now_ns >= 0);
    const size_t digits = strspn(text, "0123456789");
    if (digits > 0 && digits < 17 && text[digits] == '\0') {
        const unsigned long long ms = strtoull(text, NULL, 10);
        if (ms > (unsigned long long)(INT64_MAX / 1000000)) {
            return false;
        }
        *time_ns = (int64_t)ms * 1000000;
        return true;
    }
    uint64_t age_ms;
    if (when_parse_age(text, &age_ms)) {
        const uint64_t most_ms = (uint64_t)now_ns / 1000000;
        *time_ns = age_ms >= most_ms ? 0 : now_ns - (int64_t)(age_ms * 1000000);
        return true;
    }
    return when_rfc3339(text, time_ns);
}

int64_t when_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * WHEN_S_NS + now.tv_nsec;
}

double when_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void when_format(int64_t time_ns, char *text, size_t size)
{
    assert(text != NULL);
    assert(size >= 32);
    const time_t seconds = (time_t)(time_ns / WHEN_S_NS);
    struct tm tm;
    if (time_ns <= 0 || gmtime_r(&seconds, &tm) == NULL) {
        (void)snprintf(text, size, "-");
        return;
    }
    char day[24];
    (void)strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(text, size, "%s.%03dZ", day, (int)(time_ns % WHEN_S_NS / 1000000));
}

void when_span(uint64_t ms, char *text, size_t size)
{
    assert(text != NULL);
    assert(size >= 32);
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}};
    enum { UNITS = sizeof(units) / sizeof(units[0]) };
    size_t unit = 0;
    while (unit < UNITS && ms < units[unit].ms) {
        unit++;
    }
    if (unit == UNITS) {
        (void)snprintf(text, size, "%dms", (int)ms);
        return;
    }
    const uint64_t rest = ms % units[unit].ms;
    const int used =
        snprintf(text, size, "%llu%s", (unsigned long long)(ms / units[unit].ms), units[unit].name);
    assert(used > 0 && (size_t)used < size);
    if (unit + 1 < UNITS && rest >= units[unit + 1].ms) {
        (void)snprintf(text + used, size - (size_t)used, "%llu%s",
                       (unsigned long long)(rest / units[unit + 1].ms), units[unit + 1].name);
    }
}

void when_age(uint64_t ms, char *text, size_t size)
{
    assert(text != NULL);
    assert(size >= 48);
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    size_t used = 0;
    uint64_t left = ms;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (left >= units[i].ms || (used == 0 && units[i].ms == 1)) {
            used += (size_t)snprintf(text + used, size - used, "%llu%s",
                                     (unsigned long long)(left / units[i].ms), units[i].name);
            assert(used < size);
        }
        left %= units[i].ms;
    }
}

void when_amount(uint64_t bytes, char *text, size_t size)
{
    assert(text != NULL);
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double amount = (double)bytes;
    size_t unit = 0;
    while (amount >= 1024 && unit < 4) {
        amount /= 1024;
        unit++;
    }
    (void)snprintf(text, size, unit == 0 ? "%.0f %s" : "%.1f %s", amount, units[unit]);
}
