# SPDX-License-Identifier: BSD-2-Clause
"""The official jars and modules: got by Maven, npm, Go and pip into build/broker-tests/, and held
against the checksums in checksums.tsv at each run. What npm, Go and pip get is held against
package-lock.json, go.sum and requirements.txt by themselves.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, "build", "broker-tests")
VERSIONS = {"client-4.9": "4.9.8", "client-5.3": "5.3.3", "client-5.5": "5.5.0",
            "broker-5.3": "5.3.3", "tests-5.5": "5.5.0"}
CHECKED = ("rocketmq-",)


class ArtifactError(Exception):
    pass


def jars(name):
    return os.path.join(BUILD, "java", name)


def classes(name):
    return os.path.join(BUILD, "classes", name)


def digest(path):
    hashed = hashlib.sha256()
    with open(path, "rb") as data:
        for piece in iter(lambda: data.read(1 << 20), b""):
            hashed.update(piece)
    return hashed.hexdigest()


def recorded():
    """{set of jars: {file: sha256}}"""
    out = {}
    path = os.path.join(HERE, "checksums.tsv")
    if os.path.exists(path):
        with open(path, encoding="ascii") as lines:
            for line in lines:
                if not line.startswith("#"):
                    name, file, value = line.rstrip("\n").split("\t")
                    out.setdefault(name, {})[file] = value
    return out


def run(command, directory, log):
    """Two tries: a registry may be slow to answer."""
    if shutil.which(command[0]) is None:
        raise ArtifactError(f"{command[0]} is not there")
    for attempt in (1, 2):
        with open(log, "ab") as out:
            done = subprocess.run(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=out,
                                  stderr=out, check=False, timeout=900)
        if done.returncode == 0:
            return
        if attempt == 2:
            with open(log, encoding="utf-8", errors="replace") as text:
                tail = text.read()[-1500:]
            raise ArtifactError(f"{' '.join(command)}: exit code {done.returncode}\n{tail}")


def stamp(paths):
    hashed = hashlib.sha256()
    for path in paths:
        hashed.update(digest(path).encode())
    return hashed.hexdigest()


def fresh(target, paths):
    """Whether what is in `target` was made from these files."""
    mark = os.path.join(target, ".from")
    if not os.path.exists(mark):
        return False
    with open(mark, encoding="ascii") as text:
        return text.read() == stamp(paths)


def mark(target, paths):
    with open(os.path.join(target, ".from"), "w", encoding="ascii") as out:
        out.write(stamp(paths))


def get_jars(name):
    pom = os.path.join(HERE, "java", name, "pom.xml")
    target = jars(name)
    if not fresh(target, [pom]):
        shutil.rmtree(target, ignore_errors=True)
        os.makedirs(target)
        run(["mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies",
             "-DoutputDirectory=" + target], ROOT, os.path.join(BUILD, name + ".log"))
        mark(target, [pom])


def verify_jars(name):
    """Each recorded file is there with its checksum, and no main jar is unrecorded: (file, sum)."""
    wanted = recorded().get(name, {})
    if not wanted:
        raise ArtifactError(f"checksums.tsv says nothing about {name}")
    found = {f for f in os.listdir(jars(name)) if f.startswith(CHECKED)}
    if found != set(wanted):
        raise ArtifactError(f"{name}: not recorded or not there: {sorted(found ^ set(wanted))}")
    for file, value in wanted.items():
        actual = digest(os.path.join(jars(name), file))
        if actual != value:
            raise ArtifactError(f"{name}/{file}: SHA-256 is {actual}, recorded is {value}")
    return sorted(wanted.items())


def record(names):
    with open(os.path.join(HERE, "checksums.tsv"), "w", encoding="ascii") as out:
        out.write("# set\tfile\tSHA-256; written by run.py --record after a look at it\n")
        for name in names:
            for file in sorted(os.listdir(jars(name))):
                if file.startswith(CHECKED):
                    out.write(f"{name}\t{file}\t{digest(os.path.join(jars(name), file))}\n")


def sources(directory, ending):
    """Below a directory of ours."""
    return sorted(os.path.join(base, file)
                  for base, _, files in os.walk(os.path.join(HERE, directory))
                  for file in files if file.endswith(ending))


def compile_java(name, directory):
    """What is ours, against the jars of a set."""
    files = sources(directory, ".java") + [os.path.join(HERE, "java", name, "pom.xml")]
    target = classes(name)
    if not fresh(target, files):
        shutil.rmtree(target, ignore_errors=True)
        os.makedirs(target)
        run(["javac", "-nowarn", "-d", target, "-cp", os.path.join(jars(name), "*"), *files[:-1]],
            ROOT, os.path.join(BUILD, name + ".log"))
        mark(target, files)


def get_node():
    target = os.path.join(BUILD, "node")
    files = [os.path.join(HERE, "node", f) for f in ("package.json", "package-lock.json")]
    if not fresh(target, files):
        shutil.rmtree(target, ignore_errors=True)
        os.makedirs(target)
        for file in files:
            shutil.copy(file, target)
        run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], target,
            os.path.join(BUILD, "node.log"))
        mark(target, files)
    for file in sources("node", ".js"):
        shutil.copy(file, target)


def get_go():
    target = os.path.join(BUILD, "go")
    os.makedirs(target, exist_ok=True)
    files = sources("go", ".go") + [os.path.join(HERE, "go", f) for f in ("go.mod", "go.sum")]
    if not fresh(target, files):
        run(["go", "build", "-mod=readonly", "-o", os.path.join(target, "agent"), "."],
            os.path.join(HERE, "go"), os.path.join(BUILD, "go.log"))
        mark(target, files)


def python_pin():
    """(version, SHA-256 of its wheel)"""
    with open(os.path.join(HERE, "python", "requirements.txt"), encoding="ascii") as text:
        return re.search(r"^rocketmq==([0-9.]+).*?sha256:([0-9a-f]{64})", text.read(),
                         re.DOTALL | re.MULTILINE).groups()


def python_fits():
    return (sys.platform, platform.machine()) == ("linux", "x86_64")


def get_python():
    target = os.path.join(BUILD, "python")
    pinned = os.path.join(HERE, "python", "requirements.txt")
    if not fresh(target, [pinned]):
        shutil.rmtree(target, ignore_errors=True)
        run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes",
             "--only-binary", ":all:", "--disable-pip-version-check", "--target", target,
             "--requirement", pinned], ROOT, os.path.join(BUILD, "python.log"))
        mark(target, [pinned])
