#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Which groups and topics the mini-broker keeps, how many there can be, and what the settings of a
group change.

  groups_test.py [TEST...]
"""

import contextlib
import json
import os
import re
import sys
import tempfile
import time

import ops
import wire
from keep_test import Kept
from ops import Broker

OK, SYSTEM_ERROR, SYSTEM_BUSY, NO_TOPIC, NO_GROUP, INVALID = 0, 1, 2, 17, 26, 29
GROUPS_MAX = TOPICS_MAX = 100000


def beat(connection, client, *groups, producers=()):
    """A heartbeat of a consumer in these groups; the code of the answer, and its words."""
    header, _ = connection.ask(34, {}, json.dumps({
        "clientID": client, "producerDataSet": [{"groupName": group} for group in producers],
        "consumerDataSet": [
            {"groupName": group, "consumeType": "CONSUME_PASSIVELY",
             "messageModel": "CLUSTERING", "consumeFromWhere": "CONSUME_FROM_LAST_OFFSET",
             "subscriptionDataSet": []} for group in groups]}).encode())
    return header["code"], header.get("remark")


def update(connection, group, **settings):
    body = json.dumps({"groupName": group, **settings})
    return connection.ask(200, {}, body.encode())[0]["code"]


def groups_of(connection):
    return set(json.loads(connection.ask(201, {})[1])["subscriptionGroupTable"])


def topics_of(connection):
    """Names, but for the broker's own."""
    return {name for name in json.loads(connection.ask(206, {})[1])["topicList"]
            if name.startswith(("%", "orders"))}


def commit(connection, group, offset=1):
    return connection.ask(15, {"consumerGroup": group, "topic": "orders", "queueId": 0,
                               "commitOffset": offset})[0]["code"]


def committed(connection, group, queue=0):
    header, _ = connection.ask(14, {"consumerGroup": group, "topic": "orders", "queueId": queue,
                                    "setZeroIfNotFound": "false"})
    return int(header["extFields"]["offset"]) if header["code"] == OK else None


def pull(connection, group, topic="orders", queue=0, offset=0):
    return list(wire.records(connection.ask(11, wire.pulling(group, topic, queue, offset))[1]))


def send_back(connection, group, level=1):
    """The first message of the topic orders; the code of the answer."""
    position = pull(connection, "looker")[0]["physical"]
    return connection.ask(36, {"offset": position, "group": group, "delayLevel": level,
                               "originMsgId": "x", "originTopic": "orders", "unitMode": "false",
                               "maxReconsumeTimes": 16})[0]["code"]


def queues(connection, topic):
    """That can be read, and written; None: there is no such topic."""
    header, body = connection.ask(351, {"topic": topic})
    if header["code"] != OK:
        return None
    found = json.loads(body)
    return found["readQueueNums"], found["writeQueueNums"]


def written(broker):
    with open(os.path.join(broker.data, "broker.json"), encoding="utf-8") as kept:
        return kept.read()


# ---- who stays -----------------------------------------------------------------------------------


def prepared(checks, broker, connection):
    """Groups that have something worth keeping, each another, and one that has nothing."""
    broker.send("orders", 5)
    checks.same("they are there", OK, beat(connection, "c", "named", "offset", "given", "retried",
                                           "sent")[0])
    checks.same("an offset", OK, commit(connection, "offset"))
    checks.same("settings", OK, update(connection, "given", retryMaxTimes=3))
    checks.same("a retry", OK, send_back(connection, "retried"))
    checks.same("a retry that is sent", OK, connection.ask(
        310, {**wire.sending("%RETRY%sent"), "l": 16}, b"body")[0]["code"])
    return {"offset", "given", "retried", "sent"}


def retries(names):
    return {f"%RETRY%{name}" for name in names}


def test_a_group_that_was_only_named_is_forgotten(checks):
    if os.environ.get("SHORT"):
        checks.skip("groups that were only named are forgotten", "it takes a minute: SHORT is set")
        return
    with Broker() as broker, broker.connect() as looks:
        with broker.connect() as stays, broker.connect() as connection:
            kept = prepared(checks, broker, connection)
            checks.same("another", OK, beat(stays, "stays", "online")[0])
            checks.check("all are there", kept | {"named", "online"} <= groups_of(looks),
                         groups_of(looks))
            checks.check("with topics of retries",
                         retries(kept | {"named", "online"}) <= topics_of(looks), topics_of(looks))
            connection.close()
            end = time.monotonic() + 100
            while "named" in groups_of(looks) and time.monotonic() < end:
                beat(stays, "stays", "online")
                time.sleep(1)
            checks.same("one is forgotten", kept | {"online"}, groups_of(looks))
            checks.same("and its topic", retries(kept | {"online"}) | {"orders"}, topics_of(looks))
            checks.same("its offset cannot be set", NO_GROUP, commit(looks, "named"))
            checks.same("it can come again", OK, beat(stays, "stays", "named", "online")[0])
            checks.same("with its topic", (1, 1), queues(looks, "%RETRY%named"))
            checks.same("and come somewhere", (OK, 1),
                        (commit(stays, "named"), committed(looks, "named")))


