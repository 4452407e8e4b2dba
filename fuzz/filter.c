/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filter.c -- fuzz target: the text of a filter, and attributes to run it on.
 *
 * Input: the text, a zero byte, the attributes. Each lies in a block of exactly its size.
 *
 * Held: an error names a column of the text or the one behind it; what compiles, compiles in
 * parentheses and means the same; a condition and its NOT do not both hold, the NOT of that is what
 * it was; whether attributes are damaged does not depend on the filter, and they are when the
 * format says so of their headers; the answer is the same again.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commitlog.h"

#include "format/attributes.h"
#include "support/check.h"
#include "support/fuzz.h"

static uint8_t *filter_block(const uint8_t *data, size_t bytes)
{
    uint8_t *block = malloc(bytes == 0 ? 1 : bytes);
    FUZZ_CHECK(block != NULL);
    if (bytes > 0) {
        memcpy(block, data, bytes);
    }
    return block;
}

static int32_t filter_compile(const char *text, size_t bytes, struct commitlog_filter **out)
{
    struct commitlog_error err = {0};
    int32_t rc = commitlog_filter_compile(text, bytes, out, &err);
    if (rc == COMMITLOG_OK) {
        return rc;
    }
    FUZZ_CHECK(rc == COMMITLOG_EINVAL || rc == COMMITLOG_ETOOBIG);
    FUZZ_CHECK(err.code == rc && err.position >= 1 && err.position <= bytes + 1);
    FUZZ_CHECK(strncmp(err.message, "column ", 7) == 0);
    FUZZ_CHECK(strtoull(err.message + 7, NULL, 10) == err.position);
    return rc;
}

/* The answer of "before text behind"; COMMITLOG_ETOOBIG: that is too long or too deep. */
static int32_t filter_around(const char *before, const char *text, size_t bytes, const char *behind,
                             const struct commitlog_message *message)
{
    size_t all = strlen(before) + bytes + strlen(behind);
    char *longer = malloc(all + 1);
    struct commitlog_filter *filter = NULL;
    FUZZ_CHECK(longer != NULL);
    memcpy(longer, before, strlen(before));
    memcpy(longer + strlen(before), text, bytes);
    memcpy(longer + strlen(before) + bytes, behind, strlen(behind) + 1);
    int32_t rc = filter_compile(longer, all, &filter);
    free(longer);
    FUZZ_CHECK(rc == COMMITLOG_OK || rc == COMMITLOG_ETOOBIG);
    if (rc == COMMITLOG_OK) {
        rc = commitlog_filter_test(filter, message);
    }
    commitlog_filter_free(filter);
    return rc;
}

static void filter_logic(const char *text, size_t bytes, const struct commitlog_message *message,
                         int32_t answer)
{
    int32_t same = filter_around("(", text, bytes, ")", message);
    int32_t opposite = filter_around("NOT(", text, bytes, ")", message);
    int32_t again = filter_around("NOT (NOT (", text, bytes, "))", message);
    int32_t either = filter_around("FALSE OR (", text, bytes, ") OR NULL", message);
    FUZZ_CHECK(same == answer || same == COMMITLOG_ETOOBIG);
    FUZZ_CHECK(answer != 1 || opposite != 1);
    FUZZ_CHECK(again == answer || again == COMMITLOG_ETOOBIG);
    FUZZ_CHECK(either == answer || either == COMMITLOG_ETOOBIG);
}

/* As the format's own functions read them. */
static bool filter_area_is_sound(const uint8_t *area, size_t bytes)
{
    struct clg_attribute_iterator iterator;
    struct clg_attribute attribute;
    struct clg_attribute_header header;
    int rc;
    clg_attribute_iterator_init(&iterator, area, bytes);
    while ((rc = clg_attribute_next(&iterator, &attribute)) == 1) {
        if (attribute.type == CLG_ATTRIBUTE_HEADER &&
            clg_attribute_header(&attribute, &header) != 1) {
            return false;
        }
    }
    return rc == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size > 0 ? memchr(data, 0, size) : NULL;
    size_t text_bytes = zero != NULL ? (size_t)(zero - data) : size;
    size_t area_bytes = zero != NULL ? size - text_bytes - 1 : 0;
    uint8_t *text = filter_block(data, text_bytes);
    uint8_t *area = filter_block(data + size - area_bytes, area_bytes);
    struct commitlog_message message = {.attributes = {area, area_bytes}};
    struct commitlog_filter *filter = NULL;
    if (filter_compile((const char *)text, text_bytes, &filter) == COMMITLOG_OK) {
        int32_t answer = commitlog_filter_test(filter, &message);
        bool sound = area_bytes <= CLG_ATTRIBUTES_MAX && filter_area_is_sound(area, area_bytes);
        FUZZ_CHECK(sound ? answer == 0 || answer == 1 : answer == COMMITLOG_EDAMAGED);
        FUZZ_CHECK(commitlog_filter_test(filter, &message) == answer);
        filter_logic((const char *)text, text_bytes, &message, answer);
    }
    commitlog_filter_free(filter);
    free(text);
    free(area);
    return 0;
}
