"""Reactors: listen, start, the control plane's end of the seam, stop."""
import os
import socket
import threading

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memset
from robustmq._fastpath.atomic cimport fetch_add_u64, load_relaxed_u64
from robustmq._fastpath.block cimport ref_release
from robustmq._fastpath.link cimport Link, ProtocolHandle
from robustmq._fastpath.mailbox cimport Mail, Mailbox
from robustmq._fastpath.platform cimport thread_name
from robustmq._fastpath.reactor.commands cimport (
    command_adopt, command_answer, command_close, command_move, command_stop,
)
from robustmq._fastpath.reactor.core cimport (
    CLOSING, LISTENERS_MOST, PROTOCOLS_MOST, REACTORS_MOST, TURN_BUCKETS, WANTS_CLOSE, Brake, Connection, Counters, Listener,
    Reactor, SeamItem,
)
from robustmq._fastpath.reactor.links cimport links_find
from robustmq._fastpath.reactor.listener cimport placement_take
from robustmq._fastpath.reactor.loop cimport reactor_free, reactor_new, reactor_run
from robustmq._fastpath.reactor.seam cimport seam_sleep, seam_take, seam_taken
from robustmq._fastpath.status cimport Status


cdef extern from "bell.h" nogil:
    int bell_open(int* wait_fd, int* ring_fd)
    void bell_close(int wait_fd, int ring_fd)

cdef enum:
    BACKLOG = 4096

cdef Counters no_counters
memset(&no_counters, 0, sizeof(Counters))
cdef list COUNTER_NAMES = list((<object>no_counters).keys())


