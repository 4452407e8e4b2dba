# SPDX-License-Identifier: BSD-2-Clause
"""What a network brings that no client of ours sends. Each attack runs beside a watch: a connection
that sends and pulls all the time, and that must be answered, and the resident memory of the server.
"""

import os
import random
import resource
import socket
import struct
import threading
import time

import wire
from cases import Skipped, case, need, same

FRAME_LIMIT = 16777216
CLIENTS = 200


class Watch:
    """An honest client beside the attack: every answer is right, and comes in time."""

    def __init__(self, ctx, seconds=5):
        self.engine, self.limit = ctx.engine, seconds
        self.topic = ctx.topic(1, "-watch")
        self.group = ctx.group()
        self.sent, self.slowest, self.why = 0, 0.0, None
        self.before = self.peak = self.engine.rss()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        try:
            with wire.Connection(self.engine.broker, 30) as connection:
                while not self.over.wait(0.02):
                    begin = time.monotonic()
                    header, _ = connection.ask(310, wire.sending(self.topic, group="watch"),
                                               b"message %d" % self.sent)
                    if header["code"] != 0:
                        raise wire.WireError(f"send: {header}")
                    header, body = connection.ask(11, wire.pulling(
                        self.group, self.topic, 0, self.sent, 1))
                    # the official broker lets a message be seen a moment after it is acknowledged
                    if header["code"] == 0:
                        record = next(wire.records(body))
                        if record["body"] != b"message %d" % self.sent:
                            raise wire.WireError(f"pulled {record} for message {self.sent}")
                    elif header["code"] != 19:
                        raise wire.WireError(f"pull: {header}")
                    self.sent += 1
                    self.slowest = max(self.slowest, time.monotonic() - begin)
                    self.peak = max(self.peak, self.engine.rss())
        except (OSError, wire.WireError) as error:
            self.why = str(error)

    def __enter__(self):
        self.thread.start()
        time.sleep(0.5)
        return self

    def __exit__(self, kind, *_):
        self.over.set()
        self.thread.join()
        if kind is None:
            need(self.why is None, "the honest client was harmed", self.why)
            need(self.sent > 10, "the honest client got almost nothing done", self.sent)
            need(self.slowest < self.limit, "seconds that an honest request took", self.slowest)

    def growth(self, most, what):
        grown = (self.peak - self.before) >> 10
        need(grown <= most, f"MiB that the server grew by: {what}", grown, f"at most {most}")
        return (f"memory +{grown} MiB (at most {most}); honest client: {self.sent} sent, pulled, "
                f"slowest {1000 * self.slowest:.0f} ms")


def closed(sock, seconds=10):
    """Whether the server ends the connection within that time."""
    sock.settimeout(0.5)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if not sock.recv(65536):
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


def targets(ctx):
    return (ctx.engine.broker, ctx.engine.namesrv)


@case((), alone=True)
def hostile_garbage(ctx):
    draw = random.Random(ctx.seed)
    with Watch(ctx) as watch:
        for number in range(300):
            with socket.create_connection(targets(ctx)[number % 2], 5) as sock:
                try:
                    sock.sendall(draw.randbytes(draw.choice((1, 3, 7, 64, 1000, 70000))))
                except OSError:
                    pass
        valid = wire.frame(105, {"topic": "TBW102"})
        answered = 0
        for number in range(600):
            frame = bytearray(valid)
            for _ in range(draw.randint(1, 4)):
                frame[draw.randrange(len(frame))] = draw.randrange(256)
            with socket.create_connection(targets(ctx)[number % 2], 5) as sock:
                try:
                    sock.sendall(frame)
                    sock.settimeout(0.01)
                    answered += bool(sock.recv(65536))
                except OSError:
                    pass
    need(answered, "not even one frame with a changed byte was answered")
    return f"300 random streams, 600 altered frames ({answered} answered): " + watch.growth(
        128, "garbage")


