# SPDX-License-Identifier: BSD-2-Clause
"""commitlog - a Python binding of libcommitlog, by ctypes, over the public header only.

    import commitlog

    with commitlog.Store("orders.store") as store:
        orders = store.topic("orders", queues=8)
        receipt = orders.append(b"one coffee", keys=[b"table-7"], tag=b"drinks")
        for message in orders.cursor(start=commitlog.FIRST):
            print(message.queue_offset, message.body)

Everything that comes out is a copy: a Message owns its bytes and outlives cursor and store. Calls
release the interpreter's lock. Those that wait for messages or for a position - fetch, follow,
receive, wait, wait_durable - do so in slices, so that Ctrl-C ends them: a cursor is then where it
was, and what a receiver was given in that moment comes again when its time is over. Those that
write - append, sync, commit and their like - end by themselves or at their time-out, and Ctrl-C
comes after them; it ends the wait of an append for a limit (Store.set_limits).
A Store and a Group may be used by any number of threads, a Cursor, a Receiver and a Transaction by
one at a time: a second one gets a RuntimeError. A number that its C type cannot hold is refused
with ctypes.ArgumentError.

The library is looked for at $COMMITLOG_LIBRARY, else by the names libcommitlog.so.0 and
libcommitlog.so where the dynamic linker looks.
"""
import collections
import ctypes
import functools
import os
import threading
import time
from ctypes import (POINTER, Structure, byref, c_char, c_char_p, c_int32, c_int64, c_size_t,
                    c_uint32, c_uint64, c_void_p)
from typing import (Callable, Iterable, Iterator, Mapping, NamedTuple, Optional, Sequence, Tuple,
                    Union)

__all__ = ["Store", "Topic", "Cursor", "Group", "Receiver", "Transaction", "Message", "Receipt",
           "Record", "Timer", "Delivery", "Gate", "Work", "TransactionInfo", "TransactionMessage",
           "CommitlogError", "UsageError", "HostError", "DataError", "StatusError", "StoreError",
           "version", "ALL_QUEUES", "AUTO_QUEUE", "FIRST", "END", "LEVELS", "STRATEGIES", "assign",
           "delay_level_ms", "queue_by_key"]

ALL_QUEUES = 0x7ffffffe
AUTO_QUEUE = 0x7fffffff
FIRST, _OFFSET, _TIME, END = 0, 1, 2, 3  # where a cursor begins


class _Names(dict):
    def __missing__(self, name):
        raise ValueError(f"{name!r} is none of {', '.join(self)}")


LEVELS = _Names({"default": 0, "none": 1, "written": 2, "durable": 3})
STRATEGIES = _Names({"average": 0, "circle": 1, "consistent-hash": 2, "sticky": 3})  # of assign

_FOREVER = -1
_TIMEOUT_MAX_MS = 2 ** 31 - 1
_SLICE_MS = 500  # the longest a single call waits: between two of them signals are handled
_FETCH_MAX = 4096  # messages that the library gives at once
_PASS_LIMIT = 100000  # so many messages that are not wanted, likewise
_ENOTFOUND, _EAGAIN, _ETIMEDOUT, _EEND, _EINTERRUPTED = -300, -301, -302, -303, -308
_EFULL, _EUNKNOWN = -313, -401
_POSITION_NONE = 2 ** 64 - 1
_CONTROL_TOPIC = 2 ** 32 - 1
_MEMBER_NONE = 2 ** 32 - 1
_GROUP_KEEP, _GROUP_CREATE = 1, 2
_NO_OFFSET = 2 ** 64 - 1
_RECEIVE_MAX, _RECEIVE_ORDERED, _RECEIVE_DEAD_TOPIC = 64, 1, 2
_NO_LIMIT = 2 ** 32 - 1  # of attempts
_NO_QUEUE = 2 ** 32 - 1
_NO_TOPIC = 2 ** 32 - 1
_REASONS = {4: "expired", 5: "refused"}    # why a message is a dead letter
_WORK_STATES = {1: "pending", 2: "done"}
_TRANSACTION_PREPARED = 1


# ---- errors: one class for each band of codes ----------------------------------------------------

class CommitlogError(Exception):
    """A call failed. code and name are the library's; position is None where there is none."""

    def __init__(self, code: int, message: str = "", os_errno: int = 0,
                 position: Optional[int] = None, bound: Optional[int] = None,
                 receipt: "Union[Receipt, list[Receipt], None]" = None):
        self.code = code
        self.name = _text(_lib().commitlog_error_name(code))
        self.os_errno = os_errno
        self.position = position
        self.bound = bound  # the offset or position that a status of a read names
        self.receipt = receipt  # COMMITLOG_EUNKNOWN: what the call would have returned
        super().__init__(message or _text(_lib().commitlog_error_text(code)))

    def __reduce__(self):
        return type(self), (self.code, str(self), self.os_errno, self.position, self.bound,
                            self.receipt)


class UsageError(CommitlogError):
    """The call is wrong; nothing happened (-1 to -99)."""


class HostError(CommitlogError):
    """Memory, disk, permission, another writer (-100 to -199)."""


class DataError(CommitlogError):
    """What lies on the disk is damaged, foreign, newer or not recovered (-200 to -299)."""


class StatusError(CommitlogError):
    """Not a failure: not found, timed out, at the end, before the first (-300 to -399)."""


class StoreError(CommitlogError):
    """The store has failed or does not know; open it again (-400 to -499)."""


_BANDS = {0: UsageError, 1: HostError, 2: DataError, 3: StatusError, 4: StoreError}


# ---- the structures of commitlog.h ---------------------------------------------------------------

class _Checked(Structure):
    """One that is filled in here: a number that does not fit is refused, not cut."""

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if isinstance(value, int) and getattr(self, name) != value:
            raise _misfit(value, name)


class _Error(Structure):
    _fields_ = [("code", c_int32), ("os_errno", c_int32), ("position", c_uint64),
                ("message", c_char * 240)]


class _Slice(Structure):
    _fields_ = [("data", c_void_p), ("bytes", c_size_t)]


class _Header(Structure):
    _fields_ = [("name", _Slice), ("value", _Slice)]


class _Receipt(Structure):
    _fields_ = [("position", c_uint64), ("end_position", c_uint64), ("queue_offset", c_uint64),
                ("store_time_ns", c_int64), ("epoch", c_uint32), ("level", c_uint32),
                ("duplicate", c_uint32), ("reserved", c_uint32)]


class _Record(Structure):
    _fields_ = [("struct_bytes", c_uint32), ("topic", c_uint32), ("queue", c_uint32),
                ("level", c_uint32), ("body", POINTER(_Slice)), ("body_count", c_uint32),
                ("key_count", c_uint32), ("keys", POINTER(_Slice)), ("tag", _Slice),
                ("headers", POINTER(_Header)), ("header_count", c_uint32),
                ("has_time", c_uint32), ("time_ms", c_int64), ("producer_id", c_uint64),
                ("sequence", c_uint64), ("producer_epoch", c_uint32), ("reserved", c_uint32),
                ("deliver_at_ms", c_int64)]


class _Message(Structure):
    _fields_ = [("position", c_uint64), ("next_position", c_uint64), ("queue_offset", c_uint64),
                ("store_time_ns", c_int64), ("time_ms", c_int64), ("topic", c_uint32),
                ("queue", c_uint32), ("epoch", c_uint32), ("kind", c_uint32), ("body", _Slice),
                ("tag", _Slice), ("attributes", _Slice), ("key_count", c_uint32),
                ("header_count", c_uint32), ("producer_id", c_uint64), ("sequence", c_uint64),
                ("producer_epoch", c_uint32), ("reserved", c_uint32), ("deliver_at_ms", c_int64),
                ("origin_position", c_uint64), ("origin_offset", c_uint64),
                ("origin_topic", c_uint32), ("origin_queue", c_uint32), ("attempts", c_uint32),
                ("reason", c_uint32), ("transaction", c_uint64)]


class _Sized(_Checked):
    """A structure that begins with its size, which is filled in here."""

    def __init__(self):
        super().__init__()
        self.struct_bytes = ctypes.sizeof(self)

    def values(self) -> dict:
        return {name: getattr(self, name) for name, *_ in self._fields_
                if name not in ("struct_bytes", "reserved")}


class _Limits(_Sized):
    _fields_ = [("struct_bytes", c_uint32), ("reserved", c_uint32),
                ("unflushed_bytes", c_uint64), ("unconsumed_bytes", c_uint64)]


class _TopicInfo(_Sized):
    _fields_ = [("struct_bytes", c_uint32), ("topic", c_uint32), ("queues", c_uint32),
                ("name_bytes", c_uint32), ("name", c_char * 256), ("queues_total", c_uint32),
                ("step_count", c_uint32), ("step_queues", c_uint32 * 32),
                ("keep_age_ms", c_uint64), ("expired_below", c_uint64)]


class _QueueInfo(_Sized):
    _fields_ = [("struct_bytes", c_uint32), ("reserved", c_uint32), ("first_offset", c_uint64),
                ("next_offset", c_uint64), ("first_time_ns", c_int64), ("last_time_ns", c_int64)]


