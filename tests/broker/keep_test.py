#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the mini-broker keeps, and in which bounds: settings, offsets, dead letters, locks, answers.

  keep_test.py [TEST...]
"""

import contextlib
import json
import os
import random
import re
import resource
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

import certificates
import ops
import wire
from ops import Broker

KIB, MIB = 1 << 10, 1 << 20
SEED = int(os.environ.get("SEED", "1"))
SLACK = 4 if "asan" in ops.BUILD else 1  # it keeps what was freed for a while
OK, SYSTEM_ERROR, SYSTEM_BUSY, ILLEGAL, NO_TOPIC, NOT_FOUND, NO_GROUP = 0, 1, 2, 13, 17, 22, 26


class Kept:
    """A directory that outlives the brokers on it."""

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="broker-keep-")
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.directory, ignore_errors=True)

    def broker(self, *options):
        return Broker(options, directory=self.directory)

    @property
    def settings(self):
        return os.path.join(self.directory, "data", "broker.json")


def send(connection, topic, body=b"body", **more):
    """The code of the answer, and its fields."""
    header, _ = connection.ask(310, {"a": "producers", "b": topic, "c": "TBW102", "d": 4, "e": 0,
                                     "f": 0, "g": 1, "h": 0, "i": "", "j": 0, **more}, body)
    return header["code"], header.get("extFields", {})


def pull(connection, group, topic, queue=0, offset=0, commit=None):
    """The code of the answer, and the bodies."""
    header, body = connection.ask(11, {
        "consumerGroup": group, "topic": topic, "queueId": queue, "queueOffset": offset,
        "maxMsgNums": 32, "sysFlag": 4 if commit is None else 5, "commitOffset": commit or 0,
        "suspendTimeoutMillis": 0, "subVersion": 0, "subscription": "*"})
    return header["code"], [one["body"] for one in wire.records(body)]


def offset(connection, group, topic, queue=0):
    header, _ = connection.ask(14, {"consumerGroup": group, "topic": topic, "queueId": queue,
                                    "setZeroIfNotFound": "false"})
    return int(header["extFields"]["offset"]) if header["code"] == OK else None


def join_producers(connection, group, client):
    body = json.dumps({"clientID": client, "producerDataSet": [{"groupName": group}]})
    header, _ = connection.ask(34, {}, body.encode())
    return header["code"]


def resident(broker):
    with open(f"/proc/{broker.process.pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


# ---- settings ------------------------------------------------------------------------------------


def test_settings_that_cannot_be_read_stay(checks):
    with Kept() as kept:
        with kept.broker() as broker:
            broker.send("orders", 3)
            broker.consumed("readers", "orders", 0, 2)
        with open(kept.settings, encoding="utf-8") as settings:
            good = settings.read()
        queues = '"readQueues": 4,'
        checks.check("the topic is there", good.count(queues) == 1, good)
        for what, text in (("half of it", good[:len(good) // 2]), ("a list", "[]"),
                           ("a topic of a queue less than one", good.replace(queues,
                                                                             '"readQueues": 0,')),
                           ("a group of no name", good.replace('"groupName"', '"groupNam"'))):
            with open(kept.settings, "w", encoding="utf-8") as settings:
                settings.write(text)
            broker = kept.broker()
            broker.spawn()
            checks.same(f"{what}: exit code", 1, broker.ended())
            checks.check(f"{what}: it is said", broker.says("error .*broker.json"), broker.log())
            with open(kept.settings, encoding="utf-8") as settings:
                checks.same(f"{what}: stays", text, settings.read())
        with open(kept.settings, "w", encoding="utf-8") as settings:
            settings.write(good)
        with kept.broker() as broker, broker.connect() as connection:
            checks.same("put right, it starts", (OK, [b"body"] * 3),
                        pull(connection, "readers", "orders"))


def test_names_of_brokers_are_any(checks):
    name = 'brö"ker'
    with Kept() as kept:
        for _ in range(2):
            with kept.broker("--name", name) as broker, broker.connect() as connection:
                connection.ask(17, {"topic": "orders", "readQueueNums": 3, "writeQueueNums": 3,
                                    "perm": 6, "order": "true"})
                checks.same("where it is", f"{name}:3", json.loads(
                    connection.ask(105, {"topic": "orders"})[1]).get("orderTopicConf"))
                checks.same("there is a topic of its name", OK,
                            connection.ask(105, {"topic": name})[0]["code"])


def test_queues_of_new_topics_are_as_the_option_says(checks):
    with Kept() as kept:
        for number, (options, queues) in enumerate((
                (["--queues", "3"], 3), (["--queues", "5"], 5), ([], 5), (["--queues", "2"], 2))):
            with kept.broker(*options) as broker, broker.connect() as connection:
                send(connection, f"orders{number}", d=16)
                route = json.loads(connection.ask(105, {"topic": f"orders{number}"})[1])
                checks.same(f"{options}", queues, route["queueDatas"][0]["writeQueueNums"])


def test_the_time_of_the_oldest_message(checks):
    def earliest(connection):
        return int(json.loads(connection.ask(28)[1])["table"]["earliestMessageTimeStamp"])

    with Kept() as kept:
        with kept.broker() as broker, broker.connect() as connection:
            begin, time_of_none = time.time() * 1000, earliest(connection)
            checks.check("none", begin - 50 <= time_of_none <= time.time() * 1000, time_of_none)
            begin = time.time() * 1000
            send(connection, "orders", e=1)
            end = time.time() * 1000
            time.sleep(0.2)
            send(connection, "orders", e=0)
            send(connection, "later")
        with kept.broker() as broker, broker.connect() as connection:
            checks.check("that of the first", begin - 50 <= earliest(connection) <= end + 50,
                         (begin, earliest(connection), end))


def test_an_answer_that_no_frame_holds(checks):
    with Broker() as broker, broker.connect() as connection, broker.connect() as other:
        for number in range(60):  # in JSON each of these takes six
            connection.ask(100, {"namespace": "n", "key": number, "value": "\1" * 60000})
        try:
            connection.ask(219, {"namespace": "n"})
            checks.check("ends the connection", False)
        except wire.WireError as error:
            checks.check("ends the connection", "closed" in str(error), error)
        checks.same("and no other", OK, send(other, "orders")[0])


def test_messages_are_found_without_settings(checks):
    with Kept() as kept:
        with kept.broker() as broker, broker.connect() as connection:
            send(connection, "orders", b"old")
            for generation in (b"second", b"third"):
                connection.ask(215, {"topic": "orders"})
                checks.same("made again", OK, send(connection, "orders", generation)[0])
            send(connection, "gone", b"old")
            connection.ask(215, {"topic": "gone"})
            connection.ask(17, {"topic": "small", "readQueueNums": 2, "writeQueueNums": 2,
                                "perm": 6})
            connection.ask(17, {"topic": "small", "readQueueNums": 6, "writeQueueNums": 6,
                                "perm": 6})
            checks.same("in a later queue", OK, send(connection, "small", b"later", e=5)[0])
        with kept.broker() as broker, broker.connect() as connection:
            checks.same("with settings", (OK, [b"third"]), pull(connection, "g", "orders"))
            checks.same("what was deleted is", NO_TOPIC, pull(connection, "g", "gone")[0])
        os.unlink(kept.settings)
        with kept.broker() as broker, broker.connect() as connection:
            checks.same("without", (OK, [b"third"]), pull(connection, "g", "orders"))
            checks.same("of a later queue", (OK, [b"later"]), pull(connection, "g", "small", 5))


def test_a_value_that_is_refused_changes_nothing(checks):
    with Broker() as broker, broker.connect() as connection:
        key = {"namespace": "n", "key": "k"}
        checks.same("put", OK, connection.ask(100, {**key, "value": "small"})[0]["code"])
        checks.same("too large", SYSTEM_ERROR,
                    connection.ask(100, {**key, "value": "x" * 70000})[0]["code"])
        header, _ = connection.ask(101, key)
        checks.same("as it was", "small", header.get("extFields", {}).get("value"))


# ---- groups --------------------------------------------------------------------------------------


def test_a_deleted_group_stays_deleted(checks):
    with Broker() as broker, broker.connect() as connection:
        broker.send("orders", 5)
        broker.consumed("readers", "orders", 0, 1)
        checks.same("a pull tells an offset", OK,
                    pull(connection, "readers", "orders", offset=4, commit=4)[0])
        checks.same("which holds", 4, offset(connection, "readers", "orders"))
        checks.same("deleted", OK, connection.ask(
            207, {"groupName": "readers", "cleanOffset": "true"})[0]["code"])
        time.sleep(1.5)  # what pulls tell is stored within a second
        checks.same("there is no group", NO_GROUP,
                    connection.ask(352, {"group": "readers"})[0]["code"])
        checks.same("and no offset", None, offset(connection, "readers", "orders") or None)


def test_what_pulls_tell_outlives_a_full_disk(checks):
    with Kept() as kept:
        if os.geteuid() != 0 or subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=900m", "tmpfs", kept.directory],
                stderr=subprocess.DEVNULL, check=False).returncode != 0:
            checks.skip("a full disk", "nothing can be mounted here")
            return
        try:
            with kept.broker() as broker, broker.connect() as connection:
                broker.send("orders", 5)
                broker.consumed("readers", "orders", 0, 1)
                filler = os.path.join(kept.directory, "filler")
                with contextlib.suppress(OSError), open(filler, "wb", 0) as out:
                    while out.write(bytes(MIB)):
                        pass
                for size in (MIB, 10000, 100, 1):
                    while send(connection, "others", b"x" * size)[0] == OK:
                        pass
                for number in range(50000):  # they have room where messages have none, 1 MiB
                    if connection.ask(15, {
                            "consumerGroup": "readers", "topic": "orders", "queueId": 0,
                            "commitOffset": number % 2})[0]["code"] == SYSTEM_ERROR:
                        break
                pull(connection, "readers", "orders", offset=4, commit=3)
                time.sleep(1.5)  # what pulls tell is stored within a second, if there is room
                pull(connection, "others", "orders")  # a group without an offset
                checks.same("there is none", SYSTEM_ERROR, connection.ask(15, {
                    "consumerGroup": "others", "topic": "orders", "queueId": 0,
                    "commitOffset": 2})[0]["code"])
                checks.same("and it is still known", 3, offset(connection, "readers", "orders"))
                os.unlink(filler)
                checks.until("there is room again", 10,
                             lambda: send(connection, "others")[0] == OK)
            with kept.broker() as broker, broker.connect() as connection:
                checks.same("it was stored", 3, offset(connection, "readers", "orders"))
        finally:
            subprocess.run(["umount", kept.directory], check=False)


def test_an_offset_that_is_not_stored_is_not_confirmed(checks):
    with Broker() as broker:
        broker.expected = 1
        broker.send("orders", 5)
        broker.consumed("readers", "orders", 0, 1)
        # From now on every write to a file fails, and so does the store.
        resource.prlimit(broker.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        with broker.connect() as connection:
            send(connection, "orders", b"x" * 100000)
            checks.until("the store has failed", 10, lambda: ops.http(broker,
                                                                      "/health").status == 503)
            header, _ = connection.ask(15, {"consumerGroup": "readers", "topic": "orders",
                                            "queueId": 0, "commitOffset": 3})
            checks.same("an offset", SYSTEM_ERROR, header["code"])
            header, _ = connection.ask(222, {"group": "readers", "topic": "orders",
                                             "timestamp": 0, "isForce": "true"})
            checks.same("a reset", SYSTEM_ERROR, header["code"])


def test_dead_letters_can_be_read(checks):
    with Broker() as broker, broker.connect() as connection:
        broker.send("orders", 1)
        broker.consumed("readers", "orders", 0, 0)
        connection.ask(17, {"topic": "%RETRY%readers", "readQueueNums": 8, "writeQueueNums": 8,
                            "perm": 6})
        for number in range(2):
            checks.same("a retry too many, sent to a queue of the retries", OK, send(
                connection, "%RETRY%readers", b"dead%d" % number, j=16, l=16, e=5 * number)[0])
        checks.same("is a dead letter", (OK, [b"dead0", b"dead1"]),
                    pull(connection, "readers", "%DLQ%readers"))


def test_groups_of_producers_have_names_of_some_length(checks):
    with Broker() as broker, broker.connect() as connection:
        for name, code in (("p" * 240, OK), ("p" * 100000, SYSTEM_ERROR)):
            checks.same("a heartbeat is not refused", OK, join_producers(connection, name, "c"))
            checks.same(f"{len(name)} bytes", code, connection.ask(
                204, {"producerGroup": name})[0]["code"])


# ---- locks ---------------------------------------------------------------------------------------


def lock(connection, code, topic, count):
    """How many are the client's."""
    header, body = connection.ask(code, {}, json.dumps({
        "consumerGroup": "readers", "clientId": "c", "mqSet": [
            {"topic": topic, "brokerName": "b", "queueId": queue} for queue in range(count)]},
        separators=(",", ":")).encode())
    return len(json.loads(body)["lockOKMQSet"]) if code == 41 and header["code"] == OK else None


