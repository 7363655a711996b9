"""CRC-32C throughput; bytes per second = length / time."""
import pytest

from tests.shims import shim_codec

WAYS = ["portable", "best", *(["sse42"] if shim_codec.HAS_SSE42 else [])]


@pytest.mark.parametrize("length", [64, 512, 4096, 65536])
@pytest.mark.parametrize("way", WAYS)
def test_crc32c(benchmark, way: str, length: int) -> None:
    data = bytes(length)
    benchmark.extra_info["bytes"] = length
    benchmark(shim_codec.crc, way, data)
