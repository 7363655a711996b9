"""The broker's own log: one line per event on stderr, for people on a terminal, JSON otherwise.

Callers use `logging` with fields in `extra`: `log.info("client refused", extra={"client": name})`. What came from a
peer is escaped: a line is one event, whatever a client calls itself. Of one kind a few lines are written in a while and
the others counted: peers can make some of them happen as often as they like.
"""
from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import IO

STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
COLOURS = {logging.DEBUG: "\x1b[2m", logging.WARNING: "\x1b[33m", logging.ERROR: "\x1b[31m",
           logging.CRITICAL: "\x1b[31m"}
PLAIN = "\x1b[0m"
PREFIX = "robustmq."
BURST, PERIOD_S = 20, 10.0      # lines of one kind that are written in so long
KINDS_MOST = 1000


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


class Calm(logging.Filter):
    """At most BURST lines of one kind (logger and message before its arguments) in PERIOD_S. The first one after it has
    the number of those left out in its field `omitted`. Threads may race for the last places of a burst.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kinds: dict[tuple[str, str], tuple[float, int]] = {}      # since when, how many

    def filter(self, record: logging.LogRecord) -> bool:
        kind = (record.name, str(record.msg))
        since, count = self.kinds.get(kind, (record.created, 0))
        if record.created - since >= PERIOD_S:
            if count > BURST:
                record.omitted = count - BURST
            since, count = record.created, 0
        if len(self.kinds) >= KINDS_MOST and kind not in self.kinds:
            self.kinds.clear()
        self.kinds[kind] = since, count + 1
        return count < BURST


def start(level: str, form: str, stream: IO[str] | None = None) -> None:
    """Send everything to `stream` (stderr) from now on."""
    out = stream or sys.stderr
    terminal = out.isatty()
    handler = logging.StreamHandler(out)
    handler.addFilter(Calm())
    people = form == "human" or (form == "auto" and terminal)
    handler.setFormatter(Human(terminal and "NO_COLOR" not in os.environ) if people else Json())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.raiseExceptions = False     # a log that cannot be written must not disturb the broker
