"""A Fetch of what lies on the disk only: the loader brings it into memory, meanwhile the connection is parked.

Each partition of the plan whose next records are not in memory gets one load; when all have come the Fetch goes on, and
what it reads then is served even if it has gone cold again. What follows a window that is served is read ahead.
"""
from libc.stdint cimport uint64_t
from robustmq._fastpath.protocols.kafka.state cimport Session, Want


# Ask for what the plan's partitions have cold; the number of loads under way. `session.loading` counts them; the last one to
# come calls fetch_loaded (fetch.pxd) or, when the connection has closed, frees the session.
cdef uint64_t warm_ask(Session* session) noexcept nogil

# Read ahead of what was just served to `want`, from `next_offset` on. False: it is in memory.
cdef bint warm_ahead(const Want* want, uint64_t next_offset) noexcept nogil
