# SPDX-License-Identifier: BSD-2-Clause
"""Producers and consumers: what was acknowledged is received, once, unaltered, where it should."""

import time

import messages
import wire
from cases import Skipped, case, need, same

JAVA = ("java",)
ALL = ("java", "go", "node", "python")
JAVA_GO = ("java", "go")
JAVA_GO_NODE = ("java", "go", "node")
JAVA_GO_PYTHON = ("java", "go", "python")


def produced_and_consumed(ctx, mode, count, **values):
    topic = ctx.topic()
    consumer = ctx.agent.begin("consume", topic=topic, group=ctx.group()).started()
    acks = ctx.produce(topic, count, mode=mode, **values)
    received = consumer.messages(count, 40)
    consumer.stop()
    ctx.check_once(received, range(count), values.get("max", 200))
    ctx.check_places(received, acks)
    stored = wire.read_topic(ctx.engine.namesrv, ctx.engine.broker, topic)
    same("messages in the topic", len(stored), count)
    by_number = {int(m["i"]): m for m in received}
    for record in stored:
        index = int(record["body"].split(b":")[1])
        need(record["body"] == messages.body(ctx.seed, index, values.get("max", 200)),
             f"stored body of message {index}")
        same(f"place of message {index}", (record["q"], record["off"]),
             (by_number[index]["q"], by_number[index]["off"]))
    return (f"{count} messages: each once, body, queue, offset and ids as acknowledged and as "
            "stored")


@case(ALL)
def send_sync(ctx):
    return produced_and_consumed(ctx, "sync", 100)


@case(JAVA_GO_PYTHON)
def send_async(ctx):
    return produced_and_consumed(ctx, "async", 200)


@case(JAVA_GO_PYTHON)
def send_ordered(ctx):
    return produced_and_consumed(ctx, "ordered", 60, streams=5)


@case(ALL, short=False)
def send_compressed(ctx):
    return produced_and_consumed(ctx, "sync", 30, max=60000)


@case(JAVA_GO_PYTHON)
def send_oneway(ctx):
    topic = ctx.topic()
    consumer = ctx.agent.begin("consume", topic=topic, group=ctx.group()).started()
    task = ctx.agent.do("produce", topic=topic, n=100, seed=ctx.seed, mode="oneway", pause=1)
    need(not task.of("fail"), "a oneway message failed", task.of("fail")[:1])
    received = consumer.messages(100, 40)
    consumer.stop()
    ctx.check_once(received, range(100))
    return "100 oneway messages on one connection: each once, bodies"


@case(JAVA_GO)
def send_batch(ctx):
    topic = ctx.topic()
    consumer = ctx.agent.begin("consume", topic=topic, group=ctx.group()).started()
    task = ctx.agent.do("produce", topic=topic, n=80, seed=ctx.seed, mode="batch", batch=8)
    need(not task.of("fail"), "a batch failed", task.of("fail")[:1])
    received = consumer.messages(80, 40)
    consumer.stop()
    ctx.check_once(received, range(80))
    by_number = {int(m["i"]): m for m in received}
    for batch in task.of("batch"):
        offset_ids = (batch.get("offsetMsgId") or "").split(",")
        for n in range(8):
            message = by_number[batch["i"] + n]
            same(f"place of message {n} of a batch", (message["q"], message["off"]),
                 (batch["q"], batch["off"] + n))
            if len(offset_ids) == 8:
                same("offset id of a message of a batch", message["offsetMsgId"], offset_ids[n])
    return "10 batches of 8: each message once, offsets from the acknowledged one on, offset ids"


