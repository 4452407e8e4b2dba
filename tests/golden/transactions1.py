# SPDX-License-Identifier: BSD-2-Clause
"""transactions1.py - transactions of format version 1: which are open, prepared, with which
messages and offsets, and what a commit delivers.

Part of walk.py. A message of a transaction is a record of kind transaction with attribute 9; the
other records of this kind are marks. A transaction ends by a mark, or by what delivers its
messages: one batch of references and copies, of all of them in the order in which they were
appended, then what groups have consumed. Of one that began before the log does only a part may be
known.
"""
import json

from format1 import (AGAIN, DUE_MAX, GROUP, HOLE, MESSAGE, NO_LINK, NO_QUEUE, PREPARED, REFERENCE,
                     TRANSACTION, Bytes, is_position, need, same)

PREPARE, ROLLBACK, COMMIT, STATE, OFFSETS = range(1, 6)
OPERATIONS = {PREPARE: "prepare", ROLLBACK: "rollback", COMMIT: "commit", STATE: "state",
              OFFSETS: "offsets"}
ASKED, EXPIRED, ORPHANED, UNREADABLE = range(4)
REASONS = {ASKED: "asked", EXPIRED: "expired", ORPHANED: "orphaned", UNREADABLE: "unreadable"}
DAY_MS = 86400000


class Open:
    """One that has not ended."""

    def __init__(self, number, begin):
        self.number, self.begin = number, begin
        self.said = None      # position of the record that says what follows; None: of nobody
        self.ends, self.prepared, self.group = 0, False, ""
        self.whole = 0, 0     # prepared: how many messages it has, and offsets of how many groups
        self.messages = {}    # id: (position, queue, size)
        self.offsets = {}     # group: (position, body of the mark, {queue: offset})

    def state(self):
        return self.begin, self.ends, self.prepared, self.group, self.whole

    def is_whole(self, where):
        """If it is prepared all is there that was when it was."""
        need(not self.prepared or self.whole == (len(self.messages), len(self.offsets)), where,
             f"{len(self.messages)} messages and offsets of {len(self.offsets)} groups, "
             f"not {self.whole}")


class Commit:
    """What is left to be delivered of a transaction, within its batch."""

    def __init__(self, number, one, whole):
        self.number, self.whole = number, whole
        self.messages = one.messages if one is not None else {}
        self.left = sorted(self.messages)
        # What an open one will commit only its process knows.
        self.offsets = dict(one.offsets) if whole and one.prepared else None


