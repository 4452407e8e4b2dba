# SPDX-License-Identifier: BSD-2-Clause
"""plots.py - the plots of bench/RESULTS.md, from the medians of the root file system.

The same results give the same bytes: no dates, no random names.
"""
import math

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

import questions  # noqa: E402
import results as store  # noqa: E402

OURS = "#c0392b"
# Colour-blind safe (Okabe and Ito), and each engine has the same one everywhere.
COLOURS = {"commitlog": OURS, "commitlog-batch": OURS, "commitlog-mmap": "#e79f8f",
           "lmdb": "#0072b2", "lmdb-1": "#0072b2",
           "rocksdb": "#e69f00", "rocksdb-batch": "#e69f00",
           "rocksdb-vector": "#f2c879", "leveldb": "#009e73",
           "leveldb-batch": "#009e73", "sqlite": "#56b4e9", "wiredtiger": "#cc79a7",
           "wiredtiger-1": "#cc79a7",
           "pmemlog": "#8c6d31", "rocketmq": "#444444"}
GREY = "#9a9a9a"
SETTINGS = {
    "svg.hashsalt": "commitlog", "svg.fonttype": "none", "font.family": "sans-serif",
    "font.size": 10, "axes.grid": True, "grid.color": "#e6e6e6", "grid.linewidth": 0.8,
    "axes.edgecolor": "#808080", "axes.spines.top": False, "axes.spines.right": False,
    "axes.axisbelow": True, "legend.frameon": False, "legend.fontsize": 9,
    "axes.titlesize": 11, "axes.titlelocation": "left", "figure.dpi": 100,
}
PERCENTILES = (("p50", "50"), ("p90", "90"), ("p99", "99"), ("p999", "99.9"), ("p9999", "99.99"),
               ("max", "max"))
# Of ours beside peers, those that are drawn besides, and how.
LATENCIES = {"commitlog, 10 ms, cold reader": "--", "commitlog, 500 ms": ":"}


def case_of(name):
    return next(case for case in questions.CASES if case.name == name)


def medians_of(shown, name):
    return store.Medians(shown[(name, "root")][0], case_of(name))


def style(engine):
    """Ours stands out; a limit is grey and broken."""
    ours = engine in questions.OUR_ENGINES
    limit = engine in questions.LIMIT_ENGINES
    broken = ":" if engine == "limit-pwrite" else "--"
    return {"color": COLOURS.get(engine, GREY), "linewidth": 2.4 if ours else 1.4,
            "linestyle": broken if limit else "-", "marker": None if limit else "o",
            "markersize": 4, "zorder": 3 if ours else 2}


def plain(engine):
    """The variants that hold the promise best differ by panel; its title says which."""
    return engine.removesuffix("-1").removesuffix("-batch")


def series(medians, case, field, value):
    """engine -> [(x, y)], x being a field of the lines; the first run of each."""
    found = {}
    for run in case.runs:
        lines = medians.lines.get(run.name, ())
        if lines and field in lines[0] and value in lines[0]:
            points = found.setdefault(run.engine, [])
            if lines[0][field] not in [x for x, _ in points]:
                points.append((lines[0][field], medians(run.name, value)))
    return found


def lines_plot(axes, found, scale):
    for engine, points in found.items():
        xs = [x for x, _ in points]
        axes.plot(xs, [scale(x, y) for x, y in points], label=plain(engine), **style(engine))


def legend(figure, every):
    """One for all axes, at their right."""
    lines = {}
    for axes in every:
        handles, names = axes.get_legend_handles_labels()
        lines.update(zip(names, handles))
    figure.legend(lines.values(), lines.keys(), loc="center left", bbox_to_anchor=(1, 0.5))


def log_places(axis, places, text):
    axis.set_ticks(places, [text(place) for place in places])
    axis.set_minor_locator(matplotlib.ticker.NullLocator())


def log_numbers(axis):
    """1, 10, 100 and not powers; where there is little between them, 2 and 5 too."""
    low, high = axis.get_view_interval()
    subs = (1,) if high / low > 300 else (1, 2, 5)
    axis.set_major_locator(matplotlib.ticker.LogLocator(subs=subs, numticks=20))
    axis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_formatter(matplotlib.ticker.NullFormatter())


def short_number(value):
    for unit, size in (("M", 1_000_000), ("k", 1000)):
        if value >= size:
            return f"{value // size}{unit}"
    return str(value)


def short_bytes(value):
    return f"{value // 1024}K" if value >= 1024 else str(value)


def by_size(shown):
    found = series(medians_of(shown, "sizes"), case_of("sizes"), "bytes", "ns")
    if not found:
        return None
    figure, axes = plt.subplots(figsize=(7, 4))
    lines_plot(axes, found, lambda size, ns: size / ns)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    log_places(axes.xaxis, questions.SIZES, short_bytes)
    log_numbers(axes.yaxis)
    axes.set(title="Append, one thread, asynchronous; ours and RocketMQ one by one, others 1,000 "
             "a commit", xlabel="bytes of a record", ylabel="GB a second, logarithmic")
    legend(figure, [axes])
    return figure