@case(JAVA)
def send_large(ctx):
    topic = ctx.topic(1)
    limits = {"max": -4000000, "limit": 8 << 20}
    consumer = ctx.agent.begin("consume", topic=topic, group=ctx.group()).started()
    first, = ctx.produce(topic, 1, **limits)
    limits["max"] = -4300000
    task = ctx.agent.do("produce", topic=topic, n=1, seed=ctx.seed, **limits, **{"from": 1})
    need(task.of("fail"), "a message of 4.3 MB was accepted", task.of("ack"))
    same("code of a message that is too large", task.of("fail")[0]["code"], 13)
    second, = ctx.produce(topic, 1, **{"from": 2})
    same("offsets of what was accepted", (first["off"], second["off"]), (0, 1))
    received = consumer.messages(2, 60)
    consumer.stop()
    for message in received:
        ctx.check_bodies([message], -4000000 if message["i"] == "0" else 200)
    return "a message of 4 MB arrives; one above 4 MiB is refused with code 13, and nothing else is"


@case(ALL)
def text_of_properties(ctx):
    text = "grüße 消息 \U0001f600 \"quoted\" \\ {a:1}, = & tab\tend"
    topic = ctx.topic(1)
    consumer = ctx.agent.begin("consume", topic=topic, group=ctx.group()).started()
    ctx.produce(topic, 5, property=text, key="k", tags="ä,日本")
    received = consumer.messages(5, 40)
    consumer.stop()
    ctx.check_once(received, range(5))
    for message in received:
        same("a property", message["text"], text)
        same("keys", message["keys"], f"k{message['i']} kall")
        same("tag", message["tags"], ("ä", "日本")[int(message["i"]) % 2])
    return "keys, tags and a property in several scripts and with special characters"


@case(ALL)
def filter_tags(ctx):
    topic = ctx.topic()
    consumer = ctx.agent.begin("consume", topic=topic, group=ctx.group(),
                               tags="TagA || TagC").started()
    ctx.produce(topic, 60, tags="TagA,TagB,TagC")
    wanted = [i for i in range(60) if i % 3 != 1]
    received = consumer.messages(len(wanted), 40)
    ctx.produce(topic, 1, tags="TagA", **{"from": 60})
    received = consumer.messages(len(wanted) + 1, 40)
    consumer.stop()
    ctx.check_once(received, wanted + [60])
    return "of 60 messages with three tags the 40 of two of them, each once"


@case(JAVA_GO_NODE)
def filter_sql(ctx):
    topic = ctx.topic()
    sql = "(TAGS is not null and TAGS in ('TagA', 'TagB')) and " \
          "(a is not null and a between 2 and 6)"
    if ctx.agent.name.startswith("node"):
        ctx.produce(topic, 1, **{"from": 1000, "tags": "TagC"})
    consumer = ctx.agent.begin("consume", topic=topic, group=ctx.group(), sql=sql).started()
    ctx.produce(topic, 60, tags="TagA,TagB,TagC")
    wanted = [i for i in range(60) if i % 3 != 2 and 2 <= i % 10 <= 6]
    received = consumer.messages(len(wanted), 40)
    ctx.produce(topic, 1, tags="TagA", **{"from": 63})
    received = consumer.messages(len(wanted) + 1, 40)
    consumer.stop()
    ctx.check_once(received, wanted + [63])
    return "of 60 messages those that an SQL92 expression over tag and property chooses, each once"


@case(JAVA)
def filter_sql_wrong(ctx):
    topic = ctx.topic()
    task = ctx.agent.begin("consume", topic=topic, group=ctx.group(), sql="a ><> 3 and")
    task.end(40)
    need(task.of("fail"), "a consumer with a wrong expression began", task.events)
    return "a wrong SQL92 expression is refused when the consumer begins"


@case(ALL)
def clustering_shares(ctx):
    topic = ctx.topic(8)
    first = ctx.agent.begin("consume", topic=topic, group=ctx.group()).started()
    second = ctx.twin().begin("consume", topic=topic, group=ctx.group()).started()
    # so that both have their queues: ali-ons looks only each 10 s who else there is
    time.sleep(14 if ctx.agent.name.startswith("node") else 2)
    ctx.produce(topic, 160)
    first.wait("160 messages in both", 60,
               lambda _: len(first.of("msg")) + len(second.of("msg")) >= 160)
    first.stop()
    second.stop()
    ctx.check_once(first.of("msg") + second.of("msg"), range(160))
    queues = [{m["q"] for m in task.of("msg")} for task in (first, second)]
    need(not queues[0] & queues[1] and queues[0] and queues[1], "queues were not shared", *queues)
    return "two consumers of a group: each message once in one of them, queues not shared"


