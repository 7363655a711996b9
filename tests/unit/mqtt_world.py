"""A broker around MQTT sessions without sockets: one reactor's mailbox, a memory log, links that tests feed by hand."""
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from robustmq._fastpath.broker.exchange import Exchange
from robustmq._fastpath.broker.topic import Topics
from robustmq._fastpath.protocols.mqtt.protocol import MqttProtocol
from robustmq._fastpath.reactor.reactors import Reactors
from robustmq._fastpath.stores.log import Log

from robustmq._fastpath.protocols.mqtt import packets
from robustmq._fastpath.protocols.mqtt.reader import Reader, close_packet, put_binary
from tests.shims.mqtt_link import FakeLink, FakeReactor

ATTACH, REPLY, REFUSE = 1, 2, 3
CONNACK = bytes.fromhex("20020000")
OK, NEED_MORE, PARKED, MALFORMED, TOO_LARGE, PROTOCOL_ERROR = 0, 1, 2, 16, 17, 18
QUOTA, TIMED_OUT, PEER_CLOSED, TAKEN_OVER = 29, 30, 31, 32
STORE_FAILED = 49
SECOND = 1_000_000_000


def publish(topic: str, payload: bytes, qos: int = 0, packet_id: int = 0, *, retain: bool = False, dup: bool = False,
            properties: bytes | None = None) -> bytes:
    """A PUBLISH packet; `properties` (without their length) make it version 5."""
    body = put_binary(topic.encode()) + (packet_id.to_bytes(2, "big") if qos else b"")
    if properties is not None:
        assert len(properties) < 128
        body += bytes((len(properties),)) + properties
    return close_packet(0x30 | dup << 3 | qos << 1 | retain, body + payload)


def ack(packet: int, packet_id: int, reason: int | None = None) -> bytes:
    """PUBACK 4, PUBREC 5, PUBREL 6, PUBCOMP 7."""
    tail = b"" if reason is None else bytes((reason,))
    return close_packet(packet << 4 | (2 if packet == 6 else 0), packet_id.to_bytes(2, "big") + tail)


def split(data: bytes) -> list[bytes]:
    """The packets in `data`."""
    found = []
    while data:
        reader = Reader(data, 1)
        n = reader.varint()
        size = len(data) - reader.left + n
        found.append(data[:size])
        data = data[size:]
    return found


@dataclass
class Client:
    """A client's connection and the session behind it."""

    link: Any
    session: int
    version: int
    name: bytes
    world: "World"
    filters: list[str] = field(default_factory=list)

    def send(self, data: bytes, now: int = 0) -> int:
        """Feed the link, then let everybody get what was published; the status."""
        status: int = self.link.feed(data, now)
        self.world.reactor.run(now)
        return status

    def read(self) -> list[bytes]:
        return split(self.link.take())


@dataclass
class World:
    """Everything but sockets, threads and the control plane. Without `directory` the log is in memory."""

    durability: str = "memory"
    limits: dict[str, Any] = field(default_factory=dict)
    directory: Path | None = None
    memory_bytes: int = 8 << 20
    mappings: tuple[tuple[str, str, int, str], ...] = ()
    sizes: dict[str, int] = field(default_factory=dict)         # of the log, others than these

    def __post_init__(self) -> None:
        self.log = Log(self.directory, segment_bytes=1 << 20, memory_bytes=self.memory_bytes, **self.sizes)
        self.topics = Topics(self.log, durability=self.durability, mappings=self.mappings)
        self.exchange = Exchange(self.topics)
        self.reactors = Reactors(threads=1)
        self.exchange.attach(self.reactors, self.log)
        self.protocol = MqttProtocol(self.log, self.topics, self.exchange, **self.limits)
        self.reactor = FakeReactor(self.reactors)
        self.links = 0

    def connect(self, name: bytes = b"c", version: int = packets.V311, *, session: int = 0, keep_alive_ms: int = 0,
                max_packet_out: int = 1 << 28, window: int = 1000, aliases: int = 0, persistent: bool = False,
                order: int = 0, now: int = 0) -> Client:
        """A connection whose CONNECT was accepted; `session` resumes one. The CONNACK is read already."""
        self.links += 1
        link = FakeLink(self.protocol, self.reactor, self.links, now)
        assert link.feed(bytes.fromhex("101000044d51545404020000000474657374"), now) == PARKED
        assert link.parked
        session = session or self.protocol.session_open(name, 0)
        how = self.protocol.attach_payload(CONNACK, version=version, keep_alive_ms=keep_alive_ms,
                                           max_packet_out=max_packet_out, send_maximum=window, alias_out_max=aliases,
                                           persistent=persistent, order=order)
        assert link.answer(ATTACH, how, session, now) == OK
        assert not link.parked
        self.reactor.run(now)
        return Client(link, session, version, name, self)

    def subscribe(self, client: Client, qos: int = 0, filter: str = "#", **options: Any) -> None:
        """What matches goes to `client`."""
        self.exchange.subscribe(client.session, filter, qos=qos, **options)
        client.filters.append(filter)

    def end(self, client: Client, reason: int) -> None:
        """The session is over."""
        for filter in client.filters:
            self.exchange.unsubscribe(client.session, filter)
        self.protocol.session_end(client.session, reason)
        self.reactor.run()

    def close(self) -> None:
        """The inflater's thread and the log end."""
        self.exchange.close()
        self.protocol.close()
        self.log.close()

    def counters(self) -> dict[str, int]:
        return self.protocol.counters()[0]
