"""Python's handle of the exchange: who subscribes to what."""
from libc.stdint cimport uint32_t, uint64_t
from robustmq._fastpath.broker.index cimport Sub
from robustmq._fastpath.broker.inflate cimport Inflater
from robustmq._fastpath.broker.routes cimport Consumer
from robustmq._fastpath.broker.routes cimport Exchange as Core
from robustmq._fastpath.broker.shared cimport Group


cdef class Exchange:
    cdef Core core
    cdef readonly object topics
    cdef Inflater inflater
    cdef dict groups                # (group, filter) -> address of a Group
    cdef uint64_t members           # of all groups

    cdef uint64_t delivered(self)
    cdef bint run_mail(self)
    cdef Group* group_at(self, tuple key)
    cdef bint join(self, tuple key, const Sub* sub, uint32_t most) except -1
    cdef Group* group_made(self, tuple key, uint32_t reactor) except NULL
    cdef bint leave(self, tuple key, Consumer* consumer) except -1
    cdef end_if_empty(self, tuple key, Group* group)