class _Histogram(_Sized):
    _fields_ = [("struct_bytes", c_uint32), ("one_in", c_uint32), ("name", c_char_p),
                ("unit", c_char_p), ("count", c_uint64), ("sum", c_uint64), ("max", c_uint64),
                ("buckets", c_uint64 * 497)]


class _Positions(_Sized):
    _fields_ = [("struct_bytes", c_uint32), ("epoch", c_uint32)] + [
        (name, c_uint64) for name in ("first", "checkpointed", "durable", "written", "published",
                                      "claimed", "visible")]


class _Recovery(_Sized):
    _fields_ = [(name, c_uint32) for name in ("struct_bytes", "tail", "clean_close", "same_boot",
                                              "epoch", "quarantined")] + [
        (name, c_uint64) for name in (
            "first", "witness", "end", "bytes_scanned", "records_scanned", "bytes_cut",
            "records_cut", "bytes_rewritten", "records_from_stage", "holes_made",
            "views_rebuilt", "duration_ns", "damaged_ranges")]


class _GroupInfo(_Sized):
    _fields_ = [("struct_bytes", c_uint32), ("epoch", c_uint32), ("flags", c_uint32),
                ("queues", c_uint32), ("name_bytes", c_uint32), ("name", c_char * 256)]


class _GroupOffset(_Checked):
    _fields_ = [("topic", c_uint32), ("queue", c_uint32), ("offset", c_uint64)]


class _GroupGate(_Sized):
    _fields_ = [("struct_bytes", c_uint32), ("open", c_uint32), ("parent", c_uint32),
                ("reserved", c_uint32), ("mark", c_uint64), ("committed", c_uint64)]


class _GroupLag(_Sized):
    _fields_ = [("struct_bytes", c_uint32), ("queues", c_uint32), ("messages", c_uint64),
                ("dropped", c_uint64), ("oldest_time_ns", c_int64)]


class _TimerInfo(_Sized):
    _fields_ = [(name, c_uint32) for name in ("struct_bytes", "topic", "queue", "reserved")] + [
        ("timer", c_uint64), ("position", c_uint64), ("deliver_at_ms", c_int64)]


class _ReceiverOptions(_Sized):
    _fields_ = [(name, c_uint32) for name in ("struct_bytes", "flags", "max_attempts",
                                              "dead_topic")] + [("visibility_ms", c_int64)]


class _Delivery(_Checked):
    _fields_ = [("offset", c_uint64), ("queue", c_uint32), ("attempt", c_uint32)]


class _WorkInfo(_Sized):
    _fields_ = [("struct_bytes", c_uint32), ("state", c_uint32), ("offset", c_uint64),
                ("count", c_uint32), ("attempts", c_uint32), ("visible_at_ms", c_int64)]


class _TransactionOptions(_Sized):
    _fields_ = [("struct_bytes", c_uint32), ("flags", c_uint32), ("timeout_ms", c_int64),
                ("prepared_ms", c_int64)]


class _TransactionInfo(_Sized):
    _fields_ = [("struct_bytes", c_uint32), ("prepared", c_uint32), ("transaction", c_uint64),
                ("begin_ms", c_int64), ("expires_at_ms", c_int64), ("bytes", c_uint64),
                ("messages", c_uint32), ("offset_groups", c_uint32), ("group_bytes", c_uint32),
                ("group", c_char * 256)]


class _TransactionMessage(_Sized):
    _fields_ = [(name, c_uint32) for name in ("struct_bytes", "topic", "queue", "reserved")] + [
        ("position", c_uint64)]


_HANDLE = c_void_p
_OUT = POINTER(c_void_p)
_ERR = POINTER(_Error)
_U32 = POINTER(c_uint32)
_U64 = POINTER(c_uint64)

# Result and arguments of each function that is used; pointers are checked by ctypes.
_SIGNATURES = {
    "version_number": (c_uint32,),
    "version_text": (c_char_p,),
    "version_check": (c_int32, c_uint32, c_uint32),
    "error_name": (c_char_p, c_int32),
    "error_text": (c_char_p, c_int32),
    "options_create": (c_int32, _OUT),
    "options_free": (None, _HANDLE),
    "options_set_text": (c_int32, _HANDLE, c_char_p, c_char_p, _ERR),
    "open": (c_int32, c_char_p, _HANDLE, _OUT, _ERR),
    "close": (c_int32, _HANDLE, _ERR),
    "interrupt": (c_int32, _HANDLE),
    "topic_open": (c_int32, _HANDLE, c_char_p, c_size_t, c_uint32, _U32, _ERR),
    "topic_count": (c_uint32, _HANDLE),
    "topic_info": (c_int32, _HANDLE, c_uint32, POINTER(_TopicInfo)),
    "topic_expire_after": (c_int32, _HANDLE, c_uint32, c_uint64, c_uint32, _ERR),
    "topic_expire": (c_int32, _HANDLE, c_uint32, c_int64, c_uint32, _ERR),
    "topic_grow": (c_int32, _HANDLE, c_uint32, c_uint32, c_uint32, _ERR),
    "topic_shrink": (c_int32, _HANDLE, c_uint32, c_uint32, c_uint32, _ERR),
    "queue_info": (c_int32, _HANDLE, c_uint32, c_uint32, POINTER(_QueueInfo)),
    "append_record": (c_int32, _HANDLE, POINTER(_Record), c_int32, POINTER(_Receipt), _ERR),
    "append_batch": (c_int32, _HANDLE, POINTER(_Record), c_uint32, c_int32, POINTER(_Receipt),
                     _ERR),
    "limits_get": (c_int32, _HANDLE, POINTER(_Limits)),
    "limits_set": (c_int32, _HANDLE, POINTER(_Limits), _ERR),
    "sync": (c_int32, _HANDLE, c_uint64, c_int32, _ERR),
    "wait_durable": (c_int32, _HANDLE, c_uint64, c_int32),
    "wait": (c_int32, _HANDLE, c_uint64, c_int32),
    "message_key": (c_int32, POINTER(_Message), c_uint32, POINTER(_Slice)),
    "message_header": (c_int32, POINTER(_Message), c_uint32, POINTER(_Header)),
    "cursor_open": (c_int32, _HANDLE, c_uint32, c_uint32, c_uint32, c_uint64, _OUT, _ERR),
    "cursor_open_key": (c_int32, _HANDLE, c_uint32, c_char_p, c_size_t, c_int64, c_int64, _OUT,
                        _ERR),
    "cursor_open_log": (c_int32, _HANDLE, c_uint64, _OUT, _ERR),
    "cursor_close": (None, _HANDLE),
    "cursor_set_tags": (c_int32, _HANDLE, POINTER(_Slice), c_uint32),
    "filter_compile": (c_int32, c_char_p, c_size_t, _OUT, _ERR),
    "filter_free": (None, _HANDLE),
    "cursor_set_filter": (c_int32, _HANDLE, _HANDLE),
    "cursor_set_pass_limit": (c_int32, _HANDLE, c_uint32),
    "cursor_fetch": (c_int32, _HANDLE, POINTER(_Message), c_uint32, c_int32, _U32, _U64),
    "cursor_tell": (c_uint64, _HANDLE),
    "cursor_seek": (c_int32, _HANDLE, c_uint32, c_uint64),
    "lease_release": (None, _HANDLE),
    "get": (c_int32, _HANDLE, c_uint64, POINTER(_Message), _OUT, _ERR),
    "offset_by_time": (c_int32, _HANDLE, c_uint32, c_uint32, c_int64, c_uint32, _U64),
    "positions_get": (c_int32, _HANDLE, POINTER(_Positions)),
    "stat": (c_int32, _HANDLE, c_uint32, POINTER(c_char_p), _U64),
    "histogram_get": (c_int32, _HANDLE, c_uint32, POINTER(_Histogram)),
    "histogram_quantile": (c_uint64, POINTER(_Histogram), c_uint32),
    "checkpoint": (c_int32, _HANDLE, _ERR),
    "recovery_get": (c_int32, _HANDLE, POINTER(_Recovery)),
    "queue_by_key": (c_int32, c_char_p, c_size_t, c_uint32, _U32),
    "assign": (c_int32, c_uint32, POINTER(_Slice), c_uint32, c_uint32, _U32, _U32, _ERR),
    "group_open": (c_int32, _HANDLE, c_char_p, c_size_t, c_uint32, _OUT, _ERR),
    "group_close": (None, _HANDLE),
    "group_info": (c_int32, _HANDLE, POINTER(_GroupInfo)),
    "group_at": (c_int32, _HANDLE, c_uint32, POINTER(_GroupInfo)),
    "group_configure": (c_int32, _HANDLE, c_uint32, c_uint32, _ERR),
    "group_next_epoch": (c_int32, _HANDLE, c_uint32, _U32, _ERR),
    "group_delete": (c_int32, _HANDLE, c_uint32, _ERR),
    "group_commit": (c_int32, _HANDLE, c_uint32, POINTER(_GroupOffset), c_uint32, c_uint32,
                     c_int32, POINTER(_Receipt), _ERR),
    "group_fetch": (c_int32, _HANDLE, POINTER(_GroupOffset), c_uint32, _ERR),
    "group_reset": (c_int32, _HANDLE, c_uint32, c_uint32, c_uint32, c_uint64, c_uint32, _ERR),
    "group_gate": (c_int32, _HANDLE, c_uint32, c_uint32, POINTER(_GroupGate), _ERR),
    "group_lag": (c_int32, _HANDLE, c_uint32, c_uint32, POINTER(_GroupLag), _ERR),
    "timer_cancel": (c_int32, _HANDLE, c_uint64, c_uint32, _ERR),
    "timer_at": (c_int32, _HANDLE, c_uint32, POINTER(_TimerInfo)),
    "delay_level_ms": (c_int64, c_uint32),
    "receiver_open": (c_int32, _HANDLE, c_uint32, POINTER(_ReceiverOptions), _OUT, _ERR),
    "receiver_close": (None, _HANDLE),
    "receive": (c_int32, _HANDLE, POINTER(_Message), POINTER(_Delivery), c_uint32, c_int32, _U32,
                _ERR),
    "ack": (c_int32, _HANDLE, POINTER(_Delivery), c_uint32, c_uint32, _ERR),
    "extend": (c_int32, _HANDLE, POINTER(_Delivery), c_uint32, c_int64, _ERR),
    "nack": (c_int32, _HANDLE, POINTER(_Delivery), c_uint32, c_int64, _ERR),
    "group_work": (c_int32, _HANDLE, c_uint32, c_uint32, c_uint64, POINTER(_WorkInfo), _ERR),
    "transaction_begin": (c_int32, _HANDLE, c_char_p, c_size_t, POINTER(_TransactionOptions), _OUT,
                          _ERR),
    "transaction_open": (c_int32, _HANDLE, c_uint64, _OUT, _ERR),
    "transaction_close": (None, _HANDLE),
    "transaction_id": (c_uint64, _HANDLE),
    "transaction_append": (c_int32, _HANDLE, POINTER(_Record), c_int32, POINTER(_Receipt), _ERR),
    "transaction_offsets": (c_int32, _HANDLE, _HANDLE, c_uint32, POINTER(_GroupOffset), c_uint32,
                            _ERR),
    "transaction_prepare": (c_int32, _HANDLE, c_uint32, c_int32, _ERR),
    "transaction_commit": (c_int32, _HANDLE, c_uint32, c_int32, POINTER(_Receipt), _ERR),
    "transaction_rollback": (c_int32, _HANDLE, c_uint32, c_int32, _ERR),
    "transaction_next": (c_int32, _HANDLE, c_uint64, POINTER(_TransactionInfo)),
    "transaction_message": (c_int32, _HANDLE, c_uint64, c_uint32, POINTER(_TransactionMessage)),
}


