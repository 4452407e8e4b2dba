#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""broker.py - the mini-broker beside RocketMQ's own broker, loaded by RocketMQ's own benchmark.

    broker.py                    rounds of each case that are missing; then the table
    broker.py --table            writes bench/BROKER.md from what has been measured
    broker.py --directory DIR    where the stores are (build/bench/broker)

Environment: ROUNDS=3, WARM=10 and SECONDS=20 seconds of each run, MINUTES=n begins no run after
that time, BINARY=build/release/mini-broker, CASES="async-1K-16" some of them.

org.apache.rocketmq.example.benchmark.Producer of 5.5.0 on client 5.3.3, unmodified, on one hardware
thread; the server on the other. The engines take turns. What the first WARM seconds bring does not
count. A run with a message that failed is recorded with how many, not left out. Throughput and the
longest time of a message are what the producer prints for its windows of ten seconds; processor
time is /proc's of the server process, over the same windows. What was measured so far: fewer than
the five rounds that figures should have, on a root file system without a journal. A heap of 4 GiB,
as it is asked for, is most of the official broker's memory.
"""
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/broker"))
sys.dont_write_bytecode = True

import agents  # noqa: E402  what the tests of the broker have
import artifacts  # noqa: E402
import engines  # noqa: E402
import wire  # noqa: E402

RESULTS = ROOT / "bench/broker.jsonl"
TABLE = ROOT / "bench/BROKER.md"
CLIENT = "client-5.3"
PORTS = 29876, 29911
SERVER_CPU, CLIENT_CPU = "0", "1"
QUEUES = 8
TICKS = os.sysconf("SC_CLK_TCK")
# Name: flush, bytes of a body, threads that send.
CASES = {"async-1K-1": ("async", 1024, 1), "async-1K-16": ("async", 1024, 16),
         "async-128-16": ("async", 128, 16), "sync-1K-1": ("sync", 1024, 1),
         "sync-1K-16": ("sync", 1024, 16)}
# Stock settings, but for what two hardware threads would make it refuse.
STOCK = """\
brokerClusterName=DefaultCluster
brokerName=broker-a
brokerId=0
brokerIP1=127.0.0.1
listenPort={port}
namesrvAddr=127.0.0.1:{namesrv}
storePathRootDir={dir}/store
storePathCommitLog={dir}/store/commitlog
flushDiskType=FLUSH
brokerRole=ASYNC_MASTER
waitTimeMillsInSendQueue=1000
"""
LINE = re.compile(r"Send TPS: (\d+) \| Max RT\(ms\): (\d+) \| Average RT\(ms\): +([0-9.]+) \| "
                  r"Send Failed: (\d+) \| Response Failed: (\d+)")


class Official(engines.RocketMQ):
    def java(self, main, heap, configuration):
        size = 4096 if "BrokerStartup" in main else 512
        words = super().java(main, heap, configuration)
        words[1:3] = [f"-Xms{size}m", f"-Xmx{size}m", "-XX:+UseG1GC"]
        return ["taskset", "-c", SERVER_CPU, *words]


class Mini(engines.Mini):
    binary = os.environ.get("BINARY", str(ROOT / "build/release/mini-broker"))

    def spawn(self, name, command, environment=None):
        return super().spawn(name, ["taskset", "-c", SERVER_CPU, *command], environment)


def server(name, flush, directory):
    if name == "mini":
        Mini.options = ["--flush", flush, "--log", "warn"]
        return Mini(directory, *PORTS)
    engines.BROKER_CONF = STOCK.replace("FLUSH", "SYNC_FLUSH" if flush == "sync" else "ASYNC_FLUSH")
    return Official(directory, *PORTS)


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def client(main, directory, engine, *words):
    command = agents.java_command(CLIENT, main, directory, *words, heap=1024)
    command = [word for word in command if "TieredStopAtLevel" not in word]
    return subprocess.Popen(["taskset", "-c", CLIENT_CPU, *command], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            cwd=directory, env=agents.environment(directory, engine.address))


def make_topic(engine, directory):
    admin = client("org.apache.rocketmq.tools.command.MQAdminStartup", directory, engine,
                   "updateTopic", "-b", engine.broker_address, "-t", "bench", "-r", str(QUEUES),
                   "-w", str(QUEUES))
    text, _ = admin.communicate(timeout=60)
    end = time.monotonic() + 30
    while wire.route(engine.namesrv, "bench") != QUEUES:
        if time.monotonic() > end:
            sys.exit(f"no topic was made: {text[-500:]}")
        time.sleep(0.1)


def windows(producer, engine, warm, seconds):
    """What it prints of each ten seconds that count, and the processor time of the server."""
    lines, cpu, begin, last = [], None, None, []
    began = time.monotonic()
    for text in producer.stdout:
        last = [*last[-10:], text]
        found = LINE.search(text)
        if not found:
            continue
        now = time.monotonic()
        if begin is not None:
            lines.append([float(value) for value in found.groups()])
            if now - begin >= seconds - 1:
                return lines, cpu_seconds(engine.processes[-1].pid) - cpu, now - begin
        elif now - began >= warm:
            begin, cpu = now, cpu_seconds(engine.processes[-1].pid)
    sys.exit("the producer ended: " + "".join(last))


def one(name, case, directory, warm, seconds):
    flush, size, threads = CASES[case]
    subprocess.run(["sync"], check=True)
    engine = server(name, flush, os.path.join(directory, "server"))
    home = os.path.join(directory, "client")
    shutil.rmtree(home, ignore_errors=True)
    os.makedirs(home)
    producer = None
    try:
        engine.start()
        make_topic(engine, home)
        producer = client("org.apache.rocketmq.example.benchmark.Producer", home, engine, "-n",
                          engine.address, "-t", "bench", "-w", str(threads), "-s", str(size))
        lines, cpu, took = windows(producer, engine, warm, seconds)
        rss = engine.rss()
    finally:
        if producer is not None:
            producer.kill()
            producer.wait()
        engine.stop()
        shutil.rmtree(directory, ignore_errors=True)
    tps = statistics.mean(line[0] for line in lines)
    return {"case": case, "engine": name, "tps": tps, "max_ms": max(line[1] for line in lines),
            "mean_ms": statistics.mean(line[2] for line in lines),
            "failed": lines[-1][3] + lines[-1][4], "cpu_us": cpu * 1e6 / (tps * took),
            "rss_mib": rss / 1024, "warm_s": warm, "seconds": round(took, 1)}


def measured():
    if not RESULTS.exists():
        return []
    return [json.loads(line) for line in RESULTS.read_text(encoding="ascii").splitlines()]


def middle(rows, field):
    return statistics.median(row[field] for row in rows)


def cell(rows, field, form):
    values = sorted(row[field] for row in rows)
    spread = f" ({form.format(values[0])}–{form.format(values[-1])})" if len(values) > 1 else ""
    return form.format(statistics.median(values)) + spread


def table():
    rows = measured()
    text = [__doc__.split("\n\n")[-1].strip(), "",
            "Written by `bench/broker.py`; each run is a line of `bench/broker.jsonl`. Medians, "
            "with the lowest and the highest. The server has one hardware thread, the client the "
            f"other of the same core. The official broker is {engines.RocketMQ.version} with "
            "stock settings, 4 GiB of heap and G1; its resident memory counts its maps of files, "
            "as ours does. 8 queues. Both index the unique key of each message.", "",
            "| case | server | runs | messages a second | longest, ms | mean, ms | failed | "
            "processor time a message, µs | resident, MiB |",
            "|---|---|---|---|---|---|---|---|---|"]
    for case in CASES:
        of = {name: [row for row in rows if row["case"] == case and row["engine"] == name]
              for name in ("mini", "rocketmq")}
        for name, mine in of.items():
            if mine:
                cells = [cell(mine, "tps", "{:,.0f}"), cell(mine, "max_ms", "{:.0f}"),
                         cell(mine, "mean_ms", "{:.2f}"),
                         f"{sum(row['failed'] for row in mine):.0f}",
                         cell(mine, "cpu_us", "{:.1f}"), cell(mine, "rss_mib", "{:.0f}")]
                text.append(f"| {case} | {name} | {len(mine)} | {' | '.join(cells)} |")
        if of["mini"] and of["rocketmq"]:
            ratio = {field: middle(of["mini"], field) / middle(of["rocketmq"], field)
                     for field in ("tps", "cpu_us", "rss_mib", "max_ms")}
            text.append(f"| | mini / rocketmq | | **{ratio['tps']:.2f}** | {ratio['max_ms']:.2f} | "
                        f"| | **{ratio['cpu_us']:.2f}** | {ratio['rss_mib']:.2f} |")
    TABLE.write_text("# The mini-broker beside RocketMQ's broker\n\n" + "\n".join(text) + "\n",
                     encoding="utf-8")


def main():
    if "--table" in sys.argv:
        table()
        return
    directory = sys.argv[sys.argv.index("--directory") + 1] if "--directory" in sys.argv \
        else str(ROOT / "build/bench/broker")
    rounds, warm, seconds = (int(os.environ.get(name, otherwise)) for name, otherwise in
                             (("ROUNDS", "3"), ("WARM", "10"), ("SECONDS", "20")))
    until = time.monotonic() + 60 * float(os.environ.get("MINUTES", "1e6"))
    os.makedirs(artifacts.BUILD, exist_ok=True)
    for name in (CLIENT, "broker-5.3"):
        artifacts.get_jars(name)
        artifacts.verify_jars(name)
    artifacts.compile_java(CLIENT, "java/src")
    for number in range(rounds):
        for case in os.environ.get("CASES", " ".join(CASES)).split():
            for name in ("mini", "rocketmq") if number % 2 == 0 else ("rocketmq", "mini"):
                done = [row for row in measured() if row["case"] == case and row["engine"] == name]
                if len(done) > number or time.monotonic() > until:
                    continue
                row = one(name, case, directory, warm, seconds)
                print(json.dumps(row), flush=True)
                with open(RESULTS, "a", encoding="ascii") as out:
                    out.write(json.dumps(row) + "\n")
    table()


if __name__ == "__main__":
    main()
