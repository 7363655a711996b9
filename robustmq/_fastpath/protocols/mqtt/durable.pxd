"""What a persistent session writes to the journal, so that it survives the broker (docs/formats/sessions.md).

    while it works    events: what a turn changed in the window and in the open QoS 2 identifiers, in one entry
    now and then      a snapshot: what rebuilds the session from nothing, in the same words

An event stands in the journal before the packet that follows from it can reach the socket: callbacks of the session end
with `ledger_flush`, and a reactor writes after them. When the journal has no room for events (it will have: its health is OK) they
are kept, in order, and the connection ends without the output that depends on them; they are written before the session's next
events, its next snapshot, or its next connection. When the disk is full or fails they are lost and counted. A message that waits in the queue is not written: the log has it, and
a restart delivers it again (stores/sessions.pxd). Only what came out of order is: a retained message, a share of a group.

Owner: the session's reactor; a Ledger serves all sessions of its reactor and is empty between callbacks.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from robustmq._fastpath.mailbox cimport Mail
from robustmq._fastpath.protocols.mqtt.rings cimport Slot
from robustmq._fastpath.protocols.mqtt.session cimport Core, Session
from robustmq._fastpath.status cimport Status


cdef enum EventKind:
    EVENT_START = 1             # first of a snapshot: bits = version of the format, id = last packet identifier
    EVENT_FLIGHT = 2            # a message went out under `id`, the next one; bits = SlotBits; message, how follow
    EVENT_QUEUED = 3            # a message waits; message, how follow
    EVENT_DONE = 4              # `id` is free again
    EVENT_RELEASED = 5          # PUBREC for `id` came
    EVENT_OPENED = 6            # QoS 2 identifier of the client: stored, not yet released by it
    EVENT_CLOSED = 7            # PUBREL for it came


cdef enum:
    SNAPSHOT_VERSION = 1
    SNAPSHOT_EVENTS = 131072    # bytes of events until a new snapshot is asked for
    SNAPSHOT_RECORDS = 16384    # the same for records delivered: what a restart may have to look at again
    NEWS_WISH = 1               # the session wants a snapshot
    NEWS_SAVED = 2              # it has one; value = where it is durable


cdef packed struct Event:
    uint8_t kind
    uint8_t bits
    uint16_t id


cdef packed struct EventMessage:    # behind FLIGHT and QUEUED
    uint64_t stream
    uint64_t record             # offset in the stream; NO_RECORD: its topic's retained message
    uint64_t group              # key of the shared group, 0: none
    uint32_t id_count           # subscription identifiers u32 that follow


cdef struct News:               # to the control plane, which frees it
    Mail mail
    uint64_t number             # of the session, which may be gone
    uint64_t value
    uint32_t kind
    uint32_t reserved


cdef struct SnapshotCommand:
    Mail mail
    Session* session
    uint64_t floor


cdef inline bint is_durable(const Session* session) noexcept nogil:
    return session.durable


# Both only for a durable session.
cdef void ledger_slot(Session* session, EventKind kind, const Slot* slot) noexcept nogil
cdef void ledger_id(Session* session, EventKind kind, uint16_t id) noexcept nogil

# `records` more were delivered to the session, or may have been.
cdef void ledger_considered(Session* session, uint32_t records) noexcept nogil

# Not OK: nothing may be sent that depends on these events, or on those before them. STORE_FULL with a healthy journal: kept.
cdef Status ledger_write(Session* session) noexcept nogil

cdef void ledger_end(Session* session) noexcept nogil

cdef inline void ledger_flush(Session* session) noexcept nogil:
    """Before the callback ends. Without events: nothing."""
    if session.durable and (session.core.ledgers[session.consumer.reactor].len or session.backlog.len):
        ledger_end(session)

# Before a connection is attached: what was kept. Not OK: there is no room yet.
cdef Status ledger_catch_up(Session* session) noexcept nogil


# Mail.run of a SnapshotCommand: the session's reactor writes the snapshot and tells the control plane.
cdef void run_snapshot(Mail* mail, void* receiver, int64_t now_ns) noexcept nogil

# In a durable.pyx of its own thread at start: the same without the command.
cdef Status durable_snapshot(Session* session, uint64_t floor, uint64_t* durable_at) noexcept nogil

cdef void ledgers_free(Core* core) noexcept nogil
