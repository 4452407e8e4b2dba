# SPDX-License-Identifier: BSD-2-Clause
"""proof_rows.py - the rows of tests/PROOF.md: what is run, in which parts, the figure needed."""
import dataclasses
import re

from parts import ROOT

# How long the short run of a row may take, about.
SHORT_SECONDS = 60
SHORT_LONGEST = ("plants", "flush", "disk", "damage", "soak", "fuzz-store")
BUILD = "build/release"
# With the invariants of lib/base/invariant.h, which a release does not evaluate.
CHECKED = "build/debug"
CHECKED_TESTS = ("VARIANT=debug tests",)
# Of a short run: the one in the environment, or one by chance. `make check` runs some of these
# programs with the seed of the environment and draws as much: here it is less, or another seed.
SEED = "SEED=${SEED:-$$}"
ANOTHER_SEED = "SEED=$((${SEED:-$$} + 1))"
POWERCUT = ["deps-powercut", "powercut-programs"]
# What is fuzzed, and where its code is beside lib/.
FUZZ_TARGETS = {**dict.fromkeys(("record", "checkpoint", "segment", "view", "live", "store"), ()),
                "jsonl": ("tools/commitlog",), "filter": (),
                "remoting": ("examples/mini-broker",)}
PLANTS = len(re.findall(r"^[A-Z_]+\t", (ROOT / "tools/check/plants.tsv").read_text("utf-8"),
                        re.MULTILINE))


@dataclasses.dataclass
class Row:
    name: str
    title: str
    parts: int
    command: object  # part -> a line for the shell, run at the top of the tree
    short: str  # the same, or "" where no short run says anything
    needs: dict  # name of a figure -> the least sum over all parts; 0: it must be 0
    build: list
    limit_s: int = 3600
    joins: dict = dataclasses.field(default_factory=dict)  # how parts are joined where not by +
    folders: tuple = ()  # what it is about beside lib/
    build_whole: tuple = ()  # besides, where it is not the short run

    def join(self, name):
        return self.joins.get(name, lambda a, b: a + b)

    def needed(self):
        words = [f"{name.replace('_', ' ')} {'0' if least == 0 else f'≥ {least:,}'}"
                 for name, least in self.needs.items()]
        return ", ".join(words)

    def holds(self, figures, parts):
        return parts == self.parts and all(
            name in figures and (figures[name] == 0 if least == 0 else figures[name] >= least)
            for name, least in self.needs.items())


def simulation(program, slices, checked):
    """Part n is one slice of all moments, with the seed of its round."""
    return lambda part: (f"SEED={1 + part // slices} PARTS={slices} PART={part % slices} EVERY=1 "
                         f"OUTCOMES=96 {CHECKED if part // slices in checked else BUILD}"
                         f"/tests/fault/{program}")


