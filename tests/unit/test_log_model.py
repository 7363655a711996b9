"""The log against a model, in a process of its own that is killed now and then.

What was appended is there, once, at its offset and in order, until it was trimmed, is older than retention allows, or
was compacted away; that holds in the journal, in sealed files, after an orderly end and after a SIGKILL. So do the
values of the state table, and no number of a stream is used twice.
"""
from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from robustmq._fastpath.broker.cleaner import clean
from robustmq._fastpath.stores.log import Log

from tests.keyed import NOW, Record, everything, keyed
from tests.logs import open_log
from tests.served import Served
from tests.unit.test_merge import merge

PRODUCER = 7
HOUR_MS = 3_600_000
SPACE = 7
KEYS = st.integers(0, 11)
EXAMPLES = int(os.environ.get("ROBUSTMQ_MODEL_EXAMPLES", "25"))      # make model takes more
COMPACTED = {"cleanup": "compact", "min_cleanable_dirty_ratio": 0.0, "delete_retention_ms": HOUR_MS}


# --- the model --------------------------------------------------------------------------------------------------------

@dataclass
class Stream:
    """What a stream has to hold: records by offset, each with the time of its batch."""

    number: int
    compacted: bool
    records: dict[int, tuple[Record, int]] = field(default_factory=dict)
    start: int = 0
    end: int = 0
    sequence: int = 0                   # of the producer's next batch
    last: tuple[list[Record], int, int, int] | None = None      # that producer's: records, time, sequence, base

    def forget(self, below: int) -> None:
        """Trimmed, or retired."""
        self.start = max(self.start, below)
        self.records = {at: record for at, record in self.records.items() if at >= self.start}

    def may_be_compacted(self, at: int) -> bool:
        """A later record has its key, or it is a tombstone."""
        (key, value), _ = self.records[at]
        return self.compacted and key is not None and (
            value is None or any(other > at and record[0] == key for other, (record, _) in self.records.items()))


# --- the log, in a child ----------------------------------------------------------------------------------------------

def look(log: Log, stream: int) -> tuple[int, int, dict[int, Record]]:
    part = log.partition(stream)
    return part.start, part.end, everything(log, stream)


ACTIONS: dict[str, Any] = {
    "create": lambda log, number: log.create_stream(f"t{number}", bytes([number % 256]) * 16, 0, 1).stream,
    "policy": lambda log, stream, fields: log.set_policy(stream, **fields),
    "append": lambda log, stream, batch: log.partition(stream).append(batch)[0],
    "look": look,
    "seek": lambda log, stream, time: log.partition(stream).seek_time(time),
    "streams": lambda log: sorted(row[3] for row in log.streams()),
    "trim": lambda log, stream, offset: log.trim(stream, offset),
    "delete": lambda log, stream: log.delete_stream(stream),
    "seal": lambda log: log.seal(),
    "retain": lambda log, now: log.retain(now),
    "clean": clean,
    "merge": lambda log: merge(log),
    "put": lambda log, values: [log.state_put(SPACE, key, value) for key, value in values],
    "state": lambda log: dict(log.state_items(SPACE)),
    "notes": lambda log: log.recovered["notes"],
    "close": lambda log: log.close(),
}


