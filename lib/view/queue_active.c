/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * queue_active.c -- entries of the active segment: chunks per queue in one arena.
 *
 * Chunks of a queue hold 2, 4, 8, ... 1024, 1024, ... entries, so a queue with one record costs 80
 * bytes and one with a million is reached in a few hops. Nothing is ever copied to grow, because a
 * copy of megabytes under the fold lock would be seen by appenders.
 *
 * Invariants: a chunk but the last is full; jumps are Myers' links over the chunk ordinals.
 * Threads and locks: the fold lock; a frozen arena may be read without it.
 * Happy path: clg_queue_active_append.
 * Failure modes: COMMITLOG_ENOMEM before anything is changed.
 */
#include "view/queue_internal.h"

#include <string.h>

#include "base/bytes.h"
#include "base/invariant.h"

#define ARENA_BLOCK_MIN UINT32_C(16384)
#define ARENA_BLOCK_MAX UINT32_C(262144)

CLG_STATIC_ASSERT(sizeof(struct clg_queue_block) == 16, "blocks are counted in bytes");
CLG_STATIC_ASSERT(sizeof(struct clg_queue_chunk) == 32, "2 entries take 80 bytes");
CLG_STATIC_ASSERT(sizeof(struct clg_queue_chunk) + CLG_CHUNK_MAX_ROOM * CLG_QUEUE_ENTRY_BYTES +
                          sizeof(struct clg_queue_block) <=
                      ARENA_BLOCK_MAX / 8,
                  "what a full block leaves over is a small part of it");

static int arena_add_block(const struct commitlog_os *os, struct clg_queue_arena *arena,
                           uint32_t bytes)
{
    uint64_t size = clg_max_u64(arena->bytes / 4, ARENA_BLOCK_MIN);
    size = clg_min_u64(clg_align_down(size, 4096), ARENA_BLOCK_MAX);
    size = clg_max_u64(size, bytes + sizeof(struct clg_queue_block));
    CLG_ASSERT(size <= ARENA_BLOCK_MAX);
    struct clg_queue_block *block = os->alloc(os, (size_t)size);
    if (block == NULL) {
        return COMMITLOG_ENOMEM;
    }
    block->size = (uint32_t)size;
    block->used = (uint32_t)sizeof(*block);
    block->next = arena->blocks;
    arena->blocks = block;
    arena->bytes += size;
    CLG_ASSERT(block->size - block->used >= bytes);
    return 0;
}

static void *arena_take(const struct commitlog_os *os, struct clg_queue_arena *arena,
                        uint32_t bytes)
{
    CLG_ASSERT(bytes % 8 == 0);
    struct clg_queue_block *block = arena->blocks;
    if (block == NULL || block->size - block->used < bytes) {
        if (arena_add_block(os, arena, bytes) != 0) {
            return NULL;
        }
        block = arena->blocks;
    }
    void *out = clg_at(block, block->used);
    block->used += bytes;
    CLG_ASSERT(block->used <= block->size);
    return out;
}

void clg_queue_arena_free(const struct commitlog_os *os, struct clg_queue_arena *arena)
{
    CLG_ASSERT(os != NULL);
    CLG_ASSERT((arena->blocks == NULL) == (arena->bytes == 0));
    struct clg_queue_block *block = arena->blocks;
    while (block != NULL) {
        struct clg_queue_block *next = block->next;
        os->free(os, block);
        block = next;
    }
    memset(arena, 0, sizeof(*arena));
}

static const struct clg_queue_chunk *chunk_jump(const struct clg_queue_chunk *prev)
{
    /* Two jumps of equal length become one; else a new one of length 1. */
    if (prev == NULL || prev->jump == NULL || prev->jump->jump == NULL) {
        return prev;
    }
    CLG_ASSERT(prev->ordinal > prev->jump->ordinal);
    uint32_t last = prev->ordinal - prev->jump->ordinal;
    uint32_t before = prev->jump->ordinal - prev->jump->jump->ordinal;
    return last == before ? prev->jump->jump : prev;
}

static struct clg_queue_chunk *chunk_add(struct clg_consume_queue *cq,
                                         const struct clg_queue_chunk *prev, uint32_t first)
{
    uint32_t room = prev == NULL ? CLG_CHUNK_FIRST_ROOM : prev->room * 2;
    room = room > CLG_CHUNK_MAX_ROOM ? CLG_CHUNK_MAX_ROOM : room;
    CLG_ASSERT(prev == NULL || prev->first + prev->room == first);
    uint32_t bytes = (uint32_t)sizeof(struct clg_queue_chunk) + room * CLG_QUEUE_ENTRY_BYTES;
    struct clg_queue_chunk *chunk = arena_take(cq->view.context.os, &cq->arena, bytes);
    if (chunk != NULL) {
        chunk->prev = prev;
        chunk->jump = chunk_jump(prev);
        chunk->first = first;
        chunk->room = room;
        chunk->ordinal = prev == NULL ? 0 : prev->ordinal + 1;
    }
    return chunk;
}

int clg_queue_active_append(struct clg_consume_queue *cq, struct clg_queue_head *head,
                            const uint8_t entry[CLG_QUEUE_ENTRY_BYTES])
{
    CLG_ASSERT(head->count < UINT32_MAX);
    struct clg_queue_chunk *chunk = head->count > 0 ? head->last : NULL;
    if (chunk == NULL || head->count == chunk->first + chunk->room) {
        chunk = chunk_add(cq, chunk, head->count);
        if (chunk == NULL) {
            return COMMITLOG_ENOMEM;
        }
        head->last = chunk;
    }
    CLG_ASSERT(head->count >= chunk->first);
    uint32_t at = head->count - chunk->first;
    memcpy(chunk->entries + (size_t)at * CLG_QUEUE_ENTRY_BYTES, entry, CLG_QUEUE_ENTRY_BYTES);
    head->count++;
    cq->active_entries++;
    return 0;
}

const struct clg_queue_chunk *clg_queue_chunk_find(const struct clg_queue_chunk *last, uint32_t i)
{
    const struct clg_queue_chunk *chunk = last;
    while (chunk->first > i) {
        CLG_ASSERT(chunk->prev != NULL);
        const struct clg_queue_chunk *jump = chunk->jump;
        chunk = jump->first + jump->room > i ? jump : chunk->prev;
    }
    CLG_ASSERT(i < chunk->first + chunk->room);
    return chunk;
}

const uint8_t *clg_queue_chunk_entry(const struct clg_queue_chunk *last, uint32_t i)
{
    CLG_ASSERT(last != NULL);
    const struct clg_queue_chunk *chunk = clg_queue_chunk_find(last, i);
    CLG_ASSERT(i >= chunk->first);
    return chunk->entries + (size_t)(i - chunk->first) * CLG_QUEUE_ENTRY_BYTES;
}
