/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peer.h -- what the comparison asks of an embedded store: one record durable, one record read.
 *
 * Owns: the table of engines, one file each. Each is set as its documentation says for "what was
 *       acknowledged survives a power cut", and otherwise left as it comes.
 * Threads: one.
 */
#ifndef TESTS_PEERS_PEER_H
#define TESTS_PEERS_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PEER_WHY_BYTES = 256, PEER_BODY_MAX = 1500 };

enum peer_answer {
    PEER_FOUND,
    PEER_NOT_THERE, /* the engine says, without an error, that there is no such record */
    PEER_ERROR
};

/* Why is filled with the engine's own words when a call fails. */
struct peer {
    const char *name;
    const char *setting; /* for the table */
    const char *(*version)(void);
    /* NULL: it does not open. The directory exists. */
    void *(*open)(const char *dir, bool read_only, char why[PEER_WHY_BYTES]);
    /* True: durable, as the engine promises. Numbers come in order, from 0 and without gaps. */
    bool (*append)(void *store, uint64_t number, const void *body, size_t bytes,
                   char why[PEER_WHY_BYTES]);
    /* The buffer has PEER_BODY_MAX bytes; a longer body is cut to them. */
    enum peer_answer (*read)(void *store, uint64_t number, void *body, size_t *out_bytes,
                             char why[PEER_WHY_BYTES]);
    void (*close)(void *store);
};

extern const struct peer peer_sqlite;
extern const struct peer peer_lmdb;
extern const struct peer peer_lmdb_writemap;
extern const struct peer peer_rocksdb;
extern const struct peer peer_commitlog;

/* Big-endian: numbers in order are keys in order. */
static inline void peer_key(uint8_t key[8], uint64_t number)
{
    for (int i = 0; i < 8; i++) {
        key[i] = (uint8_t)(number >> (56 - 8 * i));
    }
}

#endif
