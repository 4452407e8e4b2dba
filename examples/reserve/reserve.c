/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reserve.c - zero copy: the message is built where it will lie, nothing is copied.
 *
 * A frame of pixels is drawn straight into the log. A second frame turns out to be of no use and
 * is aborted: it leaves a hole, which readers skip; its queue offset is used up.
 *
 *   reserve [DIR]        default: frames.store
 */
#include <commitlog.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { WIDTH = 64, HEIGHT = 32, FRAME_BYTES = WIDTH * HEIGHT, PATIENCE_MS = 1000 };

static int32_t complain(const char *what, int32_t code, const struct commitlog_error *err)
{
    const int detailed = err != NULL && err->code == code;
    fprintf(stderr, "reserve: %s: %s\n", what,
            detailed ? err->message : commitlog_error_text(code));
    return code;
}

static void draw(unsigned char *pixels, unsigned seed)
{
    for (unsigned y = 0; y < HEIGHT; y++)
        for (unsigned x = 0; x < WIDTH; x++)
            pixels[y * WIDTH + x] = (unsigned char)(x * seed + y);
}

/* Draws one frame in place; keeps it or gives it up. */
static int32_t store_frame(struct commitlog_store *store, uint32_t topic, unsigned seed, int keep)
{
    struct commitlog_error err = {0};
    struct commitlog_record record = {0};
    record.struct_bytes = sizeof record;
    record.topic = topic;
    record.level = COMMITLOG_LEVEL_DURABLE;

    struct commitlog_reservation *reservation = NULL;
    void *body = NULL;
    int32_t code =
        commitlog_reserve(store, &record, FRAME_BYTES, PATIENCE_MS, &reservation, &body, &err);
    if (code != COMMITLOG_OK)
        return complain("reserve", code, &err);
    draw(body, seed); /* be quick: what others append meanwhile stays invisible until we end */

    if (!keep) {
        code = commitlog_abort(reservation);
        return code == COMMITLOG_OK ? code : complain("abort", code, NULL);
    }
    struct commitlog_receipt receipt;
    code = commitlog_commit(reservation, COMMITLOG_FOREVER, &receipt, &err);
    if (code != COMMITLOG_OK)
        return complain("commit", code, &err);
    printf("frame %u: position %" PRIu64 ", offset %" PRIu64 "\n", seed, receipt.position,
           receipt.queue_offset);
    return COMMITLOG_OK;
}

/* Compares each frame in the queue with a fresh drawing. */
static int32_t check_frames(struct commitlog_store *store, uint32_t topic)
{
    struct commitlog_error err = {0};
    struct commitlog_cursor *cursor = NULL;
    int32_t code = commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err);
    if (code != COMMITLOG_OK)
        return complain("open a cursor", code, &err);

    struct commitlog_message message;
    uint32_t count = 0;
    uint32_t differ = 0;
    while ((code = commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL)) == COMMITLOG_OK) {
        unsigned char expected[FRAME_BYTES];
        const unsigned char *pixels = message.body.data;
        int same = message.body.bytes == FRAME_BYTES;
        if (same) {
            draw(expected, pixels[1]); /* the pixel at (1, 0) is the seed */
            same = memcmp(pixels, expected, FRAME_BYTES) == 0;
        }
        printf("offset %" PRIu64 ": %s\n", message.queue_offset, same ? "as drawn" : "DIFFERS");
        differ += !same;
    }
    commitlog_cursor_close(cursor);
    if (code != COMMITLOG_EEND)
        return complain("read", code, NULL);
    return differ == 0 ? COMMITLOG_OK : COMMITLOG_EDAMAGED;
}

static int32_t run(struct commitlog_store *store)
{
    struct commitlog_error err = {0};
    uint32_t topic = 0;
    int32_t code = commitlog_topic_open(store, "frames", 6, 1, &topic, &err);
    if (code != COMMITLOG_OK)
        return complain("topic", code, &err);
    code = store_frame(store, topic, 1, 1);
    if (code == COMMITLOG_OK)
        code = store_frame(store, topic, 2, 0);
    if (code == COMMITLOG_OK)
        code = store_frame(store, topic, 3, 1);
    return code == COMMITLOG_OK ? check_frames(store, topic) : code;
}

int main(int argc, char **argv)
{
    struct commitlog_error err = {0};
    struct commitlog_store *store = NULL;
    int32_t code = commitlog_open(argc > 1 ? argv[1] : "frames.store", NULL, &store, &err);
    if (code != COMMITLOG_OK) {
        complain("open", code, &err);
        return 1;
    }
    code = run(store);
    const int32_t closed = commitlog_close(store, &err);
    if (closed != COMMITLOG_OK)
        complain("close", closed, &err);
    return code == COMMITLOG_OK && closed == COMMITLOG_OK ? 0 : 1;
}
