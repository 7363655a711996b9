"""CRC-32C: known vectors, and every implementation against the portable one."""
import random

import pytest
from robustmq._fastpath.crc import crc32c_bytes

from tests.shims import shim_codec

WAYS = ["best", *(["sse42"] if shim_codec.HAS_SSE42 else [])]

# RFC 3720 B.4, and the check value of the CRC catalogue.
VECTORS = [
    (b"", 0x00000000),
    (b"123456789", 0xE3069283),
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C),
]


@pytest.mark.parametrize("way", ["portable", *WAYS])
@pytest.mark.parametrize(("data", "crc"), VECTORS)
def test_known_vectors(way: str, data: bytes, crc: int) -> None:
    assert shim_codec.crc(way, data) == crc


@pytest.mark.parametrize("way", WAYS)
def test_every_length_and_alignment(way: str) -> None:
    data = random.Random(1).randbytes(2048 + 8)
    for length in range(2049):
        piece = data[: length + length % 8]
        assert shim_codec.crc(way, piece, length % 8) == shim_codec.crc("portable", piece, length % 8), length


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("length", [3071, 3072, 4096, 65536, 1_000_003])
def test_long_inputs(way: str, length: int) -> None:
    data = random.Random(length).randbytes(length)
    assert shim_codec.crc(way, data) == shim_codec.crc("portable", data)


@pytest.mark.parametrize("way", ["portable", *WAYS])
def test_continues_from_a_seed(way: str) -> None:
    data = random.Random(2).randbytes(5000)
    whole = shim_codec.crc("portable", data)
    for cut in (0, 1, 7, 400, 4999, 5000):
        assert shim_codec.crc(way, data[cut:], 0, shim_codec.crc(way, data[:cut])) == whole


def test_python_entry() -> None:
    assert crc32c_bytes(b"123456789") == 0xE3069283
    assert crc32c_bytes(b"6789", crc32c_bytes(b"12345")) == 0xE3069283
    assert crc32c_bytes(b"", 7) == 7
