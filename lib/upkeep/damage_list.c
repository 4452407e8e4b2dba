/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * damage_list.c -- what is known to be damaged in an open store. See damage_list.h.
 */
#include "upkeep/damage_list.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/invariant.h"

#define DAMAGE_FIRST_ROOM 8u

void clg_damage_list_init(struct clg_damage_list *list, const struct commitlog_os *os)
{
    CLG_ASSERT(list != NULL);
    CLG_ASSERT(os != NULL);
    memset(list, 0, sizeof(*list));
    list->os = os;
    clg_mutex_init(&list->lock);
}

void clg_damage_list_deinit(struct clg_damage_list *list)
{
    CLG_ASSERT(list->os != NULL);
    CLG_ASSERT(!clg_mutex_is_held(&list->lock));
    list->os->free(list->os, list->items);
    list->items = NULL;
    list->count = 0;
    list->room = 0;
}

static bool damage_grow(struct clg_damage_list *list)
{
    CLG_ASSERT(list->count <= list->room);
    if (list->count < list->room) {
        return true;
    }
    size_t larger = list->room == 0 ? DAMAGE_FIRST_ROOM : list->room * 2;
    void *grown = list->room == 0 ? clg_os_alloc_array(list->os, larger, sizeof(*list->items))
                                  : clg_os_grow_array(list->os, list->items, list->room, larger,
                                                      sizeof(*list->items));
    if (grown == NULL) {
        return false;
    }
    list->items = grown;
    list->room = larger;
    CLG_ASSERT(list->count < list->room);
    return true;
}

/* All of `damage` is in `known`: by positions, or where nobody knows those, by offsets. */
static bool damage_is_within(const struct commitlog_damage *damage,
                             const struct commitlog_damage *known)
{
    bool placed = damage->from_position != CLG_DAMAGE_NO_POSITION;
    CLG_ASSERT(placed || damage->to_position == CLG_DAMAGE_NO_POSITION);
    if (placed != (known->from_position != CLG_DAMAGE_NO_POSITION)) {
        return false;
    }
    if (placed) {
        return known->from_position <= damage->from_position &&
               damage->to_position <= known->to_position;
    }
    return known->queue == damage->queue && known->from_offset <= damage->from_offset &&
           damage->to_offset <= known->to_offset && strcmp(known->topic, damage->topic) == 0;
}

/* The list is full: the nearest one below takes it in, so that it is passed in silence by nobody;
 * where nothing has a position, the last one makes room. */
static void damage_widen(struct clg_damage_list *list, const struct commitlog_damage *damage)
{
    size_t at = 0;
    if (damage->from_position == CLG_DAMAGE_NO_POSITION) {
        return;
    }
    while (at + 1 < list->count && list->items[at + 1].from_position <= damage->from_position) {
        at++;
    }
    struct commitlog_damage *known = &list->items[at];
    if (known->from_position == CLG_DAMAGE_NO_POSITION) {
        memmove(known + 1, known, (list->count - at - 1) * sizeof(*known));
        *known = *damage;
        known->struct_bytes = sizeof(*known);
        return;
    }
    clg_damage_make(known, clg_min_u64(known->from_position, damage->from_position),
                    clg_max_u64(known->to_position, damage->to_position),
                    "more than one range, and what lies between");
}

int clg_damage_list_add(struct clg_damage_list *list, const struct commitlog_damage *damage)
{
    int rc = 0;
    CLG_ASSERT(damage->from_position <= damage->to_position);
    clg_mutex_lock(list->os, &list->lock);
    size_t at = list->count;
    for (size_t i = 0; i < list->count; i++) {
        const struct commitlog_damage *known = &list->items[i];
        if (damage_is_within(damage, known)) {
            rc = COMMITLOG_EEXIST;
        }
        if (known->from_position > damage->from_position && at == list->count) {
            at = i;
        }
    }
    if (rc == 0 && list->count >= CLG_DAMAGE_MAX) {
        damage_widen(list, damage);
        rc = COMMITLOG_ELIMIT;
    } else if (rc == 0 && !damage_grow(list)) {
        rc = COMMITLOG_ENOMEM;
    }
    if (rc == 0) {
        memmove(&list->items[at + 1], &list->items[at], (list->count - at) * sizeof(*list->items));
        list->items[at] = *damage;
        list->items[at].struct_bytes = sizeof(*damage);
        list->count++;
    }
    CLG_ASSERT(list->count <= CLG_DAMAGE_MAX);
    clg_mutex_unlock(list->os, &list->lock);
    return rc;
}

