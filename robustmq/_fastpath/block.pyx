"""Blocks and the per-thread pools they come from."""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from robustmq._fastpath.atomic cimport fetch_add_u64, load_relaxed_u64


cdef extern from "block_pool.h" nogil:
    enum:
        BLOCK_CLASSES
        BLOCK_POOLED

    struct block_pool_struct "block_pool":
        void* free[5]
        uint32_t kept[5]

    block_pool_struct* block_pool()


cdef enum:
    KEPT_BYTES = 2 << 20                # of free blocks, per class and thread


cdef uint64_t bytes_live = 0            # atomic; changes only when a block comes from malloc or goes back


# 512 B, 4 KiB, 16 KiB, 64 KiB, 256 KiB
cdef inline uint32_t cap_of(uint32_t size_class) noexcept nogil:
    return 512 if size_class == 0 else 1024 << 2 * size_class


cdef inline uint32_t class_of(uint32_t cap) noexcept nogil:
    cdef uint32_t size_class = 0
    while size_class < BLOCK_CLASSES and cap > cap_of(size_class):
        size_class += 1
    return size_class


cdef Block* block_new(uint32_t cap) noexcept nogil:
    cdef uint32_t size_class = class_of(cap)
    cdef block_pool_struct* pool
    cdef Block* block
    if size_class < BLOCK_CLASSES:
        pool = block_pool()
        cap = cap_of(size_class)
        block = <Block*>pool.free[size_class]
        if block != NULL:
            pool.free[size_class] = block.next
            pool.kept[size_class] -= 1
            block.ref.refs = 1
            block.len = 0
            block.next = NULL
            return block
    block = <Block*>malloc(sizeof(Block) + <size_t>cap)
    if block == NULL:
        return NULL
    fetch_add_u64(&bytes_live, sizeof(Block) + <uint64_t>cap)
    block.ref.refs = 1
    block.ref.kind = REF_BLOCK
    block.ref.free = block_recycle
    block.cap = cap
    block.len = 0
    block.size_class = size_class
    block.reserved = 0
    block.next = NULL
    return block


cdef void block_free(Block* block) noexcept nogil:
    fetch_add_u64(&bytes_live, -(sizeof(Block) + <uint64_t>block.cap))
    free(block)


# The last reference is gone: into this thread's pool, or back to malloc.
cdef void block_recycle(Ref* ref) noexcept nogil:
    cdef Block* block = <Block*>ref
    cdef uint32_t size_class = block.size_class
    cdef block_pool_struct* pool
    if BLOCK_POOLED and size_class < BLOCK_CLASSES:
        pool = block_pool()
        if pool.kept[size_class] < <uint32_t>KEPT_BYTES // block.cap:
            block.next = <Block*>pool.free[size_class]
            pool.free[size_class] = block
            pool.kept[size_class] += 1
            return
    block_free(block)


cdef void block_pool_drain() noexcept nogil:
    cdef block_pool_struct* pool = block_pool()
    cdef Block* block
    cdef uint32_t size_class
    for size_class in range(BLOCK_CLASSES):
        while pool.free[size_class] != NULL:
            block = <Block*>pool.free[size_class]
            pool.free[size_class] = block.next
            block_free(block)
        pool.kept[size_class] = 0


cdef uint64_t block_bytes_live() noexcept nogil:
    return load_relaxed_u64(&bytes_live)
