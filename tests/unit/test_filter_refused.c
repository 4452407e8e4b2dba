/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_filter_refused.c -- filters that are refused, with the column; their maxima; attributes that
 * contradict themselves; no memory.
 */
#include "filter_fixture.h"

#include "filter/filter.h"
#include "os/os.h"
#include "support/run_suite.h"

static struct attributes sample;

static void setup(void)
{
    attributes_sample(&sample);
}

struct wrong {
    const char *text;
    uint64_t column;
    const char *message;
};

static const struct wrong wrongs[] = {
    {"", 1, "column 1: expected a header, a constant, NOT or (, found the end"},
    {"   ", 4, "column 4: expected a header, a constant, NOT or (, found the end"},
    {"n = 5 AND", 10, "column 10: expected a header, a constant, NOT or (, found the end"},
    {"AND n", 1, "column 1: expected a header, a constant, NOT or (, found AND"},
    {"n = 5 OR OR n", 10, "column 10: expected a header, a constant, NOT or (, found OR"},
    {"n = ", 5, "column 5: expected a header or a constant, found the end"},
    {"n = AND", 5, "column 5: expected a header or a constant, found AND"},
    {"n = (5)", 5, "column 5: expected a header or a constant, found ("},
    {"n == 5", 4, "column 4: expected a header or a constant, found ="},
    {"n = 5 n", 7, "column 7: expected AND, OR, ) or the end, found n"},
    {"n n", 3, "column 3: expected a comparison, AND, OR or the end, found n"},
    {"5", 2, "column 2: expected a comparison, found the end"},
    {"'x' AND n", 5, "column 5: expected a comparison, found AND"},
    {"n = 5 AN s = 'an unreasonably long text, is it not'", 7,
     "column 7: expected AND, OR, ) or the end, found AN"},
    {"n = 5 'an unreasonably long text, is it not'", 7,
     "column 7: expected AND, OR, ) or the end, found 'an unreasonably long te..."},
    {"n \"\xc3\xa9\"", 3, "column 3: expected a comparison, AND, OR or the end, found \"??\""},
    {"(n = 5", 1, "column 1: the ( here is not closed"},
    {"n = 5 AND (s = 'x' OR (t)", 11, "column 11: the ( here is not closed"},
    {"n = 5)", 6, "column 6: there is no ( that this one closes"},
    {"()", 2, "column 2: expected a header, a constant, NOT or (, found )"},
    {"(n) = 5", 5, "column 5: expected AND, OR, ) or the end, found ="},
    {"n = 'x", 5, "column 5: the text that begins here does not end"},
    {"n = 'x''", 5, "column 5: the text that begins here does not end"},
    {"\"n = 5", 1, "column 1: the name that begins here does not end"},
    {"\"\" = 5", 1, "column 1: the name is empty"},
    {"n != 5", 3, "column 3: not equal is written <>, and what is not to hold begins with NOT"},
    {"n > - 5", 5, "column 5: a sign stands right before the digits of a number"},
    {"n > 1e9999999999", 5, "column 5: the exponent of this number is out of range"},
    {"n > 5x", 6, "column 6: expected AND, OR, ) or the end, found x"},
    {"n > 5.5.5", 8, "column 8: expected AND, OR, ) or the end, found .5"},
    {"n > .", 5, "column 5: nothing in a filter begins with this byte"},
    {"n & 5", 3, "column 3: nothing in a filter begins with this byte"},
    {"\xc3\xa9 = 5", 1, "column 1: nothing in a filter begins with this byte"},
    {"n > 'x'", 5,
     "column 5: expected a number or a header: a text, TRUE and FALSE know only =, <> and IN"},
    {"TRUE < n", 1,
     "column 1: expected a number or a header: a text, TRUE and FALSE know only =, <> and IN"},
    {"n BETWEEN 'a' AND 'b'", 11,
     "column 11: expected a number or a header: a text, TRUE and FALSE know only =, <> and IN"},
    {"n = NULL", 5, "column 5: nothing compares with NULL: write IS NULL or IS NOT NULL"},
    {"NULL <> n", 1, "column 1: nothing compares with NULL: write IS NULL or IS NOT NULL"},
    {"n BETWEEN 1 AND NULL", 17,
     "column 17: nothing compares with NULL: write IS NULL or IS NOT NULL"},
    {"1 = 'x'", 5, "column 5: these two constants are of different types"},
    {"TRUE = 1", 8, "column 8: these two constants are of different types"},
    {"n BETWEEN 1", 12, "column 12: expected the AND of BETWEEN, found the end"},
    {"n BETWEEN 1 OR 2", 13, "column 13: expected the AND of BETWEEN, found OR"},
    {"n BETWEEN AND 2", 11, "column 11: expected a number or a header, found AND"},
    {"n BETWEEN 2 AND 1", 17, "column 17: the upper bound of BETWEEN is below the lower one"},
    {"n IN 'x'", 6, "column 6: expected the ( of IN, found 'x'"},
    {"n IN ()", 7, "column 7: expected a number, a text, TRUE or FALSE, found )"},
    {"n IN ('x',)", 11, "column 11: expected a number, a text, TRUE or FALSE, found )"},
    {"n IN ('x', NULL)", 12, "column 12: expected a number, a text, TRUE or FALSE, found NULL"},
    {"n IN ('x' 'y')", 11, "column 11: expected a comma or the ) of IN, found 'y'"},
    {"n IN ('x'", 10, "column 10: expected a comma or the ) of IN, found the end"},
    {"'x' IN ('x')", 1,
     "column 1: expected a header on the left of IN, CONTAINS, STARTSWITH, ENDSWITH and IS"},
    {"5 IS NULL", 1,
     "column 1: expected a header on the left of IN, CONTAINS, STARTSWITH, ENDSWITH and IS"},
    {"n CONTAINS 5", 12, "column 12: expected a text in single quotes, found 5"},
    {"n STARTSWITH s", 14, "column 14: expected a text in single quotes, found s"},
    {"n NOT = 5", 7, "column 7: expected BETWEEN, IN, CONTAINS, STARTSWITH or ENDSWITH, found ="},
    {"n NOT IS NULL", 7,
     "column 7: expected BETWEEN, IN, CONTAINS, STARTSWITH or ENDSWITH, found IS"},
    {"n IS 5", 6, "column 6: expected NULL or NOT NULL, found 5"},
    {"n IS NOT 5", 10, "column 10: expected NULL, found 5"},
    {"KEYS = 'k'", 1,
     "column 1: KEYS cannot be compared: read by key instead, or write \"KEYS\" for a header of "
     "that name"},
};

