#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""systemd_test.py - the mini-broker under a real systemd, as `make install-broker` puts it there.

    systemd_test.py [test_...]

Boots the systemd of this machine in a container on a throw-away layer above the root file system
(systemd-nspawn(1) on an overlay), installs what is built, follows the steps of
commitlog-mini-broker-ops(7), and does there to the service what operators do: starts, reloads,
kills, stops it, and lets it hang. Inside, this program is a service itself, which reports in a file
and powers the container off.

Needs root, systemd-nspawn, overlay and the broker; exits with 77 and the reason if one is missing.
"""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import ops
import wire

ROUTES, MESSAGES = ("127.0.0.1", 9876), ("127.0.0.1", 10911)
SERVICE = "commitlog-mini-broker"
CONFIG = pathlib.Path("/etc/commitlog-mini-broker.json")
DROP_IN = pathlib.Path(f"/etc/systemd/system/{SERVICE}.service.d/watchdog.conf")
HERE = "/checks"  # inside
SAID = HERE + "/said"
BOOT_LIMIT_S = 300
CHECKS_UNIT = f"""[Unit]
SuccessAction=poweroff
FailureAction=poweroff
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'python3 -B {HERE}/systemd_test.py %s >{SAID} 2>&1; echo $? >{HERE}/status'
Environment=BROKER_INSIDE=1
TimeoutStartSec={BOOT_LIMIT_S}
"""


# ---- inside: what operators do -------------------------------------------------------------------

def systemctl(*words):
    return subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)


def shown(name):
    return systemctl("show", "--value", "-p", name, SERVICE).stdout.strip()


def journal():
    return subprocess.run(["journalctl", "-q", "-o", "cat", "-u", SERVICE], capture_output=True,
                          text=True, check=False).stdout


def start(checks):
    """It has returned: so it serves."""
    checks.same("systemctl start", 0, systemctl("start", SERVICE).returncode)
    checks.same("its state", ("active", "running"), (shown("ActiveState"), shown("SubState")))


def stop(checks):
    checks.same("systemctl stop", 0, systemctl("stop", SERVICE).returncode)
    checks.same("a clean end", ("inactive", "success"), (shown("ActiveState"), shown("Result")))


def send(checks, topic, count):
    with wire.Connection(MESSAGES) as connection:
        for i in range(count):
            header, _ = connection.ask(310, wire.sending(topic), b"%d" % i)
            checks.same("an answer", 0, header["code"])


def bodies(topic):
    return sorted(int(record["body"]) for record in wire.read_topic(ROUTES, MESSAGES, topic))


def kill(number):
    os.kill(int(shown("MainPID")), number)


def serves_instead_of(pid):
    return shown("MainPID") not in ("0", pid) and shown("ActiveState") == "active"


def test_without_its_file(checks):
    """The file of options must be there; what is missing is said where operators look."""
    CONFIG.unlink(missing_ok=True)
    checks.check("start fails", systemctl("start", SERVICE).returncode != 0)
    checks.check("the journal has the reason", CONFIG.name in journal(), journal())
    systemctl("stop", SERVICE)
    systemctl("reset-failed", SERVICE)
    CONFIG.write_text("{}", encoding="utf-8")


def test_it_serves_when_start_returns(checks):
    start(checks)
    send(checks, "started", 10)
    checks.same("what was sent", list(range(10)), bodies("started"))
    pid = shown("MainPID")
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    uid = os.stat(f"/proc/{pid}").st_uid
    checks.same("its user", "commitlog-broker",
                subprocess.run(["id", "-nu", str(uid)], capture_output=True, text=True,
                               check=True).stdout.strip())
    checks.check("no new privileges", "NoNewPrivs:\t1\n" in status, status)
    checks.check("system calls are filtered", "Seccomp:\t2\n" in status, status)
    checks.same("nobody else reads its data", 0o700,
                os.stat("/var/lib/" + SERVICE).st_mode & 0o777)
    stop(checks)


def test_reload(checks):
    CONFIG.write_text('{"flush": "sync"}', encoding="utf-8")
    start(checks)
    pid = shown("MainPID")
    CONFIG.write_text('{"flush": "async"}', encoding="utf-8")
    checks.same("systemctl reload", 0, systemctl("reload", SERVICE).returncode)
    checks.until("it is taken", 30, lambda: "reload: flush: async, was sync" in journal(), journal)
    checks.until("it is active again", 30, lambda: shown("ActiveState") == "active", journal)
    checks.same("the same process", pid, shown("MainPID"))
    send(checks, "reloaded", 1)
    CONFIG.write_text("{}", encoding="utf-8")
    stop(checks)


def test_killed(checks):
    """What was answered and not written yet outlives it, and it is started again."""
    CONFIG.write_text('{"flush": "async"}', encoding="utf-8")
    start(checks)
    for life in range(3):
        send(checks, f"life-{life}", 100)
        pid = shown("MainPID")
        kill(signal.SIGKILL)
        checks.until("another process serves", 60, lambda p=pid: serves_instead_of(p), journal)
    for life in range(3):
        checks.same("all are there", list(range(100)), bodies(f"life-{life}"))
    checks.same("how often it was started again", "3", shown("NRestarts"))
    stop(checks)


def test_stopped_for_long(checks):
    """A process that no longer says that it lives is ended and started again."""
    DROP_IN.parent.mkdir(parents=True, exist_ok=True)
    DROP_IN.write_text("[Service]\nWatchdogSec=4\n", encoding="utf-8")
    systemctl("daemon-reload")
    start(checks)
    pid = shown("MainPID")
    time.sleep(6)
    checks.same("a process that lives is left alone", pid, shown("MainPID"))
    send(checks, "watched", 20)
    kill(signal.SIGSTOP)
    checks.until("another process serves", 60, lambda: serves_instead_of(pid), journal)
    checks.check("systemd says why", "Watchdog timeout" in journal(), journal())
    checks.same("all are there", list(range(20)), bodies("watched"))
    DROP_IN.unlink()
    systemctl("daemon-reload")
    stop(checks)


def test_closed_store(checks):
    """A stop closes the store: nothing is recovered at the next start, and all is there."""
    start(checks)
    send(checks, "closed", 50)
    stop(checks)
    begin = time.monotonic()
    start(checks)
    checks.check("it starts at once", time.monotonic() - begin < 10)
    checks.same("all are there", list(range(50)), bodies("closed"))
    stop(checks)


def inside():
    checks = ops.Checks()
    subprocess.run(["useradd", "--system", "commitlog-broker"], check=False)
    systemctl("daemon-reload")
    return checks.run([test_without_its_file, test_it_serves_when_start_returns, test_reload,
                       test_killed, test_stopped_for_long, test_closed_store])


# ---- outside: the container ---------------------------------------------------------------------

def missing():
    if os.geteuid() != 0:
        return "it needs root"
    for program in ("systemd-nspawn", "useradd"):
        if shutil.which(program) is None:
            return f"there is no {program}"
    if not os.path.exists("/lib/systemd/systemd"):
        return "there is no systemd to boot"
    if not os.path.exists(ops.BINARY):
        return f"there is no {ops.BINARY}: make broker"
    return None


@contextlib.contextmanager
def layer():
    """A root file system whose changes go with it."""
    work = tempfile.mkdtemp(prefix="broker-systemd-")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "layer", work], check=True)
    try:
        for name in ("upper", "work", "root"):
            os.mkdir(os.path.join(work, name))
        root = os.path.join(work, "root")
        places = f"lowerdir=/,upperdir={work}/upper,workdir={work}/work"
        subprocess.run(["mount", "-t", "overlay", "layer", "-o", places, root], check=True)
        try:
            yield pathlib.Path(root)
        finally:
            subprocess.run(["umount", "-l", root], check=False)
    finally:
        subprocess.run(["umount", "-l", work], check=False)
        os.rmdir(work)


def furnish(root, words):
    """What `make install-broker` does, and the checks as a service."""
    subprocess.run([os.environ.get("MAKE", "make"), "-C", ops.ROOT, "-s", "install-broker",
                    f"DESTDIR={root}"], check=True)
    here = pathlib.Path(str(root) + HERE)
    here.mkdir()
    for name in ("systemd_test.py", "ops.py", "wire.py"):
        shutil.copy(os.path.join(ops.ROOT, "tests/broker", name), here)
    unit = root / "etc/systemd/system/checks.service"
    unit.write_text(CHECKS_UNIT % " ".join(words), encoding="utf-8")
    return here


def boot(root):
    """Until it has powered itself off; what it said on its console."""
    done = subprocess.run(
        ["systemd-nspawn", "-q", "-D", str(root), "--machine=broker-systemd", "--register=no",
         "--keep-unit", "--private-network", "--console=pipe", "--boot",
         "systemd.unit=checks.service"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=BOOT_LIMIT_S, check=False)
    return done.stdout.decode(errors="replace")


def main():
    if os.environ.get("BROKER_INSIDE"):
        ops.BINARY = "/usr/local/bin/commitlog-mini-broker"
        return inside()
    reason = missing()
    if reason:
        print(f"skip: {reason}")
        return 77
    with layer() as root:
        here = furnish(root, sys.argv[1:])
        console = boot(root)
        if not (here / "status").exists():
            print(f"FAIL: the container did not come to its end:\n{console[-3000:]}")
            return 1
        print((here / "said").read_text(encoding="utf-8"), end="")
        return int((here / "status").read_text(encoding="ascii"))


if __name__ == "__main__":
    sys.exit(main())
