"""Responses in the order of requests, each held until its promise holds.

A Produce response leaves at once when nothing is before it and its batches are safe already. Otherwise it waits in a
list; the connection goes on parsing Produce requests, and one sync releases all that it covers.
"""
from libc.stdint cimport uint8_t, uint64_t
from robustmq._fastpath.protocols.kafka.state cimport Session
from robustmq._fastpath.status cimport Status


# Send `n` bytes (copied) when the journal is durable up to `position` (0: now) and all before them are sent.
cdef Status pending_send(Session* session, uint64_t position, const uint8_t* data, uint64_t n) noexcept nogil

# The journal is durable up to `position`: send what it covers, ask for the next.
cdef Status pending_synced(Session* session, uint64_t position) noexcept nogil

cdef bint pending_full(const Session* session) noexcept nogil
cdef void pending_clear(Session* session) noexcept nogil
