# SPDX-License-Identifier: BSD-2-Clause
"""proof_rows.py - the rows of tests/PROOF.md: what is run, in which parts, the figure needed."""
import dataclasses

# How long the short run of a row may take, about.
SHORT_SECONDS = 60
BUILD = "build/release"
FUZZ_TARGETS = ["record", "checkpoint", "segment", "view", "live", "store", "jsonl"]


@dataclasses.dataclass
class Row:
    name: str
    title: str
    parts: int
    command: object  # part -> a line for the shell, run at the top of the tree
    short: str
    needs: dict  # name of a figure -> the least sum over all parts; 0: it must be 0
    build: list
    limit_s: int = 3600
    joins: dict = dataclasses.field(default_factory=dict)  # how parts are joined where not by +

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


def simulation(program, slices):
    """Part n is one slice of all moments, with the seed of its round."""
    return lambda part: (f"SEED={1 + part // slices} PARTS={slices} PART={part % slices} EVERY=1 "
                         f"OUTCOMES=96 {BUILD}/tests/fault/{program}")


ROWS = [
    Row("sim-cuts", "power cuts and kills at every call of every sequence, simulated", 24,
        simulation("powercut_sim", 8), f"SEED=$$ EVERY=12 {BUILD}/tests/fault/powercut_sim",
        {"outcomes": 1_000_000, "crashes_in_recovery": 1, "faults_in_recovery": 1}, ["tests"]),
    Row("nth", "every call of every sequence fails, with every error, once and for ever", 8,
        simulation("nth_test", 8), f"SEED=$$ EVERY=100 {BUILD}/tests/fault/nth_test",
        {"injected": 1, "left_out": 0}, ["tests"]),
    Row("soak", "random everything with kill -9, followers, retention and an oracle", 6,
        lambda part: f"SEED={1 + part} MINUTES=10 {BUILD}/tests/soak/soak",
        f"SEED=$$ SECONDS=30 {BUILD}/tests/soak/soak",
        {"minutes": 60, "kills": 1, "acknowledged": 1, "violations": 0}, ["all", "tests"]),
]
