# SPDX-License-Identifier: BSD-2-Clause
"""The official example programs, run as they are: what they print, and what the server then holds.

The address of the name server comes from the environment, or is the one that the program has built
in, 127.0.0.1:9876. Programs that use the same topic or group run one after the other, in a lane;
the lanes run side by side. Each version gets a server that holds nothing yet, for the groups are
fixed.
"""

import collections
import os
import re
import signal
import subprocess
import threading
import time

import agents
import artifacts
import wire
from cases import Failed, Skipped, need, same

BUILT_IN = 9876
VERSIONS = {"client-4.9": "4.7.0", "client-5.3": "5.5.0", "client-5.5": "5.5.0"}
SENT = re.compile(r"sendStatus=(\w+), msgId=(\w+)(?:[\w,]*), offsetMsgId=(\w*)(?:[\w,]*), "
                  r"messageQueue=MessageQueue \[topic=([^,]+), brokerName=[^,]+, "
                  r"queueId=(\d+)\], queueOffset=(\d+)")
RECEIVED = re.compile(r"MessageExt \[.*?queueId=(\d+), .*?queueOffset=(\d+), .*?"
                      r"reconsumeTimes=(\d+), .*?topic='([^']+)', .*?properties=\{(.*?)\}, "
                      r"body=\[([-\d, ]*)\]")
UNIQUE = re.compile(r"UNIQ_KEY=(\w+)")
Received = collections.namedtuple("Received", "queue offset times topic key body properties")
Sent = collections.namedtuple("Sent", "status key offset_id topic queue offset")


class Program:
    def __init__(self, lane, main, *words, package="org.apache.rocketmq.example."):
        self.name = main
        number = lane.count()
        self.path = os.path.join(lane.directory, f"{main}-{number}.out")
        # Broadcasting consumers keep their offsets in files by names that the two here would share:
        # the later one then began where the other was, behind all messages.
        command = agents.java_command(
            lane.client, package + main, lane.directory, *words,
            options=(f"-Drocketmq.client.localOffsetStoreDir={lane.directory}/offsets-{number}",))
        with open(self.path, "wb") as out:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=lane.directory,
                env=agents.environment(lane.directory, lane.engine.address))
        lane.programs.append(self)

    def text(self):
        with open(self.path, encoding="utf-8", errors="replace") as text:
            return text.read()

    def await_text(self, what, seconds, until):
        end = time.monotonic() + seconds
        while True:
            text = self.text()
            if until(text):
                return text
            if self.process.poll() is not None and not until(self.text()):
                raise Failed(f"{self.name} ended with {self.process.returncode}, before {what}: "
                             + self.text()[-300:])
            if time.monotonic() > end:
                raise Failed(f"{self.name}: {seconds} s without {what}: " + self.text()[-300:])
            time.sleep(0.2)

    def started(self):
        self.await_text("its first words", 60, lambda text: "Started" in text)
        return self

    def ended(self, seconds=90):
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise Failed(f"{self.name} runs for more than {seconds} s; " + self.text()[-300:]
                         ) from error
        need(code == 0, f"{self.name} ended with {code}", self.text()[-300:])
        return self

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def sent(self):
        found = [Sent(*m.groups()) for m in SENT.finditer(self.text())]
        return [s._replace(queue=int(s.queue), offset=int(s.offset)) for s in found]

    def received(self):
        out = []
        for match in RECEIVED.finditer(self.text()):
            queue, offset, times, topic, properties, body = match.groups()
            key = UNIQUE.search(properties)
            out.append(Received(int(queue), int(offset), int(times), topic,
                                key.group(1) if key else None,
                                bytes(int(b) & 255 for b in body.split(", ") if b), properties))
        return out

    def receives(self, keys, seconds=60):
        """Until each of the keys was printed."""
        keys = set(keys)
        self.await_text(f"all of {len(keys)} messages", seconds,
                        lambda _: keys <= {m.key for m in self.received()})
        return self.received()


class Lane:
    """What the programs of one lane share; also the context that the table wants."""

    def __init__(self, engine, client, directory, isolated):
        self.engine, self.client, self.isolated = engine, client, isolated
        self.directory = directory
        self.programs = []
        self.number = 0
        self.lock = threading.Lock()
        os.makedirs(directory, exist_ok=True)
        self.agent = self
        self.name = f"java {artifacts.VERSIONS[client]}"

    def count(self):
        with self.lock:
            self.number += 1
            return self.number

    def start(self, main, *words):
        return Program(self, main, *words)

    def needs_built_in(self):
        if not self.isolated or self.engine.namesrv_port != BUILT_IN:
            raise Skipped(f"the program has port {BUILT_IN} built in, and there is no network of "
                          "our own")

    def needs_example(self, version):
        if VERSIONS[self.client] < version:
            raise Skipped(f"examples {VERSIONS[self.client]} have no such program")

    def stored(self, topic):
        return wire.read_topic(self.engine.namesrv, self.engine.broker, topic)

    def settled(self, topic, count, seconds=30):
        end = time.monotonic() + seconds
        while True:
            stored = self.stored(topic)
            if len(stored) >= count or time.monotonic() > end:
                same(f"messages in {topic}", len(stored), count)
                return stored
            time.sleep(0.3)

    def close(self):
        """After each case: nothing of it goes on."""
        for program in self.programs:
            program.stop()


