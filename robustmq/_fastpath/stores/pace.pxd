"""How work in the background gives way: for so many bytes it waits as long as they take at its rate, without a lock.

Concurrency: one thread works; `pace_stop` may come from any, and ends its wait and all later ones.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from robustmq._fastpath.atomic cimport load_acquire_u32, store_release_u32
from robustmq._fastpath.platform cimport waker_destroy, waker_init, waker_ring, waker_t, waker_wait_ns


cdef struct Pace:
    waker_t never                       # waited for with a time (CLOCK_MONOTONIC)
    uint64_t bytes_per_s                # 0: without bound
    uint32_t stopping                   # release by pace_stop


cdef inline void pace_init(Pace* pace, uint64_t bytes_per_s) noexcept nogil:
    waker_init(&pace.never)
    pace.bytes_per_s = bytes_per_s
    pace.stopping = 0


cdef inline bint pace_stopped(Pace* pace) noexcept nogil:
    return load_acquire_u32(&pace.stopping) != 0


# Writer.pause, with a Pace as its context.
cdef inline void pace_give_way(void* context, uint64_t bytes) noexcept nogil:
    cdef Pace* pace = <Pace*>context
    if pace.bytes_per_s and not pace_stopped(pace):
        waker_wait_ns(&pace.never, <int64_t>(bytes * 1000000000 // pace.bytes_per_s))


cdef inline void pace_stop(Pace* pace) noexcept nogil:
    store_release_u32(&pace.stopping, 1)
    waker_ring(&pace.never)


cdef inline void pace_free(Pace* pace) noexcept nogil:
    waker_destroy(&pace.never)
