"""A broker of one's own: `broker` is one per test module, `start_broker` makes more, with settings."""
from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

START_S, STOP_S = 30, 30
LISTENERS = ("mqtt.listen", "mqtt.ws_listen", "kafka.listen", "http.listen")
FOR_TESTS = {**dict.fromkeys(LISTENERS, "127.0.0.1:0"), "kafka.group_initial_rebalance_delay_ms": "0"}
Address = tuple[str, int]


@dataclass
class Broker:
    """A robustmq-server that accepts clients: a child process on ports of its own."""

    process: subprocess.Popen[str]
    data_dir: Path
    listeners: dict[str, Address]       # of the ready line: mqtt, mqtt_ws, mqtt_tls, kafka, http
    log: Path                           # what it wrote to stderr

    @property
    def mqtt(self) -> Address:
        return self.listeners["mqtt"]

    @property
    def kafka(self) -> Address:
        return self.listeners["kafka"]

    @property
    def bootstrap(self) -> str:
        """Kafka's bootstrap.servers."""
        return "{}:{}".format(*self.kafka)

    @property
    def http(self) -> str:
        """Base URL of the admin API."""
        return "http://{}:{}".format(*self.listeners["http"])

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            assert self.process.stdout is not None
            self.process.stdout.close()


StartBroker = Callable[..., Broker]


def parse_ready(line: str) -> dict[str, Address]:
    """The listeners of `robustmq ready mqtt=127.0.0.1:1883 …`."""
    words = line.split()
    assert words[:2] == ["robustmq", "ready"], f"not a ready line: {line!r}"
    pairs = (word.split("=", 1) for word in words[2:])
    return {name: (address.rpartition(":")[0].strip("[]"), int(address.rpartition(":")[2])) for name, address in pairs}


def launch(data_dir: Path, settings: dict[str, str], config: Path | None = None) -> Broker:
    """Start a broker and wait for its ready line."""
    command = [sys.executable, "-m", "robustmq.server", "--data-dir", str(data_dir)]
    if config is not None:
        command += ["--config", str(config)]
    for name, value in {**FOR_TESTS, **settings}.items():
        command += ["--set", f"{name}={value}"]
    log = data_dir.parent / f"{data_dir.name}.log"
    with log.open("a") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.stdout.close()
        raise AssertionError(f"the broker ended with {process.wait(START_S)}: {log.read_text()[-2000:]}")
    return Broker(process, data_dir, parse_ready(line), log)


def launcher(directory: Path, cleanup: ExitStack) -> StartBroker:
    """`start(**settings, data_dir=…, config=…)`; a setting is written section__key="value"."""
    count = iter(range(1000))

    def start(data_dir: Path | None = None, config: Path | None = None, **settings: str) -> Broker:
        named = {name.replace("__", "."): str(value) for name, value in settings.items()}
        broker = launch(data_dir or directory / f"data-{next(count)}", named, config)
        cleanup.callback(broker.stop)
        return broker

    return start


@pytest.fixture
def start_broker(tmp_path: Path) -> Iterator[StartBroker]:
    """Starts brokers that end with the test: `start_broker(mqtt__max_queued="5")`."""
    with ExitStack() as cleanup:
        yield launcher(tmp_path, cleanup)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker with default settings for the tests of one module; at the end it must stop cleanly."""
    with ExitStack() as cleanup:
        running = launcher(tmp_path_factory.mktemp("broker"), cleanup)()
        yield running
        assert running.stop() == 0, running.log.read_text()[-2000:]


@dataclass(frozen=True)
class Certificate:
    """A certificate for localhost that trusts itself."""

    chain: Path
    key: Path


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Made with openssl; skips where that is missing."""
    directory = tmp_path_factory.mktemp("tls")
    made = Certificate(directory / "chain.pem", directory / "key.pem")
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: no certificate can be made")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", made.key, "-out", made.chain],
                   capture_output=True, check=True)
    return made
