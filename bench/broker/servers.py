# SPDX-License-Identifier: BSD-2-Clause
"""servers.py - the two brokers as they are compared, and the official clients against them.

The server has one hardware thread, the client the other of the same core.
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/broker"))
sys.dont_write_bytecode = True

import agents  # noqa: E402  what the tests of the broker have
import artifacts  # noqa: E402
import engines  # noqa: E402
import wire  # noqa: E402

CLIENT = "client-5.3"
BENCHMARK = "org.apache.rocketmq.example.benchmark."
TOPIC, QUEUES = "bench", 8
PORTS = 29876, 29911
SERVER_CPU, CLIENT_CPU = "0", "1"
TICKS = os.sysconf("SC_CLK_TCK")
SERVES_LIMIT_S = 300
BROKER_JAVA = ("-Xms4g", "-Xmx4g", "-XX:+UseG1GC", "-XX:MaxDirectMemorySize=2g")
NAMESRV_JAVA = ("-Xms512m", "-Xmx512m", "-XX:+UseG1GC", "-XX:MaxDirectMemorySize=512m")
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


class Official(engines.RocketMQ):
    name = "rocketmq"

    def __init__(self, directory, flush):
        super().__init__(directory, *PORTS)
        engines.BROKER_CONF = STOCK.replace("FLUSH", "SYNC_FLUSH" if flush == "sync"
                                            else "ASYNC_FLUSH")

    def java(self, main, heap, configuration):
        words = [word for word in super().java(main, heap, configuration)
                 if not word.startswith(("-Xmx", "-XX:MaxDirect", "-XX:+UseSerialGC"))]
        words[1:1] = BROKER_JAVA if "BrokerStartup" in main else NAMESRV_JAVA
        return ["taskset", "-c", SERVER_CPU, *words]


class Mini(engines.Mini):
    name = "mini"
    binary = os.environ.get("BINARY", str(ROOT / "build/release/mini-broker"))

    def __init__(self, directory, flush):
        super().__init__(directory, *PORTS)
        self.options = ["--flush", flush, "--log", "warn"]

    def spawn(self, name, command, environment=None):
        return super().spawn(name, ["taskset", "-c", SERVER_CPU, *command], environment)


SERVERS = {"mini": Mini, "rocketmq": Official}


def prepare():
    """What comes from outside, checked, and classes of ours that agents.py names."""
    os.makedirs(artifacts.BUILD, exist_ok=True)
    for name in (CLIENT, "broker-5.3"):
        artifacts.get_jars(name)
        artifacts.verify_jars(name)
    artifacts.compile_java(CLIENT, "java/src")


def cpu_s(engine):
    """Of the process that holds the messages."""
    path = pathlib.Path(f"/proc/{engine.processes[-1].pid}/stat")
    fields = path.read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def client(main, directory, engine, *words):
    command = agents.java_command(CLIENT, main, directory, *(str(word) for word in words),
                                  heap=1024)
    command = [word for word in command if "TieredStopAtLevel" not in word]
    return subprocess.Popen(["taskset", "-c", CLIENT_CPU, *command], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            cwd=directory, env=agents.environment(directory, engine.address))


def end(process):
    process.kill()
    process.wait()


def make_topic(engine, directory):
    admin = client("org.apache.rocketmq.tools.command.MQAdminStartup", directory, engine,
                   "updateTopic", "-b", engine.broker_address, "-t", TOPIC, "-r", QUEUES, "-w",
                   QUEUES)
    text, _ = admin.communicate(timeout=60)
    limit = time.monotonic() + 30
    while wire.route(engine.namesrv, TOPIC) != QUEUES:
        if time.monotonic() > limit:
            sys.exit(f"no topic was made: {text[-500:]}")
        time.sleep(0.1)


def ends(engine):
    """The next offset of each queue."""
    with wire.Connection(engine.broker) as connection:
        headers = [connection.ask(30, {"topic": TOPIC, "queueId": queue})[0]
                   for queue in range(QUEUES)]
        return [int(header["extFields"]["offset"]) for header in headers]


def serves(engine, last):
    """Whether the last message of the first queue is pulled."""
    try:
        with wire.Connection(engine.broker, 5) as connection:
            header, body = connection.ask(11, wire.pulling("starts", TOPIC, 0, last))
            return header["code"] == 0 and next(wire.records(body))["off"] == last
    except (OSError, wire.WireError, ValueError, StopIteration):
        return False


def start_s(engine, last):
    """From the start of the process until it has answered a pull."""
    engine.wait_ready = lambda: None
    begin = time.monotonic()
    engine.start()
    while not serves(engine, last):
        if time.monotonic() - begin > SERVES_LIMIT_S or not engine.alive():
            sys.exit(f"{engine.name} does not serve what it holds")
        time.sleep(0.002)
    return time.monotonic() - begin


def stop_broker(engine, how):
    """The process that holds the messages only: a name server stays."""
    engine.end(engine.processes[-1:], signal.SIGKILL if how == "killed" else signal.SIGTERM, 120)


def last_json(process):
    """The output, to its end; the object of its last line."""
    lines = process.stdout.read().splitlines()
    if not lines or not lines[-1].startswith("{"):
        sys.exit("the client ended: " + "\n".join(lines[-10:]))
    return json.loads(lines[-1])
