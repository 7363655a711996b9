"""Kafka's protocol on a plain socket, as much as the crash harness needs: a client that is back in a millisecond."""
from __future__ import annotations

import socket
import struct

# API key and version.
METADATA, PRODUCE, INIT_PRODUCER_ID, OFFSET_COMMIT, OFFSET_FETCH = (3, 4), (0, 7), (22, 1), (8, 2), (9, 1)


def text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


def array(*items: bytes) -> bytes:
    return struct.pack(">i", len(items)) + b"".join(items)


def connect(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def read_exactly(sock: socket.socket, n: int) -> bytes:
    """OSError when the peer closes before that."""
    data = bytearray()
    while len(data) < n:
        piece = sock.recv(n - len(data))
        if not piece:
            raise ConnectionError("closed")
        data += piece
    return bytes(data)


def send(sock: socket.socket, api: tuple[int, int], body: bytes) -> None:
    """One request; answers come in the order of requests."""
    request = struct.pack(">hhi", *api, 1) + text("crash") + body
    sock.sendall(struct.pack(">i", len(request)) + request)


def answer(sock: socket.socket) -> bytes:
    """The next answer, without its correlation id."""
    return read_exactly(sock, struct.unpack(">i", read_exactly(sock, 4))[0])[4:]


def ask(sock: socket.socket, api: tuple[int, int], body: bytes) -> bytes:
    send(sock, api, body)
    return answer(sock)
