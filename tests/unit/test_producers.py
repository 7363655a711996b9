"""Idempotent producers, row by row of Kafka's ProducerAppendInfo."""
from __future__ import annotations

import pytest

from tests.batches import batch
from tests.shims.store import MOST_PRODUCERS, ProducerTable

OK, DUPLICATE, OUT_OF_ORDER, STALE_EPOCH = 0, 25, 26, 27
LAST = 2**31 - 1
HOUR = 3_600_000
NOW = 1_800_000_000_000


def of(sequence: int, count: int = 1, *, producer: int = 9, epoch: int = 3) -> bytes:
    return batch([b"x"] * count, producer=producer, epoch=epoch, sequence=sequence)


@pytest.fixture
def table() -> ProducerTable:
    """Producer 9, epoch 3, has written sequences 10-12, 13, 14-15, 16, 17, 18 at offsets 100, 103, …"""
    table = ProducerTable()
    for sequence, count in ((10, 3), (13, 1), (14, 2), (16, 1), (17, 1), (18, 1)):
        table.appended(of(sequence, count), 90 + sequence)
    return table


@pytest.mark.parametrize(("next_batch", "status", "offset"), [
    pytest.param(of(19), OK, 0, id="the next sequence"),
    pytest.param(of(18), DUPLICATE, 108, id="the last batch again"),
    pytest.param(of(14, 2), DUPLICATE, 104, id="a batch with two records again"),
    pytest.param(of(13), DUPLICATE, 103, id="the oldest of five again"),
    pytest.param(of(10, 3), OUT_OF_ORDER, 0, id="older than five batches"),
    pytest.param(of(14, 1), OUT_OF_ORDER, 0, id="part of an old batch"),
    pytest.param(of(18, 2), OUT_OF_ORDER, 0, id="an old batch, longer"),
    pytest.param(of(20), OUT_OF_ORDER, 0, id="a gap"),
    pytest.param(of(19, epoch=2), STALE_EPOCH, 0, id="an older epoch"),
    pytest.param(of(18, epoch=2), STALE_EPOCH, 0, id="an older epoch with a known sequence"),
    pytest.param(of(0, epoch=4), OK, 0, id="a new epoch from 0"),
    pytest.param(of(19, epoch=4), OUT_OF_ORDER, 0, id="a new epoch from elsewhere"),
    pytest.param(of(77, producer=10), OK, 0, id="an unknown producer from anywhere"),
])
def test_the_next_batch(table: ProducerTable, next_batch: bytes, status: int, offset: int) -> None:
    found = table.check(next_batch)
    assert found[0] == status
    if status == DUPLICATE:
        assert found[1] == offset


def test_a_new_epoch_forgets_the_old_batches(table: ProducerTable) -> None:
    table.appended(of(0, epoch=4), 200)
    assert table.check(of(0, epoch=4)) == (DUPLICATE, 200)
    assert table.check(of(18, epoch=3))[0] == STALE_EPOCH
    assert table.check(of(1, epoch=4))[0] == OK


@pytest.mark.parametrize(("sequence", "count", "after"),
                         [(LAST, 1, 0), (LAST - 1, 2, 0), (LAST - 1, 4, 2), (LAST, 2, 1)])
def test_the_largest_sequence_is_followed_by_zero(sequence: int, count: int, after: int) -> None:
    table = ProducerTable()
    table.appended(of(sequence, count), 5)
    assert table.check(of(after))[0] == OK
    assert table.check(of(after + 1))[0] == OUT_OF_ORDER
    assert table.check(of(sequence, count)) == (DUPLICATE, 5)


def test_the_longest_silent_producer_is_forgotten_first() -> None:
    most = 100
    table = ProducerTable(most=most)
    for producer in range(most):
        table.appended(of(0, producer=producer), producer)
    table.appended(of(1, producer=0), most)
    for producer in range(most, most + 10):
        table.appended(of(0, producer=producer), producer)
    assert len(table) == table.room == most and table.evicted == 10
    assert table.check(of(1, producer=0))[0] == DUPLICATE
    assert [table.check(of(0, producer=p))[0] for p in (1, 10, 11)] == [OK, OK, DUPLICATE]
    assert table.check(of(77, producer=1))[0] == OK, "a forgotten producer begins anywhere"


def test_one_producer_may_be_the_bound() -> None:
    table = ProducerTable(most=1)
    for producer in range(3):
        table.appended(of(0, producer=producer), producer)
    assert table.room == 1 and table.last() == {2: 2}


# --- silence (producer.id.expiration.ms) ------------------------------------------------------------------------------

