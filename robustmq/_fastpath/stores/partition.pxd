"""A partition: offsets over a journal, and over the sealed files that took what has left it.

Appends are the only critical section of the publish path: under `lock` (tens of nanoseconds plus one memcpy, never a
system call) a batch gets its base offset, passes the producer's sequence check, goes to the journal, is indexed, and
`end` is published. Readers take no lock: they read `end` (acquire), look up the index inside a QSBR read section, and
walk entries.

    index: one item per batch still in the journal; nothing for an idle partition (index.pxd)
    runs:  what is sealed (runs.pxd). Sealing publishes runs first and takes the items out of the index afterwards, so a
           reader that does not find an offset in the index finds it in the runs

Push: whoever waits (a reactor's feed, a parked fetch) links a `Waiter`; an append posts its mail.
"""
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from robustmq._fastpath.mailbox cimport Mail, Mailbox
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.index cimport Index
from robustmq._fastpath.stores.journal cimport Entry, Journal
from robustmq._fastpath.stores.loader cimport Cold
from robustmq._fastpath.stores.producers cimport ProducerLast, Producers
from robustmq._fastpath.stores.runs cimport ReadSpan, Runs


cdef struct Waiter:
    Waiter* next            # partition's list; under Partition.lock
    Waiter* prev
    Mail* mail              # posted to `box` after each append (queued once)
    Mailbox* box
    uint32_t gone           # 1 (release): the stream was deleted and the waiter unlinked; the partition may be freed


cdef enum Cleanup:                      # cleanup.policy
    CLEANUP_DELETE = 1
    CLEANUP_COMPACT = 2


cdef struct Policy:                     # Kafka's topic configs; times in ms, sizes in bytes, -1: without bound
    int64_t retention_ms
    int64_t retention_bytes
    int64_t segment_bytes               # a sealed run is no longer than this, except by its last batch
    int64_t segment_ms                  # what is older leaves the journal
    int64_t min_compaction_lag_ms
    int64_t max_compaction_lag_ms
    int64_t delete_retention_ms
    double min_cleanable_dirty_ratio
    uint32_t cleanup                    # enum Cleanup
    uint32_t remote                     # 1: remote.storage.enable


cdef struct Partition:
    uint32_t lock
    uint32_t number                 # partition number in its topic
    uint64_t stream                 # journal stream id
    Journal* journal
    void* topic                     # Topic*, for whoever holds a partition
    uint64_t start                  # first offset still there; release by whoever retires
    uint64_t end                    # next offset; release under lock
    uint64_t last_position          # journal position after the last append; under lock
    uint64_t directory_position     # where its ENTRY_STREAM stands; under LogCore.streams_lock
    int64_t max_timestamp           # ms, of all batches so far; -1: none; under lock
    Index* index                    # readers: in a QSBR section
    Runs* runs                      # readers: in a QSBR section; changed under LogCore.runs_lock
    Policy* policy                  # NULL: the log's default; replaced (QSBR) under LogCore.streams_lock
    Producers* producers            # release under lock; NULL before the first idempotent batch, and when all its producers are forgotten
    Waiter* waiters                 # under lock
    uint32_t durability             # enum Durability
    uint32_t flags                  # PARTITION_DELETED; under lock
    uint64_t journal_from           # batches below it have left the journal; under lock
    uint64_t bytes                  # of batches from `start` on in the journal now; under lock


cdef enum:
    PARTITION_DELETED = 1


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


# Append one validated record batch v2 (batch.pxd: batch_validate came before). Its base offset and leader epoch are
# patched in the journal's copy; `batch` is not changed. Wakes the waiters. `flags` = EntryFlags, `origin` as in Entry.
#   DUPLICATE                    success: `result` holds the old offset, and when it may be acknowledged
#   OUT_OF_ORDER, STALE_EPOCH    of an idempotent producer (producers.pxd)
#   UNKNOWN_TOPIC                the stream was deleted
#   TOO_LARGE, STORE_FULL, STORE_FAILED, NO_MEMORY
cdef Status partition_append(Partition* partition, const uint8_t* batch, uint64_t n, uint16_t flags, uint64_t origin,
                             Appended* result) noexcept nogil

# The same with Entry.aux: of an idempotent producer's batch the wall time in ms, without which it is not known when that producer
# has been silent for too long; else packet identifiers that the batch opens in its publisher's session (sessions.pxd).
cdef Status partition_append_aux(Partition* partition, const uint8_t* batch, uint64_t n, uint16_t flags, uint64_t origin,
                                 uint64_t aux, Appended* result) noexcept nogil

