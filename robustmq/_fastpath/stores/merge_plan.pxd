"""What is worth writing again of the sealed files, so that neither their number nor that of a stream's runs grows with the
number of segments that were sealed.

    small      less than an eighth of a journal segment
    stretch    the longest row of a stream's small runs, eight or more up to the newest, none of which is more than a
               quarter of the whole: they become one run. The same rule picks small files, whose runs move into one.
    moves      the runs of shared files that are kept for less than half of what is in them; what is left in a file of
               one stream will go soon, too

A quarter: so a run that is written again ends in one of four times its size at least, and n equal runs are written about
log4(n / 8) + 1 times. Of runs that do not qualify there are less than 8 + log4/3(largest / smallest).

Runs stay apart that segment.bytes or segment.ms keep apart in Kafka, or that are more than an eighth of what retention
keeps, and cleaned runs from others. Runs in files of topics
that are tiered stay as they are: the blob store has copies of those files.

Owner: one thread; appends, reads and retention go on meanwhile, so a stretch is looked at again before it is written.
"""
from libc.stdint cimport uint64_t
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.core cimport LogCore
from robustmq._fastpath.stores.partition cimport Policy
from robustmq._fastpath.stores.sealed cimport SealedFile, SealedRow


cdef enum:
    STRETCH_LEAST = 8
    SMALL_SHARE = 8                     # of a segment


cdef struct Stretch:                    # runs of a stream that become one
    uint64_t stream
    uint64_t base_offset
    uint64_t end_offset


cdef struct Plan:
    LogCore* core
    Stretch* stretches                  # by stream and offset
    uint64_t count, cap
    SealedFile** files                  # all in use, with a reference each
    uint64_t file_count, file_cap
    uint64_t small


# Whether a run may become one with the next; `newest` is the last that would be in it.
cdef bint rows_join(const Policy* policy, const SealedRow* row, const SealedRow* newest) noexcept nogil

# Look through the write-ahead log. NO_MEMORY. `slot` is the caller's in QSBR, offline.
cdef Status plan_make(Plan* plan, LogCore* core, int slot) noexcept nogil
cdef void plan_free(Plan* plan) noexcept nogil
