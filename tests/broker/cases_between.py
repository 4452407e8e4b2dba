# SPDX-License-Identifier: BSD-2-Clause
"""Between clients of different languages, and between requests that no client is needed for."""

import json
import struct
import threading
import time

import messages
import wire
from cases import case, need, same, until

PAIRS = (("java 5.3", "go"), ("go", "node"), ("node", "java 5.3"), ("java 4.9", "node"),
         ("go", "java 4.9"), ("java 5.5", "java 4.9"), ("python", "java 5.3"), ("go", "python"))


@case(())
def between_languages(ctx):
    names = {agent.name.split()[0] + " " + agent.name.split()[1][:3] for agent in ctx.agents}
    done, left_out = [], []
    for number, (one, other) in enumerate(PAIRS):
        if not all(any(name.startswith(w) for name in names) for w in (one, other)):
            left_out.append(f"{one} to {other}")
            continue
        sender, receiver = ctx.other(one), ctx.other(other)
        topic = ctx.topic(2, f"-{number}")
        consumer = receiver.begin("consume", topic=topic, group=ctx.group(f"-{number}"),
                                  tags="TagA || TagB").started()
        limit = 20000 if number % 2 else 200  # half of them so large that they are compressed
        if "python" in (one, other):
            limit = 1  # no random bytes
        ctx.produce(topic, 30, sender, tags="TagA,TagB,TagC", key="b", max=limit, property="ü 字")
        wanted = [i for i in range(30) if i % 3 != 2]
        received = consumer.messages(len(wanted), 60)
        consumer.stop()
        ctx.check_once(received, wanted, limit)
        same(f"a property from {one} to {other}", {m["text"] for m in received}, {"ü 字"})
        same(f"keys from {one} to {other}", sorted(m["keys"] for m in received),
             sorted(f"b{i} ball" for i in wanted))
        done.append(f"{one} to {other}")
    need(done, "no two of the clients that this needs are in this run")
    more = f"; not in this run: {', '.join(left_out)}" if left_out else ""
    return "bodies, tags, keys, a property: " + ", ".join(done) + more


@case(())
def group_of_languages(ctx):
    agents = [ctx.other(kind) for kind in ("java 5.3", "go")]
    topic = ctx.topic(8)
    tasks = [agent.begin("consume", topic=topic, group=ctx.group()).started() for agent in agents]
    time.sleep(5)
    ctx.produce(topic, 160, agents[0])
    tasks[0].wait("160 messages in both", 60, lambda _: len(
        {m["i"] for task in tasks for m in task.of("msg")}) >= 160)
    # A message is taken for good when its position is stored: a client that stops in between leaves
    # it to the other, which takes it again.
    until(30, "the positions of all that was taken", lambda: all(
        position == end
        for position, end in wire.positions(ctx.engine.broker, topic, ctx.group(), 8)))
    for task in tasks:
        task.stop()
        need(task.of("msg"), f"{task.agent.name} got no queue")
    ctx.check_once([m for task in tasks for m in task.of("msg")], range(160))
    return "a group of a Java and a Go consumer: each message once in one of them"


def heartbeat(connection, client, group, topic):
    body = {"clientID": client, "producerDataSet": [], "consumerDataSet": [{
        "groupName": group, "consumeType": "CONSUME_PASSIVELY", "messageModel": "CLUSTERING",
        "consumeFromWhere": "CONSUME_FROM_FIRST_OFFSET", "unitMode": False,
        "subscriptionDataSet": [{"topic": topic, "subString": "*", "classFilterMode": False,
                                 "tagsSet": [], "codeSet": [], "subVersion": 1,
                                 "expressionType": "TAG"}]}]}
    header, _ = connection.ask(34, {}, json.dumps(body).encode())
    same("code of the answer to a heartbeat", header["code"], 0)


def told(connection, seconds):
    """Whether a NOTIFY_CONSUMER_IDS_CHANGED comes."""
    connection.socket.settimeout(seconds)
    try:
        while True:
            length, = struct.unpack(">i", connection.read(4))
            data = connection.read(length)
            header = json.loads(data[4:4 + int.from_bytes(data[1:4], "big")])
            if header["code"] == 40 and not header["flag"] & 1:
                return header["extFields"]["consumerGroup"]
    except TimeoutError:
        return None


