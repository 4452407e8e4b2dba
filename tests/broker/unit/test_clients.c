/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_clients.c -- what the end of a connection, and a question for one client, look at: groups of
 * others whose members nobody could read stand beside it.
 */
#include <check.h>
#include <stdio.h>

#include "clients.h"
#include "log.h"
#include "support/run_suite.h"

enum { OTHERS = 100 };
#define NO_MEMBER ((struct member *)16) /* whoever looks at it crashes */

static struct broker broker;
static struct connection first, second;
static struct command command;

static void setup(void)
{
    broker = (struct broker){0};
    first = second = (struct connection){.broker = &broker};
    log_set_level(LOG_ERROR);
    ck_assert_int_eq(uv_loop_init(&broker.loop), 0);
    ck_assert(clients_start(&broker));
}

static void teardown(void)
{
    clients_gone(&first);
    clients_gone(&second);
    ck_assert_uint_eq(first.told + second.told, 0);
    clients_stop(&broker);
    ck_assert_int_eq(uv_loop_close(&broker.loop), 0);
}

static struct audience *join(struct connection *connection, const char *group, const char *id)
{
    enum taken taken;
    struct audience *audience =
        clients_join(connection, &command, true, text_of(group), text_of(id), &taken);
    ck_assert_ptr_nonnull(audience);
    return audience;
}

START_TEST(the_end_of_a_connection_looks_at_no_group_of_others)
{
    struct audience *others[OTHERS];
    struct member *members[OTHERS];
    for (int i = 0; i < OTHERS; i++) {
        char group[32];
        (void)snprintf(group, sizeof group, "others%d", i);
        others[i] = join(&first, group, "first");
        members[i] = others[i]->members;
        others[i]->members = NO_MEMBER;
    }
    (void)join(&second, "own", "second");
    (void)join(&second, "own", "third");
    ck_assert_ptr_eq(clients_find_producer(&broker, TEXT("second")), &second);
    ck_assert_ptr_null(clients_find_producer(&broker, TEXT("nobody")));
    clients_gone(&second);
    ck_assert_ptr_null(clients_producers(&broker, TEXT("own")));
    ck_assert_ptr_null(clients_find_producer(&broker, TEXT("second")));
    ck_assert_uint_eq(second.told, 0);
    for (int i = 0; i < OTHERS; i++)
        others[i]->members = members[i];
    ck_assert_ptr_eq(clients_find_producer(&broker, TEXT("first")), &first);
}
END_TEST

START_TEST(a_client_is_where_it_came_last)
{
    const struct audience *both = join(&first, "both", "client");
    (void)join(&first, "both", "stays");
    (void)join(&first, "one", "client");
    (void)join(&second, "both", "client");
    ck_assert_uint_eq(both->member_count, 2);
    ck_assert_ptr_eq(clients_find_producer(&broker, TEXT("client")), &second);
    clients_leave(&first, true, TEXT("both"), TEXT("client")); /* it is not its own any more */
    ck_assert_uint_eq(both->member_count, 2);
    clients_gone(&second);
    ck_assert_uint_eq(both->member_count, 1);
    ck_assert_ptr_eq(clients_find_producer(&broker, TEXT("client")), &first);
    clients_leave(&first, true, TEXT("one"), TEXT("client"));
    ck_assert_ptr_null(clients_producers(&broker, TEXT("one")));
    ck_assert_ptr_null(clients_find_producer(&broker, TEXT("client")));
    ck_assert_ptr_eq(clients_find_producer(&broker, TEXT("stays")), &first);
}
END_TEST

START_TEST(who_can_be_asked_is_found_behind_many_who_cannot)
{
    const struct connection *found = NULL;
    (void)join(&second, "group", "reads");
    for (int i = 0; i < OTHERS; i++) {
        char id[32];
        (void)snprintf(id, sizeof id, "does not%d", i);
        (void)join(&first, "group", id);
    }
    first.output.bytes = CONNECTION_OUTPUT_MAX + 1;
    for (int tries = 0; tries < 3 && found == NULL; tries++) {
        found = clients_any_producer(&broker, TEXT("group"), TEXT("orders"));
    }
    ck_assert_ptr_eq(found, &second);
    clients_gone(&second);
    ck_assert_ptr_null(clients_any_producer(&broker, TEXT("group"), TEXT("orders")));
    first.output.bytes = 0;
    ck_assert_ptr_eq(clients_any_producer(&broker, TEXT("group"), TEXT("orders")), &first);
}
END_TEST

static Suite *clients_suite(void)
{
    Suite *suite = suite_create("broker-clients");
    TCase *cases = tcase_create("clients");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, the_end_of_a_connection_looks_at_no_group_of_others);
    tcase_add_test(cases, a_client_is_where_it_came_last);
    tcase_add_test(cases, who_can_be_asked_is_found_behind_many_who_cannot);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    return run_suite(clients_suite());
}
