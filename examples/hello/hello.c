/* SPDX-License-Identifier: BSD-2-Clause */
/* hello.c - append a message, wait until the disk has it, read the whole queue back. */
#include <commitlog.h>
#include <inttypes.h>
#include <stdio.h>

int main(void)
{
    struct commitlog_error err = {0};
    struct commitlog_store *store = NULL;
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[16];
    uint32_t topic = 0, count = 0;

    int32_t code = commitlog_open("hello.store", NULL, &store, &err);
    if (code == COMMITLOG_OK)
        code = commitlog_topic_open(store, "greetings", 9, 1, &topic, &err);
    if (code == COMMITLOG_OK)
        code = commitlog_append(store, topic, 0, "hello, log", 10, COMMITLOG_LEVEL_DURABLE, NULL);
    if (code == COMMITLOG_OK)
        code = commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err);
    while (code == COMMITLOG_OK) {
        code = commitlog_cursor_fetch(cursor, messages, 16, 0, &count, NULL);
        for (uint32_t i = 0; code == COMMITLOG_OK && i < count; i++)
            printf("%" PRIu64 ": %.*s\n", messages[i].queue_offset, (int)messages[i].body.bytes,
                   (const char *)messages[i].body.data);
    }
    commitlog_cursor_close(cursor);
    if (code == COMMITLOG_EEND) /* all there is has been read */
        code = COMMITLOG_OK;
    int32_t closed = commitlog_close(store, code == COMMITLOG_OK ? &err : NULL);
    if (code == COMMITLOG_OK)
        code = closed;
    if (code != COMMITLOG_OK)
        fprintf(stderr, "hello: %s\n", err.code == code ? err.message : commitlog_error_text(code));
    return code == COMMITLOG_OK ? 0 : 1;
}
