"""Merging sealed runs: see merge.pxd."""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset
from robustmq._fastpath.atomic cimport fetch_add_u64
from robustmq._fastpath.block cimport ref_holds, ref_release, ref_retain
from robustmq._fastpath.qsbr cimport qsbr_offline, qsbr_online, qsbr_register, qsbr_unregister
from robustmq._fastpath.status cimport CORRUPT, NO_MEMORY, OK, SHUTTING_DOWN, Status
from robustmq._fastpath.stores.arrays cimport array_grow
from robustmq._fastpath.stores.core cimport LogCore, core_find, core_policy, core_publish
from robustmq._fastpath.stores.journal cimport Entry
from robustmq._fastpath.stores.merge_plan cimport Stretch, plan_free, plan_make, rows_join
from robustmq._fastpath.stores.pace cimport pace_free, pace_give_way, pace_init, pace_stop, pace_stopped
from robustmq._fastpath.stores.partition cimport Partition, Policy, partition_runs
from robustmq._fastpath.stores.runs cimport Runs, runs_all, runs_from
from robustmq._fastpath.stores.sealed cimport (
    SealedFile, SealedRow, record_position, record_span, row_elsewhere, sealed_drop, sealed_load, sealed_record,
)
from robustmq._fastpath.stores.sealed_writer cimport (
    Writer, writer_abandon, writer_begin_run, writer_end_run, writer_finish, writer_open, writer_put,
    writer_put_row,
)

import os

from robustmq._fastpath.stores.files import LogError


cdef enum:
    ROOM = 8                            # segments

# --- what a stretch is now --------------------------------------------------------------------------------------------

cdef bint add_source(Merging* merging, SealedRun* run) noexcept nogil:
    if not array_grow(<void**>&merging.sources, merging.source_count, &merging.source_cap, sizeof(SealedRun)):
        return False
    ref_retain(&run.file.ref)
    merging.sources[merging.source_count] = run[0]
    merging.source_count += 1
    return True


cdef void let_go(Merging* merging) noexcept nogil:
    cdef uint32_t i
    for i in range(merging.source_count):
        ref_release(&merging.sources[i].file.ref)
    merging.source_count = 0


cdef bint gather(Merging* merging, const Stretch* stretch) noexcept nogil:
    """Its runs, if they still are what was planned. Inside a QSBR section."""
    cdef Partition* partition = core_find(merging.plan.core, stretch.stream)
    cdef Runs* runs = partition_runs(partition) if partition != NULL else NULL
    cdef const Policy* policy
    cdef const SealedRow* row
    cdef uint64_t offset = stretch.base_offset
    cdef uint32_t i
    if runs == NULL:
        return False
    policy = core_policy(merging.plan.core, partition)
    i = runs_from(runs, offset)
    while i < runs.count and offset < stretch.end_offset:
        row = runs_all(runs)[i].row
        if merging.source_count == 0 and row.base_offset != offset or row.end_offset > stretch.end_offset \
                or policy.remote and not row_elsewhere(row) or not add_source(merging, &runs_all(runs)[i]):
            return False
        offset = row.end_offset
        i += 1
    if offset != stretch.end_offset:
        return False
    for i in range(merging.source_count - 1):
        if not rows_join(policy, merging.sources[i].row, merging.sources[merging.source_count - 1].row):
            return False
    return True


cdef bint is_proven(SealedRun* run) noexcept nogil:
    """Every record is what was written."""
    cdef uint64_t at = run.row.at
    cdef uint64_t end = run.row.at + run.row.bytes
    cdef uint32_t batches = 0
    cdef const Entry* entry
    if sealed_load(run.file, at, run.row.bytes) != 0:
        return False
    while at < end:
        entry = sealed_record(run.file, at, end, run.row.stream)
        if entry == NULL:
            return False
        at += record_span(entry)
        batches += 1
    return batches == run.row.batches


# --- writing it again -------------------------------------------------------------------------------------------------

cdef Status copy_records(Merging* merging, Writer* writer, SealedRun* run) noexcept nogil:
    cdef uint64_t at = run.row.at
    cdef uint64_t end = run.row.at + run.row.bytes
    cdef const Entry* entry
    cdef Status why = OK
    while why == OK and at < end:
        if pace_stopped(&merging.pace):
            return SHUTTING_DOWN
        entry = sealed_record(run.file, at, end, run.row.stream)
        if entry == NULL:
            return CORRUPT
        why = writer_put(writer, entry, record_position(entry))
        at += record_span(entry)
    if not ref_holds(&run.file.ref):
        return CORRUPT                  # a page went between its crc and its copy
    return why


