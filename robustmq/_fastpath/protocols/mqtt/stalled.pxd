"""Sessions whose next message is in the blob store: each reactor has a list, and mail that lets them try again.

A session is on the list of its home reactor while it is online and has found its next message elsewhere. Nobody knows for which
message the run was that has come: all of a reactor's sessions try again, and who still has to wait is on the list again.

Concurrency: a list belongs to its reactor; stalled_wake is the control plane's.
"""
from libc.stdint cimport int64_t
from robustmq._fastpath.protocols.mqtt.session cimport Core, Session


# `on_arrival` is called for each session that was on the list, after it has left it, on its reactor; it detaches none.
cdef void stalled_init(Core* core, void (*on_arrival)(Session* session, int64_t now_ns) noexcept nogil) noexcept nogil

cdef void stall(Session* session) noexcept nogil
cdef void unstall(Session* session) noexcept nogil

# Something has come.
cdef void stalled_wake(Core* core) noexcept nogil
