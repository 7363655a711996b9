"""Reading, keeping what is left over, parsing."""
from libc.errno cimport EAGAIN, errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy
from robustmq._fastpath.block cimport Block, block_data, block_new, ref_is_sole, ref_release
from robustmq._fastpath.reactor.core cimport (
    CLOSING, DEAD, ENDED, GONE, PAUSED, READABLE, SEAM_WAITS, TIMER_LATE, UNPARSED, WAITS_ROOM, WANTS_CLOSE, Connection,
    Reactor, brake_pressed, connection_end, connection_ready, connection_touch, count,
)
from robustmq._fastpath.status cimport Status


cdef extern from "net.h" nogil:
    long long net_read(int fd, void* to, size_t n)


cdef enum:
    READ_BLOCK = 256 << 10
    READ_LEAST = 64 << 10           # a read asks for at least so much
    PREPEND_MOST = 16 << 10         # a smaller rest is copied in front of the next read: cheaper than a read of its own
    NEED_AT_ONCE = 1 << 20          # a larger frame gets its room as its bytes arrive
    REST_MOST = 1 << 30


cdef inline bint may_parse(const Connection* connection) noexcept nogil:
    return not connection.link.parked and not connection.flags & (
        PAUSED | SEAM_WAITS | WAITS_ROOM | WANTS_CLOSE | CLOSING | DEAD)


cdef void have_room(Connection* connection) noexcept nogil:
    """The store may have what it had not."""
    connection.flags &= ~<uint32_t>WAITS_ROOM
    if connection.link.protocol.on_room != NULL and not connection.flags & (WANTS_CLOSE | CLOSING | DEAD):
        connection.link.protocol.on_room(&connection.link, connection.reactor.now_ns)
        connection_touch(connection)


cdef void late_timer(Connection* connection) noexcept nogil:
    """What came in time has been read: has it been heard of?"""
    connection.flags &= ~<uint32_t>TIMER_LATE
    if not connection.flags & (WANTS_CLOSE | CLOSING | DEAD):
        connection.link.protocol.on_timer(&connection.link, connection.reactor.now_ns)
        connection_touch(connection)


cdef void input_progress(Connection* connection) noexcept nogil:
    cdef Block* rest = connection.rest
    if brake_pressed(&connection.reactor.shared.brake):
        connection_ready(connection)            # the turn ends with the wait for room
        return
    if connection.flags & WAITS_ROOM:
        have_room(connection)
    if connection.flags & UNPARSED and may_parse(connection):
        parse(connection, rest, block_data(rest) + connection.rest_start, rest.len - connection.rest_start)
    if connection.flags & READABLE and may_parse(connection):
        read_once(connection)
    if connection.flags & TIMER_LATE:
        late_timer(connection)
    if connection.flags & (READABLE | UNPARSED) and may_parse(connection):
        connection_ready(connection)


cdef bint input_block(Reactor* reactor, uint32_t room) noexcept nogil:
    cdef Block* block = reactor.block
    if block != NULL and ref_is_sole(&block.ref):
        block.len = 0
    if block == NULL or block.cap - block.len < room:
        reactor.block = block_new(READ_BLOCK)
        if block != NULL:
            ref_release(&block.ref)
    return reactor.block != NULL


cdef void drop_rest(Connection* connection) noexcept nogil:
    if connection.rest != NULL:
        ref_release(&connection.rest.ref)
        connection.rest = NULL


cdef void read_once(Connection* connection) noexcept nogil:
    cdef Block* rest = connection.rest
    cdef Block* block
    cdef uint32_t have = rest.len - connection.rest_start if rest != NULL else 0
    cdef uint32_t room, start
    cdef uint8_t* to
    if not input_block(connection.reactor, READ_LEAST):
        connection_end(connection, Status.NO_MEMORY)
        return
    block = connection.reactor.block
    start = block.len
    if have > PREPEND_MOST or connection.need > block.cap - start:
        read_into_rest(connection)
        return
    to = block_data(block) + start
    if have:
        memcpy(to, block_data(rest) + connection.rest_start, have)
    room = block.cap - start - have
    room = received(connection, net_read(connection.fd, to + have, room), room)
    if room == 0:
        return
    drop_rest(connection)
    block.len = start + have + room
    parse(connection, block, to, have + room)


