#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""How long requests of one client keep the others of the mini-broker waiting, which has one loop:
it does a part of the work at a time, and says where to go on.

  turns_test.py [TEST...]
"""

import contextlib
import json
import os
import re
import socket
import struct
import sys
import threading
import time

import ops
import wire
from keep_test import Kept, cpu, held_pulls, pull, send
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


def written(checks, broker):
    """All that was sent is in the store's files, and nothing more is written there."""
    checks.until("all is durable", 30, lambda: len(set(re.findall(
        r'^commitlog_position_bytes{position="(?:published|durable)"} (\d+)$',
        ops.http(broker, "/metrics").text, re.M))) == 1)


def test_a_queue_of_unreadable_messages_is_passed_in_parts(checks):
    with Broker(["--flush", "async"]) as broker, broker.connect() as connection:
        fill(broker, "good", 5, body=b"good")
        fill(broker, "bad", 1500, body=b"soon-to-be-spoilt")
        fill(broker, "bad", 1, body=b"last")
        fill(broker, "more", 100, body=b"x" * 100000)  # what is in memory is what others wrote
        written(checks, broker)
        checks.check("spoilt", spoil(broker.directory, b"soon-to-be-spoilt", b"soon-to-be-SPOILT")
                     >= 1500)
        offset, bodies, asked, passed, begin = 0, [], 0, [], time.monotonic()
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
    # One in a second at most, and all of them are there: the log has been read to its end.
    most = time.monotonic() - begin + 2
    said = sum("queue 0: offset" in line for line in broker.lines)
    checks.check("the log has some lines", 0 < said <= most, f"{said}, {most:.1f}")


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


def test_a_condition_is_looked_for_among_large_messages_in_parts(checks):
    """Each is read: 240 MiB of them are more than one pull has time for."""
    with Broker(["--flush", "async"]) as broker, broker.connect() as connection:
        fill(broker, "orders", 60, "price\x011\x02", b"x" * (4 << 20))
        fill(broker, "orders", 1, "price\x012\x02")
        asked = follow(checks, "large", connection, wanting("orders", "price = 2", "SQL92"), 60,
                       59)
        checks.check("large: in parts", asked > 1, asked)


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
        while not bodies and time.monotonic() - begin < 60:
            header, body = connection.answer()
            bodies = [one["body"] for one in wire.records(body)]
            checks.check("goes on", next_offset(header) >= offset, header)
            offset = next_offset(header)
            if not bodies:
                connection.socket.sendall(
                    wire.frame(11, wanting("orders", "b", offset=offset, hold=20000)))
        checks.same("found", [b"wanted"], bodies)


def longest_wait(broker, seconds, until=lambda: False):
    """Of one that asks for something simple all the time: how long the broker works for others
    before it is answered."""
    end, longest = time.monotonic() + seconds, 0
    with broker.connect() as connection:
        connection.socket.settimeout(60)
        while time.monotonic() < end and not until():
            begin = broker.worked()
            connection.ask(105, {"topic": "TBW102"})
            longest = max(longest, broker.worked() - begin)
    return longest


def test_pulls_that_wait_cost_nothing_where_nothing_comes(checks):
    """Of ten clients 160,000 pulls wait for one queue, while messages come into another."""
    with Broker(["--flush", "async"]) as broker, broker.connect() as connection:
        send(connection, "orders", e=0)
        many = [broker.connect() for _ in range(10)]
        for one in many:
            one.socket.settimeout(60)
            one.socket.sendall(wire.frame(11, wanting("orders", "*", offset=1, hold=60000)) * 16000)
        checks.until("they wait", 30, lambda: held_pulls(broker) == 160000)
        begin, used = time.monotonic(), cpu(broker)
        for _ in range(200):
            send(connection, "others")
        took, used = time.monotonic() - begin, cpu(broker) - used
        print(f"   200 messages: {took:.1f} s, {used:.1f} s of the processor")
        checks.check("others are served", used < 1, used)
        send(connection, "orders", e=0)
        for one in many:
            checks.same("and it comes", OK, one.answer()[0]["code"])
            one.close()


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


