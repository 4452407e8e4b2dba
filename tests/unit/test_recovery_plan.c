/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_recovery_plan.c -- lib/recovery/plan: every row of the table of verdicts, in every mode, on
 * facts made by hand.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "support/run_suite.h"
#include "unit/plan_fixture.h"

START_TEST(zeros_at_the_end_are_a_clean_end_in_every_mode)
{
    make((uint32_t)_i, false);
    ck_assert_int_eq(plan.code, 0);
    ck_assert_uint_eq(plan.tail, COMMITLOG_TAIL_CLEAN);
    ck_assert_uint_eq(plan.end, 140000);
    ck_assert_int_eq(find(CLG_STEP_ZERO, 0), -1);
    ck_assert_int_eq(find(CLG_STEP_QUARANTINE_RANGE, 0), -1);
    ck_assert_int_ge(find(CLG_STEP_CHECKPOINT, 0), 0);
    ck_assert_uint_eq(plan.epoch, 5);
}
END_TEST

START_TEST(a_store_that_is_closed_and_sound_needs_no_step_when_nobody_appends)
{
    struct clg_plan_options options = {.mode = (uint32_t)_i, .close = true, .segment_bytes = SIZE};
    facts.clean = true;
    facts.checkpoint.durable = 140000;
    facts.checkpoint.checkpointed = 140000;
    facts.witness = 140000;
    make((uint32_t)_i, false);
    ck_assert_int_ge(find(CLG_STEP_CHECKPOINT, 0), 0); /* a writer's epoch is a new one */
    clg_plan_free(&plan);
    ck_assert_int_eq(clg_plan_make(&facts, &options, &plan, NULL), 0);
    ck_assert_int_eq(plan.code, 0);
    ck_assert(plan.step_count == 0);
    ck_assert_uint_eq(plan.epoch, 4);
    facts.clean = false;
    clg_plan_free(&plan);
    ck_assert_int_eq(clg_plan_make(&facts, &options, &plan, NULL), 0);
    ck_assert_int_ge(find(CLG_STEP_CHECKPOINT, 0), 0);
}
END_TEST

START_TEST(a_torn_tail_is_copied_then_cut)
{
    torn();
    make(COMMITLOG_RECOVER_TAIL, false);
    ck_assert_int_eq(plan.code, 0);
    ck_assert_uint_eq(plan.tail, COMMITLOG_TAIL_UNPROVABLE);
    ck_assert_uint_eq(plan.bytes_cut, 10000);
    int copy = find(CLG_STEP_QUARANTINE_RANGE, 0);
    int zero = find(CLG_STEP_ZERO, 0);
    ck_assert_int_ge(copy, 0);
    ck_assert_int_gt(zero, copy);
    ck_assert_int_gt(find(CLG_STEP_FLUSH, 0), zero);
    ck_assert_int_gt(find(CLG_STEP_CHECKPOINT, 0), find(CLG_STEP_FLUSH, 0));
    ck_assert_uint_eq(plan.steps[zero].from, 140000);
    ck_assert_uint_eq(plan.steps[zero].to, 3 * SIZE);
}
END_TEST

START_TEST(with_the_writers_positions_a_torn_tail_is_proven)
{
    torn();
    facts.same_boot = true;
    facts.live.usable = true;
    facts.live.durable = 139400;
    make(COMMITLOG_RECOVER_TAIL, false);
    ck_assert_uint_eq(plan.tail, COMMITLOG_TAIL_TORN);
}
END_TEST

START_TEST(valid_records_behind_a_hole_above_the_witness_are_no_damage)
{
    torn_with_valid();
    make(COMMITLOG_RECOVER_TAIL, false);
    ck_assert_int_eq(plan.code, 0);
    ck_assert_uint_eq(plan.end, 140000);
    ck_assert_uint_eq(plan.records_cut, 1);
}
END_TEST

START_TEST(strict_refuses_a_torn_tail_and_changes_nothing)
{
    torn();
    make(COMMITLOG_RECOVER_STRICT, false);
    ck_assert_int_eq(plan.code, COMMITLOG_EDAMAGED);
    ck_assert(plan.step_count == 0);
}
END_TEST

