"""Produce, versions 3 to 13 (KIP-98): a client's batches are validated where they lie and copied once, into the journal.

    request   | transactional_id | acks i16 | timeout i32 | [topic | [index i32 | records] ] |       flexible from v9
    response  | [topic | [index, error, base_offset, append_time, v5: log_start, v8: record_errors, message] ] | throttle

The frame is walked twice: once to see that it is whole, then to append. A frame that is not well-formed appends nothing.
"""
from libc.stdint cimport uint8_t, uint64_t
from robustmq._fastpath.protocols.kafka.state cimport Session
from robustmq._fastpath.protocols.kafka.wire cimport Request
from robustmq._fastpath.status cimport Status


# One whole request without its size prefix. OK: answered, or in the list of those that wait for the journal. With
# acks=0 nothing is answered, and an error closes the connection, which is the client's only sign.
# PARKED: the journal has no room but will have; the link waits for that, and the same request comes again.
cdef Status produce(Session* session, const Request* request, const uint8_t* frame, uint64_t n) noexcept nogil

# The connection ends: of a request that waits for room.
cdef void produce_forget(Session* session) noexcept nogil
