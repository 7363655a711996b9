"""The log of one broker: see log.pxd."""
import asyncio
import heapq

from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from libc.stdlib cimport calloc, free, malloc
from robustmq._fastpath.atomic cimport load_acquire_u64, store_release_ptr
from robustmq._fastpath.mailbox cimport (
    mail_init, mailbox_awake, mailbox_close, mailbox_init, mailbox_may_sleep, mailbox_run,
)
from robustmq._fastpath.platform cimport pthread_mutex_lock, pthread_mutex_unlock, waker_init
from robustmq._fastpath.qsbr cimport qsbr_register, qsbr_retire, qsbr_synchronize, qsbr_unregister
from robustmq._fastpath.status cimport (
    NO_MEMORY, OK, STORE_FAILED, STORE_FULL, UNKNOWN_TOPIC,
)
from robustmq._fastpath.stores.core cimport core_carry, core_find, core_free, core_new
from robustmq._fastpath.stores.journal cimport (
    journal_begin, journal_close, journal_durable, journal_forget, journal_health, journal_init,
    journal_may_sync, journal_tail, journal_wait_room, journal_want_sync, journal_watch,
)
from robustmq._fastpath.stores.keeper cimport journal_commit
from robustmq._fastpath.stores.partition cimport DURABLE_DISK, Appended, Policy
from robustmq._fastpath.stores.loader cimport loader_start, loader_stop
from robustmq._fastpath.stores.producers cimport PRODUCERS_MOST, ProducerBounds
from robustmq._fastpath.stores.recovery cimport Tails, load_sealed, recover
from robustmq._fastpath.stores.retention cimport log_retain, log_trim, policy_edited
from robustmq._fastpath.stores.runs cimport SealedRun, runs_all
from robustmq._fastpath.stores.sealed cimport sealed_init
from robustmq._fastpath.stores.sealer cimport Sealer, sealer_seal_all, sealer_start, sealer_stop
from robustmq._fastpath.stores.segment cimport SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN
from robustmq._fastpath.stores.state cimport log_state_put, log_state_scan
from robustmq._fastpath.stores.stats cimport log_stats, log_unreadable
from robustmq._fastpath.stores.streams cimport Listed, log_create_stream, log_delete_stream, log_each_stream
from robustmq._fastpath.stores.table cimport table_each

from robustmq._fastpath.stores.files import Directory, LogError

cdef enum:
    SEGMENTS_MIN = 4                    # one in use, one prepared, and something to keep
    STATE_SEGMENTS_MAX = 1 << 16        # of the state log, which follows what lives of sessions, offsets, topics
    LAG_MAX = 4                         # complete segments that stay in the journal: what slow readers want most


cdef Journal* log_wal(LogCore* core) noexcept nogil:
    return core.wal


cdef void log_wait_room(LogCore* core) noexcept nogil:
    if core.wal != NULL:
        journal_wait_room(core.wal)
    journal_wait_room(core.memory)


# --- Python -----------------------------------------------------------------------------------------------------------

cdef void no_news(Mail* self, void* receiver, int64_t now_ns) noexcept nogil:
    """The doorbell is the news."""


cdef raise_status(Status why, str what):
    if why == STORE_FULL:
        raise LogError(f"{what}: the disk is full; free space or raise the quota, then restart the broker")
    if why == STORE_FAILED:
        raise LogError(f"{what}: the disk reported a write error; the log is read-only until the broker restarts on "
                       f"a healthy disk")
    if why == NO_MEMORY:
        raise LogError(f"{what}: out of memory; lower storage.memory_bytes")
    if why == UNKNOWN_TOPIC:
        raise LookupError(f"{what}: the stream was deleted")
    raise ValueError(f"{what}: refused with status {<int>why}")


cdef Status collect_state(void* context, const uint8_t* key, uint32_t key_len, const uint8_t* value,
                          uint64_t value_len) noexcept with gil:
    try:
        (<list>context).append((PyBytes_FromStringAndSize(<const char*>key, key_len),
                                PyBytes_FromStringAndSize(<const char*>value, <Py_ssize_t>value_len)))
    except MemoryError:
        return NO_MEMORY
    return OK


cdef uint64_t power_of_two(uint64_t n) noexcept:
    """The largest segment size that is not above n."""
    cdef uint64_t size = SEGMENT_BYTES_MIN
    while size * 2 <= n and size < SEGMENT_BYTES_MAX:
        size *= 2
    return size


