/* SPDX-License-Identifier: BSD-2-Clause */
/* filter_fixture.h -- attributes to run filters on, and verdicts of three values. */
#ifndef FILTER_FIXTURE_H
#define FILTER_FIXTURE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commitlog.h"

#include "format/attributes.h"

enum { ROOM = 4096 };

struct attributes {
    uint8_t area[ROOM];
    struct clg_attribute_writer writer;
};

static inline void attributes_begin(struct attributes *attributes)
{
    clg_attribute_writer_init(&attributes->writer, attributes->area, ROOM);
}

static inline void attributes_tag(struct attributes *attributes, const char *tag)
{
    ck_assert_int_eq(clg_attribute_add(&attributes->writer, CLG_ATTRIBUTE_TAG, tag, strlen(tag)),
                     0);
}

static inline void attributes_header(struct attributes *attributes, const char *name,
                                     const char *value)
{
    ck_assert_int_eq(
        clg_attribute_add_header(&attributes->writer, name, strlen(name), value, strlen(value)), 0);
}

/* What the tables are about. */
static inline void attributes_sample(struct attributes *sample)
{
    static const char *const headers[][2] = {{"n", "5"},       {"big", "9007199254740993"},
                                             {"d", "10.50"},   {"neg", "-3"},
                                             {"zero", "-0.0"}, {"e", "1e3"},
                                             {"s", "abc"},     {"q", "it's"},
                                             {"empty", ""},    {"t", "true"},
                                             {"f", "FALSE"},   {"blank", " 5"},
                                             {"hex", "0x10"},  {"twice", "1"},
                                             {"twice", "2"},   {"content-type", "text/plain"},
                                             {"TAGS", "blue"}, {"n2", "5.0"},
                                             {"N", "6"},       {"dollar$_9", "x"},
                                             {"nan", "NaN"},   {"huge", "1e999999999"},
                                             {"not", "1"},     {"a\"b", "quoted"},
                                             {"plus", "+7"},   {"point", "5."},
                                             {"small", ".5"}};
    attributes_begin(sample);
    attributes_tag(sample, "red");
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        attributes_header(sample, headers[i][0], headers[i][1]);
    }
}

/* The filter's answer on a copy of exactly the size. */
static inline int32_t filter_run(const struct commitlog_filter *filter, const uint8_t *area,
                                 size_t bytes)
{
    struct commitlog_message message = {0};
    uint8_t *copy = malloc(bytes == 0 ? 1 : bytes);
    ck_assert_ptr_nonnull(copy);
    if (bytes > 0) {
        memcpy(copy, area, bytes);
    }
    message.attributes = (struct commitlog_slice){copy, bytes};
    int32_t answer = commitlog_filter_test(filter, &message);
    free(copy);
    return answer;
}

/* From a block of exactly the size. */
static inline int32_t filter_compile(const char *text, size_t bytes, struct commitlog_filter **out,
                                     struct commitlog_error *err)
{
    char *copy = malloc(bytes == 0 ? 1 : bytes);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, text, bytes);
    int32_t rc = commitlog_filter_compile(copy, bytes, out, err);
    free(copy);
    return rc;
}

static inline struct commitlog_filter *filter_of(const char *text)
{
    struct commitlog_filter *filter = NULL;
    struct commitlog_error err = {0};
    int32_t rc = filter_compile(text, strlen(text), &filter, &err);
    ck_assert_msg(rc == COMMITLOG_OK, "%s: %s", text, err.message);
    return filter;
}

static inline int32_t filter_answer(const char *text, const struct attributes *attributes)
{
    struct commitlog_filter *filter = filter_of(text);
    int32_t answer = filter_run(filter, attributes->area, attributes->writer.used);
    commitlog_filter_free(filter);
    return answer;
}

/* 'T', 'F' or 'U': what neither the condition nor its NOT holds for is unknown. */
static inline char filter_verdict(const char *text, const struct attributes *attributes)
{
    size_t bytes = strlen(text) + 16;
    char *negated = malloc(bytes);
    ck_assert_ptr_nonnull(negated);
    (void)snprintf(negated, bytes, "NOT (%s)", text);
    int32_t holds = filter_answer(text, attributes);
    int32_t fails = filter_answer(negated, attributes);
    free(negated);
    ck_assert_msg(holds >= 0 && fails >= 0 && holds + fails <= 1, "%s: %d, NOT of it: %d", text,
                  holds, fails);
    return holds == 1 ? 'T' : fails == 1 ? 'F' : 'U';
}

#endif
