# SPDX-License-Identifier: BSD-2-Clause
"""expiry1.py - messages that have expired, in format version 1. Part of walk.py."""
from format1 import TOMBSTONE, Bytes, need, same


class Expiry:
    """What tombstones say: by the first queue of a topic, age, position and where it is said."""

    def __init__(self):
        self.topics = {}

    def take(self, record):
        if record.kind != TOMBSTONE:
            return
        body = Bytes(record.body, f"body of {record.where}")
        same(body.where, "size", len(record.body), 24)
        same(record.where, "attributes", record.attributes, b"")
        first, age, below = body_of(body, 0)
        need(below <= record.position, body.where, "expired behind itself")
        before = self.topics.get(first, (0, 0, 0))[1]
        need(below >= before, body.where, "what had expired is there again")  # no writer says so
        self.topics[first] = age, max(before, below), record.position

    def below(self, first):
        return self.topics.get(first, (0, 0, 0))[1]


def body_of(data, at):
    first, age, below = data.u32(at), data.u64(at + 8), data.u64(at + 16)
    same(data.where, "must be zero", data.u32(at + 4), 0)
    need(first != 0xffffffff and age <= 9223372036854 and below % 8 == 0, data.where, "limits")
    return first, age, below


def told_of_expiry(record):
    """Fields of a line of `dump --json`."""
    if record.kind != TOMBSTONE:
        return {}
    first, age, below = body_of(Bytes(record.body, f"body of {record.where}"), 0)
    return {"first_queue_number": first, "keep_age_ms": age, "expired_below": below}


def state_expiry(data, expiry, segments):
    same(data.where, "length", len(data.data) % 32, 0)
    found = {}
    for at in range(0, len(data.data), 32):
        first, age, below = body_of(data, at)
        need(first not in found, data.where, f"topic of queue {first} twice")
        found[first] = age, below, data.u64(at + 24)
    for first, line in found.items():
        if first in expiry.topics:
            same(data.where, f"topic of queue {first}", line, expiry.topics[first])
        else:  # the record that said so is gone, and with it all that had expired
            need(line[0] == 0 and line[2] < segments[0].base, data.where,
                 f"topic of queue {first}")
    need(set(expiry.topics) <= set(found), data.where, "topics")
