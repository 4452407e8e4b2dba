#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The configuration file of the mini-broker, SIGHUP, and what it says to the service manager.

  config_test.py [TEST...]
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import ops
import prometheus_text
from ops import Broker, http

UNIT = os.path.join(ops.ROOT, "examples", "mini-broker", "commitlog-mini-broker.service")


def value(broker, metric, /, **labels):
    time.sleep(0.3)  # what was made for others is given again for a quarter of a second
    return prometheus_text.value(prometheus_text.parse(http(broker, "/metrics").body), metric,
                                 **labels)


def refused(checks, what, config, *patterns, options=()):
    """It does not start, exits with 2, and says all of these."""
    broker = Broker(options, config)
    broker.spawn()
    code = broker.ended()
    checks.same(f"{what}: exit code", 2, code)
    for pattern in patterns:
        checks.check(f"{what}: says {pattern}", broker.says(pattern), broker.log())
    checks.check(f"{what}: nothing was made", "recovered" not in broker.log(), broker.log())


def test_good(checks):
    broker = Broker(config={}, ports=False)
    broker.write_config({"data": broker.data, "listen": f"{ops.HOST}:{broker.port}",
                         "namesrv-listen": f"{ops.HOST}:{broker.namesrv_port}",
                         "http": f"{ops.HOST}:{broker.http_port}", "flush": "async",
                         "cluster": "of-the-file", "name": "bröker", "queues": 16, "log": "warn",
                         "connections": "99", "unflushed-bytes": 1048576, "no-auto-topics": True})
    with broker:
        checks.same("flush", 0, value(broker, "mini_broker_flush_sync"))
        checks.same("connections", 99, value(broker, "mini_broker_connections_limit"))
        checks.same("names", 1, value(broker, "mini_broker_info", version="0.1.0",
                                      cluster="of-the-file", name="bröker"))
        checks.same("log", "", broker.log())
        try:
            broker.send("new", 1)
            checks.check("no topic is made by sending", False)
        except RuntimeError as error:
            checks.check("no topic is made by sending", "'code': 17" in str(error), error)


def test_nothing_in_it(checks):
    with Broker(config="\n {}\n") as broker:
        checks.same("flush", 1, value(broker, "mini_broker_flush_sync"))
    with Broker(config={"no-auto-topics": False}) as broker:
        broker.send("new", 1)


def test_mistakes(checks):
    refused(checks, "no JSON", '{\n"flush": "sync",\n}', r"broker\.conf\.json: line 3: ")
    refused(checks, "empty", "", r"broker\.conf\.json: line \d+: ")
    refused(checks, "no object", '["flush"]', r"broker\.conf\.json: line 1: has to be an object")
    refused(checks, "unknown key", '{"flush": "sync",\n\n "flsh": "async"}',
            r'conf\.json: line 3: "flsh" is not an option')
    refused(checks, "unknown key, written otherwise", '{"name": "a \\" b",\n "\\u0066lsh": 1}',
            r'conf\.json: line 2: "flsh" is not an option')
    refused(checks, "a name that is also a value", '{"name": "x",\n"cluster": "x",\n"x": 1}',
            r'line 3: "x" is not an option')
    refused(checks, "two mistakes", '{"a": 1,\n"queues": "many"}', r'line 1: "a" is not an option',
            r'line 2: "queues" has a value that cannot be')
    refused(checks, "twice", '{"flush": "sync",\n"flush": "sync"}', r"line 2: duplicate")
    refused(checks, "true", '{"data": true}', r'"data" cannot be true or false')
    refused(checks, "no true", '{"no-auto-topics": "yes"}',
            r'"no-auto-topics" has to be true or false')
    refused(checks, "an object", '{"http": {"port": 1}}', r'"http" has to be a string')
    refused(checks, "null", '{"http": null}', r'"http" has to be a string')
    refused(checks, "a fraction", '{"queues": 1.5}', r'"queues" has to be a string')
    refused(checks, "too large a number", '{"queues": 99999999999999999999}', r"line 1: too big")
    refused(checks, "negative", '{"unflushed-bytes": -1}', r"has a value that cannot be")
    refused(checks, "not of a file", '{"config": "other"}', r'"config" is not an option')
    refused(checks, "help", '{"help": true}', r'"help" is not an option')
    refused(checks, "an address", '{"http": "nowhere:x"}', r'"http" has a value that cannot be')
    refused(checks, "NUL", '{"name": "a\\u0000b"}', r"line 1: ")
    refused(checks, "wrong though the command line says it", '{"flush": "maybe"}',
            r'"flush" has a value that cannot be', options=["--flush", "sync"])
    refused(checks, "of the command line", {}, r"error --queues cannot be: x",
            options=["--queues", "x"])
    refused(checks, "a size", '{"flush": "sync",\n"retain-bytes": "5X"}',
            r'line 2: "retain-bytes" has a value that cannot be; it takes a size, such as 100G')
    refused(checks, "a size of the command line", {}, r"error --retain-bytes cannot be: 5X; it",
            options=["--retain-bytes", "5X"])
    for option, most in (("queues", 1024), ("check-interval", 86400000), ("checks", 10000),
                         ("connections", 1000000), ("retain-hours", 1000000)):
        for number in (0, most + 1):
            refused(checks, f"{option}, {number}", json.dumps({option: number}),
                    rf"a value that cannot be; it takes a whole number from 1 to {most}$")
    refused(checks, "large", '{"name": "' + "x" * 2000000 + '"}', r"is too large")
    broker = Broker(["--config", "/nowhere/at-all"])
    broker.spawn()
    checks.same("no file", 2, broker.ended())
    checks.check("says so", broker.says("/nowhere/at-all: No such file"), broker.log())


