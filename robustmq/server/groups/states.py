"""The life of a classic group.

    Empty               no members; perhaps committed offsets           -> Preparing (a member joins)
    PreparingRebalance  waits until all members (re)join, or a timeout  -> Completing, or Empty (none came)
    CompletingRebalance waits for the leader's assignment               -> Stable, or Preparing (membership changed)
    Stable              everyone has an assignment                      -> Preparing
    Dead                forgotten; any state may end here
"""
from enum import Enum


class State(Enum):
    """State of a group, by the name that Kafka's tools print."""

    EMPTY = "Empty"
    PREPARING = "PreparingRebalance"
    COMPLETING = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"


MOVES = {
    State.EMPTY: {State.PREPARING, State.DEAD},
    State.PREPARING: {State.COMPLETING, State.EMPTY, State.DEAD},
    State.COMPLETING: {State.STABLE, State.PREPARING, State.DEAD},
    State.STABLE: {State.PREPARING, State.DEAD},
    State.DEAD: set[State](),
}


class IllegalMove(RuntimeError):
    """A move that MOVES does not list: our own fault, never the peer's."""
