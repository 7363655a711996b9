"""The data directory of a log: who may use it, and which files are the journal's.

    DIR/LOCK                pid of the broker that has it open; locked (flock) as long as it runs
    DIR/journal/FORMAT      "robustmq journal 2", "segment_bytes N", "directory ID" (32 hexadecimal digits, made once)
    DIR/journal/SEQUENCE.journal
    DIR/state/FORMAT        "robustmq state 1", "directory ID": the same one, else they do not belong together
    DIR/state/SEQUENCE.journal
    DIR/sealed/FORMAT       "robustmq sealed 1", "directory ID": likewise
    DIR/sealed/ID.sealed    see sealed.pxd
"""
from __future__ import annotations

import errno
import fcntl
import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import IO

SPAN_MAX = 1 << 20
SEGMENT_HEADER = 64         # bytes; of segment.pxd, as UNSYNCED_AT
UNSYNCED_AT = 36
FORMAT = "robustmq journal 2"
FORMATS = {"state": "robustmq state 1", "sealed": "robustmq sealed 1"}


class LogError(Exception):
    """The log cannot be opened or written; the message says what to do."""


class Elsewhere(LogError):
    """What was to be read is in the blob store; it was asked for."""


class Directory:
    """A locked data directory; `id` names it for ever, `segment_bytes` is what it was made with, else as wanted."""

    def __init__(self, path: str | os.PathLike[str], segment_bytes: int) -> None:
        self.path = Path(path).absolute()
        self.journal = self.path / "journal"
        self.state = self.path / "state"
        self.sealed = self.path / "sealed"
        self.segment_bytes = segment_bytes
        try:
            self._refuse_foreign()
            self.journal.mkdir(parents=True, exist_ok=True)
            self.state.mkdir(exist_ok=True)
            self.sealed.mkdir(exist_ok=True)
            sync_directory(self.path)           # else a power cut takes the directories with all that is in them
            with suppress(PermissionError):     # of a parent that is not ours
                sync_directory(self.path.parent)
            self._lock = self._take_lock()
        except OSError as error:
            raise self._unusable(error) from error
        try:
            self._read_format()
        except OSError as error:
            self.close()
            raise self._unusable(error) from error
        except BaseException:
            self.close()
            raise

    def segments(self, directory: Path) -> list[str]:
        """Paths of the segment files of the journal or the state log, oldest first."""
        return sorted(str(path) for path in directory.glob("*.journal") if _is_sequence(path.stem))

    def look_at_the_disk(self, notes: list[str]) -> None:
        """After a failed sync the page cache holds, as if it were clean, what the disk never got. If the last broker
        left such a cache (segment.pxd, unsynced), drop it, so that what is found is what the disk has.
        """
        unsynced = []
        everything = [*self.segments(self.state), *self.segments(self.journal)]
        for path in everything:
            with Path(path).open("rb") as file:
                if file.read(SEGMENT_HEADER)[UNSYNCED_AT:UNSYNCED_AT + 4].strip(b"\0"):
                    unsynced.append(path)
        for path in everything if unsynced else []:
            with Path(path).open("rb") as file:
                if hasattr(os, "posix_fadvise"):
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        for path in unsynced:
            with Path(path).open("r+b", buffering=0) as file:
                file.seek(UNSYNCED_AT)
                file.write(bytes(4))            # synced with the segment, by recovery
            notes.append(f"a sync had failed in segment {Path(path).stem}: what was not acknowledged may be lost")

    def sealed_files(self) -> list[str]:
        """Paths of the sealed files by id; what was being written when a broker was killed is deleted."""
        for unfinished in self.sealed.glob("*.writing"):
            unfinished.unlink()
        return sorted(str(path) for path in self.sealed.glob("*.sealed") if _is_sequence(path.stem))

    def span(self, directory: Path) -> int:
        """Sequences from the oldest to the newest segment file."""
        found = [int(Path(path).stem, 16) for path in self.segments(directory)]
        if not found:
            return 0
        if found[-1] - found[0] >= SPAN_MAX:
            raise LogError(f"{directory} holds segments that do not belong together ({found[0]:016x}, "
                           f"{found[-1]:016x}); move the stray one away")
        return found[-1] - found[0] + 1

    def close(self) -> None:
        """Let the next broker in."""
        self._lock.close()

    def _unusable(self, error: OSError) -> LogError:
        remedy = ("free space, then start again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else
                  "choose a directory that the broker may write to")
        return LogError(f"cannot use data directory {self.path}: {error.strerror}; {remedy}")

    def _refuse_foreign(self) -> None:
        if not self.path.is_dir():
            return
        if (self.journal / "FORMAT").exists():
            return
        foreign = sorted(entry.name for entry in self.path.iterdir() if not _is_ours(entry.name))
        if not foreign and not _is_pid(self.path / "LOCK"):
            foreign = ["LOCK"]
        if foreign:
            raise LogError(f"{self.path} holds files that are not RobustMQ's ({foreign[0]}, …); "
                           "choose an empty directory")

    def _take_lock(self) -> IO[str]:
        lock = (self.path / "LOCK").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            lock.close()
            raise LogError(f"{self.path} is in use by another broker (pid {owner}); "
                           "stop it or choose another data directory") from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        return lock

    def _read_format(self) -> None:
        file = self.journal / "FORMAT"
        if not file.exists():
            if self.segments(self.journal):
                raise LogError(f"{file} is missing although there are segments; "
                               "restore it from a backup, or empty the directory")
            self.id = self._id_of(self.sealed) or self._id_of(self.state) or uuid.uuid4().hex
            if any(self.sealed.glob("*.sealed")) or self.segments(self.state):
                raise LogError(f"{self.journal} is empty or gone although there are {self.sealed} and {self.state}: "
                               "they belong together. Restore it from a backup, or empty the directory")
            self._write_formats(file)       # before the first segment, so that none is ever found without it
            return
        lines = read_format(file, FORMAT)
        try:
            self.segment_bytes = int(lines[1].removeprefix("segment_bytes "))
            self.id = lines[2].removeprefix("directory ")
        except (IndexError, ValueError):
            raise LogError(f"{file} is damaged; restore it from a backup") from None
        for other in (self.sealed, self.state):
            its_id = self._id_of(other)
            if not its_id:
                raise LogError(f"{other} is empty or gone: it had what left the journal. Restore it from a backup, "
                               "or empty the directory")
            if its_id != self.id:
                raise LogError(f"{other} belongs to another data directory ({its_id}) than {self.journal} ({self.id}); "
                               "restore both from the same backup")

    @staticmethod
    def _id_of(directory: Path) -> str:
        """Of the data directory that these files belong to; empty: there never were any. LogError."""
        file = directory / "FORMAT"
        if file.exists():
            return read_format(file, FORMATS[directory.name])[-1].removeprefix("directory ")
        if any(_is_sequence(path.stem) for path in directory.iterdir()):
            raise LogError(f"{file} is missing although there are files that it describes; restore it from a backup")
        return ""

    def _write_formats(self, file: Path) -> None:
        """The journal's last: whoever finds it knows that the others must be there."""
        for other in (self.sealed, self.state):
            write_synced(other / "FORMAT", f"{FORMATS[other.name]}\ndirectory {self.id}\n")
        write_synced(file, f"{FORMAT}\nsegment_bytes {self.segment_bytes}\ndirectory {self.id}\n")