ROWS = [
    Row("sim-cuts", "power cuts and kills at every call of every sequence, simulated; the last of "
        "three rounds with the invariants of `lib/` evaluated. A record lost, one that is stale, "
        "and damage that is none end it", 24,
        simulation("powercut_sim", 8, checked=(2,)),
        f"{SEED} EVERY=120 {BUILD}/tests/fault/powercut_sim",
        {"outcomes": 1_000_000, "crashes_in_recovery": 1, "faults_in_recovery": 1}, ["tests"],
        build_whole=CHECKED_TESTS),
    Row("nth", "every call of every sequence fails, with every error, once and for ever; the "
        "invariants of `lib/` evaluated. A crash, a leak, and an acknowledgement that does not "
        "hold end it", 8,
        simulation("nth_test", 8, checked=(0,)), f"{SEED} EVERY=1000 {BUILD}/tests/fault/nth_test",
        {"injected": 1, "left_out": 0}, ["tests"], build_whole=CHECKED_TESTS),
    Row("damage", "bits of acknowledged data flipped; pages, files and names spoiled, one or two "
        "at once", 16,
        lambda part: f"SEED=1 PARTS=16 PART={part} FLIPS=1060000 "
                     f"{BUILD}/tests/damage/damage_test",
        f"{ANOTHER_SEED} FLIPS=6000 {BUILD}/tests/damage/damage_test",
        {"flips_acknowledged": 1_000_000, "unnoticed": 0, "torn_after_clean": 0, "altered": 0,
         "lost_by_salvage": 0, "other_damage": 1, "two_damages": 1, "violations": 0}, ["tests"]),
    Row("real-cuts", "power cuts under this kernel, on a disk that loses its cache: ext4, xfs, "
        "btrfs", 4, lambda part: f"SEED=1 PART={part} CUTS=30 tests/powercut/powercut.sh",
        f"{SEED} CUTS=4 tests/powercut/powercut.sh",
        {"cuts": 300, "acknowledged": 1, "lost": 0}, POWERCUT),
    Row("flush", "each kind of request of a disk fails under this kernel; the store after it", 8,
        lambda part: f"SEED=1 PARTS=8 PART={part} tests/powercut/flush.sh",
        f"{SEED} SAMPLE=24 tests/powercut/flush.sh",
        {"cases": 2000, "acks": 1, "lost": 0, "false_acks": 0, "ghosts": 0, "latched_missing": 0,
         "broken": 0}, POWERCUT),
    Row("disk", "full disks: ext4, xfs, btrfs, tmpfs", 2,
        lambda part: f"SEED=1 PARTS=2 PART={part} tests/disk/disk.sh",
        f"{SEED} tests/disk/disk.sh --short",
        {"cases": 140, "lost": 0, "sigbus": 0, "wrong": 0}, ["deps-powercut", "disk-programs"]),
    *(Row(f"fuzz-{target}", f"fuzzing `fuzz/{target}.c` (CPU time)", 6,
          lambda part, target=target: f"${{MAKE:-make}} fuzz-run SEED={1 + part} SECONDS=305 "
                                      f"TARGETS={target}",
          f"${{MAKE:-make}} fuzz-run SECONDS=5 TARGETS={target}",
          {"cpu_seconds": 1800, "executions": 1, "findings": 0}, ["fuzz", "fuzz-seeds"],
          folders=folders)
      for target, folders in FUZZ_TARGETS.items()),
    Row("coverage", "lines of decode and recovery code that corpora and tests reach", 1,
        lambda part: "${MAKE:-make} coverage", "", {"permille": 950}, []),
    Row("plants", "mistakes planted in the library, each found by a test", 2,
        lambda part: f"PARTS=2 PART={part} tools/check/plants.sh",
        f"DRAW=4 {SEED} tools/check/plants.sh", {"planted": PLANTS, "missed": 0}, ["tests"]),
    Row("peers", "libcommitlog in the comparison of tests/PEERS.md", 1,
        lambda part: "SEED=1 tests/peers/peers.sh",
        f"{SEED} SHORT=1 ENGINES='commitlog sqlite' tests/peers/peers.sh",
        {"engines": 7, "acknowledged": 1, "commitlog_lost": 0, "commitlog_unnoticed": 0,
         "commitlog_broken": 0},
        ["deps-peers", "peers", *POWERCUT]),
    Row("races", "every order of a few threads' steps through claim, commit, publish, fold, drain, "
        "flush; with up to one preemption all of them, of those with two what the time allows", 7,
        lambda part: ("SEED=1 BOUND=1 SHARES=0 DRAWS=0 " if part == 6 else
                      f"SEED=1 BOUND=2 PARTS=6 PART={part} SECONDS=430 DRAWS=500 ") +
        f"{BUILD}/tests/concurrency/races_test",
        f"{SEED} SECONDS=3 DRAWS=2 {BUILD}/tests/concurrency/races_test",
        {"schedules": 1_000_000, "random_schedules": 1, "violations": 0}, ["tests"],
        joins={"cases": max}),
    Row("soak", "random everything with kill -9, followers, retention and an oracle", 6,
        lambda part: f"SEED={1 + part} MINUTES=10 {BUILD}/tests/soak/soak",
        f"{SEED} SECONDS=30 {BUILD}/tests/soak/soak",
        {"minutes": 60, "kills": 1, "acknowledged": 1, "violations": 0}, ["all", "tests"]),
]
