"""Flushing, marks, and the steps of closing."""
from libc.errno cimport EAGAIN, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free
from robustmq._fastpath.atomic cimport fetch_add_u64
from robustmq._fastpath.block cimport block_data, ref_release
from robustmq._fastpath.link cimport LINK_CLOSED
from robustmq._fastpath.out cimport out_clear, out_flush, out_unpin
from robustmq._fastpath.reactor.core cimport (
    CLOSING, DEAD, DRAINING, GONE, IN_READY, OPENED, OVER_HIGH, PAUSED, READABLE, TOLD_CONTROL, TOUCHED, UNPARSED,
    WANTS_CLOSE, WRITABLE, Connection, ConnectionTimer, Counters, Reactor, connection_end, connection_ready, connection_touch, count,
)
from robustmq._fastpath.reactor.input cimport input_block
from robustmq._fastpath.reactor.links cimport links_remove, links_retire
from robustmq._fastpath.reactor.seam cimport seam_push
from robustmq._fastpath.reactor.sync cimport sync_forget
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.wheel cimport Timer, timer_armed, wheel_arm, wheel_disarm


cdef extern from "net.h" nogil:
    long long net_read(int fd, void* to, size_t n)
    void net_end_output(int fd)

cdef extern from "poller.h" nogil:
    int poller_remove(int poller, int fd)

cdef extern from "<unistd.h>" nogil:
    int close(int fd)


cdef enum:
    DRAIN_ROOM = 64 << 10
    DRAIN_MOST = 1 << 20
    TURN_MOST = 2 << 20         # output of a turn, shared by those who have some: so long the others wait
    SHARE_LEAST = 128 << 10

cdef int64_t DRAIN_NS = 1000000000