@case(JAVA_GO_PYTHON, short=False)
def clustering_changes(ctx):
    topic = ctx.topic(8)
    producer = ctx.agent.begin("produce", topic=topic, n=600, seed=ctx.seed, pause=15)
    tasks = [ctx.agent.begin("consume", topic=topic, group=ctx.group()).started()]
    time.sleep(2)
    for _ in range(2):
        tasks.append(ctx.agent.begin("consume", topic=topic, group=ctx.group()).started())
        time.sleep(2)
    tasks[0].stop()
    producer.end()
    same("acknowledged", len(producer.of("ack")), 600)
    tasks[1].wait("all messages in all consumers", 60, lambda _: len(
        {m["i"] for task in tasks for m in task.of("msg")}) == 600)
    for task in tasks[1:]:
        task.stop()
    received = [m for task in tasks for m in task.of("msg")]
    ctx.check_bodies(received)
    need(len(received) <= 900, "more than half of the messages came twice", len(received))
    return f"consumers join and leave under load: all 600, {len(received) - 600} of them twice"


@case(ALL)
def broadcasting(ctx):
    topic = ctx.topic()
    ctx.produce(topic, 1, **{"from": 1000})
    tasks = [agent.begin("consume", topic=topic, group=ctx.group(), model="broadcasting",
                         **{"from": "last"}).started() for agent in (ctx.agent, ctx.twin())]
    time.sleep(3)  # so that both have asked for the end of each queue
    ctx.produce(topic, 40)
    for task in tasks:
        ctx.check_once([m for m in task.messages(40, 40) if m["i"] != "1000"], range(40))
        task.stop()
    return "two consumers in broadcasting mode: each message once in each of them"


@case(JAVA_GO_PYTHON)
def orderly(ctx):
    topic = ctx.topic()
    ctx.produce(topic, 200, mode="ordered", streams=8)
    # the Go client asks for what another one has locked only each 20 s: there, one is enough
    tasks = [ctx.agent.begin("consume", topic=topic, group=ctx.group(), mode="orderly").started()
             for _ in range(1 if ctx.agent.name.startswith("go") else 2)]
    tasks[0].wait("200 messages in all consumers", 90, lambda _: len(
        {m["i"] for task in tasks for m in task.of("msg")}) == 200)
    for task in tasks:
        task.stop()
    received = sorted([m for task in tasks for m in task.of("msg")], key=lambda m: m["at"])
    ctx.check_bodies(received)
    streams = {}
    for message in received:
        index = int(message["i"])
        before = streams.get(index % 8, index % 8 - 8)
        need(index <= before + 8, f"stream {index % 8}: {index} came after {before}")
        streams[index % 8] = max(before, index)
    return f"8 streams, {len(tasks)} orderly consumers: no message comes before an earlier one"


@case(("java",))
def orderly_suspends(ctx):
    topic = ctx.topic(2)
    ctx.produce(topic, 20, mode="ordered", streams=2)
    task = ctx.agent.begin("consume", topic=topic, group=ctx.group(), mode="orderly", fail=1,
                           failevery=10).started()
    received = task.messages(20, 60)
    task.stop()
    ctx.check_once(received, range(20))
    ctx.check_order([m for m in received if m["taken"]])
    refused = [m for m in received if not m["taken"]]
    same("messages that were refused at first", sorted(m["i"] for m in refused), ["0", "10"])
    return "an orderly consumer that refuses a message gets it again before the next one"


