#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What an account of the mini-broker is not given, whatever it says in heartbeats.

  accounts_test.py [TEST...]
"""

import contextlib
import json
import os
import sys
import time

import ops
import wire
from join_test import signature
from keep_test import Kept
from promises_test import ASKED, rolled_back

OK, NO_PERMISSION = 0, 16
REPLIES = "DefaultCluster_REPLY_TOPIC"
SECRETS = {name: f"secret-of-{name}" for name in ("alice", "bob", "carol")}
ACCOUNTS = [{"accessKey": "alice", "secretKey": SECRETS["alice"], "publish": ["orders"]},
            {"accessKey": "bob", "secretKey": SECRETS["bob"], "publish": ["other"]},
            {"accessKey": "carol", "secretKey": SECRETS["carol"], "publish": [REPLIES]}]


class Signed(wire.Connection):
    """Of an account."""

    def __init__(self, broker, account):
        super().__init__((ops.HOST, broker.port))
        self.account, self.requests = account, []

    def message(self):
        header, body = super().message()
        if not header.get("flag", 0) & 1:
            self.requests.append((header["code"], header["extFields"], body))
        return header, body

    def ask(self, code, ext=None, body=b""):
        fields = {name: str(value) for name, value in (ext or {}).items()}
        fields["AccessKey"] = self.account
        fields["Signature"] = signature(SECRETS[self.account], fields, body)
        return super().ask(code, fields, body)

    def asked(self):
        """What the server has asked it until now."""
        self.ask(105, {"topic": "TBW102"})
        return self.requests

    def produces(self, client, *groups):
        return self.ask(34, {}, json.dumps({"clientID": client, "producerDataSet": [
            {"groupName": group} for group in groups]}).encode())[0]["code"]


@contextlib.contextmanager
def guarded(*options):
    """A broker with these accounts."""
    with Kept() as kept:
        path = os.path.join(kept.directory, "accounts.json")
        with open(path, "w", encoding="utf-8") as out:
            json.dump({"accounts": ACCOUNTS}, out)
        with kept.broker("--acl", path, *options) as broker:
            yield broker


def test_a_client_of_one_account_is_of_no_other(checks):
    """Answers to its requests go to it."""
    answer = {"a": "group", "b": REPLIES, "c": "TBW102", "d": 1, "e": 0, "f": 0, "g": 1, "h": 0,
              "i": "REPLY_TO_CLIENT\1client\2CORRELATION_ID\1" "42\2"}
    with guarded() as broker, Signed(broker, "bob") as bob, Signed(broker, "carol") as carol:
        with Signed(broker, "alice") as alice, Signed(broker, "alice") as again:
            checks.same("alice is there", OK, alice.produces("client", "group"))
            for number in range(40):
                checks.same("bob says that it is his", NO_PERMISSION,
                            bob.produces("client", f"group{number}"))
            checks.same("he may have another id", OK, bob.produces("bob's", "group"))
            checks.same("answered", OK, carol.ask(325, answer, b"secret")[0]["code"])
            checks.same("bob", [], bob.asked())
            checks.same("alice", [(326, b"secret")],
                        [(code, body) for code, _, body in alice.asked()])
            checks.same("alice comes by another connection", OK, again.produces("client", "group"))
            for who in (bob, carol):
                checks.same("consumers share it", OK,
                            who.produces("host@DEFAULT", "CLIENT_INNER_PRODUCER"))
        checks.until("who has gone is no obstacle", 20,
                     lambda: bob.produces("client", "group") == OK)


def test_who_may_not_write_is_not_asked_after_a_message(checks):
    """The question has the message in it. Where nobody else is there, it waits."""
    half = {"a": "group", "b": "orders", "c": "TBW102", "d": 4, "e": 0, "f": 4, "g": 1, "h": 0,
            "i": "TRAN_MSG\1true\2PGROUP\1group\2", "j": 0}
    with guarded("--check-interval", "1000", "--checks", "1") as broker, \
            Signed(broker, "alice") as alice, Signed(broker, "bob") as bob:
        checks.same("bob is there", OK, bob.produces("bob's", "group"))
        prepared = {alice.ask(310, half, b"secret")[0]["extFields"]["queueOffset"]
                    for _ in range(6)}
        time.sleep(4)
        checks.same("none has ended", 0, rolled_back(broker))
        checks.same("alice is there", OK, alice.produces("alice's", "group"))
        checks.until("she is asked after all of them", 20, lambda: prepared == {
            fields["commitLogOffset"] for code, fields, _ in alice.asked() if code == ASKED},
            alice.asked)
        checks.same("bob is asked nothing", [], bob.asked())


if __name__ == "__main__":
    sys.exit(ops.Checks().run([value for name, value in list(globals().items())
                               if name.startswith("test_")]))
