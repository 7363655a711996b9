"""Compaction (Kafka's log cleaner, KIP-58, KIP-354): of a compacted stream's sealed records the latest of each key stay.

    keys     16-byte hash of a key -> its latest offset, over the dirty runs (never compacted), at most `max_keys` of them
    clean    every run before the end of what was mapped is written again without the records that a later one supersedes

Offsets stay. A tombstone goes when its run was first cleaned delete.retention.ms ago; the last batch of a producer stays, empty
if need be; records without a key stay. A batch that loses records is written without compression. The new runs stand for the
same offsets as the old and take their place when the file is published: a crash before that leaves the old.

A batch that was rewritten has another position (the low three bits, which the journal leaves at zero): what a session had queued by
position and byte is then not found, rather than found wrong.

Runs on a thread of the control plane; the GIL is held while records are looked at. One thread cleans a log.
"""
import struct

import xxhash

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from robustmq._fastpath.batch cimport (
    BATCH_HEADER, RecordView, batch_codec, batch_producer_id, batch_record_count, batch_size, record_next,
)
from robustmq._fastpath.block cimport ref_release, ref_retain
from robustmq._fastpath.cursor cimport Cursor, cursor_init
from robustmq._fastpath.qsbr cimport qsbr_offline, qsbr_online, qsbr_register, qsbr_unregister
from robustmq._fastpath.status cimport OK, Status
from robustmq._fastpath.stores.core cimport LogCore, core_find, core_policy, core_publish
from robustmq._fastpath.stores.journal cimport Entry, entry_body, entry_finish
from robustmq._fastpath.stores.log cimport Log
from robustmq._fastpath.stores.partition cimport CLEANUP_COMPACT, Partition, Policy
from robustmq._fastpath.stores.runs cimport Runs, SealedRun, runs_all
from robustmq._fastpath.stores.sealed cimport (
    SealedFile, record_position, record_span, row_elsewhere, sealed_drop, sealed_record,
)
from robustmq._fastpath.stores.sealed_writer cimport (
    Writer, writer_abandon, writer_begin_run, writer_end_run, writer_finish, writer_open, writer_put,
)

from robustmq._fastpath.broker.codecs import inflate_batch
from robustmq._fastpath.crc import crc32c_bytes
from robustmq._fastpath.stores.files import LogError


cdef enum:
    REWRITTEN_MOST = 7                  # a batch is rewritten so often, then it stays as it is


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
    cdef dict producers                 # id -> base offset of its last batch
    cdef int slot

    def __cinit__(self, Log log, uint64_t stream, int64_t now_ms):
        self.log = log
        self.stream = stream
        self.now_ms = now_ms
        self.keys = {}
        self.producers = {}
        self.slot = qsbr_register()
        if self.slot < 0:
            raise RuntimeError("too many threads read the log at once")
        self.hold(core_find(log.core, stream))
        qsbr_offline(self.slot)

    cdef hold(self, Partition* partition):
        cdef Runs* runs = partition.runs if partition != NULL else NULL
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

    def __dealloc__(self):
        cdef uint32_t i
        for i in range(self.count):
            ref_release(&self.runs[i].file.ref)
        free(self.runs)
        if self.slot >= 0:
            qsbr_unregister(self.slot)

    cdef bint is_due(self):
        """Enough is dirty, or something has been for too long; only runs that min.compaction.lag.ms lets go count."""
        cdef uint64_t dirty = 0, total = 0
        cdef bint late = False
        cdef uint32_t i
        self.end = 0
        for i in range(self.count):
            if self.now_ms - self.runs[i].row.max_timestamp < self.policy.min_compaction_lag_ms \
                    or row_elsewhere(self.runs[i].row):
                break
            total += self.runs[i].row.bytes
            if self.runs[i].row.cleaned_at == 0:
                dirty += self.runs[i].row.bytes
                late = late or self.now_ms - self.runs[i].row.max_timestamp >= self.policy.max_compaction_lag_ms
            self.end = i + 1
        return dirty > 0 and (late or dirty >= self.policy.min_cleanable_dirty_ratio * total)

    cdef map_keys(self, uint64_t max_keys):
        """Fill `keys` from the dirty runs; `end` moves back to what fits."""
        cdef uint32_t i
        cdef uint64_t at
        cdef const Entry* entry
        for i in range(self.end):
            if len(self.keys) >= max_keys and self.runs[i].row.cleaned_at == 0:
                self.end = i
                return
            at = self.runs[i].row.at
            while at < self.runs[i].row.at + self.runs[i].row.bytes:
                entry = self.record(i, at)
                if batch_producer_id(entry_body(entry)) >= 0:
                    self.producers[batch_producer_id(entry_body(entry))] = entry.base_offset
                if self.runs[i].row.cleaned_at == 0:
                    for key, offset, _, _ in records(entry) or ():
                        if key is not None:
                            self.keys[key] = offset
                at += record_span(entry)

    cdef const Entry* record(self, uint32_t i, uint64_t at) except NULL:
        cdef const Entry* entry = sealed_record(self.runs[i].file, at, self.runs[i].row.at + self.runs[i].row.bytes, self.stream)
        if entry == NULL:
            raise LogError(f"stream {self.stream} is not compacted: sealed file {self.runs[i].file.id:016x} is damaged at byte "
                           f"{at}; robustmq-ctl storage check shows what is lost")
        return entry

    cdef list keepers(self, const Entry* entry, bint tombstones):
        """The records of a batch that stay, as bytes; None: all do."""
        cdef bint dropped = False
        kept = []
        found = records(entry)
        if found is None:
            return None
        for key, offset, is_tombstone, raw in found:
            if key is not None and (self.keys.get(key, -1) > offset or (is_tombstone and not tombstones)):
                dropped = True
            else:
                kept.append(raw)
        return kept if dropped else None

    cdef clean_run(self, Writer* writer, uint32_t i):
        """Write a run again."""
        cdef uint64_t at = self.runs[i].row.at
        cdef uint64_t cleaned_at = self.runs[i].row.cleaned_at
        cdef bint tombstones = cleaned_at == 0 or self.now_ms - <int64_t>cleaned_at < self.policy.delete_retention_ms
        cdef const Entry* entry
        check(writer_begin_run(writer, self.stream, self.runs[i].row.base_offset,
                               cleaned_at if cleaned_at else <uint64_t>self.now_ms))
        writer.rows[writer.row_count - 1].first_position = self.runs[i].row.first_position
        while at < self.runs[i].row.at + self.runs[i].row.bytes:
            entry = self.record(i, at)
            at += record_span(entry)
            kept = self.keepers(entry, tombstones)
            if kept is None:
                check(writer_put(writer, entry, record_position(entry)))
            elif kept and record_position(entry) & REWRITTEN_MOST == REWRITTEN_MOST:
                check(writer_put(writer, entry, record_position(entry)))
            elif kept or self.producers.get(batch_producer_id(entry_body(entry)), -1) == entry.base_offset:
                put_batch(writer, entry, kept)
        writer.rows[writer.row_count - 1].last_position = self.runs[i].row.last_position
        writer_end_run(writer, self.runs[i].row.end_offset)

    cdef run(self):
        cdef Writer writer
        cdef SealedFile* file = NULL
        cdef Status why
        cdef uint32_t i
        try:
            check(writer_open(&writer, &self.log.core.sealed))
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


