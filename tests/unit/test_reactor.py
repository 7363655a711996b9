"""Reactors through the echo protocol: reading, writing, parking, back-pressure, timers and durability."""
import os
import socket
import struct
import threading
import time

import pytest

from tests.shims import echo as shim
from tests.unit.reactor_kit import (
    ADMIN_CLOSED,
    LINK_CLOSED,
    LINK_MOVED,
    MALFORMED,
    NOT_AUTHORIZED,
    STORE_FAILED,
    TIMED_OUT,
    TOO_LARGE,
    eventually,
    frame,
    serving,
)

# --- reading and writing

@pytest.mark.parametrize("op", ["e", "r"])
def test_a_burst_comes_back_whole_and_in_order(server, op) -> None:
    sent = b"".join(frame(op, struct.pack(">I", i) + os.urandom(i * 37 % 1500)) for i in range(20_000))
    with server.peer() as peer:
        writer = threading.Thread(target=peer.sock.sendall, args=(sent,))
        writer.start()
        assert peer.bytes(len(sent)) == sent
        writer.join()


def test_a_burst_costs_few_system_calls(server) -> None:
    sent = frame("e", b"x" * 95) * 500
    with server.peer() as peer:
        for _ in range(10):
            peer.sock.sendall(sent)
            assert peer.bytes(len(sent)) == sent
    assert server.total("writes") <= 40
    assert server.total("reads") <= 60


