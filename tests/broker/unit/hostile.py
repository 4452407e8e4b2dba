#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""hostile.py - what no client of good faith sends, against a mini-broker of its own.

Garbage, lengths that cannot be, half frames, changed frames, requests with odd fields, readers that
do not read, clients that subscribe without end, many that hold parts of frames, and many
connections that say nothing. The broker must go on, serve others meanwhile, and keep its memory
bounded.

  hostile.py BINARY [SECONDS]     SEED=n; IDLE=10000 connections that say nothing (1000)

Prints "checks: N" and exits with 0 if all held.
"""
import fcntl
import json
import os
import random
import resource
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True

import wire  # noqa: E402

PORTS = int(os.environ.get("PORT", "17876"))
SLOW_READERS, SLOW_MESSAGES, SLOW_BYTES = 200, 200, 60000
LAST_WORDS = 100
KEPT_MAX_KB = 256 * 1024  # CONNECTIONS_KEPT_MAX
SUBSCRIBERS, CLIENTS_MAX_KB = 24, 128 * 1024  # CLIENTS_BYTES_MAX
HALF_FRAME, HALF_FRAME_BYTES, MANY_HALVES, MANY_HALF_BYTES = 16 << 20, 8 << 20, 5000, 60000
OK, BUSY = 0, 2
CODES = [10, 11, 12, 14, 15, 17, 18, 21, 26, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 41, 42,
         46, 100, 101, 102, 105, 106, 200, 201, 202, 203, 204, 205, 206, 207, 208, 215, 216,
         219, 222, 224, 300, 304, 310, 315, 319, 320, 324, 325, 327, 351, 352, 361, 999, -5]
NAMES = list("abcdefghijklmn") + """topic consumerGroup queueId queueOffset maxMsgNums sysFlag
    commitOffset suspendTimeoutMillis subscription expressionType group offset delayLevel key maxNum
    beginTimestamp endTimestamp producerGroup timestamp commitLogOffset commitOrRollback clientID
    namespace value readQueueNums writeQueueNums perm attributes groupName cluster
    boundaryType brokerName statsName statsKey""".split()
VALUES = ["", "0", "1", "-1", "3", "true", "x", "T", "TBW102", "%RETRY%g", "%DLQ%g", "g",
          str(2**63 - 1), str(-2**63), "9" * 20, "4294967296",
          "KEYS\1a b c\2UNIQ_KEY\1u\2DELAY\0011\2", "DELAY\00199999999999\2",
          "TRAN_MSG\1true\2PGROUP\1g\2", "REPLY_TO_CLIENT\1c\2", "a > 3 and b is not null", "SQL92",
          "TOPIC_PUT_NUMS", "TAG", "*", "TagA || TagB || ", "+a=b,-c,=,+=,+,,-", "x" * 300,
          "x" * 40000, "\0", "%",
          "a/b", "LOWER", "UPPER", "100000", "8", "12"]
BODIES = [b"", b"x", b"{}", b"[1,2", b"null", b"\xff" * 50, b'{"clientID":3,"consumerDataSet":{}}',
          b'{"clientID":"c","producerDataSet":[{"groupName":"g"}],"consumerDataSet":[{"groupName":'
          b'"g","subscriptionDataSet":[{"topic":"T","subString":"*","expressionType":"TAG"},{},'
          b'{"topic":"U","subString":"a >","expressionType":"SQL92"}]}]}',
          b'{"mqSet":[{"topic":"t","queueId":1},{},3],"clientId":"c","consumerGroup":"g"}',
          b'{"groupName":"g2","retryMaxTimes":-1}',
          b'{"topicConfigList":[{"topicName":"T2","attributes":{"+a":"b","-":3,"":1},"perm":6.5}]}',
          b'{"topicConfigList":[{"topicName":"T3","attributes":7},4]}',
          struct.pack(">IIIII", 23, 0, 0, 0, 1) + b"y\0\0",
          struct.pack(">IIIII", 2**32 - 1, 0, 0, 0, 1)]
checks = 0


def check(holds, text):
    global checks
    checks += 1
    if not holds:
        sys.exit(f"hostile.py: {text}; SEED={SEED}")


def connect():
    connection = socket.create_connection(("127.0.0.1", PORTS + 1))
    connection.settimeout(10)
    return connection


def ask(connection, code, fields, body=b""):
    try:
        return connection.ask(code, fields, body)
    except (OSError, wire.WireError) as error:
        return check(False, f"a good connection: {error}")


def send(connection, queue, size):
    header, _ = ask(connection, 310, wire.sending("GOOD", queue), b"z" * size)
    check(header["code"] == 0, f"a good message was refused: {header}")


PULL = wire.pulling("g", "GOOD", 0, 0)


def odd_requests(connection):
    for _ in range(random.randrange(1, 30)):
        fields = {random.choice(NAMES): random.choice(VALUES) for _ in range(random.randrange(14))}
        if random.random() < 0.5:
            fields.update({"topic": "T", "b": "T", "a": "g", "c": "TBW102", "d": "4",
                           "consumerGroup": "g"})
        connection.sendall(wire.framed({
            "code": random.choice(CODES), "opaque": 1, "extFields": fields,
            "flag": random.choice([0, 0, 0, 2])}, random.choice(BODIES)))
    if random.random() < 0.5:
        connection.settimeout(0.05)
        connection.recv(1000)


def changed_frame(connection):
    fields = dict(zip("abcdefghi", ("g", "T", "TBW102", "4", "0", "0", "1", "0", "K\1v\2")))
    whole = bytearray(wire.framed({"code": 310, "opaque": 1, "extFields": fields}, b"body"))
    for _ in range(random.randrange(1, 6)):
        whole[random.randrange(4, len(whole))] = random.randrange(256)
    connection.sendall(bytes(whole))


def one_attack():
    connection = connect()
    try:
        kind = random.randrange(10)
        if kind == 0:
            connection.sendall(random.randbytes(random.randrange(1, 5000)))
        elif kind == 1:
            length = random.choice([0, 1, 3, 4, 5, 1 << 24, (1 << 24) + 5, 2**31, 2**32 - 1])
            connection.sendall(struct.pack(">I", length) + random.randbytes(random.randrange(64)))
        elif kind == 2:
            connection.sendall(wire.framed({"code": 310}, b"x" * 1000)[:random.randrange(1, 1000)])
        elif kind == 3:
            changed_frame(connection)
        else:
            odd_requests(connection)
    except OSError:
        pass  # closed on us, as it should
    connection.close()


def resident_kb(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        return int(next(line for line in status if line.startswith("VmRSS")).split()[1])


def slow_reader():
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", PORTS + 1))
    connection.setblocking(False)
    try:
        connection.send(wire.frame(11, PULL) * 200)
    except BlockingIOError:
        pass
    return connection


def slow_readers(process, good, bound_kb):
    before = resident_kb(process)
    slow = [slow_reader() for _ in range(SLOW_READERS)]
    for _ in range(6):
        time.sleep(0.5)
        header, _ = ask(good, 11, PULL)
        check(header["code"] == 0, f"a good pull was refused: {header}")
        grown = resident_kb(process) - before
        check(grown < bound_kb, f"{grown} KiB for readers that do not read")
    for connection in slow:
        connection.close()


def idle(process, good, count, bound_kb):
    before = resident_kb(process)
    silent = [connect() for _ in range(count)]
    for connection in silent[:count // 10]:
        connection.sendall(struct.pack(">II", 16000000, 10) + b"x" * 20000)
    time.sleep(0.5)
    header, _ = ask(good, 11, PULL)
    check(header["code"] == 0, f"a good pull was refused: {header}")
    grown = resident_kb(process) - before
    check(grown < bound_kb, f"{grown} KiB for {count} connections that say nothing")
    for connection in silent:
        connection.close()


def half_frame(size):
    """A connection that has said so much of a frame that is to be HALF_FRAME bytes, and no more."""
    connection = connect()
    try:
        connection.sendall(struct.pack(">II", HALF_FRAME - 64, 100) + bytes(size))
    except OSError:
        pass  # closed on us already
    return connection


def is_open(connection):
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return not poll.poll(0)


def half_frames(process, log, bound_kb, many):
    """Many that hold a part of a frame, each a large one or all together much: no honest message of
    1 MiB is lost to them, the worst ones go, and the log says so."""
    before = resident_kb(process)
    one = half_frame(HALF_FRAME_BYTES)
    with wire.Connection(("127.0.0.1", PORTS + 1), 60) as honest:
        for size, count in ((HALF_FRAME_BYTES, 40), (MANY_HALF_BYTES, many)):
            halves = []
            for number in range(count):
                halves.append(half_frame(size))
                if number % max(1, count // 40) == 0:
                    send(honest, 0, 1 << 20)
                    with wire.Connection(("127.0.0.1", PORTS + 1), 60) as late:
                        send(late, 0, 1 << 20)
                    grown = resident_kb(process) - before
                    check(grown < bound_kb, f"{grown} KiB for half frames of {size} bytes")
            left = sum(is_open(half) for half in halves)
            check(left * size <= KEPT_MAX_KB * 1024, f"{left} half frames of {size} bytes are kept")
            check(not is_open(one), "the worst one is kept")
            for half in halves:
                half.close()
    with open(log, encoding="utf-8", errors="replace") as lines:
        said = [line for line in lines if "is kept of what clients" in line]
    check(0 < len(said) < 60, f"the log says {len(said)} times that the worst ones are closed")


def odd_subscription(kind, number):
    """One of many topics: small ones cost most beside what is sent, so they are most."""
    data = {"topic": f"topic{number}", "subString": "*", "expressionType": "TAG"}
    if kind == 0:
        data["subString"] = "||".join(f"tag{i}" for i in range(1000))
    elif kind == 1:
        data.update({"expressionType": "SQL92", "subString": f"a in ({','.join('1' * 1000)})"})
    elif kind == 2:
        data["tagsSet"] = [0] * 5000
    return data


def heartbeat(connection, client, groups, subscriptions):
    """The code of the answer."""
    return ask(connection, 34, {}, json.dumps({"clientID": client, "consumerDataSet": [{
        "groupName": group, "messageModel": "CLUSTERING", "subscriptionDataSet": subscriptions}
        for group in groups]}, separators=(",", ":")).encode())[0]["code"]


def subscribes_much(number):
    """More and more groups with many topics, until no more is taken; the connection, and how many
    heartbeats were."""
    connection = wire.Connection(("127.0.0.1", PORTS + 1), 60)
    for beat in range(200):
        kind = random.randrange(10)
        many = [odd_subscription(kind, i) for i in range(2000 if kind > 2 else 50)]
        if heartbeat(connection, f"much{number}", [f"much{number}-{beat}"], many) == BUSY:
            return connection, beat
    return check(False, "a client subscribes without end")


def subscribers(process, bound_kb):
    """Many that subscribe all that they can: one alone keeps nobody out, and all together do not
    take from others what those have."""
    honest = wire.Connection(("127.0.0.1", PORTS + 1), 60)
    topics = [{"topic": f"honest{i}", "subString": "a || b", "subVersion": 1} for i in range(20)]
    check(heartbeat(honest, "honest", ["honest"], topics) == OK, "a good client was refused")
    before = resident_kb(process)
    much = []
    for number in range(SUBSCRIBERS):
        much.append(subscribes_much(number))
        check(number > 0 or much[0][1] > 0, "a client is refused at once")
        grown = resident_kb(process) - before
        check(grown < bound_kb, f"{grown} KiB for what clients subscribe")
        if number == 0:
            with wire.Connection(("127.0.0.1", PORTS + 1), 60) as late:
                check(heartbeat(late, "late", ["late"], topics) == OK, "one keeps others out")
    check(much[-1][1] < much[0][1], f"not all together are bounded: {[n for _, n in much]}")
    for version in (1, 2):
        changed = [{**one, "subVersion": version} for one in topics]
        check(heartbeat(honest, "honest", ["honest"], changed) == OK, "what one had is refused")
        _, body = ask(honest, 203, {"consumerGroup": "honest"})
        table = json.loads(body)["subscriptionTable"]
        check(table == {one["topic"]: one for one in changed}, f"it is not kept: {table}")
    for connection, _ in much:
        connection.close()
    with wire.Connection(("127.0.0.1", PORTS + 1), 60) as late:
        until = time.time() + 30
        while heartbeat(late, "late", [f"late{i}" for i in range(20)], topics) != OK:
            check(time.time() < until, "what those had that are gone is not given back")
            time.sleep(0.1)
    honest.close()


def start(binary, data, log):
    process = subprocess.Popen([binary, "--data", data, "--flush", "async", "--log", "warn",
                                "--namesrv-listen", f"127.0.0.1:{PORTS}",
                                "--listen", f"127.0.0.1:{PORTS + 1}"], stderr=open(log, "wb"))
    for _ in range(600):
        try:
            return process, wire.Connection(("127.0.0.1", PORTS + 1), 60)
        except OSError:
            time.sleep(0.1)
    sys.exit("hostile.py: the broker does not begin")


def wait_left(connection):
    """Until the kernel of the other side has all that was sent. A busy machine is slow in it, and
    who closes with answers unread takes back what has not left."""
    until = time.time() + 10
    while int.from_bytes(fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)), sys.byteorder):
        check(time.time() < until, "what was sent does not leave")


def last_words(good):
    """One that ends says how far it is, does not wait, and leaves answers unread: the kernel resets
    the connection, and what it said is heard all the same."""
    group = {"consumerGroup": "last", "topic": "GOOD", "queueId": "1"}
    ask(good, 11, wire.pulling("last", "GOOD", 1, 0))  # which makes the group
    for number in range(1, LAST_WORDS + 1):
        send(good, 1, 10)
        client = connect()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else it may not leave here
        for _ in range(20):
            client.sendall(wire.frame(11, PULL))
        time.sleep(random.random() * 0.004)
        client.sendall(wire.frame(15, {**group, "commitOffset": number}, opaque=2, flag=2))
        wait_left(client)
        client.close()
        until = time.time() + 10
        while ask(good, 14, group)[0].get("extFields", {}).get("offset") != str(number):
            check(time.time() < until, f"offset {number} was said, and not heard")
            time.sleep(0.005)
        check(True, "it was heard")


def main():
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    silent = min(int(os.environ.get("IDLE", "1000")), limit - 500)
    asan = 4 if "asan" in sys.argv[1] else 1
    data = tempfile.mkdtemp(prefix="hostile-")
    log = os.path.join(data, "log")
    process, good = start(sys.argv[1], data, log)
    try:
        for _ in range(SLOW_MESSAGES):
            send(good, 0, SLOW_BYTES)
        last_words(good)
        until = time.time() + float(sys.argv[2] if len(sys.argv) > 2 else 8)
        while time.time() < until:
            one_attack()
            send(good, 1, 10)
            check(process.poll() is None, "the broker died")
        subscribers(process, (CLIENTS_MAX_KB + 50 * 1024) * asan)
        slow_readers(process, good, (KEPT_MAX_KB + 100 * 1024) * asan)
        half_frames(process, log, (KEPT_MAX_KB + 150 * 1024) * asan, min(MANY_HALVES, limit - 500))
        idle(process, good, silent, (4 * silent + 50 * 1024) * asan)
        process.terminate()
        check(process.wait(20) == 0, f"the broker ended with {process.returncode}")
    finally:
        process.kill()
        with open(log, encoding="utf-8", errors="replace") as lines:
            sys.stderr.writelines(line for line in lines if " error " in line)
        shutil.rmtree(data)
    print(f"checks: {checks}")


SEED = int(os.environ.get("SEED", "1"))
random.seed(SEED)
if __name__ == "__main__":
    main()