def test_what_cannot_be_read(checks):
    """It does not start, exits with 1, and says which file and why, once."""
    directory = tempfile.mkdtemp(prefix="broker-config-")
    file, data, loop = (os.path.join(directory, name) for name in ("file", "data", "loop"))
    with open(file, "w", encoding="utf-8") as out:
        out.write('{"accounts":\n12345678')
    os.symlink("data", os.path.join(directory, "store"))
    os.mkdir(loop)
    os.symlink("broker.json", os.path.join(loop, "broker.json"))
    for what, options, says in (
            ("a file for a directory", ["--data", file], rf"error {file}: Not a directory$"),
            ("nothing to make it in", ["--data", f"{file}/x"],
             rf"error {file}/x: Not a directory$"),
            ("a store of another kind", ["--data", directory],
             rf"error store {directory}/store: [^/]*$"),
            ("accounts", ["--data", data, "--acl", f"{directory}/none"],
             rf"error accounts {directory}/none: No such file or directory$"),
            ("accounts in a directory", ["--data", data, "--acl", directory],
             rf"error accounts {directory}: Is a directory$"),
            ("accounts that are no JSON", ["--data", data, "--acl", file],
             rf"error accounts {file}: line 2: no JSON$"),
            ("settings", ["--data", loop], rf"error {loop}/broker\.json: Too many levels")):
        broker = Broker(options).spawn()
        checks.same(f"{what}: exit code", 1, broker.ended())
        errors = "\n".join(line for line in broker.lines if " error " in line)
        checks.check(f"{what}: says {says}", re.search(says, errors), errors)
        checks.check(f"{what}: no secret", "12345678" not in broker.log(), broker.log())
    shutil.rmtree(directory)


def test_command_line_wins(checks):
    with Broker(["--flush", "sync", "--connections", "7"],
                {"flush": "async", "connections": 8, "cluster": "of-the-file"}) as broker:
        checks.same("flush", 1, value(broker, "mini_broker_flush_sync"))
        checks.same("connections", 7, value(broker, "mini_broker_connections_limit"))
        checks.same("the rest is of the file", 1,
                    value(broker, "mini_broker_info", version="0.1.0", cluster="of-the-file",
                          name="broker-a"))
        broker.hang_up()
        checks.until("the file is read again", 30, lambda: broker.says("reload: 0 options"),
                     broker.log)
        checks.same("and the command line still counts first", 1,
                    value(broker, "mini_broker_flush_sync"))