def all_sent(program, count):
    sent = program.sent()
    same(f"results printed by {program.name}", len(sent), count)
    same("statuses", {s.status for s in sent}, {"SEND_OK"})
    same("different ids", len({s.key for s in sent}), count)
    return sent


def once(received, sent, bodies=None):
    """Each of the sent messages was printed once, from its place, with the body of its number."""
    by_key = collections.defaultdict(list)
    for message in received:
        by_key[message.key].append(message)
    for number, one in enumerate(sent):
        found = by_key[one.key]
        same(f"times that message {number} was printed", len(found), 1)
        same("its place", (found[0].queue, found[0].offset), (one.queue, one.offset))
        if bodies:
            same("its body", found[0].body.decode(), bodies(number))


def make_topic(lane, name):
    """Else a consumer that begins before its topic may wait half a minute for its queues."""
    Program(lane, "MQAdminStartup", "updateTopic", "-b", lane.engine.broker_address, "-t", name,
            "-r", "4", "-w", "4", package="org.apache.rocketmq.tools.command.").ended()
    end = time.monotonic() + 20
    while wire.route(lane.engine.namesrv, name) != 4:
        need(time.monotonic() < end, f"mqadmin updateTopic made no topic {name}")
        time.sleep(0.1)


def orderly(lane):
    make_topic(lane, "TopicTest")
    consumer = lane.start("ordermessage.Consumer").started()
    producer = lane.start("operation.Producer", "-g", "g-op", "-t", "TopicTest", "-a", "TagA", "-k",
                          "key", "-c", "12").ended()
    sent = all_sent(producer, 12)
    received = consumer.receives([s.key for s in sent], 120)
    consumer.stop()
    last = {}
    for message in received:
        need(message.offset >= last.get(message.queue, 0), f"queue {message.queue}: "
             f"{message.offset} after {last.get(message.queue)}")
        last[message.queue] = message.offset
    return "ordermessage.Consumer, operation.Producer: 12 messages, in order in each queue"


def quickstart(lane):
    make_topic(lane, "TopicTest")
    consumer = lane.start("quickstart.Consumer").started()
    producer = lane.start("quickstart.Producer").ended(120)
    sent = all_sent(producer, 1000)
    received = consumer.receives([s.key for s in sent], 90)
    consumer.stop()
    once(received, sent, "Hello RocketMQ {}".format)
    return "quickstart.Producer and Consumer: each of 1000 messages once, its place and body"


def simple(lane):
    consumer = lane.start("simple.PushConsumer").started()
    producer = lane.start("simple.Producer").ended()
    sent = all_sent(producer, 128)
    received = consumer.receives([s.key for s in sent], 90)
    consumer.await_text("what was sent before", 60, lambda _: len(consumer.received()) >= 1140)
    consumer.stop()
    once(received, sent, lambda _: "Hello world")
    stored = lane.stored("TopicTest")
    same("messages received of those stored", len({(m.queue, m.offset)
                                                   for m in consumer.received()}), len(stored))
    return "simple.Producer and PushConsumer: 128 messages and the 1012 before them, each once"


def broadcast(lane):
    consumers = [lane.start("broadcast.PushConsumer").started() for _ in range(2)]
    sent = all_sent(lane.start("simple.Producer").ended(), 128)
    for consumer in consumers:
        received = consumer.receives([s.key for s in sent], 90)
        once(received, sent, lambda _: "Hello world")
        consumer.stop()
    return "broadcast.PushConsumer twice, simple.Producer: 128 messages once in each"


def lite(lane):
    consumer = lane.start("simple.LitePullConsumerSubscribe")
    time.sleep(4)
    sent = all_sent(lane.start("simple.Producer").ended(), 128)
    once(consumer.receives([s.key for s in sent], 90), sent, lambda _: "Hello world")
    consumer.stop()
    assigned = lane.start("simple.LitePullConsumerAssign")
    assigned.await_text("messages", 60, lambda text: "MessageExt" in text)
    time.sleep(2)
    assigned.stop()
    received = {(m.queue, m.offset) for m in assigned.received()}
    ends = collections.Counter(r["q"] for r in lane.stored("TopicTest"))
    queues = {queue for queue, _ in received}
    need(queues, "nothing was received")
    for queue in queues:
        missing = [o for o in range(10, ends[queue]) if (queue, o) not in received]
        need(not missing, f"queue {queue} from offset 10 on", missing[:10])
    return "LitePullConsumerSubscribe: 128 messages once; LitePullConsumerAssign: from offset 10 on"


