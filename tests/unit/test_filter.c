/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_filter.c -- what a filter means: each comparison, three-valued logic, precedence.
 *
 * What is refused: test_filter_refused.c. Random ones: test_filter_random.c. With a store:
 * test_filter_cursor.c.
 */
#include "filter_fixture.h"
#include "support/run_suite.h"

static struct attributes sample;

static void setup(void)
{
    attributes_sample(&sample);
}

struct row {
    char verdict;
    const char *text;
};

static void table(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char verdict = filter_verdict(rows[i].text, &sample);
        ck_assert_msg(verdict == rows[i].verdict, "%s: %c, not %c", rows[i].text, verdict,
                      rows[i].verdict);
    }
}

#define TABLE(rows) table(rows, sizeof(rows) / sizeof((rows)[0]))

static const struct row numbers[] = {
    {'T', "n = 5"},
    {'F', "n = 6"},
    {'F', "n <> 5"},
    {'T', "n <> 6"},
    {'T', "n < 6"},
    {'F', "n < 5"},
    {'T', "n <= 5"},
    {'F', "n <= 4"},
    {'T', "n > 4"},
    {'F', "n > 5"},
    {'T', "n >= 5"},
    {'F', "n >= 6"},
    {'T', "n=5.0"},
    {'T', "n = 5."},
    {'T', "n = 0.5e1"},
    {'T', "n = 50E-1"},
    {'T', "n = +5"},
    {'T', "n = 005.00"},
    {'F', "n = -5"},
    {'T', "n > .5"},
    /* what a double cannot tell apart */
    {'F', "big = 9007199254740992"},
    {'T', "big = 9007199254740993"},
    {'T', "big > 9007199254740992.999999"},
    {'F', "big = 9007199254740993.0000000000000001"},
    {'T', "big < 123456789012345678901234567890"},
    {'T', "big > -1e400"},
    {'T', "big < 1e400"},
    {'T', "d = 10.5"},
    {'T', "d > 10.49999999999999999999"},
    {'F', "d < 10.5"},
    {'T', "neg < 0"},
    {'T', "neg > -3.5"},
    {'T', "neg = -3"},
    {'F', "neg > 2"},
    {'T', "neg < -2"},
    {'T', "zero = 0"},
    {'F', "zero < 0"},
    {'T', "zero = -0"},
    {'T', "e = 1000"},
    {'T', "e = 1E+3"},
    {'T', "e > 999.9"},
    {'F', "e > 1000"},
    {'T', "huge > 1e999999998"},
    {'T', "huge = 10e999999998"},
    {'T', "plus = 7"},
    {'T', "point = 5"},
    {'T', "small = 0.5"},
    {'T', "small < 0.51"},
    {'F', "small > 0.5000"},
    {'T', "small > 0.05"},
    {'T', "d = 10.5000"},
    {'F', "d = 10.05"},
    {'T', "e < 1000.0001"},
    {'T', "1000.0 = 1000 AND 1000.01 > 1000 AND 100 < 1000 AND 1e3 = 1000.00"},
    {'T', "12.5 > 12.05 AND -12.5 < -12.05 AND 12. < 12.0001 AND 120 > 12"},
    {'T', "small > 0.4999"},
    /* the constant may stand on the left */
    {'T', "4 < n"},
    {'F', "5 < n"},
    {'T', "5 <= n"},
    {'T', "6 > n"},
    {'F', "5 > n"},
    {'T', "5 >= n"},
    {'T', "5 = n"},
    {'T', "6 <> n"},
    /* no number: unknown, whatever the operator */
    {'U', "s = 5"},
    {'U', "s <> 5"},
    {'U', "s < 5"},
    {'U', "s >= 5"},
    {'U', "empty = 0"},
    {'U', "blank = 5"},
    {'U', "hex = 16"},
    {'U', "nan = 1"},
    {'U', "nan <> 1"},
    {'U', "t = 1"},
    {'U', "missing = 5"},
    {'U', "missing <> 5"},
    {'U', "5 > missing"},
};

