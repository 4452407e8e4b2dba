# SPDX-License-Identifier: BSD-2-Clause
"""loads.py - one run of each kind: a server that is prepared, a client, the figures."""
import os
import re
import statistics
import sys
import threading
import time

import cases
import servers
from servers import BENCHMARK, TOPIC, client, cpu_s, end

SENT = re.compile(r"Send TPS: (\d+) \| Max RT\(ms\): (\d+) \| Average RT\(ms\): +([0-9.]+) \| "
                  r"Send Failed: (\d+) \| Response Failed: (\d+)")
CONSUMED = re.compile(r"Consume TPS: (\d+) \| AVG\(B2C\) RT\(ms\): +([0-9.]+|NaN)")
WINDOW_S = 10  # of what the official programs print
BACKLOG = 2_000_000
BACKLOG_LIMIT_S = 600
START_REPEATS = 3
JAVA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "SendLatency.java")


def producer(engine, home, case, *words):
    return client(BENCHMARK + "Producer", home, engine, "-n", engine.address, "-t", TOPIC, "-w",
                  case.threads, "-s", case.size, *words)


def produce(engine, home, case, count):
    """So many, to their end."""
    process = producer(engine, home, case, "-q", count)
    for line in process.stdout:
        if line.startswith("[Complete] Send Total"):
            break
    end(process)


class Consumer:
    """The official consumer, once it has begun; its group is the same each time. What it prints is
    read at once."""

    def __init__(self, engine, home, *words):
        self.process = client(BENCHMARK + "Consumer", home, engine, "-n", engine.address, "-t",
                              TOPIC, "-g", "bench-group", *words)
        for line in self.process.stdout:
            if "Consumer Started" in line:
                break
        self.windows = []  # (messages a second, ms from birth to here) of each window
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            found = CONSUMED.search(line)
            if found:
                self.windows.append([float(value) for value in found.groups()])

    def wait(self, count, limit_s):
        """Until it has printed so many more windows."""
        wanted, limit = len(self.windows) + count, time.monotonic() + limit_s
        while len(self.windows) < wanted:
            if not self.thread.is_alive() or time.monotonic() > limit:
                sys.exit("the consumer ended")
            time.sleep(0.05)


class Windows:
    """What the official benchmark prints each ten seconds, of those that count."""

    def __init__(self, process, pattern, engine, warm_s, counted_s):
        self.values, begin, self.cpu, last = [], None, None, []
        began = time.monotonic()
        for text in process.stdout:
            last = [*last[-10:], text]
            found = pattern.search(text)
            now = time.monotonic()
            if found and begin is not None:
                self.values.append([float(value) for value in found.groups()])
                if now - begin >= counted_s - 1:
                    self.cpu, self.seconds = cpu_s(engine) - self.cpu, now - begin
                    return
            elif found and now - began >= warm_s:
                begin, self.cpu = now, cpu_s(engine)
        sys.exit("the client ended: " + "".join(last))

    def mean(self, column):
        return statistics.mean(value[column] for value in self.values)


def sent(windows):
    per_s = windows.mean(0)
    return {"per_s": per_s, "max_ms": max(value[1] for value in windows.values),
            "mean_ms": windows.mean(2), "failed": windows.values[-1][3] + windows.values[-1][4],
            "cpu_us": windows.cpu * 1e6 / (per_s * windows.seconds),
            "seconds": round(windows.seconds, 1)}


def send(engine, case, home, warm_s, counted_s):
    process = producer(engine, home, case)
    try:
        return sent(Windows(process, SENT, engine, warm_s, counted_s))
    finally:
        end(process)


def latency(engine, case, home, warm_s, counted_s):
    process = client(JAVA, home, engine, engine.address, TOPIC, case.threads, case.size, case.rate,
                     warm_s, counted_s)
    try:
        for line in process.stdout:
            if line.strip() == "begin":
                break
        before = cpu_s(engine)
        figures = servers.last_json(process)
    finally:
        end(process)
    cpu = cpu_s(engine) - before
    return {**figures, "per_s": figures["sent"] / counted_s,
            "cpu_us": cpu * 1e6 / max(figures["sent"], 1)}


def consume(engine, case, home, warm_s, counted_s):
    """A producer and a consumer share the client's thread."""
    reader = Consumer(engine, home)
    try:
        writer = producer(engine, home, case)
        try:
            figures = sent(Windows(writer, SENT, engine, warm_s, counted_s))
            read = reader.windows[-max(1, round(counted_s / WINDOW_S)):]
        finally:
            end(writer)
    finally:
        end(reader.process)
    return {**figures, "consumed_per_s": statistics.mean(window[0] for window in read),
            "born_to_consumed_ms": statistics.mean(window[1] for window in read)}


def backlog(engine, case, home, *_):
    """A group that was there before finds two million messages; the best ten seconds count."""
    reader = Consumer(engine, home, "-ri", 1000)
    try:
        produce(engine, home, case, 1000)
        reader.wait(12, 60)  # its offsets are stored each 5 s
    finally:
        end(reader.process)
    produce(engine, home, case, BACKLOG)
    before = cpu_s(engine)
    reader = Consumer(engine, home, "-ri", 1000)
    try:
        limit = time.monotonic() + BACKLOG_LIMIT_S
        while not (reader.windows and max(reader.windows)[0] > 0 and reader.windows[-1][0] == 0):
            reader.wait(1, BACKLOG_LIMIT_S)
            if time.monotonic() > limit:
                sys.exit("the consumer does not come to the end")
    finally:
        end(reader.process)
    return {"consumed_per_s": max(reader.windows)[0],
            "cpu_us": (cpu_s(engine) - before) * 1e6 / BACKLOG}


def start(engine, case, home, *_):
    """Filled by the official benchmark; then started again, its files in the page cache."""
    produce(engine, home, case, cases.START_BYTES // case.size)
    ends = servers.ends(engine)
    if sum(ends) < cases.START_BYTES // case.size:
        sys.exit(f"only {sum(ends)} messages are stored")
    figures = {"stored": sum(ends)}
    for how in ("stopped", "killed"):
        seconds = []
        for _ in range(START_REPEATS):
            servers.stop_broker(engine, how)
            seconds.append(servers.start_s(engine, ends[0] - 1))
        if servers.ends(engine) != ends:
            sys.exit(f"{engine.name}, {how}: other offsets than before")
        figures[f"{how}_s"] = statistics.median(seconds)
    return figures


KINDS = {"send": send, "latency": latency, "consume": consume, "backlog": backlog, "start": start}
