"""A partition's index over the journal: one item per batch that is still there, in offset order.

    directory  [chunk*, chunk*, chunk*]     chunks grow fourfold up to 512 items; an idle partition has none
    chunk      [base offset, last offset, position, max timestamp so far] ...

Concurrency: one writer under Partition.lock. Readers take no lock: inside a QSBR section they load the directory
(acquire), its count and a chunk's count (acquire); an item never changes once it is counted. What is replaced or dropped
is retired.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t


cdef struct IndexItem:
    uint64_t base_offset
    uint64_t last_offset
    uint64_t position
    int64_t max_timestamp           # ms; the highest of this and all earlier batches (so that a search by time is binary)


cdef struct IndexChunk:
    uint32_t cap
    uint32_t count                  # release
    # IndexItem[cap] follows


cdef struct Index:
    uint32_t cap
    uint32_t head                   # first chunk still there; release
    uint32_t count                  # chunks ever put here, head included; release
    uint32_t reserved
    # IndexChunk*[cap] follows


# Room for one more item; `index` is the address of the partition's pointer. False: memory is out, nothing changed.
cdef bint index_reserve(Index** index) noexcept nogil

# Append an item for which index_reserve made room.
cdef void index_push(Index** index, const IndexItem* item) noexcept nogil

# For who comes to many partitions: load the directory (step 0), its first and last chunk (1), the end of the last (2), each
# some time after the one before. Under Partition.lock, or alone.
cdef void index_prefetch(Index* index, uint32_t step) noexcept nogil

# Drop whole chunks whose items all lie before `position`; with the last of them the directory.
cdef void index_drop_before(Index** index, uint64_t position) noexcept nogil

# The first item with last_offset >= offset, or with max_timestamp >= timestamp; NULL when there is none.
cdef const IndexItem* index_find_offset(Index** index, uint64_t offset) noexcept nogil
cdef const IndexItem* index_find_time(Index** index, int64_t timestamp_ms) noexcept nogil

cdef void index_free(Index** index) noexcept nogil      # nobody reads any more
