# SPDX-License-Identifier: BSD-2-Clause
"""What the cases share that crash the server while clients run: producers that send without end and
repeat what was not acknowledged, and the comparison of what they were told with what is there.
"""

import collections
import time

import messages
import wire
from cases import Failed, need, same


class Lost(Failed):
    """A message was acknowledged, and is not there."""


def begin(ctx, agent, name, topic, **values):
    task = agent.begin("produce", topic=topic, seed=f"{ctx.seed}-{name}", n=10 ** 7,
                       again=1, pause=2,
                       timeout=3000, group=f"P-{ctx.name}-{name}", **values)
    task.seed, task.ordered = f"{ctx.seed}-{name}", values.get("mode") == "ordered"
    return task


def acknowledged(task):
    """Not what was answered that it is stored but perhaps not on the disk (FLUSH_DISK_TIMEOUT)."""
    return [ack for ack in task.of("ack") if ack["status"] == "SEND_OK"]


def await_acknowledged(tasks, count):
    """Until each producer was acknowledged so many more."""
    before = [len(acknowledged(task)) for task in tasks]
    end = time.monotonic() + 90
    while any(len(acknowledged(task)) < was + count for task, was in zip(tasks, before)):
        need(time.monotonic() < end, "a producer does not go on", [
            (t.agent.name, len(acknowledged(t)), t.events[-1:]) for t in tasks])
        time.sleep(0.05)


def stop(tasks):
    """All at once: a client may wait seconds for an answer of the server that is gone."""
    for task in tasks:
        task.ask_to_stop()
    for task in tasks:
        task.end()


def check_order(stored, task):
    """In each queue, an ordered producer's messages are in the order in which it sent them."""
    found = {(record["q"], record["off"]): index for (seed, index), records in stored.items()
             for record in records if seed == task.seed}
    before = {}
    for (queue, _), index in sorted(found.items()):
        need(index >= before.get(queue, -1), f"queue {queue}: {index} after {before.get(queue)}")
        before[queue] = index


def check_stored(ctx, topic, tasks):
    """Each acknowledged message once or more (an unanswered send is sent again), with its bytes."""
    told = [(task, acknowledged(task)) for task in tasks]  # first, for producers may go on
    stored = collections.defaultdict(list)
    for record in wire.read_topic(ctx.engine.namesrv, ctx.engine.broker, topic):
        seed, index, _ = record["body"].split(b":", 2)
        key = (seed.decode(), int(index))
        need(record["body"] == messages.body(*key), f"message {key} was altered")
        stored[key].append(record)
    count = 0
    for task, acks in told:
        for ack in acks:
            found = stored.get((task.seed, ack["i"]), [])
            if not found:
                raise Lost(f"acknowledged, but not there: {task.seed}, {ack}")
            need(any((r["q"], r["off"]) == (ack["q"], ack["off"]) for r in found),
                 "acknowledged for another place", ack, [(r["q"], r["off"]) for r in found])
            count += 1
        if task.ordered:
            check_order(stored, task)
    return count, sum(len(r) for r in stored.values())


def check_consumed(consumer, tasks, seconds=120):
    """All that was acknowledged is received in that time, and what is received has its bytes."""
    wanted = {(task.seed, ack["i"]) for task in tasks for ack in acknowledged(task)}
    end = time.monotonic() + seconds
    while True:
        received = {(m["s"], int(m["i"])): m for m in consumer.of("msg")}
        if wanted <= received.keys():
            break
        need(time.monotonic() < end, "acknowledged, but not consumed",
             len(wanted - received.keys()), sorted(wanted - received.keys())[:5])
        time.sleep(0.5)
    consumer.stop()
    for message in consumer.of("msg"):
        same(f"bytes of {message['s']} {message['i']}", message["sum"],
             messages.expected(message["s"], message["i"]))
