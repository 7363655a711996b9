"""Health, metrics and administration of a running broker, over HTTP and with robustmq-ctl."""
from __future__ import annotations

import json
import socket
import subprocess
import sys
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import Broker, StartBroker

CONNECT = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05admin"


def get(broker: Broker, path: str) -> dict[str, object]:
    with urlopen(broker.http + path, timeout=10) as response:
        found = json.loads(response.read())
    assert isinstance(found, dict)
    return found


def ctl(broker: Broker, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "robustmq.cli", "--server", broker.http, *arguments],
                          capture_output=True, text=True, timeout=60, check=False)


def test_health(broker: Broker) -> None:
    assert get(broker, "/health/live") == {"live": True}
    assert get(broker, "/health/ready") == {"ready": True}


def test_what_is_not_there(broker: Broker) -> None:
    for path, status in (("/", 404), ("/health", 404), ("/api/v1/topics/none", 404)):
        with pytest.raises(HTTPError) as caught:
            get(broker, path)
        assert caught.value.code == status
        caught.value.close()
    with pytest.raises(HTTPError) as caught:
        urlopen(Request(broker.http + "/metrics", method="DELETE"), timeout=10)
    assert caught.value.code == 405
    caught.value.close()


def test_metrics_count_real_clients(broker: Broker) -> None:
    with socket.create_connection(broker.mqtt) as client:
        client.sendall(CONNECT + b"\x32\x09\x00\x03a/b\x00\x01hi")
        assert client.recv(8, socket.MSG_WAITALL) == b"\x20\x02\x00\x00\x40\x02\x00\x01"
        with urlopen(broker.http + "/metrics", timeout=10) as response:
            body = response.read().decode()
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(body):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    assert found["robustmq_server_up"] == 1
    assert found["robustmq_reactor_connections"] >= 1
    assert found["robustmq_reactor_bytes_in_total"] >= len(CONNECT)
    assert found["robustmq_mqtt_messages_in_qos1_total"] == 1
    assert found["robustmq_journal_wal_sync_seconds_count"] >= 1
    assert found["robustmq_control_frames_total"] >= 1
    assert found["robustmq_reactor_turn_seconds_count"] >= 2
    assert found["robustmq_reactor_turn_seconds_sum"] > 0


def test_topics(broker: Broker) -> None:
    made = ctl(broker, "topics", "create", "admin.topic", "--partitions", "3", "--config", "cleanup.policy=compact")
    assert made.returncode == 0, made.stderr
    again = ctl(broker, "topics", "create", "admin.topic")
    assert again.returncode == 1 and "exists already" in again.stderr
    wrong = ctl(broker, "topics", "create", "admin.topic2", "--config", "cleanup.policy=burn")
    assert wrong.returncode == 1 and "cleanup.policy" in wrong.stderr
    assert "admin.topic" in ctl(broker, "topics", "list", "--prefix", "admin.").stdout
    described = json.loads(ctl(broker, "--json", "topics", "describe", "admin.topic").stdout)
    assert [partition["end"] for partition in described["partitions"]] == [0, 0, 0]
    assert described["configs"] == {"cleanup.policy": "compact"}
    assert ctl(broker, "topics", "delete", "admin.topic").returncode == 0
    assert ctl(broker, "topics", "delete", "admin.topic").returncode == 1


def test_clients(broker: Broker) -> None:
    with socket.create_connection(broker.mqtt) as client:
        client.sendall(CONNECT)
        assert client.recv(4, socket.MSG_WAITALL) == b"\x20\x02\x00\x00"
        assert "admin" in ctl(broker, "clients", "list").stdout
        assert ctl(broker, "clients", "kick", "admin").returncode == 0
        client.settimeout(10)
        assert client.recv(1) == b""
    assert ctl(broker, "clients", "kick", "admin").returncode == 1


def test_status_and_config(broker: Broker) -> None:
    assert json.loads(ctl(broker, "--json", "status").stdout)["listeners"]["http"] == broker.http.removeprefix("http://")
    assert "storage.durability" in ctl(broker, "config", "show").stdout


def test_a_created_topic_is_there_after_a_restart(start_broker: StartBroker) -> None:
    first = start_broker()
    ctl(first, "topics", "create", "kept", "--partitions", "2", "--config", "retention.ms=5")
    before = get(first, "/api/v1/topics/kept")
    assert first.stop() == 0
    second = start_broker(data_dir=first.data_dir)
    assert get(second, "/api/v1/topics/kept") == before
    ctl(second, "topics", "delete", "kept")
    assert second.stop() == 0
    third = start_broker(data_dir=first.data_dir)
    assert get(third, "/api/v1/topics") == {"topics": []}


def test_ctl_says_when_nobody_answers() -> None:
    done = subprocess.run([sys.executable, "-m", "robustmq.cli", "--server", "http://127.0.0.1:1", "status"],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("robustmq-ctl: no broker answers") and done.stderr.count("\n") == 1
