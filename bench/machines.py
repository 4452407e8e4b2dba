# SPDX-License-Identifier: BSD-2-Clause
"""machines.py - the machine that is measured on, and what else it does meanwhile."""
import os
import pathlib
import platform
import resource
import subprocess
import time


def first_value(path, key):
    for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return "unknown"


def gives_memory_back():
    """Whether the host takes free memory from this guest: VIRTIO_BALLOON_F_REPORTING, bit 5."""
    devices = pathlib.Path("/sys/bus/virtio/drivers/virtio_balloon").glob("virtio*/features")
    return any(device.read_text(encoding="ascii")[5] == "1" for device in devices)


def machine(flags):
    """`flags`: the file in which a build has its compiler and flags."""
    words = flags.read_text(encoding="utf-8").split() if flags.exists() else ["cc"]
    version = subprocess.run([words[0], "--version"], check=False, text=True,
                             stdout=subprocess.PIPE).stdout.splitlines()
    memory_kib = int(first_value("/proc/meminfo", "MemTotal").split()[0])
    return {"cpu": first_value("/proc/cpuinfo", "model name"), "cpus": os.cpu_count(),
            "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
            "memory_gib": round(memory_kib / 2**20, 1),
            "gives_memory_back": gives_memory_back(),
            "compiler": version[0] if version else "unknown", "flags": " ".join(words[1:])}


def cpu_ns():
    """(what all programs and the kernel have had, what other machines have had of our CPUs)"""
    with open("/proc/stat", encoding="ascii") as stat:
        ticks = [int(word) for word in stat.readline().split()[1:9]]
    tick_ns = 10**9 // os.sysconf("SC_CLK_TCK")
    user, nice, system, _, _, irq, softirq, steal = ticks
    return (user + nice + system + irq + softirq) * tick_ns, steal * tick_ns


def children_ns():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return int((used.ru_utime + used.ru_stime) * 1e9)


class Meanwhile:
    """What others have had of the CPUs since it was made: all but our children that have ended."""

    def __init__(self):
        self.busy, self.steal = cpu_ns()
        self.mine, self.begin = children_ns(), time.monotonic()

    def percent(self):
        """Of one CPU."""
        wall = max(time.monotonic() - self.begin, 1e-3) * 1e9
        busy, steal = cpu_ns()
        beside = max(busy - self.busy - (children_ns() - self.mine), 0)
        return {"beside_percent": round(100 * beside / wall, 1),
                "steal_percent": round(100 * (steal - self.steal) / wall, 1)}