def test_many_offsets_of_pulls_are_stored_soon(checks):
    """100 groups carry offsets of 1,000 queues each."""
    with Broker(["--flush", "async", "--log", "error"]) as broker, broker.connect() as connection:
        fill(broker, "BenchmarkTest", 1)
        connection.socket.settimeout(60)
        for group in range(100):
            fields = {**wanting("BenchmarkTest", "*"), "consumerGroup": f"group{group}",
                      "sysFlag": 5}
            connection.socket.sendall(b"".join(
                wire.frame(11, {**fields, "queueId": queue}) for queue in range(1000)))
            for _ in range(1000):
                connection.answer()
            if group == 80:
                waits = threading.Thread(target=lambda: longest.append(longest_wait(broker, 4)))
                longest = []
                waits.start()
        waits.join()
        print(f"   others waited {longest[0] * 1000:.0f} ms")
        checks.check("others do not wait", longest[0] < 0.4, longest)


def groups_of(connection, topic):
    header, body = connection.ask(300, {"topic": topic})
    return sorted(json.loads(body)["groupList"]) if header["code"] == OK else header


def heartbeat(connection, client, groups, topic):
    body = {"clientID": client, "producerDataSet": [], "consumerDataSet": [
        {"groupName": group, "messageModel": "CLUSTERING", "subscriptionDataSet": [
            {"topic": topic, "subString": "*", "subVersion": 1}]} for group in groups]}
    return connection.ask(34, {}, json.dumps(body).encode())[0]["code"]


def test_groups_of_a_topic_are_told_at_once(checks):
    """Of 5,000 groups, and a topic with as many queues as can be; queryMsgById asks for them, too.
    Those are told that have an offset in it, one that a pull has just carried, or subscribe it."""
    with Broker(["--flush", "async", "--log", "error"]) as broker, broker.connect() as connection:
        connection.socket.settimeout(60)
        checks.same("made", OK, connection.ask(17, {
            "topic": "wide", "defaultTopic": "TBW102", "readQueueNums": 4096, "perm": 6,
            "writeQueueNums": 4096, "topicFilterType": "SINGLE_TAG", "order": "false"})[0]["code"])
        for queue in (0, 4095):
            broker.send("wide", 1, queue)
        fill(broker, "narrow", 1)
        for begin in range(0, 5000, 500):
            checks.same("known", OK, heartbeat(connection, f"c{begin}", [
                f"group{begin + number}" for number in range(500)], "narrow"))
        for number in range(5000):
            fields = {"consumerGroup": f"group{number}", "topic": "narrow", "queueId": 0,
                      "commitOffset": 1}
            connection.socket.sendall(wire.frame(15, fields))
        checks.same("committed", {OK}, {connection.answer()[0]["code"] for _ in range(5000)})
        checks.same("nobody", [], groups_of(connection, "wide"))
        broker.consumed("group7", "wide", 4095, 1)
        checks.same("one with an offset", ["group7"], groups_of(connection, "wide"))
        pulls = {**wanting("wide", "*"), "consumerGroup": "puller", "sysFlag": 5,
                 "commitOffset": 1, "queueId": 4095}
        connection.ask(11, pulls)
        checks.same("one that pulls", ["group7", "puller"], groups_of(connection, "wide"))
        checks.same("joined", OK, heartbeat(connection, "subscriber", ["subscriber"], "wide"))
        checks.same("one that subscribes", ["group7", "puller", "subscriber"],
                    groups_of(connection, "wide"))
        checks.same("of a narrow topic", 5000, len(groups_of(connection, "narrow")))

        def seconds():
            worked, began = broker.worked(), time.monotonic()
            for _ in range(5):
                groups_of(connection, "wide")
            took = (broker.worked() - worked) / 5
            print(f"   {took * 1000:.0f} ms of the processor, {time.monotonic() - began:.2f} s")
            return took
        checks.once("it takes milliseconds", 0.02, seconds)
        checks.same("deleted", OK, connection.ask(207, {"groupName": "group7",
                                                        "cleanOffset": "true"})[0]["code"])
        broker.consumed("group8", "wide", 0, 1)
        checks.same("others", ["group8", "puller", "subscriber"], groups_of(connection, "wide"))


