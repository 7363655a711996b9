"""The table of states: every pair, through the one setter."""
import itertools

import pytest

from robustmq.server.groups.group import Group
from robustmq.server.groups.states import MOVES, IllegalMove, State


@pytest.mark.parametrize(("before", "after"), list(itertools.product(State, State)))
def test_every_pair(before: State, after: State) -> None:
    group = Group("g", 0, 0)
    group.state = before
    if after in MOVES[before]:
        group.move(after)
        assert group.state is after
    else:
        with pytest.raises(IllegalMove, match=f"{before.value} -> {after.value}"):
            group.move(after)
        assert group.state is before


def test_the_table_is_whole_and_death_is_final() -> None:
    assert set(MOVES) == set(State)
    assert MOVES[State.DEAD] == set()
    assert all(State.DEAD in after for before, after in MOVES.items() if before is not State.DEAD)
