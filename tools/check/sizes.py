#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""sizes.py - files of at most 600 lines, functions of 70, lines of 100 columns, no tabs in C.

The public header may be longer: it is one file by design. Fails with one line per finding.
"""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILE_LINES, FUNCTION_LINES, COLUMNS = 600, 70, 100
FOLDERS = ["lib", "include", "tests", "tools", "examples", "bench", "fuzz"]


def functions(lines):
    """(line number, length) of everything between a "{" and a "}" that stand alone in column 0."""
    begin = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            begin = number
        elif line == "}" and begin is not None:
            yield begin, number - begin - 1
            begin = None


def main():
    found = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix not in (".c", ".h", ".sh", ".py") or not path.is_file():
                continue
            relative = path.relative_to(ROOT)
            lines = path.read_text(encoding="utf-8").splitlines()
            if len(lines) > FILE_LINES and folder != "include":
                found.append(f"{relative}: {len(lines)} lines")
            for number, line in enumerate(lines, 1):
                if len(line) > COLUMNS:
                    found.append(f"{relative}:{number}: {len(line)} columns")
                if line != line.rstrip():
                    found.append(f"{relative}:{number}: blank at the end")
                if "\t" in line and path.suffix in (".c", ".h"):
                    found.append(f"{relative}:{number}: tab")
            if path.suffix == ".c":
                for number, length in functions(lines):
                    if length > FUNCTION_LINES:
                        found.append(f"{relative}:{number}: function of {length} lines")
    print("\n".join(found) if found else "sizes: ok")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
