"""Runs in the blob store: see remote.pxd."""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset
from robustmq._fastpath.atomic cimport spin_lock, spin_unlock
from robustmq._fastpath.block cimport ref_holds, ref_release
from robustmq._fastpath.mailbox cimport (
    mail_init, mailbox_awake, mailbox_close, mailbox_init, mailbox_may_sleep, mailbox_run,
)
from robustmq._fastpath.platform cimport pthread_mutex_lock, pthread_mutex_unlock
from robustmq._fastpath.qsbr cimport qsbr_offline, qsbr_online, qsbr_register, qsbr_unregister
from robustmq._fastpath.status cimport CORRUPT, NO_MEMORY, OK, STORE_FULL, Status
from robustmq._fastpath.stores.core cimport core_find, core_publish
from robustmq._fastpath.stores.journal cimport Entry
from robustmq._fastpath.stores.partition cimport Partition, partition_runs, partition_wake
from robustmq._fastpath.stores.runs cimport Runs, SealedRun, runs_all
from robustmq._fastpath.stores.sealed cimport (
    SEALED_WANTS, SealedFile, SealedRow, SealedStore, SealedWant, record_position, record_span, row_elsewhere, sealed_drop,
    sealed_open, sealed_record,
)
from robustmq._fastpath.stores.sealed_writer cimport (
    writer_abandon, writer_begin_run, writer_end_run, writer_finish, writer_open, writer_put, writer_put_row,
)

from robustmq._fastpath.stores.files import LogError


cdef void no_news(Mail* self, void* receiver, int64_t now_ns) noexcept nogil:
    """The doorbell is the news."""


cdef raise_disk(Status why):
    if why == NO_MEMORY:
        raise LogError("out of memory for a sealed file; give the broker more memory")
    raise LogError("a sealed file cannot be written: " + ("the disk is full; free space" if why == STORE_FULL else
                                                         "the disk reported an error; replace it"))


cdef Status copy_run(Writer* writer, SealedFile* file, const SealedRow* row) noexcept nogil:
    """Every record of a run, each proven on the way. CORRUPT."""
    cdef uint64_t at = row.at
    cdef uint64_t end = row.at + row.bytes
    cdef uint32_t batches = 0
    cdef const Entry* entry
    cdef Status why = writer_begin_run(writer, row.stream, row.base_offset, row.cleaned_at)
    while why == OK and at < end:
        entry = sealed_record(file, at, end, row.stream)
        if entry == NULL:
            return CORRUPT
        why = writer_put(writer, entry, record_position(entry))
        at += record_span(entry)
        batches += 1
    if why == OK and (batches != row.batches or not ref_holds(&file.ref)):
        return CORRUPT
    writer_end_run(writer, row.end_offset)
    return why


