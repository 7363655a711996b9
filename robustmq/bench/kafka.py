"""The cold half of the Kafka load: topics, connections, the run, what it tells.

Client i of a role works on partition i % partitions; where nobody consumes and partitions outnumber the producers,
producer i on i, i + producers, i + 2 * producers … in turn. The topic is made anew for every run and deleted after it.
"""
from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from struct import Struct
from typing import Any

from robustmq._fastpath.protocols.kafka.frames import decode_response_header, encode_request
from robustmq._fastpath.protocols.kafka.messages import (
    CreateTopicsRequest,
    CreateTopicsResponse,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
)
from robustmq._fastpath.protocols.kafka.messages.create_topics import CreatableTopic
from robustmq._fastpath.protocols.kafka.messages.list_offsets import ListOffsetsPartition, ListOffsetsTopic
from robustmq._fastpath.protocols.kafka.primitives import Malformed, Reader
from robustmq.bench.kafka_load import run_load
from robustmq.bench.kafka_wire import CLIENT, encode_batch, encode_fetch, encode_produce, framed
from robustmq.bench.mqtt import Address, connect, nothing
from robustmq.bench.net_wait import pause
from robustmq.bench.result import BenchError, Latency, Result

_SIZE = Struct(">i")
ANSWER_S = 15
LEADER_S = 30
EXISTS = 36                     # TOPIC_ALREADY_EXISTS
PRELOAD_S = 300.0
PRELOADERS = 8                  # connections
Producer = tuple[int, bytes, int, list[int], int, int, int]      # as run_load takes it
ANSWERS: dict[type, tuple[type, int]] = {
    CreateTopicsRequest: (CreateTopicsResponse, 4), DeleteTopicsRequest: (DeleteTopicsResponse, 3),
    ListOffsetsRequest: (ListOffsetsResponse, 2),
}


@dataclass(frozen=True)
class KafkaLoad:
    """One load. `producers` and `consumers` are connections; `batch` records make a Produce request; `window` requests
    of one producer may be unanswered. With `preload` that many records are written first, untimed, and consumers read
    from offset 0 again and again; else they follow the tail.
    """

    name: str = "kafka produce"
    producers: int = 1
    consumers: int = 0
    partitions: int = 1
    payload: int = 100
    batch: int = 160            # of 100 bytes: 17 KiB
    acks: int = -1
    window: int = 5
    rate: float = 0.0           # records a second of all producers together; 0: as fast as it goes
    fetch_bytes: int = 1 << 20
    preload: int = 0
    seconds: float = 5.0
    warmup_s: float = 1.0
    spin: bool = False

    def check(self) -> None:
        """BenchError for what cannot run."""
        for name, low, high in (("producers", 0, 10_000), ("consumers", 0, 10_000), ("partitions", 1, 10_000),
                                ("payload", 0, 1 << 20), ("batch", 1, 100_000), ("window", 1, 1000),
                                ("fetch_bytes", 1, 1 << 27), ("preload", 0, 10**10)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise BenchError(f"{name} lies between {low} and {high}, not {value}")
        if self.acks not in (-1, 0, 1):
            raise BenchError(f"acks is -1, 0 or 1, not {self.acks}")
        if not self.producers and not self.preload:
            raise BenchError("consumers need producers, or records that were written before (preload)")


class Cold:
    """One connection that asks and waits."""

    def __init__(self, address: Address) -> None:
        self.socket = connect(address)
        self.socket.settimeout(ANSWER_S)
        self.correlation = 0

    def __enter__(self) -> Cold:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, request: Any) -> Any:
        """The response to a request, in the version of ANSWERS."""
        answer, version = ANSWERS[type(request)]
        self.correlation += 1
        try:
            self.socket.sendall(framed(encode_request(request, version, self.correlation, CLIENT)))
            raw = self.take(_SIZE.unpack(self.take(4))[0])
            reader = Reader(raw)
            decode_response_header(reader, request.API_KEY, version >= request.FLEXIBLE_FROM)
            return answer.decode(reader, version)       # type: ignore[attr-defined]
        except (OSError, Malformed) as error:
            raise BenchError(f"no answer to {type(request).__name__}: {error}") from error

    def take(self, n: int) -> bytes:
        """Exactly `n` bytes."""
        got = bytearray()
        while len(got) < n:
            more = self.socket.recv(min(n - len(got), 1 << 20))
            if not more:
                raise BenchError("the broker closed the connection")
            got += more
        return bytes(got)

    def create(self, topic: str, partitions: int) -> None:
        """A topic with one replica; waits until all its partitions answer."""
        answer = self.ask(CreateTopicsRequest([CreatableTopic(topic, partitions, 1)], ANSWER_S * 1000))
        code = answer.topics[0].error_code
        if code not in (0, EXISTS):
            raise BenchError(f"topic {topic} cannot be made: error {code} {answer.topics[0].error_message or ''}")
        until = time.monotonic() + LEADER_S
        while any(self.last_offset(topic, partition)[0] for partition in range(partitions)):
            if time.monotonic() > until:
                raise BenchError(f"topic {topic} has no leader after {LEADER_S} s")
            pause(0.05)

    def delete(self, topic: str) -> None:
        """Forget a topic; who refuses keeps it."""
        with suppress(BenchError):
            self.ask(DeleteTopicsRequest(topic_names=[topic], timeout_ms=ANSWER_S * 1000))

    def last_offset(self, topic: str, partition: int) -> tuple[int, int]:
        """Error code, and the offset of the next record."""
        asked = ListOffsetsTopic(topic, [ListOffsetsPartition(partition, timestamp=-1)])
        found = self.ask(ListOffsetsRequest(-1, 0, [asked])).topics[0].partitions[0]
        return found.error_code, found.offset


