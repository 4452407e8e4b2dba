# SPDX-License-Identifier: BSD-2-Clause
"""The server under test, started in a directory of its own: the mini-broker, or the official name
server and broker, which answer for what is right. Both flush each message before they acknowledge.
"""

import os
import shutil
import signal
import subprocess
import time

import artifacts
import wire

OPEN = []
for name in ("java.nio", "sun.nio.ch", "jdk.internal.ref"):
    OPEN += [f"--add-opens=java.base/{name}=ALL-UNNAMED",
             f"--add-exports=java.base/{name}=ALL-UNNAMED"]

BROKER_CONF = """\
brokerClusterName=DefaultCluster
brokerName=broker-a
brokerId=0
brokerIP1=127.0.0.1
brokerIP2=127.0.0.1
listenPort={port}
namesrvAddr=127.0.0.1:{namesrv}
storePathRootDir={dir}/store
storePathCommitLog={dir}/store/commitlog
flushDiskType=SYNC_FLUSH
brokerRole=ASYNC_MASTER
enablePropertyFilter=true
mappedFileSizeCommitLog=134217728
mappedFileSizeConsumeQueue=600000
maxHashSlotNum=100000
maxIndexNum=400000
mappedFileSizeTimerLog=10485760
transactionTimeOut=3000
transactionCheckInterval=2000
transactionOpBatchInterval=200
waitTimeMillsInSendQueue=5000
"""


class Engine:
    """start(), then kill() and start() as often as one likes, at last stop()."""

    name = ""
    version = ""

    def __init__(self, directory, namesrv_port, port):
        self.directory = directory
        self.namesrv_port, self.port = namesrv_port, port
        self.namesrv = ("127.0.0.1", namesrv_port)
        self.broker = ("127.0.0.1", port)
        self.processes = []
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)

    @property
    def address(self):
        return f"127.0.0.1:{self.namesrv_port}"

    @property
    def broker_address(self):
        return f"127.0.0.1:{self.port}"

    def spawn(self, name, command, environment=None):
        log = open(os.path.join(self.directory, name + ".out"), "ab")
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   cwd=self.directory, env={**os.environ, **(environment or {})})
        log.close()
        self.processes.append(process)
        return process

    def wait_ready(self, seconds=60):
        process = self.processes[-1]
        why = wire.await_server(self.namesrv, seconds, alive=lambda: process.poll() is None)
        if why is None:
            why = wire.await_server(self.broker, seconds, 28,
                                    alive=lambda: process.poll() is None)
        if why is not None:
            raise RuntimeError(f"{self.name} does not serve: {why}; see {self.directory}/*.out")

    def end(self, processes, how, seconds):
        for process in processes:
            if process.poll() is None:
                process.send_signal(how)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = [p for p in self.processes if p not in processes]

    def alive(self):
        return bool(self.processes) and self.processes[-1].poll() is None

    def kill(self):
        """kill -9 of the process that holds the messages."""
        self.end(self.processes[-1:], signal.SIGKILL, 10)

    def stop(self):
        self.end(list(reversed(self.processes)), signal.SIGTERM, 30)

    def rss(self):
        """Resident memory of the process that holds the messages, in KiB."""
        with open(f"/proc/{self.processes[-1].pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1])
        return 0


class RocketMQ(Engine):
    name = "rocketmq"
    version = artifacts.VERSIONS["broker-5.3"]
    properties = ()

    def serve_tls(self, certificate, key):
        self.properties = ("-Dtls.test.mode.enable=false", f"-Dtls.server.certPath={certificate}",
                           f"-Dtls.server.keyPath={key}")

    def java(self, main, heap, configuration, *properties):
        jars = os.path.join(artifacts.jars("broker-5.3"), "*")
        return ["java", f"-Xmx{heap}m", "-XX:+UseSerialGC", "-XX:MaxDirectMemorySize=512m", *OPEN,
                f"-Duser.home={self.directory}", *self.properties, *properties, "-cp", jars, main,
                "-c", configuration]

    def start_namesrv(self, *properties):
        path = os.path.join(self.directory, "namesrv.conf")
        with open(path, "w", encoding="ascii") as out:
            out.write(f"listenPort={self.namesrv_port}\n")
        self.spawn("namesrv", self.java("org.apache.rocketmq.namesrv.NamesrvStartup", 128, path,
                                        *properties), {"ROCKETMQ_HOME": self.directory})

    def start(self):
        home = {"ROCKETMQ_HOME": self.directory}
        if not self.processes:
            self.start_namesrv()
            end = time.monotonic() + 30
            while time.monotonic() < end:
                try:
                    wire.Connection(self.namesrv, 1).close()
                    break
                except OSError:
                    time.sleep(0.1)
        path = os.path.join(self.directory, "broker.conf")
        with open(path, "w", encoding="ascii") as out:
            out.write(BROKER_CONF.format(dir=self.directory, port=self.port,
                                         namesrv=self.namesrv_port))
        # what a killed broker leaves, so that it knows that it was killed
        self.spawn("broker", self.java("org.apache.rocketmq.broker.BrokerStartup", 512, path), home)
        self.wait_ready()


class Mini(Engine):
    name = "mini"
    version = "of this tree"
    binary = ""
    options = ["--check-interval", "2000"]

    def data(self):
        return os.path.join(self.directory, "data")

    def serve_tls(self, certificate, key):
        self.options = [*self.options, "--tls-cert", certificate, "--tls-key", key]

    def start(self):
        self.spawn("mini", [self.binary, "--namesrv-listen", self.address, "--listen",
                            self.broker_address, "--advertise", "127.0.0.1", "--data",
                            self.data(), *self.options])
        self.wait_ready()


ENGINES = {"mini": Mini, "rocketmq": RocketMQ}
