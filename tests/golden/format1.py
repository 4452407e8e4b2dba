# SPDX-License-Identifier: BSD-2-Clause
"""format1.py - files, segments and records of format version 1, as commitlog-format(5) has them.

Part of walk.py. Every comparison is counted; the first that fails ends the program.
"""
import base64
import collections
import os
import re
import struct
import sys

PAGE, RECORDS_AT, RECORD_HEADER = 4096, 8192, 48
NO_QUEUE, NO_LINK = 0xffffffff, 0xffffffffffffffff
COMMITTED = 5
MEMBER = 8  # flag; the golden stores were written before there was one
KINDS = {1: "message", 2: "reference", 3: "hole", 4: "pad", 5: "batch", 6: "topic", 7: "epoch",
         8: "first", 9: "transaction", 10: "timer", 11: "group", 12: "producer",
         13: "tombstone", 14: "work"}
MESSAGE, REFERENCE, HOLE, PAD, BATCH, TOPIC, EPOCH, FIRST = range(1, 9)
TRANSACTION, TIMER, GROUP, PRODUCER, TOMBSTONE, WORK = range(9, 15)
CRITICAL = 0x80
# Attributes that come first, in this order, with type and length.
ORIGIN_BYTES, DELIVER_AT_BYTES, PRODUCER_BYTES = 3 + 16, 3 + 24, 3 + 20
DUE_MAX, POSITION_MAX = 9223372036854, 0x7ffffffffffff000
# What a message says of its transaction: flags, and None for what goes without them; its length.
Half = collections.namedtuple("Half", "queue flags ends group number message critical size")
FIRST_ONE, PREPARED, ENDS, AGAIN = 1, 2, 4, 8
NOT_ZERO = re.compile(rb"[^\0]")
checks = 0


def need(good, where, text):
    global checks
    checks += 1
    if not good:
        sys.exit(f"walk.py: {where}: {text}")


def same(where, name, got, expected):
    need(got == expected, where, f"{name} is {got!r}, not {expected!r}")


class Bytes:
    """A file or a part of one, read by offset, type and name; knows what was never looked at."""

    def __init__(self, data, where):
        self.data, self.where = data, where
        self.seen = bytearray(len(data))

    def take(self, at, size):
        need(0 <= at and at + size <= len(self.data), self.where, f"no {size} bytes at {at}")
        self.seen[at:at + size] = b"\1" * size
        return self.data[at:at + size]

    def number(self, at, form):
        return struct.unpack("<" + form, self.take(at, struct.calcsize(form)))[0]

    def u8(self, at):
        return self.number(at, "B")

    def u16(self, at):
        return self.number(at, "H")

    def u32(self, at):
        return self.number(at, "I")

    def u64(self, at):
        return self.number(at, "Q")

    def i64(self, at):
        return self.number(at, "q")

    def room_is_zero(self):
        for found in NOT_ZERO.finditer(self.data):  # byte for byte, 64 MiB would take seconds
            if not self.seen[found.start()]:
                need(False, self.where, f"byte {found.start()} is room and not zero")
        need(True, self.where, "")


def text(data):
    """Bytes as JSON has them: a text, or what says that it is none."""
    try:
        if b"\0" not in data:
            return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    return {"base64": base64.b64encode(data).decode("ascii")}


def common_header(page, letters, header_bytes, uuid):
    """Common file header; returns the UUID. The check at its end is only passed over."""
    same(page.where, "magic", page.take(0, 8), b"\x89" + letters)
    same(page.where, "version", page.u32(8), 1)
    same(page.where, "header bytes", page.u32(12), header_bytes)
    found = page.take(16, 16)
    need(uuid in (None, found), page.where, "UUID of another store")
    for at in (32, 36, 40):
        same(page.where, f"flags at {at}", page.u32(at), 0)
    need(page.u64(header_bytes - 8) != 0, page.where, "no check")
    return found


# ---- segments ----------------------------------------------------------------------------------