class _Integer:
    """An argument of an integer type, which ctypes would cut to it."""

    def __init__(self, kind):
        self._kind = kind

    def from_param(self, value):
        it = self._kind(value)
        if it.value != value:
            raise _misfit(value, self._kind.__name__)
        return it


def _misfit(value: object, what: str) -> ctypes.ArgumentError:
    return ctypes.ArgumentError(f"{value} does not fit {what}")


_INTEGERS = {kind: _Integer(kind) for kind in (c_int32, c_int64, c_size_t, c_uint32, c_uint64)}

_loaded: Optional[ctypes.CDLL] = None


def _lib() -> ctypes.CDLL:
    """The library, loaded and declared at its first use."""
    global _loaded
    if _loaded is not None:
        return _loaded
    names = [os.environ["COMMITLOG_LIBRARY"]] if os.environ.get("COMMITLOG_LIBRARY") else [
        "libcommitlog.so.0", "libcommitlog.so"]
    problem: Optional[OSError] = None
    for name in names:
        try:
            lib = ctypes.CDLL(name)
            break
        except OSError as error:
            problem = problem or error
    else:
        raise ImportError(f"libcommitlog cannot be loaded: {problem}; "
                          "set COMMITLOG_LIBRARY to its path") from problem
    for name, (result, *arguments) in _SIGNATURES.items():
        function = getattr(lib, "commitlog_" + name)
        function.restype = result
        function.argtypes = [_INTEGERS.get(kind, kind) for kind in arguments]
    _loaded = lib
    return lib


def version() -> str:
    """Version of the library that is loaded."""
    return _text(_lib().commitlog_version_text())


def queue_by_key(key: bytes, queues: int) -> int:
    """The queue that a key has in a topic of so many queues: XXH3-64 modulo their number."""
    out, data = c_uint32(), _bytes(key)
    _check(_lib().commitlog_queue_by_key(data, len(data), queues, byref(out)))
    return out.value


def assign(strategy: str, members: Sequence[bytes], queues: int,
           previous: Optional[Sequence[Optional[int]]] = None) -> "list[int]":
    """By queue the index of the member that reads it. previous, for "sticky": the same as it is
    now, None for a queue that nobody has."""
    ids = _each_bytes(members)
    if previous is not None and len(previous) != queues:
        raise ValueError("previous must say of every queue who has it")
    before = None if previous is None else (c_uint32 * queues)(
        *(_MEMBER_NONE if member is None else _INTEGERS[c_uint32].from_param(member)
          for member in previous))
    out, err = (c_uint32 * queues)(), _Error()
    _check(_lib().commitlog_assign(STRATEGIES[strategy], (_Slice * len(ids))(*map(_slice, ids)),
                                   len(ids), queues, before, out, byref(err)), err)
    return list(out)


def delay_level_ms(level: int) -> int:
    """RocketMQ's delay levels 1 to 18 (1 s to 2 h) in milliseconds; 0: none, above 18: as 18."""
    return _lib().commitlog_delay_level_ms(level)


# ---- small helpers -------------------------------------------------------------------------------

