"""What every MetaStore promises. A new one is added to STORES."""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from robustmq.server.meta.sqlite import HISTORY, SqliteStore
from robustmq.server.meta.store import Compacted, Compare, Delete, Event, LeaseGone, MetaError, MetaStore, Put

Opener = Callable[[Path], Awaitable[MetaStore]]


async def sqlite_file(directory: Path) -> MetaStore:
    return await SqliteStore.open(directory / "meta.sqlite")


async def sqlite_memory(directory: Path) -> MetaStore:
    return await SqliteStore.open(None)


STORES: dict[str, Opener] = {"sqlite": sqlite_file, "sqlite in memory": sqlite_memory}
LASTING = ["sqlite"]
Scenario = Callable[[MetaStore], Awaitable[None]]


@pytest.fixture(params=STORES, name="play")
def fixture_play(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Scenario], None]:
    def play(scenario: Scenario) -> None:
        async def run() -> None:
            store = await STORES[request.param](tmp_path)
            try:
                async with asyncio.timeout(20):
                    await scenario(store)
            finally:
                await store.close()
        asyncio.run(run())
    return play


async def take(events: AsyncIterator[Event], count: int) -> list[Event]:
    return [await anext(events) for _ in range(count)]


def test_a_key_carries_its_revisions(play: Callable[[Scenario], None]) -> None:
    async def scenario(store: MetaStore) -> None:
        assert await store.get("a") is None
        assert await store.put("a", b"1") == 1
        assert await store.put("b", b"x") == 2
        assert await store.put("a", b"2") == 3
        found = await store.get("a")
        assert found is not None
        assert (found.value, found.create_revision, found.mod_revision) == (b"2", 1, 3)
        assert await store.delete("a") == 4
        assert await store.delete("a") == 4, "nothing changed, no revision"
        assert await store.get("a") is None
    play(scenario)


def test_a_range_has_the_prefix_and_the_order(play: Callable[[Scenario], None]) -> None:
    async def scenario(store: MetaStore) -> None:
        for key in ("t/b", "t/a", "t", "u", "t/\U0010ffff", "t0", "t/ä"):
            await store.put(key, key.encode())
        found = await store.range("t/")
        assert [item.key for item in found.keys] == ["t/a", "t/b", "t/ä", "t/\U0010ffff"]
        assert found.revision == 7
        assert [item.key for item in (await store.range("t/", 2)).keys] == ["t/a", "t/b"]
        assert len((await store.range("")).keys) == 7
    play(scenario)


def test_compare_and_swap(play: Callable[[Scenario], None]) -> None:
    async def scenario(store: MetaStore) -> None:
        made = await store.txn([Compare("k", 0)], [Put("k", b"mine")], [Put("lost", b"")])
        assert made.succeeded
        again = await store.txn([Compare("k", 0)], [Put("k", b"theirs")], [Put("lost", b"")])
        assert not again.succeeded
        assert again.revision == made.revision + 1
        found = await store.get("k")
        assert found is not None and found.value == b"mine"
        moved = await store.txn([Compare("k", found.mod_revision), Compare("lost", again.revision)],
                                [Put("k", b"next"), Delete("lost")])
        assert moved.succeeded
        stale = await store.txn([Compare("k", found.mod_revision)], [Delete("k")])
        assert (stale.succeeded, stale.revision) == (False, moved.revision)
    play(scenario)


def test_a_transaction_is_one_revision_and_all_or_nothing(play: Callable[[Scenario], None]) -> None:
    async def scenario(store: MetaStore) -> None:
        done = await store.txn([], [Put("a", b""), Put("b", b"")])
        assert {item.mod_revision for item in (await store.range("")).keys} == {done.revision}
        with pytest.raises(LeaseGone):
            await store.txn([], [Put("c", b""), Put("d", b"", lease=99)])
        assert await store.get("c") is None
        with pytest.raises(ValueError, match="twice"):
            await store.txn([], [Put("c", b"1"), Delete("c")])
    play(scenario)


def test_of_many_at_once_one_wins(play: Callable[[Scenario], None]) -> None:
    async def scenario(store: MetaStore) -> None:
        tries = [store.txn([Compare("leader", 0)], [Put("leader", str(n).encode())]) for n in range(20)]
        assert sum(done.succeeded for done in await asyncio.gather(*tries)) == 1
    play(scenario)


