/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * direct.h -- libcommitlog by its own interface, for questions that the interface of all engines
 * does not reach: options, levels, a reader in another process.
 *
 * Failure: bench_die with the library's own sentence.
 */
#ifndef BENCH_SUPPORT_DIRECT_H
#define BENCH_SUPPORT_DIRECT_H

#include <stdbool.h>
#include <stdint.h>

#include "commitlog.h"

struct bench_engine;

/* Dies unless code is COMMITLOG_OK. `err` may be NULL. */
void direct_need(int32_t code, const char *what, const struct commitlog_error *err);

/* True: one of libcommitlog's variants, whose "engine" option is in *out. */
bool direct_is(const struct bench_engine *engine, const char **out);

/* `options`: "NAME=VALUE,NAME=VALUE" as commitlog_options_set_text takes them; NULL: defaults. */
struct commitlog_store *direct_open(const char *directory, const char *options);
/* The topic, made with `queues` queues unless it is there or that is 0. */
uint32_t direct_topic(struct commitlog_store *store, const char *name, uint32_t queues);
void direct_close(struct commitlog_store *store);

/* Reads records [0, count) of queue 0 of the topic; dies unless each is bench_body of its offset
 * and no more are there. */
void direct_check(struct commitlog_store *store, uint32_t topic, uint64_t count, uint32_t bytes);

#endif