def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _check(code: int, err: Optional[_Error] = None, bound: Optional[int] = None,
           receipt: "Union[Receipt, list[Receipt], None]" = None) -> None:
    if code == 0:
        return
    kind = _BANDS.get(-code // 100, CommitlogError)
    if err is not None and err.code == code:
        position = None if err.position == _POSITION_NONE else err.position
        raise kind(code, _text(err.message), err.os_errno, position, bound, receipt)
    raise kind(code, bound=bound, receipt=receipt)


def _bytes(value: Union[bytes, bytearray, memoryview, str]) -> bytes:
    if isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else bytes(memoryview(value))  # no numbers


def _each_bytes(values: Iterable[Union[bytes, bytearray, memoryview, str]]) -> "list[bytes]":
    if isinstance(values, (bytes, bytearray, memoryview, str)):
        raise TypeError(f"a sequence of byte strings is wanted, not one: {values!r}")
    return [_bytes(value) for value in values]


def _pairs(headers: "Headers") -> "list[tuple[bytes, bytes]]":
    """Of a mapping or of pairs. A byte string is none: of two, it would be a name and a value."""
    pairs = []
    for pair in headers.items() if isinstance(headers, Mapping) else headers:
        if isinstance(pair, (bytes, bytearray, memoryview, str)):
            raise TypeError(f"a pair of name and value is wanted, not a byte string: {pair!r}")
        name, value = pair
        pairs.append((_bytes(name), _bytes(value)))
    return pairs


def _c_text(data: bytes) -> bytes:
    """What the library takes up to the first NUL."""
    if b"\0" in data:
        raise ValueError("embedded null byte")
    return data


def _slice(data: bytes) -> _Slice:
    """Points into `data`, which the caller keeps alive."""
    return _Slice(ctypes.cast(c_char_p(data), c_void_p), len(data))


def _copy(piece: _Slice) -> bytes:
    return ctypes.string_at(piece.data, piece.bytes) if piece.bytes else b""


def _waits(timeout: Optional[float]) -> Iterator[int]:
    """Time-outs in ms, none over _SLICE_MS, that add up to `timeout` seconds (None: for ever)."""
    end = None if timeout is None or timeout == float("inf") else (
        time.monotonic() + max(timeout, 0.0))
    while end is None:
        yield _SLICE_MS
    while True:
        left_ms = (end - time.monotonic()) * 1000 + 0.999
        if not left_ms > _SLICE_MS:  # that is, or is no number, which int refuses
            yield max(int(left_ms), 0)
            return
        yield _SLICE_MS


def _ms(timeout: Optional[float]) -> int:
    """A time-out of a single call: rounded up, and no longer than the library can wait."""
    if timeout is None or timeout == float("inf"):
        return _FOREVER
    return int(max(min(timeout * 1000 + 0.999, _TIMEOUT_MAX_MS), 0.0))


# ---- what goes in and comes out ------------------------------------------------------------------

class Receipt(NamedTuple):
    """Where a message went. end_position is what Store.sync and wait_durable take. duplicate: the
    same producer had stored it before, there."""
    position: int
    end_position: int
    queue_offset: int
    store_time_ns: int
    epoch: int
    level: str
    duplicate: bool = False


class Message(NamedTuple):
    """A copy of a record. topic is None for control records. deliver_at_ms is None for one that was
    not delayed; origin_position is where the message was stored, if it is delivered from there,
    else None. A dead letter says where it was, how often it was given out, and why it is one:
    "expired" or "refused"; these are None for another message, and origin_topic and origin_queue
    also if they are not known. transaction is the number of the one that it was appended to, None
    for none."""
    position: int
    next_position: int
    topic: Optional[int]
    queue: int
    queue_offset: int
    store_time_ns: int
    time_ms: int
    epoch: int
    kind: int
    body: bytes
    tag: bytes
    keys: Tuple[bytes, ...]
    headers: Tuple[Tuple[bytes, bytes], ...]
    producer: Optional[Tuple[int, int, int]] = None  # id, epoch, sequence
    deliver_at_ms: Optional[int] = None
    origin_position: Optional[int] = None
    origin_topic: Optional[int] = None
    origin_queue: Optional[int] = None
    origin_offset: Optional[int] = None
    attempts: Optional[int] = None
    reason: Optional[str] = None
    transaction: Optional[int] = None


Headers = Union[Mapping[bytes, bytes], Iterable[Tuple[bytes, bytes]]]  # pairs: a name may come twice


class Record(NamedTuple):
    """What Store.append_batch takes."""
    topic: "Topic"
    body: bytes
    queue: int = AUTO_QUEUE
    keys: Sequence[bytes] = ()
    tag: bytes = b""
    headers: Headers = ()
    time_ms: Optional[int] = None
    level: str = "default"
    producer: Optional[Tuple[int, int, int]] = None  # id, epoch, sequence: stored once
    deliver_at_ms: Optional[int] = None  # since 1970; None: at once


class Timer(NamedTuple):
    """A message that waits. handle is what Store.cancel_timer takes, position where the message
    lies now; topic and queue, where it is to go, are None if they are not known."""
    handle: int
    topic: Optional[int]
    queue: Optional[int]
    position: int
    deliver_at_ms: int


class Delivery(NamedTuple):
    """What a Receiver was given: which message, and at which attempt (1: the first)."""
    offset: int
    queue: int
    attempt: int


class Gate(NamedTuple):
    """Whether a group may consume a queue, and which one comes before it, to which offset."""
    open: bool
    parent: Optional[int]  # None: the topic was created with this queue
    mark: Optional[int]  # 0: nothing below it is kept; None: the growth is not visible yet
    committed: Optional[int]


class Work(NamedTuple):
    """`count` messages from `offset` on, above what the group has committed: "done" already, or
    "pending": given out so often, and nobody's before visible_at_ms (None: done)."""
    state: str
    offset: int
    count: int
    attempts: int
    visible_at_ms: Optional[int]


class TransactionInfo(NamedTuple):
    """One that is open. number is what Store.open_transaction takes; group that of its producer;
    bytes what its messages take in the log. Not prepared: it is still being written; expires_at_ms
    is 0 if that is so and it is another process that writes it."""
    number: int
    group: str
    prepared: bool
    begin_ms: int
    expires_at_ms: int
    messages: int
    bytes: int
    offset_groups: int


class TransactionMessage(NamedTuple):
    """Where a message of a transaction is to go (None: not known), and where it lies now: for
    Store.get."""
    topic: Optional[int]
    queue: Optional[int]
    position: int


def _receipt(raw: _Receipt) -> Receipt:
    level = next(name for name, value in LEVELS.items() if value == raw.level)
    return Receipt(raw.position, raw.end_position, raw.queue_offset, raw.store_time_ns,
                   raw.epoch, level, raw.duplicate != 0)


def _stored(code: int, raw: _Receipt, err: _Error) -> Receipt:
    """The receipt; it goes with the error when the level was not reached."""
    receipt = _receipt(raw)
    _check(code, err, receipt=receipt if code == _EUNKNOWN else None)
    return receipt


def _append(store: "Store", call: Callable[[int], int], receipts: Sequence[_Receipt],
            timeout: Optional[float]) -> int:
    """Calls it with a time-out in ms. Where limits may make it wait for others, for as long as they
    like, it does so in slices: what was refused is not stored, and is tried again; for what is
    stored, the level is waited for."""
    if not store._limited:
        return call(_ms(timeout))
    code, slices, begun = _EFULL, _waits(timeout), store._interrupts
    while code in (_EFULL, _ETIMEDOUT):
        slice_ms = next(slices, None)
        if slice_ms is None:
            return code
        if store._interrupts != begun:
            return _EINTERRUPTED
        code = call(slice_ms)
    while code == _EUNKNOWN:
        slice_ms = next(slices, None)
        if slice_ms is None or store._interrupts != begun:
            return code
        synced = _lib().commitlog_sync(store.handle, receipts[-1].end_position, slice_ms, None)
        if synced == 0:
            for receipt in receipts:
                receipt.level = LEVELS["durable"]
            return 0
        if synced != _ETIMEDOUT:
            return code
    return code


def _message(raw: _Message) -> Message:
    lib = _lib()
    keys, headers = [], []
    piece, header = _Slice(), _Header()
    for index in range(raw.key_count):
        _check(lib.commitlog_message_key(byref(raw), index, byref(piece)))
        keys.append(_copy(piece))
    for index in range(raw.header_count):
        _check(lib.commitlog_message_header(byref(raw), index, byref(header)))
        headers.append((_copy(header.name), _copy(header.value)))
    return Message(raw.position, raw.next_position,
                   None if raw.topic == _CONTROL_TOPIC else raw.topic, raw.queue,
                   raw.queue_offset, raw.store_time_ns, raw.time_ms, raw.epoch, raw.kind,
                   _copy(raw.body), _copy(raw.tag), tuple(keys), tuple(headers),
                   (raw.producer_id, raw.producer_epoch, raw.sequence) if raw.producer_id else None,
                   raw.deliver_at_ms or None, raw.origin_position or None, *_origin(raw),
                   raw.transaction or None)


def _origin(raw: _Message) -> tuple:
    if raw.reason == 0:
        return (None,) * 5
    known = raw.origin_topic != _NO_TOPIC
    return (raw.origin_topic if known else None, raw.origin_queue if known else None,
            raw.origin_offset, raw.attempts, _REASONS.get(raw.reason, "other"))


def _number(topic: "Topic", store: "Store") -> int:
    """A number means something in one store only, while it is open."""
    if topic.store is not store:
        raise ValueError("the topic is one of another store")
    return topic.number


def _fill(raw: _Record, record: Record, store: "Store") -> list:
    """Fills the C structure. What it points to is in the list: keep that until the call is over."""
    data = _bytes(record.body)
    body = (_Slice * 1)(_slice(data))
    keys = _each_bytes(record.keys)
    headers = _pairs(record.headers)
    tag = _bytes(record.tag)
    key_slices = (_Slice * len(keys))(*[_slice(key) for key in keys])
    header_pairs = (_Header * len(headers))(
        *[_Header(_slice(name), _slice(value)) for name, value in headers])
    raw.struct_bytes = ctypes.sizeof(_Record)
    raw.topic = _number(record.topic, store)
    raw.queue = record.queue
    raw.level = LEVELS[record.level]
    raw.body, raw.body_count = body, 1
    raw.keys, raw.key_count = key_slices, len(keys)
    raw.tag = _slice(tag) if tag else _Slice()
    raw.headers, raw.header_count = header_pairs, len(headers)
    raw.has_time = record.time_ms is not None
    raw.time_ms = record.time_ms or 0
    raw.producer_id, raw.producer_epoch, raw.sequence = record.producer or (0, 0, 0)
    raw.deliver_at_ms = record.deliver_at_ms or 0
    given = (record.queue, record.time_ms or 0, record.deliver_at_ms or 0,
             *(record.producer or (0, 0, 0)))
    if given != (raw.queue, raw.time_ms, raw.deliver_at_ms, raw.producer_id, raw.producer_epoch,
                 raw.sequence):  # as of _Checked, at less cost
        raise _misfit(given, "queue, time_ms, deliver_at_ms or producer")
    return [data, body, keys, key_slices, tag, headers, header_pairs]


# ---- store, topic, cursor ------------------------------------------------------------------------

class Store:
    """An open store. Options by name: Store("dir", access="read-only", segment_bytes="64M")."""

    def __init__(self, path: Union[str, bytes, os.PathLike], **options: Union[str, int]):
        self._handle: Optional[int] = None
        self._limited = False  # an append may have to wait for others
        self._interrupts = 0
        lib, err, handle = _lib(), _Error(), c_void_p()
        _check(lib.commitlog_version_check(0, 1))
        chosen = c_void_p()
        _check(lib.commitlog_options_create(byref(chosen)))
        try:
            for name, value in options.items():
                _check(lib.commitlog_options_set_text(chosen, _c_text(name.encode()),
                                                      _c_text(str(value).encode()), byref(err)),
                       err)
            _check(lib.commitlog_open(_c_text(os.fsencode(path)), chosen, byref(handle),
                                      byref(err)), err)
        finally:
            self._handle = handle.value  # first: Ctrl-C may have come while it was opened
            lib.commitlog_options_free(chosen)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, kind, value, trace) -> None:
        self.close()

    def __del__(self):
        # Not to be relied on; cursors that are still alive answer COMMITLOG_ECLOSED afterwards.
        if getattr(self, "_handle", None) is not None:
            handle, self._handle = self._handle, None
            _lib().commitlog_close(handle, None)

    def __reduce__(self):
        raise TypeError("a store cannot be copied, or sent to another process: open it there")

    @property
    def handle(self) -> int:
        if self._handle is None:
            raise ValueError("the store is closed")
        return self._handle

    def close(self) -> None:
        """Makes everything durable and closes. No other thread may be using the store, or waiting
        for it in a call of a cursor, a group, a receiver or a transaction of it. Closed whatever
        is raised."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            err = _Error()
            _check(_lib().commitlog_close(handle, byref(err)), err)

    def interrupt(self) -> None:
        """Ends the waiting calls of other threads with StatusError (COMMITLOG_EINTERRUPTED); one
        that is between two slices of its wait (see the top), at the end of the next."""
        self._interrupts += 1  # first: who has looked at it already is woken, or looks again
        _check(_lib().commitlog_interrupt(self.handle))

    def _slices(self, timeout: Optional[float]) -> Iterator[int]:
        """As _waits, until the store is interrupted."""
        begun = self._interrupts
        for slice_ms in _waits(timeout):
            if self._interrupts != begun:
                _check(_EINTERRUPTED)
            yield slice_ms

    def topic(self, name: str, queues: int = 0) -> "Topic":
        """The topic of this name; created with `queues` queues if it is missing and queues > 0."""
        number, err, data = c_uint32(), _Error(), name.encode()
        _check(_lib().commitlog_topic_open(self.handle, data, len(data), queues, byref(number),
                                           byref(err)), err)
        return Topic(self, number.value)

    def topics(self) -> "list[Topic]":
        count = _lib().commitlog_topic_count(self.handle)
        if count == 0:
            self.positions()  # it cannot say that the store is not this process's
        return [Topic(self, number) for number in range(count)]

    def group(self, name: str, create: bool = False, keep: bool = False) -> "Group":
        """The consumer group of this name; made, with `keep` or without, if create is given and it
        is missing. keep: retention keeps what it has not consumed."""
        handle, err, data = c_void_p(), _Error(), name.encode()
        flags = (_GROUP_CREATE if create else 0) | (_GROUP_KEEP if keep else 0)
        _check(_lib().commitlog_group_open(self.handle, data, len(data), flags, byref(handle),
                                           byref(err)), err)
        return Group(self, handle.value)

    def groups(self) -> "list[dict]":
        """What Group.info says of each group."""
        found = []
        while True:
            out = _GroupInfo()
            code = _lib().commitlog_group_at(self.handle, len(found), byref(out))
            if code == _ENOTFOUND:
                return found
            _check(code)
            found.append(_group_info(out))

    def timers(self) -> Iterator[Timer]:
        """The messages that wait: the first is due first, the others come in any order. One that
        comes or goes while this is read may hide another or show it twice."""
        index = 0
        while True:
            out = _TimerInfo()
            code = _lib().commitlog_timer_at(self.handle, index, byref(out))
            if code == _ENOTFOUND:
                return
            _check(code)
            known = out.topic != _CONTROL_TOPIC
            yield Timer(out.timer, out.topic if known else None, out.queue if known else None,
                        out.position, out.deliver_at_ms)
            index += 1

    def cancel_timer(self, handle: int, level: str = "default") -> None:
        """Ends a timer: its message is never delivered. handle: the position of its receipt.
        StatusError with COMMITLOG_ENOTFOUND: it does not wait any more, or never did."""
        err = _Error()
        _check(_lib().commitlog_timer_cancel(self.handle, handle, LEVELS[level], byref(err)), err)

    def transaction(self, group: str, *, prepared: bool = False, timeout_ms: int = 0,
                    prepared_ms: int = 0) -> "Transaction":
        """Begins one of the producer group, which can say how it ended. prepared: it is one
        message, and outlives the process from that on. It is rolled back after timeout_ms (0: a
        minute), and once prepared after prepared_ms (0: a day)."""
        options, handle, err, data = _TransactionOptions(), c_void_p(), _Error(), group.encode()
        options.flags = _TRANSACTION_PREPARED if prepared else 0
        options.timeout_ms = timeout_ms
        options.prepared_ms = prepared_ms
        _check(_lib().commitlog_transaction_begin(self.handle, data, len(data), byref(options),
                                                  byref(handle), byref(err)), err)
        return Transaction(self, handle.value, prepared)

    def open_transaction(self, number: int) -> "Transaction":
        """One that is prepared, by the number that transactions() says, to decide it. StatusError
        with COMMITLOG_ENOTFOUND: it has been decided."""
        handle, err = c_void_p(), _Error()
        _check(_lib().commitlog_transaction_open(self.handle, number, byref(handle), byref(err)),
               err)
        return Transaction(self, handle.value, True)

    def transactions(self) -> Iterator[TransactionInfo]:
        """Those that are open and of which something is stored, the oldest first, at the moment of
        each step. Also of a store that is only read."""
        info = _TransactionInfo()
        while True:
            code = _lib().commitlog_transaction_next(self.handle, info.transaction, byref(info))
            if code == _ENOTFOUND:
                return
            _check(code)
            yield TransactionInfo(info.transaction, _text(info.group), info.prepared != 0,
                                  info.begin_ms, info.expires_at_ms, info.messages, info.bytes,
                                  info.offset_groups)

    def transaction_messages(self, number: int) -> Iterator[TransactionMessage]:
        """Those of an open transaction, in the order they were appended; none if it has ended."""
        out, index = _TransactionMessage(), 0
        while True:
            code = _lib().commitlog_transaction_message(self.handle, number, index, byref(out))
            if code == _ENOTFOUND:
                return
            _check(code)
            known = out.topic != _NO_TOPIC
            yield TransactionMessage(out.topic if known else None, out.queue if known else None,
                                     out.position)
            index += 1

    def append_batch(self, records: Iterable[Record],
                     timeout: Optional[float] = None) -> "list[Receipt]":
        """Appends all or nothing, over any topics of this store. Errors as of Topic.append."""
        records = list(records)
        raw = (_Record * len(records))()
        kept = [_fill(raw[index], record, self) for index, record in enumerate(records)]
        receipts, err = (_Receipt * len(records))(), _Error()
        code = _append(self, lambda ms: _lib().commitlog_append_batch(
            self.handle, raw, len(records), ms, receipts, byref(err)), receipts, timeout)
        del kept
        stored = [_receipt(receipt) for receipt in receipts]
        _check(code, err, receipt=stored if code == _EUNKNOWN else None)
        return stored

    def set_limits(self, unflushed_bytes: int = 0, unconsumed_bytes: int = 0) -> None:
        """Beyond so many bytes that are not durable, or that groups with KEEP have yet to consume,
        appends wait until their time-out: StatusError with COMMITLOG_EFULL. 0: no limit. Ctrl-C
        ends that wait, too."""
        limits, err = _Limits(), _Error()
        limits.unflushed_bytes, limits.unconsumed_bytes = unflushed_bytes, unconsumed_bytes
        self._limited = self._limited or unflushed_bytes > 0 or unconsumed_bytes > 0
        _check(_lib().commitlog_limits_set(self.handle, byref(limits), byref(err)), err)

    def limits(self) -> dict:
        limits = _Limits()
        _check(_lib().commitlog_limits_get(self.handle, byref(limits)))
        return limits.values()

    def sync(self, position: Optional[int] = None, timeout: Optional[float] = None) -> None:
        """Makes everything before `position` durable (None: all that is published now)."""
        err = _Error()
        upto = _POSITION_NONE if position is None else position
        _check(_lib().commitlog_sync(self.handle, upto, _ms(timeout), byref(err)), err)

    def wait_durable(self, position: int, timeout: Optional[float] = None) -> bool:
        """Waits until others have made it durable. False: not in time."""
        return self._wait(_lib().commitlog_wait_durable, position, timeout)

    def wait(self, position: int, timeout: Optional[float] = None) -> bool:
        """Waits until the visible end is beyond `position`. False: not in time."""
        return self._wait(_lib().commitlog_wait, position, timeout)

    def _wait(self, function, position: int, timeout: Optional[float]) -> bool:
        for slice_ms in self._slices(timeout):
            code = function(self.handle, position, slice_ms)
            if code != _ETIMEDOUT:
                _check(code)
                return True
        return False

    def get(self, position: int) -> Message:
        """The record at `position`."""
        raw, lease, err = _Message(), c_void_p(), _Error()
        try:
            _check(_lib().commitlog_get(self.handle, position, byref(raw), byref(lease),
                                        byref(err)), err)  # a hole has a lease too
            return _message(raw)
        finally:
            _lib().commitlog_lease_release(lease)

    def log(self, position: int = 0) -> "Cursor":
        """Every record as it lies, control records, pads and holes too."""
        handle, err = c_void_p(), _Error()
        _check(_lib().commitlog_cursor_open_log(self.handle, position, byref(handle),
                                                byref(err)), err)
        return Cursor(self, handle.value, "log")

    def checkpoint(self) -> None:
        err = _Error()
        _check(_lib().commitlog_checkpoint(self.handle, byref(err)), err)

    def positions(self) -> dict:
        out = _Positions()
        _check(_lib().commitlog_positions_get(self.handle, byref(out)))
        return out.values()

    def stats(self) -> dict:
        found, name, value = {}, c_char_p(), c_uint64()
        while True:
            code = _lib().commitlog_stat(self.handle, len(found), byref(name), byref(value))
            if code == _ENOTFOUND:
                return found
            _check(code)
            found[_text(name.value)] = value.value

    def histograms(self, quantiles: Sequence[float] = (0.5, 0.99, 0.999)) -> dict:
        """By name: unit, one_in, count, sum, max, and a list with the quantiles asked for."""
        found = {}
        while True:
            it = _Histogram()
            code = _lib().commitlog_histogram_get(self.handle, len(found), byref(it))
            if code == _ENOTFOUND:
                return found
            _check(code)
            found[_text(it.name)] = {
                "unit": _text(it.unit), "one_in": it.one_in, "count": it.count, "sum": it.sum,
                "max": it.max,
                "quantiles": [_lib().commitlog_histogram_quantile(byref(it), round(q * 1000000))
                              for q in quantiles]}

    def recovery(self) -> dict:
        """What the open of this store found and did."""
        out = _Recovery()
        _check(_lib().commitlog_recovery_get(self.handle, byref(out)))
        return out.values()


class Topic:
    """A topic of an open store, by its number there."""

    def __init__(self, store: Store, number: int):
        self.store = store
        self.number = number

    def _info(self) -> _TopicInfo:
        out = _TopicInfo()
        _check(_lib().commitlog_topic_info(self.store.handle, self.number, byref(out)))
        return out

    @property
    def name(self) -> str:
        return _text(self._info().name)

    @property
    def queues(self) -> int:
        """Those that AUTO_QUEUE chooses among."""
        return self._info().queues

    @property
    def queues_total(self) -> int:
        """Those that can be read: more than `queues` once the topic shrank."""
        return self._info().queues_total

    @property
    def steps(self) -> "list[int]":
        """How many queues there were with each step: the first is the creation."""
        info = self._info()
        return list(info.step_queues[:info.step_count])

    @property
    def keep_age_ms(self) -> int:
        """Messages expire at this age; 0: they do not by themselves."""
        return self._info().keep_age_ms

    def expire_after(self, keep_age_ms: int, level: str = "default") -> None:
        """Messages expire so many milliseconds after they were stored; 0: they do not any more."""
        err = _Error()
        _check(_lib().commitlog_topic_expire_after(self.store.handle, self.number, keep_age_ms,
                                                   LEVELS[level], byref(err)), err)

    def expire(self, before_ns: int = (1 << 63) - 1, level: str = "default") -> None:
        """Those stored before a time (since 1970) expire now; without one, all."""
        err = _Error()
        _check(_lib().commitlog_topic_expire(self.store.handle, self.number, before_ns,
                                             LEVELS[level], byref(err)), err)

    def grow(self, queues: int, level: str = "default") -> None:
        """To so many queues, a multiple of those there are. Keys go to children of their queues;
        Group.gate tells which of these a group may consume."""
        err = _Error()
        _check(_lib().commitlog_topic_grow(self.store.handle, self.number, queues, LEVELS[level],
                                           byref(err)), err)

    def shrink(self, queues: int, level: str = "default") -> None:
        """Back to a number that it had, when the queues above are drained, else an error."""
        err = _Error()
        _check(_lib().commitlog_topic_shrink(self.store.handle, self.number, queues,
                                             LEVELS[level], byref(err)), err)

    def queue_info(self, queue: int) -> dict:
        out = _QueueInfo()
        _check(_lib().commitlog_queue_info(self.store.handle, self.number, queue, byref(out)))
        return out.values()

    def append(self, body: bytes, queue: int = AUTO_QUEUE, *, keys: Sequence[bytes] = (),
               tag: bytes = b"", headers: Headers = (),
               time_ms: Optional[int] = None, level: str = "default",
               producer: Optional[Tuple[int, int, int]] = None,
               deliver_at_ms: Optional[int] = None,
               timeout: Optional[float] = None) -> Receipt:
        """Appends one message and waits for its level. With a producer (id, epoch, sequence) it is
        stored once, however often it is given. With deliver_at_ms (since 1970) it is in its queue
        from that time on; the position of the receipt is then what Store.cancel_timer takes.
        StoreError with COMMITLOG_EUNKNOWN: it is stored, as the `receipt` of the error says, but
        the level was not reached in time."""
        raw, receipt, err = _Record(), _Receipt(), _Error()
        kept = _fill(raw, Record(self, body, queue, keys, tag, headers, time_ms, level,
                                 producer, deliver_at_ms), self.store)
        code = _append(self.store, lambda ms: _lib().commitlog_append_record(
            self.store.handle, byref(raw), ms, byref(receipt), byref(err)), [receipt], timeout)
        del kept
        return _stored(code, receipt, err)

    def cursor(self, queue: int = ALL_QUEUES, *, start: int = FIRST,
               offset: Optional[int] = None, time_ns: Optional[int] = None,
               tags: Sequence[bytes] = (), where: Optional[str] = None) -> "Cursor":
        """Over one queue, or all of them in log order (offset is then a position). Begins at
        `start` (FIRST or END), at an offset, or at the first message not before time_ns. Only
        messages with one of the tags, whose headers match the condition `where`."""
        place, value = start, 0
        if offset is not None:
            place, value = _OFFSET, offset
        elif time_ns is not None:
            place, value = _TIME, time_ns
        handle, err = c_void_p(), _Error()
        _check(_lib().commitlog_cursor_open(self.store.handle, self.number, queue, place, value,
                                            byref(handle), byref(err)), err)
        cursor = Cursor(self.store, handle.value, "log" if queue == ALL_QUEUES else "queue")
        if tags:
            cursor.set_tags(tags)
        if where is not None:
            cursor.set_filter(where)
        return cursor

    def query(self, key: bytes, since_ns: int = 0, until_ns: int = 2 ** 63 - 1) -> "Cursor":
        """The live messages that carry exactly this key, newest first."""
        handle, err, data = c_void_p(), _Error(), _bytes(key)
        _check(_lib().commitlog_cursor_open_key(self.store.handle, self.number, data, len(data),
                                                since_ns, until_ns, byref(handle), byref(err)),
               err)
        return Cursor(self.store, handle.value, "key")

    def offset_by_time(self, queue: int, time_ns: int, upper: bool = False) -> int:
        """Lower: the smallest offset with time >= time_ns, else the end. Upper: the largest with
        time <= time_ns, else StatusError (COMMITLOG_ENOTFOUND)."""
        out = c_uint64()
        _check(_lib().commitlog_offset_by_time(self.store.handle, self.number, queue, time_ns,
                                               1 if upper else 0, byref(out)))
        return out.value


def _alone(method: Callable) -> Callable:
    """A method of what one thread at a time may use: to the library two at once are undefined. A
    signal's handler runs in the thread that it came to, between two calls, and is no second one."""
    @functools.wraps(method)
    def call(self, *arguments, **named):
        if not self._user.acquire(blocking=False):
            raise RuntimeError(f"another thread is in a call of the {self._what}")
        try:
            return method(self, *arguments, **named)
        finally:
            self._user.release()
    return call


