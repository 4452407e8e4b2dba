/*
 * registry.h -- what a claim needs to know of topics and queues.
 *
 * Owns: topic by name and by id, queue by number, and of each queue the next offset to hand out.
 * Invariants: 1. a topic owns a run of queue numbers for each of its growth steps, no two topics
 * the same one; 2. next_offset never decreases; 3. topics, steps and queues are never removed and
 * never move in memory; 4. keys go to the queues [0, routed), which end where a step ends; 5. a
 * topic without queues is no topic but its id and name, kept for when it is added. Threads and
 * locks: look-ups by id and number from any thread without a lock (what they return was
 * complete before its number was handed out); adding and look-up by name take `lock`; next_offset,
 * defined_base and, in a writer, `routed` belong to whoever holds the claim lock of the log, or to
 * the only thread there is while a store opens. Failure modes: COMMITLOG_ENOMEM, COMMITLOG_ELIMIT;
 * nothing is added then.
 */
#ifndef CLG_LOG_REGISTRY_H
#define CLG_LOG_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "commitlog.h"

#include "base/attr.h"
#include "base/order.h"
#include "format/limits.h"
#include "os/lock.h"
#include "os/os.h"

/* 2 MiB of queues: all chunks but the first are on huge pages, and of the first only what is used
 * takes memory. */
#define CLG_REGISTRY_CHUNK 131072u
#define CLG_REGISTRY_CHUNKS 128u /* 16,777,216 queues, as many topics */

/* Queues [from, from + queues) of a topic, which have the numbers from first_queue on. */
struct clg_topic_step {
    uint32_t from;
    uint32_t first_queue;
    uint32_t queues;
};

/* Of a topic that has grown, or is to: its creation is step 0. */
struct clg_topic_growth {
    uint64_t changed_at; /* position of the newest growth or shrink; claim lock */
    /* One behind those that are shown: the numbers are the topic's already; under the registry's
     * lock. */
    struct clg_topic_step steps[CLG_GROWTH_STEPS_MAX];
};

struct clg_topic {
    uint32_t id;             /* dense from 0, valid for this open store only */
    uint32_t first_queue;    /* number of its queue 0 */
    _Atomic uint32_t queues; /* that there are, of all steps; ORDER(growth-1) */
    _Atomic uint32_t routed; /* that keys are routed among; ORDER(growth-1) */
    _Atomic uint32_t grown;  /* steps behind the creation; ORDER(growth-1) */
    uint32_t name_bytes;
    uint64_t name_hash;    /* seed of its key hashes */
    uint64_t defined_base; /* segment that holds its newest definitions; UINT64_MAX: none */
    uint64_t defined_end;  /* of its first one, if this session has made it; under the same lock */
    uint64_t claim_mark;   /* ticket of the claim that last looked at it: each topic once */
    char *name;            /* ends in NUL; lies in one of the registry's blocks */
    struct clg_topic_growth *growth; /* only to be looked at if it has grown, or under `lock` */
};

struct clg_queue {
    uint64_t next_offset;
    uint32_t owner; /* id of its topic + 1; 0: no topic has this number (yet) */
    uint32_t index; /* in its topic */
};

static inline uint32_t clg_topic_queues(const struct clg_topic *topic)
{
    return clg_load_acquire_u32(&topic->queues); /* ORDER(growth-1) acquire */
}

static inline uint32_t clg_topic_routed(const struct clg_topic *topic)
{
    return clg_load_acquire_u32(&topic->routed); /* ORDER(growth-1) acquire */
}

/* Steps it has, its creation counted. */
static inline uint32_t clg_topic_steps(const struct clg_topic *topic)
{
    return clg_load_acquire_u32(&topic->grown) + 1; /* ORDER(growth-1) acquire */
}

struct clg_topic_step clg_topic_step(const struct clg_topic *topic, uint32_t step);
/* The step that has the queue of this index. */
uint32_t clg_topic_step_of(const struct clg_topic *topic, uint32_t index);

/* Number of the queue of this index. */
static inline uint32_t clg_topic_number(const struct clg_topic *topic, uint32_t index)
{
    if (CLG_LIKELY(clg_topic_steps(topic) == 1)) {
        return topic->first_queue + index;
    }
    struct clg_topic_step step = clg_topic_step(topic, clg_topic_step_of(topic, index));
    return step.first_queue + (index - step.from);
}

