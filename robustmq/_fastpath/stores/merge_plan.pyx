"""What is worth writing again: see merge_plan.pxd."""
from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport free, qsort
from libc.string cimport memset
from robustmq._fastpath.block cimport ref_release, ref_retain
from robustmq._fastpath.qsbr cimport qsbr_offline, qsbr_online
from robustmq._fastpath.status cimport NO_MEMORY, OK
from robustmq._fastpath.stores.arrays cimport array_by_stream, array_grow
from robustmq._fastpath.stores.core cimport core_find, core_policy
from robustmq._fastpath.stores.partition cimport CLEANUP_DELETE, Partition, partition_runs
from robustmq._fastpath.stores.runs cimport Runs, SealedRun, runs_all
from robustmq._fastpath.stores.sealed cimport SEALED_FOOTER, SEALED_HEADER, row_elsewhere
from robustmq._fastpath.stores.streams cimport log_next_streams


cdef enum:
    CHUNK = 1024                        # streams looked at in one QSBR section
    RETENTION_PARTS = 8


cdef struct Window:                     # the newest runs, one after the other
    uint64_t count
    uint64_t bytes
    uint64_t biggest
    uint64_t best                       # the most of them that are worth it


cdef void widen(Window* window, uint64_t bytes) noexcept nogil:
    window.count += 1
    window.bytes += bytes
    window.biggest = max(window.biggest, bytes)
    if window.count >= STRETCH_LEAST and window.biggest * 4 <= window.bytes:
        window.best = window.count


# --- files ------------------------------------------------------------------------------------------------------------

cdef Status note_file(Plan* plan, SealedFile* file) noexcept nogil:
    if file.look == plan.core.sealed.looks:
        return OK
    if not array_grow(<void**>&plan.files, plan.file_count, &plan.file_cap, sizeof(SealedFile*)):
        return NO_MEMORY
    ref_retain(&file.ref)
    plan.files[plan.file_count] = file
    plan.file_count += 1
    file.look = plan.core.sealed.looks
    file.kept = SEALED_HEADER + SEALED_FOOTER
    file.stays = 0
    file.moves = 0
    return OK


cdef Status weigh(Plan* plan, Partition* partition, const Policy* policy, Runs* runs) noexcept nogil:
    """What each file is kept for."""
    cdef SealedRun* run
    cdef uint32_t i
    for i in range(runs.count):
        run = &runs_all(runs)[i]
        if note_file(plan, run.file) != OK:
            return NO_MEMORY
        run.file.kept += sizeof(SealedRow)
        if not row_elsewhere(run.row):
            run.file.kept += run.row.bytes
            run.file.stays |= policy.remote
    return OK


cdef int smallest_last(const void* a, const void* b) noexcept nogil:
    cdef uint64_t x = (<SealedFile* const*>a)[0].size
    cdef uint64_t y = (<SealedFile* const*>b)[0].size
    return -1 if x > y else x < y


cdef void choose_files(Plan* plan) noexcept nogil:
    cdef Window window
    cdef SealedFile* file
    cdef uint64_t i
    memset(&window, 0, sizeof(Window))
    if plan.file_count:
        qsort(plan.files, plan.file_count, sizeof(SealedFile*), smallest_last)
    for i in range(plan.file_count, 0, -1):
        file = plan.files[i - 1]
        if not file.stays and file.size < plan.small:
            widen(&window, file.size)
    for i in range(plan.file_count, 0, -1):
        file = plan.files[i - 1]
        if file.stays:
            continue
        if file.size < plan.small and window.best:
            window.best -= 1
            file.moves = 1
        elif file.kept * 2 < file.size and file.rows[0].stream != file.rows[file.row_count - 1].stream:
            file.moves = 1


# --- runs -------------------------------------------------------------------------------------------------------------

