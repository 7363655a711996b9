"""A log's numbers as Python sees them: each is read on its own, while its owner goes on counting."""
from libc.stdint cimport uint64_t
from robustmq._fastpath.stores.core cimport LogCore


cdef dict log_stats(LogCore* core)

# How often a sealed file turned out to have lost pages; not with a memory-only log.
cdef uint64_t log_unreadable(LogCore* core) noexcept nogil
