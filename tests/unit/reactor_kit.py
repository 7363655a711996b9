"""The reactor from outside, through a protocol that uses everything (tests/shims/echo.pyx)."""
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from robustmq._fastpath.reactor.reactors import Reactors

from tests.shims import echo as shim

LINK_CLOSED, LINK_MOVED = 0, 0xFFFFFFFF
NOT_AUTHORIZED, MALFORMED, TOO_LARGE, TIMED_OUT, PEER_CLOSED, SHUTTING_DOWN, ADMIN_CLOSED = 21, 16, 17, 30, 31, 33, 34
STORE_FAILED = 49


def frame(op: str, payload: bytes = b"") -> bytes:
    return struct.pack(">IB", 5 + len(payload), ord(op)) + payload


class Peer:
    """A blocking client."""

    def __init__(self, port: int, **options: int) -> None:
        self.sock = socket.socket()
        for name, value in options.items():
            self.sock.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
        self.sock.settimeout(20)
        self.sock.connect(("127.0.0.1", port))

    def send(self, op: str, payload: bytes = b"") -> None:
        self.sock.sendall(frame(op, payload))

    def bytes(self, n: int) -> bytes:
        parts = []
        while n:
            part = self.sock.recv(min(n, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            n -= len(part)
        return b"".join(parts)

    def frame(self) -> tuple[str, bytes]:
        size, op = struct.unpack(">IB", self.bytes(5))
        return chr(op), self.bytes(size - 5)

    def silent(self, seconds: float = 0.05) -> bool:
        return not select.select([self.sock], [], [], seconds)[0]

    def reset_at_close(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def ended(self) -> bool:
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()


class Server:
    """Running reactors with the echo protocol."""

    def __init__(self, **options: int) -> None:
        self.durable = shim.Durable()
        self.handle = shim.Echo()
        self.reactors = Reactors(**options)
        self.durable.attach(self.reactors)
        shim.attach(self.reactors)
        self.port = self.reactors.listen(self.handle, "127.0.0.1", 0)
        self.reactors.start()

    def peer(self, **options: int) -> Peer:
        return Peer(self.port, **options)

    def take(self, n: int, seconds: float = 5) -> list[tuple[int, int, int, bytes]]:
        """Exactly `n` frames for the control plane."""
        frames: list[tuple[int, int, int, bytes]] = []
        while len(frames) < n:
            assert select.select([self.reactors.fileno()], [], [], seconds)[0], f"{len(frames)} of {n} frames"
            frames += self.reactors.take(n - len(frames))
        return frames

    def total(self, counter: str) -> int:
        return sum(each[counter] for each in self.reactors.counters())


@contextmanager
def serving(**options: int) -> Iterator[Server]:
    server = Server(**options)
    try:
        yield server
    finally:
        server.reactors.stop(1.0)


@pytest.fixture(params=[1, 2])
def server(request) -> Iterator[Server]:
    with serving(threads=request.param, pack_connections=1) as running:
        yield running


def eventually(condition: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)
