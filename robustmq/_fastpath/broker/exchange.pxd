"""Python's handle of the exchange: who subscribes to what."""
from libc.stdint cimport uint64_t
from robustmq._fastpath.broker.inflate cimport Inflater
from robustmq._fastpath.broker.routes cimport Exchange as Core
from robustmq._fastpath.broker.shared cimport Group


cdef class Exchange:
    cdef Core core
    cdef readonly object topics
    cdef Inflater inflater
    cdef dict groups                # (group, filter) -> address of a Group
    cdef dict group_keys            # Group.key -> the same

    cdef uint64_t delivered(self)
    cdef bint run_mail(self)
    cdef void changed(self)
    cdef Group* group_at(self, tuple key)
