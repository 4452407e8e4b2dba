/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * list.h -- intrusive doubly linked list.
 *
 * Owns: only links; the objects belong to whoever embeds them.
 * Invariants: a head or an unlinked node points at itself, so unlinking twice is harmless.
 * Threads and locks: none; the lock of the structure that holds the head covers its nodes.
 * Happy path: clg_list_init, clg_list_append, iterate from head.next to &head, clg_list_remove.
 * Failure modes: none.
 */
#ifndef CLG_BASE_LIST_H
#define CLG_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/invariant.h"

struct clg_list {
    struct clg_list *next;
    struct clg_list *prev;
};

/* The object of the given type whose member is *node. */
#define CLG_CONTAINER(node, type, member)                                                          \
    ((type *)(void *)((uint8_t *)(void *)(node)-offsetof(type, member)))

static inline void clg_list_init(struct clg_list *node)
{
    node->next = node;
    node->prev = node;
}

static inline bool clg_list_empty(const struct clg_list *head)
{
    CLG_ASSERT(head->next->prev == head);
    CLG_ASSERT(head->prev->next == head);
    return head->next == head;
}

static inline void clg_list_append(struct clg_list *head, struct clg_list *node)
{
    CLG_ASSERT(node->next == node);
    CLG_ASSERT(head->prev->next == head);
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void clg_list_remove(struct clg_list *node)
{
    CLG_ASSERT(node->next->prev == node);
    CLG_ASSERT(node->prev->next == node);
    node->prev->next = node->next;
    node->next->prev = node->prev;
    clg_list_init(node);
}

#endif
