# SPDX-License-Identifier: BSD-2-Clause
"""--acl: requests are signed, each by Java's own hook or by ali-ons, and each account does what it
may. What is not signed, signed wrongly or beyond its rights is refused with "no permission".
"""

import base64
import hashlib
import hmac
import json
import os
import signal
import time

import agents
import artifacts
import engines
import wire
from cases import Failed, Skipped, case, need, same

NAMESRV, PORT, NO_PERMISSION = 17876, 17911, 16
SECRETS = {name: f"secret-of-{name}-{hash(name) & 0xffff}" for name in
           ("chief", "writer", "reader", "both", "stranger")}
ACCOUNTS = [
    {"accessKey": "chief", "secretKey": SECRETS["chief"], "admin": True},
    {"accessKey": "writer", "secretKey": SECRETS["writer"], "publish": ["T-acl*"]},
    {"accessKey": "reader", "secretKey": SECRETS["reader"], "subscribe": ["T-acl*"],
     "groups": ["G-acl*"]},
    {"accessKey": "both", "secretKey": SECRETS["both"], "publish": ["T-acl*"],
     "subscribe": ["T-acl*"], "groups": ["G-acl*"]},
    {"accessKey": "stranger", "secretKey": SECRETS["stranger"], "publish": ["T-else"],
     "subscribe": ["T-else"], "groups": ["G-else"]}]


def signed(name, ext, body=b"", secret=None):
    """The fields with those of a signature, as a client signs."""
    ext = {key: str(value) for key, value in (ext or {}).items()}
    ext["AccessKey"] = name
    text = "".join(ext[key] for key in sorted(ext)).encode() + body
    secret = SECRETS[name] if secret is None else secret
    ext["Signature"] = base64.b64encode(
        hmac.new(secret.encode(), text, hashlib.sha1).digest()).decode()
    return ext


class Server:
    def __init__(self, ctx, name):
        if ctx.engine.name != "mini":
            raise Skipped("about the mini-broker")
        base = os.path.join(os.path.dirname(ctx.engine.directory), name)
        self.engine = engines.Mini(os.path.join(base, "server"), NAMESRV, PORT)
        self.file = os.path.join(self.engine.directory, "accounts.json")
        self.write(ACCOUNTS)
        self.engine.options = ["--acl", self.file, "--log", "debug"]
        self.engine.wait_ready = self.await_refusal
        self.base, self.running = base, []
        self.context, self.engine_before = ctx, ctx.engine

    def write(self, accounts):
        with open(self.file, "w", encoding="ascii") as out:
            json.dump({"accounts": accounts}, out)

    def await_refusal(self):
        end = time.monotonic() + 20
        while True:
            try:
                with wire.Connection(self.engine.broker) as connection:
                    same("a request that is not signed", connection.ask(28)[0]["code"],
                         NO_PERMISSION)
                    return
            except OSError:
                need(time.monotonic() < end, "the broker does not serve")
                time.sleep(0.05)

    def agent(self, kind, admin=None):
        """A client; mqadmin in it signs as `admin`."""
        directory = os.path.join(self.base, f"clients-{admin}")
        os.makedirs(os.path.join(directory, "conf"), exist_ok=True)
        if admin:
            path = os.path.join(directory, "conf", "tools.yml")
            with open(path, "w", encoding="ascii") as out:
                out.write(f"accessKey: {admin}\nsecretKey: {SECRETS[admin]}\n")
        plain = {"node": agents.node, "python": agents.python}
        agent = plain[kind](directory, self.engine.address) if kind in plain else agents.java(
            kind, directory, self.engine.address)
        self.running.append(agent)
        return agent

    def log(self):
        path = os.path.join(self.engine.directory, "mini.out")
        with open(path, encoding="utf-8", errors="replace") as text:
            return text.read()

    def __enter__(self):
        self.engine.start()
        return self

    def __exit__(self, *_):
        self.context.engine = self.engine_before
        for agent in self.running:
            agent.close()
        self.engine.stop()


