"""Which messages a durable subscriber took before the broker died: asked while the log is delivered again at start.

A message is (subscriber, stream, offset of its record in the stream): compression, folding and sharing do not change it. A
subscriber is a consumer's number, or the key of a shared group, whose members take each message once between them.

Concurrency: built by one thread before the reactors start; never changed from then on. It is freed when the last feed has
delivered what it should, which takes as long as the blob store needs for what is there.
"""
from libc.stdint cimport uint64_t


cdef struct SeenItem:
    uint64_t subscriber             # 0: vacant
    uint64_t stream
    uint64_t offset


cdef struct Seen:
    uint64_t count
    uint64_t mask
    SeenItem* items                 # mask + 1 of them


cdef Seen* seen_new() noexcept nogil                    # NULL: memory is out
cdef void seen_free(Seen* seen) noexcept nogil          # NULL is nothing
cdef bint seen_add(Seen* seen, uint64_t subscriber, uint64_t stream, uint64_t offset) noexcept nogil   # False: no memory
# False also without `seen`.
cdef bint seen_has(const Seen* seen, uint64_t subscriber, uint64_t stream, uint64_t offset) noexcept nogil