def test_groups_that_were_only_named_are_in_no_file(checks):
    with tempfile.TemporaryDirectory(prefix="broker-groups-") as directory:
        with Broker(directory=directory) as broker, broker.connect() as connection:
            kept = prepared(checks, broker, connection)
            for part in range(10):
                checks.same("many", OK, beat(connection, "c", *(
                    f"many-{part}-{i}" for i in range(500)))[0])
            checks.same("all are there", 5000, sum(name.startswith("many-")
                                                   for name in groups_of(connection)))
            checks.until("the others are written", 10,
                         lambda: all(f'"{name}"' in written(broker) for name in kept))
            checks.check("they are not", "many-" not in written(broker) and
                         '"named"' not in written(broker))
        with Broker(directory=directory) as broker, broker.connect() as connection:
            checks.same("after a restart: those that have something", kept,
                        groups_of(connection) - {"looker"})
            checks.same("and their topics", retries(kept) | {"orders"}, topics_of(connection))
            checks.same("offsets", 1, committed(connection, "offset"))
            checks.same("settings", 3, json.loads(
                connection.ask(352, {"group": "given"})[1])["retryMaxTimes"])


def test_a_pull_waits_at_a_topic_that_is_gone(checks):
    """It has its answer, and nothing of it is freed before."""
    with Broker() as broker, broker.connect() as consumer, broker.connect() as other:
        beat(consumer, "c", "readers")
        consumer.socket.sendall(wire.frame(11, {
            **wire.pulling("readers", "%RETRY%readers", 0, 0), "sysFlag": 6,
            "suspendTimeoutMillis": 20000}))
        time.sleep(0.5)
        checks.same("deleted", OK, other.ask(215, {"topic": "%RETRY%readers"})[0]["code"])
        checks.same("made again", OK, beat(other, "other", "readers")[0])
        broker.send("orders", 1)
        checks.same("what it is told", NO_TOPIC, consumer.answer()[0]["code"])
        checks.same("retries are served", (OK, OK), (update(other, "readers"), other.ask(
            310, {**wire.sending("%RETRY%readers"), "l": 16}, b"body")[0]["code"]))
        checks.same("and read", [b"body"],
                    [one["body"] for one in pull(other, "readers", "%RETRY%readers")])


def test_a_group_is_deleted_with_its_offsets_if_that_is_said(checks):
    """Like RocketMQ's, and mqadmin deleteSubGroup without -r."""
    with Kept() as kept:
        def groups(connection):
            return sorted(groups_of(connection))

        def gone(connection, what):
            checks.same(f"{what}: it is not there", (NO_GROUP, []),
                        (connection.ask(352, {"group": "readers"})[0]["code"], groups(connection)))
            checks.same(f"{what}: its offsets are", [3, 4],
                        [committed(connection, "readers", queue) for queue in (0, 1)])

        def delete(connection, **more):
            header, _ = connection.ask(207, {"groupName": "readers", **more})
            checks.same(f"deleted {more}", OK, header["code"])

        with kept.broker() as broker, broker.connect() as connection:
            for queue in (0, 1):
                broker.send("orders", 5, queue)
            broker.consumed("readers", "orders", 0, 3)
            checks.same("settings", OK, connection.ask(
                200, {}, b'{"groupName": "readers", "retryMaxTimes": 7}')[0]["code"])
            checks.same("a pull tells an offset", OK,
                        connection.ask(11, {
                            **wire.pulling("readers", "orders", 1, 4), "sysFlag": 5,
                            "commitOffset": 4})[0]["code"])
            delete(connection)
            gone(connection, "at once")
            time.sleep(1.5)  # what pulls tell is stored within a second
            gone(connection, "later")
            delete(connection, cleanOffset="false")
            gone(connection, "again")
        with kept.broker() as broker, broker.connect() as connection:
            gone(connection, "after a restart")
            checks.same("an offset of what is not there", NO_GROUP, connection.ask(
                15, {"consumerGroup": "readers", "topic": "orders", "queueId": 0,
                     "commitOffset": 5})[0]["code"])
            checks.same("it comes back", 2, len(pull(connection, "readers", offset=3)))
            checks.same("with the usual settings", 16, json.loads(connection.ask(
                352, {"group": "readers"})[1])["retryMaxTimes"])
            checks.same("and its offsets", [3, 4],
                        [committed(connection, "readers", queue) for queue in (0, 1)])
            delete(connection)
            gone(connection, "once more")
            delete(connection, cleanOffset="true")
            checks.same("with its offsets", [None, None],
                        [committed(connection, "readers", queue) for queue in (0, 1)])
        with kept.broker() as broker, broker.connect() as connection:
            checks.same("for ever", ([None, None], []), (
                [committed(connection, "readers", queue) for queue in (0, 1)],
                groups(connection)))


