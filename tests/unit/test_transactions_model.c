/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_transactions_model.c -- random transactions on a machine in memory, beside a model that
 * knows for each what it has, how it stands and where the log ended behind that. The process is
 * killed and the power goes, between calls and in the middle of them, with some or all of what was
 * not flushed; views are forgotten, after a clean close the checkpoint too; retention carries what
 * is open.
 *
 * SEED, TRIALS and STEPS in the environment.
 */
#include "support/run_suite.h"
#include "unit/transaction_compare.h"

enum { NONE = COMMITLOG_LEVEL_NONE, DURABLE = COMMITLOG_LEVEL_DURABLE };

static uint32_t draw_level(void)
{
    return draw(6) == 0 ? DURABLE : draw(6) == 0 ? COMMITLOG_LEVEL_WRITTEN : NONE;
}

/* ---- messages ---- */

static int32_t append_one(struct deal *deal, uint32_t index, uint32_t place, uint32_t level,
                          struct commitlog_receipt *receipt)
{
    uint8_t bytes[BODY_MAX];
    const uint32_t number = deal == NULL ? 0 : (uint32_t)(deal - deals);
    const uint32_t key_index = body_key(number, index);
    const char text[2] = {'k', (char)('0' + key_index)};
    struct commitlog_slice body = {bytes, body_make(number, index, place, bytes)};
    struct commitlog_slice key = {text, 2};
    struct commitlog_header header = {{"name", 4}, {"value", 5}};
    struct commitlog_record record = {.struct_bytes = sizeof(record),
                                      .topic = topics[place_topic(place)],
                                      .queue = place_queue(place),
                                      .level = level,
                                      .body = &body,
                                      .body_count = 1,
                                      .keys = &key,
                                      .key_count = key_index < KEYS ? 1 : 0,
                                      .tag = {"x", 1},
                                      .headers = &header,
                                      .header_count = index % 2};
    return deal == NULL ? commitlog_append_record(store, &record, 0, receipt, &err)
                        : commitlog_transaction_append(deal->handle, &record, 0, receipt, &err);
}

static void random_put(void)
{
    struct commitlog_receipt receipt;
    const uint32_t place = draw(PLACES);
    for (uint32_t i = draw(20); i > 0 && counts[place] + 1 < ENTRIES; i--) {
        ck_assert_msg(append_one(NULL, plain_count, place, draw_level(), &receipt) == 0, "%s",
                      err.message);
        ck_assert_uint_eq(receipt.queue_offset, counts[place]);
        model_add_entry(place, 0, plain_count++, receipt.end_position, 0);
    }
}

/* ---- transactions by their handles ---- */

static void close_one(uint32_t at)
{
    struct deal *deal = held[at];
    if (deal != NULL) {
        commitlog_transaction_close(deal->handle);
        deal->handle = NULL;
        held[at] = NULL;
        deal->state = deal->state == DEAL_NEW || deal->state == DEAL_OPEN ? DEAL_OVER : deal->state;
    }
}

static void random_begin(void)
{
    const uint32_t at = draw(HANDLES);
    if ((held[at] != NULL && !deal_is_ended(held[at])) || deal_count + 1 >= DEALS) {
        return;
    }
    close_one(at);
    struct deal *deal = &deals[++deal_count];
    *deal = (struct deal){.producer = draw(NAMES),
                          .begins_prepared = draw(4) == 0,
                          .timeout_ms = draw(3) == 0 ? 0 : 1 + draw(60000),
                          .prepared_ms = draw(3) == 0 ? 0 : 1 + draw(draw(2) == 0 ? 300000 : 9000)};
    memset(deal->offsets, 0xff, sizeof(deal->offsets));
    const struct commitlog_transaction_options options = {
        .struct_bytes = sizeof(options),
        .flags = deal->begins_prepared ? COMMITLOG_TRANSACTION_PREPARED : 0,
        .timeout_ms = deal->timeout_ms,
        .prepared_ms = deal->prepared_ms};
    const char *name = producer_names[deal->producer];
    ck_assert_msg(commitlog_transaction_begin(store, name, strlen(name), &options, &deal->handle,
                                              &err) == COMMITLOG_OK,
                  "%s", err.message);
    held[at] = deal;
}

/* Rather one that can still be decided; NULL: there is none. */
static struct deal *draw_held(void)
{
    struct deal *deal = held[draw(HANDLES)];
    for (uint32_t tries = draw(4); tries > 0 && (deal == NULL || deal_is_ended(deal)); tries--) {
        deal = held[draw(HANDLES)];
    }
    return deal;
}

