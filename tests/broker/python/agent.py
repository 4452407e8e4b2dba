# SPDX-License-Identifier: BSD-2-Clause
"""Processes with an unmodified `rocketmq` of PyPI in them: librocketmq, the C++ client, and a thin
layer over it. The first is told by lines on its standard input what to do: the same lines, and the
same answers, as java/src/Agent.java. It has: produce, consume, pull, stop. Each line is done by a
process of its own, until its standard input ends, for all producers of one share a client: whoever
begins while another ends that client waits for nothing, and librocketmq aborts.

The layer takes and gives bodies as C strings: they must not have a null byte. What it returns for a
listener that raises is not defined, so that no message is refused here.
"""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.parse

import messages
from rocketmq.client import Message, Producer, PullConsumer, PushConsumer, SendStatus
from rocketmq.exceptions import ProducerException
from rocketmq.ffi import MessageModel

NAMESRV = os.environ["NAMESRV_ADDR"]


class Line:
    """What one line says."""

    def __init__(self, text):
        self.id, self.verb, *pairs = text.strip().split(" ")
        self.values = {}
        for pair in pairs:
            name, _, value = pair.partition("=")
            self.values[name] = urllib.parse.unquote(value)
        self.stopped = threading.Event()

    def text(self, name, otherwise=""):
        return self.values.get(name, otherwise)

    def number(self, name, otherwise):
        return int(self.values.get(name, otherwise))

    def say(self, event, **more):
        text = json.dumps({"id": self.id, "ev": event, **more})
        os.write(1, f"\n{text}\n".encode())  # at once, for there are other processes

    def fail(self, error, **more):
        self.say("fail", error=f"{type(error).__name__}: {error}", code=-1, **more)

    def run(self):
        try:
            VERBS[self.verb](self)
        except Exception as error:  # pylint: disable=broad-except  whoever asked is told
            self.fail(error)
        self.say("end")


def signed(line, client):
    """The channel is part of what is signed; RocketMQ itself has no channels."""
    if line.text("access"):
        client.set_session_credentials(line.text("access"), line.text("secret"), "ALIYUN")


def made(line, index):
    message = Message(line.text("topic"))
    message.set_body(messages.body(line.text("seed", "0"), index, line.number("max", 200)))
    tags = line.text("tags").split(",")
    if tags[index % len(tags)]:
        message.set_tags(tags[index % len(tags)])
    if line.text("key"):
        message.set_keys(f"{line.text('key')}{index} {line.text('key')}all")
    message.set_property("a", str(index % 10))
    if line.text("property"):
        message.set_property("text", line.text("property"))
    if line.text("delay"):
        message.set_delay_time_level(line.number("delay", 0))
    return message


def acknowledged(line, index, result):
    status = "SEND_OK" if result.status == SendStatus.OK else result.status.name
    line.say("ack", i=index, status=status, msgId=result.msg_id, off=result.offset,
             t=int(1000 * time.time()))


class Async:
    """Sends, and keeps what librocketmq still uses until all are answered."""

    def __init__(self, line, producer):
        self.line, self.producer, self.kept = line, producer, []
        self.left, self.changed = 0, threading.Condition()

    def done(self):
        with self.changed:
            self.left -= 1
            self.changed.notify_all()

    def send(self, message, index):
        def succeeded(result):
            acknowledged(self.line, index, result)
            self.done()

        def failed(error):
            self.line.fail(error, i=index)
            self.done()

        with self.changed:
            self.left += 1
        self.kept.append(message)
        self.producer.send_async(message, succeeded, failed)

    def wait(self):
        with self.changed:
            self.changed.wait_for(lambda: self.left == 0, 60)


def send(line, producer, index, count, later):
    mode = line.text("mode", "sync")
    if mode == "batch":
        result = producer.send_batch([made(line, index + i) for i in range(count)])
        line.say("batch", i=index, n=count, status="SEND_OK", msgId=result.msg_id,
                 off=result.offset)
    elif mode == "async":
        later.send(made(line, index), index)
    elif mode == "oneway":
        producer.send_oneway(made(line, index))
        line.say("sent", i=index)
    elif mode == "ordered":
        acknowledged(line, index, producer.send_orderly(made(line, index),
                                                        index % line.number("streams", 1)))
    else:
        acknowledged(line, index, producer.send_sync(made(line, index)))


