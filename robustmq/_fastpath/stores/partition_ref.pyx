"""A partition as Python sees it: for the control plane and the tests, never per message."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from robustmq._fastpath.atomic cimport load_acquire_u64, spin_lock, spin_unlock
from robustmq._fastpath.block cimport ref_holds
from robustmq._fastpath.batch cimport batch_producer_id, batch_size, batch_validate
from robustmq._fastpath.qsbr cimport qsbr_register, qsbr_unregister
from robustmq._fastpath.status cimport (
    CORRUPT, DUPLICATE, ELSEWHERE, NEED_MORE, OK, OUT_OF_ORDER, OUT_OF_RANGE, STALE_EPOCH, STORE_FAILED, STORE_FULL, Status,
)
from robustmq._fastpath.stores.core cimport core_find
from robustmq._fastpath.stores.journal cimport (
    FROM_KAFKA, Journal, entry_body, journal_health, journal_pressed, journal_wait_room,
)
from robustmq._fastpath.stores.log cimport Log
from robustmq._fastpath.stores.partition cimport (
    Appended, Partition, ReadSpan, partition_append_aux, partition_next, partition_seek, partition_seek_time,
)

from robustmq._fastpath.stores.files import Elsewhere, LogError


class SequenceError(ValueError):
    """An idempotent producer's batch does not fit: a gap, or an epoch that has been overtaken."""


cdef class PartitionRef:
    """One partition by stream id. Every call looks it up again: LookupError once it was deleted."""
    cdef readonly Log log
    cdef readonly uint64_t stream

    def __cinit__(self, Log log, uint64_t stream):
        self.log = log
        self.stream = stream
        self.end                        # LookupError now rather than later

    cdef Partition* enter(self, int* slot) except NULL:
        """Begin a read section; the caller leaves it with qsbr_unregister."""
        cdef Partition* partition
        if self.log.core == NULL:
            raise LookupError("the log is closed")
        slot[0] = qsbr_register()
        if slot[0] < 0:
            raise RuntimeError("too many threads read the log at once")
        partition = core_find(self.log.core, self.stream)
        if partition == NULL:
            qsbr_unregister(slot[0])
            raise LookupError(f"stream {self.stream} does not exist; it was deleted")
        return partition

    @property
    def start(self):
        """First offset that is still there."""
        cdef int slot = 0
        cdef uint64_t value = load_acquire_u64(&self.enter(&slot).start)
        qsbr_unregister(slot)
        return value

    @property
    def end(self):
        """The next offset."""
        cdef int slot = 0
        cdef uint64_t value = load_acquire_u64(&self.enter(&slot).end)
        qsbr_unregister(slot)
        return value

    @property
    def max_timestamp(self):
        """Highest timestamp so far in ms, -1: none."""
        cdef int slot = 0
        cdef Partition* partition = self.enter(&slot)
        cdef int64_t value
        spin_lock(&partition.lock)
        value = partition.max_timestamp
        spin_unlock(&partition.lock)
        qsbr_unregister(slot)
        return value

    @property
    def bytes(self):
        """In the journal now."""
        cdef int slot = 0
        cdef Partition* partition = self.enter(&slot)
        cdef uint64_t value
        spin_lock(&partition.lock)
        value = partition.bytes
        spin_unlock(&partition.lock)
        qsbr_unregister(slot)
        return value

    def append(self, bytes batch, uint16_t flags=FROM_KAFKA, uint64_t origin=0, *, int64_t now_ms=0):
        """Append one record batch v2, after those who wait for the journal; `now_ms` is the wall time that an idempotent
        producer's silence is counted from. (base offset, position to give to Log.wait_durable); a producer's duplicate gets
        its old offset. ValueError: not a valid batch; SequenceError; LogError: the disk, or slow readers hold so much that
        there is no room now."""
        cdef const uint8_t* data = batch
        cdef uint64_t n = <uint64_t>len(batch)
        cdef int slot = 0
        cdef Appended result
        cdef Status why = batch_validate(data, n, <uint64_t>-1)
        cdef Partition* partition
        cdef Journal* journal
        if why != OK:
            raise ValueError(f"no valid record batch: status {<int>why}")
        if batch_producer_id(data) < 0:
            now_ms = 0
        journal = self.enter(&slot).journal
        qsbr_unregister(slot)
        if journal_pressed(journal):
            with nogil:
                journal_wait_room(journal)
        partition = self.enter(&slot)
        with nogil:
            why = partition_append_aux(partition, data, n, flags, origin, <uint64_t>now_ms, &result)
            qsbr_unregister(slot)
        if why == STORE_FULL and journal_health(journal) == OK:
            raise LogError("the journal has no room now: slow readers hold what was retired; try again when they have read it")
        if why == OUT_OF_ORDER or why == STALE_EPOCH:
            raise SequenceError("out of order" if why == OUT_OF_ORDER else "stale epoch")
        if why == STORE_FULL or why == STORE_FAILED:
            raise LogError("the log takes no more: " + ("the disk is full" if why == STORE_FULL else "a write failed"))
        if why != OK and why != DUPLICATE:
            raise ValueError(f"refused with status {<int>why}")
        return result.base_offset, result.durable_at

    def read(self, uint64_t offset, uint64_t max_bytes=1 << 20):
        """Whole batches from the one that contains `offset`, the first even if it is larger than `max_bytes`; b"" at the
        end. IndexError: the offset is not there; Elsewhere."""
        cdef int slot = 0
        cdef Partition* partition = self.enter(&slot)
        cdef ReadSpan span
        cdef Status why
        cdef const uint8_t* batch
        cdef bytearray found = bytearray()
        try:
            why = partition_seek(partition, offset, &span)
            if why == OUT_OF_RANGE:
                raise IndexError(f"offset {offset} is not in the log")
            if why == ELSEWHERE:
                raise Elsewhere(f"offset {offset} is in the blob store; read again when it is here")
            if why == CORRUPT:
                raise LogError(f"offset {offset} lies in a damaged part of a sealed file; reading can go on at "
                               f"{span.base_offset} (robustmq-ctl storage check shows the damage)")
            if why == STORE_FAILED:
                raise LogError(f"offset {offset} cannot be read: the disk has lost a page of the journal; repair or replace "
                               "the disk, then restart the broker")
            while why == OK:
                batch = entry_body(span.entry)
                if found and len(found) + batch_size(batch) > max_bytes:
                    break
                found += batch[:batch_size(batch)]
                if not ref_holds(span.ref):
                    raise LogError(f"offset {offset} cannot be read: the disk has just lost a page of the log; read again")
                why = partition_next(partition, &span)
        finally:
            qsbr_unregister(slot)
        return bytes(found)

    def seek_time(self, int64_t timestamp_ms):
        """The first batch with a max timestamp >= `timestamp_ms`, or None; Elsewhere."""
        cdef int slot = 0
        cdef Partition* partition = self.enter(&slot)
        cdef ReadSpan span
        cdef const uint8_t* batch
        cdef Status why
        try:
            why = partition_seek_time(partition, timestamp_ms, &span)
            if why == ELSEWHERE:
                raise Elsewhere(f"what was written at {timestamp_ms} is in the blob store; look again when it is here")
            if why != OK:
                return None
            batch = entry_body(span.entry)
            return batch[:batch_size(batch)]
        finally:
            qsbr_unregister(slot)
