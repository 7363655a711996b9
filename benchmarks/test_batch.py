"""Record batches: 1,000 records of 100 bytes a call."""
from tests.shims import shim_codec

RECORDS = 1000


def test_encode(benchmark) -> None:
    rounds = shim_codec.Rounds(100, RECORDS)
    benchmark.extra_info["records"] = RECORDS
    benchmark(rounds.encode, RECORDS)


def test_walk(benchmark) -> None:
    rounds = shim_codec.Rounds(100, RECORDS)
    benchmark.extra_info["records"] = RECORDS
    assert benchmark(rounds.walk) == RECORDS
