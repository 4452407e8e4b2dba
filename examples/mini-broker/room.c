/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * room.c - see room.h.
 *
 * What is left of a segment takes small messages for some time after it has refused a large one,
 * and offsets for longer, so a success alone does not tell that there is room. Nobody may send at
 * all; but the store goes on to try for its next segment, ten times a second, and counts what
 * fails. Happy path: never full. Failure modes: a library that counts nothing of this name: it is
 * told that there is room too early, and again that there is none with the next message.
 */
#include "room.h"

#include "log.h"
#include "stat.h"

enum { QUIET_MS = 600 };

static bool has_tried_again(struct broker *broker)
{
    const uint64_t tries = stat_of(broker, "segments_refused_no_space");
    if (tries == broker->room.tries)
        return false;
    broker->room.tries = tries;
    broker->room.tried_ms = (int64_t)uv_now(&broker->loop);
    return true;
}

static void room_ends(struct broker *broker)
{
    broker->room = (struct room){0};
    log_line(LOG_INFO, "there is room on the disk again");
}

int32_t room_told(struct broker *broker, int32_t code, size_t bytes)
{
    struct room *room = &broker->room;
    if (code == COMMITLOG_OK && room->refused_bytes > 0 && bytes >= room->refused_bytes)
        room_ends(broker);
    if (code != COMMITLOG_ENOSPC)
        return code;
    if (room->refused_bytes == 0)
        log_line(LOG_ERROR, "messages are refused: the disk is full");
    (void)has_tried_again(broker);
    room->tried_ms = (int64_t)uv_now(&broker->loop);
    room->refused_bytes = bytes > room->refused_bytes ? bytes : room->refused_bytes;
    return code;
}

bool room_is_full(struct broker *broker)
{
    const struct room *room = &broker->room;
    if (room->refused_bytes > 0 && !has_tried_again(broker) &&
        (int64_t)uv_now(&broker->loop) - room->tried_ms >= QUIET_MS)
        room_ends(broker);
    return room->refused_bytes > 0;
}
