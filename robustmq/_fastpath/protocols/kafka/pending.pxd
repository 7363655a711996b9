"""Responses in the order of requests, each held until its promise holds.

A Produce response leaves at once when nothing is before it and its batches are safe already. Otherwise it waits in a
list; the connection goes on parsing Produce requests, and one sync releases all that it covers.
"""
from libc.stdint cimport int16_t, uint8_t, uint64_t
from robustmq._fastpath.protocols.kafka.state cimport Session
from robustmq._fastpath.status cimport Status


# Send the `n` bytes (copied) of a Produce response of `version` when the journal is durable up to `position` (0: now) and all
# before them are sent.
cdef Status pending_send(Session* session, int16_t version, uint64_t position, const uint8_t* data, uint64_t n) noexcept nogil

# The journal is durable up to `position`: send what it covers, ask for the next.
cdef Status pending_synced(Session* session, uint64_t position) noexcept nogil

# A sync failed: every response that waits for the disk says KAFKA_STORAGE_ERROR instead of its offsets.
cdef Status pending_sync_failed(Session* session) noexcept nogil

cdef bint pending_full(const Session* session) noexcept nogil
cdef void pending_clear(Session* session) noexcept nogil
