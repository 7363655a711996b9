"""A partition: offsets over a journal.

Appends are the only critical section of the publish path: under `lock` (tens of nanoseconds plus one memcpy, never a
system call) a batch gets its base offset, passes the producer's sequence check, goes to the journal, is indexed, and
`end` is published. Readers take no lock: they read `end` (acquire), look up the index inside a QSBR read section, and
walk entries.

    index: a list of chunks of (base offset, last offset, journal position, max timestamp), one item per batch still in
           the journal; nothing for an idle partition.

Push: whoever waits (a reactor's feed, a parked fetch) links a `Waiter`; an append posts its mail.
"""
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from robustmq._fastpath.mailbox cimport Mail, Mailbox
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.journal cimport Entry, Journal


cdef struct Waiter:
    Waiter* next            # partition's list; under Partition.lock
    Waiter* prev
    Mail* mail              # posted to `box` after each append (queued once)
    Mailbox* box
    uint32_t gone           # 1 (release): the stream was deleted and the waiter unlinked; the partition may be freed


cdef struct Producers       # private: stores/producers.pyx; NULL until the first idempotent batch
cdef struct IndexChunk      # private: stores/partition.pyx


cdef struct Partition:
    uint32_t lock
    uint32_t number                 # partition number in its topic
    uint64_t stream                 # journal stream id
    Journal* journal
    void* topic                     # Topic*, for whoever holds a partition
    uint64_t start                  # first offset still there; release by whoever retires
    uint64_t end                    # next offset; release under lock
    uint64_t last_position          # journal position after the last append; under lock
    int64_t max_timestamp           # ms; under lock
    IndexChunk* first               # readers: acquire, in a QSBR section
    IndexChunk* last                # under lock
    Producers* producers            # under lock
    Waiter* waiters                 # under lock
    uint32_t durability             # enum Durability
    uint32_t flags
    uint64_t bytes                  # in the journal now; under lock


cdef enum Durability:
    DURABLE_MEMORY = 0
    DURABLE_PROCESS = 1
    DURABLE_DISK = 2


cdef struct Appended:
    uint64_t base_offset
    uint64_t position               # where the entry stands
    uint64_t durable_at             # acknowledge when journal_durable() >= this; 0: the promise holds already
    uint64_t log_start
    int64_t append_time_ms          # -1 with CreateTime


cdef struct ReadSpan:
    const Entry* entry              # first entry, whose batch contains `offset`
    uint64_t position
    uint64_t base_offset


# Append one validated record batch v2 (batch.pxd: batch_validate came before). Its base offset and leader epoch are
# patched in the journal's copy; `batch` is not changed. Wakes the waiters. DUPLICATE fills `result` with the old offset.
# `flags` = EntryFlags, `origin` as in Entry.
cdef Status partition_append(Partition* partition, const uint8_t* batch, uint64_t n, uint16_t flags, uint64_t origin,
                             Appended* result) noexcept nogil

# The entry whose batch contains `offset`. OUT_OF_RANGE below start or above end; NEED_MORE at end.
cdef Status partition_seek(Partition* partition, uint64_t offset, ReadSpan* span) noexcept nogil

# The entry that follows `span` (in offset order); NEED_MORE at the published end; OUT_OF_RANGE when retired meanwhile.
cdef Status partition_next(Partition* partition, ReadSpan* span) noexcept nogil

# First batch whose max timestamp is >= `timestamp_ms`: its base offset and position; NEED_MORE when there is none.
cdef Status partition_seek_time(Partition* partition, int64_t timestamp_ms, ReadSpan* span) noexcept nogil

# Link; sees every later append. Deleting the stream unlinks each waiter under the lock, sets its `gone` and posts its
# mail, all before the partition is retired; a waiter that comes after that is `gone` at once.
cdef void partition_wait(Partition* partition, Waiter* waiter) noexcept nogil
cdef void partition_unwait(Partition* partition, Waiter* waiter) noexcept nogil     # unlink; its mail may still be queued
