# SPDX-License-Identifier: BSD-2-Clause
"""mqadmin of each version: its sub commands do what they say, and print what is there."""

import re
import time

import wire
from cases import Skipped, case, need, same, until

JAVA = ("java",)


def table(text, columns):
    """The rows of what mqadmin prints, as lists of words; at least that many columns."""
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return [row for row in rows if len(row) >= columns]


@case(JAVA)
def admin_topics(ctx):
    topic = ctx.topic(3)
    need(topic in ctx.agent.admin("topicList").split(), "topicList has no such topic", topic)
    text = ctx.agent.admin("topicRoute", "-t", topic)
    need('"readQueueNums":3' in re.sub(r"\s", "", text), "topicRoute", text)
    need(ctx.engine.broker_address in text, "topicRoute has no address of the broker", text)
    ctx.agent.admin("updateTopic", "-c", "DefaultCluster", "-t", topic, "-r", "5", "-w", "5")
    until(20, "five queues after updateTopic -c",
          lambda: wire.route(ctx.engine.namesrv, topic) == 5)
    ctx.produce(topic, 3)
    ctx.agent.admin("deleteTopic", "-c", "DefaultCluster", "-t", topic)
    until(20, "no route after deleteTopic",
          lambda: wire.route(ctx.engine.namesrv, topic) is None or None)
    need(topic not in ctx.agent.admin("topicList").split(), "topicList has it still", topic)
    again = ctx.topic(3)
    same("messages of the topic that is made again",
         len(wire.read_topic(ctx.engine.namesrv, ctx.engine.broker, again)), 0)
    return "updateTopic -b and -c, topicList, topicRoute, deleteTopic; made again it is empty"


@case(JAVA)
def admin_status(ctx):
    topic = ctx.topic(2)
    ctx.produce(topic, 10, mode="ordered", streams=2)
    rows = table(ctx.agent.admin("topicStatus", "-t", topic), 4)
    same("topicStatus", sorted(row[:4] for row in rows if row[0] == "broker-a"),
         [["broker-a", "0", "0", "5"], ["broker-a", "1", "0", "5"]])
    rows = table(ctx.agent.admin("clusterList"), 6)
    need(any(row[:4] == ["DefaultCluster", "broker-a", "0", ctx.engine.broker_address]
             for row in rows), "clusterList", rows)
    text = ctx.agent.admin("brokerStatus", "-b", ctx.engine.broker_address)
    names = {line.split(":")[0].strip() for line in text.splitlines() if ":" in line}
    wanted = {"brokerVersionDesc", "putTps", "msgPutTotalTodayNow", "msgGetTotalTodayNow",
              "bootTimestamp", "commitLogMaxOffset", "commitLogMinOffset", "runtime"}
    need(wanted <= names, "brokerStatus lacks", wanted - names)
    text = ctx.agent.admin("statsAll", "-t", topic)
    need(topic in text, "statsAll has no such topic", text)
    return "topicStatus with each offset, clusterList, brokerStatus with its main values, statsAll"


@case(JAVA)
def admin_consumers(ctx):
    topic, group = ctx.topic(2), ctx.group()
    consumer = ctx.agent.begin("consume", topic=topic, group=group, tags="TagA").started()
    ctx.produce(topic, 10, mode="ordered", streams=2, tags="TagA")
    consumer.messages(10, 60)
    text = ctx.agent.admin("consumerConnection", "-g", group)
    for word in ("CONSUME_PASSIVELY", "CLUSTERING", "CONSUME_FROM_FIRST_OFFSET", topic, "TagA",
                 f"agent{consumer.identity}"):
        need(word in text, f"consumerConnection has no {word}", text)

    def progress(diff):
        lines = ctx.agent.admin("consumerProgress", "-g", group).splitlines()
        rows = [line.split() for line in lines if topic in line]
        return [row for row in rows if row[0] == topic] if any(
            line.replace(" ", "").endswith(f"DiffTotal:{diff}") for line in lines) else None

    rows = until(30, "consumerProgress: difference 0", lambda: progress(0))
    same("consumerProgress", sorted((r[2], r[3], r[4]) for r in rows),
         [("0", "5", "5"), ("1", "5", "5")])
    consumer.stop()
    ctx.produce(topic, 4, mode="ordered", streams=2, tags="TagA", **{"from": 10})
    until(30, "consumerProgress: difference 4", lambda: progress(4))
    gone = ctx.agent.admin("consumerConnection", "-g", group)
    need("CODE: 206" in gone or "not online" in gone.lower(),
         "consumerConnection of a group that is gone", gone)
    return "consumerConnection, consumerProgress with each position, before and after it ends"


@case(JAVA)
def admin_queries(ctx):
    topic = ctx.topic(1)
    acks = ctx.produce(topic, 5, key=ctx.seed, tags="TagQ", mode="ordered")
    ack = acks[3]
    until(30, "queryMsgByKey", lambda: ack["msgId"] in ctx.agent.admin(
        "queryMsgByKey", "-t", topic, "-k", f"{ctx.seed}3"))
    text = ctx.agent.admin("queryMsgByKey", "-t", topic, "-k", f"{ctx.seed}3")
    same("ids that queryMsgByKey finds", {a["msgId"] in text for a in acks[:3]}, {False})
    for name, words in (("queryMsgById", ("-i", ack["offsetMsgId"], *(
            () if ctx.agent.name.startswith("java 4") else ("-t", topic)))),
                        ("queryMsgByUniqueKey", ("-i", ack["msgId"], "-t", topic)),
                        ("queryMsgByOffset", ("-t", topic, "-b", "broker-a", "-i", "0", "-o",
                                              str(ack["off"])))):
        text = ctx.agent.admin(name, *words)
        values = dict(re.findall(r"^(Topic|Tags|Keys|Queue ID|Queue Offset):\s+(.*?)\s*$", text,
                                 re.M))
        for label, wanted in (("Topic", topic), ("Tags", "[TagQ]"), ("Queue ID", "0"),
                              ("Queue Offset", str(ack["off"])),
                              ("Keys", f"[{ctx.seed}3 {ctx.seed}all]")):
            need(values.get(label) == wanted, f"{name}: {label} is {values.get(label)}, "
                 f"expected {wanted}", text)
    return "queryMsgByKey, queryMsgById, queryMsgByUniqueKey, queryMsgByOffset: the same message"