def test_hang_up(checks):
    with Broker(config={"flush": "sync", "log": "info"}) as broker:
        broker.send("orders", 1)
        broker.write_config({"flush": "async", "log": "debug", "connections": 2, "queues": 3,
                             "listen": "127.0.0.1:1", "unflushed-bytes": 5000,
                             "no-auto-topics": True})
        broker.hang_up()
        checks.until("five have changed", 30, lambda: broker.says("reload: 5 options have changed"),
                     broker.log)
        checks.check("each is said", broker.says("reload: flush: async, was sync"), broker.log())
        checks.check("what needs a restart is said",
                     broker.says("reload: queues: 3 needs a restart"), broker.log())
        checks.check("of what the command line says nothing is", not broker.says("reload: listen"),
                     broker.log())
        checks.same("flush", 0, value(broker, "mini_broker_flush_sync"))
        one, two = broker.connect(), broker.connect()
        checks.until("debug lines", 30, lambda: (broker.connect().close(), broker.says(
            "debug a connection was not taken: there are 2"))[1], broker.log)
        one.close()
        two.close()
        checks.until("they are gone", 30, lambda: value(broker, "mini_broker_connections") == 0)
        broker.send("orders", 50, body=b"x" * 1000)
        checks.check("the limit of what is not durable holds",
                     value(broker, "commitlog_limit_waits_total") > 0)
        checks.until("all is durable soon", 30, lambda: value(
            broker, "commitlog_position_bytes", position="durable") == value(
                broker, "commitlog_position_bytes", position="published"))
        broker.write_config({"flush": "sync"})
        broker.hang_up()
        checks.until("and back", 30, lambda: broker.says("reload: flush: sync, was async"),
                     broker.log)
        broker.send("anew", 5)
        checks.same("flush", 1, value(broker, "mini_broker_flush_sync"))
        checks.same("durable at once", value(broker, "commitlog_position_bytes",
                                             position="published"),
                    value(broker, "commitlog_position_bytes", position="durable"))


def test_hang_up_with_mistakes(checks):
    with Broker(config={"flush": "sync"}) as broker:
        for config, says in (('{"flush": "async", "log": "loud"}', '"log" has a value'),
                             ("{", "line 1"), ('{"flush": "async",\n"x": 1}', 'line 2: "x" is')):
            broker.write_config(config)
            seen = len(broker.lines)
            broker.hang_up()
            checks.until(f"{says}: said", 30, lambda s=seen: "reload: nothing has changed" in
                         "\n".join(broker.lines[s:]), broker.log)
            checks.check(f"{says}: what", says in "\n".join(broker.lines[seen:]), broker.log())
            checks.same("nothing has changed", 1, value(broker, "mini_broker_flush_sync"))
            checks.same("metrics tell", 0,
                        value(broker, "mini_broker_config_last_reload_successful"))
            checks.check("the page tells", "configuration has a mistake" in http(broker, "/").text)
        os.unlink(broker.config)
        broker.hang_up()
        checks.until("no file", 30, lambda: broker.says("No such file"), broker.log)
        broker.send("still", 1)
        broker.write_config({"flush": "async"})
        broker.hang_up()
        checks.until("repaired", 30, lambda: value(
            broker, "mini_broker_config_last_reload_successful") == 1)
        checks.same("and taken", 0, value(broker, "mini_broker_flush_sync"))


def test_hang_up_with_mistakes_in_the_accounts(checks):
    directory = tempfile.mkdtemp(prefix="broker-accounts-")
    path = os.path.join(directory, "accounts.json")
    good = '{"accounts": [{"accessKey": "operator", "secretKey": "12345678", "admin": true}]}'

    def write(text):
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)

    def taken(broker):
        return value(broker, "mini_broker_config_last_reload_successful")

    write(good)
    with Broker(["--acl", path], config={"log": "info"}) as broker:
        checks.same("at the start", 1, taken(broker))
        write(good[:40])
        broker.write_config({"log": "debug"})
        broker.hang_up()
        checks.until("a mistake is told", 5, lambda: taken(broker) == 0)
        checks.check("what is good is taken all the same", broker.says("log: debug, was info"))
        checks.check("on the page", "or the accounts" in http(broker, "/").text)
        write(good)
        broker.hang_up()
        checks.until("until it is mended", 5, lambda: taken(broker) == 1)
    shutil.rmtree(directory)


def test_hang_up_often(checks):
    """While clients send; nothing is lost, memory stays."""
    with Broker(config={"flush": "sync"}) as broker:
        before = value(broker, "process_resident_memory_bytes")
        for i in range(200):
            broker.write_config({"flush": ("sync", "async")[i % 2], "name": f"name-{i}"})
            broker.hang_up()
            broker.send("orders", 2)
        checks.same("all are there", 400,
                    value(broker, "mini_broker_topic_messages", topic="orders"))
        grown = value(broker, "process_resident_memory_bytes") - before
        if "asan" in ops.BUILD:
            checks.skip("memory while it is told often", "AddressSanitizer keeps what was freed")
        else:
            checks.check("memory stays", grown < 20e6, grown)


