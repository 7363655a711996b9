"""Small sealed files and runs become larger ones (merge_plan.pxd says which), a file of about a journal segment at a time.

Records stay what they are, at their positions. A file that is written is published as the sealer's are, in one step for all
readers; a crash before that leaves the old ones, and a restart follows file ids: who else replaces runs waits its turn.
A run with a record that does not prove itself stays as it is.

Writing gives way (`bytes_per_s`). One thread at a time; `stop` may come from another.
"""
from libc.stdint cimport uint64_t
from robustmq._fastpath.stores.log cimport Log
from robustmq._fastpath.stores.merge_plan cimport Plan
from robustmq._fastpath.stores.pace cimport Pace
from robustmq._fastpath.stores.runs cimport SealedRun


cdef struct Merging:
    Plan plan
    uint64_t next                       # stretch
    SealedRun* sources                  # of one stretch, with a reference on each one's file
    uint64_t source_count, source_cap
    Pace pace
    uint64_t written
    int slot                            # QSBR


cdef class Merge:
    cdef readonly Log log
    cdef Merging state
