"""A disk that fails or loses power, under one process (preload/disk.c says how)."""
from __future__ import annotations

import functools
import mmap
import os
import random
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

OPS = ("msync", "fsync", "fdatasync", "fallocate", "pwrite", "write", "ftruncate", "rename", "create")
ROW = struct.Struct("=QQQiI96s")
FOR_EVER = (1 << 64) - 1
SECTOR = 512                # what a disk writes whole
CHUNK = 1 << 16
ROOT = 1                    # id of DISK_BELOW


@functools.cache
def library() -> Path:
    """preload/disk.c, compiled."""
    directory = tempfile.TemporaryDirectory(prefix="robustmq-preload-")
    library.directory = directory       # type: ignore[attr-defined]  # lives as long as this process
    made = Path(directory.name) / "disk.so"
    source = Path(__file__).parent / "preload" / "disk.c"
    subprocess.run([os.environ.get("CC", "cc").split()[-1], "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC",
                    "-o", made, source, "-ldl", "-lpthread"], check=True)
    return made


@dataclass(frozen=True, slots=True)
class Name:
    """A line of SHADOW/names."""

    kind: str
    id: int
    name: str


class Disk:
    """`below` is the disk. `environment()` makes a process live on it; `shadowed`: for power cuts."""

    def __init__(self, root: Path, *, shadowed: bool = False) -> None:
        self.root, self.below, self.shadow = root, root / "disk", root / "shadow"
        self.shadowed = shadowed
        self.below.mkdir()
        rows = root / "control"
        rows.write_bytes(bytes(ROW.size * len(OPS)))
        with rows.open("r+b") as file:
            self.control = mmap.mmap(file.fileno(), 0)

    def environment(self) -> dict[str, str]:
        """For the next process: what is on the disk now is durable."""
        shutil.rmtree(self.shadow, ignore_errors=True)
        self.shadow.mkdir()
        found = {"LD_PRELOAD": str(library()), "DISK_BELOW": str(self.below),
                 "DISK_CONTROL": str(self.root / "control")}
        return found | ({"DISK_SHADOW": str(self.shadow)} if self.shadowed else {})

    # Faults

    def fail(self, op: str, error: int, match: str = "", times: int = 0) -> None:
        """From now on `op` fails on paths that end in `match`: so often, or (0) for ever."""
        self.watch(op, match)
        struct.pack_into("=QQi", self.control, OPS.index(op) * ROW.size + 8, 1, 1 + times if times else FOR_EVER, error)

    def watch(self, op: str, match: str = "") -> None:
        """Count `op` on paths that end in `match`, from 0."""
        ROW.pack_into(self.control, OPS.index(op) * ROW.size, 0, 0, 0, 0, 0, match.encode())

    def seen(self, op: str) -> int:
        """How often since `watch` or `fail`."""
        return int(ROW.unpack_from(self.control, OPS.index(op) * ROW.size)[0])

    # Power

    def cut(self, dice: random.Random, luck: float | None = None) -> None:
        """After the process was killed: what a power cut leaves. Some of what was not synced survives, at random;
        how much of it is chosen, too, unless `luck` says it.
        """
        if luck is None:
            luck = dice.choice([0.0, 0.0, 0.1, 0.5, 0.95])
        found = self.root / "found"
        Remains(self.shadow, self.below, dice, luck).rebuild(found, ROOT)
        shutil.rmtree(self.below)
        found.rename(self.below)


class Remains:
    """What is found after a power cut: what is durable, and what was lucky."""

    def __init__(self, shadow: Path, live: Path, dice: random.Random, luck: float) -> None:
        self.shadow, self.dice, self.luck = shadow, dice, luck
        by_inode = {path.lstat().st_ino: path for path in (live, *live.rglob("*"))}
        self.ids = {int(link.name): int(link.readlink().name) for link in (shadow / "live").iterdir()}
        self.live = {number: by_inode[inode]            # by id: where it stood at the end
                     for inode, number in self.ids.items() if inode in by_inode}
        self.made: dict[int, Path] = {}                 # by id: a further name is a hard link

    def rebuild(self, to: Path, number: int) -> None:
        """Directory `number` of the shadow at `to`."""
        to.mkdir()
        names = self._names(number)
        if self.dice.random() < self.luck and number in self.live:
            names = self._live_names(self.live[number])
        for name in names:
            if name.kind == "d":
                self.rebuild(to / name.name, name.id)
            else:
                self._file(to / name.name, name.id)

    def _names(self, number: int) -> list[Name]:
        names = self.shadow / "names" / str(number)
        if not names.exists():
            return []
        rows = (line.split(" ", 2) for line in names.read_text().splitlines())
        return [Name(kind, int(ident), name) for kind, ident, name in rows]

    def _live_names(self, directory: Path) -> list[Name]:
        """Creations, renames and deletions had come through when the power went."""
        return [Name("d" if path.is_dir() else "f", self.ids[path.lstat().st_ino], path.name)
                for path in directory.iterdir() if path.lstat().st_ino in self.ids]

    def _file(self, to: Path, number: int) -> None:
        if number in self.made:
            to.hardlink_to(self.made[number])
            return
        self.made[number] = to
        durable = self.shadow / "files" / str(number)
        if durable.exists():
            durable.rename(to)
        else:
            to.touch()
        if self.luck and number in self.live:
            with to.open("r+b") as file:        # a size that was not synced may have come through as well
                file.truncate(max(to.stat().st_size, self.dice.choice([0, self.live[number].stat().st_size])))
            self._survive(self.live[number], to)

    def _survive(self, live: Path, durable: Path) -> None:
        """Sectors that were written, but not synced, and are there all the same."""
        with live.open("rb") as written, durable.open("r+b") as kept:
            for at in range(0, durable.stat().st_size, CHUNK):
                new, old = written.read(CHUNK), kept.read(CHUNK)
                if new != old:
                    kept.seek(at)
                    kept.write(self._mixed(new.ljust(len(old), b"\0"), old))
                    kept.seek(at + len(old))

    def _mixed(self, new: bytes, old: bytes) -> bytes:
        sectors = range(0, len(old), SECTOR)
        return b"".join((new if self.dice.random() < self.luck else old)[at:at + SECTOR] for at in sectors)
