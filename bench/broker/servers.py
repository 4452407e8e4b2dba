# SPDX-License-Identifier: BSD-2-Clause
"""servers.py - the two brokers as they are compared, and the official clients against them.

The server has one hardware thread, the client the other of the same core. All that is started ends
with this program, however that ends.
"""
import collections
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
# bench/ first: results.py, which both have, is its own there.
sys.path += [str(ROOT / "bench"), str(ROOT / "tests/broker")]
sys.dont_write_bytecode = True

import agents  # noqa: E402  what the tests of the broker have
import artifacts  # noqa: E402
import engines  # noqa: E402
import wire  # noqa: E402

CLIENT = "client-5.3"
BENCHMARK = "org.apache.rocketmq.example.benchmark."
TOPIC, QUEUES, GROUP = "bench", 8, "bench-group"
PORTS = 29876, 29911  # of the name server and the broker
ALL_PORTS = (*PORTS, PORTS[1] - 2, PORTS[1] + 1)  # the official broker listens at these, too
SERVER_CPU, CLIENT_CPU = "0", "1"
TICKS = os.sysconf("SC_CLK_TCK")
TOPIC_LIMIT_S, SERVES_LIMIT_S, STOP_LIMIT_S = 60, 300, 120
MEMORY = {"VmRSS": "rss_mib", "VmHWM": "hwm_mib", "RssAnon": "anon_mib", "RssFile": "file_mib"}
# runbroker.sh of 5.3 for Java 17, with 4g in place of 8g and 2g in place of 15g; its log of the
# collector, there in /dev/shm, is with the others.
BROKER_JAVA = ("-server", "-Xms4g", "-Xmx4g", "-XX:+UseG1GC", "-XX:G1HeapRegionSize=16m",
               "-XX:G1ReservePercent=25", "-XX:InitiatingHeapOccupancyPercent=30",
               "-XX:SoftRefLRUPolicyMSPerMB=0",
               "-Xlog:gc*:file=gc.log:time,tags:filecount=5,filesize=30M",
               "-XX:-OmitStackTraceInFastThrow", "-XX:MaxDirectMemorySize=2g",
               "-XX:-UseLargePages", "-XX:-UseBiasedLocking")
PRETOUCH = "-XX:+AlwaysPreTouch"
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


class Failed(Exception):
    """Of one run; with what is to be said of it."""


# ---- what is started ----------------------------------------------------------------------------

def placed(cpu, command):
    """On that hardware thread; killed when the thread of ours that starts it ends."""
    return ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", cpu, *command]


class Server:
    """What both have beside what engines.py gives them."""

    def spawn(self, name, command, environment=None):
        return super().spawn(name, placed(SERVER_CPU, command), environment)


class Official(Server, engines.RocketMQ):
    name = "rocketmq"

    def __init__(self, directory, case):
        super().__init__(directory, *PORTS)
        self.store = os.path.join(directory, "store")
        self.broker_java = (*BROKER_JAVA, PRETOUCH) if case.pretouch else BROKER_JAVA
        engines.BROKER_CONF = STOCK.replace("FLUSH", "SYNC_FLUSH" if case.flush == "sync"
                                            else "ASYNC_FLUSH")

    def java(self, main, heap, configuration, *properties):
        words = [word for word in super().java(main, heap, configuration, *properties)
                 if not word.startswith(("-Xmx", "-XX:MaxDirect", "-XX:+UseSerialGC"))]
        words[1:1] = self.broker_java if "BrokerStartup" in main else NAMESRV_JAVA
        return words


class Mini(Server, engines.Mini):
    name = "mini"

    def __init__(self, directory, case):
        super().__init__(directory, *PORTS)
        self.store = self.data()
        self.options = ["--flush", case.flush]


SERVERS = {"mini": Mini, "rocketmq": Official}


def binary_given():
    """Of the release variant: others are not what anybody would run."""
    path = pathlib.Path(os.environ.get("BINARY", ROOT / "build/release/mini-broker")).resolve()
    if path.parent.name != "release":
        sys.exit(f"{path} is not of the variant release")
    if not path.exists():
        sys.exit(f"{path} is not there: make broker")
    return path


def prepare(directory):
    """What comes from outside, checked; classes of ours that agents.py names; a copy of the binary,
    which stays as it is whatever is built meanwhile."""
    Mini.binary = shutil.copy2(binary_given(), directory)
    os.makedirs(artifacts.BUILD, exist_ok=True)
    for name in (CLIENT, "broker-5.3"):
        artifacts.get_jars(name)
        artifacts.verify_jars(name)
    artifacts.compile_java(CLIENT, "java/src")


