/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config_store.h - the file of what the broker itself keeps: settings of topics and of groups.
 *
 * Owns: DATA/broker.json. Invariants: 1. the file is always whole: a new one takes its place by
 * rename(2) once it is on disk; 2. what config_save has returned true for survives a power cut.
 * Offsets are not here but in the store. Threads: the loop's.
 */
#ifndef MINI_BROKER_CONFIG_STORE_H
#define MINI_BROKER_CONFIG_STORE_H

#include "broker.h"

/* Topics and groups from the file; true also when there is no file yet. */
bool config_load(struct broker *broker);
/* Something changed: the file is written soon. */
void config_changed(struct broker *broker);
/* Now, if anything changed. */
bool config_save(struct broker *broker);
/* What is in this folder by name stays there in a power cut. */
bool config_sync_folder(const char *path);
bool config_start(struct broker *broker);
void config_stop(struct broker *broker);

#endif
