"""A short outage of the blob store in every test run; `make outage` plays ten minutes."""
from pathlib import Path

from tests.crash import blob_outage


def test_a_blob_store_that_is_away(tmp_path: Path) -> None:
    assert blob_outage.run(tmp_path / "data", 6) == []
