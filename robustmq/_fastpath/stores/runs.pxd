"""What a partition has in sealed files: its runs in offset order, and reading from them.

    Runs   count | SealedRun[count]          replaced as a whole, never changed

Concurrency: writers hold LogCore.runs_lock; readers load the pointer (acquire) inside a QSBR section. A run that is
added takes the place of those whose offsets it covers: so the cleaner's work appears in one step. Each run counts as a use of
its file.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from robustmq._fastpath.block cimport Ref
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.journal cimport Entry
from robustmq._fastpath.stores.loader cimport Cold
from robustmq._fastpath.stores.sealed cimport SealedFile, SealedRow


cdef struct ReadSpan:
    const Entry* entry              # first entry, whose batch contains `offset`
    Ref* ref                        # of what holds the entry; ref_retain to keep pointers into it past the read section
    uint64_t position               # in the partition's journal, for ever
    uint64_t base_offset
    SealedFile* file                # NULL: the entry lies in the journal
    uint64_t next_at                # in a sealed file: byte of the next record, when below run_end
    uint64_t run_end


cdef struct SealedRun:
    SealedFile* file
    const SealedRow* row


cdef struct Runs:
    uint32_t count
    uint32_t reserved
    # SealedRun[count] follows


cdef inline SealedRun* runs_all(Runs* runs) noexcept nogil:
    return <SealedRun*>(<char*>runs + sizeof(Runs))


# First offset behind all runs; 0 without any.
cdef inline uint64_t runs_end(Runs* runs) noexcept nogil:
    return runs_all(runs)[runs.count - 1].row.end_offset if runs != NULL else 0


cdef bint runs_add(Runs** runs, SealedFile* file, const SealedRow* row) noexcept nogil      # False: memory is out
cdef bint runs_drop_before(Runs** runs, uint64_t offset) noexcept nogil     # those that end at or before it; False: memory
cdef void runs_free(Runs* runs) noexcept nogil                              # nobody reads any more
cdef uint64_t runs_bytes(Runs* runs) noexcept nogil
cdef uint32_t runs_from(Runs* runs, uint64_t offset) noexcept nogil         # the first with end_offset > offset; else count

# The record that holds `offset`, or the first after it. NEED_MORE: the runs end before. CORRUPT: what should be there does
# not prove itself; span.base_offset is the offset at which reading can go on. ELSEWHERE: it is in the blob store; it was
# asked for, and the partition's waiters get mail when it is here; span.base_offset is the end of what is not here,
# span.position where the last of it stood.
cdef Status runs_seek(Runs* runs, uint64_t offset, ReadSpan* span) noexcept nogil

# What runs_seek is about to touch, about `n` bytes of records from `offset` on. False: nothing on this disk.
cdef bint runs_stretch(Runs* runs, uint64_t offset, uint64_t n, Cold* stretch) noexcept nogil

# The record behind `span` in its run; NEED_MORE at the end of the run, CORRUPT.
cdef Status run_next(ReadSpan* span) noexcept nogil

# The record that was appended at journal `position`; NEED_MORE: there is none; ELSEWHERE.
cdef Status runs_at(Runs* runs, uint64_t position, ReadSpan* span) noexcept nogil

# The first record whose batch's max timestamp is >= `timestamp_ms` and that ends at or after `offset`; NEED_MORE, CORRUPT,
# ELSEWHERE.
cdef Status runs_seek_time(Runs* runs, int64_t timestamp_ms, uint64_t offset, ReadSpan* span) noexcept nogil
