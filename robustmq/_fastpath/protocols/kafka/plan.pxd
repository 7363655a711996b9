"""A Fetch request as a plan: which partitions, from where, how much (KIP-74, KIP-227, KIP-516).

    request   | v<15: replica i32 | max_wait i32 | min_bytes i32 | max_bytes i32 | isolation i8 | v7: session id, epoch i32
              | [topic | [number i32 | v9: epoch i32 | offset i64 | v12: last epoch i32 | v5: log_start i64 | max i32] ]
              | v7: [forgotten topic | [number i32] ] | v11: rack                                   flexible from v12

Owner: the session. `plan.frame` is the request; names in it are found by offset.
"""
from libc.stdint cimport int64_t, uint8_t, uint64_t
from robustmq._fastpath.protocols.kafka.state cimport Plan, Session
from robustmq._fastpath.protocols.kafka.wire cimport Request
from robustmq._fastpath.status cimport Status


# Fill the session's plan from one whole request; every partition is looked up. MALFORMED, TOO_LARGE, NO_MEMORY.
cdef Status plan_read(Session* session, const Request* request, const uint8_t* frame, uint64_t n,
                      int64_t now_ns) noexcept nogil

# Keep the request beyond the current call. False: memory is out.
cdef bint plan_keep_frame(Plan* plan, uint64_t n) noexcept nogil

# Forget the request; small plans keep their room for the next one.
cdef void plan_clear(Plan* plan) noexcept nogil
cdef void plan_free(Plan* plan) noexcept nogil
