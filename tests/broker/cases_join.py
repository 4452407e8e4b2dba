# SPDX-License-Identifier: BSD-2-Clause
"""--join: the mini-broker beside an official broker, under official name servers, in the clear and
by TLS. What clients and mqadmin then see, and what the name servers know after a change, a farewell
and a kill.
"""

import json
import os
import re
import signal
import ssl
import subprocess
import time

import agents
import artifacts
import certificates
import engines
import wire
from cases import Skipped, case, need, same

# below those that the system gives to connections: ten thousand of those may just have been in use
PORTS = {"namesrv": 19876, "official": 19911, "mini": 19921, "own": 19886, "second": 19877}
NUMERIC = re.compile(rb"([{,])(\d+):")  # an official name server writes {0:"..."}
FORGETS = 130  # seconds: a name server's patience with a broker that is silent, and its rounds


def places(namesrv, topic):
    """{broker name: queues to write to} of the route that a name server gives."""
    with wire.Connection(namesrv) as connection:
        header, body = connection.ask(105, {"topic": topic, "acceptStandardJsonOnly": "true"})
    if header["code"] == 17:
        return {}
    same(f"route of {topic}", header["code"], 0)
    route = json.loads(body)
    alive = {data["brokerName"] for data in route["brokerDatas"]}
    return {queue["brokerName"]: queue["writeQueueNums"] for queue in route["queueDatas"]
            if queue["brokerName"] in alive}


def cluster(namesrv):
    """{broker name: {id: address}}"""
    with wire.Connection(namesrv) as connection:
        header, body = connection.ask(106)
    same("answer of the name server", header["code"], 0)
    table = json.loads(NUMERIC.sub(rb'\1"\2":', body))["brokerAddrTable"]
    return {name: data["brokerAddrs"] for name, data in table.items()}


def until(what, seconds, ask):
    """Until ask() is true; how long that took."""
    begin = time.monotonic()
    while True:
        found = ask()
        if found:
            return time.monotonic() - begin
        need(time.monotonic() - begin < seconds, f"{seconds} s without {what}", found)
        time.sleep(0.05)


class Cluster:
    """An official name server and broker, broker-a, and the mini-broker, broker-b."""

    def __init__(self, ctx):
        if not os.path.isdir(artifacts.jars("broker-5.3")):
            raise Skipped("the official broker was not fetched")
        base = os.path.join(os.path.dirname(ctx.engine.directory), "join")
        self.official = engines.RocketMQ(os.path.join(base, "official"), PORTS["namesrv"],
                                         PORTS["official"])
        self.mini = engines.Mini(os.path.join(base, "mini"), PORTS["own"], PORTS["mini"])
        self.mini.binary = ctx.engine.binary or engines.Mini.binary
        # the second name server is none
        self.mini.options = ["--name", "broker-b", "--join",
                             f"{self.official.address},localhost:{PORTS['second']}"]
        self.directory = os.path.join(base, "clients")
        self.agent = None

    def __enter__(self):
        try:
            self.official.start()
            self.mini.start()
            self.agent = agents.java("client-5.3", self.directory, self.official.address)
            until("both brokers at the name server", 20,
                  lambda: set(cluster(self.official.namesrv)) == {"broker-a", "broker-b"})
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.agent is not None:
            self.agent.close()
        self.mini.stop()
        self.official.stop()


def check_both(ctx, here):
    """A topic that mqadmin makes on both; what a producer sends to it, and a consumer gets."""
    topic = f"T-{ctx.name}"
    text = here.agent.admin("updateTopic", "-c", "DefaultCluster", "-t", topic, "-r", "4",
                            "-w", "4")
    need(text.count("success") >= 2, "updateTopic -c did not reach both", text)
    until("the topic on both", 10, lambda: places(here.official.namesrv, topic) == {
        "broker-a": 4, "broker-b": 4})
    consumer = here.agent.begin("consume", topic=topic, group=ctx.group()).started()
    ctx.agent = here.agent
    ctx.produce(topic, 200)
    ctx.check_once(consumer.messages(200, 60), range(200))
    consumer.stop()
    counts = [len(wire.read_topic(here.official.namesrv, broker, topic))
              for broker in (here.official.broker, here.mini.broker)]
    same("messages on both", sum(counts), 200)
    need(min(counts) >= 50, "a producer does not spread over both", counts)
    return counts


def check_created(ctx, here):
    """A topic that only a producer makes: each broker has it when it was sent to."""
    topic = f"T-{ctx.name}-new"
    ctx.produce(topic, 100)
    until("a created topic on both", 35, lambda: set(
        places(here.official.namesrv, topic)) == {"broker-a", "broker-b"})
    here.agent.admin("updateTopic", "-b", here.mini.broker_address, "-t", topic + "-b", "-r", "2",
                     "-w", "2")
    until("a new topic at the name server", 2, lambda: places(
        here.official.namesrv, topic + "-b") == {"broker-b": 2})


@case((), short=False, alone=True)
def join_both_kinds(ctx):
    with Cluster(ctx) as here:
        counts = check_both(ctx, here)
        check_created(ctx, here)
        text = here.agent.admin("clusterList")
        need("broker-a" in text and here.mini.broker_address in text, "clusterList", text)

        here.mini.stop()
        same("brokers after a farewell", set(cluster(here.official.namesrv)), {"broker-a"})
        same("route after a farewell", places(here.official.namesrv, f"T-{ctx.name}"),
             {"broker-a": 4})
        ctx.produce(f"T-{ctx.name}-alone", 20)

        here.mini.start()
        back = until("the broker again", 10, lambda: "broker-b" in cluster(here.official.namesrv))
        same("route after the return", places(here.official.namesrv, f"T-{ctx.name}"),
             {"broker-a": 4, "broker-b": 4})
        here.mini.kill()
        gone = until("an end of the killed broker", FORGETS,
                     lambda: set(cluster(here.official.namesrv)) == {"broker-a"})
    return (f"200 messages, {counts[0]} on the official broker, {counts[1]} on ours, each received "
            f"once; told of new topics at once; gone at a farewell, back after {back:.1f} s, gone "
            f"{gone:.1f} s after kill -9")


