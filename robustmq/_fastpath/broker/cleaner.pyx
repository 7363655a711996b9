"""Compaction (Kafka's log cleaner, KIP-58, KIP-354): of a compacted stream's sealed records the latest of each key stay.

    keys     16-byte hash of a key -> its latest offset, over the dirty runs (never compacted), at most `max_keys` of them
    clean    every run before the end of what was mapped is written again without the records that a later one supersedes

What does not fit waits: the run in which the map is full, and those behind it, are dirty still. The first dirty run always
fits: when it has more keys, those with the lowest hashes are cleaned first, then the next, each time of all runs, and it is
marked as cleaned with the last of them.

Offsets stay. A tombstone goes when its run was first cleaned delete.retention.ms ago; the last batch of a producer that the
partition knows (producer.id.expiration.ms) stays, empty if need be; records without a key stay. The new runs stand for the same offsets as the old and take
their place when the file is published: a crash before that leaves the old.

Runs on a thread of the control plane, whose others have the GIL between batches and now and then within. One thread cleans a log.
"""
import os

import xxhash

from libc.stdint cimport INT64_MAX, UINT64_MAX, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from robustmq._fastpath.batch cimport (
    ATTRIBUTE_LOG_APPEND_TIME, RecordView, batch_attributes, batch_base_timestamp, batch_max_timestamp, batch_producer_id,
)
from robustmq._fastpath.block cimport ref_holds, ref_release, ref_retain
from robustmq._fastpath.broker.sieve cimport Sieve, sieve_open
from robustmq._fastpath.qsbr cimport qsbr_offline, qsbr_register, qsbr_unregister
from robustmq._fastpath.status cimport OK, Status
from robustmq._fastpath.stores.core cimport core_find, core_policy, core_publish
from robustmq._fastpath.stores.journal cimport Entry, entry_body
from robustmq._fastpath.stores.loader cimport LOAD_WINDOW
from robustmq._fastpath.stores.log cimport Log
from robustmq._fastpath.stores.pace cimport Pace, pace_free, pace_give_way, pace_init, pace_stop
from robustmq._fastpath.stores.partition cimport (
    CLEANUP_COMPACT, Partition, Policy, partition_producers_last, partition_runs,
)
from robustmq._fastpath.stores.producers cimport PRODUCERS_MOST, ProducerLast
from robustmq._fastpath.stores.runs cimport Runs, SealedRun, runs_all
from robustmq._fastpath.stores.sealed cimport (
    SEALED_PREFIX, SealedFile, record_position, record_span, row_elsewhere, sealed_drop, sealed_load, sealed_record,
)
from robustmq._fastpath.stores.sealed_writer cimport (
    Writer, writer_abandon, writer_begin_run, writer_end_run, writer_finish, writer_open, writer_put,
)

from robustmq._fastpath.stores.files import LogError


cdef class Limit:
    """How many bytes per second may be read and written (0: any number). `stop`: a wait ends, and nobody waits again; any thread."""
    cdef Pace pace

    def __cinit__(self, uint64_t bytes_per_s=0):
        pace_init(&self.pace, bytes_per_s)

    def stop(self):
        pace_stop(&self.pace)

    def __dealloc__(self):
        pace_free(&self.pace)


