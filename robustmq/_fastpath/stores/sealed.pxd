"""Sealed files: immutable, mapped homes of what has left the journal (docs/formats/sealed.md).

    file        header | records | sparse indexes | directory | footer
    record      position u64 | crc u32 | 0 u32 | Entry, as it stood in the journal at `position`        8-byte boundaries
                crc = CRC32C of the position and the Entry's own crc, which covers the rest
    run         records of one stream in offset order; a directory row tells its offsets, bytes, times and index
    index       a row per INDEX_EVERY bytes of a run; a run below that has none

A file is written beside its final name, synced, then renamed: a name ending in .sealed is a whole file. Records prove
themselves by their crc, each time they are read; what stands in an index is believed only when the record it leads to
does. A directory that does not prove itself is made again from the records. Of the directory there is a copy in memory: it is
believed for ever. A file that has lost a page (guard.pxd) has no record any more that proves itself.

Concurrency: a file never changes. `ref`: one for the store while it is listed, one per reader beyond a QSBR section. `live`
is atomic; whoever takes it to zero puts the file on the store's list of doomed files, which the sealer deletes.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from robustmq._fastpath.atomic cimport load_relaxed_u32
from robustmq._fastpath.block cimport Ref
from robustmq._fastpath.mailbox cimport Mail, Mailbox
from robustmq._fastpath.platform cimport waker_t
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.journal cimport Entry, entry_length, entry_stride
from robustmq._fastpath.stores.loader cimport Cold, Loader


cdef enum:
    SEALED_HEADER = 64
    SEALED_FOOTER = 64
    SEALED_VERSION = 1
    SEALED_PREFIX = 16                  # bytes of a record before its Entry
    INDEX_EVERY = 32 << 10


cdef struct SealedRow:                  # of the directory, as in the file
    uint64_t stream
    uint64_t base_offset
    uint64_t end_offset                 # the run stands for [base_offset, end_offset), also for what it left out
    uint64_t at                         # first byte of its records
    uint64_t bytes                      # of its records
    uint64_t index_at                   # first byte of its index
    uint32_t index_rows
    uint32_t batches
    int64_t max_timestamp               # ms; -1: it holds nothing
    uint64_t first_position
    uint64_t last_position
    uint64_t cleaned_at                 # ms; 0: as it was appended, else when the cleaner wrote it


cdef struct SealedIndexRow:
    uint64_t base_offset
    uint64_t position
    int64_t max_timestamp               # ms; the highest of the run up to and without this record
    uint64_t at


# The row of a run whose records are in the blob store, in the file that was uploaded: `at` is 0, `index_at` that file's id.
cdef inline bint row_elsewhere(const SealedRow* row) noexcept nogil:
    return row.at == 0


cdef struct SealedFile:
    Ref ref
    SealedStore* store
    SealedFile* next                    # in the store's doomed list
    uint8_t* base
    uint64_t size
    SealedRow* rows                     # on the heap
    void* guard                         # guard.pxd
    uint64_t id
    uint32_t row_count
    uint32_t live                       # rows that a partition uses; atomic
    uint32_t look                       # merge_plan.pyx's, as what follows: SealedStore.looks when it was looked at
    uint32_t stays                      # 1: it is as the blob store has it
    uint32_t moves                      # 1: its runs are to be written again
    uint64_t kept                       # bytes of it that are needed
    int64_t* oldest                     # cleaner.pyx's: the oldest time of each row, 0 until it is asked for; NULL: of none


cdef struct SealedCounters:             # each has one writer at a time
    uint64_t files                      # in being; atomic
    uint64_t file_bytes                 # in being; atomic
    uint64_t written                    # bytes, since start; sealer and cleaner, atomic
    uint64_t deleted                    # files, since start; sealer
    uint64_t merges                     # files, since start; merge.pyx, as what follows
    uint64_t merged_bytes               # of runs in them
    uint64_t corrupt                    # records that did not prove themselves when they were read; atomic
    uint64_t lost                       # times that files were found to have lost pages while they were read; atomic


cdef enum:
    SEALED_WANTS = 64                   # a run that is asked for beyond them is asked for again when it is read again


cdef struct SealedWant:                 # a run that somebody wants to read, and that is in the blob store
    uint64_t stream
    uint64_t base_offset


cdef struct SealedStore:
    uint64_t next_id                    # atomic
    uint32_t doomed_lock
    SealedFile* doomed                  # under doomed_lock
    uint32_t looks                      # of merge_plan.pyx
    waker_t* bell                       # of whoever deletes
    SealedCounters counters
    Loader loader
    uint32_t wants_lock
    uint32_t want_count                 # under wants_lock, as what follows
    SealedWant wants[SEALED_WANTS]
    Mailbox* wants_box                  # of who brings runs back; NULL: nobody does
    Mail* wants_mail
    char directory[4096]


# The record at byte `at` of a file as an entry of `stream`, when one that proves itself stands there within `end`; else NULL.
cdef const Entry* sealed_record(SealedFile* file, uint64_t at, uint64_t end, uint64_t stream) noexcept nogil

# Bytes that an entry takes in a file, and its prefix.
cdef inline uint64_t record_span(const Entry* entry) noexcept nogil:
    return SEALED_PREFIX + entry_stride(entry_length(entry))

cdef void record_prefix(uint8_t* to, uint64_t position, const Entry* entry) noexcept nogil

cdef inline uint64_t record_position(const Entry* entry) noexcept nogil:
    return (<const uint64_t*>(<const char*>entry - SEALED_PREFIX))[0]

# [at, at + n) of a file as the loader wants to hear of it. False: there is nothing to load there.
cdef bint sealed_stretch(SealedFile* file, uint64_t at, uint64_t n, Cold* stretch) noexcept nogil

# Bring [at, at + n) of a file into memory, for who is about to touch all of it and may wait: a page that the disk cannot give
# must not be touched. 0, or errno; then the file has failed (ref_failed).
cdef int sealed_load(SealedFile* file, uint64_t at, uint64_t n) noexcept nogil

# Where a record at or before `offset` should begin, by the index alone: no record is touched.
cdef uint64_t sealed_guess(SealedFile* file, const SealedRow* row, uint64_t offset) noexcept nogil

# Where in a run to begin, by offset, by position or by time: the byte of a record at or before the first that may match.
cdef uint64_t sealed_near_offset(SealedFile* file, const SealedRow* row, uint64_t offset) noexcept nogil
cdef uint64_t sealed_near_position(SealedFile* file, const SealedRow* row, uint64_t position) noexcept nogil
cdef uint64_t sealed_near_time(SealedFile* file, const SealedRow* row, int64_t timestamp_ms) noexcept nogil

# The first byte behind `at` to which the index leads and where a record proves itself; else the end of the run.
cdef uint64_t sealed_resume(SealedFile* file, const SealedRow* row, uint64_t at) noexcept nogil

cdef inline uint32_t sealed_live(const SealedFile* file) noexcept nogil:
    return load_relaxed_u32(&file.live)

cdef void sealed_use(SealedFile* file) noexcept nogil           # one row more is in use
cdef void sealed_drop(SealedFile* file) noexcept nogil          # one less; the last dooms the file

# Map a file by path. `*damage`: NULL, or what was wrong with its directory (rows were made again from the records; a
# static sentence). NULL with errno; EPROTO: a version that this broker does not read, EINVAL: not such a file at all.
cdef SealedFile* sealed_open(SealedStore* store, const char* path, const char** damage) noexcept nogil

# Header and footer, for whoever writes a file.
cdef void sealed_head(uint8_t* to, uint64_t id) noexcept nogil
cdef void sealed_foot(uint8_t* to, uint64_t id, uint64_t directory_at, const SealedRow* rows, uint64_t count) noexcept nogil

cdef void sealed_path(SealedStore* store, uint64_t id, const char* suffix, char* path, size_t room) noexcept nogil
# Ask for a run that is in the blob store (remote.pyx). Any thread.
cdef void sealed_want(SealedStore* store, const SealedRow* row) noexcept nogil

cdef bint sealed_init(SealedStore* store, const char* directory, waker_t* bell) noexcept nogil

# The files that nothing uses, and the end of them: unmapped, and with `forever` deleted from the disk. Burying may block, outside
# QSBR sections.
cdef SealedFile* sealed_take_doomed(SealedStore* store) noexcept nogil
cdef void sealed_bury(SealedStore* store, SealedFile* doomed, bint forever) noexcept nogil