@case((), alone=True)
def hostile_lengths(ctx):
    strange = (-1, 0, 1, 3, FRAME_LIMIT + 1, 0x7FFFFFFF, -0x80000000)
    ended = 0
    with Watch(ctx) as watch:
        for target in targets(ctx):
            for length in strange:
                with socket.create_connection(target, 5) as sock:
                    sock.sendall(struct.pack(">i", length) + b"\0\0\0\x10" + b"{" * 64)
                    if length > FRAME_LIMIT or length < 0:
                        need(closed(sock), f"a frame of length {length} does not end it")
                        ended += 1
            for header in (0x7FFFFF, 101, 0xFFFFFFFF, 0x05000010):
                with socket.create_connection(target, 5) as sock:
                    sock.sendall(struct.pack(">iI", 104, header) + b"x" * 100)
                    need(closed(sock), f"a header of length {header:#x} in 104 bytes does "
                         "not end the connection")
                    ended += 1
        # a length that is allowed must not make the server take memory for what never comes
        held = []
        for _ in range(100):
            sock = socket.create_connection(ctx.engine.broker, 5)
            sock.sendall(struct.pack(">ii", FRAME_LIMIT, 100) + b"x" * 10)
            held.append(sock)
        time.sleep(2)
        for sock in held:
            sock.close()
    return f"{ended} connections with wrong lengths ended; 100 frames of 16 MiB begun: " + \
        watch.growth(256, "announced frames")


@case((), alone=True)
def hostile_half_frames(ctx):
    frame = wire.frame(105, {"topic": "TBW102"})
    with Watch(ctx) as watch:
        held = []
        for cut in range(1, len(frame), 2):
            sock = socket.create_connection(ctx.engine.broker, 5)
            sock.sendall(frame[:cut])
            held.append((cut, sock))
        time.sleep(1)
        for cut, sock in held[::3]:
            for byte in frame[cut:]:  # one byte at a time
                sock.sendall(bytes((byte,)))
            sock.settimeout(10)
            need(len(sock.recv(4)) > 0, f"no answer to a frame in two parts, cut at {cut}")
        for _, sock in held:
            sock.close()
        with socket.create_connection(ctx.engine.broker, 5) as sock:
            sock.sendall(b"".join(wire.frame(105, {"topic": "TBW102"}, opaque=i)
                                  for i in range(2000)))
            connection = wire.Connection.__new__(wire.Connection)
            connection.socket = sock
            sock.settimeout(20)
            got = sorted(connection.answer()[0]["opaque"] for _ in range(2000))
            same("answers to 2000 frames in one piece", got, list(range(2000)))
    return f"{len(held)} half frames, completed byte by byte; 2000 frames in one piece: " + \
        watch.growth(128, "half frames")


@case((), alone=True)
def hostile_never_reads(ctx):
    if ctx.engine.name == "rocketmq":
        raise Skipped("the official broker stops answering others for half a minute")
    topic = ctx.topic(1)
    with wire.Connection(ctx.engine.broker) as connection:
        for number in range(200):
            header, _ = connection.ask(310, wire.sending(topic), os.urandom(100000))
            same("code", header["code"], 0)
    pull = wire.pulling("never", topic, 0, 0)
    with Watch(ctx) as watch:
        socks = []
        sent = 0
        for number in range(CLIENTS):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(ctx.engine.broker)
            sock.setblocking(False)
            socks.append(sock)
            try:
                for opaque in range(400):
                    pull["queueOffset"] = opaque % 150
                    sent += sock.send(wire.frame(11, pull, opaque=opaque)) > 0
            except OSError:
                pass  # the server reads no more from who does not read
        time.sleep(6)
        growth = watch.growth(384, "answers that nobody reads")
        for sock in socks:
            sock.close()
        time.sleep(1)
        # one that reads late and little by little gets all that it asked for, each byte right
        slow = wire.Connection.__new__(wire.Connection)
        slow.socket = socket.socket()
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.socket.settimeout(20)
        slow.socket.connect(ctx.engine.broker)
        for opaque in range(5):
            slow.socket.sendall(wire.frame(11, {**pull, "queueOffset": opaque}, opaque=opaque))
        time.sleep(2)
        for _ in range(5):
            header, body = slow.answer()
            same("code of the answer to a slow reader", header["code"], 0)
            same("first offset of it", next(wire.records(body))["off"], header["opaque"])
        slow.close()
    return f"{CLIENTS} clients that ask for {sent} pulls of some MB each and never read: " + growth


@case((), short=False, alone=True)
def hostile_idle(ctx):
    wanted = 10000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < wanted + 200:
        raise Skipped(f"no more than {hard} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted + 200, hard))
    try:
        with Watch(ctx, 10) as watch:
            held = []
            for number in range(wanted):
                held.append(socket.create_connection(ctx.engine.broker, 10))
            time.sleep(2)
            with wire.Connection(ctx.engine.broker) as connection:
                same("code of one more", connection.ask(28)[0]["code"], 0)
            text = watch.growth(400, "idle connections")
            for sock in held:
                sock.close()
            time.sleep(1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return f"{wanted} idle connections: " + text