cdef class Reactors:
    """`threads` reactors (0: one per core, at most 8). Sizes in bytes, times in the unit of their name."""

    def __cinit__(self, *, uint32_t threads=0, uint64_t spin_us=0, uint64_t high_water_bytes=1 << 20,
                  uint64_t write_timeout_ms=60_000, uint64_t max_connections=1_000_000, uint64_t pack_connections=64,
                  uint64_t seam_frames=1024):
        cdef uint32_t i
        cdef uint32_t wanted = threads or min(os.cpu_count() or 1, 8)
        self.shared.seam_fd = -1
        self.shared.seam_ring_fd = -1
        if wanted > REACTORS_MOST:
            raise ValueError(f"reactor.threads = {wanted}: at most {REACTORS_MOST}")
        if seam_frames & (seam_frames - 1) or not seam_frames:
            raise ValueError(f"seam_frames = {seam_frames}: must be a power of two")
        self.handles = []
        self.threads = []
        self.shared.spin_ns = <int64_t>spin_us * 1000
        self.shared.high_water = high_water_bytes
        self.shared.low_water = high_water_bytes // 4
        self.shared.write_timeout_ns = <int64_t>write_timeout_ms * 1000000
        self.shared.max_connections = max_connections
        self.shared.pack_connections = pack_connections
        self.shared.control_asleep = 1
        if bell_open(&self.shared.seam_fd, &self.shared.seam_ring_fd) < 0:
            raise OSError("no descriptor for the control plane's bell; raise the limit (ulimit -n)")
        for i in range(wanted):
            self.shared.reactors[i] = reactor_new(&self.shared, i, seam_frames)
            if self.shared.reactors[i] == NULL:
                raise OSError(f"no descriptors or memory for reactor {i} of {wanted}; raise the limit (ulimit -n)")
            self.shared.count = i + 1

    def __dealloc__(self):
        cdef uint32_t i
        for i in range(self.shared.count):
            reactor_free(self.shared.reactors[i])
        bell_close(self.shared.seam_fd, self.shared.seam_ring_fd)

    @property
    def count(self) -> int:
        """Number of reactors."""
        return self.shared.count

    @property
    def connections(self) -> int:
        """Connections now."""
        return load_relaxed_u64(&self.shared.connections)

    def register(self, ProtocolHandle handle not None) -> int:
        """The protocol's index, as `take` reports it; the same for the same handle. Before `start`."""
        if handle in self.handles:
            return self.handles.index(handle)
        if self.started or len(self.handles) == PROTOCOLS_MOST:
            raise RuntimeError(f"protocols are registered before start, at most {PROTOCOLS_MOST}")
        if handle.table == NULL:
            raise ValueError(f"{type(handle).__name__} has no protocol table")
        self.shared.protocols[len(self.handles)] = handle.table
        self.handles.append(handle)
        self.shared.protocol_count = <uint32_t>len(self.handles)
        return self.shared.protocol_count - 1

    def listen(self, ProtocolHandle handle not None, str host, int port) -> int:
        """Listen with a socket per reactor; returns the bound port (`port` 0: the kernel picks). OSError when taken."""
        cdef uint32_t i
        cdef Listener* listener
        protocol = self.register(handle)
        if self.started or self.listener_count == LISTENERS_MOST:
            raise RuntimeError(f"listeners are made before start, at most {LISTENERS_MOST}")
        sockets = _bind(host, port, self.shared.count)
        bound = sockets[0].getsockname()[1]
        for i in range(self.shared.count):
            listener = &self.shared.reactors[i].listeners[self.listener_count]
            listener.reactor = self.shared.reactors[i]
            listener.fd = sockets[i].detach()
            listener.index = self.listener_count
            listener.protocol = protocol
            self.shared.reactors[i].listener_count = self.listener_count + 1
        self.listener_count += 1
        return bound

    def start(self) -> None:
        """Start the threads. Each stays in its loop, without the GIL, until `stop`."""
        if self.started:
            raise RuntimeError("the reactors were started before")
        self.started = True
        for i in range(self.shared.count):
            thread = threading.Thread(target=self._run, args=(i,), name=f"reactor-{i}", daemon=True)
            self.threads.append(thread)
            thread.start()

    def _run(self, uint32_t index):
        cdef bint ran
        cdef Reactor* reactor = self.shared.reactors[index]
        cdef bytes name = b"reactor-%d" % index
        thread_name(name)
        with nogil:
            ran = reactor_run(reactor)
        if not ran:
            raise RuntimeError(f"reactor {index}: all 64 reader slots are taken; lower reactor.threads")

    def stop(self, double timeout_s=3.0) -> None:
        """Stop accepting, close every link with SHUTTING_DOWN, send what is queued within `timeout_s`, join."""
        cdef uint32_t i
        if self.stopped:
            return
        self.stopped = True
        if not self.started:
            for i in range(self.shared.count):
                for n in range(self.listener_count):
                    os.close(self.shared.reactors[i].listeners[n].fd)
            return
        for i in range(self.shared.count):
            if not command_stop(&self.shared, i, <int64_t>(timeout_s * 1e9)):
                raise MemoryError
        for thread in self.threads:
            thread.join()

    def fileno(self) -> int:
        """Readable when `take` has something."""
        return self.shared.seam_fd

    def take(self, uint32_t most=1024) -> list:
        """Frames for the control plane: (link id, protocol index, kind, payload); fewer than `most`: there are no more.

        One thread only. Kinds are the protocol's own, but for LINK_CLOSED (0) and LINK_MOVED (0xFFFFFFFF, payload: the
        new id, 8 bytes little-endian).
        """
        cdef uint32_t turn, before
        cdef Reactor* reactor
        cdef SeamItem item
        frames = []
        for turn in range(self.shared.count):
            reactor = self.shared.reactors[(self.first_taken + turn) % self.shared.count]
            before = <uint32_t>len(frames)
            while <uint32_t>len(frames) < most and seam_take(reactor, &item):
                payload = PyBytes_FromStringAndSize(<const char*>item.data, <Py_ssize_t>item.n) if item.n else b""
                frames.append((item.link_id, item.protocol, item.kind, payload))
                if item.block != NULL:
                    ref_release(&item.block.ref)
            if <uint32_t>len(frames) > before:
                seam_taken(reactor)
        self.first_taken += 1
        if <uint32_t>len(frames) < most:
            seam_sleep(&self.shared)
        return frames

    def answer(self, uint64_t link_id, uint32_t kind, bytes payload, uintptr_t obj_ptr=0) -> None:
        """Run the protocol's on_answer on the link's reactor; dropped when the link is gone."""
        if not command_answer(&self.shared, link_id, kind, <const uint8_t*>payload, len(payload), <void*>obj_ptr):
            raise MemoryError

    def move(self, uint64_t link_id, uint32_t reactor, uint32_t kind, bytes payload, uintptr_t obj_ptr=0) -> None:
        """Move the link to `reactor`, then answer it there. `take` brings LINK_MOVED with the new id, unless it was
        there already."""
        if reactor >= self.shared.count:
            raise ValueError(f"reactor {reactor}: there are {self.shared.count}")
        if not command_move(&self.shared, link_id, reactor, kind, <const uint8_t*>payload, len(payload),
                            <void*>obj_ptr):
            raise MemoryError

    def close_link(self, uint64_t link_id, uint32_t why=<uint32_t>Status.ADMIN_CLOSED) -> None:
        """Close a link with a Status; nothing when it is gone."""
        if not command_close(&self.shared, link_id, <Status>why):
            raise MemoryError

    def adopt(self, int fd, ProtocolHandle handle not None) -> None:
        """Serve a connected stream socket (a gateway's end of a socketpair) with `handle`. Takes `fd` over."""
        cdef uint32_t protocol = self.handles.index(handle)
        cdef int target
        os.set_blocking(fd, False)
        target = placement_take(&self.shared)
        if target < 0:
            os.close(fd)
            raise ConnectionRefusedError(f"reactor.max_connections = {self.shared.max_connections} is reached")
        if not command_adopt(&self.shared, <uint32_t>target, fd, protocol, <uint32_t>-1):
            raise MemoryError

    def counters(self) -> list:
        """One dict per reactor, in order; names and meaning in core.pxd (Counters), `connections` now, and its turns as a
        histogram."""
        cdef uint32_t i, n
        cdef uint64_t* values
        result = []
        for i in range(self.shared.count):
            values = <uint64_t*>&self.shared.reactors[i].counters
            each = {name: load_relaxed_u64(values + n) for n, name in enumerate(COUNTER_NAMES)}
            each["connections"] = load_relaxed_u64(&self.shared.reactors[i].connections)
            each["turn_buckets"] = [load_relaxed_u64(&self.shared.reactors[i].turn_buckets[n])
                                    for n in range(TURN_BUCKETS)]
            each["turn_ns"] = each["busy_ns"]
            result.append(each)
        return result


def _bind(host, port, count):
    """`count` listening sockets on one address. A probe without SO_REUSEPORT finds out whether somebody else has it."""
    family, _, _, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM,
                                                  flags=socket.AI_PASSIVE)[0]
    sockets = []
    if port and count > 1:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    try:
        for _ in range(count):
            sock = socket.socket(family)
            sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if count > 1:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(address)
            address = sock.getsockname()
        for sock in sockets:
            sock.listen(BACKLOG)
            sock.setblocking(False)
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


cdef void reactors_await_from(Reactors reactors, uint64_t (*durable)(void* source) noexcept nogil,
                              void (*want)(void* source, uint64_t position, Mailbox* box, Mail* mail) noexcept nogil,
                              void* source):
    reactors.shared.durability.durable = durable
    reactors.shared.durability.want = want
    reactors.shared.durability.source = source


cdef void reactors_brake_by(Reactors reactors, Brake brake):
    reactors.shared.brake = brake


cdef Link* reactor_link(void* receiver, uint64_t link_id) noexcept nogil:
    cdef Connection* connection = links_find(&(<Reactor*>receiver).links, link_id)
    if connection == NULL or connection.flags & (WANTS_CLOSE | CLOSING):
        return NULL
    return &connection.link
