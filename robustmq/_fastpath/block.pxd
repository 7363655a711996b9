"""Reference-counted bytes: what a socket was read into, what frames are encoded into, and what a journal segment lends.

A `Ref` is embedded at the head of whatever owns bytes. Whoever keeps a pointer into those bytes past the current call
holds one reference. Blocks come from a thread's own `Pool`; the last release puts the block into the pool of the
thread that releases it (or frees it when that pool is full), so no pool is ever shared.

Owner: `Ref.refs` is atomic (acquire-release). A `Pool` belongs to one thread.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from robustmq._fastpath.atomic cimport (
    cas_u32, fence_acquire, fetch_add_u32, fetch_sub_u32, load_acquire_u32, load_relaxed_u32,
)


cdef enum:
    REF_BLOCK = 1
    REF_MAPPED = 2
    REF_FAILED = 3              # a mapped file of which pages are lost, and read as zeros: nothing of it may be sent any more
    REF_RETIRED = 4             # a mapped segment that its journal uses again once its last reader has let go of it


cdef struct Ref:
    uint32_t refs                                  # atomic
    uint32_t kind                                  # atomic; REF_FAILED comes last (stores/guard.pxd)
    void (*free)(Ref* self) noexcept nogil         # called by whoever drops the last reference


cdef inline void ref_retain(Ref* ref) noexcept nogil:
    fetch_add_u32(&ref.refs, 1)


cdef inline void ref_release(Ref* ref) noexcept nogil:
    if fetch_sub_u32(&ref.refs, 1) == 1:
        ref.free(ref)


cdef inline bint ref_failed(const Ref* ref) noexcept nogil:
    return load_acquire_u32(&ref.kind) == REF_FAILED


# Whether what was read of the bytes until now was theirs; asked after the look at them.
cdef inline bint ref_holds(const Ref* ref) noexcept nogil:
    fence_acquire()
    return load_relaxed_u32(&ref.kind) != REF_FAILED


# A segment leaves its journal, and serves it again.
cdef inline void ref_retire(Ref* ref) noexcept nogil:
    cas_u32(&ref.kind, REF_MAPPED, REF_RETIRED)


cdef inline void ref_revive(Ref* ref) noexcept nogil:
    cas_u32(&ref.kind, REF_RETIRED, REF_MAPPED)


cdef inline bint ref_retired(const Ref* ref) noexcept nogil:
    return load_relaxed_u32(&ref.kind) == REF_RETIRED


# Nobody else holds a reference, and what others read of the bytes was read before now: they may be overwritten.
cdef inline bint ref_is_sole(const Ref* ref) noexcept nogil:
    return load_acquire_u32(&ref.refs) == 1


cdef struct Block:
    Ref ref
    uint32_t cap            # bytes usable in data
    uint32_t len            # bytes written so far, by the block's only writer
    uint32_t size_class
    uint32_t reserved
    Block* next             # free-list link
    # data follows the struct


cdef inline uint8_t* block_data(Block* block) noexcept nogil:
    return <uint8_t*>block + sizeof(Block)


# A block of at least `cap` bytes with one reference and len 0; NULL when memory is out. Takes from the calling
# thread's pool where the size class has one (512 B, 4 KiB, 16 KiB, 64 KiB, 256 KiB), else from malloc.
cdef Block* block_new(uint32_t cap) noexcept nogil

# Frees what the calling thread's pool keeps. A thread that used blocks calls it before it ends.
cdef void block_pool_drain() noexcept nogil

# Bytes kept by all pools and by live blocks, for /metrics (relaxed).
cdef uint64_t block_bytes_live() noexcept nogil
