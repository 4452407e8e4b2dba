#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""How long requests of one client keep the others of the mini-broker waiting, which has one loop:
it does a part of the work at a time, and says where to go on.

  turns_test.py [TEST...]
"""

import json
import os
import sys
import threading
import time

import ops
import wire
from keep_test import Kept, pull, send
from ops import Broker

OK, SYSTEM_ERROR, SYSTEM_BUSY, NOT_FOUND, RETRY, MOVED = 0, 1, 2, 19, 20, 21


def wanting(topic, subscription, kind="TAG", offset=0, hold=0):
    """The fields of a pull."""
    return {"consumerGroup": "readers", "topic": topic, "queueId": 0, "queueOffset": offset,
            "maxMsgNums": 32, "sysFlag": 6 if hold else 4, "commitOffset": 0,
            "suspendTimeoutMillis": hold, "subVersion": 0, "subscription": subscription,
            "expressionType": kind}


def fill(broker, topic, count, properties="", body=b"body"):
    """So many messages in queue 0, sent without waiting for each answer."""
    with broker.connect() as connection:
        connection.socket.settimeout(60)
        fields = {**ops.sending(topic), "properties": properties}
        for begin in range(0, count, 2000):
            part = min(2000, count - begin)
            connection.socket.sendall(wire.frame(10, fields, body) * part)
            codes = {connection.answer()[0]["code"] for _ in range(part)}
            if codes != {OK}:
                raise RuntimeError(f"{topic}: {codes}")


def next_offset(header):
    return int(header["extFields"]["nextBeginOffset"])


# ---- pulls ---------------------------------------------------------------------------------------


def spoil(directory, text, other):
    """Changes each body with the text in the store's files."""
    count = 0
    for folder, _, names in os.walk(os.path.join(directory, "data", "store")):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as stored:
                data = stored.read()
            if text in data:
                count += data.count(text)
                with open(path, "r+b") as stored:
                    stored.write(data.replace(text, other))
    return count


def test_a_queue_of_unreadable_messages_is_passed_in_parts(checks):
    with Broker(["--flush", "async"]) as broker, broker.connect() as connection:
        fill(broker, "good", 5, body=b"good")
        fill(broker, "bad", 1500, body=b"soon-to-be-spoilt")
        fill(broker, "bad", 1, body=b"last")
        fill(broker, "more", 100, body=b"x" * 100000)  # what is in memory is what others wrote
        time.sleep(0.5)
        checks.check("spoilt", spoil(broker.directory, b"soon-to-be-spoilt", b"soon-to-be-SPOILT")
                     >= 1500)
        offset, bodies, asked, passed = 0, [], 0, []
        while offset < 1501 and asked < 100:
            checks.same("others are read", (OK, [b"good"] * 5),
                        pull(connection, "readers", "good"))
            header, body = connection.ask(11, wanting("bad", "*", offset=offset))
            found = [one["body"] for one in wire.records(body)]
            if header["code"] == RETRY:
                checks.same("nothing comes with it", [], found)
            passed.append(next_offset(header) - offset)
            offset, asked, bodies = next_offset(header), asked + 1, bodies + found
        checks.same("what can be read is", [b"last"], bodies)
        checks.check("in parts", asked > 2 and min(passed) > 0 and max(passed) <= 1000, passed)
        said = sum("queue 0: offset" in line for line in broker.lines)
        checks.check("the log has some lines", 0 < said < 20, said)


def follow(checks, what, connection, fields, end, most):
    """Pulls until there is a message; how often it was asked."""
    asked, offset = 0, int(fields["queueOffset"])
    while True:
        header, body = connection.ask(11, {**fields, "queueOffset": offset})
        asked += 1
        if header["code"] != RETRY:
            break
        step = next_offset(header) - offset
        if not checks.check(f"{what}: goes on", 0 < step <= most and asked < 1000, header):
            break
        offset = next_offset(header)
    checks.same(f"{what}: found", (OK, [end]),
                (header["code"], [one["off"] for one in wire.records(body)]))
    return asked


def test_a_pull_passes_so_many_that_it_does_not_want(checks):
    with Broker(["--flush", "async"]) as broker, broker.connect() as connection:
        fill(broker, "orders", 50000, "TAGS\x01a\x02price\x011\x02")
        fill(broker, "orders", 1, "TAGS\x01b\x02price\x012\x02")
        asked = follow(checks, "tags", connection, wanting("orders", "b"), 50000, 16000)
        checks.same("tags: asked", 4, asked)
        asked = follow(checks, "condition", connection, wanting("orders", "price = 2", "SQL92"),
                       50000, 2000)
        checks.check("condition: asked", 26 <= asked < 260, asked)
        header, _ = connection.ask(11, wanting("orders", "b", offset=49000))
        checks.same("near the end", OK, header["code"])


def test_a_pull_that_is_held_goes_on(checks):
    """More than it may pass comes at once, while it is held, and then what it waits for."""
    with Broker(["--flush", "async"]) as broker, broker.connect() as connection:
        fill(broker, "orders", 1, "TAGS\x01a\x02")
        offset, bodies = 1, []
        connection.socket.settimeout(30)
        connection.socket.sendall(wire.frame(11, wanting("orders", "b", offset=1, hold=20000)))
        other = {**ops.sending("orders"), "properties": "TAGS\x01a\x02"}
        with broker.connect() as sender:
            sender.socket.sendall(b"".join(wire.frame(310, {
                "a": "p", "b": "orders", "c": "TBW102", "d": 4, "e": 0, "f": 0, "g": 1, "h": 0,
                "i": "TAGS\x01a\x02", "j": 0}, b"x", flag=2) for _ in range(40000)))
            sender.ask(10, {**other, "properties": "TAGS\x01b\x02"}, b"wanted")
        begin = time.monotonic()
        while not bodies and time.monotonic() - begin < 20:
            header, body = connection.answer()
            bodies = [one["body"] for one in wire.records(body)]
            checks.check("goes on", next_offset(header) >= offset, header)
            offset = next_offset(header)
            if not bodies:
                connection.socket.sendall(
                    wire.frame(11, wanting("orders", "b", offset=offset, hold=20000)))
        checks.same("found", [b"wanted"], bodies)


def longest_wait(broker, seconds, until=lambda: False):
    """Of one that asks for something simple all the time."""
    end, longest = time.monotonic() + seconds, 0
    with broker.connect() as connection:
        connection.socket.settimeout(60)
        while time.monotonic() < end and not until():
            begin = time.monotonic()
            connection.ask(105, {"topic": "TBW102"})
            longest = max(longest, time.monotonic() - begin)
    return longest


def test_many_pulls_at_once_are_answered_in_turns(checks):
    count = 1500
    with Broker(["--flush", "async"]) as broker, broker.connect() as connection:
        fill(broker, "orders", 10000, "TAGS\x01a\x02price\x011\x02")
        connection.socket.settimeout(60)
        one = wanting("orders", "price = 2", "SQL92")
        answers = []
        connection.socket.sendall(wire.frame(11, one) * count)
        reader = threading.Thread(target=lambda: answers.extend(
            connection.answer()[0]["code"] for _ in range(count)))
        reader.start()
        longest = longest_wait(broker, 30, lambda: not reader.is_alive())
        reader.join()
        checks.same("all are answered", [RETRY] * count, answers)
        print(f"   others waited {longest * 1000:.0f} ms")
        checks.check("others do not wait", longest < 0.3, longest)


if __name__ == "__main__":
    sys.exit(ops.Checks().run([value for name, value in list(globals().items())
                               if name.startswith("test_")]))