def test_a_watch_sees_what_was_and_what_comes_in_order(play: Callable[[Scenario], None]) -> None:
    async def scenario(store: MetaStore) -> None:
        await store.put("t/a", b"1")
        await store.put("u", b"not this")
        await store.txn([], [Put("t/b", b"2"), Delete("t/a")])
        async with aclosing(store.watch("t/", 1)) as events:         # type: ignore[type-var]
            assert await take(events, 3) == [Event("t/a", b"1", 1), Event("t/a", None, 3), Event("t/b", b"2", 3)]
            waiting = asyncio.ensure_future(anext(events))
            await store.put("u", b"not this either")
            await store.put("t/c", b"3")
            assert await waiting == Event("t/c", b"3", 5)
        async with aclosing(store.watch("t/", 4)) as events:         # type: ignore[type-var]
            assert await take(events, 1) == [Event("t/c", b"3", 5)]
    play(scenario)


def test_a_watch_reads_large_revisions_whole(play: Callable[[Scenario], None]) -> None:
    async def scenario(store: MetaStore) -> None:
        await store.txn([], [Put(f"t/{n:05}", b"") for n in range(1500)])
        await store.txn([], [Put(f"t/{n:05}", b"") for n in range(1500)])
        await store.txn([], [Put(f"t/{n:05}", b"") for n in range(600)])
        await store.txn([], [Put(f"t/{n:05}", b"") for n in range(600)])
        async with aclosing(store.watch("t/", 1)) as events:         # type: ignore[type-var]
            seen = await take(events, 4200)
        assert [event.revision for event in seen] == [1] * 1500 + [2] * 1500 + [3] * 600 + [4] * 600
    play(scenario)


def test_closing_ends_a_watch(play: Callable[[Scenario], None]) -> None:
    async def scenario(store: MetaStore) -> None:
        async def read() -> list[Event]:
            return [event async for event in store.watch("", 1)]
        reading = asyncio.ensure_future(read())
        await store.put("a", b"")
        await store.get("a")
        await store.close()
        assert await reading == [Event("a", b"", 1)]
        with pytest.raises(MetaError, match="closed"):
            await store.get("a")
    play(scenario)


def test_a_lease_takes_its_keys_with_it(play: Callable[[Scenario], None]) -> None:
    async def scenario(store: MetaStore) -> None:
        lease = await store.grant(60_000)
        await store.txn([], [Put("a", b"", lease), Put("b", b"", lease), Put("c", b"", lease)])
        await store.put("c", b"free")
        await store.revoke(lease)
        assert [item.key for item in (await store.range("")).keys] == ["c"]
        with pytest.raises(LeaseGone):
            await store.keep_alive(lease)
        await store.revoke(lease)
        assert await store.grant(60_000) != lease, "a number is not used again"
    play(scenario)


def test_a_lease_ends_by_itself_unless_it_is_kept(play: Callable[[Scenario], None]) -> None:
    async def scenario(store: MetaStore) -> None:
        short, kept = await store.grant(150), await store.grant(400)
        await store.txn([], [Put("short", b"", short), Put("kept", b"", kept)])
        async with aclosing(store.watch("", 2)) as events:           # type: ignore[type-var]
            assert await anext(events) == Event("short", None, 2)
            await store.keep_alive(kept)
            assert await store.get("kept") is not None
            assert await anext(events) == Event("kept", None, 3)
    play(scenario)


def test_what_is_long_gone_cannot_be_watched(play: Callable[[Scenario], None],
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robustmq.server.meta.sqlite.HISTORY", 100)
    assert HISTORY > 100

    async def scenario(store: MetaStore) -> None:
        for n in range(150):
            await store.put("t", str(n).encode())
        with pytest.raises(Compacted):
            await anext(store.watch("t", 20))
        assert (await anext(store.watch("t", 60))).revision == 60
    play(scenario)


@pytest.mark.parametrize("name", LASTING)
def test_everything_is_there_after_a_restart(name: str, tmp_path: Path) -> None:
    async def before() -> None:
        store = await STORES[name](tmp_path)
        lease = await store.grant(200)
        await store.txn([], [Put("leased", b"", lease), Put("kept", b"v")])
        await store.close()

    async def after() -> None:
        store = await STORES[name](tmp_path)
        assert [item.key for item in (await store.range("")).keys] == ["kept", "leased"]
        async with aclosing(store.watch("", 2)) as events:           # type: ignore[type-var]
            assert await anext(events) == Event("leased", None, 2), "a lease goes on after a restart"
        assert await store.put("kept", b"w") == 3
        await store.close()

    asyncio.run(before())
    asyncio.run(after())