/* What was stored between these two times begins it, or prepares it: then its time ends. */
static void note_times(struct deal *deal, bool is_first, bool prepares, int64_t before_ms)
{
    const struct span now = {before_ms, now_ms()};
    const int64_t timeout = deal->timeout_ms == 0 ? 60000 : deal->timeout_ms;
    const int64_t prepared = deal->prepared_ms == 0 ? 86400000 : deal->prepared_ms;
    const int64_t more = prepares ? prepared : timeout;
    if (is_first) {
        deal->begins = now;
    }
    if (prepares || is_first) {
        deal->expires = (struct span){now.low_ms + more, now.high_ms + more};
        deal->state = prepares ? DEAL_PREPARED : DEAL_OPEN;
        deal->id = commitlog_transaction_id(deal->handle);
    }
}

static void random_append(void)
{
    struct deal *deal = draw_held();
    for (uint32_t i = 1 + draw(4); deal != NULL && i > 0 && deal->count < PARTS; i--) {
        struct commitlog_receipt receipt = {0};
        const uint32_t place = draw(PLACES);
        const uint64_t claimed = store_positions().claimed;
        const int64_t before_ms = now_ms();
        const int32_t expected = change_status(deal);
        int32_t rc = append_one(deal, deal->count, place, draw_level(), &receipt);
        ck_assert_msg(rc == expected, "append: %s, not %s: %s", commitlog_error_name(rc),
                      commitlog_error_name(expected), err.message);
        if (rc != COMMITLOG_OK) {
            ck_assert_uint_eq(store_positions().claimed, claimed);
            return;
        }
        ck_assert_uint_eq(receipt.queue_offset, 0);
        deal->parts[deal->count++] = (struct part){.end = receipt.end_position, .place = place};
        note_times(deal, deal->id == 0, deal->id == 0 && deal->begins_prepared, before_ms);
        ck_assert(deal->count > 1 || deal->id == receipt.position);
        ck_assert(deal->count == 1 || !deal->begins_prepared);
    }
}

static void random_offsets(void)
{
    struct commitlog_group_offset wanted[PLACES];
    struct deal *deal = draw_held();
    if (deal == NULL) {
        return;
    }
    const uint32_t group = draw(GROUPS);
    int32_t expected = change_status(deal);
    int32_t judged = COMMITLOG_OK;
    uint32_t count = 0;
    for (uint32_t p = draw(3); p < PLACES; p += 1 + draw(4)) {
        const uint64_t known = committed_offset(group, p);
        const uint64_t least = known == UINT64_MAX || draw(20) == 0 ? 0 : known;
        const uint64_t offset =
            least + draw(counts[p] - (uint32_t)least + 1) + (draw(30) == 0 ? 50 : 0);
        const int32_t status = offset_status(group, p, offset);
        judged = judged == COMMITLOG_EBEYOND || status == COMMITLOG_OK ? judged : status;
        wanted[count++] =
            (struct commitlog_group_offset){topics[place_topic(p)], place_queue(p), offset};
    }
    if (deal->begins_prepared && expected == COMMITLOG_OK) {
        expected = COMMITLOG_EMISUSE;
    }
    expected = judged == COMMITLOG_EBEYOND || expected == COMMITLOG_OK ? judged : expected;
    int32_t rc = commitlog_transaction_offsets(deal->handle, groups[group], 0, wanted, count, &err);
    ck_assert_msg(rc == expected, "offsets: %s, not %s: %s", commitlog_error_name(rc),
                  commitlog_error_name(expected), err.message);
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < count; i++) {
        for (uint32_t p = 0; p < PLACES; p++) {
            if (topics[place_topic(p)] == wanted[i].topic && place_queue(p) == wanted[i].queue) {
                deal->offsets[group][p] = wanted[i].offset;
            }
        }
    }
}

static void prepare(struct deal *deal, uint32_t level)
{
    const int64_t before_ms = now_ms();
    const uint64_t claimed = store_positions().claimed;
    const int32_t changed = change_status(deal);
    const int32_t expected = changed != COMMITLOG_OK ? changed : parts_status(deal);
    int32_t rc = commitlog_transaction_prepare(deal->handle, level, 0, &err);
    if (commitlog_fault_is_dead(machine) && rc != COMMITLOG_EUNKNOWN && rc != COMMITLOG_OK) {
        return;
    }
    ck_assert_msg(rc == expected || (rc == COMMITLOG_EUNKNOWN && commitlog_fault_is_dead(machine)),
                  "prepare: %s: %s", commitlog_error_name(rc), err.message);
    if (expected == COMMITLOG_OK) {
        note_times(deal, deal->id == 0, true, before_ms);
        deal->prepared_end = store_positions().claimed;
    } else {
        ck_assert_uint_eq(store_positions().claimed, claimed);
    }
}