/* Of a log without a record, too: a power cut spoils the slot that is written, never both. */
START_TEST(strict_refuses_two_bad_slots)
{
    facts.have_checkpoint = false;
    facts.bad_slots = 2;
    facts.records_scanned = (uint64_t)_i;
    make(COMMITLOG_RECOVER_STRICT, false);
    ck_assert_int_eq(plan.code, COMMITLOG_EDAMAGED);
    ck_assert_ptr_nonnull(strstr(plan.reason, "both slots of CHECKPOINT"));
}
END_TEST

START_TEST(salvage_keeps_what_verifies_behind_a_hole)
{
    torn_with_valid();
    make(COMMITLOG_RECOVER_SALVAGE, false);
    ck_assert_int_eq(plan.code, 0);
    ck_assert_uint_eq(plan.end, 144480);
    int hole = find(CLG_STEP_SALVAGE_HOLE, 0);
    ck_assert_int_ge(hole, 0);
    ck_assert_int_eq(find(CLG_STEP_SALVAGE_HOLE, 1), -1);
    ck_assert_uint_eq(plan.steps[hole].from, 140000);
    ck_assert_uint_eq(plan.steps[hole].to, 144000);
    ck_assert_int_lt(find(CLG_STEP_QUARANTINE_RANGE, 0), hole);
}
END_TEST

/* More ranges than are listed: of the listed some become holes (_i), or all lie behind the end. */
START_TEST(salvage_goes_on_only_where_listed_ranges_become_holes)
{
    (_i == 0 ? torn : torn_with_valid)();
    facts.more_ranges = true;
    make(COMMITLOG_RECOVER_SALVAGE, false);
    ck_assert_int_eq(plan.again, _i == 1);
    ck_assert_int_eq(find(CLG_STEP_SALVAGE_HOLE, 0) >= 0, _i == 1);
    ck_assert_int_eq(find(CLG_STEP_ZERO, 0) >= 0, _i == 0);
    ck_assert_int_eq(find(CLG_STEP_CHECKPOINT, 0) >= 0, _i == 0);
}
END_TEST

/* Damage that is one hole in place of several records, a footer that fails, one that miscounts. */
START_TEST(salvage_clears_a_footer_that_would_not_fit_once_all_before_it_is_durable)
{
    if (_i == 0) {
        facts.range_count = 1;
        ranges[0] = (struct clg_fact_range){.from = SIZE + DATA,
                                            .to = SIZE + DATA + 4096,
                                            .queue = CLG_QUEUE_NONE,
                                            .kind = CLG_RANGE_HEADER};
        facts.prefix_end = SIZE + DATA;
        facts.scan_from = DATA;
    } else {
        files[1].whole = true;
        files[1].records = _i == 2 ? 7 : 0;
        files[1].footer_code = _i == 1 ? COMMITLOG_EDAMAGED : 0;
    }
    make(COMMITLOG_RECOVER_SALVAGE, false);
    ck_assert_int_eq(plan.code, 0);
    int clear = find(CLG_STEP_CLEAR_FOOTER, 0);
    ck_assert_int_gt(clear, find(CLG_STEP_FLUSH, 0));
    ck_assert_int_gt(find(CLG_STEP_CHECKPOINT, 0), clear);
    ck_assert_int_eq(find(CLG_STEP_CLEAR_FOOTER, 1), -1);
    ck_assert_uint_eq(plan.steps[clear].from, 2 * SIZE - 4096);
    ck_assert_uint_eq(plan.steps[clear].to, 2 * SIZE);
    int copy = find(CLG_STEP_QUARANTINE_RANGE, 0);
    ck_assert_uint_eq(plan.steps[copy].from, 2 * SIZE - 4096);
    ck_assert_int_lt(copy, find(CLG_STEP_FLUSH, 0));
    make(COMMITLOG_RECOVER_STRICT, false);
    ck_assert_int_eq(plan.code, COMMITLOG_EDAMAGED);
    ck_assert(plan.step_count == 0);
}
END_TEST

