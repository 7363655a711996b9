"""The MQTT load: topics, frames, and the loops over an echo and a relay for a moment."""
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from robustmq._fastpath.protocols.mqtt.reader import open_packet
from robustmq.bench import main
from robustmq.bench.ceiling import run_echo, run_relay
from robustmq.bench.mqtt import MqttLoad, encode_frame
from robustmq.bench.result import BenchError

SHORT = MqttLoad(seconds=0.2, warmup_s=0.05, batch=10)


@pytest.mark.parametrize(("publishers", "subscribers", "topics", "expected"), [
    (10, 10, 10, [["bench/0000003"]]),
    (1, 50, 1, [["bench/0000000"]]),
    (1, 4, 10, [["bench/0000003", "bench/0000007"]]),
])
def test_who_reads_what(publishers: int, subscribers: int, topics: int, expected: list[list[str]]) -> None:
    load = MqttLoad(publishers=publishers, subscribers=subscribers, topics=topics)
    assert [load.filters(3)] == expected


def test_every_topic_has_a_reader() -> None:
    for subscribers, topics in ((3, 10), (10, 3), (7, 7)):
        load = MqttLoad(subscribers=subscribers, topics=topics)
        read = {text for i in range(subscribers) for text in load.filters(i)}
        assert read == {load.topic(number) for number in range(topics)}


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("payload", [0, 7, 8, 100, 20_000])
def test_the_frame_is_a_publish(qos: int, version: int, payload: int) -> None:
    load = MqttLoad(qos=qos, version=version, payload=payload)
    frame = encode_frame(load)
    first, reader = open_packet(frame.data)
    assert first == 0x30 | qos << 1
    assert reader.string() == "bench/0000000"
    assert frame.data[frame.topic_at:frame.topic_at + 7] == b"0000000"
    if qos:
        assert frame.data[frame.id_at:frame.id_at + 2] == reader.u16().to_bytes(2, "big")
    if version == 5:
        assert reader.section().left == 0
    assert reader.left == payload
    assert frame.stamp_at == (len(frame.data) - payload if payload >= 8 else 0)


@pytest.mark.parametrize(("change", "message"), [
    ({"qos": 3}, "qos lies between"), ({"batch": 0}, "batch lies between"), ({"window": 0, "qos": 1}, "window of 0"),
    ({"publishers": 0, "subscribers": 0}, "needs publishers or subscribers"), ({"seconds": 0}, "seconds must be above"),
    ({"topics": 10**8}, "topics lies between"),
])
def test_what_cannot_run_says_why(change: dict[str, int], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        replace(SHORT, **change).check()


def test_echo_round_trips_at_a_rate() -> None:
    result = run_echo(replace(SHORT, rate=2000, batch=1))
    assert result.errors == {"closed": 0, "refused": 0, "malformed": 0}
    assert result.lost == 0
    assert 0 < result.messages <= 2000
    assert result.latency is not None
    assert result.latency.count <= 400
    assert result.latency.max < 10e6


@pytest.mark.parametrize(("publishers", "subscribers"), [(1, 1), (1, 5), (3, 6)])
def test_a_relay_delivers_everything(publishers: int, subscribers: int) -> None:
    result = run_relay(replace(SHORT, publishers=publishers, subscribers=subscribers))
    assert result.errors == {"closed": 0, "refused": 0, "malformed": 0}
    assert result.lost == 0
    assert result.messages > 0
    assert result.cpu_s_per_million is None or result.cpu_s_per_million >= 0


def test_the_command_line_writes_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "echo.json"
    assert main.main(["echo", "--rate", "1000", "--seconds", "0.1", "--warmup", "0", "--json", str(path)]) == 0
    assert "echo on epoll echo" in capsys.readouterr().out
    written = json.loads(path.read_text())
    assert written["results"][0]["latency"]["percentiles"].keys() == {"p50", "p90", "p99", "p99.9"}


def test_no_broker_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["mqtt", "pub", "--address", "127.0.0.1:1"]) == 1
    assert capsys.readouterr().err == "robustmq-bench: no connection to 127.0.0.1:1: Connection refused\n"


@pytest.mark.parametrize("argv", [
    [], ["mqtt"], ["mqtt", "pub", "--qos", "3"], ["mqtt", "pub", "--address", "x"], ["echo", "--seconds", "0"],
    ["mqtt", "pub", "--batch", "0"], ["mqtt", "pub", "--rate", "-1"], ["mqtt", "sub", "--address", "h:99999"],
    ["topics", "--seconds", "5"], ["topics", "--plot", "x.png"], ["storage", "--plot", "x.png"],
    ["idle", "--warmup", "1"],
])
def test_wrong_arguments_exit_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main.main(argv)
    assert exit_.value.code == 2
    assert "robustmq-bench" in capsys.readouterr().err
