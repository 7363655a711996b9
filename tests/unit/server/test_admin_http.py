"""The small HTTP server: what it answers, what it bounds."""
from __future__ import annotations

import asyncio
import json

from robustmq.server.admin.http import BODY_BYTES, HttpError, HttpServer, Request, Response, as_json


async def echo(request: Request) -> Response:
    if request.path == ("refused",):
        raise HttpError(409, "not now")
    if request.path == ("broken",):
        raise RuntimeError("secret")
    return as_json({"method": request.method, "path": request.path, "query": request.query,
                    "body": request.json() if request.body else None})


def talk(raw: bytes | list[bytes]) -> bytes:
    """Everything that the server answers to `raw`, until it closes or is silent."""
    async def run() -> bytes:
        server = HttpServer(echo)
        port = await server.listen("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for part in raw if isinstance(raw, list) else [raw]:
            writer.write(part)
            await writer.drain()
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        await server.close()
        return answer
    return asyncio.run(run())


def body_of(answer: bytes) -> object:
    return json.loads(answer.partition(b"\r\n\r\n")[2])


def test_a_request_comes_apart() -> None:
    answer = talk(b"GET /a/b%2Fc?x=1&y=a%20b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body_of(answer) == {"method": "GET", "path": ["a", "b/c"], "query": {"x": "1", "y": "a b"}, "body": None}


def test_byte_by_byte() -> None:
    raw = b'POST /t HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\nConnection: close\r\n\r\n{"a": 1}'
    assert body_of(talk([raw[i:i + 1] for i in range(len(raw))])) == {
        "method": "POST", "path": ["t"], "query": {}, "body": {"a": 1}}


def test_one_connection_many_requests() -> None:
    answer = talk(b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 2


def test_head_has_no_body() -> None:
    answer = talk(b"HEAD /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b"Content-Length: " in answer
    assert answer.endswith(b"\r\n\r\n")


def test_errors_are_json_and_tell_no_secret() -> None:
    refused = talk(b"GET /refused HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert refused.startswith(b"HTTP/1.1 409 ") and body_of(refused) == {"error": "not now"}
    broken = talk(b"GET /broken HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert broken.startswith(b"HTTP/1.1 500 ") and b"secret" not in broken
    assert talk(b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert talk(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n{]}").startswith(b"HTTP/1.1 400 ")


def test_bounds() -> None:
    assert talk(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 40_000 + b"\r\n\r\n").startswith(b"HTTP/1.1 431 ")
    size = BODY_BYTES + 1
    head = f"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()
    assert talk(head + b" " * size).startswith(b"HTTP/1.1 413 ")


def test_a_page_of_another_site_cannot_change_anything() -> None:
    answer = talk(b"DELETE /x HTTP/1.1\r\nHost: x\r\nOrigin: http://evil.example\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 403 ")


