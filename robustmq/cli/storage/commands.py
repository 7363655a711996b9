"""robustmq-ctl storage check and dump. Exit status 0: nothing is damaged, 1: something is, 2: it cannot be seen."""
from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from robustmq.cli.storage.directory import CannotRun, Directory, opened
from robustmq.cli.storage.found import Batch, Damage, Found, Note
from robustmq.cli.storage.streams import Streams

CLEAN, DAMAGED, CANNOT_RUN = 0, 1, 2
PROGRESS_S = 1.0


def check(chosen: argparse.Namespace) -> int:
    """Verify every byte of state log, journal and sealed files: formats, crcs, offsets, indexes."""
    streams = Streams()
    counts = {"batches": 0, "records": 0}
    damages: list[Damage] = []
    remarks: list[Note] = []
    with directory_of(chosen) as (directory, progress):
        for found in everything(directory, progress):
            streams.take(found)
            if isinstance(found, Damage):
                damages.append(found)
            elif isinstance(found, Batch):
                counts["batches"] += 1
                counts["records"] += found.records
            elif found.kind == "remark":
                remarks.append(found)
        size = directory.size_bytes
    damages += streams.holes()
    summary = {"streams": streams.living(), **counts, "bytes": size, "damages": len(damages)}
    if nameless := streams.nameless():
        remarks.append(Note("", 0, "remark", name=f"{len(nameless)} streams of the sealed files have no directory "
                            "entry: deleted topics, unless the journal is damaged"))
    if chosen.json:
        print(json.dumps({**summary, "damage": [as_json(damage, streams) for damage in damages],
                          "remarks": [f"{place(remark.file, remark.byte)}{remark.name}" for remark in remarks]},
                         indent=2))
    else:
        for line in [*(sentence(damage, streams) for damage in damages),
                     *(f"{place(remark.file, remark.byte)}{remark.name}" for remark in remarks)]:
            print(line)
        print(", ".join(f"{value} {name}" for name, value in summary.items()))
    return DAMAGED if damages else CLEAN


def dump(chosen: argparse.Namespace) -> int:
    """Print every batch as it stands in the files, damage in between."""
    streams = Streams()
    damaged = False
    first, last = chosen.offsets
    with directory_of(chosen) as (directory, progress):
        for found in directory.walk_journal(lambda _: None):        # names come from the journal, batches from both
            if isinstance(found, Note):
                streams.take(found)
        for found in everything(directory, progress):
            if isinstance(found, Note) or not wanted(found, streams, chosen.topic, chosen.partition, first, last):
                continue
            damaged = damaged or isinstance(found, Damage)
            if chosen.json:
                print(json.dumps(as_json(found, streams)))
            else:
                print(sentence(found, streams) if isinstance(found, Damage) else batch_line(found, streams))
    return DAMAGED if damaged else CLEAN


def wanted(found: Damage | Batch, streams: Streams, topic: str | None, partition: int | None, first: int,
           last: int | None) -> bool:
    """Whether the filters let it through; damage of unknown offsets always."""
    if found.stream is not None:
        known = streams.find(found.stream)
        if topic is not None and (known is None or known.name != topic):
            return False
        if partition is not None and (known is None or known.partition != partition):
            return False
    low, high = (found.base, found.last) if isinstance(found, Batch) else (found.first, found.last)
    return (high is None or high >= first) and (last is None or low is None or low <= last)


def everything(directory: Directory, progress: Callable[[Path], None]) -> Iterator[Found]:
    """Sealed files are older than the journal."""
    yield from directory.walk_sealed(progress)
    yield from directory.walk_journal(progress)


@contextmanager
def directory_of(chosen: argparse.Namespace) -> Iterator[tuple[Directory, Callable[[Path], None]]]:
    """The directory, and what tells how far the walk is (on a terminal, once a second)."""
    with opened(Path(chosen.directory)) as directory:
        total, done, told = directory.size_bytes, 0, time.monotonic()

        def progress(file: Path) -> None:
            nonlocal done, told
            if sys.stderr.isatty() and time.monotonic() - told >= PROGRESS_S:
                told = time.monotonic()
                print(f"\r{done >> 20} of {total >> 20} MiB, {file.name} ", end="", file=sys.stderr, flush=True)
            done += file.stat().st_size

        yield directory, progress


def place(file: str, byte: int) -> str:
    return f"{file} byte {byte}: " if file else ""


def sentence(damage: Damage, streams: Streams) -> str:
    """One line for people."""
    what = f"{place(damage.file, damage.byte)}{damage.what}"
    if damage.stream is not None:
        what += f" ({streams.label(damage.stream)}"
        if damage.first is not None:
            what += f", offsets {damage.first} to {'?' if damage.last is None else damage.last}"
        what += ")"
    return f"DAMAGED {what}"


def batch_line(batch: Batch, streams: Streams) -> str:
    """One line for people."""
    producer = "" if batch.producer < 0 else f" producer {batch.producer}/{batch.epoch} sequence {batch.sequence}"
    return (f"{streams.label(batch.stream)} offsets {batch.base} to {batch.last}: {batch.records} records, "
            f"{batch.size} bytes, {batch.codec}, {batch.timestamp_ms} ms{producer}; "
            f"{batch.file} byte {batch.byte}, position {batch.position}")


def as_json(found: Damage | Batch, streams: Streams) -> dict[str, object]:
    """One object for programs."""
    fields: dict[str, object] = {"damage" if isinstance(found, Damage) else "batch": True, **asdict(found)}
    known = streams.find(found.stream) if found.stream is not None else None
    return {**fields, "topic": known.name if known else None, "partition": known.partition if known else None}


def offsets(text: str) -> tuple[int, int | None]:
    """A..B of --offsets; either may be missing."""
    first, dots, last = text.partition("..")
    try:
        return int(first or 0), int(last) if last else None if dots else int(first)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: write it as FIRST..LAST, like 100..199 or 100..") from None


def add_to(rooms: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The commands of `robustmq-ctl storage`."""
    for name, work in (("check", check), ("dump", dump)):
        made = rooms.add_parser(name, help=work.__doc__, description=work.__doc__)
        made.set_defaults(offline=work)
        made.add_argument("directory", metavar="DIR", help="the data directory of a broker that does not run")
        made.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="for programs")
        if name == "dump":
            made.add_argument("--topic", help="only this one")
            made.add_argument("--partition", type=int, metavar="N", help="only this one")
            made.add_argument("--offsets", type=offsets, default=(0, None), metavar="A..B",
                              help="only batches with these")


def run(chosen: argparse.Namespace) -> int:
    """Do it; the exit status."""
    try:
        return int(chosen.offline(chosen))
    except BrokenPipeError:             # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CANNOT_RUN
    except (CannotRun, OSError) as error:
        print(f"robustmq-ctl: {error}", file=sys.stderr)
        return CANNOT_RUN
