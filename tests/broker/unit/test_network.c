/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_network.c -- accounts and signatures, options, and output that is looked at.
 *
 * SEED=n for other draws; the seed is printed.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acl_accounts.h"
#include "options_net.h"
#include "output.h"
#include "support/prog.h"
#include "support/run_suite.h"

static uint64_t seed;

/* ---- accounts -------------------------------------------------------------------------------- */

static struct accounts *accounts_of(const char *json)
{
    char path[] = "/tmp/test_network-XXXXXX";
    const int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, json, strlen(json)), (ssize_t)strlen(json));
    close(fd);
    struct accounts *accounts = accounts_read(path);
    unlink(path);
    return accounts;
}

#define ONE                                                                                        \
    "{\"accounts\":[{\"accessKey\":\"RocketMQ\",\"secretKey\":\"12345678\","                       \
    "\"publish\":[\"a\",\"b*\"],\"subscribe\":[\"c\"],\"groups\":[\"g*\"]}]}"

START_TEST(a_file_with_a_mistake_is_refused_as_a_whole)
{
    static const char *const wrong[] = {
        "",
        "[]",
        "{}",
        "{\"accounts\":{}}",
        "{\"accounts\":[],\"more\":1}",
        "{\"accounts\":[1]}",
        "{\"accounts\":[{\"accessKey\":\"a\"}]}",
        "{\"accounts\":[{\"accessKey\":\"\",\"secretKey\":\"12345678\"}]}",
        "{\"accounts\":[{\"accessKey\":\"a\",\"secretKey\":\"1234567\"}]}",
        "{\"accounts\":[{\"accessKey\":\"a\",\"secretKey\":\"12345678\",\"admin\":1}]}",
        "{\"accounts\":[{\"accessKey\":\"a\",\"secretKey\":\"12345678\",\"topics\":[]}]}",
        "{\"accounts\":[{\"accessKey\":\"a\",\"secretKey\":\"12345678\",\"publish\":\"a\"}]}",
        "{\"accounts\":[{\"accessKey\":\"a\",\"secretKey\":\"12345678\",\"publish\":[1]}]}",
        "{\"accounts\":[{\"accessKey\":\"a\",\"secretKey\":\"12345678\",\"groups\":[\"\"]}]}",
        "{\"accounts\":[{\"accessKey\":\"a\",\"secretKey\":\"12345678\",\"groups\":[\"a*b\"]}]}",
        ("{\"accounts\":[{\"accessKey\":\"a\",\"secretKey\":\"12345678\"},"
         "{\"accessKey\":\"a\",\"secretKey\":\"87654321\"}]}")};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg(accounts_of(wrong[i]) == NULL, "%s", wrong[i]);
    ck_assert_ptr_null(accounts_read("/nowhere/at/all"));
}
END_TEST

START_TEST(rights_are_those_of_the_lists_and_no_more)
{
    struct accounts *accounts = accounts_of(ONE);
    ck_assert_ptr_nonnull(accounts);
    const struct account *account = accounts_find(accounts, TEXT("RocketMQ"));
    ck_assert_ptr_nonnull(account);
    ck_assert_ptr_null(accounts_find(accounts, TEXT("RocketM")));
    ck_assert(!account_is_admin(account));
    ck_assert(account_may_write(account, TEXT("a")) && account_may_write(account, TEXT("bcd")));
    ck_assert(!account_may_write(account, TEXT("ab")) && !account_may_write(account, TEXT("c")));
    ck_assert(!account_may_write(account, TEXT("")) && !account_may_read(account, TEXT("")));
    ck_assert(account_may_read(account, TEXT("c")) && !account_may_read(account, TEXT("a")));
    ck_assert(account_has_group(account, TEXT("g1")) && !account_has_group(account, TEXT("h")));
    ck_assert(!account_has_group(account, TEXT("")));
    ck_assert(account_may_read(account, TEXT("%RETRY%g1")));
    ck_assert(account_may_write(account, TEXT("%RETRY%g1")));
    ck_assert(!account_may_write(account, TEXT("%RETRY%h")));
    ck_assert(account_may_read(account, TEXT("%DLQ%g1")));
    ck_assert(!account_may_write(account, TEXT("%DLQ%g1")));
    accounts_free(accounts);
}
END_TEST

static void request_of(struct command *command, const char *signature)
{
    command_init(command);
    /* not in the order of their names */
    (void)command_add(command, TEXT("topic"), TEXT("T"));
    (void)command_add(command, TEXT("Signature"), text_of(signature));
    (void)command_add(command, TEXT("queueId"), TEXT("3"));
    (void)command_add(command, TEXT("AccessKey"), TEXT("RocketMQ"));
    (void)command_add(command, TEXT("a"), TEXT(""));
    command->body = TEXT("body");
}

/* printf RocketMQ3Tbody | openssl dgst -sha1 -hmac 12345678 -binary | base64 */
#define SIGNATURE "0/8gKdPXgFCrjw2kSOTNCvQg8js="

