# SPDX-License-Identifier: BSD-2-Clause
"""systems.py - the file systems that are measured: the root one, and images in files of it.

An image is written with zeros first, so that a flush within it does not have to allocate below it,
and is not cached twice (direct I/O). It has lost its name, and its loop device ends with the mount,
as soon as it is mounted; and the mount is in a namespace of this process and what it starts. So
nothing is left behind, however this process ends.
"""
import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

MIB = 2**20
# No discard: it would make holes in the image. No tables that the kernel fills in later.
MAKE = {"ext4": ["mkfs.ext4", "-q", "-F", "-m", "0", "-E",
                 "nodiscard,lazy_itable_init=0,lazy_journal_init=0"],
        "xfs": ["mkfs.xfs", "-q", "-f", "-K"]}
INSIDE = "BENCH_INSIDE"


class Skip(Exception):
    """This file system cannot be had here; why."""


def free_bytes(directory):
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def enter_namespace(systems):
    """Starts this program again where its mounts are its own, if it is going to need that."""
    if os.environ.get(INSIDE) or systems == ["root"] or os.geteuid() != 0:
        return
    unshare = ["unshare", "--mount", "--propagation", "private"]
    if subprocess.run([*unshare, "true"], check=False, stderr=subprocess.DEVNULL).returncode == 0:
        os.environ[INSIDE] = "1"
        os.execvp(unshare[0], [*unshare, sys.executable, *sys.argv])


def check(system):
    if system == "root":
        return
    if os.geteuid() != 0:
        raise Skip("needs root")
    if not pathlib.Path("/dev/loop-control").exists():
        raise Skip("no loop devices")
    if not os.environ.get(INSIDE):
        raise Skip("no mount namespaces")
    for tool in (MAKE[system][0], "losetup", "mount"):
        if shutil.which(tool) is None:
            raise Skip(f"no {tool}: make deps-bench")


def described(directory):
    """Of the mount: file system, whether it has a journal where that is a question, options."""
    best = ("", "", "", "")
    real = str(pathlib.Path(directory).resolve())
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            device, point, kind, options = line.split()[:4]
            within = real == point or real.startswith(point.rstrip("/") + "/")
            if within and len(point) >= len(best[1]):
                best = (device, point, kind, options)
    device, _, kind, options = best
    if device == "/dev/root":
        number = os.stat(directory).st_dev
        link = pathlib.Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
        device = link.resolve().name
    if kind == "ext4":
        name = pathlib.Path(device).name
        journal = any(pathlib.Path("/proc/fs/jbd2").glob(f"{name}-*"))
        kind += ", journal" if journal else ", no journal"
    return f"{kind}; {options}"


def run(*command):
    done = subprocess.run(command, check=False, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    if done.returncode != 0:
        raise Skip(f"{command[0]}: {done.stderr.strip() or done.returncode}")
    return done.stdout.strip()


def write_zeros(path, size):
    piece = bytes(4 * MIB)
    with open(path, "wb", buffering=0) as image:
        for _ in range(0, size, len(piece)):
            image.write(piece)
        os.fsync(image.fileno())
        os.posix_fadvise(image.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # else it is cached twice


def attach(system, image, below):
    """Mounts the image; whatever goes wrong, nothing of it is left."""
    point = below / system
    run(*MAKE[system], str(image))
    device = run("losetup", "--direct-io=on", "--find", "--show", str(image))
    try:
        image.unlink()
        point.mkdir()
        run("mount", "-t", system, device, str(point))
    finally:
        # It stays for as long as it is mounted.
        run("losetup", "--detach", device)
    return point


def unmount(point):
    if subprocess.run(["umount", str(point)], check=False).returncode != 0:
        # Something that was killed is still about to end.
        subprocess.run(["umount", "--lazy", str(point)], check=False)


def remove_tree(path):
    shutil.rmtree(path, ignore_errors=True)


def image_bytes(system, need):
    """What is taken of the root file system so that `need` bytes have room in this one."""
    return need if system == "root" else need * 5 // 4 + 512 * MIB


@contextlib.contextmanager
def system_at(system, directory, need):
    """A directory on this file system in which `need` bytes have room."""
    check(system)
    below = pathlib.Path(tempfile.mkdtemp(prefix="commitlog-bench-", dir=directory))
    try:
        if system == "root":
            yield below
            return
        image = below / f"{system}.image"
        write_zeros(image, image_bytes(system, need))
        point = attach(system, image, below)
        try:
            yield point
        finally:
            unmount(point)
    finally:
        remove_tree(below)
