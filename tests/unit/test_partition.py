"""A partition against a model: append, read, retire, delete and reopen in any order (Hypothesis)."""
from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.batches import batch, values
from tests.logs import ID, open_log, settled
from tests.shims.store import append_many

KEYS = st.sampled_from([b"a", b"b", b"", b"k" * 300])
NAMES = st.sampled_from(["one", "two", "three"])


class LogModel(RuleBasedStateMachine):
    """Two or three streams and a state table; retirement by a flood in a stream of its own."""

    @initialize()
    def begin(self) -> None:
        self.path = Path(tempfile.mkdtemp())
        self.log = open_log(self.path, journal_bytes=4 << 20)
        self.records: dict[str, list[bytes]] = {}
        self.streams: dict[str, int] = {}
        self.state: dict[tuple[int, bytes], bytes] = {}
        self.sequences: dict[str, int] = {}
        self.flood = self.log.create_stream("flood", ID, 0, 1).stream
        self.payload = batch([b"." * 100_000])

    @rule(name=NAMES)
    def create(self, name: str) -> None:
        if name not in self.streams:
            self.streams[name] = self.log.create_stream(name, ID, len(name), 1).stream
            self.records[name] = []
            self.sequences[name] = 0

    @rule(name=NAMES, sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=5), producer=st.booleans())
    def append(self, name: str, sizes: list[int], producer: bool) -> None:
        if name not in self.streams:
            return
        new = [b"%d" % size + b"." * size for size in sizes]
        part = self.log.partition(self.streams[name])
        who = {"producer": 4, "epoch": 0, "sequence": self.sequences[name]} if producer else {}
        assert part.append(batch(new, **who))[0] == len(self.records[name])
        if producer:
            assert part.append(batch(new, **who))[0] == len(self.records[name])
            self.sequences[name] += len(new)
        self.records[name] += new

    @rule(space=st.integers(0, 2), key=KEYS, value=st.none() | st.binary(max_size=50))
    def put(self, space: int, key: bytes, value: bytes | None) -> None:
        self.log.state_put(space, key, value)
        if value is None:
            self.state.pop((space, key), None)
        else:
            self.state[space, key] = value

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        if name in self.streams:
            self.log.delete_stream(self.streams.pop(name))

    @rule(count=st.integers(1, 30))
    def retire(self, count: int) -> None:
        append_many(self.log, self.flood, self.payload, count)
        settled(self.log, 4)

    @precondition(lambda self: self.streams)
    @rule()
    def reopen(self) -> None:
        self.log.close()
        self.log = open_log(self.path, journal_bytes=4 << 20)
        assert self.log.recovered["dropped"] == self.log.recovered["gaps"] == 0

    @invariant()
    def everything_is_there(self) -> None:
        if not hasattr(self, "log"):
            return
        rows = {row[0]: row for row in self.log.streams() if row[0] != "flood"}
        assert rows.keys() == self.streams.keys()
        for name, stream in self.streams.items():
            part = self.log.partition(stream)
            start, end = part.start, part.end
            assert rows[name] == (name, ID, len(name), stream, 1, start, end)
            assert end == len(self.records[name])
            assert values(part.read(start, 1 << 30)) == list(enumerate(self.records[name]))[start:]
        for space in range(3):
            expected = {key: value for (s, key), value in self.state.items() if s == space}
            assert dict(self.log.state_items(space)) == expected

    def teardown(self) -> None:
        if hasattr(self, "log"):
            self.log.close()
            shutil.rmtree(self.path)


TestLogModel = LogModel.TestCase
TestLogModel.settings = settings(max_examples=25, stateful_step_count=25, deadline=None,
                                 suppress_health_check=list(HealthCheck))
