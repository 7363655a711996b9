"""Damage to files of a log that was closed: found, reported, never a crash, never a wrong record.

    python -m tests.crash.damage --places 10000 --seed 1

At each of so many random places of the sealed files a bit is flipped or the file is cut, and at every byte of the last
three entries of the journal as well. Each time the log is opened and read in a process of its own: a record is right,
or reading it is an error that says so; what cannot be read was reported at start, by the read, or both, and
`robustmq-ctl storage check` finds damage in the same files (asked at each --check-every-th place). What looks like an
append that was killed is none: the journal cut, or the mark of its last entry.
Exit status 1 and a line per finding.
"""
from __future__ import annotations

import argparse
import contextlib
import io
import multiprocessing
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from robustmq._fastpath.broker.cleaner import clean

from robustmq._fastpath.stores.files import LogError
from robustmq.cli.main import main as ctl
from robustmq.cli.storage.found import Batch
from robustmq.cli.storage.journal import walk
from tests.batches import split
from tests.keyed import NOW, ZSTD, keyed
from tests.logs import open_log

CHUNK = 200                 # places that one process sees, unless it dies
Batches = dict[int, dict[int, bytes]]       # whole batches by stream and base offset


class Place(NamedTuple):
    """One damage."""

    file: str               # below the data directory
    byte: int
    bit: int                # -1: cut here
    last_mark: bool = False

    def __str__(self) -> str:
        return f"{self.file} byte {self.byte}: " + ("cut" if self.bit < 0 else f"bit {self.bit} flipped")


# --- a log with something of everything -------------------------------------------------------------------------------

def make(path: Path) -> tuple[Batches, Batches]:
    """Packed and own files, compressed and compacted runs, a producer, a tail in the journal. What all streams hold,
    and what was appended: without its compacted file a stream has its older records again.
    """
    log = open_log(path)
    for number in range(4):
        log.create_stream(f"t{number}", bytes([number]) * 16, 0, 1)
    log.set_policy(4, cleanup="compact", min_cleanable_dirty_ratio=0.0)
    for turn in range(3):
        for i in range(40):
            for stream in (1, 2, 3, 4):
                records = [(b"k%d" % (i % 7), b"%d." % i * (40 if stream == 1 else 1 + i)) for _ in range(1 + i % 3)]
                log.partition(stream).append(keyed(
                    records, codec=ZSTD if stream == 3 and i % 2 == 0 else 0, timestamp=NOW + turn * 40 + i,
                    producer=9 if stream == 2 and turn == 0 else -1, sequence=-1 if turn or stream != 2 else sum(
                        1 + j % 3 for j in range(i))))
        log.seal()
    appended = {stream: read(log, stream)[0] for stream in (1, 2, 3, 4)}
    clean(log, 4, NOW + 1000)
    for stream in (1, 2):
        for i in range(3):
            log.partition(stream).append(keyed([(b"tail", b"%d" % i * 30)]))
    held = {stream: read(log, stream)[0] for stream in (1, 2, 3, 4)}
    log.close()
    return held, appended


def read(log: object, stream: int) -> tuple[dict[int, bytes], int]:
    """Whole batches by base offset, and how many reads were refused."""
    part = log.partition(stream)        # type: ignore[attr-defined]
    found: dict[int, bytes] = {}
    refused, offset = 0, part.start
    while offset < part.end:
        try:
            data = part.read(offset, 1)
        except (LogError, IndexError):
            refused += 1
            offset += 1
            continue
        if not data:
            break
        base, last, whole = next(split(data))
        found[base] = whole
        offset = max(offset, last) + 1
    return found, refused


def places(path: Path, count: int, dice: random.Random) -> Iterator[Place]:
    """Every byte of the journal's last three batches, then `count` random bytes of the sealed files."""
    tails = {file: [found for found in walk(file, last=True) if isinstance(found, Batch)]
             for file in sorted((path / "journal").glob("*.journal"))}
    newest = max(file for file, batches in tails.items() if batches)
    batches = tails[newest][-3:]
    name = str(newest.relative_to(path))
    for byte in range(batches[0].byte, batches[-1].byte + (48 + batches[-1].size + 7 & ~7)):
        yield Place(name, byte, dice.randrange(8), batches[-1].byte <= byte < batches[-1].byte + 8)
        yield Place(name, byte, -1)
    sealed = sorted((path / "sealed").glob("*.sealed"))
    for _ in range(count):
        file = dice.choices(sealed, [one.stat().st_size for one in sealed])[0]
        yield Place(str(file.relative_to(path)), dice.randrange(file.stat().st_size), dice.choice([-1, *range(8)]))