cdef class Log:
    """The broker's log: `directory` None keeps everything in memory.

    Sizes are bytes. A directory keeps the segment size that it was made with. `slack_bytes`: what those who append may still
    bring after the log has asked them to wait (journal_pressed); beyond it they are refused. `producers_max` and
    `producer_expiration_ms` bound the idempotent producers of each partition. LogError says in one sentence why it cannot
    be opened and what to do. Methods that touch the disk release the GIL.
    """

    def __cinit__(self, directory=None, *, uint64_t segment_bytes=128 << 20, uint64_t journal_bytes=<uint64_t>8 << 30,
                  uint64_t memory_bytes=256 << 20, uint64_t seal_bytes_per_s=256 << 20, uint64_t slack_bytes=64 << 20,
                  uint32_t producers_max=1024, int64_t producer_expiration_ms=86_400_000):
        cdef uint64_t memory_segment = power_of_two(memory_bytes // 8)
        self.waiting = []
        self.recovered = {}
        self.box.event_fd = -1
        self.core = core_new()
        if self.core == NULL or mailbox_init(&self.box, NULL) != 0:
            raise LogError("out of memory or file descriptors while the log was opened; raise the limits (ulimit -n)")
        if not 0 < producers_max <= PRODUCERS_MOST:
            raise ValueError(f"producers_max is from 1 to {<int>PRODUCERS_MOST}")
        self.producers = ProducerBounds(producer_expiration_ms, producers_max, 0)
        mail_init(&self.mail, no_news)
        mail_init(&self.alarm, no_news)
        self.core.memory = self.new_journal(None, memory_segment, memory_bytes, slack_bytes)
        if journal_begin(self.core.memory, 0) != OK:
            raise LogError("no thread could be started for the log; raise the limit on processes (ulimit -u)")
        if directory is not None:
            self.directory = Directory(directory, power_of_two(segment_bytes))
            self.core.wal = self.new_journal(self.directory.journal, self.directory.segment_bytes, journal_bytes, slack_bytes)
            self.core.state_log = self.new_journal(self.directory.state, self.directory.segment_bytes,
                                                   STATE_SEGMENTS_MAX * self.directory.segment_bytes, 0)
            self.core.wal.heir = self.core.state_log
            self.core.state_log.elder = self.core.wal
            journal_watch(self.core.wal, &self.box, &self.alarm)
            self.new_sealer(seal_bytes_per_s)
            self.core.sealed.loader.news_box = &self.box
            self.core.sealed.loader.news = &self.alarm
            self.open_wal()

    cdef Journal* new_journal(self, path, uint64_t segment_bytes, uint64_t most_bytes, uint64_t slack_bytes) except NULL:
        cdef Journal* journal = <Journal*>calloc(1, sizeof(Journal))
        cdef bytes name = str(path).encode() if path is not None else None
        cdef uint64_t most = max(most_bytes // segment_bytes, <uint64_t>SEGMENTS_MIN)
        cdef uint64_t span = self.directory.span(path) if name is not None else 0
        if journal == NULL or journal_init(journal, PyBytes_AsString(name) if name is not None else NULL, segment_bytes,
                                           max(most, span), slack_bytes, name is None) != OK:
            free(journal)
            raise LogError("out of memory while the log was opened; lower storage.journal_bytes or storage.memory_bytes")
        journal.most_segments = most    # an earlier, larger bound may have left more: they go one by one
        journal.producers = self.producers
        journal.owner = self.core
        journal.carry = core_carry
        return journal

    cdef open_wal(self):
        cdef Tails tails
        self.directory.look_at_the_disk(self.recovered.setdefault("notes", []))
        load_sealed(self.core, self.core.wal, self.directory.sealed_files(), self.recovered)
        recover(self.core, self.directory.segments(self.directory.journal), self.directory.segments(self.directory.state),
                self.recovered, &tails)
        self.core.wal.producers.evicted = 0             # again, that is
        cdef Status why
        with nogil:
            why = journal_begin(self.core.wal, tails.journal)
        if why == OK:
            why = journal_begin(self.core.state_log, tails.state_log)
        if why == OK:
            why = sealer_start(self.core.sealer)
        if why == OK:
            why = loader_start(&self.core.sealed.loader)
        if why != OK:
            raise_status(why, f"cannot write to {self.directory.journal}")

    cdef new_sealer(self, uint64_t bytes_per_s):
        cdef Sealer* sealer = <Sealer*>calloc(1, sizeof(Sealer))
        cdef bytes name = str(self.directory.sealed).encode()
        if sealer == NULL:
            raise LogError("out of memory while the log was opened; give the broker more memory")
        waker_init(&sealer.bell)
        self.core.sealer = sealer
        sealer.core = self.core
        sealer.journal = self.core.wal
        sealer.lag = min(self.core.wal.most_segments // 2, <uint64_t>LAG_MAX)
        sealer.bytes_per_s = max(bytes_per_s, <uint64_t>1 << 20)
        self.core.wal.behind = &sealer.bell
        self.core.state_log.behind = &sealer.bell
        if not sealed_init(&self.core.sealed, PyBytes_AsString(name), &sealer.bell):
            raise LogError(f"the path of {self.directory.path} is too long; choose a shorter one")

    @property
    def directory_id(self):
        """What names the data directory for ever (32 hexadecimal digits); "" in memory."""
        return self.directory.id if self.directory is not None else ""

    def close(self):
        """Sync what is there and end the threads. After the reactors; twice does nothing."""
        cdef LogCore* core = self.core
        self.core = NULL
        if self.loop is not None and not self.loop.is_closed():
            self.loop.remove_reader(self.box.event_fd)
        if core != NULL:
            with nogil:
                qsbr_synchronize()
                if core.sealer != NULL:
                    sealer_stop(core.sealer)
                    loader_stop(&core.sealed.loader)
                if core.wal != NULL:
                    journal_forget(core.wal, &self.mail)
                    journal_commit(core.wal)        # first: what fails in the state log fails here, too
                if core.state_log != NULL:
                    journal_close(core.state_log)
                    free(core.state_log)
                if core.wal != NULL:
                    journal_close(core.wal)
                    free(core.wal)
                if core.memory != NULL:
                    journal_close(core.memory)
                    free(core.memory)
                core_free(core)
        if self.box.event_fd >= 0:
            mailbox_close(&self.box)
        for _, _, future in self.waiting:
            future.cancel()
        self.waiting.clear()
        if self.directory is not None:
            self.directory.close()

    def __dealloc__(self):
        if self.core != NULL:
            self.close()

    # --- streams ---

    def create_stream(self, str name, bytes topic_id, uint32_t number=0, uint32_t durability=DURABLE_DISK):
        """A new stream for one partition; returns a PartitionRef. `durability`: 0 memory, 1 process, 2 disk."""
        cdef bytes raw = name.encode()
        cdef const uint8_t* data = raw
        cdef const uint8_t* ident = topic_id
        cdef uint32_t n = <uint32_t>len(raw)
        cdef Partition* partition = NULL
        cdef Status why
        if len(topic_id) != 16:
            raise ValueError("a topic id has 16 bytes")
        with nogil:
            why = log_create_stream(self.core, data, n, ident, number, durability, NULL, &partition)
        if why != OK:
            raise_status(why, f"cannot create {name}")
        return self.partition(partition.stream)

    def delete_stream(self, uint64_t stream):
        """End a stream; its PartitionRefs raise LookupError from now on."""
        cdef Partition* partition
        cdef Status why = UNKNOWN_TOPIC
        cdef int slot = reader()
        with nogil:
            partition = core_find(self.core, stream)
            if partition != NULL:
                why = log_delete_stream(self.core, partition)
            qsbr_unregister(slot)
        if why != OK:
            raise_status(why, f"stream {stream}")

    def partition(self, uint64_t stream):
        """A PartitionRef by stream id; LookupError when there is none."""
        from robustmq._fastpath.stores.partition_ref import PartitionRef
        return PartitionRef(self, stream)

    def streams(self):
        """[(topic name, topic id, partition number, stream id, durability, start, end)], by stream id."""
        cdef uint64_t at = 0
        cdef Listed one
        cdef list found = []
        with nogil:
            pthread_mutex_lock(&self.core.streams_lock)     # directory entries stay where they are
        try:
            while log_each_stream(self.core, &at, &one):
                found.append((one.name[:one.name_len].decode(), one.topic_id[:16], one.partition.number,
                              one.partition.stream, one.partition.durability,
                              load_acquire_u64(&one.partition.start), load_acquire_u64(&one.partition.end)))
        finally:
            pthread_mutex_unlock(&self.core.streams_lock)
        return sorted(found, key=lambda row: row[3])

    # --- what is kept ---

    def default_policy(self, **fields):
        """What holds for streams without their own policy; before they are used. Fields as in set_policy."""
        self.core.policy = policy_edited(self.core.policy, fields)

    def set_policy(self, uint64_t stream, **fields):
        """What is kept of a stream: retention_ms, retention_bytes, segment_bytes, segment_ms, min_compaction_lag_ms,
        max_compaction_lag_ms, delete_retention_ms (ms and bytes, -1 for no bound), min_cleanable_dirty_ratio,
        cleanup ("delete", "compact", "compact,delete"), remote (bool). What is not named is the default's."""
        cdef Policy policy = policy_edited(self.core.policy, fields)
        cdef Policy* fresh = <Policy*>malloc(sizeof(Policy))
        cdef Policy* old = NULL
        cdef Partition* partition
        if fresh == NULL:
            raise MemoryError
        fresh[0] = policy
        with nogil:
            pthread_mutex_lock(&self.core.streams_lock)
            partition = core_find(self.core, stream)
            if partition != NULL:
                old = partition.policy
                store_release_ptr(<void**>&partition.policy, fresh)
            pthread_mutex_unlock(&self.core.streams_lock)
        if old != NULL:
            qsbr_retire(old, free)
        if partition == NULL:
            free(fresh)
            raise_status(UNKNOWN_TOPIC, f"stream {stream}")

    def retain(self, int64_t now_ms):
        """One pass of retention over all streams at wall time `now_ms`; how many lost something. Blocks, without the GIL."""
        cdef uint64_t trimmed = 0
        cdef Status why
        with nogil:
            why = log_retain(self.core, now_ms, &trimmed)
        if why != OK:
            raise_status(why, "retention")
        return trimmed

    def trim(self, uint64_t stream, uint64_t offset):
        """Delete the records below `offset`. Returns the position to give to wait_durable: then no restart brings them back."""
        cdef Partition* partition
        cdef Status why = UNKNOWN_TOPIC
        cdef int slot = reader()
        with nogil:
            partition = core_find(self.core, stream)
            if partition != NULL:
                why = log_trim(self.core, partition, offset)
            qsbr_unregister(slot)
        if why != OK:
            raise_status(why, f"stream {stream}")
        return journal_tail(self.core.wal) if self.core.wal != NULL else 0

    def seal(self):
        """Have everything that was appended to the write-ahead log sealed; blocks, without the GIL."""
        cdef Status why = OK
        if self.core.sealer != NULL:
            with nogil:
                why = sealer_seal_all(self.core.sealer)
        if why != OK:
            raise_status(why, "cannot seal the journal")

    def sealed(self):
        """{file id: (bytes, [(stream, base offset, end offset, bytes, max timestamp in ms, cleaned at in ms)])}: the sealed
        files in use, and those of their runs that are."""
        cdef uint64_t at = 0
        cdef Partition* partition
        cdef SealedRun* run
        cdef uint32_t i
        cdef dict found = {}
        with nogil:
            pthread_mutex_lock(&self.core.runs_lock)
            pthread_mutex_lock(&self.core.streams_lock)
        try:
            partition = <Partition*>table_each(&self.core.streams, &at)
            while partition != NULL:
                for i in range(partition.runs.count if partition.runs != NULL else 0):
                    run = &runs_all(partition.runs)[i]
                    found.setdefault(run.file.id, (run.file.size, []))[1].append(
                        (run.row.stream, run.row.base_offset, run.row.end_offset, run.row.bytes, run.row.max_timestamp,
                         run.row.cleaned_at))
                partition = <Partition*>table_each(&self.core.streams, &at)
        finally:
            pthread_mutex_unlock(&self.core.streams_lock)
            pthread_mutex_unlock(&self.core.runs_lock)
        return found

    # --- the state table ---

    def state_put(self, uint16_t space, bytes key, value):
        """Set one value, or delete it (None). Returns the position to give to wait_durable."""
        cdef bytes data = value if value is not None else b""
        cdef const uint8_t* k = key
        cdef const uint8_t* v = data
        cdef uint32_t key_len = <uint32_t>len(key)
        cdef int64_t n = len(data) if value is not None else -1
        cdef Appended result
        cdef Status why
        with nogil:
            why = log_state_put(self.core, space, k, key_len, v, n, &result)
        if log_will_have_room(self.core, why):
            raise LogError("cannot store state: slow readers hold the journal's room; try again when they have read it")
        if why != OK:
            raise_status(why, "cannot store state")
        return result.durable_at

    def state_items(self, uint16_t space):
        """All live (key, value) of a space, in no order."""
        cdef list found = []
        cdef Status why = log_state_scan(self.core, space, collect_state, <void*>found)
        if why != OK:
            raise_status(why, "cannot read state")
        return found

    # --- durability ---

    @property
    def durable(self):
        """Position up to which the write-ahead log survives power loss; 0 with a memory-only log."""
        return journal_durable(self.core.wal) if self.core.wal != NULL else 0

    def sync(self):
        """Block until everything appended so far is durable."""
        cdef Status why = OK
        if self.core.wal != NULL:
            with nogil:
                why = journal_commit(self.core.wal)
        if why != OK:
            raise_status(why, "cannot sync")

    def wait_durable(self, uint64_t position):
        """A future of the running loop, done once the write-ahead log is durable up to `position` (LogError if it fails)."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        if self.core.wal == NULL or journal_durable(self.core.wal) >= position:
            future.set_result(None)
            return future
        self.listen_on(loop)
        self.numbers += 1
        heapq.heappush(self.waiting, (position, self.numbers, future))
        journal_want_sync(self.core.wal, position, &self.box, &self.mail)
        return future

    def when_unwell(self, told):
        """Call `told(health())` on the running loop each time the write-ahead log's health gets worse, and `told("unreadable")` once
        when `unreadable()` is not 0 any more."""
        self.told = told
        self.healthy = "ok"
        self.whole = True
        self.listen_on(asyncio.get_running_loop())

    cdef listen_on(self, loop):
        if self.loop is loop:
            return
        if self.loop is not None:
            raise RuntimeError("one event loop waits for a log")
        loop.add_reader(self.box.event_fd, self.on_news)
        self.loop = loop
        self.on_news()

    def on_news(self):
        """The doorbell rang: settle what is durable now."""
        if self.core == NULL:
            return
        mailbox_awake(&self.box, True)
        while True:
            mailbox_run(&self.box, 16, 0)
            if self.core.wal != NULL:
                self.settle()
                self.tell()
            if mailbox_may_sleep(&self.box):
                break

    cdef settle(self):
        cdef uint64_t durable = journal_durable(self.core.wal)
        cdef bint failed = not journal_may_sync(self.core.wal)
        while self.waiting and (self.waiting[0][0] <= durable or failed):
            position, _, future = heapq.heappop(self.waiting)
            if future.done():
                continue
            if position <= durable:
                future.set_result(None)
            else:
                try:
                    raise_status(STORE_FAILED, "cannot make it durable")
                except LogError as error:
                    future.set_exception(error)

    cdef tell(self):
        cdef str health = self.health()
        if self.told is not None and health != self.healthy:
            self.healthy = health
            self.told(health)
        if self.told is not None and self.whole and self.unreadable():
            self.whole = False
            self.told("unreadable")

    # --- numbers ---

    def unreadable(self):
        """How often a sealed file was found, since start, to have pages that the disk cannot give: nothing of such a file is read
        until the broker restarts."""
        return log_unreadable(self.core) if self.core.wal != NULL else 0

    def health(self):
        """'ok', 'full' or 'failed': the write-ahead log's, else the memory journal's."""
        cdef Status why = journal_health(self.core.wal if self.core.wal != NULL else self.core.memory)
        return "ok" if why == OK else "full" if why == STORE_FULL else "failed"

    def stats(self):
        """{'wal': …, 'memory': …, 'sealed': …}: numbers since start; sync_buckets[i] counts syncs of less than 2^i µs."""
        return log_stats(self.core)


cdef int reader() except -1:
    """A slot for a read section of the calling Python thread."""
    cdef int slot = qsbr_register()
    if slot < 0:
        raise RuntimeError("too many threads read the log at once")
    return slot
