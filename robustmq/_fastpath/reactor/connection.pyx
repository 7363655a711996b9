"""Open, event, move; the Host table."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from robustmq._fastpath.atomic cimport fetch_add_u64
from robustmq._fastpath.block cimport Block, ref_release
from robustmq._fastpath.link cimport Host, Link
from robustmq._fastpath.mailbox cimport Mailbox
from robustmq._fastpath.out cimport out_clear, out_init
from robustmq._fastpath.reactor.core cimport (
    CLOSING, DEAD, DRAINING, ENDED, GONE, IN_READY, OPENED, READABLE, SEAM_WAITS, TIMER_LATE, TOUCHED, WAITS_ROOM, WRITABLE,
    Connection, ConnectionTimer, Reactor, brake_pressed, connection_end, connection_ready, connection_touch,
)
from robustmq._fastpath.reactor.input cimport input_progress
from robustmq._fastpath.reactor.links cimport links_add, links_remove, links_retire
from robustmq._fastpath.reactor.output cimport output_drain, output_timer
from robustmq._fastpath.reactor.seam cimport seam_push
from robustmq._fastpath.reactor.sync cimport sync_await, sync_forget
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.wheel cimport Timer, timer_armed, timer_init, wheel_arm, wheel_disarm


cdef extern from "poller.h" nogil:
    enum:
        READY_READ
        READY_WRITE
        READY_END
        READY_ERROR
        WATCH_EDGES
    int poller_add(int poller, int fd, uint64_t tag, int watch)
    int poller_remove(int poller, int fd)

cdef extern from "<unistd.h>" nogil:
    int close(int fd)

cdef int64_t NS_PER_TICK = 1000000


cdef void host_set_timer(Link* link, int64_t deadline_ns) noexcept nogil:
    cdef Connection* connection = <Connection*>link
    if deadline_ns and not connection.flags & CLOSING:
        wheel_arm(&connection.reactor.wheel, &connection.timer.timer, deadline_ns)
    else:
        wheel_disarm(&connection.reactor.wheel, &connection.timer.timer)


cdef void host_to_control(Link* link, uint32_t kind, Block* block, const uint8_t* data, uint64_t n) noexcept nogil:
    cdef Connection* connection = <Connection*>link
    if not seam_push(connection, kind, block, data, n):
        connection_end(connection, Status.NO_MEMORY)


cdef void host_unpark(Link* link) noexcept nogil:
    link.parked = 0
    connection_ready(<Connection*>link)


cdef void host_close(Link* link, Status why) noexcept nogil:
    connection_end(<Connection*>link, why)


cdef void host_touch(Link* link) noexcept nogil:
    connection_touch(<Connection*>link)


cdef void host_await_sync(Link* link, uint64_t position) noexcept nogil:
    sync_await(<Connection*>link, position)


cdef void host_await_room(Link* link) noexcept nogil:
    cdef Connection* connection = <Connection*>link
    if not connection.flags & (CLOSING | DEAD):
        connection.flags |= WAITS_ROOM
        connection_ready(connection)


cdef Mailbox* host_mailbox(Link* link) noexcept nogil:
    return &(<Connection*>link).reactor.mailbox


cdef Host HOST
HOST.set_timer = host_set_timer
HOST.to_control = host_to_control
HOST.unpark = host_unpark
HOST.close = host_close
HOST.touch = host_touch
HOST.await_sync = host_await_sync
HOST.await_room = host_await_room
HOST.mailbox = host_mailbox


cdef void link_timer(Timer* timer, int64_t now_ns) noexcept nogil:
    cdef Connection* connection = (<ConnectionTimer*>timer).owner
    if connection.link.protocol.on_timer == NULL:
        return
    if connection.flags & IN_READY and brake_pressed(&connection.reactor.shared.brake):
        connection.flags |= TIMER_LATE              # silence that is not the peer's
    else:
        connection.link.protocol.on_timer(&connection.link, now_ns)
    connection_touch(connection)


# The placement's count of a connection that never came to be.
cdef void uncount(Reactor* reactor) noexcept nogil:
    fetch_add_u64(&reactor.connections, <uint64_t>-1)
    fetch_add_u64(&reactor.shared.connections, <uint64_t>-1)


cdef void connection_open(Reactor* reactor, int fd, uint32_t protocol, uint32_t listener) noexcept nogil:
    cdef Connection* connection = NULL
    cdef Status status
    if not reactor.stopping:
        connection = <Connection*>calloc(1, sizeof(Connection))
    if connection == NULL:
        close(fd)
        uncount(reactor)
        return
    connection.fd = fd
    connection.protocol = protocol
    connection.link.protocol = reactor.shared.protocols[protocol]
    connection.link.host = &HOST
    connection.link.listener = listener
    out_init(&connection.link.out)
    timer_init(&connection.timer.timer, link_timer)
    timer_init(&connection.write_timer.timer, output_timer)
    connection.timer.owner = connection
    connection.write_timer.owner = connection
    if not connection_attach(connection, reactor):
        return
    status = connection.link.protocol.open(&connection.link, reactor.now_ns)
    if status == Status.OK:
        connection.flags |= OPENED
        connection_touch(connection)
    else:
        connection_end(connection, status)


cdef bint connection_attach(Connection* connection, Reactor* reactor) noexcept nogil:
    connection.reactor = reactor
    connection.link.host_data = reactor
    connection.flags |= WRITABLE
    if not links_add(&reactor.links, reactor.index, connection):
        discard(connection)
        return False
    if poller_add(reactor.poller, connection.fd, <uint64_t>connection, WATCH_EDGES) < 0:
        links_retire(&reactor.links, connection)
        links_remove(&reactor.links, connection)
        discard(connection)
        return False
    return True


# A connection that could not be attached: it is on no list and in no table.
cdef void discard(Connection* connection) noexcept nogil:
    cdef Reactor* reactor = connection.reactor
    if connection.flags & OPENED:
        connection.flags |= CLOSING
        connection.link.protocol.on_close(&connection.link, Status.NO_MEMORY, reactor.now_ns)
        wheel_disarm(&reactor.wheel, &connection.timer.timer)
    if connection.rest != NULL:
        ref_release(&connection.rest.ref)
    out_clear(&connection.link.out)
    close(connection.fd)
    uncount(reactor)
    free(connection)


cdef void connection_event(Connection* connection, uint32_t ready) noexcept nogil:
    if connection.flags & DEAD:
        return
    if ready & (READY_READ | READY_END | READY_ERROR):
        connection.flags |= READABLE
    if ready & (READY_END | READY_ERROR):
        connection.flags |= ENDED
    if ready & READY_WRITE and not connection.flags & WRITABLE:
        connection.flags |= WRITABLE
        connection_touch(connection)
    if connection.flags & DRAINING:
        output_drain(connection)
        return
    if not connection.flags & CLOSING:
        input_progress(connection)
    if ready & READY_ERROR and connection.flags & READABLE and not connection.flags & IN_READY:
        connection.flags |= GONE            # it is not being read (parked, paused, closing) and will never be
        connection_end(connection, Status.PEER_CLOSED)


cdef Connection* without_ready(Reactor* reactor, Connection* connection) noexcept nogil:
    cdef Connection* at = reactor.ready
    cdef Connection* before = NULL
    while at != connection:
        before = at
        at = at.next_ready
    if before == NULL:
        reactor.ready = at.next_ready
    else:
        before.next_ready = at.next_ready
    if reactor.ready_last == at:
        reactor.ready_last = before
    return at


cdef void without_touched(Reactor* reactor, Connection* connection) noexcept nogil:
    cdef Connection** at = &reactor.touched
    while at[0] != connection:
        at = &at[0].next_touched
    at[0] = connection.next_touched
    reactor.touched_count -= 1


cdef void connection_detach(Connection* connection) noexcept nogil:
    cdef Reactor* reactor = connection.reactor
    links_retire(&reactor.links, connection)
    links_remove(&reactor.links, connection)
    poller_remove(reactor.poller, connection.fd)
    sync_forget(connection)
    wheel_disarm(&reactor.wheel, &connection.timer.timer)
    wheel_disarm(&reactor.wheel, &connection.write_timer.timer)
    if connection.flags & IN_READY:
        without_ready(reactor, connection)
    if connection.flags & TOUCHED:
        without_touched(reactor, connection)
    connection.flags &= ~<uint32_t>(IN_READY | TOUCHED | SEAM_WAITS)
    fetch_add_u64(&reactor.connections, <uint64_t>-1)