def until_connected(begun, action):
    """librocketmq waits some milliseconds for the connection that its heartbeat opens meanwhile;
    then it says that there is no route, and has sent nothing.
    """
    while True:
        try:
            return action()
        except ProducerException as error:
            if "No route info" not in str(error) or time.monotonic() > begun + 5:
                raise
            time.sleep(0.05)


def produce(line):
    producer = Producer(line.text("group", "P-python"), timeout=10000)
    producer.set_namesrv_addr(NAMESRV)
    signed(line, producer)
    producer.start()
    begun = time.monotonic()
    time.sleep(0.3)  # its heartbeat connects; what is sent one-way meanwhile is lost
    begin = line.number("from", 0)
    end = begin + line.number("n", 1)
    step = line.number("batch", 8) if line.text("mode") == "batch" else 1
    later = Async(line, producer)
    for index in range(begin, end, step):
        if line.stopped.is_set():
            break
        try:
            count = min(step, end - index)
            until_connected(begun, lambda at=index, n=count: send(line, producer, at, n, later))
        except Exception as error:  # pylint: disable=broad-except  each message by itself
            line.fail(error, i=index)
        time.sleep(line.number("pause", 0) / 1000)
    later.wait()
    producer.shutdown()


def received(line, message):
    def text(value):
        return (value or b"").decode()

    body = message.body
    seed, index, _ = body.decode("latin-1").split(":", 2)
    line.say("msg", s=seed, i=index, sum=messages.checksum(body), topic=message.topic,
             q=message.queue_id, off=message.queue_offset, rec=message.reconsume_times,
             tags=text(message.tags), keys=text(message.keys), a=text(message["a"]),
             text=text(message["text"]), msgId=message.id, born=message.born_timestamp,
             store=message.store_timestamp, t=int(1000 * time.time()), taken=True)


def consume(line):
    model = (MessageModel.BROADCASTING if line.text("model") == "broadcasting" else
             MessageModel.CLUSTERING)
    consumer = PushConsumer(line.text("group"), line.text("mode") == "orderly", model)
    consumer.set_namesrv_addr(NAMESRV)
    consumer.set_instance_name("agent" + line.id)
    signed(line, consumer)
    consumer.subscribe(line.text("topic"), lambda message: received(line, message),
                       line.text("tags", "*"))
    consumer.start()
    line.say("started")
    line.stopped.wait()
    consumer.shutdown()


def pull(line):
    """All that is there, from the beginning: this consumer keeps no position."""
    consumer = PullConsumer(line.text("group"))
    consumer.set_namesrv_addr(NAMESRV)
    signed(line, consumer)
    consumer.start()
    for message in consumer.pull(line.text("topic"), line.text("tags", "*")):
        received(line, message)
    consumer.shutdown()


VERBS = {"produce": produce, "consume": consume, "pull": pull}


def do(text):
    line = Line(text)

    def await_end():
        sys.stdin.read()
        line.stopped.set()

    threading.Thread(target=await_end, daemon=True).start()
    line.run()
    os._exit(0)  # threads of librocketmq may still run


def watch(line, process):
    code = process.wait()
    if code != 0:
        line.say("fail", error=f"its process ended with {code}", code=-1)
        line.say("end")


def main():
    if len(sys.argv) > 1:
        do(sys.argv[1])
    running = {}
    for text in sys.stdin:
        line = Line(text)
        if line.verb == "stop":
            running[line.text("of")].stdin.close()
            continue
        process = subprocess.Popen([sys.executable, __file__, text.strip()], stdin=subprocess.PIPE)
        running[line.id] = process
        threading.Thread(target=watch, args=(line, process), daemon=True).start()


main()