START_TEST(a_syntax_error_names_its_column)
{
    const struct wrong *wrong = &wrongs[_i];
    struct commitlog_filter *filter = (struct commitlog_filter *)&sample;
    struct commitlog_error err = {0};
    int32_t rc = filter_compile(wrong->text, strlen(wrong->text), &filter, &err);
    ck_assert_msg(rc == COMMITLOG_EINVAL, "%s: %d", wrong->text, rc);
    ck_assert_str_eq(err.message, wrong->message);
    ck_assert_uint_eq(err.position, wrong->column);
    ck_assert_int_eq(err.code, COMMITLOG_EINVAL);
    ck_assert_msg(filter == (struct commitlog_filter *)&sample, "the output was touched");
    ck_assert_int_eq(filter_compile(wrong->text, strlen(wrong->text), &filter, NULL), rc);
}
END_TEST

START_TEST(a_nul_in_the_text_is_a_wrong_byte)
{
    struct commitlog_filter *filter = NULL;
    struct commitlog_error err = {0};
    ck_assert_int_eq(filter_compile("n = 5\0", 6, &filter, &err), COMMITLOG_EINVAL);
    ck_assert_uint_eq(err.position, 6);
    ck_assert_int_eq(filter_compile("n = 'a\0b'", 9, &filter, &err), COMMITLOG_OK);
    ck_assert_int_eq(filter_run(filter, sample.area, sample.writer.used), 0);
    commitlog_filter_free(filter);
}
END_TEST

/* `unit` so often, between a beginning and an end. */
static char *repeated(const char *begin, const char *unit, uint32_t times, const char *end)
{
    size_t bytes = strlen(begin) + strlen(unit) * times + strlen(end) + 1;
    char *text = malloc(bytes);
    ck_assert_ptr_nonnull(text);
    (void)snprintf(text, bytes, "%s", begin);
    char *at = text + strlen(begin);
    for (uint32_t i = 0; i < times; i++, at += strlen(unit)) {
        memcpy(at, unit, strlen(unit));
    }
    memcpy(at, end, strlen(end) + 1);
    return text;
}

