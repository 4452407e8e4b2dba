/* SPDX-License-Identifier: BSD-2-Clause */
/* texts.c -- see texts.h. */
#include "texts.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "format/attributes.h"

static const char *const texts_lines[] = {
    "{\"body\":\"hello\"}",
    "{\"topic\":\"t\",\"queue\":3,\"tag\":\"red\",\"keys\":[\"a\",{\"base64\":\"AAE=\"}],"
    "\"headers\":{\"h\":\"v\"},\"time_ms\":-5,\"body\":\"x\"}",
    "{\"topic\":\"t\",\"headers\":[[\"h\",\"1\"],[\"h\",{\"base64\":\"/w==\"}]],"
    "\"body_base64\":\"AAEC\"}",
    "{\"position\":1,\"queue_offset\":2,\"store_time_ns\":3,\"epoch\":4,\"body\":null,"
    "\"body_base64\":\"\"}\n{\"body\":\"\\u00e9\\n\\u0000\"}\nnot json\n[]\n",
    "QUJD",
    "{\"body\":\"\\ud83d\\ude00\",\"topic\":\"\xc3\xa9\"}"};

static const char *const texts_filters[] = {
    "a > 4 AND (s = 'it''s' OR t) AND missing IS NULL",
    "a BETWEEN -1 AND 1e1 AND TAGS IN ('red', 'green') OR NOT f",
    "\"content-type\" NOT STARTSWITH 'image' AND s NOT CONTAINS 'x' AND s ENDSWITH 's'",
    "a = 5.000 AND b <= a AND 4 < b AND s <> TAGS AND NULL IS NULL",
    "s NOT IN (1, 'x', TRUE) AND a NOT BETWEEN b AND 9007199254740993",
    "NOT (NOT (a = 5e0) OR .5 > a OR f <> FALSE)",
    "a ENDSWITH '................................................................' OR "
    "b STARTSWITH '................................................................' OR "
    "s CONTAINS '................................................................'",
    "(a = 5",
    "a = 'open"};

static const char *const texts_headers[][2] = {{"a", "5"},    {"b", "05.0"},  {"s", "it's"},
                                               {"t", "TRUE"}, {"f", "false"}, {"content-type", ""}};

static void texts_write_lines(fuzz_text_fn write)
{
    for (uint32_t i = 0; i < sizeof(texts_lines) / sizeof(texts_lines[0]); i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "line-%u", i);
        write("jsonl", name, texts_lines[i], strlen(texts_lines[i]));
    }
}

/* A text, a zero byte, attributes: the same for all of them. */
static void texts_write_filters(fuzz_text_fn write)
{
    for (uint32_t i = 0; i < sizeof(texts_filters) / sizeof(texts_filters[0]); i++) {
        uint8_t input[1024];
        char name[16];
        size_t text_bytes = strlen(texts_filters[i]) + 1;
        struct clg_attribute_writer writer;
        memcpy(input, texts_filters[i], text_bytes);
        clg_attribute_writer_init(&writer, input + text_bytes, sizeof(input) - text_bytes);
        FUZZ_CHECK(clg_attribute_add(&writer, CLG_ATTRIBUTE_TAG, "red", 3) == 0);
        for (uint32_t j = 0; j < sizeof(texts_headers) / sizeof(texts_headers[0]); j++) {
            FUZZ_CHECK(clg_attribute_add_header(&writer, texts_headers[j][0],
                                                strlen(texts_headers[j][0]), texts_headers[j][1],
                                                strlen(texts_headers[j][1])) == 0);
        }
        (void)snprintf(name, sizeof(name), "filter-%u", i);
        write("filter", name, input, text_bytes + writer.used);
    }
}

void fuzz_texts(fuzz_text_fn write)
{
    texts_write_lines(write);
    texts_write_filters(write);
}