def by_threads(shown):
    parts = [(name, title, series(medians_of(shown, name), case_of(name), "threads", "ns"))
             for name, title in (("w14", "1 KiB, asynchronous; ours, RocketMQ one by one"),
                                ("w4", "1 KiB, each durable"))]
    parts = [part for part in parts if part[2]]
    if not parts:
        return None
    figure, every = plt.subplots(1, len(parts), figsize=(4 + 3.5 * len(parts), 4), squeeze=False)
    for axes, (name, title, found) in zip(every[0], parts):
        for engine in [e for e in found if e in questions.LIMIT_ENGINES]:
            axes.axhline(1e6 / found.pop(engine)[0][1], label=f"{engine}, one thread",
                         color=GREY, linestyle="--", linewidth=1.4)
        lines_plot(axes, found, lambda _, ns: 1e6 / ns)
        counts = questions.APPEND_THREADS if name == "w14" else questions.DURABLE_THREADS
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        log_places(axes.xaxis, counts, str)
        log_numbers(axes.yaxis)
        axes.set(title=title, xlabel="threads", ylabel="thousand records a second, logarithmic")
    legend(figure, every[0])
    return figure


def latency(shown):
    figure, axes = plt.subplots(figsize=(7, 4))
    drawn = 0
    for name in ("w9-peers", "w9"):
        medians = medians_of(shown, name)
        for run in case_of(name).runs:
            if name == "w9" and run.name not in LATENCIES:
                continue
            try:
                values = [medians(run.name, f"call_{field}_ns") / 1e3 for field, _ in PERCENTILES]
            except KeyError:
                continue
            look = style(run.engine)
            look.update({"linestyle": LATENCIES.get(run.name, "-")})
            axes.plot(range(len(values)), values, label=run.name, **look)
            drawn += 1
    if not drawn:
        plt.close(figure)
        return None
    axes.set_yscale("log")
    log_numbers(axes.yaxis)
    axes.set_xticks(range(len(PERCENTILES)), [text for _, text in PERCENTILES])
    axes.set(title="Latency of the call that appends, 100,000 a second; lmdb, sqlite commit 1,000",
             xlabel="percentile", ylabel="µs, logarithmic")
    legend(figure, [axes])
    return figure


def by_queues(shown):
    case = case_of("w12")
    found = series(medians_of(shown, "w12"), case, "queues", "ns")
    if not found:
        return None
    figure, axes = plt.subplots(figsize=(6, 3.5))
    lines_plot(axes, found, lambda _, ns: ns)
    axes.set_xscale("log")
    log_places(axes.xaxis, questions.QUEUES_COUNTS, short_number)
    axes.set_ylim(bottom=0)
    axes.set(title="Append 100 bytes, queues in turn", xlabel="queues", ylabel="ns a record")
    return figure


def recovery(shown):
    case = case_of("w7")
    medians = medians_of(shown, "w7")
    runs = [run for run in case.runs if run.name in medians.lines]
    if not runs:
        return None
    figure, axes = plt.subplots(figsize=(7, 0.6 + 0.32 * len(runs)))
    values = [medians(run.name) / 1e6 for run in runs]
    for run, value in zip(runs, values):  # no bars: on such a scale their length says nothing
        axes.plot(value, run.name, "o", markersize=7, color=COLOURS.get(run.engine, GREY))
        axes.annotate(f"{float(f'{value:.3g}'):,g}", (value, run.name), textcoords="offset points",
                      xytext=(8, 0), va="center", fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(10 ** math.floor(math.log10(min(values))), 3 * max(values))
    log_numbers(axes.xaxis)
    axes.set(title="Open after kill -9, a million records of 1 KiB",
             xlabel="ms, logarithmic")
    return figure


PLOTS = (("throughput-by-size", "Throughput by size of a record", by_size),
         ("throughput-by-threads", "Throughput by threads", by_threads),
         ("latency", "Latency of an append by percentile", latency),
         ("queues", "Cost of an append by number of queues", by_queues),
         ("recovery", "Time to open after kill -9", recovery))


def save(figure, path):
    figure.tight_layout()
    figure.savefig(path, format="svg", bbox_inches="tight",
                   metadata={"Date": None, "Creator": None})
    plt.close(figure)


def draw(shown, directory):
    """[(name, title)] of those for which there are figures; others are removed."""
    drawn = []
    directory.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(SETTINGS):
        for name, title, make in PLOTS:
            path = directory / f"{name}.svg"
            figure = make(shown)
            if figure is None:
                path.unlink(missing_ok=True)
                continue
            save(figure, path)
            drawn.append((name, title))
    return drawn
