"""Whole requests through a Kafka session without sockets: parse, log, answer. A round is ROUNDS requests."""
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.kafka.rig import Rig, batch

ROUNDS = 1000
SMALL, KIB_16, MIB = batch(b"x" * 100), batch(*[b"x" * 100] * 150), batch(*[b"x" * 100] * 9000)


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    rig = Rig()
    for topic in ("empty", "small", "large", "written"):
        rig.topic(topic)
    for topic, data, times in (("small", SMALL, 1), ("large", KIB_16, 60)):
        for _ in range(times):
            rig.host().feed(rig.produce(9, {topic: {0: data}}))
    yield rig
    rig.close()


def run(benchmark: Any, rig: Rig, request: bytes, rounds: int = ROUNDS) -> None:
    host = rig.host()
    benchmark.extra_info["requests"] = rounds
    benchmark(host.rounds, request, rounds)


@pytest.mark.parametrize("topic", ["empty", "small", "large"])
def test_fetch(benchmark: Any, rig: Rig, topic: str) -> None:
    """Nothing, one record of 100 bytes, 60 batches of 16 KiB."""
    run(benchmark, rig, rig.fetch(12, {topic: {0: 0}}))


@pytest.mark.parametrize(("data", "rounds"), [(SMALL, ROUNDS), (KIB_16, 100), (MIB, 10)], ids=["100B", "16KiB", "1MiB"])
def test_produce(benchmark: Any, rig: Rig, data: bytes, rounds: int) -> None:
    run(benchmark, rig, rig.produce(9, {"written": {0: data}}), rounds)
