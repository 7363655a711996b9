"""Idempotent producers, row by row of Kafka's ProducerAppendInfo."""
from __future__ import annotations

import pytest

from tests.batches import batch
from tests.shims.store import MOST_PRODUCERS, ProducerTable

OK, DUPLICATE, OUT_OF_ORDER, STALE_EPOCH = 0, 25, 26, 27
LAST = 2**31 - 1


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
    table = ProducerTable()
    for producer in range(MOST_PRODUCERS):
        table.appended(of(0, producer=producer), producer)
    table.appended(of(1, producer=0), MOST_PRODUCERS)
    for producer in range(MOST_PRODUCERS, MOST_PRODUCERS + 10):
        table.appended(of(0, producer=producer), producer)
    assert len(table) == MOST_PRODUCERS
    assert table.check(of(1, producer=0))[0] == DUPLICATE
    assert [table.check(of(0, producer=p))[0] for p in (1, 10, 11)] == [OK, OK, DUPLICATE]


def test_the_state_survives_as_bytes(table: ProducerTable) -> None:
    again = ProducerTable()
    assert again.load(table.save())
    for one in (of(19), of(18), of(13), of(20), of(0, epoch=4)):
        assert again.check(one) == table.check(one)
    assert ProducerTable().load(b"")


@pytest.mark.parametrize("data", [b"x", b"\xff" * 104, bytes(104 * (MOST_PRODUCERS + 1))])
def test_nonsense_is_not_loaded(data: bytes) -> None:
    assert not ProducerTable().load(data)
