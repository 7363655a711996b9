"""A comparison survives its peers, ends its children and prints ratios."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from robustmq.bench import compare
from robustmq.bench.compare import Contest, Failure, chosen, median, run_ceiling, run_peer
from robustmq.bench.mqtt import MqttLoad
from robustmq.bench.net_wait import pause
from robustmq.bench.peers import HOST, Peer, Setup, free_port, kafka_jars, read_ready, started
from robustmq.bench.processes import Child, stat_fields
from robustmq.bench.result import BenchError, Latency, Result
from robustmq.bench.table import render

SHORT = Contest(MqttLoad("one to one", seconds=0.2, warmup_s=0.05, batch=10), compare.RELAY)
DEAF = "import socket,time; s=socket.create_server(('127.0.0.1',{port})); c=s.accept()[0]; c.close(); s.close()"


def latency(p50: float) -> Latency:
    return Latency(1, p50, {"p50": p50, "p90": p50, "p99": p50, "p99.9": p50}, p50, [])


def result(target: str, rate: float, p50: float = 10.0) -> Result:
    return Result("load", target, 1.0, int(rate), int(rate) * 100, latency=latency(p50))


def peer(code: str, port: int) -> Peer:
    return Peer("peer", frozenset({"mqtt"}), lambda: True,
                lambda _: Setup([sys.executable, "-c", code], {"mqtt": (HOST, port)}))


def test_a_peer_that_ends_at_once_is_a_failure_with_its_words() -> None:
    outcomes = run_peer([SHORT], peer("import sys; sys.exit('no licence')", free_port()), frozenset(), None)
    assert isinstance(outcomes[0], Failure)
    assert "no licence" in outcomes[0].reason


def test_a_peer_that_hangs_up_fails_each_load_once() -> None:
    port = free_port()
    outcomes = run_peer([SHORT, SHORT], peer(DEAF.format(port=port), port), frozenset(), None)
    assert [type(outcome) for outcome in outcomes] == [Failure, Failure]


def test_a_missing_program_is_a_failure() -> None:
    missing = Peer("x", frozenset({"mqtt"}), lambda: True, lambda _: Setup(["/no/such/program"], {}))
    assert isinstance(run_peer([SHORT], missing, frozenset(), None)[0], Failure)


def test_the_ceiling_carries_the_name_of_its_load() -> None:
    outcome = run_ceiling(SHORT, frozenset())
    assert isinstance(outcome, Result)
    assert (outcome.load, outcome.target) == ("one to one", "byte relay")


def test_a_child_ends_with_its_children(tmp_path: Path) -> None:
    code = ("import subprocess,sys; p=subprocess.Popen([sys.executable,'-c','import time; time.sleep(60)']);"
            f"open({str(tmp_path / 'pid')!r},'w').write(str(p.pid)); print('up',flush=True); p.wait()")
    with Child([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.process.stdout is not None
        assert child.process.stdout.readline() == b"up\n"
        assert child.cpu_s() is None or child.cpu_s() >= 0
    assert child.process.returncode is not None
    if Path("/proc/self/stat").exists():
        assert gone(int((tmp_path / "pid").read_text()))


def gone(pid: int) -> bool:
    """SIGKILL takes effect soon, not at once."""
    for _ in range(100):
        fields = stat_fields(pid)
        if not fields or fields[0] in "ZX":
            return True
        pause(0.05)
    return False


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity here")
def test_a_child_is_pinned_and_we_are_not() -> None:
    before = os.sched_getaffinity(0)
    core = min(before)
    with Child([sys.executable, "-c", "import os; print(os.sched_getaffinity(0)); input()"], frozenset({core}),
               stdout=subprocess.PIPE) as child:
        assert child.process.stdout is not None
        assert child.process.stdout.readline().decode().strip() == str({core})
    assert os.sched_getaffinity(0) == before


def test_ready_lines() -> None:
    assert read_ready("robustmq ready mqtt=127.0.0.1:1883 kafka=[::1]:9092\n") == {
        "mqtt": ("127.0.0.1", 1883), "kafka": ("[::1]", 9092)}
    with pytest.raises(BenchError, match="not a ready line"):
        read_ready("hello")


def test_jars_are_found_in_the_folder_or_its_libs(tmp_path: Path) -> None:
    assert kafka_jars(None) is None
    assert kafka_jars(tmp_path) is None
    (tmp_path / "libs").mkdir()
    (tmp_path / "libs" / "kafka_2.13-4.2.1.jar").touch()
    assert kafka_jars(tmp_path) == tmp_path / "libs"


def test_loads_are_chosen_by_words() -> None:
    assert [c.load.name for c in chosen(["fan-out"], 1, 1)] == ["MQTT QoS 0, fan-out 1→50"]
    with pytest.raises(BenchError, match="no such load; there are"):
        chosen(["AMQP"], 1, 1)


def test_the_median_ignores_a_failed_round() -> None:
    failed = Failure("load", "a", "why")
    middle = median([failed, result("a", 10), result("a", 30), result("a", 20)])
    assert isinstance(middle, Result)
    assert middle.rate == 20
    assert median([failed]) is failed


def test_ratios_are_of_rates_or_of_latencies_at_one_rate() -> None:
    text = render([result("robustmq (disk)", 1000), result("slow", 100), result("late", 1000, 25.0),
                   Failure("load", "dead", "no answer\nmore")])
    rows = {line.split("|")[1].strip(): line for line in text.splitlines()}
    assert "10.00×" in rows["slow"]
    assert "2.50× (p50)" in rows["late"]
    assert "failed: no answer |" in rows["dead"]


def test_a_started_peer_is_awaited() -> None:
    port = free_port()
    with pytest.raises(BenchError, match="ended with 3"), \
            started(peer("import sys; sys.exit(3)", port), frozenset()):
        pass