def taken_ports():
    """Those that somebody listens at: a server that was left over would be measured."""
    taken = []
    for port in ALL_PORTS:
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # beside ended ones
            try:
                tried.bind(("", port))
            except OSError:
                taken.append(port)
    return taken


def quiet():
    """What was written before is on the disk and not in the page cache."""
    subprocess.run(["sync"], check=True)
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("3\n")


@contextlib.contextmanager
def limited(seconds):
    """Failed if it takes longer: out of whatever waits, so that the clients are ended."""
    def fail(*_):
        raise Failed(f"it took longer than {seconds} s")

    signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def came(holds, limit_s):
    """Whether it came to hold in time."""
    limit = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > limit:
            return False
        time.sleep(0.1)
    return True


# ---- clients ------------------------------------------------------------------------------------

@contextlib.contextmanager
def client(main, directory, engine, *words):
    """A process, killed at the end."""
    command = agents.java_command(CLIENT, main, directory, *(str(word) for word in words),
                                  heap=1024)
    command = [word for word in command if "TieredStopAtLevel" not in word]
    process = subprocess.Popen(placed(CLIENT_CPU, command), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               cwd=directory, env=agents.environment(directory, engine.address))
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def read_until(process, wanted):
    """The first line of its output of which that is true."""
    last = collections.deque(maxlen=10)
    for line in process.stdout:
        if wanted(line):
            return line
        last.append(line)
    raise Failed("the client ended: " + "".join(last))


def make_topic(engine, directory):
    with client("org.apache.rocketmq.tools.command.MQAdminStartup", directory, engine,
                "updateTopic", "-b", engine.broker_address, "-t", TOPIC, "-r", QUEUES, "-w",
                QUEUES) as process:
        text, _ = process.communicate(timeout=TOPIC_LIMIT_S)
    if not came(lambda: wire.route(engine.namesrv, TOPIC) == QUEUES, 30):
        raise Failed(f"no topic was made: {text[-500:]}")


# ---- the process that holds the messages --------------------------------------------------------

def require_alive(engine):
    if not engine.alive():
        raise Failed(f"{engine.name} died: exit status {engine.processes[-1].returncode}")


def cpu_s(engine):
    path = pathlib.Path(f"/proc/{engine.processes[-1].pid}/stat")
    fields = path.read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(engine):
    """In MiB. One that has just died has none."""
    require_alive(engine)
    path = pathlib.Path(f"/proc/{engine.processes[-1].pid}/status")
    lines = dict(line.split(":", 1) for line in path.read_text(encoding="ascii").splitlines())
    found = {field: int(lines.get(name, "0").split()[0]) / 1024 for name, field in MEMORY.items()}
    if not found["rss_mib"]:
        raise Failed(f"{engine.name} has no memory")
    return found


def ends(engine):
    """The next offset of each queue."""
    with wire.Connection(engine.broker) as connection:
        headers = [connection.ask(30, {"topic": TOPIC, "queueId": queue})[0]
                   for queue in range(QUEUES)]
        return [int(header["extFields"]["offset"]) for header in headers]


def consumed(engine):
    """What the group has stored of each queue: the next offset; -1 where there is nothing."""
    with wire.Connection(engine.broker) as connection:
        headers = [connection.ask(14, {"consumerGroup": GROUP, "topic": TOPIC, "queueId": queue})[0]
                   for queue in range(QUEUES)]
        return [int((header.get("extFields") or {}).get("offset", -1)) for header in headers]


def read_store(engine):
    """So that it is in the page cache: some machines have a daemon that takes pages out."""
    piece = bytearray(1 << 20)
    for base, _, files in os.walk(engine.store):
        for name in files:
            with open(os.path.join(base, name), "rb", buffering=0) as file:
                while file.readinto(piece):
                    pass


def serves(engine, last):
    """Whether the last message of the first queue is pulled."""
    try:
        with wire.Connection(engine.broker, 0.2) as connection:
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
        require_alive(engine)
        if time.monotonic() - begin > SERVES_LIMIT_S:
            raise Failed(f"{engine.name} does not serve what it holds")
        time.sleep(0.002)
    return time.monotonic() - begin


def stop_broker(engine, how):
    """A name server stays."""
    process = engine.processes[-1]
    engine.end([process], signal.SIGKILL if how == "killed" else signal.SIGTERM, STOP_LIMIT_S)
    if how == "stopped" and process.returncode not in (0, 128 + signal.SIGTERM):
        raise Failed(f"{engine.name} did not stop well within {STOP_LIMIT_S} s: exit status "
                     f"{process.returncode}")