cdef class Cleaning:
    """One pass over one stream: its runs, held for as long as this lives."""
    cdef Log log
    cdef uint64_t stream
    cdef int64_t now_ms
    cdef Policy policy
    cdef SealedRun* runs
    cdef uint32_t count                 # runs held
    cdef uint32_t end                   # runs before it are mapped, and cleaned
    cdef dict keys                      # hash -> latest offset
    cdef uint64_t low, high             # only of keys with hashes from low to high, both included
    cdef dict producers                 # id -> base offset of its last batch
    cdef object stopping                # () -> bool
    cdef Limit limit
    cdef uint64_t owed                  # bytes that were read and not waited for
    cdef uint64_t loaded                # the run that is being read is in memory up to here
    cdef int slot

    def __cinit__(self, Log log, uint64_t stream, int64_t now_ms, stopping, Limit limit not None, uint64_t low=0):
        self.log = log
        self.stream = stream
        self.now_ms = now_ms
        self.stopping = stopping
        self.limit = limit
        self.keys = {}
        self.low = low
        self.high = UINT64_MAX
        self.producers = {}
        self.slot = qsbr_register()
        if self.slot < 0:
            raise RuntimeError("too many threads read the log at once")
        self.hold(core_find(log.core, stream))
        qsbr_offline(self.slot)

    cdef hold(self, Partition* partition):
        cdef Runs* runs = partition_runs(partition) if partition != NULL else NULL
        cdef uint32_t i
        if runs == NULL:
            return
        self.policy = core_policy(self.log.core, partition)[0]
        self.runs = <SealedRun*>malloc(runs.count * sizeof(SealedRun))
        if self.runs == NULL:
            raise MemoryError
        for i in range(runs.count):
            self.runs[i] = runs_all(runs)[i]
            ref_retain(&self.runs[i].file.ref)
        self.count = runs.count
        self.note_producers(partition)

    cdef note_producers(self, Partition* partition):
        cdef ProducerLast* all = <ProducerLast*>malloc(PRODUCERS_MOST * sizeof(ProducerLast))
        cdef uint32_t i, count
        if all == NULL:
            raise MemoryError
        count = partition_producers_last(partition, self.now_ms, all)
        for i in range(count):
            self.producers[all[i].id] = all[i].base_offset
        free(all)

    def __dealloc__(self):
        cdef uint32_t i
        for i in range(self.count):
            ref_release(&self.runs[i].file.ref)
        free(self.runs)
        if self.slot >= 0:
            qsbr_unregister(self.slot)

    # --- whether, and how far -------------------------------------------------------------------------------------------

    cdef bint is_due(self) except -1:
        """Enough is dirty, or something has been for too long; only runs that min.compaction.lag.ms lets go count."""
        cdef uint64_t dirty = 0, total = 0
        cdef bint late = False
        cdef uint32_t i
        self.end = 0
        for i in range(self.count):
            if row_elsewhere(self.runs[i].row) or self.policy.min_compaction_lag_ms > 0 \
                    and self.now_ms - self.runs[i].row.max_timestamp < self.policy.min_compaction_lag_ms:
                break
            total += self.runs[i].row.bytes
            if self.runs[i].row.cleaned_at == 0:
                dirty += self.runs[i].row.bytes
                late = late or self.is_late(i)
            self.end = i + 1
        return dirty > 0 and (late or dirty >= self.policy.min_cleanable_dirty_ratio * total)

    cdef bint is_late(self, uint32_t i) except -1:
        """By the oldest batch of a dirty run, whose time is that of its first record; a time before 1970 is none."""
        return self.policy.max_compaction_lag_ms != INT64_MAX \
            and self.now_ms - self.oldest(i) >= self.policy.max_compaction_lag_ms

    cdef int64_t oldest(self, uint32_t i) except -1:
        """Read once, and kept with the file. Behind a record that is damaged nothing counts, until the cleaner finds it."""
        cdef SealedFile* file = self.runs[i].file
        cdef int64_t* kept
        if file.oldest == NULL:
            file.oldest = <int64_t*>calloc(file.row_count, sizeof(int64_t))
            if file.oldest == NULL:
                raise MemoryError
        kept = &file.oldest[self.runs[i].row - file.rows]
        if kept[0] == 0:
            kept[0] = self.find_oldest(i)
        return kept[0]

    cdef int64_t find_oldest(self, uint32_t i) except -1:
        cdef uint64_t at = self.runs[i].row.at
        cdef uint64_t end = at + self.runs[i].row.bytes
        cdef int64_t oldest = INT64_MAX
        cdef const Entry* entry
        while at < end:
            entry = self.look(i, at)
            if entry == NULL:
                break
            if batch_time(entry_body(entry)) > 0:
                oldest = min(oldest, batch_time(entry_body(entry)))
            at += record_span(entry)
        return oldest

    cdef Cleaning rest(self):
        """The pass over the keys that had no room in this one; it ends where this one did."""
        cdef Cleaning after = Cleaning(self.log, self.stream, self.now_ms, self.stopping, self.limit, self.high + 1)
        while after.end < after.count and after.runs[after.end].row.end_offset <= self.runs[self.end - 1].row.end_offset:
            after.end += 1
        return after

    # --- keys -----------------------------------------------------------------------------------------------------------

    cdef map_keys(self, uint64_t max_keys):
        """Fill `keys` from the dirty runs; `end` moves back to what fits."""
        cdef bint first = True
        cdef uint32_t i
        for i in range(self.end):
            if self.runs[i].row.cleaned_at:
                continue
            if not self.map_run(i, max_keys, first):
                self.end = i
                return
            if self.high < UINT64_MAX:
                self.end = i + 1
                return
            first = False

    cdef bint map_run(self, uint32_t i, uint64_t max_keys, bint first) except -1:
        """False: the map is full."""
        cdef uint64_t at = self.runs[i].row.at
        cdef uint64_t end = at + self.runs[i].row.bytes
        cdef const Entry* entry
        while at < end:
            entry = self.record(i, at)
            at += record_span(entry)
            if not self.map_batch(sieve_open(entry), max_keys, first):
                return False
        return True

    cdef bint map_batch(self, Sieve sieve, uint64_t max_keys, bint first) except -1:
        while sieve is not None and sieve.next():
            key = key_of(&sieve.view)
            if key is None or not self.low <= hash_of(key) <= self.high:
                continue
            if <uint64_t>len(self.keys) >= max_keys and key not in self.keys:
                if not first:
                    return False
                self.make_room(max_keys)
                if hash_of(key) > self.high:
                    continue
            self.keys[key] = sieve.offset()
        return True

    cdef make_room(self, uint64_t max_keys):
        """The higher half of the hashes waits for another pass."""
        while <uint64_t>len(self.keys) >= max_keys and self.high > self.low:
            self.high = self.low + ((self.high - self.low) >> 1)
            for key in [key for key in self.keys if hash_of(key) > self.high]:
                del self.keys[key]

    cdef load(self, uint32_t i, uint64_t until):
        """Have a run in memory up to byte `until`, and so much more that not each record asks the disk. LogError."""
        cdef SealedFile* file = self.runs[i].file
        cdef int failed
        if until <= self.loaded:
            return
        until = min(max(until, self.loaded + LOAD_WINDOW), self.runs[i].row.at + self.runs[i].row.bytes)
        with nogil:
            failed = sealed_load(file, self.loaded, until - self.loaded)
        if failed:
            raise LogError(f"stream {self.stream} is not compacted: sealed file {file.id:016x} cannot be read ({os.strerror(failed)}); "
                           "replace the disk")
        self.loaded = until

    cdef const Entry* look(self, uint32_t i, uint64_t at) except? NULL:
        """The record at byte `at` of a run, which is read from its start on; NULL: it is damaged."""
        cdef SealedFile* file = self.runs[i].file
        cdef uint64_t end = self.runs[i].row.at + self.runs[i].row.bytes
        cdef const Entry* entry = <const Entry*>(file.base + at + SEALED_PREFIX)
        self.give_way(0)
        if at == self.runs[i].row.at:
            self.loaded = at
        if end - at >= SEALED_PREFIX + sizeof(Entry):
            self.load(i, at + SEALED_PREFIX + sizeof(Entry))
            self.load(i, min(at + record_span(entry), end))     # as it says, which is not proven yet
        with nogil:
            entry = sealed_record(file, at, end, self.stream)
        if entry != NULL:
            self.give_way(record_span(entry))
        return entry

    cdef const Entry* record(self, uint32_t i, uint64_t at) except NULL:
        cdef const Entry* entry = self.look(i, at)
        if entry == NULL:
            raise LogError(f"stream {self.stream} is not compacted: sealed file {self.runs[i].file.id:016x} is damaged at byte "
                           f"{at}; robustmq-ctl storage check shows what is lost")
        return entry

    cdef give_way(self, uint64_t bytes):
        """They were read: a tenth of a second's worth is waited for at a time. Stopped."""
        cdef Pace* pace = &self.limit.pace
        self.owed += bytes
        if pace.bytes_per_s and self.owed * 10 >= pace.bytes_per_s:
            with nogil:
                pace_give_way(pace, self.owed)
            self.owed = 0
        if self.stopping():
            raise Stopped

    # --- writing --------------------------------------------------------------------------------------------------------

    cdef Status clean_batch(self, Writer* writer, const Entry* entry, bint tombstones) except *:
        cdef Sieve sieve = sieve_open(entry)
        cdef Status why
        if sieve is None:
            with nogil:
                why = writer_put(writer, entry, record_position(entry))
            return why
        while sieve.next():
            key = key_of(&sieve.view)
            if key is None or self.keys.get(key, 0) <= sieve.offset() and (tombstones or sieve.view.value != NULL):
                sieve.stay()
        return sieve.put(writer, record_position(entry),
                         self.producers.get(batch_producer_id(entry_body(entry)), -1) == entry.base_offset)

    cdef clean_run(self, Writer* writer, uint32_t i):
        """Write a run again."""
        cdef uint64_t at = self.runs[i].row.at
        cdef uint64_t cleaned_at = self.runs[i].row.cleaned_at
        cdef bint tombstones = cleaned_at == 0 or self.now_ms - <int64_t>cleaned_at < self.policy.delete_retention_ms
        cdef const Entry* entry
        if cleaned_at == 0 and self.high == UINT64_MAX:
            cleaned_at = <uint64_t>self.now_ms
        check(writer_begin_run(writer, self.stream, self.runs[i].row.base_offset, cleaned_at))
        while at < self.runs[i].row.at + self.runs[i].row.bytes:
            entry = self.record(i, at)
            at += record_span(entry)
            check(self.clean_batch(writer, entry, tombstones))
        writer.rows[writer.row_count - 1].first_position = self.runs[i].row.first_position
        writer.rows[writer.row_count - 1].last_position = max(self.runs[i].row.last_position,
                                                              writer.rows[writer.row_count - 1].last_position)
        if not ref_holds(&self.runs[i].file.ref):
            raise LogError(f"stream {self.stream} is not compacted: the disk has lost a page of sealed file "
                           f"{self.runs[i].file.id:016x}; look at the kernel's log, repair or replace the disk")
        writer_end_run(writer, self.runs[i].row.end_offset)

    cdef run(self):
        cdef Writer writer
        cdef SealedFile* file = NULL
        cdef Status why
        cdef uint32_t i
        try:
            check(writer_open(&writer, &self.log.core.sealed))
            writer.pause = pace_give_way
            writer.context = &self.limit.pace
            for i in range(self.end):
                self.clean_run(&writer, i)
            with nogil:
                why = writer_finish(&writer, &file)
            check(why)
        except BaseException:
            writer_abandon(&writer)
            raise
        with nogil:
            why = core_publish(self.log.core, file, self.slot)
            sealed_drop(file)
        check(why)


