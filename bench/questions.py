# SPDX-License-Identifier: BSD-2-Clause
"""questions.py - what `make bench` asks: which command lines, of which engines, with which goals.

A case is what stands side by side: its runs are the contestants, and each round runs every one of
them once. A run is a command line; what differs between the runs of a case is in their names. Goals
are computed from medians over the rounds of one case on one file system, so that both sides of a
ratio have met the same machine.
"""
import dataclasses

MIB, GIB = 2**20, 2**30
SYSTEMS = ("root", "ext4", "xfs")
AT_MOST, AT_LEAST = "at most", "at least"

OURS = ("commitlog", "commitlog-mmap")
ROCKETMQ = ("rocketmq", "rocketmq-warm", "rocketmq-pool", "rocketmq-channel")
ROCKSDB = ("rocksdb", "rocksdb-batch")
ROCKSDB_APPENDS = (*ROCKSDB, "rocksdb-vector")  # single records cannot be read of the last
LEVELDB = ("leveldb", "leveldb-batch")
LIMITS = ("limit-memory", "limit-pwrite", "limit-pwrite-recycled")
ASYNC_PEERS = ("lmdb", "lmdb-1", *ROCKSDB_APPENDS, *LEVELDB, "sqlite", "wiredtiger", "wiredtiger-1",
               "pmemlog", *ROCKETMQ)
READ_PEERS = ("lmdb", *ROCKSDB, "leveldb", "sqlite", "wiredtiger", "pmemlog", "rocketmq")
BATCH_PEERS = ("lmdb", "rocksdb-batch", "leveldb-batch", "sqlite", "wiredtiger")
# RocketMQ's flush of one thread is fastest into a mapped file, of many into one that was written.
DURABLE_PEERS = ("lmdb-1", "rocksdb", "leveldb", "sqlite", "wiredtiger-1", "pmemlog", "rocketmq",
                 "rocketmq-warm")


@dataclasses.dataclass(frozen=True)
class Run:
    """One contestant. `base`: the run whose figure is 1 beside it; "" where nothing is."""
    name: str
    engine: str  # "": the program has none
    options: tuple = ()
    base: str = "commitlog"
    split: str = ""  # the program prints several lines; this field tells them apart


@dataclasses.dataclass(frozen=True)
class Figure:
    field: str
    title: str
    unit: str = "time"  # how it is shown: report.SHOWN
    higher: bool = False  # more is better


# A record is in RocketMQ's log before it is in its queues; ours are read from what is folded.
DISPATCHED = Figure("dispatched_ns", "RocketMQ: until consumers find it")


@dataclasses.dataclass(frozen=True)
class Goal:
    text: str
    kind: str  # AT_MOST or AT_LEAST
    wanted: float
    value: object  # medians -> the figure; KeyError where a run has none
    unit: str = "ratio"
    stretch: bool = False

    def reached(self, value):
        return value <= self.wanted if self.kind == AT_MOST else value >= self.wanted


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    question: str  # W1 ... W14
    title: str
    program: str
    options: tuple  # of all runs
    runs: tuple
    short: object  # added when it is only to be seen that it works; or run -> what is added
    figures: tuple = (Figure("ns", "a record"),)
    columns: tuple = ()  # more figures, of which only the median is shown
    goals: tuple = ()
    systems: tuple = SYSTEMS
    disk_bytes: int = 4 * GIB  # at most, of one run
    warm: tuple = ()  # added for the round that is not counted
    limit_s: int = 900
    note: str = ""
    asks: bool = True  # --engine is an option of the program

    def of_engine(self, run):
        return ("--engine", run.engine) if run.engine and self.asks else ()

    def shortened(self, run):
        return self.short(run) if callable(self.short) else self.short

    def expected(self, run):
        """The command line as it is recorded: without program paths and directories."""
        return " ".join((self.program, *self.of_engine(run), *self.options, *run.options))


def runs(*engines, options=(), suffix="", base="commitlog"):
    """The same options for several engines; the base has the same suffix."""
    return tuple(Run(engine + suffix, engine, tuple(options), base + suffix) for engine in engines)


def option(name, value):
    return (f"--{name}", str(value))