def oneway(lane):
    lane.needs_example("5.0.0")
    lane.needs_built_in()
    before = len(lane.stored("TopicTest"))
    lane.start("simple.OnewayProducer").ended()
    stored = lane.settled("TopicTest", before + 100)
    bodies = {r["body"].decode() for r in stored}
    need({f"Hello RocketMQ {i}" for i in range(100)} <= bodies, "a message is missing")
    return "simple.OnewayProducer: its 100 messages are stored"


def asynchronous(lane):
    program = lane.start("simple.AsyncProducer").ended()
    same("results", len(re.findall(r"^\d+ +OK \w+", program.text(), re.M)), 100)
    need("Exception" not in program.text(), "one failed", program.text()[-300:])
    stored = lane.settled("Jodie_topic_1023", 100)
    same("bodies", {r["body"] for r in stored}, {b"Hello world"})
    return "simple.AsyncProducer: 100 callbacks with success, 100 messages are stored"


def ordered_producer(lane):
    sent = all_sent(lane.start("ordermessage.Producer").ended(), 100)
    stored = lane.settled("TopicTestjjj", 100)
    queues = wire.route(lane.engine.namesrv, "TopicTestjjj")
    for number, one in enumerate(sent):
        same(f"queue of message {number}", one.queue, number % 10 % queues)
    for queue in range(queues):
        numbers = [int(r["body"].split()[-1]) for r in stored if r["q"] == queue]
        same(f"order of queue {queue}", numbers, sorted(numbers))
    return "ordermessage.Producer: 100 messages, each in the queue of its order, in order"


def batch(lane):
    lane.start("batch.SimpleBatchProducer")  # it does not end by itself
    first = lane.settled("BatchTest", 3)
    same("bodies and keys", [(r["body"].decode(), r["p"]["KEYS"]) for r in first],
         [(f"Hello world {i}", f"OrderID00{i + 1}") for i in range(3)])
    lane.start("batch.SplitBatchProducer")
    stored = lane.settled("BatchTest", 100003, 90)
    numbers = sorted(int(r["body"].split()[-1]) for r in stored)
    same("numbers of the messages", numbers, sorted([0, 1, 2, *range(100000)]))
    return "SimpleBatchProducer: 3 messages; SplitBatchProducer: 100 000, each once"


def tags(lane):
    make_topic(lane, "TagFilterTest")
    consumer = lane.start("filter.TagFilterConsumer").started()
    sent = all_sent(lane.start("filter.TagFilterProducer").ended(), 60)
    wanted = [s for i, s in enumerate(sent) if i % 3 != 1]
    received = consumer.receives([s.key for s in wanted], 90)
    time.sleep(1)
    consumer.stop()
    once(received, wanted)
    same("messages received", len(consumer.received()), 40)
    return "TagFilterProducer and Consumer: 40 of 60"


def sql(lane):
    make_topic(lane, "SqlFilterTest")
    consumer = lane.start("filter.SqlFilterConsumer").started()
    sent = all_sent(lane.start("filter.SqlFilterProducer").ended(), 10)
    wanted = [sent[i] for i in (0, 1, 3)]
    received = consumer.receives([s.key for s in wanted], 90)
    time.sleep(1)
    consumer.stop()
    once(received, wanted)
    same("messages received", len(consumer.received()), 3)
    return "SqlFilterProducer and Consumer: 3 of 10"


def rpc(lane):
    if lane.client == "client-5.3":
        raise Skipped("clients 5.3.1 to 5.3.3 do not wait for an answer (RocketMQ issue 9292)")
    if lane.client != "client-4.9":
        lane.needs_built_in()
    make_topic(lane, "RequestTopic")
    responder = lane.start("rpc.ResponseConsumer").started()
    for _ in range(8):  # its consumer may wait for its queues longer than a request waits
        program = lane.start("rpc.RequestProducer")
        try:
            program.ended(60)
        except Failed:
            pass
        if "replyMessage" in program.text():
            break
    responder.stop()
    need("replyMessage: Message" in program.text(), "no answer", program.text()[-300:],
         responder.text()[-300:])
    need("body=[114, 101, 112, 108, 121" in program.text(), "an answer with another body",
         program.text()[-300:])
    return "rpc.RequestProducer and ResponseConsumer: a request gets its answer"