class Segment:
    def __init__(self, path, uuid):
        with open(path, "rb") as file:
            self.bytes = Bytes(file.read(), os.path.basename(path))
        data = self.bytes
        head = Bytes(data.take(0, PAGE), f"{data.where} header")
        same(head.where, "second page", data.take(PAGE, PAGE), head.data)
        self.uuid = common_header(head, b"CLGSEGH", PAGE, uuid)
        self.base, self.size, self.salt = head.u64(64), head.u64(72), head.u64(80)
        self.previous_end, self.previous_salt = head.u64(88), head.u64(96)
        self.least_time, self.created = head.i64(104), head.i64(112)
        self.epoch = head.u32(120)
        same(head.where, "check algorithm", head.u32(124), 1)
        head.room_is_zero()
        same(head.where, "name", data.where, f"{self.base:020d}.log")
        same(head.where, "base mod 4096", self.base % PAGE, 0)
        same(head.where, "size mod 4096", self.size % PAGE, 0)
        need(65536 <= self.size <= 32 << 30, head.where, f"size {self.size}")
        same(head.where, "size of the file", len(data.data), self.size)
        self.limit = self.base + self.size - PAGE
        self.records = []

    def walk(self):
        """The records up to the pad, or to a word of zero."""
        at = RECORDS_AT
        while self.base + at < self.limit and self.bytes.u32(at) != 0:
            record = Record(self, at)
            self.records.append(record)
            at += record.size
            need(self.base + at <= self.limit, record.where, "reaches into the footer page")
            if record.kind == PAD:
                same(record.where, "end of the pad", self.base + at, self.limit)
            else:
                room = self.limit - self.base - at
                need(room >= RECORD_HEADER, record.where, "no room for a pad")
        self.end = self.base + at

    def footer(self):
        """None, or what the footer page says; it must say what the records do."""
        page = Bytes(self.bytes.take(self.size - PAGE, PAGE), f"{self.bytes.where} footer")
        if page.data == bytes(PAGE):
            return False
        common_header(page, b"CLGSEGF", PAGE, self.uuid)
        last = self.records[-1]
        same(page.where, "kind of the last record", last.kind, PAD)
        same(page.where, "base", page.u64(64), self.base)
        same(page.where, "salt", page.u64(72), self.salt)
        same(page.where, "position after the last record", page.u64(80), self.end)
        same(page.where, "number of records", page.u64(88), len(self.records))
        same(page.where, "store time of the first record", page.i64(96), self.records[0].time)
        same(page.where, "store time of the last record", page.i64(104), last.time)
        same(page.where, "epoch of the last record", page.u32(112), last.epoch)
        page.room_is_zero()
        return True


def read_origin(data, at):
    """Where a dead letter was, and why it is one: queue, offset, attempts, reason."""
    offset, queue, attempts, reason = (data.u64(at), data.u32(at + 8), data.u16(at + 12),
                                       data.u8(at + 14))
    same(data.where, "must be zero", data.u8(at + 15), 0)
    return queue, offset, attempts, reason


def is_position(number):
    return 0 < number <= POSITION_MAX and number % 8 == 0


def read_half(data, critical):
    """The value of a transaction."""
    queue, flags, size = data.u32(0), data.u8(4), len(data.data)
    ends = group = number = message = None
    need(queue != NO_QUEUE, data.where, "queue of a transaction")
    if flags in (FIRST_ONE, FIRST_ONE + PREPARED, FIRST_ONE + PREPARED + ENDS):
        ends = data.u64(5) if flags & ENDS else None
        need(ends is None or 1 <= ends <= DUE_MAX, data.where, "when a transaction ends")
        at = 13 if flags & ENDS else 5
        group = data.take(at, size - at).decode("utf-8")
        need(1 <= size - at <= 255 and "\0" not in group, data.where, "name of a producer group")
    else:
        need(flags in (0, AGAIN), data.where, f"flags {flags} of a transaction")
        same(data.where, "bytes of a transaction", size, 21 if flags & AGAIN else 13)
        number, message = data.u64(5), data.u64(13) if flags & AGAIN else None
        need(is_position(number) and (message is None or (is_position(message) and
                                                          message >= number)),
             data.where, "number or id of a transaction")
    return Half(queue, flags, ends, group, number, message, critical, size)