def test_groups_of_a_topic_are_known_after_a_restart(checks):
    """When nothing was counted: of groups that were there, and of what they commit since."""
    with Kept() as kept:
        with Broker(directory=kept.directory) as broker:
            for topic in ("one", "two", "three"):
                broker.send(topic, 2)
                broker.consumed("old", topic, 0, 1)
            broker.send("four")
        with Broker(directory=kept.directory) as broker, broker.connect() as connection:
            broker.consumed("new", "two", 0, 1)
            broker.consumed("old", "two", 0, 2)
            wanted = {"one": ["old"], "two": ["new", "old"], "three": ["old"], "four": []}
            for _ in range(2):
                for topic, groups in wanted.items():
                    checks.same(topic, groups, groups_of(connection, topic))
                broker.consumed("old", "four", 0, 0)
                wanted["four"] = ["old"]


# ---- notices -------------------------------------------------------------------------------------

CONSUMERS_CHANGED, OFFSET_RESET = 40, 220


def delivered(broker):
    """Messages that were answered."""
    text = ops.http(broker, "/metrics").text
    return int(re.search(r"^mini_broker_messages_delivered_total (\d+)$", text, re.M).group(1))


def said(connection, answers):
    """Codes of requests of the server until so many answers have come."""
    requests = []
    while answers > 0:
        length, = struct.unpack(">i", connection.read(4))
        data = connection.read(length)
        header = json.loads(data[4:4 + int.from_bytes(data[1:4], "big")])
        if header["flag"] & 1:
            answers -= 1
        else:
            requests.append(header["code"])
    return requests


def beating(client, groups):
    """A heartbeat of a consumer that has all messages; groups: [(name, expression)]."""
    return wire.frame(34, {}, json.dumps({"clientID": client, "consumerDataSet": [{
        "groupName": group, "messageModel": "BROADCASTING", "subscriptionDataSet": [
            {"topic": "orders", "subString": expression, "subVersion": 1, "expressionType": "TAG"}]}
        for group, expression in groups]}).encode())


def notified(connection):
    """How many requests have come until now, of each code."""
    time.sleep(0.2)
    connection.socket.sendall(wire.frame(105, {"topic": "TBW102"}))
    codes = said(connection, 1)
    return {code: codes.count(code) for code in set(codes)}


def test_a_connection_is_told_once_however_many_members_it_is(checks):
    with Broker() as broker, broker.connect() as many, broker.connect() as other:
        broker.send("orders")
        for number in range(300):
            many.socket.sendall(beating(f"member{number}", [("readers", "*")]))
            said(many, 1)
        notified(many)
        other.socket.sendall(beating("other", [("readers", "*")]))
        said(other, 1)
        checks.same("one joins", {CONSUMERS_CHANGED: 1}, notified(many))
        other.socket.sendall(beating("other", [("readers", f"tag{n}") for n in range(1000)]))
        said(other, 1)
        checks.same("one names the group a thousand times", {CONSUMERS_CHANGED: 1}, notified(many))
        _, body = other.ask(203, {"consumerGroup": "readers"})
        table = json.loads(body)["subscriptionTable"]
        checks.same("what it says first counts", "tag0", table["orders"]["subString"])
        other.socket.sendall(beating("other", [(f"group{n % 100}", "*") for n in range(1000)]))
        codes = said(other, 1)
        codes += [CONSUMERS_CHANGED] * notified(other).get(CONSUMERS_CHANGED, 0)
        checks.check("each group once", 100 <= len(codes) <= 103, len(codes))
        other.ask(222, {"topic": "orders", "group": "readers", "timestamp": -1, "isForce": "true"})
        checks.same("a reset", {OFFSET_RESET: 1}, notified(many))


def test_who_does_not_read_is_told_when_it_does(checks):
    with Broker() as broker, broker.connect() as slow, broker.connect() as other:
        fill(broker, "orders", 1, body=b"x" * (1 << 20))
        slow.socket.sendall(beating("slow", [("readers", "*")]))
        said(slow, 1)
        notified(slow)
        slow.socket.sendall(wire.frame(11, wanting("orders", "*")) * 40)
        ops.settled(lambda: delivered(broker))
        for number in range(200):
            other.socket.sendall(beating(f"other{number}", [("readers", "*")]))
            said(other, 1)
        told, end = said(slow, 40), time.monotonic() + 30
        while not told and time.monotonic() < end:
            told += notified(slow)
        time.sleep(0.5)
        checks.same("told, once", [CONSUMERS_CHANGED], told + list(notified(slow)))


