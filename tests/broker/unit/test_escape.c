/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_escape.c -- names that mean no good, in HTML, in labels, in addresses.
 *
 * SEED=n for other draws; the seed is printed.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "support/prog.h"
#include "support/run_suite.h"

enum { ROUNDS = 20000, LONGEST = 40 };

static uint64_t seed;

typedef void escape_function(struct buffer *out, struct text text);

static void becomes(escape_function *escape, struct text text, const char *wanted)
{
    struct buffer out = {0};
    escape(&out, text);
    ck_assert_uint_eq(out.used, strlen(wanted));
    ck_assert(out.used == 0 || memcmp(out.data, wanted, out.used) == 0);
    buffer_free(&out);
}

START_TEST(markup_becomes_text)
{
    becomes(escape_html, TEXT("<script>alert('\"&')</script>"),
            "&lt;script&gt;alert(&#39;&quot;&amp;&#39;)&lt;/script&gt;");
    becomes(escape_html, TEXT("plain name_0 %"), "plain name_0 %");
    becomes(escape_html, TEXT(""), "");
}
END_TEST

START_TEST(a_label_value_ends_at_its_quote_only)
{
    becomes(escape_label, TEXT("a\\b\"c"), "a\\\\b\\\"c");
    becomes(escape_label, TEXT("\"} 1\nx 2"), "\\\"} 1\xef\xbf\xbdx 2");
    becomes(escape_label, TEXT("<&'>"), "<&'>");
}
END_TEST

START_TEST(an_address_has_letters_digits_and_percents)
{
    becomes(escape_query, TEXT("%RETRY%g|a b\xc3\xa4"), "%25RETRY%25g%7Ca%20b%C3%A4");
    becomes(escape_query, TEXT("a-b_c.d"), "a-b_c.d");
}
END_TEST

START_TEST(what_is_no_text_is_replaced)
{
    becomes(escape_html, TEXT("a\xff"), "a\xef\xbf\xbd");
    becomes(escape_html, TEXT("\xc3"), "\xef\xbf\xbd");                 /* ends too soon */
    becomes(escape_html, TEXT("\xc0\xaf"), "\xef\xbf\xbd\xef\xbf\xbd"); /* overlong */
    becomes(escape_html, TEXT("\xed\xa0\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    becomes(escape_html, TEXT("\xf4\x90\x80\x80"),
            "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    becomes(escape_label, TEXT("\x01\x7f\xc2\x85"),
            "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    becomes(escape_label, TEXT("\xe2\x82\xac \xf0\x9f\x98\x80"), "\xe2\x82\xac \xf0\x9f\x98\x80");
}
END_TEST

START_TEST(json_is_utf_8_and_nothing_else_of_it_is_changed)
{
    becomes(buffer_put_json, TEXT("a\"\\/\x01\x1f\x7f"), "\"a\\\"\\\\/\\u0001\\u001f\x7f\"");
    becomes(buffer_put_json, TEXT("\xe2\x82\xac \xf0\x9f\x98\x80 \xc2\x85"),
            "\"\xe2\x82\xac \xf0\x9f\x98\x80 \xc2\x85\"");
    becomes(buffer_put_json, TEXT("\xffx\xe2\x82"), "\"\xef\xbf\xbdx\xef\xbf\xbd\xef\xbf\xbd\"");
    becomes(buffer_put_json, TEXT(""), "\"\"");
}
END_TEST

/* Whatever is given: nothing that means something is left, and a second look finds UTF-8 only. */
START_TEST(random_bytes_never_get_through)
{
    struct rng rng = {seed};
    for (int round = 0; round < ROUNDS; round++) {
        char bytes[LONGEST];
        const size_t count = rng_below(&rng, LONGEST);
        for (size_t i = 0; i < count; i++)
            bytes[i] = (char)(rng_below(&rng, 3) == 0 ? "<>\"'\\\n&"[rng_below(&rng, 7)]
                                                      : (char)rng_below(&rng, 256));
        struct buffer html = {0}, label = {0}, again = {0};
        escape_html(&html, (struct text){bytes, count});
        escape_label(&label, (struct text){bytes, count});
        for (size_t i = 0; i < html.used; i++)
            ck_assert(html.data[i] >= 0x20 && strchr("<>\"'", html.data[i]) == NULL);
        for (size_t i = 0; i < label.used; i++) {
            ck_assert(label.data[i] >= 0x20 && label.data[i] != '"');
            i += label.data[i] == '\\'; /* and what is behind it */
        }
        escape_html(&again, buffer_text(&html));
        size_t ampersands = 0;
        for (size_t i = 0; i < html.used; i++)
            ampersands += html.data[i] == '&';
        ck_assert_uint_eq(again.used, html.used + ampersands * 4); /* "&amp;" for "&" alone */
        buffer_free(&html);
        buffer_free(&label);
        buffer_free(&again);
    }
}
END_TEST

static Suite *escape_suite(void)
{
    Suite *suite = suite_create("broker-escape");
    TCase *cases = tcase_create("escape");
    tcase_add_test(cases, markup_becomes_text);
    tcase_add_test(cases, a_label_value_ends_at_its_quote_only);
    tcase_add_test(cases, an_address_has_letters_digits_and_percents);
    tcase_add_test(cases, what_is_no_text_is_replaced);
    tcase_add_test(cases, json_is_utf_8_and_nothing_else_of_it_is_changed);
    tcase_add_test(cases, random_bytes_never_get_through);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    seed = prog_env("SEED", 1);
    printf("test_escape: seed %llu\n", (unsigned long long)seed);
    return run_suite(escape_suite());
}
