#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""account.py - what demo.sh asks of the broker without a client, and the table at its end.

  account.py fetch                          the official jars and modules, by Maven and npm
  account.py serves PORT                    waits until the broker answers
  account.py count FILE                     how many were acknowledged
  account.py await COUNT FILE...            until each of the producers has so many acknowledged
  account.py received DIR SECONDS           until all that was acknowledged was received, if it is
  account.py table DIR NAMESRV_PORT PORT    the table; 1: something acknowledged was lost

DIR has what the programs said: java-producer, java-consumer, node-producer, node-consumer, and
acknowledged-java, acknowledged-node: how many were before the kill.
"""

import os
import pathlib
import re
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "broker"))
import artifacts  # noqa: E402  pylint: disable=wrong-import-position
import wire  # noqa: E402  pylint: disable=wrong-import-position

JAVA_ACKNOWLEDGED = re.compile(r"sendStatus=SEND_OK, msgId=(\w+)")
JAVA_RECEIVED = re.compile(r"UNIQ_KEY=(\w+)")
JAVA_REFUSED = re.compile(r"^\S*(?:Exception|Error)\b", re.MULTILINE)
NODE = {"acknowledged": re.compile(r"^acknowledged (\S+)$", re.MULTILINE),
        "received": re.compile(r"^received (\S+)$", re.MULTILINE),
        "refused": re.compile(r"^refused (\S+)$", re.MULTILINE)}
TOPICS = {"java": "TopicTest", "node": "DemoNode"}
PROGRAMS = {"java": f"Java {artifacts.VERSIONS['client-5.3']}, quickstart", "node": "Node, ali-ons"}


def said(path):
    return pathlib.Path(path).read_text(encoding="utf-8", errors="replace")


def acknowledged(text):
    return JAVA_ACKNOWLEDGED.findall(text) + NODE["acknowledged"].findall(text)


def of_client(directory, client):
    """What was acknowledged, refused, received: texts that tell messages apart."""
    produced = said(os.path.join(directory, client + "-producer"))
    consumed = said(os.path.join(directory, client + "-consumer"))
    if client == "java":
        return (JAVA_ACKNOWLEDGED.findall(produced), JAVA_REFUSED.findall(produced),
                JAVA_RECEIVED.findall(consumed))
    return (NODE["acknowledged"].findall(produced), NODE["refused"].findall(produced),
            NODE["received"].findall(consumed))


def fetch():
    os.makedirs(artifacts.BUILD, exist_ok=True)
    artifacts.get_jars("client-5.3")
    artifacts.verify_jars("client-5.3")
    artifacts.get_node()
    return 0


def serves(port):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            with wire.Connection(("127.0.0.1", port), 2) as connection:
                if connection.ask(28)[0]["code"] == 0:
                    return 0
        except (OSError, wire.WireError):
            time.sleep(0.005)
    return 1


def await_count(count, files):
    end = time.monotonic() + 60
    while any(len(acknowledged(said(file))) < count for file in files):
        if time.monotonic() > end:
            return 1
        time.sleep(0.01)
    return 0


def received(directory, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        lists = [of_client(directory, client) for client in TOPICS]
        if all(set(sent) <= set(taken) for sent, _, taken in lists):
            break
        time.sleep(0.2)
    return 0


def stored(namesrv, broker, client):
    records = wire.read_topic(namesrv, broker, TOPICS[client])
    return {r["p"]["UNIQ_KEY"] if client == "java" else r["body"].decode() for r in records}


def table(directory, namesrv_port, port):
    lost = 0
    print(f"   {'client':26} {'before the kill':>15} {'acknowledged':>13} {'refused':>8} "
          f"{'stored':>7} {'received':>9} {'lost':>5}")
    for client in TOPICS:
        sent, refused, taken = of_client(directory, client)
        there = stored(("127.0.0.1", namesrv_port), ("127.0.0.1", port), client)
        missing = (set(sent) - there) | (set(sent) - set(taken))
        before = said(os.path.join(directory, "acknowledged-" + client)).strip()
        print(f"   {PROGRAMS[client]:26} {before:>15} {len(sent):13} {len(refused):8} "
              f"{len(there):7} {len(set(taken)):9} {len(missing):5}")
        lost += len(missing)
        if not sent:
            print(f"   nothing of {PROGRAMS[client]} was acknowledged")
            return 1
    return 1 if lost else 0


def main():
    verb, words = sys.argv[1], sys.argv[2:]
    if verb == "fetch":
        return fetch()
    if verb == "serves":
        return serves(int(words[0]))
    if verb == "count":
        print(len(acknowledged(said(words[0]))))
        return 0
    if verb == "await":
        return await_count(int(words[0]), words[1:])
    if verb == "received":
        return received(words[0], float(words[1]))
    return table(words[0], int(words[1]), int(words[2]))


if __name__ == "__main__":
    sys.exit(main())
