#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""walk.py - a second reader of format version 1, written from commitlog-format(5) alone.

walk.py STORE [TOPIC...] prints what `commitlog dump --json STORE` prints for a store that was
closed, then what `commitlog read --json STORE -t TOPIC` prints for each topic, and of each open
transaction what `commitlog tx list --json STORE` tells but for the clock, with its messages. On the
way it holds every byte of the files to the tables of that page: what a field must be, and that room
is zero.
Nothing of the library is used. XXH3 is not in Python's standard library, so checks and hashes are
taken as they are; the library verifies them. Says "checks: N" on standard error; exit 1 at the
first difference, which is named by file, place and field.
"""
import json
import os
import sys

sys.dont_write_bytecode = True  # nothing is written in this folder

import format1
from checkpoint1 import checkpoint, lock
from expiry1 import Expiry, state_expiry, told_of_expiry
from format1 import (BATCH, EPOCH, FIRST, GROUP, HOLE, KINDS, MESSAGE, NO_LINK, NO_QUEUE, PAD,
                     PRODUCER, REFERENCE, TOMBSTONE, TOPIC, WORK, Bytes, Segment, common_header,
                     need, same, text)
from timers1 import Timers, state_timers, told
from topics1 import state_topics
from transactions1 import Transactions, state_transactions, told_of_transactions
from work1 import Groups, state_groups, state_work, told_of_work


# ---- what the records mean ---------------------------------------------------------------------


class Log:
    """Queues and topics as they come out of the records, in the order of the log."""

    def __init__(self):
        self.names = {}        # queue number: (name, queue in the topic)
        self.steps = {}        # name: first queue and number of queues of each growth step
        self.active = {}       # name: steps that keys go to
        self.marks = {}        # name, step: position and marks of its newest growth
        self.next_offset = {}  # queue number: offset
        self.defined = set()   # first queues of definitions in this segment
        self.pairs = {}        # queue number: base of the newest segment with a pair for it
        self.time, self.epoch, self.members, self.member_bytes = 0, None, 0, 0
        self.first, self.session, self.base, self.holes = None, None, 0, 0
        self.started = None    # epoch, end of the log, session
        self.producers = {}    # id: [epoch, sequence, carried at, receipts]; last heard last
        self.timers, self.groups = Timers(), Groups()
        self.transactions, self.expiry = Transactions(self.timers.messages), Expiry()

    def begin_segment(self, segment):
        self.defined.clear()
        self.base = segment.base
        same(segment.bytes.where, "members left of a batch", self.members, 0)

    def take(self, record):
        where = record.where
        need(record.time >= self.time, where, "store time decreases")
        # After retention the log begins somewhere inside a session.
        before = record.epoch if self.epoch is None else self.epoch
        need(record.epoch >= before, where, "epoch decreases")
        if record.epoch > before and record.kind != PAD:
            same(where, "first record of a session", record.kind, EPOCH)
        self.time = record.time
        self.epoch = before if record.kind == PAD else record.epoch
        if record.durable is not None:
            need(record.durable <= record.position, where, "durable beyond itself")
        need(not record.member or self.members > 0, where, "a member of no batch")
        if self.members > 0:
            self.members -= 1
            self.member_bytes -= record.size
            need(self.member_bytes >= 0, where, "members larger than their batch says")
            if self.members == 0:
                same(where, "bytes of the batch that are left", self.member_bytes, 0)
        meaning = {BATCH: self.batch, TOPIC: self.topic, EPOCH: self.begin, FIRST: self.kept,
                   GROUP: self.groups.group, PRODUCER: self.producer, WORK: self.given}
        if record.kind in meaning:
            meaning[record.kind](record, Bytes(record.body, f"body of {where}"))
        elif record.has_entry():
            need(record.queue in self.names, where, f"queue {record.queue} is not defined")
            need(any(first <= record.queue < end for first, end in self.defined), where,
                 "no definition in its segment")
            self.routed(record)
            self.entry(record)
        elif record.kind == HOLE:
            self.holes += 1
        if record.producer is not None and record.origin is None and \
                (record.deliver is None or record.deliver[1] == 0):
            self.produced(record)  # what is stored again of another message is nobody's append
        self.timers.take(record, self.names.get(record.queue, (None, 0))[0])
        self.groups.take(record, self.members)
        self.transactions.take(record, self.members)
        self.expiry.take(record)
        if record.kind in (PAD, BATCH, EPOCH, FIRST, GROUP, PRODUCER, TOMBSTONE, WORK):
            same(where, "queue", (record.queue, record.offset), (NO_QUEUE, 0))

    def entry(self, record):
        """The next offset of its queue; salvage may have left some out, and a hole of no queue."""
        expected = self.next_offset.get(record.queue, record.offset)
        if record.offset > expected and self.holes > 0:
            self.holes -= record.offset - expected
            need(self.holes >= 0, record.where, "more offsets left out than there are holes")
        else:
            same(record.where, "queue offset", record.offset, expected)
        self.next_offset[record.queue] = record.offset + 1

    def routed(self, record):
        """A message that was appended, not delivered later, is in a queue that keys go to."""
        name, index = self.names[record.queue]
        if record.kind == MESSAGE and record.origin is None and record.deliver is None:
            routed = sum(count for _, count in self.steps[name][:self.active[name]])
            need(index < routed, record.where, f"queue {index} of {routed}")

    def batch(self, record, body):
        same(body.where, "size", len(record.body), 24)
        self.members, self.member_bytes = body.u32(0), body.u64(8)
        need(1 <= self.members <= 1048576 and self.member_bytes <= 0x3ffffff8, body.where, "limits")
        same(body.where, "must be zero", body.u32(4), 0)

    def begin(self, record, body):
        same(body.where, "size", len(record.body), 16)
        need(body.u64(0) <= record.position, body.where, "end of the log when the session began")
        words = (record.epoch, body.u64(0), body.u64(8))
        if self.started is not None and self.started[0] == record.epoch:
            same(body.where, "the session's words", words, self.started)
        self.started, self.session = words, body.u64(8)

    def kept(self, record, body):
        same(body.where, "size", len(record.body), 8)
        self.first = body.u64(0)
        same(body.where, "first modulo a page", self.first % 4096, 0)

    def given(self, record, body):
        self.groups.given(record, body, self.next_offset)

    def produced(self, record):
        """A message of an idempotent producer: the last five are remembered."""
        number, sequence, epoch = record.producer
        known = self.producers.pop(number, [epoch, 0, 0, []])
        if (epoch, sequence) != (known[0], known[1] + 1):
            known[3] = []
        receipt = (record.position, record.position + record.size, record.offset, record.time,
                   record.epoch)
        self.producers[number] = [epoch, sequence, known[2], (known[3] + [receipt])[-5:]]

    def producer(self, record, body):
        what, number, state = producer_body(body, len(record.body))
        if what == 2:
            self.producers.pop(number, None)
        else:  # where it is in the order it stays
            self.producers[number] = [state[0], state[1], record.position, state[2]]
        body.room_is_zero()

    def topic(self, record, body):
        first, count, word, name_bytes, pairs = (body.u32(at) for at in (0, 4, 8, 12, 16))
        step, marked, closed = word & 0x3fffffff, word >> 31, word >> 30 & 1
        same(body.where, "must be zero", body.u32(20), 0)
        need(1 <= count <= 16777216 and step <= 31 and 1 <= name_bytes <= 255, body.where, "limits")
        need(word == 0 or (step > 0 and not (marked and closed)), body.where, "growth step")
        need(pairs <= count, body.where, "more pairs than queues")
        same(body.where, "queue of the record", record.queue, first)
        same(body.where, "offset of the record", record.offset, 0)
        name = body.take(24, name_bytes).decode("utf-8")
        at = 24 + (name_bytes + 7) // 8 * 8
        same(body.where, "size", len(record.body), at + 16 * pairs)
        steps = self.steps.setdefault(name, [])
        need(step <= len(steps), body.where, "a step before it is not defined")
        begin = sum(queues for _, queues in steps[:step])
        need(step == 0 or count % begin == 0, body.where, "not a whole factor")
        for queue in range(count):
            same(body.where, f"name of queue {first + queue}",
                 self.names.setdefault(first + queue, (name, begin + queue)), (name, begin + queue))
        if step == len(steps):
            steps.append((first, count))
        same(body.where, f"step {step}", (first, count), steps[step])
        active = self.active.get(name, 1)
        self.active[name] = step + 1 if marked else min(active, step) if closed else \
            max(active, step + 1)
        self.defined.add((first, first + count))
        if marked:
            self.grown(record, body, name, step, at, pairs)
            return
        before = -1
        for _ in range(pairs):
            index, offset = body.u32(at), body.u64(at + 8)
            need(before < index < count, body.where, "index of a pair")
            same(body.where, "must be zero", body.u32(at + 4), 0)
            same(body.where, f"next offset of queue {index}", offset,
                 self.next_offset.setdefault(first + index, offset))
            self.pairs[first + index] = self.base
            before = index
            at += 16
        body.room_is_zero()

    def grown(self, record, body, name, step, at, pairs):
        """A growth: the marks are where its parents have come to."""
        parents = [first + i for first, count in self.steps[name][:step] for i in range(count)]
        found, before = {}, -1
        for _ in range(pairs):
            index, offset = body.u32(at), body.u64(at + 8)
            need(before < index < len(parents), body.where, "index of a mark")
            same(body.where, "must be zero", body.u32(at + 4), 0)
            same(body.where, f"mark of queue {index}", offset,
                 self.next_offset.setdefault(parents[index], offset))
            found[index] = offset
            before = index
            at += 16
        for index, number in enumerate(parents):
            same(body.where, f"mark of queue {index}", found.get(index, 0),
                 self.next_offset.get(number, 0))
        self.marks[name, step] = record.position, found
        body.room_is_zero()

    def delivered(self, record):
        """The topic, if it is a message of one or refers to one that is still there."""
        there = record.kind == MESSAGE or record.original is not None
        return self.names[record.queue][0] if there and record.has_entry() else None

    def json(self, record, message=None):
        """A line of `dump --json`, or of `read --json`: of a message, which may lie elsewhere."""
        here = self.names.get(record.queue) if record.has_entry() else None
        read, message = message is not None, message or record
        out = {"position": record.position, "kind": KINDS[record.kind], "size": record.size,
               "topic": here and here[0], "queue": here and here[1],
               "queue_offset": here and record.offset, "store_time_ns": record.time,
               "time_ms": record.time // 1000000, "epoch": record.epoch,
               "keys": [text(key) for key in message.keys], "tag": text(message.tag)}
        if message.producer_time is not None:
            out["time_ms"] = message.producer_time
        out.update(told(record, message, read))
        out.update(told_of_work(record, message, read, self.names))
        out.update(told_of_transactions(record, read))
        out.update(told_of_expiry(record))
        names = [name for name, _ in message.headers]
        if len(set(names)) == len(names) and all(isinstance(text(n), str) for n in names):
            out["headers"] = {text(name): text(value) for name, value in message.headers}
        else:
            out["headers"] = [[text(name), text(value)] for name, value in message.headers]
        body = text(message.body)
        out["body" if isinstance(body, str) else "body_base64"] = \
            body if isinstance(body, str) else body["base64"]
        if read:
            del out["kind"], out["size"]
        return json.dumps(out, ensure_ascii=False)


def producer_body(data, size, at=0):
    """Of a record or in a section of state: operation, id, (epoch, sequence, receipts)."""
    what, epoch, number, sequence, count = (data.u32(at), data.u32(at + 4), data.u64(at + 8),
                                            data.u64(at + 16), data.u32(at + 24))
    same(data.where, "must be zero", data.u32(at + 28), 0)
    need(1 <= what <= 2 and number != 0 and 0 < sequence < 1 << 63, data.where, "limits")
    need((1 <= count <= 5) if what == 1 else count == 0, data.where, "entries")
    same(data.where, "size", size, 32 + 40 * count)
    receipts = []
    for here in range(at + 32, at + size, 40):
        receipts.append((data.u64(here), data.u64(here + 8), data.u64(here + 16),
                         data.i64(here + 24), data.u32(here + 32)))
        same(data.where, "must be zero", data.u32(here + 36), 0)
    return what, number, (epoch, sequence, receipts)


# ---- derived files, CHECKPOINT, LOCK -----------------------------------------------------------


def view_header(data, letters, segment):
    """Common header and "what they belong to"; returns the number of entries."""
    head = Bytes(data.take(0, 256), f"{data.where} header")
    common_header(head, letters, 256, segment.uuid)
    same(head.where, "base", head.u64(64), segment.base)
    same(head.where, "salt", head.u64(72), segment.salt)
    same(head.where, "position up to which it is folded", head.u64(80), segment.end)
    return head


def link_target(ordinal):
    """The ordinal that jump leads to."""
    rest, last = ordinal, 0
    while rest > 0:
        last = (1 << (rest + 1).bit_length() - 1) - 1
        rest -= last
    return ordinal - last


class Lost:
    """An offset that salvage left out, before the next record of its queue."""

    def __init__(self, record, offset):
        self.where, self.offset = f"offset {offset} before {record.where}", offset
        self.kind, self.time, self.position = HOLE, record.time, record.position
        self.size, self.tag, self.header_check = 0, b"", 0


def queue_file(data, segment, files, timers):
    """Compares a .cq file with the records; returns its directory by index."""
    head = view_header(data, b"CLGQUEF", segment)
    entries, queues = head.u64(88), head.u32(96)
    head.take(104, 16)
    head.room_is_zero()
    expected = {}
    for record in segment.records:
        if record.has_entry():
            group = expected.setdefault(record.queue, [])
            while group and group[0].offset + len(group) < record.offset:
                group.append(Lost(record, group[0].offset + len(group)))
            group.append(record)
    same(data.where, "entries", entries, sum(map(len, expected.values())))
    same(data.where, "queues", queues, len(expected))
    same(data.where, "length", len(data.data), 256 + 64 * queues + 24 * entries)
    directory, index = [], 0
    for place, queue in enumerate(sorted(expected)):
        here, group = 256 + 64 * place, expected[queue]
        where = f"{data.where} queue {queue}"
        same(where, "queue number", data.u32(here), queue)
        same(where, "number of entries", data.u32(here + 4), len(group))
        same(where, "offset of the first", data.u64(here + 8), group[0].offset)
        same(where, "index of the first", data.u64(here + 16), index)
        same(where, "room", data.u32(here + 60), 0)
        line = {"queue": queue, "end": group[0].offset + len(group), "base": segment.base,
                "ordinal": data.u32(here + 56), "index": place,
                "prev": (data.u64(here + 24), data.u32(here + 40)),
                "jump": (data.u64(here + 32), data.u32(here + 44)), "jump end": data.u64(here + 48)}
        queue_links(where, line, files)
        directory.append(line)
        for k, record in enumerate(group):
            queue_entry(data, 256 + 64 * queues + 24 * (index + k), record, segment, timers)
        index += len(group)
    return directory


def queue_entry(data, at, record, segment, timers):
    extra = {MESSAGE: 0, HOLE: 1, REFERENCE: 2}[record.kind]
    where = f"{data.where} entry of {record.where}"
    same(where, "store time", data.i64(at), record.time)
    same(where, "place", data.u32(at + 8), (record.position - segment.base) // 8)
    same(where, "size", data.u32(at + 12), record.size + extra)
    tag_hash = data.u32(at + 16)
    if record.kind == REFERENCE:
        same(where, "hash of the tag", tag_hash, record.tag_hash)
    else:
        same(where, "whether it has a tag", tag_hash != 0, record.tag != b"")
        timers.tag(where, record.tag, tag_hash)
    same(where, "header check", data.u32(at + 20), record.header_check)


def queue_links(where, line, files):
    """Prev and jump lead where the ordinals say, unless retention took the file away."""
    before = {old["ordinal"]: old for directory in files for old in directory
              if old["queue"] == line["queue"]}
    n = line["ordinal"]
    if n == 0:
        same(where, "prev of the first", line["prev"][0], NO_LINK)
        same(where, "jump of the first", line["jump"][0], NO_LINK)
        same(where, "jump's end", line["jump end"], 0)
        return
    for name, target in (("prev", n - 1), ("jump", link_target(n))):
        if target in before:
            old = before[target]
            same(where, name, line[name], (old["base"], old["index"]))
            if name == "jump":
                same(where, "jump's end", line["jump end"], old["end"])
        else:
            need(line[name][0] < line["base"] or line[name][0] == NO_LINK, where,
                 f"{name} leads to no earlier file")


def key_file(data, segment, log):
    """Structure and places; of hashes those that references repeat, others are not computed."""
    head = view_header(data, b"CLGKEYF", segment)
    entries, bits = head.u64(88), head.u32(96)
    head.take(104, 16)
    head.room_is_zero()
    need(bits <= 24, data.where, "bits")
    words = (1 << bits) + 1
    at = 256 + (4 * words + 7) // 8 * 8
    same(data.where, "length", len(data.data), at + 8 * entries)
    starts = [data.u32(256 + 4 * p) for p in range(words)]
    same(data.where, "first word", starts[0], 0)
    same(data.where, "last word", starts[-1], entries)
    same(data.where, "order of the words", starts, sorted(starts))
    lines = [(data.u32(at + 8 * i), data.u32(at + 8 * i + 4)) for i in range(entries)]
    for begin, end in zip(starts, starts[1:]):
        part = lines[begin:end]
        same(data.where, "order of entries", part, sorted(part, key=lambda e: (e[0], -e[1])))
    found = {}  # by place: as much as is kept of the hashes
    for prefix, (begin, end) in enumerate(zip(starts, starts[1:])):
        for kept, place in lines[begin:end]:
            found.setdefault(place, []).append(prefix << 32 | kept)
    for record in segment.records:
        place = (record.position - segment.base) // 8
        if record.kind == REFERENCE and record.hashes is not None:
            same(data.where, f"hashes of {record.where}", sorted(found.pop(place, [])),
                 sorted({each >> (32 - bits) for each in record.hashes}))
        elif record.kind == MESSAGE and record.keys:
            here, topic = found.pop(place, []), log.names[record.queue][0]
            same(data.where, f"keys of {record.where}", len(here), len(set(record.keys)))
            for each in {log.timers.keys.get((topic, key)) for key in record.keys} - {None}:
                need(each >> (32 - bits) in here, data.where, f"hash of a key of {record.where}")
    same(data.where, "other places", found, {})


def state_file(data, uuid, log, segments, files):
    """Header and sections; those that are known are held to the log."""
    head = Bytes(data.take(0, 256), f"{data.where} header")
    common_header(head, b"CLGSTAT", 256, uuid)
    position, size = head.u64(64), head.u64(72)
    head.take(80, 8)
    head.u32(88)
    sections = head.u32(92)
    head.room_is_zero()
    same(data.where, "name", data.where, f"{position:020d}.state")
    need(sections <= 256, data.where, "number of sections")
    same(data.where, "length", len(data.data), 256 + size)
    at, found = 256, {}
    for _ in range(sections):
        number, size = data.u32(at), data.u64(at + 8)
        same(data.where, "must be zero", data.u32(at + 4), 0)
        found[number] = Bytes(data.take(at + 16, size), f"{data.where} section {number}")
        at += 16 + (size + 7) // 8 * 8
    same(data.where, "end of the sections", at, len(data.data))
    # Stores from before there were groups, producers, timers and so on lack their sections.
    need(sorted(found) in [list(range(1, end)) for end in (4, 6, 7, 8, 9, 10)], data.where,
         f"sections {sorted(found)}")
    # The goldens' states are those of a close: everything is folded.
    active = [segment for segment in segments if segment.records][-1]
    same(data.where, "position", position, active.end)
    state_segments(found[1], segments, active)
    state_topics(found[2], log, segments)
    state_queues(found[3], log, segments[0], active, files)
    state_groups(found.get(4, Bytes(b"", "no section 4")), log.groups)
    state_producers(found.get(5, Bytes(b"", "no section 5")), log)
    state_timers(found.get(6, Bytes(b"", "no section 6")), log.timers)
    state_work(found.get(7, Bytes(b"", "no section 7")), log.groups)
    state_transactions(found.get(8, Bytes(b"", "no section 8")), log.transactions)
    state_expiry(found.get(9, Bytes(b"", "no section 9")), log.expiry, segments)
    for section in found.values():
        section.room_is_zero()
    return position


def state_segments(data, segments, active):
    before = [segment for segment in segments if segment.base < active.base]
    same(data.where, "base", data.u64(0), active.base)
    same(data.where, "salt", data.u64(8), active.salt)
    same(data.where, "newest record", data.u64(16), active.records[-1].position)
    same(data.where, "its header check", data.u32(24), active.records[-1].header_check)
    same(data.where, "number of segments", data.u32(28), len(before))
    same(data.where, "length", len(data.data), 40 + 40 * len(before))
    for i, segment in enumerate(before):
        at = 40 + 40 * i
        line = (data.u64(at), data.u64(at + 8), data.u64(at + 16))
        same(data.where, f"segment {i}", line, (segment.base, segment.salt, segment.end))
        need(data.i64(at + 24) <= segment.records[0].time, data.where, "oldest store time")
        newest = max([record.time for record in segment.records if record.kind != PAD], default=0)
        need(data.i64(at + 32) >= newest, data.where, "newest store time")


def state_producers(data, log):
    at, found = 0, {}
    while at < len(data.data):
        carried, size = data.u64(at), data.u64(at + 8)
        what, number, (epoch, sequence, receipts) = producer_body(data, size, at + 16)
        same(data.where, "operation", what, 1)
        found[number] = [epoch, sequence, carried, receipts]
        at += 16 + size
    same(data.where, "length", at, len(data.data))
    same(data.where, "producers", list(found.items()), list(log.producers.items()))


def state_queues(data, log, first, active, files):
    same(data.where, "length", len(data.data) % 40, 0)
    queues = {}
    for at in range(0, len(data.data), 40):
        queue = data.u32(at)
        queues[queue] = (data.u64(at + 8), data.u64(at + 16), data.u32(at + 4), data.u32(at + 32))
        pair = data.u64(at + 24)
        if queue in log.pairs or pair == NO_LINK or pair >= first.base:  # else retention took it
            same(data.where, f"pair of queue {queue}", pair, log.pairs.get(queue, NO_LINK))
    same(data.where, "queues", set(queues), set(log.next_offset))
    for queue, (offset, base, index, ordinal) in queues.items():
        here = [record.offset for record in active.records
                if record.has_entry() and record.queue == queue]
        same(data.where, f"next offset of queue {queue}", offset,
             here[0] if here else log.next_offset[queue])
        lines = [line for directory in files for line in directory if line["queue"] == queue]
        if lines:
            line = lines[-1]
            same(data.where, f"link of queue {queue}", (base, index, ordinal),
                 (line["base"], line["index"], line["ordinal"]))


# ---- a store -----------------------------------------------------------------------------------


def load(store, name):
    with open(os.path.join(store, name), "rb") as file:
        return Bytes(file.read(), os.path.basename(name))


def walk_segments(store):
    segments = []
    for name in sorted(os.listdir(os.path.join(store, "log"))):
        before = segments[-1] if segments else None
        segment = Segment(os.path.join(store, "log", name), before and before.uuid)
        where = segment.bytes.where
        segment.walk()
        if before is not None:
            same(where, "base", segment.base, before.base + before.size)
            same(where, "salt of the predecessor", segment.previous_salt, before.salt)
            same(where, "end of the predecessor's records", segment.previous_end, before.limit)
            need(not segment.records or before.end == before.limit, where,
                 "records behind a segment that is not full")
        elif segment.base == 0:
            same(where, "predecessor", (segment.previous_end, segment.previous_salt), (0, 0))
        for record in segment.records:
            need(record.time >= segment.least_time, record.where, "older than its segment says")
            need(record.epoch >= segment.epoch, record.where, "epoch before its segment's")
        segments.append(segment)
    return segments


def main():
    store, read = sys.argv[1], {topic: [] for topic in sys.argv[2:]}
    segments = walk_segments(store)
    uuid = segments[0].uuid
    log, files, lines = Log(), [], []
    for segment in segments:
        sealed = segment.footer()
        segment.bytes.room_is_zero()
        log.begin_segment(segment)
        for record in segment.records:
            log.take(record)
            lines.append(log.json(record))
            topic = log.delivered(record)
            if topic in read:
                read[topic].append((record.position, log.json(record, record.original or record)))
        for name in sorted(os.listdir(os.path.join(store, "view"))):
            if name.startswith(f"{segment.base:020d}.") and not name.endswith(".state"):
                need(sealed, name, "belongs to a segment that is not sealed")
                data = load(store, os.path.join("view", name))
                if name.endswith(".cq"):
                    files.append(queue_file(data, segment, files, log.timers))
                else:
                    key_file(data, segment, log)
                data.room_is_zero()
    counts = checkpoint(load(store, "CHECKPOINT"), uuid)
    session = lock(load(store, "LOCK"), uuid)
    same("CHECKPOINT", "writer session", counts["session"], session)
    same("CHECKPOINT", "clean", counts["clean"], 1)
    same("CHECKPOINT", "durable", counts["durable"],
         [segment.end for segment in segments if segment.records][-1])
    need(counts["time"] >= log.time, "CHECKPOINT", "largest store time")
    same("CHECKPOINT", "epoch", counts["epoch"], log.epoch)
    if log.session is not None:
        same("CHECKPOINT", "session of the newest epoch", session, log.session)
    if log.first is not None:
        need(log.first <= counts["first"], "CHECKPOINT", "first position kept")
    for name in sorted(os.listdir(os.path.join(store, "view"))):
        if name.endswith(".state"):
            data = load(store, os.path.join("view", name))
            position = state_file(data, uuid, log, segments, files)
            same(name, "position", position, counts["state"])
    for topic, messages in read.items():
        below = log.expiry.below(log.steps[topic][0][0]) if topic in log.steps else 0
        lines += [line for position, line in messages if position >= below]
    lines += log.transactions.listed(log.names, log.json)
    print("\n".join(lines))
    print(f"checks: {format1.checks}", file=sys.stderr)


if __name__ == "__main__":
    main()