def as_account(name, secret=None):
    return {"access": name, "secret": SECRETS[name] if secret is None else secret}


def refused(agent, topic, text, **values):
    """Nothing is acknowledged, and the client was told that it has no permission."""
    task = agent.do("produce", topic=topic, n=1, seed="refused", group="P-refused", timeout=3000,
                    **values)
    need(not task.of("ack"), text + " was acknowledged", task.of("ack"))
    return [json.dumps(event) for event in task.of("fail")]


def make_topic(server, admin, topic):
    text = admin.admin("updateTopic", "-b", server.engine.broker_address, "-t", topic, "-r", "4",
                       "-w", "4")
    need("success" in text, "an administrator's updateTopic", text)


def check_java(ctx, server, agent, topic):
    group = ctx.group(agent.name[-3:].replace(".", ""))
    group = "G-acl-" + group
    consumer = agent.begin("consume", topic=topic, group=group, fail=1, failevery=10,
                           **as_account("reader")).started()
    ctx.produce(topic, 50, agent, key="k", **as_account("writer"))
    ctx.check_once(consumer.messages(50, 90), range(50))
    consumer.stop()
    found = agent.do("find", topic=topic, key="k7", **as_account("reader")).of("msg")
    same("found by key", [m["i"] for m in found], ["7"])
    told = refused(agent, topic, "a message that is not signed")
    told += refused(agent, topic, "a message with a wrong secret",
                    **as_account("writer", "not-the-secret"))
    told += refused(agent, topic, "a reader's message", **as_account("reader"))
    told += refused(agent, topic, "a stranger's message", **as_account("stranger"))
    # who may not even ask for a route sees no topic; who may is told why it is not taken
    for text, wanted in zip(told, ("No route info", "No route info", "\"code\": 16",
                                   "\"code\": 16")):
        need(wanted in text, "what a client that is refused is told", text[-250:])
    same("clients that are refused", len(told), 4)
    thief = agent.begin("consume", topic=topic, group=group + "-thief", **as_account("writer"))
    time.sleep(3)
    need(not thief.of("msg"), "a writer consumes", thief.of("msg")[:1])
    thief.stop()


def check_plain(ctx, server, admin, agent, kind):
    topic = f"T-acl-{kind}"
    make_topic(server, admin, topic)
    consumer = agent.begin("consume", topic=topic, group=f"G-acl-{kind}",
                           **as_account("reader")).started()
    limit = 1 if kind == "python" else 200  # without random bytes, or with
    ctx.produce(topic, 20, agent, max=limit, **as_account("writer"))
    ctx.check_once(consumer.messages(20, 60), range(20), limit)
    consumer.stop()
    refused(agent, topic, "a message with a wrong secret",
            **as_account("writer", "not-the-secret"))


@case((), short=False)
def acl_clients(ctx):
    names = []
    with Server(ctx, "acl") as server:
        ctx.engine = server.engine
        admin = server.agent("client-5.3", "chief")
        for kind in ("client-4.9", "client-5.3"):
            if not os.path.isdir(artifacts.classes(kind)):
                continue
            agent = server.agent(kind, "chief")
            topic = f"T-acl-{kind.replace('.', '_')}"
            make_topic(server, admin, topic)
            ctx.agent = agent
            check_java(ctx, server, agent, topic)
            producer = agent.begin("transact", topic=topic, group=f"G-tx-{kind[-1]}", n=4,
                                   seed="tx", **as_account("both"))
            consumer = agent.begin("consume", topic=topic, group=f"G-acl-tx-{kind[-1]}",
                                   **as_account("reader")).started()
            consumer.wait("a committed message", 30, lambda events: any(
                e["ev"] == "msg" and e["s"] == "tx" and e["i"] == "0" for e in events))
            producer.stop()
            consumer.stop()
            names.append(agent.name)
        for kind, file in (("node", "node_modules"), ("python", "rocketmq")):
            if os.path.isdir(os.path.join(artifacts.BUILD, kind, file)):
                agent = server.agent(kind)
                check_plain(ctx, server, admin, agent, kind)
                names.append(agent.name)
        for name in (None, "both"):
            text = server.agent("client-5.3", name).admin(
                "updateTopic", "-b", server.engine.broker_address, "-t", "T-acl-not", "-r", "1",
                "-w", "1")
            need("success" not in text, f"updateTopic of {name}", text)
        for name, secret in SECRETS.items():
            need(secret not in server.log(), f"the secret of {name} is in the log")
    return f"{', '.join(names)}: signed, each does what its account may; unsigned, with a wrong " \
        "secret or beyond its rights: no permission; mqadmin as an administrator alone"