cdef list records(const Entry* entry):
    """(hash of the key or None, offset, whether it is a tombstone, bytes) of each record; None: it cannot be looked into, which
    Produce does not find out of a compressed batch.
    """
    cdef const uint8_t* batch = entry_body(entry)
    cdef bytes plain = batch[:batch_size(batch)]
    cdef Cursor cursor
    cdef RecordView view
    found = []
    if batch_codec(batch):
        try:
            plain = inflate_batch(plain)
        except ValueError:
            return None
    batch = plain
    cursor_init(&cursor, batch + BATCH_HEADER, <uint64_t>len(plain) - BATCH_HEADER)
    while record_next(&cursor, &view):
        found.append((xxhash.xxh3_128_digest(view.key[:view.key_len]) if view.key != NULL else None,
                      entry.base_offset + <uint64_t>view.offset_delta, view.value == NULL,
                      view.start[:cursor.p - view.start]))
    return found if len(found) == batch_record_count(batch) and cursor.p == cursor.end else None


cdef put_batch(Writer* writer, const Entry* entry, list kept):
    """The batch with these records only, uncompressed; offsets, times and producer as they were."""
    cdef const uint8_t* batch = entry_body(entry)
    cdef bytes whole
    cdef const uint8_t* data
    cdef Entry* copy
    cdef uint64_t n
    cdef Status why
    body = b"".join(kept)
    head = bytearray(batch[:BATCH_HEADER])
    struct.pack_into(">i", head, 8, BATCH_HEADER - 12 + len(body))
    head[22] &= 0xF8
    struct.pack_into(">i", head, 57, len(kept))
    struct.pack_into(">I", head, 17, crc32c_bytes(bytes(head[21:]) + body))
    whole = bytes(head) + body
    data = whole
    n = <uint64_t>len(whole)
    copy = <Entry*>malloc(sizeof(Entry) + n)
    if copy == NULL:
        raise MemoryError
    copy[0] = entry[0]
    memcpy(<uint8_t*>copy + sizeof(Entry), data, n)
    entry_finish(copy, sizeof(Entry) + n)
    why = writer_put(writer, copy, record_position(entry) + (1 if kept else 0))
    free(copy)
    check(why)


def clean(Log log, uint64_t stream, int64_t now_ms, uint64_t max_keys=1 << 20):
    """Compact a stream if that is due at wall time `now_ms`; whether it was. LogError: a damaged file, or the disk."""
    cdef Cleaning cleaning = Cleaning(log, stream, now_ms)
    if not cleaning.policy.cleanup & CLEANUP_COMPACT or not cleaning.is_due():
        return False
    cleaning.map_keys(max_keys)
    if not cleaning.end:
        return False
    cleaning.run()
    return True
