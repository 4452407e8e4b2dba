/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * table.c - chained hash table; FNV-1a with a key drawn at the first insert, so that nobody who
 * chooses names can choose chains. See table.h.
 *
 * Happy path: find, or make and insert. Failure modes: no memory to begin with; later the chains
 * just get longer.
 */
#include "table.h"

#include <stdlib.h>
#include <sys/random.h>

enum { TABLE_FIRST = 16 };

static uint64_t table_hash(struct text name)
{
    static uint64_t key; /* one thread: see main.c */
    while (key == 0) {
        if (getrandom(&key, sizeof key, 0) != (ssize_t)sizeof key)
            key = UINT64_C(0x9e3779b97f4a7c15);
    }
    uint64_t hash = UINT64_C(14695981039346656037) ^ key;
    for (size_t i = 0; i < name.bytes; i++)
        hash = (hash ^ (uint8_t)name.data[i]) * UINT64_C(1099511628211);
    return hash ^ hash >> 32;
}

struct table_entry *table_find(const struct table *table, struct text name)
{
    if (table->room == 0)
        return NULL;
    const uint64_t hash = table_hash(name);
    struct table_entry *entry = table->chains[hash & (table->room - 1)];
    while (entry != NULL && (entry->hash != hash || !text_equal(entry->name, name)))
        entry = entry->next;
    return entry;
}

static void table_grow(struct table *table)
{
    const size_t room = table->room == 0 ? TABLE_FIRST : table->room * 2;
    struct table_entry **chains = calloc(room, sizeof(struct table_entry *));
    if (chains == NULL)
        return;
    for (size_t i = 0; i < table->room; i++) {
        struct table_entry *next;
        for (struct table_entry *entry = table->chains[i]; entry != NULL; entry = next) {
            next = entry->next;
            entry->next = chains[entry->hash & (room - 1)];
            chains[entry->hash & (room - 1)] = entry;
        }
    }
    free(table->chains);
    table->chains = chains;
    table->room = room;
}

bool table_insert(struct table *table, struct table_entry *entry)
{
    if (table->count >= table->room)
        table_grow(table);
    if (table->room == 0)
        return false;
    entry->hash = table_hash(entry->name);
    struct table_entry **chain = &table->chains[entry->hash & (table->room - 1)];
    entry->next = *chain;
    *chain = entry;
    table->count++;
    return true;
}

void table_remove(struct table *table, struct table_entry *entry)
{
    struct table_entry **at = &table->chains[entry->hash & (table->room - 1)];
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    table->count--;
}

struct table_entry *table_next(const struct table *table, const struct table_entry *entry)
{
    size_t chain = 0;
    if (entry != NULL) {
        if (entry->next != NULL)
            return entry->next;
        chain = (size_t)(entry->hash & (table->room - 1)) + 1;
    }
    for (; chain < table->room; chain++) {
        if (table->chains[chain] != NULL)
            return table->chains[chain];
    }
    return NULL;
}

void table_free(struct table *table)
{
    free(table->chains);
    *table = (struct table){0};
}