def ask(server, code, ext, body=b""):
    with wire.Connection(server.engine.broker) as connection:
        return connection.ask(code, ext, body)


def need_refused(server, what, code, ext, body=b""):
    same(what, ask(server, code, ext, body)[0]["code"], NO_PERMISSION)


def send_fields(topic):
    return {"a": "P", "b": topic, "c": "TBW102", "d": 4, "e": 0, "f": 0, "g": 0, "h": 0, "i": ""}


def check_signatures(server):
    """Changed in each byte, cut, of another request, in other forms: all wrong."""
    fields, body = send_fields("T-acl-wire"), b"0123456789" * 20
    header, _ = ask(server, 310, signed("both", fields, body), body)
    same("a signed message", header["code"], 0)
    good = signed("both", fields, body)
    for at in range(len(good["Signature"])):
        text = bytearray(good["Signature"].encode())
        text[at] = ord("A") if text[at] != ord("A") else ord("B")
        need_refused(server, f"byte {at} changed", 310, {**good, "Signature": text.decode()}, body)
    for wrong in ("", "=", good["Signature"][:-1], good["Signature"] + "=", "x" * 100000):
        need_refused(server, "a signature of another length", 310,
                     {**good, "Signature": wrong}, body)
    need_refused(server, "another body", 310, good, body + b"!")
    need_refused(server, "another topic", 310, {**good, "b": "T-acl-other"}, body)
    need_refused(server, "one more field", 310, {**good, "z": "1"}, body)
    need_refused(server, "another account", 310, {**good, "AccessKey": "chief"}, body)
    need_refused(server, "no account", 310, {**good, "AccessKey": "nobody"}, body)
    need_refused(server, "signed with nothing", 310, signed("both", fields, body, ""), body)
    unique = signed("both", {"topic": "T-acl-wire", "key": "x", "maxNum": 1, "beginTimestamp": 0,
                             "endTimestamp": 2 ** 62})
    same("a field that is added after the signature", ask(
        server, 12, {**unique, "_UNIQUE_KEY_QUERY": "true"})[0]["code"], 22)
    return int(header["extFields"]["queueOffset"]), header["extFields"]["msgId"]


def check_codes(server):
    """Each request of the protocol there is, unsigned, and as one who may nothing."""
    for code in [*range(1, 60), *range(100, 120), *range(200, 240), *range(300, 400), 904, 1000]:
        need_refused(server, f"request {code}, not signed", code, {"topic": "T-acl-wire"})
        if code in (34, 35, 37, 41, 42, 46, 101, 105, 106):
            continue
        header, _ = ask(server, code, signed("stranger", {
            "topic": "T-acl-wire", "b": "T-acl-wire", "group": "G-acl", "consumerGroup": "G-acl"}))
        need(header["code"] in (NO_PERMISSION, 1), f"request {code} of a stranger", header)


