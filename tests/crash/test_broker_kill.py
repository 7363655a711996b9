"""A few rounds of the crash harness in every test run; `make crash` runs many."""
import pytest

from tests.crash import broker_kill


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_nothing_acknowledged_is_lost_over_sigkill(durability: str) -> None:
    assert broker_kill.run(rounds=4, durability=durability, check_every=2, seed=20261123) == []