def test_locks_come_to_an_end(checks):
    with Broker() as broker, broker.connect() as connection:
        topics, count = [], 0
        while len(topics) < 120 and count == 15000 * len(topics):
            topics.append(f"topic{len(topics)}")
            count += lock(connection, 41, topics[-1], 15000)
        print(f"   {count} locks")
        checks.check("there are some, and not too many", 50000 <= count < 15000 * 120, count)
        checks.same("no more", 0, lock(connection, 41, "other", 10))
        for topic in topics:
            lock(connection, 42, topic, 15000)
        checks.until("others, when those have ended", 30,
                     lambda: lock(connection, 41, "other", 10) == 10)
        checks.same("no topic has such a name", 0, lock(connection, 41, "x" * 100000, 1))


# ---- what was not asked for ----------------------------------------------------------------------


def test_answers_wait_for_who_asked_within_bounds(checks):
    with Broker() as broker, broker.connect() as asks, broker.connect() as answers:
        checks.same("joins", OK, join_producers(asks, "askers", "asker"))
        before = resident(broker)
        codes = [send(answers, "DefaultCluster_REPLY_TOPIC", b"x" * MIB) and answers.ask(
            325, {"a": "readers", "b": "DefaultCluster_REPLY_TOPIC", "c": "TBW102", "d": 1, "e": 0,
                  "f": 0, "g": 1, "h": 0, "i": "REPLY_TO_CLIENT\1asker\2"},
            b"x" * MIB)[0]["code"] for _ in range(60)]
        checks.same("some are taken, then no more", [OK, SYSTEM_BUSY],
                    sorted(set(codes)))
        grown = resident(broker) - before
        checks.check("memory", grown < 150 * SLACK * MIB, grown)
    with Broker() as broker, broker.connect() as asks, broker.connect() as answers:
        join_producers(asks, "askers", "asker")
        header, _ = answers.ask(325, {"a": "r", "b": "t", "i": "REPLY_TO_CLIENT\1asker\2"},
                                b"x" * (16 * MIB - 250))
        checks.same("larger than a message", ILLEGAL, header["code"])
        checks.same("and who asked is still there", OK, join_producers(asks, "askers", "asker"))


