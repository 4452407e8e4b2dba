# SPDX-License-Identifier: BSD-2-Clause
"""Tests of the Python binding, on the shared library as it stands.

    python3 bindings/python/test_commitlog.py

The library is $COMMITLOG_LIBRARY, else $BUILD/libcommitlog.so (BUILD: build/release).
"""
import contextlib
import copy
import ctypes
import os
import pathlib
import pickle
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest
from unittest import mock

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
if "COMMITLOG_LIBRARY" not in os.environ:
    build = ROOT / os.environ.get("BUILD", "build/release")
    os.environ["COMMITLOG_LIBRARY"] = str(build / "libcommitlog.so")
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

import commitlog  # noqa: E402

FFI_HEADER = ROOT / "bindings" / "ffi" / "commitlog_ffi.h"
SMALL = {"segment_bytes": "1M", "stage_bytes": "256K"}


@contextlib.contextmanager
def reservation(topic):
    """One that is open: what is appended behind it cannot be durable before it is aborted."""
    lib, raw = commitlog._lib(), commitlog._Record()
    kept = commitlog._fill(raw, commitlog.Record(topic, b""), topic.store)
    handle, body = ctypes.c_void_p(), ctypes.c_void_p()
    lib.commitlog_reserve.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t,
                                      ctypes.c_int32] + [ctypes.c_void_p] * 3
    lib.commitlog_abort.argtypes = [ctypes.c_void_p]
    assert lib.commitlog_reserve(topic.store.handle, ctypes.byref(raw), 8, 0, ctypes.byref(handle),
                                 ctypes.byref(body), None) == 0
    del kept
    try:
        yield
    finally:
        assert lib.commitlog_abort(handle) == 0


class StoreCase(unittest.TestCase):
    """A fresh directory and a store in it."""

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="commitlog-python-")
        self.addCleanup(self.directory.cleanup)
        self.path = os.path.join(self.directory.name, "store")

    def open(self, **options):
        store = commitlog.Store(self.path, **{**SMALL, **options})
        self.addCleanup(store.close)
        return store

    def during_a_wait(self, handler, call, then=lambda: None):
        """Calls it; a signal comes while it waits in the library, and something else after that."""
        def disturb():
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.05)
            then()

        before = signal.signal(signal.SIGUSR1, handler)
        thread = threading.Thread(target=disturb)
        thread.start()
        try:
            return call()
        finally:
            thread.join()
            signal.signal(signal.SIGUSR1, before)


class Interface(unittest.TestCase):
    """The binding agrees with the header it was written for."""

    header = FFI_HEADER.read_text(encoding="utf-8")
    INTEGERS = {"int32_t": ctypes.c_int32, "uint32_t": ctypes.c_uint32, "int64_t": ctypes.c_int64,
                "uint64_t": ctypes.c_uint64, "size_t": ctypes.c_size_t}

    def test_constants(self):
        values = {name: int(value, 0)
                  for name, value in re.findall(r"(COMMITLOG_\w+) = (-?\w+)", self.header)}
        for ours, its in (("ALL_QUEUES", "QUEUE_ALL"), ("AUTO_QUEUE", "QUEUE_AUTO"),
                          ("FIRST", "FROM_FIRST"), ("_OFFSET", "FROM_OFFSET"),
                          ("_TIME", "FROM_TIME"), ("END", "FROM_END"), ("_FOREVER", "FOREVER"),
                          *((name, name[1:]) for name in (
                              "_EAGAIN", "_EEND", "_EFULL", "_EINTERRUPTED", "_ENOTFOUND",
                              "_ETIMEDOUT", "_EUNKNOWN", "_GROUP_CREATE", "_GROUP_KEEP",
                              "_RECEIVE_DEAD_TOPIC", "_RECEIVE_MAX",
                              "_RECEIVE_ORDERED", "_TRANSACTION_PREPARED"))):
            self.assertEqual(values["COMMITLOG_" + its], getattr(commitlog, ours), its)
        reasons, states = ({name: value for value, name in names.items()}
                           for names in (commitlog._REASONS, commitlog._WORK_STATES))
        for prefix, names in (("LEVEL_", commitlog.LEVELS), ("ASSIGN_", commitlog.STRATEGIES),
                              ("DEAD_", reasons), ("WORK_", states)):
            self.assertEqual({name: value for name, value in values.items()
                              if name.startswith("COMMITLOG_" + prefix)},
                             {"COMMITLOG_" + prefix + name.upper().replace("-", "_"): value
                              for name, value in names.items()})

    def test_fields_of_structures(self):
        """Their names, their order and their types, so that none is cut or loses its sign."""
        constants = dict(re.findall(r"(COMMITLOG_\w+) = (\d+)", self.header))
        structures = self.structures()

        def c_type(declared, length):
            declared = declared.replace("const ", "").replace("struct commitlog_", "").strip()
            kind = self.INTEGERS.get(declared) or structures.get(declared) or {
                "char": ctypes.c_char, "char *": ctypes.c_char_p,
                "void *": ctypes.c_void_p}.get(declared)
            if kind is None:
                kind = ctypes.POINTER(structures[declared[:-1].strip()])
            return kind * int(constants.get(length, length)) if length else kind

        for c_name, kind in structures.items():
            body = re.search(r"struct commitlog_%s [{](.*?)[}];" % c_name, self.header, re.S)
            declared = [(name, c_type(before, length)) for before, name, length in
                        re.findall(r"^ *(.*?)(\w+)(?:\[(\w+)\])?;$", body[1], re.M)]
            self.assertEqual(declared, list(kind._fields_), c_name)

    @staticmethod
    def structures():
        """All that the binding declares, by the name of the header."""
        return {re.sub(r"(?<!^)([A-Z])", r"_\1", name[1:]).lower(): kind
                for name, kind in vars(commitlog).items()
                if isinstance(kind, type) and issubclass(kind, ctypes.Structure)
                and hasattr(kind, "_fields_")}

    def test_argument_counts(self):
        for name, (_, *arguments) in commitlog._SIGNATURES.items():
            found = re.search(r"\bcommitlog_%s\((.*)\);" % name, self.header)[1]
            count = 0 if found == "void" else found.count(",") + 1
            self.assertEqual(count, len(arguments), name)

    def test_argument_types(self):
        integers, structures = self.INTEGERS, self.structures()

        def expected(declared):
            declared = declared.replace("const ", "").strip()
            if declared in integers:
                return [integers[declared]]
            if declared == "void":
                return [None]
            if declared in ("char *", "void *"):
                return [ctypes.c_char_p]
            if declared == "char **":
                return [ctypes.POINTER(ctypes.c_char_p)]
            if declared.endswith("**"):
                return [ctypes.POINTER(ctypes.c_void_p)]
            target = declared[:-1].strip().replace("struct commitlog_", "")
            kind = integers.get(target) or structures.get(target)
            return [ctypes.POINTER(kind)] if kind else [ctypes.c_void_p]  # a handle

        for name, (result, *arguments) in commitlog._SIGNATURES.items():
            found = re.search(r"^(.*?)\bcommitlog_%s\((.*)\);$" % name, self.header, re.M)
            self.assertIn(result, expected(found[1]), name)
            declared = [] if found[2] == "void" else found[2].split(", ")
            for argument, kind in zip(declared, arguments):
                self.assertIn(kind, expected(re.sub(r"\w+$", "", argument)), f"{name}: {argument}")

    def test_sizes_of_structures(self):
        """The C compiler's idea of each size, where there is a compiler."""
        checks = "".join(
            f'_Static_assert(sizeof(struct commitlog_{name}) == {ctypes.sizeof(kind)}, "{name}");\n'
            + "".join(f'_Static_assert(offsetof(struct commitlog_{name}, {field}) == '
                      f'{getattr(kind, field).offset}, "{name}.{field}");\n'
                      for field, *_ in kind._fields_)
            for name, kind in self.structures().items())
        try:
            done = subprocess.run([os.environ.get("CC", "cc"), "-std=c11", "-fsyntax-only",
                                   f"-I{ROOT / 'include'}", "-x", "c", "-"], text=True,
                                  input=f"#include <commitlog.h>\n{checks}", capture_output=True)
        except FileNotFoundError:
            self.skipTest("no C compiler")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_programs_of_the_text(self):
        """The one of the README and that at the top of the module run as they are printed."""
        programs = re.findall(r"^```python\n(.*?)^```$", (HERE / "README.md").read_text("utf-8"),
                              re.S | re.M)
        programs.append(textwrap.dedent("    import" + commitlog.__doc__.split("    import")[1]
                                        .split("\n\nEverything")[0]))
        self.assertEqual(len(programs), 2)
        for program in programs:
            with tempfile.TemporaryDirectory(prefix="commitlog-python-") as directory:
                done = subprocess.run([sys.executable, "-W", "error", "-c", program], text=True,
                                      cwd=directory, capture_output=True,
                                      env={**os.environ, "PYTHONPATH": str(HERE),
                                           "PYTHONDONTWRITEBYTECODE": "1"})
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("0 b'one coffee'\n", done.stdout)

    def test_version(self):
        self.assertRegex(commitlog.version(), r"^\d+\.\d+\.\d+$")