START_TEST(a_signature_is_of_values_in_the_order_of_names_and_the_body)
{
    struct accounts *accounts = accounts_of(ONE);
    static struct command command;
    request_of(&command, SIGNATURE);
    ck_assert_ptr_eq(accounts_verify(accounts, &command),
                     accounts_find(accounts, TEXT("RocketMQ")));
    (void)command_add(&command, TEXT("_UNIQUE_KEY_QUERY"), TEXT("true"));
    ck_assert_ptr_nonnull(accounts_verify(accounts, &command));
    (void)command_add(&command, TEXT("b"), TEXT("1"));
    ck_assert_ptr_null(accounts_verify(accounts, &command));
    request_of(&command, SIGNATURE);
    command.body = TEXT("Body");
    ck_assert_ptr_null(accounts_verify(accounts, &command));
    for (size_t i = 0; i < sizeof SIGNATURE; i++) {
        char changed[] = SIGNATURE;
        changed[i] = changed[i] == 'x' ? 'y' : i == sizeof SIGNATURE - 1 ? '\0' : 'x';
        request_of(&command, changed);
        ck_assert_int_eq(accounts_verify(accounts, &command) == NULL, i < sizeof SIGNATURE - 1);
    }
    command_init(&command);
    ck_assert_ptr_null(accounts_verify(accounts, &command));
    char made[ACCOUNT_SIGNATURE_BYTES + 1] = "";
    request_of(&command, "is not signed");
    ck_assert(account_sign(accounts_only(accounts), &command, made));
    ck_assert_str_eq(made, SIGNATURE);
    accounts_free(accounts);
}
END_TEST

/* ---- options --------------------------------------------------------------------------------- */

START_TEST(tls_is_permissive_with_a_certificate_and_wants_its_key)
{
    struct options_net net;
    options_net_begin(&net);
    ck_assert_ptr_null(options_net_finish(&net));
    ck_assert_int_eq(net.tls, TLS_DISABLED);
    options_net_begin(&net);
    ck_assert(options_net_take(OPT_NET_TLS_CERT, "cert", &net));
    ck_assert_ptr_nonnull(options_net_finish(&net));
    ck_assert(options_net_take(OPT_NET_TLS_KEY, "key", &net));
    ck_assert_ptr_null(options_net_finish(&net));
    ck_assert_int_eq(net.tls, TLS_PERMISSIVE);
    ck_assert(options_net_take(OPT_NET_TLS, "disabled", &net));
    ck_assert(!options_net_take(OPT_NET_TLS, "sometimes", &net));
    ck_assert(!options_net_take(OPTIONS_NET_END, "x", &net));
    ck_assert(options_net_take(OPT_NET_TLS_CLIENT_CA, "ca", &net));
    ck_assert_ptr_nonnull(options_net_finish(&net));
}
END_TEST

START_TEST(what_is_for_name_servers_wants_one_to_join)
{
    static const int options[] = {OPT_NET_JOIN_TLS_CA, OPT_NET_JOIN_ACCOUNT};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        struct options_net net;
        options_net_begin(&net);
        ck_assert(options_net_take(options[i], "file", &net));
        ck_assert_ptr_nonnull(options_net_finish(&net));
        ck_assert(options_net_take(OPT_NET_JOIN, "host", &net));
        ck_assert_ptr_null(options_net_finish(&net));
    }
}
END_TEST

/* ---- output ---------------------------------------------------------------------------------- */

START_TEST(what_is_peeked_at_and_dropped_is_what_was_put_in)
{
    static uint8_t source[60000], taken[60000];
    struct output output = {0};
    struct rng rng = {seed + (uint64_t)_i};
    size_t in = 0, out = 0;
    for (size_t i = 0; i < sizeof source; i++)
        source[i] = (uint8_t)(i * 2654435761u >> 13);
    while (out < sizeof source) {
        const size_t put = rng_below(&rng, 3000);
        const size_t bytes = put < sizeof source - in ? put : sizeof source - in;
        output_copy(&output, source + in, bytes);
        in += bytes;
        const size_t got = output_peek(&output, taken + out, rng_below(&rng, 3500));
        ck_assert_uint_le(got, in - out);
        const size_t drop = got == 0 ? 0 : 1 + rng_below(&rng, got);
        output_drop(&output, drop);
        out += drop;
        ck_assert_uint_eq(output.bytes, in - out);
    }
    ck_assert_mem_eq(source, taken, sizeof source);
    output_free(&output);
}
END_TEST

static Suite *network_suite(void)
{
    Suite *suite = suite_create("broker-network");
    TCase *cases = tcase_create("network");
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, a_file_with_a_mistake_is_refused_as_a_whole);
    tcase_add_test(cases, rights_are_those_of_the_lists_and_no_more);
    tcase_add_test(cases, a_signature_is_of_values_in_the_order_of_names_and_the_body);
    tcase_add_test(cases, tls_is_permissive_with_a_certificate_and_wants_its_key);
    tcase_add_test(cases, what_is_for_name_servers_wants_one_to_join);
    tcase_add_loop_test(cases, what_is_peeked_at_and_dropped_is_what_was_put_in, 0, 5);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    seed = prog_env("SEED", 1);
    printf("test_network: seed %llu\n", (unsigned long long)seed);
    return run_suite(network_suite());
}