@case(JAVA)
def admin_reset_offline(ctx):
    topic, group = ctx.topic(2), ctx.group()
    ctx.produce(topic, 10, mode="ordered", streams=2)
    time.sleep(1.2)
    middle = int(time.time() * 1000)
    ctx.produce(topic, 10, mode="ordered", streams=2, **{"from": 10})
    first = ctx.agent.begin("consume", topic=topic, group=group).started()
    ctx.check_once(first.messages(20, 60), range(20))
    time.sleep(1)
    first.stop()
    text = ctx.agent.admin("resetOffsetByTime", "-g", group, "-t", topic, "-s", str(middle))
    second = ctx.agent.begin("consume", topic=topic, group=group).started()
    received = second.messages(10, 60)
    time.sleep(1)
    second.stop()
    need(second.of("msg"), "nothing after the reset", text)
    ctx.check_once(second.of("msg") or received, range(10, 20))
    return "resetOffsetByTime of a group without consumers: it goes on at that time"


@case(JAVA)
def admin_reset_online(ctx):
    topic, group = ctx.topic(2), ctx.group()
    ctx.produce(topic, 10, mode="ordered", streams=2)
    consumer = ctx.agent.begin("consume", topic=topic, group=group).started()
    ctx.check_once(consumer.messages(10, 60), range(10))
    text = ctx.agent.admin("resetOffsetByTime", "-g", group, "-t", topic, "-s", "1000")
    end = time.monotonic() + 90  # the client lets 10 s pass, and then waits for its queues
    while len(consumer.of("msg")) < 20:
        need(time.monotonic() < end, "not all messages came again after the reset",
             len(consumer.of("msg")), text)
        time.sleep(0.2)
    consumer.stop()
    ctx.check_bodies(consumer.of("msg"))
    again = consumer.of("msg")[10:]
    same("what came again", sorted(int(m["i"]) for m in again)[:10], list(range(10)))
    return "resetOffsetByTime of a group with a consumer: it gets all again"


@case(JAVA, short=False)
def admin_one_queue(ctx):
    if ctx.agent.name.startswith("java 4"):
        raise Skipped("mqadmin of 4.9 resets all queues")
    topic, group = ctx.topic(2), ctx.group()
    ctx.produce(topic, 20, mode="ordered", streams=2)
    consumer = ctx.agent.begin("consume", topic=topic, group=group).started()
    ctx.check_once(consumer.messages(20, 60), range(20))
    time.sleep(1)
    consumer.stop()

    def offsets():
        return [stored for stored, _ in wire.positions(ctx.engine.broker, topic, group, 2)]

    before = until(30, "the offsets of all", lambda: [one for one in (offsets(),)
                                                      if None not in one and sum(one) == 20])[0]
    reset = ("resetOffsetByTime", "-t", topic, "-b", ctx.engine.broker_address, "-q", "1", "-s",
             "now", "-o", "3", "-g")
    text = ctx.agent.admin(*reset, group)
    same("offsets, when one queue was reset", offsets(), [before[0], 3])
    deleted = ctx.agent.admin("deleteSubGroup", "-b", ctx.engine.broker_address, "-g", group)
    need("success" in deleted, "deleteSubGroup", deleted)
    same("offsets of the group that was deleted", offsets(), [before[0], 3])
    ctx.agent.admin(*reset[:-2], "4", "-g", group)
    same("and not reset, for it is not there", offsets(), [before[0], 3])
    deleted = ctx.agent.admin("deleteSubGroup", "-b", ctx.engine.broker_address, "-g", group, "-r",
                              "true")
    need("success" in deleted, "deleteSubGroup -r", deleted)
    same("offsets, deleted with it", offsets(), [None, None])
    need("xception" not in text, "resetOffsetByTime", text)
    return "resetOffsetByTime -q -o: one queue; deleteSubGroup: without its offsets, and with them"


@case(JAVA)
def admin_groups(ctx):
    topic, group = ctx.topic(1), ctx.group()
    text = ctx.agent.admin("updateSubGroup", "-c", "DefaultCluster", "-g", group, "-r", "1", "-q",
                           "1")
    need("success" in text, "updateSubGroup", text)
    consumer = ctx.agent.begin("consume", topic=topic, group=group, fail=99, maxrec=1).started()
    ctx.produce(topic, 1)
    until(60, "a dead letter", lambda: wire.read_topic(ctx.engine.namesrv, ctx.engine.broker,
                                                       "%DLQ%" + group))
    consumer.stop()
    off = ctx.agent.admin("updateSubGroup", "-c", "DefaultCluster", "-g", group, "-s", "false")
    need("success" in off, "updateSubGroup -s false", off)
    ctx.produce(topic, 1, **{"from": 1})
    second = ctx.agent.begin("consume", topic=topic, group=group).started()
    time.sleep(5)
    same("messages of a group that may not consume", second.of("msg"), [])
    on = ctx.agent.admin("updateSubGroup", "-c", "DefaultCluster", "-g", group, "-s", "true")
    need("success" in on, "updateSubGroup -s true", on)
    second.messages(1, 60)
    second.stop()
    return "updateSubGroup: retries of a group, forbidden to consume, and allowed again"