@case(JAVA_GO_NODE)
def retried(ctx):
    topic = ctx.topic()
    consumer = ctx.agent.begin("consume", topic=topic, group=ctx.group(), fail=1,
                               failevery=5).started()
    # the first one makes the retry topic, which the client looks for only now and then
    ctx.produce(topic, 1, key="r", tags="TagR")
    consumer.messages(1, 90)
    ctx.produce(topic, 20, key="r", tags="TagR", **{"from": 1})
    received = consumer.messages(21, 90)
    consumer.stop()
    ctx.check_once(received, range(21))
    again = [m for m in received if int(m["i"]) % 5 == 0 and m["taken"]]
    same("reconsume times of what was refused once", [m["rec"] for m in again], [1] * 5)
    same("topic as the listener sees it", {m["topic"] for m in received}, {topic})
    same("tags of what was refused once", {m["tags"] for m in again}, {"TagR"})
    refused = {m["i"]: m for m in received if not m["taken"]}
    delays = [m["t"] - refused[m["i"]]["t"] for m in again if m["i"] != "0"]
    least = 9900 if ctx.agent.name.startswith("node") else 900  # level 3 or level 1
    need(min(delays) >= least, "it came again too early", delays)
    need(max(delays) <= least + 6000, "it came again too late", delays)
    return (f"5 of 21 refused once: again with reconsume times 1, {min(delays)} to {max(delays)} ms"
            " later")


@case(JAVA_GO)
def dead_letters(ctx):
    topic, group = ctx.topic(1), ctx.group()
    consumer = ctx.agent.begin("consume", topic=topic, group=group, fail=99, maxrec=2).started()
    ctx.produce(topic, 3, key="d", tags="TagD")
    dead = "%DLQ%" + group
    end = time.monotonic() + 60
    stored = []
    while len(stored) < 3:
        need(time.monotonic() < end, f"after 60 s {dead} holds {len(stored)} of 3 messages")
        time.sleep(0.5)
        stored = wire.read_topic(ctx.engine.namesrv, ctx.engine.broker, dead)
    time.sleep(2)
    consumer.stop()
    rounds = sorted((int(m["i"]), m["rec"]) for m in consumer.of("msg"))
    same("what the listener saw", rounds, [(i, r) for i in range(3) for r in range(3)])
    for record in wire.read_topic(ctx.engine.namesrv, ctx.engine.broker, dead):
        index = int(record["body"].split(b":")[1])
        need(record["body"] == messages.body(ctx.seed, index), "body of a dead letter")
        same("topic of a dead letter", record["p"].get("RETRY_TOPIC"), topic)
        same("keys of a dead letter", record["p"].get("KEYS"), f"d{index} dall")
        same("tag of a dead letter", record["p"].get("TAGS"), "TagD")
    same("dead letters", len(stored), 3)
    return "3 messages refused three times: then in the dead-letter topic, with body, keys and tag"


@case(ALL)
def delayed(ctx):
    levels = {1: 1000, 2: 5000, 3: 10000}
    topic = ctx.topic()
    consumer = ctx.agent.begin("consume", topic=topic, group=ctx.group()).started()
    sent = {}
    for number, level in enumerate(levels):
        begin = time.time()
        ctx.produce(topic, 4, delay=level, **{"from": 10 * number})
        sent[level] = (begin, time.time())
    received = consumer.messages(12, 40)
    consumer.stop()
    ctx.check_once(received, [10 * n + i for n in range(3) for i in range(4)])
    latest = 0
    for message in received:
        level = int(message["i"]) // 10 + 1
        begin, end = sent[level]
        after = 1000 * (message["at"] - begin)
        need(after >= levels[level] - 20, f"level {level} came after {after:.0f} ms")
        late = 1000 * (message["at"] - end) - levels[level]
        need(late <= 4000, f"level {level} came {late:.0f} ms too late")
        latest = max(latest, late)
    return f"12 messages of levels 1, 2, 3: none early, at most {latest:.0f} ms late"


