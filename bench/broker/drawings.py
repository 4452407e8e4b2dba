# SPDX-License-Identifier: BSD-2-Clause
"""drawings.py - the plots of bench/BROKER.md."""
import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

import cases  # noqa: E402
import plots  # noqa: E402  of bench/: colours and the look of all plots
from cases import SERVERS  # noqa: E402

COLOURS = {"mini": plots.OURS, "rocketmq": "#444444"}


def by_threads(medians):
    """Throughput: a panel for each size, lines for the servers."""
    chosen = [case for case in cases.SENDS if medians.both(case)]
    if not chosen:
        return None
    figure, panels = plt.subplots(len(cases.FLUSHES), len(cases.SIZES), figsize=(9, 5.2),
                                  sharex=True, squeeze=False)
    for row, flush in zip(panels, cases.FLUSHES):
        for axes, (name, size) in zip(row, cases.SIZES.items()):
            for engine in SERVERS:
                mine = [case for case in chosen if (case.flush, case.size) == (flush, size)]
                axes.plot([case.threads for case in mine],
                          [medians.middle(case, engine, "per_s") / 1e3 for case in mine],
                          marker="o", markersize=4, color=COLOURS[engine], label=engine)
            axes.set_xscale("log", base=2)
            axes.set_xticks(cases.THREADS, [str(count) for count in cases.THREADS])
            axes.set_ylim(bottom=0)
            axes.set(title=f"{flush}, {name}")
    for axes in panels[-1]:
        axes.set_xlabel("threads that send")
    for axes in panels[:, 0]:
        axes.set_ylabel("thousand a second")
    panels[0][0].legend()
    return figure


def by_percentile(medians):
    chosen = [case for case in cases.LATENCIES if medians.both(case)]
    if not chosen:
        return None
    fields = (("p50_us", "50"), ("p99_us", "99"), ("p999_us", "99.9"), ("p9999_us", "99.99"),
              ("max_us", "max"))
    figure, panels = plt.subplots(1, len(chosen), figsize=(2.6 * len(chosen) + 1, 3.2), sharey=True,
                                  squeeze=False)
    for axes, case in zip(panels[0], chosen):
        for engine in SERVERS:
            axes.plot([label for _, label in fields],
                      [medians.middle(case, engine, field) / 1e3 for field, _ in fields],
                      marker="o", markersize=4, color=COLOURS[engine], label=engine)
        axes.set_yscale("log")
        axes.set(title=case.name.removeprefix("latency-"), xlabel="percentile")
    panels[0][0].set_ylabel("ms a send")
    panels[0][0].legend()
    return figure


def draw(medians, folder):
    """What the page says of those that there are."""
    drawn = []
    folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(plots.SETTINGS):
        for name, title, make in (("broker-throughput", "Messages a second by threads", by_threads),
                                  ("broker-latency", "Latency of a send", by_percentile)):
            figure = make(medians)
            path = folder / f"{name}.svg"
            if figure is None:
                path.unlink(missing_ok=True)
                continue
            plots.save(figure, path)
            drawn.append(f"![{title}](plots/{name}.svg)\n")
    return drawn