class Appending(StoreCase):
    def test_a_producers_record_is_stored_once(self):
        topic = self.open().topic("orders", queues=1)
        first = topic.append(b"once", producer=(7, 1, 1))
        again = topic.append(b"once", producer=(7, 1, 1))
        self.assertFalse(first.duplicate)
        self.assertTrue(again.duplicate)
        self.assertEqual(again.position, first.position)
        message, = topic.cursor(0)
        self.assertEqual(message.producer, (7, 1, 1))

    def test_everything_comes_back(self):
        topic = self.open().topic("orders", queues=2)
        receipt = topic.append(b"body \x00 \xff", 1, keys=[b"a", b"b"], tag=b"paid",
                               headers=[(b"trace", b"\x00\x01"), (b"trace", b"")],
                               time_ms=1234567890123, level="durable")
        self.assertEqual(receipt.queue_offset, 0)
        self.assertEqual(receipt.level, "durable")
        message, = topic.cursor(1)
        self.assertEqual(message.body, b"body \x00 \xff")
        self.assertEqual(message.keys, (b"a", b"b"))
        self.assertEqual(message.tag, b"paid")
        self.assertEqual(message.headers, ((b"trace", b"\x00\x01"), (b"trace", b"")))
        self.assertEqual(message.time_ms, 1234567890123)
        self.assertEqual((message.position, message.queue_offset, message.queue),
                         (receipt.position, 0, 1))
        self.assertEqual(message.store_time_ns, receipt.store_time_ns)

    def test_empty_body(self):
        topic = self.open().topic("empty", queues=1)
        topic.append(b"")
        self.assertEqual([message.body for message in topic.cursor()], [b""])

    def test_key_chooses_queue(self):
        topic = self.open().topic("keyed", queues=8)
        for _ in range(5):
            topic.append(b"x", keys=[b"the key"], level="none")
        queues = {message.queue for message in topic.cursor()}
        self.assertEqual(len(queues), 1)

    def test_batch_over_topics(self):
        store = self.open()
        one, two = store.topic("one", queues=1), store.topic("two", queues=1)
        receipts = store.append_batch([commitlog.Record(one, b"1"), commitlog.Record(two, b"2"),
                                       commitlog.Record(one, b"3", keys=[b"k"])])
        self.assertEqual([receipt.queue_offset for receipt in receipts], [0, 0, 1])
        self.assertEqual([message.body for message in one.cursor()], [b"1", b"3"])
        self.assertEqual([message.body for message in two.cursor()], [b"2"])

    def test_too_big(self):
        topic = self.open(max_body_bytes="1K").topic("t", queues=1)
        with self.assertRaises(commitlog.UsageError) as caught:
            topic.append(b"x" * 1025)
        self.assertEqual(caught.exception.name, "COMMITLOG_ETOOBIG")
        self.assertEqual(topic.queue_info(0)["next_offset"], 0)

    def test_what_is_no_byte_string_is_refused(self):
        topic = self.open().topic("t", queues=1)
        for wrong in ({"body": 5}, {"body": b"x", "keys": b"table-7"}, {"body": b"x", "keys": "k"},
                      {"body": b"x", "tag": 3}, {"body": b"x", "headers": [(b"n", 1)]}):
            with self.assertRaises(TypeError):
                topic.append(**wrong)
        with self.assertRaises(TypeError):
            topic.cursor(tags=b"red")
        self.assertEqual(topic.queue_info(0)["next_offset"], 0)
        topic.append(bytearray(b"a"), keys=(memoryview(b"k"), "text"))
        message, = topic.cursor()
        self.assertEqual((message.body, message.keys), (b"a", (b"k", b"text")))

    def test_headers_of_a_mapping(self):
        store = self.open()
        topic = store.topic("t", queues=1)
        topic.append(b"x", headers={"ab": "cd", b"n": b"1"})
        store.append_batch([commitlog.Record(topic, b"y", headers={"ab": "cd"})])
        with store.transaction("p") as transaction:
            transaction.append(topic, b"z", headers={"ab": "cd"})
        topic.append(b"one by one", headers=(pair for pair in [["ab", "cd"], ("ab", "ef")]))
        self.assertEqual([message.headers for message in topic.cursor()],
                         [((b"ab", b"cd"), (b"n", b"1")), ((b"ab", b"cd"),), ((b"ab", b"cd"),),
                          ((b"ab", b"cd"), (b"ab", b"ef"))])

    def test_no_byte_string_is_a_pair(self):
        topic = self.open().topic("t", queues=1)
        for wrong in ("ab", b"ab", ["ab"], [b"ab"], {"ab"}, [bytearray(b"ab")], [memoryview(b"ab")]):
            with self.assertRaises(TypeError, msg=wrong):
                topic.append(b"x", headers=wrong)
        self.assertEqual(topic.queue_info(0)["next_offset"], 0)

    def test_unknown_names_are_told(self):
        topic = self.open().topic("t", queues=1)
        for call in (lambda: topic.append(b"x", level="firm"),
                     lambda: commitlog.assign("fair", [b"m"], 1)):
            self.assertRaises(ValueError, call)

    def test_numbers_are_not_cut(self):
        store = self.open()
        topic = store.topic("t", queues=1)
        group = store.group("g", create=True)
        for call in (lambda: topic.append(b"x", 2 ** 32), lambda: topic.append(b"x", -1),
                     lambda: topic.append(b"x", deliver_at_ms=2 ** 64),
                     lambda: topic.append(b"x", producer=(1, 2 ** 32 + 1, 1)),
                     lambda: topic.queue_info(2 ** 32), lambda: store.get(-1),
                     lambda: topic.cursor(0, offset=2 ** 64),
                     lambda: store.topic("u", queues=2 ** 32 + 1),
                     lambda: group.commit({(topic, 2 ** 32): 0}),
                     lambda: group.receiver(topic, max_attempts=2 ** 32 + 3),
                     lambda: store.set_limits(unconsumed_bytes=-1),
                     lambda: commitlog.assign("sticky", [b"m"], 1, [2 ** 32])):
            self.assertRaises(ctypes.ArgumentError, call)
        self.assertEqual(topic.queue_info(0)["next_offset"], 0)
        self.assertEqual([found.name for found in store.topics()], ["t"])

    def test_a_topic_of_another_store(self):
        store = self.open()
        store.topic("here", queues=1)
        with commitlog.Store(self.path + "2", **SMALL) as other:
            there = other.topic("there", queues=1)
            group = store.group("g", create=True)
            with store.transaction("p") as transaction:
                for call in (lambda: store.append_batch([commitlog.Record(there, b"x")]),
                             lambda: transaction.append(there, b"x"),
                             lambda: transaction.offsets(group, {(there, 0): 0}),
                             lambda: group.commit({(there, 0): 0}), lambda: group.lag(there),
                             lambda: group.offsets(there), lambda: group.reset(there),
                             lambda: group.gate(there, 0), lambda: group.receiver(there),
                             lambda: next(group.work(there, 0))):
                    self.assertRaises(ValueError, call)

    def test_stored_but_not_durable_in_time(self):
        store = self.open()
        topic = store.topic("t", queues=1)
        with reservation(topic):
            with self.assertRaises(commitlog.StoreError) as caught:
                topic.append(b"x", level="durable", timeout=0.01)
            one = caught.exception
            with self.assertRaises(commitlog.StoreError) as caught:
                store.append_batch([commitlog.Record(topic, b"y", level="durable")], timeout=0.01)
            many = caught.exception
        self.assertEqual(one.name, "COMMITLOG_EUNKNOWN")
        store.sync(one.receipt.end_position)
        self.assertEqual(store.get(one.receipt.position).body, b"x")
        self.assertEqual([store.get(receipt.position).body for receipt in many.receipt], [b"y"])

    def test_reopen(self):
        with commitlog.Store(self.path, **SMALL) as store:
            store.topic("t", queues=1).append(b"kept", level="none")
        store = self.open()
        self.assertEqual(store.recovery()["clean_close"], 1)
        topic = store.topic("t")
        self.assertEqual((topic.name, topic.queues), ("t", 1))
        self.assertEqual([message.body for message in topic.cursor(0)], [b"kept"])
        self.assertEqual([found.name for found in store.topics()], ["t"])