def test_questions_wait_for_producers_within_bounds(checks):
    with Broker(["--check-interval", "1500"]) as broker, broker.connect() as silent, \
            broker.connect() as connection:
        for _ in range(50):
            checks.same("prepared", OK, send(connection, "orders", b"x" * (4 * MIB), a="group",
                                             i="TRAN_MSG\1true\2PGROUP\1group\2", f=4)[0])
        time.sleep(1.5)
        before = resident(broker)
        join_producers(silent, "group", "silent")
        most = 0
        for _ in range(60):
            time.sleep(0.05)
            most = max(most, anonymous(broker))
        print(f"   {most >> 20} MiB of its own, {resident(broker) - before >> 20} MiB more in all")
        checks.check("memory of its own", most < 80 * SLACK * MIB, most)


def test_batches_are_bounded_as_they_are_stored(checks):
    inner = struct.pack(">iiiii", 23, 0, 0, 0, 1) + b"x" + struct.pack(">h", 0)
    with Broker() as broker, broker.connect() as connection:
        fields = {"a": "p", "b": "orders", "c": "TBW102", "d": 4, "e": 0, "f": 0, "g": 1, "h": 0,
                  "m": "true"}
        checks.same("small ones", OK, connection.ask(320, {**fields, "i": "A\1b\2"},
                                                     inner * 60000)[0]["code"])
        checks.same("with 30000 bytes of properties each", ILLEGAL, connection.ask(
            320, {**fields, "i": "A\1" + "b" * 30000}, inner * 60000)[0]["code"])
        with open(f"/proc/{broker.process.pid}/status", encoding="ascii") as status:
            most = int(next(x for x in status if x.startswith("VmHWM")).split()[1]) // 1024
        print(f"   at most {most} MiB")
        checks.check("memory", most < 400 * SLACK, most)


