"""What every blob store promises: one suite over a directory, S3 and HDFS."""
from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from robustmq.server.blob.blob import Blob, BlobBroken, BlobError, BlobExists, BlobMissing, Item
from robustmq.server.blob.opening import open_blob
from robustmq.server.blob.probe import probe
from tests import blobs

MIB = 1 << 20
Scenario = Callable[[Blob], Awaitable[None]]
Play = Callable[[Scenario], None]
DEAD = {"s3": "s3://segments/x?endpoint=http://{}", "hdfs": "webhdfs://{}/x"}


@pytest.fixture(scope="module", params=["file", "s3", "hdfs"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def place(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("blob")
    if kind == "file":
        yield str(directory)
        return
    with blobs.s3_server() if kind == "s3" else blobs.hdfs_cluster(directory) as where:
        yield where


@pytest.fixture
def play(kind: str, place: str) -> Play:
    url = blobs.fresh(kind, place)

    def run(scenario: Scenario) -> None:
        async def timed() -> None:
            async with asyncio.timeout(60):
                await scenario(open_blob(url, 20))
        asyncio.run(timed())
    return run


def test_an_object_comes_back_as_it_went(play: Play, tmp_path: Path) -> None:
    async def scenario(blob: Blob) -> None:
        path = tmp_path / "source"
        path.write_bytes(b"from a file")
        await blob.put("a/b/1.sealed", bytes(range(256)))
        await blob.put("a/b/2.sealed", path)
        await blob.put("empty", b"")
        assert await blob.get_range("a/b/1.sealed", 0, 256) == bytes(range(256))
        assert await blob.get_range("a/b/2.sealed", 0, 100) == b"from a file"
        assert await blob.get_range("empty", 0, 10) == b""
        assert [await blob.head(key) for key in ("a/b/1.sealed", "a/b/2.sealed", "empty")] == [256, 11, 0]
    play(scenario)


@pytest.mark.parametrize(("offset", "length", "found"), [
    (0, 1, b"0"), (0, 10, b"0123456789"), (9, 1, b"9"), (4, 3, b"456"), (9, 5, b"9"), (0, 99, b"0123456789"),
    (10, 1, b""), (11, 5, b""), (3, 0, b"")])
def test_ranges_at_the_edges(play: Play, offset: int, length: int, found: bytes) -> None:
    async def scenario(blob: Blob) -> None:
        await blob.put("ten", b"0123456789")
        assert await blob.get_range("ten", offset, length) == found
    play(scenario)


def test_what_is_not_there(play: Play) -> None:
    async def scenario(blob: Blob) -> None:
        assert await blob.head("a/none") is None
        assert await blob.list("a") == []
        await blob.delete("a/none")
        with pytest.raises(BlobMissing):
            await blob.get_range("a/none", 0, 1)
        await blob.put("a/b/c", b"x")
        assert await blob.head("a/b") is None, "a part of a key is no object"
    play(scenario)


def test_an_object_is_never_written_twice(play: Play) -> None:
    async def scenario(blob: Blob) -> None:
        await blob.put("k", b"first")
        with pytest.raises(BlobExists):
            await blob.put("k", b"second")
        assert await blob.get_range("k", 0, 99) == b"first"
        await blob.delete("k")
        await blob.put("k", b"third")
        assert await blob.get_range("k", 0, 99) == b"third"
    play(scenario)


def test_of_racing_writers_one_wins(play: Play) -> None:
    async def scenario(blob: Blob) -> None:
        for number in range(5):
            contents = [f"writer {writer}".encode() * 1000 for writer in range(4)]
            results = await asyncio.gather(*(blob.put(f"race/{number}", content) for content in contents),
                                           return_exceptions=True)
            won = [content for content, result in zip(contents, results, strict=True) if result is None]
            assert [type(result) for result in results if result is not None] == [BlobExists] * 3
            assert [await blob.get_range(f"race/{number}", 0, MIB)] == won
    play(scenario)


def test_a_listing_has_the_prefix_and_the_order(play: Play) -> None:
    async def scenario(blob: Blob) -> None:
        keys = ["t/b/2", "t/b/10", "t/a", "t-x", "u/1", "t/B/1", "t.d/1"]
        for key in keys:
            await blob.put(key, key.encode())
        assert await blob.list("") == [Item(key, len(key)) for key in sorted(keys)]
        assert [item.key for item in await blob.list("t")] == ["t/B/1", "t/a", "t/b/10", "t/b/2"]
        assert [item.key for item in await blob.list("t/b/")] == ["t/b/10", "t/b/2"]
        await blob.delete("t/b/2")
        await blob.delete("t/b/2")
        assert [item.key for item in await blob.list("t/b")] == ["t/b/10"]
    play(scenario)


def test_a_big_object(play: Play, tmp_path: Path) -> None:
    async def scenario(blob: Blob) -> None:
        part = os.urandom(MIB)
        path = tmp_path / "big"
        with path.open("wb") as file:
            for number in range(64):
                file.write(number.to_bytes(8, "big") + part[8:])
        await blob.put("big", path)
        assert await blob.head("big") == 64 * MIB
        assert await blob.get_range("big", 63 * MIB, 2 * MIB) == (63).to_bytes(8, "big") + part[8:]
        assert await blob.get_range("big", 7 * MIB - 4, 12) == part[-4:] + (7).to_bytes(8, "big")
    play(scenario)


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "..", "a/../b", ".a", "a b", "ä", "x" * 901])
def test_what_is_no_key(play: Play, key: str) -> None:
    async def scenario(blob: Blob) -> None:
        with pytest.raises(ValueError, match="no key"):
            await blob.put(key, b"")
    play(scenario)


def test_the_probe_passes(play: Play) -> None:
    async def scenario(blob: Blob) -> None:
        await probe(blob)
        assert await blob.list("") == []
    play(scenario)


# --- stores that are not there ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("scheme", DEAD)
def test_nobody_listens(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = failures(DEAD[scheme].format(f"127.0.0.1:{blobs.free_port()}"), monkeypatch)
    assert all("see that the store is up" in words for words in told), told


@pytest.mark.parametrize("scheme", DEAD)
def test_nobody_answers(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        began = time.monotonic()
        told = failures(DEAD[scheme].format(f"127.0.0.1:{listener.getsockname()[1]}"), monkeypatch)
        assert time.monotonic() - began < 5
    assert all("see that the store" in words for words in told), told


def failures(url: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What every method says, asked at once."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")

    async def ask() -> list[BaseException | object]:
        blob = open_blob(url, 0.5)
        return await asyncio.gather(blob.put("k", b"x"), blob.get_range("k", 0, 1), blob.head("k"), blob.list(""),
                                    blob.delete("k"), return_exceptions=True)
    found = asyncio.run(ask())
    assert [type(error) for error in found] == [BlobError] * 5
    return [str(error) for error in found]


def test_a_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    async def ask() -> None:
        with pytest.raises(BlobError, match="cannot be used"):
            await open_blob(f"file://{tmp_path}/file/below", 5).put("k", b"x")
    asyncio.run(ask())


def test_a_bucket_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(endpoint: str) -> None:
        with pytest.raises(BlobError, match="no such bucket"):
            await open_blob(f"s3://nowhere/x?endpoint={endpoint}", 5).put("k", b"x")
    with blobs.s3_server() as endpoint:
        asyncio.run(ask(endpoint))


@pytest.mark.parametrize(("url", "says"), [
    ("ftp://host/x", "names no blob store"), ("file://relative/x", "names no directory"),
    ("file:///", "names no directory"), ("s3:///x", "names no bucket"), ("webhdfs:///x", "names no host"),
    ("s3://b/x?endpiont=http://h", "no option endpiont")])
def test_an_url_that_is_wrong(url: str, says: str) -> None:
    async def ask() -> None:
        with pytest.raises(BlobError, match=says):
            open_blob(url, 5)
    asyncio.run(ask())


# --- the probe --------------------------------------------------------------------------------------------------------

class Careless(Blob):
    """A store in memory that overwrites."""

    def __init__(self) -> None:
        super().__init__("careless://", 5)
        self.objects: dict[str, bytes] = {}
        self.lock = threading.Lock()

    def _put(self, key: str, data: object) -> None:
        assert isinstance(data, bytes)
        self.objects[key] = data

    def _get_range(self, key: str, offset: int, length: int) -> bytes:
        return self.objects[key][offset:offset + length]

    def _head(self, key: str) -> int | None:
        return len(self.objects[key]) if key in self.objects else None

    def _list(self, prefix: str) -> list[Item]:
        return [Item(key, len(value)) for key, value in self.objects.items()]

    def _delete(self, key: str) -> None:
        self.objects.pop(key, None)


def test_the_probe_finds_a_store_that_overwrites() -> None:
    async def ask() -> None:
        blob = Careless()
        with pytest.raises(BlobBroken, match="honours conditional writes"):
            await probe(blob)
        assert not blob.objects
    asyncio.run(ask())