static void find_origins(const struct deal *deal, uint64_t origins[PARTS])
{
    for (uint32_t i = 0; deal_is_open(deal) && i < deal->count; i++) {
        struct commitlog_transaction_message part = {.struct_bytes = sizeof(part)};
        ck_assert_int_eq(commitlog_transaction_message(store, deal->id, i, &part), 0);
        origins[i] = part.position;
    }
}

static void commit_by(struct deal *deal, struct commitlog_transaction *handle, uint32_t level)
{
    uint64_t origins[PARTS];
    struct commitlog_receipt receipt = {0};
    const uint64_t claimed = store_positions().claimed;
    const int32_t expected = commit_status(deal);
    find_origins(deal, origins);
    int32_t rc = commitlog_transaction_commit(handle, level, 0, &receipt, &err);
    if (commitlog_fault_is_dead(machine) && rc != COMMITLOG_EUNKNOWN && rc != COMMITLOG_OK) {
        return;
    }
    ck_assert_msg(rc == expected || (rc == COMMITLOG_EUNKNOWN && commitlog_fault_is_dead(machine)),
                  "commit: %s, not %s: %s", commitlog_error_name(rc),
                  commitlog_error_name(expected), err.message);
    const uint64_t end = store_positions().claimed;
    if (expected != COMMITLOG_OK || receipt.end_position == 0) { /* that, or nothing to be said */
        ck_assert_uint_eq(end, claimed);
        ck_assert(expected != COMMITLOG_OK || deal->id == 0);
        deal->state = expected == COMMITLOG_OK ? DEAL_OVER : deal->state;
        return;
    }
    ck_assert_uint_eq(receipt.end_position, end);
    ck_assert(deal->count == 0 || receipt.queue_offset == counts[deal->parts[0].place]);
    model_commit(deal, end, origins);
}

static void roll_back_by(struct deal *deal, struct commitlog_transaction *handle, uint32_t level)
{
    const int32_t expected = deal_is_ended(deal) ? COMMITLOG_ENOTFOUND : COMMITLOG_OK;
    int32_t rc = commitlog_transaction_rollback(handle, level, 0, &err);
    if (commitlog_fault_is_dead(machine) && rc != COMMITLOG_EUNKNOWN && rc != COMMITLOG_OK) {
        return;
    }
    ck_assert_msg(rc == expected || (rc == COMMITLOG_EUNKNOWN && commitlog_fault_is_dead(machine)),
                  "roll back: %s: %s", commitlog_error_name(rc), err.message);
    if (expected == COMMITLOG_OK) {
        deal->ended_end = deal->state == DEAL_PREPARED ? store_positions().claimed : 0;
        deal->state = DEAL_OVER;
    }
}

/* ---- transactions by their numbers ---- */

static struct commitlog_transaction *open_by_number(struct deal *deal)
{
    struct commitlog_transaction *handle = NULL;
    const int32_t expected = deal->state == DEAL_PREPARED ? COMMITLOG_OK
                             : deal->state == DEAL_OPEN   ? COMMITLOG_EMISUSE
                                                          : COMMITLOG_ENOTFOUND;
    int32_t rc = commitlog_transaction_open(store, deal->id, &handle, &err);
    ck_assert_msg(rc == expected, "open: %s, not %s: %s", commitlog_error_name(rc),
                  commitlog_error_name(expected), err.message);
    ck_assert((rc == COMMITLOG_OK) == (handle != NULL));
    return handle;
}

/* One whose number is not another's by now. */
static struct deal *draw_numbered(void)
{
    struct deal *deal = deal_count == 0 ? NULL : &deals[1 + draw(deal_count)];
    for (uint32_t tries = 0; deal != NULL && tries < 20 && !deal_is_open(deal); tries++) {
        deal = &deals[1 + draw(deal_count)];
    }
    for (uint32_t i = 1; deal != NULL && i <= deal_count; i++) {
        deal = deal->id == 0 || (deals[i].id == deal->id && &deals[i] != deal) ? NULL : deal;
    }
    return deal;
}

