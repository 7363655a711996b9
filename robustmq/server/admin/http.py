"""A small HTTP/1.1 server: h11 does the protocol, asyncio the sockets, a handler the rest.

Bounds: CONNECTIONS at once (more are closed), HEADERS_BYTES of headers, BODY_BYTES of body, IDLE_S for a request.
"""
from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

import h11

CONNECTIONS = 256
HEADERS_BYTES = 16 << 10
BODY_BYTES = 64 << 10
IDLE_S = 30
REASONS = {200: "OK", 201: "Created", 204: "No Content", 400: "Bad Request", 403: "Forbidden", 404: "Not Found",
           405: "Method Not Allowed", 409: "Conflict", 413: "Content Too Large", 500: "Internal Server Error",
           503: "Service Unavailable"}
log = logging.getLogger(__name__)


class HttpError(Exception):
    """A request that is answered with `status` and {"error": message}."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Request:
    """What came."""

    method: str
    path: tuple[str, ...]           # decoded segments: /a/b%2Fc is ("a", "b/c")
    query: dict[str, str]
    body: bytes

    def json(self) -> dict[str, object]:
        """The body as an object. HttpError."""
        try:
            value = json.loads(self.body or b"{}")
        except ValueError as error:
            raise HttpError(400, f"the body is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise HttpError(400, "the body is not a JSON object")
        return value


@dataclass(frozen=True)
class Response:
    """What goes back."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: list[tuple[str, str]] = field(default_factory=list)


def as_json(value: object, status: int = 200) -> Response:
    """A response with a JSON body."""
    return Response(status, json.dumps(value, indent=2).encode() + b"\n")


Handler = Callable[[Request], Awaitable[Response]]


class HttpServer:
    """Serves `handler` on one address."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def listen(self, host: str, port: int) -> int:
        """Accept; returns the bound port. OSError when it is taken."""
        self._server = await asyncio.start_server(self._accept, host, port, limit=HEADERS_BYTES)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop accepting and end what is open."""
        if self._server is None:
            return
        self._server.close()
        for task in self._connections:
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            if len(self._connections) <= CONNECTIONS:
                await Exchange(reader, writer, self._handler).run()
        except (TimeoutError, ConnectionError, asyncio.CancelledError):
            pass                        # silent peer, gone peer, shutdown: nothing is owed
        finally:
            self._connections.discard(task)
            writer.close()


class Exchange:
    """One connection: requests in, responses out, one at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler) -> None:
        self._reader = reader
        self._writer = writer
        self._handler = handler
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEADERS_BYTES)

    async def run(self) -> None:
        """Until either side has enough."""
        while True:
            method = "GET"
            try:
                async with asyncio.timeout(IDLE_S):
                    request = await self._request()
                if request is None:
                    return
                method = request.method
                response = await self._handler(request)
            except h11.RemoteProtocolError as error:
                response = as_json({"error": str(error)}, error.error_status_hint)
            except HttpError as error:
                response = as_json({"error": str(error)}, error.status)
            except Exception:
                log.exception("admin: a request failed")
                response = as_json({"error": "internal error; the broker's log says more"}, 500)
            await self._respond(response, method)
            if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return
            self._http.start_next_cycle()

    async def _event(self) -> h11.Event | type[h11.PAUSED]:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                self._send(h11.InformationalResponse(status_code=100, headers=[]))
            self._http.receive_data(await self._reader.read(HEADERS_BYTES))
        assert not isinstance(event, type) or event is h11.PAUSED
        return event

    async def _request(self) -> Request | None:
        """The next request; None when the peer has no more."""
        head = await self._event()
        if not isinstance(head, h11.Request):
            return None
        body = bytearray()
        while isinstance(data := await self._event(), h11.Data):
            body += data.data
            if len(body) > BODY_BYTES:
                raise HttpError(413, f"a body has at most {BODY_BYTES} bytes")
        method = head.method.decode()
        if method not in {"GET", "HEAD"} and any(name == b"origin" for name, _ in head.headers):
            raise HttpError(403, "requests of browser pages are not served")
        target = urlsplit(head.target.decode())
        path = tuple(unquote(part) for part in target.path.strip("/").split("/"))
        return Request(method, path, dict(parse_qsl(target.query)), bytes(body))

    async def _respond(self, response: Response, method: str) -> None:
        if self._http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return
        headers = [("Content-Type", response.content_type), ("Content-Length", str(len(response.body))),
                   ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"), *response.headers]
        self._send(h11.Response(status_code=response.status, headers=headers,
                                reason=REASONS.get(response.status, "").encode()))
        if method != "HEAD":
            self._send(h11.Data(data=response.body))
        self._send(h11.EndOfMessage())
        async with asyncio.timeout(IDLE_S):
            await self._writer.drain()

    def _send(self, event: h11.Event) -> None:
        if data := self._http.send(event):
            self._writer.write(data)
