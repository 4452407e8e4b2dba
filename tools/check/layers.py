#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""layers.py - keeps the layers of lib/ one-way. Fails with one line per finding.

Checked: includes of ours go to the same or an earlier layer and are written relative to lib/;
headers of the operating system are included in os/ only, sys/sdt.h by base/probe.h only, xxhash.h
by the checksum family only;
memory comes from the table of os/ only; every ORDER(tag) has at least two sides.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAYERS = ["base", "os", "format", "filter", "group", "state", "segment", "log", "view", "recovery",
          "upkeep", "store"]
NOT_FOR = {"format": {"os"}}  # bytes only: neither files nor clocks
BESIDE = {"fault"}  # wraps the table of os/, linked separately
OS_HEADERS = re.compile(
    r"<(sys/|linux/|asm/|unistd\.h|fcntl\.h|pthread\.h|signal\.h|dirent\.h|libpmem\.h|time\.h)")
LIBC_MEMORY = re.compile(r"(?<![\w.>])(malloc|calloc|realloc|free|strdup|aligned_alloc)\s*\(")
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"][^>"]+[>"])')


def without_comments(text):
    """The same lines, comments and strings blanked."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.S)


def check_include(layer, target, place, found):
    if target.startswith("<"):
        if target == "<sys/sdt.h>" and place.startswith("lib/base/probe.h"):
            return  # notes for the linker, nothing of the system
        if OS_HEADERS.match(target) and layer not in ("os", "fault"):
            found.append(f"{place}: {target} belongs to os/")
        if target == "<xxhash.h>" and not place.startswith("lib/base/checksum_impl.h"):
            found.append(f"{place}: xxhash.h belongs to base/checksum_impl.h")
        return
    name = target.strip('"')
    if name in ("commitlog.h", "commitlog_fault.h"):
        return
    other = name.split("/")[0]
    if "/" not in name or other not in LAYERS:
        if other not in BESIDE:
            found.append(f"{place}: write \"{name}\" as <layer>/<file>")
    elif layer in LAYERS:
        if LAYERS.index(other) > LAYERS.index(layer) or other in NOT_FOR.get(layer, ()):
            found.append(f"{place}: {layer}/ may not include {name}")
    if not (ROOT / "lib" / name).exists():
        found.append(f"{place}: {name} does not exist")


def main():
    found = []
    tags = {}
    for path in sorted((ROOT / "lib").glob("*/*.[ch]")):
        layer = path.parent.name
        relative = str(path.relative_to(ROOT))
        text = path.read_text(encoding="utf-8")
        if layer not in LAYERS and layer not in BESIDE:
            found.append(f"{relative}: {layer}/ is not a layer")
            continue
        for number, line in enumerate(text.splitlines(), 1):
            match = INCLUDE.match(line)
            if match:
                check_include(layer, match.group(1), f"{relative}:{number}", found)
            for tag in re.findall(r"ORDER\(([\w-]+)\)", line):
                tags.setdefault(tag, []).append(f"{relative}:{number}")
        if layer not in ("os", "fault"):
            for number, line in enumerate(without_comments(text).splitlines(), 1):
                match = LIBC_MEMORY.search(line)
                if match:
                    found.append(f"{relative}:{number}: {match.group(1)}() goes through os->")
    for tag, places in sorted(tags.items()):
        if len(places) < 2 and tag != "name":
            found.append(f"{places[0]}: ORDER({tag}) has only this side")
    print("\n".join(found) if found else "layers: ok")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