static void random_by_number(void)
{
    struct deal *deal = draw_numbered();
    struct commitlog_transaction *handle = deal == NULL ? NULL : open_by_number(deal);
    if (handle == NULL) {
        return;
    }
    ck_assert_uint_eq(commitlog_transaction_id(handle), deal->id);
    switch (draw(4)) {
    case 0:
        roll_back_by(deal, handle, draw_level());
        break;
    case 1:
        break;
    default:
        commit_by(deal, handle, draw_level());
        break;
    }
    commitlog_transaction_close(handle);
}

/* ---- upkeep, retention, restarts ---- */

static void step_and_expire(void)
{
    const int64_t before_ms = now_ms();
    step_all();
    const int64_t after_ms = now_ms();
    for (uint32_t i = 1; i <= deal_count; i++) {
        struct deal *deal = &deals[i];
        if (deal_is_open(deal) && (deal->expires.high_ms <= before_ms ||
                                   (deal->expires.low_ms <= after_ms && !deal_is_listed(deal)))) {
            deal->state = DEAL_OVER;
            figures.expired++;
        }
    }
}

static int32_t random_retain(void)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy),
                                               .keep_bytes = draw(2) == 0 ? 1 : draw(8) * 65536};
    int32_t rc = commitlog_retain(store, &policy, NULL, &err);
    ck_assert_msg(rc == COMMITLOG_OK || rc == COMMITLOG_EBUSY || commitlog_fault_is_dead(machine),
                  "retain: %s", err.message);
    return rc;
}

static void random_offsets_commit(void)
{
    const uint32_t group = draw(GROUPS);
    const uint32_t p = draw(PLACES);
    struct commitlog_group_offset wanted = {topics[place_topic(p)], place_queue(p),
                                            draw(counts[p] + 1)};
    const int32_t expected = offset_status(group, p, wanted.offset);
    int32_t rc = commitlog_group_commit(groups[group], 0, &wanted, 1, draw_level(), 0, NULL, &err);
    ck_assert_msg(rc == expected, "commit offsets: %s", err.message);
    if (rc == COMMITLOG_OK) {
        model_add_offset(group, p, wanted.offset, store_positions().claimed);
    }
}

static void forget(const char *path)
{
    int32_t rc = commitlog_fault_remove(machine, path);
    ck_assert(rc == COMMITLOG_OK || rc == COMMITLOG_ENOTFOUND);
}

/* All that is closed is closed without a leak, also where nothing works any more. */
static void close_store(bool handles_first)
{
    if (handles_first) {
        close_handles();
    }
    int32_t rc = commitlog_close(store, &err);
    store = NULL;
    ck_assert(rc == COMMITLOG_OK || commitlog_fault_is_dead(machine));
    if (!handles_first) {
        close_handles();
    }
    ck_assert_uint_eq(commitlog_fault_held(machine, COMMITLOG_FAULT_ALLOC), 0);
}

static void die_now(bool power)
{
    struct commitlog_fault *next = NULL;
    ck_assert_int_eq(commitlog_fault_clone(machine, rng_next(&rng) | 1, &next), 0);
    close_store(draw(2) == 0);
    commitlog_fault_free(machine);
    machine = next;
    if (power) {
        commitlog_fault_set_survival(machine, draw(3) == 0 ? draw(2) * 100 : draw(101));
        commitlog_fault_power_cut(machine);
    } else {
        commitlog_fault_process_death(machine);
    }
}

/* The log has to reach `least`. */
static void open_again(uint64_t least)
{
    struct commitlog_recovery recovery = {.struct_bytes = sizeof(recovery)};
    if (draw(2) == 0) {
        forget_views();
    }
    open_all();
    ck_assert_int_eq(commitlog_recovery_get(store, &recovery), 0);
    ck_assert_uint_ge(recovery.end, least);
    model_restart(recovery.end);
    step_and_expire();
    check_all();
}

static void random_restart(void)
{
    const struct commitlog_positions at = store_positions();
    const uint32_t how = draw(4);
    if (how < 2) {
        close_store(draw(2) == 0);
    } else {
        die_now(how == 2);
    }
    if (how == 1) {
        forget("/store/CHECKPOINT");
        forget("/store/LIVE");
    }
    open_again(how == 2 ? at.durable : at.claimed);
}