START_TEST(numbers_are_compared_exactly_as_decimals)
{
    TABLE(numbers);
}
END_TEST

static const struct row texts[] = {
    {'T', "s = 'abc'"},
    {'F', "s = 'ABC'"},
    {'F', "s = 'ab'"},
    {'F', "s = 'abcd'"},
    {'T', "s <> 'abd'"},
    {'F', "s <> 'abc'"},
    {'T', "'abc' = s"},
    {'T', "q = 'it''s'"},
    {'F', "q = 'its'"},
    {'T', "empty = ''"},
    {'F', "s = ''"},
    {'T', "empty <> ''''"},
    {'T', "n = '5'"},
    {'F', "n2 = '5'"},
    {'T', "blank = ' 5'"},
    {'T', "t = 'true'"},
    {'U', "missing = ''"},
    {'U', "missing <> 'x'"},
    {'T', "TAGS = 'red'"},
    {'F', "TAGS = 'blue'"},
    {'T', "\"TAGS\" = 'blue'"},
    {'T', "\"content-type\" = 'text/plain'"},
    {'T', "\"n\" = 5"},
    {'T', "\"not\" = 1"},
    {'T', "\"a\"\"b\" = 'quoted'"},
    {'T', "dollar$_9 = 'x'"},
    {'T', "N = 6 AND n = 5"},
    {'U', "tags = 'red'"},
    {'T', "twice = 1"},
};

START_TEST(texts_are_compared_byte_by_byte)
{
    TABLE(texts);
}
END_TEST

static const struct row searches[] = {
    {'T', "s CONTAINS 'b'"},
    {'T', "s CONTAINS 'abc'"},
    {'F', "s CONTAINS 'abcd'"},
    {'F', "s CONTAINS 'ac'"},
    {'T', "s CONTAINS ''"},
    {'T', "empty CONTAINS ''"},
    {'F', "empty CONTAINS 'a'"},
    {'F', "s NOT CONTAINS 'b'"},
    {'T', "s NOT CONTAINS 'x'"},
    {'T', "s STARTSWITH 'ab'"},
    {'T', "s STARTSWITH 'abc'"},
    {'F', "s STARTSWITH 'abcd'"},
    {'F', "s STARTSWITH 'b'"},
    {'T', "s NOT STARTSWITH 'b'"},
    {'T', "s STARTSWITH ''"},
    {'T', "s ENDSWITH 'bc'"},
    {'T', "s ENDSWITH 'abc'"},
    {'F', "s ENDSWITH 'xabc'"},
    {'F', "s ENDSWITH 'b'"},
    {'T', "s NOT ENDSWITH 'b'"},
    {'T', "s endsWith ''"},
    {'U', "missing CONTAINS ''"},
    {'U', "missing NOT CONTAINS 'x'"},
    {'U', "missing STARTSWITH 'x'"},
    {'U', "missing NOT STARTSWITH 'x'"},
    {'U', "missing ENDSWITH 'x'"},
    {'U', "missing NOT ENDSWITH 'x'"},
    {'T', "TAGS STARTSWITH 're'"},
    {'T', "n CONTAINS '5'"},
};

START_TEST(texts_are_searched)
{
    TABLE(searches);
}
END_TEST

