"""What the Kafka load sends, against the project's own decoders; and the run against a broker of twenty lines."""
from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest
from kafka.record.default_records import DefaultRecordBatch

from robustmq._fastpath.protocols.kafka.frames import RequestHeader, encode_response
from robustmq._fastpath.protocols.kafka.messages import (
    CreateTopicsRequest,
    CreateTopicsResponse,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    FetchRequest,
    FetchResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ProduceRequest,
    ProduceResponse,
)
from robustmq._fastpath.protocols.kafka.messages.create_topics import CreatableTopicResult
from robustmq._fastpath.protocols.kafka.messages.fetch import FetchableTopicResponse, PartitionData
from robustmq._fastpath.protocols.kafka.messages.list_offsets import (
    ListOffsetsPartitionResponse,
    ListOffsetsTopicResponse,
)
from robustmq._fastpath.protocols.kafka.messages.produce import PartitionProduceResponse, TopicProduceResponse
from robustmq._fastpath.protocols.kafka.primitives import Reader
from robustmq.bench.kafka import KafkaLoad, run
from robustmq.bench.kafka_wire import OFFSET_MARK, encode_batch, encode_fetch, encode_produce
from robustmq.bench.result import BenchError

SHORT = KafkaLoad(seconds=0.3, warmup_s=0.05, batch=10)
FLEXIBLE = {0: 9, 1: 12, 2: 6, 19: 5, 20: 4}


@pytest.mark.parametrize(("records", "payload"), [(1, 0), (1, 100), (64, 8), (200, 100), (3, 20_000)])
def test_a_batch_is_what_kafka_reads(records: int, payload: int) -> None:
    batch = encode_batch(records, payload)
    decoded = DefaultRecordBatch(batch.data)
    assert decoded.validate_crc()
    assert [(r.offset, r.key, r.value) for r in decoded] == [(i, None, b"x" * payload) for i in range(records)]
    assert all(batch.data[at:at + payload] == b"x" * payload for at in batch.values_at)
    assert len(set(batch.values_at)) == records


def body_of(request: bytes, version: int, flexible: dict[int, int] = FLEXIBLE) -> Reader:
    assert struct.unpack(">i", request[:4])[0] == len(request) - 4
    reader = Reader(request[4:])
    assert RequestHeader.decode(reader, flexible).version == version
    return reader


def test_produce_and_its_positions() -> None:
    batch = encode_batch(5, 50)
    request, batch_at, values_at = encode_produce("t", 3, batch, -1)
    decoded = ProduceRequest.decode(body_of(request, 7), 7)
    assert decoded.acks == -1
    assert decoded.topic_data[0].partition_data[0].records == batch.data
    assert request[batch_at:] == batch.data
    assert all(request[at:at + 50] == b"x" * 50 for at in values_at)


def test_fetch_and_its_position() -> None:
    request, offset_at = encode_fetch("t", 2, 1000)
    partition = FetchRequest.decode(body_of(request, 4), 4).topics[0].partitions[0]
    assert (partition.partition, partition.fetch_offset, partition.partition_max_bytes) == (2, OFFSET_MARK, 1000)
    assert request[offset_at:offset_at + 8] == OFFSET_MARK.to_bytes(8, "big")


class OneLog:
    """A Kafka broker with one partition, in memory; `code` answers every Produce."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.batches: list[bytes] = []
        self.end = 0
        self.code = 0
        self.grown = threading.Condition()

    def accept(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self.serve, args=(self.listener.accept()[0],), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        with suppress(OSError, struct.error), connection, connection.makefile("rb") as stream:
            while True:
                request = stream.read(struct.unpack(">i", stream.read(4))[0])
                reader = Reader(request)
                header = RequestHeader.decode(reader, FLEXIBLE)
                answer = self.answer(header.api_key, reader, header.version)
                raw = encode_response(answer, header.version, header.correlation_id)  # type: ignore[arg-type]
                connection.sendall(struct.pack(">i", len(raw)) + raw)

    def answer(self, key: int, reader: Reader, version: int) -> object:
        if key == ProduceRequest.API_KEY:
            records = ProduceRequest.decode(reader, version).topic_data[0].partition_data[0].records
            assert records is not None
            with self.grown:
                base = self.end
                if not self.code:
                    self.batches.append(struct.pack(">q", base) + records[8:])
                    self.end += struct.unpack_from(">i", records, 57)[0]
                self.grown.notify_all()
            return ProduceResponse([TopicProduceResponse("t", partition_responses=[
                PartitionProduceResponse(0, self.code, base)])])
        if key == FetchRequest.API_KEY:
            offset = FetchRequest.decode(reader, version).topics[0].partitions[0].fetch_offset
            with self.grown:
                self.grown.wait_for(lambda: self.end > offset, 0.2)
                found = [b for b in self.batches if struct.unpack_from(">q", b)[0] >= offset][:20]
            return FetchResponse(responses=[FetchableTopicResponse("t", partitions=[
                PartitionData(0, 0, self.end, records=b"".join(found))])])
        if key == ListOffsetsRequest.API_KEY:
            return ListOffsetsResponse(0, [ListOffsetsTopicResponse("t", [
                ListOffsetsPartitionResponse(0, offset=self.end)])])
        if key == CreateTopicsRequest.API_KEY:
            return CreateTopicsResponse(0, [CreatableTopicResult("t")])
        assert key == DeleteTopicsRequest.API_KEY
        return DeleteTopicsResponse()

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.listener.getsockname()[1]


@pytest.fixture
def log() -> Iterator[OneLog]:
    broker = OneLog()
    threading.Thread(target=broker.accept, daemon=True).start()
    yield broker
    broker.listener.close()


def test_produce_counts_what_is_acknowledged(log: OneLog) -> None:
    result = run(SHORT, log.address)
    assert not any(result.errors.values())
    assert 0 < result.messages <= result.total == result.sent == log.end
    assert result.ack_latency is not None
    for raw in log.batches:
        assert DefaultRecordBatch(raw).validate_crc()


def test_a_rate_is_kept(log: OneLog) -> None:
    result = run(replace(SHORT, rate=1000), log.address)
    assert result.sent <= 360
    assert result.ack_latency is not None


def test_end_to_end_delivers_everything_with_its_latency(log: OneLog) -> None:
    result = run(replace(SHORT, consumers=1, rate=2000), log.address)
    assert not any(result.errors.values())
    assert result.lost == 0
    assert result.latency is not None
    assert result.latency.max < 10e6
    assert DefaultRecordBatch(log.batches[-1]).validate_crc()


def test_consume_reads_from_the_start_again_and_again(log: OneLog) -> None:
    result = run(replace(SHORT, producers=0, consumers=1, preload=200), log.address)
    assert not any(result.errors.values())
    assert log.end == 200
    assert result.total > 200


def test_errors_are_told(log: OneLog) -> None:
    log.code = 7
    result = run(SHORT, log.address)
    assert result.messages == 0
    assert result.errors["error_code"] == 7
    assert result.errors["errors"] >= 1


@pytest.mark.parametrize(("change", "message"), [
    ({"producers": 0}, "consumers need producers"), ({"batch": 0}, "batch lies between"), ({"acks": 2}, "acks is"),
    ({"partitions": 0}, "partitions lies between"),
])
def test_what_cannot_run_says_why(change: dict[str, int], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        replace(SHORT, **change).check()
