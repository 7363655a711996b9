"""Properties of the packets that the cold half reads and writes [MQTT-2.2.2-2]: one row each."""
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .reader import Reader, put_binary, put_varint
from .reasons import Reason, WireError

Value = int | str | bytes | list[tuple[str, str]]
Properties = dict[str, Value]

READ: Final[dict[str, Callable[[Reader], Value]]] = {
    "byte": Reader.u8, "u16": Reader.u16, "u32": Reader.u32, "varint": Reader.varint,
    "string": Reader.string, "binary": Reader.binary,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One property: where it may stand, and which numbers it may hold."""

    id: int
    name: str
    shape: str
    packets: frozenset[str]
    low: int = 0
    high: int = 0xFFFF_FFFF


def _row(id: int, name: str, shape: str, packets: str, low: int = 0, high: int = 0xFFFF_FFFF) -> Row:
    return Row(id, name, shape, frozenset(packets.split()), low, high)


ROWS: Final = (
    _row(0x01, "payload_format", "byte", "will", 0, 1),
    _row(0x02, "message_expiry", "u32", "will"),
    _row(0x03, "content_type", "string", "will"),
    _row(0x08, "response_topic", "string", "will"),
    _row(0x09, "correlation_data", "binary", "will"),
    _row(0x0B, "subscription_id", "varint", "subscribe", 1, 268_435_455),       # [MQTT-3.8.2.1.2]
    _row(0x11, "session_expiry", "u32", "connect connack disconnect"),
    _row(0x12, "assigned_client_id", "string", "connack"),
    _row(0x13, "server_keep_alive", "u16", "connack"),
    _row(0x15, "authentication_method", "string", "connect connack"),
    _row(0x16, "authentication_data", "binary", "connect connack"),
    _row(0x17, "request_problem_information", "byte", "connect", 0, 1),
    _row(0x18, "will_delay", "u32", "will"),
    _row(0x19, "request_response_information", "byte", "connect", 0, 1),
    _row(0x1A, "response_information", "string", "connack"),
    _row(0x1F, "reason_string", "string", "connack suback unsuback disconnect"),
    _row(0x21, "receive_maximum", "u16", "connect connack", 1),                 # [MQTT-3.1.2.11.3]
    _row(0x22, "topic_alias_maximum", "u16", "connect connack"),
    _row(0x24, "maximum_qos", "byte", "connack", 0, 1),
    _row(0x25, "retain_available", "byte", "connack", 0, 1),
    _row(0x26, "user_property", "pair", "connect connack will subscribe suback unsubscribe unsuback disconnect"),
    _row(0x27, "maximum_packet_size", "u32", "connect connack", 1),             # [MQTT-3.1.2.11.4]
    _row(0x28, "wildcard_available", "byte", "connack", 0, 1),
    _row(0x29, "subscription_ids_available", "byte", "connack", 0, 1),
    _row(0x2A, "shared_available", "byte", "connack", 0, 1),
)
BY_ID: Final = {row.id: row for row in ROWS}
BY_NAME: Final = {row.name: row for row in ROWS}


def read_properties(reader: Reader, packet: str) -> Properties:
    """The property section at `reader` of a `packet` ("will" for a will's). User properties keep their order."""
    section = reader.section()
    found: Properties = {}
    users: list[tuple[str, str]] = []
    while section.left:
        row = BY_ID.get(section.varint())
        if row is None or packet not in row.packets:
            raise WireError(Reason.MALFORMED, f"a property that {packet.upper()} does not have")
        if row.shape == "pair":
            users.append((section.string(), section.string()))
            continue
        value = READ[row.shape](section)
        if row.name in found:
            raise WireError(Reason.PROTOCOL_ERROR, f"{row.name} appears twice")
        if isinstance(value, int) and not row.low <= value <= row.high:
            raise WireError(Reason.PROTOCOL_ERROR, f"{row.name} is {value}, allowed is {row.low} to {row.high}")
        found[row.name] = value
    if users:
        found["user_property"] = users
    return found


def put_properties(values: Properties) -> bytes:
    """A property section."""
    out = bytearray()
    for name, value in values.items():
        row = BY_NAME[name]
        if isinstance(value, list):
            for key, text in value:
                out += put_varint(row.id) + put_binary(key.encode()) + put_binary(text.encode())
            continue
        out += put_varint(row.id)
        if isinstance(value, str):
            out += put_binary(value.encode())
        elif isinstance(value, bytes):
            out += put_binary(value)
        elif row.shape == "varint":
            out += put_varint(value)
        else:
            out += value.to_bytes({"byte": 1, "u16": 2, "u32": 4}[row.shape], "big")
    return put_varint(len(out)) + bytes(out)
