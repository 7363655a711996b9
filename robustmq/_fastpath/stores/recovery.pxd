"""Rebuild streams, offsets, producers and the state table from the segments of a data directory: first those of the state
log, which are older than all that the journal still has, then the journal's.

    what stands there                              what becomes of it
    a whole entry                                  applied, in order
    reserved, or its crc does not match            a pad; counted in `dropped`
    no mark of this life, in the newest segment    the tail: what follows is zeroed, appends go on here
    the same in an older segment                   the rest of it is one pad; reported
    a batch after a hole of its stream             no settled segment (segment.pxd) behind the hole: a pad, it was never
                                                   durable and the batches before it may come again; else kept, counted
                                                   in `gaps`
    a batch below the end of its stream's sealed   already sealed: counts for its producer only
    runs
    a batch before the (carried) directory entry   its stream is made when the entry comes; else `orphans`
    none of the journal's segments, but others     the tail is above every position that these name
    a file that was cut short                      as above: zeros stand behind the cut; reported
    a file with a header of zeros                  removed: a segment on its way to a new life
    a file with a header that is not right         renamed to .damaged; reported

Everything that is kept is on disk when recover() returns. A thread goes ahead of the one that applies entries (prover.pxd).
"""
from libc.stdint cimport uint64_t
from robustmq._fastpath.stores.core cimport LogCore
from robustmq._fastpath.stores.journal cimport Journal


# The directories of the sealed files, by id: runs and ends of streams. Before recover(). LogError as there, also for a format
# that this version does not read.
cdef load_sealed(LogCore* core, Journal* journal, list files, dict report)

cdef struct Tails:                      # for journal_begin, 0: nothing was there
    uint64_t journal
    uint64_t state_log


# Both lists are paths in order of sequence; `report` gets numbers and `notes`, a list of sentences. LogError when the disk
# cannot be read or written.
cdef recover(LogCore* core, list files, list state_files, dict report, Tails* tails)
