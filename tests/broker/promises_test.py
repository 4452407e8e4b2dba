#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the mini-broker has answered holds: what is acknowledged is found again, on the disk, and
nobody is told what is not so.

  promises_test.py [TEST...]
"""

import sys

import ops
from keep_test import NO_TOPIC, Kept, pull, send

OK = 0


def kill(broker):
    broker.process.kill()
    broker.expected = -9


def contents(path):
    with open(path, "rb") as file:
        return file.read()


# ---- topics --------------------------------------------------------------------------------------


def test_a_topic_that_was_made_again_is_found_without_settings_of_it(checks):
    with Kept() as kept:
        with kept.broker() as broker, broker.connect() as connection:
            for topic in ("orders", "gone"):
                send(connection, topic, b"old")
                connection.ask(215, {"topic": topic})
            before = contents(kept.settings)
            checks.same("made again", OK, send(connection, "orders", b"new", e=1)[0])
            kill(broker)
        with open(kept.settings, "wb") as settings:
            settings.write(before)  # if it was written so soon
        for what in ("after a kill", "and later"):
            with kept.broker() as broker, broker.connect() as connection:
                checks.same(what, (OK, [b"new"]), pull(connection, "g", "orders", 1))
                checks.same("what was deleted is", NO_TOPIC, pull(connection, "g", "gone")[0])


def test_a_topic_that_was_made_again_has_what_comes_later(checks):
    with Kept() as kept:
        with kept.broker() as broker, broker.connect() as connection:
            send(connection, "orders", b"old")
            connection.ask(215, {"topic": "orders"})
            checks.same("made again", OK, send(connection, "orders", b"new", i="DELAY\x011\x02")[0])
            kill(broker)
        with kept.broker() as broker, broker.connect() as connection:
            checks.until("it comes", 10, lambda: pull(connection, "g", "orders") == (OK, [b"new"]),
                         lambda: pull(connection, "g", "orders"))


if __name__ == "__main__":
    sys.exit(ops.Checks().run([value for name, value in list(globals().items())
                               if name.startswith("test_")]))
