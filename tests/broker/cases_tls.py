# SPDX-License-Identifier: BSD-2-Clause
"""TLS on the ports of the mini-broker: Java's client with its trust settings, plain clients beside
it, and what no client would do.
"""

import os
import random
import socket
import ssl
import subprocess
import time

import agents
import artifacts
import certificates
import engines
import wire
from cases import Failed, Skipped, case, need, same

NAMESRV, PORT = 18876, 18911
HANDSHAKE = 10  # seconds, as the broker has it


class Server:
    """A mini-broker with a certificate of its own; options are added to those of TLS."""

    def __init__(self, ctx, name, *options):
        if ctx.engine.name != "mini":
            raise Skipped("about the mini-broker")
        base = os.path.join(os.path.dirname(ctx.engine.directory), name)
        self.certificates = os.path.join(base, "certificates")
        self.authority = certificates.Authority(self.certificates, "authority")
        certificate, key = self.authority.issue("broker")
        self.engine = engines.Mini(os.path.join(base, "server"), NAMESRV, PORT)
        self.engine.options = ["--tls-cert", certificate, "--tls-key", key, "--log", "debug",
                               *options]
        self.clients = os.path.join(base, "clients")
        self.running = []
        self.context, self.engine_before = ctx, ctx.engine

    def java(self, kind, trust, *options, suffix=""):
        agent = agents.java(kind, self.clients, self.engine.address, (
            "-Dtls.enable=true", "-Dtls.test.mode.enable=false", "-Dtls.client.authServer=true",
            f"-Dtls.client.trustCertPath={trust}", *options), suffix)
        self.running.append(agent)
        return agent

    def plain(self, kind):
        agent = agents.java(kind, self.clients, self.engine.address, (), " plain")
        self.running.append(agent)
        return agent

    def log(self):
        path = os.path.join(self.engine.directory, "mini.out")
        with open(path, encoding="utf-8", errors="replace") as text:
            return text.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.engine = self.engine_before
        for agent in self.running:
            agent.close()
        self.engine.stop()


def await_tls(engine, context):
    """The harness asks in plain; so does this, but for brokers that refuse that."""
    end = time.monotonic() + 20
    while True:
        try:
            with secure(engine.broker, context) as connection:
                same("answer", connection.ask(28)[0]["code"], 0)
                return
        except (OSError, wire.WireError):
            need(time.monotonic() < end, "the broker does not serve by TLS")
            time.sleep(0.05)


def trusting(server):
    context = ssl.create_default_context(cafile=server.authority.path)
    context.check_hostname = False
    return context


def secure(address, context):
    connection = wire.Connection(address)
    connection.socket = context.wrap_socket(connection.socket)
    return connection


def kinds():
    return [k for k in ("client-4.9", "client-5.3") if os.path.isdir(artifacts.classes(k))]


def refused(agent, topic, text):
    """A client that must not get through: nothing it sends is acknowledged."""
    task = agent.do("produce", topic=topic, n=1, seed="refused", group="P-refused", timeout=2000)
    need(not task.of("ack"), text + " was acknowledged", task.of("ack"))


@case(())
def tls_clients(ctx):
    """Permissive: each Java client with TLS and without, one topic, bodies of all sizes."""
    with Server(ctx, "tls") as server:
        server.engine.start()
        plain = server.plain("client-5.3")
        ctx.agents, texts = [plain], []
        ctx.engine = server.engine
        for kind in kinds():
            agent = server.java(kind, server.authority.path)
            topic = ctx.topic(4, f"-{kind.replace('.', '_')}")
            consumer = agent.begin("consume", topic=topic, group=ctx.group(kind[-1])).started()
            ctx.produce(topic, 100, agent, max=200000)
            ctx.produce(topic, 50, plain, **{"from": 100})
            received = consumer.messages(150, 60)
            consumer.stop()
            ctx.check_once([m for m in received if int(m["i"]) < 100], range(100), 200000)
            ctx.check_once([m for m in received if int(m["i"]) >= 100], range(100, 150))
            texts.append(agent.name)
        other = certificates.Authority(server.certificates, "other")
        refused(server.java("client-5.3", other.path, suffix=" other"), topic,
                "a message to a broker that the client does not trust")
    return f"{' and '.join(texts)} by TLS, bodies to 200 kB, beside a plain client; one that " \
        "does not trust the broker sends nothing"


@case(())
def tls_enforcing(ctx):
    """Enforcing, and clients show certificates."""
    with Server(ctx, "tls-enforcing", "--tls", "enforcing") as server:
        mine = certificates.Authority(server.certificates, "clients")
        certificate, key = mine.issue("client")
        server.engine.options += ["--tls-client-ca", mine.path]
        context = trusting(server)
        context.load_cert_chain(certificate, key)
        server.engine.wait_ready = lambda: await_tls(server.engine, context)
        server.engine.start()
        with wire.Connection(server.engine.broker) as connection:
            closed(connection, wire.frame(28), "a plain request")
        shown = (f"-Dtls.client.certPath={certificate}", f"-Dtls.client.keyPath={key}")
        agent = server.java("client-5.3", server.authority.path, *shown)
        ctx.agent = agent
        ctx.produce("T-enforcing", 20)
        refused(server.java("client-5.3", server.authority.path, suffix=" bare"), "T-enforcing",
                "a message of a client without a certificate")
        other = certificates.Authority(server.certificates, "other")
        certificate, key = other.issue("stranger")
        shown = (f"-Dtls.client.certPath={certificate}", f"-Dtls.client.keyPath={key}")
        refused(server.java("client-5.3", server.authority.path, *shown, suffix=" stranger"),
                "T-enforcing", "a message of a client with a certificate of somebody else")
    return "plain requests are closed; only a client with a certificate of ours gets through"