@case(JAVA)
def timers(ctx):
    if ctx.agent.name.startswith("java 4"):
        raise Skipped("the client has no arbitrary timers")
    topic = ctx.topic(1)
    consumer = ctx.agent.begin("consume", topic=topic, group=ctx.group()).started()
    begin = time.time()
    ctx.produce(topic, 1, timer=7000)
    ctx.produce(topic, 1, timer=3000, **{"from": 1})
    end = time.time()
    received = consumer.messages(2, 40)
    consumer.stop()
    ctx.check_once(received, range(2))
    for message, wanted in zip(sorted(received, key=lambda m: m["i"]), (7, 3)):
        # the wheel of the official broker turns once a second
        need(message["at"] - begin >= wanted - 1.1, "a timer was early", message["at"] - begin)
        need(message["at"] - end <= wanted + 5, "a timer was late", message["at"] - end)
    return "timers of 7 and 3 s: the second first, each at its time"


@case(JAVA_GO)
def transactions(ctx):
    topic, count = ctx.topic(), 16
    consumer = ctx.agent.begin("consume", topic=topic, group=ctx.group()).started()
    producer = ctx.agent.begin("transact", topic=topic, group=ctx.group("-tx"), n=count,
                               seed=ctx.seed, tags="TagX", key="x")
    committed = [i for i in range(count) if i % 4 in (0, 2)]
    received = consumer.messages(len(committed), 90)
    producer.wait("all are asked about twice", 60, lambda events: len(
        [e for e in events if e["ev"] == "check" and e["times"] >= 2]) >= count / 2)
    time.sleep(3)  # for what should not come
    checks = producer.of("check")
    producer.stop()
    consumer.stop()
    need(not producer.of("fail"), "a transaction failed", producer.of("fail")[:1])
    ctx.check_once(consumer.of("msg"), committed)
    same("what was asked about", sorted({int(c["i"]) for c in checks}),
         [i for i in range(count) if i % 4 > 1])
    for check in checks:
        same("body of what is asked about", check["sum"],
             messages.expected(ctx.seed, check["i"]))
        same("topic of what is asked about", check["topic"], topic)
        same("tag of what is asked about", check["tags"], "TagX")
    early = [m for m in received if int(m["i"]) % 4 == 2 and m["at"] < min(
        c["at"] for c in checks if int(c["i"]) == int(m["i"]) and c["times"] == 2)]
    need(not early, "a message was visible before its transaction was decided", early)
    return (f"{count} transactions: 4 committed, 4 rolled back, 8 asked about until decided; "
            "what is visible, once, not before")


@case(JAVA)
def request_and_reply(ctx):
    if ctx.agent.name.startswith("java 5.3"):
        raise Skipped("clients 5.3.1 to 5.3.3 do not wait for an answer (RocketMQ issue 9292)")
    topic = ctx.topic(2)
    responder = ctx.agent.begin("respond", topic=topic, group=ctx.group()).started()
    task = ctx.agent.do("request", topic=topic, group=ctx.group("-asks"), n=5, seed=ctx.seed,
                        wait=30000)
    responder.stop()
    need(not task.of("fail"), "a request failed", task.of("fail")[:1], responder.of("fail")[:1])
    answers = task.of("answer")
    same("answers", len(answers), 5)
    for answer in answers:
        same("answer", answer["sum"],
             messages.checksum(messages.body(ctx.seed, answer["i"])[::-1]))
    return "5 requests: each gets its own answer, the reverse of its body"


@case(JAVA)
def lite_pull(ctx):
    topic = ctx.topic()
    ctx.produce(topic, 40, tags="TagA,TagB")
    first = ctx.agent.begin("lite", topic=topic, group=ctx.group(), tags="TagA").started()
    ctx.check_once(first.messages(20, 60), range(0, 40, 2))
    first.stop()
    acks = ctx.produce(topic, 8, tags="TagA", **{"from": 40})
    second = ctx.agent.begin("lite", topic=topic, group=ctx.group(), tags="TagA").started()
    received = second.messages(8, 60)
    second.stop()
    ctx.check_once(received, range(40, 48))
    ctx.check_places(received, acks)
    return "lite pull with a tag: its messages once; after a restart only what is new"


