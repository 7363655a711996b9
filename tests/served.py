"""A log in a process of its own, which can be killed."""
from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

from robustmq._fastpath.stores.log import Log


def _serve(open_it: Callable[[], Log], actions: Mapping[str, Callable[..., Any]], pipe: Connection) -> None:
    """Do what the parent says, until it says `close`, or kills."""
    log = open_it()
    name = ""
    while name != "close":
        name, *arguments = pipe.recv()
        try:
            answer = actions[name](log, *arguments)
        except Exception as error:
            answer = error
        pipe.send(answer)


class Served:
    """`actions[name](log, …)` happens in the child; `close` is one of them."""

    def __init__(self, open_it: Callable[[], Log], actions: Mapping[str, Callable[..., Any]]) -> None:
        self.pipe, other = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("fork").Process(
            target=_serve, args=(open_it, actions, other), daemon=True)
        self._process.start()
        other.close()

    def ask(self, *words: object) -> Any:
        """What the action returned; raises what it raised."""
        self.pipe.send(words)
        answer = self.pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """An orderly end."""
        self.ask("close")
        self._end()

    def kill(self) -> None:
        """SIGKILL, whatever it is doing."""
        self._process.kill()
        self._end()

    def _end(self) -> None:
        self._process.join()
        self.pipe.close()