def test_who_has_gone_is_not_answered_at_the_cost_of_others(checks):
    """What a client asked before it reset its connection is still there to be read, and nobody is
    to be told."""
    with Broker(["--flush", "async"]) as broker, broker.connect() as other:
        fill(broker, "orders", 1, body=b"x" * (1 << 20))
        checks.same("a topic whose status takes long", OK, other.ask(
            17, {"topic": "wide", "defaultTopic": "TBW102", "readQueueNums": 4096,
                 "writeQueueNums": 4096, "perm": 6, "topicFilterType": "SINGLE_TAG",
                 "topicSysFlag": 0, "order": "false"})[0]["code"])
        checks.same("it is stored", OK, send(other, "wide")[0])

        def served():
            with broker.connect() as gone:
                gone.socket.sendall(beating("gone", [("readers", "*")]))
                said(gone, 1)
                gone.socket.sendall(wire.frame(11, wanting("orders", "*")) * 40)
                time.sleep(1)  # more waits to be read than is answered
                asked = wire.frame(202, {"topic": "wide"}) * 50000
                gone.socket.settimeout(1)
                with contextlib.suppress(TimeoutError):
                    while asked:
                        asked = asked[gone.socket.send(asked[:65536]):]
                gone.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack("ii", 1, 0))
            begin = time.monotonic()
            checks.until("it is seen", 30, lambda: other.ask(
                203, {"consumerGroup": "readers"})[0]["code"] != OK)
            return time.monotonic() - begin

        checks.once("others are served", 1.5, served, tries=3)


# ---- positions -----------------------------------------------------------------------------------


def test_wrong_positions_take_a_part_of_the_time(checks):
    """To say that no record begins there the store looks through a segment."""
    with Broker(["--flush", "async"]) as broker, broker.connect() as connection:
        fill(broker, "orders", 50000)
        _, fields = send(connection, "orders")
        right = int(fields["msgId"][-16:], 16)
        connection.ask(34, {}, json.dumps({"clientID": "c", "consumerDataSet": [
            {"groupName": "readers"}]}).encode())
        for what, code, more in (("view", 33, {}), ("send back", 36, {
                "group": "readers", "delayLevel": 1})):
            connection.socket.sendall(b"".join(wire.frame(code, {"offset": right - 8, **more})
                                               for _ in range(100)))
            codes = [connection.answer()[0]["code"] for _ in range(100)]
            checks.same(f"{what}: the first", SYSTEM_ERROR, codes[0])
            checks.check(f"{what}: the others", codes.count(SYSTEM_BUSY) > 95, codes)
            with broker.connect() as other:
                checks.same(f"{what}: of others", OK,
                            other.ask(code, {"offset": right, **more})[0]["code"])
            checks.until(f"{what}: later", 30, lambda c=code, m=more: connection.ask(
                c, {"offset": right, **m})[0]["code"] == OK)


# ---- a disk that is slow -------------------------------------------------------------------------


def test_a_store_without_room_is_not_waited_for_again_and_again(checks):
    with Kept() as kept:
        slow = os.path.join(kept.directory, "slow")
        environment = ops.preloaded("slow_disk", kept.directory, SLOW_DISK=slow)
        if environment is None:
            checks.skip("a slow disk", "nothing can be preloaded here")
            return
        with Broker(["--flush", "async", "--unflushed-bytes", "200000"],
                    environment=environment) as broker, broker.connect() as connection:
            send(connection, "orders")
            open(slow, "w", encoding="ascii").close()
            send(connection, "orders")
            time.sleep(0.5)  # the store's own thread is at it
            connection.socket.settimeout(60)
            begin = time.monotonic()
            connection.socket.sendall(wire.frame(10, ops.sending("orders"), b"x" * 50000) * 40)
            codes = [connection.answer()[0]["code"] for _ in range(40)]
            took = time.monotonic() - begin
            print(f"   {codes.count(OK)} of 40 are stored, {took:.1f} s")
            checks.same("some are stored", {OK, SYSTEM_BUSY}, set(codes))
            # Each of them would wait for a second.
            checks.check("the others are answered soon", took < 20, took)
            os.unlink(slow)
            checks.until("there is room again", 10, lambda: send(connection, "orders")[0] == OK)


