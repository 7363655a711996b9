"""Requests: patched in place, written. Nothing of a request is patched before all of the one before it is written.

Owner: the thread in `run_load`.
"""
from robustmq.bench.kafka_load cimport Load, Peer


# Write what is left of the request; True: all is written.
cdef bint flush(Load* l, Peer* p) noexcept nogil

# One Produce. False: nothing may be sent now.
cdef bint produce(Load* l, Peer* p) noexcept nogil

# The Fetch from `p.offset` on, unless one is under way. False: it is, or the last request is not written yet.
cdef bint fetch(Load* l, Peer* p) noexcept nogil