def test_a_group_that_was_only_named_is_deleted_with_its_topic(checks):
    with Broker() as broker, broker.connect() as connection:
        broker.send("orders")
        for number in range(3):
            beat(connection, "c", f"named-{number}")
            checks.same("deleted", OK, connection.ask(207, {"groupName": f"named-{number}"})[0][
                "code"])
        checks.same("nothing of them is left", (set(), {"orders"}),
                    (groups_of(connection), topics_of(connection)))


# ---- how many ------------------------------------------------------------------------------------


def test_there_are_so_many_groups(checks):
    """Whoever takes all places keeps others out for as long as he is there, and is no obstacle to
    topics."""
    with Broker() as broker, broker.connect() as honest, contextlib.ExitStack() as stack:
        broker.send("orders", 2)
        checks.same("one that has come somewhere", OK, beat(honest, "h", "kept")[0])
        checks.same("comes there", OK, commit(honest, "kept"))
        greedy = [stack.enter_context(broker.connect()) for _ in range(10)]
        for number, connection in enumerate(greedy):
            for part in range(25):
                beat(connection, f"g{number}", *(f"g{number}-{part}-{i}" for i in range(400)))
        checks.until("it is said", 10, lambda: broker.says("warn there are .* groups"))
        for times in range(3):
            code, words = beat(honest, "h", "kept", f"fresh{times}")
            checks.same("another is told", SYSTEM_BUSY, code)
            checks.check("why", "groups" in (words or ""), words)
        checks.same("once", 1, broker.log().count("warn there are"))
        checks.same("who is there stays", (OK, OK), (beat(honest, "h", "kept")[0],
                                                      commit(honest, "kept", 2)))
        checks.same("a new topic can be made", OK, honest.ask(
            310, wire.sending("orders-new"), b"body")[0]["code"])
        checks.same("a retry can be stored", OK, send_back(honest, "kept"))
        for connection in greedy[:2]:
            connection.close()
        checks.until("when some are gone another comes", 10,
                     lambda: beat(honest, "h", "kept", "fresh")[0] == OK)
        checks.check("nothing of them is written", '"g0-0-0"' not in written(broker))


def test_there_are_so_many_topics(checks):
    """And one that is deleted has no place any more."""
    def fresh(connection, topic):
        header, _ = connection.ask(310, wire.sending(topic, queues=1), b"body")
        return header["code"], header.get("remark")

    def make(connection, begin, count):
        """At once, for time; the codes of the answers."""
        connection.socket.sendall(b"".join(wire.frame(310, wire.sending(
            f"orders-{i}", queues=1), b"body") for i in range(begin, begin + count)))
        return {connection.answer()[0]["code"] for _ in range(count)}

    with Broker(["--flush", "async"]) as broker, broker.connect() as connection:
        connection.socket.settimeout(60)
        made = 0
        while made < TOPICS_MAX and make(connection, made, 500) == {OK}:
            made += 500
        checks.same("the broker has some, too", TOPICS_MAX - 500, made)
        code, words = fresh(connection, "orders")
        checks.same("another is refused", SYSTEM_ERROR, code)
        checks.check("why", "no room for another topic" in (words or ""), words)
        checks.same("it is said once", 1, broker.log().count("warn there are"))
        checks.same("all are counted", str(TOPICS_MAX), re.search(
            r"^mini_broker_topics (\d+)$", ops.http(broker, "/metrics").text, re.M).group(1))
        checks.same("deleted", OK, connection.ask(215, {"topic": "orders-0"})[0]["code"])
        checks.same("there is one place", (OK, SYSTEM_ERROR),
                    (fresh(connection, "orders")[0], fresh(connection, "orders2")[0]))
        checks.same("and not for the deleted", SYSTEM_ERROR, fresh(connection, "orders-0")[0])


# ---- what settings change ------------------------------------------------------------------------


