#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Unmodified clients against the mini-broker, or against the official broker, which is right.

  run.py [--engine mini|rocketmq] [--short] [--clients java-5.3,go] [--cases NAME,...] [--seed N]

Prints a row for each case and client: passed, failed or skipped, and what was compared or why not.
The exit code is 0 if nothing failed. README.md says more.
"""

import argparse
import concurrent.futures
import datetime
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import agents
import artifacts
import cases
import cases_acl  # noqa: F401  each registers its cases
import cases_admin  # noqa: F401
import cases_between  # noqa: F401
import cases_hostile  # noqa: F401
import cases_join  # noqa: F401
import cases_kill  # noqa: F401
import cases_messages  # noqa: F401
import cases_powercut  # noqa: F401
import cases_python  # noqa: F401
import cases_tls  # noqa: F401
import engines
import examples
import integration
import results
import wire

CLIENTS = ("java-4.9", "java-5.3", "java-5.5", "java-5.3-binary", "go", "node", "python")
SHORT_CLIENTS = ("java-4.9", "java-5.3", "go", "node", "python")
ISOLATED = "BROKER_TESTS_ISOLATED"
# Begin first: at the end they would run alone, and wait.
LONGEST = ("admin-consumers", "admin-groups", "admin-queries", "admin-reset-online", "admin-status",
           "clustering-shares", "dead-letters", "delayed", "orderly", "retried", "timers")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--engine", choices=engines.ENGINES, default="mini")
    # servers are started in directories of their own
    parser.add_argument("--binary", type=os.path.abspath, default=os.path.join(
        artifacts.ROOT, "build", "release", "mini-broker"))
    parser.add_argument("--short", action="store_true", help="some minutes")
    parser.add_argument("--clients", default="", help=",".join(CLIENTS))
    parser.add_argument("--cases", default="", help="names, or beginnings of names")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED", "0")) or None)
    parser.add_argument("--integration", action="store_true",
                        help="RocketMQ's own integration tests, and nothing else")
    parser.add_argument("--jobs", type=int, default=4, help="cases at a time")
    parser.add_argument("--json", metavar="FILE", help="the table, a row a line")
    parser.add_argument("--results", metavar="FILE", type=os.path.abspath,
                        help="the table, as a page")
    parser.add_argument("--keep", action="store_true", help="the directory of the run stays")
    parser.add_argument("--list", action="store_true", help="the cases, and which are short")
    parser.add_argument("--fetch", action="store_true", help="get the artifacts and nothing else")
    parser.add_argument("--left-out", type=json.loads, default={}, help=argparse.SUPPRESS)
    parser.add_argument("--record", action="store_true", help="write checksums.tsv anew")
    return parser.parse_args()


def whole(options):
    return not (options.short or options.cases or options.clients)


class Table:
    def __init__(self, engine):
        self.engine, self.rows, self.lock = engine, [], threading.Lock()

    def add(self, case, client, state, text, seconds):
        row = {"case": case, "client": client, "engine": self.engine, "result": state,
               "seconds": round(seconds, 1), "text": text}
        with self.lock:
            self.rows.append(row)
            print(f"{case:24} {client:18} {state:8} {seconds:6.1f} s  {text}", flush=True)

    def count(self, state):
        return sum(row["result"] == state for row in self.rows)


def fetch(clients, options):
    """Everything from outside, before the network is left; what it is, for who reads the log."""
    os.makedirs(artifacts.BUILD, exist_ok=True)
    sets = sorted({"client-" + c.split("-")[1] for c in clients if c.startswith("java")})
    if options.engine == "rocketmq" or options.fetch or joins(options):
        sets.append("broker-5.3")
    if options.integration or options.fetch or whole(options):
        sets.append(integration.SET)
    for name in sets:
        artifacts.get_jars(name)
    if options.record:
        artifacts.record(sets)
    for name in sets:
        for file, value in artifacts.verify_jars(name):
            if file.startswith(("rocketmq-client-", "rocketmq-example-", "rocketmq-tools-",
                                "rocketmq-broker-", "rocketmq-namesrv-", "rocketmq-test-")):
                print(f"{name:12} {file:36} sha256 {value}")
        if name.startswith("client"):
            artifacts.compile_java(name, "java/src")
    if integration.SET in sets:
        artifacts.compile_java(integration.SET, "java/integration")
    if "node" in clients:
        artifacts.get_node()
        print("node         ali-ons 3.12.0, held against node/package-lock.json")
    if "go" in clients:
        artifacts.get_go()
        print("go           rocketmq-client-go v2.1.2, held against go/go.sum")
    if "python" in clients:
        artifacts.get_python()
        version, value = artifacts.python_pin()
        print(f"python       rocketmq {version:27} sha256 {value}")


def fetch_most(clients, options):
    """The clients that can be had, with ALLOW_SKIP: where a tool or a registry is missing."""
    had = []
    for client in clients:
        try:
            fetch([client], options)
            had.append(client)
        except artifacts.ArtifactError as error:
            options.left_out[client] = str(error).strip().splitlines()[0]
            print(f"skip: {client}: {options.left_out[client]}")
    sys.argv += ["--clients", ",".join(had), "--left-out", json.dumps(options.left_out)]
    return had


def leave_out(clients, options):
    """What is not published for this machine. Whether a client is left, or none was asked for."""
    if "python" in clients and not artifacts.python_fits():
        clients.remove("python")
        options.left_out["python"] = "its wheel is for Linux on x86-64 only"
        if not os.environ.get(ISOLATED):
            print(f"skip: python: {options.left_out['python']}")
        return bool(clients)
    return True


def joins(options):
    return any(case.name.startswith("join") and not case.short for case in chosen(options))


def isolate():
    """Again in a network of our own, where the addresses that examples have built in are free."""
    if os.environ.get(ISOLATED):
        return True
    probe = subprocess.run(["unshare", "--net", "ip", "link", "set", "lo", "up"], check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if probe.returncode != 0:
        return False
    os.environ[ISOLATED] = "1"
    sys.stdout.flush()
    os.execvp("unshare", ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh",
                          sys.executable, *sys.argv])
    return False


def run_case(case, context, table):
    client = context.agent.name if context.agent else "-"
    begin = time.monotonic()
    try:
        state, text = "passed", case.function(context)
    except cases.Skipped as reason:
        state, text = "skipped", str(reason)
    except (cases.Failed, agents.AgentError, wire.WireError, OSError) as error:
        state, text = "FAILED", str(error)
    except Exception:  # pylint: disable=broad-except  a mistake of ours is a failure, too
        state, text = "FAILED", traceback.format_exc()
    finally:
        context.close()
    if not context.engine.alive():
        state, text = "FAILED", "the server is gone; " + text
    table.add(case.name, client, state, text, time.monotonic() - begin)


def run_cases(some, table):
    for case, context in some:
        run_case(case, context, table)


def begin_agent(client, directory, namesrv):
    if client == "go":
        return agents.go(directory, namesrv)
    if client == "node":
        return agents.node(directory, namesrv)
    if client == "python":
        return agents.python(directory, namesrv)
    words = client.split("-")
    binary = len(words) > 2
    return agents.java("client-" + words[1], directory, namesrv,
                       ("-Drocketmq.serialize.type=ROCKETMQ",) if binary else (),
                       " binary" if binary else "")


def chosen(options):
    names = [name for name in options.cases.split(",") if name]
    for case in cases.CASES:
        if names and not any(case.name.startswith(name) for name in names):
            continue
        if options.short and not case.short:
            continue
        yield case


def run_integration(options, isolated, table):
    base = fresh_directory("integration-")
    engine = begin_engine(options, base, isolated)
    integration.serve_tls(engine, os.path.join(base, "certificates"))
    try:
        engine.start()
        integration.run(engine, os.path.join(base, "tests"),
                        [n for n in options.cases.split(",") if n], table, options.jobs)
    finally:
        engine.stop()
        finish(base, options.keep or table.count("FAILED"))


def wanted_examples(options):
    names = [name for name in options.cases.split(",") if name]
    for lane in examples.LANES:
        functions = [f for f in lane if not (options.short and f not in examples.SHORT)]
        functions = [f for f in functions
                     if not names or any(f"example-{f.__name__}".startswith(n) for n in names)]
        if functions:
            yield functions


def run_lane(functions, lane, table):
    for function in functions:
        case = cases.Case("example-" + function.__name__.replace("_", "-"), (), True, False,
                          function)
        run_case(case, lane, table)


def run_examples(options, clients, isolated, table):
    """Each version has a server of its own, for the topics and groups of the programs are fixed."""
    lanes = list(wanted_examples(options))
    versions = [c for c in clients if c.startswith("java") and c.count("-") == 1]
    for client in versions if lanes else []:
        base = fresh_directory("examples-")
        engine = begin_engine(options, base, isolated)
        failed = table.count("FAILED")
        try:
            engine.start()
            threads = []
            for number, functions in enumerate(lanes):
                lane = examples.Lane(engine, client.replace("java", "client"),
                                     os.path.join(base, f"lane-{number}"), isolated)
                threads.append(threading.Thread(target=run_lane, args=(functions, lane, table)))
                threads[-1].start()
            for thread in threads:
                thread.join()
        finally:
            engine.stop()
            finish(base, options.keep or table.count("FAILED") > failed)


def fresh_directory(prefix):
    runs = os.path.join(artifacts.BUILD, "runs")
    os.makedirs(runs, exist_ok=True)
    return tempfile.mkdtemp(prefix=prefix, dir=runs)


def finish(base, keep):
    if keep:
        print(f"kept: {base}")
    else:
        shutil.rmtree(base, ignore_errors=True)


def begin_engine(options, base, isolated):
    kind = engines.ENGINES[options.engine]
    kind.binary = options.binary
    return kind(os.path.join(base, "server"), 9876 if isolated else 29876, 29911)


def run(options, clients, isolated, table):
    base = fresh_directory("cases-")
    engine = begin_engine(options, base, isolated)
    failed = table.count("FAILED")
    running = []
    try:
        engine.start()
        for client in clients:
            running.append(begin_agent(client, os.path.join(base, "clients"), engine.address))
        together, lane, alone = [], [], []
        for case in chosen(options):
            if case.clients == ():
                (alone if case.alone else lane).append((case, cases.Context(
                    engine, running, None, options.seed, case.name, options.short)))
            for agent in running:
                if agent.name.split()[0] in case.clients:
                    context = cases.Context(engine, running, agent, options.seed, case.name)
                    (alone if case.alone else together).append((case, context))
        random.Random(options.seed).shuffle(together)
        together.sort(key=lambda one: one[0].name not in LONGEST)
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            # Some of them have servers of their own, so one after the other.
            pool.submit(run_cases, lane, table)
            for one in together:
                pool.submit(run_cases, [one], table)
        run_cases(alone, table)
    finally:
        for agent in running:
            agent.close()
        engine.stop()
        finish(base, options.keep or table.count("FAILED") > failed)


def main():
    options = arguments()
    if options.list:
        for case in cases.CASES:
            print(f"{case.name:26} {'short' if case.short else '     '} {' '.join(case.clients)}")
        for lane in examples.LANES:
            for function in lane:
                print(f"{'example-' + function.__name__.replace('_', '-'):26} "
                      f"{'short' if function in examples.SHORT else '     '} java")
        return 0
    clients = [] if options.integration else [c for c in options.clients.split(",") if c] or list(
        SHORT_CLIENTS if options.short else CLIENTS)
    if not leave_out(clients, options):
        return 0
    if not os.environ.get(ISOLATED) and os.environ.get("ALLOW_SKIP") and clients:
        clients = fetch_most(clients, options)
        if not clients:
            print(f"0 passed, 0 failed, {len(options.left_out)} skipped")
            return 0
    elif not os.environ.get(ISOLATED):
        fetch(clients, options)
    if options.fetch or options.record:
        return 0
    if options.engine == "mini" and not os.access(options.binary, os.X_OK):
        print(f"{options.binary} is not there; make broker", file=sys.stderr)
        return 1
    if options.seed is None:
        options.seed = int.from_bytes(os.urandom(3), "big") + 1
        sys.argv += ["--seed", str(options.seed)]
    isolated = isolate()
    print(f"engine {options.engine} ({engines.ENGINES[options.engine].version}), "
          f"SEED={options.seed}{'' if isolated else ', not in a network of its own'}", flush=True)
    table = Table(options.engine)
    for client, reason in options.left_out.items():
        table.add("-", client, "skipped", reason, 0)
    begin = time.monotonic()
    if options.integration:
        run_integration(options, isolated, table)
    else:
        if list(chosen(options)):
            run(options, clients, isolated, table)
        run_examples(options, clients, isolated, table)
        if whole(options):
            run_integration(options, isolated, table)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as out:
            for row in table.rows:
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
    if options.results:
        results.write(options.results, table,
                      f"engine {options.engine} ({engines.ENGINES[options.engine].version})",
                      options.seed, datetime.date.today().isoformat())
    failed = [row for row in table.rows if row["result"] == "FAILED"]
    for row in failed:
        print(f"failed: {row['case']}, {row['client']}: {row['text']}")
    if not table.rows:
        print("no case was chosen")
        return 1
    print(f"{time.monotonic() - begin:.0f} s, SEED={options.seed}")
    print(f"{table.count('passed')} passed, {len(failed)} failed, {table.count('skipped')} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
