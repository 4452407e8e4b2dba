#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the mini-broker answers where RocketMQ 5.3.3 was asked the same: limits, queries, decisions
about transactions, and what administrators change.

  answers_test.py [TEST...]
"""

import json
import os
import pathlib
import re
import resource
import struct
import sys
import tempfile
import time

import ops
import wire
from ops import Broker

OK, SYSTEM_ERROR, ILLEGAL, NOT_FOUND, BAD_SUBSCRIPTION, NO_GROUP, INVALID = 0, 1, 13, 22, 23, 26, 29


def properties(**pairs):
    return "".join(f"{name}\1{value}\2" for name, value in pairs.items())


def send(connection, topic, body=b"body", code=310, **more):
    """The code of the answer, its fields, and its remark."""
    header, _ = connection.ask(code, {"a": "producers", "b": topic, "c": "TBW102", "d": 4, "e": 0,
                                      "f": 0, "g": 1, "h": 0, "i": "", "j": 0, **more}, body)
    return header["code"], header.get("extFields", {}), header.get("remark") or ""


def position(fields):
    """Of the message, as its id says."""
    return int(fields["msgId"][16:], 16)


def pull(connection, topic, group="readers", queue=0, offset=0, **more):
    """The code of the answer, and the records."""
    header, body = connection.ask(11, {**wire.pulling(group, topic, queue, offset), **more})
    return header["code"], list(wire.records(body))


def beat(connection, group):
    header, _ = connection.ask(34, {}, json.dumps({
        "clientID": "c", "producerDataSet": [], "consumerDataSet": [
            {"groupName": group, "consumeType": "CONSUME_PASSIVELY", "messageModel": "CLUSTERING",
             "consumeFromWhere": "CONSUME_FROM_LAST_OFFSET", "subscriptionDataSet": []}]}).encode())
    return header["code"]


# ---- names ---------------------------------------------------------------------------------------


def test_names_are_no_longer_than_java_reads(checks):
    with Broker() as broker, broker.connect() as connection:
        at = position(send(connection, "orders")[1])
        for count, sent_back, changed in ((120, OK, OK), (121, SYSTEM_ERROR, INVALID),
                                          (240, SYSTEM_ERROR, INVALID)):
            group = "g" * count
            checks.same(f"group of {count}: heartbeat", OK, beat(connection, group))
            for level, prefix in ((-1, "%DLQ%"), (1, "%RETRY%")):
                header, _ = connection.ask(36, {"offset": at, "group": group, "delayLevel": level,
                                                "originMsgId": "x", "originTopic": "orders"})
                checks.same(f"group of {count}: given back, level {level}", sent_back,
                            header["code"])
                checks.same("whether there is the topic", sent_back == OK,
                            wire.route(("127.0.0.1", broker.port), prefix + group) is not None)
            header, _ = connection.ask(200, {}, json.dumps({"groupName": group}).encode())
            checks.same(f"group of {count}: settings", changed, header["code"])
        _, letters = pull(connection, "%DLQ%" + "g" * 120)
        checks.same("a dead letter has its topic", ["%DLQ%" + "g" * 120],
                    [one["topic"] for one in letters])
        for name, code in (("t" * 127, OK), ("t" * 128, INVALID), ("%RETRY%" + "g" * 121, INVALID),
                           ("%DLQ%" + "g" * 123, INVALID)):
            checks.same(f"send to {len(name)} bytes", code, send(connection, name)[0])
            header, _ = connection.ask(17, {"topic": name, "readQueueNums": 1,
                                            "writeQueueNums": 1, "perm": 6})
            checks.same(f"make {len(name)} bytes", code, header["code"])
    with Broker(["--cluster", "c" * 125]) as broker, broker.connect() as connection:
        checks.same("the topic of answers of a long cluster", INVALID,
                    send(connection, "c" * 125 + "_REPLY_TOPIC")[0])



def test_a_group_of_an_older_broker_is_left_out(checks):
    with tempfile.TemporaryDirectory(prefix="broker-answers-") as directory:
        with Broker(directory=directory) as broker, broker.connect() as connection:
            connection.ask(200, {}, b'{"groupName": "readers"}')
            path = os.path.join(broker.data, "broker.json")
        with open(path, encoding="utf-8") as kept:
            settings_kept = kept.read()
        checks.same("the group is there", 1, settings_kept.count('"readers"'))
        with open(path, "w", encoding="utf-8") as kept:
            kept.write(settings_kept.replace('"readers"', '"' + "r" * 121 + '"'))
        with Broker(directory=directory) as broker, broker.connect() as connection:
            checks.until("it is said", 10, lambda: broker.says("warn .*left out"), broker.log)
            checks.same("it is not known", NO_GROUP,
                        connection.ask(352, {"group": "r" * 121})[0]["code"])


def test_a_change_of_a_group_that_is_refused_changes_nothing(checks):
    def change(group, most):
        settings = {"groupName": group, "retryMaxTimes": most, "consumeTimeoutMinute": most}
        return connection.ask(200, {}, json.dumps(settings).encode())[0]["code"]

    def settings(group):
        header, body = connection.ask(352, {"group": group})
        return json.loads(body) if header["code"] == OK else header["code"]

    def listed():
        return sorted(json.loads(connection.ask(201, {})[1])["subscriptionGroupTable"])

    def deleted(group):
        return connection.ask(207, {"groupName": group})[0]["code"]

    with tempfile.TemporaryDirectory(prefix="broker-answers-") as directory:
        with Broker(directory=directory) as broker, broker.connect() as connection:
            send(connection, "orders")
            checks.same("made", OK, change("readers", 3))
            checks.same("usual settings", OK, beat(connection, "usual"))
            for group in ("readers", "usual"):
                checks.same("comes somewhere", OK, connection.ask(
                    15, {"consumerGroup": group, "topic": "orders", "queueId": 0,
                         "commitOffset": 1})[0]["code"])
            before = [settings(group) for group in ("readers", "usual")], listed()
            path = os.path.join(broker.data, "broker.json")
            checks.until("they are written", 10,
                         lambda: '"usual"' in pathlib.Path(path).read_text("utf-8"))
            os.rename(path, path + ".old")
            os.mkdir(path)  # it cannot be written
            for group in ("readers", "usual", "fresh"):
                checks.same(f"{group}: refused", SYSTEM_ERROR, change(group, 7))
                checks.same(f"{group}: not deleted", SYSTEM_ERROR if group != "fresh" else OK,
                            deleted(group))
            checks.same("as it was", before,
                        ([settings(group) for group in ("readers", "usual")], listed()))
            offset = {"consumerGroup": "readers", "topic": "orders", "queueId": 0}
            checks.same("and where it is", "1",
                        connection.ask(14, offset)[0]["extFields"]["offset"])
            os.rmdir(path)
            os.rename(path + ".old", path)
            checks.same("later it is changed", OK, change("readers", 7))
            checks.same("to that", 7, settings("readers")["retryMaxTimes"])
            checks.same("and deleted", OK, deleted("usual"))
            checks.same("and gone", NO_GROUP, settings("usual"))
        with Broker(directory=directory) as broker, broker.connect() as connection:
            checks.same("after a restart", 7, settings("readers")["consumeTimeoutMinute"])
            checks.same("gone for ever", NO_GROUP, settings("usual"))


# ---- queries -------------------------------------------------------------------------------------


def found(connection, topic, key, begin=0, end=(1 << 63) - 1):
    header, body = connection.ask(12, {"topic": topic, "key": key, "maxNum": 32,
                                       "beginTimestamp": begin, "endTimestamp": end})
    return [one["body"] for one in wire.records(body)] if header["code"] == OK else []


def test_a_query_has_the_whole_of_its_last_millisecond(checks):
    with Broker() as broker, broker.connect() as connection:
        for number in range(20):
            send(connection, "orders", b"%d" % number, i=properties(KEYS=f"k{number}"))
        for one in pull(connection, "orders")[1]:
            key, stored = one["p"]["KEYS"], one["store"]
            for what, begin, end, wanted in (
                    ("that millisecond", stored, stored, True),
                    ("up to it", 0, stored, True), ("from it on", stored, (1 << 63) - 1, True),
                    ("before", 0, stored - 1, False), ("behind", stored + 1, 1 << 62, False),
                    ("all before 1970", -2, -1, False)):
                checks.same(f"{key}: {what}", [one["body"]] if wanted else [],
                            found(connection, "orders", key, begin, end))


def inner(body, text):
    """A message of a batch."""
    return (struct.pack(">iiiii", 22 + len(body) + len(text), 0, 0, 0, len(body)) + body +
            struct.pack(">h", len(text)) + text.encode())


def test_a_message_is_found_by_its_first_keys_and_keeps_all(checks):
    """A trace message has a key for each message that it tells of, and a hundred of those."""
    with Broker() as broker, broker.connect() as connection:
        many = "  ".join(f"k{n}" for n in range(200))
        long = "k" * 4097
        for what, more in (("at once", ""), ("later", properties(TIMER_DELAY_MS=1)),
                           ("a transaction", properties(TRAN_MSG="true", PGROUP="producers"))):
            flag = 4 if "TRAN" in more else 0
            code, fields, _ = send(connection, "kept", what.encode(), f=flag,
                                   i=properties(KEYS=many, UNIQ_KEY=f"id of {what}") + more)
            checks.same(f"200 keys, {what}", OK, code)
            if flag:
                checks.same("committed", OK, connection.ask(37, {
                    "producerGroup": "producers", "tranStateTableOffset": fields["queueOffset"],
                    "commitLogOffset": int(fields["msgId"][16:], 16), "commitOrRollback": 8,
                    "fromTransactionCheck": "false"})[0]["code"])
            checks.until("found by its id", 10,
                         lambda: found(connection, "kept", f"id of {what}") == [what.encode()])
        everything = [b"a transaction", b"at once", b"later"]
        for key, wanted in (("k0", everything), ("k62", everything), ("k63", []), ("k199", [])):
            checks.same(f"found by {key}", wanted, sorted(found(connection, "kept", key)))
        checks.same("a batch", OK, send(connection, "batch", inner(b"few", properties(KEYS="k0")) +
                                        inner(b"many", properties(KEYS=many)), 320, m="true")[0])
        checks.same("found by the first", [b"many", b"few"], found(connection, "batch", "k0"))
        checks.same("found by the 63rd", [b"many"], found(connection, "batch", "k62"))
        checks.same("one too long, beside others", OK,
                    send(connection, "long", i=properties(KEYS=f"{long} b {long}"))[0])
        checks.same("found by the other", [b"body"], found(connection, "long", "b"))
        checks.same("of 4,096 bytes", OK, send(connection, "long", b"longest", i=properties(
            KEYS=long[1:]))[0])
        checks.same("found by it", [b"longest"], found(connection, "long", long[1:]))
        checks.same("an id of more", OK, send(connection, "long", i=properties(UNIQ_KEY=long))[0])
        for topic, texts in (("kept", [many] * 3), ("batch", ["k0", many])):
            _, body = connection.ask(11, wire.pulling("readers", topic, 0, 0))
            checks.same(f"what consumers get of {topic}", texts,
                        [one["p"]["KEYS"] for one in wire.records(body)])


def test_a_condition_sees_each_property_or_the_message_is_refused(checks):
    def chosen(connection, condition):
        return [one["body"] for one in pull(connection, "orders", subscription=condition,
                                            expressionType="SQL92")[1]]
    with Broker() as broker, broker.connect() as connection:
        checks.same("400", OK, send(connection, "orders", b"400", i=properties(
            **{f"p{n}": "1" for n in range(400)}))[0])
        many = properties(**{f"q{n}": "" for n in range(4800)}, last="x")
        checks.check("some more", 32000 < len(many) < 32700, len(many))
        checks.same("4801", OK, send(connection, "orders", b"4801", i=many)[0])
        checks.same("4801 in a batch", OK, send(
            connection, "orders", inner(b"one", many) + inner(b"two", many), 320, m="true")[0])
        for condition, wanted in (("p0 = '1'", [b"400"]), ("p399 = '1'", [b"400"]),
                                  ("q4799 is not null", [b"4801", b"one", b"two"]),
                                  ("last = 'x'", [b"4801", b"one", b"two"])):
            checks.same(condition, wanted, chosen(connection, condition))
        for text in ("a\1\2" * 10910, "a\1\2" * 10920 + "UNIQ_KEY\1u"):  # 32767 bytes in all
            code, _, remark = send(connection, "orders", i=text)
            checks.same("more than the store has room for", ILLEGAL, code)
            checks.check("and why", remark != "", remark)
        checks.same("nothing of it is stored", 4, len(pull(connection, "orders")[1]))


def test_a_condition_sees_what_clients_set_themselves(checks):
    """But the id and WAIT, which every message has, and which are not stored once more for it."""
    with Broker() as broker, broker.connect() as connection:
        checks.same("all", OK, send(connection, "orders", b"all", i=properties(
            KEYS="k1 k2", TAGS="A", UNIQ_KEY="U", WAIT="true", INSTANCE_ID="i1", CLUSTER="c",
            PGROUP="p", TRACE_ON="true", MSG_REGION="r", color="KEYS", MY_UNIQ_KEY="UNIQ_KEY"))[0])
        checks.same("few", OK, send(connection, "orders", b"few")[0])
        checks.same("batch", OK, send(connection, "orders", inner(
            b"batch", properties(KEYS="k1", INSTANCE_ID="i1")), 320, m="true")[0])
        for condition, wanted in (
                ("KEYS = 'k1 k2'", [b"all"]), ("KEYS is not null", [b"all", b"batch"]),
                ("not(KEYS contains 'k2')", [b"batch"]), ("KEYS is null", [b"few"]),
                ("INSTANCE_ID = 'i1'", [b"all", b"batch"]), ('"KEYS"=\'k1\'', [b"batch"]),
                ("CLUSTER='c' and PGROUP='p' and TRACE_ON='true' and MSG_REGION='r'", [b"all"]),
                ("color = 'KEYS' or color = 'a''KEYS'", [b"all"]), ("TAGS = 'A'", [b"all"]),
                ("MY_UNIQ_KEY = 'UNIQ_KEY' and MY_WAIT is null", [b"all"])):
            code, records = pull(connection, "orders", subscription=condition,
                                 expressionType="SQL92")
            checks.same(condition, (OK, wanted), (code, [one["body"] for one in records]))
            checks.same(f"{condition}, checked", OK, checked(connection, condition))
        for condition in ("UNIQ_KEY is not null", "a = 1 or WAIT = 'true'", '"UNIQ_KEY" = \'U\''):
            code, _ = pull(connection, "orders", subscription=condition, expressionType="SQL92")
            checks.same(condition, BAD_SUBSCRIPTION, code)
            checks.same(f"{condition}, checked", BAD_SUBSCRIPTION, checked(connection, condition))


def checked(connection, condition):
    """The code of CHECK_CLIENT_CONFIG."""
    return connection.ask(46, {}, json.dumps({
        "clientId": "c", "group": "g", "subscriptionData": {
            "topic": "orders", "subString": condition,
            "expressionType": "SQL92"}}).encode())[0]["code"]


# ---- later ---------------------------------------------------------------------------------------


def test_a_level_of_zero_leaves_the_timer(checks):
    with Broker() as broker, broker.connect() as connection:
        for level, wait in (("0", 1), ("-1", 1), ("1", 60)):
            topic = "level" + level
            begin = time.time()
            checks.same("sent", OK, send(connection, topic, i=properties(
                DELAY=level, TIMER_DELAY_SEC=wait))[0])
            checks.same(f"level {level}: not yet", [], pull(connection, topic)[1])
            checks.until("then", 40, lambda at=topic: pull(connection, at)[1])
            one, = pull(connection, topic)[1]
            after = one["store"] / 1000 - begin
            checks.check("after a second, not a minute", 0.9 < after < 40, one)
            checks.same("the timer's property", level != "1", "TIMER_OUT_MS" in one["p"])
        checks.same("no level, no timer: at once", OK,
                    send(connection, "now", i=properties(DELAY="0"))[0])
        checks.same("it is there", 1, len(pull(connection, "now")[1]))


# ---- transactions --------------------------------------------------------------------------------


def test_a_transaction_ends_as_it_was_answered(checks):
    with tempfile.TemporaryDirectory(prefix="broker-answers-") as directory:
        def prepare(connection, **more):
            code, fields, _ = send(connection, "orders", f=4, i=properties(
                TRAN_MSG="true", PGROUP="producers", **more))
            checks.same("prepared", OK, code)
            return fields

        def end(connection, fields, **more):
            header, _ = connection.ask(37, {
                "producerGroup": "producers", "commitOrRollback": 8,
                "tranStateTableOffset": fields["queueOffset"],
                "commitLogOffset": position(fields), "msgId": fields["transactionId"],
                "transactionId": fields["transactionId"], "fromTransactionCheck": "false", **more})
            return header["code"], header.get("remark") or ""
        wrong = (("producerGroup", "others", "group"), ("tranStateTableOffset", 424242, "table"),
                 ("tranStateTableOffset", "", "table"), ("commitLogOffset", 1, "transaction"))
        with Broker(directory=directory) as broker, broker.connect() as connection:
            send(connection, "orders", b"plain", i=properties(UNIQ_KEY="u0"))
            first = prepare(connection, UNIQ_KEY="u1", __transactionId__="forged")
            second = prepare(connection)
            checks.check("two transactions", position(first) != position(second))
            for name, value, word in wrong:
                code, remark = end(connection, first, **{name: value})
                checks.same(f"{name} {value}", SYSTEM_ERROR, code)
                checks.check("and why", word in remark, remark)
            checks.same("of another", SYSTEM_ERROR,
                        end(connection, first, commitLogOffset=position(second))[0])
            checks.same("nothing is decided", 1, len(pull(connection, "orders")[1]))
        with Broker(directory=directory) as broker, broker.connect() as connection:
            checks.same("as it was answered", OK, end(connection, first)[0])
            checks.same("and the other one", OK, end(connection, second)[0])
            checks.until("they come", 10, lambda: len(pull(connection, "orders")[1]) == 3)
            plain, *committed = pull(connection, "orders")[1]
            checks.same("of no transaction", (0, False),
                        (plain["prepared"], "__transactionId__" in plain["p"]))
            for fields, one in zip((first, second), committed):
                checks.same("of the prepared one", position(fields), one["prepared"])
                checks.same("with its id", [fields["transactionId"]] * 2,
                            [one["p"].get("__transactionId__"), one["p"].get("UNIQ_KEY")])
                header, body = connection.ask(33, {"offset": one["physical"]})
                checks.same("as it is viewed", [one["prepared"]] if header["code"] == OK else 0,
                            [record["prepared"] for record in wire.records(body)])
            checks.same("again it is no more", SYSTEM_ERROR, end(connection, first)[0])


# ---- administrators ------------------------------------------------------------------------------


def settings(connection, topic):
    """Those that can be set: None, there is no such topic."""
    header, body = connection.ask(351, {"topic": topic, "lo": "false"})
    one = json.loads(body) if header["code"] == OK else None
    return one and (one["readQueueNums"], one["writeQueueNums"], one["perm"], one["order"],
                    one["attributes"])


def change(connection, topic, read=4, write=4, perm=6, **more):
    fields = {"topic": topic, "defaultTopic": "TBW102", "readQueueNums": read,
              "writeQueueNums": write, "perm": perm, "topicFilterType": "SINGLE_TAG",
              "order": "false", **more}
    header, _ = connection.ask(17, {k: v for k, v in fields.items() if v is not None})
    return header["code"]


def test_a_topic_is_changed_as_asked_or_not_at_all(checks):
    with Broker() as broker, broker.connect() as connection:
        checks.same("made", OK, change(connection, "orders", 16, 12, 6, order="true",
                                       attributes="+a=1,+b=2"))
        before = (16, 12, 6, True, {"a": "1", "b": "2"})
        checks.same("as asked", before, settings(connection, "orders"))
        for what, code, fields in (
                ("no number to read", SYSTEM_ERROR, {"read": None}),
                ("no number to write", SYSTEM_ERROR, {"write": None}),
                ("no permission", SYSTEM_ERROR, {"perm": None}),
                ("no numbers", SYSTEM_ERROR, {"read": "many", "write": "x"}),
                ("no queue", INVALID, {"read": 0}), ("less", INVALID, {"write": -1}),
                ("too many", INVALID, {"read": 4097}), ("no such permission", INVALID,
                                                        {"perm": 8})):
            for topic in ("orders", "fresh"):
                checks.same(f"{what}, {topic}", code, change(
                    connection, topic, **fields, attributes="+a=3,-b"))
            checks.same(f"{what}: it is as it was", before, settings(connection, "orders"))
            checks.same(f"{what}: there is none", None, settings(connection, "fresh"))


def test_a_topic_that_is_not_stored_is_not_there(checks):
    with Broker() as broker:
        broker.expected = 1
        with broker.connect() as connection:
            checks.same("made", OK, change(connection, "orders"))
            before = settings(connection, "orders")
            os.rename(os.path.join(broker.data, "broker.json"),
                      os.path.join(broker.data, "broker.old"))
            os.mkdir(os.path.join(broker.data, "broker.json"))  # it cannot be written
            checks.same("without settings", SYSTEM_ERROR, change(connection, "orders", 8, 8, 2))
            checks.same("it is as it was", before, settings(connection, "orders"))
            checks.same("a new one", SYSTEM_ERROR, change(connection, "fresh"))
            checks.same("is not there", None, settings(connection, "fresh"))
            send(connection, "orders", b"kept")
            found = connection.ask(11, wire.pulling("readers", "orders", 0, 0))[1]
            checks.same("deleted", SYSTEM_ERROR,
                        connection.ask(215, {"topic": "orders"})[0]["code"])
            checks.same("it is there", before, settings(connection, "orders"))
            checks.same("with its messages", (1, found), (found.count(b"kept"), connection.ask(
                11, wire.pulling("readers", "orders", 0, 0))[1]))
            os.rmdir(os.path.join(broker.data, "broker.json"))
            checks.same("later it is", OK, change(connection, "fresh"))
            checks.same("as asked", (4, 4, 6, False, {}), settings(connection, "fresh"))
            checks.same("deleted", OK, connection.ask(215, {"topic": "fresh"})[0]["code"])
            checks.same("and gone", None, settings(connection, "fresh"))
            # From now on every write to a file fails, and so does the store.
            resource.prlimit(broker.process.pid, resource.RLIMIT_FSIZE,
                             (0, resource.RLIM_INFINITY))
            send(connection, "orders", b"x" * 100000)
            checks.until("the store has failed", 10,
                         lambda: ops.http(broker, "/health").status == 503)
            for topic in ("orders", "other"):
                wanted = settings(connection, topic)
                checks.same(f"{topic}: refused", SYSTEM_ERROR,
                            change(connection, topic, 8, 8, 4, attributes="+a=1"))
                checks.same(f"{topic}: as it was", wanted, settings(connection, topic))


def progress(connection, group, topic, queue=0):
    """Consumed, and when the last of it was stored."""
    _, body = connection.ask(208, {"consumerGroup": group, "topic": topic})
    part = re.search(rb'"queueId":%d,"topic":"[^"]*"}:({[^}]*})' % queue, body)
    one = json.loads(part.group(1)) if part else {}
    return one.get("consumerOffset"), one.get("lastTimestamp")


def test_progress_has_the_time_of_what_was_consumed(checks):
    with Broker() as broker, broker.connect() as connection:
        for number in range(3):
            send(connection, "orders", b"%d" % number)
            time.sleep(0.1)
        stored = [one["store"] for one in pull(connection, "orders")[1]]
        for offset, wanted in ((0, 0), (1, stored[0]), (2, stored[1]), (3, stored[2])):
            broker.consumed(f"g{offset}", "orders", 0, offset)
            checks.same(f"consumed up to {offset}", (offset, wanted),
                        progress(connection, f"g{offset}", "orders"))
        checks.same("of another queue", (0, 0), progress(connection, "g3", "orders", 1))
        tag = dict(subscription="no such tag")
        checks.same("a pull with a condition before", [], pull(connection, "orders", **tag)[1])
        checks.same("does not hide it", (3, stored[2]), progress(connection, "g3", "orders"))


def change_list(connection, body):
    header, _ = connection.ask(18, {}, body if isinstance(body, bytes) else json.dumps(
        {"topicConfigList": body}).encode())
    return header["code"]


def test_a_list_of_topics_is_set(checks):
    with Broker() as broker, broker.connect() as connection:
        change(connection, "orders", attributes="+a=1,+b=2")
        topics = [{"topicName": "orders", "readQueueNums": 8, "writeQueueNums": 6, "perm": 4,
                   "order": True, "attributes": {"+a": "3", "-b": ""}}, {"topicName": "fresh"}]
        for what, body, code in (("no body", b"", SYSTEM_ERROR), ("no list", b"{}", SYSTEM_ERROR),
                                 ("too many", topics * 600, SYSTEM_ERROR),
                                 ("a bad name", topics + [{"topicName": "a b"}], INVALID),
                                 ("no name", topics + [3], INVALID),
                                 ("no queue", topics + [{"topicName": "x", "writeQueueNums": 0}],
                                  INVALID)):
            checks.same(what, code, change_list(connection, body))
        checks.same("nothing is changed", (4, 4, 6, False, {"a": "1", "b": "2"}),
                    settings(connection, "orders"))
        checks.same("nothing is made", None, settings(connection, "fresh"))
        checks.same("none", OK, change_list(connection, []))
        checks.same("two", OK, change_list(connection, topics))
        checks.same("the first", (8, 6, 4, True, {"a": "3"}), settings(connection, "orders"))
        checks.same("the other", (16, 16, 6, False, {}), settings(connection, "fresh"))
        with open(os.path.join(broker.data, "broker.json"), encoding="utf-8") as kept:
            checks.check("on disk", "fresh" in kept.read())


def test_producers_can_be_kept_away(checks):
    with Broker() as broker, broker.connect() as connection:
        def perm(topic):
            return json.loads(connection.ask(105, {"topic": topic})[1])["queueDatas"][0]["perm"]
        change(connection, "orders")
        change(connection, "archive", perm=4)
        topics = len(json.loads(connection.ask(206)[1])["topicList"])
        for code, name, field, count, wanted in (
                (205, "another", "wipeTopicCount", 0, (6, 4, 7)),
                (205, "", "wipeTopicCount", 0, (6, 4, 7)),
                (205, "broker-a", "wipeTopicCount", topics, (4, 4, 5)),
                (327, "another", "addTopicCount", 0, (4, 4, 5)),
                (327, "broker-a", "addTopicCount", topics, (6, 4, 7))):
            header, _ = connection.ask(code, {"brokerName": name})
            checks.same(f"{code} {name}", (OK, {field: str(count)}),
                        (header["code"], header["extFields"]))
            checks.same("routes", wanted, tuple(perm(t) for t in ("orders", "archive", "TBW102")))
            checks.same("settings stay", 6, settings(connection, "orders")[2])
        checks.same("the name server's settings", b"listenPort=%d\n" % broker.namesrv_port,
                    connection.ask(319)[1])


if __name__ == "__main__":
    sys.exit(ops.Checks().run([value for name, value in list(globals().items())
                               if name.startswith("test_")]))
