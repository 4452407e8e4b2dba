/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plan_fixture.h -- facts made by hand for the tests of lib/recovery/plan.
 */
#ifndef TESTS_UNIT_PLAN_FIXTURE_H
#define TESTS_UNIT_PLAN_FIXTURE_H

#include <check.h>
#include <string.h>

#include "os/os.h"
#include "recovery/plan.h"

#define SIZE (UINT64_C(65536))
#define DATA CLG_SEGMENT_DATA_START

static struct clg_facts facts;
static struct clg_fact_segment files[4];
static struct clg_fact_range ranges[4];
static struct clg_fact_claim claims[2];
static struct clg_fact_staged staged[2];
static struct clg_fact_name names[2];
static struct clg_segment some_segment; /* only its being there counts */
static struct clg_plan plan;

/* Two full segments and the active one, X at 140000 in it; the last writer died in another boot. */
static void setup(void)
{
    memset(ranges, 0, sizeof(ranges));
    facts = (struct clg_facts){.os = clg_os_default(),
                               .segments = files,
                               .segment_count = 3,
                               .segment_room = 4,
                               .range_room = 4,
                               .claim_room = 2,
                               .staged_room = 2,
                               .tmp_room = 2,
                               .ranges = ranges,
                               .claims = claims,
                               .staged = staged,
                               .tmp_names = names,
                               .have_checkpoint = true,
                               .checkpoint_file = true,
                               .uuid_known = true,
                               .checkpoint.first = DATA,
                               .checkpoint.checkpointed = 2 * SIZE + DATA,
                               .checkpoint.durable = 2 * SIZE + DATA,
                               .checkpoint.epoch = 4,
                               .first = DATA,
                               .scan_from = 2 * SIZE + DATA,
                               .prefix_end = 140000,
                               .valid_end = 140000,
                               .witness = 139400,
                               .witness_source = CLG_WITNESS_RECORD,
                               .tail_zero = true,
                               .end_reason = CLG_END_ZERO,
                               .end_why = "free",
                               .max_epoch = 4,
                               .records_scanned = 10};
    for (size_t i = 0; i < 4; i++) {
        files[i] = (struct clg_fact_segment){.base = i * SIZE,
                                             .bytes = SIZE,
                                             .file_bytes = SIZE,
                                             .segment = &some_segment,
                                             .state = CLG_SEGMENT_GOOD,
                                             .footer_code = i < 2 ? 0 : COMMITLOG_ENOTFOUND,
                                             .used_end = i * SIZE};
    }
}

static void teardown(void)
{
    if (plan.os != NULL) {
        clg_plan_free(&plan);
    }
}

static void torn(void)
{
    facts.tail_zero = false;
    facts.end_reason = CLG_END_BAD;
    facts.end_why = "fails its check";
    files[2].nonzero = true;
    files[2].used_end = 150000;
    facts.range_count = 1;
    ranges[0] = (struct clg_fact_range){
        .from = 140000, .to = 3 * SIZE - 4096, .queue = CLG_QUEUE_NONE, .kind = CLG_RANGE_HEADER};
}

/* Torn, and one valid record at 144000. */
static void torn_with_valid(void)
{
    torn();
    facts.range_count = 2;
    ranges[0].to = 144000;
    ranges[1] = ranges[0];
    ranges[1].from = 144480;
    ranges[1].to = 3 * SIZE - 4096;
    facts.valid_end = 144480;
    facts.records_behind = 1;
}

static void make(uint32_t mode, bool read_only)
{
    struct clg_plan_options options = {.mode = mode, .read_only = read_only, .segment_bytes = SIZE};
    teardown();
    /* As facts.c has it. */
    facts.sure = facts.have_checkpoint ? facts.checkpoint.durable : 0;
    if (facts.live.usable && facts.live.durable > facts.sure) {
        facts.sure = facts.live.durable;
    }
    ck_assert_int_eq(clg_plan_make(&facts, &options, &plan, NULL), 0);
}

/* Index of the nth step of a kind, or -1. */
static int find(enum clg_plan_kind kind, int nth)
{
    for (size_t i = 0; i < plan.step_count; i++) {
        if (plan.steps[i].kind == kind && nth-- == 0) {
            return (int)i;
        }
    }
    return -1;
}

#endif