class LogMachine(RuleBasedStateMachine):
    """Rules do to both the same."""

    def __init__(self) -> None:
        super().__init__()
        self.path = Path(tempfile.mkdtemp(prefix="robustmq-model-"))
        self.streams: list[Stream] = []
        self.made = 0
        self.state: dict[bytes, bytes] = {}
        self.now = NOW
        self.open()

    def open(self) -> None:
        self.child = Served(lambda: open_log(self.path, journal_bytes=5 << 20), ACTIONS)
        if self.streams:                    # policies are not the log's to remember
            for stream in self.streams:
                self.set_policy(stream)

    def ask(self, *words: object) -> Any:
        return self.child.ask(*words)

    def set_policy(self, stream: Stream) -> None:
        self.ask("policy", stream.number, COMPACTED if stream.compacted else {"retention_ms": HOUR_MS})

    def teardown(self) -> None:
        self.child.kill()
        rmtree(self.path)

    # --- rules --------------------------------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        self.create(compacted=False)
        self.create(compacted=True)

    @precondition(lambda self: len(self.streams) < 5)
    @rule(compacted=st.booleans())
    def create(self, compacted: bool) -> None:
        self.made += 1
        stream = Stream(self.ask("create", self.made), compacted)
        assert stream.number == self.made
        self.streams.append(stream)
        self.set_policy(stream)

    @precondition(lambda self: len(self.streams) > 2)
    @rule(which=st.integers(0, 9))
    def delete(self, which: int) -> None:
        self.ask("delete", self.streams.pop(which % len(self.streams)).number)

    @rule(which=st.integers(0, 9), size=st.sampled_from([0, 1, 10, 20_000]), codec=st.integers(0, 4),
          idempotent=st.booleans(), times=st.integers(1, 12), keys=st.lists(
              st.tuples(st.sampled_from([None, b"a", b"b", b"c", b"d"]), st.booleans()), min_size=1, max_size=6))
    def append(self, which: int, size: int, codec: int, idempotent: bool, times: int,
               keys: list[tuple[bytes | None, bool]]) -> None:
        stream = self.streams[which % len(self.streams)]
        for _ in range(times):
            self.now += 1000
            records: list[Record] = [
                (key, None if key is not None and tombstone else b"%d." % (stream.end + i) * (1 + size // 4))
                for i, (key, tombstone) in enumerate(keys)]
            batch = keyed(records, codec=codec, timestamp=self.now, producer=PRODUCER if idempotent else -1,
                          sequence=stream.sequence if idempotent else -1)
            assert self.ask("append", stream.number, batch) == stream.end
            if idempotent:
                stream.last = records, self.now, stream.sequence, stream.end
                stream.sequence += len(records)
            stream.records.update({stream.end + i: (record, self.now) for i, record in enumerate(records)})
            stream.end += len(records)

    @rule(which=st.integers(0, 9))
    def append_again(self, which: int) -> None:
        """A producer that lost the answer: the batch is known, and gets its old offset."""
        stream = self.streams[which % len(self.streams)]
        if stream.last is not None:
            records, time, sequence, base = stream.last
            batch = keyed(records, timestamp=time, producer=PRODUCER, sequence=sequence)
            assert self.ask("append", stream.number, batch) == base

    @rule(which=st.integers(0, 9), part=st.floats(0, 1))
    def trim(self, which: int, part: float) -> None:
        stream = self.streams[which % len(self.streams)]
        offset = stream.start + round(part * (stream.end - stream.start))
        self.ask("trim", stream.number, offset)
        stream.forget(offset)

    @rule()
    def seal(self) -> None:
        self.ask("seal")

    @rule(later_ms=st.sampled_from([0, HOUR_MS // 2, 2 * HOUR_MS]))
    def retain(self, later_ms: int) -> None:
        """Only what is too old may go, the oldest first, and never of a compacted stream."""
        self.now += later_ms
        self.ask("retain", self.now)
        for stream in self.streams:
            start = self.ask("look", stream.number)[0]
            gone = [time for at, (_, time) in stream.records.items() if at < start]
            assert not gone or (not stream.compacted and max(gone) < self.now - HOUR_MS)
            stream.forget(start)

    @rule(which=st.integers(0, 9), max_keys=st.sampled_from([1, 2, 1000]))
    def compact(self, which: int, max_keys: int) -> None:
        stream = self.streams[which % len(self.streams)]
        self.ask("clean", stream.number, self.now, max_keys)
        left = self.ask("look", stream.number)[2]
        gone = [at for at in stream.records if at not in left]
        assert all(stream.may_be_compacted(at) for at in gone)
        for at in gone:
            del stream.records[at]

    @rule(which=st.integers(0, 9), before_ms=st.integers(0, 50_000))
    def seek_by_time(self, which: int, before_ms: int) -> None:
        stream = self.streams[which % len(self.streams)]
        wanted = self.now - before_ms
        found = self.ask("seek", stream.number, wanted)
        first = min((at for at, (_, time) in stream.records.items() if time >= wanted), default=None)
        if first is not None:
            assert found is not None
            assert int.from_bytes(found[:8], "big") <= first

    @rule(which=st.integers(0, 9), rounds=st.integers(8, 12))
    def seal_often(self, which: int, rounds: int) -> None:
        """As many small runs as merging wants to see."""
        for _ in range(rounds):
            self.append(which, 1, False, False, 1, [(b"a", False)])
            self.seal()

    @rule(values=st.lists(st.tuples(KEYS, st.sampled_from([None, 1, 100, 30_000])), min_size=1, max_size=12))
    def put(self, values: list[tuple[int, int | None]]) -> None:
        """Set values, or delete them."""
        self.now += 1
        rows = [(b"%d" % key, None if size is None else b"%d:" % self.now + bytes(size)) for key, size in values]
        self.ask("put", rows)
        self.state.update({key: value for key, value in rows if value is not None})
        for key, value in dict(rows).items():
            if value is None:
                self.state.pop(key, None)

    @rule(key=KEYS, rounds=st.integers(2, 6))
    def turn_the_state_log(self, key: int, rounds: int) -> None:
        """Segments of it go."""
        for _ in range(rounds):
            self.put([((key + i) % 24, size) for i in range(8) for size in (1, 60_000)])
            self.seal()

    @rule()
    def merge(self) -> None:
        self.ask("merge")

    @rule()
    def reopen(self) -> None:
        self.child.close()
        self.open()
        assert self.ask("notes") == []

    @rule(after_us=st.sampled_from([0, 300, 600, 1000, 2000, 4000]))
    def crash_while_sealing(self, after_us: int) -> None:
        self.child.pipe.send(("seal",))
        self.child.pipe.poll(after_us / 1e6)
        self.crash()

    @rule()
    def crash(self) -> None:
        self.child.kill()
        self.open()
        assert self.ask("notes") == []

    # --- what always holds --------------------------------------------------------------------------------------------

    @invariant()
    def the_log_is_as_the_model_says(self) -> None:
        assert self.ask("streams") == sorted(stream.number for stream in self.streams)
        assert self.ask("state") == self.state
        for stream in self.streams:
            assert self.ask("look", stream.number) == (
                stream.start, stream.end, {at: record for at, (record, _) in stream.records.items()})


TestLogModel = LogMachine.TestCase
TestLogModel.settings = settings(max_examples=EXAMPLES, stateful_step_count=25, deadline=None,
                                 suppress_health_check=list(HealthCheck))