START_TEST(below_the_witness_it_is_damage)
{
    torn_with_valid();
    facts.witness = 144000;
    make(COMMITLOG_RECOVER_TAIL, false);
    ck_assert_int_eq(plan.code, COMMITLOG_EDAMAGED);
    ck_assert_uint_eq(plan.tail, COMMITLOG_TAIL_DAMAGED);
    ck_assert(plan.step_count == 0);
    make(COMMITLOG_RECOVER_STRICT, false);
    ck_assert_int_eq(plan.code, COMMITLOG_EDAMAGED);
    ck_assert(plan.step_count == 0);
    make(COMMITLOG_RECOVER_TAIL, true);
    ck_assert_int_eq(plan.code, 0);
    ck_assert_uint_eq(plan.tail, COMMITLOG_TAIL_DAMAGED);
    ck_assert_uint_eq(plan.serve_end, 144480); /* another boot: what reads is on the disk */
    ck_assert(plan.step_count == 0);
    make(COMMITLOG_RECOVER_SALVAGE, false);
    ck_assert_int_eq(plan.code, 0);
    ck_assert_int_ge(find(CLG_STEP_SALVAGE_HOLE, 0), 0);
}
END_TEST

START_TEST(an_unreadable_place_is_cut_only_above_the_witness)
{
    torn();
    facts.end_reason = CLG_END_UNREADABLE;
    facts.end_errno = 5;
    make(COMMITLOG_RECOVER_TAIL, false);
    ck_assert_int_eq(plan.code, 0);
    ck_assert_int_ge(find(CLG_STEP_ZERO, 0), 0);
    facts.witness = 140008;
    make(COMMITLOG_RECOVER_TAIL, false);
    ck_assert_int_eq(plan.code, COMMITLOG_EDAMAGED);
    ck_assert(plan.step_count == 0);
}
END_TEST

START_TEST(more_than_a_torn_write_can_spoil_is_not_cut_when_it_does_not_read)
{
    torn();
    facts.end_reason = CLG_END_UNREADABLE;
    facts.end_errno = 5;
    facts.unread_blocks = _i == 0 ? 2 : _i == 1 ? 3 : 1;
    facts.unread_slots = _i == 2; /* who knows what the other slot says */
    make(COMMITLOG_RECOVER_TAIL, false);
    ck_assert_int_eq(plan.code, _i == 0 ? 0 : COMMITLOG_EDAMAGED);
    ck_assert(_i == 0 || plan.step_count == 0);
    make(COMMITLOG_RECOVER_SALVAGE, false);
    ck_assert_int_eq(plan.code, 0);
}
END_TEST

START_TEST(a_last_file_whose_header_does_not_read_is_no_failed_creation)
{
    files[3].segment = NULL;
    files[3].state = CLG_SEGMENT_UNREADABLE;
    files[3].nonzero = true;
    facts.segment_count = 4;
    make(COMMITLOG_RECOVER_TAIL, false);
    ck_assert_int_eq(plan.code, COMMITLOG_EDAMAGED);
    ck_assert(plan.step_count == 0);
}
END_TEST

START_TEST(a_missing_segment_is_damage_whatever_the_witness)
{
    files[1] = files[2];
    facts.segment_count = 2;
    facts.gap = true;
    make(COMMITLOG_RECOVER_TAIL, false);
    ck_assert_int_eq(plan.code, COMMITLOG_EDAMAGED);
    ck_assert(plan.step_count == 0);
    make(COMMITLOG_RECOVER_SALVAGE, false);
    int created = find(CLG_STEP_CREATE_SEGMENT, 0);
    ck_assert_int_ge(created, 0);
    ck_assert_uint_eq(plan.steps[created].from, SIZE);
    ck_assert_uint_eq(plan.steps[created].to, 2 * SIZE);
    ck_assert(plan.again);
}
END_TEST

/* A forged witness, or a forged header of the segment behind: not a million steps, but an answer.
 */
START_TEST(a_gap_wider_than_any_store_is_not_filled)
{
    facts.witness = CLG_POSITION_MAX / 2 / SIZE * SIZE;
    make(COMMITLOG_RECOVER_SALVAGE, false);
    ck_assert_int_eq(plan.code, COMMITLOG_EDAMAGED);
    ck_assert(plan.step_count == 0 && !plan.again);
    facts.witness = 3 * SIZE + 100 * CLG_SEGMENT_MAX;
    make(COMMITLOG_RECOVER_SALVAGE, false);
    ck_assert_int_eq(plan.code, 0);
    ck_assert(plan.again && plan.step_count >= 100);
}
END_TEST

