"""Atomic loads, stores and a spin lock, each named by its memory order (include/atomic.h)."""
from libc.stdint cimport uint32_t, uint64_t


cdef extern from "atomic.h" nogil:
    uint64_t load_acquire_u64(const uint64_t* p)
    uint64_t load_relaxed_u64(const uint64_t* p)
    void store_release_u64(uint64_t* p, uint64_t v)
    void store_relaxed_u64(uint64_t* p, uint64_t v)
    uint64_t fetch_add_u64(uint64_t* p, uint64_t v)
    bint cas_u64(uint64_t* p, uint64_t expected, uint64_t desired)

    uint32_t load_acquire_u32(const uint32_t* p)
    uint32_t load_relaxed_u32(const uint32_t* p)
    void store_release_u32(uint32_t* p, uint32_t v)
    bint cas_u32(uint32_t* p, uint32_t expected, uint32_t desired)
    uint32_t exchange_u32(uint32_t* p, uint32_t v)
    uint32_t fetch_add_u32(uint32_t* p, uint32_t v)
    uint32_t fetch_sub_u32(uint32_t* p, uint32_t v)

    # `p` is the address of a pointer.
    void* load_acquire_ptr(void* p)
    void store_release_ptr(void* p, void* v)
    void* exchange_ptr(void* p, void* v)

    void fence_acquire()
    void fence_signal()
    void fence_seq_cst()
    void cpu_pause()

    # For critical sections of tens of nanoseconds without a system call.
    void spin_lock(uint32_t* lock)
    void spin_unlock(uint32_t* lock)
