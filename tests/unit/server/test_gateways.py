"""Gateways before an echo that stands for a reactor: bytes come through whole, in order, with back-pressure."""
from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)

from robustmq.server.errors import StartError
from robustmq.server.gateways import tls, websocket
from robustmq.server.gateways.pump import BUFFER_BYTES
from tests.conftest import Certificate

SECONDS = 20


class Echo:
    """The reactor's end: sends back what it gets; `reading` clear means that it does not read."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self.reading = asyncio.Event()
        self.reading.set()
        self.ended = 0

    def adopt(self, descriptor: int) -> None:
        sock = socket.socket(fileno=descriptor)
        sock.setblocking(False)
        task = asyncio.get_running_loop().create_task(self.run(sock))
        self.tasks.add(task)

    async def run(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await self.reading.wait()
        while data := await loop.sock_recv(sock, 65536):
            await loop.sock_sendall(sock, data)
            if data.endswith(b"close"):
                break
        self.ended += 1
        sock.close()


def play(scenario: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(SECONDS):
            await scenario()
    asyncio.run(run())


def test_tls_carries_everything_both_ways(certificate: Certificate) -> None:
    async def scenario() -> None:
        echo = Echo()
        context = tls.context(str(certificate.chain), str(certificate.key), "")
        server = await tls.listen("127.0.0.1", 0, context, echo.adopt)
        trusting = ssl.create_default_context(cafile=certificate.chain)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=trusting,
                                                       server_hostname="localhost")
        payload = bytes(range(256)) * 8192
        writer.write(payload)
        assert await reader.readexactly(len(payload)) == payload
        writer.write(b"close")
        assert await reader.read() == b"close", "what was sent before the end arrives"
        writer.close()
        server.close()
    play(scenario)


def test_tls_wants_a_clients_certificate_when_it_is_told_to(certificate: Certificate) -> None:
    async def scenario() -> None:
        echo = Echo()
        context = tls.context(str(certificate.chain), str(certificate.key), str(certificate.chain))
        server = await tls.listen("127.0.0.1", 0, context, echo.adopt)
        trusting = ssl.create_default_context(cafile=certificate.chain)
        with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=trusting,
                                                           server_hostname="localhost")
            writer.write(b"x")
            await reader.readexactly(1)
        trusting.load_cert_chain(certificate.chain, certificate.key)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=trusting,
                                                       server_hostname="localhost")
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        writer.close()
        server.close()
    play(scenario)


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"mqtt\.tls_cert = .*there is no such file"):
        tls.context(str(tmp_path / "none.pem"), "", "")
    (tmp_path / "bad.pem").write_text("no certificate")
    with pytest.raises(StartError, match=r"mqtt\.tls_cert = .*cannot be used"):
        tls.context(str(tmp_path / "bad.pem"), "", "")


class WebClient:
    """A WebSocket client over asyncio streams."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.web = WSConnection(ConnectionType.CLIENT)
        self.waiting: list[object] = []

    @classmethod
    async def connect(cls, server: asyncio.Server, *subprotocols: str) -> WebClient:
        client = cls(*await asyncio.open_connection(*server.sockets[0].getsockname()))
        client.send(Request(host="localhost", target="/mqtt", subprotocols=list(subprotocols)))
        return client

    def send(self, event: object) -> None:
        self.writer.write(self.web.send(event))     # type: ignore[arg-type]

    async def event(self) -> object:
        while not self.waiting:
            data = await self.reader.read(65536)
            self.web.receive_data(data or None)
            self.waiting += list(self.web.events())
        return self.waiting.pop(0)

    async def receive(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            event = await self.event()
            assert isinstance(event, BytesMessage)
            found += event.data
        return found


def test_websocket_carries_a_stream_of_bytes_in_frames_of_any_size() -> None:
    async def scenario() -> None:
        echo = Echo()
        server = await websocket.listen("127.0.0.1", 0, echo.adopt)
        client = await WebClient.connect(server, "chat", "mqtt")
        accepted = await client.event()
        assert isinstance(accepted, AcceptConnection) and accepted.subprotocol == "mqtt"
        client.send(BytesMessage(data=b"ab"))
        client.send(BytesMessage(data=b"", message_finished=False))
        client.send(BytesMessage(data=b"cd", message_finished=False))
        client.send(Ping(payload=b"?"))
        client.send(BytesMessage(data=b"e" * 100_000))
        found, pongs = b"", 0
        while len(found) < 100_004 or not pongs:
            event = await client.event()
            pongs += isinstance(event, Pong)
            found += bytes(event.data) if isinstance(event, BytesMessage) else b""
        assert found == b"abcd" + b"e" * 100_000
        client.send(CloseConnection(code=1000))
        assert isinstance(await client.event(), CloseConnection)
        client.writer.close()
        await asyncio.wait(echo.tasks)
        server.close()
    play(scenario)


def test_the_reactors_end_is_the_clients_end() -> None:
    async def scenario() -> None:
        echo = Echo()
        server = await websocket.listen("127.0.0.1", 0, echo.adopt)
        client = await WebClient.connect(server, "mqtt")
        await client.event()
        client.send(BytesMessage(data=b"close"))
        assert await client.receive(5) == b"close"
        assert isinstance(await client.event(), CloseConnection)
        server.close()
    play(scenario)


def test_websocket_wants_the_subprotocol_and_binary_frames() -> None:
    async def scenario() -> None:
        echo = Echo()
        server = await websocket.listen("127.0.0.1", 0, echo.adopt)
        client = await WebClient.connect(server, "chat")
        assert isinstance(await client.event(), RejectConnection)
        client = await WebClient.connect(server, "mqtt")
        await client.event()
        client.send(TextMessage(data="text"))
        closed = await client.event()
        assert isinstance(closed, CloseConnection) and closed.code == 1003
        plain, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00\r\n\r\n")
        assert not (await plain.read()).startswith(b"\x20")
        server.close()
    play(scenario)


def test_a_reactor_that_does_not_read_stops_the_client() -> None:
    async def scenario() -> None:
        echo = Echo()
        echo.reading.clear()
        server = await websocket.listen("127.0.0.1", 0, echo.adopt)
        client = await WebClient.connect(server, "mqtt")
        await client.event()
        frame, sent = b"x" * 65536, 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                while sent < 400 * BUFFER_BYTES:
                    client.send(BytesMessage(data=frame))
                    sent += len(frame)
                    await client.writer.drain()
        assert sent < 200 * BUFFER_BYTES, "the kernel's buffers and ours, then no more"
        echo.reading.set()
        assert await client.receive(sent) == b"x" * sent
        client.writer.close()
        server.close()
    play(scenario)