def test_new_topics_are_written_in_a_part_of_the_time(checks):
    with Kept() as kept:
        environment = ops.preloaded("slow_disk", kept.directory, SLOW_FSYNC_MS="100")
        if environment is None:
            checks.skip("a slow disk", "nothing can be preloaded here")
            return
        with Broker(["--flush", "async"], environment=environment) as broker, \
                broker.connect() as connection:
            begin, waited = time.monotonic(), []
            while time.monotonic() - begin < 8:
                asked = time.monotonic()
                send(connection, f"orders{len(waited)}")
                waited.append(time.monotonic() - asked)
                time.sleep(0.05)
            slow = sum(one >= 0.1 for one in waited)  # as long as one fsync(2)
            print(f"   {len(waited)} topics, waited {sum(waited):.1f} of 8 s, for {slow}")
            checks.check("others are served", slow < len(waited) / 4, (slow, waited))


# ---- readers -------------------------------------------------------------------------------------


def hasty(directory):
    """The environment of a broker whose minutes have three seconds; None: it cannot be made."""
    return ops.preloaded("hasty", directory)


def test_who_reads_slowly_is_served_and_who_does_not_is_closed(checks):
    with Kept() as kept:
        environment = hasty(kept.directory)
        if environment is None:
            checks.skip("slow readers", "nothing can be preloaded here")
            return
        # A flush has its time in hasty minutes, too, and is not what this is about.
        with Broker(["--flush", "async"], environment=environment) as broker:
            fill(broker, "orders", 1, body=b"x" * (4 << 20))
            steady, stuck, done, begin = broker.connect(), broker.connect(), 0, time.monotonic()
            for one in (steady, stuck):
                one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                one.socket.sendall(wire.frame(11, wanting("orders", "*")) * 10)
            while time.monotonic() - begin < 15 or \
                    done <= 4 << 20 and time.monotonic() - begin < 60:
                done += len(steady.socket.recv(100000))
                time.sleep(0.2)
            checks.check("one of them is still served", done > 4 << 20, done)
            steady.socket.settimeout(30)
            while done < 40 << 20:
                done += len(steady.socket.recv(1 << 20)) or (1 << 30)
            checks.check("and gets all", done < 1 << 30, done)
            checks.check("the other is not", broker.says("does not read") or closed(stuck))


def test_a_frame_comes_in_its_time(checks):
    """A byte now and then keeps a connection, but no part of a frame."""
    with Kept() as kept:
        environment = hasty(kept.directory)
        if environment is None:
            checks.skip("frames that take long", "nothing can be preloaded here")
            return
        with Broker(environment=environment) as broker:
            whole, parts = wire.frame(105, {"topic": "TBW102"}), []
            steady, slow, late = broker.connect(), broker.connect(), broker.connect()
            late.socket.sendall(whole + whole[:20])  # the part is what is too late
            begin = time.monotonic()
            for at in range(len(whole)):
                if at < 30 and not parts:
                    try:
                        slow.socket.sendall(whole[at:at + 1])
                    except OSError:
                        parts.append(at)
                steady.socket.sendall(whole[-1:] + whole[:-1] if at else whole[:-1])
                time.sleep(0.1)
                if time.monotonic() - begin > 6:
                    break
            steady.socket.sendall(whole[-1:])
            checks.check("who says frames is served", not closed(steady, 0.5))
            checks.check("one that drips is closed", closed(slow))
            checks.check("and one that stops within a frame", closed(late))
            checks.check("the log says why", broker.says("parts of frames that do not become"))


def closed(connection, seconds=10):
    """Whether it ends within so long; what is on its way may still come before."""
    connection.socket.settimeout(seconds)
    try:
        while connection.socket.recv(1 << 20):
            pass
        return True
    except TimeoutError:
        return False
    except OSError:
        return True


if __name__ == "__main__":
    sys.exit(ops.Checks().run([value for name, value in list(globals().items())
                               if name.startswith("test_")],
                              waiting=[test_who_reads_slowly_is_served_and_who_does_not_is_closed,
                                       test_a_frame_comes_in_its_time,
                                       test_new_topics_are_written_in_a_part_of_the_time]))