@case(JAVA)
def lite_pull_assigned(ctx):
    topic = ctx.topic(4)
    ctx.produce(topic, 40, mode="ordered", streams=4)
    task = ctx.agent.begin("assign", topic=topic, group=ctx.group(), offset=7).started()
    wanted = {(q, o) for q in range(4) for o in range(7, 10)}
    task.wait("what is behind the offsets", 60, lambda events: wanted <= {
        (e["q"], e["off"]) for e in events if e["ev"] == "msg"})
    task.stop()
    received = task.of("msg")
    ctx.check_bodies(received)
    # what the client had fetched of a queue before it was told to seek may come before that
    for queue in range(4):
        same(f"what came last of queue {queue}",
             [m["off"] for m in received if m["q"] == queue][-3:], [7, 8, 9])
    return "assigned queues, sought to offset 7: the rest of each, in order"


@case(JAVA)
def found_again(ctx):
    topic = ctx.topic(2)
    acks = ctx.produce(topic, 10, key=ctx.seed, tags="TagQ")

    def find(**values):
        end = time.monotonic() + 20
        while True:  # the index of the official broker is built a moment later
            task = ctx.agent.do("find", topic=topic, **values)
            found = task.of("msg")
            if found or time.monotonic() > end:
                return found, task.of("fail")[:1]
            time.sleep(0.2)

    for ack in acks[::3]:
        for name, values in (("offset id", {"msgid": ack["offsetMsgId"]}),
                             ("unique key", {"msgid": ack["msgId"]}),
                             ("key", {"key": f"{ctx.seed}{ack['i']}"})):
            found, why = find(**values)
            same(f"messages found by {name}", len(found), 1) if found else need(
                False, f"nothing found by {name} {values}", why)
            same(f"number of what was found by {name}", found[0]["i"], str(ack["i"]))
            ctx.check_bodies(found)
            ctx.check_places(found, acks)
    found, why = find(key=f"{ctx.seed}all")
    same("found by a key of all", sorted(int(m["i"]) for m in found), list(range(10)))
    none = ctx.agent.do("find", topic=topic, key="of-nobody")
    same("found by a key of nobody", none.of("msg"), [])
    early = ctx.agent.do("find", topic=topic, key=f"{ctx.seed}all", begin=0, end=1000)
    same("found before there was anything", early.of("msg"), [])
    return "by offset id, unique key, key, a key of all 10, a key of none, an empty time"


@case(JAVA)
def offsets_asked(ctx):
    topic = ctx.topic(2)
    first = ctx.produce(topic, 10, mode="ordered", streams=2)
    time.sleep(1.2)
    middle = int(time.time() * 1000)
    time.sleep(0.2)
    ctx.produce(topic, 6, mode="ordered", streams=2, **{"from": 10})
    queues = {e["q"]: e for e in ctx.agent.do("offsets", topic=topic, time=middle).of("queue")}
    same("queues", sorted(queues), [0, 1])
    for number, event in queues.items():
        same(f"least offset of queue {number}", event["min"], 0)
        same(f"end of queue {number}", event["max"], 8)
        same(f"offset of a time in queue {number}", event["found"], 5)
        earliest = min(a["t"] for a in first if a["q"] == number)
        need(abs(event["earliest"] - earliest) < 3000, "earliest time", event, earliest)
    late = ctx.agent.do("offsets", topic=topic, time=middle + 3600000).of("queue")
    need({e["found"] for e in late} <= {7, 8}, "offset of a time to come", late)
    return "least, greatest, by time in the middle, before all and after all; earliest time"