def test_retries_have_as_many_queues_as_it_says(checks):
    with Broker() as broker, broker.connect() as connection:
        broker.send("orders", 1)

        def retried():
            """How many messages are in each queue of its retries."""
            return [len(pull(connection, "readers", "%RETRY%readers", queue)) for queue in range(4)]

        checks.same("settings", OK, update(connection, "readers", retryQueueNums=4))
        checks.same("there", OK, beat(connection, "c", "readers")[0])
        checks.same("its topic", (4, 4), queues(connection, "%RETRY%readers"))
        for _ in range(8):
            checks.same("a retry", OK, send_back(connection, "readers"))
        checks.until("in each queue", 10, lambda: retried() == [2, 2, 2, 2], retried)
        checks.same("fewer", OK, update(connection, "readers", retryQueueNums=2))
        for _ in range(4):
            checks.same("another retry", OK, send_back(connection, "readers"))
        checks.until("in two of them", 10, lambda: retried() == [4, 4, 2, 2], retried)
        checks.same("those that are taken away can be read", (4, 4),
                    queues(connection, "%RETRY%readers"))
        checks.same("more", OK, update(connection, "readers", retryQueueNums=6))
        checks.same("there", OK, beat(connection, "c", "readers")[0])
        checks.same("it has grown", (6, 6), queues(connection, "%RETRY%readers"))
        checks.same("more than a topic has", INVALID,
                    update(connection, "readers", retryQueueNums=4097))

        checks.same("none", OK, update(connection, "proud", retryQueueNums=0))
        checks.same("there", OK, beat(connection, "c", "readers", "proud")[0])
        checks.same("a retry is answered", OK, send_back(connection, "proud"))
        checks.same("and one that is to be a dead letter", OK, send_back(connection, "proud", -1))
        checks.same("and stored nowhere", (None, None), (
            queues(connection, "%RETRY%proud"), queues(connection, "%DLQ%proud")))


def test_a_retry_makes_its_group(checks):
    """As a message, too, which clients send when the request for it fails: behind a restart it may
    be there before their heartbeat."""
    with Broker() as broker, broker.connect() as connection:
        broker.send("orders", 1)
        checks.same("given back", OK, send_back(connection, "late"))
        checks.same("sent", OK, connection.ask(
            310, wire.sending("%RETRY%later"), b"body")[0]["code"])
        checks.same("they are there", (OK, OK), (
            connection.ask(352, {"group": "late"})[0]["code"],
            connection.ask(352, {"group": "later"})[0]["code"]))
        checks.same("and cannot have any name", (NO_GROUP, NO_GROUP), (
            send_back(connection, "no/body"),
            connection.ask(310, wire.sending("%RETRY%"), b"body")[0]["code"]))
        # Clients before 4.6.1 leave in it what the original had of a transaction.
        beat(connection, "c", "readers")
        retry = {**wire.sending("%RETRY%readers", properties="TRAN_MSG\1true\2DELAY\0011\2"),
                 "j": 1, "l": 16}
        checks.same("of a transaction", OK, connection.ask(310, retry, b"again")[0]["code"])
        checks.until("it comes again", 10, lambda: [
            (one["body"], one["p"].get("TRAN_MSG"), one["rec"])
            for one in pull(connection, "readers", "%RETRY%readers")] == [(b"again", None, 1)],
                     lambda: pull(connection, "readers", "%RETRY%readers"))
        checks.same("what is no retry", 13, connection.ask(
            310, {**retry, "j": 0}, b"never")[0]["code"])


def test_members_are_told_of_changes_or_not(checks):
    def notices(connection):
        """Requests of the broker before the answer to a question."""
        connection.socket.sendall(wire.frame(38, {"consumerGroup": "readers"}, opaque=77))
        found = []
        while True:
            header, _ = connection.message()
            if header.get("flag", 0) & 1:
                return found
            found.append(header["code"])

    with Broker() as broker, broker.connect() as member:
        checks.same("it is there", OK, beat(member, "member", "readers")[0])
        notices(member)
        for notify, wanted in ((True, [40, 40]), (False, []), (True, [40, 40])):
            checks.same(f"{notify}: set", OK, update(member, "readers",
                                                     notifyConsumerIdsChangedEnable=notify))
            with broker.connect() as other:
                beat(other, "other", "readers")
            found, end = [], time.monotonic() + (5 if notify else 1)
            while len(found) < 2 and time.monotonic() < end:
                time.sleep(0.1)
                found += notices(member)
            checks.same(f"{notify}: told that one came, and left", wanted, found)


def test_the_status_of_a_topic_has_all_queues(checks):
    with Broker() as broker, broker.connect() as connection:
        for topic, read, write in (("orders-written", 2, 4), ("orders-read", 4, 2)):
            checks.same("made", OK, connection.ask(17, {
                "topic": topic, "readQueueNums": read, "writeQueueNums": write,
                "perm": 6})[0]["code"])
            _, body = connection.ask(202, {"topic": topic})
            checks.same(f"{topic}: queues", list(range(4)),
                        [int(queue) for queue in re.findall(rb'"queueId":(\d+)', body)])


if __name__ == "__main__":
    sys.exit(ops.Checks().run([value for name, value in list(globals().items())
                               if name.startswith("test_")],
                              waiting=[test_a_group_that_was_only_named_is_forgotten]))
