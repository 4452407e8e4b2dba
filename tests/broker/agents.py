# SPDX-License-Identifier: BSD-2-Clause
"""Processes with an unmodified client in them (java/src, go, node, python), and what they are told
and say.

An agent is told one line for each task and says lines of JSON that carry the number of the task.
One thread for each agent reads them into the tasks; whoever waits is woken by the condition of the
agent.
"""

import itertools
import json
import os
import subprocess
import sys
import threading
import time
import urllib.parse

import artifacts


# Else a new consumer may wait 20 s for its queues. That members of a group are told of each other
# at once is asked for by itself (members-are-told). And a consumer finds its queues one second
# after it has begun, unless told otherwise, in the same millisecond as its first heartbeat by the
# clock: it then may leave out the one that tells of its new subscription, is told by any broker
# that what it has said is not the latest, and gets nothing until the next, 30 s later.
REBALANCE = ("-Drocketmq.client.rebalance.waitInterval=2000",
             "-Drocketmq.client.rebalance.minInterval=400")


class AgentError(Exception):
    pass


# mqadmin of the 4.9 line wants one where it is installed.
LOGBACK = """\
<configuration>
  <root level="OFF"/>
</configuration>
"""


def environment(directory, namesrv):
    """Where the server is, and what a client finds beside itself where it is installed."""
    os.makedirs(os.path.join(directory, "conf"), exist_ok=True)
    with open(os.path.join(directory, "conf", "logback_tools.xml"), "w", encoding="ascii") as out:
        out.write(LOGBACK)
    return {**os.environ, "NAMESRV_ADDR": namesrv, "HOME": directory, "ROCKETMQ_HOME": directory}


class Task:
    def __init__(self, agent, identity, verb):
        self.agent, self.identity, self.verb = agent, identity, verb
        self.events = []
        self.ended = False

    def of(self, kind):
        with self.agent.condition:
            return [event for event in self.events if event["ev"] == kind]

    def wait(self, what, seconds, until):
        """Until until(events) holds. AgentError if it does not come, or the task ends before."""
        end = time.monotonic() + seconds
        with self.agent.condition:
            while not until(self.events):
                left = end - time.monotonic()
                if self.ended or left <= 0 or self.agent.died():
                    how = ("ended" if self.ended else "died" if self.agent.died() else
                           f"waited {seconds} s")
                    raise AgentError(f"{self.agent.name} {self.verb}: {how}, but not: {what}; "
                                     f"last: {self.events[-2:]}")
                self.agent.condition.wait(min(left, 1))

    def started(self, seconds=40):
        self.wait("started", seconds, lambda events: any(e["ev"] == "started" for e in events))
        return self

    def messages(self, count, seconds):
        """Until `count` different messages were taken."""
        self.wait(f"{count} messages", seconds, lambda events: len(
            {(e["s"], e["i"]) for e in events if e["ev"] == "msg" and e["taken"]}) >= count)
        return self.of("msg")

    def end(self, seconds=90):
        end = time.monotonic() + seconds
        with self.agent.condition:
            while not self.ended:
                left = end - time.monotonic()
                if left <= 0 or self.agent.died():
                    raise AgentError(f"{self.agent.name} {self.verb} does not end; "
                                     f"last: {self.events[-2:]}")
                self.agent.condition.wait(min(left, 1))
        return self

    def ask_to_stop(self):
        if not self.ended:
            self.agent.tell(f"{self.identity} stop of={self.identity}")

    def stop(self, seconds=60):
        self.ask_to_stop()
        return self.end(seconds)


class Agent:
    """One process; `name` is the client and its version, as the table prints it."""

    lock = threading.Lock()
    numbers = itertools.count(1)

    def __init__(self, name, command, directory, namesrv):
        self.name, self.made_from = name, (name, command, directory, namesrv)
        self.condition = threading.Condition()
        self.tasks = {}
        os.makedirs(directory, exist_ok=True)
        self.log = open(os.path.join(directory, name.replace(" ", "-") + ".err"), "ab")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, cwd=directory,
            env=environment(directory, namesrv))
        self.admin_agent, self.admin_lock = None, threading.Lock()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def again(self):
        return Agent(*self.made_from)

    def died(self):
        return self.process.poll() is not None

    def read(self):
        for line in self.process.stdout:
            if not line.startswith(b"{"):
                continue
            event = json.loads(line)
            event["at"] = time.time()
            with self.condition:
                task = self.tasks.get(event["id"])
                if task is not None:
                    task.events.append(event)
                    if event["ev"] == "end":
                        task.ended = True
                self.condition.notify_all()

    def tell(self, text):
        with self.lock:
            try:
                self.process.stdin.write(text.encode() + b"\n")
                self.process.stdin.flush()
            except OSError as error:
                raise AgentError(f"{self.name} died: {error}") from error

    def begin(self, verb, **values):
        with self.lock:
            identity = f"t{next(self.numbers)}"
        task = Task(self, identity, verb)
        with self.condition:
            self.tasks[identity] = task
        self.tell(" ".join([identity, verb] + [
            f"{name}={urllib.parse.quote(str(value), safe='')}" for name, value in values.items()]))
        return task

    def do(self, verb, **values):
        return self.begin(verb, **values).end()

    def admin(self, *words):
        """What mqadmin prints. It has a process of its own, for some of its commands end theirs."""
        with self.admin_lock:
            if self.admin_agent is None or self.admin_agent.died():
                self.admin_agent = self.again()
            agent = self.admin_agent
            task = agent.begin("admin", words="\x1f".join(words))
            try:
                task.end()
            except AgentError:
                agent.reader.join(5)
        output = task.of("output")
        if not output:
            raise AgentError(f"mqadmin {' '.join(words)}: {task.events}")
        return output[0]["text"]

    def close(self):
        if self.admin_agent is not None:
            self.admin_agent.close()
        try:
            self.process.stdin.close()
        except OSError:
            pass
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def java_command(client, main, directory, *arguments, heap=256, options=()):
    """Our classes first, then the official jars; the client's own log goes to the directory."""
    path = os.pathsep.join([artifacts.classes(client), os.path.join(artifacts.jars(client), "*")])
    return ["java", f"-Xmx{heap}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
            f"-Duser.home={directory}", f"-Drocketmq.client.logRoot={directory}/logs",
            "-Drocketmq.client.logLevel=WARN",
            *options, "-cp", path, main, *arguments]


def java(client, directory, namesrv, options=(), suffix=""):
    name = f"java {artifacts.VERSIONS[client]}{suffix}"
    return Agent(name, java_command(client, "Agent", directory, options=(*REBALANCE, *options)),
                 directory, namesrv)


def go(directory, namesrv):
    return Agent("go 2.1.2", [os.path.join(artifacts.BUILD, "go", "agent")], directory, namesrv)


def node(directory, namesrv):
    return Agent("node 3.12.0", ["node", os.path.join(artifacts.BUILD, "node", "agent.js")],
                 directory, namesrv)


def python(directory, namesrv):
    path = os.pathsep.join([os.path.join(artifacts.BUILD, "python"), artifacts.HERE])
    return Agent(f"python {artifacts.python_pin()[0]}",
                 ["env", f"PYTHONPATH={path}", sys.executable,
                  os.path.join(artifacts.HERE, "python", "agent.py")], directory, namesrv)