class Reading(StoreCase):
    def setUp(self):
        super().setUp()
        self.store = self.open()
        self.topic = self.store.topic("numbers", queues=1)
        self.receipts = [self.topic.append(b"%d" % n, 0, keys=[b"odd" if n % 2 else b"even"],
                                           tag=b"small" if n < 5 else b"big", level="none")
                         for n in range(10)]

    def test_by_offset(self):
        cursor = self.topic.cursor(0, offset=7)
        self.assertEqual([message.body for message in cursor], [b"7", b"8", b"9"])
        self.assertEqual(cursor.tell(), 10)
        cursor.seek(offset=9)
        self.assertEqual([message.body for message in cursor], [b"9"])

    def test_what_a_loop_read_ahead_is_not_lost(self):
        for order, cursor in (("queue", self.topic.cursor(0)), ("log", self.topic.cursor()),
                              ("as it lies", self.store.log(self.receipts[0].position))):
            with self.subTest(order), cursor:
                def place(n):
                    return n if order == "queue" else self.receipts[n].position
                for message in cursor:
                    self.assertEqual(cursor.tell(), place(int(message.body) + 1))
                    if message.body == b"2":
                        break
                self.assertEqual(next(iter(cursor)).body, b"3")
                self.assertEqual([each.body for each in cursor.fetch(2)], [b"4", b"5"])
                self.assertEqual(cursor.tell(), place(6))
                self.assertEqual([each.body for each in cursor.follow(timeout=0)],
                                 [b"6", b"7", b"8", b"9"])
                self.assertEqual(list(cursor), [])
                cursor.seek(offset=place(1))
                self.assertEqual(next(iter(cursor)).body, b"1")
                cursor.seek(offset=place(8))
                self.assertEqual([each.body for each in cursor], [b"8", b"9"])

    def test_what_is_committed_in_a_loop_is_what_was_given_out(self):
        group = self.store.group("readers", create=True)
        cursor = self.topic.cursor(0)
        for message in cursor:
            group.commit({(self.topic, 0): cursor.tell()})
            if message.body == b"4":
                break
        self.assertEqual(group.offsets(self.topic), {0: 5})

    def test_words_said_in_a_loop_hold_for_what_comes(self):
        cursor = self.topic.cursor(0)
        found = []
        for message in cursor:
            found.append(message.body)
            if message.body == b"1":
                cursor.set_tags([b"big"])
        self.assertEqual(found, [b"0", b"1", b"5", b"6", b"7", b"8", b"9"])

    def test_a_closed_cursor_gives_nothing(self):
        cursor = self.topic.cursor(0)
        iterator = iter(cursor)
        next(iterator)
        cursor.close()
        for what in (lambda: next(iterator), cursor.fetch, cursor.tell):
            with self.assertRaises(ValueError):
                what()

    def test_a_cursor_by_key_waits_for_nothing(self):
        begin = time.process_time()
        cursor = self.topic.query(b"odd")
        self.assertEqual(len(cursor.fetch(timeout=5)), 5)
        for timeout in (2, None):
            self.assertEqual(cursor.fetch(timeout=timeout), [])
            self.assertEqual(list(cursor.follow(timeout)), [])
        self.assertLess(time.process_time() - begin, 1)

    def test_tags_said_in_a_loop_by_key(self):
        cursor = self.topic.query(b"odd")
        newest = next(iter(cursor))
        cursor.set_tags([newest.tag + b"-other"])
        self.assertEqual(list(cursor), [])

    def test_statuses(self):
        self.assertEqual(self.topic.cursor(0, start=commitlog.END).fetch(), [])
        with self.assertRaises(commitlog.StatusError) as caught:
            self.topic.cursor(0, offset=11).fetch()
        self.assertEqual(caught.exception.name, "COMMITLOG_EBEYOND")
        self.assertEqual(caught.exception.bound, 10)
        with self.assertRaises(commitlog.UsageError) as caught:
            self.topic.cursor(0).fetch(0)
        self.assertIsNone(caught.exception.bound)

    def test_more_than_there_can_be(self):
        for maximum in (5000, 10 ** 12, 2 ** 64):
            self.assertEqual(len(self.topic.cursor(0).fetch(maximum)), 10)
            group = self.store.group("g", create=True)
            with group.receiver(self.topic, visibility_ms=1) as receiver:
                self.assertGreater(len(receiver.receive(maximum, timeout_ms=20000)), 0)

    def test_by_key(self):
        found = [message.body for message in self.topic.query(b"odd")]
        self.assertEqual(found, [b"9", b"7", b"5", b"3", b"1"])
        self.assertEqual(list(self.topic.query(b"neither")), [])
        since = self.receipts[8].store_time_ns
        self.assertEqual([message.body for message in self.topic.query(b"odd", since_ns=since)
                          if message.queue_offset >= 9], [b"9"])

    def test_by_tag(self):
        cursor = self.topic.cursor(0, tags=[b"small"])
        self.assertEqual([message.body for message in cursor],
                         [b"%d" % n for n in range(5)])

    def test_by_condition(self):
        topic = self.store.topic("conditions", queues=2)
        for n in range(10):
            topic.append(b"%d" % n, queue=n % 2, level="none", tag=b"even" if n % 2 == 0 else b"",
                         headers=[(b"n", b"%d.50" % n), ("größe".encode(), b"true")])
        cursor = topic.cursor(where="n > 3 AND \"größe\" AND TAGS IS NOT NULL")
        self.assertEqual([message.body for message in cursor], [b"4", b"6", b"8"])
        cursor.seek()
        cursor.set_filter("n = 7.5 OR n IS NULL")
        self.assertEqual([message.body for message in cursor], [b"7"])
        cursor.seek()
        cursor.set_filter(None)
        self.assertEqual(len(list(cursor)), 10)
        with self.assertRaises(commitlog.UsageError) as caught:
            topic.cursor(where="n > 'x'")
        self.assertEqual(caught.exception.name, "COMMITLOG_EINVAL")
        self.assertEqual(caught.exception.position, 5)
        self.assertIn("column 5: expected a number or a header", str(caught.exception))

    def test_by_time(self):
        moment = self.receipts[4].store_time_ns
        lower = self.topic.offset_by_time(0, moment)
        upper = self.topic.offset_by_time(0, moment, upper=True)
        self.assertLessEqual(lower, 4)
        self.assertGreaterEqual(upper, 4)
        self.assertEqual(next(iter(self.topic.cursor(0, time_ns=moment))).queue_offset, lower)
        self.assertEqual(self.topic.offset_by_time(0, 2 ** 62), 10)
        with self.assertRaises(commitlog.StatusError):
            self.topic.offset_by_time(0, 1, upper=True)

    def test_by_position(self):
        message = self.store.get(self.receipts[3].position)
        self.assertEqual((message.body, message.queue_offset), (b"3", 3))
        with self.assertRaises(commitlog.StatusError) as caught:
            self.store.get(5)
        self.assertIn("get position 5: before the first record that is kept: the log holds",
                      str(caught.exception))

    def test_the_log_as_it_lies(self):
        bodies = [message.body for message in self.store.log() if message.topic is not None]
        self.assertEqual(bodies, [b"%d" % n for n in range(10)])

    def test_messages_outlive_everything(self):
        with self.topic.cursor(0) as cursor:
            first = cursor.fetch(1)[0]
        cursor = self.topic.cursor(0)
        self.store.close()
        self.assertEqual(first.body, b"0")
        with self.assertRaises(commitlog.UsageError) as caught:
            cursor.fetch()
        self.assertEqual(caught.exception.name, "COMMITLOG_ECLOSED")
        with self.assertRaises(ValueError):
            self.topic.append(b"x")

    def test_positions_and_statistics(self):
        at = self.store.positions()
        order = [at[name] for name in ("first", "checkpointed", "durable", "written",
                                       "published", "claimed")]
        self.assertEqual(order, sorted(order))
        self.store.sync()
        self.assertEqual(self.store.positions()["durable"], at["published"])
        self.assertGreater(len(self.store.stats()), 0)
        append = self.store.histograms((0.5, 1))["append"]
        self.assertEqual(append["unit"], "ns")
        self.assertEqual(append["quantiles"][1], append["max"])


