"""MQTT sessions without sockets: what one read of 500 messages of 100 bytes costs, in and out.

Each case handles 500 messages a round; divide by 500 for a message. `in` is parse, batch and append; `deliver` is the
feed, encoding and queueing for the socket.
"""
from __future__ import annotations

from typing import Any

import pytest

from tests.unit.mqtt_world import World, ack, publish

N = 500


def frames(qos: int) -> bytes:
    """One read."""
    return b"".join(publish("bench/topic", b"x" * 100, qos, i + 1) for i in range(N))


@pytest.mark.parametrize("qos", [0, 1])
def test_in(benchmark: Any, qos: int) -> None:
    """Nobody subscribes; QoS 1 is acknowledged."""
    world = World(memory_bytes=256 << 20)
    writer = world.connect(b"writer")
    data = frames(qos)

    def one() -> None:
        writer.link.feed(data)
        writer.link.take()

    benchmark(one)
    world.close()


@pytest.mark.parametrize(("qos", "version"), [(0, 4), (0, 5), (1, 4), (1, 5)])
def test_deliver(benchmark: Any, qos: int, version: int) -> None:
    """One subscriber; at QoS 1 its acknowledgements are outside of the measurement."""
    world = World(memory_bytes=256 << 20)
    writer, reader = world.connect(b"writer"), world.connect(b"reader", version, window=N)
    world.subscribe(reader, qos)
    data = frames(qos)
    last = 0

    def before() -> None:
        nonlocal last
        reader.link.take()
        if qos and last:
            reader.link.feed(b"".join(ack(4, (last - N + i) % 65535 + 1) for i in range(N)))
        writer.link.feed(data)
        writer.link.take()
        last += N

    benchmark.pedantic(world.reactor.run, setup=before, rounds=200)
    world.close()
