#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The HTTP port of the mini-broker: metrics, health, the status page, and those who mean no good.

  http_test.py [TEST...]
"""

import concurrent.futures
import contextlib
import json
import os
import random
import re
import resource
import socket
import subprocess
import sys
import time

import chromium
import ops
import prometheus_text
import wire
from keep_test import Kept
from ops import Broker, http, raw

HOSTILE = "<script>alert('\"&\\1')</script>"
OK, NOT_AVAILABLE = 0, 14
SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)


def metrics(checks, broker):
    answer = http(broker, "/metrics")
    checks.same("/metrics", 200, answer.status)
    try:
        return prometheus_text.parse(answer.body)
    except (prometheus_text.FormatError, UnicodeDecodeError) as error:
        checks.check("/metrics is of the format 0.0.4", False, error)
        return {}


def documented():
    """The names in the table of the man page."""
    page = os.path.join(ops.ROOT, "man", "commitlog-mini-broker-ops.7")
    with open(page, encoding="utf-8") as file:
        text = file.read()
    return set(re.findall(r"(?:^|\s)((?:mini_broker|commitlog|process)_[a-z0-9_]+)", text)) - {
        "commitlog_stats", "commitlog_limits_set"}


def test_metrics(checks):
    with Broker(["--name", HOSTILE]) as broker:
        answer = http(broker, "/metrics")
        checks.same("its type", "text/plain; version=0.0.4; charset=utf-8",
                    answer.headers.get("content-type"))
        before = metrics(checks, broker)
        checks.same("nothing was received", 0,
                    prometheus_text.value(before, "mini_broker_messages_received_total"))
        broker.send("orders", 7, queue=1)
        broker.send("news", 3)
        broker.consumed("readers", "orders", 1, 2)
        time.sleep(0.3)
        checks.until("the log is durable", 10, lambda: len({prometheus_text.value(
            metrics(checks, broker), "commitlog_position_bytes", position=position)
            for position in ("published", "durable")}) == 1)
        after = metrics(checks, broker)
        value = lambda name, **labels: prometheus_text.value(after, name, **labels)  # noqa: E731
        checks.same("received", 10, value("mini_broker_messages_received_total"))
        checks.same("of a topic", 7,
                    value("mini_broker_topic_messages_received_total", topic="orders"))
        checks.same("kept of it", 7, value("mini_broker_topic_messages", topic="orders"))
        checks.same("a queue's end", 7,
                    value("mini_broker_queue_next_offset", topic="orders", queue=1))
        checks.same("a queue's begin", 0,
                    value("mini_broker_queue_first_offset", topic="orders", queue=1))
        checks.same("the lag of a group", 5,
                    value("mini_broker_group_lag_messages", group="readers", topic="orders"))
        checks.check("its age", 0 < value("mini_broker_group_lag_seconds", group="readers",
                                          topic="orders") < 60)
        checks.same("no lag of a topic that it does not read", None,
                    value("mini_broker_group_lag_messages", group="readers", topic="news"))
        checks.check("appends", value("commitlog_appends_total") >= 10)
        checks.check("flushes", value("commitlog_flush_seconds_count") >= 1)
        checks.check("a hostile name is escaped", value(
            "mini_broker_topic_messages", topic=HOSTILE) == 0)
        checks.check("memory", 1e6 < value("process_resident_memory_bytes") < 1e9)
        checks.same("nothing is left out", 0, value("mini_broker_series_left_out"))
        checks.same("no statistic is without words", [],
                    [f.name for f in after.values() if f.kind == "untyped"])
        checks.same("the man page has the same names", sorted(documented() ^ set(after)), [])
        for name, family in before.items():
            for key, old in family.samples.items():
                if family.kind != "gauge" and name != "mini_broker_http_requests_total":
                    new = after[name].samples.get(key, -1)
                    checks.check(f"{key} only grows", new >= old, f"{old}, then {new}")


def test_rates(checks):
    with Broker() as broker:
        for _ in range(5):
            broker.send("steady", 20)
            time.sleep(0.5)
        rate = prometheus_text.value(metrics(checks, broker),
                                     "mini_broker_topic_messages_received_per_second",
                                     topic="steady")
        checks.check("a rate of messages", 5 < rate < 100, rate)
        all_rate = prometheus_text.value(metrics(checks, broker),
                                         "mini_broker_messages_received_per_second")
        checks.check("of all", 5 < all_rate < 100, all_rate)


def test_a_message_counts_once(checks):
    """One of a transaction when it is committed, and not at all if it is rolled back; what is asked
    for by key is given to no consumer."""
    with Broker() as broker, broker.connect() as connection:
        for topic, decision in (("kept", 8), ("dropped", 12), ("open", None)):
            header, _ = connection.ask(310, {**wire.sending(
                topic, properties="KEYS\1k\2TRAN_MSG\1true\2PGROUP\1p\2"), "f": 4}, b"half")
            if decision:
                position = int(header["extFields"]["msgId"][16:], 16)
                header, _ = connection.ask(37, {
                    "producerGroup": "p", "tranStateTableOffset": position,
                    "commitLogOffset": position, "commitOrRollback": decision,
                    "fromTransactionCheck": "false"})
                checks.same(topic, OK, header["code"])
        broker.send("plain", 3)
        for _ in range(3):
            header, body = connection.ask(12, {"topic": "kept", "key": "k", "maxNum": 32,
                                               "beginTimestamp": 0, "endTimestamp": 1 << 62})
            checks.same("asked for by key", (OK, 1), (header["code"],
                                                      len(list(wire.records(body)))))
        connection.ask(11, wire.pulling("readers", "plain", 0, 0))
        found = metrics(checks, broker)
        for topic, count in (("kept", 1), ("dropped", 0), ("open", 0), ("plain", 3)):
            checks.same(f"of {topic}", count, prometheus_text.value(
                found, "mini_broker_topic_messages_received_total", topic=topic))
        checks.same("of all", 4, prometheus_text.value(
            found, "mini_broker_messages_received_total"))
        checks.same("given", 3, prometheus_text.value(
            found, "mini_broker_messages_delivered_total"))
        header, body = connection.ask(315, {"statsName": "TOPIC_PUT_NUMS", "statsKey": "kept"})
        checks.same("as administrators see it", 1, json.loads(body)["statsMinute"]["sum"])


def send_topics(broker, count):
    with broker.connect() as connection:
        for i in range(count):
            connection.ask(10, ops.sending(f"topic-{i:04}", queues=8), b"x")


def test_many_topics(checks):
    """What is costly is bounded, and says so."""
    with Broker() as broker:
        send_topics(broker, 1300)
        begin = broker.worked()
        http(broker, "/metrics")
        seconds = broker.worked() - begin
        families = metrics(checks, broker)
        checks.check("queues are left out", prometheus_text.value(
            families, "mini_broker_series_left_out") >= 400)
        checks.same("10000 are there", 10000,
                    len(families["mini_broker_queue_next_offset"].samples))
        checks.check("the page says how many topics more", "and 807 more topics" in
                     http(broker, "/").text, http(broker, "/").text[-400:])
        checks.check("it takes no long time", seconds < 1, seconds)
        print(f"   1300 topics, 10400 queues: {seconds * 1000:.0f} ms of the processor")


def test_health(checks):
    with Broker() as broker:
        broker.expected = 1
        answer = http(broker, "/health")
        checks.same("health", (200, "ok\n"), (answer.status, answer.text))
        broker.send("before", 3)
        # From now on every write to a file fails, and so does the store.
        resource.prlimit(broker.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        with broker.connect() as connection:
            connection.ask(10, ops.sending("before"), b"x" * 100000)
        checks.until("a store that failed is told", 10,
                     lambda: http(broker, "/health").status == 503)
        answer = http(broker, "/health")
        checks.check("with the reason", len(answer.text) > 10 and answer.text != "ok\n",
                     answer.text)
        print(f"   503: {answer.text.strip()}")
        checks.same("in the metrics", 1,
                    prometheus_text.value(metrics(checks, broker), "commitlog_failed"))
        checks.check("on the page", ">failed</span>" in http(broker, "/").text)


def test_a_full_disk_is_no_good_health(checks):
    """It ends when there is room again, though nobody sends."""
    with Kept() as kept:
        if os.geteuid() != 0 or subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=1500m", "tmpfs", kept.directory],
                stderr=subprocess.DEVNULL, check=False).returncode != 0:
            checks.skip("a full disk", "nothing can be mounted here")
            return
        try:
            filler = os.path.join(kept.directory, "filler")
            with kept.broker() as broker, broker.connect() as connection:
                def refused():
                    return connection.ask(10, ops.sending("orders"), bytes(1 << 20))[0]["code"]

                for times in range(2):
                    broker.send("orders")
                    checks.same("all is well", 200, http(broker, "/health").status)
                    with contextlib.suppress(OSError), open(filler, "wb", 0) as out:
                        while out.write(bytes(1 << 20)):
                            pass
                    code = OK
                    while code == OK:
                        code = refused()
                    checks.same("refused", NOT_AVAILABLE, code)
                    answer = http(broker, "/health")
                    checks.same("health", 503, answer.status)
                    checks.check("with the reason", "disk is full" in answer.text, answer.text)
                    checks.same("small ones may fit", OK,
                                connection.ask(10, ops.sending("orders"), b"x")[0]["code"])
                    checks.same("and health is the same", 503, http(broker, "/health").status)
                    checks.same("in the metrics", 1, prometheus_text.value(
                        metrics(checks, broker), "mini_broker_disk_full"))
                    checks.check("on the page", ">full</span>" in http(broker, "/").text)
                    os.unlink(filler)
                    checks.until("it ends by itself", 5,
                                 lambda: http(broker, "/health").status == 200)
                    checks.until("on the page, too", 5,
                                 lambda: ">ok</span>" in http(broker, "/").text)
                    checks.same("in the metrics, too", 0, prometheus_text.value(
                        metrics(checks, broker), "mini_broker_disk_full"))
                    checks.same("and it is true", OK, refused())
        finally:
            subprocess.run(["umount", kept.directory], check=False)


def test_requests(checks):
    with Broker() as broker:
        broker.send("orders", 2)
        for path in ("/", "/metrics", "/health", "/topic?name=orders"):
            checks.same(path, 200, http(broker, path).status)
            head = http(broker, path, "HEAD")
            checks.same("HEAD " + path, (200, b""), (head.status, head.body))
        for path in ("/x", "/metrics/", "/../etc/passwd", "//", "/topic", "/topic?name=",
                     "/topic?name=none", "/metrics%2f", "*", "/index.html"):
            checks.same(path, 404, http(broker, path).status)
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "FOO"):
            answer = http(broker, "/metrics", method)
            checks.same(method, (405, "GET, HEAD"),
                        (answer.status, answer.headers.get("allow")))
        body = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 50000
        checks.same("a body that is announced is not waited for", 405,
                    ops.Answer(raw(broker, body)).status)
        body = b"GET /health HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
        checks.same("GET with a body", 200, ops.Answer(raw(broker, body)).status)
        two = b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n" * 2
        checks.same("one answer a connection", 1, raw(broker, two).count(b"HTTP/1.1 200"))
        checks.same("HTTP/1.0", 200,
                    ops.Answer(raw(broker, b"GET /health HTTP/1.0\r\n\r\n")).status)
        answer = http(broker, "/")
        checks.check("nothing else may be loaded", "default-src 'none'" in
                     answer.headers.get("content-security-policy", ""))
        checks.same("nothing is kept", "no-store", answer.headers.get("cache-control"))
        time.sleep(0.3)
        requests = prometheus_text.value(metrics(checks, broker), "mini_broker_http_requests_total",
                                         path="/metrics", code="405")
        checks.same("they are counted", 8, requests)


def send_garbage(broker, data):
    with socket.create_connection((ops.HOST, broker.http_port), 40) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return ops.Answer(ops.read_all(connection))


def test_garbage(checks):
    print(f"   SEED={SEED}")
    draw = random.Random(SEED)
    with Broker() as broker:
        cases = [b"\0" * 1000, b"\r\n" * 5000, b"GET / HTTP/9.9\r\n\r\n", b"GET /\r\n\r\n",
                 b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + draw.randbytes(300),
                 b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n",
                 b"GET / HTTP/1.1\r\nX: " + b"b" * 100000 + b"\r\n\r\n",
                 b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20000 + b"\r\n",
                 b"GET /?" + b"a=b&" * 3000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
                 b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\nx",
                 b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
                 b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n",
                 b"GET /topic?name=%ff%00%zz%3Cscript%3E HTTP/1.1\r\nHost: h\r\n\r\n"]
        cases += [draw.randbytes(draw.randrange(1, 3000)) + b"\r\n\r\n" for _ in range(100)]
        # What is no whole request is waited for, until its time is over: many at a time.
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda data: send_garbage(broker, data), cases))
        for data, answer in zip(cases, answers):
            checks.check(f"{data[:40]!r} changes nothing", answer.status in (0, 200, 400, 404, 405,
                         413, 414, 431, 500, 501, 505) and b"<script" not in answer.body,
                         answer.raw[:200])
        checks.same("it still answers", 200, http(broker, "/health").status)
        broker.send("still", 1)
        memory = prometheus_text.value(metrics(checks, broker), "process_resident_memory_bytes")
        checks.check("memory is as before", memory < 200e6, memory)


def open_slow(broker, count):
    out = []
    for _ in range(count):
        out.append(socket.create_connection((ops.HOST, broker.http_port), 5))
        out[-1].sendall(b"GET /health HT")
    return out


def closed(connection):
    connection.settimeout(0)
    try:
        return connection.recv(65536) is not None and connection.recv(65536) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_slow_clients(checks):
    """They are bounded in number and time, and others are served meanwhile."""
    with Broker() as broker:
        slow = open_slow(broker, 4)
        silent = open_slow(broker, ops.HTTP_CONNECTIONS)
        begin = time.monotonic()
        checks.same("another address is served", 200,
                    http(broker, "/health", source="127.0.0.2").status)
        dripping = list(slow)
        while dripping and time.monotonic() - begin < ops.HTTP_SECONDS + 15:
            for connection in list(dripping):
                try:
                    connection.sendall(b"T")
                except OSError:
                    dripping.remove(connection)
            begin_send = time.monotonic()
            broker.send("meanwhile", 1)
            checks.check("messages are taken meanwhile",
                         time.monotonic() - begin_send < ops.HTTP_SECONDS / 2)
            time.sleep(0.5)
        seconds = time.monotonic() - begin
        checks.check("who drips is cut off", not dripping and seconds > 5, seconds)
        print(f"   cut off after {seconds:.1f} s")
        checks.until("who is silent too", 20, lambda: all(closed(c) for c in silent))
        for connection in slow + silent:
            connection.close()
        checks.until("then all is as before", 10,
                     lambda: http(broker, "/health").status == 200)


def test_slow_readers(checks):
    with Broker() as broker:
        send_topics(broker, 1300)
        readers = []
        for _ in range(10):
            connection = socket.socket()
            # With small segments the kernel keeps little for it, else it would take the answer.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            connection.connect((ops.HOST, broker.http_port))
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n")
            readers.append(connection)
        checks.same("others are served", 200, http(broker, "/health").status)
        checks.until("their answers wait", 10, lambda: prometheus_text.value(
            metrics(checks, broker), "mini_broker_http_connections") == 11)
        checks.until("those who do not read are let go", ops.HTTP_SECONDS + 15, lambda:
                     prometheus_text.value(metrics(checks, broker),
                                           "mini_broker_http_connections") == 1)
        for connection in readers:
            connection.close()


def test_descriptors(checks):
    """Clients cannot take them all."""
    broker = Broker()
    broker.command = ["bash", "-c", 'ulimit -n 200 && exec "$@"', "bash", *broker.command]
    with broker:
        checks.same("half of them", 100, prometheus_text.value(
            metrics(checks, broker), "mini_broker_connections_limit"))
        clients = [socket.create_connection((ops.HOST, broker.port), 5) for _ in range(300)]
        checks.until("so many are taken", 30, lambda: prometheus_text.value(
            metrics(checks, broker), "mini_broker_connections") == 100)
        before = metrics(checks, broker)
        time.sleep(1.5)
        after = metrics(checks, broker)
        cpu = [prometheus_text.value(m, "process_cpu_seconds_total") for m in (before, after)]
        checks.check("it sleeps meanwhile", cpu[1] - cpu[0] < 0.5, cpu)
        for client in clients:
            client.close()
        checks.until("they are gone", 30, lambda: prometheus_text.value(
            metrics(checks, broker), "mini_broker_connections") == 0)
        broker.send("then", 1)


def test_ipv6(checks):
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        checks.skip("HTTP by IPv6", str(error))
        return
    port = ops.free_ports(1)[0]
    broker = Broker(["--http", f"[::1]:{port}"])
    broker.spawn()
    checks.until("it listens", 10, lambda: broker.says(f"http: listening at \\[::1\\]:{port}"),
                 broker.log)
    with socket.create_connection(("::1", port), 5) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
        checks.same("and answers", 200, ops.Answer(ops.read_all(connection)).status)
    checks.same("and ends", 0, broker.stop())


def test_port_is_taken(checks):
    with Broker() as broker:
        second = Broker(["--http", f"{ops.HOST}:{broker.http_port}"])
        second.spawn()
        code = second.ended()
        checks.same("it does not start", 1, code)
        checks.check("and says why", second.says("error http: cannot listen at"), second.log())


CONTRAST = """(() => {
  const rgb = c => c.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = c => rgb(c).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 :
    ((v + 0.055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
  const back = e => { for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor; if (c !== 'rgba(0, 0, 0, 0)') return c; }
    return 'rgb(255, 255, 255)'; };
  return Math.min(...[...document.querySelectorAll('body *')].filter(e => e.innerText).map(e => {
    const a = light(getComputedStyle(e).color), b = light(back(e));
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); })); })()"""


def look_at(checks, browser, url, name, broker):
    for width, scheme in ((360, "light"), (360, "dark"), (1200, "light"), (1200, "dark")):
        what = f"{name} at {width} px, {scheme}"
        checks.check(what + ": loads", browser.show(url, width, 740, scheme))
        scroll = browser.value("document.documentElement.scrollWidth")
        checks.check(what + ": no horizontal scroll", scroll <= width, scroll)
        wide = browser.value("[...document.querySelectorAll('body *')].filter(e => "
                             "e.getBoundingClientRect().right > innerWidth + 1).length")
        checks.same(what + ": nothing sticks out", 0, wide)
        checks.same(what + ": no script got in", 0, browser.value("document.scripts.length"))
        contrast = browser.value(CONTRAST)
        checks.check(what + ": can be read", contrast and contrast >= 4.5, contrast)
        browser.screenshot(os.path.join(ops.BUILD, "broker-pages", f"{name}-{width}-{scheme}.png"))
    checks.same(name + ": nothing from elsewhere", [],
                [u for u in browser.requests() if not u.startswith(
                    (f"http://{ops.HOST}:{broker.http_port}/", "data:", "about:"))])
    checks.same(name + ": no complaints in the console", [], browser.complaints())


def test_page(checks):
    path = chromium.find()
    if path is None:
        checks.skip("the status page in a browser", "there is no Chromium (package chromium)")
        return
    long_name = "a-topic-with-a-name-that-is-as-long-as-it-can-be-" + "x" * 78
    with Broker(["--name", HOSTILE]) as broker:
        for topic in ("orders", long_name):
            broker.send(topic, 5, queue=2)
        broker.consumed("the-group-of-readers", "orders", 2, 1)
        browser = chromium.Chromium(path)
        try:
            browser.open()
            base = f"http://{ops.HOST}:{broker.http_port}/"
            look_at(checks, browser, base, "status", broker)
            texts = browser.value("[...document.querySelectorAll('td a')].map(e => e.innerText)")
            for topic in ("orders", long_name, HOSTILE):
                checks.check("the page has " + topic, topic in texts, texts)
            checks.check("it has the group",
                         "the-group-of-readers" in browser.value("document.body.innerText"))
            checks.check("it loads itself anew", browser.wait_event("Page.loadEventFired", 30))
            look_at(checks, browser, base + "topic?name=orders", "topic", broker)
            browser.value("[...document.links].find(a => a.innerText === 'all topics').click()")
            browser.wait_event("Page.loadEventFired", 30)
            browser.value("[...document.links].find(a => a.innerText.includes('<script>')).click()")
            browser.wait_event("Page.loadEventFired", 30)
            checks.same("its link leads to the page of a hostile name", HOSTILE,
                        browser.value("document.querySelector('h1').innerText"))
            checks.same("no complaints in the console", [], browser.complaints())
        finally:
            browser.close()


if __name__ == "__main__":
    sys.exit(ops.Checks().run([test_metrics, test_rates, test_a_message_counts_once,
                               test_many_topics, test_health,
                               test_a_full_disk_is_no_good_health,
                               test_requests, test_descriptors, test_ipv6, test_port_is_taken,
                               test_page],
                              waiting=[test_garbage, test_slow_clients, test_slow_readers]))