START_TEST(missing_oldest_segments_are_damage)
{
    files[0] = files[1];
    files[1] = files[2];
    facts.segment_count = 2;
    facts.gap = true;
    make(COMMITLOG_RECOVER_TAIL, false);
    ck_assert_int_eq(plan.code, COMMITLOG_EDAMAGED);
    make(COMMITLOG_RECOVER_SALVAGE, false);
    ck_assert_int_eq(plan.code, 0);
    ck_assert_uint_eq(plan.first, SIZE + DATA);
}
END_TEST

START_TEST(a_lost_header_in_the_middle_is_damage_and_salvage_rebuilds_it)
{
    files[1].state = CLG_SEGMENT_NO_HEADER;
    files[1].rebuilt = true;
    make(COMMITLOG_RECOVER_TAIL, false);
    ck_assert_int_eq(plan.code, COMMITLOG_EDAMAGED);
    make(COMMITLOG_RECOVER_SALVAGE, false);
    ck_assert_int_ge(find(CLG_STEP_REPAIR_HEADER, 0), 0);
    ck_assert(plan.again);
}
END_TEST

START_TEST(a_headerless_last_file_above_the_witness_is_a_failed_creation)
{
    facts.segment_count = 4;
    files[3].segment = NULL;
    files[3].state = CLG_SEGMENT_NO_HEADER;
    files[3].nonzero = _i == 1;
    make(COMMITLOG_RECOVER_TAIL, false);
    ck_assert_int_eq(plan.code, 0);
    ck_assert_int_eq(find(CLG_STEP_QUARANTINE_FILE, 0) >= 0, _i == 1);
    ck_assert_int_ge(find(CLG_STEP_UNLINK, 0), 0);
    ck_assert(plan.again);
    make(COMMITLOG_RECOVER_STRICT, false);
    ck_assert_int_eq(plan.code, COMMITLOG_EDAMAGED);
    files[3].has_data = true;
    make(COMMITLOG_RECOVER_TAIL, false);
    ck_assert_int_eq(plan.code, COMMITLOG_EDAMAGED);
    files[3].has_data = false;
    facts.witness = 3 * SIZE + DATA + 8;
    make(COMMITLOG_RECOVER_TAIL, false);
    ck_assert_int_eq(plan.code, COMMITLOG_EDAMAGED);
}
END_TEST

static void *no_memory(const struct commitlog_os *os, size_t bytes)
{
    (void)os;
    (void)bytes;
    return NULL;
}

/* All that is known is then that it does not fit; a list that is not whole is no plan. */
START_TEST(without_memory_for_its_steps_there_is_no_plan)
{
    struct commitlog_os os = *clg_os_default();
    const struct clg_plan_options options = {.mode = COMMITLOG_RECOVER_SALVAGE,
                                             .segment_bytes = SIZE};
    struct commitlog_error err;
    os.alloc = no_memory;
    facts.os = &os;
    files[2].segment = NULL;
    files[2].state = CLG_SEGMENT_NO_HEADER;
    files[2].nonzero = true;
    facts.prefix_end = DATA;
    facts.valid_end = 2 * SIZE - CLG_SEGMENT_FOOTER; /* it goes on in a file that is none */
    teardown();
    ck_assert_int_eq(clg_plan_make(&facts, &options, &plan, &err), COMMITLOG_ENOMEM);
    ck_assert_int_eq(err.code, COMMITLOG_ENOMEM);
    facts.os = clg_os_default();
    make(COMMITLOG_RECOVER_SALVAGE, false);
    ck_assert_int_ge(find(CLG_STEP_UNLINK, 0), 0);
    ck_assert(plan.again);
}
END_TEST

START_TEST(one_bad_header_copy_is_repaired)
{
    files[0].state = CLG_SEGMENT_ONE_COPY;
    make(COMMITLOG_RECOVER_TAIL, false);
    ck_assert_int_eq(plan.code, 0);
    ck_assert_int_ge(find(CLG_STEP_REPAIR_HEADER, 0), 0);
    make(COMMITLOG_RECOVER_STRICT, false);
    ck_assert_int_eq(plan.code, COMMITLOG_EDAMAGED);
}
END_TEST

