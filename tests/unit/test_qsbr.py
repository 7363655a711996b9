"""Quiescent states: what is retired is freed after every online reader has moved on, never before."""
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.shims import qsbr as shim


@pytest.fixture
def slots():
    taken = [shim.register(), shim.register()]
    yield taken
    for slot in taken:
        shim.unregister(slot)
    shim.synchronize()


def test_a_retired_thing_waits_for_every_online_reader(slots) -> None:
    a, b = slots
    before = shim.freed()
    shim.retire()
    shim.collect()
    assert shim.freed() == before
    shim.quiescent(a)
    assert shim.freed() == before
    shim.quiescent(b)
    assert shim.freed() == before + 1


def test_a_sleeper_delays_nobody(slots) -> None:
    a, b = slots
    before = shim.freed()
    shim.offline(b)
    shim.retire()
    shim.quiescent(a)
    assert shim.freed() == before + 1
    shim.online(b)
    shim.retire()
    shim.quiescent(a)
    assert shim.freed() == before + 1


def test_synchronize_frees_without_readers() -> None:
    before = shim.freed()
    for _ in range(100):
        shim.retire()
    shim.synchronize()
    assert shim.freed() == before + 100


def test_slots_come_back(slots) -> None:
    for _ in range(200):
        slot = shim.register()
        assert 0 <= slot < 64
        shim.unregister(slot)


def test_there_are_64_slots() -> None:
    taken = []
    while (slot := shim.register()) >= 0:
        taken.append(slot)
    assert len(set(taken)) == len(taken) <= 64
    for slot in taken:
        shim.unregister(slot)


def test_readers_never_see_a_freed_thing() -> None:
    shim.publish()
    shim.stop(False)
    before = shim.freed()
    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(shim.read_until_stopped) for _ in range(3)]
        writer = threading.Thread(target=shim.replace, args=(20_000,))
        writer.start()
        writer.join()
        shim.stop(True)
        assert [reader.result() for reader in readers] == [0, 0, 0]
    shim.synchronize()
    assert shim.freed() == before + 20_000