cdef class Remote:
    """The blob store's side of a write-ahead log; close it before the log. One thread at a time."""

    def __cinit__(self, Log log):
        self.log = log
        if log.core == NULL or log.core.sealer == NULL or mailbox_init(&self.box, NULL) != 0:
            raise LogError("a log in memory has nothing to tier, or the file descriptors are used up (ulimit -n)")
        mail_init(&self.mail, no_news)

    def listen(self, loop, news):
        """Have `loop` call `news()` whenever `wants` has something."""
        self.news = news
        loop.add_reader(self.box.event_fd, self.on_news)
        spin_lock(&self.log.core.sealed.wants_lock)
        self.log.core.sealed.wants_mail = &self.mail
        self.log.core.sealed.wants_box = &self.box
        spin_unlock(&self.log.core.sealed.wants_lock)
        self.on_news()

    def close(self, loop):
        """Nothing is asked for any more."""
        if self.news is not None:
            loop.remove_reader(self.box.event_fd)
            self.news = None
        self.detach()

    cdef detach(self):
        if self.box.event_fd >= 0:
            if self.log is not None and self.log.core != NULL:
                spin_lock(&self.log.core.sealed.wants_lock)
                self.log.core.sealed.wants_box = NULL
                self.log.core.sealed.want_count = 0
                spin_unlock(&self.log.core.sealed.wants_lock)
            mailbox_close(&self.box)
            self.box.event_fd = -1

    def on_news(self):
        """The doorbell rang."""
        mailbox_awake(&self.box, True)
        while True:
            mailbox_run(&self.box, 16, 0)
            if mailbox_may_sleep(&self.box):
                break
        if self.news is not None:
            self.news()

    def wants(self):
        """[(stream, base offset)] of the runs that were asked for since the last call."""
        cdef SealedStore* store = &self.log.core.sealed
        cdef SealedWant wants[SEALED_WANTS]
        cdef uint32_t i, count
        spin_lock(&store.wants_lock)
        count = store.want_count
        for i in range(count):
            wants[i] = store.wants[i]
        store.want_count = 0
        spin_unlock(&store.wants_lock)
        return [(wants[i].stream, wants[i].base_offset) for i in range(count)]

    def runs(self, uint64_t stream):
        """[(file id, runs in that file, base offset, end offset, bytes, max timestamp in ms, id of the file in the blob
        store or 0)] in order of offsets; LookupError when the stream was deleted."""
        cdef Partition* partition
        cdef Runs* runs
        cdef SealedRun* run
        cdef uint32_t i
        cdef list found = []
        cdef int slot = qsbr_register()
        if slot < 0:
            raise RuntimeError("too many threads read the log at once")
        try:
            partition = core_find(self.log.core, stream)
            if partition == NULL:
                raise LookupError(f"stream {stream} does not exist; it was deleted")
            runs = partition_runs(partition)
            for i in range(runs.count if runs != NULL else 0):
                run = &runs_all(runs)[i]
                found.append((run.file.id, run.file.row_count, run.row.base_offset, run.row.end_offset, run.row.bytes,
                              run.row.max_timestamp, run.row.index_at if row_elsewhere(run.row) else 0))
        finally:
            qsbr_unregister(slot)
        return found

    def release(self, list runs):
        """Let go of the records of uploaded runs: [(stream, base offset, file id here, file id in the blob store)]. What
        is not as it is told stays as it is."""
        cdef Writer writer
        cdef Status why
        with nogil:
            why = writer_open(&writer, &self.log.core.sealed)
        if why == OK:
            self.collect(&writer, sorted(runs))
        if why == OK and writer.row_count == 0:
            with nogil:
                writer_abandon(&writer)
            return
        if why != OK:
            with nogil:
                writer_abandon(&writer)
            raise_disk(why)
        self.commit(&writer)

    cdef collect(self, Writer* writer, list runs):
        """Rows without records, by stream and offset."""
        cdef Partition* partition
        cdef Runs* held
        cdef SealedRun* run
        cdef SealedRow row
        cdef uint64_t stream, base, file_id, object_id
        cdef uint32_t i
        cdef int slot = qsbr_register()
        if slot < 0:
            raise RuntimeError("too many threads read the log at once")
        try:
            for stream, base, file_id, object_id in runs:
                partition = core_find(self.log.core, stream)
                held = partition_runs(partition) if partition != NULL else NULL
                for i in range(held.count if held != NULL else 0):
                    run = &runs_all(held)[i]
                    if run.file.id != file_id or run.row.base_offset != base or row_elsewhere(run.row):
                        continue
                    row = run.row[0]
                    row.at = 0
                    row.index_at = object_id
                    row.index_rows = 0
                    if writer_put_row(writer, &row) != OK:
                        raise MemoryError
                    break
        finally:
            qsbr_unregister(slot)

    def recall(self, path, uint64_t stream, uint64_t base, uint64_t end):
        """Take the run of `stream` from `base` to `end` out of a copy of an uploaded file; its waiters are woken. The id of
        the file here. ValueError: the copy is not what was uploaded; LogError: the disk."""
        cdef bytes name = str(path).encode()
        cdef const char* c_path = name
        cdef const char* damage = NULL
        cdef SealedStore* aside = <SealedStore*>calloc(1, sizeof(SealedStore))
        cdef SealedFile* file = NULL
        cdef Writer writer
        cdef Status why = CORRUPT
        cdef uint64_t i
        if aside == NULL:
            raise MemoryError
        with nogil:
            memset(&writer, 0, sizeof(Writer))
            writer.fd = -1
            file = sealed_open(aside, c_path, &damage)
            if file != NULL and damage == NULL:
                for i in range(file.row_count):
                    if file.rows[i].stream == stream and file.rows[i].base_offset == base \
                            and file.rows[i].end_offset == end and not row_elsewhere(&file.rows[i]):
                        why = writer_open(&writer, &self.log.core.sealed)
                        if why == OK:
                            why = copy_run(&writer, file, &file.rows[i])
                        break
            if file != NULL:
                ref_release(&file.ref)
            free(aside)
            if why != OK:
                writer_abandon(&writer)
        if why == CORRUPT:
            raise ValueError(f"{path} does not prove itself as offsets {base} to {end} of stream {stream}")
        if why != OK:
            raise_disk(why)
        return self.commit(&writer)

    cdef commit(self, Writer* writer):
        """Finish the file, give its runs to their partitions, wake who waits; its id."""
        cdef SealedFile* file = NULL
        cdef Partition* partition
        cdef uint64_t id = writer.id
        cdef uint32_t i
        cdef Status why
        cdef int slot = qsbr_register()
        if slot < 0:
            writer_abandon(writer)
            raise RuntimeError("too many threads read the log at once")
        with nogil:
            qsbr_offline(slot)
            why = writer_finish(writer, &file)
            if why != OK:
                writer_abandon(writer)
            else:
                why = core_publish(self.log.core, file, slot)
                qsbr_online(slot)
                for i in range(file.row_count):
                    partition = core_find(self.log.core, file.rows[i].stream)
                    if partition != NULL and not row_elsewhere(&file.rows[i]):
                        partition_wake(partition)
                qsbr_offline(slot)
                sealed_drop(file)
            qsbr_unregister(slot)
        if why != OK:
            raise_disk(why)
        return id

    def __dealloc__(self):
        if self.box.event_fd > 0:
            mailbox_close(&self.box)
