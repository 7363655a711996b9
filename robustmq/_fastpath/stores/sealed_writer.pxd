"""One sealed file being written (sealed.pxd): records stream by stream, then its directory; synced, renamed, mapped.

    writer_open, then for each run writer_begin_run, writer_put ..., writer_end_run; then writer_finish
    or at any time writer_abandon: nothing is left of it

Every failure is the disk's or memory's: STORE_FULL, STORE_FAILED, NO_MEMORY; the writer is abandoned by its owner then.
A failed write or sync is never tried again. Owner: one thread.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.journal cimport Entry
from robustmq._fastpath.stores.sealed cimport SealedFile, SealedIndexRow, SealedRow, SealedStore


cdef struct Writer:
    SealedStore* store
    uint8_t* buffer
    uint32_t buffered
    int fd
    uint64_t id
    uint64_t at                         # bytes of records so far, header included
    uint64_t written_back
    uint64_t indexed_at                 # byte of the run's last index row, or its first record
    SealedRow* rows
    uint64_t row_count, row_cap
    SealedIndexRow* index               # of all runs; a row's index_at counts rows until writer_finish
    uint64_t index_count, index_cap
    bint packed                         # several streams share it
    # Called after each write of WRITER_CHUNK bytes: where a background writer gives way.
    void (*pause)(void* context, uint64_t bytes) noexcept nogil
    void* context


cdef enum:
    WRITER_CHUNK = 1 << 20


cdef Status writer_open(Writer* writer, SealedStore* store) noexcept nogil

cdef Status writer_begin_run(Writer* writer, uint64_t stream, uint64_t base_offset, uint64_t cleaned_at) noexcept nogil

# The next batch of the run, appended at journal `position`; copied.
cdef Status writer_put(Writer* writer, const Entry* entry, uint64_t position) noexcept nogil

# The run stands for all offsets below `end_offset`.
cdef void writer_end_run(Writer* writer, uint64_t end_offset) noexcept nogil

# A row without records, of a run that is in the blob store.
cdef Status writer_put_row(Writer* writer, const SealedRow* row) noexcept nogil

# Durable under its final name. `*file` has one reference, the store's, and one use, the caller's: it publishes the rows to
# their partitions, then sealed_drop.
cdef Status writer_finish(Writer* writer, SealedFile** file) noexcept nogil

cdef void writer_abandon(Writer* writer) noexcept nogil
