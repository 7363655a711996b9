"""robustmq-server as its users meet it: ready line, signals, exit statuses, one clear line when it cannot start."""
from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import FOR_TESTS, Broker, StartBroker

EPHEMERAL = [word for name, value in FOR_TESTS.items() for word in ("--set", f"{name}={value}")]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "robustmq.server", *arguments], capture_output=True, text=True,
                          timeout=60, check=False, env={**os.environ, **environment})


def refused(*arguments: str, says: str) -> None:
    done = run(*EPHEMERAL, *arguments)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert re.search(says, done.stderr), done.stderr
    assert done.stderr.startswith("robustmq-server: ") and done.stderr.count("\n") == 1, done.stderr


def resident_mib(broker: Broker) -> float:
    status = Path(f"/proc/{broker.process.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_within_five_seconds(start_broker: StartBroker, how: signal.Signals) -> None:
    broker = start_broker()
    assert set(broker.listeners) == {"mqtt", "mqtt_ws", "kafka", "http"}
    with socket.create_connection(broker.mqtt) as client:
        client.sendall(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a")
        assert client.recv(4) == b"\x20\x02\x00\x00"
        begin = time.monotonic()
        assert broker.stop(how) == 0
        assert time.monotonic() - begin < 5
        assert client.recv(1) == b""


def test_an_idle_broker_is_small(start_broker: StartBroker) -> None:
    broker = start_broker()
    if Path("/proc/self/status").exists() and "asan" not in os.environ.get("LD_PRELOAD", ""):
        assert resident_mib(broker) <= 60


def test_threads_have_names(start_broker: StartBroker) -> None:
    """Those that an answered QoS 1 message has been through."""
    broker = start_broker(storage__durability="disk", reactor__threads=1)
    with socket.create_connection(broker.mqtt) as client:
        client.sendall(bytes.fromhex("100d00044d5154540402003c000161" "32070001610001") + b"xx")
        answers = b""
        while len(answers) < 8:
            answers += client.recv(8)
    assert answers == bytes.fromhex("20020000" "40020001")
    tasks = Path(f"/proc/{broker.process.pid}/task")
    if tasks.exists():
        assert {"reactor-0", "committer"} <= {path.read_text().strip() for path in tasks.glob("*/comm")}


def test_an_empty_listener_is_off(start_broker: StartBroker) -> None:
    broker = start_broker(mqtt__ws_listen="", http__listen="")
    assert set(broker.listeners) == {"mqtt", "kafka"}


def test_a_memory_broker_writes_nothing(start_broker: StartBroker, tmp_path: Path) -> None:
    broker = start_broker(data_dir=tmp_path / "none", storage__store="memory")
    assert broker.stop() == 0
    assert not (tmp_path / "none").exists()


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for name in ("mqtt.listen", "mqtt.ws_listen", "kafka.listen", "http.listen"):
            refused("--data-dir", str(tmp_path / "d"), "--set", f"{name}=127.0.0.1:{port}",
                    says=rf"cannot listen on 127\.0\.0\.1:{port}: the address is in use.*--set {name}=")


def test_a_bad_configuration(tmp_path: Path) -> None:
    refused("--set", "mqtt.max_queud=1", says="did you mean max_queued")
    refused("--config", str(tmp_path / "none.toml"), says="cannot be read")
    refused("--no-such-flag", says="--help says more")


def test_a_directory_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    refused("--data-dir", str(tmp_path), says=re.escape(str(tmp_path)))
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_data_directory_that_is_a_file_or_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused("--data-dir", str(tmp_path / "file"), says="cannot be used")
    refused("--data-dir", "/proc/robustmq", says="cannot be used")


def test_the_second_broker_on_a_directory_refuses(start_broker: StartBroker) -> None:
    broker = start_broker()
    refused("--data-dir", str(broker.data_dir), says=f"in use by another broker.*{broker.process.pid}")
    assert broker.stop() == 0


def test_a_certificate_that_is_not_there(tmp_path: Path) -> None:
    refused("--data-dir", str(tmp_path / "d"), "--set", "mqtt.tls_cert=/nowhere.pem", says=r"mqtt\.tls_cert")


def test_the_environment_is_read_and_the_configuration_printed() -> None:
    done = run("--print-config", "--set", "mqtt.max_queued=7", ROBUSTMQ_MQTT_MAX_INFLIGHT="9")
    assert done.returncode == 0
    assert "max_queued = 7" in done.stdout and "max_inflight = 9" in done.stdout


def test_help_is_worth_reading() -> None:
    done = run("--help")
    assert done.returncode == 0
    for word in ("--config", "--data-dir", "--set", "1883", "9092", "58080", "robustmq ready"):
        assert word in done.stdout
