"""A Kafka protocol over a real log, without sockets: requests in, responses out, as bytes or as messages."""
import struct
from pathlib import Path
from typing import Any

from robustmq._fastpath.broker.exchange import Exchange
from robustmq._fastpath.broker.topic import Topics
from robustmq._fastpath.protocols.kafka.protocol import HOT_APIS, KafkaProtocol
from robustmq._fastpath.stores.log import Log

from robustmq._fastpath.protocols.kafka.frames import decode_response_header, encode_request
from robustmq._fastpath.protocols.kafka.messages import FetchRequest, FetchResponse, ProduceRequest, ProduceResponse
from robustmq._fastpath.protocols.kafka.messages.fetch import FetchPartition, FetchTopic
from robustmq._fastpath.protocols.kafka.messages.produce import PartitionProduceData, TopicProduceData
from robustmq._fastpath.protocols.kafka.primitives import Reader
from tests.shims import link_host, shim_codec

COLD_APIS = {3: (0, 13), 18: (0, 4)}
PRODUCE_VERSIONS = range(3, HOT_APIS[0][1] + 1)
FETCH_VERSIONS = range(HOT_APIS[1][0], HOT_APIS[1][1] + 1)


def framed(payload: bytes) -> bytes:
    return struct.pack(">i", len(payload)) + payload


def frames(data: bytes) -> list[bytes]:
    """The payloads of whole frames."""
    found = []
    while data:
        (n,) = struct.unpack_from(">i", data)
        assert len(data) >= 4 + n, "a partial frame"
        found.append(data[4:4 + n])
        data = data[4 + n:]
    return found


def batch(*values: bytes | None, key: bytes | None = b"k", **fields: int) -> bytes:
    """One record batch v2. `fields`: attributes, producer_id, producer_epoch, base_sequence, magic."""
    status, data = shim_codec.build([(1000, key, value, []) for value in values or (b"v",)], 1 << 24)
    assert status == 0
    out = bytearray(data)
    for name, (form, at) in {"attributes": (">h", 21), "producer_id": (">q", 43), "producer_epoch": (">h", 51),
                             "base_sequence": (">i", 53), "magic": (">b", 16)}.items():
        if name in fields:
            struct.pack_into(form, out, at, fields[name])
    struct.pack_into(">I", out, 17, shim_codec.crc("hot", bytes(out), 21))
    return bytes(out)


def at_offset(data: bytes, offset: int) -> bytes:
    """The batch as a consumer sees it."""
    return struct.pack(">q", offset) + data[8:12] + struct.pack(">i", 0) + data[16:]


EXPIRATION_MS = 3_600_000


class Rig:
    """Topics on a log, and connections to them."""

    def __init__(self, directory: Path | None = None, sizes: dict[str, int] | None = None, **limits: int) -> None:
        """`sizes`: of the log, others than these."""
        self.log = Log(directory, **{"segment_bytes": 8 << 20, "journal_bytes": 64 << 20, "memory_bytes": 64 << 20,
                                     "producer_expiration_ms": EXPIRATION_MS} | (sizes or {}))
        self.topics = Topics(self.log)
        self.exchange = Exchange(self.topics)
        self.protocol = KafkaProtocol(self.topics, self.exchange, COLD_APIS, **limits)
        self.ids: dict[str, bytes] = {}

    def close(self) -> None:
        self.exchange.close()
        self.log.close()

    def topic(self, name: str, partitions: int = 1, durability: str = "process", **flags: bool) -> None:
        self.ids[name] = name.encode().ljust(16, b".")[:16]
        assert self.topics.create(name, partitions, durability=durability, topic_id=self.ids[name], **flags)

    def host(self, link_id: int = 1 << 24) -> link_host.LinkHost:
        """A connection; the top byte of its id is its reactor's index, and two threads need two."""
        return link_host.LinkHost(self.protocol, link_id)

    def produce(self, version: int, parts: dict[str, dict[int, bytes | None]], acks: int = -1, correlation: int = 7,
                transactional_id: str | None = None) -> bytes:
        """A framed Produce request."""
        request = ProduceRequest(transactional_id=transactional_id, acks=acks, timeout_ms=1000, topic_data=[
            TopicProduceData(name, self.ids.get(name, b"?" * 16), [
                PartitionProduceData(index, data) for index, data in partitions.items()])
            for name, partitions in parts.items()])
        return framed(encode_request(request, version, correlation, "tester"))

    def fetch(self, version: int, parts: dict[str, dict[int, int]], correlation: int = 9, max_wait_ms: int = 0,
              min_bytes: int = 1, max_bytes: int = 1 << 30, partition_max_bytes: int = 1 << 20,
              leader_epoch: int = -1, session_epoch: int = -1) -> bytes:
        """A framed Fetch request; `parts`: topic -> partition -> offset."""
        request = FetchRequest(max_wait_ms=max_wait_ms, min_bytes=min_bytes, max_bytes=max_bytes,
                               session_epoch=session_epoch, topics=[
            FetchTopic(name, self.ids.get(name, b"?" * 16), [
                FetchPartition(number, leader_epoch, offset, partition_max_bytes=partition_max_bytes)
                for number, offset in partitions.items()])
            for name, partitions in parts.items()])
        return framed(encode_request(request, version, correlation, "tester"))


def response_of(kind: Any, key: int, version: int, payload: bytes) -> tuple[int, Any]:
    """Correlation id and message of one response; nothing may be left over."""
    reader = Reader(payload)
    correlation = decode_response_header(reader, key, version >= kind.FLEXIBLE_FROM)
    message = kind.decode(reader, version)
    assert reader.pos == len(payload)
    return correlation, message


def produced(version: int, payload: bytes) -> tuple[int, ProduceResponse]:
    return response_of(ProduceResponse, 0, version, payload)


def fetched(version: int, payload: bytes) -> tuple[int, FetchResponse]:
    return response_of(FetchResponse, 1, version, payload)


def outcomes(message: ProduceResponse) -> list[tuple[int, int, int]]:
    """(partition, error, base offset) of each partition."""
    return [(one.index, one.error_code, one.base_offset)
            for topic in message.responses for one in topic.partition_responses]


def records_of(message: FetchResponse) -> dict[int, tuple[int, bytes]]:
    """partition -> (error, records) of the first topic."""
    return {one.partition_index: (one.error_code, one.records) for one in message.responses[0].partitions}
