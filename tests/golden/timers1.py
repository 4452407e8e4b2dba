# SPDX-License-Identifier: BSD-2-Clause
"""timers1.py - delayed messages of format version 1: which wait, which were delivered, and as what.

Part of walk.py. A timer is a message that waits (kind timer, attribute 5); its id is the position
where it was first stored. It ends by the reference or the copy that delivers it, or by a cancel.
"""
from format1 import (DELIVER_AT_BYTES, HOLE, MESSAGE, NO_QUEUE, REFERENCE, TIMER, Bytes, need,
                     read_origin, same)

# Why there is a reference: its time had come; its transaction was committed; it is a dead letter.
DUE, COMMITTED, DEAD = 1, 2, (4, 5)
SIZE_UNITS = 65536     # of what section 6 says of a size, exclusive


class Timers:
    def __init__(self):
        self.start = None   # of what is kept: of what lies before it nothing is known
        self.waiting = {}   # id: (position, due, queue, size)
        self.messages = {}  # position: message or timer, for what refers to it
        self.holes = []     # of no queue: what salvage could not read
        self.tags = {}      # tag: its hash
        self.keys = {}      # (topic, key): its hash

    def take(self, record, topic):
        """Each record of the log in its order; the topic of its queue, if it has one."""
        if self.start is None:
            self.start = record.position
        if record.kind == HOLE and record.queue == NO_QUEUE:
            self.holes.append((record.position, record.position + record.size))
        if record.kind in (MESSAGE, TIMER) or record.half is not None:
            self.messages[record.position] = record
        if record.kind == TIMER:
            self.timer(record)
        elif record.kind == MESSAGE and record.origin is not None:
            pass  # a dead letter: its time is that of the message it is a copy of
        elif record.kind == MESSAGE and record.deliver is not None:
            self.message(record)
        elif record.kind == REFERENCE:
            self.reference(record, topic)
        else:
            need(record.deliver is None, record.where, "a time to deliver it")
        need(record.hashes is None or record.kind == REFERENCE, record.where, "hashes of keys")

    def gone(self, position):
        return position < self.start or any(at <= position < end for at, end in self.holes)

    def end(self, where, number):
        """What waited under this id; None: that is not known any more."""
        if number not in self.waiting:
            need(number > 0 and self.gone(number), where, f"timer {number} does not wait")
        return self.waiting.pop(number, None)

    def timer(self, record):
        same(record.where, "queue", (record.queue, record.offset), (NO_QUEUE, 0))
        if record.deliver is None:
            self.cancel(record, Bytes(record.body, f"body of {record.where}"))
            return
        due, number, queue, critical = record.deliver
        need(critical, record.where, "a time to wait for that is not critical")
        if number == 0:
            number = record.position
        else:
            need(number < record.position, record.where, "carried forward from behind itself")
            self.again(record, self.end(record.where, number))
        unit = 8
        while -(-record.size // unit) >= SIZE_UNITS:
            unit *= 2
        self.waiting[number] = (record.position, due, queue, -(-record.size // unit) * unit)

    def cancel(self, record, body):
        same(body.where, "size", len(record.body), 16)
        same(body.where, "operation", (body.u32(0), body.u32(4)), (1, 0))
        same(record.where, "attributes", record.attributes, b"")
        self.end(body.where, body.u64(8))

    def message(self, record):
        """One that did not have to wait, or a copy of one that did."""
        due, number, queue, critical = record.deliver
        need(not critical, record.where, "a time that has come is critical")
        need(due * 1000000 <= record.time, record.where, "delivered before its time")
        same(record.where, "queue", record.queue, queue)
        if number != 0:
            self.again(record, self.end(record.where, number))

    def again(self, record, before):
        """The same message as the one that waited so far."""
        if before is not None:
            position, due, queue, _ = before
            same(record.where, "what it waits for", (record.deliver[0], record.deliver[2]),
                 (due, queue))
            first = self.messages[position]
            same(record.where, "attributes", record.attributes[DELIVER_AT_BYTES:],
                 first.attributes[DELIVER_AT_BYTES:])
            same(record.where, "body", record.body, first.body)

    def reference(self, record, topic):
        body = Bytes(record.body, f"body of {record.where}")
        need(len(record.body) in (16, 24, 32), body.where, "size")
        position, header_check, record.tag_hash = body.u64(0), body.u32(8), body.u32(12)
        if len(record.body) == 32:
            queue, number, attempts, reason = read_origin(body, 16)
        else:
            position, reason = position & ~7, position & 7
            number = position if len(record.body) == 16 else body.u64(16)
            queue, attempts = NO_QUEUE, 0
        need(position % 8 == 0 and position < record.position, body.where, "position")
        need(record.deliver is None and not (record.tag or record.keys or record.headers),
             record.where, "attributes of a message")
        record.refers_to, record.original = position, self.messages.get(position)
        if reason in DEAD:
            record.origin = queue, number, attempts, reason
        else:
            need(reason in (DUE, COMMITTED), body.where, f"reason {reason}")
            same(body.where, "queue and attempts", (queue, attempts), (NO_QUEUE, 0))
            if reason == COMMITTED:
                record.commits = number
            else:
                self.due(record, position, self.end(body.where, number))
        if record.original is None:
            need(self.gone(position), body.where, "refers to what is not there")
            return
        same(body.where, "header check", header_check, record.original.header_check)
        self.hashes(record, topic)

    def due(self, record, position, before):
        """What waited is delivered where it was to be, and when."""
        if before is None:
            need(self.gone(position), record.where, "refers to what did not wait")
            return
        same(record.where, "where it waited", (position, record.queue), (before[0], before[2]))
        need(before[1] * 1000000 <= record.time, record.where, "delivered before its time")

    def hashes(self, record, topic):
        """Tag and keys are the original's; a reference repeats only their hashes."""
        original = record.original
        need((record.tag_hash != 0) == (original.tag != b""), record.where, "whether it has a tag")
        self.tag(record.where, original.tag, record.tag_hash)
        keys, found = original.keys, record.hashes or []
        same(record.where, "hashes of keys", len(found), len(keys))
        for key, each in zip(keys, found):
            same(record.where, f"hash of key {key!r}", each,
                 self.keys.setdefault((topic, key), each))

    def tag(self, where, tag, number):
        """The same tag has the same hash everywhere: in references and in consume queues."""
        same(where, f"hash of tag {tag!r}", number, self.tags.setdefault(tag, number))


def told(record, message, read):
    """The fields of a line of JSON that only what was delayed has."""
    out = {}
    if message.deliver is not None:
        out["deliver_at_ms"] = message.deliver[0]
    if record.kind == REFERENCE:
        # Of a shorter one the reason is in the low bits.
        out["origin_position"] = Bytes(record.body, record.where).u64(0) & ~7
    if record.kind == TIMER and record.deliver is None:
        out["cancels"] = Bytes(record.body, record.where).u64(8)
    elif record.deliver is not None and record.origin is None and \
            (record.kind == TIMER or record.deliver[1] != 0):
        out["timer"] = record.deliver[1] or record.position
    return {name: out[name] for name in out if not read or name not in ("cancels", "timer")}


def state_timers(data, timers):
    """Section 6: what waits, in any order."""
    same(data.where, "length", len(data.data) % 32, 0)
    found = {}
    for at in range(0, len(data.data), 32):
        need(data.u64(at) not in found, data.where, "an id twice")
        found[data.u64(at)] = (data.u64(at + 8), data.i64(at + 16), data.u32(at + 24),
                               data.u32(at + 28))
    same(data.where, "timers", found, timers.waiting)
