"""CONNECT, SUBSCRIBE and UNSUBSCRIBE of MQTT 3.1, 3.1.1 and 5.0, and their answers. Whole packets in, whole packets
out; what the specification forbids is a WireError.
"""
from dataclasses import dataclass, field

from .properties import Properties, put_properties, read_properties
from .reader import Reader, close_packet, open_packet, put_binary
from .reasons import RETURN_CODES, Reason, WireError

V31, V311, V5 = 3, 4, 5
NAMES = {"MQIsdp": (V31,), "MQTT": (V311, V5)}
FILTER_MAX = 65_535


@dataclass(slots=True)
class Will:
    """What the server publishes for a client that is gone [MQTT-3.1.2.5]."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: Properties = field(default_factory=dict)

    @property
    def delay_s(self) -> int:
        """Seconds between the loss of the connection and the will [MQTT-3.1.3.2.2]."""
        return int(self.properties.get("will_delay", 0))  # type: ignore[arg-type]


@dataclass(slots=True)
class Connect:
    """[MQTT-3.1]. `clean` is Clean Session of 3.1.1 and Clean Start of 5.0."""

    version: int
    clean: bool
    keep_alive_s: int
    client_id: str
    username: str | None
    password: bytes | None
    will: Will | None
    properties: Properties

    def number(self, name: str, default: int) -> int:
        """A numeric property, or what its absence means."""
        value = self.properties.get(name, default)
        assert isinstance(value, int)
        return value


@dataclass(slots=True)
class Filter:
    """One filter of a SUBSCRIBE with its options [MQTT-3.8.3.1]."""

    text: str
    qos: int
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0


@dataclass(slots=True)
class Subscribe:
    """[MQTT-3.8]; `identifier` 0 means none."""

    packet_id: int
    filters: list[Filter]
    identifier: int


@dataclass(slots=True)
class Unsubscribe:
    """[MQTT-3.10]."""

    packet_id: int
    filters: list[str]


def malformed(detail: str) -> WireError:
    """What version 5 calls reason 0x81."""
    return WireError(Reason.MALFORMED, detail)


def decode_connect(frame: bytes) -> Connect:
    """A CONNECT packet, whole."""
    first, reader = open_packet(frame)
    if first != 0x10:
        raise malformed("the first packet is not a CONNECT, or has flags")          # [MQTT-3.1.0-1, 2.1.3-1]
    version = _version(reader)
    flags = reader.u8()
    if flags & 1:
        raise malformed("the reserved connect flag is set")                         # [MQTT-3.1.2-3]
    will_qos = flags >> 3 & 3
    if will_qos == 3 or (not flags & 4 and flags & 0x38):
        raise malformed("will QoS or retain without a will, or will QoS 3")         # [MQTT-3.1.2-11 to -15]
    if version != V5 and flags & 0xC0 == 0x40:
        raise malformed("a password without a user name")                           # [MQTT-3.1.2-22]
    keep_alive_s = reader.u16()
    properties = read_properties(reader, "connect") if version == V5 else {}
    if "authentication_data" in properties and "authentication_method" not in properties:
        raise WireError(Reason.PROTOCOL_ERROR, "authentication data without a method")    # [MQTT-3.1.2.11.10]
    client_id = reader.string()
    will = _will(reader, version, will_qos, bool(flags & 0x20)) if flags & 4 else None
    username = reader.string() if flags & 0x80 else None
    password = reader.binary() if flags & 0x40 else None
    if reader.left:
        raise malformed("bytes after the payload")
    return Connect(version, bool(flags & 2), keep_alive_s, client_id, username, password, will, properties)


def _version(reader: Reader) -> int:
    name = reader.string()
    level = reader.u8()
    if name not in NAMES:
        raise malformed("the protocol name is not MQTT")                            # [MQTT-3.1.2-1]
    if level not in NAMES[name]:
        raise WireError(Reason.UNSUPPORTED_VERSION, f"protocol level {level}")      # [MQTT-3.1.2-2]
    return level


def _will(reader: Reader, version: int, qos: int, retain: bool) -> Will:
    properties = read_properties(reader, "will") if version == V5 else {}
    topic = reader.string()
    if not topic or "+" in topic or "#" in topic:
        raise WireError(Reason.TOPIC_INVALID, "the will's topic is empty or has a wildcard")
    return Will(topic, reader.binary(), qos, retain, properties)


def peek_version(frame: bytes) -> int:
    """The protocol level of a CONNECT that may be wrong elsewhere, to answer in its own words; 0 when unreadable."""
    try:
        return _version(open_packet(frame)[1])
    except WireError:
        return 0


def decode_subscribe(frame: bytes, version: int) -> Subscribe:
    """A SUBSCRIBE packet, whole."""
    packet_id, properties, reader = _request(frame, 8, "subscribe", version)
    filters: list[Filter] = []
    while reader.left:
        text = check_filter(reader.string())
        options = reader.u8()
        if options & 3 == 3 or options & (0xC0 if version == V5 else 0xFC):
            raise malformed("subscription options have reserved bits or QoS 3")     # [MQTT-3.8.3-5]
        retain_handling = options >> 4 & 3
        if retain_handling == 3:
            raise WireError(Reason.PROTOCOL_ERROR, "retain handling 3")             # [MQTT-3.8.3.1]
        no_local = bool(options & 4)
        if no_local and is_shared(text):
            raise WireError(Reason.PROTOCOL_ERROR, "no local on a shared subscription")   # [MQTT-3.8.3-4]
        filters.append(Filter(text, options & 3, no_local, bool(options & 8), retain_handling))
    if not filters:
        raise WireError(Reason.PROTOCOL_ERROR, "a SUBSCRIBE without a filter")      # [MQTT-3.8.3-2]
    identifier = properties.get("subscription_id", 0)
    assert isinstance(identifier, int)
    return Subscribe(packet_id, filters, identifier)


def decode_unsubscribe(frame: bytes, version: int) -> Unsubscribe:
    """An UNSUBSCRIBE packet, whole."""
    packet_id, _, reader = _request(frame, 10, "unsubscribe", version)
    filters: list[str] = []
    while reader.left:
        filters.append(check_filter(reader.string()))
    if not filters:
        raise WireError(Reason.PROTOCOL_ERROR, "an UNSUBSCRIBE without a filter")   # [MQTT-3.10.3-2]
    return Unsubscribe(packet_id, filters)


def _request(frame: bytes, packet: int, name: str, version: int) -> tuple[int, Properties, Reader]:
    first, reader = open_packet(frame)
    # [MQTT-3.8.1-1, 3.10.1-1]; 3.1 may set DUP here.
    if first != packet << 4 | 2 and not (version == V31 and first == packet << 4 | 10):
        raise malformed(f"the flags of {name.upper()} are not 0010")
    packet_id = reader.u16()
    if packet_id == 0:
        raise malformed("packet identifier 0")                                      # [MQTT-2.2.1-3]
    return packet_id, read_properties(reader, name) if version == V5 else {}, reader


def is_shared(filter: str) -> bool:
    """Whether it is a shared subscription's [MQTT-4.8.2]."""
    return filter.startswith("$share/")


