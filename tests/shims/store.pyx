"""The tests' door into the log: loops that appenders and readers run without the GIL, and doors to private parts."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from robustmq._fastpath.atomic cimport (
    cpu_pause, load_acquire_u32, load_acquire_u64, store_release_u32, store_release_u64,
)
from robustmq._fastpath.batch cimport batch_intact, batch_last_offset_delta, batch_size
from robustmq._fastpath.block cimport Ref, ref_release, ref_retain
from robustmq._fastpath.mailbox cimport (
    Mail, Mailbox, mail_init, mailbox_awake, mailbox_close, mailbox_init, mailbox_may_sleep, mailbox_run,
)
from robustmq._fastpath.platform cimport clock_monotonic_ns, pthread_cond_wait, pthread_mutex_lock, pthread_mutex_unlock
from robustmq._fastpath.qsbr cimport qsbr_offline, qsbr_online, qsbr_quiescent, qsbr_register, qsbr_unregister
from robustmq._fastpath.status cimport NEED_MORE, NO_MEMORY, OK, OUT_OF_RANGE, STORE_FAILED, Status
from robustmq._fastpath.stores.core cimport core_find
from robustmq._fastpath.stores.journal cimport (
    Journal, entry_body, entry_body_length, journal_choked, journal_fail, journal_forget, journal_pressed, journal_tail,
    journal_wait_room, journal_want_room,
)
from robustmq._fastpath.stores.log cimport Log
from robustmq._fastpath.stores.sealer cimport Sealer
from robustmq._fastpath.stores.sessions cimport session_log_begin, session_log_events, session_log_snapshot
from robustmq._fastpath.stores.streams cimport log_find_stream
from robustmq._fastpath.stores.partition cimport (
    Appended, Partition, ReadSpan, partition_append, partition_next, partition_seek,
)
from robustmq._fastpath.stores.producers cimport (
    PRODUCERS_MOST, ProducerBounds, ProducerLast, Producers, producers_appended, producers_check, producers_expire, producers_free,
    producers_last, producers_load, producers_reserve, producers_save, producers_size,
)

import select


def append_many(Log log, uint64_t stream, bytes batch, uint64_t count):
    """Append `batch` `count` times; ns for all of it."""
    cdef const uint8_t* data = batch
    cdef uint64_t n = <uint64_t>len(batch)
    cdef uint64_t i
    cdef Appended result
    cdef Status why = OK
    cdef Partition* partition
    cdef int64_t began
    cdef int slot = qsbr_register()
    with nogil:
        began = clock_monotonic_ns()
        for i in range(count):
            partition = core_find(log.core, stream)
            why = partition_append(partition, data, n, 0, 0, &result)
            if why != OK:
                break
            qsbr_quiescent(slot)
            if journal_pressed(partition.journal):
                qsbr_offline(slot)
                journal_wait_room(partition.journal)
                qsbr_online(slot)
        began = clock_monotonic_ns() - began
        qsbr_unregister(slot)
    if why != OK:
        raise RuntimeError(f"status {<int>why}")
    return began


def append_in_one_turn(Log log, uint64_t stream, bytes batch, uint64_t most):
    """Append without a quiescent state, so that nothing is retired: how often, and the status that ended it."""
    cdef const uint8_t* data = batch
    cdef uint64_t n = <uint64_t>len(batch)
    cdef uint64_t done = 0
    cdef Appended result
    cdef Status why = OK
    cdef Partition* partition
    cdef int slot = qsbr_register()
    with nogil:
        partition = core_find(log.core, stream)
        while done < most and why == OK:
            why = partition_append(partition, data, n, 0, 0, &result)
            done += why == OK
        qsbr_unregister(slot)
    return done, <int>why


def read_all(Log log, uint64_t stream, uint64_t until):
    """Follow a partition from its start until offset `until`, checking every batch; (records seen, times it was overtaken)."""
    cdef Partition* partition
    cdef ReadSpan span
    cdef uint64_t at = 0, seen = 0, overtaken = 0
    cdef bint bad = False
    cdef Status why
    cdef int slot = qsbr_register()
    with nogil:
        while at < until:
            qsbr_quiescent(slot)
            partition = log_find_stream(log.core, stream)
            why = partition_seek(partition, at, &span)
            while why == OK:
                if span.base_offset != at or not batch_intact(entry_body(span.entry), entry_body_length(span.entry)):
                    bad = True
                    break
                at += <uint64_t>batch_last_offset_delta(entry_body(span.entry)) + 1
                seen += <uint64_t>batch_last_offset_delta(entry_body(span.entry)) + 1
                why = partition_next(partition, &span)
            if bad:
                break
            if why == OUT_OF_RANGE:
                overtaken += 1
                at = load_acquire_u64(&partition.start)
        qsbr_unregister(slot)
    if bad:
        raise AssertionError(f"a damaged batch at offset {at}")
    return seen, overtaken


cdef enum:
    STALL_NS = 20000                    # between two looks, which take 50 ns


cdef class Visible:
    """Append -> visible: one thread stamps and appends, another spins on the end offset. What the reader saw after it had
    not looked for STALL_NS is counted apart: the scheduler had taken its core, which says nothing about the log.
    """
    cdef int64_t* appended
    cdef int64_t* seen
    cdef readonly uint64_t count
    cdef readonly uint64_t stalled      # messages that were appended while the reader did not run

    def __cinit__(self, uint32_t count):
        cdef uint32_t i
        self.count = count
        self.appended = <int64_t*>calloc(count, sizeof(int64_t))
        self.seen = <int64_t*>calloc(count, sizeof(int64_t))
        for i in range(count):              # the first touch of these pages is not the log's
            self.appended[i] = self.seen[i] = -1

    def __dealloc__(self):
        free(self.appended)
        free(self.seen)

    def publish(self, Log log, uint64_t stream, bytes batch, int64_t gap_ns):
        cdef Partition* partition = core_find(log.core, stream)
        cdef const uint8_t* data = batch
        cdef uint64_t n = <uint64_t>len(batch)
        cdef uint64_t i
        cdef Appended result
        cdef int64_t now = clock_monotonic_ns()
        cdef int64_t next
        with nogil:
            for i in range(self.count):
                next = now + gap_ns         # no burst after a stall: the reader shall be waiting
                while now < next:
                    cpu_pause()
                    now = clock_monotonic_ns()
                self.appended[i] = now
                partition_append(partition, data, n, 0, 0, &result)

    def watch(self, Log log, uint64_t stream):
        cdef Partition* partition = core_find(log.core, stream)
        cdef ReadSpan span
        cdef uint64_t i = 0
        cdef int64_t now, looked = clock_monotonic_ns(), stalled_until = 0
        cdef int slot = qsbr_register()
        with nogil:
            while i < self.count:
                now = clock_monotonic_ns()
                if now - looked > STALL_NS:
                    stalled_until = now
                looked = now
                if partition_seek(partition, i, &span) == OK:
                    self.seen[i] = clock_monotonic_ns()
                    if self.appended[i] < stalled_until:
                        self.seen[i] = 0
                        self.stalled += 1
                    i += 1
                else:
                    cpu_pause()
                qsbr_quiescent(slot)
            qsbr_unregister(slot)

    def latencies(self):
        """ns, sorted, without the stalled ones."""
        return sorted([self.seen[i] - self.appended[i] for i in range(self.count) if self.seen[i]])


cdef class Pin:
    """A reader that holds the segment of an offset, as a slow connection does."""
    cdef Ref* ref
    cdef const uint8_t* batch
    cdef uint64_t n

    def __cinit__(self, Log log, uint64_t stream, uint64_t offset):
        cdef ReadSpan span
        cdef Partition* partition
        cdef int slot = qsbr_register()
        partition = core_find(log.core, stream)
        if partition_seek(partition, offset, &span) == OK:
            self.ref = span.ref
            ref_retain(self.ref)
            self.batch = entry_body(span.entry)
            self.n = entry_body_length(span.entry)
        qsbr_unregister(slot)
        if self.ref == NULL:
            raise IndexError(offset)

    def read(self):
        return self.batch[:self.n]

    def release(self):
        ref_release(self.ref)


def sealer_rests(Log log):
    """Until the sealer has nothing to do."""
    cdef Journal* journal = log.core.wal
    cdef Sealer* sealer = log.core.sealer
    with nogil:
        pthread_mutex_lock(&sealer.lock)
        while (journal_tail(journal) - 1 >> journal.segments.shift) > sealer.sealed + sealer.lag:
            pthread_cond_wait(&sealer.moved, &sealer.lock)
        pthread_mutex_unlock(&sealer.lock)


cdef void nothing(Mail* mail, void* receiver, int64_t now_ns) noexcept nogil:
    pass


cdef class Room:
    """Who waits for room in the write-ahead journal."""
    cdef Log log
    cdef Mailbox box
    cdef Mail mail

    def __cinit__(self, Log log):
        self.log = log
        mailbox_init(&self.box, NULL)
        mail_init(&self.mail, nothing)

    def __dealloc__(self):
        mailbox_close(&self.box)

    @property
    def choked(self):
        return bool(journal_choked(self.log.core.wal))

    def wait(self):
        """Until there is some."""
        journal_want_room(self.log.core.wal, &self.box, &self.mail)
        while mailbox_may_sleep(&self.box):
            select.select([self.box.event_fd], [], [])
            mailbox_awake(&self.box, True)
        mailbox_awake(&self.box, False)
        mailbox_run(&self.box, 10, 0)
        journal_forget(self.log.core.wal, &self.mail)


def fail(Log log, Status why=STORE_FAILED):
    """As after a failed sync, or another status."""
    journal_fail(log.core.wal, why)


def fail_state_log(Log log):
    """The same in the state log."""
    journal_fail(log.core.state_log, STORE_FAILED)


cdef class ProducerTable:
    """producers.pxd by itself."""
    cdef Producers* producers
    cdef ProducerBounds bounds

    def __cinit__(self, *, uint32_t most=1024, int64_t expiration_ms=86_400_000):
        self.bounds = ProducerBounds(expiration_ms, most, 0)

    def __dealloc__(self):
        producers_free(self.producers)

    def check(self, bytes batch, int64_t now_ms=0):
        """(status, old offset)"""
        cdef uint64_t offset = 0
        cdef Status why = producers_check(self.producers, batch, &self.bounds, now_ms, &offset)
        return <int>why, offset

    def appended(self, bytes batch, uint64_t offset, int64_t now_ms=0):
        assert producers_reserve(&self.producers, batch, &self.bounds, now_ms)
        producers_appended(self.producers, batch, offset, now_ms)

    def expire(self, int64_t now_ms):
        producers_expire(&self.producers, &self.bounds, now_ms)

    def last(self, int64_t now_ms=0):
        """{id: base offset of its last batch}"""
        cdef ProducerLast found[PRODUCERS_MOST]
        cdef uint32_t count = producers_last(self.producers, &self.bounds, now_ms, found)
        return {found[i].id: found[i].base_offset for i in range(count)}

    def save(self):
        data = bytearray(producers_size(self.producers))
        producers_save(self.producers, data)
        return bytes(data)

    def load(self, bytes data):
        return producers_load(&self.producers, data, <uint64_t>len(data), &self.bounds)

    @property
    def evicted(self):
        return self.bounds.evicted

    @property
    def room(self):
        """Producers that memory is held for."""
        return self.producers.cap if self.producers != NULL else 0

    def __len__(self):
        return self.producers.count if self.producers != NULL else 0


MOST_PRODUCERS = PRODUCERS_MOST


cdef class StateHeld:
    """The state table locked, as a context: who carries a value forward waits here."""
    cdef Log log

    def __cinit__(self, Log log):
        self.log = log

    def __enter__(self):
        with nogil:
            pthread_mutex_lock(&self.log.core.state_lock)

    def __exit__(self, *why):
        pthread_mutex_unlock(&self.log.core.state_lock)


def session_snapshot(Log log, uint64_t number, uint64_t sequence, uint64_t floor):
    """A snapshot of a session that has dealt with all below `floor`."""
    cdef uint64_t durable_at = 0
    cdef Status why = NO_MEMORY
    if session_log_begin(log.core, number):
        why = session_log_snapshot(log.core, number, sequence, floor, b"", 0, &durable_at)
    if why != OK:
        raise RuntimeError(f"status {<int>why}")


def session_events(Log log, uint64_t number, uint64_t sequence):
    """Events of a session, at the journal's tail."""
    cdef Status why = NO_MEMORY
    if session_log_begin(log.core, number):
        why = session_log_events(log.core, number, sequence, journal_tail(log.core.wal), b"", 0)
    if why != OK:
        raise RuntimeError(f"status {<int>why}")
