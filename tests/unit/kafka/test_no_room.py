"""Produce while the journal has no room for now: the request waits, and no part of it is appended twice."""
from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from robustmq._fastpath.reactor.reactors import Reactors

from robustmq._fastpath.protocols.kafka.errors import ErrorCode as E
from tests.full import SMALL, Full

from .rig import PRODUCE_VERSIONS, Rig, batch, frames, outcomes, produced


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, SMALL | {"segment_bytes": 1 << 20})
    rig.topic("cache", durability="memory")
    rig.topic("orders", partitions=2)
    yield rig
    rig.close()


def ends(rig: Rig) -> list[int]:
    streams = rig.topics.find("cache")["streams"] + rig.topics.find("orders")["streams"]
    return [rig.log.partition(stream).end for stream in streams]


@pytest.mark.parametrize("version", PRODUCE_VERSIONS)
def test_it_goes_on_where_it_stopped(rig: Rig, version: int) -> None:
    """Before a partition that has to wait others may have been written, and refused."""
    host = rig.host()
    parts = {"cache": {0: batch(b"a"), 7: batch(b"b")}, "orders": {1: batch(b"c"), 0: batch(b"d", b"e")}}
    first = rig.produce(version, parts, correlation=1)
    second = rig.produce(version, {"orders": {0: batch(b"f")}}, correlation=2)
    with Full(rig.log):
        for data in (first[:9], first[9:], second):
            assert host.feed(data) == b""
        assert host.waits_room and ends(rig) == [1, 0, 0]
        assert host.room() == b"" and host.waits_room and ends(rig) == [1, 0, 0]
    answers = [produced(version, payload) for payload in frames(host.room())]
    assert [correlation for correlation, _ in answers] == [1, 2]
    assert [topic.name for topic in answers[0][1].responses] == ["cache", "orders"] or version > 12
    assert outcomes(answers[0][1]) == [(0, 0, 0), (7, E.UNKNOWN_TOPIC_OR_PARTITION, -1), (1, 0, 0), (0, 0, 0)]
    assert outcomes(answers[1][1]) == [(0, 0, 2)]
    assert ends(rig) == [1, 3, 1] and rig.protocol.counters()["requests"][0] == 2


def test_a_reactor_keeps_the_request_meanwhile(rig: Rig) -> None:
    """Without a brake, so that it is read although there is no room; in two pieces, with another behind it."""
    reactors = Reactors(threads=1)
    port = reactors.listen(rig.protocol, "127.0.0.1", 0)
    reactors.start()
    first = rig.produce(9, {"cache": {0: batch(b"a")}, "orders": {0: batch(b"b" * 100_000)}}, correlation=1)
    second = rig.produce(9, {"orders": {1: batch(b"c")}}, correlation=2)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        with Full(rig.log):
            sock.sendall(first[:50_000])
            sock.sendall(first[50_000:] + second)
            while ends(rig)[0] == 0:
                assert not select.select([sock], [], [], 0.01)[0]
        with sock.makefile("rb") as stream:
            answers = [produced(9, stream.read(int.from_bytes(stream.read(4), "big"))) for _ in range(2)]
    reactors.stop()
    assert [(number, outcomes(response)[-1]) for number, response in answers] == [(1, (0, 0, 0)), (2, (1, 0, 0))]
    assert ends(rig) == [1, 1, 1]


def test_a_connection_that_ends_meanwhile(rig: Rig) -> None:
    with Full(rig.log):
        host = rig.host()
        assert host.feed(rig.produce(9, {"cache": {0: batch(b"a")}, "orders": {0: batch(b"b")}})) == b""
        assert host.waits_room
        host.close(31)
    assert ends(rig) == [1, 0, 0]


def test_a_full_disk_is_an_error(rig: Rig) -> None:
    from tests.shims import store
    store.fail(rig.log, 48)
    (payload,) = frames(rig.host().feed(rig.produce(9, {"orders": {0: batch(b"a")}})))
    assert outcomes(produced(9, payload)[1]) == [(0, E.KAFKA_STORAGE_ERROR, -1)]
