/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_group_assign.c -- which member of a group reads which queue.
 *
 * SEED=n for other draws; the seed is printed. What is expected of the ring was computed by another
 * implementation, in another language, from commitlog_assign(3).
 */
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "support/run_suite.h"
#include "unit/assign_fixture.h"

static uint64_t seed;

/* By counting who is smaller. */
static uint32_t rank_of(const struct group *group, uint32_t index)
{
    const struct commitlog_slice *id = &group->members[index];
    uint32_t rank = 0;
    for (uint32_t i = 0; i < group->count; i++) {
        const struct commitlog_slice *other = &group->members[i];
        size_t shared = id->bytes < other->bytes ? id->bytes : other->bytes;
        int order = memcmp(other->data, id->data, shared);
        rank += order < 0 || (order == 0 && other->bytes < id->bytes) ? 1 : 0;
    }
    return rank;
}

/* ---- all strategies -------------------------------------------------------------------------- */

START_TEST(the_order_in_which_members_are_listed_does_not_matter)
{
    struct rng rng;
    struct group group;
    rng_begin(&rng, seed + (uint64_t)_i);
    group_draw(&group, &rng);
    uint32_t previous[QUEUES_DRAWN], moved[QUEUES_DRAWN], out[QUEUES_DRAWN], again[QUEUES_DRAWN];
    uint32_t place[MEMBERS_DRAWN]; /* where the member is in the other list */
    draw_previous(previous, &group, &rng);
    struct group other = group;
    other.members = need_alloc(group.count * sizeof group.members[0]);
    for (uint32_t i = 0; i < group.count; i++) {
        uint32_t at = (uint32_t)rng_below(&rng, i + 1u);
        for (uint32_t j = 0; j < i; j++) {
            place[j] = place[j] == at ? i : place[j];
        }
        place[i] = at;
    }
    for (uint32_t i = 0; i < group.count; i++) {
        other.members[place[i]] = group.members[i];
    }
    for (uint32_t q = 0; q < group.queues; q++) {
        moved[q] = previous[q] == CLG_MEMBER_NONE ? CLG_MEMBER_NONE : place[previous[q]];
    }
    for (uint32_t strategy = 0; strategy < STRATEGIES; strategy++) {
        assign(strategy, &group, previous, out);
        assign(strategy, &other, moved, again);
        for (uint32_t q = 0; q < group.queues; q++) {
            ck_assert_uint_eq(place[out[q]], again[q]);
        }
    }
    free(other.members);
    group_end(&group);
}
END_TEST

START_TEST(shares_differ_by_at_most_one_queue)
{
    struct rng rng;
    struct group group;
    uint32_t previous[QUEUES_DRAWN], out[QUEUES_DRAWN];
    rng_begin(&rng, seed + (uint64_t)_i);
    group_draw(&group, &rng);
    draw_previous(previous, &group, &rng);
    for (uint32_t strategy = 0; strategy < STRATEGIES; strategy++) {
        if (strategy != COMMITLOG_ASSIGN_CONSISTENT_HASH) {
            assign(strategy, &group, previous, out);
            check_balanced(&group, out);
        }
    }
    group_end(&group);
}
END_TEST

static void check_error(int32_t expected, const char *text, uint32_t strategy,
                        const struct group *group, const uint32_t *previous)
{
    struct commitlog_error err = {0};
    uint32_t out[8];
    memset(out, 0xee, sizeof out);
    int32_t rc = commitlog_assign(strategy, group->members, group->count, group->queues, previous,
                                  out, &err);
    ck_assert_int_eq(rc, expected);
    ck_assert_int_eq(err.code, expected);
    ck_assert_msg(strstr(err.message, text) != NULL, "%s", err.message);
    ck_assert_int_eq(commitlog_assign(strategy, group->members, group->count, group->queues,
                                      previous, out, NULL),
                     expected);
    for (uint32_t q = 0; q < 8; q++) {
        ck_assert_uint_eq(out[q], 0xeeeeeeee);
    }
}

