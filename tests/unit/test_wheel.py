"""The timer wheel against a model: never early, at most a tick late, nothing lost, no wake without need."""
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.shims.wheel import Timers

MS = 1_000_000
START = 123_456_789_012_345


def test_an_empty_wheel_has_no_deadline() -> None:
    assert Timers(1, START).next_ns == -1


def test_a_timer_fires_at_its_tick_and_not_before() -> None:
    timers = Timers(1, START)
    deadline = START + 70 * MS
    timers.arm(0, deadline)
    assert timers.advance(deadline - 1) == []
    assert timers.advance(deadline + MS) == [0]
    assert not timers.armed(0)
    assert timers.next_ns == -1


def test_the_past_fires_at_the_next_tick() -> None:
    timers = Timers(1, START)
    timers.arm(0, START - 5 * MS)
    assert timers.advance(START + MS) == [0]


def test_disarm_of_the_last_timer_clears_the_deadline() -> None:
    timers = Timers(2, START)
    timers.arm(0, START + 300 * MS)
    timers.arm(1, START + 300 * MS)
    timers.disarm(0)
    assert timers.next_ns > 0
    timers.disarm(1)
    timers.disarm(1)
    assert timers.next_ns == -1


def test_a_firing_timer_may_disarm_one_that_is_due_too() -> None:
    timers = Timers(2, START)
    timers.arm(0, START + 10 * MS)
    timers.arm(1, START + 10 * MS)
    timers.kills(0, 1)
    assert timers.advance(START + 20 * MS) == [0]
    assert not timers.armed(1)


def test_a_firing_timer_may_arm_itself() -> None:
    timers = Timers(1, START)
    timers.arm(0, START + 10 * MS, again_ns=10 * MS)
    now = START
    fired = 0
    for _ in range(100):
        now += 5 * MS
        fired += len(timers.advance(now))
    assert 33 <= fired <= 50           # each time up to one tick late, seen at the next step


def test_a_minute_costs_few_wakes() -> None:
    timers = Timers(1, START)
    timers.arm(0, START + 60_000 * MS)
    wakes = 0
    while timers.armed(0):
        wakes += 1
        timers.advance(timers.next_ns)
    assert wakes <= 4


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(
    st.tuples(st.just("arm"), st.integers(0, 9),
              st.integers(-1000, 10) | st.integers(0, 300_000) | st.integers(0, 10**11)),
    st.tuples(st.just("disarm"), st.integers(0, 9)),
    st.tuples(st.just("sleep"), st.integers(0, 5) | st.integers(0, 5000) | st.integers(0, 10**9)),
    st.tuples(st.just("wake")),
), max_size=60))
def test_against_a_model(steps) -> None:
    timers = Timers(10, START)
    now = START
    model: dict[int, int] = {}
    for step in steps:
        match step:
            case ("arm", i, ms):
                timers.arm(i, now + ms * MS + 1)
                model[i] = max(now + ms * MS + 1, (now // MS + 1) * MS)    # the past: the next tick
            case ("disarm", i):
                model.pop(i, None)
                timers.disarm(i)
            case ("sleep", ms):
                now += ms * MS
            case ("wake",):
                if timers.next_ns >= 0:
                    assert model
                    assert timers.next_ns <= max(min(model.values()) + MS, now + MS)
                    now = max(now, timers.next_ns)
        fired = timers.advance(now)
        for i in fired:
            assert model.pop(i) <= now
        assert all(deadline > now - MS for deadline in model.values())
        assert [i for i in range(10) if timers.armed(i)] == sorted(model)
        assert (timers.next_ns == -1) == (not model)
