/* SPDX-License-Identifier: BSD-2-Clause */
/* item.c -- a record of the soak test; see item.h. */
#include "item.h"

#include <string.h>

typedef unsigned long long ull;

#define ITEM_MAGIC UINT64_C(0x6b616f732d6d7469)

_Static_assert(sizeof(struct item_head) == 32, "the head has no gaps");

void item_content(const struct book *book, const struct item_head *head, struct content *out)
{
    struct rng rng;
    uint64_t seed = 0;
    rng_begin(&rng,
              book->seed ^ (uint64_t)head->life << 34 ^ (uint64_t)head->serial << 2 ^ head->thread);
    seed = rng_next(&rng);
    /* Without a body there is no name, so nothing may depend on it. */
    content_make(out, head->bytes == 0 ? 0 : seed, head->bytes);
    if (head->bytes > 0)
        memcpy(out->body, head, sizeof *head);
}

void item_make(struct item *out, const struct book *book, const struct item_head *head,
               size_t bytes)
{
    CHECK(bytes == 0 || bytes >= sizeof *head);
    out->head = *head;
    out->head.magic = ITEM_MAGIC;
    out->head.bytes = (uint32_t)bytes;
    item_content(book, &out->head, &out->content);
}

void item_free(struct item *item)
{
    content_free(&item->content);
}

void item_check(const struct book *book, const struct commitlog_message *message, uint32_t topic,
                struct item_head *out)
{
    struct content content;
    ull at = (ull)message->position;
    memset(out, 0, sizeof *out);
    if (message->body.bytes > 0) {
        CHECKF(message->body.bytes >= sizeof *out, "a body of %zu bytes at %llu",
               message->body.bytes, at);
        memcpy(out, message->body.data, sizeof *out);
        CHECKF(out->magic == ITEM_MAGIC && out->bytes == message->body.bytes, "the body at %llu",
               at);
        CHECKF(out->topic == topic, "of topic %u in topic %u at %llu", out->topic, topic, at);
        CHECKF(out->queue == message->queue, "of queue %u in queue %u at %llu", out->queue,
               message->queue, at);
        CHECKF(out->thread < BOOK_THREADS && out->life <= atomic_load(&book->life),
               "life %u, thread %u at %llu", out->life, out->thread, at);
    }
    item_content(book, out, &content);
    content_check(&content, message);
    content_free(&content);
}
