#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""ctypes_test.py - a program in another language, with nothing but the shared library and the
numbers of the public header: creates a store, appends, reads, queries, waits, verifies.

Environment: BUILD (directory of libcommitlog.so, default build/release). Ends with "checks: N".
"""
import ctypes as c
import os
import re
import shutil
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build", "release"))


def constants():
    """Every COMMITLOG_ enumerator of the header with its value."""
    with open(os.path.join(ROOT, "include", "commitlog.h"), encoding="utf-8") as header:
        text = re.sub(r"/\*.*?\*/", "", header.read(), flags=re.S)
    pairs = re.findall(r"\b(COMMITLOG_[A-Z0-9_]+)\s*=\s*(-?(?:0x[0-9a-f]+|\d+))", text)
    return {name: int(value, 0) for name, value in pairs}


K = constants()
checks = 0


def check(condition, what):
    global checks
    checks += 1
    if not condition:
        print(f"ctypes_test: FAILED: {what}", file=sys.stderr)
        sys.exit(1)


class Error(c.Structure):
    _fields_ = [("code", c.c_int32), ("os_errno", c.c_int32), ("position", c.c_uint64),
                ("message", c.c_char * 240)]


class Slice(c.Structure):
    _fields_ = [("data", c.c_void_p), ("bytes", c.c_size_t)]

    def value(self):
        return c.string_at(self.data, self.bytes) if self.bytes else b""


class Header(c.Structure):
    _fields_ = [("name", Slice), ("value", Slice)]


class Receipt(c.Structure):
    _fields_ = [("position", c.c_uint64), ("end_position", c.c_uint64),
                ("queue_offset", c.c_uint64), ("store_time_ns", c.c_int64),
                ("epoch", c.c_uint32), ("level", c.c_uint32)]


class Record(c.Structure):
    _fields_ = [("struct_bytes", c.c_uint32), ("topic", c.c_uint32), ("queue", c.c_uint32),
                ("level", c.c_uint32), ("body", c.POINTER(Slice)), ("body_count", c.c_uint32),
                ("key_count", c.c_uint32), ("keys", c.POINTER(Slice)), ("tag", Slice),
                ("headers", c.POINTER(Header)), ("header_count", c.c_uint32),
                ("has_time", c.c_uint32), ("time_ms", c.c_int64)]


class Message(c.Structure):
    _fields_ = [("position", c.c_uint64), ("next_position", c.c_uint64),
                ("queue_offset", c.c_uint64), ("store_time_ns", c.c_int64),
                ("time_ms", c.c_int64), ("topic", c.c_uint32), ("queue", c.c_uint32),
                ("epoch", c.c_uint32), ("kind", c.c_uint32), ("body", Slice), ("tag", Slice),
                ("attributes", Slice), ("key_count", c.c_uint32), ("header_count", c.c_uint32),
                ("reserved", c.c_uint64 * 3)]


class OptionInfo(c.Structure):
    _fields_ = [("id", c.c_int32), ("type", c.c_uint32), ("minimum", c.c_uint64),
                ("maximum", c.c_uint64), ("initial", c.c_uint64), ("name", c.c_char_p),
                ("unit", c.c_char_p), ("choices", c.c_char_p), ("summary", c.c_char_p)]


def load():
    lib = c.CDLL(os.path.join(BUILD, "libcommitlog.so"))
    for name in ("error_name", "error_text", "version_text", "report_line"):
        getattr(lib, "commitlog_" + name).restype = c.c_char_p
    lib.commitlog_cursor_tell.restype = c.c_uint64
    lib.commitlog_cursor_tell.argtypes = [c.c_void_p]
    # Calls with 64-bit arguments that ctypes would pass as int.
    lib.commitlog_cursor_open.argtypes = [c.c_void_p, c.c_uint32, c.c_uint32, c.c_uint32,
                                          c.c_uint64, c.c_void_p, c.c_void_p]
    lib.commitlog_cursor_open_key.argtypes = [c.c_void_p, c.c_uint32, c.c_char_p, c.c_size_t,
                                              c.c_int64, c.c_int64, c.c_void_p, c.c_void_p]
    lib.commitlog_cursor_seek.argtypes = [c.c_void_p, c.c_uint32, c.c_uint64]
    lib.commitlog_sync.argtypes = [c.c_void_p, c.c_uint64, c.c_int32, c.c_void_p]
    lib.commitlog_wait.argtypes = [c.c_void_p, c.c_uint64, c.c_int32]
    lib.commitlog_append.argtypes = [c.c_void_p, c.c_uint32, c.c_uint32, c.c_char_p, c.c_size_t,
                                     c.c_uint32, c.c_void_p]
    lib.commitlog_options_set.argtypes = [c.c_void_p, c.c_int32, c.c_uint64, c.c_void_p]
    lib.commitlog_topic_open.argtypes = [c.c_void_p, c.c_char_p, c.c_size_t, c.c_uint32,
                                         c.c_void_p, c.c_void_p]
    lib.commitlog_get.argtypes = [c.c_void_p, c.c_uint64, c.c_void_p, c.c_void_p, c.c_void_p]
    return lib


LIB = load()
ERR = Error()


def ok(rc, what):
    check(rc == 0, f"{what}: {LIB.commitlog_error_name(rc).decode()}: "
                   f"{ERR.message.decode('utf-8', 'replace')}")


def slices(values):
    array = (Slice * max(len(values), 1))()
    for place, value in zip(array, values):
        place.data = c.cast(c.c_char_p(value), c.c_void_p)
        place.bytes = len(value)
    return array


def introspect():
    count = LIB.commitlog_error_count()
    names = {LIB.commitlog_error_at(i): LIB.commitlog_error_name(LIB.commitlog_error_at(i))
             for i in range(count)}
    for name, value in K.items():
        if re.fullmatch(r"COMMITLOG_(OK|E[A-Z]+)", name) and value <= 0:
            check(names.get(value) == name.encode(), f"{name} is {names.get(value)}")
    info = OptionInfo()
    seen = {}
    index = 0
    while LIB.commitlog_option_info(index, c.byref(info)) == 0:
        check(info.minimum <= info.initial <= info.maximum, info.name)
        check(info.summary and info.unit is not None and info.choices is not None, info.name)
        seen[info.name.decode()] = info.id
        index += 1
    for name, value in K.items():
        if name.startswith("COMMITLOG_OPT_"):
            check(seen.get(name[len("COMMITLOG_OPT_"):].lower()) == value, name)
    check(len(seen) == index < 25, "options")


def open_store(path, access=0):
    options = c.c_void_p()
    store = c.c_void_p()
    ok(LIB.commitlog_options_create(c.byref(options)), "options")
    ok(LIB.commitlog_options_set(options, K["COMMITLOG_OPT_ACCESS"], access, c.byref(ERR)), "set")
    ok(LIB.commitlog_options_set_text(options, b"segment_bytes", b"1M", c.byref(ERR)), "set text")
    rc = LIB.commitlog_options_set_text(options, b"no_such_option", b"1", c.byref(ERR))
    check(rc == K["COMMITLOG_ENOTFOUND"], "an unknown option")
    ok(LIB.commitlog_open(path.encode(), options, c.byref(store), c.byref(ERR)), "open")
    LIB.commitlog_options_free(options)
    return store


def append(store, topic):
    receipts = []
    for i in range(100):
        receipt = Receipt()
        body = slices([b"body ", str(i).encode()])
        keys = slices([b"key-%d" % (i % 10), b"nul\0inside"])
        header = (Header * 1)()
        names = slices([b"name", b"value\0\xff"])
        header[0].name, header[0].value = names[0], names[1]
        record = Record(struct_bytes=c.sizeof(Record), topic=topic, queue=i % 4, level=1,
                        body=body, body_count=2, keys=keys, key_count=2,
                        tag=slices([b"odd" if i % 2 else b"even"])[0], headers=header,
                        header_count=1, has_time=1, time_ms=1000 + i)
        ok(LIB.commitlog_append_record(store, c.byref(record), -1, c.byref(receipt),
                                       c.byref(ERR)), "append_record")
        check(receipt.queue_offset == i // 4, "offset")
        receipts.append(receipt)
    ok(LIB.commitlog_sync(store, receipts[-1].end_position, -1, c.byref(ERR)), "sync")
    return receipts


def read(store, topic, receipts):
    cursor = c.c_void_p()
    messages = (Message * 16)()
    got = c.c_uint32()
    bound = c.c_uint64()
    ok(LIB.commitlog_cursor_open(store, topic, K["COMMITLOG_QUEUE_ALL"],
                                 K["COMMITLOG_FROM_FIRST"], 0, c.byref(cursor), c.byref(ERR)),
       "cursor")
    number = 0
    while True:
        rc = LIB.commitlog_cursor_fetch(cursor, messages, 16, 0, c.byref(got), c.byref(bound))
        if rc == K["COMMITLOG_EEND"]:
            break
        ok(rc, "fetch")
        for message in messages[:got.value]:
            key, header = Slice(), Header()
            check(message.body.value() == b"body %d" % number, "body")
            check(message.position == receipts[number].position, "position")
            check(message.time_ms == 1000 + number, "time")
            check(message.tag.value() == (b"odd" if number % 2 else b"even"), "tag")
            ok(LIB.commitlog_message_key(c.byref(message), 1, c.byref(key)), "key")
            check(key.value() == b"nul\0inside", "binary key")
            ok(LIB.commitlog_message_header(c.byref(message), 0, c.byref(header)), "header")
            check(header.value.value() == b"value\0\xff", "binary header")
            number += 1
    check(number == 100, "all read")
    LIB.commitlog_cursor_close(cursor)


def query(store, topic):
    cursor = c.c_void_p()
    messages = (Message * 16)()
    got = c.c_uint32()
    ok(LIB.commitlog_cursor_open_key(store, topic, b"key-7", 5, 0, 2**63 - 1, c.byref(cursor),
                                     c.byref(ERR)), "key cursor")
    ok(LIB.commitlog_cursor_fetch(cursor, messages, 16, 0, c.byref(got), None), "key fetch")
    check(got.value == 10, "ten of the key")
    check([m.body.value() for m in messages[:10]] ==
          [b"body %d" % i for i in range(97, 0, -10)], "newest first")
    LIB.commitlog_cursor_close(cursor)


def wait(store, topic):
    cursor = c.c_void_p()
    message = Message()
    got = c.c_uint32()
    ok(LIB.commitlog_cursor_open(store, topic, 0, K["COMMITLOG_FROM_END"], 0, c.byref(cursor),
                                 c.byref(ERR)), "end cursor")
    rc = LIB.commitlog_cursor_fetch(cursor, c.byref(message), 1, 20, c.byref(got), None)
    check(rc == K["COMMITLOG_EEND"], "nothing yet")

    def later():
        time.sleep(0.1)
        LIB.commitlog_append(store, topic, 0, b"later", 5, 1, None)

    thread = threading.Thread(target=later)
    thread.start()
    ok(LIB.commitlog_cursor_fetch(cursor, c.byref(message), 1, 10000, c.byref(got), None), "wait")
    check(message.body.value() == b"later", "what was waited for")
    thread.join()
    LIB.commitlog_cursor_close(cursor)


def main():
    root = tempfile.mkdtemp(prefix="commitlog-ctypes-")
    path = os.path.join(root, "store")
    topic = c.c_uint32()
    introspect()
    store = open_store(path)
    ok(LIB.commitlog_topic_open(store, b"ctypes", 6, 4, c.byref(topic), c.byref(ERR)), "topic")
    receipts = append(store, topic.value)
    read(store, topic.value, receipts)
    query(store, topic.value)
    wait(store, topic.value)
    follower = open_store(path, K["COMMITLOG_READ_ONLY"])
    ok(LIB.commitlog_topic_open(follower, b"ctypes", 6, 0, c.byref(topic), c.byref(ERR)), "topic")
    query(follower, topic.value)
    ok(LIB.commitlog_close(follower, c.byref(ERR)), "close the follower")
    ok(LIB.commitlog_close(store, c.byref(ERR)), "close")
    report = c.c_void_p()
    ok(LIB.commitlog_verify(path.encode(), None, c.byref(report), c.byref(ERR)), "verify")
    LIB.commitlog_report_free(report)
    rc = LIB.commitlog_open(b"/dev/null", None, c.byref(store), c.byref(ERR))
    check(rc == K["COMMITLOG_ENOTDIR"] and ERR.code == rc and b"/dev/null" in ERR.message,
          "a file instead of a directory")
    shutil.rmtree(root)
    print(f"checks: {checks}")


main()