def anonymous(broker):
    with open(f"/proc/{broker.process.pid}/status", encoding="ascii") as status:
        return int(next(x for x in status if x.startswith("RssAnon")).split()[1]) * 1024


# ---- descriptors, and the end --------------------------------------------------------------------


def test_no_descriptors(checks):
    with Broker() as broker, broker.connect() as connection:
        checks.same("it is accepted", OK, send(connection, "orders")[0])
        limits = resource.prlimit(broker.process.pid, resource.RLIMIT_NOFILE)
        held = len(os.listdir(f"/proc/{broker.process.pid}/fd"))
        resource.prlimit(broker.process.pid, resource.RLIMIT_NOFILE, (held, limits[1]))
        with broker.connect() as waits:
            begin, used = time.monotonic(), cpu(broker)
            checks.until("it is said", 30, lambda: broker.says("was not accepted"))
            time.sleep(2)
            lines = len([line for line in broker.lines if "was not accepted" in line])
            most = 5 * (time.monotonic() - begin) + 5
            checks.check("some times a second", lines < most, (lines, most))
            checks.check("and costs no time", cpu(broker) - used < 0.5, cpu(broker) - used)
            checks.same("others are served", OK, send(connection, "orders")[0])
            resource.prlimit(broker.process.pid, resource.RLIMIT_NOFILE, limits)
            checks.same("and who waited, too", OK, send(waits, "orders")[0])