START_TEST(a_short_file_is_extended_unless_durable_bytes_are_missing)
{
    files[2].state = CLG_SEGMENT_SHORT;
    files[2].file_bytes = 139504 - 2 * SIZE;
    make(COMMITLOG_RECOVER_TAIL, false);
    ck_assert_int_eq(plan.code, 0);
    ck_assert_int_ge(find(CLG_STEP_EXTEND, 0), 0);
    facts.witness = 139512;
    make(COMMITLOG_RECOVER_TAIL, false);
    ck_assert_int_eq(plan.code, COMMITLOG_EDAMAGED);
}
END_TEST

START_TEST(dead_claims_become_holes_before_anything_is_flushed)
{
    facts.same_boot = true;
    facts.claim_count = 1;
    claims[0] = (struct clg_fact_claim){.position = 139500, .size = 104};
    facts.staged_count = 1;
    staged[0] = (struct clg_fact_staged){.from = 139604, .to = 140000, .records = 2};
    make(COMMITLOG_RECOVER_TAIL, false);
    ck_assert_int_eq(plan.code, 0);
    int hole = find(CLG_STEP_HOLE, 0);
    ck_assert_int_ge(hole, 0);
    ck_assert_int_ge(find(CLG_STEP_RESTORE, 0), 0);
    ck_assert_int_gt(find(CLG_STEP_REWRITE, 0), hole);
    /* Committed, says a witness behind it. */
    facts.witness = 139604;
    make(COMMITLOG_RECOVER_TAIL, false);
    ck_assert_int_eq(plan.code, COMMITLOG_EDAMAGED);
    ck_assert(plan.step_count == 0);
}
END_TEST

START_TEST(only_an_unclean_stop_in_this_boot_is_rewritten)
{
    make(COMMITLOG_RECOVER_TAIL, false);
    ck_assert_int_eq(find(CLG_STEP_REWRITE, 0), -1);
    facts.same_boot = true;
    make(COMMITLOG_RECOVER_TAIL, false);
    int at = find(CLG_STEP_REWRITE, 0);
    ck_assert_int_ge(at, 0);
    ck_assert_uint_eq(plan.steps[at].from, 2 * SIZE + DATA);
    facts.live.usable = true;
    facts.live.durable = 139400;
    make(COMMITLOG_RECOVER_TAIL, false);
    ck_assert_uint_eq(plan.steps[find(CLG_STEP_REWRITE, 0)].from, 139400);
    ck_assert_uint_eq(plan.bytes_rewritten, 600);
    facts.clean = true;
    make(COMMITLOG_RECOVER_TAIL, false);
    ck_assert_int_eq(find(CLG_STEP_REWRITE, 0), -1);
}
END_TEST

/* What is rewritten is read back record by record. */
START_TEST(what_is_rewritten_begins_at_a_record)
{
    facts.same_boot = true;
    facts.straddled = true; /* by a hole that a salvage has made */
    facts.straddling = 2 * SIZE - 9000;
    make(COMMITLOG_RECOVER_TAIL, false);
    ck_assert_uint_eq(plan.steps[find(CLG_STEP_REWRITE, 0)].from, 2 * SIZE - 9000);
    facts.straddled = false;
    facts.range_count = 1; /* by a hole that this one is going to make */
    ranges[0] = (struct clg_fact_range){.from = 2 * SIZE - 9048, .to = 2 * SIZE + DATA + 80};
    facts.prefix_end = 2 * SIZE - 9048;
    facts.witness = 2 * SIZE + DATA + 80;
    make(COMMITLOG_RECOVER_SALVAGE, false);
    ck_assert_int_eq(plan.code, 0);
    ck_assert_uint_eq(plan.steps[find(CLG_STEP_REWRITE, 0)].from, 2 * SIZE - 9048);
}
END_TEST

