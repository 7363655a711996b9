"""MQTT's decoders against vectors named by clause: each whole, cut at every byte, and shortened at every byte."""
import json
from pathlib import Path
from typing import Any

import pytest

from robustmq._fastpath.protocols.mqtt import packets
from robustmq._fastpath.protocols.mqtt.reader import close_packet, open_packet
from robustmq._fastpath.protocols.mqtt.reasons import WireError
from tests.shims import mqtt_wire as wire

STATUS = {"OK": 0, "NEED_MORE": 1, "MALFORMED": 16, "PROTOCOL_ERROR": 18, "INVALID_TOPIC": 23}
HERE = Path(__file__).parent
VERSIONS = {"mqtt311": packets.V311, "mqtt5": packets.V5}


def vectors(*names: str) -> list[Any]:
    """One parameter set per vector of the files `names` in every version's folder."""
    return [
        pytest.param(version, vector, bytes.fromhex(vector["hex"]), id=f"{folder}-{vector['clause']}-{vector['name']}")
        for folder, version in VERSIONS.items()
        for name in names
        for vector in json.loads((HERE / folder / f"{name}.json").read_text())
    ]


@pytest.mark.parametrize(("version", "vector", "frame"), vectors("publish", "acks"))
def test_hot(version: int, vector: dict[str, Any], frame: bytes) -> None:
    """Whole: the status and fields that the vector names. Cut: never anything but NEED_MORE (or the length's error)."""
    status, fields = wire.decode(frame, version)
    assert status == STATUS[vector.get("status", "OK")]
    if status == 0:
        for key, value in vector.items():
            if key in ("clause", "name", "hex"):
                continue
            wanted = bytes.fromhex(value) if key in ("payload", "correlation") else value
            wanted = [(k.encode(), v.encode()) for k, v in value] if key == "users" else wanted
            wanted = value.encode() if key in ("topic", "content_type", "response_topic") else wanted
            assert fields[key] == wanted, key
    whole = len(frame) if frame[1:5] != b"\x80" * 4 else 5
    for cut in range(whole):
        assert wire.decode(frame[:cut], version)[0] == STATUS["NEED_MORE"]


@pytest.mark.parametrize(("version", "vector", "frame"), vectors("publish", "acks"))
def test_hot_shortened(version: int, vector: dict[str, Any], frame: bytes) -> None:
    """A frame whose body ends early is refused or is another valid frame; it is never read past its end (ASan)."""
    if frame[1] > 127:
        return
    for cut in range(2, len(frame)):
        assert wire.decode(bytes((frame[0], cut - 2)) + frame[2:cut], version)[0] != STATUS["NEED_MORE"]


def decode_control(frame: bytes, version: int) -> Any:
    """The cold half's decoder for the frame's type."""
    packet = frame[0] >> 4
    if packet == 1:
        return packets.decode_connect(frame)
    return (packets.decode_subscribe if packet == 8 else packets.decode_unsubscribe)(frame, version)


@pytest.mark.parametrize(("version", "vector", "frame"), vectors("control"))
def test_control(version: int, vector: dict[str, Any], frame: bytes) -> None:
    """Whole: what the vector names. Shortened at every byte: a WireError or another valid packet, nothing else."""
    if "reason" in vector:
        with pytest.raises(WireError) as error:
            decode_control(frame, version)
        assert error.value.reason == vector["reason"]
    else:
        packet = decode_control(frame, version)
        for key, value in vector.get("connect", {}).items():
            assert getattr(packet, key) == value, key
        for key, value in vector.get("properties", {}).items():
            assert packet.properties[key] == value, key
        if "subscribe" in vector:
            assert [[part.text, part.qos] for part in packet.filters] == vector["subscribe"]
            assert packet.identifier == vector.get("identifier", 0)
        if "options" in vector:
            one = packet.filters[0]
            assert [one.no_local, one.retain_as_published, one.retain_handling] == vector["options"]
        if "unsubscribe" in vector:
            assert packet.filters == vector["unsubscribe"]
    first, reader = open_packet(frame)
    body = reader.take(reader.left)
    for cut in range(len(body)):
        try:
            decode_control(close_packet(first, body[:cut]), version)
        except WireError:
            continue


