"""The dispatcher and ApiVersions: KIP-35, KIP-511, what is advertised, what closes a connection."""
import struct
from collections.abc import Callable
from typing import Any

import pytest

from robustmq._fastpath.protocols.kafka import messages
from robustmq._fastpath.protocols.kafka.apis import COLD_APIS, HANDLERS
from robustmq._fastpath.protocols.kafka.cold import ANSWER, ANSWER_AND_CLOSE
from robustmq._fastpath.protocols.kafka.errors import ErrorCode
from robustmq._fastpath.protocols.kafka.frames import encode_request
from robustmq._fastpath.protocols.kafka.messages import ApiVersionsRequest, ApiVersionsResponse, MetadataRequest
from robustmq._fastpath.protocols.kafka.primitives import Reader

from .fakes import HOT_APIS, Peer

Play = Callable[..., None]

# Issue 2's sixteen, with the ranges of Kafka 4.2 (InitProducerId v6 is not stable) and Produce from 0 (KAFKA-18659).
RANGES = {0: (0, 13), 1: (4, 18), 2: (1, 11), 3: (0, 13), 8: (2, 10), 9: (1, 10), 10: (0, 6), 11: (0, 9), 12: (0, 4),
          13: (0, 5), 14: (0, 5), 18: (0, 4), 19: (2, 7), 20: (1, 6), 21: (0, 2), 22: (0, 5), 32: (1, 4),
          33: (0, 2), 44: (0, 1)}


@pytest.mark.parametrize("version", range(5))
def test_advertised_is_what_the_handler_table_serves(play: Play, version: int) -> None:
    async def scenario(peer: Peer) -> None:
        response = await peer.ask(ApiVersionsRequest("apache-kafka-java", "4.2.0"), version, ApiVersionsResponse)
        assert {each.api_key: (each.min_version, each.max_version) for each in response.api_keys} == RANGES
        assert response.error_code == 0
        assert response.supported_features == []

    play(scenario)


def test_every_advertised_api_has_a_handler_in_all_its_versions() -> None:
    assert set(COLD_APIS) | set(HOT_APIS) == set(RANGES)
    assert set(HANDLERS) == set(COLD_APIS) - {ApiVersionsRequest.API_KEY}
    for name in messages.__all__:
        message = getattr(messages, name)
        if message.API_KEY in COLD_APIS:
            assert (message.VERSIONS[0], message.VERSIONS[-1]) == RANGES[message.API_KEY]


def test_a_version_from_the_future_is_answered_in_v0(play: Play) -> None:
    async def scenario(peer: Peer) -> None:
        kind, payload = await peer.send(struct.pack(">hhi", 18, 99, 5) + b"\xff\xff whatever this may be")
        assert kind == ANSWER
        assert payload == struct.pack(">ihihhh", 5, ErrorCode.UNSUPPORTED_VERSION, 1, 18, 0, 4)

    play(scenario)


@pytest.mark.parametrize(("name", "version", "good"), [
    ("librdkafka", "2.16.1", True), ("a", "1", True), ("", "1", False), ("a", "", False), ("-a", "1", False),
    ("a-", "1", False), ("a b", "1", False), ("a", "1.", False), ("a\n", "1", False)])
def test_the_client_says_who_it_is(play: Play, name: str, version: str, good: bool) -> None:
    async def scenario(peer: Peer) -> None:
        response = await peer.ask(ApiVersionsRequest(name, version), 3, ApiVersionsResponse)
        assert response.error_code == (0 if good else ErrorCode.INVALID_REQUEST)
        assert bool(response.api_keys) == good

    play(scenario)


@pytest.mark.parametrize("frame", [
    pytest.param(b"", id="nothing"),
    pytest.param(b"\x00\x03\x00", id="half a header"),
    pytest.param(struct.pack(">hhi", 999, 0, 1) + b"\xff\xff", id="unknown API"),
    pytest.param(struct.pack(">hhi", 3, 14, 1) + b"\xff\xff", id="unknown version"),
    pytest.param(struct.pack(">hhi", 19, 1, 1) + b"\xff\xff", id="version of the past"),
    pytest.param(struct.pack(">hhi", 0, 9, 1) + b"\xff\xff", id="Produce does not come here"),
    pytest.param(struct.pack(">hhi", 3, 1, 1) + b"\x00\x09abc", id="client id cut"),
    pytest.param(struct.pack(">hhi", 3, 1, 1) + b"\xff\xff\x7f\xff\xff\xff", id="array without end"),
])
def test_no_request_closes_the_connection(play: Play, frame: bytes) -> None:
    async def scenario(peer: Peer) -> None:
        assert await peer.send(frame) == (ANSWER_AND_CLOSE, b"")

    play(scenario)


def test_a_handler_that_fails_closes_and_says_nothing_plausible(play: Play) -> None:
    async def scenario(peer: Peer) -> None:
        def broken() -> Any:
            raise RuntimeError("our own fault")

        peer.topics.all = broken  # type: ignore[method-assign]
        assert await peer.send(encode_request(MetadataRequest(None), 12, 1, None)) == (ANSWER_AND_CLOSE, b"")

    play(scenario)


def test_a_closed_link_is_not_answered(play: Play) -> None:
    async def scenario(peer: Peer) -> None:
        await peer.cold.on_frame(7, 0, b"")
        assert peer.answers == []

    play(scenario)


def test_flexible_requests_of_every_api_may_carry_unknown_tags(play: Play) -> None:
    async def scenario(peer: Peer) -> None:
        for key, api in HANDLERS.items():
            version = api.versions[1]
            frame = bytearray(encode_request(api.request(), version, 1, "c"))
            assert frame.pop() == 0
            frame += b"\x01\x63\x02hi"
            kind, payload = await peer.send(bytes(frame))
            assert kind == ANSWER, key
            assert Reader(payload).fixed(struct.Struct(">i")) == (1,)

    play(scenario)