class Waiting(StoreCase):
    def test_a_waiting_fetch_is_woken(self):
        topic = self.open().topic("t", queues=1)
        cursor = topic.cursor(0)
        timer = threading.Timer(0.2, lambda: topic.append(b"late", level="none"))
        timer.start()
        began = time.monotonic()
        messages = cursor.fetch(timeout=20)
        timer.join()
        self.assertEqual([message.body for message in messages], [b"late"])
        self.assertLess(time.monotonic() - began, 10)

    def test_what_comes_behind_ctrl_c_is_not_lost(self):
        """The library wakes for it, and the interpreter raises before anybody is given it."""
        store = self.open()
        topic = store.topic("t", queues=1)
        topic.append(b"0", level="none")
        cursors = {"queue": topic.cursor(0), "log": topic.cursor(), "as it lies": store.log(),
                   "from the end": topic.cursor(0, start=commitlog.END),
                   "log from the end": topic.cursor(start=commitlog.END)}
        for number, (order, cursor) in enumerate(cursors.items(), 1):
            with self.subTest(order), cursor:
                list(cursor)
                place = cursor.tell()
                with self.assertRaises(KeyboardInterrupt):
                    self.during_a_wait(signal.default_int_handler, lambda: list(cursor.follow()),
                                       lambda: topic.append(b"%d" % number, level="none"))
                self.assertEqual(cursor.tell(), place)
                self.assertEqual([message.body for message in cursor], [b"%d" % number])

    @mock.patch.object(commitlog, "_SLICE_MS", 50)
    def test_an_interrupt_between_two_calls_is_not_missed(self):
        """As if it came there: the library, in which nobody waits at that moment, does nothing."""
        store = self.open()
        cursor = store.topic("t", queues=1).cursor(start=commitlog.END)
        receiver = store.group("g", create=True).receiver(store.topic("u", queues=1))
        with mock.patch.object(commitlog._lib(), "commitlog_interrupt", lambda handle: 0):
            for call in (lambda: cursor.fetch(timeout=20), lambda: list(cursor.follow()),
                         lambda: receiver.receive(timeout_ms=20000),
                         lambda: store.wait(store.positions()["visible"], timeout=20)):
                timer = threading.Timer(0.1, store.interrupt)
                timer.start()
                begin = time.monotonic()
                with self.assertRaises(commitlog.StatusError) as caught:
                    call()
                timer.join()
                self.assertEqual(caught.exception.name, "COMMITLOG_EINTERRUPTED")
                self.assertLess(time.monotonic() - begin, 10)
        self.assertEqual(cursor.fetch(timeout=0.12), [])  # later ones wait again

    def test_an_interrupt_ends_what_waits(self):
        topic = self.open().topic("t", queues=1)
        timer = threading.Timer(0.1, topic.store.interrupt)
        timer.start()
        with self.assertRaises(commitlog.StatusError) as caught:
            topic.cursor().fetch(timeout=None)
        timer.join()
        self.assertEqual(caught.exception.name, "COMMITLOG_EINTERRUPTED")

    def test_ctrl_c_during_a_call_leaves_nothing_behind(self):
        """It is raised where the call has returned, with what has to be given back."""
        store = self.open()
        topic = store.topic("t", queues=1)
        receipt, cursor = topic.append(b"0", level="none"), topic.cursor()
        for made, given_back, call in (
                ("get", "lease_release", lambda: store.get(receipt.position)),
                ("filter_compile", "filter_free", lambda: cursor.set_filter("a = 1"))):
            real, handles = getattr(commitlog._lib(), "commitlog_" + made), []

            def interrupted(*arguments):
                self.assertEqual(real(*arguments), 0)
                raise KeyboardInterrupt

            def count(handle):
                handles.append(handle.value)
                free(handle)

            free = getattr(commitlog._lib(), "commitlog_" + given_back)
            with self.subTest(made), \
                    mock.patch.object(commitlog._lib(), "commitlog_" + made, interrupted), \
                    mock.patch.object(commitlog._lib(), "commitlog_" + given_back, count):
                self.assertRaises(KeyboardInterrupt, call)
                self.assertNotIn(None, handles)
                self.assertEqual(len(handles), 1)

    def test_a_cursor_that_a_signal_closes(self):
        cursor = self.open().topic("t", queues=1).cursor(0)
        with self.assertRaises(ValueError):
            self.during_a_wait(lambda *_: cursor.close(), lambda: cursor.fetch(timeout=20))

    def test_time_out(self):
        topic = self.open().topic("t", queues=1)
        began = time.monotonic()
        self.assertEqual(topic.cursor(0).fetch(timeout=0.2), [])
        self.assertGreaterEqual(time.monotonic() - began, 0.19)

    def test_time_outs_that_c_cannot_hold(self):
        self.assertEqual([commitlog._ms(seconds) for seconds in
                          (None, float("inf"), -1, 0, 0.0001, 2, 2 ** 32 / 1000, 1e308,
                           float("-inf"))],
                         [-1, -1, 0, 0, 1, 2000, 2 ** 31 - 1, 2 ** 31 - 1, 0])
        self.assertEqual([next(commitlog._waits(seconds)) for seconds in
                          (None, float("inf"), 1e308, 100, 0, -1, float("-inf"))],
                         [500, 500, 500, 500, 0, 0, 0])
        for wait in (commitlog._ms, lambda seconds: next(commitlog._waits(seconds))):
            self.assertRaises(ValueError, wait, float("nan"))
        store = self.open()
        topic = store.topic("t", queues=1)
        receipt = topic.append(b"x", timeout=2 ** 33)
        self.assertTrue(store.wait(receipt.position, timeout=float("inf")))
        self.assertEqual(len(topic.cursor().fetch(timeout=float("inf"))), 1)

    def test_wait_for_position(self):
        store = self.open()
        receipt = store.topic("t", queues=1).append(b"x", level="none")
        self.assertTrue(store.wait(receipt.position, timeout=5))
        self.assertFalse(store.wait(receipt.end_position, timeout=0.05))
        store.sync(receipt.end_position)
        self.assertTrue(store.wait_durable(receipt.end_position, timeout=5))

    def test_another_process_is_followed(self):
        writer = """
import sys, time, commitlog
with commitlog.Store(sys.argv[1], segment_bytes="1M", stage_bytes="256K") as store:
    topic = store.topic("t", queues=1)
    topic.append(b"0", level="durable")
    print("ready", flush=True)
    for n in range(1, 10):
        time.sleep(0.02)
        topic.append(b"%d" % n, level="none")
    sys.stdin.read()
"""
        with subprocess.Popen([sys.executable, "-c", writer, self.path], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              env={**os.environ, "PYTHONPATH": str(HERE),
                                   "PYTHONDONTWRITEBYTECODE": "1"}) as process:
            try:
                self.assertEqual(process.stdout.readline(), "ready\n")
                with commitlog.Store(self.path, access="read-only") as follower:
                    bodies = []
                    for message in follower.topic("t").cursor(0).follow(timeout=20):
                        bodies.append(message.body)
                        if len(bodies) == 10:
                            break
                self.assertEqual(bodies, [b"%d" % n for n in range(10)])
            finally:
                process.stdin.close()
            self.assertEqual(process.wait(timeout=30), 0)


class Groups(StoreCase):
    def test_queue_of_a_key(self):
        self.assertEqual([commitlog.queue_by_key(b"table-7", n) for n in (8, 24)], [1, 17])
        topic = self.open().topic("keyed", queues=8)
        topic.append(b"x", keys=[b"table-7"], level="none")
        self.assertEqual([message.queue for message in topic.cursor()], [1])

    def test_assignment(self):
        members = [b"red", b"blue", b"green"]
        self.assertEqual(commitlog.assign("average", members, 8), [1, 1, 1, 2, 2, 2, 0, 0])
        self.assertEqual(commitlog.assign("circle", members, 5), [1, 2, 0, 1, 2])
        self.assertEqual(commitlog.assign("sticky", members, 8, [0, 0, None, None, None, 1, 1, None]),
                         [0, 0, 1, 2, 2, 1, 1, 2])
        self.assertEqual(commitlog.assign("consistent-hash", [b"red", b"green", b"blue", b"violet"],
                                          8), [2, 0, 0, 3, 0, 2, 2, 3])
        with self.assertRaises(commitlog.UsageError) as caught:
            commitlog.assign("circle", [b"red", b"red"], 8)
        self.assertIn("members 0 and 1", str(caught.exception))


