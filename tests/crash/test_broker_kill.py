"""A few rounds of the crash harness in every test run; `make crash` runs many."""
from pathlib import Path

import pytest

from tests.crash import broker_kill


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_nothing_acknowledged_is_lost_over_sigkill(tmp_path: Path, durability: str) -> None:
    settings = {**broker_kill.SMALL, "storage.durability": durability}
    assert broker_kill.run(10, settings, 5, 20261123, tmp_path / "data") == []