@case(())
def members_are_told(ctx):
    topic, group = ctx.topic(1), ctx.group()
    first = wire.Connection(ctx.engine.broker)
    second = wire.Connection(ctx.engine.broker)
    try:
        heartbeat(first, "first@1", group, topic)
        heartbeat(second, "second@1", group, topic)
        begin = time.monotonic()
        same("group of the notice when a member joins", told(first, 20), group)
        joined = time.monotonic() - begin
        header, body = second.ask(38, {"consumerGroup": group})
        same("members", sorted(json.loads(body)["consumerIdList"]), ["first@1", "second@1"])
        while told(first, 0.5):
            pass
        second.close()
        begin = time.monotonic()
        same("group of the notice when a connection ends", told(first, 20), group)
        left = time.monotonic() - begin
        first.socket.settimeout(10)
        header, body = first.ask(38, {"consumerGroup": group})
        same("code", header["code"], 0)
        same("members after it", json.loads(body)["consumerIdList"], ["first@1"])
    finally:
        first.close()
        second.close()
    return (f"members of a group are told when one joins ({1000 * joined:.0f} ms) and when its "
            f"connection ends ({1000 * left:.0f} ms)")


@case(())
def held_pull(ctx):
    topic = ctx.topic(1)
    pull = {"consumerGroup": ctx.group(), "topic": topic, "queueId": 0, "queueOffset": 0,
            "maxMsgNums": 32, "sysFlag": 6, "commitOffset": 0, "suspendTimeoutMillis": 3000,
            "subscription": "TagA", "subVersion": 0, "expressionType": "TAG"}
    with wire.Connection(ctx.engine.broker, 20) as connection:
        begin = time.monotonic()
        header, _ = connection.ask(11, pull)
        held = time.monotonic() - begin
        same("code of a pull that nothing came for", header["code"], 19)
        need(2.5 <= held <= 9, "seconds that a pull of 3 s was held", held)
        same("next offset", header["extFields"]["nextBeginOffset"], "0")
        producer = threading.Timer(1.0, ctx.produce, (topic, 1, ctx.admin), {"tags": "TagA"})
        producer.start()
        pull["suspendTimeoutMillis"] = 15000
        begin = time.monotonic()
        header, body = connection.ask(11, pull)
        woken = time.monotonic() - begin
        producer.join()
        same("code of a pull that a message came for", header["code"], 0)
        need(woken < 9, "seconds until the message came", woken)
        record, = wire.records(body)
        need(record["body"] == messages.body(ctx.seed, 0), "body of the message")
        ctx.produce(topic, 1, ctx.admin, tags="TagB", **{"from": 1})
        pull.update(queueOffset=1, suspendTimeoutMillis=1000, sysFlag=4)
        header, _ = connection.ask(11, pull)
        same("code of a pull that no message suits", header["code"], 20)
        same("next offset behind it", header["extFields"]["nextBeginOffset"], "2")
        pull.update(queueOffset=50)
        header, _ = connection.ask(11, pull)
        same("code of a pull beyond the end", header["code"], 21)
        same("next offset of it", header["extFields"]["nextBeginOffset"], "2")
    return f"held {held:.1f} s for nothing, {woken:.1f} s for a message; codes 19, 0, 20, 21"


@case(())
def answers_to_strangers(ctx):
    with wire.Connection(ctx.engine.broker) as connection:
        header, _ = connection.ask(9999)
        same("code of the answer to an unknown request", header["code"], 3)
        header, _ = connection.ask(310, {"b": "x"})
        need(header["code"] != 0, "a send without what it needs was accepted", header)
        header, _ = connection.ask(11, {"consumerGroup": "g", "topic": "no-such-topic",
                                        "queueId": 0,
                                        "queueOffset": 0, "maxMsgNums": 1, "sysFlag": 0,
                                        "commitOffset": 0, "suspendTimeoutMillis": 0,
                                        "subVersion": 0})
        same("code of a pull of no topic", header["code"], 17)
        header, _ = connection.ask(38, {"consumerGroup": "no-such-group"})
        same("code for the members of no group", header["code"], 1)
        header, _ = connection.ask(14, {"consumerGroup": "no-such-group", "topic": "no-such-topic",
                                        "queueId": 0})
        same("code for the position of no group", header["code"], 22)
    with wire.Connection(ctx.engine.namesrv) as connection:
        header, _ = connection.ask(105, {"topic": "no-such-topic"})
        same("code for the route of no topic", header["code"], 17)
    return "unknown request 3, incomplete send refused, unknown topic 17, group 1, position 22"