START_TEST(later_segments_go_newest_first_and_one_prepared_stays)
{
    facts.segment_count = 4;
    make(COMMITLOG_RECOVER_TAIL, false);
    ck_assert_int_eq(find(CLG_STEP_UNLINK, 0), -1); /* empty and next: ready for use */
    facts.prefix_end = facts.valid_end = SIZE + 10000;
    facts.scan_from = SIZE + DATA;
    facts.witness = SIZE + DATA;
    facts.checkpoint.checkpointed = facts.checkpoint.durable = SIZE + DATA;
    torn();
    files[1].nonzero = true;
    files[1].used_end = SIZE + 20000;
    files[3].nonzero = true;
    files[3].used_end = 3 * SIZE + 9000;
    make(COMMITLOG_RECOVER_TAIL, false);
    ck_assert_int_eq(plan.code, 0);
    ck_assert_uint_eq(plan.steps[find(CLG_STEP_UNLINK, 0)].from, 3 * SIZE);
    ck_assert_uint_eq(plan.steps[find(CLG_STEP_UNLINK, 1)].from, 2 * SIZE);
    ck_assert_int_gt(find(CLG_STEP_UNLINK, 0), find(CLG_STEP_ZERO, 0));
    ck_assert_int_gt(find(CLG_STEP_ZERO, 0), find(CLG_STEP_QUARANTINE_RANGE, 2));
}
END_TEST

START_TEST(what_is_not_the_stores_is_never_removed)
{
    files[1].segment = NULL;
    files[1].nonzero = true;
    files[1].state = _i == 0 ? CLG_SEGMENT_ODD : CLG_SEGMENT_LINKED;
    for (uint32_t mode = COMMITLOG_RECOVER_TAIL; mode <= COMMITLOG_RECOVER_SALVAGE; mode++) {
        make(mode, false);
        ck_assert_int_eq(plan.code, COMMITLOG_EDAMAGED);
        ck_assert_uint_eq(plan.tail, COMMITLOG_TAIL_DAMAGED);
        ck_assert(plan.step_count == 0);
    }
    ck_assert_ptr_nonnull(strstr(plan.reason, "move it out of log/"));
    ck_assert_ptr_nonnull(strstr(plan.reason, "(position 65536)"));
    /* Below the first position it means nothing; a second name may go, for the first one stays. */
    facts.first = 2 * SIZE + DATA;
    facts.checkpoint.first = facts.first;
    make(COMMITLOG_RECOVER_TAIL, false);
    ck_assert_int_eq(plan.code, 0);
    ck_assert_int_gt(find(CLG_STEP_DELETE_BELOW, 0), find(CLG_STEP_CHECKPOINT, 0));
    ck_assert_int_eq(find(CLG_STEP_DELETE_BELOW, 1) >= 0, _i != 0);
}
END_TEST

START_TEST(interrupted_work_is_finished)
{
    facts.first = SIZE + DATA;
    facts.checkpoint.first = SIZE + DATA;
    facts.tmp_count = 1;
    (void)strcpy(names[0].name, "00000000000000262144.log.tmp");
    make(COMMITLOG_RECOVER_TAIL, false);
    /* What makes it superfluous comes first. */
    ck_assert_int_gt(find(CLG_STEP_DELETE_BELOW, 0), find(CLG_STEP_CHECKPOINT, 0));
    ck_assert_int_ge(find(CLG_STEP_REMOVE_TMP, 0), 0);
    ck_assert_int_eq(find(CLG_STEP_DELETE_BELOW, 1), -1);
}
END_TEST

START_TEST(a_new_store_is_created_and_a_reader_is_told)
{
    memset(&facts, 0, sizeof(facts));
    facts.os = clg_os_default();
    facts.is_new = true;
    make(COMMITLOG_RECOVER_TAIL, false);
    ck_assert_int_eq(plan.code, 0);
    ck_assert_int_ge(find(CLG_STEP_CREATE_SEGMENT, 0), 0);
    ck_assert_uint_eq(plan.epoch, 1);
    make(COMMITLOG_RECOVER_TAIL, true);
    ck_assert_int_eq(plan.code, COMMITLOG_ENOTFOUND);
}
END_TEST

START_TEST(behind_the_last_pad_a_segment_is_created)
{
    facts.prefix_end = facts.valid_end = 3 * SIZE + DATA;
    facts.end_reason = CLG_END_NO_SEGMENT;
    make(COMMITLOG_RECOVER_TAIL, false);
    int at = find(CLG_STEP_CREATE_SEGMENT, 0);
    ck_assert_int_ge(at, 0);
    ck_assert_uint_eq(plan.steps[at].from, 3 * SIZE);
    ck_assert_int_lt(at, find(CLG_STEP_CHECKPOINT, 0));
}
END_TEST