START_TEST(wrong_arguments_are_told_apart_and_change_nothing)
{
    struct commitlog_slice three[3] = {{"red", 3}, {"green", 5}, {"blue", 4}};
    uint32_t previous[8] = {0, 1, 2, UINT32_MAX, 0, 1, 2, 0};
    struct group group = {3, 8, three, NULL};
    struct group wrong = group;
    const uint32_t sticky = COMMITLOG_ASSIGN_STICKY;
    uint32_t out[8] = {0};
    check_error(COMMITLOG_EUNSUPPORTED, "no strategy 4", STRATEGIES, &group, previous);
    check_error(COMMITLOG_EUNSUPPORTED, "no strategy", UINT32_MAX, &group, previous);
    wrong.members = NULL;
    check_error(COMMITLOG_EINVAL, "NULL", 0, &wrong, NULL);
    ck_assert_int_eq(commitlog_assign(0, three, 3, 8, NULL, NULL, NULL), COMMITLOG_EINVAL);
    wrong = group;
    wrong.count = 0;
    check_error(COMMITLOG_EINVAL, "8 queues for 0 members", 1, &wrong, NULL);
    wrong.count = COMMITLOG_GROUP_MEMBERS_MAX + 1;
    check_error(COMMITLOG_ETOOBIG, "65537 members", 2, &wrong, NULL);
    wrong = group;
    wrong.queues = 0;
    check_error(COMMITLOG_EINVAL, "0 queues", 1, &wrong, NULL);
    wrong.queues = COMMITLOG_TOPIC_QUEUES_MAX + 1;
    check_error(COMMITLOG_ETOOBIG, "1048577 queues", sticky, &wrong, previous);
    for (uint32_t strategy = 0; strategy < STRATEGIES; strategy++) {
        uint8_t room[256] = "red";
        struct commitlog_slice ids[] = {{"", 0}, {room, 256}, {NULL, 3}, {room, SIZE_MAX}};
        for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
            three[2] = ids[i];
            check_error(COMMITLOG_EINVAL, "the id of member 2", strategy, &group, NULL);
        }
        three[2] = (struct commitlog_slice){room, 3};
        check_error(COMMITLOG_EINVAL, "members 0 and 2 have the same id", strategy, &group, NULL);
        three[2] = (struct commitlog_slice){"blue", 4};
    }
    previous[6] = 3;
    check_error(COMMITLOG_EINVAL, "queue 6 was member 3's, of 3", sticky, &group, previous);
    for (uint32_t strategy = 0; strategy < sticky;
         strategy++) { /* who does not ask does not look */
        ck_assert_int_eq(commitlog_assign(strategy, three, 3, 8, previous, out, NULL), 0);
    }
}
END_TEST

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#endif

enum { UNLIMITED = 99 };