class ConsumerGroups(StoreCase):
    def setUp(self):
        super().setUp()
        self.store = self.open()
        self.topic = self.store.topic("t", queues=3)
        for number in range(12):
            self.topic.append(b"%d" % number, number % 3, level="none")

    def test_what_is_committed_is_remembered(self):
        group = self.store.group("g", create=True)
        self.assertEqual(group.offsets(self.topic), {})
        receipt = group.commit({(self.topic, 0): 4, (self.topic, 2): 1})
        self.assertEqual(receipt.level, "durable")
        self.store.close()
        with commitlog.Store(self.path, access="read-only") as store:
            topic, group = store.topic("t"), store.group("g")
            self.assertEqual(group.offsets(topic), {0: 4, 2: 1})
            lag = group.lag(topic)
            self.assertEqual((lag["queues"], lag["messages"], lag["dropped"]), (3, 7, 0))
            self.assertGreater(lag["oldest_time_ns"], 0)
            self.assertEqual(group.lag(topic, 0)["messages"], 0)
            with self.assertRaises(commitlog.UsageError) as caught:
                group.commit({(topic, 0): 4})
            self.assertEqual(caught.exception.name, "COMMITLOG_EMISUSE")

    def test_refusals(self):
        group = self.store.group("g", create=True)
        self.assertEqual([group.next_epoch(), group.next_epoch()], [1, 2])
        group.commit({(self.topic, 0): 2}, epoch=2)
        for offset, epoch, name in ((3, 1, "EFENCED"), (1, 2, "ETOOSMALL"), (5, 2, "EBEYOND")):
            with self.assertRaises(commitlog.StatusError) as caught:
                group.commit({(self.topic, 0): offset}, epoch=epoch)
            self.assertEqual(caught.exception.name, "COMMITLOG_" + name)
        self.assertEqual(group.offsets(self.topic), {0: 2})

    def test_reset(self):
        group = self.store.group("g", create=True)
        group.reset(self.topic, start=commitlog.END)
        self.assertEqual(group.offsets(self.topic), {0: 4, 1: 4, 2: 4})
        group.reset(self.topic, 1, offset=3)
        group.reset(self.topic, 2)
        self.assertEqual(group.offsets(self.topic), {0: 4, 1: 3, 2: 0})

    def test_messages_expire(self):
        topic = self.store.topic("expires", queues=1)
        for number in range(3):
            receipt = topic.append(b"%d" % number)
        topic.expire(receipt.store_time_ns)
        self.assertEqual(topic.queue_info(0)["next_offset"], 3)
        self.assertGreater(topic.queue_info(0)["first_offset"], 0)
        topic.expire()
        self.assertEqual(topic.queue_info(0)["first_offset"], 3)
        self.assertEqual(topic.keep_age_ms, 0)
        topic.expire_after(1000, level="durable")
        self.assertEqual(topic.keep_age_ms, 1000)
        with self.assertRaises(commitlog.UsageError):
            topic.expire_after((1 << 64) - 1)

    def test_a_topic_grows_and_shrinks(self):
        topic, group = self.store.topic("grows", queues=2), self.store.group("g", create=True)
        keys = [b"key %d" % number for number in range(20)]
        for key in keys:
            topic.append(b"before", keys=[key])
        mark = topic.queue_info(1)["next_offset"]
        topic.grow(4)
        for key in keys:
            topic.append(b"after", keys=[key])
        self.assertEqual((topic.queues, topic.queues_total, topic.steps), (4, 4, [2, 4]))
        self.assertEqual(group.gate(topic, 0), commitlog.Gate(True, None, 0, None))
        self.assertEqual(group.gate(topic, 3), commitlog.Gate(False, 1, mark, None))
        with self.assertRaises(commitlog.UsageError):
            group.commit({(topic, 3): 1})
        group.commit({(topic, 1): mark})
        self.assertEqual(group.gate(topic, 3), commitlog.Gate(True, 1, mark, mark))
        with self.assertRaises(commitlog.CommitlogError):
            topic.shrink(2)
        group.reset(topic, start=commitlog.END)
        self.assertEqual(sorted(group.offsets(topic)), [0, 1, 2, 3])
        topic.shrink(2)
        self.assertEqual((topic.queues, topic.queues_total), (2, 4))
        with self.assertRaises(commitlog.UsageError):
            topic.grow(3)

    def test_groups_come_and_go(self):
        with self.assertRaises(commitlog.StatusError):
            self.store.group("g")
        with self.store.group("g", create=True, keep=True) as group:
            self.assertEqual(self.store.groups(),
                             [{"name": "g", "epoch": 0, "keep": True, "queues": 0}])
            group.configure(keep=False)
            self.assertFalse(group.info()["keep"])
            group.delete()
        self.assertEqual(self.store.groups(), [])


class Delays(StoreCase):
    def setUp(self):
        super().setUp()
        self.store = self.open()
        self.topic = self.store.topic("t", queues=2)

    def later(self, body, ms, **more):
        due = int(time.time() * 1000) + ms
        return due, self.topic.append(body, 1, deliver_at_ms=due, **more)

    def test_a_message_comes_when_it_is_due(self):
        due, receipt = self.later(b"late", 300, keys=[b"k"], tag=b"red", headers=[(b"h", b"v")])
        early = list(self.topic.cursor(1))
        self.assertTrue(early == [] or time.time() * 1000 >= due)
        message, = self.topic.cursor(1).fetch(timeout=20)
        self.assertGreaterEqual(message.store_time_ns, due * 1000000)
        self.assertEqual((message.body, message.keys, message.tag, message.headers),
                         (b"late", (b"k",), b"red", ((b"h", b"v"),)))
        self.assertEqual((message.deliver_at_ms, message.origin_position, message.queue),
                         (due, receipt.position, 1))
        self.assertGreater(message.position, receipt.position)
        self.assertEqual([found.position for found in self.topic.query(b"k")], [message.position])
        self.assertEqual(list(self.store.timers()), [])

    def test_what_is_cancelled_never_comes(self):
        due, gone = self.later(b"gone", 1000, level="none")
        self.later(b"kept", 1000, level="none")
        self.store.cancel_timer(gone.position, level="durable")
        for handle in (gone.position, 8):
            with self.assertRaises(commitlog.StatusError) as caught:
                self.store.cancel_timer(handle)
            self.assertEqual(caught.exception.name, "COMMITLOG_ENOTFOUND")
        self.assertEqual([message.body for message in self.topic.cursor(1).fetch(timeout=20)],
                         [b"kept"])
        time.sleep(max(0.0, due / 1000 + 0.1 - time.time()))
        self.assertEqual([message.body for message in self.topic.cursor(1)], [b"kept"])

    def test_those_that_wait_are_told(self):
        hour = commitlog.delay_level_ms(17)
        self.assertEqual((commitlog.delay_level_ms(0), hour, commitlog.delay_level_ms(99)),
                         (0, 3600000, 7200000))
        last, second = self.later(b"second", 2 * hour)
        due, first = self.later(b"first", hour)
        batch, = self.store.append_batch([commitlog.Record(self.topic, b"third", 0,
                                                           deliver_at_ms=last)])
        self.store.close()
        with commitlog.Store(self.path, access="read-only") as store:
            found = list(store.timers())
        self.assertEqual(found[0], commitlog.Timer(first.position, self.topic.number, 1,
                                                   first.position, due))
        self.assertEqual({(each.handle, each.queue, each.deliver_at_ms) for each in found[1:]},
                         {(second.position, 1, last), (batch.position, 0, last)})

    def test_a_time_that_has_passed_is_none(self):
        self.topic.append(b"now", 0, deliver_at_ms=1)
        self.topic.append(b"at once", 0)
        self.assertEqual([(message.body, message.deliver_at_ms, message.origin_position)
                          for message in self.topic.cursor(0)],
                         [(b"now", 1, None), (b"at once", None, None)])
        with self.assertRaises(commitlog.UsageError) as caught:
            self.topic.append(b"never", 0, deliver_at_ms=2 ** 62)
        self.assertEqual(caught.exception.name, "COMMITLOG_ETOOBIG")


