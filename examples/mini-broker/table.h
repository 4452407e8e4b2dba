/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * table.h - things by name: a hash table whose links lie in the things themselves.
 *
 * Owns: the array of chains, not the things. Invariants: 1. an entry is in one table at most; 2.
 * its name stays as it is, and alive, while it is in one. Threads: one at a time.
 */
#ifndef MINI_BROKER_TABLE_H
#define MINI_BROKER_TABLE_H

#include "bytes.h"

struct table_entry { /* first member of the thing, so that a cast leads from one to the other */
    struct table_entry *next;
    struct text name;
    uint64_t hash;
};

struct table {
    struct table_entry **chains;
    size_t room; /* a power of two, or 0 */
    size_t count;
};

struct table_entry *table_find(const struct table *table, struct text name);
/* entry->name is set, and no other has it. False: no memory. */
bool table_insert(struct table *table, struct table_entry *entry);
void table_remove(struct table *table, struct table_entry *entry);
/* All of them in no order: NULL begins, and ends. Removing the one that was last given is fine only
 * with table_next called before. */
struct table_entry *table_next(const struct table *table, const struct table_entry *entry);
void table_free(struct table *table);

#endif
