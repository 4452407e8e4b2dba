#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""stable.py - what of the command's JSON is a promise; standard input to standard output.

Fields are sorted by name. A body of more than 80 bytes becomes its size and SHA-256; that of a hole
or pad is dropped: what an append left there means nothing. Of a report of verify goes what depends
on boot, session and clock, and its words; of an open transaction, how old it is and what is left of
its time. A line "# TEXT" is kept; of the records behind a line "@ TEXT" only the positions are, as
"# TEXT POSITION...".
"""
import base64
import hashlib
import json
import sys

LONG = 80
REPORT = {"duration_ns", "bytes_scanned", "same_boot", "epoch", "notes"}
CLOCK = ("age_ms", "left_ms")


def record(value):
    value = {name: item for name, item in value.items() if name not in CLOCK}
    body = value.get("body", value.get("body_base64"))
    if body is None:
        return value
    data = base64.b64decode(body) if "body_base64" in value else body.encode("utf-8")
    filler = value.get("kind") in ("hole", "pad")
    if filler or len(data) > LONG:
        value.pop("body", None)
        value.pop("body_base64", None)
    if not filler and len(data) > LONG:
        value["body_bytes"] = len(data)
        value["body_sha256"] = hashlib.sha256(data).hexdigest()
    return value


def report(value):
    for damage in value["damage"]:
        del damage["reason"]
    return {name: item for name, item in value.items() if name not in REPORT}


def main():
    places = None
    for line in sys.stdin:
        if line[0] in "#@":
            if places is not None:
                print(places)
            places = f"# {line[2:-1]}" if line[0] == "@" else None
            if places is None:
                print(line, end="")
            continue
        value = json.loads(line)
        if places is not None:
            places += f" {value['position']}"
            continue
        value = report(value) if "result" in value else record(value)
        print(json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")))
    if places is not None:
        print(places)


if __name__ == "__main__":
    main()
