"""The cold half of the MQTT load: connect, subscribe, encode the frame, run, tell.

Publisher i sends to topics i, i + publishers, i + 2 * publishers … below `topics`; subscriber j reads topic j % topics,
or, where topics outnumber subscribers, j, j + subscribers, … So `10 publishers, 10 subscribers, 10 topics` are ten
pairs, and `1 publisher, 50 subscribers, 1 topic` is a fan-out.
"""
from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from robustmq._fastpath.protocols.mqtt.packets import V5
from robustmq._fastpath.protocols.mqtt.properties import read_properties
from robustmq._fastpath.protocols.mqtt.reader import Reader, close_packet, open_packet, put_binary
from robustmq.bench.mqtt_load import run_load
from robustmq.bench.result import BenchError, Latency, Result

CONNECT_S = 10
FILTERS_A_PACKET = 500
DIGITS = 7                      # of a topic's number: mqtt_load.pxd, TOPIC_DIGITS
STAMP = 8                       # bytes of a payload that hold the intended time of sending
Address = tuple[str, int]


@dataclass(frozen=True)
class MqttLoad:
    """One load. `window` bounds what a publisher has outstanding: unacknowledged messages (QoS 1 and 2), and
    undelivered ones where the same run subscribes and the load is not rated (0: no bound, and QoS 0 may be dropped).
    """

    name: str = "mqtt pubsub"
    publishers: int = 1
    subscribers: int = 1
    topics: int = 1
    payload: int = 100
    qos: int = 0
    batch: int = 1
    rate: float = 0.0           # messages a second of all publishers together; 0: as fast as it goes
    window: int = 1000
    version: int = 4
    prefix: str = "bench"
    seconds: float = 5.0
    warmup_s: float = 1.0
    each: int = 0               # messages that a publisher sends at most; 0: no bound
    spin: bool = False

    def check(self) -> None:
        """BenchError for what cannot run."""
        for name, low, high in (("publishers", 0, 100_000), ("subscribers", 0, 100_000), ("topics", 1, 10**DIGITS),
                                ("payload", 0, 1 << 21), ("qos", 0, 2), ("batch", 1, 10_000), ("window", 0, 65_535),
                                ("version", 4, 5), ("each", 0, 10**12)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise BenchError(f"{name} lies between {low} and {high}, not {value}")
        if not self.publishers and not self.subscribers:
            raise BenchError("a load needs publishers or subscribers")
        if self.qos and not self.window:
            raise BenchError("a window of 0 needs QoS 0: packet identifiers are bounded")
        if self.seconds <= 0 or self.warmup_s < 0 or self.rate < 0:
            raise BenchError("seconds must be above 0, warm-up and rate not below 0")

    @property
    def credit(self) -> int:
        """Deliveries that may be outstanding."""
        if self.rate or not self.subscribers:
            return 0
        return self.window * self.publishers * max(1, self.subscribers // self.topics)

    def filters(self, subscriber: int) -> list[str]:
        """The topics that a subscriber reads."""
        numbers = (range(subscriber, self.topics, self.subscribers) if self.subscribers < self.topics
                   else [subscriber % self.topics])
        return [self.topic(number) for number in numbers]

    def topic(self, number: int) -> str:
        """Fixed width, so that a number can be patched in place."""
        return f"{self.prefix}/{number:0{DIGITS}}"


@dataclass(frozen=True)
class Frame:
    """An encoded PUBLISH and where its changing parts lie (0: there is none)."""

    data: bytes
    topic_at: int
    id_at: int
    stamp_at: int


def encode_frame(load: MqttLoad) -> Frame:
    """The PUBLISH that every publisher sends."""
    topic = load.topic(0).encode()
    fixed = put_binary(topic) + (b"\0\1" if load.qos else b"") + (b"\0" if load.version == V5 else b"")
    data = close_packet(0x30 | load.qos << 1, fixed + b"x" * load.payload)
    body_at = len(data) - len(fixed) - load.payload
    topic_end = body_at + 2 + len(topic)
    return Frame(data, topic_end - DIGITS, topic_end if load.qos else 0,
                 len(data) - load.payload if load.payload >= STAMP else 0)


def read_packet(connection: socket.socket) -> bytes:
    """Exactly one packet, and not a byte of the next."""
    packet = bytearray(take(connection, 2))
    while packet[-1] >= 128 and len(packet) < 5:
        packet += take(connection, 1)
    length = Reader(bytes(packet), 1).varint()
    return bytes(packet) + take(connection, length)


def take(connection: socket.socket, n: int) -> bytes:
    """Exactly `n` bytes."""
    got = b""
    while len(got) < n:
        more = connection.recv(n - len(got))
        if not more:
            raise BenchError("the broker closed the connection during the handshake")
        got += more
    return got


def connect(address: Address, source: Address | None = None) -> socket.socket:
    """A TCP connection without Nagle's delay, from `source` (None: any of ours)."""
    try:
        connection = socket.create_connection(address, timeout=CONNECT_S, source_address=source)
    except OSError as error:
        raise BenchError(f"no connection to {address[0]}:{address[1]}: {error.strerror or error}") from error
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def greet(connection: socket.socket, client_id: str, version: int) -> int:
    """CONNECT with a clean session; the server's receive maximum [MQTT5-3.2.2.3.3]."""
    body = put_binary(b"MQTT") + bytes((version, 2, 0, 0)) + (b"\0" if version == V5 else b"")
    connection.sendall(close_packet(0x10, body + put_binary(client_id.encode())))
    first, reader = open_packet(read_packet(connection))
    reader.u8()
    code = reader.u8()
    if first != 0x20 or code:
        raise BenchError(f"the broker refuses CONNECT with code {code}")
    properties = read_properties(reader, "connack") if version == V5 else {}
    receive_maximum = properties.get("receive_maximum", 65_535)
    assert isinstance(receive_maximum, int)
    return receive_maximum


def subscribe(connection: socket.socket, filters: Sequence[str], qos: int, version: int) -> None:
    """SUBSCRIBE to all filters; a refused one is an error."""
    properties = b"\0" if version == V5 else b""
    for at in range(0, len(filters), FILTERS_A_PACKET):
        some = filters[at:at + FILTERS_A_PACKET]
        payload = b"".join(put_binary(text.encode()) + bytes((qos,)) for text in some)
        connection.sendall(close_packet(0x82, b"\0\1" + properties + payload))
        packet = read_packet(connection)
        while packet[0] != 0x90:                # a message may come before its SUBACK [MQTT-3.8.4]
            packet = read_packet(connection)
        if any(code >= 0x80 for code in packet[-len(some):]):
            raise BenchError(f"the broker refuses the subscription to {some[0]}: {packet[-len(some):].hex()}")


def nothing() -> None:
    """Who is not charged needs no beginning."""


def run(load: MqttLoad, address: Address, target: str = "", begin: Callable[[], None] = nothing) -> Result:
    """Connect everybody, run, count."""
    load.check()
    with ExitStack() as opened:
        window = load.window
        subscribers: list[socket.socket] = []
        for i in range(load.subscribers):
            connection = opened.enter_context(connect(address))
            greet(connection, f"bench-{os.getpid()}-s{i}", load.version)
            subscribe(connection, load.filters(i), load.qos, load.version)
            subscribers.append(connection)
        publishers: list[socket.socket] = []
        for i in range(load.publishers):
            connection = opened.enter_context(connect(address))
            window = min(window, greet(connection, f"bench-{os.getpid()}-p{i}", load.version))
            publishers.append(connection)
        return measure(replace(load, window=window), publishers, subscribers,
                       target or f"{address[0]}:{address[1]}", begin)


def measure(load: MqttLoad, publishers: Sequence[socket.socket], subscribers: Sequence[socket.socket],
            target: str, begin: Callable[[], None] = nothing) -> Result:
    """Run over connections that have been greeted."""
    begin()
    frame = encode_frame(load)
    for connection in (*publishers, *subscribers):
        connection.setblocking(False)
    counts = run_load(
        [c.fileno() for c in publishers], [c.fileno() for c in subscribers], frame=frame.data, topic_at=frame.topic_at,
        id_at=frame.id_at, stamp_at=frame.stamp_at, topics=load.topics, batch=load.batch, window=max(load.window, 1),
        credit=load.credit, qos=load.qos, v5=load.version == V5, each=load.each, rate=load.rate, spin=load.spin,
        warmup_s=load.warmup_s, seconds=load.seconds)
    counted = "received" if subscribers else "acked" if load.qos else "sent"
    messages = counts[counted]
    return Result(
        load.name, target, counts["elapsed_s"], messages, messages * load.payload, counts[f"total_{counted}"],
        counts["total_sent"], counts["lost"], {name: counts[name] for name in ("closed", "refused", "malformed")},
        Latency.of(counts["delivery"]), Latency.of(counts["ack"]))