struct clg_registry_slot {
    uint32_t topic; /* id + 1; 0: free */
    uint32_t hash;  /* the low half of the name's: most others are told apart by it */
};

struct clg_registry_names; /* registry.c */

struct clg_registry {
    const struct commitlog_os *os;
    struct clg_mutex lock;
    _Atomic uint32_t topic_count;
    _Atomic uint32_t queue_count;
    struct clg_topic *topics[CLG_REGISTRY_CHUNKS];
    struct clg_queue *queues[CLG_REGISTRY_CHUNKS];
    uint32_t spoken_for; /* numbers below are in records, maybe of no topic known; under lock */
    bool is_claimed;     /* a claim says where keys go, and no fold of what was claimed before */
    struct clg_registry_slot *slots; /* open addressing by name */
    uint32_t slot_count;
    struct clg_registry_names *names; /* newest block first */
};

CLG_MUST_CHECK int clg_registry_init(struct clg_registry *registry, const struct commitlog_os *os);
void clg_registry_deinit(struct clg_registry *registry);

/* COMMITLOG_ENOTFOUND if there is none of this name. */
CLG_MUST_CHECK int clg_registry_find(struct clg_registry *registry, const void *name,
                                     size_t name_bytes, struct clg_topic **out);

/* Adds a topic whose queues are [first_queue, first_queue + queues) (UINT32_MAX: the next numbers).
 * One that exists in the same shape is returned; another shape, or numbers that another topic has,
 * are COMMITLOG_EEXIST. */
CLG_MUST_CHECK int clg_registry_add(struct clg_registry *registry, const void *name,
                                    size_t name_bytes, uint32_t first_queue, uint32_t queues,
                                    struct clg_topic **out);

/* The topic of exactly this name, first number and number of queues when it was created, found by
 * the number: NULL if there is none. For who meets definitions of what is there already: no lock,
 * no search. */
struct clg_topic *clg_registry_same(const struct clg_registry *registry, const void *name,
                                    size_t name_bytes, uint32_t first_queue, uint32_t queues);

/* Gives the topic the numbers [first_queue, first_queue + queues) (UINT32_MAX: the next ones) for
 * its next step, which is not shown yet; or finds that the step is there, with these. EEXIST: with
 * others, or another topic has them; EINVAL: not the next step, or no whole factor. */
CLG_MUST_CHECK int clg_registry_add_step(struct clg_registry *registry, struct clg_topic *topic,
                                         uint32_t step, uint32_t first_queue, uint32_t queues);
/* The step that was added is the topic's, for everybody to see. */
void clg_registry_show_step(struct clg_registry *registry, struct clg_topic *topic, uint32_t step);
/* Keys go to the steps up to `step`. By whoever holds the claim lock. */
void clg_registry_route(struct clg_topic *topic, uint32_t step);

/* The topics of another registry have their ids in this one, which has none yet, each as soon as it
 * is added: until then it has none but that. COMMITLOG_ENOMEM. */
CLG_MUST_CHECK int clg_registry_keep(struct clg_registry *registry,
                                     const struct clg_registry *before);

/* Those of them that were not added have the queues that they were created with there, if nobody
 * has their numbers. COMMITLOG_ENOMEM. */
CLG_MUST_CHECK int clg_registry_keep_queues(struct clg_registry *registry,
                                            const struct clg_registry *before);

/* NULL when there is none of this number. */
struct clg_topic *clg_registry_topic(const struct clg_registry *registry, uint32_t id);
struct clg_queue *clg_registry_queue(const struct clg_registry *registry, uint32_t number);
/* The topic that has the queue of this number, NULL if none has; *out_index (may be NULL): where.
 */
struct clg_topic *clg_registry_owner(const struct clg_registry *registry, uint32_t number,
                                     uint32_t *out_index);
uint32_t clg_registry_topic_count(const struct clg_registry *registry);
uint32_t clg_registry_queue_count(const struct clg_registry *registry);

/* A new topic gets no number below `numbers`: records of the log carry them. Their topic may have
 * lost its definition, and must not find its messages among another's. */
void clg_registry_skip(struct clg_registry *registry, uint32_t numbers);

/* The next offset becomes at least `next`: refolding and recovery. */
void clg_registry_raise_next(struct clg_registry *registry, uint32_t number, uint64_t next);

#endif
