# SPDX-License-Identifier: BSD-2-Clause
"""work1.py - consumer groups of format version 1: how far each has consumed, and what of single
messages behind that it has given out and done.

Part of walk.py. What is said of single messages is kept message by message, not in runs. A message
that was given out too often is delivered again as a dead letter, by reference or as a copy, in one
batch with the record that says that it is done where it was.
"""
from format1 import (HOLE, NO_LINK, NO_QUEUE, ORIGIN_BYTES, REFERENCE, WORK, Bytes, need, same)

SETTINGS, OFFSETS, DELETE, RESET = 1, 2, 3, 4  # operations of a group record
PENDING, DONE = 1, 2
EXPIRED, REFUSED = 4, 5                        # why a message is a dead letter
NAMES = {SETTINGS: "settings", OFFSETS: "offsets", DELETE: "delete", RESET: "reset"}
STATES, REASONS = {PENDING: "pending", DONE: "done"}, {EXPIRED: "expired", REFUSED: "refused"}
DUE_MAX, OFFSET_MAX = 9223372036854, (1 << 63) - 1


class Groups:
    def __init__(self):
        self.groups = {}   # name: [epoch, flags, settings at, newest at, {queue: (offset, at)}]
        self.work = {}     # (name, queue): {offset: (state, attempts, visible)}
        self.entries = {}  # (queue, offset): what lies there
        self.first = {}    # queue: its first offset that is kept
        self.letter = None  # a dead letter whose message is not done yet

    def take(self, record, members):
        """Each record of the log in its order; `members` of its batch are left behind it."""
        if self.letter is not None:
            same(record.where, "what follows a dead letter", record.kind, WORK)
        if record.has_entry():
            self.first.setdefault(record.queue, record.offset)
            self.entries[record.queue, record.offset] = record
        if record.origin is not None:
            self.dead(record)
            same(record.where, "what is left of the batch of a dead letter", members, 1)

    def head(self, record, body, fixed):
        """Group and place of the entries."""
        size = body.u16(2)
        same(body.where, "must be zero", body.u8(1), 0)
        need(1 <= size <= 255, body.where, "name")
        same(record.where, "attributes", record.attributes, b"")
        return body.take(fixed, size).decode("utf-8"), (fixed + size + 7) // 8 * 8

    def group(self, record, body):
        what, epoch, flags, count = body.u8(0), body.u32(4), body.u32(8), body.u32(12)
        need(SETTINGS <= what <= RESET and count <= 2048, body.where, "limits")
        need((count > 0) == (what in (OFFSETS, RESET)), body.where, "entries")
        need(flags <= (what == SETTINGS), body.where, "flags")
        name, at = self.head(record, body, 16)
        same(body.where, "size", len(record.body), at + 16 * count)
        group = self.groups.setdefault(name, [0, 0, NO_LINK, NO_LINK, {}])
        group[0], group[3] = epoch, record.position
        record.says = {"group": name, "operation": NAMES[what], "group_epoch": epoch, "entries": []}
        if what == SETTINGS:
            group[1], group[2] = flags, record.position
            record.says["keep"] = flags == 1
        before = -1
        for _ in range(count):
            queue, offset = body.u32(at), body.u64(at + 8)
            need(before < queue < NO_QUEUE, body.where, "queue of an entry")
            same(body.where, "must be zero", body.u32(at + 4), 0)
            group[4][queue] = (offset, record.position)
            record.says["entries"].append({"queue_number": queue, "offset": offset})
            self.forget(name, queue, offset if what == OFFSETS else OFFSET_MAX + 1)
            before = queue
            at += 16
        if what == DELETE:
            del self.groups[name]
            self.work = {key: said for key, said in self.work.items() if key[0] != name}
        body.room_is_zero()

    def forget(self, name, queue, below):
        said = self.work.get((name, queue), {})
        for offset in [each for each in said if each < below]:
            del said[offset]

    def given(self, record, body, ends):
        """A work record; `ends`: of each queue, where the messages before it end."""
        what, count = body.u8(0), body.u32(4)
        need(what == 1 and 1 <= count <= 2048, body.where, "limits")
        name, at = self.head(record, body, 8)
        same(body.where, "size", len(record.body), at + 32 * count)
        need(name in self.groups, body.where, f"no group {name}")
        offsets, buried = self.groups[name][4], False
        record.says = {"group": name, "operation": "work", "entries": []}
        for here in range(at, at + 32 * count, 32):
            queue, messages, offset = body.u32(here), body.u32(here + 4), body.u64(here + 8)
            says = entry(body, body.u32(here + 28), body.u32(here + 24), body.u64(here + 16))
            record.says["entries"].append(
                {"queue_number": queue, "offset": offset, "count": messages,
                 "state": STATES[says[0]], "attempts": says[1], "visible_at_ms": says[2]})
            need(messages > 0 and offset + messages <= ends.get(queue, 0), body.where,
                 f"messages that queue {queue} does not have")
            need(offset >= offsets.get(queue, (0, 0))[0], body.where, "below what is consumed")
            said = self.work.setdefault((name, queue), {})
            if self.letter is not None:
                same(body.where, "what is done with a dead letter",
                     (queue, offset, messages, says[0]), self.letter.origin[:2] + (1, DONE))
                before = said.get(offset, (0, 0, 0))
                same(body.where, "how often it was given out", before[:2],
                     (PENDING, self.letter.origin[2]))
                need(self.letter.origin[3] != EXPIRED or before[2] * 1000000 <= record.time,
                     body.where, "a dead letter before its time was over")
                buried = True
            for each in range(offset, offset + messages):
                state, attempts, visible = said.get(each, (PENDING, 0, 0))
                need(says[0] == DONE or (state == PENDING and (
                    says[1] == attempts or
                    (says[1] == attempts + 1 and visible * 1000000 <= record.time))), body.where,
                     f"given out: offset {each} of queue {queue}, state {state}, {attempts} times, "
                     f"until {visible}")
                said[each] = says
        same(body.where, "whether a dead letter is done", buried, self.letter is not None)
        self.letter = None
        body.room_is_zero()

    def dead(self, record):
        """It is what lies where it says that it comes from."""
        queue, offset, attempts, reason = record.origin
        need(reason in (EXPIRED, REFUSED) and 1 <= attempts, record.where, "reason and attempts")
        self.letter = record
        there = self.entries.get((queue, offset))
        if there is None:
            need(offset < self.first.get(queue, 0), record.where, "comes from nowhere")
            return
        need(there.position < record.position and there.kind != HOLE, record.where, "comes from")
        original = there if there.kind != REFERENCE else there.original
        if record.kind == REFERENCE:
            same(record.where, "original", record.refers_to, there.refers_to or there.position)
        elif original is not None:
            before = 0 if original.origin is None else ORIGIN_BYTES
            same(record.where, "attributes", record.attributes[ORIGIN_BYTES:],
                 original.attributes[before:])
            same(record.where, "body", record.body, original.body)


