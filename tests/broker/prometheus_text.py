# SPDX-License-Identifier: BSD-2-Clause
"""A strict reader of Prometheus' text format 0.0.4.

It refuses what a scraper lets pass: a line without HELP and TYPE before it, lines of a metric that
do not stand together, a series twice, a counter without _total, a unit that is none of the base
units, histograms whose buckets fall, or whose +Inf is not the count.
"""

import math
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"')
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? ([^ ]+)")
NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|Inf)|NaN")
TYPES = ("counter", "gauge", "histogram", "summary", "untyped")
# What is not a base unit.
BAD_UNITS = re.compile(r"_(ns|us|ms|nanoseconds|milliseconds|minutes|kb|mb|kilobytes|percent)(_|$)")


class FormatError(Exception):
    pass


class Family:
    def __init__(self, name, text):
        self.name, self.help, self.kind = name, text, None
        self.samples = {}  # (name, ((label, value), ...)) -> value


def need(good, line_number, text):
    if not good:
        raise FormatError(f"line {line_number}: {text}")


def unescape(value):
    return re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m.group(1), m.group(1)), value)


def labels_of(text, number):
    out, at = [], 0
    while at < len(text):
        match = LABEL.match(text, at)
        need(match, number, f"labels {text!r} at {at}")
        out.append((match.group(1), unescape(match.group(2))))
        at = match.end()
        if at < len(text):
            need(text[at] == ",", number, f"labels {text!r}: no comma at {at}")
            at += 1
            need(at < len(text), number, f"labels {text!r} end in a comma")
    names = [name for name, _ in out]
    need(len(set(names)) == len(names), number, f"labels {text!r}: one twice")
    need(not any(name.startswith("__") for name in names), number, "a reserved label")
    return tuple(out)


def sample(line, number, family):
    match = SAMPLE.fullmatch(line)
    need(match, number, f"no sample: {line!r}")
    name, labels, value = match.groups()
    need(NUMBER.fullmatch(value), number, f"no number: {value!r}")
    suffixes = ("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)
    need(name in [family.name + s for s in suffixes], number,
         f"{name} stands among the lines of {family.name}")
    key = (name, labels_of(labels, number) if labels is not None else ())
    need(key not in family.samples, number, f"{key} is there twice")
    family.samples[key] = float(value.replace("Inf", "inf"))


def check_histogram(family):
    buckets = [(dict(labels)["le"], value) for (name, labels), value in family.samples.items()
               if name.endswith("_bucket")]
    bounds = [float(le.replace("+Inf", "inf")) for le, _ in buckets]
    counts = [value for _, value in buckets]
    count = family.samples.get((family.name + "_count", ()))
    need(bounds == sorted(set(bounds)) and bounds and math.isinf(bounds[-1]), family.name,
         f"bounds {bounds}")
    need(counts == sorted(counts), family.name, f"buckets fall: {counts}")
    need(count == counts[-1], family.name, f"count {count}, +Inf {counts[-1]}")
    need((family.name + "_sum", ()) in family.samples, family.name, "no sum")


def check_family(family):
    name = family.name
    need(family.kind is not None, name, "no TYPE")
    need(family.kind != "counter" or name.endswith("_total"), name, "a counter without _total")
    need(family.kind == "counter" or not name.endswith("_total"), name, "_total of no counter")
    need(not BAD_UNITS.search(name), name, "not a base unit")
    need(family.kind == "histogram" or not re.search(r"_(bucket|sum|count)$", name), name,
         "the name of a part of a histogram")
    if family.kind == "histogram":
        check_histogram(family)
    for key, value in family.samples.items():
        need(not math.isnan(value), name, f"{key} is not a number")
        need(value >= 0, name, f"{key} is {value}")


def parse(data):
    """{name: Family}; FormatError says which line is wrong."""
    text = data.decode("utf-8")
    need(text.endswith("\n"), "last", "does not end in a newline")
    need("\r" not in text, "some", "a carriage return")
    families, family = {}, None
    for number, line in enumerate(text[:-1].split("\n"), 1):
        if line.startswith("# HELP "):
            match = re.fullmatch(rf"# HELP ({NAME}) (.+)", line)
            need(match, number, f"{line!r}")
            need(match.group(1) not in families, number, f"{match.group(1)} once more")
            family = families[match.group(1)] = Family(*match.groups())
        elif line.startswith("# TYPE "):
            match = re.fullmatch(rf"# TYPE ({NAME}) (.+)", line)
            need(match and match.group(2) in TYPES, number, f"{line!r}")
            need(family is not None and match.group(1) == family.name and family.kind is None and
                 not family.samples, number, f"TYPE of {match.group(1)} stands elsewhere")
            family.kind = match.group(2)
        else:
            need(not line.startswith("#"), number, f"a comment: {line!r}")
            need(family is not None and family.kind is not None, number, f"no TYPE before {line!r}")
            sample(line, number, family)
    for one in families.values():
        check_family(one)
    return families


def value(families, metric, /, **labels):
    """Of one series; None: it is not there."""
    wanted = {k: str(v) for k, v in labels.items()}
    for family in families.values():
        for (sample_name, sample_labels), found in family.samples.items():
            if sample_name == metric and dict(sample_labels) == wanted:
                return found
    return None
