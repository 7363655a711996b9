"""A partition's sealed runs: see runs.pxd."""
from libc.stdlib cimport free, malloc
from robustmq._fastpath.atomic cimport fetch_add_u64, store_release_ptr
from robustmq._fastpath.batch cimport batch_last_offset_delta, batch_max_timestamp
from robustmq._fastpath.block cimport ref_failed
from robustmq._fastpath.qsbr cimport qsbr_retire
from robustmq._fastpath.status cimport CORRUPT, ELSEWHERE, NEED_MORE, OK
from robustmq._fastpath.stores.journal cimport entry_body
from robustmq._fastpath.stores.sealed cimport (
    INDEX_EVERY, record_position, record_span, row_elsewhere, sealed_stretch, sealed_drop, sealed_guess, sealed_near_offset,
    sealed_near_position, sealed_near_time, sealed_record, sealed_resume, sealed_use, sealed_want,
)


cdef enum:
    SCAN_MOST = 1 << 20                 # bytes of damage looked through one by one; more than most batches, a millisecond


# --- the array --------------------------------------------------------------------------------------------------------

cdef void replace(Runs** runs, Runs* fresh) noexcept nogil:
    cdef Runs* old = runs[0]
    store_release_ptr(<void**>runs, fresh)
    if old != NULL:
        qsbr_retire(old, free)


cdef bint runs_add(Runs** runs, SealedFile* file, const SealedRow* row) noexcept nogil:
    cdef Runs* old = runs[0]
    cdef uint32_t count = old.count if old != NULL else 0
    cdef Runs* fresh = <Runs*>malloc(sizeof(Runs) + (count + 1) * sizeof(SealedRun))
    cdef SealedRun* to
    cdef SealedRun run
    cdef bint placed = False
    cdef uint32_t i
    if fresh == NULL:
        return False
    fresh.count = 0
    to = runs_all(fresh)
    for i in range(count):
        run = runs_all(old)[i]
        if not placed and run.row.base_offset >= row.base_offset:
            to[fresh.count] = SealedRun(file, row)
            fresh.count += 1
            placed = True
        if run.row.base_offset >= row.base_offset and run.row.end_offset <= row.end_offset:
            sealed_drop(run.file)
        else:
            to[fresh.count] = run
            fresh.count += 1
    if not placed:
        to[fresh.count] = SealedRun(file, row)
        fresh.count += 1
    sealed_use(file)
    replace(runs, fresh)
    return True


cdef bint runs_drop_before(Runs** runs, uint64_t offset) noexcept nogil:
    cdef Runs* old = runs[0]
    cdef Runs* fresh = NULL
    cdef uint32_t gone, i
    gone = runs_from(old, offset)
    if gone == 0:
        return True
    if gone < old.count:
        fresh = <Runs*>malloc(sizeof(Runs) + (old.count - gone) * sizeof(SealedRun))
        if fresh == NULL:
            return False
        fresh.count = old.count - gone
        for i in range(fresh.count):
            runs_all(fresh)[i] = runs_all(old)[gone + i]
    for i in range(gone):
        sealed_drop(runs_all(old)[i].file)
    replace(runs, fresh)
    return True


cdef void runs_free(Runs* runs) noexcept nogil:
    cdef uint32_t i
    if runs != NULL:
        for i in range(runs.count):
            sealed_drop(runs_all(runs)[i].file)
        free(runs)


cdef uint64_t runs_bytes(Runs* runs) noexcept nogil:
    cdef uint64_t bytes = 0
    cdef uint32_t i
    if runs != NULL:
        for i in range(runs.count):
            bytes += runs_all(runs)[i].row.bytes
    return bytes


cdef uint32_t runs_from(Runs* runs, uint64_t offset) noexcept nogil:
    cdef uint32_t low = 0
    cdef uint32_t high, middle
    if runs == NULL:
        return 0
    high = runs.count
    while low < high:
        middle = low + (high - low) // 2
        if runs_all(runs)[middle].row.end_offset > offset:
            high = middle
        else:
            low = middle + 1
    return low


# --- reading ----------------------------------------------------------------------------------------------------------

cdef Status found(SealedRun* run, const Entry* entry, uint64_t at, ReadSpan* span) noexcept nogil:
    span.entry = entry
    span.ref = &run.file.ref
    span.position = record_position(entry)
    span.base_offset = entry.base_offset
    span.file = run.file
    span.next_at = at + record_span(entry)
    span.run_end = run.row.at + run.row.bytes
    return OK


cdef inline uint64_t last_offset(const Entry* entry) noexcept nogil:
    return entry.base_offset + <uint64_t>batch_last_offset_delta(entry_body(entry))


cdef const Entry* next_good(SealedRun* run, uint64_t* at, bint* damaged) noexcept nogil:
    """The first record at or behind `at` that proves itself; NULL at the end of the run. Damage of more than SCAN_MOST bytes is
    left behind by the index: this may be a reactor."""
    cdef uint64_t end = run.row.at + run.row.bytes
    cdef uint64_t scanned = 0
    cdef const Entry* entry
    damaged[0] = False
    while at[0] < end:
        entry = sealed_record(run.file, at[0], end, run.row.stream)
        if entry != NULL:
            return entry
        if not damaged[0]:
            fetch_add_u64(&run.file.store.counters.corrupt, 1)
        damaged[0] = True
        at[0] += 8
        scanned += 8
        if scanned == SCAN_MOST:
            at[0] = sealed_resume(run.file, run.row, at[0])
            scanned = 0
    return NULL