cdef check(Status why):
    if why != OK:
        raise LogError(f"compaction stopped: the disk or memory refused (status {<int>why}); nothing is lost")


cdef inline int64_t batch_time(const uint8_t* batch) noexcept nogil:
    return batch_max_timestamp(batch) if batch_attributes(batch) & ATTRIBUTE_LOG_APPEND_TIME else batch_base_timestamp(batch)


cdef object SEED = int.from_bytes(os.urandom(8), "little")      # of this process: nobody can choose keys that collide


cdef bytes key_of(const RecordView* view):
    """Its hash; None: the record has no key."""
    return xxhash.xxh3_128_digest(view.key[:view.key_len], SEED) if view.key != NULL else None


cdef inline uint64_t hash_of(bytes key):
    return (<const uint64_t*><const char*>key)[0]


class Stopped(Exception):
    """Between two batches."""


def clean(Log log, uint64_t stream, int64_t now_ms, uint64_t max_keys=1 << 20, stopping=bool, Limit limit=None):
    """Compact a stream if that is due at wall time `now_ms`; whether it was. It ends soon when `stopping()` becomes true, and
    begins anew the next time. LogError: a damaged file, or the disk."""
    cdef Cleaning cleaning = Cleaning(log, stream, now_ms, stopping, limit if limit is not None else Limit())
    try:
        if not cleaning.policy.cleanup & CLEANUP_COMPACT or not cleaning.is_due():
            return False
        while True:
            cleaning.map_keys(max_keys)
            if cleaning.end:
                cleaning.run()
            if cleaning.high == UINT64_MAX:
                return True
            cleaning = cleaning.rest()
    except Stopped:
        return False
