"""Where a reactor and a protocol meet: neither knows the other, both know this header.

A `Link` is one connection as its protocol sees it: an output queue, a few requests to the host (park, wake me at,
close) and the protocol's own state. A `Protocol` is a table of functions; each gets the time as an argument and
returns at once. A test, a fuzzer, a TLS layer or a simulator hosts a link as well as a reactor does.

    reactor                         protocol
    bytes arrived        ->         on_bytes(link, data, n, &used)     consume whole frames only
    writev after it      <-         link.out
    nothing more parsed  <-         PARKED, after link.host.to_control(...)
    answer came          ->         on_answer(link, block)             reactor then parses on

Owner: everything here belongs to the link's reactor thread. Another thread names a link only by its `id`, which
carries a generation and therefore never reaches a later connection in the same slot.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from robustmq._fastpath.block cimport Block
from robustmq._fastpath.mailbox cimport Mail, Mailbox
from robustmq._fastpath.out cimport Out
from robustmq._fastpath.status cimport Status


cdef struct Link:
    uint64_t id             # reactor << 56 | generation << 24 | slot
    const Protocol* protocol
    const Host* host
    void* host_data         # the reactor
    void* session           # the protocol's state; NULL before open
    Out out
    uint32_t parked         # 1: on_bytes is not called until on_answer
    uint32_t listener       # index of the listener that accepted it
    uint64_t awaits_sync    # journal position for which on_synced is wanted, 0: none


cdef struct Protocol:
    const char* name
    # A new connection. Anything but OK closes it.
    Status (*open)(Link* link, int64_t now_ns) noexcept nogil
    # `*used` = bytes of whole frames consumed. NEED_MORE: the rest is a partial frame; it comes again, grown.
    # PARKED: what follows `*used` comes again after the answer. OK with `*used` < n: the protocol stopped because its
    # output is above the high-water mark; what follows comes again once that has drained. Anything else closes the
    # link with that status.
    # `*need` (in: 0) may be set to the size of the frame at `data + *used`, so that the host can make room once;
    # the protocol checks that size against its bound before it says so.
    # `block` holds `data`; retain it to keep references into it.
    Status (*on_bytes)(Link* link, Block* block, const uint8_t* data, uint64_t n, uint64_t* used, uint64_t* need,
                       int64_t now_ns) noexcept nogil
    # The control plane's answer to a parked frame (or a command of its own, when the link is not parked).
    # Clears nothing itself: host.unpark() when parsing may go on.
    Status (*on_answer)(Link* link, uint32_t kind, const uint8_t* data, uint64_t n, void* object,
                        int64_t now_ns) noexcept nogil
    void (*on_timer)(Link* link, int64_t now_ns) noexcept nogil
    # Output fell from above the high-water mark to below the low one.
    void (*on_drained)(Link* link, int64_t now_ns) noexcept nogil
    # The journal is durable up to `position` >= link.awaits_sync (which is 0 again before the call).
    void (*on_synced)(Link* link, uint64_t position, int64_t now_ns) noexcept nogil
    # What the link waits for will never be durable: a sync failed, and none is tried again. NULL: the host closes the link.
    void (*on_sync_failed)(Link* link, int64_t now_ns) noexcept nogil
    # What await_room asked for; NULL: it is enough that the link is parsed again.
    void (*on_room)(Link* link, int64_t now_ns) noexcept nogil
    # The connection is gone or is about to be closed with `why`; a last frame (DISCONNECT) may be put into link.out.
    # After it the link is not used again. `why` is PEER_CLOSED for FIN or RST.
    void (*on_close)(Link* link, Status why, int64_t now_ns) noexcept nogil


cdef struct Host:
    # One timer per link; 0 disarms.
    void (*set_timer)(Link* link, int64_t deadline_ns) noexcept nogil
    # Hand a frame to the control plane. Takes the caller's reference to `block` (may be NULL); [data, n) lies in it.
    # `kind` is the protocol's own. The caller sets link.parked when it wants no further frame parsed until the answer.
    void (*to_control)(Link* link, uint32_t kind, Block* block, const uint8_t* data, uint64_t n) noexcept nogil
    # Parse on, after the current callback (clears link.parked).
    void (*unpark)(Link* link) noexcept nogil
    # Close after the output that is queued now is sent (bounded by reactor.write_timeout_ms); on_close is called.
    void (*close)(Link* link, Status why) noexcept nogil
    # The link has output although it is not in a callback of its own (a delivery): flush it in this iteration.
    void (*touch)(Link* link) noexcept nogil
    # Call on_synced once the journal is durable up to `position`.
    void (*await_sync)(Link* link, uint64_t position) noexcept nogil
    # Parse nothing more, and call on_room when the store, which had no room, may have some. Output goes on: it may be what holds
    # the room.
    void (*await_room)(Link* link) noexcept nogil
    # The mailbox of the link's reactor, for mail about this link's state.
    Mailbox* (*mailbox)(Link* link) noexcept nogil


cdef enum:
    LINK_CLOSED = 0                 # kinds of to_control that the reactor itself sends: the link is gone
    LINK_MOVED = 0xFFFFFFFF         # it lives on another reactor now; payload: its new id, 8 bytes little-endian


cdef enum:
    OUT_HIGH_WATER = 1 << 20    # above it a consumer gets no more (it queues or drops); reactor.high_water_bytes overrides
    OUT_LOW_WATER = 1 << 18


cdef class ProtocolHandle:
    """A protocol as Python passes it to `Reactors.listen`. The subclass sets `table`, and outlives the reactors."""
    cdef const Protocol* table
