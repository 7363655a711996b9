"""A few power cuts of a bare log in every test run; `make powercut` makes many."""
from pathlib import Path

import pytest

from tests.crash import log_power


@pytest.mark.parametrize("seed", [3, 21])
def test_what_was_synced_is_there(tmp_path: Path, seed: int) -> None:
    assert log_power.run(6, seed, tmp_path) == []
