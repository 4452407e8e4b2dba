# SPDX-License-Identifier: BSD-2-Clause
"""checkpoint1.py - CHECKPOINT and LOCK of format version 1. Part of walk.py."""
from format1 import PAGE, Bytes, common_header, need, same


def checkpoint(data, uuid):
    """The slot that counts, as a dictionary."""
    same(data.where, "length", len(data.data), 2 * PAGE)
    best = None
    for slot in range(2):
        page = Bytes(data.take(slot * PAGE, PAGE), f"{data.where} slot {slot}")
        if page.data == bytes(PAGE):
            continue
        common_header(page, b"CLGCHKT", PAGE, uuid)
        names = ("sequence", "first", "checkpointed", "durable", "state", "segment_bytes",
                 "session", "time", "epoch", "clean")
        forms = [(64 + 8 * i, "Q") for i in range(7)] + [(120, "q"), (128, "I"), (132, "I")]
        line = dict(zip(names, (page.number(at, form) for at, form in forms)))
        page.room_is_zero()
        same(page.where, "slot", line["sequence"] % 2, slot)
        need(line["first"] <= line["checkpointed"] <= line["durable"] >= line["state"],
             page.where, "order of positions")
        same(page.where, "first modulo a page", line["first"] % PAGE, 0)
        need(line["clean"] in (0, 1), page.where, "clean")
        if best is None or line["sequence"] > best["sequence"]:
            best = line
    return best


def lock(data, uuid):
    same(data.where, "length", len(data.data), PAGE)
    common_header(data, b"CLGLOCK", PAGE, uuid)
    data.u64(64)
    session = data.u64(72)
    data.take(80, 16)
    data.u32(96)
    need(data.u32(100) <= 2048, data.where, "bytes of the path")
    data.take(104, data.u32(100))
    data.room_is_zero()
    return session
