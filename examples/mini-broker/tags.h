/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tags.h - the tag of a message as the store has it.
 *
 * A client's tag is as long as it likes, one of the store TAG_BYTES_MAX bytes. For a longer one a
 * substitute stands in the record and in what cursors select by; the message keeps its own tag
 * among its properties, by which each client looks once more.
 *
 * Owns: nothing. Invariants: 1. the same tag has the same substitute, in each process: it is on
 * disk; 2. a substitute is no tag that a property can have. Threads: any.
 */
#ifndef MINI_BROKER_TAGS_H
#define MINI_BROKER_TAGS_H

#include "bytes.h"

enum { TAG_BYTES_MAX = 255, TAG_SUBSTITUTE_BYTES = 22 };

static inline bool tag_is_long(struct text tag)
{
    return tag.bytes > TAG_BYTES_MAX;
}

/* The tag itself, or what stands for a long one, written to `to`. */
struct text tag_stored(struct text tag, char to[TAG_SUBSTITUTE_BYTES]);

#endif