def entry(data, state, attempts, visible):
    """What is said of messages, in a record or in a section of state."""
    need(state in (PENDING, DONE), data.where, f"state {state}")
    if state == DONE:
        same(data.where, "attempts and time of what is done", (attempts, visible), (0, 0))
    need(state == DONE or 1 <= attempts <= 65535, data.where, f"{attempts} attempts")
    need(visible <= DUE_MAX, data.where, f"visible at {visible}")
    return state, attempts, visible


def told_of_work(record, message, read, names):
    """The fields of a line of JSON that only groups, work and dead letters have."""
    out, origin = {} if read else dict(record.says), record.origin or message.origin
    if origin is not None:
        queue, out["origin_offset"], out["attempts"], reason = origin
        out["reason"] = REASONS[reason]
        if record.kind == REFERENCE and not read:
            out["origin_queue_number"] = queue
        else:
            out["origin_topic"], out["origin_queue"] = names.get(queue, (None, None))
    return out


def state_groups(data, groups):
    """Section 4: groups."""
    at, found = 0, {}
    while at < len(data.data):
        epoch, flags, size, count = (data.u32(at + i) for i in (0, 4, 8, 12))
        settings, newest = data.u64(at + 16), data.u64(at + 24)
        name = data.take(at + 40, size).decode("utf-8")
        at += 40 + (size + 7) // 8 * 8
        offsets = {}
        for _ in range(count):
            same(data.where, "must be zero", data.u32(at + 4), 0)
            offsets[data.u32(at)] = (data.u64(at + 8), data.u64(at + 16))
            at += 24
        found[name] = [epoch, flags, settings, newest, offsets]
    same(data.where, "length", at, len(data.data))
    same(data.where, "groups", found, groups.groups)


def state_work(data, groups):
    """Section 7: of each group and queue the runs of messages of which the same is said."""
    at, found = 0, {}
    while at < len(data.data):
        queue, size, runs = data.u32(at), data.u32(at + 4), data.u32(at + 8)
        same(data.where, "must be zero", data.u32(at + 12), 0)
        need(1 <= size <= 255 and runs > 0, data.where, "limits")
        key = data.take(at + 16, size).decode("utf-8"), queue
        need(key not in found, data.where, f"{key} twice")
        said, end = found.setdefault(key, {}), 0
        most = max(groups.work.get(key) or [-1]) + 1
        at += (16 + size + 7) // 8 * 8
        for at in range(at, at + 32 * runs, 32):
            offset, count = data.u64(at), data.u32(at + 16)
            says = entry(data, data.u32(at + 24), data.u32(at + 20), data.u64(at + 8))
            same(data.where, "must be zero", data.u32(at + 28), 0)
            need(end <= offset < offset + count <= most, data.where,
                 f"a run of {count} at {offset}, between {end} and {most}")
            end = offset + count
            said.update((each, says) for each in range(offset, end))
        at += 32
    same(data.where, "length", at, len(data.data))
    same(data.where, "work", found, {key: said for key, said in groups.work.items() if said})