static const struct row others[] = {
    /* = and <> by bytes, order by number */
    {'T', "n = n"},
    {'F', "n = n2"},
    {'T', "n <> n2"},
    {'T', "n <= n2"},
    {'T', "n >= n2"},
    {'F', "n < n2"},
    {'F', "n > n2"},
    {'T', "n < N"},
    {'T', "d > neg"},
    {'F', "n > big"},
    {'F', "s = q"},
    {'U', "s < n"},
    {'U', "n < s"},
    {'U', "n = missing"},
    {'U', "missing = n"},
    {'U', "missing <> missing"},
    {'U', "n < missing"},
    {'F', "TAGS = \"TAGS\""},
    {'T', "t = TRUE"},
    {'F', "t = FALSE"},
    {'F', "t <> TRUE"},
    {'T', "t <> FALSE"},
    {'F', "f = TRUE"},
    {'T', "f = false"},
    {'T', "FALSE = f"},
    {'U', "s = TRUE"},
    {'U', "s <> TRUE"},
    {'U', "s = FALSE"},
    {'U', "n = TRUE"},
    {'U', "missing = FALSE"},
    {'T', "t"},
    {'F', "f"},
    {'U', "s"},
    {'U', "missing"},
    {'T', "NOT f"},
    {'F', "NOT t"},
    {'T', "t AND NOT f"},
    {'U', "\"TAGS\""},
    {'F', "n IS NULL"},
    {'T', "n IS NOT NULL"},
    {'T', "missing IS NULL"},
    {'F', "missing IS NOT NULL"},
    {'F', "empty IS NULL"},
    {'T', "TAGS IS NOT NULL"},
    {'T', "x IS NULL AND n is not null"},
    /* constants alone */
    {'T', "TRUE"},
    {'F', "FALSE"},
    {'U', "NULL"},
    {'T', "1 < 2"},
    {'F', "2 < 1"},
    {'T', "1 = 1.0"},
    {'F', "1 <> 1.0"},
    {'T', "1 >= 1"},
    {'F', "1 > 1"},
    {'T', "2 >= 1"},
    {'F', "1 >= 2"},
    {'T', "1 <= 2"},
    {'F', "2 <= 1"},
    {'T', "1 <= 1"},
    {'T', "2 > 1"},
    {'T', "'a' = 'a'"},
    {'F', "'a' = 'b'"},
    {'T', "'a' <> 'b'"},
    {'T', "TRUE = TRUE"},
    {'F', "TRUE = FALSE"},
    {'T', "TRUE <> FALSE"},
};

START_TEST(headers_are_compared_with_headers_truth_and_null)
{
    TABLE(others);
}
END_TEST

static const struct row ranges[] = {
    {'T', "n BETWEEN 5 AND 5"},
    {'T', "n BETWEEN 4 AND 6"},
    {'F', "n BETWEEN 6 AND 7"},
    {'F', "n BETWEEN 1 AND 4"},
    {'F', "n NOT BETWEEN 4 AND 6"},
    {'T', "n NOT BETWEEN 6 AND 7"},
    {'T', "n between -1 and 1e1 AND n = 5"},
    {'U', "s BETWEEN 1 AND 2"},
    {'U', "missing BETWEEN 1 AND 2"},
    {'U', "missing NOT BETWEEN 1 AND 2"},
    {'T', "n BETWEEN neg AND d"},
    {'T', "4 BETWEEN neg AND n"},
    {'F', "6 BETWEEN neg AND n"},
    /* one bound is unknown, the other decides */
    {'F', "n BETWEEN 6 AND missing"},
    {'U', "n BETWEEN 4 AND missing"},
    {'T', "n NOT BETWEEN 6 AND missing"},
    {'U', "n NOT BETWEEN 4 AND missing"},
    {'F', "n BETWEEN missing AND 4"},
    {'T', "s IN ('abc')"},
    {'T', "s IN ('x', 'abc', 'y')"},
    {'F', "s IN ('x', 'y')"},
    {'F', "s NOT IN ('x', 'abc')"},
    {'T', "s NOT IN ('x', 'y')"},
    {'U', "missing IN ('x')"},
    {'U', "missing NOT IN ('x')"},
    {'T', "n IN (1, 5.0, 7)"},
    {'F', "n IN (1, 7)"},
    {'T', "n NOT IN (1, 7)"},
    {'T', "t IN (TRUE)"},
    {'F', "t IN (FALSE)"},
    /* a text that is no number is unknown beside numbers, unless something else matches */
    {'T', "s IN (1, 'abc')"},
    {'U', "s IN (1, 'x')"},
    {'U', "s NOT IN (1, 'x')"},
    {'F', "s NOT IN (1, 'abc')"},
    {'T', "TAGS in ('green','red')"},
};

