# SPDX-License-Identifier: BSD-2-Clause
"""loads.py - one run of each kind: a server that is prepared, a client, the figures.

What the official programs print each ten seconds (or each second) is about the last nine: from the
first to the last of ten snapshots.
"""
import contextlib
import json
import math
import os
import re
import statistics
import threading
import time

import cases
import servers
from servers import (BENCHMARK, GROUP, TOPIC, Failed, came, client, consumed, cpu_s, ends, memory,
                     read_until, require_alive)

# Messages a second, mean in ms, sends that failed in two ways, since it began.
SENT = re.compile(r"Send TPS: (\d+) \| .*Average RT\(ms\): +([0-9.]+|NaN) \| "
                  r"Send Failed: (\d+) \| Response Failed: (\d+)")
CONSUMED = re.compile(r"Consume TPS: (\d+) \| AVG\(B2C\) RT\(ms\): +([0-9.]+|NaN)")
WINDOW_S = 9
BACKLOG = 2_000_000
FILL_TRIES = 3
START_REPEATS = 3
SENT_BEFORE_KILL = 10_000
JAVA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "SendLatency.java")
# How long each may take beside its warm and its counted time.
SLACK_S = {"send": 300, "memory": 300, "latency": 300, "consume": 300, "backlog": 1800,
           "start": 3600}


def figures_of(pattern, line):
    return [float(value) for value in pattern.search(line).groups()]


def mean(values):
    """A window without a message has no mean in it: NaN."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        raise Failed("no window has a message")
    return statistics.mean(known)


class Windows:
    """What the producer prints; counted from its first line behind the warm time."""

    def __init__(self, process, engine, warm_s, counted_s):
        began = time.monotonic()
        while True:
            self.before = figures_of(SENT, read_until(process, SENT.search))
            require_alive(engine)
            if time.monotonic() - began >= warm_s:
                break
        begin, cpu, self.values, self.seconds = time.monotonic(), cpu_s(engine), [], 0
        while self.seconds < counted_s - 1:
            self.values.append(figures_of(SENT, read_until(process, SENT.search)))
            require_alive(engine)
            self.seconds = time.monotonic() - begin
        self.cpu, self.memory = cpu_s(engine) - cpu, memory(engine)

    def figures(self):
        per_s, mean_ms = (mean(value[column] for value in self.values) for column in (0, 1))
        return {"per_s": per_s, "mean_ms": mean_ms, "seconds": round(self.seconds, 1),
                "failed": sum(self.values[-1][2:]) - sum(self.before[2:]),
                "cpu_us": self.cpu * 1e6 / (per_s * self.seconds), **self.memory}


class Consumer:
    """What an official consumer prints, which is read at once."""

    def __init__(self, process, engine):
        self.process, self.engine = process, engine
        self.windows = []  # (messages a second, ms from birth to here, the server's time till then)
        read_until(process, lambda line: "Consumer Started" in line)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        with contextlib.suppress(OSError):  # the server is gone
            for line in self.process.stdout:
                if CONSUMED.search(line):
                    self.windows.append((*figures_of(CONSUMED, line), cpu_s(self.engine)))

    def wait(self):
        """Until it has printed another window."""
        count = len(self.windows)
        while len(self.windows) == count:
            require_alive(self.engine)
            if not self.thread.is_alive():
                raise Failed("the consumer ended")
            time.sleep(0.05)


def producer(engine, home, case, *words):
    return client(BENCHMARK + "Producer", home, engine, "-n", engine.address, "-t", TOPIC, "-w",
                  case.threads, "-s", case.size, *words)


@contextlib.contextmanager
def consumer(engine, home, *words):
    """Its group is the same each time."""
    with client(BENCHMARK + "Consumer", home, engine, "-n", engine.address, "-t", TOPIC, "-g",
                GROUP, *words) as process:
        yield Consumer(process, engine)


def fill(engine, home, case, count):
    """So many more messages; those that failed are sent again. How many there are more."""
    before = sum(ends(engine))
    for _ in range(FILL_TRIES):
        missing = before + count - sum(ends(engine))
        with producer(engine, home, case, "-q", missing) as process:
            read_until(process, lambda line: line.startswith("[Complete]"))
        require_alive(engine)
        # What was just sent is in its queue a little later.
        if came(lambda: sum(ends(engine)) >= before + count, 5):
            return sum(ends(engine)) - before
    raise Failed(f"{sum(ends(engine)) - before} of {count} messages are stored")


def send(engine, case, home, warm_s, counted_s):
    with producer(engine, home, case) as process:
        return Windows(process, engine, warm_s, counted_s).figures()


def latency(engine, case, home, warm_s, counted_s):
    with client(JAVA, home, engine, engine.address, TOPIC, case.threads, case.size, case.rate,
                warm_s, counted_s) as process:
        read_until(process, lambda line: line.strip() == "begin")
        before = cpu_s(engine)
        figures = json.loads(read_until(process, lambda line: line.startswith("{")))
        found = memory(engine)
        cpu = cpu_s(engine) - before
    if not figures["sent"]:
        raise Failed("nothing was sent")
    return {**figures, "per_s": figures["sent"] / figures["seconds"],
            "cpu_us": cpu * 1e6 / figures["sent"], **found}


def consume(engine, case, home, warm_s, counted_s):
    """A producer and a consumer share the client's thread."""
    with consumer(engine, home) as reader, producer(engine, home, case) as writer:
        windows = Windows(writer, engine, warm_s, counted_s)
        read = reader.windows[-len(windows.values):]
    return {**windows.figures(), "consumed_per_s": mean(window[0] for window in read),
            "born_to_consumed_ms": mean(window[1] for window in read)}


