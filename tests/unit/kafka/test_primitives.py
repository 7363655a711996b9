"""Bounds of the reader, tagged fields, nullable structs, headers."""
from typing import Any

import pytest

from robustmq._fastpath.protocols.kafka import frames
from robustmq._fastpath.protocols.kafka.messages import (
    ApiVersionsRequest,
    ApiVersionsResponse,
    DeleteTopicsRequest,
    HeartbeatRequest,
    MetadataRequest,
    MetadataResponse,
    generate,
    schema,
)
from robustmq._fastpath.protocols.kafka.primitives import Malformed, Reader, put_uvarint

HUGE = b"\x7f\xff\xff\xff"


@pytest.mark.parametrize(("data", "version"), [
    pytest.param(HUGE, 1, id="classic array"),
    pytest.param(b"\xff\xff\xff\xff\x0f", 9, id="compact array"),
    pytest.param(b"\x00\x00\x00\x01\x7f\xff", 1, id="classic string"),
    pytest.param(b"\x02\xff\xff\xff\xff\x0f", 9, id="compact string"),
    pytest.param(b"\xff\xff\xff\xff\x7f", 9, id="varint beyond 32 bits"),
    pytest.param(b"\xff\xff\xff\xff\xff\x01", 9, id="varint of six bytes"),
    pytest.param(b"\xff\xff\xff\xfe", 1, id="length below -1"),
    pytest.param(b"\xff\xff\xff\xff", 0, id="null where the version has none"),
    pytest.param(b"\x00\x00\x00\x01\x00\x01\xff", 1, id="not UTF-8"),
])
def test_a_length_is_checked_before_anything_is_allocated(data: bytes, version: int) -> None:
    with pytest.raises(Malformed):
        MetadataRequest.decode(Reader(data), version)


def test_elements_of_one_message_are_bounded() -> None:
    data = b"\x00\x00\x00\x05" + b"\x00\x01x" * 5 + bytes(4)
    assert DeleteTopicsRequest.decode(Reader(data, elements=5), 1).topic_names == ["x"] * 5
    with pytest.raises(Malformed, match="more array elements"):
        DeleteTopicsRequest.decode(Reader(data, elements=4), 1)


def test_unknown_tagged_fields_are_skipped() -> None:
    data = b"\x02g\x00\x00\x00\x07\x02m\x00" + b"\x02" + b"\x05\x03abc" + b"\x83\x01\x00"
    reader = Reader(data)
    assert HeartbeatRequest.decode(reader, 4) == HeartbeatRequest("g", 7, "m", None)
    assert reader.pos == len(data)


@pytest.mark.parametrize("tail", [b"\x01\x05\x04abc", b"\x02\x05\x01a", b"\xff\xff\xff\xff\x0f"])
def test_tagged_fields_are_bounded(tail: bytes) -> None:
    with pytest.raises(Malformed):
        HeartbeatRequest.decode(Reader(b"\x02g\x00\x00\x00\x07\x02m\x00" + tail), 4)


def test_a_known_tagged_field_fills_its_bytes() -> None:
    fixed = b"\x00\x00\x01\x00\x00\x00\x00"
    exact = ApiVersionsResponse.decode(Reader(fixed + b"\x01\x01\x08" + bytes(7) + b"\x05"), 3)
    assert exact.finalized_features_epoch == 5
    for size in (b"\x07", b"\x09"):
        with pytest.raises(Malformed):
            ApiVersionsResponse.decode(Reader(fixed + b"\x01\x01" + size + bytes(7) + b"\x05\x00"), 3)


def test_uvarint() -> None:
    for value in (0, 1, 127, 128, 300, 2**31, 2**32 - 1):
        out = bytearray()
        put_uvarint(out, value)
        assert Reader(bytes(out)).uvarint() == value


def test_nullable_struct() -> None:
    source = generate.module_source(schema.parse(
        "api 99 Toy versions 0-1 flexible 1+\nrequest\n    point Point 0+ null 0+\n        x int32 0+\nresponse\n")[0])
    toy: dict[str, Any] = {"__name__": __name__, "__package__": generate.__package__}
    exec(source, toy)
    for value, data in ((None, b"\xff"), (toy["Point"](5), b"\x01\x00\x00\x00\x05")):
        out = bytearray()
        toy["ToyRequest"](value).encode(out, 0)
        assert out == data
        assert toy["ToyRequest"].decode(Reader(data), 0).point == value
    with pytest.raises(Malformed):
        toy["ToyRequest"].decode(Reader(b"\x02"), 0)


def test_header_of_a_flexible_request_keeps_the_classic_client_id() -> None:
    frame = frames.encode_request(HeartbeatRequest("g", 1, "m"), 4, 77, "me")
    assert frame[:13] == b"\x00\x0c\x00\x04\x00\x00\x00\x4d\x00\x02me\x00"
    reader = Reader(frame)
    assert frames.RequestHeader.decode(reader, {12: 4}) == frames.RequestHeader(12, 4, 77, "me")
    assert HeartbeatRequest.decode(reader, 4) == HeartbeatRequest("g", 1, "m")


def test_header_of_an_unknown_api_is_its_first_eight_bytes() -> None:
    assert frames.RequestHeader.decode(Reader(b"\x03\xe8\x00\x01\x00\x00\x00\x02"), {}).api_key == 1000


def test_response_header_has_tags_but_not_for_api_versions() -> None:
    assert frames.encode_response(MetadataResponse(), 9, 5)[:5] == b"\x00\x00\x00\x05\x00"
    versions = frames.encode_response(ApiVersionsResponse(error_code=35), 3, 5)
    assert versions[:6] == b"\x00\x00\x00\x05\x00\x23"
    assert frames.decode_response_header(Reader(versions), 18, True) == 5
    assert ApiVersionsRequest.API_KEY == 18