cdef Status write_run(Merging* merging, Writer* writer, const Stretch* stretch) noexcept nogil:
    """All sources as one run."""
    cdef SealedRun* last = &merging.sources[merging.source_count - 1]
    cdef SealedRow* row
    cdef uint64_t cleaned_at = 0
    cdef uint32_t i
    cdef Status why
    if row_elsewhere(last.row):
        return writer_put_row(writer, last.row)
    for i in range(merging.source_count):
        cleaned_at = max(cleaned_at, merging.sources[i].row.cleaned_at)
    why = writer_begin_run(writer, stretch.stream, stretch.base_offset, cleaned_at)
    for i in range(merging.source_count):
        if why == OK:
            why = copy_records(merging, writer, &merging.sources[i])
    if why != OK:
        return why
    writer_end_run(writer, stretch.end_offset)
    row = &writer.rows[writer.row_count - 1]
    row.first_position = merging.sources[0].row.first_position      # also of what the cleaner took out
    row.last_position = last.row.last_position
    merging.written += row.bytes
    return OK


cdef Status write_stretch(Merging* merging, Writer* writer, const Stretch* stretch) noexcept nogil:
    cdef bint good
    cdef uint32_t i
    cdef Status why = OK
    qsbr_online(merging.slot)
    good = gather(merging, stretch)
    qsbr_offline(merging.slot)
    for i in range(merging.source_count):
        good = good and (row_elsewhere(merging.sources[i].row) or is_proven(&merging.sources[i]))
    if good:
        why = write_run(merging, writer, stretch)
    let_go(merging)
    return why


cdef Status write_file(Merging* merging, Writer* writer) noexcept nogil:
    """The next stretches, until a segment's worth is written."""
    cdef uint64_t limit = merging.plan.core.wal.segments.size
    cdef Status why = writer_open(writer, &merging.plan.core.sealed)
    writer.pause = pace_give_way
    writer.context = &merging.pace
    merging.written = 0
    while why == OK and merging.next < merging.plan.count and writer.at < limit:
        why = write_stretch(merging, writer, &merging.plan.stretches[merging.next])
        merging.next += 1
    return why


cdef Status step(Merging* merging) noexcept nogil:
    cdef LogCore* core = merging.plan.core
    cdef SealedFile* file = NULL
    cdef Writer writer
    cdef Status why = write_file(merging, &writer)
    if why == OK and writer.row_count:
        why = writer_finish(&writer, &file)
    if why != OK or file == NULL:
        writer_abandon(&writer)
        return why
    why = core_publish(core, file, merging.slot)
    sealed_drop(file)
    fetch_add_u64(&core.sealed.counters.merges, 1)
    fetch_add_u64(&core.sealed.counters.merged_bytes, merging.written)
    return why


cdef class Merge:
    """One round over a write-ahead log: `plan`, then `step` until nothing is left; blocks, without the GIL."""

    def __cinit__(self, Log log not None, uint64_t bytes_per_s):
        memset(&self.state, 0, sizeof(Merging))
        self.state.slot = -1
        pace_init(&self.state.pace, bytes_per_s)
        if log.core == NULL or log.core.sealer == NULL:
            raise ValueError("a log in memory has no sealed files")
        self.log = log

    def plan(self):
        """How many stretches there are; none while the disk has little room, which the journal needs. MemoryError."""
        cdef Status why = NO_MEMORY
        room = os.statvfs(<bytes>self.log.core.sealed.directory)
        if room.f_bavail * room.f_frsize < ROOM * self.log.core.wal.segments.size:
            return 0
        with nogil:
            plan_free(&self.state.plan)
            self.state.next = 0
            self.state.slot = qsbr_register()
            if self.state.slot >= 0:
                qsbr_offline(self.state.slot)
                why = plan_make(&self.state.plan, self.log.core, self.state.slot)
                qsbr_unregister(self.state.slot)
        if why != OK:
            raise MemoryError("not enough memory to look through the sealed files")
        return self.state.plan.count

    def step(self):
        """Write one file of them; whether any are left. LogError: the disk; nothing is lost."""
        cdef Status why = NO_MEMORY
        with nogil:
            self.state.slot = qsbr_register()
            if self.state.slot >= 0:
                qsbr_offline(self.state.slot)
                why = step(&self.state)
                qsbr_unregister(self.state.slot)
        if why != OK and why != SHUTTING_DOWN:
            raise LogError(f"merging of sealed files stopped: the disk or memory refused (status {<int>why}); nothing is lost")
        return why == OK and self.state.next < self.state.plan.count

    def stop(self):
        """A step under way ends soon and leaves nothing; any thread."""
        pace_stop(&self.state.pace)

    def __dealloc__(self):
        plan_free(&self.state.plan)
        free(self.state.sources)
        pace_free(&self.state.pace)