def cpu(broker):
    with open(f"/proc/{broker.process.pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_the_end_with_requests_that_wait_to_be_read(checks):
    """More pulls are held than one connection may have, so that others were not looked at yet."""
    with Broker() as broker:
        broker.send("orders", 1)
        fields = {"consumerGroup": "readers", "topic": "orders", "queueId": 0, "queueOffset": 1,
                  "maxMsgNums": 32, "sysFlag": 6, "commitOffset": 0, "subVersion": 0,
                  "suspendTimeoutMillis": 60000, "subscription": "*"}
        with broker.connect() as connection:
            connection.socket.sendall(wire.frame(11, fields) * 17500)
            connection.socket.settimeout(20)
            checks.until("as many as can be are held", 20, lambda: held_pulls(broker) >= 16384)
            held = held_pulls(broker)
            broker.process.terminate()
            checks.same("those that were held are answered", held, len(answers_of(connection)))
            checks.same("it ends", 0, broker.process.wait(20))


def held_pulls(broker):
    text = ops.http(broker, "/metrics").text
    return int(re.search(r"^mini_broker_held_pulls (\d+)$", text, re.M).group(1))


def answers_of(connection):
    """The codes of all that come until the connection ends."""
    codes = []
    with contextlib.suppress(wire.WireError, OSError):
        while True:
            codes.append(connection.answer()[0]["code"])
    return codes


class Slow(wire.Connection):
    """One whose socket holds little; over TLS if there is a context."""

    def __init__(self, broker, context=None):  # pylint: disable=super-init-not-called
        self.socket, self.opaque = socket.socket(), 0
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self.socket.settimeout(20)
        self.socket.connect((ops.HOST, broker.port))
        if context is not None:
            self.socket = context.wrap_socket(self.socket)

    def pulls(self, count):
        fields = wire.pulling("readers", "orders", 0, 0)
        self.socket.sendall(b"".join(wire.frame(11, fields, opaque=i) for i in range(count)))


PART_S = 1.8  # as long as clients that do not read hold up the end, and a bit less


def end_while_answers_wait(checks, what, broker, context=None):
    """Many bytes more than sockets hold are answered and not read when the end begins; then who
    reads gets all of it, whatever he says meanwhile, and who does not is not waited for long. How
    long it took to read: only if that was in time, it says something."""
    pulls = 10
    broker.send("orders", 30, body=b"x" * 50000)
    with Slow(broker, context) as reads, Slow(broker, context) as never:
        reads.pulls(pulls)
        never.pulls(pulls)
        checks.until(f"{what}: they are answered", 30, lambda: int(re.search(
            r"^mini_broker_messages_delivered_total (\d+)$", ops.http(broker, "/metrics").text,
            re.M).group(1)) >= 2 * pulls)
        time.sleep(0.3)
        begin = time.monotonic()
        broker.process.terminate()
        checks.until(f"{what}: it stops", 30, lambda: broker.says("stopping"))
        reads.pulls(5)
        time.sleep(0.5)
        codes = answers_of(reads)
        early = broker.process.poll() is None
        read = time.monotonic() - begin
        if read < PART_S:
            checks.same(f"{what}: who reads gets all", [OK] * pulls, codes)
            checks.check(f"{what}: before the others", early)
        checks.same(f"{what}: it ends", 0, broker.process.wait(20))
        took = time.monotonic() - begin
        print(f"   {what}: {took:.1f} s")
        checks.check(f"{what}: soon", 1.5 < took < 15, took)
    if read < PART_S:
        checks.until(f"{what}: of who never reads, it is said", 10, lambda: broker.says(
            "warn .*1 clients did not take"), broker.log)
    return read


def test_the_end_gives_answers_some_time(checks):
    def plain():
        with Broker() as broker:
            return end_while_answers_wait(checks, "plain", broker)

    checks.once("plain: it is read in time", PART_S, plain)
    with Kept() as kept:
        certificate, key = certificates.Authority(os.path.join(kept.directory, "ca"),
                                                  "authority").issue("broker")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

        def tls():
            with kept.broker("--tls-cert", certificate, "--tls-key", key) as broker:
                return end_while_answers_wait(checks, "TLS", broker, context)

        checks.once("TLS: it is read in time", PART_S, tls)


def test_the_end_with_nobody_who_waits_is_at_once(checks):
    def end():
        with Broker() as broker, broker.connect() as connection, broker.connect():
            send(connection, "orders")
            begin = time.monotonic()
            broker.process.terminate()
            checks.same("it ends", 0, broker.process.wait(20))
            took = time.monotonic() - begin
            checks.same("no more is said", [], answers_of(connection))
            return took
    checks.once("at once", SLACK, end)


def test_what_is_stored_at_the_end_is_answered(checks):
    """One that sends and sends, each durable, while the broker is told to end: as many answers as
    there are messages."""
    draws = random.Random(SEED)
    for number in range(5):
        with Kept() as kept:
            with kept.broker() as broker, broker.connect() as connection:
                fields = wire.sending("orders", 0)
                sender = threading.Thread(target=send_on, args=(connection, fields))
                timer = threading.Timer(draws.random(), broker.process.terminate)
                sender.start()
                timer.start()
                codes = answers_of(connection)
                checks.same("it ends", 0, broker.process.wait(20))
                sender.join()
                timer.join()
            with kept.broker() as broker, broker.connect() as connection:
                header, _ = connection.ask(30, {"topic": "orders", "queueId": 0})
                stored = int(header.get("extFields", {}).get("offset", 0))
            checks.same(f"end {number}, SEED={SEED}", stored, codes.count(OK))
            checks.same("and no other answers", len(codes), codes.count(OK))


def send_on(connection, fields):
    with contextlib.suppress(OSError):
        while True:
            connection.socket.sendall(wire.frame(310, fields, b"x" * 1000))


if __name__ == "__main__":
    sys.exit(ops.Checks().run([value for name, value in list(globals().items())
                               if name.startswith("test_")]))
