#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""sparse.py - a store as text: one line for 32 bytes, none where all of them are zero.

    sparse.py pack STORE >FILE         the files and directories of a store
    sparse.py unpack FILE STORE        makes them; STORE must not exist
    sparse.py patch FILE NAME STORE    overwrites bytes, as the lines "NAME: ..." of FILE say

The text: "dir PATH", "file PATH BYTES", and below a file "OFFSET HEX" where it is not zero. A
patch is "NAME: PATH OFFSET HEX". Lines with "#" in front are comments.
"""
import os
import sys

LINE = 32


def pack(store):
    for folder, folders, names in os.walk(store):
        folders.sort()
        relative = os.path.relpath(folder, store)
        if relative != ".":
            print(f"dir {relative}")
        for name in sorted(names):
            with open(os.path.join(folder, name), "rb") as file:
                data = file.read()
            print(f"file {os.path.normpath(os.path.join(relative, name))} {len(data)}")
            for at in range(0, len(data), LINE):
                piece = data[at:at + LINE].rstrip(b"\0")
                if piece:
                    print(f"{at} {piece.hex()}")


def lines(path):
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                yield line.split()


def unpack(path, store):
    os.mkdir(store, 0o700)
    file = None
    for words in lines(path):
        if words[0] == "dir":
            os.mkdir(os.path.join(store, words[1]), 0o700)
        elif words[0] == "file":
            if file is not None:
                file.close()
            target = os.path.join(store, words[1])
            file = os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
            file.truncate(int(words[2]))
        else:
            file.seek(int(words[0]))
            file.write(bytes.fromhex(words[1]))
    if file is not None:
        file.close()


def patch(path, name, store):
    found = [words[1:] for words in lines(path) if words[0] == name + ":"]
    if not found:
        sys.exit(f"sparse.py: {path} has no patch {name}")
    for target, offset, data in found:
        with open(os.path.join(store, target), "r+b") as file:
            file.seek(int(offset))
            file.write(bytes.fromhex(data))


def main():
    commands = {"pack": pack, "unpack": unpack, "patch": patch}
    if len(sys.argv) < 3 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])


if __name__ == "__main__":
    main()
