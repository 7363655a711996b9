"""Sessions whose next message is in the blob store or not in memory: each reactor has a list, and mail that lets them try
again.

A session is on the list of its home reactor while it is online and has to wait for its next message. Nobody knows for which
message the run was that has come: all of a reactor's sessions try again, and who still has to wait is on the list again.

The loader answers a reactor in the order in which it was asked, so a number tells whether a session's own load is back.

Concurrency: a list belongs to its reactor; stalled_wake is the control plane's.
"""
from libc.stdint cimport int64_t, uint64_t
from robustmq._fastpath.protocols.mqtt.session cimport Core, Session
from robustmq._fastpath.stores.partition cimport Partition


# `on_arrival` is called for each session that was on the list, after it has left it, on its reactor; it detaches none.
cdef void stalled_init(Core* core, void (*on_arrival)(Session* session, int64_t now_ns) noexcept nogil) noexcept nogil

cdef void stall(Session* session) noexcept nogil
# Whether the batch with `offset` has to come from the disk first: it has been asked for, and the session is to stall.
cdef bint stalled_on_disk(Session* session, Partition* partition, uint64_t offset) noexcept nogil

cdef void unstall(Session* session) noexcept nogil

# Something has come.
cdef void stalled_wake(Core* core) noexcept nogil
