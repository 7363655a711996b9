"""Acknowledgements to the client, in the order in which its packets came [MQTT-4.6.0-2]: at once when the partition's promise
holds already, else when the journal is durable. None before the events that it depends on are written (durable.pxd).

Owner: the session's reactor.
"""
from libc.stdint cimport uint64_t
from robustmq._fastpath.protocols.mqtt.session cimport Collector, Session
from robustmq._fastpath.status cimport Status


cdef enum:
    ACKS_MAX = 65535            # acknowledgements that may wait for the disk


# All that a collector owes, whose batches were appended or refused. STORE_FULL and its like for 3.x, which has no word for them,
# and where PUBCOMP's event was not stored: the caller closes the link.
cdef Status answers_send(Session* session, Collector* collector) noexcept nogil

# What its packets have changed in the session's open identifiers becomes events, in their order; `closing`: one is free again.
# Enough for a connection that is gone.
cdef void answers_note(Session* session, Collector* collector, bint* closing) noexcept nogil

# The journal is durable up to `position`: write the acknowledgements that waited for it.
cdef void answers_synced(Session* session, uint64_t position) noexcept nogil

# A sync failed: what waits for the disk is refused; 3.x has no word for that, its connection is closed.
cdef void answers_sync_failed(Session* session) noexcept nogil