@case(ALL)
def position_kept(ctx):
    topic = ctx.topic()
    first = ctx.agent.begin("consume", topic=topic, group=ctx.group()).started()
    ctx.produce(topic, 40)
    ctx.check_once(first.messages(40, 40), range(40))
    # ali-ons writes its position each 5 s, not when it ends; the others when a listener returns
    time.sleep(6 if ctx.agent.name.startswith("node") else 1)
    first.stop()
    ctx.produce(topic, 20, **{"from": 40})
    second = ctx.agent.begin("consume", topic=topic, group=ctx.group()).started()
    received = second.messages(20, 60)
    time.sleep(1)
    second.stop()
    ctx.check_once(second.of("msg") or received, range(40, 60))
    return "a group that ends and begins again goes on where it was"


def again_after_a_reset(ctx, command):
    """What it has received comes again, in the same process, when its group is set to the begin."""
    topic, group = ctx.topic(2), ctx.group()
    ctx.produce(topic, 10)
    consumer = ctx.agent.begin(command, topic=topic, group=group).started()
    ctx.check_once(consumer.messages(10, 60), range(10))
    with wire.Connection(ctx.engine.broker) as connection:
        same("code of the reset", connection.ask(222, {
            "topic": topic, "group": group, "timestamp": 0, "isForce": "true"})[0]["code"], 0)
    end = time.monotonic() + 90  # some clients let 10 s pass, and then wait for their queues
    while len(consumer.of("msg")) < 20:
        need(time.monotonic() < end, "not all came again after the reset",
             len(consumer.of("msg")))
        time.sleep(0.2)
    consumer.stop()
    ctx.check_bodies(consumer.of("msg"))
    same("what came again", sorted(int(m["i"]) for m in consumer.of("msg")[10:])[:10],
         list(range(10)))
    return "a group with a consumer is reset to its begin: all comes again, without a restart"


@case(ALL, short=False)
def reset_while_consuming(ctx):
    return again_after_a_reset(ctx, "consume")


@case(JAVA, short=False)
def reset_while_lite_pulling(ctx):
    return again_after_a_reset(ctx, "lite")


@case(JAVA_GO_PYTHON)
def idle_consumer_woken(ctx):
    topic = ctx.topic(1)
    consumer = ctx.agent.begin("consume", topic=topic, group=ctx.group()).started()
    ctx.produce(topic, 1)
    consumer.messages(1, 40)
    time.sleep(3)  # its next pull is held by now
    delays = []
    for number in range(1, 11):
        ack, = ctx.produce(topic, 1, **{"from": number})
        message = consumer.messages(number + 1, 20)[-1]
        delays.append(message["t"] - ack["t"])
    consumer.stop()
    delays.sort()
    need(delays[5] < 1000, "half of the messages came after more than a second", delays)
    return f"10 messages to a held pull: {delays[5]} ms after the acknowledgement (median)"


@case(JAVA_GO_PYTHON)
def topic_made_by_sending(ctx):
    name = f"T-{ctx.name}-auto"
    acks = ctx.produce(name, 12)
    queues = wire.route(ctx.engine.namesrv, name)
    need(queues in (4, 8), "queues of a topic that a producer made", queues)
    consumer = ctx.agent.begin("consume", topic=name, group=ctx.group()).started()
    received = consumer.messages(12, 60)
    consumer.stop()
    ctx.check_once(received, range(12))
    ctx.check_places(received, acks)
    return f"a topic that nobody made: made by the first message, {queues} queues"


@case(JAVA)
def refused_sends(ctx):
    topic = ctx.topic(2)
    ctx.admin.admin("updateTopic", "-b", ctx.engine.broker_address, "-t", topic + "-r", "-r", "2",
                    "-w", "2", "-p", "4")
    time.sleep(1)
    codes = {}
    for name, values in (("a topic to read only", {"topic": topic + "-r"}),
                         ("a queue beyond the last", {"topic": topic, "mode": "queue",
                                                      "queue": 99}),
                         ("a topic with a wrong name", {"topic": "no spaces"})):
        task = ctx.agent.do("produce", n=1, seed=ctx.seed, broker="broker-a", **values)
        need(task.of("fail") and not task.of("ack"), f"{name} was accepted", task.events)
        codes[name] = task.of("fail")[0]["code"]
    return f"refused: {codes}"
