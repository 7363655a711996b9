"""The subscription index against the specification's own definition of a match (MQTT 5, 4.7)."""
from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from robustmq._fastpath.broker.mapping import matches

from tests.shims.shim_index import ShimIndex

LEVEL = st.sampled_from(["a", "b", "c", "", "$x", "long-level-name"])
TOPIC = st.lists(LEVEL, min_size=1, max_size=5).map("/".join).filter(bool)
FILTER = st.builds(
    lambda levels, tail: "/".join([*levels, *tail]),
    st.lists(st.one_of(LEVEL, st.just("+")), min_size=1, max_size=5), st.sampled_from([[], [], ["#"]])).filter(bool)


def naive(filter_: str, topic: str) -> bool:
    f, t = filter_.split("/"), topic.split("/")
    if t[0].startswith("$") and f[0] in "+#" and f[0]:
        return False
    while f and t:
        if f[0] == "#":
            return True
        if f[0] not in ("+", t[0]):
            return False
        f, t = f[1:], t[1:]
    return not t and f in ([], ["#"])


@pytest.mark.parametrize(("filter_", "topic", "expected"), [
    ("sport/tennis/player1/#", "sport/tennis/player1", True),               # [MQTT-4.7.1-2]
    ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
    ("#", "a/b", True),
    ("sport/+", "sport", False),                                            # 4.7.1.3
    ("sport/+", "sport/", True),
    ("+/+", "/finance", True),
    ("/+", "/finance", True),
    ("+", "/finance", False),
    ("#", "$SYS/x", False),                                                 # [MQTT-4.7.2-1]
    ("+/monitor/Clients", "$SYS/monitor/Clients", False),
    ("$SYS/#", "$SYS/x", True),
    ("ACCOUNTS", "Accounts", False),                                        # [MQTT-4.7.3-4]
])
def test_examples_of_the_specification(filter_: str, topic: str, expected: bool) -> None:
    index = ShimIndex()
    index.subscribe(filter_.encode(), 8)
    assert index.match(topic.encode()) == ([8] if expected else [])
    assert matches(filter_, topic) is expected


@settings(max_examples=500, deadline=None)
@given(FILTER, TOPIC)
def test_filter_matches_agrees_with_the_definition(filter_: str, topic: str) -> None:
    assert matches(filter_, topic) == naive(filter_, topic)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.booleans(), FILTER, st.integers(1, 4)), max_size=40), st.lists(TOPIC, max_size=6))
def test_any_history_of_subscriptions(history: list[tuple[bool, str, int]], topics: list[str]) -> None:
    index = ShimIndex()
    model: set[tuple[str, int]] = set()
    for add, filter_, consumer in history:
        if add:
            assert index.subscribe(filter_.encode(), consumer) == (0, (filter_, consumer) in model)
            model.add((filter_, consumer))
        else:
            assert index.unsubscribe(filter_.encode(), consumer) == ((filter_, consumer) in model)
            model.discard((filter_, consumer))
    assert index.filters == len(model)
    for topic in topics:
        assert index.match(topic.encode()) == sorted(c for f, c in model if naive(f, topic))
    for filter_, consumer in model:
        assert index.unsubscribe(filter_.encode(), consumer)
    assert index.nodes == 0


def test_depth_is_bounded() -> None:
    index = ShimIndex()
    assert index.subscribe(b"/".join([b"+"] * 128), 1) == (0, False)
    assert index.subscribe(b"/".join([b"+"] * 129), 1)[0] == 17
    assert index.match(b"/".join([b"x"] * 128)) == [1]
    assert index.match(b"/".join([b"x"] * 129)) is None


def test_many_subscribers_of_one_filter_come_and_go() -> None:
    index = ShimIndex()
    for consumer in range(1, 2001):
        index.subscribe(b"one/filter", consumer)
    for consumer in range(1, 2001, 2):
        assert index.unsubscribe(b"one/filter", consumer)
    assert index.match(b"one/filter") == list(range(2, 2001, 2))


def test_threads_change_it_together() -> None:
    """Reactors and the control plane: what each has put in, each takes out, and nothing is left."""
    index = ShimIndex()
    index.subscribe(b"a/+/steady", 99)
    writers = [threading.Thread(target=index.churn, args=(number, 200)) for number in range(3)]
    for writer in writers:
        writer.start()
    assert index.match_often(b"a/x/steady", 20_000) == 20_000
    for writer in writers:
        writer.join()
    assert index.match(b"a/x/steady") == [99]
    assert (index.filters, index.nodes) == (1, 3)


def test_readers_match_while_the_index_changes() -> None:
    index = ShimIndex()
    index.subscribe(b"steady/+/topic", 7)
    lists: list[int] = []
    readers = [threading.Thread(target=lambda: lists.append(index.match_often(b"steady/x/topic", 100_000)))
               for _ in range(2)]
    for reader in readers:
        reader.start()
    turn = 0
    while any(reader.is_alive() for reader in readers):
        turn += 1
        for i in range(50):
            index.subscribe(b"steady/+/t%d" % i, turn + 8)
            index.subscribe(b"other/%d/#" % (turn * 50 + i), 9)
        for i in range(50):
            index.unsubscribe(b"steady/+/t%d" % i, turn + 8)
            index.unsubscribe(b"other/%d/#" % (turn * 50 + i), 9)
    assert lists == [100_000, 100_000]
    assert index.match(b"steady/x/topic") == [7]
