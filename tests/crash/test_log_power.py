"""A few power cuts of a bare log in every test run; `make powercut` makes many."""
import random
from pathlib import Path

import pytest

from tests.crash import log_power
from tests.crash.disk import Disk


@pytest.mark.parametrize("seed", [3, 21])
def test_what_was_synced_is_there(tmp_path: Path, seed: int) -> None:
    assert log_power.run(6, seed, tmp_path) == []


def test_what_supersedes_a_value_is_durable_before_the_value_goes(tmp_path: Path) -> None:
    """Values of 600 kB, three times: the second ones fill a segment of the state log, which the third supersede,
    unsynced, just before the sealer gives it up.
    """
    disk = Disk(tmp_path, shadowed=True)
    child = log_power.Child(disk)
    rounds = [{b"%d" % key: b"%d:" % turn + bytes(30_000) for key in range(20)} for turn in range(3)]
    for values in rounds[:2]:
        for key, value in values.items():
            child.ask("put", key, value)
        if values is rounds[0]:
            child.ask("seal")
    assert child.ask("overtake", rounds[2]) == (1, 1)
    child.kill()
    disk.cut(random.Random(1), luck=0)
    child = log_power.Child(disk)
    found = child.ask("look")[0]
    child.kill()
    assert found == rounds[2]