static void limit(char *fits, char *exceeds, uint64_t column, const char *message)
{
    struct commitlog_filter *filter = NULL;
    struct commitlog_error err = {0};
    ck_assert_msg(filter_compile(fits, strlen(fits), &filter, &err) == COMMITLOG_OK, "%s",
                  err.message);
    ck_assert_int_eq(filter_run(filter, sample.area, sample.writer.used), 1);
    commitlog_filter_free(filter);
    ck_assert_int_eq(filter_compile(exceeds, strlen(exceeds), &filter, &err), COMMITLOG_ETOOBIG);
    ck_assert_uint_eq(err.position, column);
    ck_assert_msg(strstr(err.message, message) != NULL, "%s", err.message);
    free(fits);
    free(exceeds);
}

START_TEST(the_maxima_are_reached_and_not_passed)
{
    char names[2][2048];
    limit(repeated("n = 5 ", " ", COMMITLOG_FILTER_TEXT_MAX_BYTES - 6, ""),
          repeated("n = 5 ", " ", COMMITLOG_FILTER_TEXT_MAX_BYTES - 5, ""),
          COMMITLOG_FILTER_TEXT_MAX_BYTES + 1, "a filter has at most 16384 bytes");
    limit(repeated("", "t OR ", COMMITLOG_FILTER_COMPARISONS_MAX - 1, "t"),
          repeated("", "t OR ", COMMITLOG_FILTER_COMPARISONS_MAX, "t"),
          COMMITLOG_FILTER_COMPARISONS_MAX * 5 + 1, "more than 1024 comparisons");
    limit(repeated("n IN (1", ",5", COMMITLOG_FILTER_COMPARISONS_MAX - 1, ")"),
          repeated("n IN (1", ",5", COMMITLOG_FILTER_COMPARISONS_MAX, ")"),
          COMMITLOG_FILTER_COMPARISONS_MAX * 2 + 7, "more than 1024 comparisons");
    limit(repeated("", "(", COMMITLOG_FILTER_DEPTH_MAX,
                   "n=5))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))"),
          repeated("", "(", COMMITLOG_FILTER_DEPTH_MAX + 1, "n=5"), COMMITLOG_FILTER_DEPTH_MAX + 1,
          "more than 64 of ( and NOT are open at once");
    limit(repeated("", "NOT ", COMMITLOG_FILTER_DEPTH_MAX, "n=5"),
          repeated("", "NOT ", COMMITLOG_FILTER_DEPTH_MAX + 1, "n=5"),
          COMMITLOG_FILTER_DEPTH_MAX * 4 + 1, "more than 64 of ( and NOT are open at once");
    limit(repeated("\"", "x", 255, "\" IS NULL"), repeated("n = 5 OR \"", "x", 256, "\" IS NULL"),
          10, "a header's name has at most 255 bytes");
    for (int i = 0; i < 2; i++) {
        char *at = names[i];
        for (int j = 0; j < COMMITLOG_FILTER_HEADERS_MAX + i; j++) {
            at += snprintf(at, 32, "%sx%d IS NULL", j == 0 ? "" : " AND ", j);
        }
    }
    limit(repeated(names[0], " AND x0 IS NULL", 20, ""), repeated(names[1], "", 0, ""),
          strlen(names[0]) + 6, "more than 64 different headers");
}
END_TEST

/* NOT goes and comes back: what was closed counts no more. */
START_TEST(depth_counts_what_is_open)
{
    char *text = repeated("", "NOT (NOT t AND f) AND ", 500, "(((t)))");
    ck_assert_int_eq(filter_answer(text, &sample), 1);
    free(text);
}
END_TEST

START_TEST(an_area_that_contradicts_itself_is_damaged_whatever_is_asked)
{
    static const char *const texts[] = {"TRUE", "n = 5", "TAGS = 'red'", "missing IS NULL"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct commitlog_filter *filter = filter_of(texts[i]);
        uint8_t area[64] = {0};
        size_t whole = 0;
        ck_assert_int_eq(filter_run(filter, NULL, 0), i == 0 || i == 3);
        for (size_t cut = 0; cut < sample.writer.used; cut++) { /* a prefix is whole now and then */
            int32_t answer = filter_run(filter, sample.area, cut);
            ck_assert_msg(answer == 0 || answer == 1 || answer == COMMITLOG_EDAMAGED, "%d", answer);
            whole += answer >= 0;
        }
        ck_assert_uint_eq(whole, 28); /* before the tag and each of 27 headers */
        ck_assert_int_eq(filter_run(filter, area, 3), COMMITLOG_EDAMAGED); /* type 0 */
        memcpy(area, "\3\4\0\0\0ab", 7);                                   /* a name of no bytes */
        ck_assert_int_eq(filter_run(filter, area, 7), COMMITLOG_EDAMAGED);
        memcpy(area, "\3\4\0\3\0ab", 7); /* a name beyond the value */
        ck_assert_int_eq(filter_run(filter, area, 7), COMMITLOG_EDAMAGED);
        memcpy(area, "\3\1\0n", 4); /* half a length */
        ck_assert_int_eq(filter_run(filter, area, 4), COMMITLOG_EDAMAGED);
        commitlog_filter_free(filter);
    }
}
END_TEST

