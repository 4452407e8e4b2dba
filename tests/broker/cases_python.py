# SPDX-License-Identifier: BSD-2-Clause
"""What only the Python client does, or does in a way of its own. See python/agent.py."""

import messages
import wire
from cases import case, need, same

PYTHON = ("python",)


@case(PYTHON)
def pulled(ctx):
    topic = ctx.topic()
    acks = ctx.produce(topic, 100, tags="TagA,TagB")
    task = ctx.agent.do("pull", topic=topic, group=ctx.group(), tags="TagA")
    need(not task.of("fail"), "a pull failed", task.of("fail"))
    ctx.check_once(task.of("msg"), range(0, 100, 2))
    ctx.check_places(task.of("msg"), acks)
    ctx.check_order(task.of("msg"))
    acks += ctx.produce(topic, 8, tags="TagA", **{"from": 100})
    task = ctx.agent.do("pull", topic=topic, group=ctx.group(), tags="TagA")
    ctx.check_once(task.of("msg"), [*range(0, 100, 2), *range(100, 108)])
    ctx.check_places(task.of("msg"), acks)
    return "pulled with a tag: half of 100 messages, once, in order by queue; then 8 more"


@case(PYTHON)
def batch_of_cpp(ctx):
    """The C++ client says "batch":"1" in a plain send, which the official broker, for which only
    "true" is true, stores as a message: so do we, for what was acknowledged is one offset.
    """
    topic = ctx.topic(1)
    task = ctx.agent.do("produce", topic=topic, n=24, seed=ctx.seed, mode="batch", batch=8)
    need(not task.of("fail"), "a batch failed", task.of("fail")[:1])
    stored = wire.read_topic(ctx.engine.namesrv, ctx.engine.broker, topic)
    same("messages in the topic", len(stored), 3)
    same("acknowledged offsets", [b["off"] for b in task.of("batch")], [0, 1, 2])
    for record, batch in zip(stored, task.of("batch")):
        for index in range(batch["i"], batch["i"] + 8):
            body = messages.body(ctx.seed, index)
            need(len(body).to_bytes(4, "big") + body in record["body"],
                 f"message {index} is not in what was stored", record)
    return "3 batches as the C++ client sends them: a message each, as with the official broker"