# The readers below run inside a QSBR read section, and so long is what they put into a ReadSpan valid. Each may say
# ELSEWHERE: what it would read is in the blob store; it was asked for, and the waiters get mail when it is here.

# The entry whose batch contains `offset` (or the next one, where there is a hole). OUT_OF_RANGE below start or above end;
# STORE_FAILED: it stands in a segment of the journal that has lost pages (guard.pxd), and may be there after a restart.
# NEED_MORE at end, also when nothing is left from `offset` to there; CORRUPT: a sealed file is damaged there, span.base_offset is where reading can go on.
cdef Status partition_seek(Partition* partition, uint64_t offset, ReadSpan* span) noexcept nogil

# What of a sealed file reading `n` bytes from `offset` on will touch. False: none; it is in the journal, or elsewhere.
cdef bint partition_stretch(Partition* partition, uint64_t offset, uint64_t n, Cold* stretch) noexcept nogil

# Whether reading `n` bytes from `offset` on would have to wait for the disk; `cold` then says what to load (loader.pxd).
cdef bint partition_cold(Partition* partition, uint64_t offset, uint64_t n, Cold* cold) noexcept nogil

# The entry that follows `span` (in offset order); NEED_MORE at the published end; OUT_OF_RANGE when retired meanwhile;
# CORRUPT.
cdef Status partition_next(Partition* partition, ReadSpan* span) noexcept nogil

# First batch whose max timestamp is >= `timestamp_ms`; NEED_MORE when there is none; CORRUPT.
cdef Status partition_seek_time(Partition* partition, int64_t timestamp_ms, ReadSpan* span) noexcept nogil

# What is sealed of it now, NULL: nothing. Inside a QSBR section; it is replaced as a whole, so ask once.
cdef Runs* partition_runs(Partition* partition) noexcept nogil

# The entry that was appended at journal `position` (of this partition). OUT_OF_RANGE: it is not there any more.
cdef Status partition_at(Partition* partition, uint64_t position, ReadSpan* span) noexcept nogil

# Link; sees every later append. Deleting the stream unlinks each waiter under the lock, sets its `gone` and posts its
# mail, all before the partition is retired; a waiter that comes after that is `gone` at once.
cdef void partition_wait(Partition* partition, Waiter* waiter) noexcept nogil
cdef void partition_unwait(Partition* partition, Waiter* waiter) noexcept nogil     # unlink; its mail may still be queued

# Post every waiter's mail, as an append does: something can be read that could not.
cdef void partition_wake(Partition* partition) noexcept nogil

# For log, recovery and retirement. A partition with nothing in it, at offset `start`; NULL: memory is out.
cdef Partition* partition_new(Journal* journal, uint64_t stream, uint32_t number, uint32_t durability,
                              uint64_t start) noexcept nogil

# No more appends: lets go of the waiters. Then, after a grace period, partition_free.
cdef void partition_close(Partition* partition) noexcept nogil
cdef void partition_free(void* partition) noexcept nogil

# A batch that recovery found at `position`; offsets only grow, but what is sealed already may come again and counts only
# for its producer. False: it is not what may follow (base offset below the end), or memory is out.
cdef bint partition_recover(Partition* partition, const Entry* entry, uint64_t position) noexcept nogil

# Its segment is going. `lost`: the batch with it, the partition starts after it (the memory journal); else it is sealed or
# was trimmed.
cdef void partition_retire(Partition* partition, const Entry* entry, uint64_t position, bint lost) noexcept nogil

# Records below `offset` are no more: moves `start` (at most to `end`). True when it has moved; core_trim does the rest.
cdef bint partition_trim(Partition* partition, uint64_t offset) noexcept nogil

# Forget the producers that were silent for too long at wall time `now_ms`.
cdef void partition_expire_producers(Partition* partition, int64_t now_ms) noexcept nogil

# The last batches of the others, into room for PRODUCERS_MOST; how many.
cdef uint32_t partition_producers_last(Partition* partition, int64_t now_ms, ProducerLast* to) noexcept nogil

# What recovery found as theirs. False: it makes no sense, or memory is out.
cdef bint partition_load_producers(Partition* partition, const Entry* entry, uint64_t position) noexcept nogil

# Write the producers' state to the journal when what the journal says about them ends at or before `position`.
cdef Status partition_save_producers(Partition* partition, uint64_t position) noexcept nogil
