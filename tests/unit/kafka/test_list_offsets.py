"""ListOffsets, and the look into a batch."""
import struct
from collections.abc import Callable

import pytest

from robustmq._fastpath.broker import codecs
from robustmq._fastpath.protocols.kafka.errors import ErrorCode
from robustmq._fastpath.protocols.kafka.messages import ListOffsetsRequest, ListOffsetsResponse
from robustmq._fastpath.protocols.kafka.messages.list_offsets import ListOffsetsPartition, ListOffsetsTopic
from robustmq._fastpath.protocols.kafka.records import first_record_at

from .batches import GZIP, LZ4, SNAPPY, ZSTD, batch, xerial
from .fakes import FakePartition, Peer

Play = Callable[..., None]
TIMES = [1000, 1010, 1005, 1030]


def fill(peer: Peer) -> None:
    """Offsets 10..13 in one batch, 14 in the next."""
    peer.topics.add("t").logs[0] = FakePartition(10, 15, 2000, [
        (1030, batch(10, TIMES, ZSTD)), (2000, batch(14, [2000]))])


async def ask(peer: Peer, version: int, *times: int, epoch: int = -1) -> list[tuple[int, int, int]]:
    """Error, timestamp and offset for each time; each in a request of its own."""
    answers = []
    for time in times:
        request = ListOffsetsRequest(-1, 0, [ListOffsetsTopic("t", [ListOffsetsPartition(0, epoch, time)])])
        response = await peer.ask(request, version, ListOffsetsResponse)
        each = response.topics[0].partitions[0]
        answers.append((each.error_code, each.timestamp, each.offset))
    return answers


@pytest.mark.parametrize("version", range(1, 12))
def test_by_time_to_the_record(play: Play, version: int) -> None:
    async def scenario(peer: Peer) -> None:
        fill(peer)
        assert await ask(peer, version, 0, 1000, 1001, 1010, 1011, 1031, 2000, 2001) == [
            (0, 1000, 10), (0, 1000, 10), (0, 1010, 11), (0, 1010, 11), (0, 1030, 13), (0, 2000, 14), (0, 2000, 14),
            (0, -1, -1)]

    play(scenario)


def test_special_times_and_the_versions_that_know_them(play: Play) -> None:
    async def scenario(peer: Peer) -> None:
        fill(peer)
        assert await ask(peer, 1, -1, -2) == [(0, -1, 15), (0, -1, 10)]
        assert await ask(peer, 11, -1, -2, -3, -4, -5, -6) == [
            (0, -1, 15), (0, -1, 10), (0, 2000, 14), (0, -1, 10), (0, -1, -1), (0, -1, -1)]
        for time, since in ((-3, 7), (-4, 8), (-5, 9), (-6, 11)):
            assert (await ask(peer, since - 1, time))[0][0] == ErrorCode.UNSUPPORTED_VERSION
            assert (await ask(peer, since, time))[0][0] == 0
        assert (await ask(peer, 11, -7))[0][0] == ErrorCode.UNSUPPORTED_VERSION

    play(scenario)


def test_an_empty_partition(play: Play) -> None:
    async def scenario(peer: Peer) -> None:
        peer.topics.add("t")
        assert await ask(peer, 7, -1, -2, -3, 5) == [(0, -1, 0), (0, -1, 0), (0, -1, -1), (0, -1, -1)]

    play(scenario)


def test_epochs_and_unknown_partitions(play: Play) -> None:
    async def scenario(peer: Peer) -> None:
        fill(peer)
        assert (await ask(peer, 4, -1, epoch=0))[0] == (0, -1, 15)
        assert (await ask(peer, 4, -1, epoch=1))[0][0] == ErrorCode.UNKNOWN_LEADER_EPOCH
        request = ListOffsetsRequest(-1, 0, [
            ListOffsetsTopic("t", [ListOffsetsPartition(number, -1, -1) for number in (0, 0, 1, -1)]),
            ListOffsetsTopic("u", [ListOffsetsPartition(0, -1, -1)])])
        response = await peer.ask(request, 4, ListOffsetsResponse)
        unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert [each.error_code for topic in response.topics for each in topic.partitions] == [
            ErrorCode.INVALID_REQUEST, ErrorCode.INVALID_REQUEST, unknown, unknown, unknown]
        response = await peer.ask(ListOffsetsRequest(-1, 0, [
            ListOffsetsTopic("t", [ListOffsetsPartition(0, -1, -1)])]), 4, ListOffsetsResponse)
        assert response.topics[0].partitions[0].leader_epoch == 0

    play(scenario)


@pytest.mark.parametrize("codec", [0, GZIP, SNAPPY, LZ4, ZSTD])
def test_every_codec(codec: int) -> None:
    data = batch(10, TIMES, codec)
    assert [first_record_at(data, time) for time in (1, 1001, 1030, 1031)] == [
        (1000, 10), (1010, 11), (1030, 13), None]


def test_java_s_snappy() -> None:
    plain = batch(10, TIMES)[61:]
    assert first_record_at(batch(10, TIMES, SNAPPY, packed=xerial(plain)), 1020) == (1030, 13)


def test_log_append_time_is_the_batch_s() -> None:
    assert first_record_at(batch(10, TIMES, attributes=8), 1020) == (1030, 10)


@pytest.mark.parametrize("codec", [0, GZIP, SNAPPY, LZ4, ZSTD])
@pytest.mark.parametrize("packed", [b"", b"\xff" * 40, struct.pack(">q", 5), b"\x01" * 40])
def test_what_cannot_be_looked_into_gives_the_first_offset(codec: int, packed: bytes) -> None:
    assert first_record_at(batch(10, TIMES, codec, packed=packed), 1020) == (1030, 10)


@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD])
def test_a_batch_inflates_to_a_bounded_size(codec: int, monkeypatch: pytest.MonkeyPatch) -> None:
    big = batch(10, TIMES, codec, value=bytes(200_000))
    assert first_record_at(big, 1020) == (1030, 13)
    monkeypatch.setattr(codecs, "INFLATED_MAX", 500_000)
    assert first_record_at(big, 1020) == (1030, 10)
