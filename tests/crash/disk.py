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
    inode: int
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

    def cut(self, dice: random.Random) -> None:
        """After the process was killed: what a power cut leaves. Some of what was not synced survives, at random."""
        luck = dice.choice([0.0, 0.0, 0.1, 0.5, 0.95])
        found = self.root / "found"
        Remains(self.shadow, self.below, dice, luck).rebuild(found, 1, self.below)
        shutil.rmtree(self.below)
        found.rename(self.below)


class Remains:
    """What is found after a power cut: what is durable, and what was lucky."""

    def __init__(self, shadow: Path, live: Path, dice: random.Random, luck: float) -> None:
        self.shadow, self.dice, self.luck = shadow, dice, luck
        self.live = {path.lstat().st_ino: path for path in live.rglob("*")}

    def rebuild(self, to: Path, number: int, live: Path | None) -> None:
        """Directory `number` of the shadow, which was `live`, at `to`."""
        to.mkdir()
        names = self._names(number)
        come_through = self.dice.random() < self.luck       # creations, renames and deletions in this directory
        for name in names:
            was = self._live(name)
            if come_through and was is None:
                continue
            path = to / (was.name if come_through and was is not None else name.name)
            if name.kind == "d":
                self.rebuild(path, name.id, was)
                continue
            durable = self.shadow / "files" / str(name.id)
            if durable.exists():
                durable.rename(path)
            else:
                path.touch()
            if was is not None:
                self._survive(was, path)
        if come_through and live is not None:
            known = {was for was in map(self._live, names) if was is not None}
            for was in live.iterdir():
                if was not in known and was.is_file():
                    with (to / was.name).open("wb") as made:
                        made.truncate(was.stat().st_size)
                    self._survive(was, to / was.name)

    def _names(self, number: int) -> list[Name]:
        names = self.shadow / "names" / str(number)
        if not names.exists():
            return []
        rows = (line.split(" ", 3) for line in names.read_text().splitlines())
        return [Name(kind, int(ident), int(inode), name) for kind, ident, inode, name in rows]

    def _live(self, name: Name) -> Path | None:
        """Where a durable file or directory stood when the power went; None: deleted."""
        return None if (self.shadow / "gone" / str(name.id)).exists() else self.live.get(name.inode)

    def _survive(self, live: Path, durable: Path) -> None:
        """Sectors that were written, but not synced, and are there all the same."""
        if self.luck == 0:
            return
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
