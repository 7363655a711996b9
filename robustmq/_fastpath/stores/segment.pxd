"""Segments: equal stretches of memory that a journal is made of, mapped from files or anonymous.

    file     NNNNNNNNNNNNNNNN.journal (sequence, hexadecimal)
    header   magic "RMQJRNL1" | version u32 | nonce u32 | sequence u64 | segment bytes u64 | crc u32 | unsynced u32 | settled u32
             0                  8             12          16             24                  32        36             40

A retired segment's header is wiped first, so that no crash brings it back; once its last reader has let go of it it is
used again with a new sequence and nonce: its pages are warm.

Concurrency: `slots` is read by anyone inside a QSBR section (acquire); segments are added under the journal's roll_lock and
removed by the keeper. `free_list` is a lock-guarded stack, because the last reader may be any thread.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from robustmq._fastpath.atomic cimport load_acquire_ptr
from robustmq._fastpath.block cimport Ref
from robustmq._fastpath.platform cimport waker_t


cdef enum:
    SEGMENT_HEADER = 64
    SEGMENT_VERSION = 1
    SEGMENT_BYTES_MIN = 1 << 20
    SEGMENT_BYTES_MAX = 1 << 30


cdef struct Segment:
    Ref ref                     # one for the journal while it is listed, one per reader
    SegmentStore* store
    Segment* next               # free list
    uint8_t* base
    uint64_t sequence
    int64_t opened_ms           # wall time at which this life began, or recovery found it; written before it is listed
    uint64_t prefaulted         # bytes; keeper only
    uint32_t nonce
    int fd                      # -1: memory
    uint32_t fresh              # 1: blocks ahead of the tail were never written; keeper only
    void* guard                 # guard.pxd; NULL: memory


cdef struct SegmentStore:
    uint64_t size               # bytes per segment, a power of two
    uint32_t shift
    uint32_t memory
    Segment** slots             # by sequence & mask
    uint64_t mask
    uint32_t free_lock
    uint32_t pinned             # retired and still referenced; atomic
    uint32_t made               # segments in being; atomic
    uint32_t limit              # segments in being at most
    uint32_t enough             # listed and pinned above it: readers hold too much
    uint32_t choked             # 1: who lets go of a retired segment rings `bell`; atomic
    waker_t* bell
    Segment* free_list
    uint32_t* health            # of the journal, and how it is told that a segment has lost a page (guard.pxd): set before the
    void (*lost)(void* journal) noexcept nogil      # first segment is mapped; NULL: memory
    void* journal
    char directory[4096]


# `most` segments are the bound that is kept. Beyond it there is room for what readers pin (as much again), and for
# `slack_bytes`: what may still be appended between a press (journal_pressed) and the wait of the last who makes load.
cdef bint segments_init(SegmentStore* store, const char* directory, uint64_t size, uint64_t most, uint64_t slack_bytes,
                        bint memory) noexcept nogil
cdef void segment_destroy(Segment* segment) noexcept nogil      # unmap and close; nobody uses it any more
cdef void segments_close(SegmentStore* store) noexcept nogil

# A segment ready to be listed under `sequence`: recycled or new, header written and durable. NULL with errno.
cdef Segment* segment_prepare(SegmentStore* store, uint64_t sequence) noexcept nogil

# Map an existing file; one that was cut short behind its header gets zeros there. NULL with errno; EINVAL: not a segment of this
# version and size.
cdef Segment* segment_open(SegmentStore* store, const char* path) noexcept nogil

# A sync of the journal failed while this was the segment at its tail: what the page cache holds may not be on the disk. Said
# in the page cache, too: whoever opens the directory while that lives looks at the disk instead (files.py).
cdef void segment_mark_unsynced(Segment* segment) noexcept nogil

# All that stands in the segments before this one is on the disk; said when the first bytes of this one are about to be synced.
# A hole before a settled segment is damage; a hole behind the last one was never durable.
cdef void segment_settle(Segment* segment) noexcept nogil
cdef bint segment_is_settled(const Segment* segment) noexcept nogil

cdef void segment_list(SegmentStore* store, Segment* segment) noexcept nogil        # visible from now on
cdef bint segments_full(SegmentStore* store, uint64_t sequence) noexcept nogil      # no slot for `sequence` now

# Wipe the header (durably) and hide; readers may still hold it. False: the header could not be wiped.
cdef bint segment_unlist(SegmentStore* store, Segment* segment) noexcept nogil

# Keep one free segment, give the others back to the system (they were needed while readers pinned old ones).
cdef void segments_trim(SegmentStore* store) noexcept nogil

cdef inline Segment* segment_of(SegmentStore* store, uint64_t sequence) noexcept nogil:
    cdef Segment* segment = <Segment*>load_acquire_ptr(&store.slots[sequence & store.mask])
    return segment if segment != NULL and segment.sequence == sequence else NULL
