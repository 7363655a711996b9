"""Sealing journal segments: see sealer.pxd."""
from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport free, qsort
from libc.string cimport memset
from robustmq._fastpath.atomic cimport load_acquire_u32, load_acquire_u64, store_release_u32
from robustmq._fastpath.batch cimport batch_last_offset_delta
from robustmq._fastpath.block cimport ref_holds
from robustmq._fastpath.platform cimport (
    clock_monotonic_ns, memory_load, pthread_cond_broadcast, pthread_cond_destroy, pthread_cond_init, pthread_cond_wait,
    pthread_join, pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock, thread_name,
    thread_start, waker_destroy, waker_init, waker_ring, waker_wait, waker_wait_ns,
)
from robustmq._fastpath.qsbr cimport qsbr_offline, qsbr_online, qsbr_register, qsbr_unregister
from robustmq._fastpath.status cimport NO_MEMORY, OK, SHUTTING_DOWN, STORE_FAILED
from robustmq._fastpath.stores.arrays cimport array_by_stream, array_grow
from robustmq._fastpath.stores.core cimport LogCore, core_find, core_policy, core_publish
from robustmq._fastpath.stores.journal cimport (
    ENTRY_BATCH, MARK_PAD, Entry, count, entry_body, entry_length, entry_stride, journal_durable, journal_fail, journal_health,
    journal_start, journal_tail,
)
from robustmq._fastpath.stores.keeper cimport (
    journal_close_segment, journal_commit, journal_listed, journal_retire_oldest,
)
from robustmq._fastpath.stores.partition cimport Partition
from robustmq._fastpath.stores.runs cimport runs_end
from robustmq._fastpath.stores.sealed cimport (
    SealedFile, SealedStore, record_span, sealed_bury, sealed_drop, sealed_take_doomed,
)
from robustmq._fastpath.stores.sealed_writer cimport (
    Writer, writer_abandon, writer_begin_run, writer_end_run, writer_finish, writer_open, writer_put,
)
from robustmq._fastpath.stores.segment cimport SEGMENT_HEADER, Segment, segment_of, segments_trim


cdef enum:
    OWN_SHARE = 8                       # a stream with this fraction of a segment gets a file of its own
    SLOWEST = 16                        # writing gives way to this fraction of its rate at most


cdef struct Item:                       # a batch to seal
    uint64_t stream
    uint64_t at                         # byte in the segment


cdef struct Work:                       # one segment being sealed
    Sealer* sealer
    LogCore* core
    Segment* segment
    int slot                            # QSBR
    Item* items
    uint64_t count, cap
    SealedFile** files
    uint64_t file_count, file_cap
    Writer packed
    bint packing


cdef inline const Entry* entry_of(Work* work, uint64_t i) noexcept nogil:
    return <const Entry*>(work.segment.base + work.items[i].at)


cdef inline uint64_t end_of(const Entry* entry) noexcept nogil:
    return entry.base_offset + <uint64_t>batch_last_offset_delta(entry_body(entry)) + 1


# --- what to seal -----------------------------------------------------------------------------------------------------

cdef bint add_item(Work* work, uint64_t stream, uint64_t at) noexcept nogil:
    if not array_grow(<void**>&work.items, work.count, &work.cap, sizeof(Item)):
        return False
    work.items[work.count].stream = stream
    work.items[work.count].at = at
    work.count += 1
    return True


cdef bint wanted(Work* work, const Entry* entry) noexcept nogil:
    """A batch of a living stream that is neither sealed nor trimmed. Inside a QSBR section."""
    cdef Partition* partition = core_find(work.core, entry.stream)
    return (partition != NULL and partition.journal == work.sealer.journal and entry.base_offset >= runs_end(partition.runs)
            and end_of(entry) > load_acquire_u64(&partition.start))


cdef Status collect(Work* work) noexcept nogil:
    """The segment's batches, by stream, then by offset."""
    cdef uint64_t at = SEGMENT_HEADER
    cdef bint sorted = True
    cdef const Entry* entry
    while at < work.segment.store.size:
        entry = <const Entry*>(work.segment.base + at)
        if entry_length(entry) == 0:
            return STORE_FAILED         # a lost page
        if not entry.mark & MARK_PAD and entry.kind == ENTRY_BATCH and wanted(work, entry):
            sorted = sorted and (work.count == 0 or work.items[work.count - 1].stream <= entry.stream)
            if not add_item(work, entry.stream, at):
                return NO_MEMORY
        at += entry_stride(entry_length(entry))
    if not sorted:
        qsort(work.items, work.count, sizeof(Item), array_by_stream)
    return OK