/* Power or process end at one of the changes that the call makes. */
static void random_end_within(void)
{
    const struct commitlog_positions at = store_positions();
    const bool power = draw(2) == 0;
    const uint32_t what = draw(5);
    struct deal *deal = draw_held();
    uint32_t wait_ms = 0;
    commitlog_fault_cut_at(machine, 1 + draw(what == 0 ? 60 : 4));
    if (what == 0) {
        (void)random_retain();
    } else if (what == 1) {
        (void)commitlog_step(store, 100000, &wait_ms);
    } else if (deal != NULL && what == 2) {
        prepare(deal, DURABLE);
    } else if (deal != NULL && what == 3) {
        commit_by(deal, deal->handle, DURABLE);
    } else if (deal != NULL) {
        roll_back_by(deal, deal->handle, DURABLE);
    }
    if (!commitlog_fault_is_dead(machine)) {
        (void)commitlog_checkpoint(store, &err);
    }
    figures.within += commitlog_fault_is_dead(machine);
    die_now(power);
    open_again(power ? at.durable : at.claimed);
}

/* ---- trials ---- */

static void random_act(void)
{
    struct deal *deal = draw_held();
    switch (draw(24)) {
    case 0:
    case 1:
    case 2:
        random_begin();
        break;
    case 3:
        pass_ms(draw(8000));
        break;
    case 4:
    case 5:
        step_and_expire();
        break;
    case 6:
    case 7:
    case 8:
        random_put();
        break;
    case 9:
        if (draw(3) == 0) {
            (void)random_retain();
        }
        break;
    case 10:
        if (draw(5) == 0) {
            random_restart();
        }
        break;
    case 11:
        if (draw(5) == 0) {
            random_end_within();
        }
        break;
    case 12:
        random_offsets_commit();
        break;
    case 13:
        close_one(draw(HANDLES));
        break;
    case 14:
        random_by_number();
        break;
    case 15:
    case 16:
        random_offsets();
        break;
    case 17:
        if (deal != NULL) {
            prepare(deal, draw_level());
        }
        break;
    case 18:
    case 19:
        if (deal != NULL && draw(5) == 0) {
            roll_back_by(deal, deal->handle, draw_level());
        } else if (deal != NULL) {
            commit_by(deal, deal->handle, draw_level());
        }
        break;
    default:
        random_append();
        break;
    }
}

static void trial(uint64_t seed, uint32_t steps)
{
    rng_begin(&rng, seed);
    deal_count = 0;
    note_count = 0;
    plain_count = 0;
    memset(counts, 0, sizeof(counts));
    engine = draw(3) == 0 ? COMMITLOG_ENGINE_MMAP : COMMITLOG_ENGINE_STAGED;
    borrow = draw(2);
    ck_assert_int_eq(commitlog_fault_create(seed, &machine), 0);
    open_all();
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, -1, &err), 0);
    for (uint32_t i = 0; i < steps; i++) {
        random_act();
        if (i % 50 == 0) {
            check_all();
        }
    }
    random_restart();
    pass_ms(INT64_C(86400000));
    step_and_expire();
    check_all(); /* none is open any more */
    close_store(true);
    commitlog_fault_free(machine);
    machine = NULL;
}

START_TEST(transactions_are_what_the_model_says)
{
    uint64_t seed = prog_env("SEED", 1);
    uint32_t trials = (uint32_t)prog_env("TRIALS", 20);
    uint32_t steps = (uint32_t)prog_env("STEPS", 1000);
    segment_bytes = 65536;
    stage_bytes = 65536;
    printf("transactions: SEED=%llu TRIALS=%u STEPS=%u\n", (unsigned long long)seed, trials, steps);
    for (uint32_t i = 0; i < trials; i++) {
        prog_seed_set(seed + i);
        trial(seed + i, steps);
    }
    printf("%llu took effect, %llu did and were lost, %llu over restarts, %llu too late; %llu ends "
           "within a call; messages: %llu carried, %llu copied, %llu gone\n",
           (unsigned long long)figures.committed, (unsigned long long)figures.lost,
           (unsigned long long)figures.survived, (unsigned long long)figures.expired,
           (unsigned long long)figures.within, (unsigned long long)figures.moved,
           (unsigned long long)figures.copied, (unsigned long long)figures.gone);
    ck_assert(figures.committed > 0);
}
END_TEST

int main(void)
{
    (void)setvbuf(stdout, NULL, _IONBF, 0);
    Suite *suite = suite_create("transactions beside a model");
    TCase *random = tcase_create("random");
    tcase_set_timeout(random, 300);
    tcase_add_test(random, transactions_are_what_the_model_says);
    suite_add_tcase(suite, random);
    return run_suite(suite);
}
