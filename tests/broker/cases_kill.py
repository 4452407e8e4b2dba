# SPDX-License-Identifier: BSD-2-Clause
"""The server is killed while clients run. What was acknowledged is there afterwards, unaltered."""

import random
import time

import wire
from cases import case, need, same
from crashes import await_acknowledged, begin, check_consumed, check_stored, stop

ROUNDS = {True: 2, False: 6}


@case((), alone=True)
def kill_nine(ctx):
    agents = [ctx.other("java 5.3")]
    for kind in ("java 4.9", "go"):
        agents += [agent for agent in ctx.agents if agent.name.startswith(kind)][:1]
    draw = random.Random(ctx.seed)
    topic = ctx.topic(4)
    tasks = []
    for number, agent in enumerate(agents):
        tasks.append(begin(ctx, agent, f"ordered{number}", topic, mode="ordered", streams=4))
        tasks.append(begin(ctx, agent, f"sync{number}", topic))
    consumer = agents[0].begin("consume", topic=topic, group=ctx.group()).started()
    moments = []
    rounds = ROUNDS[ctx.short]
    for _ in range(rounds):
        await_acknowledged(tasks, 20)
        moment = draw.uniform(0.05, 1.5)
        time.sleep(moment)
        ctx.engine.kill()
        moments.append(round(moment, 2))
        time.sleep(0.3)
        begun = time.monotonic()
        ctx.engine.start()
        ready = time.monotonic() - begun
        count, _ = check_stored(ctx, topic, [])
    time.sleep(2)
    stop(tasks)
    count, there = check_stored(ctx, topic, tasks)
    check_consumed(consumer, tasks)
    need(count > 20 * rounds * len(tasks) - 1, "too few messages for a verdict", count)
    return (f"{rounds} times kill -9 ({len(tasks)} producers, {len(agents)} clients, sync flush): "
            f"{count} acknowledged, {there} stored, all stored and consumed, bytes and order; "
            f"serves again after {ready:.1f} s")


@case((), alone=True)
def ended_and_begun(ctx):
    """Without kill: everything is where it was, positions of groups too."""
    agent = ctx.other("java 5.3")
    topic = ctx.topic(2)
    ctx.agent = agent
    first = agent.begin("consume", topic=topic, group=ctx.group(), tags="TagA").started()
    acks = ctx.produce(topic, 20, tags="TagA", key=ctx.seed)
    ctx.check_once(first.messages(20, 60), range(20))
    level, wait = (4, 30) if ctx.engine.name == "rocketmq" else (3, 10)  # it takes long to begin
    delayed = ctx.produce(topic + "-d", 1, delay=level)
    first.stop()
    begun = time.time()
    ctx.engine.stop()
    ctx.engine.start()
    early = wire.read_topic(ctx.engine.namesrv, ctx.engine.broker, topic + "-d")
    if time.time() - begun < wait - 1:  # else it says nothing
        same("delayed message before its time", early, [])
    ctx.produce(topic, 10, tags="TagA", **{"from": 20})
    second = agent.begin("consume", topic=topic, group=ctx.group(), tags="TagA").started()
    second.messages(10, 60)
    time.sleep(1)
    second.stop()
    ctx.check_once(second.of("msg"), range(20, 30))
    found = agent.do("find", topic=topic, msgid=acks[7]["msgId"]).of("msg")
    same("found by unique key", [m["i"] for m in found], ["7"])
    found = agent.do("find", topic=topic, key=f"{ctx.seed}all").of("msg")
    same("found by key", sorted(int(m["i"]) for m in found), list(range(20)))
    end = time.monotonic() + 40
    stored = []
    while not stored:
        need(time.monotonic() < end, "a delayed message did not come after the restart", delayed)
        time.sleep(0.5)
        stored = wire.read_topic(ctx.engine.namesrv, ctx.engine.broker, topic + "-d")
    need(stored[0]["store"] - stored[0]["born"] >= 1000 * wait - 100, "a delayed one came early")
    return "messages, positions, keys, unique keys and a delayed message outlive an orderly restart"