def closed(connection, data, what, seconds=HANDSHAKE - 2):
    """The server closes the connection after these bytes, and answers nothing."""
    connection.socket.settimeout(seconds)
    try:
        if data:
            connection.socket.sendall(data)
        answer = connection.socket.recv(4096)
    except socket.timeout as error:
        raise Failed(f"{what}: the connection stays") from error
    except OSError:
        return
    while answer[:1] in (b"\x15", b"\x17"):  # an alert, which 1.3 encrypts, and then the end
        answer = connection.socket.recv(4096)
    same(what, answer, b"")


def check_garbage(server, context, draw):
    """After the handshake bytes that are no record; in records frames that are none."""
    with wire.Connection(server.engine.broker) as connection:
        raw = connection.socket
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                raw.sendall(outgoing.read())
                incoming.write(raw.recv(65536))
        raw.sendall(outgoing.read())
        closed(connection, draw.randbytes(5000), "garbage after the handshake")
    with secure(server.engine.broker, context) as connection:
        closed(connection, b"\xff" * 64, "a frame that is none, in a record")


def check_hellos(server, draw):
    """Handshakes that are cut, changed, or not begun in earnest."""
    context = trusting(server)
    tls = context.wrap_bio(ssl.MemoryBIO(), out := ssl.MemoryBIO())
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    hello = out.read()
    for _ in range(300):
        data = bytearray(hello)
        for _ in range(draw.randint(1, 8)):
            data[draw.randrange(1, len(data))] = draw.randrange(256)
        data = bytes(data[:draw.randint(1, len(data))])
        with wire.Connection(server.engine.broker) as connection:
            connection.socket.sendall(data)


def check_slow_handshake(server):
    with wire.Connection(server.engine.broker) as connection:
        begin = time.monotonic()
        connection.socket.sendall(b"\x16")
        closed(connection, b"", "half a handshake", HANDSHAKE + 5)
        took = time.monotonic() - begin
    need(took > HANDSHAKE - 2, "half a handshake was ended too soon", took)
    return took


def check_pieces(server, context):
    """A request byte by byte, each in a record of its own; then many in one."""
    with secure(server.engine.broker, context) as connection:
        for byte in wire.frame(105, {"topic": "TBW102"}, opaque=7):
            connection.socket.sendall(bytes([byte]))
        same("opaque of a request in pieces", connection.answer()[0]["opaque"], 7)
        connection.socket.sendall(b"".join(
            wire.frame(105, {"topic": "TBW102"}, opaque=i) for i in range(500)))
        same("answers to requests in one piece", [connection.answer()[0]["opaque"]
                                                  for _ in range(500)], list(range(500)))


def check_renegotiation(server):
    done = subprocess.run(["openssl", "s_client", "-connect", server.engine.broker_address,
                           "-tls1_2"], input=b"R\n", stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=30, check=False)
    need(b"no renegotiation" in done.stdout or b"no_renegotiation" in done.stdout,
         "a client negotiates again", done.stdout[-300:])
    old = subprocess.run(["openssl", "s_client", "-connect", server.engine.broker_address,
                          "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], input=b"",
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30, check=False)
    need(b"Cipher is (NONE)" in old.stdout, "TLS 1.1 is spoken", old.stdout[-300:])


def check_never_reads(server, context):
    """One that asks and never reads: what waits for it is bounded."""
    before = server.engine.rss()
    with secure(server.engine.broker, context) as connection:
        connection.socket.settimeout(1)
        data = wire.frame(21, opaque=1) * 100  # all topics, each time
        try:
            for _ in range(2000):
                connection.socket.sendall(data)
        except (socket.timeout, ssl.SSLError):
            pass
        begin = time.monotonic()
        with wire.Connection(server.engine.broker, 10) as other:
            same("the broker meanwhile", other.ask(28)[0]["code"], 0)
        need(time.monotonic() - begin < 5, "a client that never reads holds up others")
        grown = server.engine.rss() - before
    need(grown < 65536, "memory for a client that never reads, KiB", grown)
    return grown


@case(())
def tls_hostile(ctx):
    draw = random.Random(ctx.seed)
    with Server(ctx, "tls-hostile") as server:
        server.engine.start()
        context = trusting(server)
        check_garbage(server, context, draw)
        check_hellos(server, draw)
        check_pieces(server, context)
        check_renegotiation(server)
        took = check_slow_handshake(server)
        grown = check_never_reads(server, context)
        with secure(server.engine.broker, context) as connection:
            same("the broker afterwards", connection.ask(28)[0]["code"], 0)
        with open(os.path.join(server.certificates, "broker.key"), encoding="ascii") as key:
            lines = [line.strip() for line in key if not line.startswith("-")]
        need(not any(line in server.log() for line in lines), "the key is in the log")
    return (f"garbage after the handshake, 300 changed hellos, pieces, renegotiation, TLS 1.1; "
            f"half a handshake ends after {took:.0f} s; one that never reads costs {grown} KiB")
