"""From the client: PUBLISH packets become record batches, appends become acknowledgements.

What one read brings for one partition is one batch. A read opens up to SLABS partitions at once; `inbound_flush` appends
each, tells its subscribers, and acknowledges in the order in which the packets came [MQTT-4.6.0-2]: at once when the
partition's promise holds already, else when the journal is durable (`inbound_synced`).

Owner: a Collector belongs to one thread and serves all its sessions; it is empty between reads.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from robustmq._fastpath.protocols.mqtt.session cimport Collector, Core, Session
from robustmq._fastpath.status cimport Status


# The collector of thread `index` (a reactor; REACTORS_MAX for the control plane); NULL: memory is out.
cdef Collector* collector_of(Core* core, uint32_t index) noexcept nogil
cdef void collector_free(Collector* collector) noexcept nogil

# One PUBLISH: [body, body + n) behind the fixed header that begins with `first`. An error closes the connection.
cdef Status inbound_publish(Session* session, Collector* collector, const uint8_t* body, uint32_t n, uint8_t first,
                            int64_t now_ns) noexcept nogil

# Append what was collected and acknowledge it. STORE_FULL and its like only for 3.x, which has no word for them.
cdef Status inbound_flush(Session* session, Collector* collector, int64_t now_ns) noexcept nogil

# PUBREL from the client: its identifier is free, PUBCOMP goes out.
cdef Status inbound_released(Session* session, uint16_t packet_id) noexcept nogil

# The journal is durable up to `position`: write the acknowledgements that waited for it.
cdef void inbound_synced(Session* session, uint64_t position) noexcept nogil

# A sync failed: what waits for the disk is refused; 3.x has no word for that, its connection is closed.
cdef void inbound_sync_failed(Session* session) noexcept nogil

# A PUBLISH of version 5 without a session (a will, an administrator's): append and notify. The thread is inside a QSBR
# read section; `origin` as in Entry.
cdef Status inbound_publish_frame(Core* core, const uint8_t* frame, uint64_t n, const uint8_t* client_id,
                                  uint32_t client_id_len, uint64_t origin) noexcept nogil
