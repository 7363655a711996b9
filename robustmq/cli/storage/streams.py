"""What the entries of a stream must be to each other: no offset is missing."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from robustmq.cli.storage.found import Batch, Damage, Found, Note


@dataclass(slots=True)
class Stream:
    """One stream as far as it has been walked: sealed files first, then the journal in order."""

    name: str = ""
    partition: int = 0
    start: int = 0                      # first offset that was not deleted
    end: int = 0                        # as the latest directory entry says
    ended: bool = False                 # deleted
    runs: list[tuple[int, int, str]] = field(default_factory=list)       # base, end, file
    batches: list[tuple[int, int, str, int]] = field(default_factory=list)      # base, end, file, byte

    @property
    def label(self) -> str:
        """topic-partition."""
        return f"{self.name or '?'}-{self.partition}"


class Streams:
    """All streams by number. `take` everything, then ask."""

    def __init__(self) -> None:
        self._all: dict[int, Stream] = {}

    def label(self, stream: int) -> str:
        """topic-partition of a stream, "stream N" when nothing names it."""
        known = self._all.get(stream)
        return known.label if known is not None and known.name else f"stream {stream}"

    def find(self, stream: int) -> Stream | None:
        """What is known of it."""
        return self._all.get(stream)

    def take(self, found: Found) -> None:
        """Learn from it."""
        if isinstance(found, Damage) or (isinstance(found, Note) and found.kind not in {"stream", "end", "run"}):
            return
        known = self._all.setdefault(found.stream, Stream())
        if isinstance(found, Batch):
            if not found.sealed:
                self._take_batch(known, found)
        elif found.kind == "run":
            known.runs.append((found.first, found.last, found.file))
        elif found.kind == "end":
            known.ended = True
        else:
            known.name, known.partition = found.name, found.partition
            known.start, known.end = max(known.start, found.first), max(known.end, found.last)

    @staticmethod
    def _take_batch(known: Stream, batch: Batch) -> None:
        """Neighbours in one file are one stretch: memory follows gaps, not batches."""
        if known.batches and known.batches[-1][1] == batch.base:
            base, _, file, byte = known.batches[-1]
            known.batches[-1] = base, batch.last + 1, file, byte
        else:
            known.batches.append((batch.base, batch.last + 1, batch.file, batch.byte))

    def holes(self) -> Iterator[Damage]:
        """Offsets of living streams that nothing holds, from the first offset that was not deleted on."""
        for number, known in sorted(self._all.items()):
            if known.ended or not known.name:
                continue
            stretches = sorted([(base, end, file, 0) for base, end, file in known.runs] + known.batches)
            at = known.start
            for base, end, file, byte in stretches:
                if base > at:
                    yield Damage(file, byte, "the offsets before it are missing", number, at, base - 1)
                at = max(at, end)
            if known.end > at:
                yield Damage("", 0, "the last offsets are missing", number, at, known.end - 1)

    def nameless(self) -> list[int]:
        """Streams without a directory entry: deleted ones, or the journal has lost it."""
        return sorted(number for number, known in self._all.items()
                      if not known.name and not known.ended and known.runs)

    def living(self) -> int:
        """How many there are."""
        return sum(1 for known in self._all.values() if known.name and not known.ended)
