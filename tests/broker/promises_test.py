#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the mini-broker has answered holds: what is acknowledged is found again, on the disk, and
nobody is told what is not so.

  promises_test.py [TEST...]
"""

import json
import os
import re
import struct
import sys
import time

import ops
import wire
from keep_test import NO_TOPIC, Kept, join_producers, pull, send
from ops import Broker
from turns_test import delivered, fill, spoil, written

OK = 0


def kill(broker):
    broker.process.kill()
    broker.expected = -9


def contents(path):
    with open(path, "rb") as file:
        return file.read()


# ---- topics --------------------------------------------------------------------------------------


def test_a_topic_that_was_made_again_is_found_without_settings_of_it(checks):
    with Kept() as kept:
        with kept.broker() as broker, broker.connect() as connection:
            for topic in ("orders", "gone"):
                send(connection, topic, b"old")
                connection.ask(215, {"topic": topic})
            before = contents(kept.settings)
            checks.same("made again", OK, send(connection, "orders", b"new", e=1)[0])
            kill(broker)
        with open(kept.settings, "wb") as settings:
            settings.write(before)  # if it was written so soon
        for what in ("after a kill", "and later"):
            with kept.broker() as broker, broker.connect() as connection:
                checks.same(what, (OK, [b"new"]), pull(connection, "g", "orders", 1))
                checks.same("what was deleted is", NO_TOPIC, pull(connection, "g", "gone")[0])


def test_a_topic_that_was_made_again_has_what_comes_later(checks):
    with Kept() as kept:
        with kept.broker() as broker, broker.connect() as connection:
            send(connection, "orders", b"old")
            connection.ask(215, {"topic": "orders"})
            checks.same("made again", OK, send(connection, "orders", b"new", i="DELAY\x011\x02")[0])
            kill(broker)
        with kept.broker() as broker, broker.connect() as connection:
            checks.until("it comes", 10, lambda: pull(connection, "g", "orders") == (OK, [b"new"]),
                         lambda: pull(connection, "g", "orders"))


# ---- queries -------------------------------------------------------------------------------------


def test_messages_with_a_key_are_found_beside_damage(checks):
    with Broker(["--flush", "async"]) as broker, broker.connect() as connection:
        bodies = [b"first", b"second", b"soon-to-be-spoilt", b"soon-to-be-spoilt", b"last"]
        for body in bodies:
            send(connection, "orders", body, e=0, i="KEYS\x01k\x02")
        fill(broker, "more", 100, body=b"x" * 100000)  # what is in memory is what others wrote
        written(checks, broker)
        checks.same("spoilt", 2,
                    spoil(broker.directory, b"soon-to-be-spoilt", b"soon-to-be-SPOILT"))
        _, body = connection.ask(12, {"topic": "orders", "key": "k", "maxNum": 32,
                                      "beginTimestamp": 0, "endTimestamp": (1 << 63) - 1})
        checks.same("found", [b"last", b"second", b"first"],
                    [one["body"] for one in wire.records(body)])


# ---- the start -----------------------------------------------------------------------------------


def test_a_start_without_a_thread_fails(checks):
    with Kept() as kept:
        environment = ops.preloaded("no_thread", kept.directory)
        if environment is None:
            checks.skip("no thread", "nothing can be preloaded here")
            return
        broker = Broker(environment=environment)
        broker.spawn()
        checks.same("exit code", 1, broker.ended())
        checks.check("it is said", broker.says("error .*thread"), broker.log())


# ---- transactions --------------------------------------------------------------------------------

ASKED = 39


def prepare(connection, topic="orders", group="group", **more):
    text = "".join(f"{name}\x01{value}\x02" for name, value in {
        "TRAN_MSG": "true", "PGROUP": group, **more}.items())
    code, fields = send(connection, topic, a=group, f=4, i=text)
    if code != OK:
        raise RuntimeError(f"prepare: {code}")
    return int(fields["queueOffset"])


def questions(connection, enough, seconds=30):
    """What the server asks until that is enough, as (time, transaction)."""
    out, end = [], time.monotonic() + seconds
    while time.monotonic() < end and not enough([number for _, number in out]):
        connection.socket.settimeout(max(0.01, end - time.monotonic()))
        try:
            length, = struct.unpack(">i", connection.read(4))
        except TimeoutError:
            break
        data = connection.read(length)
        header = json.loads(data[4:4 + int.from_bytes(data[1:4], "big")])
        if header["code"] == ASKED and not header["flag"] & 1:
            out.append((time.monotonic(), int(header["extFields"]["commitLogOffset"])))
    return out


def test_nobody_is_asked_before_the_time_that_a_message_says(checks):
    with Kept() as kept:
        options = ("--check-interval", "1000")
        for what in ("the same broker", "another one"):
            with kept.broker(*options) as broker, broker.connect() as connection:
                begin = time.monotonic()
                late = prepare(connection, CHECK_IMMUNITY_TIME_IN_SECONDS="4")
                soon = prepare(connection)
                wrong = prepare(connection, CHECK_IMMUNITY_TIME_IN_SECONDS="soon")
                if what == "the same broker":
                    join_producers(connection, "group", "producer")
                    asked = questions(connection, {late, soon, wrong}.issubset)
            if what == "another one":
                with kept.broker(*options) as broker, broker.connect() as connection:
                    join_producers(connection, "group", "producer")
                    asked = questions(connection, {late, soon, wrong}.issubset)
            first = {number: min([at - begin for at, one in asked if one == number] or [99])
                     for number in (late, soon, wrong)}
            checks.check(f"{what}: not before 4 s", 3.9 < first[late] < 99, first)
            checks.check(f"{what}: others are", max(first[soon], first[wrong]) < first[late], first)


def test_another_producer_is_asked_if_one_does_not_read(checks):
    """At once: nothing is asked again before all have been asked."""
    with Broker(["--check-interval", "2000"]) as broker, broker.connect() as silent, \
            broker.connect() as reads, broker.connect() as connection:
        send(connection, "large", b"x" * (4 << 20))
        send(connection, "large", b"x" * (4 << 20), e=0)
        join_producers(silent, "group", "silent")
        silent.socket.sendall(wire.frame(11, wire.pulling("g", "large", 0, 0)) * 8)
        ops.settled(lambda: delivered(broker))
        join_producers(reads, "group", "reads")
        wanted = {prepare(connection) for _ in range(20)}
        asked = questions(reads, lambda numbers: len(numbers) == 20)
        checks.same("all of them", wanted, {number for _, number in asked})


def test_the_clock_may_be_set_back_between_two_questions(checks):
    with Kept() as kept:
        back = os.path.join(kept.directory, "back")
        environment = ops.preloaded("clock_back", kept.directory, CLOCK_BACK=back)
        if environment is None:
            checks.skip("a clock that is set", "nothing can be preloaded here")
            return
        with Broker(["--check-interval", "1000"], environment=environment) as broker, \
                broker.connect() as connection:
            join_producers(connection, "group", "producer")
            number = prepare(connection)
            checks.same("asked", [number], [one for _, one in questions(connection, len)])
            open(back, "w", encoding="ascii").close()
            checks.same("and again", [number], [one for _, one in questions(connection, len)])


def rolled_back(broker):
    text = ops.http(broker, "/metrics").text
    return int(re.search(r"^commitlog_transactions_rolled_back_total (\d+)", text, re.M).group(1))


def test_transactions_of_which_nobody_knows_do_not_take_all_the_room(checks):
    begin = time.monotonic()
    with Broker(["--check-interval", "1000", "--checks", "3", "--flush", "async"]) as broker, \
            broker.connect() as connection:
        few = prepare(connection, group="few")
        time.sleep(6)
        checks.same("few wait for a producer", 0, rolled_back(broker))
        fields = {**ops.sending("orders"), "producerGroup": "gone", "sysFlag": 4,
                  "properties": "TRAN_MSG\x01true\x02PGROUP\x01gone\x02"}
        connection.socket.settimeout(60)
        for _ in range(18):
            connection.socket.sendall(wire.frame(10, fields, b"body") * 1000)
            codes = {connection.answer()[0]["code"] for _ in range(1000)}
            checks.same("prepared", {OK}, codes)
        checks.until("among many they end", 30, lambda: rolled_back(broker) > 1600,
                     lambda: rolled_back(broker))
        checks.check("one of few is", few > 0)
    # One in a second at most, and all of them are there: the log has been read to its end.
    most = time.monotonic() - begin + 2
    said = sum("nobody knows" in line for line in broker.lines)
    checks.check("the log has some lines", 0 < said <= most, f"{said}, {most:.1f}")


# ---- the disk ------------------------------------------------------------------------------------


def test_what_ends_a_transaction_or_deletes_a_group_is_on_the_disk(checks):
    with Kept() as kept:
        slow = os.path.join(kept.directory, "slow")
        environment = ops.preloaded("slow_disk", kept.directory, SLOW_DISK=slow)
        if environment is None:
            checks.skip("a slow disk", "nothing can be preloaded here")
            return
        with Broker(environment=environment) as broker, broker.connect() as connection:
            first, second = prepare(connection), prepare(connection)
            broker.consumed("readers", "orders", 0, 0)
            for what, code, fields in (
                    ("commit", 37, {"producerGroup": "group", "commitOrRollback": 8,
                                    "tranStateTableOffset": first, "commitLogOffset": first}),
                    ("rollback", 37, {"producerGroup": "group", "commitOrRollback": 12,
                                      "tranStateTableOffset": second, "commitLogOffset": second}),
                    ("deleted group", 207, {"groupName": "readers", "cleanOffset": "true"})):
                open(slow, "w", encoding="ascii").close()
                connection.socket.sendall(wire.frame(code, fields))
                connection.socket.settimeout(1)
                try:
                    checks.check(f"{what}: not yet", False, connection.answer())
                except TimeoutError:
                    os.unlink(slow)
                    connection.socket.settimeout(30)
                    checks.same(f"{what}: then", OK, connection.answer()[0]["code"])


if __name__ == "__main__":
    sys.exit(ops.Checks().run([value for name, value in list(globals().items())
                               if name.startswith("test_")],
                              waiting=[
        test_nobody_is_asked_before_the_time_that_a_message_says,
        test_the_clock_may_be_set_back_between_two_questions,
        test_transactions_of_which_nobody_knows_do_not_take_all_the_room,
        test_another_producer_is_asked_if_one_does_not_read]))
