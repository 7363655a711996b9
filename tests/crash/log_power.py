"""Power cuts of a bare log, between and in the middle of its steps: values, streams and records against a model.

    python -m tests.crash.log_power --rounds 500

Each round does random things to a log in a process of its own, kills that at a random moment, often while it retires
segments, and leaves its directory as a disk that lost power would (disk.py). What was there when `sync` last returned
has to be there, or what came after it; nothing older. Exit status 1 and the seed for a finding.
"""
from __future__ import annotations

import argparse
import os
import pickle
import random
import select
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from robustmq._fastpath.stores.log import Log

from tests.batches import batch
from tests.crash.disk import Disk
from tests.logs import MIB, open_log
from tests.shims import qsbr

SPACE = 7
KEYS = 16
SIZES = [None, None, 1, 100, 30_000, 100_000]
RECORD = 20_000

Values = dict[bytes, bytes]
Streams = dict[str, tuple[int, int]]        # name: (start, end)


# --- the log, in a child ----------------------------------------------------------------------------------------------

def look(log: Log) -> tuple[Values, Streams, dict[str, int], list[str]]:
    """All there is; each record must carry its stream's name and its offset."""
    rows = log.streams()
    for name, _, _, number, _, start, end in rows:
        for offset in range(start, end):
            data = log.partition(number).read(offset, 1)
            assert b"%s/%d:" % (name.encode(), offset) in data[61:100], (
                f"{name}: {data[61:100]!r} stands at offset {offset} of {start} to {end}")
    return (dict(log.state_items(SPACE)), {row[0]: (row[5], row[6]) for row in rows}, {row[0]: row[3] for row in rows},
            log.recovered["notes"])


def append(log: Log, number: int, name: str) -> int:
    part = log.partition(number)
    value = b"%s/%d:" % (name.encode(), part.end) + b"." * RECORD
    return int(part.append(batch([value]))[0])


def overtake(log: Log, values: Values) -> tuple[int, int]:
    """Seal, and put `values` when the journal's segment was given up, but nothing of the state log yet: a reader holds
    the sealer there. How many segments of the two were given up.
    """
    before = log.stats()
    reader = qsbr.register()
    sealer = threading.Thread(target=log.seal)
    sealer.start()
    while log.stats()["wal"]["start"] == before["wal"]["start"]:
        sealer.join(0.001)
    for key, value in values.items():
        log.state_put(SPACE, key, value)
    qsbr.unregister(reader)
    sealer.join()
    after = log.stats()
    return after["wal"]["retired"] - before["wal"]["retired"], after["state"]["retired"] - before["state"]["retired"]


ACTIONS: dict[str, Any] = {
    "overtake": overtake,
    "put": lambda log, key, value: log.state_put(SPACE, key, value),
    "create": lambda log, name: log.create_stream(name, bytes(16)).stream,
    "append": append,
    "trim": lambda log, number, offset: log.trim(number, offset),
    "delete": lambda log, number: log.delete_stream(number),
    "seal": lambda log: log.seal(),
    "sync": lambda log: log.sync(),
    "look": look,
}


def serve(path: Path) -> None:
    log = open_log(path, journal_bytes=6 * MIB)
    while True:
        name, *arguments = pickle.load(sys.stdin.buffer)
        answer = ACTIONS[name](log, *arguments)
        pickle.dump(answer, sys.stdout.buffer)
        sys.stdout.buffer.flush()


