"""A few power cuts in every test run; `make powercut` makes many."""
from pathlib import Path

from tests.crash import power_cut
from tests.crash.broker_kill import SMALL


def run(directory: Path, rounds: int, durability: str, check_every: int) -> list[str]:
    return power_cut.run(rounds, {**SMALL, "storage.durability": durability}, check_every, 20261123, directory)


def test_nothing_acknowledged_is_lost_over_power_cuts(tmp_path: Path) -> None:
    assert run(tmp_path, 4, "disk", 4) == []


def test_the_harness_sees_what_is_lost(tmp_path: Path) -> None:
    """Durability `process` promises nothing about power. A commit of offsets syncs the whole journal, so that a round
    may come away; not all of them. The first finding ends the run.
    """
    assert run(tmp_path, 20, "process", 1) != []