class _Handle:
    """What stays open until close(), the end of its with block or its collection."""

    _what = ""  # as errors and the library's close function name it

    def __init__(self, store: Store, handle: Optional[int]):
        self.store = store  # also keeps it from being collected first
        self._user = threading.RLock()
        self._handle = handle

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace) -> None:
        self.close()

    def __del__(self):
        self.close()

    def __reduce__(self):
        raise TypeError(f"a {self._what} cannot be copied, or sent to another process")

    @property
    def handle(self) -> int:
        if self._handle is None:
            raise ValueError(f"the {self._what} is closed")
        return self._handle

    def close(self) -> None:
        """Frees the handle; what is in the store stays."""
        if getattr(self, "_handle", None) is not None:
            self._close()

    @_alone
    def _close(self) -> None:
        handle, self._handle = self._handle, None
        getattr(_lib(), f"commitlog_{self._what}_close")(handle)  # of None: nothing


class Cursor(_Handle):
    """Yields messages. Iterating ends at the end of what is there now; follow() does not end.

    Iterating reads ahead, and nothing is lost by that: who leaves a loop, and goes on with another
    or with fetch(), gets the message behind the last one that was given out, and tell() is where
    that one is. A cursor by key cannot go back, so it does not read ahead."""

    _what = "cursor"

    def __init__(self, store: Store, handle: Optional[int], order: str):
        super().__init__(store, handle)
        self._order = order  # "queue", "log" or "key"
        self._ahead: "collections.deque[Message]" = collections.deque()

    def _go_back(self) -> None:
        """What was read ahead is read again, by other words."""
        if self._ahead:
            self.seek(offset=self.tell())

    @_alone
    def set_tags(self, tags: Sequence[bytes]) -> None:
        """Only messages with one of these tags; none: all."""
        kept = _each_bytes(tags)
        slices = (_Slice * len(kept))(*[_slice(tag) for tag in kept])
        self._go_back()
        _check(_lib().commitlog_cursor_set_tags(self.handle, slices, len(kept)))
        _check(_lib().commitlog_cursor_set_pass_limit(self.handle, _PASS_LIMIT))

    @_alone
    def set_filter(self, where: Optional[str]) -> None:
        """Only messages whose headers match, as commitlog_filter(3) says: "price > 100"; None: all.
        UsageError: it is no condition; `position` is the column of its UTF-8 bytes, from 1."""
        handle, err = c_void_p(), _Error()
        try:
            if where is not None:
                text = where.encode("utf-8", "surrogateescape")
                _check(_lib().commitlog_filter_compile(text, len(text), byref(handle), byref(err)),
                       err)
            self._go_back()
            _check(_lib().commitlog_cursor_set_filter(self.handle, handle))
            _check(_lib().commitlog_cursor_set_pass_limit(self.handle, _PASS_LIMIT))
        finally:
            _lib().commitlog_filter_free(handle)  # the cursor keeps it

    @_alone
    def fetch(self, maximum: int = 256, timeout: Optional[float] = 0.0) -> "list[Message]":
        """Up to `maximum` messages (4,096 are the most); waits for the first. An empty list:
        nothing came in time. All other statuses of commitlog_cursor(3) are raised, as the class of
        their band, with the offset or position they name in `bound`: seek past it to go on. A
        cursor by key is at its end when all is read that there was, and waits for nothing."""
        if self.handle and self._ahead and maximum > 0:
            return [self._ahead.popleft() for _ in range(min(maximum, len(self._ahead)))]
        raw, bound = (_Message * min(maximum, _FETCH_MAX))(), c_uint64()
        for slice_ms in self.store._slices(0.0 if self._order == "key" else timeout):
            code = _EAGAIN  # as many as may be were passed over: between two calls come signals
            while code == _EAGAIN:
                bound.value = _NO_OFFSET  # not every status fills it
                code, messages = self._fetch(raw, slice_ms, bound)
            if code != _EEND:
                _check(code, bound=None if bound.value == _NO_OFFSET else bound.value)
                return messages
        return []

    def _fetch(self, raw: ctypes.Array, slice_ms: int,
               bound: c_uint64) -> "Tuple[int, list[Message]]":
        """One call. Ctrl-C after it is raised before anybody has its messages, so they are read
        again then: where the cursor is says what was given out."""
        place, count = self.tell(), c_uint32()
        try:
            # The handle anew for each call: a signal may have closed it since the last one.
            code = _lib().commitlog_cursor_fetch(self.handle, raw, len(raw), slice_ms, byref(count),
                                                 byref(bound))
            return code, [_message(raw[index]) for index in range(count.value)]
        except BaseException:
            if self._order != "key" and self._handle is not None and self.tell() != place:
                self.seek(offset=place)
            raise

    def __iter__(self) -> Iterator[Message]:
        return self.follow(timeout=0.0)

    def follow(self, timeout: Optional[float] = None) -> Iterator[Message]:
        """Yields what is there and what comes; ends when nothing comes for `timeout` seconds."""
        while True:
            messages = self.fetch(1 if self._order == "key" else 256, timeout)
            if not messages:
                return
            self._ahead.extendleft(reversed(messages))
            while self._ahead and self.handle:
                yield self._ahead.popleft()

    @_alone
    def tell(self) -> int:
        """The offset, or in log order the position, to be read next."""
        handle = self.handle
        if self._ahead:
            first = self._ahead[0]
            return first.queue_offset if self._order == "queue" else first.position
        return _lib().commitlog_cursor_tell(handle)

    @_alone
    def seek(self, *, start: int = FIRST, offset: Optional[int] = None,
             time_ns: Optional[int] = None) -> None:
        where, value = start, 0
        if offset is not None:
            where, value = _OFFSET, offset
        elif time_ns is not None:
            where, value = _TIME, time_ns
        _check(_lib().commitlog_cursor_seek(self.handle, where, value))
        self._ahead.clear()


