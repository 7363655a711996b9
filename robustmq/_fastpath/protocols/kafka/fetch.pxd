"""Fetch, versions 4 to 18: record batches leave as they lie in the journal.

    response  | throttle i32 | v7: error i16, session id i32 | [topic | [number i32, error i16, high watermark i64, stable
              i64, v5: log_start i64, aborted [], v11: preferred i32, records] ]                    flexible from v12

Partitions are answered in the order of the request. Each gives whole batches, the first of which contains the offset
asked for; the first batch of the response ignores every limit (KIP-74). A batch of COPY_BELOW bytes or more is sent by
reference: records never change once published, and the reference keeps their journal segment.

A request with fewer than min_bytes and no error parks its connection: a `Waiter` on each partition, one mail for all,
and the link's timer. It is answered by the append that completes it, by an error, or when max_wait is over.
"""
from libc.stdint cimport int64_t, uint8_t, uint64_t
from robustmq._fastpath.protocols.kafka.state cimport Session
from robustmq._fastpath.protocols.kafka.wire cimport Request
from robustmq._fastpath.status cimport Status


cdef enum:
    COPY_BELOW = 1024               # bytes; below it a copy costs less than an entry of writev


# One whole request without its size prefix. OK: answered. PARKED: link.parked is set and session.wait is WAIT_RECORDS or
# WAIT_LOAD.
cdef Status fetch(Session* session, const Request* request, const uint8_t* frame, uint64_t n,
                  int64_t now_ns) noexcept nogil

# What a Fetch waited for has been loaded (warm.pxd): answer it, or park it for records.
cdef void fetch_loaded(Session* session, int64_t now_ns) noexcept nogil

# Answer a parked Fetch with what there is.
cdef Status fetch_answer(Session* session) noexcept nogil

# Whether a parked Fetch has its min_bytes or an error by now. Looks only at what came since the last call.
cdef bint fetch_ready(Session* session) noexcept nogil

# Forget a parked Fetch, if any: no append touches the session after it but through mail that is queued already.
cdef void fetch_drop(Session* session) noexcept nogil