cdef int64_t bounded(const Policy* policy, int64_t segment, int64_t retention) noexcept nogil:
    """segment.*, or less: what becomes one run is deleted as one, and that must not be much later."""
    if not policy.cleanup & CLEANUP_DELETE or retention < 0:
        return segment
    return min(segment, retention // RETENTION_PARTS)


cdef bint rows_join(const Policy* policy, const SealedRow* row, const SealedRow* newest) noexcept nogil:
    if row_elsewhere(row) or row_elsewhere(newest) or (row.cleaned_at != 0) != (newest.cleaned_at != 0):
        return False
    return (newest.max_timestamp - row.max_timestamp <= bounded(policy, policy.segment_ms, policy.retention_ms)
            or row.cleaned_at != 0 and not policy.cleanup & CLEANUP_DELETE)


cdef Status add_stretch(Plan* plan, SealedRun* first, SealedRun* last) noexcept nogil:
    cdef Stretch* stretch
    if not array_grow(<void**>&plan.stretches, plan.count, &plan.cap, sizeof(Stretch)):
        return NO_MEMORY
    stretch = &plan.stretches[plan.count]
    stretch.stream = first.row.stream
    stretch.base_offset = first.row.base_offset
    stretch.end_offset = last.row.end_offset
    plan.count += 1
    return OK


cdef uint32_t stretch_before(Plan* plan, const Policy* policy, SealedRun* runs, uint32_t end, uint32_t* low) noexcept nogil:
    """How many runs before `end` should become one; 0: none of those from `low` on, which could."""
    cdef Window window
    cdef uint32_t i = end
    cdef uint64_t limit = <uint64_t>bounded(policy, policy.segment_bytes, policy.retention_bytes)
    cdef uint64_t bytes = 0
    memset(&window, 0, sizeof(Window))
    while i > 0 and runs[i - 1].row.bytes < plan.small and rows_join(policy, runs[i - 1].row, runs[end - 1].row):
        bytes += runs[i - 1].row.bytes
        if bytes > limit:
            break
        i -= 1
        widen(&window, runs[i].row.bytes + sizeof(SealedRow))
    low[0] = min(i, end - 1)
    return <uint32_t>window.best


cdef Status choose(Plan* plan, Partition* partition, const Policy* policy, Runs* runs) noexcept nogil:
    cdef SealedRun* all = runs_all(runs)
    cdef uint32_t end = runs.count
    cdef uint32_t low, count, i
    cdef Status why = OK
    while why == OK and end > 0:
        low = end - 1
        count = 0 if policy.remote else stretch_before(plan, policy, all, end, &low)
        if count:
            end -= count
            why = add_stretch(plan, &all[end], &all[end + count - 1])
            continue
        for i in range(low, end):
            if why == OK and all[i].file.look == plan.core.sealed.looks and all[i].file.moves:
                why = add_stretch(plan, &all[i], &all[i])
        end = low
    return why


# --- the whole --------------------------------------------------------------------------------------------------------

cdef Status each(Plan* plan, int slot,
                 Status (*visit)(Plan*, Partition*, const Policy*, Runs*) noexcept nogil) noexcept nogil:
    cdef uint64_t streams[CHUNK]
    cdef uint64_t at = 0
    cdef uint32_t count = CHUNK
    cdef uint32_t i
    cdef Partition* partition
    cdef Runs* runs
    cdef Status why = OK
    while why == OK and count == CHUNK:
        count = log_next_streams(plan.core, &at, streams, CHUNK)
        qsbr_online(slot)
        for i in range(count):
            partition = core_find(plan.core, streams[i])
            runs = partition_runs(partition) if partition != NULL else NULL
            if runs != NULL and why == OK:
                why = visit(plan, partition, core_policy(plan.core, partition), runs)
        qsbr_offline(slot)
    return why


cdef Status plan_make(Plan* plan, LogCore* core, int slot) noexcept nogil:
    cdef Status why
    memset(plan, 0, sizeof(Plan))
    plan.core = core
    plan.small = core.wal.segments.size // SMALL_SHARE
    core.sealed.looks += 1
    why = each(plan, slot, weigh)
    if why == OK:
        choose_files(plan)
        why = each(plan, slot, choose)
    if plan.count:                      # of nothing there is no array
        qsort(plan.stretches, plan.count, sizeof(Stretch), array_by_stream)
    return why


cdef void plan_free(Plan* plan) noexcept nogil:
    cdef uint64_t i
    for i in range(plan.file_count):
        ref_release(&plan.files[i].ref)
    free(plan.files)
    free(plan.stretches)
    memset(plan, 0, sizeof(Plan))
