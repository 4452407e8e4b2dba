#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""symbols.py - one list of public functions: header = symbol map = exported symbols = man pages.

  symbols.py [--library FILE]   compare; fails with one line per difference
  symbols.py --write-map        write lib/libcommitlog.map from the header
"""
import argparse
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADER = ROOT / "include" / "commitlog.h"
MAP = ROOT / "lib" / "libcommitlog.map"
NODE = "LIBCOMMITLOG_0"


def header_functions():
    text = re.sub(r"/\*.*?\*/", " ", HEADER.read_text(encoding="utf-8"), flags=re.S)
    text = re.sub(r"^\s*#.*$", "", text, flags=re.M)
    return set(re.findall(r"COMMITLOG_API\s+[^;({]*?\b(commitlog_\w+)\s*\(", text))


def map_functions():
    return set(re.findall(r"^\s+(commitlog_\w+);", MAP.read_text(encoding="utf-8"), flags=re.M))


def exported(library):
    lines = subprocess.run(["nm", "-D", "--defined-only", library], check=True,
                           capture_output=True, text=True).stdout.splitlines()
    names = {line.split()[2].split("@")[0] for line in lines if len(line.split()) == 3}
    return names - {NODE}


def man_functions():
    pages = sorted((ROOT / "man").glob("*.3"))
    if not pages:
        return None
    words = set()
    for page in pages:
        # A hyphen or an escape may not hide a name.
        text = page.read_text(encoding="utf-8").replace("\\_", "_")
        words |= set(re.findall(r"\bcommitlog_\w+", text))
    return words


def write_map(names):
    body = "".join(f"        {name};\n" for name in sorted(names))
    MAP.write_text(f"{NODE} {{\n    global:\n{body}    local:\n        *;\n}};\n", encoding="utf-8")
    print(f"{MAP.relative_to(ROOT)}: {len(names)} functions")


def compare(found, left, left_name, right, right_name):
    found += [f"{name}: in {left_name}, not in {right_name}" for name in sorted(left - right)]
    found += [f"{name}: in {right_name}, not in {left_name}" for name in sorted(right - left)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--library", dest="built")
    parser.add_argument("--write-map", action="store_true")
    options = parser.parse_args()
    declared = header_functions()
    if options.write_map:
        write_map(declared)
        return 0
    found = []
    compare(found, declared, "commitlog.h", map_functions(), "libcommitlog.map")
    if options.built:
        compare(found, declared, "commitlog.h", exported(options.built), options.built)
    pages = man_functions()
    if pages is not None:
        found += [f"{name}: in no man page of section 3" for name in sorted(declared - pages)]
    print("\n".join(found) if found else f"symbols: ok, {len(declared)} functions")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
