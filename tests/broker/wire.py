# SPDX-License-Identifier: BSD-2-Clause
"""A few requests of the remoting protocol, and the layout of a record, from their description.

Used to see whether a server is there, to read what a topic holds without a client in between (each
length, checksum and offset of a record is checked), and to send what no client would send.
"""

import json
import socket
import struct
import time
import zlib

MAGIC = 0xDAA320A7
MAGIC_LONG_TOPIC = 0xDAA320AB


class WireError(Exception):
    pass


def framed(header, body=b""):
    """Whatever the header says."""
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack(">ii", 4 + len(text) + len(body), len(text)) + text + body


def frame(code, ext=None, body=b"", opaque=1, flag=0):
    return framed({"code": code, "language": "OTHER", "version": 399, "opaque": opaque,
                   "flag": flag, "extFields": {k: str(v) for k, v in (ext or {}).items()}}, body)


def sending(topic, queue=0, queues=4, group="p", properties=""):
    """The fields of request 310, with their short names."""
    return dict(zip("abcdefghijklm", (group, topic, "TBW102", queues, queue, 0,
                                      int(time.time() * 1000), 0, properties, 0, "false", 0,
                                      "false")))


def pulling(group, topic, queue, offset, most=32):
    """The fields of request 11, which is answered at once."""
    return {"consumerGroup": group, "topic": topic, "queueId": queue, "queueOffset": offset,
            "maxMsgNums": most, "sysFlag": 4, "commitOffset": 0, "suspendTimeoutMillis": 0,
            "subscription": "*", "subVersion": 0, "expressionType": "TAG"}


class Connection:
    def __init__(self, address, timeout=10):
        self.socket = socket.create_connection(address, timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.opaque = 0

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def read(self, count):
        out = bytearray()
        while len(out) < count:
            piece = self.socket.recv(min(1 << 20, count - len(out)))
            if not piece:
                raise WireError("the server closed the connection")
            out += piece
        return bytes(out)

    def message(self):
        """The next response, or request from the server: (header, body)."""
        length, = struct.unpack(">i", self.read(4))
        data = self.read(length)
        kind, header_length = data[0], int.from_bytes(data[1:4], "big")
        if kind != 0:
            raise WireError(f"a header of type {kind} came for one of type 0")
        return json.loads(data[4:4 + header_length]), data[4 + header_length:]

    def answer(self):
        """The next response: (header, body). Requests from the server in between are let go."""
        while True:
            header, body = self.message()
            if header.get("flag", 0) & 1:
                return header, body

    def ask(self, code, ext=None, body=b""):
        self.opaque += 1
        self.socket.sendall(frame(code, ext, body, self.opaque))
        header, answer = self.answer()
        if header.get("opaque") != self.opaque:
            raise WireError(f"opaque {header.get('opaque')} came for {self.opaque}")
        return header, answer


def await_server(address, seconds, code=105, ext=None, alive=lambda: True):
    """Until the server answers a request with code 0; None, or why it does not."""
    end = time.monotonic() + seconds
    why = "nothing was tried"
    while time.monotonic() < end and alive():
        try:
            with Connection(address, 2) as connection:
                header, _ = connection.ask(code, ext or {"topic": "TBW102"})
                if header["code"] == 0:
                    return None
                why = f"code {header['code']}: {header.get('remark')}"
        except (OSError, WireError, ValueError) as error:
            why = str(error)
        time.sleep(0.1)
    return why


def records(data):
    """Each record of a pulled body, as a dict; all that can be checked about it is."""
    at = 0
    while at < len(data):
        size, magic, crc, queue, _flag, queue_offset, physical, sysflag = struct.unpack_from(
            ">iIIiiqqi", data, at)
        here = at + 40
        if magic not in (MAGIC, MAGIC_LONG_TOPIC):
            raise WireError(f"magic {magic:#x} at byte {at} of a pulled body")
        born, = struct.unpack_from(">q", data, here)
        here += 8 + (20 if sysflag & 0x10 else 8)
        store, = struct.unpack_from(">q", data, here)
        here += 8 + (20 if sysflag & 0x20 else 8)
        reconsumed, prepared, length = struct.unpack_from(">iqi", data, here)
        here += 16
        body = data[here:here + length]
        here += length
        if zlib.crc32(body) & 0x7FFFFFFF != crc:
            raise WireError(f"a body whose checksum is {crc:#x} has another one")
        if magic == MAGIC:
            topic_length, here = data[here], here + 1
        else:
            topic_length, here = struct.unpack_from(">H", data, here)[0], here + 2
        topic = data[here:here + topic_length].decode()
        here += topic_length
        properties_length, = struct.unpack_from(">h", data, here)
        here += 2
        properties = dict(pair.split("\x01", 1) for pair in
                          data[here:here + properties_length].decode().split("\x02") if pair)
        here += properties_length
        if here - at != size:
            raise WireError(f"a record of size {size} takes {here - at} bytes")
        yield {"q": queue, "off": queue_offset, "physical": physical, "sys": sysflag, "born": born,
               "store": store, "rec": reconsumed, "prepared": prepared, "topic": topic,
               "body": zlib.decompress(body) if sysflag & 1 else body, "p": properties}
        at = here


def route(namesrv, topic):
    """What a client makes of it is {queue id: perm}; here: the number of queues to read."""
    with Connection(namesrv) as connection:
        header, body = connection.ask(105, {"topic": topic, "acceptStandardJsonOnly": "true"})
        if header["code"] == 17:
            return None
        if header["code"] != 0:
            raise WireError(f"route of {topic}: {header}")
        return json.loads(body)["queueDatas"][0]["readQueueNums"]


def positions(broker, topic, group, queues):
    """Of each queue: the position that is stored for the group, or None, and its end."""
    found = []
    with Connection(broker) as connection:
        for queue in range(queues):
            stored, _ = connection.ask(14, {"consumerGroup": group, "topic": topic,
                                            "queueId": queue, "setZeroIfNotFound": "false"})
            end, _ = connection.ask(30, {"topic": topic, "queueId": queue})
            found.append((int(stored["extFields"]["offset"]) if stored["code"] == 0 else None,
                          int(end["extFields"]["offset"])))
    return found


def read_topic(namesrv, broker, topic):
    """All messages of a topic, queue by queue, in the order of their offsets."""
    out = []
    queues = route(namesrv, topic)
    if queues is None:
        return out
    with Connection(broker) as connection:
        for queue in range(queues):
            header, _ = connection.ask(31, {"topic": topic, "queueId": queue})
            offset = int(header["extFields"]["offset"])
            while True:
                header, body = connection.ask(11, pulling("reader", topic, queue, offset))
                if header["code"] == 0:
                    for record in records(body):
                        if record["off"] != offset or record["q"] != queue:
                            raise WireError(f"offset {offset} of queue {queue} holds {record}")
                        offset += 1
                        out.append(record)
                    if int(header["extFields"]["nextBeginOffset"]) != offset:
                        raise WireError(f"after {offset - 1} comes {header['extFields']}")
                elif header["code"] == 19:
                    break
                elif header["code"] in (20, 21):
                    beyond = int(header["extFields"]["nextBeginOffset"])
                    if beyond <= offset:
                        break
                    offset = beyond
                else:
                    raise WireError(f"pull of {topic}, queue {queue}, offset {offset}: {header}")
    return out