class WorkQueues(StoreCase):
    HOUR_MS = 3600000

    def setUp(self):
        super().setUp()
        self.store = self.open()
        self.topic = self.store.topic("jobs", queues=1)
        for number in range(5):
            self.topic.append(b"%d" % number, keys=[b"k"], tag=b"red", level="none")
        self.group = self.store.group("g", create=True)

    def runs(self):
        return [(work.state, work.offset, work.count, work.attempts)
                for work in self.group.work(self.topic, 0)]

    def refused(self, name, call, *arguments, **more):
        with self.assertRaises(commitlog.CommitlogError) as caught:
            call(*arguments, **more)
        self.assertEqual(caught.exception.name, "COMMITLOG_" + name)

    def test_what_is_acknowledged_does_not_come_again(self):
        with self.group.receiver(self.topic, visibility_ms=self.HOUR_MS) as receiver:
            given = receiver.receive(3)
            self.assertEqual([(message.body, message.tag, delivery) for message, delivery in given],
                             [(b"%d" % n, b"red", commitlog.Delivery(n, 0, 1)) for n in range(3)])
            self.assertEqual((given[0][0].reason, given[0][0].attempts), (None, None))
            receiver.ack([given[0][1], given[2][1]], level="durable")
            self.assertEqual(self.runs(), [("pending", 1, 1, 1), ("done", 2, 1, 0)])
            self.assertEqual(self.group.offsets(self.topic), {0: 1})
            self.assertEqual(self.group.lag(self.topic)["messages"], 4)
            self.refused("ENOTFOUND", receiver.ack, [given[0][1]])
            with self.group.receiver(self.topic) as other:  # another one gets the rest
                rest = [delivery for _, delivery in other.receive()]
                self.assertEqual([each.offset for each in rest], [3, 4])
                other.ack(rest)
            receiver.ack([given[1][1]])
            self.assertEqual((self.runs(), receiver.receive(timeout_ms=10)), ([], []))
            self.assertEqual(self.group.offsets(self.topic), {0: 5})
        with self.assertRaises(ValueError):
            receiver.receive()

    def test_what_is_not_acknowledged_comes_again(self):
        receiver = self.group.receiver(self.topic, visibility_ms=1)
        (_, first), (_, second) = receiver.receive(2)
        receiver.extend([first], self.HOUR_MS)
        time.sleep(0.02)  # else one that was never given out comes first
        again, = receiver.receive(1, timeout_ms=20000)
        self.assertEqual(again[1], commitlog.Delivery(1, 0, 2))
        self.refused("ENOTFOUND", receiver.ack, [second])  # of the attempt before
        before = int(time.time() * 1000)
        receiver.nack([again[1]], self.HOUR_MS)
        work = list(self.group.work(self.topic, 0))
        self.assertEqual([(each.offset, each.attempts) for each in work], [(0, 1), (1, 2)])
        self.assertTrue(all(each.visible_at_ms >= before + self.HOUR_MS - 5000 for each in work))
        receiver.nack([first])
        visible_ms = next(self.group.work(self.topic, 0)).visible_at_ms
        self.assertTrue(5000 < visible_ms - before < 60000)  # ten seconds
        self.store.close()
        with commitlog.Store(self.path, access="read-only") as store:
            group, topic = store.group("g"), store.topic("jobs")
            self.assertEqual([each.attempts for each in group.work(topic, 0)], [1, 2])
            self.refused("EMISUSE", group.receiver, topic)

    def test_what_is_given_back_too_often_is_a_dead_letter(self):
        receiver = self.group.receiver(self.topic, max_attempts=2, visibility_ms=self.HOUR_MS)
        for _ in range(2):
            (_, delivery), = receiver.receive(1)
            receiver.nack([delivery], 0)
        dead, = self.store.topic("%DLQ%g").cursor().fetch(timeout=20)
        original = next(iter(self.topic.cursor()))
        self.assertEqual((dead.body, dead.tag, dead.keys, dead.origin_position),
                         (b"0", b"red", (b"k",), original.position))
        self.assertEqual((dead.origin_topic, dead.origin_queue, dead.origin_offset, dead.attempts,
                          dead.reason), (self.topic.number, 0, 0, 2, "refused"))
        self.assertEqual((self.runs(), self.group.offsets(self.topic)), ([], {0: 1}))

    def test_what_expires_too_often_goes_where_it_is_told(self):
        lost = self.store.topic("lost", queues=1)
        with self.group.receiver(self.topic, max_attempts=1, visibility_ms=1,
                                 dead_topic=lost) as receiver:
            self.assertEqual(len(receiver.receive(1)), 1)
            time.sleep(0.02)
            self.assertEqual([delivery.offset for _, delivery in receiver.receive(1)], [1])
        dead, = lost.cursor().fetch(timeout=20)
        self.assertEqual((dead.body, dead.attempts, dead.reason), (b"0", 1, "expired"))

    def test_in_order_one_at_a_time(self):
        receiver = self.group.receiver(self.topic, ordered=True, max_attempts=None)
        (message, delivery), = receiver.receive()
        self.assertEqual((message.body, receiver.receive()), (b"0", []))
        receiver.ack([delivery])
        self.assertEqual([message.body for message, _ in receiver.receive()], [b"1"])

    def test_refusals(self):
        self.refused("EINVAL", self.group.receiver, self.topic, max_attempts=65535)
        for wrong in (0, -1):  # 0 would be the default to the library
            with self.assertRaises(ValueError):
                self.group.receiver(self.topic, max_attempts=wrong)
            with self.assertRaises(ValueError):
                self.group.receiver(self.topic, visibility_ms=wrong)
        receiver = self.group.receiver(self.topic)
        self.refused("EINVAL", receiver.receive, 0)
        self.refused("EINVAL", receiver.ack, [])
        (_, delivery), = receiver.receive(1)
        for wrong in (-1, -2, -2**63, -2**64):
            with self.assertRaises(ValueError):
                receiver.nack([delivery], wrong)
        self.assertEqual([info.attempts for info in self.group.work(self.topic, 0)], [1])
        receiver.ack([delivery])  # it was not given back
        self.group.delete()
        self.refused("ENOTFOUND", receiver.receive)
        self.refused("ENOTFOUND", list, self.group.work(self.topic, 0))