def all_consumed(engine):
    return consumed(engine) == ends(engine)


def busy_until(windows):
    """The first of the windows that was printed when all was consumed: the last one that has
    messages has those of its first second."""
    last = max(i for i, window in enumerate(windows) if window[0] > 0)
    return windows[max(last - (WINDOW_S - 1), 0)]


def backlog(engine, case, home, *_):
    """A group that was there before finds two million messages; the best window counts."""
    with consumer(engine, home, "-ri", 1000):
        fill(engine, home, case, 1000)
        if not came(lambda: all_consumed(engine), 60):
            raise Failed("the group has not stored its offsets")
    stored = fill(engine, home, case, BACKLOG)
    with consumer(engine, home, "-ri", 1000) as reader:
        before = cpu_s(engine)
        reader.wait()
        # All of it, and then a window in which nothing was left to consume.
        while reader.windows[-1][0] > 0 or not all_consumed(engine):
            reader.wait()
        found = memory(engine)
    return {"consumed_per_s": max(window[0] for window in reader.windows), "stored": stored,
            "cpu_us": (busy_until(reader.windows)[2] - before) * 1e6 / stored, **found}


def restart_s(engine, how, at, prepare=servers.read_store):
    """Stopped and started; its queues end where they ended."""
    servers.stop_broker(engine, how)
    prepare(engine)
    seconds = servers.start_s(engine, at[0] - 1)
    if ends(engine) != at:
        raise Failed(f"{engine.name}, {how}: other offsets than before")
    return seconds


def restart_after_kill_s(engine, case, home, at):
    """Killed while a producer sends; what had been there before is there."""
    with producer(engine, home, case):
        if not came(lambda: sum(ends(engine)) > sum(at) + SENT_BEFORE_KILL, 60):
            raise Failed("too little was sent before the kill")
        servers.stop_broker(engine, "killed")
    servers.read_store(engine)
    seconds = servers.start_s(engine, at[0] - 1)
    if any(now < before for now, before in zip(ends(engine), at)):
        raise Failed(f"{engine.name} lost what it held before it was killed")
    return seconds


def start(engine, case, home, *_):
    """Filled by the official benchmark; then started again, its files in the page cache, and once
    with nothing there."""
    fill(engine, home, case, cases.START_BYTES // case.size)
    at = ends(engine)
    figures = {"stored": sum(at), "stopped_s": statistics.median(
        restart_s(engine, "stopped", at) for _ in range(START_REPEATS))}
    figures["killed_sending_s"] = restart_after_kill_s(engine, case, home, at)
    at = ends(engine)
    figures["killed_s"] = statistics.median(
        restart_s(engine, "killed", at) for _ in range(START_REPEATS))
    figures["cold_s"] = restart_s(engine, "stopped", at, lambda _: servers.quiet())
    return {**figures, **memory(engine)}


KINDS = {"send": send, "memory": send, "latency": latency, "consume": consume, "backlog": backlog,
         "start": start}