def _group_info(raw: _GroupInfo) -> dict:
    return {"name": _text(raw.name), "epoch": raw.epoch, "keep": bool(raw.flags & _GROUP_KEEP),
            "queues": raw.queues}


class Group(_Handle):
    """A consumer group of an open store: for each queue, the offset that is consumed next."""

    _what = "group"

    def info(self) -> dict:
        """name, epoch, keep, and of how many queues it has committed an offset."""
        out = _GroupInfo()
        _check(_lib().commitlog_group_info(self.handle, byref(out)))
        return _group_info(out)

    def configure(self, keep: bool, level: str = "default") -> None:
        err = _Error()
        _check(_lib().commitlog_group_configure(self.handle, _GROUP_KEEP if keep else 0,
                                                LEVELS[level], byref(err)), err)

    def next_epoch(self, level: str = "default") -> int:
        """Begins the next epoch: members of an earlier one can commit no more."""
        epoch, err = c_uint32(), _Error()
        _check(_lib().commitlog_group_next_epoch(self.handle, LEVELS[level], byref(epoch),
                                                 byref(err)), err)
        return epoch.value

    def delete(self, level: str = "default") -> None:
        """Forgets the group with its offsets."""
        err = _Error()
        _check(_lib().commitlog_group_delete(self.handle, LEVELS[level], byref(err)), err)

    def commit(self, offsets: "Mapping[Tuple[Topic, int], int]", epoch: int = 0,
               level: str = "default", timeout: Optional[float] = None) -> Receipt:
        """Commits the next offset to consume of each (topic, queue), all or none. StatusError with
        COMMITLOG_EFENCED: `epoch` is not the group's (0: not fenced)."""
        raw, receipt, err = _offsets(offsets, self.store), _Receipt(), _Error()
        code = _lib().commitlog_group_commit(self.handle, epoch, raw, len(raw), LEVELS[level],
                                             _ms(timeout), byref(receipt), byref(err))
        return _stored(code, receipt, err)

    def offsets(self, topic: Topic) -> "dict[int, int]":
        """The next offset to consume, by queue, of those that have one."""
        number, queues = _number(topic, self.store), topic.queues_total
        raw = (_GroupOffset * queues)(
            *[_GroupOffset(number, queue, 0) for queue in range(queues)])
        err = _Error()
        _check(_lib().commitlog_group_fetch(self.handle, raw, len(raw), byref(err)), err)
        return {each.queue: each.offset for each in raw if each.offset != _NO_OFFSET}

    def reset(self, topic: Topic, queue: int = ALL_QUEUES, *, start: int = FIRST,
              offset: Optional[int] = None, time_ns: Optional[int] = None,
              level: str = "default") -> None:
        """Sets offsets forth or back: to `start` (FIRST or END), to an offset of one queue, or to
        the first message not before time_ns."""
        where, value, err = start, 0, _Error()
        if offset is not None:
            where, value = _OFFSET, offset
        elif time_ns is not None:
            where, value = _TIME, time_ns
        _check(_lib().commitlog_group_reset(self.handle, _number(topic, self.store), queue, where,
                                            value, LEVELS[level], byref(err)), err)

    def gate(self, topic: Topic, queue: int) -> Gate:
        """May the group consume the queue, and what has to be consumed first?"""
        out, err = _GroupGate(), _Error()
        _check(_lib().commitlog_group_gate(self.handle, _number(topic, self.store), queue,
                                           byref(out), byref(err)), err)
        return Gate(out.open != 0, None if out.parent == _NO_QUEUE else out.parent,
                    None if out.mark == _NO_OFFSET else out.mark,
                    None if out.committed == _NO_OFFSET else out.committed)

    def lag(self, topic: Topic, queue: int = ALL_QUEUES) -> dict:
        """queues counted, messages to be consumed, those dropped before, oldest_time_ns."""
        out, err = _GroupLag(), _Error()
        _check(_lib().commitlog_group_lag(self.handle, _number(topic, self.store), queue,
                                          byref(out), byref(err)), err)
        return out.values()

    def receiver(self, topic: Topic, *, max_attempts: Optional[int] = 16,
                 visibility_ms: int = 60000, dead_topic: Optional[Topic] = None,
                 ordered: bool = False) -> "Receiver":
        """One that shares the messages of the topic with all other receivers of the group. What it
        is given is its own for visibility_ms (from 1 on); what was given out max_attempts times
        (None: no limit) goes to dead_topic, or to "%DLQ%" and the group's name. ordered: of each
        queue one message at a time. A number below 1 is a ValueError."""
        for number in (visibility_ms, 1 if max_attempts is None else max_attempts):
            if number < 1:  # 0 would be the default to the library: a minute, 16 attempts
                raise ValueError(f"visibility_ms and max_attempts are 1 or more, not {number}")
        options, handle, err = _ReceiverOptions(), c_void_p(), _Error()
        options.flags = ((_RECEIVE_ORDERED if ordered else 0) |
                         (_RECEIVE_DEAD_TOPIC if dead_topic is not None else 0))
        options.max_attempts = _NO_LIMIT if max_attempts is None else max_attempts
        options.dead_topic = 0 if dead_topic is None else _number(dead_topic, self.store)
        options.visibility_ms = visibility_ms
        _check(_lib().commitlog_receiver_open(self.handle, _number(topic, self.store),
                                              byref(options), byref(handle), byref(err)), err)
        return Receiver(self.store, handle.value)

    def work(self, topic: Topic, queue: int) -> Iterator[Work]:
        """What receivers have been given and have done of the queue, above the offset that is
        committed, by offset; at the moment of each step. Also of a store that is only read."""
        info, err, offset, number = _WorkInfo(), _Error(), 0, _number(topic, self.store)
        while True:
            code = _lib().commitlog_group_work(self.handle, number, queue, offset, byref(info),
                                               byref(err))
            if code == _ENOTFOUND:
                self.info()  # is it the group that is not there?
                return
            _check(code, err)
            yield Work(_WORK_STATES.get(info.state, "other"), info.offset, info.count,
                       info.attempts, info.visible_at_ms or None)
            offset = info.offset + info.count


