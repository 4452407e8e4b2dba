# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of operations share: a broker on its own ports, HTTP by hand, counted checks."""

import concurrent.futures
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import wire

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("BUILD", os.path.join("build", "release")))
BINARY = os.path.join(BUILD, "mini-broker")
HOST = "127.0.0.1"
HTTP_CONNECTIONS, HTTP_SECONDS = 32, 20


def held_ports(count):
    """Sockets with ports that nobody else is given while they are open; who allows an address to be
    used again, as servers do, can listen there."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind((HOST, 0))
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return sockets


def free_ports(count):
    """Ports that nobody has at this moment; each is bound again at once."""
    sockets = held_ports(count)
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def sending(topic, queue=0, queues=4):
    """The fields of request 10, which names them in full."""
    return {"producerGroup": "producers", "topic": topic, "defaultTopic": "TBW102",
            "defaultTopicQueueNums": queues, "queueId": queue, "sysFlag": 0,
            "bornTimestamp": int(time.time() * 1000), "flag": 0, "properties": "",
            "reconsumeTimes": 0, "unitMode": "false", "batch": "false"}


def preloaded(name, directory, **environment):
    """What an environment needs for a broker with the C file of that name in it, or None."""
    library = os.path.join(directory, f"{name}.so")
    made = subprocess.run(["cc", "-shared", "-fPIC", "-o", library,
                           os.path.join(ROOT, "tests", "broker", f"{name}.c"), "-ldl"], check=False)
    if made.returncode != 0 or "asan" in BUILD or "tsan" in BUILD:
        return None
    return {"LD_PRELOAD": library, **environment}


class Checks:
    """Counts; each that fails is a line. Tests may run at the same time."""

    def __init__(self):
        self.made, self.failed, self.skipped, self.lock = 0, 0, 0, threading.Lock()

    def check(self, what, good, detail=""):
        with self.lock:
            self.made += 1
            self.failed += 0 if good else 1
        if not good:
            print(f"FAIL: {what}: {str(detail)[:600]}", flush=True)
        return bool(good)

    def same(self, what, wanted, found):
        return self.check(what, wanted == found, f"expected {wanted!r}, found {found!r}")

    def skip(self, what, why):
        with self.lock:
            self.skipped += 1
        print(f"skip: {what}: {why}", flush=True)

    def until(self, what, seconds, look, *detail):
        """Until it is true, or a failure."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if look():
                return self.check(what, True)
            time.sleep(0.05)
        return self.check(what, look(), " ".join(str(d() if callable(d) else d) for d in detail))

    def once(self, what, bound, seconds, tries=8):
        """What `seconds` does and says takes less than the bound once: neighbours on a busy machine
        make some tries slow, a mistake makes all of them slow."""
        took = []
        while not took or took[-1] >= bound and len(took) < tries:
            took.append(seconds())
        return self.check(what, took[-1] < bound, took)

    def run_one(self, test):
        print(f"== {test.__name__}", flush=True)
        begin = time.monotonic()
        try:
            test(self)
        except Exception as error:  # pylint: disable=broad-except  a mistake of ours fails, too
            self.check(test.__name__, False, f"{type(error).__name__}: {error}")
        print(f"   {test.__name__}: {time.monotonic() - begin:.1f} s", flush=True)

    def run(self, tests, waiting=()):
        """Those that are named on the command line, or all; the exit code. Those that mostly wait
        for a time to be over wait beside each other, and first."""
        names = sys.argv[1:]
        if not os.path.exists(BINARY):
            print(f"skip: there is no {BINARY}: make broker")
            return 77
        wanted = [test for test in dict.fromkeys((*waiting, *tests))
                  if not names or test.__name__ in names]
        with concurrent.futures.ThreadPoolExecutor(max(1, len(waiting))) as pool:
            list(pool.map(self.run_one, [test for test in wanted if test in waiting]))
        for test in wanted:
            if test not in waiting:
                self.run_one(test)
        print(f"checks: {self.made}")
        return 1 if self.failed else 0


