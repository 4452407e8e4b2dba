# SPDX-License-Identifier: BSD-2-Clause
"""What a case is, and what cases share.

A case is a function of a Context; it returns a sentence that says what was compared, and raises
Failed if that did not hold, or Skipped if it cannot be asked here. Cases use topics and groups of
their own, so that many can run at once.
"""

import collections
import time

import messages
import wire

CASES = []


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


Case = collections.namedtuple("Case", "name clients short alone function")


def case(clients, short=True, alone=False):
    """`clients`: kinds that it is asked of; short: in the short run; alone: nothing beside it."""
    def register(function):
        CASES.append(Case(function.__name__.replace("_", "-"), clients, short, alone, function))
        return function
    return register


def need(condition, text, *detail):
    if not condition:
        raise Failed(text + (": " + ", ".join(str(d)[:300] for d in detail) if detail else ""))


def same(what, actual, wanted):
    if actual != wanted:
        raise Failed(f"{what}: {str(actual)[:300]}, expected {str(wanted)[:300]}")


def until(seconds, what, ask):
    """ask() until it returns something; the official broker writes positions down now and then."""
    end = time.monotonic() + seconds
    while True:
        last = ask()
        if last:
            return last
        need(time.monotonic() < end, f"not within {seconds} s: {what}")
        time.sleep(0.5)


class Context:
    def __init__(self, engine, agents, agent, seed, case_name, short=False):
        self.short = short
        self.engine, self.agents, self.agent = engine, agents, agent
        plain = agent.name.replace(" ", "-").replace(".", "_") if agent else "all"
        self.seed = f"{seed}-{case_name}-{plain}"
        if agent and agent.name.startswith("python"):
            self.seed += messages.TEXT
        self.name = f"{case_name}-{plain}"
        self.twins = []

    def other(self, kind):
        """The first agent of a kind, for what this client cannot do itself."""
        for agent in self.agents:
            if agent.name.startswith(kind):
                return agent
        raise Skipped(f"no client {kind} in this run")

    def twin(self):
        """Where to begin a second consumer: ali-ons gives all of a process the same client id."""
        if not self.agent.name.startswith("node"):
            return self.agent
        self.twins.append(self.agent.again())
        return self.twins[-1]

    def close(self):
        for agent in self.twins:
            agent.close()

    @property
    def admin(self):
        return self.agent if self.agent and self.agent.name.startswith("java") else \
            self.other("java 5.3")

    def topic(self, queues=4, suffix=""):
        """A new topic, made by mqadmin, and awaited where clients look for it."""
        name = f"T-{self.name}{suffix}"
        text = self.admin.admin("updateTopic", "-b", self.engine.broker_address, "-t", name, "-r",
                                str(queues), "-w", str(queues))
        end = time.monotonic() + 15
        while wire.route(self.engine.namesrv, name) != queues:
            need(time.monotonic() < end, f"updateTopic made no topic {name}", text)
            time.sleep(0.05)
        return name

    def group(self, suffix=""):
        return f"G-{self.name}{suffix}"

    def produce(self, topic, count, agent=None, **values):
        """Each message acknowledged: [ack], in the order of their numbers."""
        agent = agent or self.agent
        task = agent.do("produce", topic=topic, n=count, seed=self.seed,
                        group=f"P-{self.name}", **values)
        need(not task.of("fail"), "a message was not acknowledged", task.of("fail")[:2])
        acks = sorted(task.of("ack"), key=lambda ack: ack["i"])
        same("numbers that were acknowledged", [a["i"] for a in acks],
             list(range(values.get("from", 0), values.get("from", 0) + count)))
        for ack in acks:
            same("status", ack["status"], "SEND_OK")
        return acks

    def check_bodies(self, received, limit=200, seed=None):
        for message in received:
            same("seed of a message", message["s"], seed or self.seed)
            same(f"checksum of message {message['i']}", message["sum"],
                 messages.expected(seed or self.seed, message["i"], limit))

    def check_once(self, received, numbers, limit=200):
        """Each of the numbers was taken once, with the right bytes, and nothing else was."""
        taken = [m for m in received if m["taken"]]
        counts = collections.Counter(int(m["i"]) for m in taken)
        missing = sorted(set(numbers) - set(counts))
        beyond = sorted(set(counts) - set(numbers))
        twice = sorted(i for i in counts if counts[i] > 1)
        need(not missing and not beyond and not twice, "not each message once",
             f"missing {missing[:10]}", f"unexpected {beyond[:10]}", f"more than once {twice[:10]}")
        self.check_bodies(taken, limit)

    def check_places(self, received, acks):
        """Where each message was found is where its acknowledgement said, under the same ids."""
        by_number = {ack["i"]: ack for ack in acks}
        for message in received:
            ack = by_number[int(message["i"])]
            for name in ("q", "off", "msgId", "offsetMsgId"):
                if ack.get(name) is not None and message.get(name) is not None:
                    same(f"{name} of message {message['i']}", message[name], ack[name])

    def check_order(self, received):
        """Of each queue, messages came in the order of their offsets."""
        last = {}
        for message in received:
            if message["off"] <= last.get(message["q"], -1):
                raise Failed(f"queue {message['q']}: {message['off']} after {last[message['q']]}")
            last[message["q"]] = message["off"]
