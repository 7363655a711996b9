"""robustmq-server as a child that is killed and started again on the same ports."""
from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

STOP_S = 30


def free_port() -> int:
    """Below the ephemeral range: no outgoing connection takes it while the broker is dead."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Broker:
    """One data directory, fixed ports, so that clients find it again; `settings` are --set's."""

    def __init__(self, data_dir: Path, settings: dict[str, str]) -> None:
        self.mqtt, self.kafka = free_port(), free_port()
        self.data_dir = data_dir
        self.environment: dict[str, str] = {}       # what it has besides ours
        self.log = data_dir.parent / "broker.log"
        named = {"mqtt.listen": f"127.0.0.1:{self.mqtt}", "kafka.listen": f"127.0.0.1:{self.kafka}",
                 "mqtt.ws_listen": "", "http.listen": "", "log.level": "warning", "log.format": "human", **settings}
        self.command = [sys.executable, "-m", "robustmq.server", "--data-dir", str(data_dir)]
        for name, value in named.items():
            self.command += ["--set", f"{name}={value}"]
        self.process: subprocess.Popen[str] | None = None

    def spawn(self) -> None:
        """Begin a start."""
        with self.log.open("a") as stderr:
            self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=stderr, text=True,
                                            env={**os.environ, **self.environment})

    def start(self) -> float:
        """Start and wait for the ready line; returns the seconds that took."""
        begin = time.monotonic()
        self.spawn()
        assert self.process is not None and self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("robustmq ready"):
            raise AssertionError(f"the broker did not start: {line!r}, exit {self.process.wait()}: "
                                 f"{self.log.read_text()[-2000:]}")
        return time.monotonic() - begin

    def stop(self, how: signal.Signals) -> int:
        """End it; its exit status (negative: the signal)."""
        assert self.process is not None and self.process.stdout is not None
        self.process.send_signal(how)
        try:
            return self.process.wait(STOP_S)
        finally:
            self.process.stdout.close()