class Broker:
    """One process; the log is read as it is written."""

    def __init__(self, options=(), config=None, ports=True, environment=None, directory=None):
        self.own_directory = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="broker-ops-")
        self.held = held_ports(3)
        self.namesrv_port, self.port, self.http_port = (
            one.getsockname()[1] for one in self.held)
        self.config = os.path.join(self.directory, "broker.conf.json")
        self.lines = []
        command = [BINARY]
        if config is not None:
            self.write_config(config)
            command += ["--config", self.config]
        if ports:
            command += ["--namesrv-listen", f"{HOST}:{self.namesrv_port}", "--listen",
                        f"{HOST}:{self.port}", "--http", f"{HOST}:{self.http_port}",
                        "--data", self.data]
        self.command = command + list(options)
        self.environment = {**os.environ, **(environment or {})}
        self.process = None
        self.expected = 0  # exit code

    @property
    def data(self):
        return os.path.join(self.directory, "data")

    def write_config(self, config):
        text = config if isinstance(config, str) else json.dumps(config, indent=2)
        with open(self.config, "w", encoding="utf-8") as out:
            out.write(text)

    def read_log(self, stream):
        for line in stream:
            self.lines.append(line.rstrip("\n"))

    def spawn(self):
        # SIGXFSZ stays ignored, so that a limit of file sizes is an error of a write.
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True, errors="replace",
                                        env=self.environment, restore_signals=False)
        self.reader = threading.Thread(target=self.read_log, args=(self.process.stderr,))
        self.reader.start()
        return self

    def start(self):
        self.spawn()
        end = time.monotonic() + 20
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if http(self, "/health").status == 200:
                    return self
            except OSError:
                time.sleep(0.05)
        self.stop()
        raise RuntimeError("the broker does not serve: " + " | ".join(self.lines[-8:]))

    def ended(self, seconds=20):
        """Its exit code, when it ends by itself."""
        try:
            return self.process.wait(seconds)
        finally:
            self.stop()

    def log(self):
        return "\n".join(self.lines)

    def says(self, pattern):
        return re.search(pattern, self.log()) is not None

    def stop(self):
        code = None
        if self.process is not None:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
            try:
                code = self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                code = self.process.wait()
            self.reader.join(10)
            self.process.stderr.close()
            self.process = None
        for one in self.held:
            one.close()
        if self.own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)
        return code

    def worked(self):
        """Seconds of the processor that its loop has had: what others take of it does not count."""
        path = f"/proc/{self.process.pid}/task/{self.process.pid}/stat"
        with open(path, encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def hang_up(self):
        self.process.send_signal(signal.SIGHUP)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        code = self.stop()
        if kind is None and code != self.expected:
            raise RuntimeError(f"the broker ends with {code}: " + "\n".join(self.lines[-60:]))

    # -- messages ------------------------------------------------------------------------------

    def connect(self):
        return wire.Connection((HOST, self.port))

    def send(self, topic, count=1, queue=0, body=b"body"):
        with self.connect() as connection:
            for _ in range(count):
                header, _ = connection.ask(10, sending(topic, queue), body)
                if header["code"] != 0:
                    raise RuntimeError(f"send to {topic}: {header}")

    def consumed(self, group, topic, queue, offset):
        """The group is made if it is not there."""
        with self.connect() as connection:
            fields = {"consumerGroup": group, "topic": topic, "queueId": queue,
                      "commitOffset": offset}
            header, _ = connection.ask(15, fields)
            if header["code"] == 26:
                connection.ask(200, {}, json.dumps({"groupName": group}).encode())
                header, _ = connection.ask(15, fields)
            if header["code"] != 0:
                raise RuntimeError(f"offset of {group}: {header}")


def settled(look, seconds=30):
    """What is looked at, when it has not changed for a while."""
    end, last, since = time.monotonic() + seconds, look(), time.monotonic()
    while time.monotonic() < end and time.monotonic() - since < 0.6:
        time.sleep(0.1)
        now = look()
        if now != last:
            last, since = now, time.monotonic()
    return last


class Answer:
    def __init__(self, data):
        self.raw = data
        head, _, self.body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1]) if lines[0].startswith("HTTP/1.") else 0
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()
        self.text = self.body.decode("utf-8", "replace")


def read_all(connection):
    out = bytearray()
    try:
        while piece := connection.recv(1 << 16):
            out += piece
    except ConnectionResetError:
        pass
    return bytes(out)


def raw(broker, data, timeout=30, source=None):
    """Everything that comes back until the other side closes."""
    with socket.create_connection((HOST, broker.http_port), timeout,
                                  source_address=(source, 0) if source else None) as connection:
        try:
            connection.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return read_all(connection)


def http(broker, path, method="GET", source=None, timeout=30):
    request = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
    return Answer(raw(broker, request.encode(), timeout, source))