class Record:
    def __init__(self, segment, at):
        self.position = segment.base + at
        self.where = f"record at {self.position}"
        data = segment.bytes
        word = data.u32(at)
        self.size = word & ~7
        same(self.where, "state", word & 7, COMMITTED)
        self.header_check, self.check = data.u32(at + 4), data.u64(at + 8)
        self.offset, self.time = data.u64(at + 16), data.i64(at + 24)
        self.epoch, self.queue = data.u32(at + 32), data.u32(at + 36)
        self.durable_back = data.u32(at + 40)
        attribute_bytes, self.kind = data.u16(at + 44), data.u8(at + 46)
        flags = data.u8(at + 47)
        padding, self.member = flags & 7, flags & MEMBER != 0
        same(self.where, "room in the flags", flags & ~(7 | MEMBER), 0)
        need(self.kind in KINDS, self.where, f"kind {self.kind}")
        bare = self.kind in (HOLE, PAD)
        need(RECORD_HEADER <= self.size <= (0xfffffff8 if bare else 0x3ffffff8), self.where, "size")
        need(self.offset < 1 << 63, self.where, "queue offset")
        # "Back" from the position, in units of 8 bytes; a distance beyond 0 says nothing.
        back = self.durable_back * 8
        self.durable = None if self.durable_back == 0xffffffff or back > self.position \
            else self.position - back
        self.attributes, self.body = b"", b""
        self.tag, self.keys, self.headers, self.producer_time = b"", [], [], None
        self.origin = None    # of a dead letter: queue, offset, attempts, reason
        self.producer = None  # id, sequence, epoch
        self.deliver = None   # due, id, queue, whether that is critical
        self.half = None      # of a transaction
        self.hashes = None    # of keys
        self.original, self.refers_to = None, None  # what a reference delivers; its position
        self.commits = None   # number of the transaction of which it delivers a message
        self.says = {}        # what dump tells of its body
        if bare:
            same(self.where, "check of a hole or pad", self.check, 0)
            data.take(at + RECORD_HEADER, self.size - RECORD_HEADER)  # means nothing
            return
        body_at = at + RECORD_HEADER + attribute_bytes
        body_bytes = self.size - RECORD_HEADER - attribute_bytes - padding
        need(body_bytes >= 0, self.where, "parts larger than the record")
        self.attributes = data.take(at + RECORD_HEADER, attribute_bytes)
        self.body = data.take(body_at, body_bytes)
        same(self.where, "padding", data.take(body_at + body_bytes, padding), bytes(padding))
        self.read_attributes()

    def read_attributes(self):
        at = 0
        data = Bytes(self.attributes, f"attributes of {self.where}")
        while at < len(self.attributes):
            kind, size = data.u8(at), data.u16(at + 1)
            value = data.take(at + 3, size)
            at += 3 + size
            if kind == 1:
                need(1 <= size <= 255 and not self.tag, data.where, "tag")
                self.tag = value
            elif kind == 2:
                need(1 <= size <= 4096 and len(self.keys) < 64, data.where, "key")
                self.keys.append(value)
            elif kind == 3:
                part = Bytes(value, data.where)
                name = part.take(2, part.u16(0))
                need(1 <= len(name) <= 255, data.where, "name of a header")
                self.headers.append((name, value[2 + len(name):]))
            elif kind == 4:
                need(size == 8 and self.producer_time is None, data.where, "producer time")
                self.producer_time = Bytes(value, data.where).i64(0)
            elif kind & ~CRITICAL == 5:
                before = ORIGIN_BYTES if self.origin is not None else 0
                need(size == 24 and at == before + DELIVER_AT_BYTES, data.where,
                     "deliver at, or its place")
                part = Bytes(value, data.where)
                self.deliver = part.u64(0), part.u64(8), part.u32(16), kind >= CRITICAL
                due, number, queue, _ = self.deliver
                need(due <= DUE_MAX and number <= POSITION_MAX and number % 8 == 0 and
                     queue != NO_QUEUE and part.u32(20) == 0, data.where, "deliver at")
            elif kind == 6:
                before = (ORIGIN_BYTES if self.origin is not None else 0) + \
                    (DELIVER_AT_BYTES if self.deliver is not None else 0)
                need(size == 20 and at == before + PRODUCER_BYTES, data.where,
                     "producer, or its place")
                part = Bytes(value, data.where)
                self.producer = part.u64(0), part.u64(8), part.u32(16)
                need(self.producer[0] != 0 and 0 < self.producer[1] < 1 << 63, data.where,
                     "producer")
            elif kind == 7:
                need(8 <= size <= 8 * 64 and size % 8 == 0 and self.hashes is None, data.where,
                     "hashes of keys")
                self.hashes = list(struct.unpack(f"<{size // 8}Q", value))
            elif kind == 8:
                need(size == 16 and at == ORIGIN_BYTES and self.kind == MESSAGE, data.where,
                     "origin, or its place")
                self.origin = read_origin(Bytes(value, data.where), 0)
            elif kind & ~CRITICAL == 9:
                before = ORIGIN_BYTES if self.origin is not None else 0
                need(at == before + 3 + size, data.where, "place of a transaction")
                self.half = read_half(Bytes(value, data.where), kind >= CRITICAL)
            else:
                need(kind != 0 and kind < CRITICAL, data.where, f"type {kind}")

    def has_entry(self):
        """Whether it is what a queue holds at its offset."""
        return self.kind in (MESSAGE, REFERENCE, HOLE) and self.queue != NO_QUEUE