@case((), short=False, alone=True)
def join_frozen(ctx):
    """A broker that is silent, its connection whole, is gone after the name server's patience."""
    with Cluster(ctx) as here:
        process = here.mini.processes[0]
        process.send_signal(signal.SIGSTOP)
        try:
            gone = until("an end of the silent broker", FORGETS + 30,
                         lambda: set(cluster(here.official.namesrv)) == {"broker-a"})
        finally:
            process.send_signal(signal.SIGCONT)
        back = until("the broker again", 40, lambda: "broker-b" in cluster(here.official.namesrv))
    need(gone > 60, "gone too soon", gone)
    return f"gone {gone:.0f} s after its last word, back {back:.1f} s after it went on"


@case((), short=False, alone=True)
def join_name_server_restarts(ctx):
    """A name server that comes back knows nothing, and is told; one that is silent is left."""
    with Cluster(ctx) as here:
        namesrv = here.official.processes[0]
        here.official.end([namesrv], signal.SIGKILL, 10)
        with wire.Connection(here.mini.broker) as connection:
            same("the broker without its name server", connection.ask(28)[0]["code"], 0)
        here.official.start_namesrv()
        here.official.processes.insert(0, here.official.processes.pop())
        back = until("the broker at the new name server", 30, lambda: "broker-b" in known(here))
        here.official.processes[0].send_signal(signal.SIGSTOP)
        try:
            begin = time.monotonic()
            here.mini.stop()
            took = time.monotonic() - begin
        finally:
            here.official.processes[0].send_signal(signal.SIGCONT)
        need(took < 5, "a name server that is silent holds up the end", took)
    return (f"told again {back:.1f} s after the name server began anew; the broker ends in "
            f"{took:.1f} s when its name server is silent")


@case((), short=False, alone=True)
def join_by_tls(ctx):
    """An official name server that speaks TLS only."""
    if not os.path.isdir(artifacts.jars("broker-5.3")):
        raise Skipped("the official broker was not fetched")
    base = os.path.join(os.path.dirname(ctx.engine.directory), "join-tls")
    authority = certificates.Authority(os.path.join(base, "certificates"), "authority")
    certificate, key = authority.issue("namesrv")
    official = engines.RocketMQ(os.path.join(base, "official"), PORTS["namesrv"], PORTS["official"])
    mini = engines.Mini(os.path.join(base, "mini"), PORTS["own"], PORTS["mini"])
    mini.binary = ctx.engine.binary or engines.Mini.binary
    mini.options = ["--name", "broker-b", "--join", official.address, "--join-tls-ca",
                    authority.path]
    context = ssl.create_default_context(cafile=authority.path)

    def brokers():
        try:
            with wire.Connection(official.namesrv) as connection:
                connection.socket = context.wrap_socket(connection.socket,
                                                        server_hostname="127.0.0.1")
                _, body = connection.ask(106)
        except OSError:  # it has not begun
            return None
        return set(json.loads(NUMERIC.sub(rb'\1"\2":', body))["brokerAddrTable"] or ())

    try:
        official.start_namesrv("-Dtls.test.mode.enable=false", "-Dtls.server.mode=enforcing",
                               f"-Dtls.server.certPath={certificate}",
                               f"-Dtls.server.keyPath={key}")
        until("the name server", 30, lambda: brokers() is not None)
        mini.start()
        came = until("the broker at the name server", 10, lambda: brokers() == {"broker-b"})
        mini.stop()
        same("brokers after a farewell", brokers(), set())
    finally:
        mini.stop()
        official.stop()
    return f"known after {came:.1f} s, forgotten after the farewell"


def known(here):
    try:
        return cluster(here.official.namesrv)
    except (OSError, wire.WireError):
        return {}


@case((), short=False)
def join_hostile(ctx):
    """A name server that is none: garbage, silence, an answer without end; the broker serves on."""
    if ctx.engine.name != "mini":
        raise Skipped("about the mini-broker")
    base = os.path.join(os.path.dirname(ctx.engine.directory), "join-hostile")
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hostile_namesrv.py")
    mini = engines.Mini(base, PORTS["own"] + 1, PORTS["mini"] + 1)
    ports = [PORTS["second"] + 1 + i for i in range(4)]
    mini.options = ["--join", ",".join(f"127.0.0.1:{port}" for port in ports)]
    with subprocess.Popen(["python3", script, *map(str, ports)], stdout=subprocess.PIPE) as fake:
        try:
            fake.stdout.readline()
            mini.start()
            before = mini.rss()
            time.sleep(8)
            with wire.Connection(mini.broker) as connection:
                same("the broker among hostile name servers", connection.ask(28)[0]["code"], 0)
            grown = mini.rss() - before
            need(grown < 16384, "memory for what name servers say, KiB", grown)
            begin = time.monotonic()
            mini.stop()
            took = time.monotonic() - begin
        finally:
            fake.kill()
            mini.stop()
    need(took < 5, "a hostile name server holds up the end", took)
    return f"serves on, {grown} KiB more, ends in {took:.1f} s"
