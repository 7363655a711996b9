"""The bounded reader and writer: every value there and back, and nothing read past the end."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.shims import shim_codec

U32 = st.integers(0, 2**32 - 1)
I32 = st.integers(-(2**31), 2**31 - 1)
I64 = st.integers(-(2**63), 2**63 - 1)


@given(U32)
def test_uvarint(value: int) -> None:
    raw = shim_codec.put("uvarint", value)
    assert shim_codec.read("uvarint", raw + b"\xff") == (value, len(raw))


@given(I32)
def test_varint(value: int) -> None:
    raw = shim_codec.put("varint", value)
    assert shim_codec.read("varint", raw + b"\xff") == (value, len(raw))


@given(I64)
def test_varlong(value: int) -> None:
    raw = shim_codec.put("varlong", value)
    assert shim_codec.read("varlong", raw + b"\xff") == (value, len(raw))


@given(st.integers(0, 268_435_455))
def test_variable_byte_integer(value: int) -> None:
    raw = shim_codec.put("uvarint", value)
    assert shim_codec.read("vbi", raw) == (value, len(raw))


@pytest.mark.parametrize(("what", "raw"), [
    ("vbi", b"\xff\xff\xff\xff\x01"),                   # [MQTT-1.5.5]: at most four bytes
    ("uvarint", b"\xff\xff\xff\xff\x1f"),               # more than 32 bits
    ("uvarint", b"\xff\xff\xff\xff\xff\x00"),
    ("uvarlong", b"\xff" * 9 + b"\x02"),
    ("kstring", b"\xff\xfe"),                           # -2 is no length
    ("kbytes", b"\x80\x00\x00\x00"),
    ("compact", b"\xff\xff\xff\xff\x0f"),
    ("count32", b"\x7f\xff\xff\xff" + b"x" * 100),      # a count that cannot fit
    ("count32", b"\x00\x00\x00\x02abc"),
    ("compact_count", b"\x04abcde"),
    ("tags", b"\x01\x00\x05abc"),
    ("tags", b"\xff\xff\xff\xff\x0f"),
])
def test_refused(what: str, raw: bytes) -> None:
    assert shim_codec.read(what, raw) is None


@pytest.mark.parametrize(("what", "raw", "value"), [
    ("u8", b"\x80", 0x80),
    ("u16", b"\x80\x01", 0x8001),
    ("u32", b"\x80\x00\x00\x01", 0x80000001),
    ("u64", b"\x80" + bytes(6) + b"\x01", 0x8000000000000001),
    ("lp16", b"\x00\x03abc", b"abc"),
    ("kstring", b"\x00\x03abc", b"abc"),
    ("kstring", b"\xff\xff", None),
    ("kbytes", b"\x00\x00\x00\x03abc", b"abc"),
    ("compact", b"\x04abc", b"abc"),
    ("compact", b"\x00", None),
    ("compact", b"\x01", b""),
    ("count32", b"\x00\x00\x00\x02abcd", 2),
    ("compact_count", b"\x03abcd", 2),
    ("compact_count", b"\x00", -1),
    ("tags", b"\x02\x00\x01a\x07\x02bc", None),
])
def test_whole_and_cut_at_every_byte(what: str, raw: bytes, value: object) -> None:
    got = shim_codec.read(what, raw)
    assert got is not None
    assert got[0] == value
    if what not in ("count32", "compact_count"):
        assert got[1] == len(raw)
    for cut in range(len(raw)):
        assert shim_codec.read(what, raw[:cut]) is None


def test_writer_fails_stickily() -> None:
    assert shim_codec.write_past_the_end() == (True, 4)


def test_hash_differs_by_seed_length_and_content() -> None:
    inputs = [b"a" * n for n in range(64)] + [bytes([i]) + b"/level" for i in range(64)]
    assert len({shim_codec.hashed(1, data) for data in inputs}) == len(inputs)
    assert shim_codec.hashed(1, b"topic") != shim_codec.hashed(2, b"topic")
