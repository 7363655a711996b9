"""One message into a connection's output, and its place in the in-flight window.

What deliver (outbound.pyx) and the queue behind it (window.pyx) have in common. Owner: the session's reactor.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from robustmq._fastpath.block cimport Ref
from robustmq._fastpath.broker.topic cimport Topic
from robustmq._fastpath.protocols.mqtt.encode cimport Frame
from robustmq._fastpath.protocols.mqtt.message cimport Message
from robustmq._fastpath.protocols.mqtt.rings cimport Slot, slots_count
from robustmq._fastpath.protocols.mqtt.session cimport Dropped, Session
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.partition cimport Partition


cdef enum:
    PACKET_IDS = 65535
    FLIGHT_SPAN_MAX = 65534     # identifiers between the oldest unacknowledged and the next: never one twice


cdef struct Source:             # where a message lies
    Topic* topic
    Partition* partition
    Ref* ref                    # of what holds `batch`
    const uint8_t* batch
    uint64_t n
    uint16_t flags              # EntryFlags


cdef inline void drop(Session* session, Dropped why) noexcept nogil:
    session.counters.dropped[<uint32_t>why] += 1


cdef inline bint has_room(const Session* session) noexcept nogil:
    return session.link.out.bytes <= session.core.limits.high_water


cdef inline bint window_open(const Session* session) noexcept nogil:
    return session.on_wire < session.send_maximum and slots_count(&session.flight) < FLIGHT_SPAN_MAX


# Write one PUBLISH; `frame` holds QoS, flags and identifiers. TIMED_OUT: it expired; TOO_LARGE: for this client;
# NO_MEMORY: the link is closing, its output has a hole.
cdef Status emit(Session* session, const Source* source, Message* message, Frame* frame, int64_t wall) noexcept nogil

# Count why `emit` did not.
cdef void count_failure(Session* session, Status status) noexcept nogil

# The next slot of the window with its packet identifier (bits set, position not); NULL: memory is out.
cdef Slot* fly(Session* session, uint8_t bits) noexcept nogil

# Tell whoever asks (a shared group, a replay of retained messages) whether a message would have to wait now.
cdef void note_busy(Session* session) noexcept nogil

# Take back the last `fly`: its message did not go out.
cdef void unfly(Session* session) noexcept nogil
