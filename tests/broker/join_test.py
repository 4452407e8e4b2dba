#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""--join to name servers of ours that speak TLS, ask for signatures, or are not what they say.

  join_test.py [TEST...]
"""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib

import certificates
import ops
import wire
from keep_test import Kept
from ops import Broker

OK, NO_PERMISSION, REGISTER, UNREGISTER = 0, 16, 103, 104
KEY, SECRET = "broker", "its secret key"


def signature(secret, fields, body):
    """As RocketMQ's clients make it."""
    text = "".join(fields[name] for name in sorted(fields) if name != "Signature").encode() + body
    return base64.b64encode(hmac.new(secret.encode(), text, hashlib.sha1).digest()).decode()


def plain(connection):
    return connection


class NameServer:
    """Answers what a broker says, and keeps it; `secret`: only if it is signed with that."""

    def __init__(self, wrap=plain, secret=None, host=ops.HOST):
        self.wrap, self.secret = wrap, secret
        self.heard = []  # (code, fields, body)
        self.listener = socket.create_server((host, 0))
        self.address = f"{host}:{self.listener.getsockname()[1]}"
        self.threads = [threading.Thread(target=self.accept)]
        self.threads[0].start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.threads.append(threading.Thread(target=self.serve, args=(connection,)))
                self.threads[-1].start()

    def serve(self, connection):
        connection.settimeout(60)
        with contextlib.suppress(OSError, wire.WireError), (
                self.wrap(connection) or connection) as wrapped:
            reader = wire.Connection.__new__(wire.Connection)
            reader.socket = wrapped
            while True:
                length, = struct.unpack(">i", reader.read(4))
                data = reader.read(length)
                header_length = int.from_bytes(data[1:4], "big")
                header, body = json.loads(data[4:4 + header_length]), data[4 + header_length:]
                fields = header["extFields"]
                good = self.secret is None or (
                    fields.get("AccessKey") == KEY and
                    fields.get("Signature") == signature(self.secret, fields, body))
                self.heard.append((header["code"], fields, body))
                wrapped.sendall(wire.framed({"code": OK if good else NO_PERMISSION, "flag": 1,
                                             "opaque": header["opaque"]}))

    def codes(self):
        return [code for code, _, _ in self.heard]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.threads[0].join()
        for thread in self.threads:
            thread.join()


class Trust:
    """An authority, a server's context by it, and files, in a directory of the test's."""

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="broker-join-")
        self.authority = certificates.Authority(self.directory, "authority")
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.directory, ignore_errors=True)

    def server(self, **versions):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.authority.issue("namesrv"))
        for name, version in versions.items():
            setattr(context, name, version)
        return lambda connection: context.wrap_socket(connection, server_side=True)

    def account(self, *accounts):
        path = os.path.join(self.directory, "account.json")
        with open(path, "w", encoding="utf-8") as out:
            json.dump({"accounts": [{"accessKey": key, "secretKey": secret}
                                    for key, secret in accounts]}, out)
        return path


def says(broker, text):
    return lambda: broker.says(text)


def farewell(checks, what, namesrv):
    """It has come, when the broker has ended; its name server may still be at it."""
    checks.until(what, 10, lambda: namesrv.codes()[-1:] == [UNREGISTER], namesrv.codes)


def knows(broker, namesrv):
    return says(broker, f"name server {namesrv.address}: knows this broker")


def test_a_plain_name_server_is_told_and_nothing_is_signed(checks):
    def end():
        with NameServer() as namesrv:
            with Broker(["--join", namesrv.address]) as broker:
                checks.until("it knows the broker", 30, knows(broker, namesrv))
                begin = time.monotonic()
                broker.process.terminate()
                broker.process.wait(20)
                took = time.monotonic() - begin
            farewell(checks, "farewell", namesrv)
            checks.same("told, and farewell", [REGISTER, UNREGISTER], namesrv.codes())
            checks.check("not signed", not any("Signature" in fields or "AccessKey" in fields
                                               for _, fields, _ in namesrv.heard))
            return took
    checks.once("the end is at once", 1.5, end)


def test_each_address_of_a_name_is_tried(checks):
    with tempfile.TemporaryDirectory(prefix="broker-join-") as directory:
        environment = ops.preloaded("two_addresses", directory)
        if environment is None:
            checks.skip("a name with two addresses", "nothing can be preloaded here")
            return
        with NameServer() as namesrv:
            name = f"two.example.org:{namesrv.address.split(':')[1]}"
            with Broker(["--join", name], environment=environment) as broker:
                checks.until("the second is told", 30, says(broker, f"{name}: knows this broker"))
                checks.check("the first is not missed", not broker.says("warn name server"))