cdef void output_flush_touched(Reactor* reactor) noexcept nogil:
    cdef Connection* connection = reactor.touched
    cdef Connection* next
    cdef uint64_t share = max(<uint64_t>TURN_MOST // max(reactor.touched_count, <uint64_t>1), <uint64_t>SHARE_LEAST)
    reactor.touched = NULL
    reactor.touched_count = 0
    while connection != NULL:
        next = connection.next_touched
        connection.flags &= ~TOUCHED
        flush(connection, share)
        connection = next


cdef void flush(Connection* connection, uint64_t share) noexcept nogil:
    cdef Reactor* reactor = connection.reactor
    if connection.flags & DEAD:
        return
    if connection.flags & WANTS_CLOSE:
        begin_close(connection)
    if connection.link.out.bytes >= reactor.shared.high_water:
        connection.flags |= OVER_HIGH
    if connection.link.out.bytes and connection.flags & WRITABLE and not connection.flags & GONE:
        send(connection, share)
    if connection.flags & GONE and not connection.flags & CLOSING:
        connection.why = Status.PEER_CLOSED
        begin_close(connection)
    if not connection.flags & CLOSING:
        if connection.link.out.bytes <= reactor.shared.low_water:
            drained(connection)
    elif connection.flags & GONE:
        bury(connection)
    elif connection.link.out.bytes == 0 and (reactor.stopping or not connection.flags & DRAINING):
        end_output(connection)


cdef void send(Connection* connection, uint64_t share) noexcept nogil:
    cdef Reactor* reactor = connection.reactor
    cdef uint64_t calls = 0
    cdef long long sent = out_flush(&connection.link.out, connection.fd, share, &calls)
    count(&reactor.counters.writes, calls)
    if sent < 0:
        connection.flags |= GONE
        return
    count(&reactor.counters.bytes_out, <uint64_t>sent)
    if sent:
        connection.progress_ns = reactor.now_ns
    if connection.link.out.bytes == 0:
        return
    if <uint64_t>sent >= share:
        connection_touch(connection)        # more in the next turn
        return
    connection.flags &= ~WRITABLE           # the next room in the socket is an edge
    if not timer_armed(&connection.write_timer.timer):
        connection.progress_ns = reactor.now_ns
        wheel_arm(&reactor.wheel, &connection.write_timer.timer, reactor.now_ns + reactor.shared.write_timeout_ns)


cdef void output_unpin(Reactor* reactor) noexcept nogil:
    cdef Connection* connection
    cdef uint32_t slot
    for slot in range(reactor.links.used):
        connection = reactor.links.slots[slot].connection
        if connection != NULL and not out_unpin(&connection.link.out, reactor.shared.high_water):
            count(&reactor.counters.stalled, 1)
            connection.flags |= GONE
            connection_end(connection, Status.TIMED_OUT)


cdef void drained(Connection* connection) noexcept nogil:
    if connection.flags & PAUSED:
        connection.flags &= ~PAUSED
        connection_ready(connection)
    if connection.flags & OVER_HIGH:
        connection.flags &= ~OVER_HIGH
        if connection.link.protocol.on_drained != NULL:
            connection.link.protocol.on_drained(&connection.link, connection.reactor.now_ns)


cdef uint64_t* close_counter(Counters* counters, Status why) noexcept nogil:
    if why == Status.PEER_CLOSED:
        return &counters.closed_by_peer
    if why == Status.TIMED_OUT:
        return &counters.closed_timeout
    if why == Status.TAKEN_OVER or why == Status.SHUTTING_DOWN or why == Status.ADMIN_CLOSED:
        return &counters.closed_admin
    return &counters.closed_protocol if why < Status.STORE_FULL else &counters.closed_internal


# Tell the protocol, the control plane and the tables; from here on only output is left.
cdef void begin_close(Connection* connection) noexcept nogil:
    cdef Reactor* reactor = connection.reactor
    connection.flags = connection.flags & ~<uint32_t>(WANTS_CLOSE | UNPARSED | PAUSED) | CLOSING
    count(close_counter(&reactor.counters, connection.why), 1)
    wheel_disarm(&reactor.wheel, &connection.timer.timer)
    sync_forget(connection)
    if connection.flags & OPENED and connection.link.protocol.on_close != NULL:
        connection.link.protocol.on_close(&connection.link, connection.why, reactor.now_ns)
        wheel_disarm(&reactor.wheel, &connection.timer.timer)
    if connection.flags & TOLD_CONTROL:
        seam_push(connection, LINK_CLOSED, NULL, NULL, 0)
    links_retire(&reactor.links, connection)
    if connection.rest != NULL:
        ref_release(&connection.rest.ref)
        connection.rest = NULL
    wheel_arm(&reactor.wheel, &connection.write_timer.timer, reactor.now_ns + reactor.shared.write_timeout_ns)


# All is sent. A peer that ended first needs no farewell.
cdef void end_output(Connection* connection) noexcept nogil:
    cdef Reactor* reactor = connection.reactor
    if connection.why == Status.PEER_CLOSED or reactor.stopping:
        bury(connection)
        return
    net_end_output(connection.fd)
    connection.flags |= DRAINING
    wheel_arm(&reactor.wheel, &connection.write_timer.timer, reactor.now_ns + DRAIN_NS)
    output_drain(connection)


cdef void output_drain(Connection* connection) noexcept nogil:
    cdef Reactor* reactor = connection.reactor
    cdef long long got
    if not input_block(reactor, DRAIN_ROOM):
        bury(connection)
        return
    while connection.flags & READABLE:
        got = net_read(connection.fd, block_data(reactor.block) + reactor.block.len, DRAIN_ROOM)
        count(&reactor.counters.reads, 1)
        if got < 0 and errno == EAGAIN:
            connection.flags &= ~READABLE
            return
        connection.discarded += <uint32_t>got
        if got <= 0 or connection.discarded > DRAIN_MOST:
            bury(connection)
            return


cdef void output_timer(Timer* timer, int64_t now_ns) noexcept nogil:
    cdef Connection* connection = (<ConnectionTimer*>timer).owner
    cdef Reactor* reactor = connection.reactor
    cdef int64_t stalled_at_ns = connection.progress_ns + reactor.shared.write_timeout_ns
    if connection.flags & CLOSING:
        if not connection.flags & DRAINING:
            count(&reactor.counters.stalled, 1)
        bury(connection)
    elif connection.link.out.bytes == 0:
        return
    elif now_ns < stalled_at_ns:
        wheel_arm(&reactor.wheel, timer, stalled_at_ns)
    else:
        count(&reactor.counters.stalled, 1)
        connection.flags |= GONE
        connection_end(connection, Status.TIMED_OUT)


# Give back the socket and the output; the structure itself waits for output_bury.
cdef void bury(Connection* connection) noexcept nogil:
    cdef Reactor* reactor = connection.reactor
    wheel_disarm(&reactor.wheel, &connection.write_timer.timer)
    links_remove(&reactor.links, connection)
    poller_remove(reactor.poller, connection.fd)
    close(connection.fd)
    connection.fd = -1
    out_clear(&connection.link.out)
    connection.flags = connection.flags & (IN_READY | TOUCHED) | DEAD
    connection.next_dead = reactor.dead
    reactor.dead = connection
    fetch_add_u64(&reactor.connections, <uint64_t>-1)
    fetch_add_u64(&reactor.shared.connections, <uint64_t>-1)


cdef void output_bury(Reactor* reactor) noexcept nogil:
    cdef Connection* connection = reactor.dead
    cdef Connection* next
    reactor.dead = NULL
    while connection != NULL:
        next = connection.next_dead
        if connection.flags & (IN_READY | TOUCHED):
            connection.next_dead = reactor.dead
            reactor.dead = connection
        else:
            free(connection)
        connection = next