class Receiver(_Handle):
    """Takes messages one by one: what it is given is nobody else's until its time is over, and
    comes again then, unless it is acknowledged. For one thread at a time; others open their own."""

    _what = "receiver"

    @_alone
    def receive(self, max: int = _RECEIVE_MAX,
                timeout_ms: Optional[int] = 0) -> "list[Tuple[Message, Delivery]]":
        """Up to `max` messages (64 are the most) of one queue, each with what to acknowledge it by;
        waits for the first, None: for ever. An empty list: nothing came in time. With
        COMMITLOG_EDAMAGED, EEXPIRED or EUNSUPPORTED (DataError, StatusError, UsageError) a message
        that cannot be read was passed; the next call goes on."""
        room = min(max, _RECEIVE_MAX)
        raw, given = (_Message * room)(), (_Delivery * room)()
        count, err = c_uint32(), _Error()
        for slice_ms in self.store._slices(None if timeout_ms is None else timeout_ms / 1000):
            code = _lib().commitlog_receive(self.handle, raw, given, room, slice_ms, byref(count),
                                            byref(err))
            if code not in (_EEND, _ETIMEDOUT):  # nothing, or no room in the stage, in this slice
                _check(code, err)
                return [(_message(raw[index]), Delivery(given[index].offset, given[index].queue,
                                                        given[index].attempt))
                        for index in range(count.value)]
        if code == _ETIMEDOUT:
            _check(code, err)
        return []

    @_alone
    def ack(self, deliveries: Iterable[Delivery], level: str = "default") -> None:
        """They are done. StatusError with COMMITLOG_ENOTFOUND: not all of them were still given out
        for this attempt; the others are done."""
        raw, err = _deliveries(deliveries), _Error()
        _check(_lib().commitlog_ack(self.handle, raw, len(raw), LEVELS[level], byref(err)), err)

    @_alone
    def extend(self, deliveries: Iterable[Delivery], visibility_ms: int) -> None:
        """They stay this receiver's for visibility_ms from now on. Errors as of ack."""
        raw, err = _deliveries(deliveries), _Error()
        _check(_lib().commitlog_extend(self.handle, raw, len(raw), visibility_ms, byref(err)), err)

    @_alone
    def nack(self, deliveries: Iterable[Delivery], delay_ms: Optional[int] = None) -> None:
        """Gives them back: they come again after delay_ms (None: 10 s, 30 s, 1 min and so on, by
        the attempt), or are dead letters after the last attempt. Errors as of ack; a delay below 0
        is a ValueError."""
        if delay_ms is not None and delay_ms < 0:  # -1 would be the schedule to the library
            raise ValueError(f"a delay is not negative: {delay_ms}")
        raw, err = _deliveries(deliveries), _Error()
        _check(_lib().commitlog_nack(self.handle, raw, len(raw),
                                     -1 if delay_ms is None else delay_ms, byref(err)), err)