class Transactions(StoreCase):
    def setUp(self):
        super().setUp()
        self.store = self.open()
        self.one = self.store.topic("one", queues=1)
        self.two = self.store.topic("two", queues=2)

    def bodies(self, store=None):
        store = store or self.store
        return [[message.body for message in store.topic(name).cursor()] for name in ("one", "two")]

    def refused(self, name, call, *arguments, **more):
        with self.assertRaises(commitlog.CommitlogError) as caught:
            call(*arguments, **more)
        self.assertEqual(caught.exception.name, "COMMITLOG_" + name)

    def test_all_of_it_is_there_from_the_commit_on(self):
        self.one.append(b"before", level="none")
        with self.store.transaction("g") as transaction:
            self.assertEqual((transaction.number, list(self.store.transactions())), (None, []))
            first = transaction.append(self.one, b"1", keys=[b"k"], tag=b"red",
                                       headers=[(b"h", b"v")], time_ms=77)
            self.assertEqual(first.level, "none")
            self.assertEqual(transaction.number, first.position)
            transaction.append(self.two, b"2", 1)
            transaction.append(self.one, b"3")
            self.assertEqual(self.bodies(), [[b"before"], []])
            self.assertEqual(list(self.one.query(b"k")), [])
        self.assertTrue(transaction.decided)
        self.assertEqual(self.bodies(), [[b"before", b"1", b"3"], [b"2"]])
        message, = self.one.query(b"k")
        self.assertEqual((message.body, message.keys, message.tag, message.headers,
                          message.time_ms, message.queue_offset, message.origin_position),
                         (b"1", (b"k",), b"red", ((b"h", b"v"),), 77, 1, first.position))
        self.assertGreater(message.position, first.position)
        self.assertEqual([message.transaction for message in self.one.cursor()],
                         [None, first.position, first.position])
        self.assertEqual(list(self.store.transactions()), [])
        with self.assertRaises(ValueError):
            transaction.append(self.one, b"closed")

    def test_the_receipt_of_a_commit(self):
        self.one.append(b"before", level="none")
        transaction = self.store.transaction("g")
        self.assertIsNone(transaction.commit())
        self.refused("ENOTFOUND", transaction.append, self.one, b"late")
        transaction = self.store.transaction("g")
        transaction.append(self.one, b"x")
        transaction.append(self.two, b"y", 0)
        receipt = transaction.commit(level="durable")
        first, second = self.one.cursor(offset=1, queue=0).fetch()[0], self.two.cursor().fetch()[0]
        self.assertEqual((receipt.position, receipt.queue_offset, receipt.level),
                         (first.position, 1, "durable"))
        self.assertEqual(receipt.store_time_ns, first.store_time_ns)
        self.assertGreaterEqual(receipt.end_position, second.next_position)

    def test_an_exception_rolls_back(self):
        with self.assertRaises(ZeroDivisionError):
            with self.store.transaction("g") as transaction:
                transaction.append(self.one, b"gone")
                number = transaction.number
                raise ZeroDivisionError
        self.assertFalse(transaction.decided)
        self.assertEqual((self.bodies(), list(self.store.transactions())), ([[], []], []))
        self.refused("ENOTFOUND", self.store.open_transaction, number)

    def test_what_was_decided_within_stays_so(self):
        with self.store.transaction("g") as transaction:
            transaction.append(self.one, b"gone")
            transaction.rollback()
        with self.store.transaction("g") as transaction:
            transaction.append(self.one, b"kept")
            transaction.commit()
            self.refused("ENOTFOUND", transaction.rollback)
        with self.store.transaction("g") as transaction:
            transaction.append(self.one, b"closed")
            transaction.close()
        self.assertEqual(self.bodies(), [[b"kept"], []])

    def test_what_is_prepared_is_there_for_the_next_process(self):
        before = int(time.time() * 1000)
        with self.assertRaises(ZeroDivisionError):
            with self.store.transaction("shop", prepared_ms=3600000) as transaction:
                transaction.append(self.one, b"1")
                transaction.append(self.two, b"2", 1)
                transaction.prepare(level="durable")
                self.refused("EMISUSE", transaction.append, self.one, b"late")
                raise ZeroDivisionError
        with self.assertRaises(ZeroDivisionError):
            with self.store.transaction("bank", prepared=True) as transaction:
                other = transaction.append(self.one, b"no")
                self.assertEqual(other.level, "durable")  # as the store's own is
                self.refused("EMISUSE", transaction.append, self.one, b"another")
                self.refused("EMISUSE", transaction.prepare)
                raise ZeroDivisionError
        self.store.close()
        with commitlog.Store(self.path, access="read-only") as store:
            shop, bank = store.transactions()
            self.assertEqual((shop.group, shop.prepared, shop.messages, shop.offset_groups),
                             ("shop", True, 2, 0))
            self.assertTrue(before - 60000 <= shop.begin_ms <= int(time.time() * 1000) + 60000)
            self.assertTrue(0 <= shop.expires_at_ms - shop.begin_ms - 3600000 <= 120000)
            self.assertGreater(shop.bytes, 100)
            self.assertEqual((bank.group, bank.number, bank.prepared, bank.messages),
                             ("bank", other.position, True, 1))
            found = list(store.transaction_messages(shop.number))
            self.assertEqual([(each.topic, each.queue) for each in found],
                             [(store.topic("one").number, 0), (store.topic("two").number, 1)])
            self.assertEqual([store.get(each.position).body for each in found], [b"1", b"2"])
            self.refused("EMISUSE", store.transaction, "g")
            self.refused("EMISUSE", store.open_transaction, shop.number)
        with commitlog.Store(self.path) as store:
            with store.open_transaction(bank.number) as transaction:
                transaction.rollback()
            self.assertEqual(self.bodies(store), [[], []])
            with store.open_transaction(shop.number) as transaction:
                self.assertEqual(transaction.number, shop.number)
            self.assertEqual(self.bodies(store), [[b"1"], [b"2"]])
            self.assertEqual(list(store.transactions()), [])
            self.assertEqual(list(store.transaction_messages(shop.number)), [])
            self.refused("ENOTFOUND", store.open_transaction, shop.number)

    def test_offsets_and_what_was_made_of_it_come_together(self):
        for number in range(4):
            self.one.append(b"%d" % number, level="none")
        group = self.store.group("g", create=True)
        epoch = group.next_epoch()

        def double(fails):
            begin = group.offsets(self.one).get(0, 0)
            with self.store.transaction("doubles") as transaction:
                messages = self.one.cursor(0, offset=begin).fetch(3)
                for message in messages:
                    transaction.append(self.two, message.body * 2, 0)
                transaction.offsets(group, {(self.one, 0): begin + len(messages)}, epoch)
                self.assertEqual(group.offsets(self.one).get(0, 0), begin)
                if fails:
                    raise ZeroDivisionError

        with self.assertRaises(ZeroDivisionError):
            double(fails=True)
        self.assertEqual((self.bodies()[1], group.offsets(self.one)), ([], {}))
        double(fails=False)
        self.assertEqual((self.bodies()[1], group.offsets(self.one)),
                         ([b"00", b"11", b"22"], {0: 3}))
        with self.assertRaises(ZeroDivisionError):
            double(fails=True)
        double(fails=False)
        self.assertEqual((self.bodies()[1][3:], group.offsets(self.one)), ([b"33"], {0: 4}))

        late = self.store.transaction("doubles")
        self.refused("EBEYOND", late.offsets, group, {(self.one, 0): 5}, epoch)
        self.refused("ETOOSMALL", late.offsets, group, {(self.one, 0): 3}, epoch)
        late.append(self.two, b"late", 0)
        late.offsets(group, {(self.one, 0): 4}, epoch)
        group.next_epoch()
        self.refused("EFENCED", late.commit)
        self.assertEqual([each.number for each in self.store.transactions()], [late.number])
        late.rollback()
        self.assertEqual(len(self.bodies()[1]), 4)

    def test_its_time_is_over(self):
        transaction = self.store.transaction("g", timeout_ms=1)
        transaction.append(self.one, b"late")
        end = time.monotonic() + 20
        while list(self.store.transactions()) and time.monotonic() < end:
            time.sleep(0.01)
        self.refused("ENOTFOUND", transaction.commit)
        self.assertEqual(self.bodies(), [[], []])

    def test_refusals(self):
        self.refused("EINVAL", self.store.transaction, "")
        self.refused("EINVAL", self.store.transaction, "g", timeout_ms=-1)
        self.refused("ETOOBIG", self.store.transaction, "g", prepared_ms=2592000001)
        self.refused("EINVAL", self.store.transaction("g").append, self.one, b"x", 7)
        self.refused("ENOTFOUND", self.store.open_transaction, 8)
        with self.store.transaction("g") as transaction:
            transaction.append(self.one, b"x")
            self.refused("EMISUSE", self.store.open_transaction, transaction.number)


