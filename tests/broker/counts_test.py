#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Rates and totals that administrators of the mini-broker are told: of a topic, of a group, of all.

  counts_test.py [TEST...]
"""

import json
import re
import sys
import time

import ops
import wire
from ops import Broker

OK, NOT_FOUND = 0, 19


def status(connection):
    """The table of 28."""
    header, body = connection.ask(28)
    return json.loads(body)["table"] if header["code"] == OK else {}


def rate_in(connection, code, name, fields):
    """Of a body that is no JSON, because objects are names in it."""
    _, body = connection.ask(code, fields)
    found = re.search(rf'"{name}":([0-9.]+)[,}}]', body.decode())
    return float(found.group(1)) if found else None


def consumed(connection, group, topic, count):
    """Pulled, and told so."""
    _, body = connection.ask(11, wire.pulling(group, topic, 0, 0))
    header, _ = connection.ask(15, {"consumerGroup": group, "topic": topic, "queueId": 0,
                                    "commitOffset": count})
    return len(list(wire.records(body))), header["code"]


def test_rates_of_topics_and_groups(checks):
    with Broker() as broker, broker.connect() as connection:
        for topic, count in (("orders", 30), ("audits", 12), ("quiet", 0)):
            broker.send(topic, count or 1)
            if count:
                checks.same(topic, (count, OK), consumed(connection, "readers", topic, count))
        for topic, count in (("orders", 30), ("audits", 12), ("quiet", 1)):
            rate = rate_in(connection, 202, "topicPutTps", {"topic": topic})
            checks.check(f"of {topic}", rate and count / 60 <= rate <= count / 9, rate)
        for fields, count in (({}, 42), ({"topic": "orders"}, 30)):
            rate = rate_in(connection, 208, "consumeTps", {"consumerGroup": "readers", **fields})
            checks.check(f"of the group, {fields}", rate and count / 60 <= rate <= count / 9, rate)
        checks.same("of one that consumes nothing", 0.0,
                    rate_in(connection, 208, "consumeTps", {"consumerGroup": "nobody"}))


def first_rate(table, name):
    """Of the last ten seconds."""
    return float(table[name].split(" ")[0])


def test_rates_of_the_broker(checks):
    with Broker() as broker, broker.connect() as connection:
        broker.send("orders", 20)
        for _ in range(5):
            connection.ask(11, wire.pulling("readers", "orders", 0, 0))
        for _ in range(3):
            checks.same("nothing", NOT_FOUND, connection.ask(
                11, wire.pulling("readers", "orders", 0, 20))[0]["code"])
        for ms in (1000, 1000, 3600000):
            checks.same("for later", OK, connection.ask(310, wire.sending(
                "orders", properties=f"TIMER_DELAY_MS\1{ms}\2"), b"later")[0]["code"])
        checks.until("delivered", 10, lambda: status(connection)["timerCongestNum"] == "1")
        time.sleep(2.1)  # what is counted is looked at every two seconds
        table = status(connection)
        found, missed, both = (first_rate(table, name)
                               for name in ("getFoundTps", "getMissTps", "getTotalTps"))
        checks.check("found and missed", 0 < missed < found, table)
        checks.check("together", abs(found + missed - both) < 0.02, table)
        checks.check("taken", first_rate(table, "putTps") > 0, table)
        checks.check("given", first_rate(table, "getTransferredTps") > found, table)
        enqueued, dequeued = float(table["timerEnqueueTps"]), float(table["timerDequeueTps"])
        checks.check("timers", 0 < dequeued < enqueued, table)


def zone(seconds):
    """A time zone in which a day ends so soon."""
    now = time.time() % 86400
    east = (86400 - seconds - now) % 86400
    return "TST-" + time.strftime("%H:%M:%S", time.gmtime(east))


def totals(connection):
    table = status(connection)
    return [int(table[f"msg{way}Total{when}"]) for way in ("Put", "Get")
            for when in ("YesterdayMorning", "TodayMorning", "TodayNow")]


def test_totals_of_days(checks):
    with Broker(environment={"TZ": zone(8)}) as broker, broker.connect() as connection:
        broker.send("orders", 4)
        consumed(connection, "readers", "orders", 4)
        checks.same("the first day", [0, 0, 4, 0, 0, 4], totals(connection))
        checks.until("midnight passes", 20,
                     lambda: totals(connection) == [0, 4, 4, 0, 4, 4], lambda: totals(connection))
        broker.send("orders", 3)
        checks.same("the second day", [0, 4, 7, 0, 4, 4], totals(connection))


if __name__ == "__main__":
    sys.exit(ops.Checks().run([test_rates_of_topics_and_groups],
                              waiting=[test_totals_of_days, test_rates_of_the_broker]))