def check_filter(text: str) -> str:
    """`text` when it is a topic filter [MQTT-4.7.1, 4.7.3-1, 4.8.2], else a WireError."""
    topic = text
    if is_shared(text):
        group, _, topic = text[7:].partition("/")
        if not group or "+" in group or "#" in group:
            raise malformed("the share name is empty or has a wildcard")            # [MQTT-4.8.2-1, -2]
    if not topic:
        raise malformed("an empty topic filter")                                    # [MQTT-4.7.3-1]
    if "+" in topic or "#" in topic:
        levels = topic.split("/")
        if any("#" in level for level in levels[:-1]) or (levels[-1].count("#") and levels[-1] != "#"):
            raise malformed("# is not the last level")                              # [MQTT-4.7.1-1]
        if any("+" in level and level != "+" for level in levels):
            raise malformed("+ does not fill its level")                            # [MQTT-4.7.1-2]
    return text


def encode_connack(version: int, reason: Reason, session_present: bool, properties: Properties) -> bytes:
    """CONNACK; empty when the version has no word for the reason (then the connection is just closed)."""
    if version == V5:
        return close_packet(0x20, bytes((session_present, reason)) + put_properties(properties))
    code = RETURN_CODES.get(reason)
    return b"" if code is None else close_packet(0x20, bytes((session_present and version == V311, code)))


def encode_suback(version: int, packet_id: int, codes: list[int]) -> bytes:
    """SUBACK, one code per filter; what 3.x has no word for is 0x80 [MQTT-3.9.3]."""
    if version == V5:
        return close_packet(0x90, packet_id.to_bytes(2, "big") + b"\0" + bytes(codes))
    return close_packet(0x90, packet_id.to_bytes(2, "big") + bytes(min(code, 0x80) for code in codes))


def encode_unsuback(version: int, packet_id: int, codes: list[int]) -> bytes:
    """UNSUBACK; 3.x has no codes [MQTT-3.11]."""
    if version == V5:
        return close_packet(0xB0, packet_id.to_bytes(2, "big") + b"\0" + bytes(codes))
    return close_packet(0xB0, packet_id.to_bytes(2, "big"))


def encode_disconnect(reason: Reason, detail: str = "") -> bytes:
    """DISCONNECT of version 5 with its reason string."""
    return close_packet(0xE0, bytes((reason,)) + put_properties({"reason_string": detail} if detail else {}))


def encode_will(will: Will) -> bytes:
    """The will as a version-5 PUBLISH packet (packet identifier 1), for the same path that every message takes."""
    properties = {name: value for name, value in will.properties.items() if name != "will_delay"}
    body = put_binary(will.topic.encode()) + (b"\0\1" if will.qos else b"") + put_properties(properties) + will.payload
    return close_packet(0x30 | will.qos << 1 | will.retain, body)
