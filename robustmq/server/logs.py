"""The broker's own log: one line per event on stderr, for people on a terminal, JSON otherwise.

Callers use `logging` with fields in `extra`: `log.info("client refused", extra={"client": name})`. What came from a
peer is escaped: a line is one event, whatever a client calls itself. Of one kind a few lines are written in a while and
the others counted: peers can make some of them happen as often as they like.
"""
from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO

STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
COLOURS = {logging.DEBUG: "\x1b[2m", logging.WARNING: "\x1b[33m", logging.ERROR: "\x1b[31m",
           logging.CRITICAL: "\x1b[31m"}
PLAIN = "\x1b[0m"
PREFIX = "robustmq."
BURST, PERIOD_S = 20, 10.0      # lines of one kind that are written in so long
KINDS_MOST = 1000
Kind = tuple[str, str]          # logger, message before its arguments


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """What the caller gave in `extra`."""
    return {name: value for name, value in record.__dict__.items() if name not in STANDARD}


def time_of(record: logging.LogRecord) -> str:
    """UTC with milliseconds."""
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def printable(text: str) -> str:
    """The text without line breaks and terminal sequences."""
    return text if text.isprintable() else "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class Human(logging.Formatter):
    """`12:00:00.123Z warning mqtt: what happened  field=value`."""

    def __init__(self, coloured: bool) -> None:
        super().__init__()
        self.coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f"  {name}={printable(str(value))}" for name, value in fields_of(record).items())
        line = f"{time_of(record)} {record.levelname.lower():7} {printable(record.getMessage())}{fields}"
        if self.coloured and record.levelno in COLOURS:
            line = COLOURS[record.levelno] + line + PLAIN
        return line + ("\n" + self.formatException(record.exc_info) if record.exc_info else "")


class Json(logging.Formatter):
    """One object a line: time, level, logger, message, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": time_of(record), "level": record.levelname.lower(),
                "logger": record.name.removeprefix(PREFIX), "message": record.getMessage(), **fields_of(record)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


@dataclass(slots=True)
class Burst:
    """Lines of one kind in one period."""

    since: float                # when the first one was made, seconds
    count: int = 0
    level: int = 0              # highest of those left out

    @property
    def omitted(self) -> int:
        """How many were left out."""
        return max(0, self.count - BURST)


class Calm(logging.Filter):
    """At most BURST lines of one kind (logger and message before its arguments) in PERIOD_S. The number of those left
    out is the field `omitted` of a line of that kind that `tell` gets, without arguments, when the period ends (from
    `start` to `end`: a timer of the loop) and at the `end`, or of the next one when that comes first. Any thread logs.
    """

    def __init__(self, tell: Callable[[logging.LogRecord], object]) -> None:
        super().__init__()
        self.kinds: dict[Kind, Burst] = {}
        self._tell = tell
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.RLock()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on its timers end the periods."""
        with self._lock:
            self._loop = loop

    def end(self) -> None:
        """The loop will close; what is owed is told now."""
        with self._lock:
            self._loop = None
            owed, self.kinds = self.kinds, {}
        self._settle(owed)

    def filter(self, record: logging.LogRecord) -> bool:
        if hasattr(record, "omitted"):
            return True
        kind = (record.name, str(record.msg))
        owed: dict[Kind, Burst] = {}
        with self._lock:
            burst = self.kinds.get(kind)
            if burst is None or record.created - burst.since >= PERIOD_S:
                if burst is not None and burst.omitted:
                    record.omitted = burst.omitted
                if len(self.kinds) >= KINDS_MOST and burst is None:
                    owed, self.kinds = self.kinds, {}
                burst = self.kinds[kind] = Burst(record.created)
            burst.count += 1
            if burst.omitted:
                burst.level = max(burst.level, record.levelno)
            if burst.omitted == 1 and self._loop is not None:
                delay_s = burst.since + PERIOD_S - record.created
                self._loop.call_soon_threadsafe(self._loop.call_later, delay_s, self._over, kind, burst)
            passes = not burst.omitted
        self._settle(owed)
        return passes

    def _over(self, kind: Kind, burst: Burst) -> None:
        with self._lock:
            if self.kinds.get(kind) is not burst:
                return                      # the next line has told it
            del self.kinds[kind]
        self._settle({kind: burst})

    def _settle(self, owed: Mapping[Kind, Burst]) -> None:
        for (name, message), burst in owed.items():
            if burst.omitted:
                self._tell(logging.makeLogRecord({"name": name, "msg": message, "levelno": burst.level,
                                                  "levelname": logging.getLevelName(burst.level),
                                                  "omitted": burst.omitted}))


def start(level: str, form: str, stream: IO[str] | None = None) -> Calm:
    """Send everything to `stream` (stderr) from now on, through the filter that is returned."""
    out = stream or sys.stderr
    terminal = out.isatty()
    handler = logging.StreamHandler(out)
    calm = Calm(handler.handle)
    handler.addFilter(calm)
    people = form == "human" or (form == "auto" and terminal)
    handler.setFormatter(Human(terminal and "NO_COLOR" not in os.environ) if people else Json())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.raiseExceptions = False     # a log that cannot be written must not disturb the broker
    return calm
