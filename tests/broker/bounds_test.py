#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""How much of what is sent to the mini-broker it keeps: what has no room is refused, or answered at
once, and what was used is given back.

  bounds_test.py [TEST...]
"""

import json
import sys
import time

import ops
import wire
from keep_test import KIB, MIB, SLACK, anonymous, held_pulls, resident, send
from ops import Broker

OK, SYSTEM_ERROR, NOT_FOUND, BAD_SUBSCRIPTION, INVALID = 0, 1, 19, 23, 29


# ---- values of the name server -------------------------------------------------------------------


def put(connection, key, value):
    return connection.ask(100, {"namespace": "n", "key": key, "value": value})[0]["code"]


def test_values_have_room_in_all(checks):
    with Broker() as broker, broker.connect() as connection:
        before, large = resident(broker), "x" * 60000
        codes = [put(connection, number, large) for number in range(1000)]
        count = codes.count(OK)
        checks.same("some, then no more", [OK] * count + [SYSTEM_ERROR] * (1000 - count), codes)
        checks.check("16 MiB", 270 <= count < 280, count)
        grown = resident(broker) - before
        checks.check("memory", grown < 24 * SLACK * MIB, grown)
        larger = [put(connection, number, large + "x" * 5000) for number in range(20)]
        checks.same("nor larger ones in their place", SYSTEM_ERROR, larger[-1])
        checks.check("what was stays", large == connection.ask(
            101, {"namespace": "n", "key": 19})[0]["extFields"]["value"])
        for number in range(3):
            checks.same("a smaller one", OK, put(connection, number, "small"))
        checks.same("makes room", OK, put(connection, "new", large))
        connection.ask(102, {"namespace": "n", "key": "new"})
        checks.same("and so does one that goes", OK, put(connection, "newer", large))


if __name__ == "__main__":
    sys.exit(ops.Checks().run([value for name, value in list(globals().items())
                               if name.startswith("test_")]))