class Limits(StoreCase):
    def test_appends_are_refused(self):
        store = self.open()
        topic = store.topic("t", queues=1)
        group = store.group("g", create=True, keep=True)
        group.commit({(topic, 0): 0})
        store.set_limits(unconsumed_bytes=20000)
        self.assertEqual(store.limits(), {"unflushed_bytes": 0, "unconsumed_bytes": 20000})
        with self.assertRaises(commitlog.StatusError) as caught:
            for _ in range(100):
                topic.append(b"x" * 1000, timeout=0)
        self.assertEqual(caught.exception.name, "COMMITLOG_EFULL")
        store.set_limits()
        topic.append(b"x", timeout=0)

    def full(self):
        """A store whose limit is reached, its topic and the group that has to consume."""
        store = self.open()
        topic, group = store.topic("t", queues=1), store.group("g", create=True, keep=True)
        group.commit({(topic, 0): 0})
        store.set_limits(unconsumed_bytes=20000)
        with self.assertRaises(commitlog.StatusError):
            while True:
                topic.append(b"x" * 1000, timeout=0)
        return store, topic, group

    @mock.patch.object(commitlog, "_SLICE_MS", 50)
    def test_ctrl_c_ends_the_wait_for_a_consumer(self):
        store, topic, group = self.full()
        transaction = store.transaction("p")
        for call in (lambda: topic.append(b"never"), lambda: transaction.append(topic, b"never"),
                     lambda: store.append_batch([commitlog.Record(topic, b"never")])):
            release = threading.Timer(10, store.set_limits)  # should it not
            release.start()
            begin, end = time.monotonic(), topic.queue_info(0)["next_offset"]
            with self.assertRaises(KeyboardInterrupt):
                self.during_a_wait(signal.default_int_handler, call)
            release.cancel()
            self.assertLess(time.monotonic() - begin, 5)
            self.assertEqual(topic.queue_info(0)["next_offset"], end)

    @mock.patch.object(commitlog, "_SLICE_MS", 50)
    def test_the_wait_for_a_consumer_ends(self):
        store, topic, group = self.full()
        begin = time.monotonic()
        with self.assertRaises(commitlog.StatusError) as caught:
            topic.append(b"never", timeout=0.12)  # more than a slice
        self.assertEqual(caught.exception.name, "COMMITLOG_EFULL")
        self.assertGreaterEqual(time.monotonic() - begin, 0.11)
        end = topic.queue_info(0)["next_offset"]
        consumer = threading.Timer(0.12, lambda: group.commit({(topic, 0): end}))
        consumer.start()
        receipt = topic.append(b"at last")
        consumer.join()
        self.assertEqual((receipt.queue_offset, receipt.level), (end, "durable"))

    @mock.patch.object(commitlog, "_SLICE_MS", 50)
    def test_a_level_that_takes_longer_than_a_slice(self):
        store = self.open()
        topic, other = store.topic("t", queues=1), store.topic("other", queues=1)
        store.set_limits(unconsumed_bytes=1 << 20)
        record = commitlog.Record(topic, b"y", level="durable")
        with contextlib.ExitStack() as stack:
            stack.enter_context(reservation(other))
            for call in (lambda: topic.append(b"x", level="durable", timeout=0.12),
                         lambda: store.append_batch([record] * 2, timeout=0.12)):
                with self.assertRaises(commitlog.StoreError) as caught:
                    call()
                self.assertEqual(caught.exception.name, "COMMITLOG_EUNKNOWN")
            thread = threading.Timer(0.12, stack.pop_all().close)
            thread.start()
            receipts = store.append_batch([record] * 2)
            thread.join()
        self.assertEqual([receipt.level for receipt in receipts], ["durable"] * 2)
        self.assertEqual([message.body for message in topic.cursor(0)],
                         [b"x"] + [b"y"] * 4)


class Threads(StoreCase):
    """Of what one thread at a time may use: the second one is told, and the first goes on."""

    def beside(self, handle, wait, calls, release):
        """Calls each while another thread is in a call of it that waits; what that one returned."""
        answers = []
        thread = threading.Thread(target=lambda: answers.append(wait()))
        thread.start()
        try:
            end = time.monotonic() + 10
            while handle._user.acquire(blocking=False):
                handle._user.release()
                self.assertLess(time.monotonic(), end, "is in no call")
                time.sleep(0.001)
            for call in calls:
                with self.assertRaisesRegex(RuntimeError, "another thread"):
                    call()
        finally:
            release()
            thread.join()
        return answers[0]

    def test_a_cursor(self):
        store = self.open()
        topic = store.topic("t", queues=1)
        cursor = topic.cursor(0)
        messages = self.beside(
            cursor, lambda: cursor.fetch(timeout=20),
            [cursor.fetch, cursor.tell, cursor.seek, lambda: cursor.set_tags([b"a"]),
             lambda: cursor.set_filter("a = 1"), lambda: next(iter(cursor)), cursor.close],
            lambda: topic.append(b"late", level="none"))
        self.assertEqual([message.body for message in messages], [b"late"])
        self.assertEqual(cursor.tell(), 1)
        cursor.close()

    def test_a_receiver(self):
        store = self.open()
        topic = store.topic("t", queues=1)
        receiver = store.group("g", create=True).receiver(topic)
        [(message, delivery)] = self.beside(
            receiver, lambda: receiver.receive(timeout_ms=20000),
            [receiver.receive, lambda: receiver.ack([]), lambda: receiver.nack([]),
             lambda: receiver.extend([], 1), receiver.close],
            lambda: topic.append(b"late", level="none"))
        self.assertEqual(message.body, b"late")
        receiver.ack([delivery])

    def test_a_transaction(self):
        store = self.open()
        topic, other = store.topic("t", queues=1), store.topic("other", queues=1)
        group = store.group("g", create=True)
        transaction = store.transaction("shop")
        transaction.append(topic, b"x")
        with reservation(other):
            self.beside(
                transaction,
                lambda: self.assertRaises(commitlog.StoreError, transaction.prepare, "durable", 10),
                [lambda: transaction.append(topic, b"y"), lambda: transaction.number,
                 lambda: transaction.offsets(group, {(topic, 0): 0}), transaction.prepare,
                 transaction.commit, transaction.rollback, transaction.close],
                store.interrupt)
        transaction.commit()
        self.assertEqual([message.body for message in topic.cursor(0)], [b"x"])

    def test_a_handler_is_no_other_thread(self):
        store = self.open()
        cursor = store.topic("t", queues=1).cursor(0)
        with self.assertRaises(ValueError):
            self.during_a_wait(lambda *_: cursor.close(), lambda: cursor.fetch(timeout=10))


class Errors(StoreCase):
    def test_bands(self):
        self.open()
        with self.assertRaises(commitlog.HostError) as caught:
            commitlog.Store(self.path)
        self.assertEqual(caught.exception.name, "COMMITLOG_ELOCKED")
        self.assertIn(str(os.getpid()), str(caught.exception))
        with self.assertRaises(commitlog.UsageError) as caught:
            commitlog.Store(self.path + "2", engine="steam")
        self.assertIn("engine", str(caught.exception))
        with self.assertRaises(commitlog.StatusError):
            commitlog.Store(self.path + "2", create="never")
        with self.assertRaises(commitlog.StatusError):
            commitlog.Store(self.path + "2", no_such_option=1)

    def test_foreign_directory(self):
        path = os.path.join(self.directory.name, "file")
        pathlib.Path(path).write_text("not a store")
        with self.assertRaises(commitlog.HostError) as caught:
            commitlog.Store(path)
        self.assertEqual(caught.exception.name, "COMMITLOG_ENOTDIR")

    def test_text_with_a_nul(self):
        self.assertRaises(ValueError, commitlog.Store, self.path + "\0behind")
        self.assertRaises(ValueError, commitlog.Store, self.path, flush="none\0behind")
        self.assertEqual(os.listdir(self.directory.name), [])

    def test_what_can_be_sent_to_another_process(self):
        store = self.open()
        topic = store.topic("t", queues=1)
        receipt = topic.append(b"x")
        cursor, group = topic.cursor(), store.group("g", create=True)
        for handle in (store, topic, cursor, group, group.receiver(topic),
                       store.transaction("p")):
            self.assertRaises(TypeError, pickle.dumps, handle)
        for handle in (store, cursor, group):
            self.assertRaises(TypeError, copy.copy, handle)
        message = store.get(receipt.position)
        self.assertEqual(pickle.loads(pickle.dumps((receipt, message))), (receipt, message))
        with self.assertRaises(commitlog.StatusError) as caught:
            topic.cursor(0, offset=9).fetch()
        again = pickle.loads(pickle.dumps(caught.exception))
        self.assertIs(type(again), commitlog.StatusError)
        self.assertEqual((str(again), vars(again)),
                         (str(caught.exception), vars(caught.exception)))

    def test_in_a_forked_child(self):
        store = self.open()
        topic = store.topic("t", queues=1)
        cursor = topic.cursor()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                for call in (lambda: topic.append(b"x"), cursor.fetch, store.topics, store.close):
                    try:
                        call()
                    except commitlog.UsageError as error:
                        assert error.name == "COMMITLOG_EFORK"
                    else:
                        raise AssertionError
                cursor.close()
                code = 0
            finally:
                os._exit(code)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertEqual(topic.append(b"x").queue_offset, 0)
        self.assertEqual(len(cursor.fetch()), 1)

    def test_topic_that_differs(self):
        store = self.open()
        store.topic("t", queues=2)
        with self.assertRaises(commitlog.UsageError) as caught:
            store.topic("t", queues=3)
        self.assertEqual(caught.exception.name, "COMMITLOG_EEXIST")
        with self.assertRaises(commitlog.StatusError):
            store.topic("unknown")


if __name__ == "__main__":
    unittest.main()