def check_rights(server, message_id):
    position = int(message_id[16:], 16)
    same("its own message", ask(server, 33, signed("both", {"offset": position}))[0]["code"], 0)
    same("a message of others, by its position",
         ask(server, 33, signed("stranger", {"offset": position}))[0]["code"], 1)
    chief = signed("chief", {}, b'{"groupName":"G-else"}')
    same("a group", ask(server, 200, chief, b'{"groupName":"G-else"}')[0]["code"], 0)
    back = signed("stranger", {"offset": position, "group": "G-else", "delayLevel": 0,
                               "originTopic": "T-else"})
    same("a message of others, sent back to a group", ask(server, 36, back)[0]["code"], 1)
    beat = {"clientID": "x", "producerDataSet": [], "consumerDataSet": [{
        "groupName": "G-else", "consumeType": "CONSUME_PASSIVELY", "messageModel": "CLUSTERING",
        "consumeFromWhere": "CONSUME_FROM_FIRST_OFFSET",
        "subscriptionDataSet": [{"topic": "T-else", "subString": "*", "subVersion": 1}]}]}
    body = json.dumps(beat).encode()
    same("a heartbeat", ask(server, 34, signed("stranger", {}, body), body)[0]["code"], 0)
    for path, value in (("groupName", "G-acl"), ("topic", "T-acl-wire")):
        changed = json.loads(json.dumps(beat))
        consumer = changed["consumerDataSet"][0]
        (consumer if path == "groupName" else consumer["subscriptionDataSet"][0])[path] = value
        body = json.dumps(changed).encode()
        need_refused(server, f"a heartbeat with the {path} of others", 34,
                     signed("stranger", {}, body), body)
    body = json.dumps({"consumerGroup": "G-acl", "clientId": "x", "mqSet": []}).encode()
    need_refused(server, "a lock of others", 41, signed("stranger", {}, body), body)
    for body in (b"", b"[", b"[]", b"null", b'{"consumerDataSet":7}', b"\xff" * 1000):
        header, _ = ask(server, 34, signed("stranger", {}, body), body)
        need(header["code"] != 0 or body.startswith(b"{"), "a heartbeat that is none", header)


def check_reload(server):
    process = server.engine.processes[0]
    body = b"x"
    newcomer = {"accessKey": "newcomer", "secretKey": "newcomers-secret",
                "publish": ["T-acl-wire"]}
    SECRETS["newcomer"] = newcomer["secretKey"]
    request = signed("newcomer", send_fields("T-acl-wire"), body)
    for wrong in ("{", '{"accounts":[{"accessKey":"a"}]}', '{"accounts":7}',
                  json.dumps({"accounts": [{**newcomer, "publishes": ["x"]}]}),
                  json.dumps({"accounts": [newcomer, newcomer]})):
        with open(server.file, "w", encoding="ascii") as out:
            out.write(wrong)
        process.send_signal(signal.SIGHUP)
        need_refused(server, "a newcomer", 310, request, body)
        same("an account of a file that is gone", ask(server, 310, signed(
            "both", send_fields("T-acl-wire"), body), body)[0]["code"], 0)
    server.write([newcomer])
    process.send_signal(signal.SIGHUP)
    end = time.monotonic() + 30
    while ask(server, 310, request, body)[0]["code"] != 0:
        need(time.monotonic() < end, "a newcomer is not known after SIGHUP")
        time.sleep(0.05)
    need_refused(server, "an account that was taken away", 310, signed(
        "both", send_fields("T-acl-wire"), body), body)


@case(())
def acl_hostile(ctx):
    with Server(ctx, "acl-hostile") as server:
        _, message_id = check_signatures(server)
        check_codes(server)
        check_rights(server, message_id)
        check_reload(server)
        with wire.Connection(server.engine.broker) as connection:
            connection.socket.sendall(wire.frame(310, send_fields("T-acl-one"), b"x", flag=2))
            connection.socket.settimeout(0.5)
            try:
                raise Failed(f"a one-way request is answered: {connection.socket.recv(10)}")
            except TimeoutError:
                pass
    return "changed signatures and bodies, each request unsigned and as a stranger, groups, " \
        "topics and positions of others: no permission; accounts read again, wrong files not taken"