@pytest.mark.parametrize("size", [0, 1, 507, 20_000, 300_000, (1 << 20) - 5])
def test_frames_in_pieces(server, size) -> None:
    sent = frame("r", os.urandom(size)) + frame("e", b"behind")
    with server.peer() as peer:
        step = max(1, len(sent) // 50)
        for start in range(0, len(sent), step):
            peer.sock.sendall(sent[start:start + step])
            if size < 1000:
                time.sleep(0.0005)
        assert peer.bytes(len(sent)) == sent


def test_one_byte_at_a_time(server) -> None:
    sent = frame("e", b"slowly") + frame("r", b"y" * 300)
    with server.peer() as peer:
        peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in sent:
            peer.sock.send(bytes([byte]))
        assert peer.bytes(len(sent)) == sent


def test_two_peers_interleave_partial_frames(server) -> None:
    with server.peer() as a, server.peer() as b:
        one, two = frame("r", b"a" * 40_000), frame("r", b"b" * 40_000)
        for start in range(0, len(one), 5000):
            a.sock.sendall(one[start:start + 5000])
            b.sock.sendall(two[start:start + 5000])
        assert a.bytes(len(one)) == one
        assert b.bytes(len(two)) == two


@pytest.mark.parametrize(("sent", "why"), [
    (struct.pack(">IB", 4, 0), MALFORMED), (struct.pack(">IB", 1 << 21, 0), TOO_LARGE), (frame("?"), MALFORMED),
])
def test_a_bad_frame_closes_with_a_last_word(server, sent, why) -> None:
    with server.peer() as peer:
        peer.sock.sendall(frame("e", b"fine") + sent + b"more" * 1000)
        assert peer.frame() == ("e", b"fine")
        assert peer.frame() == ("D", bytes([why]))
        assert peer.ended()
    assert server.total("closed_protocol") == 1


def test_the_last_word_arrives_although_input_is_unread(server) -> None:
    for _ in range(20):
        with server.peer() as peer:
            peer.sock.sendall(frame("q") + b"x" * 200_000)
            assert peer.frame() == ("D", bytes([ADMIN_CLOSED]))
            assert peer.ended()


# --- parking and the seam

def test_a_parked_link_waits_for_its_answer(server) -> None:
    with server.peer() as peer:
        peer.sock.sendall(frame("c", b"first") + frame("e", b"behind") + frame("c", b"second") + frame("e", b"last"))
        [(link, protocol, kind, payload)] = server.take(1)
        assert (protocol, kind, payload) == (0, ord("c"), b"first")
        peer.send("e", b"later")
        assert peer.silent()
        server.reactors.answer(link, 1, b"yes")
        assert peer.frame() == ("a", b"yes")
        assert peer.frame() == ("e", b"behind")
        assert server.take(1) == [(link, 0, ord("c"), b"second")]
        assert peer.silent()
        server.reactors.answer(link, 1, b"no")
        assert [peer.frame() for _ in range(3)] == [("a", b"no"), ("e", b"last"), ("e", b"later")]
    assert server.take(1) == [(link, 0, LINK_CLOSED, b"")]


def test_an_answer_may_refuse(server) -> None:
    with server.peer() as peer:
        peer.send("c")
        server.reactors.answer(server.take(1)[0][0], 99, b"")
        assert peer.frame() == ("D", bytes([NOT_AUTHORIZED]))
        assert peer.ended()


def test_an_answer_to_a_link_that_is_gone_reaches_nobody(server) -> None:
    with server.peer() as peer:
        peer.send("c")
        [(link, *_)] = server.take(1)
        peer.reset_at_close()
    assert server.take(1)[0][2] == LINK_CLOSED
    with server.peer() as other:
        server.reactors.answer(link, 1, b"late")
        other.send("e", b"mine")
        assert other.frame() == ("e", b"mine")


def test_a_full_seam_loses_nothing_and_keeps_order() -> None:
    with serving(threads=2, pack_connections=2, seam_frames=4) as server:
        peers = [server.peer() for _ in range(4)]
        for n, peer in enumerate(peers):
            peer.sock.sendall(b"".join(frame("n", struct.pack(">II", n, i)) for i in range(200)) + frame("e", b"end"))
        frames = server.take(800)
        seen: list[list[int]] = [[], [], [], []]
        for *_, payload in frames:
            n, i = struct.unpack(">II", payload)
            seen[n].append(i)
        assert seen == [list(range(200))] * 4
        for peer in peers:
            assert peer.frame() == ("e", b"end")
            peer.sock.close()
        assert {kind for _, _, kind, _ in server.take(4)} == {LINK_CLOSED}


def test_a_full_seam_stops_the_reading_of_who_filled_it() -> None:
    with serving(threads=1, seam_frames=4) as server, server.peer() as peer, server.peer() as other:
        peer.sock.sendall(frame("n") * 100)
        time.sleep(0.05)
        peer.send("e", b"behind")
        other.send("e", b"not me")
        assert other.frame() == ("e", b"not me")
        assert peer.silent()
        server.take(100)
        assert peer.frame() == ("e", b"behind")


def test_close_link(server) -> None:
    with server.peer() as peer:
        peer.send("n")
        server.reactors.close_link(server.take(1)[0][0])
        assert peer.frame() == ("D", bytes([ADMIN_CLOSED]))
        assert peer.ended()


def test_move_to_another_reactor() -> None:
    with serving(threads=2) as server, server.peer() as peer:
        peer.sock.sendall(frame("t", struct.pack(">I", 150)) + frame("c", b"move me") + frame("e", b"behind"))
        [(link, *_)] = server.take(1)
        assert link >> 56 == 0
        server.reactors.move(link, 1, 1, b"moved")
        assert peer.frame() == ("a", b"moved")
        assert peer.frame() == ("e", b"behind")
        [(old, protocol, kind, payload)] = server.take(1)
        new = int.from_bytes(payload, "little")
        assert (old, protocol, kind, new >> 56) == (link, 0, LINK_MOVED, 1)
        server.reactors.answer(link, 1, b"to the old name")
        server.reactors.answer(new, 1, b"to the new name")
        assert peer.frame() == ("a", b"to the new name")
        assert peer.frame() == ("t", b"")
        assert [each["connections"] for each in server.reactors.counters()] == [0, 1]
        server.reactors.move(new, 1, 1, b"at home")
        assert peer.frame() == ("a", b"at home")
        peer.send("r", b"z" * 100_000)
        assert peer.frame() == ("r", b"z" * 100_000)


# --- back-pressure

def test_a_peer_that_never_reads_is_not_read(server) -> None:
    server.reactors.counters()
    with server.peer(SO_RCVBUF=8192) as peer, server.peer() as other:
        peer.sock.settimeout(0.3)
        chunk = frame("e", b"x" * 10_000) * 10
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 200 << 20:
                sent += peer.sock.send(chunk)
        assert server.total("bytes_in") < 40 << 20
        other.send("e", b"undisturbed")
        assert other.frame() == ("e", b"undisturbed")
        peer.sock.settimeout(20)
        assert peer.bytes(len(chunk)) == chunk


def test_drained_is_said_once_the_peer_reads(server) -> None:
    with server.peer() as peer:
        peer.send("b", struct.pack(">I", 3 << 20))
        time.sleep(0.05)
        peer.bytes(5 + (3 << 20))
        peer.send("d")
        assert peer.frame() == ("d", struct.pack("<I", 1))


def test_a_stalled_writer_is_closed() -> None:
    with serving(threads=1, write_timeout_ms=200) as server, server.peer(SO_RCVBUF=4096) as peer:
        peer.send("b", struct.pack(">I", 50 << 20))
        eventually(lambda: server.total("stalled") == 1)
        eventually(lambda: server.reactors.connections == 0)
        assert server.total("closed_timeout") == 1
        assert shim.why() == TIMED_OUT


def test_a_slow_reader_is_not_a_stalled_one() -> None:
    with serving(threads=1, write_timeout_ms=300) as server, server.peer(SO_RCVBUF=65536) as peer:
        peer.send("b", struct.pack(">I", 6 << 20))
        left = 5 + (6 << 20)
        while left:
            left -= len(peer.bytes(min(left, 400_000)))
            time.sleep(0.05)
        peer.send("e", b"alive")
        assert peer.frame() == ("e", b"alive")


# --- timers, durability, mail

def test_a_timer_fires_in_time(server) -> None:
    with server.peer() as peer:
        begin = time.monotonic()
        peer.send("t", struct.pack(">I", 80))
        assert peer.frame() == ("t", b"")
        assert 0.08 <= time.monotonic() - begin < 1


def test_a_timer_of_a_closed_link_is_forgotten(server) -> None:
    for _ in range(50):
        with server.peer() as peer:
            peer.sock.sendall(frame("t", struct.pack(">I", 20)) + frame("e"))
            peer.frame()
    time.sleep(0.1)
    with server.peer() as peer:
        peer.send("e")
        assert peer.frame() == ("e", b"")


def test_synced_when_durable_and_not_before(server) -> None:
    with server.peer() as peer, server.peer() as other:
        for each, position in ((peer, 1000), (other, 2000)):
            each.send("s", struct.pack(">Q", position))
            each.send("e")
            assert each.frame() == ("e", b"")
        eventually(lambda: server.durable.asked >= 1000)
        assert peer.silent()
        server.durable.set(1500)
        assert peer.frame() == ("s", struct.pack("<Q", 1500))
        assert other.silent()
        server.durable.set(2000)
        assert other.frame() == ("s", struct.pack("<Q", 2000))
        peer.send("s", struct.pack(">Q", 1700))
        assert peer.frame() == ("s", struct.pack("<Q", 2000))


def test_the_first_position_is_kept_and_a_closed_link_is_forgotten(server) -> None:
    with server.peer() as peer:
        peer.sock.sendall(frame("s", struct.pack(">Q", 10)) + frame("s", struct.pack(">Q", 1 << 40)) + frame("e"))
        peer.frame()
        with server.peer() as other:
            other.sock.sendall(frame("s", struct.pack(">Q", 10)) + frame("e"))
            other.frame()
        eventually(lambda: server.reactors.connections == 1)
        server.durable.set(10)
        assert peer.frame() == ("s", struct.pack("<Q", 10))


def test_a_failed_journal_closes_who_waits_for_it(server) -> None:
    with server.peer() as peer, server.peer() as other:
        peer.sock.sendall(frame("s", struct.pack(">Q", 1000)) + frame("e"))
        assert peer.frame() == ("e", b"")
        server.durable.set(1)
        eventually(lambda: shim.why() == STORE_FAILED)
        other.send("e")
        assert other.frame() == ("e", b"")


def test_mail_crosses_reactors() -> None:
    with serving(threads=2, pack_connections=1) as server:
        peers = [server.peer() for _ in range(6)]
        for _ in range(200):
            for n, peer in enumerate(peers):
                peer.send("x", struct.pack(">I", n % 2))
        for peer in peers:
            for _ in range(200):
                assert peer.frame()[0] == "x"
            peer.sock.close()


def test_mail_for_a_link_that_dies_meanwhile() -> None:
    with serving(threads=2, pack_connections=1) as server:
        for _ in range(300):
            with server.peer() as peer:
                peer.sock.sendall(frame("x", struct.pack(">I", 1)) * 5)
        eventually(lambda: server.reactors.connections == 0)