class Child:
    """A log that lives on `disk`."""

    def __init__(self, disk: Disk) -> None:
        self.process = subprocess.Popen([sys.executable, "-m", "tests.crash.log_power", "--serve", disk.below / "data"],
                                        env={**os.environ, **disk.environment()}, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def ask(self, *words: object) -> Any:
        self.tell(*words)
        assert self.process.stdout
        return pickle.load(self.process.stdout)

    def tell(self, *words: object) -> None:
        assert self.process.stdin
        pickle.dump(words, self.process.stdin)
        self.process.stdin.flush()

    def kill(self, after_s: float = 0) -> None:
        """In the middle of what it was told last, if that lasts so long."""
        select.select([self.process.stdout], [], [], after_s)
        self.process.kill()
        self.process.communicate()


# --- the model --------------------------------------------------------------------------------------------------------

@dataclass
class Model:
    """What is, and what may be found after a power cut: every state since the last sync."""

    values: Values = field(default_factory=dict)
    streams: Streams = field(default_factory=dict)
    values_since: dict[bytes, set[bytes | None]] = field(default_factory=dict)
    streams_since: dict[str, set[tuple[int, int] | None]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    highest: int = 0                    # number of a stream that was durable
    made: int = 0

    def put(self, key: bytes, value: bytes | None) -> None:
        self.values_since.setdefault(key, {self.values.get(key)}).add(value)
        if value is None:
            self.values.pop(key, None)
        else:
            self.values[key] = value

    def change(self, name: str, span: tuple[int, int] | None) -> None:
        self.streams_since.setdefault(name, {self.streams.get(name)}).add(span)
        if span is None:
            del self.streams[name]
        else:
            self.streams[name] = span

    def synced(self) -> None:
        self.values_since.clear()
        self.streams_since.clear()
        self.highest = max(self.numbers.values(), default=0)

    def wrong(self, values: Values, streams: Streams) -> Iterator[str]:
        """Findings; what was found is what is from now on."""
        for key in sorted(self.values.keys() | values.keys() | self.values_since.keys()):
            allowed = self.values_since.get(key, {self.values.get(key)})
            if values.get(key) not in allowed:
                yield f"value {key!r}: {short(values.get(key))}, expected one of {sorted(map(short, allowed))}"
        for name in sorted(self.streams.keys() | streams.keys() | self.streams_since.keys()):
            spans = self.streams_since.get(name, {self.streams.get(name)})
            if not any(fits(streams.get(name), spans, span) for span in spans):
                yield f"stream {name}: {streams.get(name)}, expected one of {spans}"
        self.values, self.streams = values, streams
        self.synced()


def short(value: bytes | None) -> str:
    return "nothing" if value is None else value[:12].decode()


def fits(found: tuple[int, int] | None, spans: set[tuple[int, int] | None], span: tuple[int, int] | None) -> bool:
    """A trim and an append are two entries: one may be there without the other, and a start is never beyond the end."""
    if found is None or span is None:
        return found == span
    return found[0] in {min(one[0], found[1]) for one in spans if one} and found[1] in {one[1] for one in spans if one}


# --- a round ----------------------------------------------------------------------------------------------------------

def step(child: Child, model: Model, dice: random.Random) -> None:
    what = dice.choice(["put"] * 12 + ["append"] * 8 + ["create", "trim", "trim", "delete", "seal", "seal", "sync"])
    name = dice.choice(list(model.streams) or [""])
    number = model.numbers.get(name, 0)
    start, end = model.streams.get(name, (0, 0))
    if what == "put":
        for _ in range(dice.randrange(1, 6)):
            key, size = b"%d" % dice.randrange(KEYS), dice.choice(SIZES)
            value = None if size is None else b"%d:" % dice.randrange(1 << 40) + bytes(size)
            model.put(key, value)
            child.ask("put", key, value)
    elif what == "create" and len(model.streams) < 6:
        model.made += 1
        name = f"t{model.made}"
        model.numbers[name] = child.ask("create", name)
        model.change(name, (0, 0))
        assert model.numbers[name] > model.highest, "a number is used again"
    elif what == "append" and name:
        for _ in range(dice.randrange(1, 6)):
            assert child.ask("append", number, name) == end
            end += 1
            model.change(name, (start, end))
    elif what == "trim" and name:
        start = dice.randrange(start, end + 1)
        model.change(name, (start, end))
        child.ask("trim", number, start)
    elif what == "delete" and name:
        model.change(name, None)
        child.ask("delete", number)
    elif what == "seal":
        model.put(b"any", b"")
        child.ask("put", b"any", b"")           # a segment without an entry is not closed
        child.ask("seal")
    elif what == "sync":
        child.ask("sync")
        model.synced()


def run(rounds: int, seed: int, directory: Path) -> list[str]:
    dice = random.Random(seed)
    disk = Disk(directory, shadowed=True)
    model = Model()
    child = Child(disk)
    for number in range(rounds):
        for _ in range(dice.randrange(30)):
            step(child, model, dice)
        in_a_seal = dice.random() < 0.7
        if in_a_seal:
            child.tell("seal")
        child.kill(dice.uniform(0, 0.02) if in_a_seal else 0)
        disk.cut(dice)
        child = Child(disk)
        values, streams, numbers, notes = child.ask("look")
        model.numbers = {name: number for name, number in model.numbers.items() if number <= model.highest} | numbers
        if found := [f"round {number}: {one}" for one in model.wrong(values, streams)]:
            child.kill()
            return [*found, *notes]
    child.kill()
    return []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        serve(chosen.serve)
    print(f"seed {chosen.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="robustmq-log-power-") as directory:
        found = run(chosen.rounds, chosen.seed, Path(directory))
    for finding in found:
        print(f"FINDING {finding}")
    print(f"{chosen.rounds} power cuts, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
