# SPDX-License-Identifier: BSD-2-Clause
"""parts.py - long runs in parts: which tree they were about, their results, commands with a limit.

A result is a line of JSON in a file. What has been run is not run again on the same tree of lib/,
so that a run can be stopped and taken up again, here or on another machine.
"""
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

_running = set()


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip()


def tree_of_lib():
    """The name git gives to the content of lib/, or None while it differs from the last commit."""
    if git("status", "--porcelain", "--", "lib", "include"):
        return None
    return git("rev-parse", "--short=12", "HEAD:lib")


def tree_of(*folders):
    """As tree_of_lib() of what is about more than lib/: the names of all, joined."""
    if folders and git("status", "--porcelain", "--", *folders):
        return None
    names = [tree_of_lib(), *(git("rev-parse", "--short=12", f"HEAD:{name}") for name in folders)]
    return "+".join(names) if names[0] else None


def load(path):
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def write_text(path, text):
    """As a whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".tmp")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def save(path, results):
    write_text(path, "".join(json.dumps(result, sort_keys=True) + "\n" for result in results))


def only_one(name):
    """Two that measure on one machine would measure each other. To be closed at the end."""
    held = socket.socket(socket.AF_UNIX)
    try:
        held.bind("\0" + name)  # gone with whoever holds it
    except OSError:
        sys.exit(f"another {name} runs on this machine")
    return held


def end_group(process):
    """Ends a command and all it started, and gives it time to unmount."""
    for number, wait_s in ((signal.SIGTERM, 30), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=wait_s)
            return
        except subprocess.TimeoutExpired:
            pass
        except ProcessLookupError:
            return


def end_all():
    for process in list(_running):
        end_group(process)


def exit_at_sigterm():
    """As an interrupt: what was started ends with us, and unmounts."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def run(command, limit_s, out, err=None):
    """The exit status of a command that has a group of its own; 124 if it took longer than that."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out if err is None else err,
                               stdin=subprocess.DEVNULL, start_new_session=True)
    _running.add(process)
    try:
        return process.wait(timeout=limit_s)
    except subprocess.TimeoutExpired:
        return 124
    finally:
        if process.returncode is None:
            end_group(process)
        _running.discard(process)