class Transactions:
    def __init__(self, messages):
        self.start = None         # of what is kept
        self.holes = []           # of no queue: what salvage could not read
        self.open = {}            # number: Open
        self.commit = None        # being delivered
        self.messages = messages  # position: the record, for what is stored again

    def take(self, record, members):
        """Each record of the log in its order; `members` of its batch are left behind it."""
        if self.start is None:
            self.start = record.position
        if record.kind == HOLE and record.queue == NO_QUEUE:
            self.holes.append((record.position, record.position + record.size))
        delivers = self.delivers(record)
        if self.commit is not None:
            if delivers is not None:
                self.deliver(record, delivers)
            else:
                self.consumed(record)
        elif delivers is not None:
            self.begin_commit(record, delivers)
        elif record.half is not None and record.origin is None:
            self.message(record)
        elif record.kind == TRANSACTION:
            self.mark(record, Bytes(record.body, f"body of {record.where}"), members)
        if self.commit is not None and members == 0:
            same(record.where, "messages that were not delivered", self.commit.left, [])
            self.commit = None

    def gone(self, position):
        return position < self.start or any(at <= position < end for at, end in self.holes)

    def is_known(self, number):
        """All of it is in the log, from its beginning on."""
        return number >= self.start and not self.holes

    def find(self, where, number):
        """None: it is not known any more, if it ever was."""
        if number not in self.open:
            need(self.gone(number), where, f"transaction {number} is not open")
        return self.open.get(number)

    def take_open(self, where, number, begin):
        """The one that is there, or one of nobody."""
        if self.find(where, number) is None:
            self.open[number] = Open(number, begin)
        return self.open[number]

    # ---- messages that wait ----

    def message(self, record):
        half = record.half
        same(record.where, "kind of a message of a transaction", record.kind, TRANSACTION)
        same(record.where, "queue", (record.queue, record.offset), (NO_QUEUE, 0))
        need(half.critical, record.where, "a transaction that is not critical")
        need(record.deliver is None and record.producer is None, record.where,
             "what no message of a transaction has")
        begin = record.time // 1000000
        if half.number is None:
            one = self.open[record.position] = Open(record.position, begin)
            one.said, one.group, one.prepared = record.position, half.group, \
                half.flags & PREPARED != 0
            one.ends = (half.ends or begin + DAY_MS) if one.prepared else 0
            one.whole = (1, 0) if one.prepared else (0, 0)
        else:
            need(half.number < record.position, record.where, "number behind itself")
            one = self.take_open(record.where, half.number, begin)
        number = half.message or record.position
        if half.flags & AGAIN:
            self.again(record, number, one.messages.get(number))
        else:
            need(not one.prepared or half.number is None, record.where,
                 "a message behind the prepare")
        one.messages[number] = (record.position, half.queue, record.size)

    def again(self, record, number, before):
        """The same message as before, wherever it is stored again."""
        need(number < record.position, record.where, "stored again before the first time")
        if before is None:
            need(self.gone(number), record.where, f"no message {number} waits")
            return
        first = self.messages[before[0]]
        same(record.where, "queue", record.half.queue, before[1])
        same(record.where, "attributes", record.attributes[3 + record.half.size:],
             first.attributes[3 + first.half.size:])
        same(record.where, "body", record.body, first.body)

    # ---- marks ----

    def mark(self, record, body, members):
        what, flags, number = body.u32(0), body.u32(4), body.u64(8)
        same(record.where, "queue", (record.queue, record.offset), (NO_QUEUE, 0))
        same(record.where, "attributes", record.attributes, b"")
        need(what in OPERATIONS, body.where, f"operation {what}")
        need(is_position(number) or (what == STATE and number == 0), body.where, "number")
        need(number < record.position, body.where, "number behind itself")
        need(flags <= {ROLLBACK: UNREADABLE, STATE: 1}.get(what, 0), body.where, f"flags {flags}")
        record.says = {"transaction": number or record.position, "operation": OPERATIONS[what]}
        if what == STATE:
            self.state(record, body, number)
        elif what == OFFSETS:
            self.offsets(record, body, number)
        else:
            same(body.where, "size", len(record.body), 32 if what == PREPARE else 16)
            one = self.find(body.where, number)
            if what == PREPARE:
                record.says.update(self.prepare(body, one))
            else:
                self.open.pop(number, None)
                self.ends(record, body, what, flags, one, members)
        body.room_is_zero()

    def prepare(self, body, one):
        ends, whole = body.u64(16), (body.u32(24), body.u32(28))
        need(0 < ends <= DUE_MAX, body.where, "when it ends")
        if one is not None:
            need(not one.prepared, body.where, "prepared twice")
            one.prepared, one.ends, one.whole = True, ends, whole
            if self.is_known(one.number):
                one.is_whole(body.where)
        return {"messages": whole[0], "offset_groups": whole[1], "expires_at_ms": ends}

    def ends(self, record, body, what, reason, one, members):
        if what == COMMIT:
            same(body.where, "what follows in its batch", members, 0)
            same(body.where, "messages of one that ends by a mark",
                 one.messages if one is not None else {}, {})
            return
        record.says["reason"] = REASONS[reason]
        if one is not None and one.said is not None:
            need(reason != ORPHANED or not one.prepared, body.where, "a prepared one is no orphan")
            need(reason != EXPIRED or not one.prepared or one.ends * 1000000 <= record.time,
                 body.where, "rolled back before its time was over")

    def state(self, record, body, number):
        begin, ends, size = body.u64(16), body.u64(24), body.u32(32)
        whole = body.u32(36), body.u32(40)
        prepared = body.u32(4) == 1
        same(body.where, "must be zero", body.u32(44), 0)
        same(body.where, "size", len(record.body), 48 + size)
        group = body.take(48, size).decode("utf-8")
        need(begin <= DUE_MAX and ends <= DUE_MAX and size <= 255, body.where, "limits")
        need(prepared == (ends != 0), body.where, "when one ends that is not prepared, or is")
        need(prepared or whole == (0, 0), body.where, "how much one has that is not prepared")
        need(begin * 1000000 <= record.time, body.where, "begun later")
        if number == 0:
            need(not prepared and size > 0, body.where, "begun prepared, or by nobody")
            one = self.open[record.position] = Open(record.position, begin)
        else:
            one = self.take_open(body.where, number, begin)
            if one.said is not None:
                same(body.where, "state", (begin, ends, prepared, group, whole), one.state())
        one.said, one.begin, one.ends, one.prepared, one.group, one.whole = \
            record.position, begin, ends, prepared, group, whole
        record.says.update(producer_group=group or None, prepared=prepared)
        if prepared:
            record.says.update(messages=whole[0], offset_groups=whole[1])
        record.says.update({name: at for name, at in
                            (("begin_ms", begin), ("expires_at_ms", ends)) if at != 0})

    def offsets(self, record, body, number):
        """As a group record with operation 2."""
        what, size, epoch, flags, count = (body.u8(16), body.u16(18), body.u32(20), body.u32(24),
                                           body.u32(28))
        same(body.where, "operation, must be zero, flags", (what, body.u8(17), flags), (2, 0, 0))
        need(1 <= size <= 255 and 1 <= count <= 2048, body.where, "limits")
        name = body.take(32, size).decode("utf-8")
        at = 16 + (16 + size + 7) // 8 * 8
        same(body.where, "size", len(record.body), at + 16 * count)
        entries, before = {}, -1
        for here in range(at, at + 16 * count, 16):
            need(before < body.u32(here) < NO_QUEUE and body.u64(here + 8) < 1 << 63, body.where,
                 "queue or offset of an entry")
            same(body.where, "must be zero", body.u32(here + 4), 0)
            before = body.u32(here)
            entries[before] = body.u64(here + 8)
        one = self.take_open(body.where, number, 0)
        if one.prepared and name in one.offsets:
            same(body.where, "offsets stored again", record.body, one.offsets[name][1])
        one.offsets[name] = (record.position, record.body, entries)
        record.says.update(group=name, group_epoch=epoch, entries=[
            {"queue_number": queue, "offset": offset} for queue, offset in entries.items()])

    # ---- commits ----

    def delivers(self, record):
        """The number of the transaction of which this delivers a message."""
        if record.kind == MESSAGE and record.half is not None and record.origin is None:
            need(record.half.flags == AGAIN and not record.half.critical, record.where,
                 "what a copy says of its transaction")
            return record.half.number
        return record.commits if record.kind == REFERENCE else None

    def begin_commit(self, record, number):
        one = self.find(record.where, number)
        # Of one that began before the log does a part may lie there.
        self.commit = Commit(number, one, self.is_known(number))
        if one is not None and self.commit.whole:
            one.is_whole(record.where)
        self.open.pop(number, None)
        self.deliver(record, number)

    def deliver(self, record, number):
        commit = self.commit
        same(record.where, "transaction", number, commit.number)
        if record.kind == MESSAGE:
            found = record.half.message if record.half.message in commit.messages else None
            lies = record.half.message
        else:
            places = {place[0]: each for each, place in commit.messages.items()}
            found, lies = places.get(record.refers_to), record.refers_to
        if found is None:
            need(not commit.whole and self.gone(lies), record.where, "delivers what did not wait")
            return
        need(commit.left, record.where, "delivers twice")
        same(record.where, "message", found, commit.left.pop(0))
        position, queue, _ = commit.messages[found]
        same(record.where, "queue", record.queue, queue)
        if record.kind == MESSAGE:
            self.again(record, found, (position, queue))

    def consumed(self, record):
        """Behind the messages: what groups have consumed."""
        same(record.where, "kind of a record behind the messages", record.kind, GROUP)
        same(record.where, "messages that were not delivered before", self.commit.left, [])
        same(record.where, "operation", record.says["operation"], "offsets")
        if self.commit.offsets is not None:
            need(record.says["group"] in self.commit.offsets, record.where, "group of offsets")
            _, _, entries = self.commit.offsets.pop(record.says["group"])
            for each in record.says["entries"]:
                same(record.where, "offset", entries.get(each["queue_number"]), each["offset"])

    # ---- what is asked of them ----

    def listed(self, names, line):
        """What is told of those that are open, as `tx list` and `tx show` do but for the clock."""
        lines = []
        for number, one in sorted(self.open.items()):
            if not self.holes:  # retention has kept all of it
                one.is_whole(f"transaction {number}")
            lines.append(json.dumps({
                "transaction": number, "state": "prepared" if one.prepared else "open",
                "producer_group": one.group, "messages": len(one.messages),
                "bytes": sum(size for _, _, size in one.messages.values()),
                "offset_groups": len(one.offsets) if one.prepared else None,
                "begin_ms": one.begin, "expires_at_ms": one.ends or None}, ensure_ascii=False))
            for _, (position, queue, _) in sorted(one.messages.items()):
                told = json.loads(line(self.messages[position], self.messages[position]))
                told["topic"], told["queue"] = names[queue]
                lines.append(json.dumps(told, ensure_ascii=False))
        return lines