def test_a_name_server_is_told_by_tls(checks):
    versions = ({"minimum_version": ssl.TLSVersion.TLSv1_3},
                {"maximum_version": ssl.TLSVersion.TLSv1_2})
    with Trust() as trust, NameServer(trust.server(**versions[0])) as first, \
            NameServer(trust.server(**versions[1])) as second:
        with Broker(["--join", f"{first.address},{second.address}", "--join-tls-ca",
                     trust.authority.path]) as broker, broker.connect() as connection:
            for namesrv in (first, second):
                checks.until("it knows the broker", 30, knows(broker, namesrv))
            for number in range(300):  # more than one record of TLS holds
                connection.ask(17, {"topic": f"topic{number}" + "x" * 90, "readQueueNums": 2,
                                    "writeQueueNums": 2, "perm": 6})
            for namesrv in (first, second):
                checks.until("it is told of topics", 30, lambda: b"topic299x" in
                             namesrv.heard[-1][2], lambda: namesrv.heard[-1][2][-100:])
        for namesrv in (first, second):
            farewell(checks, "farewell", namesrv)
            checks.check("that was much", len(namesrv.heard[-2][2]) > 30000,
                         len(namesrv.heard[-2][2]))
            checks.check("unaltered", all(
                zlib.crc32(body) & 0x7fffffff == int(fields["bodyCrc32"])
                for code, fields, body in namesrv.heard if code == REGISTER))


def test_whom_the_file_does_not_sign_is_told_nothing(checks):
    with Trust() as trust:
        stranger = certificates.Authority(os.path.join(trust.directory, "stranger"), "stranger")
        with NameServer(trust.server()) as namesrv, \
                NameServer(trust.server(), host="127.0.0.2") as renamed:
            for what, ca, address in (("another authority", stranger.path, namesrv.address),
                                      ("another address", trust.authority.path, renamed.address)):
                with Broker(["--join", address, "--join-tls-ca", ca]) as broker:
                    checks.until(f"{what}: it is said", 30, says(
                        broker, f"warn name server {address}: certificate verify failed"))
                    broker.send("orders", 1)
            checks.same("nothing was said", ([], []), (namesrv.heard, renamed.heard))


def garbage(connection):
    while True:
        connection.sendall(os.urandom(4096))


def silence(connection):
    while connection.recv(65536):
        pass


def half_a_handshake(connection):
    connection.recv(65536)
    connection.sendall(b"\x16\x03\x03\x40\x00\x02")
    time.sleep(0.2)
    connection.close()


def test_name_servers_that_speak_no_tls_hold_up_nobody(checks):
    with Trust() as trust, NameServer(garbage) as first, NameServer(silence) as second, \
            NameServer(half_a_handshake) as third, NameServer() as unencrypted, \
            NameServer(trust.server()) as good:
        hostile = (first, second, third, unencrypted)

        def end():
            with Broker(["--join", ",".join(one.address for one in (*hostile, good)),
                         "--join-tls-ca", trust.authority.path]) as broker:
                checks.until("a good one is told", 30, knows(broker, good))
                for one in (first, third):
                    checks.until("it is said", 30, says(
                        broker, f"warn name server {one.address}"))
                checks.until("of who is silent, too", 30, says(
                    broker, f"warn name server {second.address}: does not answer"))
                broker.send("orders", 1)
                begin = time.monotonic()
                broker.process.terminate()
                checks.same("it ends", 0, broker.process.wait(20))
                return time.monotonic() - begin
        checks.once("at once", 1.5, end)
        checks.same("nothing was said", [], unencrypted.heard)


LOOKUP_S = 30  # a name is looked for so long, and again


class SilentResolver:
    """Names are asked of one who never answers; resolve() is a command with that, and nothing
    else, in place of the system's own."""

    def __init__(self, directory):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.files = []
        for name, text in (("resolv.conf", "nameserver 127.0.53.53\n"
                           f"options timeout:{LOOKUP_S}\n"),
                           ("nsswitch.conf", "hosts: files dns\n")):
            self.files.append(os.path.join(directory, name))
            with open(self.files[-1], "w", encoding="ascii") as out:
                out.write(text)

    def listen(self):
        self.socket.bind(("127.0.53.53", 53))

    def resolve(self, command):
        binds = " && ".join(f"mount --bind {path} /etc/{os.path.basename(path)}"
                            for path in self.files)
        return ["unshare", "--mount", "sh", "-c", binds + ' && exec "$0" "$@"', *command]

    def asked(self):
        self.socket.settimeout(10)
        return self.socket.recv(512)