def run(load: KafkaLoad, address: Address, target: str = "", begin: Callable[[], None] = nothing) -> Result:
    """Make the topic, preload, run, count, delete the topic."""
    load.check()
    topic = f"bench-{time.time_ns():x}"
    with Cold(address) as cold:
        cold.create(topic, load.partitions)
        try:
            if load.preload:
                preload(load, address, topic)
            begin()
            return measure(load, address, cold, topic, target or f"{address[0]}:{address[1]}")
        finally:
            cold.delete(topic)


def open_producers(opened: ExitStack, load: KafkaLoad, address: Address, topic: str, *,
                   clients: int, stamped: bool) -> list[Producer]:
    """Connections and requests of producers."""
    batch = encode_batch(load.batch, load.payload)
    stride = load.partitions if load.consumers and not load.preload else clients
    producers = []
    for i in range(clients):
        first = i % load.partitions
        request, batch_at, values_at = encode_produce(topic, first, batch, load.acks)
        connection = non_blocking(opened, address)
        producers.append((connection.fileno(), request, batch_at, values_at if stamped else [], first, stride,
                          load.partitions))
    return producers


def non_blocking(opened: ExitStack, address: Address) -> socket.socket:
    """A connection for the hot half."""
    connection = opened.enter_context(connect(address))
    connection.setblocking(False)
    return connection


def preload(load: KafkaLoad, address: Address, topic: str) -> None:
    """Write the records that consumers read, spread over all partitions."""
    with ExitStack() as opened:
        producers = open_producers(opened, load, address, topic, clients=min(load.partitions, PRELOADERS),
                                   stamped=False)
        counts = run_load(producers, [], records=load.batch, window=load.window, acks=load.acks != 0, rate=0.0,
                          spin=False, stop_after=load.preload, warmup_s=0.0, seconds=PRELOAD_S)
    if counts["total_sent"] < load.preload or counts["errors"] or counts["closed"]:
        raise BenchError(f"preloading stopped at {counts['total_acked']:,} of {load.preload:,} records: "
                         f"error {counts['error_code']}, {counts['closed']} connections closed")


def measure(load: KafkaLoad, address: Address, cold: Cold, topic: str, target: str) -> Result:
    """Run over a topic that is there."""
    stamped = load.consumers > 0 and load.payload >= 8
    with ExitStack() as opened:
        producers = open_producers(opened, load, address, topic, clients=load.producers, stamped=stamped)
        consumers: list[tuple[int, bytes, int, int, int]] = []
        for i in range(load.consumers):
            request, offset_at = encode_fetch(topic, i % load.partitions, load.fetch_bytes)
            wrap_at = cold.last_offset(topic, i % load.partitions)[1] if load.preload else -1
            consumers.append((non_blocking(opened, address).fileno(), request, offset_at, 0, wrap_at))
        counts = run_load(producers, consumers, records=load.batch, window=load.window, acks=load.acks != 0,
                          rate=load.rate, spin=load.spin, stop_after=0, warmup_s=load.warmup_s, seconds=load.seconds)
    return told(load, target, counts, consumers)


def told(load: KafkaLoad, target: str, counts: dict[str, Any], consumers: Sequence[object]) -> Result:
    """The result in the words of all loads."""
    counted = "received" if consumers else "acked" if load.acks else "sent"
    messages = counts[counted]
    readers = max(1, load.consumers // load.partitions)
    lost = max(0, counts["total_sent"] * readers - counts["total_received"]) if consumers and not load.preload else 0
    return Result(
        load.name, target, counts["elapsed_s"], messages, messages * load.payload, counts[f"total_{counted}"],
        counts["total_sent"], lost, {name: counts[name] for name in ("closed", "errors", "corrupt", "error_code")},
        Latency.of(counts["delivery"]), Latency.of(counts["ack"]))
