"""The subscription index with a million filters: one match, few subscribers."""
import pytest
from tests.shims.shim_index import ShimIndex

FILTERS = 1_000_000
TIMES = 1000


@pytest.fixture(scope="module")
def index() -> ShimIndex:
    index = ShimIndex()
    for i in range(FILTERS):
        index.subscribe(b"site/%d/device/%d/+" % (i % 1000, i), 8)
    index.subscribe(b"site/+/device/+/alarm", 16)
    return index


def test_match(benchmark, index: ShimIndex) -> None:
    benchmark.extra_info["matches"] = TIMES
    assert benchmark(index.match_often, b"site/77/device/500077/alarm", TIMES) == 2 * TIMES