def told_of_transactions(record, read):
    """The fields of a line of JSON that only transactions have."""
    half, out = record.half if record.origin is None else None, {}
    if half is not None and (not read or record.kind == TRANSACTION):
        out["transaction"] = half.number or record.position
        if not read and half.message is not None:
            out["first_position"] = half.message
        elif not read and half.number is None:
            out.update(producer_group=half.group, prepared=half.flags & PREPARED != 0)
            out.update({"expires_at_ms": half.ends} if half.ends else {})
    elif record.commits is not None and not read:
        out["transaction"] = record.commits
    return out


def state_transactions(data, transactions):
    """Section 8: what is open."""
    at, found, order = 0, {}, []
    while at < len(data.data):
        messages, groups = data.u32(at), data.u32(at + 4)
        said, body, at = section_mark(data, at + 8, STATE)
        number, size = body.u64(8), body.u32(32)
        same(data.where, "must be zero", body.u32(44), 0)
        one = found[number] = Open(number, body.u64(16))
        one.said = None if said == NO_LINK else said
        one.ends, one.prepared = body.u64(24), body.u32(4) == 1
        one.whole = body.u32(36), body.u32(40)
        one.group = body.take(48, size).decode("utf-8")
        same(data.where, "bytes of a state", len(body.data), 48 + size)
        order.append(number)
        for _ in range(groups):
            said, body, at = section_mark(data, at, OFFSETS)
            same(data.where, "number of offsets", body.u64(8), number)
            one.offsets[body.take(32, body.u16(18)).decode("utf-8")] = (said, body.data)
        before = 0
        for at in range(at, at + 24 * messages, 24):
            need(before < data.u64(at), data.where, "order of messages")
            before = data.u64(at)
            one.messages[before] = (data.u64(at + 8), data.u32(at + 16), data.u32(at + 20))
        at += 24 if messages else 0
    same(data.where, "length", at, len(data.data))
    same(data.where, "order of transactions", order, sorted(order))
    same(data.where, "transactions", {number: told(one) for number, one in found.items()},
         {number: told(one) for number, one in transactions.open.items()})


def section_mark(data, at, what):
    """Where it is said, the mark, and where it ends."""
    size = data.u32(at + 8)
    same(data.where, "must be zero", data.u32(at + 12), 0)
    body = Bytes(data.take(at + 16, size), f"{data.where} mark")
    same(body.where, "operation", body.u32(0), what)
    return data.u64(at), body, at + 16 + (size + 7) // 8 * 8


def told(one):
    return (one.said, one.state(), one.messages,
            {name: value[:2] for name, value in one.offsets.items()})
