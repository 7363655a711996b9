"""Idempotent producers of a partition against the rules of Kafka's ProducerStateManager, over SIGKILL, sealing, the end
of journal segments, retention and DeleteRecords."""
from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from robustmq._fastpath.stores.log import Log
from robustmq._fastpath.stores.partition_ref import SequenceError

from tests.batches import batch
from tests.logs import ID, MIB, open_log
from tests.served import Served

LAST = 2**31 - 1
NOW, HOUR = 1_800_000_000_000, 3_600_000
STREAM, OTHERS = 1, 2


def after(sequence: int, n: int = 1) -> int:
    return (sequence + n) % (LAST + 1)


# --- the model --------------------------------------------------------------------------------------------------------

@dataclass
class Row:
    epoch: int
    used: int
    seen_s: int
    batches: list[tuple[int, int, int]] = field(default_factory=list)       # first and last sequence, offset


class Model:
    """What a partition knows of its producers, and how it answers."""

    def __init__(self, most: int, expiration_ms: int) -> None:
        self.most, self.expiration_ms = most, expiration_ms
        self.rows: dict[int, Row] = {}
        self.end = self.uses = 0

    def append(self, producer: int, epoch: int, first: int, count: int, now_ms: int) -> int | None:
        """The offset; None: refused."""
        self.forget(now_ms)
        last, row = after(first, count - 1), self.rows.get(producer)
        if row is not None and epoch == row.epoch:
            for begin, end, offset in row.batches:
                if (begin, end) == (first, last):
                    return offset
        if row is not None and (epoch < row.epoch or first != (after(row.batches[-1][1]) if epoch == row.epoch else 0)):
            return None
        if row is None and len(self.rows) == self.most:
            del self.rows[min(self.rows, key=lambda each: self.rows[each].used)]
        self.uses += 1
        kept = row.batches[-4:] if row is not None and row.epoch == epoch else []
        self.rows[producer] = Row(epoch, self.uses, -(-now_ms // 1000), [*kept, (first, last, self.end)])
        self.end += count
        return self.end - count

    def forget(self, now_ms: int) -> None:
        self.rows = {producer: row for producer, row in self.rows.items()
                     if now_ms - row.seen_s * 1000 < self.expiration_ms}


# --- the log, in a child ----------------------------------------------------------------------------------------------

def append(log: Log, one: bytes, now_ms: int) -> tuple[int | None, int]:
    """(offset or None: refused, end)"""
    part = log.partition(STREAM)
    try:
        return part.append(one, now_ms=now_ms)[0], part.end
    except SequenceError:
        return None, part.end


ACTIONS: dict[str, Any] = {
    "append": append,
    "fill": lambda log: [log.partition(OTHERS).append(batch([b"x" * (MIB // 5)])) for _ in range(5)][-1],
    "seal": lambda log: log.seal(),
    "trim": lambda log: log.trim(STREAM, 1 << 40),
    "retain": lambda log, now_ms: log.retain(now_ms),
    "evicted": lambda log: log.stats()["wal"]["producers_evicted"],
    "written": lambda log: log.stats()["wal"]["bytes"],
    "recovered": lambda log: (log.recovered["dropped"], log.recovered["notes"]),
    "close": lambda log: log.close(),
}


def open_it(path: Path, most: int) -> Log:
    log = open_log(path, producers_max=most, producer_expiration_ms=HOUR)
    if not log.streams():
        log.create_stream("orders", ID)
        log.create_stream("others", ID, 1)
    return log


class World:
    """A log and the model; what is done to the one is done to the other."""

    def __init__(self, path: Path, *, most: int = 1024) -> None:
        self.path, self.now_ms = path, NOW
        self.model = Model(most, HOUR)
        self.open()

    def open(self) -> None:
        self.child = Served(lambda: open_it(self.path, self.model.most), ACTIONS)
        if self.model.end:
            assert self.ask("recovered") == (0, [])

    def ask(self, *words: object) -> Any:
        return self.child.ask(*words)

    def end(self) -> None:
        self.child.kill()

    def kill(self) -> None:
        self.end()
        self.open()

    def restart(self) -> None:
        self.child.close()
        self.open()

    def fill(self) -> None:
        """Others write as much as a segment of the journal."""
        self.ask("fill")

    def retire(self) -> None:
        """Twice: what the first round carries stands in the segment that the second one retires."""
        self.ask("seal")
        self.ask("seal")

    def trim(self) -> None:
        self.ask("trim")
        self.ask("seal")                            # its files are deleted behind this

    def retain(self) -> None:
        self.ask("retain", self.now_ms)

    def send(self, producer: int, epoch: int, first: int, count: int = 1) -> int | None:
        """To both; they answer alike."""
        one = batch([b"x"] * count, producer=producer, epoch=epoch, sequence=first)
        expected = self.model.append(producer, epoch, first, count, self.now_ms)
        assert self.ask("append", one, self.now_ms) == (expected, self.model.end), (producer, epoch, first, count)
        return expected


# --- what is done to it -----------------------------------------------------------------------------------------------

DISTURBANCES: dict[str, tuple[Callable[[World], None], ...]] = {
    "killed": (World.kill,),
    "restarted": (World.restart,),
    "sealed": (World.retire, World.kill),
    "retained": (World.retain, World.kill),
    "trimmed": (World.trim, World.kill),
    "trimmed and retired": (World.trim, World.retire, World.kill, World.kill),
}
Disturb = Callable[[World], None]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.end()


@pytest.fixture(params=DISTURBANCES)
def disturb(request: pytest.FixtureRequest) -> Disturb:
    def run(world: World) -> None:
        for step in DISTURBANCES[request.param]:
            step(world)
    return run


def test_each_of_the_last_five_batches_is_known(world: World, disturb: Disturb) -> None:
    for first in range(0, 14, 2):
        world.send(7, 0, first, 2)
    disturb(world)
    assert [world.send(7, 0, first, 2) for first in range(4, 14, 2)] == [4, 6, 8, 10, 12]
    assert world.send(7, 0, 2, 2) is None, "older than five"
    assert world.send(7, 0, 12, 1) is None and world.send(7, 0, 15) is None
    assert world.send(7, 0, 14) == 14


def test_an_epoch_that_was_bumped_stays(world: World, disturb: Disturb) -> None:
    for epoch, first in ((0, 0), (0, 1), (3, 0), (3, 1)):
        world.send(7, epoch, first)
    disturb(world)
    assert [world.send(7, *batch) for batch in ((0, 1), (0, 2), (2, 0), (3, 3), (4, 2))] == [None] * 5
    assert [world.send(7, *batch) for batch in ((3, 0), (3, 1), (3, 2), (4, 0), (3, 2))] == [2, 3, 4, 5, None]


def test_sequences_wrap(world: World, disturb: Disturb) -> None:
    """Also within a batch (DefaultRecordBatch.incrementSequence)."""
    for first, count in ((LAST - 5, 2), (LAST - 3, 3), (LAST, 4), (3, 1)):
        world.send(7, 0, first, count)
    disturb(world)
    assert [world.send(7, 0, *batch) for batch in ((LAST - 5, 2), (LAST - 3, 3), (LAST, 4), (3, 1))] == [0, 2, 5, 9]
    assert world.send(7, 0, LAST) is None and world.send(7, 0, 0) is None
    assert world.send(7, 0, 4) == 10


def test_who_was_evicted_begins_anywhere(tmp_path: Path, disturb: Disturb) -> None:
    world = World(tmp_path, most=3)
    for producer, first in ((1, 0), (2, 0), (3, 0), (1, 1), (4, 0)):        # of those the second goes
        world.send(producer, 0, first)
    assert world.ask("evicted") == 1
    disturb(world)
    assert [world.send(producer, 0, 0) for producer in (1, 3, 4)] == [0, 2, 4]
    assert world.ask("evicted") == 0, "since this start"
    assert world.send(2, 0, 55) == 5 and world.send(2, 0, 54) is None
    disturb(world)
    assert world.send(2, 0, 55) == 5 and world.send(2, 0, 54) is None
    assert world.send(3, 0, 9) == 6, "it had made room for the second"
    world.end()


def test_who_was_silent_begins_anywhere(world: World, disturb: Disturb) -> None:
    for first in range(3):
        world.send(7, 5, first)
        world.send(8, 5, first)
    world.now_ms += HOUR - 1000
    world.send(8, 5, 3)
    disturb(world)
    assert world.send(7, 5, 1) == 2 and world.send(7, 5, 9) is None
    world.now_ms += 1000
    disturb(world)
    assert world.send(7, 2, 1) == 7, "also with an epoch that was one of long ago"
    assert world.send(7, 5, 3) is None and world.send(8, 5, 9) is None
    disturb(world)
    assert world.send(7, 2, 1) == 7 and world.send(7, 2, 2) == 8 and world.send(8, 5, 2) == 5


def test_nobody_stays_in_the_journal_for_ever(world: World) -> None:
    """A snapshot of producers is carried from segment to segment only as long as one of them lives."""
    def written() -> int:
        before = int(world.ask("written"))
        world.retire()
        return int(world.ask("written")) - before

    for producer in range(500):
        world.send(producer, 0, 0)
    world.retire()
    assert written() > 104 * 500
    world.now_ms += HOUR
    world.retain()
    world.retire()
    assert written() < 1000


@pytest.mark.parametrize("seed", range(6))
def test_any_order(tmp_path: Path, seed: int) -> None:
    chosen = random.Random(seed)
    world = World(tmp_path, most=4)
    known: dict[int, tuple[int, int, int]] = {}                 # producer: epoch, first sequence, count of a batch
    for _ in range(400):
        producer = chosen.randrange(6)
        epoch, first, count = known.get(producer, (0, chosen.choice((0, 5, LAST - 3)), 1))
        if (step := chosen.random()) < 0.6:
            first, count = after(first, count), chosen.randrange(1, 4)
        elif step < 0.7:
            epoch, first, count = epoch + chosen.choice((-1, 1, 1)), chosen.choice((0, 0, 4)), 1
        elif step < 0.8:
            first = (first - chosen.randrange(12)) % (LAST + 1)
        if epoch >= 0 and world.send(producer, epoch, first, count) == world.model.end - count:
            known[producer] = epoch, first, count
        world.now_ms += chosen.choice((0, 1, 700, 50_000))
        if chosen.random() < 0.02:
            world.now_ms += HOUR // 2
        if chosen.random() < 0.1:
            chosen.choice((World.fill, World.retire, World.trim, World.retain, World.kill, World.restart))(world)
    world.end()
