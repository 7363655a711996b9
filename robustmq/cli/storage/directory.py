"""A data directory while no broker has it open."""
from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from robustmq.cli.storage import journal, sealed
from robustmq.cli.storage.found import Damage, Found, Note

Progress = Callable[[Path], None]       # called before each file


class CannotRun(Exception):
    """The directory cannot be read now; the message says what to do."""


class Directory:
    """The files below `path`; locked against brokers by `opened`."""

    def __init__(self, path: Path) -> None:
        self.state = named(path / "state", "journal")
        self.segments = named(path / "journal", "journal")
        self.sealed = named(path / "sealed", "sealed")
        self.aside = sorted(path.glob("*/*.damaged"))
        if not (path / "journal" / "FORMAT").exists():
            raise CannotRun(f"{path} is no data directory of RobustMQ: it has no journal/FORMAT")
        first, *_ = (path / "journal" / "FORMAT").read_text(errors="replace").splitlines() or [""]
        if first != "robustmq journal 2":
            raise CannotRun(f"{path} was written by another version ({first!r}); this one reads 'robustmq journal 2'")

    @property
    def size_bytes(self) -> int:
        """Of all files that are read."""
        return sum(file.stat().st_size for file in [*self.state, *self.segments, *self.sealed])

    def walk_journal(self, progress: Progress) -> Iterator[Found]:
        """Entries of the state log and of the journal in order, and what is missing between them."""
        yield from walk_segments(self.state, progress)
        yield from walk_segments(self.segments, progress)

    def walk_sealed(self, progress: Progress) -> Iterator[Found]:
        """Runs and records of all sealed files by id; what recovery has set aside is named."""
        for file in self.aside:
            yield Note(file.name, 0, "remark", name="set aside by recovery: its header was damaged")
        for file in self.sealed:
            progress(file)
            yield from sealed.walk(file)


def walk_segments(segments: list[Path], progress: Progress) -> Iterator[Found]:
    """A chain of segments."""
    used = [file for file in segments if not journal.is_free(file)]
    if len(used) > 1 and journal.is_empty(used[-1]):
        used = used[:-1]                # the spare
    before: int | None = None
    for file in used:
        progress(file)
        number = int(file.stem, 16)
        if before is not None and number != before + 1:
            yield Damage(journal.label(file), 0, f"segments {before + 1:016x} to {number - 1:016x} are missing: "
                         "what they held is lost")
        before = number
        yield from journal.walk(file, last=file == used[-1])


def named(directory: Path, suffix: str) -> list[Path]:
    """Files with a number of 16 hexadecimal digits, in its order."""
    return sorted(path for path in directory.glob(f"*.{suffix}")
                  if len(path.stem) == 16 and all(c in "0123456789abcdef" for c in path.stem))


@contextmanager
def opened(path: Path) -> Iterator[Directory]:
    """The directory, with its lock held (shared) if it has one. CannotRun: a broker ror it cannot be read."""
    try:
        lock = (path / "LOCK").open()
    except FileNotFoundError:
        yield Directory(path)           # a copy; or Directory refuses
        return
    except OSError as error:
        raise CannotRun(f"cannot read {path}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotRun(f"{path} is in use by a broker (pid {lock.read().strip() or 'unknown'}); "
                            "stop it, or look at a copy of the directory") from None
        yield Directory(path)