def a_tenth(records):
    """Of the records, for the round that is not counted: enough for caches and the disk."""
    return option("records", records // 10)


def over(other, ours="commitlog", field="ns"):
    """How many times faster ours is."""
    return lambda m: m(other, field) / m(ours, field)


def over_best(others, ours="commitlog", field="ns"):
    """Against the best of them; all must be there."""
    return lambda m: min(m(other, field) for other in others) / m(ours, field)


def is_(field, ours="commitlog"):
    return lambda m: m(ours, field)


def ratio(one, other, field="ns"):
    return lambda m: m(one, field) / m(other, field)


# ---- appends ------------------------------------------------------------------------------------

ROCKETMQ_BATCHES = tuple(Run(f"{engine}, batches of 1000", engine, option("batch", 1000))
                         for engine in ("rocketmq-warm", "rocketmq-channel"))


def append_goals():
    return (
        Goal("copy + XXH3 + bare pwrite, new file", AT_MOST, 1.25,
             ratio("commitlog", "limit-pwrite")),
        Goal("copy + XXH3 into memory", AT_MOST, 2.8, ratio("commitlog", "limit-memory"),
             stretch=True),
        Goal("faster than LMDB, 1,000 a transaction", AT_LEAST, 2, over("lmdb")),
        Goal("faster than the best RocksDB", AT_LEAST, 7, over_best(ROCKSDB_APPENDS)),
        Goal("faster than RocketMQ's store at its best", AT_LEAST, 5,
             over_best((*ROCKETMQ, *(run.name for run in ROCKETMQ_BATCHES)))),
    )


def append_case(name, records, size, text):
    return Case(
        name, name.upper(), f"append {text}, async, one thread", "append",
        (*option("records", records), *option("bytes", size)),
        (*runs(*OURS, *LIMITS, *ASYNC_PEERS), *ROCKETMQ_BATCHES), option("records", 3000),
        columns=(Figure("cpu_ns_each", "CPU"), DISPATCHED), goals=append_goals(),
        warm=a_tenth(records),
        note="The clock stops when nothing waits in the process any more: all is in the kernel. "
             "RocketMQ's threads then still put the records into its queues; ours can be read.")


def batch_case(name, question, records, size, text):
    return Case(
        name, question, f"append {text}, async, one thread, 1,000 a commit", "append",
        (*option("records", records), *option("bytes", size), *option("batch", 1000)),
        runs("commitlog-batch", "limit-pwrite", *BATCH_PEERS, "rocksdb-vector", "rocketmq-warm",
             "rocketmq-channel", base="commitlog-batch"),
        option("records", 3000), columns=(Figure("cpu_ns_each", "CPU"), DISPATCHED),
        goals=(Goal("faster than LMDB", AT_LEAST, 2, over("lmdb", "commitlog-batch")),
               Goal("faster than RocketMQ's store", AT_LEAST, 1,
                    over_best(("rocketmq-warm", "rocketmq-channel"), "commitlog-batch"))),
        warm=a_tenth(records),
        note="What the others gain from, a commit for many records, given to all: of "
             "libcommitlog commitlog_append_batch.")


def by_size(size):
    records = max(4096, min(1_000_000, 512 * MIB // size))
    return runs("commitlog", "limit-memory", "limit-pwrite", *BATCH_PEERS, "rocksdb-vector",
                "rocketmq",
                options=(*option("records", records), *option("bytes", size)),
                suffix=f", {size} B")


SIZES = (64, 128, 256, 1024, 4096, 16384, 65536)
APPEND_THREADS = (1, 2, 4, 8, 16)


def thread_case(name, records, size, goal):
    peers = ("lmdb", "rocksdb-batch", "leveldb-batch", "wiredtiger", "rocketmq")
    many = [runs(*OURS, *(peers if count in (1, 4, 16) else ()), options=option("threads", count),
                 suffix=f", {count} threads") for count in APPEND_THREADS]
    return Case(
        name, "W14", f"append {size} bytes, async, by 1 to 16 threads", "append",
        (*option("records", records), *option("bytes", size)), sum(many, ()),
        option("records", 4000), columns=(Figure("cpu_ns_each", "CPU"),),
        goals=(Goal(f"{size} bytes: one thread's rate, at any number of threads", AT_LEAST, goal,
                    lambda m: m("commitlog, 1 threads") /
                    max(m(f"commitlog, {count} threads") for count in APPEND_THREADS)),),
        warm=a_tenth(records))


# ---- durable ------------------------------------------------------------------------------------

DURABLE_THREADS = (1, 2, 4, 8, 16, 32, 64)
DURABLE_COLUMNS = (
    Figure("cpu_ns_each", "CPU"), Figure("p50_ns", "p50"), Figure("p99_ns", "p99"),
    Figure("max_ns", "max"), Figure("flushes_each", "flushes a record", "ratio"),
    Figure("device_bytes_each", "to disk, bytes a record", "count"),
    Figure("segments_begun", "segments begun", "count"),
    Figure("segments_late", "of them waited for", "count"))
# A prepared file, and nothing to prepare while the clock runs: what the bare loop has. And files of
# 16 MiB, each prepared while the one before is filled, over four of them.
PREPARED = option("space", "ready")
PREPARED_RECORDS = 200_000  # of 1 KiB, and as many again by eight to warm up: one segment
SUSTAINED = (*option("space", "steady"), *option("segment-bytes", 16 * MIB),
             *option("records", 60_000), *option("seconds", 60))


def durable_short(run):
    """RocketMQ's store is asked for whole seconds and not for records."""
    if run.engine in ROCKETMQ:
        return option("seconds", 1)
    small = option("segment-bytes", MIB) if "--space" in run.options else ()
    return (*option("seconds", 0.2), *option("records", 200), *small)


def durable_threads():
    few = ("commitlog", "rocksdb", "leveldb", "rocketmq")
    many = [runs(*(("commitlog", *DURABLE_PEERS) if count in (1, 16, 64) else few),
                    options=option("threads", count), suffix=f", {count} threads")
            for count in DURABLE_THREADS]
    prepared = tuple(Run(f"commitlog prepared, {count} threads", "commitlog",
                         (*option("threads", count), *option("records", PREPARED_RECORDS),
                          *PREPARED), f"commitlog, {count} threads")
                     for count in (16, 64))
    bare = Run("limit-fdatasync, 1 threads", "limit-fdatasync", option("threads", 1),
               "commitlog, 1 threads")
    return (bare, *sum(many, ()), *prepared)


def durable_goals():
    for count, times in ((16, 4.5), (64, 6.5)):
        peers = [f"{peer}, {count} threads" for peer in DURABLE_PEERS]
        yield Goal(f"{count} threads, prepared: the bare loop of one thread", AT_LEAST, times,
                   over("limit-fdatasync, 1 threads", f"commitlog prepared, {count} threads"))
        yield Goal(f"{count} threads: the best peer", AT_LEAST, 1.6,
                   over_best(peers, f"commitlog, {count} threads"))


# ---- reads ---------------------------------------------------------------------------------------

IN_MEMORY = ("On one file system: what is read lies in the page cache, which is the same for all. "
             "Read from the disk it is below, on each.")


# ---- queues, sizes ------------------------------------------------------------------------------

QUEUE_PEERS = ("lmdb", *ROCKSDB, *LEVELDB, "sqlite", "wiredtiger", "rocketmq")
QUEUES_OTHERS = tuple(peer for peer in QUEUE_PEERS if peer != "wiredtiger")
QUEUES_COUNTS = (1, 10, 100, 1000, 10_000, 100_000, 1_000_000)
QUEUES_OF_A_TOPIC = 1000
STORE_SIZES = (1, 4, 8)


def count_name(count):
    return f"commitlog, {count:,} queues"


def many_queues():
    for count in QUEUES_COUNTS:
        topics = max(1, count // QUEUES_OF_A_TOPIC)
        yield Run(count_name(count), "commitlog",
                  (*option("queues", count), *option("topics", topics)), count_name(1))
    most = option("queues", QUEUES_COUNTS[-1])
    yield Run("commitlog, 1,000,000 queues, scattered", "commitlog",
              (*most, *option("topics", 1000), "--scattered"), count_name(1))
    yield Run("commitlog, 1,000,000 topics of one queue", "commitlog",
              (*most, *option("topics", 1_000_000)), count_name(1))


def grows(field):
    """The worst of all sizes to the smallest; they are the lines of one program."""
    def value(m):
        rows = m.rows("commitlog", field)
        return max(rows) / rows[0]
    return value


def latency_runs(engine):
    for flush in (10, 500):
        for cold in ("", ", cold reader"):
            options = option("flush-ms", flush) + (("--cold-reader",) if cold else ())
            yield Run(f"{engine}, {flush} ms{cold}", engine, options, f"commitlog, {flush} ms")


def latency_prewritten():
    return Run("commitlog, 10 ms, prewritten", "commitlog",
               (*option("flush-ms", 10), *option("options", "prewrite=yes")), "commitlog, 10 ms")


def latency_goals():
    for flush in (10, 500):
        ours = f"commitlog, {flush} ms"
        for field, name, wanted in (("p999", "p99.9", 2e3), ("p9999", "p99.99", 20e3),
                                    ("max", "max", 1e6)):
            yield Goal(f"{name} of the call, flushed every {flush} ms", AT_MOST, wanted,
                       is_(f"call_{field}_ns", ours), "time")
        yield Goal(f"bytes to disk per byte, flushed every {flush} ms", AT_MOST, 1.1,
                   is_("disk_bytes_per_byte", ours))
        yield Goal(f"p99.99 with a cold reader, to without ({flush} ms)", AT_MOST, 1.25,
                   ratio(ours + ", cold reader", ours, "call_p9999_ns"))
        yield Goal(f"p99.9 with a cold reader, to without ({flush} ms)", AT_MOST, 1.25,
                   ratio(ours + ", cold reader", ours, "call_p999_ns"))
    yield Goal("bytes to disk per byte, segments prewritten", AT_MOST, 2.1,
               is_("disk_bytes_per_byte", "commitlog, 10 ms, prewritten"))


LATENCY_FIGURES = (Figure("call_p999_ns", "p99.9 of an append"),
                   Figure("call_p9999_ns", "p99.99"), Figure("call_max_ns", "max"))
LATENCY_COLUMNS = (
    Figure("call_p50_ns", "p50"), Figure("call_p99_ns", "p99"),
    Figure("stall_max_ns", "longest stall outside of calls"),
    Figure("scheduled_p9999_ns", "p99.99 from its due time"),
    Figure("reached_per_s", "appends a second", "count"),
    Figure("disk_bytes_per_byte", "bytes to disk per byte", "ratio"),
    Figure("reader_bytes_per_s", "the reader, bytes a second", "bytes"),
    Figure("reader_device_bytes_per_s", "of them from the disk", "bytes"))

CASES = (
    Case("hash", "Machine", "the copy and XXH3 alone, in memory", "hash", (),
         (Run("hash", "", (), ""),), (*option("rounds", 1), *option("bytes-each", MIB)),
         figures=(Figure("hash_1024_gb_per_s", "XXH3 of 1 KiB, GB/s", "ratio", True),),
         columns=(Figure("hash_128_gb_per_s", "of 128 B", "ratio"),
                  Figure("hash_4096_gb_per_s", "of 4 KiB", "ratio"),
                  Figure("copy_1024_gb_per_s", "copy of 1 KiB", "ratio"),
                  Figure("copy_hash_1024_gb_per_s", "copy and XXH3 of 1 KiB", "ratio")),
         systems=("root",), disk_bytes=0),

    append_case("w1", 1_000_000, 1024, "1 KiB × 1,000,000"),
    append_case("w2", 5_000_000, 128, "128 bytes × 5,000,000"),
    batch_case("w1-batch", "W1, batches", 1_000_000, 1024, "1 KiB × 1,000,000"),
    batch_case("w2-batch", "W2, batches", 5_000_000, 128, "128 bytes × 5,000,000"),
    Case("sizes", "W1, W2", "append records of 64 bytes to 64 KiB, async, one thread", "append", (),
         sum((by_size(size) for size in SIZES), ()), option("records", 1000),
         systems=("root",), warm=option("records", 4096)),

    Case("w3", "W3", "append 1 KiB durably, one thread", "durable",
         (*option("bytes", 1024), *option("batch", 1)),
         (*runs("commitlog", "commitlog-mmap", "limit-fdatasync", *DURABLE_PEERS),
          Run("commitlog, prepared", "commitlog", PREPARED),
          Run("commitlog, sustained", "commitlog", SUSTAINED)),
         durable_short, columns=DURABLE_COLUMNS, warm=option("seconds", 1),
         goals=(Goal("the bare loop's rate, segments prepared", AT_LEAST, 0.9,
                     over("limit-fdatasync", "commitlog, prepared")),
                Goal("the bare loop's rate, sustained over four segments", AT_LEAST, 0.75,
                     over("limit-fdatasync", "commitlog, sustained")),
                Goal("the best peer's rate", AT_LEAST, 1, over_best(DURABLE_PEERS)),
                Goal("the best peer's rate, sustained", AT_LEAST, 1,
                     over_best(DURABLE_PEERS, "commitlog, sustained"))),
         note="*prepared*: in a segment that was written before, the next one too; *sustained*: "
              "over four segments of 16 MiB, which are prepared meanwhile. `commitlog` without "
              "either, and all peers: a new store."),
    Case("w4", "W4", "append 1 KiB durably, by several threads", "durable",
         (*option("bytes", 1024), *option("batch", 1)), durable_threads(),
         durable_short, columns=DURABLE_COLUMNS, warm=option("seconds", 1),
         goals=tuple(durable_goals())),

    Case("w5", "W5", "read 1 KiB × 1,000,000 back in order, verified", "read",
         (*option("records", 1_000_000), *option("bytes", 1024)), runs(*OURS, *READ_PEERS),
         option("records", 3000),
         columns=(Figure("compared_ns", "each byte compared"), Figure("first_ns", "first pass"),
                  Figure("verified_ns", "RocketMQ: its CRC-32 compared"),
                  Figure("of_hash", "XXH3 record by record / ours", "ratio"),
                  Figure("of_hash_whole", "XXH3 in one go / ours", "ratio")),
         goals=(Goal("plain XXH3 over the same mapping", AT_LEAST, 0.75, is_("of_hash_whole")),),
         systems=("root",), warm=a_tenth(1_000_000), note=IN_MEMORY),
    Case("w5-cold", "W5", "the same, nothing in the page cache", "read",
         (*option("records", 1_000_000), *option("bytes", 1024), "--cold", *option("passes", 2)),
         runs(*OURS, *BATCH_PEERS), option("records", 3000), warm=a_tenth(1_000_000),
         columns=(Figure("of_hash", "XXH3 record by record / ours", "ratio"),)),
    Case("w6", "W6", "read at random offsets of 1 KiB × 1,000,000", "read",
         (*option("records", 1_000_000), *option("bytes", 1024), "--random"),
         (*runs(*OURS, *BATCH_PEERS, "rocketmq"), Run("commitlog, lent", "commitlog", ("--lent",))),
         (*option("records", 3000), *option("gets", 3000)),
         columns=(Figure("p50_ns", "p50"), Figure("p99_ns", "p99"), Figure("max_ns", "max"),
                  Figure("verified_ns", "RocketMQ: its CRC-32 compared")),
         goals=(Goal("faster than LMDB", AT_LEAST, 2, over("lmdb")),), systems=("root",),
         warm=(*a_tenth(1_000_000), *option("gets", 10_000)),
         note="The C programs copy a record out (*lent*: from a cursor that lends it); RocketMQ's "
              "is lent, and only its length is looked at. " + IN_MEMORY),

    Case("w7", "W7", "reopen after kill -9, 1 KiB × 1,000,000", "reopen",
         (*option("records", 1_000_000), *option("bytes", 1024)),
         (*runs(*OURS, *BATCH_PEERS, "rocketmq"),
          Run("commitlog, flushed", "commitlog", ("--flushed",)),
          Run("commitlog, checkpointed", "commitlog", ("--checkpointed",)),
          Run("commitlog, flushed, checkpointed", "commitlog", ("--flushed", "--checkpointed"))),
         option("records", 3000), figures=(Figure("ns", "until its last record is read"),),
         columns=(Figure("open_ns", "open"), Figure("scan_and_fold_ns", "scan and fold"),
                  Figure("settle_ns", "written again, flushed"),
                  Figure("bare_rewrite_ns", "bare pwrite + fdatasync of as much"),
                  Figure("rewritten_bytes", "written again", "bytes"),
                  Figure("lost", "records lost", "count")),
         goals=(Goal("scan and fold of a million records", AT_MOST, 60e6,
                     is_("scan_and_fold_ns"), "time"),
                Goal("the same for what follows a checkpoint", AT_MOST, 20e6,
                     is_("scan_and_fold_ns", "commitlog, checkpointed"), "time"),
                Goal("written again, to a bare pwrite + fdatasync", AT_MOST, 1.2,
                     lambda m: m("commitlog", "settle_ns") / m("commitlog", "bare_rewrite_ns"))),
         warm=a_tenth(1_000_000)),
    Case("w7-size", "W7", "the same behind an older store of 1 to 8 GiB", "reopen",
         (*option("records", 100_000), *option("bytes", 1024)),
         tuple(Run(f"commitlog, {size} GiB", "commitlog", option("store-bytes", size * GIB),
                   f"commitlog, {STORE_SIZES[0]} GiB") for size in STORE_SIZES),
         (*option("records", 1000), *option("store-bytes", MIB)),
         figures=(Figure("ns", "until its last record is read"),),
         columns=(Figure("open_ns", "open"), Figure("rewritten_bytes", "written again", "bytes")),
         goals=(Goal("the largest store to the smallest", AT_MOST, 1.2,
                     ratio("commitlog, 8 GiB", "commitlog, 1 GiB")),),
         disk_bytes=10 * GIB, warm=option("store-bytes", GIB)),

    Case("w8", "W8", "1,000 queues in turn, 1 KiB × 1,000,000, then each queue read", "queues",
         (*option("records", 1_000_000), *option("bytes", 1024)),
         runs("commitlog", "commitlog-mmap", *QUEUE_PEERS, options=option("queues", 1000)),
         (*option("records", 3000), *option("queues", 10)),
         figures=(Figure("ns", "an append"), Figure("read_ns", "a read")),
         columns=(Figure("times_one", "to the same into one queue", "ratio"),
                  Figure("cpu_ns_each", "CPU"), DISPATCHED,
                  Figure("read_first_ns", "a read, first pass"),
                  Figure("compared_ns", "a read, each byte compared")),
         goals=(Goal("an append, to the same into one queue", AT_MOST, 1.5, is_("times_one")),
                Goal("append: faster than WiredTiger", AT_LEAST, 6, over("wiredtiger")),
                Goal("append: faster than the best of the others", AT_LEAST, 10,
                     over_best(QUEUES_OTHERS)),
                Goal("read: the best of the others", AT_LEAST, 1,
                     over_best(QUEUES_OTHERS, field="read_ns")),
                Goal("read: WiredTiger", AT_LEAST, 1, over("wiredtiger", field="read_ns"))),
         warm=a_tenth(1_000_000)),

    Case("w9", "W9", "latency of an append, 100,000 a second for 60 s", "latency",
         option("seconds", 60),
         (*latency_runs("commitlog"), latency_prewritten(), next(latency_runs("commitlog-mmap")),
          Run("memory", "memory", (), "commitlog, 10 ms")),
         (*option("seconds", 0.5), *option("rate", 10_000), *option("cold-mib", 320)),
         figures=LATENCY_FIGURES, columns=LATENCY_COLUMNS, goals=tuple(latency_goals()),
         disk_bytes=10 * GIB, warm=option("seconds", 5),
         note="`memory` copies each record into memory that nobody else sees: what is slow there "
              "is the machine."),
    Case("w9-peers", "W9", "the same for 20 s, peers", "latency", option("seconds", 20),
         runs(*OURS, "lmdb", "lmdb-1", "rocksdb", "leveldb", "sqlite", "wiredtiger-1"),
         (*option("seconds", 0.5), *option("rate", 10_000)),
         figures=LATENCY_FIGURES, columns=LATENCY_COLUMNS, systems=("root",),
         disk_bytes=8 * GIB, warm=option("seconds", 5)),

    Case("w10", "W10", "from an append to the reader that waits for it", "wake", (),
         runs(*OURS), option("records", 200),
         figures=(Figure("asleep_mean_ns", "asleep, same process, mean"),),
         columns=(Figure("futex_mean_ns", "a bare futex"),
                  Figure("spin_mean_ns", "spinning"),
                  Figure("spin_p50_ns", "spinning, p50"),
                  Figure("process_mean_ns", "asleep, another process, level written"),
                  Figure("process_none_mean_ns", "the same, level none"),
                  Figure("futex_process_mean_ns", "a bare futex, another process"),
                  Figure("process_spin_mean_ns", "spinning, another process"),
                  Figure("process_spin_p50_ns", "the same, p50"),
                  Figure("asleep_min_ns", "asleep, least"),
                  Figure("process_min_ns", "another process, least"),
                  Figure("asleep_p99_ns", "asleep, p99"),
                  Figure("process_p99_ns", "another process, p99")),
         goals=(Goal("spinning, mean", AT_MOST, 1e3, is_("spin_mean_ns"), "time"),
                Goal("asleep, same process, to a bare futex", AT_MOST, 1.3,
                     is_("asleep_to_futex")),
                Goal("asleep, another process, to a bare futex", AT_MOST, 1.3,
                     is_("process_to_futex"))),
         disk_bytes=GIB),

    Case("w11", "W11", "one key among 100,000,000 records of 100 bytes, over 100 segments", "keys",
         (*option("records", 100_000_000), *option("bytes", 100)), runs("commitlog"),
         (*option("records", 5000), *option("samples", 100)),
         figures=(Figure("ns", "hot, median"),),
         columns=(Figure("hot_p99_ns", "hot, p99"), Figure("first_p50_ns", "first"),
                  Figure("absent_p50_ns", "absent"), Figure("segment_ns", "a segment"),
                  Figure("segments", "segments", "count"), Figure("append_ns", "an append"),
                  Figure("key_file_bytes_each", "index, bytes a record", "ratio")),
         goals=(Goal("hot", AT_MOST, 50e3, is_("ns"), "time"),), systems=("root",),
         disk_bytes=24 * GIB, warm=option("records", 1_000_000), limit_s=3600, asks=False),

    Case("w12", "W12", "append 100 bytes to 1 to 1,000,000 queues in turn", "queues",
         (*option("records", 5_000_000), *option("bytes", 100)), tuple(many_queues()),
         (*option("records", 5000), *option("queues", 100), *option("topics", 10)),
         figures=(Figure("ns", "an append"),),
         columns=(Figure("times_one", "to the same into one queue", "ratio"),
                  Figure("read_ns", "a read"), Figure("memory_bytes", "memory", "bytes"),
                  Figure("files", "files", "count"),
                  Figure("descriptors", "open files", "count"),
                  Figure("open_wall_ns", "reopened in")),
         goals=(Goal("the worst of 1 to 1,000,000 queues, to one", AT_MOST, 2,
                     lambda m: max(m(count_name(count), "ns") for count in QUEUES_COUNTS) /
                     m(count_name(1), "ns")),),
         note="1,000 queues a topic from 1,000 queues on. *Scattered*: the turns go through the "
              "queues in large steps."),

    # Half of the disk that was free allows no more here; each round has to have the same sizes.
    Case("w13", "W13", "a log of 1 to 32 GiB", "size", option("to-bytes", 32 * GIB),
         (Run("commitlog", "commitlog", (), "", split="log_bytes"),),
         (*option("from-bytes", 4 * MIB), *option("to-bytes", 8 * MIB),
          *option("segment-bytes", MIB), *option("samples", 100), *option("cold-samples", 50)),
         figures=(Figure("ns", "an append"),),
         columns=(Figure("bare_ns", "a bare pwrite of its bytes"),
                  Figure("offset_p50_ns", "hot look-up by offset"),
                  Figure("open_killed_ns", "reopen after kill -9"),
                  Figure("open_closed_ns", "reopen after close"),
                  Figure("key_p50_ns", "look-up by key"),
                  Figure("key_absent_p50_ns", "by an absent key"),
                  Figure("key_segment_ns", "of that a segment"),
                  Figure("segments", "segments", "count"),
                  Figure("cold_p50_ns", "cold read"), Figure("cold_bare_p50_ns", "a bare pread")),
         goals=(Goal("append, largest to smallest", AT_MOST, 1.3, grows("ns")),
                Goal("look-up by offset, largest to smallest", AT_MOST, 1.3,
                     grows("offset_p50_ns")),
                Goal("reopen, largest to smallest", AT_MOST, 1.3, grows("open_killed_ns"))),
         systems=("root",), disk_bytes=34 * GIB, warm=option("to-bytes", GIB), limit_s=7200,
         asks=False,
         note="The bare file is written right behind the appends, 256 KiB at once: where it is "
              "slower as well, the kernel had to find memory for its cache. A cold read is through "
              "a store that has just been opened: the first read in a segment's view file checks "
              "the whole file."),

    thread_case("w14", 1_000_000, 1024, 0.9),
    thread_case("w14-small", 2_000_000, 128, 0.5),
)

# Engines in the order of the tables where they do not order themselves by their figure.
LIMIT_ENGINES = {*LIMITS, "limit-fdatasync", "memory"}
OUR_ENGINES = {*OURS, "commitlog-batch"}


def select(words):
    """The cases that a word names: a case, a question or a program."""
    chosen = []
    for word in words:
        found = [case for case in CASES
                 if word.lower() in (case.name, case.question.lower(), case.program)]
        if not found:
            raise KeyError(word)
        chosen += found
    return [case for case in CASES if case in chosen] if words else list(CASES)
