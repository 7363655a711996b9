"""Reactors in trouble: many peers, dying peers, too many peers, start and stop."""
import os
import resource
import socket
import struct
import threading
import time

import pytest
from robustmq._fastpath.reactor.reactors import Reactors

from tests.shims import echo as shim
from tests.unit.reactor_kit import (
    LINK_CLOSED,
    PEER_CLOSED,
    SHUTTING_DOWN,
    Server,
    eventually,
    frame,
    serving,
)

# --- many, dying, too many

def test_killed_peers_leave_nothing_behind(server) -> None:
    opened, closed = shim.totals()
    for turn in range(300):
        with server.peer() as peer:
            peer.sock.sendall(frame("e", b"x" * 1000) + frame("c") * (turn % 2) + frame("e", b"half")[:-1])
            if turn % 3 == 0:
                peer.reset_at_close()
    while shim.totals()[0] - opened < 300 or server.reactors.connections:
        for link, _, kind, _ in server.reactors.take():
            if kind != LINK_CLOSED:
                server.reactors.answer(link, 1, b"")
        time.sleep(0.005)
    now_opened, now_closed = shim.totals()
    assert now_opened - opened == now_closed - closed == 300
    assert server.total("closed_by_peer") == 300


def test_a_parked_peer_that_resets_is_closed(server) -> None:
    with server.peer() as peer:
        peer.send("c")
        server.take(1)
        peer.reset_at_close()
    eventually(lambda: server.reactors.connections == 0)


def test_a_half_closed_peer_gets_what_it_asked_for(server) -> None:
    with server.peer() as peer:
        sent = frame("r", b"x" * 500_000)
        threading.Thread(target=lambda: (peer.sock.sendall(sent), peer.sock.shutdown(socket.SHUT_WR))).start()
        assert peer.bytes(len(sent)) == sent
        assert peer.frame() == ("D", bytes([PEER_CLOSED]))
        assert peer.ended()


def test_two_thousand_half_open_frames(server) -> None:
    begin = frame("e", b"x" * 100)[:50]
    peers = [server.peer() for _ in range(2000)]
    for peer in peers:
        peer.sock.sendall(begin)
    with server.peer() as other:
        other.send("e", b"undisturbed")
        assert other.frame() == ("e", b"undisturbed")
    eventually(lambda: server.total("bytes_in") >= 2000 * 50)
    assert server.reactors.connections >= 2000
    for peer in peers:
        peer.sock.close()
    eventually(lambda: server.reactors.connections == 0)


def test_max_connections() -> None:
    with serving(threads=2, max_connections=3) as server:
        peers = [server.peer() for _ in range(3)]
        for peer in peers:
            peer.send("e")
            peer.frame()
        with server.peer() as refused:
            assert refused.ended()
        assert server.total("refused") == 1
        peers.pop().sock.close()
        eventually(lambda: server.reactors.connections == 2)
        with server.peer() as welcome:
            welcome.send("e")
            assert welcome.frame() == ("e", b"")
        for peer in peers:
            peer.sock.close()


def test_placement_packs_then_spreads() -> None:
    with serving(threads=2, pack_connections=3) as server:
        peers = [server.peer() for _ in range(10)]
        eventually(lambda: server.reactors.connections == 10)
        assert [each["connections"] for each in server.reactors.counters()] == [5, 5]
        for peer in peers[:2]:
            peer.sock.close()
        for peer in peers[2:]:
            peer.sock.close()


def test_out_of_descriptors_pauses_accepting() -> None:
    with serving(threads=1) as server, server.peer() as first:
        first.send("e")
        first.frame()
        peers = [socket.socket() for _ in range(3)]
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        last = os.dup(0)                # the lowest free number: with it taken, all below the limit are
        resource.setrlimit(resource.RLIMIT_NOFILE, (last + 1, hard))
        try:
            for peer in peers:
                peer.settimeout(10)
                peer.connect(("127.0.0.1", server.port))
            eventually(lambda: server.total("accept_pauses") >= 2)
            loops = server.total("loops")
            time.sleep(0.5)
            assert server.total("loops") - loops < 30
            first.send("e", b"still served")
            assert first.frame() == ("e", b"still served")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            os.close(last)
        for peer in peers:
            peer.sendall(frame("e", b"late"))
            assert peer.recv(100) == frame("e", b"late")
            peer.close()


# --- life

def test_an_idle_reactor_sleeps(server) -> None:
    with server.peer() as peer:
        peer.sock.sendall(frame("t", struct.pack(">I", 60_000)) + frame("e"))
        peer.frame()
        time.sleep(0.1)
        loops = server.total("loops")
        time.sleep(0.5)
        assert server.total("loops") - loops <= 2


def test_stop_says_goodbye_and_sends_what_is_queued() -> None:
    with serving(threads=2, pack_connections=1) as server:
        peers = [server.peer() for _ in range(4)]
        for peer in peers:
            peer.send("b", struct.pack(">I", 2 << 20))
        time.sleep(0.1)
        stopper = threading.Thread(target=server.reactors.stop, args=(5.0,))
        stopper.start()
        for peer in peers:
            peer.bytes(5 + (2 << 20))
            assert peer.frame() == ("D", bytes([SHUTTING_DOWN]))
            assert peer.ended()
        stopper.join(2)
        assert not stopper.is_alive()
        with pytest.raises(ConnectionRefusedError):
            server.peer()


def test_stop_does_not_wait_for_a_peer_that_does_not_read() -> None:
    server = Server(threads=1)
    before = shim.totals()[1]
    with server.peer() as peer:
        peer.send("b", struct.pack(">I", 50 << 20))
        eventually(lambda: server.total("writes") > 0)
        begin = time.monotonic()
        server.reactors.stop(0.3)
        assert 0.25 < time.monotonic() - begin < 2
    assert shim.totals()[1] - before == 1


def test_adopt_serves_one_end_of_a_socketpair(server) -> None:
    ours, theirs = socket.socketpair()
    server.reactors.adopt(theirs.detach(), server.handle)
    with ours:
        ours.sendall(frame("e", b"through a gateway"))
        assert ours.recv(1000) == frame("e", b"through a gateway")


def test_spinning_serves_as_well() -> None:
    with serving(threads=1, spin_us=200) as server, server.peer() as peer:
        for i in range(200):
            peer.send("e", b"%d" % i)
            assert peer.frame() == ("e", b"%d" % i)


def test_a_taken_port_is_an_error() -> None:
    with serving(threads=2) as server:
        other = Reactors(threads=2)
        with pytest.raises(OSError, match="in use"):
            other.listen(shim.Echo(), "127.0.0.1", server.port)


def test_reactors_that_never_start_may_stop() -> None:
    reactors = Reactors(threads=2)
    reactors.listen(shim.Echo(), "127.0.0.1", 0)
    reactors.stop()
