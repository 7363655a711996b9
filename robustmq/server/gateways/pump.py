"""Bytes between a client and the reactor's end of a socketpair.

    client  <-- transport -->  Outer  <-- peers -->  Inner  <-- socketpair -->  reactor

Whoever cannot write any more stops its peer's reading: at most BUFFER_BYTES wait in each direction (besides the
kernel's own buffers). When either side ends, what it sent is delivered, then the other is closed.
"""
from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import cast

BUFFER_BYTES = 256 << 10
FLUSH_S = 10
Adopt = Callable[[int], None]       # takes over a descriptor; raises OSError when there is no room


class Side(asyncio.Protocol):
    """One side of a pump: `peer` gets what arrives here."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.peer: Side | None = None
        self.full = False               # the transport's buffer is

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(BUFFER_BYTES)

    def data_received(self, data: bytes) -> None:
        if self.peer is not None:
            self.peer.send(data)

    def send(self, data: bytes) -> None:
        """Write to this side's transport."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def finish(self) -> None:
        """Close after what is buffered; a peer that does not take it within FLUSH_S loses it."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()
            asyncio.get_running_loop().call_later(FLUSH_S, self.transport.abort)

    def pause_writing(self) -> None:
        self.full = True
        if self.peer is not None and self.peer.transport is not None and not self.peer.transport.is_closing():
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        self.full = False
        if self.peer is not None and self.peer.transport is not None and not self.peer.transport.is_closing():
            self.peer.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        peer, self.peer, self.transport = self.peer, None, None
        if peer is not None:
            peer.peer = None
            peer.finish()


class Outer(Side):
    """The client's side. Connects itself to a reactor with `join`; until then it does not read."""

    def __init__(self, adopt: Adopt) -> None:
        super().__init__()
        self._adopt = adopt
        self._joining: asyncio.Task[None] | None = None

    def join(self) -> None:
        """Make the socketpair and let the reactor have its end."""
        assert self.transport is not None
        self.transport.pause_reading()
        self._joining = asyncio.get_running_loop().create_task(self._join())

    async def _join(self) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        inner = Side()
        try:
            self._adopt(theirs.detach())
            await asyncio.get_running_loop().create_connection(lambda: inner, sock=ours)
        except OSError:
            ours.close()
            self.finish()
            return
        if self.transport is None:              # it left meanwhile
            inner.finish()
            return
        inner.peer, self.peer = self, inner
        self.transport.resume_reading()