def scheduled(lane):
    lane.needs_example("5.0.0")
    make_topic(lane, "TestTopic")
    consumer = lane.start("schedule.ScheduledMessageConsumer")
    begin = time.time()
    producer = lane.start("schedule.ScheduledMessageProducer").ended()
    consumer.await_text("100 messages", 90, lambda text: text.count("Receive message") >= 100)
    took = time.time() - begin
    consumer.stop()
    ids = re.findall(r"msgId=(\w+)", consumer.text())
    same("different ids", len(set(ids)), 100)
    need(took >= 10, "all came before their time", took)
    stored = lane.settled("TestTopic", 100)
    early = [r for r in stored if r["store"] - r["born"] < 9900]
    need(not early, "a message of level 3 was there before 10 s", early[:1])
    del producer
    return "ScheduledMessageProducer and Consumer: 100 of level 3, none before 10 s"


def timer(lane):
    lane.needs_example("5.0.0")
    make_topic(lane, "TimerTopic")
    consumer = lane.start("schedule.TimerMessageConsumer")
    lane.start("schedule.TimerMessageProducer").ended()
    consumer.await_text("10 messages", 90, lambda text: text.count("Receive message") >= 10)
    consumer.stop()
    later = [int(ms) for ms in re.findall(r"(-?\d+)  ms later", consumer.text())]
    need(all(8900 <= ms <= 16000 for ms in later), "not about 10 s later", later)
    same("different ids", len(set(re.findall(r"msgId=(\w+)", consumer.text()))), 10)
    return f"TimerMessageProducer and Consumer: 10 of 10 s, {min(later)} to {max(later)} ms later"


def transaction(lane):
    program = lane.start("transaction.TransactionProducer")
    program.await_text("10 results", 60, lambda _: len(program.sent()) >= 10)
    wanted = {f"KEY{i}" for i in (1, 4, 7)}
    end = time.monotonic() + 90
    stored = []
    while {r["p"]["KEYS"] for r in stored} < wanted and time.monotonic() < end:
        time.sleep(0.5)
        stored = lane.stored("TopicTest1234")
    time.sleep(3)
    stored = lane.stored("TopicTest1234")
    program.stop()
    same("keys of what was committed when asked", sorted(r["p"]["KEYS"] for r in stored),
         sorted(wanted))
    return "TransactionProducer: of 10 the 3 that it commits when it is asked, each once"


def namespace(lane):
    lane.needs_built_in()
    make_topic(lane, "InstanceTest%" + (
        "topicTest" if lane.client == "client-4.9" else "NAMESPACE_TOPIC"))
    consumer = lane.start("namespace.PushConsumerWithNamespace")
    time.sleep(3)
    producer = lane.start("namespace.ProducerWithNamespace")  # the 4.7 one does not end by itself
    text = producer.await_text("100 results", 60, lambda text: text.count("send success") >= 100)
    ids = re.findall(r"send success, misId is:(\w+)\n", text)
    same("messages sent", len(ids), 100)
    consumer.await_text("100 messages", 90, lambda text: all(i in text for i in ids))
    consumer.stop()
    same("times that each was printed", {consumer.text().count(i) for i in ids}, {1})
    return "ProducerWithNamespace and PushConsumerWithNamespace: each of 100 once"


def benchmark(lane):
    """These speak with binary headers; no consumer of theirs tells what it got, but how many."""
    make_topic(lane, "bench")
    consumer = lane.start("benchmark.Consumer", "-n", lane.engine.address, "-t", "bench")
    time.sleep(4)
    program = lane.start("benchmark.Producer", "-n", lane.engine.address, "-t", "bench", "-w", "4",
                         "-s", "512", *(("-q", "4000") if lane.client != "client-4.9" else ()))
    if lane.client == "client-4.9":
        time.sleep(14)
        program.stop()
        stored = lane.stored("bench")
        need(len(stored) > 100, "almost nothing was sent", len(stored), program.text()[-300:])
    else:
        program.await_text("its end", 90, lambda text: "[Complete]" in text)
        program.stop()
        stored = lane.settled("bench", 4000)
        need(re.search(r"Send Failed: 0( \|)? Response Failed: 0", program.text()),
             "a message failed", program.text()[-300:])
    # the 4.7 one sends a few bytes more than it is told
    same("sizes of the bodies", len({len(r["body"]) for r in stored}), 1)
    need(512 <= len(stored[0]["body"]) <= 520, "size of a body", len(stored[0]["body"]))
    consumer.await_text("its figures", 40, lambda text: re.search(r"TPS: [1-9]", text))
    consumer.stop()
    return f"benchmark.Producer and Consumer, binary headers: {len(stored)} messages"


LANES = (
    (orderly, quickstart, simple, broadcast, lite, oneway),
    (tags, sql, rpc, namespace),
    (scheduled, timer, benchmark),
    (asynchronous, ordered_producer, batch, transaction),
)
SHORT = (quickstart, tags, sql, rpc, scheduled, ordered_producer, asynchronous, transaction,
         broadcast)