# --- writing ----------------------------------------------------------------------------------------------------------

cdef void give_way(void* context, uint64_t bytes) noexcept nogil:
    """The emptier the journal, the slower: appends come first, and what was read a moment ago stays in its warm pages."""
    cdef Sealer* sealer = <Sealer*>context
    cdef uint64_t half = sealer.journal.most_segments // 2
    cdef uint64_t listed = max(journal_listed(sealer.journal), half // SLOWEST + 1)
    cdef bint asked
    pthread_mutex_lock(&sealer.lock)
    asked = sealer.asked > sealer.sealed
    pthread_mutex_unlock(&sealer.lock)
    if listed < half and not asked:
        waker_wait_ns(&sealer.never, <int64_t>(bytes * 1000000000 // sealer.bytes_per_s * half // listed))


cdef Status open_writer(Work* work, Writer* writer) noexcept nogil:
    cdef Status why = writer_open(writer, &work.core.sealed)
    writer.pause = give_way
    writer.context = work.sealer
    return why


cdef Status finish(Work* work, Writer* writer) noexcept nogil:
    cdef Status why
    if not ref_holds(&work.segment.ref):
        return STORE_FAILED             # the journal's copy may be read after a restart; this one never
    if not array_grow(<void**>&work.files, work.file_count, &work.file_cap, sizeof(SealedFile*)):
        return NO_MEMORY
    why = writer_finish(writer, &work.files[work.file_count])
    if why == OK:
        work.file_count += 1
    return why


cdef Status write_run(Work* work, Writer* writer, uint64_t first, uint64_t end, uint64_t limit, uint64_t* next) noexcept nogil:
    """A run of items from `first` on, of at most `limit` bytes (one batch at least); `next` is the first item not in it."""
    cdef uint64_t base = work.segment.sequence << work.segment.store.shift
    cdef uint64_t bytes = 0
    cdef uint64_t i = first
    cdef const Entry* entry = entry_of(work, i)
    cdef Status why = writer_begin_run(writer, work.items[first].stream, entry.base_offset, 0)
    while why == OK and i < end:
        entry = entry_of(work, i)
        if i > first and bytes + record_span(entry) > limit:
            break
        if load_acquire_u32(&work.sealer.stopping):
            return SHUTTING_DOWN
        why = writer_put(writer, entry, base + work.items[i].at)
        writer_end_run(writer, end_of(entry))
        bytes += record_span(entry)
        i += 1
    next[0] = i
    count(&work.sealer.counters.batches, i - first)
    count(&work.sealer.counters.batch_bytes, bytes)
    return why


cdef Status write_own(Work* work, uint64_t first, uint64_t end, uint64_t limit, uint64_t* next) noexcept nogil:
    cdef Writer writer
    cdef Status why = open_writer(work, &writer)
    if why == OK:
        why = write_run(work, &writer, first, end, limit, next)
    if why == OK:
        why = finish(work, &writer)
    if why != OK:
        writer_abandon(&writer)
    return why


cdef Status write_stream(Work* work, uint64_t first, uint64_t end) noexcept nogil:
    """All of one stream."""
    cdef uint64_t bytes = 0
    cdef uint64_t limit = <uint64_t>-1
    cdef uint64_t i
    cdef bint own = False
    cdef Partition* partition
    cdef Status why = OK
    for i in range(first, end):
        bytes += record_span(entry_of(work, i))
    qsbr_online(work.slot)
    partition = core_find(work.core, work.items[first].stream)
    if partition != NULL:
        limit = <uint64_t>core_policy(work.core, partition).segment_bytes
        own = core_policy(work.core, partition).remote != 0
    qsbr_offline(work.slot)
    own = own or bytes * OWN_SHARE >= work.segment.store.size
    if not own and not work.packing:
        why = open_writer(work, &work.packed)
        work.packing = True
    while why == OK and first < end:
        if own:
            why = write_own(work, first, end, limit, &first)
        else:
            why = write_run(work, &work.packed, first, end, limit, &first)
    return why


cdef Status write_all(Work* work) noexcept nogil:
    cdef uint64_t first = 0
    cdef uint64_t end
    cdef Status why = OK
    while why == OK and first < work.count:
        end = first + 1
        while end < work.count and work.items[end].stream == work.items[first].stream:
            end += 1
        why = write_stream(work, first, end)
        first = end
    if why == OK and work.packing:
        why = finish(work, &work.packed)
    if why != OK and work.packing:
        writer_abandon(&work.packed)
    return why


# --- the segment ------------------------------------------------------------------------------------------------------

cdef Status seal_segment(Sealer* sealer, Segment* segment, int slot) noexcept nogil:
    cdef Work work
    cdef uint64_t i
    cdef int64_t began = clock_monotonic_ns()
    cdef Status why
    memset(&work, 0, sizeof(Work))
    work.sealer = sealer
    work.core = <LogCore*>sealer.core
    work.segment = segment
    work.slot = slot
    why = OK if memory_load(segment.base, segment.store.size) == 0 else STORE_FAILED
    if why == OK:
        qsbr_online(slot)
        why = collect(&work)
        qsbr_offline(slot)
    if why == OK:
        why = write_all(&work)
    for i in range(work.file_count):
        if why == OK:
            why = core_publish(work.core, work.files[i], slot)
        sealed_drop(work.files[i])      # the writer's use; a file that no partition uses is deleted
    free(work.items)
    free(work.files)
    count(&sealer.counters.sealings, 1)
    count(&sealer.counters.sealing_ns, <uint64_t>(clock_monotonic_ns() - began))
    return why


cdef void tell(Sealer* sealer) noexcept nogil:
    """Who waits in sealer_seal_all looks again, also at the journal's health."""
    pthread_mutex_lock(&sealer.lock)
    sealer.sealed = journal_start(sealer.journal) >> sealer.journal.segments.shift
    pthread_cond_broadcast(&sealer.moved)
    pthread_mutex_unlock(&sealer.lock)


cdef Status retire_oldest(Sealer* sealer) noexcept nogil:
    """The journal's, and of the state log what pays for that; a segment of which less than half lives costs nothing."""
    cdef Journal* state_log = sealer.journal.heir
    cdef uint64_t size = state_log.segments.size
    cdef uint64_t before = journal_tail(state_log)
    cdef Status why = journal_retire_oldest(sealer.journal, sealer.journal)
    sealer.debt += 2 * (journal_tail(state_log) - before)
    while why == OK and sealer.debt >= size and journal_listed(state_log) > 1 and not load_acquire_u32(&sealer.stopping):
        before = journal_tail(state_log)
        why = journal_retire_oldest(state_log, sealer.journal)
        if 2 * (journal_tail(state_log) - before) >= size:
            sealer.debt -= size
    sealer.debt = min(sealer.debt, size)        # what could not be given up is not owed for ever
    return why


cdef Status seal_oldest(Sealer* sealer, int slot) noexcept nogil:
    cdef Journal* journal = sealer.journal
    cdef uint64_t sequence = journal_start(journal) >> journal.segments.shift
    cdef Segment* segment = segment_of(&journal.segments, sequence)
    cdef Status why = OK
    if journal_durable(journal) < sequence + 1 << journal.segments.shift:
        why = journal_commit(journal)
    if why == OK and segment != NULL:   # recovery may have found a gap
        why = seal_segment(sealer, segment, slot)
    if why == OK:
        why = retire_oldest(sealer)
    tell(sealer)
    return why


# --- the thread -------------------------------------------------------------------------------------------------------

cdef bint is_due(Sealer* sealer) noexcept nogil:
    cdef Journal* journal = sealer.journal
    cdef uint64_t oldest = journal_start(journal) >> journal.segments.shift
    cdef uint64_t current = journal_tail(journal) - 1 >> journal.segments.shift
    cdef bint due
    pthread_mutex_lock(&sealer.lock)
    due = oldest < current and (oldest < sealer.asked or current - oldest > sealer.lag)
    pthread_mutex_unlock(&sealer.lock)
    return due


cdef void give_up(Sealer* sealer, Status why) noexcept nogil:
    """Only the disk, or memory for the list of a segment's batches: no more appends, what is there stays readable."""
    journal_fail(sealer.journal, why if why != NO_MEMORY else STORE_FAILED)
    pthread_mutex_lock(&sealer.lock)
    store_release_u32(&sealer.failed, why)
    pthread_cond_broadcast(&sealer.moved)
    pthread_mutex_unlock(&sealer.lock)
    waker_ring(&sealer.journal.keeper_waker)


cdef void sweep(Sealer* sealer) noexcept nogil:
    """Delete dead files, once the journal says durably why they are dead: an end offset must not go with them."""
    cdef SealedStore* store = &(<LogCore*>sealer.core).sealed
    cdef SealedFile* doomed = sealed_take_doomed(store)
    if doomed != NULL:
        sealed_bury(store, doomed, journal_commit(sealer.journal) == OK)


cdef void* sealer_main(void* arg) noexcept nogil:
    cdef Sealer* sealer = <Sealer*>arg
    cdef int slot = qsbr_register()
    cdef Status why = OK
    thread_name(b"sealer")
    if slot < 0:
        give_up(sealer, NO_MEMORY)
        return NULL
    qsbr_offline(slot)
    while not load_acquire_u32(&sealer.stopping):
        while why == OK and not load_acquire_u32(&sealer.stopping) and is_due(sealer) \
                and journal_health(sealer.journal) == OK:
            why = seal_oldest(sealer, slot)
            if why != OK and why != SHUTTING_DOWN:
                give_up(sealer, why)
        sweep(sealer)
        segments_trim(&sealer.journal.segments)
        segments_trim(&sealer.journal.heir.segments)
        tell(sealer)
        waker_wait(&sealer.bell)
    qsbr_online(slot)
    qsbr_unregister(slot)
    return NULL


cdef Status sealer_start(Sealer* sealer) noexcept nogil:
    pthread_mutex_init(&sealer.lock, NULL)
    pthread_cond_init(&sealer.moved, NULL)
    waker_init(&sealer.never)
    sealer.debt = sealer.journal.heir.segments.size     # what the life before owed at most, when it owed anything
    if thread_start(&sealer.thread, sealer_main, sealer) != 0:
        return NO_MEMORY
    sealer.running = 1
    return OK


cdef void sealer_stop(Sealer* sealer) noexcept nogil:
    if not sealer.running:
        return
    pthread_mutex_lock(&sealer.lock)
    store_release_u32(&sealer.stopping, 1)
    pthread_cond_broadcast(&sealer.moved)
    pthread_mutex_unlock(&sealer.lock)
    waker_ring(&sealer.bell)
    waker_ring(&sealer.never)
    pthread_join(sealer.thread, NULL)
    sweep(sealer)
    sealer.running = 0
    waker_destroy(&sealer.never)
    pthread_cond_destroy(&sealer.moved)
    pthread_mutex_destroy(&sealer.lock)


cdef Status sealer_ask(Sealer* sealer, uint64_t* until) noexcept nogil:
    cdef Journal* journal = sealer.journal
    cdef Status why = journal_close_segment(journal)
    cdef uint64_t end = journal_tail(journal) - 1 >> journal.segments.shift
    if why == OK:
        pthread_mutex_lock(&sealer.lock)
        sealer.asked = max(sealer.asked, end)
        pthread_mutex_unlock(&sealer.lock)
        waker_ring(&sealer.bell)
        waker_ring(&journal.keeper_waker)       # a spare segment for the next roll
    if until != NULL:
        until[0] = end
    return why


cdef Status sealer_seal_all(Sealer* sealer) noexcept nogil:
    cdef Journal* journal = sealer.journal
    cdef uint64_t until = 0
    cdef Status why = sealer_ask(sealer, &until)
    if why != OK:
        return why
    pthread_mutex_lock(&sealer.lock)
    while sealer.sealed < until and not sealer.stopping and not sealer.failed and journal_health(journal) == OK:
        pthread_cond_wait(&sealer.moved, &sealer.lock)
    if sealer.sealed < until:
        why = journal_health(journal)
        if why == OK:
            why = SHUTTING_DOWN
    pthread_mutex_unlock(&sealer.lock)
    return why
