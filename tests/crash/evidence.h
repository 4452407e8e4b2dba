/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * evidence.h -- what a writer was told before it was killed, and the proof that it is still there.
 *
 * Owns: the acknowledgements read from the writer's pipe, over all rounds of one store.
 * Invariants: evidence lives in another process than the writer; it is made of receipts and a hash
 *       of the body only, so that nothing of the library can repair it.
 */
#ifndef TESTS_CRASH_EVIDENCE_H
#define TESTS_CRASH_EVIDENCE_H

#include "../support/prog.h"

enum { KILL_TOPICS = 3, KILL_QUEUES = 4, KILL_THREADS = 3 };
#define KILL_MAGIC UINT64_C(0x6c6f67206b696c6c)

/* Front of every body but empty ones: a record proves itself, acknowledged or not. */
struct body_head {
    uint64_t magic;
    uint64_t seed; /* of the bytes behind */
    uint64_t bytes;
    uint64_t batch; /* 0: none */
    uint32_t batch_count;
    uint32_t batch_index;
};

/* One acknowledgement as it goes over the pipe. */
struct ack {
    uint64_t position;
    uint64_t offset;
    uint64_t hash;
    uint64_t bytes;
    int64_t time;
    uint32_t topic; /* index of the name, not the library's number */
    uint32_t queue;
    uint32_t level;
    uint32_t epoch;
};

struct evidence {
    struct ack *acks;
    uint32_t count;
    uint32_t room;
};

struct verdict {
    uint64_t lost;    /* acknowledged, not found */
    uint64_t altered; /* found, different */
    uint64_t broken;  /* gaps, time or epochs going back, torn batches, bodies that do not prove */
    uint64_t found;
    char first[200]; /* the first complaint */
};

void evidence_add(struct evidence *evidence, const struct ack *ack);
void evidence_free(struct evidence *evidence);

/*
 * Reads the whole store and compares. `least`: acknowledgements below this level may be gone (the
 * private stage). `forget`: index of an acknowledgement whose record is treated as if it had not
 * been read, to prove that a loss is noticed; UINT32_MAX for none.
 */
void evidence_check(const struct evidence *evidence, struct commitlog_store *store, uint32_t least,
                    uint32_t forget, struct verdict *out);

size_t kill_topic_name(uint32_t index, char out[32]);

#endif