/* In a child: with less memory than the ring takes. A sanitizer needs the memory itself. */
static int assign_without_memory(const struct group *group)
{
    uint32_t out[8];
#if defined(SANITIZED)
    return UNLIMITED;
#endif
    const rlim_t bytes = 64 << 20;
    struct rlimit limit = {bytes, bytes};
    if (setrlimit(RLIMIT_AS, &limit) != 0 ||
        mmap(NULL, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) {
        return UNLIMITED;
    }
    return -commitlog_assign(COMMITLOG_ASSIGN_CONSISTENT_HASH, group->members, group->count, 8,
                             NULL, out, NULL);
}

START_TEST(without_memory_it_says_so)
{
    struct group group;
    int status = 0;
    group_begin(&group, COMMITLOG_GROUP_MEMBERS_MAX, 8);
    for (uint32_t i = 0; i < COMMITLOG_GROUP_MEMBERS_MAX; i++) {
        group_add(&group, i, 0);
    }
    pid_t pid = fork();
    if (pid == 0) {
        _exit(assign_without_memory(&group));
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    if (WEXITSTATUS(status) == UNLIMITED) {
        printf("skip: without_memory_it_says_so: memory cannot be limited here\n");
    } else {
        ck_assert_int_eq(WEXITSTATUS(status), -COMMITLOG_ENOMEM);
    }
    group_end(&group);
}
END_TEST

START_TEST(the_largest_group_of_the_largest_topic_is_assigned)
{
    struct group group;
    uint32_t *out = need_alloc(COMMITLOG_TOPIC_QUEUES_MAX * sizeof *out);
    uint32_t *counts = need_alloc(COMMITLOG_GROUP_MEMBERS_MAX * sizeof *counts);
    group_begin(&group, COMMITLOG_GROUP_MEMBERS_MAX, COMMITLOG_TOPIC_QUEUES_MAX);
    for (uint32_t i = COMMITLOG_GROUP_MEMBERS_MAX; i-- > 0;) {
        group_add(&group, i, 0);
    }
    for (uint32_t strategy = 0; strategy < STRATEGIES; strategy++) {
        assign(strategy, &group, NULL, out);
        if (strategy != COMMITLOG_ASSIGN_CONSISTENT_HASH) {
            count(&group, out, counts);
            for (uint32_t i = 0; i < group.count; i++) {
                ck_assert_uint_eq(counts[i], 16);
            }
        }
    }
    group_end(&group);
    free(counts);
    free(out);
}
END_TEST

/* ---- average and circle ---------------------------------------------------------------------- */

/* In the order of ids: blue, green, red. */
static const struct commitlog_slice colours[3] = {{"red", 3}, {"blue", 4}, {"green", 5}};

START_TEST(examples_worked_by_hand_come_out)
{
    static const struct {
        uint32_t strategy;
        uint32_t queues;
        const char *previous; /* by queue: r b g, or . */
        const char *expected;
    } examples[] = {
        {COMMITLOG_ASSIGN_AVERAGE, 9, NULL, "bbbgggrrr"},
        {COMMITLOG_ASSIGN_AVERAGE, 8, NULL, "bbbgggrr"},
        {COMMITLOG_ASSIGN_AVERAGE, 7, NULL, "bbbggrr"},
        {COMMITLOG_ASSIGN_AVERAGE, 2, NULL, "bg"},
        {COMMITLOG_ASSIGN_CIRCLE, 8, NULL, "bgrbgrbg"},
        {COMMITLOG_ASSIGN_CIRCLE, 2, NULL, "bg"},
        {COMMITLOG_ASSIGN_STICKY, 8, "........", "bbbgggrr"},
        {COMMITLOG_ASSIGN_STICKY, 8, "rrrrbbbb", "rrrgbbbg"}, /* green came */
        {COMMITLOG_ASSIGN_STICKY, 8, "rr...bb.", "rrbggbbg"}, /* somebody left */
        {COMMITLOG_ASSIGN_STICKY, 8, "rgbrgbrg", "rgbrgbrg"}, /* nothing happened */
        {COMMITLOG_ASSIGN_STICKY, 6, "rrrrrr", "rrbbgg"},
        {COMMITLOG_ASSIGN_STICKY, 2, "rr", "rb"},
    };
    struct group group = {3, 0, NULL, NULL};
    struct commitlog_slice members[3];
    memcpy(members, colours, sizeof members);
    group.members = members;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        uint32_t previous[9], out[9];
        char text[10] = "";
        group.queues = examples[i].queues;
        for (uint32_t q = 0; examples[i].previous != NULL && q < group.queues; q++) {
            const char *at = strchr("rbg", examples[i].previous[q]);
            previous[q] = at == NULL ? CLG_MEMBER_NONE : (uint32_t)(at - strchr("rbg", 'r'));
        }
        assign(examples[i].strategy, &group, examples[i].previous == NULL ? NULL : previous, out);
        for (uint32_t q = 0; q < group.queues; q++) {
            text[q] = "rbg"[out[q]];
        }
        ck_assert_str_eq(text, examples[i].expected);
    }
}
END_TEST

/* As RocketMQ's clients compute it, each for itself: member by member, from its rank. */
START_TEST(average_and_circle_give_what_rocketmq_gives)
{
    struct rng rng;
    struct group group;
    uint32_t average[QUEUES_DRAWN], circle[QUEUES_DRAWN];
    rng_begin(&rng, seed + (uint64_t)_i);
    group_draw(&group, &rng);
    assign(COMMITLOG_ASSIGN_AVERAGE, &group, NULL, average);
    assign(COMMITLOG_ASSIGN_CIRCLE, &group, NULL, circle);
    int64_t left_over = group.queues % group.count;
    for (uint32_t i = 0; i < group.count; i++) {
        int64_t rank = rank_of(&group, i);
        int64_t size = group.queues <= group.count ? 1 : group.queues / group.count;
        size += group.queues > group.count && rank < left_over ? 1 : 0;
        int64_t first = rank < left_over ? rank * size : rank * size + left_over;
        for (int64_t q = 0; q < group.queues; q++) {
            ck_assert_int_eq(average[q] == i, q >= first && q < first + size);
            ck_assert_int_eq(circle[q] == i, q % group.count == rank);
        }
    }
    group_end(&group);
}
END_TEST

/* ---- sticky ---------------------------------------------------------------------------------- */

static uint32_t moves(const struct group *group, const uint32_t *previous, const uint32_t *out)
{
    uint32_t found = 0;
    for (uint32_t q = 0; q < group->queues; q++) {
        found += previous[q] != CLG_MEMBER_NONE && previous[q] != out[q] ? 1 : 0;
    }
    return found;
}

static int descending(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? 1 : -(left > right);
}

/* Larger shares to those who have most; everything over a share moves. */
static uint32_t fewest_moves(const struct group *group, const uint32_t *previous)
{
    uint32_t had[MEMBERS_DRAWN + 1];
    uint32_t found = 0;
    count(group, previous, had);
    qsort(had, group->count, sizeof had[0], descending);
    for (uint32_t i = 0; i < group->count; i++) {
        uint32_t share = group->queues / group->count + (i < group->queues % group->count ? 1 : 0);
        found += had[i] > share ? had[i] - share : 0;
    }
    return found;
}

START_TEST(of_all_equal_shares_sticky_takes_one_with_the_fewest_moves)
{
    struct rng rng;
    struct group group;
    uint32_t previous[6], out[6], tried[6];
    rng_begin(&rng, seed + (uint64_t)_i);
    uint32_t members = (uint32_t)rng_between(&rng, 1, 4);
    group_begin(&group, members, (uint32_t)rng_between(&rng, 1, 6));
    for (uint32_t i = 0; i < members; i++) {
        group_add(&group, i, rng_below(&rng, 3));
    }
    draw_previous(previous, &group, &rng);
    assign(COMMITLOG_ASSIGN_STICKY, &group, previous, out);
    uint32_t fewest = UINT32_MAX;
    uint32_t all = 1;
    for (uint32_t q = 0; q < group.queues; q++) {
        all *= members;
    }
    for (uint32_t number = 0; number < all; number++) { /* every assignment there is */
        uint32_t counts[4];
        uint32_t rest = number;
        bool equal = true;
        for (uint32_t q = 0; q < group.queues; q++, rest /= members) {
            tried[q] = rest % members;
        }
        count(&group, tried, counts);
        for (uint32_t i = 0; i < members; i++) {
            equal = equal && counts[i] >= group.queues / members &&
                    counts[i] <= (group.queues + members - 1) / members;
        }
        uint32_t here = moves(&group, previous, tried);
        fewest = equal && here < fewest ? here : fewest;
    }
    ck_assert_uint_eq(moves(&group, previous, out), fewest);
    ck_assert_uint_eq(fewest_moves(&group, previous), fewest); /* what the next test counts with */
    group_end(&group);
}
END_TEST

START_TEST(sticky_moves_the_fewest_while_members_come_and_go_and_the_topic_grows)
{
    struct rng rng;
    struct group group;
    uint32_t held[2 * QUEUES_DRAWN], out[2 * QUEUES_DRAWN];
    rng_begin(&rng, seed + (uint64_t)_i);
    group_draw(&group, &rng);
    group.count = group.count > 30 ? 30 : group.count;
    draw_previous(held, &group, &rng);
    for (uint32_t step = 0; step < 30; step++) {
        assign(COMMITLOG_ASSIGN_STICKY, &group, held, out);
        check_balanced(&group, out);
        ck_assert_uint_eq(moves(&group, held, out), fewest_moves(&group, held));
        memcpy(held, out, group.queues * sizeof *out);
        assign(COMMITLOG_ASSIGN_STICKY, &group, held, out);
        ck_assert_uint_eq(moves(&group, held, out), 0);
        /* In place. */
        ck_assert_int_eq(commitlog_assign(COMMITLOG_ASSIGN_STICKY, group.members, group.count,
                                          group.queues, out, out, NULL),
                         COMMITLOG_OK);
        ck_assert_int_eq(memcmp(out, held, group.queues * sizeof *out), 0);
        if (step % 10 == 9 && group.queues * 2 <= QUEUES_DRAWN) {
            memset(held + group.queues, 0xff, group.queues * sizeof *held);
            group.queues *= 2;
        } else if (group.count > 1 && (group.count == MEMBERS_DRAWN || rng_chance(&rng, 1, 2))) {
            group.count--; /* the last one goes */
            for (uint32_t q = 0; q < group.queues; q++) {
                held[q] = held[q] == group.count ? CLG_MEMBER_NONE : held[q];
            }
        } else {
            group_add(&group, 1000 + step, 0);
        }
    }
    group_end(&group);
}
END_TEST

/* ---- consistent hash ------------------------------------------------------------------------- */

/* XXH3-64 of the indices, four bytes each, little-endian. */
static uint64_t assignment_hash(const struct group *group)
{
    uint32_t *out = need_alloc(group->queues * sizeof *out);
    assign(COMMITLOG_ASSIGN_CONSISTENT_HASH, group, NULL, out);
    for (uint32_t q = 0; q < group->queues; q++) {
        uint32_t index = out[q];
        clg_store_le32(&out[q], index);
    }
    uint64_t hash = clg_hash64(out, group->queues * sizeof *out, 0);
    free(out);
    return hash;
}

START_TEST(the_ring_never_changes)
{
    static const char expected[] = "20030223133211102111110222302130";
    struct commitlog_slice four[4] = {{"red", 3}, {"green", 5}, {"blue", 4}, {"violet", 6}};
    struct group group = {4, 32, four, NULL};
    uint32_t out[32];
    assign(COMMITLOG_ASSIGN_CONSISTENT_HASH, &group, NULL, out);
    for (uint32_t q = 0; q < group.queues; q++) {
        ck_assert_uint_eq(out[q], (uint32_t)(expected[q] - '0'));
    }
    group.queues = 4096; /* five of them behind the last point, and the first is another's */
    ck_assert_uint_eq(assignment_hash(&group), UINT64_C(0x0a94cd3066d441b4));
    struct group large;
    group_begin(&large, 1000, 100000);
    for (uint32_t i = 0; i < 1000; i++) {
        char *id = (char *)large.ids[i];
        large.members[i].bytes = (size_t)snprintf(id, CLG_MEMBER_ID_MAX, "member-%u", i);
        large.members[i].data = id;
        large.count++;
    }
    ck_assert_uint_eq(assignment_hash(&large), UINT64_C(0xc37c25d9ebd07e3d));
    group_end(&large);
}
END_TEST

/* Point 23 of the one and 25 of the other are both at 5be9417dc8d3, and these queues before them.
 */
START_TEST(of_two_points_at_one_place_that_of_the_smaller_id_counts)
{
    static const uint32_t queues[] = {259, 360, 699, 1099, 3483, 4068};
    struct commitlog_slice pair[2] = {{"m20017", 6}, {"m168971", 7}};
    struct group group = {2, 4096, pair, NULL};
    uint32_t out[4096];
    ck_assert_uint_eq(clg_hash64("m20017\x17\0\0\0", 10, 0) >> 16,
                      clg_hash64("m168971\x19\0\0\0", 11, 0) >> 16);
    assign(COMMITLOG_ASSIGN_CONSISTENT_HASH, &group, NULL, out);
    for (size_t i = 0; i < sizeof queues / sizeof queues[0]; i++) {
        ck_assert_uint_eq(out[queues[i]], 1);
    }
    ck_assert_uint_eq(assignment_hash(&group), UINT64_C(0xbd073f16675e8555));
}
END_TEST

START_TEST(a_member_that_comes_takes_for_itself_and_one_that_goes_gives_its_own)
{
    struct rng rng;
    struct group group;
    uint32_t with[QUEUES_DRAWN], without[QUEUES_DRAWN];
    rng_begin(&rng, seed + (uint64_t)_i);
    group_draw(&group, &rng);
    group_add(&group, group.count, rng_next(&rng));
    assign(COMMITLOG_ASSIGN_CONSISTENT_HASH, &group, NULL, with);
    uint32_t gone = (uint32_t)rng_below(&rng, group.count);
    group.count--; /* the last one takes the place of the one that goes */
    group.members[gone] = group.members[group.count];
    assign(COMMITLOG_ASSIGN_CONSISTENT_HASH, &group, NULL, without);
    for (uint32_t q = 0; q < group.queues; q++) {
        uint32_t now = with[q] == group.count ? gone : with[q];
        ck_assert_msg(with[q] == gone || without[q] == now, "queue %u", q);
    }
    group_end(&group);
}
END_TEST

/* A share of the ring is under half or over twice the mean in one of 10^10 cases; the queues that
 * fall on it scatter by the root of their number: six times that is one in 10^8. */
START_TEST(shares_by_hash_lie_between_half_and_twice_the_mean)
{
    enum { MEMBERS = 50, QUEUES = 50000, MEAN = 1000, SCATTER = 6 * 45 };
    struct rng rng;
    struct group group;
    uint32_t counts[MEMBERS];
    uint32_t *out = need_alloc(QUEUES * sizeof *out);
    rng_begin(&rng, seed + (uint64_t)_i);
    uint64_t style = rng_next(&rng);
    group_begin(&group, MEMBERS, QUEUES);
    for (uint32_t i = 0; i < MEMBERS; i++) { /* even loops: ids that differ in one short place */
        group_add(&group, _i % 2 == 0 ? 1000000 + 1000 * i : i, _i % 2 == 0 ? 0 : style);
    }
    assign(COMMITLOG_ASSIGN_CONSISTENT_HASH, &group, NULL, out);
    count(&group, out, counts);
    double squares = 0;
    for (uint32_t i = 0; i < MEMBERS; i++) {
        double off = ((double)counts[i] - MEAN) / MEAN;
        squares += off * off;
        ck_assert_uint_ge(counts[i], MEAN / 2 - SCATTER / 2);
        ck_assert_uint_le(counts[i], MEAN * 2 + SCATTER);
    }
    /* 9.4 % are expected of ring and scatter together; fewer points would show here. */
    ck_assert_msg(squares / MEMBERS < 0.16 * 0.16, "seed %llu", (unsigned long long)seed);
    group_end(&group);
    free(out);
}
END_TEST

static Suite *group_assign_suite(void)
{
    Suite *suite = suite_create("group-assign");
    TCase *all = tcase_create("all strategies");
    tcase_set_timeout(all, 120);
    tcase_add_loop_test(all, the_order_in_which_members_are_listed_does_not_matter, 0, DRAWS);
    tcase_add_loop_test(all, shares_differ_by_at_most_one_queue, 0, DRAWS);
    tcase_add_test(all, wrong_arguments_are_told_apart_and_change_nothing);
    tcase_add_test(all, without_memory_it_says_so);
    tcase_add_test(all, the_largest_group_of_the_largest_topic_is_assigned);
    suite_add_tcase(suite, all);
    TCase *even = tcase_create("average and circle");
    tcase_add_test(even, examples_worked_by_hand_come_out);
    tcase_add_loop_test(even, average_and_circle_give_what_rocketmq_gives, 0, DRAWS);
    suite_add_tcase(suite, even);
    TCase *sticky = tcase_create("sticky");
    tcase_set_timeout(sticky, 60);
    tcase_add_loop_test(sticky, of_all_equal_shares_sticky_takes_one_with_the_fewest_moves, 0,
                        2 * DRAWS);
    tcase_add_loop_test(
        sticky, sticky_moves_the_fewest_while_members_come_and_go_and_the_topic_grows, 0, DRAWS);
    suite_add_tcase(suite, sticky);
    TCase *hash = tcase_create("consistent hash");
    tcase_set_timeout(hash, 60);
    tcase_add_test(hash, the_ring_never_changes);
    tcase_add_test(hash, of_two_points_at_one_place_that_of_the_smaller_id_counts);
    tcase_add_loop_test(hash, a_member_that_comes_takes_for_itself_and_one_that_goes_gives_its_own,
                        0, DRAWS);
    tcase_add_loop_test(hash, shares_by_hash_lie_between_half_and_twice_the_mean, 0, 10);
    suite_add_tcase(suite, hash);
    return suite;
}

int main(void)
{
    seed = prog_env("SEED", 1);
    printf("test_group_assign: seed %llu\n", (unsigned long long)seed);
    return run_suite(group_assign_suite());
}