START_TEST(a_reader_serves_what_is_proven)
{
    facts.same_boot = true;
    make(COMMITLOG_RECOVER_TAIL, true);
    ck_assert_int_eq(plan.code, 0);
    ck_assert_uint_eq(plan.serve_end, 139400);
    ck_assert_uint_eq(plan.unrecovered_bytes, 600);
    ck_assert(plan.step_count == 0);
    facts.clean = true;
    make(COMMITLOG_RECOVER_TAIL, true);
    ck_assert_uint_eq(plan.serve_end, 140000);
}
END_TEST

START_TEST(every_plan_prints_to_its_end)
{
    torn_with_valid();
    facts.cut_queue_count = 1;
    facts.cut_queues[0] = (struct clg_fact_queue){3, 1, 7, 8};
    facts.cut_others = 2;
    make((uint32_t)_i, false);
    char line[200];
    size_t lines = 0;
    while (clg_plan_line(&plan, &facts, lines, line, sizeof(line))) {
        ck_assert_uint_gt(strlen(line), 5);
        lines++;
    }
    ck_assert_uint_eq(lines, 3 + 1 + 1 + plan.step_count);
}
END_TEST

static Suite *plan_suite(void)
{
    Suite *suite = suite_create("recovery plan");
    TCase *table = tcase_create("table");
    tcase_add_checked_fixture(table, setup, teardown);
    tcase_add_loop_test(table, zeros_at_the_end_are_a_clean_end_in_every_mode, 0, 3);
    tcase_add_loop_test(table, a_store_that_is_closed_and_sound_needs_no_step_when_nobody_appends,
                        0, 3);
    tcase_add_test(table, a_torn_tail_is_copied_then_cut);
    tcase_add_test(table, with_the_writers_positions_a_torn_tail_is_proven);
    tcase_add_test(table, valid_records_behind_a_hole_above_the_witness_are_no_damage);
    tcase_add_test(table, strict_refuses_a_torn_tail_and_changes_nothing);
    tcase_add_loop_test(table, strict_refuses_two_bad_slots, 0, 2);
    tcase_add_test(table, salvage_keeps_what_verifies_behind_a_hole);
    tcase_add_loop_test(table, salvage_goes_on_only_where_listed_ranges_become_holes, 0, 2);
    tcase_add_loop_test(
        table, salvage_clears_a_footer_that_would_not_fit_once_all_before_it_is_durable, 0, 3);
    tcase_add_test(table, below_the_witness_it_is_damage);
    tcase_add_test(table, an_unreadable_place_is_cut_only_above_the_witness);
    tcase_add_loop_test(table, more_than_a_torn_write_can_spoil_is_not_cut_when_it_does_not_read, 0,
                        3);
    tcase_add_test(table, a_last_file_whose_header_does_not_read_is_no_failed_creation);
    tcase_add_test(table, a_missing_segment_is_damage_whatever_the_witness);
    tcase_add_test(table, missing_oldest_segments_are_damage);
    tcase_add_test(table, a_gap_wider_than_any_store_is_not_filled);
    tcase_add_test(table, a_lost_header_in_the_middle_is_damage_and_salvage_rebuilds_it);
    tcase_add_loop_test(table, a_headerless_last_file_above_the_witness_is_a_failed_creation, 0, 2);
    tcase_add_test(table, without_memory_for_its_steps_there_is_no_plan);
    tcase_add_test(table, one_bad_header_copy_is_repaired);
    tcase_add_test(table, a_short_file_is_extended_unless_durable_bytes_are_missing);
    tcase_add_test(table, dead_claims_become_holes_before_anything_is_flushed);
    tcase_add_test(table, only_an_unclean_stop_in_this_boot_is_rewritten);
    tcase_add_test(table, what_is_rewritten_begins_at_a_record);
    tcase_add_test(table, later_segments_go_newest_first_and_one_prepared_stays);
    tcase_add_loop_test(table, what_is_not_the_stores_is_never_removed, 0, 2);
    tcase_add_test(table, interrupted_work_is_finished);
    tcase_add_test(table, a_new_store_is_created_and_a_reader_is_told);
    tcase_add_test(table, behind_the_last_pad_a_segment_is_created);
    tcase_add_test(table, a_reader_serves_what_is_proven);
    tcase_add_loop_test(table, every_plan_prints_to_its_end, 0, 3);
    suite_add_tcase(suite, table);
    return suite;
}

int main(void)
{
    return run_suite(plan_suite());
}
