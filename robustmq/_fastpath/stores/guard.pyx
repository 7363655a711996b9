"""Pages that are lost: see guard.pxd, and include/guard.h for the signal."""
from libc.stdint cimport uintptr_t
from libc.string cimport memset
from robustmq._fastpath.block cimport REF_FAILED
from robustmq._fastpath.out cimport out_await_flights
from robustmq._fastpath.status cimport STORE_FAILED


cdef extern from "guard.h" nogil:
    ctypedef struct guard_range:
        int protection
        uintptr_t start "from"
        uintptr_t to
        uint32_t* ref_kind
        uint32_t ref_failed
        uint32_t* health
        uint32_t failed
        void (*tell)(void* owner) noexcept nogil
        void* owner

    guard_range* guard_put(const guard_range* what, void (*before)() noexcept nogil)
    void guard_take_out(guard_range* range)
    uint64_t guard_count()


cdef void* guard_add(const Guarded* mapping) noexcept nogil:
    cdef guard_range what
    memset(&what, 0, sizeof(guard_range))
    what.protection = mapping.protection
    what.start = <uintptr_t>mapping.base
    what.to = <uintptr_t>mapping.base + mapping.size
    what.ref_kind = &mapping.ref.kind
    what.ref_failed = REF_FAILED
    what.health = mapping.health
    what.failed = STORE_FAILED
    what.tell = mapping.tell
    what.owner = mapping.owner
    return guard_put(&what, out_await_flights)


cdef void guard_remove(void* handle) noexcept nogil:
    if handle != NULL:
        guard_take_out(<guard_range*>handle)


cdef uint64_t guard_faults() noexcept nogil:
    return guard_count()
