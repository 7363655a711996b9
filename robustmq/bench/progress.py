"""What a long run does now, on standard error: one line that changes on a terminal, a line now and then elsewhere."""
from __future__ import annotations

import sys
import time

EVERY_S = 5.0           # between two lines of one step where nobody can overwrite them


class Progress:
    """`step` begins something, `at` says how far it is."""

    def __init__(self) -> None:
        self._what = ""
        self._told_s = 0.0

    def step(self, what: str) -> None:
        """Something else begins."""
        self._what = what
        self._tell(what)

    def at(self, done: int, of: int) -> None:
        """The step is so far; cheap enough for every item of a loop."""
        if time.monotonic() - self._told_s >= (0.1 if sys.stderr.isatty() else EVERY_S):
            self._tell(f"{self._what}: {done:,} of {of:,}")

    def end(self) -> None:
        """Leave a terminal's line as it was."""
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def _tell(self, text: str) -> None:
        self._told_s = time.monotonic()
        if sys.stderr.isatty():
            print(f"\r\033[K{text} …", end="", file=sys.stderr, flush=True)
        else:
            print(f"{text} …", file=sys.stderr, flush=True)


progress = Progress()