int clg_damage_list_get(struct clg_damage_list *list, size_t index, struct commitlog_damage *out)
{
    int rc = COMMITLOG_ENOTFOUND;
    CLG_ASSERT(out != NULL);
    clg_mutex_lock(list->os, &list->lock);
    CLG_ASSERT(list->count <= list->room);
    if (index < list->count) {
        *out = list->items[index];
        rc = 0;
    }
    clg_mutex_unlock(list->os, &list->lock);
    return rc;
}

int clg_damage_list_find(struct clg_damage_list *list, uint64_t from, uint64_t to, bool unnamed,
                         struct commitlog_damage *out)
{
    int rc = COMMITLOG_ENOTFOUND;
    CLG_ASSERT(out != NULL);
    clg_mutex_lock(list->os, &list->lock);
    for (size_t i = 0; rc != 0 && i < list->count; i++) {
        const struct commitlog_damage *known = &list->items[i];
        if (known->from_position != CLG_DAMAGE_NO_POSITION && known->from_position < to &&
            known->to_position > from && (!unnamed || known->queue == UINT32_MAX)) {
            *out = *known;
            rc = 0;
        }
    }
    clg_mutex_unlock(list->os, &list->lock);
    return rc;
}

int clg_damage_list_assign(struct clg_damage_list *list, struct clg_damage_list *from)
{
    struct clg_damage_list copy;
    struct commitlog_damage damage;
    int rc = 0;
    CLG_ASSERT(list != from);
    clg_damage_list_init(&copy, list->os);
    for (size_t i = 0; rc == 0 && clg_damage_list_get(from, i, &damage) == 0; i++) {
        rc = clg_damage_list_add(&copy, &damage);
        /* Within another of the copy, which was added later, or took it in for want of room. */
        rc = rc == COMMITLOG_EEXIST || rc == COMMITLOG_ELIMIT ? 0 : rc;
    }
    if (rc == 0) {
        clg_mutex_lock(list->os, &list->lock);
        struct commitlog_damage *items = list->items;
        list->items = copy.items;
        list->count = copy.count;
        list->room = copy.room;
        copy.items = items;
        clg_mutex_unlock(list->os, &list->lock);
    }
    clg_damage_list_deinit(&copy);
    return rc;
}

size_t clg_damage_list_count(struct clg_damage_list *list)
{
    CLG_ASSERT(list->os != NULL);
    clg_mutex_lock(list->os, &list->lock);
    size_t count = list->count;
    CLG_ASSERT(count <= CLG_DAMAGE_MAX);
    clg_mutex_unlock(list->os, &list->lock);
    return count;
}

void clg_damage_list_drop_below(struct clg_damage_list *list, uint64_t position)
{
    size_t kept = 0;
    CLG_ASSERT(list->os != NULL);
    clg_mutex_lock(list->os, &list->lock);
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].to_position > position) {
            list->items[kept++] = list->items[i];
        }
    }
    CLG_ASSERT(kept <= list->count);
    list->count = kept;
    clg_mutex_unlock(list->os, &list->lock);
}

void clg_damage_make(struct commitlog_damage *out, uint64_t from, uint64_t to, const char *reason)
{
    CLG_ASSERT(from <= to);
    CLG_ASSERT(reason != NULL);
    memset(out, 0, sizeof(*out));
    out->struct_bytes = sizeof(*out);
    out->queue = UINT32_MAX;
    out->from_position = from;
    out->to_position = to;
    (void)snprintf(out->reason, sizeof(out->reason), "%s", reason);
}

void clg_damage_make_lost(struct commitlog_damage *out, uint64_t from_offset, uint64_t to_offset)
{
    CLG_ASSERT(from_offset < to_offset);
    clg_damage_make(out, CLG_DAMAGE_NO_POSITION, CLG_DAMAGE_NO_POSITION,
                    "the log has lost the records of these offsets");
    out->from_offset = from_offset;
    out->to_offset = to_offset;
    CLG_ASSERT(out->queue == UINT32_MAX);
}
