#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Name servers that are none, one on each port given: garbage, silence, a frame that never ends and
is announced as large as may be, half frames and then the end of the connection, over and over.
"""

import os
import socket
import struct
import sys
import threading


def garbage(connection):
    while True:
        connection.sendall(os.urandom(4096))


def silence(connection):
    while connection.recv(65536):
        pass


def endless(connection):
    connection.sendall(struct.pack(">ii", 16000000, 100))
    while True:
        connection.sendall(b" " * 65536)


def half(connection):
    connection.sendall(struct.pack(">ii", 1000, 100) + b'{"code":0,"flag":1,"opaque":')
    connection.close()


def serve(port, what):
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=run, args=(connection, what), daemon=True).start()


def run(connection, what):
    with connection:
        try:
            what(connection)
        except OSError:
            pass


def main():
    kinds = (garbage, silence, endless, half)
    threads = [threading.Thread(target=serve, args=(int(port), kind), daemon=True)
               for port, kind in zip(sys.argv[1:], kinds)]
    for thread in threads:
        thread.start()
    print("started", flush=True)
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