def test_connect_will() -> None:
    """[MQTT-3.1.3] the payload's order: client id, will, user name, password."""
    connect = packets.decode_connect(bytes.fromhex("101b00044d51545404f6000a00016300017700026869000175 00027077"))
    assert connect.will == packets.Will("w", b"hi", 2, True)
    assert (connect.username, connect.password) == ("u", b"pw")


def test_will_travels_as_publish() -> None:
    """A will becomes a PUBLISH that the hot half reads; the delay stays behind [MQTT-3.1.3.2.2]."""
    will = packets.Will("w/t", b"gone", 1, True, {"will_delay": 3, "message_expiry": 9, "user_property": [("a", "2")]})
    status, fields = wire.decode(packets.encode_will(will), packets.V5)
    assert status == 0
    assert (fields["topic"], fields["payload"], fields["qos"], fields["retain"]) == (b"w/t", b"gone", 1, 1)
    assert (fields["expiry"], fields["users"]) == (9, [(b"a", b"2")])


@pytest.mark.parametrize("text", ["", "a", "a/b/c/d/e/f", "ü" * 9, "€uro", "𝄞 clef", "\x7f" * 17, "\ud7ff\ue000\uffff"])
def test_utf8_accepts(text: str) -> None:
    """Everything that Unicode has but U+0000 [MQTT-1.5.4]."""
    assert wire.utf8(text.encode())


@pytest.mark.parametrize(
    "hex_",
    ["00", "61626364656667680061", "80", "c0af", "c1bf", "e08080", "eda080", "edbfbf", "f0808080", "f4908080",
     "f5808080", "ff", "c3", "e282", "f09d84", "6162636465666768c3"],
)
def test_utf8_refuses(hex_: str) -> None:
    """Overlong forms, surrogates, cut sequences, U+0000, beyond U+10FFFF [MQTT-1.5.4-1, -2]."""
    assert not wire.utf8(bytes.fromhex(hex_))


def test_acks_are_written_shortest() -> None:
    """[MQTT-3.4.2.1]: reason 0 may be omitted, and is; 3.1.1 has none."""
    assert wire.ack(4, 258, 0, 5) == bytes.fromhex("40020102")
    assert wire.ack(5, 258, 0x97, 5) == bytes.fromhex("5003010297")
    assert wire.ack(6, 1, 0x97, 4) == bytes.fromhex("62020001")


def test_answers() -> None:
    """CONNACK, SUBACK and UNSUBACK in the words of each version."""
    assert packets.encode_connack(4, packets.Reason.SUCCESS, True, {}) == bytes.fromhex("20020100")
    assert packets.encode_connack(3, packets.Reason.SUCCESS, True, {}) == bytes.fromhex("20020000")
    assert packets.encode_connack(4, packets.Reason.BAD_CREDENTIALS, False, {}) == bytes.fromhex("20020004")
    assert packets.encode_connack(5, packets.Reason.SUCCESS, False, {"receive_maximum": 20}) == bytes.fromhex(
        "200600000321 0014")
    assert packets.encode_suback(4, 10, [1, 0x87]) == bytes.fromhex("9004000a0180")
    assert packets.encode_suback(5, 10, [1, 0x87]) == bytes.fromhex("9005000a000187")
    assert packets.encode_unsuback(4, 10, [0]) == bytes.fromhex("b002000a")


def test_every_status_has_a_reason() -> None:
    """A status without a row would go out as "unspecified error"; only those that are never sent may."""
    unspecified = {status for status in (*range(16, 35), *range(48, 51), 64, 65) if wire.reason(status) == 0x80}
    assert unspecified == {31, 49, 50}      # PEER_CLOSED; a failing disk has no better word
    of_puback = {0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99}      # [MQTT-3.4.2-1]
    assert {wire.ack_reason(status) for status in range(66)} <= of_puback