START_TEST(wrong_arguments_are_refused)
{
    struct commitlog_filter *filter = NULL;
    struct commitlog_message message = {0};
    struct commitlog_error err = {0};
    ck_assert_int_eq(commitlog_filter_compile("n", 1, NULL, &err), COMMITLOG_EINVAL);
    ck_assert_uint_eq(err.position, UINT64_MAX);
    ck_assert_int_eq(commitlog_filter_compile(NULL, 1, &filter, &err), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_filter_compile(NULL, 0, &filter, &err), COMMITLOG_EINVAL);
    ck_assert_uint_eq(err.position, 1);
    filter = filter_of("n IS NULL");
    ck_assert_int_eq(commitlog_filter_test(NULL, &message), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_filter_test(filter, NULL), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_filter_test(filter, &message), 1);
    message.attributes.bytes = 3;
    ck_assert_int_eq(commitlog_filter_test(filter, &message), COMMITLOG_EINVAL);
    message.attributes = (struct commitlog_slice){sample.area, CLG_ATTRIBUTES_MAX + 1};
    ck_assert_int_eq(commitlog_filter_test(filter, &message), COMMITLOG_EDAMAGED);
    commitlog_filter_free(filter);
    commitlog_filter_free(NULL);
}
END_TEST

static int allocations_left;
static int allocations_held;

static void *scarce_alloc(const struct commitlog_os *os, size_t bytes)
{
    if (allocations_left-- <= 0) {
        return NULL;
    }
    allocations_held++;
    return clg_os_default()->alloc(os, bytes);
}

static void scarce_free(const struct commitlog_os *os, void *memory)
{
    allocations_held -= memory != NULL;
    clg_os_default()->free(os, memory);
}

START_TEST(without_memory_nothing_is_held)
{
    struct commitlog_os os = *clg_os_default();
    struct commitlog_error err = {0};
    struct commitlog_filter *filter = NULL;
    int32_t rc = COMMITLOG_ENOMEM;
    int granted = 0;
    os.alloc = scarce_alloc;
    os.free = scarce_free;
    for (; rc == COMMITLOG_ENOMEM; granted++) {
        allocations_left = granted;
        rc = clg_filter_compile(&os, "n = 5 AND s = 'abc'", 19, &filter, &err);
        ck_assert(rc == COMMITLOG_OK || (rc == COMMITLOG_ENOMEM && err.code == rc));
        ck_assert_int_eq(allocations_held, rc == COMMITLOG_OK);
    }
    ck_assert_int_eq(rc, COMMITLOG_OK);
    ck_assert_int_eq(granted, 6); /* with none, 1 ... 4 and all 5 */
    ck_assert_int_eq(filter_run(filter, sample.area, sample.writer.used), 1);
    commitlog_filter_free(filter);
    ck_assert_int_eq(allocations_held, 0);
}
END_TEST

static Suite *filter_suite(void)
{
    Suite *suite = suite_create("filter refused");
    TCase *refused = tcase_create("refused");
    tcase_add_checked_fixture(refused, setup, NULL);
    tcase_add_loop_test(refused, a_syntax_error_names_its_column, 0,
                        (int)(sizeof wrongs / sizeof wrongs[0]));
    tcase_add_test(refused, a_nul_in_the_text_is_a_wrong_byte);
    tcase_add_test(refused, the_maxima_are_reached_and_not_passed);
    tcase_add_test(refused, depth_counts_what_is_open);
    tcase_add_test(refused, an_area_that_contradicts_itself_is_damaged_whatever_is_asked);
    tcase_add_test(refused, wrong_arguments_are_refused);
    tcase_add_test(refused, without_memory_nothing_is_held);
    suite_add_tcase(suite, refused);
    return suite;
}

int main(void)
{
    return run_suite(filter_suite());
}
