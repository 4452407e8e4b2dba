# SPDX-License-Identifier: BSD-2-Clause
"""Messages by seed: the bytes that java/src/Body.java, go/messages.go, node/messages.js make.

Seeds that end in TEXT, for the Python client, have bodies of printable characters only.
"""

import hashlib

BLOCK = 32
REPEATS = 8
TEXT = "-text"


def _hash(text):
    return hashlib.sha256(text.encode()).digest()


def body(seed, index, limit=200):
    """Of a length below the limit; of just the length -limit if it is negative."""
    head = f"{seed}:{index}:".encode()
    block = _hash(f"{seed}:{index}:0")
    length = -limit if limit < 0 else int.from_bytes(block[:4], "big") % max(1, limit)
    out = bytearray()
    number = 0
    while len(out) < length:
        if number % REPEATS == 0:
            block = _hash(f"{seed}:{index}:{number // REPEATS}")
        out += block
        number += 1
    return head + (out.hex().encode() if seed.endswith(TEXT) else bytes(out))[:length]


def checksum(data):
    return hashlib.sha256(data).hexdigest()[:16]


def expected(seed, index, limit=200):
    return checksum(body(seed, index, limit))