# --- one place --------------------------------------------------------------------------------------------------------

def damage(path: Path, place: Place) -> None:
    """Do it. A journal segment keeps its size: what is cut is zero."""
    file = path / place.file
    data = bytearray(file.read_bytes())
    if place.bit >= 0:
        data[place.byte] ^= 1 << place.bit
    elif place.file.startswith("journal"):
        data[place.byte:] = bytes(len(data) - place.byte)
    else:
        del data[place.byte:]
    file.write_bytes(data)


def verdict(path: Path, place: Place, held: Batches, appended: Batches, with_check: bool) -> list[str]:
    """What is wrong with how the log takes it."""
    checked = check(path) if with_check else None
    try:
        log = open_log(path)
    except LogError:
        return [] if checked != 0 else ["the log refuses to open, storage check finds nothing"]
    told = bool(log.recovered["notes"] or log.recovered["dropped"])
    findings, missing, refused = [], 0, 0
    known = {row[3] for row in log.streams()}
    for stream, batches in held.items():
        found, errors = read(log, stream) if stream in known else ({}, 0)
        refused += errors
        findings += [f"stream {stream} offset {base}: a wrong record is served" for base, whole in found.items()
                     if whole not in (batches.get(base), appended[stream].get(base))]
        missing += sum(base not in found for base in batches)
    log.close()
    torn = place.file.startswith("journal") and (place.bit < 0 or place.last_mark)
    if missing and not (told or refused or torn):
        findings.append(f"{missing} batches are missing and nobody says so")
    if missing and not torn and checked == 0:
        findings.append(f"{missing} batches are missing, storage check finds nothing")
    return findings


def check(path: Path) -> int:
    """Exit status of storage check."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return ctl(["storage", "check", str(path)])


def work(pristine: Path, wanted: Sequence[tuple[int, Place]], held: Batches, appended: Batches, check_every: int,
         pipe: Connection) -> None:
    """A process: its places one by one."""
    for number, place in wanted:
        with tempfile.TemporaryDirectory(prefix="robustmq-damage-", dir=pristine.parent) as name:
            path = Path(name) / "data"
            shutil.copytree(pristine, path)
            damage(path, place)
            pipe.send(verdict(path, place, held, appended, number % check_every == 0))
    pipe.close()


# --- all of them ------------------------------------------------------------------------------------------------------

def run(count: int, seed: int, check_every: int, directory: Path, step: int = 1) -> list[str]:
    """The findings. `step`: of the journal's bytes only each so manieth."""
    pristine = directory / "pristine"
    held, appended = make(pristine)
    all_places = list(places(pristine, count, random.Random(seed)))
    sealed_from = len(all_places) - count
    waiting = [(i, place) for i, place in enumerate(all_places) if i >= sealed_from or i % step == 0]
    findings: list[str] = []
    done = 0
    while waiting:
        chunk = waiting[:CHUNK]
        mine, theirs = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("fork").Process(
            target=work, args=(pristine, chunk, held, appended, check_every, theirs))
        process.start()
        theirs.close()
        answered = 0
        with contextlib.suppress(EOFError):
            while True:
                findings += [f"{chunk[answered][1]}: {finding}" for finding in mine.recv()]
                answered += 1
        process.join()
        if answered < len(chunk):
            findings.append(f"{chunk[answered][1]}: the process died with {process.exitcode}")
            answered += 1
        waiting = waiting[answered:]
        done += answered
        print(f"\r{done:,} places, {len(findings)} findings", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return findings


def main() -> int:
    """Exit status 0: every damage was found and no record was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--places", type=int, default=10_000, help="of sealed files (default 10,000)")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--check-every", type=int, default=10, help="places between runs of storage check (default 10)")
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}")
    with tempfile.TemporaryDirectory(prefix="robustmq-damage-") as name:
        findings = run(chosen.places, chosen.seed, chosen.check_every, Path(name))
    print(*findings, sep="\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
