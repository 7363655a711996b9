"""The state of a reactor and of its connections: structures only; who may touch them is said at each field.

    Shared ──> Reactor 0 ──> Connection (Link first, so that a Link* is a Connection*)
           ──> Reactor 1 ──> Connection ...

Lists a connection may stand on, all of its own reactor:
    ready      more to parse or to read although the poller will not say so again (edge-triggered)
    touched    output, or a wish to close, to be dealt with at the end of this iteration
    awaiting   wants on_synced
    dead       closed in this iteration; freed at its end, when no event can name it any more
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from robustmq._fastpath.atomic cimport load_relaxed_u64, store_relaxed_u64
from robustmq._fastpath.block cimport Block
from robustmq._fastpath.link cimport Link, Protocol
from robustmq._fastpath.mailbox cimport Mail, Mailbox
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.wheel cimport Timer, Wheel


cdef enum:
    REACTORS_MOST = 64
    PROTOCOLS_MOST = 16
    LISTENERS_MOST = 64


cdef enum ConnectionFlags:
    READABLE = 1            # the socket may have bytes: no EAGAIN and no short read since the poller said so
    WRITABLE = 2            # the socket may take bytes
    ENDED = 4               # the peer's FIN is on its way: read until 0
    GONE = 8                # nothing more can be exchanged with the peer
    UNPARSED = 16           # `rest` may hold whole frames
    IN_READY = 32
    TOUCHED = 64
    OVER_HIGH = 128         # output was above the high-water mark: on_drained is due
    PAUSED = 256            # not read until its own output has drained
    SEAM_WAITS = 512        # not parsed until the control plane has room for the frame it parked on
    WANTS_CLOSE = 1024
    CLOSING = 2048          # on_close was called; the rest of the output is on its way
    DRAINING = 4096         # our FIN is sent; waiting for the peer's
    DEAD = 8192
    TOLD_CONTROL = 16384    # to_control was used: the control plane hears of the end
    AWAITS = 32768          # on the awaiting list
    OPENED = 65536          # the protocol's open() accepted it: on_close is due
    WAITS_ROOM = 131072     # not parsed until the store has room: on_room is due then
    TIMER_LATE = 262144     # its timer ran out while what the peer had sent was not read


cdef struct ConnectionTimer:
    Timer timer
    Connection* owner


cdef struct Connection:
    Link link
    Reactor* reactor
    int fd
    uint32_t protocol           # index, as the control plane numbers them
    uint32_t flags              # ConnectionFlags
    Status why                  # of WANTS_CLOSE
    Block* rest                 # bytes that are not parsed yet, NULL when there are none
    uint32_t rest_start         # they are rest.data[rest_start .. rest.len)
    uint32_t discarded          # bytes thrown away while draining
    uint64_t need               # size of the frame that `rest` begins, 0 unknown
    int64_t progress_ns         # when the socket last took bytes
    ConnectionTimer timer       # the protocol's
    ConnectionTimer write_timer # stalled output, closing, draining
    Connection* next_ready
    Connection* next_touched
    Connection* next_dead
    Connection* next_awaiting
    Connection* prev_awaiting


cdef struct LinkSlot:
    Connection* connection      # NULL: free
    uint32_t generation         # of the next or current user
    uint32_t next_free


cdef struct LinkTable:
    LinkSlot* slots
    uint32_t cap
    uint32_t used               # slots ever used
    uint32_t first_free         # index + 1; 0: none
    uint32_t count


# A frame on its way to the control plane.
cdef struct SeamItem:
    uint64_t link_id
    uint32_t protocol
    uint32_t kind
    Block* block                # one reference, or NULL
    const uint8_t* data
    uint64_t n


cdef struct SeamOverflow:
    SeamOverflow* next
    SeamItem item


# Single producer (the reactor), single consumer (the control plane). Positions run free.
cdef struct SeamRing:
    SeamItem* items
    uint64_t mask
    uint64_t tail               # producer writes (release)
    uint64_t[7] padding
    uint64_t head               # consumer writes (release)
    uint32_t starved            # atomic: the producer waits for room


cdef struct Listener:
    Timer retry                 # first, so that a Timer* is a Listener*; armed while accepting pauses
    Reactor* reactor
    int fd                      # -1: closed
    uint32_t index
    uint32_t protocol


# Written by the reactor (relaxed), read by anybody.
cdef struct Counters:
    uint64_t accepts
    uint64_t refused            # at reactor.max_connections
    uint64_t accept_pauses      # descriptors or memory were out
    uint64_t closed_by_peer
    uint64_t closed_protocol    # the peer's fault
    uint64_t closed_timeout
    uint64_t closed_admin       # take-over, shutdown, administrator
    uint64_t closed_internal    # the disk's fault or ours
    uint64_t stalled            # of closed_timeout: it did not read its output, or not as much as the store needed back
    uint64_t reads              # system calls
    uint64_t writes
    uint64_t bytes_in
    uint64_t bytes_out
    uint64_t loops
    uint64_t wakes              # loops that slept before
    uint64_t mails
    uint64_t parks              # frames handed to the control plane
    uint64_t busy_ns


cdef enum:
    TURN_BUCKETS = 26           # turn_buckets[i]: turns of less than 2^i µs; the last has the rest


# Where positions become durable: the journal, or nothing (then everything is durable at once).
# `want` asks for everything before `position`, and for `mail` to `box` whenever `durable` has moved. A `durable` of
# SYNC_FAILED says that nothing more ever will be: who waits is told so, and must not acknowledge what it waits for.
cdef enum:
    SYNC_FAILED = 1             # no journal position is as low


cdef struct Durability:
    void* source
    uint64_t (*durable)(void* source) noexcept nogil
    void (*want)(void* source, uint64_t position, Mailbox* box, Mail* mail) noexcept nogil


# The brake on what makes load: `pressed` is asked before each read and once a turn (it must cost nothing), `wait` sleeps until
# the store has caught up, while the reactor is offline (QSBR). So what comes after a press is, per reactor, what one connection
# had left over and one read. `choked` after that: there is no room although the store has caught up, because output holds it, this
# reactor's own perhaps. The reactor copies what its connections hold (output_unpin), goes on without reading, and looks again when
# it gets the mail that it left with `watch`: it comes whenever `choked` begins and ends, and there is more to let go of.
cdef struct Brake:
    void* source
    bint (*pressed)(void* source) noexcept nogil            # NULL: no brake
    void (*wait)(void* source) noexcept nogil
    bint (*choked)(void* source) noexcept nogil
    void (*watch)(void* source, Mailbox* box, Mail* mail) noexcept nogil
    void (*forget)(void* source, Mail* mail) noexcept nogil     # the mail comes no more, for durability neither


cdef inline bint brake_pressed(const Brake* brake) noexcept nogil:
    return brake.pressed != NULL and brake.pressed(brake.source)


# Written before the reactors start, but for what is marked atomic.
cdef struct Shared:
    uint32_t count
    uint32_t protocol_count
    Reactor* reactors[REACTORS_MOST]
    const Protocol* protocols[PROTOCOLS_MOST]
    uint64_t max_connections
    uint64_t pack_connections
    uint64_t high_water
    uint64_t low_water
    int64_t write_timeout_ns
    int64_t spin_ns
    Durability durability
    Brake brake
    uint64_t connections        # atomic: of all reactors
    uint32_t control_asleep     # atomic: the control plane has taken everything and waits for the bell
    int seam_fd                 # its bell
    int seam_ring_fd


cdef struct Reactor:
    Shared* shared
    uint32_t index
    int poller
    int qsbr
    uint32_t stopping
    int64_t now_ns              # of this iteration
    int64_t stop_by_ns
    Timer stop_timer
    Block* block                # sockets are read into its free end; what a protocol retained stays before `len`
    Connection* ready
    Connection* ready_last
    Connection* touched
    uint64_t touched_count
    Connection* dead
    Connection* awaiting
    uint32_t await_check        # something joined `awaiting` in this iteration
    uint32_t seam_news          # something went into the ring in this iteration
    uint32_t choked             # what is ready waits for room (Brake); mail will come
    Mail sync_mail
    Mail seam_mail
    SeamRing ring
    SeamOverflow* overflow
    SeamOverflow* overflow_last
    LinkTable links
    Listener[LISTENERS_MOST] listeners
    uint32_t listener_count
    uint64_t connections        # atomic: placement adds, the reactor takes away
    Mailbox mailbox
    Counters counters
    uint64_t turn_buckets[TURN_BUCKETS]     # turns by the time that they took; their sum is counters.busy_ns
    Wheel wheel


cdef inline void count(uint64_t* counter, uint64_t n) noexcept nogil:
    store_relaxed_u64(counter, counter[0] + n)


# Deal with the connection's output and wishes at the end of this iteration.
cdef inline void connection_touch(Connection* connection) noexcept nogil:
    if not connection.flags & (TOUCHED | DEAD):
        connection.flags |= TOUCHED
        connection.next_touched = connection.reactor.touched
        connection.reactor.touched = connection
        connection.reactor.touched_count += 1


# Parse and read on in the next iteration.
cdef inline void connection_ready(Connection* connection) noexcept nogil:
    cdef Reactor* reactor = connection.reactor
    if not connection.flags & (IN_READY | DEAD):
        connection.flags |= IN_READY
        connection.next_ready = NULL
        if reactor.ready == NULL:
            reactor.ready = connection
        else:
            reactor.ready_last.next_ready = connection
        reactor.ready_last = connection


# Close at the end of this iteration; the first reason counts.
cdef inline void connection_end(Connection* connection, Status why) noexcept nogil:
    if not connection.flags & (WANTS_CLOSE | CLOSING | DEAD):
        connection.flags |= WANTS_CLOSE
        connection.why = why
    connection_touch(connection)