cdef Status want(SealedRun* run, ReadSpan* span) noexcept nogil:
    sealed_want(run.file.store, run.row)
    span.base_offset = run.row.end_offset
    span.position = run.row.last_position
    return ELSEWHERE


cdef Status seek_in(SealedRun* run, uint64_t offset, ReadSpan* span) noexcept nogil:
    cdef uint64_t at
    cdef bint damaged
    cdef const Entry* entry
    if row_elsewhere(run.row):
        return want(run, span)
    at = sealed_near_offset(run.file, run.row, offset)
    if ref_failed(&run.file.ref):
        span.base_offset = run.row.end_offset
        return CORRUPT
    entry = next_good(run, &at, &damaged)
    while entry != NULL:
        if last_offset(entry) >= offset:
            if damaged and entry.base_offset > offset:
                span.base_offset = entry.base_offset
                return CORRUPT
            return found(run, entry, at, span)
        at += record_span(entry)
        entry = next_good(run, &at, &damaged)
    if damaged:
        span.base_offset = run.row.end_offset
        return CORRUPT
    return NEED_MORE


cdef Status runs_seek(Runs* runs, uint64_t offset, ReadSpan* span) noexcept nogil:
    cdef uint32_t i = runs_from(runs, offset)
    cdef Status why
    while runs != NULL and i < runs.count:
        why = seek_in(&runs_all(runs)[i], offset, span)
        if why != NEED_MORE:
            return why
        i += 1                          # the cleaner left nothing between here and the end of that run
    return NEED_MORE


cdef bint runs_stretch(Runs* runs, uint64_t offset, uint64_t n, Cold* stretch) noexcept nogil:
    cdef uint32_t i = runs_from(runs, offset)
    cdef SealedRun* run
    cdef uint64_t at
    if runs == NULL or i == runs.count:
        return False
    run = &runs_all(runs)[i]
    if row_elsewhere(run.row):
        return False                    # the disk has nothing to wait for
    at = sealed_guess(run.file, run.row, offset)
    return sealed_stretch(run.file, at, min(n + INDEX_EVERY, run.row.at + run.row.bytes - at), stretch)


cdef Status run_next(ReadSpan* span) noexcept nogil:
    cdef uint64_t at = span.next_at
    cdef const Entry* entry
    if at >= span.run_end:
        return NEED_MORE
    entry = sealed_record(span.file, at, span.run_end, span.entry.stream)
    if entry == NULL:
        return CORRUPT
    span.entry = entry
    span.position = record_position(entry)
    span.base_offset = entry.base_offset
    span.next_at = at + record_span(entry)
    return OK


cdef Status runs_at(Runs* runs, uint64_t position, ReadSpan* span) noexcept nogil:
    cdef uint32_t low = 0
    cdef uint32_t high, middle
    cdef SealedRun* run
    cdef const Entry* entry
    cdef uint64_t at
    cdef bint damaged
    if runs == NULL:
        return NEED_MORE
    high = runs.count
    while low < high:
        middle = low + (high - low) // 2
        if runs_all(runs)[middle].row.last_position >= position:
            high = middle
        else:
            low = middle + 1
    if low == runs.count:
        return NEED_MORE
    run = &runs_all(runs)[low]
    if row_elsewhere(run.row):
        return want(run, span) if position >= run.row.first_position else NEED_MORE
    at = sealed_near_position(run.file, run.row, position)
    entry = next_good(run, &at, &damaged)
    while entry != NULL and record_position(entry) < position:
        at += record_span(entry)
        entry = next_good(run, &at, &damaged)
    if entry == NULL or record_position(entry) != position:
        return NEED_MORE
    return found(run, entry, at, span)


cdef Status time_in(SealedRun* run, int64_t timestamp_ms, uint64_t offset, ReadSpan* span) noexcept nogil:
    cdef uint64_t at
    cdef bint damaged
    cdef const Entry* entry
    if row_elsewhere(run.row):
        return want(run, span)
    at = sealed_near_time(run.file, run.row, timestamp_ms)
    entry = next_good(run, &at, &damaged)
    while entry != NULL:
        if damaged:
            span.base_offset = entry.base_offset
            return CORRUPT
        if batch_max_timestamp(entry_body(entry)) >= timestamp_ms and last_offset(entry) >= offset:
            return found(run, entry, at, span)
        at += record_span(entry)
        entry = next_good(run, &at, &damaged)
    return NEED_MORE


cdef Status runs_seek_time(Runs* runs, int64_t timestamp_ms, uint64_t offset, ReadSpan* span) noexcept nogil:
    cdef uint32_t i = runs_from(runs, offset)
    cdef Status why
    while runs != NULL and i < runs.count:
        if runs_all(runs)[i].row.max_timestamp >= timestamp_ms:
            why = time_in(&runs_all(runs)[i], timestamp_ms, offset, span)
            if why != NEED_MORE:
                return why
        i += 1
    return NEED_MORE