def test_a_silent_producer_is_unknown_never_too_early() -> None:
    table = ProducerTable(expiration_ms=HOUR)
    table.appended(of(10), 5, NOW + 1)
    for after, status in ((0, OUT_OF_ORDER), (HOUR, OUT_OF_ORDER), (HOUR + 1000, OK)):
        assert table.check(of(77), NOW + after)[0] == status
    for stale in (of(10), of(5, epoch=2), of(5, epoch=4)):
        assert table.check(stale, NOW + HOUR + 1000)[0] == OK
    table.appended(of(5, epoch=2), 9, NOW + 2 * HOUR)
    assert table.check(of(10), NOW + 2 * HOUR)[0] == OUT_OF_ORDER, "what it was before is forgotten"
    assert table.check(of(5, epoch=2), NOW + 2 * HOUR) == (DUPLICATE, 9)
    assert table.check(of(7, epoch=2), 0)[0] == OUT_OF_ORDER, "nor does anything age without a time"


def test_every_append_counts_from_anew_and_a_duplicate_does_not() -> None:
    table = ProducerTable(expiration_ms=HOUR)
    for i in range(5):
        table.appended(of(i), i, NOW + i * HOUR // 2)
    assert table.check(of(4), NOW + 3 * HOUR - 1) == (DUPLICATE, 4)
    assert table.check(of(4), NOW + 3 * HOUR)[0] == OK


def test_the_silent_make_room_before_anybody_is_evicted() -> None:
    table = ProducerTable(most=4, expiration_ms=HOUR)
    for producer in range(4):
        table.appended(of(0, producer=producer), producer, NOW + (0 if producer == 2 else HOUR))
    table.appended(of(0, producer=9), 9, NOW + HOUR)
    assert table.last() == {0: 0, 1: 1, 3: 3, 9: 9} and table.evicted == 0


def test_the_silent_are_forgotten_and_their_memory_goes_back() -> None:
    table = ProducerTable(expiration_ms=HOUR)
    for producer in range(100):
        table.appended(of(0, producer=producer), producer, NOW + (HOUR if producer % 10 == 0 else 0))
    assert table.last(NOW + HOUR) == {producer: producer for producer in range(0, 100, 10)}
    table.expire(NOW + HOUR)
    assert len(table) == table.room == 10
    assert [table.check(of(0, producer=p), NOW + HOUR)[0] for p in (0, 1)] == [DUPLICATE, OK]
    table.expire(NOW + 2 * HOUR)
    assert len(table) == table.room == 0 and table.save() == b""


def test_the_time_of_who_has_none_begins_at_the_first_look() -> None:
    """A snapshot of an earlier version says no times."""
    table = ProducerTable(expiration_ms=HOUR)
    table.appended(of(0), 5)
    assert table.check(of(0), NOW) == (DUPLICATE, 5)
    table.expire(NOW)
    table.expire(NOW + HOUR - 1)
    assert table.check(of(0), NOW + HOUR - 1) == (DUPLICATE, 5)
    table.expire(NOW + HOUR)
    assert len(table) == 0


def test_a_clock_that_is_set_back_forgets_nobody() -> None:
    table = ProducerTable(expiration_ms=HOUR)
    table.appended(of(0), 5, NOW)
    table.expire(NOW - 10 * HOUR)
    assert table.check(of(0), NOW - 10 * HOUR) == (DUPLICATE, 5)


# --- as bytes ---------------------------------------------------------------------------------------------------------

def test_the_state_survives_as_bytes(table: ProducerTable) -> None:
    again = ProducerTable()
    assert again.load(table.save())
    for one in (of(19), of(18), of(13), of(20), of(0, epoch=4)):
        assert again.check(one) == table.check(one)
    assert ProducerTable().load(b"")


def test_times_survive_as_bytes() -> None:
    table, again = ProducerTable(expiration_ms=HOUR), ProducerTable(expiration_ms=HOUR)
    table.appended(of(0), 5, NOW)
    assert again.load(table.save())
    assert [again.check(of(7), NOW + after)[0] for after in (HOUR - 1, HOUR)] == [OUT_OF_ORDER, OK]


def test_a_lower_bound_keeps_those_who_appended_last() -> None:
    table, again = ProducerTable(), ProducerTable(most=3)
    for producer in (4, 8, 1, 9, 2):
        table.appended(of(0, producer=producer), producer)
    table.appended(of(1, producer=8), 11)
    assert again.load(table.save()) and again.room == 3
    assert again.last() == {8: 11, 9: 9, 2: 2}


@pytest.mark.parametrize("data", [b"x", b"\xff" * 104, bytes(104 * (MOST_PRODUCERS + 1))])
def test_nonsense_is_not_loaded(data: bytes) -> None:
    assert not ProducerTable().load(data)