START_TEST(between_and_in_are_what_they_stand_for)
{
    TABLE(ranges);
}
END_TEST

/* The nine pairs, and NOT, as the standard has them. */
START_TEST(logic_has_three_values)
{
    static const char values[] = "TFU";
    static const char *const terms[] = {"n = 5", "n = 6", "missing = 1"};
    static const char and_table[3][4] = {"TFU", "FFF", "UFU"};
    static const char or_table[3][4] = {"TTT", "TFU", "TUU"};
    static const char not_table[4] = "FTU";
    char text[128];
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(filter_verdict(terms[i], &sample), values[i]);
        (void)snprintf(text, sizeof text, "NOT %s", terms[i]);
        ck_assert_msg(filter_verdict(text, &sample) == not_table[i], "%s", text);
        (void)snprintf(text, sizeof text, "NOT NOT (%s)", terms[i]);
        ck_assert_msg(filter_verdict(text, &sample) == values[i], "%s", text);
        for (int j = 0; j < 3; j++) {
            (void)snprintf(text, sizeof text, "%s AND %s", terms[i], terms[j]);
            ck_assert_msg(filter_verdict(text, &sample) == and_table[i][j], "%s", text);
            (void)snprintf(text, sizeof text, "%s OR %s", terms[i], terms[j]);
            ck_assert_msg(filter_verdict(text, &sample) == or_table[i][j], "%s", text);
        }
    }
}
END_TEST

static const struct row precedences[] = {
    {'T', "TRUE OR FALSE AND FALSE"},
    {'F', "(TRUE OR FALSE) AND FALSE"},
    {'T', "FALSE AND FALSE OR TRUE"},
    {'F', "FALSE AND (FALSE OR TRUE)"},
    {'T', "NOT FALSE OR TRUE"},
    {'F', "NOT (FALSE OR TRUE)"},
    {'F', "NOT TRUE AND FALSE"},
    {'T', "NOT (TRUE AND FALSE)"},
    {'F', "NOT n = 5"},
    {'T', "NOT n = 6 AND n = 5"},
    {'F', "TRUE AND NOT TRUE"},
    {'T', "FALSE OR NOT FALSE AND TRUE"},
    {'F', "NOT NOT FALSE"},
    {'T', "NOT NOT NOT FALSE"},
    {'T', "NOT n BETWEEN 6 AND 7 AND TRUE"},
    {'F', "n NOT IN (5) OR FALSE"},
    {'T', "((((n = 5))))"},
    {'T', "TRUE AND TRUE AND TRUE OR FALSE"},
    {'T', "FALSE OR FALSE OR TRUE AND TRUE"},
    {'T', "TRUE\tAND\r\nTRUE\fOR FALSE"},
    {'T', "(n=5)AND(s='abc')"},
    {'T', "nOt n<>5aNd s='abc'oR FALSE"},
    {'T', "NOT(NOT(n = 5 OR s = 'x') AND NOT FALSE)"},
};

START_TEST(not_binds_closest_then_and_then_or)
{
    TABLE(precedences);
}
END_TEST

static Suite *filter_suite(void)
{
    Suite *suite = suite_create("filter");
    TCase *meaning = tcase_create("meaning");
    tcase_add_checked_fixture(meaning, setup, NULL);
    tcase_add_test(meaning, numbers_are_compared_exactly_as_decimals);
    tcase_add_test(meaning, texts_are_compared_byte_by_byte);
    tcase_add_test(meaning, texts_are_searched);
    tcase_add_test(meaning, headers_are_compared_with_headers_truth_and_null);
    tcase_add_test(meaning, between_and_in_are_what_they_stand_for);
    tcase_add_test(meaning, logic_has_three_values);
    tcase_add_test(meaning, not_binds_closest_then_and_then_or);
    suite_add_tcase(suite, meaning);
    return suite;
}

int main(void)
{
    return run_suite(filter_suite());
}
