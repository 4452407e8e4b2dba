# SPDX-License-Identifier: BSD-2-Clause
"""topics1.py - topics and their growth steps in a .state of format version 1. Part of walk.py."""
from format1 import TOPIC, need, same


def state_topics(data, log, segments):
    at, names = 0, set()
    while at < len(data.data):
        first, queues, base = data.u32(at), data.u32(at + 4), data.u64(at + 8)
        size = data.u32(at + 16)
        name = data.take(at + 24, size).decode("utf-8")
        same(data.where, f"first step of {name}", (first, queues), log.steps[name][0])
        same(data.where, f"first queue of {name}", log.names[first], (name, 0))
        same(data.where, f"definition of {name}", base, max(
            segment.base for segment in segments for record in segment.records
            if record.kind == TOPIC and record.queue == first))
        same(data.where, f"steps of {name}", data.u32(at + 20),
             (len(log.steps[name]) - 1) | (log.active[name] - 1) << 16)
        names.add(name)
        at = state_steps(data, log, segments, name, at + 24 + (size + 7) // 8 * 8)
    same(data.where, "length", at, len(data.data))
    same(data.where, "topics", names, set(log.steps))


def state_steps(data, log, segments, name, at):
    for step, line in enumerate(log.steps[name][1:], 1):
        same(data.where, f"step {step} of {name}", (data.u32(at), data.u32(at + 4)), line)
        marked, count = data.u64(at + 8), data.u32(at + 16)
        same(data.where, "must be zero", data.u32(at + 20), 0)
        at += 24
        found = {}
        for _ in range(count):
            same(data.where, "must be zero", data.u32(at + 4), 0)
            found[data.u32(at)] = data.u64(at + 8)
            at += 16
        if (name, step) in log.marks:
            same(data.where, f"growth {step} of {name}", (marked, found), log.marks[name, step])
        else:  # the record that said so is gone
            need(marked < segments[0].base, data.where, f"growth {step} of {name}")
    return at