cdef void read_into_rest(Connection* connection) noexcept nogil:
    cdef Block* rest
    cdef uint32_t room
    if not make_room(connection):
        connection_end(connection, Status.NO_MEMORY)
        return
    rest = connection.rest
    room = rest.cap - rest.len
    room = received(connection, net_read(connection.fd, block_data(rest) + rest.len, room), room)
    if room == 0:
        return
    rest.len += room
    parse(connection, rest, block_data(rest) + connection.rest_start, rest.len - connection.rest_start)


# Account for a read that asked for `asked` bytes; returns how many there are, 0 when there is nothing to parse.
cdef uint32_t received(Connection* connection, long long got, uint32_t asked) noexcept nogil:
    cdef Reactor* reactor = connection.reactor
    count(&reactor.counters.reads, 1)
    if got > 0:
        count(&reactor.counters.bytes_in, <uint64_t>got)
        if got < asked and not connection.flags & ENDED:
            connection.flags &= ~READABLE       # the kernel has no more: the next bytes are an edge
        return <uint32_t>got
    connection.flags &= ~READABLE
    if got < 0:
        if errno == EAGAIN:
            return 0
        connection.flags |= GONE
    connection_end(connection, Status.PEER_CLOSED)
    return 0


# Room for a rest of `have` bytes and what is to follow them.
cdef inline uint64_t rest_size(uint64_t have, uint64_t need) noexcept nogil:
    if need > have and need <= NEED_AT_ONCE:
        return need
    if need > 2 * have:
        return 2 * have if 2 * have > NEED_AT_ONCE else NEED_AT_ONCE
    return need if need > have else 2 * have


# Free space behind the rest; what may be retained by the protocol stays where it is.
cdef bint make_room(Connection* connection) noexcept nogil:
    cdef Block* rest = connection.rest
    cdef Block* larger
    cdef uint32_t have = rest.len - connection.rest_start
    cdef uint64_t size
    if rest.cap - rest.len > 0 and connection.need <= rest.cap - connection.rest_start:
        return True
    size = rest_size(have, connection.need)
    if have >= REST_MOST or size > REST_MOST:
        return False
    if rest.cap - rest.len > 0 and size <= rest.cap - connection.rest_start:
        return True
    larger = block_new(<uint32_t>size)
    if larger == NULL:
        return False
    memcpy(block_data(larger), block_data(rest) + connection.rest_start, have)
    larger.len = have
    ref_release(&rest.ref)
    connection.rest = larger
    connection.rest_start = 0
    return True


cdef void parse(Connection* connection, Block* block, const uint8_t* data, uint64_t n) noexcept nogil:
    cdef uint64_t used = 0, need = 0, left
    cdef uint64_t high = connection.reactor.shared.high_water
    cdef uint64_t queued
    cdef bint stopped
    cdef Status status = connection.link.protocol.on_bytes(&connection.link, block, data, n, &used, &need,
                                                           connection.reactor.now_ns)
    if used > n:
        status = Status.INTERNAL
    if status > Status.PARKED:
        connection_end(connection, status)
        return
    left = n - used
    connection.need = need
    if not keep_rest(connection, block, data + used, left, used):
        connection_end(connection, Status.NO_MEMORY)
        return
    queued = connection.link.out.bytes
    stopped = status == Status.OK and queued > high
    connection.flags &= ~UNPARSED
    if left and (stopped or status == Status.PARKED or connection.link.parked or connection.flags & (SEAM_WAITS | WAITS_ROOM)):
        connection.flags |= UNPARSED
    if stopped and left or queued >= 2 * high:
        connection.flags |= PAUSED
    if queued:
        connection_touch(connection)


# The last `left` bytes of what was parsed become, or stay, the connection's rest. False: memory is out.
cdef bint keep_rest(Connection* connection, Block* block, const uint8_t* data, uint64_t left,
                    uint64_t used) noexcept nogil:
    cdef uint64_t size
    if left == 0:
        drop_rest(connection)
    elif block == connection.rest:
        connection.rest_start += <uint32_t>used
    else:
        size = rest_size(left, connection.need)
        if size > REST_MOST:
            return False
        connection.rest = block_new(<uint32_t>size)
        if connection.rest == NULL:
            return False
        memcpy(block_data(connection.rest), data, left)
        connection.rest.len = <uint32_t>left
        connection.rest_start = 0
    return True