def test_a_name_that_is_never_found_holds_up_nobody(checks):
    with Kept() as kept:
        resolver = SilentResolver(kept.directory)
        with contextlib.closing(resolver.socket):
            try:
                resolver.listen()
                subprocess.run(resolver.resolve(["true"]), check=True, stderr=subprocess.DEVNULL)
            except (OSError, subprocess.CalledProcessError):
                checks.skip("a name that is never found", "nothing can be mounted here")
                return
            there, = ops.free_ports(1)
            broker = kept.broker("--join", ",".join(
                [f"name{i}.example.org" for i in range(14)] + [f"{ops.HOST}:{there}"]))
            broker.command = resolver.resolve(broker.command)
            with socket.create_server((ops.HOST, there)) as namesrv, broker:
                checks.check("a name is asked for", b"name" in resolver.asked())
                namesrv.settimeout(20)
                told, _ = namesrv.accept()
                with told, namesrv:
                    told.settimeout(20)
                    checks.check("others are told", b'"code":103' in told.recv(65536))
                for _ in range(5):
                    begin = time.monotonic()
                    broker.send("orders", 1)
                    took = time.monotonic() - begin
                    checks.check("clients are served", took < LOOKUP_S / 3, took)
                checks.until("it is said", LOOKUP_S, lambda: broker.says(
                    "warn .*name7.example.org:9876: its name is still"))
                begin = time.monotonic()
                broker.process.terminate()
                checks.same("it ends", 0, broker.process.wait(20))
                took = time.monotonic() - begin
                checks.check("at once", took < LOOKUP_S / 3, took)


def test_what_a_name_server_is_told_is_signed(checks):
    with Trust() as trust:
        account = trust.account((KEY, SECRET))
        for what, wrap, more in (("plain", plain, []), (
                "TLS", trust.server(), ["--join-tls-ca", trust.authority.path])):
            with NameServer(wrap, SECRET) as namesrv, NameServer(wrap, SECRET + "x") as other:
                with Broker(["--join", f"{namesrv.address},{other.address}", "--join-account",
                             account, *more]) as broker:
                    checks.until(f"{what}: it knows the broker", 30, knows(broker, namesrv))
                    checks.until(f"{what}: another secret", 30, says(
                        broker, f"name server {other.address}: refuses this broker: 16"))
                farewell(checks, f"{what}: farewell", namesrv)
                checks.check(f"{what}: signed, too", namesrv.heard[-1][1]["Signature"] == signature(
                    SECRET, namesrv.heard[-1][1], namesrv.heard[-1][2]))
                checks.check(f"{what}: no secret in the log", SECRET not in broker.log())


def test_very_many_topics_are_told_in_parts(checks):
    """A frame has 16 MiB at most."""
    names = [f"{'orders' * 16}-{i}" for i in range(20 * 1024)]
    with Kept() as kept:
        with Broker(directory=kept.directory) as broker, broker.connect() as connection:
            for begin in range(0, len(names), 1024):
                listed = [{"topicName": name, "readQueueNums": 1, "writeQueueNums": 1, "perm": 6}
                          for name in names[begin:begin + 1024]]
                checks.same("made", OK, connection.ask(
                    18, {}, json.dumps({"topicConfigList": listed}).encode())[0]["code"])
        with NameServer() as namesrv, Broker(["--join", namesrv.address],
                                             directory=kept.directory) as broker:
            def told(begin=0):
                """(the versions, all topics) of what was heard from there on"""
                found = [json.loads(body)["topicConfigSerializeWrapper"]
                         for code, _, body in namesrv.heard[begin:] if code == REGISTER]
                return ([one["dataVersion"]["counter"] for one in found],
                        {name for one in found for name in one["topicConfigTable"]})

            checks.until("it knows the broker", 60, knows(broker, namesrv))
            versions, topics = told()
            checks.check("of all", set(names) <= topics, len(topics))
            checks.check("in parts", len(versions) > 1, versions)
            checks.same("each has a version of its own", len(versions), len(set(versions)))
            checks.check("that fit", max(len(body) for _, _, body in namesrv.heard) <= 8 << 20)
            before = len(namesrv.heard)
            broker.send("one-more")
            checks.until("of another, too", 60, lambda: "one-more" in told(before)[1])


def test_mistakes_stop_the_start(checks):
    with Trust() as trust:
        for what, code, options in (
                ("no such file", 1, ["--join", ops.HOST, "--join-tls-ca", "/nowhere"]),
                ("no account", 1, ["--join", ops.HOST, "--join-account", trust.account()]),
                ("no --join", 2, ["--join-tls-ca", trust.authority.path])):
            broker = Broker(options)
            broker.spawn()
            checks.same(what, code, broker.ended())
            checks.check(f"{what}: it is said", broker.says(" error "), broker.log())
        two = trust.account(("one", SECRET), ("two", SECRET))
        broker = Broker(["--join", ops.HOST, "--join-account", two])
        broker.spawn()
        checks.same("two accounts", 1, broker.ended())
        checks.check("two accounts: it is said", broker.says("error .*one only"), broker.log())


if __name__ == "__main__":
    sys.exit(ops.Checks().run([value for name, value in list(globals().items())
                               if name.startswith("test_")],
                              waiting=[test_name_servers_that_speak_no_tls_hold_up_nobody,
                                       test_a_name_that_is_never_found_holds_up_nobody]))