def _deliveries(deliveries: Iterable[Delivery]) -> ctypes.Array:
    kept = list(deliveries)
    return (_Delivery * len(kept))(*[_Delivery(*each) for each in kept])


def _offsets(offsets: "Mapping[Tuple[Topic, int], int]", store: Store) -> ctypes.Array:
    return (_GroupOffset * len(offsets))(*[_GroupOffset(_number(topic, store), queue, offset)
                                           for (topic, queue), offset in offsets.items()])


class Transaction(_Handle):
    """Messages of any topics, and offsets of consumer groups, that take effect together or not at
    all. For one thread at a time.

        with store.transaction("shop") as transaction:
            transaction.append(orders, b"one coffee")
            transaction.append(mails, b"thank you")

    Its with block commits at the end, unless it was decided within, and rolls back when an
    exception leaves it. Not if it is prepared: an exception may come behind what it waited for, so
    it stays for whoever looks at Store.transactions next, and decides.

    A transaction that has ended, its time was over, say: StatusError with COMMITLOG_ENOTFOUND."""

    _what = "transaction"

    def __init__(self, store: Store, handle: Optional[int], prepared: bool):
        super().__init__(store, handle)
        self.prepared = prepared  # it outlives the process, from its message on
        self.decided = False      # committed, or rolled back

    def __exit__(self, kind, value, trace) -> None:
        try:
            if kind is None and not self.decided and self._handle is not None:
                self.commit()
        finally:
            self.close()

    @property
    @_alone
    def number(self) -> Optional[int]:
        """What Store.open_transaction takes; None until something is stored."""
        return _lib().commitlog_transaction_id(self.handle) or None

    @_alone
    def append(self, topic: Topic, body: bytes, queue: int = AUTO_QUEUE, *,
               keys: Sequence[bytes] = (), tag: bytes = b"",
               headers: Headers = (), time_ms: Optional[int] = None,
               level: Optional[str] = None, timeout: Optional[float] = None) -> Receipt:
        """Stores a message, which nobody reads before the commit. What the commit, or the prepare,
        makes durable, this need not: the level is none if no other is given. The one message of a
        transaction that was begun with prepared=True is its prepare: then it is the default one.
        The receipt has no queue offset yet."""
        level = level or ("default" if self.prepared else "none")
        raw, receipt, err = _Record(), _Receipt(), _Error()
        kept = _fill(raw, Record(topic, body, queue, keys, tag, headers, time_ms, level),
                     self.store)
        code = _append(self.store, lambda ms: _lib().commitlog_transaction_append(
            self.handle, byref(raw), ms, byref(receipt), byref(err)), [receipt], timeout)
        del kept
        return _stored(code, receipt, err)

    @_alone
    def offsets(self, group: Group, offsets: "Mapping[Tuple[Topic, int], int]",
                epoch: int = 0) -> None:
        """The commit will commit these offsets of the group, too. Errors as of Group.commit, here
        and at the commit."""
        raw, err = _offsets(offsets, self.store), _Error()
        _check(_lib().commitlog_transaction_offsets(self.handle, group.handle, epoch, raw, len(raw),
                                                    byref(err)), err)

    @_alone
    def prepare(self, level: str = "default", timeout: Optional[float] = None) -> None:
        """From now on it outlives the process, until it is decided."""
        err = _Error()
        code = _lib().commitlog_transaction_prepare(self.handle, LEVELS[level], _ms(timeout),
                                                    byref(err))
        self.prepared = self.prepared or code in (0, _EUNKNOWN)
        _check(code, err)

    @_alone
    def commit(self, level: str = "default", timeout: Optional[float] = None) -> Optional[Receipt]:
        """All of it takes effect. The receipt of the first message, in its queue; of offsets alone
        that of what was written; None if there was nothing. StoreError with COMMITLOG_EUNKNOWN: it
        is committed, but the level was not reached in time."""
        receipt, err = _Receipt(), _Error()
        code = _lib().commitlog_transaction_commit(self.handle, LEVELS[level], _ms(timeout),
                                                   byref(receipt), byref(err))
        self.decided = self.decided or code in (0, _EUNKNOWN)
        stored = _stored(code, receipt, err)
        return stored if stored.end_position else None

    @_alone
    def rollback(self, level: str = "default", timeout: Optional[float] = None) -> None:
        """None of it will ever take effect."""
        err = _Error()
        code = _lib().commitlog_transaction_rollback(self.handle, LEVELS[level], _ms(timeout),
                                                     byref(err))
        self.decided = self.decided or code in (0, _EUNKNOWN)
        _check(code, err)
