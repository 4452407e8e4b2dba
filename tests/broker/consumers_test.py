#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the mini-broker answers to consumers and administrators where clients rely on the words and
codes of the official one.

  consumers_test.py [TEST...]
"""

import json
import re
import socket
import struct
import sys
import time

import ops
import wire
from keep_test import held_pulls
from ops import Broker

OK, SYSTEM_ERROR, NO_PERMISSION, NOT_FOUND, RETRY, MOVED, NO_SUBSCRIPTION, OLD_SUBSCRIPTION, \
    NO_GROUP, INVALID = 0, 1, 16, 19, 20, 21, 24, 25, 26, 29


def beat(connection, client, group, topics, model="CLUSTERING"):
    """A heartbeat of a consumer; the code of the answer. Topics: {name: (expression, version)}."""
    body = {"clientID": client, "consumerDataSet": [{
        "groupName": group, "consumeType": "CONSUME_PASSIVELY", "messageModel": model,
        "consumeFromWhere": "CONSUME_FROM_LAST_OFFSET", "subscriptionDataSet": [
            {"topic": topic, "subString": expression, "subVersion": version,
             "expressionType": "TAG"} for topic, (expression, version) in topics.items()]}]}
    return connection.ask(34, {}, json.dumps(body).encode())[0]["code"]


def members(connection, group):
    """The ids of consumers."""
    header, body = connection.ask(38, {"consumerGroup": group})
    return sorted(json.loads(body)["consumerIdList"]) if header["code"] == OK else []


# ---- members -------------------------------------------------------------------------------------


def test_nobody_leaves_for_others(checks):
    with Broker() as broker, broker.connect() as stays, broker.connect() as other:
        topics = {"orders": ("*", 1)}
        checks.same("one joins", OK, beat(stays, "stays", "readers", topics))
        checks.same("another joins", OK, beat(other, "other", "readers", topics))
        farewell = {"clientID": "stays", "consumerGroup": "readers", "producerGroup": "writers"}
        checks.same("a farewell in its name", OK, other.ask(35, farewell)[0]["code"])
        checks.same("both are there", ["other", "stays"], members(other, "readers"))
        checks.same("its own farewell", OK, stays.ask(35, farewell)[0]["code"])
        checks.same("one is there", ["other"], members(other, "readers"))


def test_what_clients_say_makes_few_lines_of_the_log(checks):
    begin = time.monotonic()
    with Broker() as broker:
        for _ in range(3):
            with broker.connect() as client:
                checks.same("joins", OK, client.ask(34, {}, json.dumps({
                    "clientID": "client", "producerDataSet": [{"groupName": f"writers{number}"}
                                                              for number in range(2000)],
                    "consumerDataSet": [{"groupName": f"readers{number}", "subscriptionDataSet": [
                        {"topic": "orders", "subString": "no condition (", "subVersion": 1,
                         "expressionType": "SQL92"}]} for number in range(500)]}).encode())[0][
                             "code"])
    seconds = time.monotonic() - begin + 2
    for what, pattern, most in (("joins", "joins|members", 11), ("conditions", "subscription", 1)):
        said = sum(re.search(pattern, line) is not None for line in broker.lines)
        checks.check(f"{what}: a few in a second", 0 < said <= most * seconds, (said, seconds))


# ---- pulls ---------------------------------------------------------------------------------------


def pull(connection, group, topic, version, offset=0, **more):
    """As it is told by heartbeats; the code of the answer, and the bodies."""
    header, body = connection.ask(11, {
        "consumerGroup": group, "topic": topic, "queueId": 0, "queueOffset": offset,
        "maxMsgNums": 32, "sysFlag": 0, "commitOffset": 0, "suspendTimeoutMillis": 0,
        "subVersion": version, **more})
    return header["code"], [one["body"] for one in wire.records(body)]


def test_a_pull_newer_than_the_heartbeat_waits_for_it(checks):
    with Broker() as broker, broker.connect() as consumer, broker.connect() as producer:
        for tag in "ab":
            producer.ask(310, wire.sending("orders", properties=f"TAGS\1{tag}\2"), tag.encode())
        checks.same("nobody said that it is there", (NO_SUBSCRIPTION, []),
                    pull(consumer, "readers", "orders", 1))
        beat(consumer, "c", "readers", {"others": ("*", 1)})
        checks.same("it is, for other topics", (NO_SUBSCRIPTION, []),
                    pull(consumer, "readers", "orders", 1))
        beat(consumer, "c", "readers", {"orders": ("a", 5)})
        checks.same("as it said", (OK, [b"a"]), pull(consumer, "readers", "orders", 5))
        checks.same("older than it said", (OK, [b"a"]), pull(consumer, "readers", "orders", 4))
        checks.same("newer", (OLD_SUBSCRIPTION, []), pull(consumer, "readers", "orders", 6))
        checks.same("newer, with words of its own", (OK, [b"b"]), pull(
            consumer, "readers", "orders", 6, sysFlag=4, subscription="b"))
        beat(consumer, "c", "readers", {"orders": ("b", 6)})
        checks.same("and said", (OK, [b"b"]), pull(consumer, "readers", "orders", 6))
        beat(consumer, "c", "readers", {"orders": ("a", "7")})
        checks.same("a version in quotes", (OK, [b"a"]), pull(consumer, "readers", "orders", 7))


def test_what_came_with_a_pull_holds_while_it_waits(checks):
    """Though it was what the group had said, and a member says something else meanwhile, or none is
    there any more."""
    own = {"consumerGroup": "readers", "topic": "orders", "queueId": 0, "maxMsgNums": 32,
           "sysFlag": 6, "commitOffset": 0, "suspendTimeoutMillis": 30000, "subVersion": 0,
           "expressionType": "TAG", "subscription": "a"}
    with Broker() as broker, broker.connect() as consumer, broker.connect() as producer:
        producer.ask(310, wire.sending("orders"), b"first")
        for number, what in enumerate(("another subscription", "nobody")):
            with broker.connect() as other:
                beat(other, "other", "readers", {"orders": ("a", 2 * number + 1)})
                consumer.socket.sendall(wire.frame(11, {**own, "queueOffset": 2 * number + 1}))
                checks.until(f"{what}: it waits", 10, lambda: held_pulls(broker) == 1)
                if number == 0:
                    beat(other, "other", "readers", {"orders": ("b", 2)})
                else:
                    beat(other, "other", "readers", {"other": ("*", 1)})
                for tag in "ab":
                    producer.ask(310, wire.sending("orders", properties=f"TAGS\1{tag}\2"),
                                 tag.encode())
                header, body = consumer.answer()
                checks.same(f"{what}: what it asked for", (OK, [b"a"]),
                            (header["code"], [one["body"] for one in wire.records(body)]))


def test_a_group_may_be_kept_from_broadcasting(checks):
    def allow(connection, may):
        body = json.dumps({"groupName": "readers", "consumeBroadcastEnable": may})
        return connection.ask(200, {}, body.encode())[0]["code"]

    with Broker() as broker, broker.connect() as connection:
        broker.send("orders", 1)
        topics = {"orders": ("*", 1)}
        beat(connection, "c", "readers", topics, "BROADCASTING")
        checks.same("it may", (OK, [b"body"]), pull(connection, "readers", "orders", 1))
        checks.same("set", OK, allow(connection, False))
        checks.same("it may not", (NO_PERMISSION, []), pull(connection, "readers", "orders", 1))
        beat(connection, "c", "readers", topics)
        checks.same("in clusters", (OK, [b"body"]), pull(connection, "readers", "orders", 1))
        beat(connection, "c", "readers", topics, "BROADCASTING")
        checks.same("set again", OK, allow(connection, True))
        checks.same("it may again", (OK, [b"body"]), pull(connection, "readers", "orders", 1))


def test_tags_are_of_any_length(checks):
    """The store takes 255 bytes: of what is longer, each gets his own, and reads it in full."""
    tags = ["x" * 255, "x" * 256, "x" * 255 + "y", "\u20ac" * 300, "y" * 10000, "z"]
    with Broker() as broker, broker.connect() as consumer, broker.connect() as producer:
        for tag in tags:
            fields = wire.sending("orders", properties=f"TAGS\1{tag}\2KEYS\1k\2")
            checks.same("sent", OK, producer.ask(310, fields, b"alone")[0]["code"])
        inner = b"".join(batched(b"batch", f"TAGS\1{tag}\2".encode()) for tag in tags)
        checks.same("as a batch", OK, producer.ask(320, wire.sending("orders"), inner)[0]["code"])
        for expression, wanted in [(tag, [tag]) for tag in tags] + [
                (f" {tags[3]}||{tags[0]} ||z", [tags[0], tags[3], "z"]), ("w" * 256, []),
                ("*", tags)]:
            what = expression[:20]
            found = tagged(consumer, "some", sysFlag=4, subscription=expression)
            checks.same(f"{what}: it pulls", [tag[:300] for tag in wanted * 2],
                        [tag[:300] for tag in found])
            checks.same(f"{what}: said", OK, beat(consumer, "c", "told", {
                "orders": (expression, 1)}))
            checks.check(f"{what}: it is told", tagged(consumer, "told") == found)


def tagged(connection, group, **more):
    header, body = connection.ask(11, {
        "consumerGroup": group, "topic": "orders", "queueId": 0, "queueOffset": 0,
        "maxMsgNums": 32, "sysFlag": 0, "commitOffset": 0, "suspendTimeoutMillis": 0,
        "subVersion": 0, **more})
    return [one["p"]["TAGS"] for one in wire.records(body)] if header["code"] in (
        OK, NOT_FOUND, RETRY) else header


def batched(body, properties):
    return struct.pack(">iiiii", 22 + len(body) + len(properties), 0, 0, 0, len(body)) + body + \
        struct.pack(">h", len(properties)) + properties


# ---- administrators ------------------------------------------------------------------------------


def test_a_group_is_reset_to_a_moment_that_was_said(checks):
    def offset(connection):
        return int(connection.ask(14, {"consumerGroup": "readers", "topic": "orders",
                                       "queueId": 0})[0]["extFields"]["offset"])

    with Broker() as broker, broker.connect() as connection:
        broker.send("orders", 5)
        broker.consumed("readers", "orders", 0, 2)
        for what, fields in (("nothing", {}), ("empty", {"timestamp": ""}),
                             ("no number", {"timestamp": "now"}),
                             ("too large", {"timestamp": "9" * 20})):
            header, _ = connection.ask(222, {"group": "readers", "topic": "orders",
                                             "isForce": "true", **fields})
            checks.same(f"{what}: refused", INVALID, header["code"])
            checks.same(f"{what}: it stays", 2, offset(connection))
        for moment, wanted in ((0, 0), (-1, 5), (-2, 0), (1 << 62, 5)):
            header, _ = connection.ask(222, {"group": "readers", "topic": "orders",
                                             "timestamp": moment, "isForce": "true"})
            checks.same(f"{moment}", (OK, wanted), (header["code"], offset(connection)))


def reset(connection, group, **more):
    """The code of the answer, and {queue: offset} of its table."""
    header, body = connection.ask(222, {"group": group, "topic": "orders", "timestamp": 0,
                                        "isForce": "true", **more})
    return header["code"], {int(queue): int(offset) for queue, offset in re.findall(
        rb'"queueId":(\d+),"topic":"orders"\}:(\d+)', body)}


def test_one_queue_of_a_group_is_reset(checks):
    """As mqadmin does when it is given a queue and an offset: 15, and then 222 for time 0."""
    with Broker() as broker, broker.connect() as connection:
        for queue in range(4):
            broker.send("orders", 10, queue)
            broker.consumed("readers", "orders", queue, 8)

        def offsets():
            return [int(connection.ask(14, {"consumerGroup": "readers", "topic": "orders",
                                            "queueId": queue})[0]["extFields"]["offset"])
                    for queue in range(4)]

        def refused(what, wanted, **more):
            before = offsets()
            checks.same(f"{what}: refused", (wanted, {}), reset(connection, "readers", **more))
            checks.same(f"{what}: nothing has changed", before, offsets())

        checks.same("a queue and an offset", (OK, {1: 5}),
                    reset(connection, "readers", queueId=1, offset=5))
        checks.same("no other queue moves", [8, 5, 8, 8], offsets())
        checks.same("to its end", (OK, {1: 10}),
                    reset(connection, "readers", queueId=1, offset=10))
        checks.same("a queue by time", (OK, {2: 0}), reset(connection, "readers", queueId=2))
        checks.same("and to the end", (OK, {0: 10}),
                    reset(connection, "readers", queueId=0, offset=-1, timestamp=-1))
        checks.same("no other moves", [10, 10, 0, 8], offsets())
        refused("beyond the end", SYSTEM_ERROR, queueId=1, offset=11)
        refused("before the first", SYSTEM_ERROR, queueId=1, offset=-2)
        refused("a queue that is not there", SYSTEM_ERROR, queueId=4, offset=0)
        refused("no queue", INVALID, queueId="x", offset=0)
        refused("no offset", INVALID, queueId=1, offset="x")
        checks.same("an offset of no queue is by time",
                    (OK, {queue: 0 for queue in range(4)}),
                    reset(connection, "readers", queueId=-1, offset=5))

        beat(connection, "c", "listeners", {"orders": ("*", 1)}, model="BROADCASTING")
        connection.socket.sendall(wire.frame(222, {
            "group": "listeners", "topic": "orders", "timestamp": 0, "isForce": "true",
            "queueId": 3, "offset": 7}))
        told = {}
        while not {220, OK} <= set(told):
            header, body = connection.message()
            told[header["code"]] = body
        checks.same("members that have all are told of this queue", (b'"queueId":3', 1),
                    (re.search(rb'"queueId":\d+', told[220]).group(),
                     told[220].count(b"queueId")))


def test_consumers_that_share_are_told_of_a_reset_when_they_pull(checks):
    """Not all clients listen to what they did not ask for, and what they say meanwhile would undo
    it."""
    with Broker() as broker, broker.connect() as consumer, broker.connect() as admin, \
            broker.connect() as waits:
        broker.send("orders", 10)
        broker.send("orders", 10, 1)

        def pulled(offset, commit, queue=0, hold=0):
            return {"consumerGroup": "readers", "topic": "orders", "queueId": queue,
                    "queueOffset": offset, "maxMsgNums": 32, "sysFlag": 3 if hold else 1,
                    "commitOffset": commit, "suspendTimeoutMillis": hold, "subVersion": 0}

        def pull(offset, commit):
            header, body = consumer.ask(11, pulled(offset, commit))
            return (header["code"], int(header["extFields"]["nextBeginOffset"]),
                    len(list(wire.records(body))))

        def commit(offset):
            return consumer.ask(15, {"consumerGroup": "readers", "topic": "orders", "queueId": 0,
                                     "commitOffset": offset})[0]["code"]

        def offset(queue=0):
            return int(admin.ask(14, {"consumerGroup": "readers", "topic": "orders",
                                      "queueId": queue})[0]["extFields"]["offset"])

        beat(consumer, "c", "readers", {"orders": ("*", 1)})
        beat(waits, "w", "readers", {"orders": ("*", 1)})
        checks.same("it has consumed some", (OK, (OK, 10, 2)), (commit(8), pull(8, 8)))
        waits.socket.sendall(wire.frame(11, pulled(10, 10, 1, 20000)))
        time.sleep(0.5)  # it waits
        checks.same("reset", (OK, {0: 0, 1: 0, 2: 0, 3: 0}), reset(admin, "readers"))
        header, _ = waits.answer()
        checks.same("one that waits is told at once", (MOVED, "0"),
                    (header["code"], header["extFields"]["nextBeginOffset"]))
        for times in range(3):
            checks.same(f"{times}: what it says of before", OK, commit(10))
            checks.same(f"{times}: and by a pull", (MOVED, 0, 0), pull(10, 10))
            time.sleep(0.6)  # what pulls say is stored within a second
            checks.same(f"{times}: is passed over", (0, 0), (offset(), offset(1)))
        checks.same("it goes on from there", (OK, 10, 10), pull(0, 10))
        checks.same("and counts again", (OK, 3), (commit(3), offset()))
        checks.same("once more, to where it is", (OK, {0: 10}),
                    reset(admin, "readers", queueId=0, offset=10))
        checks.same("which is no move", NOT_FOUND, pull(10, 10)[0])
        checks.same("another", (OK, {0: 2}), reset(admin, "readers", queueId=0, offset=2))
        checks.same("and another", (OK, {0: 4}), reset(admin, "readers", queueId=0, offset=4))
        checks.same("the last one counts", (MOVED, 4, 0), pull(10, 10))
        consumer.close()
        waits.close()
        checks.until("nobody is there", 10, lambda: admin.ask(
            203, {"consumerGroup": "readers"})[0]["code"] != OK)
        checks.same("by time, with nobody", (OK, {0: 0, 1: 0, 2: 0, 3: 0}), reset(admin, "readers"))
        checks.same("it is where it was set", (0, 0), (offset(), offset(1)))


def test_a_group_that_is_not_there_is_not_reset(checks):
    with Broker() as broker, broker.connect() as connection:
        broker.send("orders", 5)
        checks.same("refused", (NO_GROUP, {}), reset(connection, "nobody"))
        checks.same("a queue of it", (NO_GROUP, {}),
                    reset(connection, "nobody", queueId=0, offset=1))
        checks.same("none is made", NO_GROUP, connection.ask(352, {"group": "nobody"})[0]["code"])


# ---- words ---------------------------------------------------------------------------------------


def strict(checks, what, broker, data):
    """The header of the answer, which has to be UTF-8."""
    with socket.create_connection((ops.HOST, broker.port), 10) as connection:
        connection.sendall(data)
        length = int.from_bytes(read(connection, 4), "big")
        answer = read(connection, length)
    header = answer[4:4 + int.from_bytes(answer[1:4], "big")]
    try:
        return json.loads(header.decode("utf-8", "strict"))
    except ValueError as error:
        checks.check(f"{what}: standard JSON", False, f"{error}: {header[:100]}")
        return {}


def read(connection, count):
    out = b""
    while len(out) < count:
        piece = connection.recv(count - len(out))
        if not piece:
            raise wire.WireError("the server closed the connection")
        out += piece
    return out


def test_answers_are_standard_json(checks):
    with Broker() as broker:
        asked = wire.frame(30, {"topic": "TOPIC", "queueId": 0})
        bad = asked.replace(b"TOPIC", b"a\xff\xc3\xe2\x82")
        header = strict(checks, "bytes that are none", broker, bad)
        checks.check("are replaced", "a\ufffd\ufffd\ufffd\ufffd" in header.get("remark", ""),
                     header)
        for more in range(4):  # a remark has an end, which is not to cut a character in two
            name = ("a" * more + "\u20ac" * 900).encode()
            asked = wire.framed({"code": 30, "opaque": 1, "flag": 0, "extFields": {
                "topic": "NAME", "queueId": "0"}}).replace(b"NAME", name)
            size = len(asked) - 4
            head = size - 4
            asked = size.to_bytes(4, "big") + head.to_bytes(4, "big") + asked[8:]
            remark = strict(checks, f"cut off, {more}", broker, asked).get("remark", "")
            checks.check("no part of a character", "\u20ac" in remark and "\ufffd" not in remark,
                         remark[-5:])


if __name__ == "__main__":
    sys.exit(ops.Checks().run([value for name, value in list(globals().items())
                               if name.startswith("test_")]))
