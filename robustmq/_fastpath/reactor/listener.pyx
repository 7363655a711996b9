"""Listeners and placement."""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from robustmq._fastpath.atomic cimport fetch_add_u64, load_relaxed_u64
from robustmq._fastpath.reactor.commands cimport command_adopt
from robustmq._fastpath.reactor.connection cimport connection_open
from robustmq._fastpath.reactor.core cimport Listener, Reactor, Shared, count
from robustmq._fastpath.wheel cimport Timer, timer_init, wheel_arm


cdef extern from "net.h" nogil:
    int net_accept(int listener)
    void net_no_delay(int fd)

cdef extern from "poller.h" nogil:
    enum:
        WATCH_LEVEL_READ
    int poller_add(int poller, int fd, uint64_t tag, int watch)
    int poller_remove(int poller, int fd)

cdef extern from "<errno.h>" nogil:
    int errno
    int EAGAIN, EMFILE, ENFILE, ENOBUFS, ENOMEM

cdef extern from "<unistd.h>" nogil:
    int close(int fd)


cdef enum:
    ACCEPT_MOST = 64
    TAG_LISTENER = 1

cdef int64_t PAUSE_NS = 100000000


cdef void watch(Listener* listener) noexcept nogil:
    if poller_add(listener.reactor.poller, listener.fd, <uint64_t>listener | TAG_LISTENER, WATCH_LEVEL_READ) < 0:
        wheel_arm(&listener.reactor.wheel, &listener.retry, listener.reactor.now_ns + PAUSE_NS)


cdef void retry(Timer* timer, int64_t now_ns) noexcept nogil:
    cdef Listener* listener = <Listener*>timer
    if listener.fd >= 0:
        watch(listener)


cdef void listener_start(Listener* listener) noexcept nogil:
    timer_init(&listener.retry, retry)
    watch(listener)


cdef void pause(Listener* listener) noexcept nogil:
    poller_remove(listener.reactor.poller, listener.fd)
    wheel_arm(&listener.reactor.wheel, &listener.retry, listener.reactor.now_ns + PAUSE_NS)
    count(&listener.reactor.counters.accept_pauses, 1)


cdef int placement_take(Shared* shared) noexcept nogil:
    cdef uint32_t i, best = 0
    cdef uint64_t n, fewest = <uint64_t>-1
    if fetch_add_u64(&shared.connections, 1) >= shared.max_connections:
        fetch_add_u64(&shared.connections, <uint64_t>-1)
        return -1
    for i in range(shared.count):
        n = load_relaxed_u64(&shared.reactors[i].connections)
        if n < shared.pack_connections:
            best = i
            break
        if n < fewest:
            fewest = n
            best = i
    fetch_add_u64(&shared.reactors[best].connections, 1)
    return <int>best


cdef void place(Listener* listener, int fd) noexcept nogil:
    cdef Reactor* reactor = listener.reactor
    cdef Shared* shared = reactor.shared
    cdef int target = placement_take(shared)
    if target < 0:
        count(&reactor.counters.refused, 1)
        close(fd)
        return
    count(&reactor.counters.accepts, 1)
    net_no_delay(fd)
    if <uint32_t>target == reactor.index:
        connection_open(reactor, fd, listener.protocol, listener.index)
    elif not command_adopt(shared, <uint32_t>target, fd, listener.protocol, listener.index):
        fetch_add_u64(&shared.reactors[target].connections, <uint64_t>-1)
        fetch_add_u64(&shared.connections, <uint64_t>-1)
        close(fd)


cdef void listener_accept(Listener* listener) noexcept nogil:
    cdef int i, fd
    for i in range(ACCEPT_MOST):
        if listener.fd < 0:
            return
        fd = net_accept(listener.fd)
        if fd >= 0:
            place(listener, fd)
        elif errno == EMFILE or errno == ENFILE or errno == ENOBUFS or errno == ENOMEM:
            pause(listener)
            return
        elif errno == EAGAIN:
            return
        # else: this one was aborted by its peer; the next may be fine