def read_format(file: Path, expected: str) -> list[str]:
    """The lines of a FORMAT file. LogError when it is of another version."""
    lines = file.read_text(errors="replace").splitlines()
    if not lines or lines[0] != expected:
        found = lines[0] if lines else "empty FORMAT"
        raise LogError(f"{file.parent} was written by another version ({found}), this one reads '{expected}'; "
                       "use that version or choose another data directory")
    return lines


def write_synced(file: Path, text: str) -> None:
    """A whole file or none, durable with its name."""
    fresh = file.with_suffix(".writing")
    with fresh.open("w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)
    sync_directory(file.parent)


def sync_directory(path: Path) -> None:
    """Make the names in it survive a power cut. OSError."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def set_aside(path: Path, header_bytes: int) -> list[str]:
    """A file that is no segment: on its way to a new life it has a header of zeros, else it is damaged and kept."""
    with path.open("rb") as file:
        retired = not any(file.read(header_bytes))
    if retired:
        path.unlink()
        return []
    kept = path.rename(path.with_suffix(".damaged"))
    return [f"the header of {path.stem} is damaged: what it held is lost, the file is kept as {kept.name}"]


def _is_ours(name: str) -> bool:
    return name in {"LOCK", "journal", "state", "sealed", "lost+found"} or name.startswith((".", "meta"))


def _is_pid(lock: Path) -> bool:
    """A lock file of ours holds a number, or nothing: its broker was killed before it wrote that."""
    if not lock.exists():
        return True
    with lock.open("rb") as file:
        start = file.read(32)
    return not start or start.strip().isdigit()


def _is_sequence(stem: str) -> bool:
    return len(stem) == 16 and all(c in "0123456789abcdef" for c in stem)
