#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""How much of what is sent to the mini-broker it keeps: what has no room is refused, or answered at
once, and what was used is given back.

  bounds_test.py [TEST...]
"""

import json
import os
import re
import struct
import sys
import threading
import time

import ops
import wire
from keep_test import (KIB, MIB, NO_TOPIC, SLACK, Kept, Slow, anonymous, held_pulls, resident,
                       send)
from ops import Broker

OK, SYSTEM_ERROR, ILLEGAL, NOT_FOUND, RETRY, BAD_SUBSCRIPTION, INVALID = 0, 1, 13, 19, 20, 23, 29


# ---- pulls that wait -----------------------------------------------------------------------------


def waiting(subscription, kind="TAG"):
    """The fields of a pull that is held at the end of a queue with one message."""
    return {"consumerGroup": "readers", "topic": "orders", "queueId": 0, "queueOffset": 1,
            "maxMsgNums": 32, "sysFlag": 6, "commitOffset": 0, "suspendTimeoutMillis": 60000,
            "subVersion": 0, "subscription": subscription, "expressionType": kind}


def test_a_pull_has_so_long_a_subscription(checks):
    with Broker() as broker, broker.connect() as connection:
        broker.send("orders", 1)
        for size, wanted in ((16 * KIB, OK), (16 * KIB + 1, BAD_SUBSCRIPTION),
                             (10 * MIB, BAD_SUBSCRIPTION)):
            header, _ = connection.ask(11, {**waiting("*".ljust(size)), "queueOffset": 0})
            checks.same(f"{size} bytes", wanted, header["code"])
        long = "||".join(f"{number:0200}" for number in range(200))
        beat = {"clientID": "c", "consumerDataSet": [{"groupName": "readers", "subscriptionDataSet":
                [{"topic": "orders", "subString": long, "expressionType": "TAG"}]}]}
        connection.ask(34, {}, json.dumps(beat).encode())
        header, _ = connection.ask(11, {**waiting(long), "queueOffset": 0, "sysFlag": 4})
        checks.same("as a heartbeat has it", RETRY, header["code"])


def test_pulls_that_wait_have_room(checks):
    """Of one connection and of all; who has no more is answered at once, as if time were over."""
    condition = " or ".join(f"a{number % 60}={number}" for number in range(1000))
    texts = (("*", "TAG"), ("a".ljust(16 * KIB), "TAG"), (condition, "SQL92"),
             ("||".join(f"tag{number}" for number in range(1024)), "TAG"))
    for number, (text, kind) in enumerate(texts):
        with Broker() as broker:
            broker.send("orders", 1)
            before = resident(broker)
            many = [broker.connect() for _ in range(12)]
            for connection in many:
                connection.socket.settimeout(60)
                frame = wire.frame(11, waiting(text, kind))
                each = 16384 if number == 0 else 2000
                connection.socket.sendall(frame * each + wire.frame(105, {"topic": "TBW102"}))
                codes = []
                while not codes or codes[-1] != OK:
                    codes.append(connection.answer()[0]["code"])
                checks.same(f"{text[:9]}: at once", [NOT_FOUND] * (len(codes) - 1) + [OK], codes)
            held, grown = held_pulls(broker), resident(broker) - before
            print(f"   {text[:9]}: {held} are held in {grown >> 20} MiB")
            checks.check(f"{text[:9]}: some are held", 1000 < held <= 12 * 16384, held)
            checks.check(f"{text[:9]}: memory", grown < 160 * SLACK * MIB, grown)
            for connection in many[1:]:
                connection.close()
            checks.until("what those had that are gone is given back", 20,
                         lambda: held_pulls(broker) <= held // 5)
            with broker.connect() as other:
                other.socket.sendall(wire.frame(11, waiting("*")))
                checks.until("and others are held", 10, lambda: held_pulls(broker) > 1)
                send(other, "orders", b"new")
                other.socket.settimeout(30)
                checks.same("until there is something", OK, other.answer()[0]["code"])
            many[0].close()


def peak(broker):
    """The most memory that it has had."""
    with open(f"/proc/{broker.process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"^VmHWM:\s+(\d+) kB$", status.read(), re.M).group(1)) * KIB


def test_many_pulls_that_wait_for_large_messages(checks):
    """Each is for all of a message; who does not read is given some, and told to ask again."""
    count = 200
    with Broker() as broker, Slow(broker) as slow, broker.connect() as other:
        broker.send("orders", 1)
        before = peak(broker)
        for number in range(count):
            slow.socket.sendall(wire.frame(11, waiting("*"), opaque=number))
        checks.until("all wait", 20, lambda: held_pulls(broker) == count)
        checks.same("a large one comes", OK, send(other, "orders", b"x" * (4 * MIB))[0])
        checks.until("none waits any more", 20, lambda: held_pulls(broker) == 0)
        time.sleep(1.5)
        checks.same("others are served", OK, send(other, "orders")[0])
        grown = peak(broker) - before
        print(f"   {count} pulls: {grown >> 20} MiB")
        checks.check("memory", grown < 64 * SLACK * MIB, grown)
        found, offsets = [], set()
        for _ in range(count):
            header, body = slow.answer()
            found.append((header["code"], [len(one["body"]) for one in wire.records(body)]))
            if header["code"] == NOT_FOUND:
                offsets.add(header["extFields"]["nextBeginOffset"])
        some = found.count((OK, [4 * MIB]))
        checks.check("some are given it", 1 <= some < 8, some)
        checks.same("and the others nothing", count - some, found.count((NOT_FOUND, [])))
        checks.same("to be asked for again", {"1"}, offsets)
        header, body = slow.ask(11, waiting("*"))
        checks.same("which gives it", [4 * MIB], [len(one["body"]) for one in wire.records(body)])


# ---- batches -------------------------------------------------------------------------------------


def test_a_batch_has_so_many_properties(checks):
    """Those of the batch are of each message, and each of them takes more memory than bytes."""
    one = struct.pack(">iiiii", 23, 0, 0, 0, 1) + b"x" + struct.pack(">h", 0)
    with Broker() as broker, broker.connect() as connection:
        connection.socket.settimeout(60)
        broker.send("orders", 1)
        before = peak(broker)
        for each, count, wanted in ((10000, 100, OK), (10000, 110, ILLEGAL), (10900, 500, ILLEGAL),
                                    (20, 20000, OK)):
            fields = wire.sending("orders", properties="a\1\2" * each)
            header, _ = connection.ask(320, fields, one * count)
            checks.same(f"{count} messages, each with {each}", wanted, header["code"])
        grown = peak(broker) - before
        print(f"   {grown >> 20} MiB")
        checks.check("memory", grown < 150 * SLACK * MIB, grown)


# ---- bodies --------------------------------------------------------------------------------------


def padded(size, unit=b"{},", **more):
    """An object with a list that nobody knows, of so many bytes in all."""
    begin = json.dumps({**more, "pad": []})[:-2].encode()
    body = begin + unit * ((size - len(begin)) // len(unit) - 2) + unit[:-1] + b"]}"
    return body[:-2] + b" " * (size - len(body)) + body[-2:]


def slowest(broker, stop, out):
    """How long the broker works for somebody else while others wait."""
    with broker.connect() as connection:
        connection.socket.settimeout(60)
        while not stop.is_set():
            begin = broker.worked()
            connection.ask(105, {"topic": "TBW102"})
            out.append(broker.worked() - begin)
            time.sleep(0.005)


def test_bodies_are_as_large_as_clients_need(checks):
    bounds = ((34, MIB), (46, MIB), (41, MIB), (42, MIB), (200, 64 * KIB))
    with Broker() as broker, broker.connect() as connection:
        connection.socket.settimeout(60)
        before, took, stop = resident(broker), [], threading.Event()
        other = threading.Thread(target=slowest, args=(broker, stop, took))
        other.start()
        for code, bound in bounds:
            for unit in (b"{},", b"[],", b"1,", b'"",'):
                body = padded(bound, unit, groupName=f"group{code}")
                checks.same(f"{code} of {bound}", (bound, OK),
                            (len(body), connection.ask(code, {}, body)[0]["code"]))
                for size in (bound + 1, 15 * MIB):
                    header, _ = connection.ask(code, {}, padded(size, unit, groupName="large"))
                    checks.same(f"{code} of {size}", INVALID, header["code"])
                    checks.check("it is said why", f"at most {bound}" in header["remark"],
                                 header["remark"])
        stop.set()
        other.join()
        most = anonymous(broker)
        checks.check(f"others wait {max(took):.2f} s", max(took) < 0.7 * SLACK, max(took))
        if "asan" in ops.BUILD:
            return  # it keeps what was freed
        checks.until("the system has its memory again", 30,
                     lambda: resident(broker) - before < 24 * MIB,
                     lambda: f"{resident(broker) - before >> 20} of {most >> 20} MiB")


# ---- settings ------------------------------------------------------------------------------------

GROUP = {"groupName": "readers", "consumeEnable": True, "consumeFromMinEnable": False,
         "consumeBroadcastEnable": True, "consumeMessageOrderly": False, "retryQueueNums": 2,
         "retryMaxTimes": 5, "groupRetryPolicy": {"type": "EXPONENTIAL", "exponentialRetryPolicy": {
             "initial": 5000, "max": 7200000, "multiplier": 2}}, "brokerId": 0,
         "whichBrokerWhenConsumeSlowly": 1, "notifyConsumerIdsChangedEnable": True,
         "groupSysFlag": 0, "consumeTimeoutMinute": 15,
         "subscriptionDataSet": [{"topic": "orders", "expressionType": "TAG", "expression": "*",
                                  "version": 3}], "attributes": {"priority.factor": "2"}}


def edited(kept, edit):
    """What an older broker, or much patience, may have left in the file of settings."""
    with open(kept.settings, encoding="utf-8") as settings:
        file = json.load(settings)
    edit(file)
    with open(kept.settings, "w", encoding="utf-8") as settings:
        json.dump(file, settings)


def update_group(connection, **settings):
    return connection.ask(200, {}, json.dumps(settings).encode())[0]["code"]


def test_settings_of_groups_are_those_that_tools_say(checks):
    with Kept() as kept:
        with kept.broker() as broker, broker.connect() as connection:
            checks.same("set", OK, update_group(connection, **GROUP, unknown=["x"] * 5000))
            checks.same("more than is kept", INVALID, update_group(
                connection, **{**GROUP, "attributes": {"a": "x" * 9000}}))
            checks.same("of no group", INVALID, update_group(connection, group="x"))
        for _ in range(2):
            with kept.broker() as broker, broker.connect() as connection:
                checks.same("as it was given", GROUP, json.loads(connection.ask(
                    352, {"group": "readers"})[1]))
                checks.same("among all", GROUP, json.loads(connection.ask(201)[1])[
                    "subscriptionGroupTable"]["readers"])


def test_settings_of_groups_have_room(checks):
    large = {"attributes": {"a": "x" * 8000}}

    def older(file):
        file["groups"] += [{"groupName": f"group{number}", **large} for number in range(2060)]
        file["groups"].append({"groupName": "older", "retryMaxTimes": 3, "pad": ["x"] * 5000,
                               "attributes": {"a": "x" * 20000}})

    with Kept() as kept:
        with kept.broker() as broker, broker.connect() as connection:
            update_group(connection, groupName="first")
        edited(kept, older)
        with kept.broker() as broker, broker.connect() as connection:
            codes = [update_group(connection, groupName=f"new{number}", **large)
                     for number in range(40)]
            checks.same("some, then no more", [OK, INVALID], [codes[0], codes[-1]])
            connection.ask(11, wire.pulling("another", "TBW102", 0, 0))
            checks.same("the usual ones", OK, connection.ask(15, {
                "consumerGroup": "another", "topic": "TBW102", "queueId": 0,
                "commitOffset": 0})[0]["code"])
            checks.same("one that goes makes room", (OK, OK), (
                connection.ask(207, {"groupName": "group0"})[0]["code"],
                update_group(connection, groupName="new39", **large)))
            header, body = connection.ask(352, {"group": "older"})
            checks.same("what has no room is as usual", (OK, 3, {}), (
                header["code"], json.loads(body)["retryMaxTimes"], json.loads(body)["attributes"]))
            size = os.path.getsize(kept.settings)
            checks.check("the file", 15 * MIB < size < 20 * MIB, size)


def update_topic(connection, topic, attributes):
    return connection.ask(17, {"topic": topic, "readQueueNums": 1, "writeQueueNums": 1, "perm": 6,
                               "attributes": attributes})[0]["code"]


def attributes_of(connection, topic):
    header, body = connection.ask(351, {"topic": topic})
    return json.loads(body)["attributes"] if header["code"] == OK else header["code"]


def test_attributes_of_topics_have_room(checks):
    large = "+a=" + "x" * 16000

    def older(file):
        file["topics"] += [{"name": f"topic{number}", "readQueues": 1, "writeQueues": 1, "perm": 6,
                            "attributes": {"a": "x" * 16000}} for number in range(1020)]
        file["topics"].append({"name": "older", "readQueues": 1, "writeQueues": 1, "perm": 6,
                               "attributes": {"a": "x" * 20000}})

    with Kept() as kept:
        with kept.broker() as broker, broker.connect() as connection:
            checks.same("some", OK, update_topic(connection, "orders", "+message.type=FIFO,+a=b"))
            checks.same("less", OK, update_topic(connection, "orders", "-a,+c=d"))
            checks.same("too large", INVALID, update_topic(connection, "large",
                                                           "+a=" + "x" * 8 * MIB))
            checks.same("makes no topic", NO_TOPIC, attributes_of(connection, "large"))
            checks.same("too many", INVALID, update_topic(connection, "orders", ",".join(
                f"+a{number}=" for number in range(200))))
        edited(kept, older)
        with kept.broker() as broker, broker.connect() as connection:
            checks.same("as they were", ({"message.type": "FIFO", "c": "d"}, {}),
                        (attributes_of(connection, "orders"), attributes_of(connection, "older")))
            codes = [update_topic(connection, f"new{number}", large) for number in range(40)]
            checks.same("some, then no more", [OK, INVALID], [codes[0], codes[-1]])
            checks.same("without", OK, update_topic(connection, "without", ""))
            checks.same("one that goes makes room", (OK, OK), (
                connection.ask(215, {"topic": "topic0"})[0]["code"],
                update_topic(connection, "new39", large)))
            checks.same("and so does less", (OK, OK), (
                update_topic(connection, "topic1", "-a"),
                update_topic(connection, "topic0", large)))


# ---- connections ---------------------------------------------------------------------------------


def test_who_says_nothing_more_has_no_room(checks):
    """1,000 clients send a frame in two parts, and then nothing."""
    with Broker(["--flush", "async"]) as broker:
        with broker.connect() as connection:
            send(connection, "orders")
        before = anonymous(broker)
        many = [broker.connect() for _ in range(1000)]
        frame = wire.frame(10, ops.sending("orders"), b"x" * 60000)
        for part in (frame[:50000], frame[50000:]):
            for connection in many:
                connection.socket.sendall(part)
            time.sleep(0.5)
        checks.same("answered", {OK}, {connection.answer()[0]["code"] for connection in many})
        most = 16 * MIB if SLACK == 1 else 128 * MIB
        checks.until("memory", 30, lambda: anonymous(broker) - before < most,
                     lambda: anonymous(broker) - before >> 20)
        for connection in many:
            connection.close()


# ---- values of the name server -------------------------------------------------------------------


def put(connection, key, value):
    return connection.ask(100, {"namespace": "n", "key": key, "value": value})[0]["code"]


def test_values_have_room_in_all(checks):
    with Broker() as broker, broker.connect() as connection:
        before, large = resident(broker), "x" * 60000
        codes = [put(connection, number, large) for number in range(1000)]
        count = codes.count(OK)
        checks.same("some, then no more", [OK] * count + [SYSTEM_ERROR] * (1000 - count), codes)
        checks.check("16 MiB", 270 <= count < 280, count)
        grown = resident(broker) - before
        checks.check("memory", grown < 24 * SLACK * MIB, grown)
        larger = [put(connection, number, large + "x" * 5000) for number in range(20)]
        checks.same("nor larger ones in their place", SYSTEM_ERROR, larger[-1])
        checks.check("what was stays", large == connection.ask(
            101, {"namespace": "n", "key": 19})[0]["extFields"]["value"])
        for number in range(3):
            checks.same("a smaller one", OK, put(connection, number, "small"))
        checks.same("makes room", OK, put(connection, "new", large))
        connection.ask(102, {"namespace": "n", "key": "new"})
        checks.same("and so does one that goes", OK, put(connection, "newer", large))


if __name__ == "__main__":
    sys.exit(ops.Checks().run([value for name, value in list(globals().items())
                               if name.startswith("test_")]))
