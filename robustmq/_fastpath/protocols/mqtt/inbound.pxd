"""From the client: PUBLISH packets become record batches, appends become acknowledgements.

What one read brings for one partition is one batch (collector.pxd). A read opens up to SLABS partitions at once; `inbound_flush`
appends each, tells its subscribers, and acknowledges (answers.pxd).

What the journal has no room for (its health is OK: it will have) is not refused: the collector stays with its session, unanswered,
and the link waits for room with all that its client sends after that.

Owner: the session's reactor.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from robustmq._fastpath.protocols.mqtt.session cimport Collector, Core, Session
from robustmq._fastpath.status cimport Status


# One PUBLISH: [body, body + n) behind the fixed header that begins with `first`. An error closes the connection.
cdef Status inbound_publish(Session* session, Collector* collector, const uint8_t* body, uint32_t n, uint8_t first,
                            int64_t now_ns) noexcept nogil

# Append what was collected and acknowledge it. PARKED: the journal has no room, session.unstored has it, the collector is not
# the caller's any more. STORE_FULL and its like for 3.x, which has no word for them, and where PUBCOMP's event was not stored.
cdef Status inbound_flush(Session* session, Collector* collector, int64_t now_ns) noexcept nogil

# There may be room for session.unstored. Anything but OK and PARKED closes the link.
cdef Status inbound_room(Session* session, int64_t now_ns) noexcept nogil

# The connection of session.unstored is gone: the client sends again what was not acknowledged.
cdef void inbound_drop(Session* session) noexcept nogil

# PUBREL from the client: its identifier is free, PUBCOMP goes out when the journal says so, with the promise of the topics that
# the session publishes to: a client that reuses an identifier which a restart still knows would lose a message.
cdef Status inbound_released(Session* session, Collector* collector, uint16_t packet_id) noexcept nogil

# A PUBLISH of version 5 without a session (a will, an administrator's): append and notify. The thread is inside a QSBR
# read section; `origin` as in Entry.
cdef Status inbound_publish_frame(Core* core, const uint8_t* frame, uint64_t n, const uint8_t* client_id,
                                  uint32_t client_id_len, uint64_t origin) noexcept nogil