def test_signals_while_it_ends(checks):
    """They change nothing: it ends as it would have, and the store was closed."""
    directory = tempfile.mkdtemp(prefix="broker-config-")
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        for _ in range(3):
            with Broker(directory=directory) as broker:
                broker.send("orders", 1)
                process = broker.process
                process.terminate()
                count = 0
                while process.poll() is None:
                    process.send_signal(number)
                    count += 1
                checks.same(f"{count} times {number.name}: it ends", 0, process.returncode)
                broker.expected = process.returncode
            with Broker(directory=directory) as broker:
                checks.until(f"{count} times {number.name}: the store was closed", 10,
                             lambda: broker.says("store: was closed"), broker.log)
    shutil.rmtree(directory)


def test_service_manager(checks):
    directory = tempfile.mkdtemp(prefix="broker-notify-")
    path = os.path.join(directory, "notify")
    for name in (path, f"@broker-notify-{os.getpid()}"):
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.bind(name.replace("@", "\0", 1) if name[0] == "@" else name)
        manager.settimeout(10)
        broker = Broker(config={}, environment={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "400000"})
        with broker:
            said = [manager.recv(4096).decode() for _ in range(5)]
            checks.check("READY", any(s.startswith("READY=1\n") for s in said), said)
            checks.check("WATCHDOG", "WATCHDOG=1" in said, said)
            broker.hang_up()
            while not said[-1].startswith("RELOADING=1"):
                said.append(manager.recv(4096).decode())
            checks.check("RELOADING, and when", re.fullmatch(
                r"RELOADING=1\nMONOTONIC_USEC=\d+", said[-1]), said[-1])
            said.append("WATCHDOG=1")
            while said[-1] == "WATCHDOG=1":  # may come at any time
                said.append(manager.recv(4096).decode())
            checks.same("READY again", "READY=1", said[-1])
            broker.process.send_signal(signal.SIGTERM)
            while not said[-1].startswith("STOPPING=1"):
                said.append(manager.recv(4096).decode())
            checks.same("a clean end", 0, broker.process.wait(10))
        manager.close()
    shutil.rmtree(directory)
    for environment in ({"NOTIFY_SOCKET": "relative"}, {"NOTIFY_SOCKET": "/" + "x" * 200},
                        {"NOTIFY_SOCKET": "/nowhere"}, {"WATCHDOG_USEC": "nonsense"},
                        {"WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"}):
        with Broker(environment=environment) as broker:
            checks.same(f"{environment}", 200, http(broker, "/health").status)


def test_unit(checks):
    with open(UNIT, encoding="utf-8") as file:
        unit = file.read()
    start = re.search(r"ExecStart=(\S+) ((?:.*\\\n)*.*)", unit)
    options = re.findall(r"--([a-z-]+)", start.group(2))
    known = subprocess.run([ops.BINARY, "--help"], capture_output=True, text=True,
                           check=True).stdout
    for option in options:
        checks.check(f"--{option} is an option", f"--{option} " in known)
    if shutil.which("systemd-analyze") is None:
        checks.skip("the unit file", "there is no systemd-analyze")
        return
    directory = tempfile.mkdtemp(prefix="broker-unit-")
    path = os.path.join(directory, "commitlog-mini-broker.service")
    with open(path, "w", encoding="utf-8") as out:
        out.write(unit.replace(start.group(1), ops.BINARY))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", path], capture_output=True,
                          text=True, check=False)
    checks.same("systemd has nothing to say", (0, ""), (done.returncode, done.stderr))
    done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--threshold=25",
                           "--no-pager", path], capture_output=True, text=True, check=False)
    checks.check("its exposure is small", done.returncode == 0, done.stdout[-300:] + done.stderr)
    shutil.rmtree(directory)


def test_json_of_the_page(checks):
    """The example of the man page is one."""
    with open(os.path.join(ops.ROOT, "man", "commitlog-mini-broker-ops.7"),
              encoding="utf-8") as file:
        text = re.search(r"\.Bd -literal[^\n]*\n(\{.*?\n\})", file.read(), re.DOTALL).group(1)
    config = json.loads(text)
    config.pop("data")
    config.pop("http")
    with Broker(config=config) as broker:
        checks.same("it starts", 200, http(broker, "/health").status)


if __name__ == "__main__":
    sys.exit(ops.Checks().run([test_good, test_nothing_in_it, test_mistakes,
                               test_what_cannot_be_read, test_command_line_wins,
                               test_hang_up, test_hang_up_with_mistakes,
                               test_hang_up_with_mistakes_in_the_accounts, test_hang_up_often,
                               test_signals_while_it_ends, test_service_manager, test_unit,
                               test_json_of_the_page]))
