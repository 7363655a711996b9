"""Blocks and the output queue: references, coalescing, partial writes, nothing kept when empty."""
import os
import random
import socket
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.shims import out as shim


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def received(sock: socket.socket, n: int) -> bytes:
    parts = []
    while n:
        part = sock.recv(n)
        parts.append(part)
        n -= len(part)
    return b"".join(parts)


@pytest.mark.parametrize(("asked", "cap"), [(1, 512), (512, 512), (513, 4096), (65536, 65536), (65537, 262144)])
def test_a_block_is_of_the_smallest_class_that_fits(asked: int, cap: int) -> None:
    assert shim.Bytes(b"", asked).cap == cap


def test_a_block_beyond_the_largest_class_is_as_large_as_asked() -> None:
    assert shim.Bytes(b"", 300_000).cap == 300_000


def test_draining_the_pool_gives_the_memory_back() -> None:
    shim.drain()
    before = shim.bytes_live()
    blocks = [shim.Bytes(b"x", cap) for cap in (1, 4096, 300_000)]
    assert shim.bytes_live() > before + 300_000
    del blocks
    shim.drain()
    assert shim.bytes_live() == before


def test_an_empty_queue_holds_no_memory(pair) -> None:
    ours, theirs = pair
    queue = shim.Queue()
    assert queue.empty_handed
    queue.write(b"abc")
    assert not queue.empty_handed
    assert queue.flush(ours.fileno()) == (3, 1)
    assert queue.empty_handed
    assert theirs.recv(10) == b"abc"


def test_small_writes_coalesce_into_one_chunk() -> None:
    queue = shim.Queue()
    for _ in range(20):
        queue.write(b"0123456789", reserve=100)
    assert queue.chunks == 1
    assert queue.bytes == 200
    assert queue.take(1000) == b"0123456789" * 20


def test_neighbouring_ranges_of_one_owner_coalesce() -> None:
    owner = shim.Bytes(bytes(range(256)) * 16)
    queue = shim.Queue()
    queue.ref(owner, 0, 1000)
    queue.ref(owner, 1000, 1000)
    assert (queue.chunks, owner.refs) == (1, 2)
    queue.ref(owner, 3000, 1000)
    assert (queue.chunks, owner.refs) == (2, 3)
    queue.clear()
    assert owner.refs == 1
    assert queue.empty_handed


def test_a_small_range_is_copied_and_keeps_no_reference() -> None:
    owner = shim.Bytes(b"x" * 1000)
    queue = shim.Queue()
    queue.ref(owner, 0, 100)
    assert owner.refs == 1


def test_a_partial_write_keeps_the_rest_in_order(pair) -> None:
    ours, theirs = pair
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    data = random.Random(7).randbytes(1_000_000)
    owner = shim.Bytes(data)
    queue = shim.Queue()
    queue.ref(owner, 0, 600_000)
    queue.copy(data[600_000:])
    got = b""
    while queue.bytes:
        sent, _ = queue.flush(ours.fileno())
        assert 0 < sent < 1_000_000
        got += received(theirs, sent)
    assert got == data
    assert owner.refs == 1
    assert queue.empty_handed


def test_a_full_socket_sends_nothing_and_keeps_everything(pair) -> None:
    ours, _ = pair
    queue = shim.Queue()
    queue.copy(b"x" * 4_000_000)
    while queue.flush(ours.fileno())[0]:
        pass
    left = queue.bytes
    assert queue.flush(ours.fileno()) == (0, 1)
    assert queue.bytes == left


def test_a_dead_peer_is_minus_one(pair) -> None:
    ours, theirs = pair
    theirs.close()
    queue = shim.Queue()
    queue.copy(b"x")
    assert queue.flush(ours.fileno())[0] == -1


def test_more_chunks_than_one_writev_takes(pair) -> None:
    ours, theirs = pair
    owner = shim.Bytes(os.urandom(1_500_000))
    queue, copy = shim.Queue(), shim.Queue()
    for start in range(0, 1_500_000, 1000):
        for each in (queue, copy):
            each.ref(owner, start, 600)
    assert queue.chunks == 1500
    got = b""
    while queue.bytes:
        got += received(theirs, queue.flush(ours.fileno())[0])
    assert got == copy.take(1 << 20)
    assert owner.refs == 1


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(
    st.tuples(st.just("write"), st.integers(0, 3000)),
    st.tuples(st.just("copy"), st.integers(0, 150_000)),
    st.tuples(st.just("ref"), st.integers(0, 9000), st.integers(0, 9000)),
    st.tuples(st.just("take"), st.integers(0, 100_000)),
), max_size=40))
def test_what_goes_in_comes_out_in_order(steps) -> None:
    source = bytes(i * 31 % 251 for i in range(150_000))
    owner = shim.Bytes(source[:20_000])
    queue = shim.Queue()
    model = b""
    for step in steps:
        match step:
            case ("write", n):
                queue.write(source[:n], reserve=n + 1)
                model += source[:n]
            case ("copy", n):
                queue.copy(source[:n])
                model += source[:n]
            case ("ref", start, n):
                queue.ref(owner, start, n)
                model += source[start:start + n]
            case ("take", n):
                assert queue.take(n) == model[:n]
                model = model[n:]
        assert queue.bytes == len(model)
    assert queue.take(len(model)) == model
    assert owner.refs == 1
    assert queue.empty_handed


def test_no_more_is_sent_than_asked_for(pair) -> None:
    ours, theirs = pair
    owner = shim.Bytes(os.urandom(5000))
    queue, copy = shim.Queue(), shim.Queue()
    for start in range(0, 5000, 1000):
        for each in (queue, copy):
            each.ref(owner, start, 700)
    got = b""
    for most, sent in ((1, 1), (699, 699), (1000, 1000), (5000, 1800)):
        assert queue.flush(ours.fileno(), most)[0] == sent
        got += received(theirs, sent)
    assert got == copy.take(1 << 20)


@pytest.mark.parametrize(("n", "late"), [(1000, True), (1000, False), (100, False)])
def test_what_lies_in_a_file_that_lost_a_page_is_not_sent(pair, n: int, late: bool) -> None:
    """Nor what is queued before it: the connection is closed. Nor what is short enough to be copied."""
    ours, theirs = pair
    queue, whole, lost = shim.Queue(), shim.Bytes(b"a" * 1000), shim.Bytes(b"b" * 1000)
    queue.ref(whole, 0, 1000)
    if late:
        queue.ref(lost, 0, n)
    lost.lose()
    if not late:
        queue.ref(lost, 0, n)
    assert queue.flush(ours.fileno()) == (-1, 0)
    theirs.setblocking(False)
    with pytest.raises(BlockingIOError):
        theirs.recv(1)
    queue.clear()
    assert lost.refs == 1


def test_what_is_queued_of_a_retired_segment_is_copied(pair) -> None:
    ours, theirs = pair
    held, retired = shim.Bytes(bytes(range(256)) * 16), shim.Bytes(bytes(reversed(range(256))) * 16)
    queue = shim.Queue()
    queue.write(b"head")
    queue.ref(retired, 0, 1000)
    queue.ref(held, 0, 1000)
    queue.ref(retired, 2000, 600)
    assert queue.flush(ours.fileno(), 100)[0] == 100
    retired.retire()
    assert queue.unpin(1504)
    assert (retired.refs, held.refs, queue.bytes) == (1, 2, 2504)
    retired.overwrite()
    queue.write(b"tail")
    queue.flush(ours.fileno())
    backwards = bytes(reversed(range(256))) * 16
    assert received(theirs, 2608) == (b"head" + backwards[:1000] + bytes(range(256)) * 3 + bytes(range(232))
                                      + backwards[2000:2600] + b"tail")
    assert queue.empty_handed


@pytest.mark.parametrize(("lengths", "unpinned"), [((1001, 999), False), ((1000, 1000), True), ((2000,), True)],
                         ids=["above it before the last", "above it with the last", "one that is above it"])
def test_more_than_a_connection_may_hold_is_not_copied(lengths: tuple[int, ...], unpinned: bool) -> None:
    retired = shim.Bytes(bytes(4096))
    queue = shim.Queue()
    for i, n in enumerate(lengths):
        queue.ref(retired, 2048 * i, n)
    retired.retire()
    assert queue.unpin(1000) is unpinned
    assert retired.refs == (1 if unpinned else 1 + len(lengths))
    assert queue.take(5000) == bytes(2000)


def test_a_lost_page_is_not_copied(pair) -> None:
    ours, _ = pair
    lost, retired = shim.Bytes(bytes(1000)), shim.Bytes(bytes(1000))
    queue = shim.Queue()
    queue.ref(lost, 0, 1000)
    queue.ref(retired, 0, 1000)
    lost.lose()
    retired.retire()
    assert queue.unpin(2000)
    assert (lost.refs, retired.refs) == (2, 1)
    assert queue.flush(ours.fileno()) == (-1, 0)


def test_a_lost_page_waits_for_what_is_being_sent(pair) -> None:
    """Until a writev that began before is over, the page does not become zeros (stores/guard.pxd)."""
    ours, theirs = pair
    ours.setblocking(True)
    whole, queue = os.urandom(8 << 20), shim.Queue()
    owner = shim.Bytes(whole)
    queue.ref(owner, 0, len(whole))
    sending = threading.Thread(target=queue.flush, args=[ours.fileno()])
    waiting = threading.Thread(target=shim.await_flights)
    sending.start()
    got = received(theirs, 1)               # the socket holds less than that: it is within its writev until all is read
    waiting.start()
    waiting.join(0.1)
    assert waiting.is_alive()
    got += received(theirs, len(whole) - 1)
    for thread in (sending, waiting):
        thread.join(20)
        assert not thread.is_alive()
    assert got == whole
