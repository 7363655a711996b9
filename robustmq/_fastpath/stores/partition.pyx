"""Offsets over a journal: see partition.pxd."""
from libc.stdlib cimport calloc, free, malloc
from robustmq._fastpath.atomic cimport (
    load_acquire_ptr, load_acquire_u64, spin_lock, spin_unlock, store_release_u32, store_release_u64,
)
from robustmq._fastpath.batch cimport (
    batch_base_offset, batch_last_offset_delta, batch_max_timestamp, batch_producer_id,
)
from robustmq._fastpath.mailbox cimport mailbox_post
from robustmq._fastpath.platform cimport memory_resident
from robustmq._fastpath.status cimport (
    DUPLICATE, NEED_MORE, NO_MEMORY, OK, OUT_OF_RANGE, STORE_FAILED, UNKNOWN_TOPIC,
)
from robustmq._fastpath.stores.index cimport (
    IndexItem, index_drop_before, index_find_offset, index_find_time, index_free, index_push, index_reserve,
)
from robustmq._fastpath.stores.journal cimport (
    ENTRY_BATCH, ENTRY_PRODUCERS, EntryHead, entry_body, entry_body_length, entry_length, entry_stride, journal_durable,
    journal_is_memory, journal_may_sync, journal_prepare, journal_read, journal_try_append,
)
from robustmq._fastpath.stores.runs cimport (
    ReadSpan, Runs, run_next, runs_at, runs_stretch, runs_end, runs_free, runs_seek, runs_seek_time,
)
from robustmq._fastpath.stores.producers cimport (
    ProducerBounds, producers_appended, producers_check, producers_expire, producers_free, producers_last, producers_load,
    producers_reserve, producers_save, producers_size,
)


cdef Partition* partition_new(Journal* journal, uint64_t stream, uint32_t number, uint32_t durability,
                              uint64_t start) noexcept nogil:
    cdef Partition* partition = <Partition*>calloc(1, sizeof(Partition))
    if partition != NULL:
        partition.journal = journal
        partition.stream = stream
        partition.number = number
        partition.durability = durability
        partition.start = start
        partition.end = start
        partition.max_timestamp = -1
    return partition


cdef void partition_free(void* p) noexcept nogil:
    cdef Partition* partition = <Partition*>p
    index_free(&partition.index)
    runs_free(partition.runs)
    free(partition.policy)
    producers_free(partition.producers)
    free(partition)


# --- append -----------------------------------------------------------------------------------------------------------

cdef inline uint64_t durable_at(Partition* partition, uint64_t position) noexcept nogil:
    """Where journal_durable must be before an acknowledgement; 0: the promise holds already."""
    return position if partition.durability == DURABLE_DISK and not journal_is_memory(partition.journal) else 0


cdef inline ProducerBounds* bounds_of(Partition* partition) noexcept nogil:
    return &partition.journal.producers


cdef void note_batch(Partition* partition, const uint8_t* batch, uint64_t base, uint64_t position,
                     uint64_t length, uint64_t aux) noexcept nogil:
    """Index a batch that is in the journal, remember its producer, move the end. Room was reserved."""
    cdef IndexItem item
    if batch_max_timestamp(batch) > partition.max_timestamp:
        partition.max_timestamp = batch_max_timestamp(batch)
    item.base_offset = base
    item.last_offset = base + <uint64_t>batch_last_offset_delta(batch)
    item.position = position
    item.max_timestamp = partition.max_timestamp
    index_push(&partition.index, &item)
    if batch_producer_id(batch) >= 0:
        producers_appended(partition.producers, batch, base, <int64_t>aux)
    partition.bytes += entry_stride(length)
    partition.last_position = position + length
    store_release_u64(&partition.end, item.last_offset + 1)


cdef inline bint reserve(Partition* partition, const uint8_t* batch, uint64_t aux) noexcept nogil:
    if not index_reserve(&partition.index):
        return False
    return batch_producer_id(batch) < 0 or producers_reserve(&partition.producers, batch, bounds_of(partition), <int64_t>aux)


cdef Status append_locked(Partition* partition, const uint8_t* batch, uint64_t n, uint16_t flags, uint64_t origin,
                          uint64_t aux, Appended* result) noexcept nogil:
    cdef EntryHead head
    cdef Status why
    if partition.flags & PARTITION_DELETED:
        return UNKNOWN_TOPIC
    result.log_start = partition.start
    result.append_time_ms = -1
    if batch_producer_id(batch) >= 0:
        why = producers_check(partition.producers, batch, bounds_of(partition), <int64_t>aux, &result.base_offset)
        if why == DUPLICATE:
            result.position = partition.last_position
            result.durable_at = durable_at(partition, partition.last_position)
            if result.durable_at > journal_durable(partition.journal) and not journal_may_sync(partition.journal):
                return STORE_FAILED         # stored, and never to be acknowledged
        if why != OK:
            return why
    if not reserve(partition, batch, aux):
        return NO_MEMORY
    head.kind = ENTRY_BATCH
    head.flags = flags
    head.leader_epoch = 0
    head.stream = partition.stream
    head.base_offset = partition.end
    head.origin = origin
    head.aux = aux
    why = journal_try_append(partition.journal, &head, batch, n, NULL, 0, &result.position)
    if why != OK:
        return why
    note_batch(partition, batch, head.base_offset, result.position, sizeof(Entry) + n, aux)
    result.base_offset = head.base_offset
    result.durable_at = durable_at(partition, partition.last_position)
    return OK


cdef inline void wake_locked(Partition* partition) noexcept nogil:
    cdef Waiter* waiter = partition.waiters
    while waiter != NULL:
        mailbox_post(waiter.box, waiter.mail)
        waiter = waiter.next


cdef Status partition_append(Partition* partition, const uint8_t* batch, uint64_t n, uint16_t flags, uint64_t origin,
                             Appended* result) noexcept nogil:
    return partition_append_aux(partition, batch, n, flags, origin, 0, result)


cdef Status partition_append_aux(Partition* partition, const uint8_t* batch, uint64_t n, uint16_t flags, uint64_t origin,
                                 uint64_t aux, Appended* result) noexcept nogil:
    cdef Status why
    spin_lock(&partition.lock)
    why = append_locked(partition, batch, n, flags, origin, aux, result)
    while why == NEED_MORE:                                 # a segment is made outside the lock
        spin_unlock(&partition.lock)
        why = journal_prepare(partition.journal)
        spin_lock(&partition.lock)
        if why == OK:
            why = append_locked(partition, batch, n, flags, origin, aux, result)
    if why == OK:
        wake_locked(partition)
    spin_unlock(&partition.lock)
    return why


# --- read -------------------------------------------------------------------------------------------------------------

cdef Status in_journal(Partition* partition, uint64_t position, ReadSpan* span) noexcept nogil:
    """OK; OUT_OF_RANGE, STORE_FAILED (journal_read): it may be sealed."""
    cdef Status why = journal_read(partition.journal, position, &span.entry, &span.ref)
    if why == OK:
        span.position = position
        span.base_offset = span.entry.base_offset
        span.file = NULL
    return why


cdef Status partition_at(Partition* partition, uint64_t position, ReadSpan* span) noexcept nogil:
    cdef Status here = in_journal(partition, position, span)
    cdef Status why
    if here == OK:
        return OK
    why = runs_at(partition_runs(partition), position, span)
    return here if why == NEED_MORE else why


cdef Runs* partition_runs(Partition* partition) noexcept nogil:
    return <Runs*>load_acquire_ptr(<void**>&partition.runs)


cdef Status locate(Partition* partition, uint64_t offset, ReadSpan* span) noexcept nogil:
    """The entry that holds `offset`, or the first after it."""
    cdef const IndexItem* item = index_find_offset(&partition.index, offset)
    cdef Status here = OUT_OF_RANGE
    cdef Status why
    if item != NULL and item.base_offset <= offset:
        here = in_journal(partition, item.position, span)
        if here == OK:
            return OK
    why = runs_seek(partition_runs(partition), offset, span)
    if why != NEED_MORE:
        return why
    if item == NULL or here == STORE_FAILED:
        return here
    return in_journal(partition, item.position, span)       # behind a hole; OUT_OF_RANGE: retired between two looks


cdef Status partition_seek(Partition* partition, uint64_t offset, ReadSpan* span) noexcept nogil:
    cdef uint64_t end = load_acquire_u64(&partition.end)
    cdef Status why
    if offset == end:
        return NEED_MORE
    if offset > end or offset < load_acquire_u64(&partition.start):
        return OUT_OF_RANGE
    why = locate(partition, offset, span)
    if why == OUT_OF_RANGE and offset >= load_acquire_u64(&partition.start):
        return NEED_MORE                                    # damage or the cleaner took the last records
    return why


cdef bint partition_stretch(Partition* partition, uint64_t offset, uint64_t n, Cold* stretch) noexcept nogil:
    cdef Runs* runs = partition_runs(partition)
    cdef const IndexItem* item
    if runs == NULL:
        return False
    item = index_find_offset(&partition.index, offset)
    if item != NULL and item.base_offset <= offset:
        return False                                        # in the journal, or just sealed from it
    return runs_stretch(runs, offset, n, stretch)


cdef bint partition_cold(Partition* partition, uint64_t offset, uint64_t n, Cold* cold) noexcept nogil:
    return partition_stretch(partition, offset, n, cold) and not memory_resident(cold.data, cold.n)


cdef Status partition_next(Partition* partition, ReadSpan* span) noexcept nogil:
    if span.file != NULL and run_next(span) == OK:
        return OK
    return partition_seek(partition, span.base_offset + <uint64_t>batch_last_offset_delta(entry_body(span.entry)) + 1, span)


cdef Status partition_seek_time(Partition* partition, int64_t timestamp_ms, ReadSpan* span) noexcept nogil:
    cdef uint64_t offset
    cdef const IndexItem* item = index_find_time(&partition.index, timestamp_ms)
    cdef Status why = runs_seek_time(partition_runs(partition), timestamp_ms, load_acquire_u64(&partition.start), span)
    if why != NEED_MORE:
        return why
    if item == NULL:
        return NEED_MORE
    offset = max(item.base_offset, load_acquire_u64(&partition.start))
    why = partition_seek(partition, offset, span)
    # The index knows the highest timestamp so far; the batch that had it may be gone.
    while why == OK and batch_max_timestamp(entry_body(span.entry)) < timestamp_ms:
        why = partition_next(partition, span)
    return why


# --- waiters and the end of a stream ----------------------------------------------------------------------------------

cdef void partition_wait(Partition* partition, Waiter* waiter) noexcept nogil:
    spin_lock(&partition.lock)
    waiter.prev = NULL
    waiter.next = NULL
    if partition.flags & PARTITION_DELETED:
        store_release_u32(&waiter.gone, 1)
    else:
        store_release_u32(&waiter.gone, 0)
        waiter.next = partition.waiters
        if waiter.next != NULL:
            waiter.next.prev = waiter
        partition.waiters = waiter
    spin_unlock(&partition.lock)


cdef void unlink_waiter(Partition* partition, Waiter* waiter) noexcept nogil:
    if waiter.prev != NULL:
        waiter.prev.next = waiter.next
    elif partition.waiters == waiter:
        partition.waiters = waiter.next
    if waiter.next != NULL:
        waiter.next.prev = waiter.prev
    waiter.next = NULL
    waiter.prev = NULL


cdef void partition_unwait(Partition* partition, Waiter* waiter) noexcept nogil:
    spin_lock(&partition.lock)
    unlink_waiter(partition, waiter)
    spin_unlock(&partition.lock)


cdef void partition_wake(Partition* partition) noexcept nogil:
    spin_lock(&partition.lock)
    wake_locked(partition)
    spin_unlock(&partition.lock)


cdef void partition_close(Partition* partition) noexcept nogil:
    cdef Waiter* waiter
    spin_lock(&partition.lock)
    partition.flags |= PARTITION_DELETED
    while partition.waiters != NULL:
        waiter = partition.waiters
        unlink_waiter(partition, waiter)
        store_release_u32(&waiter.gone, 1)
        mailbox_post(waiter.box, waiter.mail)
    spin_unlock(&partition.lock)


# --- recovery and retirement ------------------------------------------------------------------------------------------

cdef bint partition_recover(Partition* partition, const Entry* entry, uint64_t position) noexcept nogil:
    cdef const uint8_t* batch = entry_body(entry)
    cdef uint64_t base = <uint64_t>batch_base_offset(batch)
    if base < partition.end and base < runs_end(partition.runs):      # `end` is not below that of the runs, and is at hand
        if batch_producer_id(batch) >= 0:
            if not producers_reserve(&partition.producers, batch, bounds_of(partition), <int64_t>entry.aux):
                return False
            producers_appended(partition.producers, batch, base, <int64_t>entry.aux)
        return True
    if base < partition.end or not reserve(partition, batch, entry.aux):
        return False
    if partition.bytes == 0 and partition.runs == NULL and base > partition.start:
        partition.start = base
    note_batch(partition, batch, base, position, entry_length(entry), entry.aux)
    if partition.end <= partition.start:                    # trimmed before it was sealed
        partition.bytes -= entry_stride(entry_length(entry))
    return True


cdef void partition_retire(Partition* partition, const Entry* entry, uint64_t position, bint lost) noexcept nogil:
    cdef uint64_t after = entry.base_offset + <uint64_t>batch_last_offset_delta(entry_body(entry)) + 1
    spin_lock(&partition.lock)
    if after > partition.journal_from:
        partition.journal_from = after
        if after > partition.start:                         # else it was trimmed, and not counted any more
            partition.bytes -= entry_stride(entry_length(entry))
            if lost:
                store_release_u64(&partition.start, after)
    index_drop_before(&partition.index, position + 1)
    spin_unlock(&partition.lock)


cdef uint64_t journal_bytes_before(Partition* partition, uint64_t offset) noexcept nogil:
    """Bytes of the journal's batches between `start` and `offset`."""
    cdef uint64_t at = partition.start
    cdef uint64_t bytes = 0
    cdef const IndexItem* item
    cdef ReadSpan span
    while at < offset:
        item = index_find_offset(&partition.index, at)
        if item == NULL or item.last_offset >= offset:
            break
        if item.base_offset >= partition.journal_from and in_journal(partition, item.position, &span) == OK:
            bytes += entry_stride(entry_length(span.entry))
        at = item.last_offset + 1
    return bytes


cdef bint partition_trim(Partition* partition, uint64_t offset) noexcept nogil:
    cdef bint moved
    spin_lock(&partition.lock)
    offset = min(offset, partition.end)
    moved = offset > partition.start
    if moved:
        partition.bytes -= journal_bytes_before(partition, offset)
        store_release_u64(&partition.start, offset)
    spin_unlock(&partition.lock)
    return moved


# --- producers --------------------------------------------------------------------------------------------------------

cdef void partition_expire_producers(Partition* partition, int64_t now_ms) noexcept nogil:
    if load_acquire_ptr(<void**>&partition.producers) != NULL:
        spin_lock(&partition.lock)
        producers_expire(&partition.producers, bounds_of(partition), now_ms)
        spin_unlock(&partition.lock)


cdef uint32_t partition_producers_last(Partition* partition, int64_t now_ms, ProducerLast* to) noexcept nogil:
    cdef uint32_t found
    spin_lock(&partition.lock)
    found = producers_last(partition.producers, bounds_of(partition), now_ms, to)
    spin_unlock(&partition.lock)
    return found


cdef bint partition_load_producers(Partition* partition, const Entry* entry, uint64_t position) noexcept nogil:
    if not producers_load(&partition.producers, entry_body(entry), entry_body_length(entry), bounds_of(partition)):
        return False
    partition.producers.saved_at = position
    return True


cdef Status save_producers_locked(Partition* partition, uint64_t position) noexcept nogil:
    cdef EntryHead head
    cdef Status why = OK
    cdef uint64_t n
    cdef uint8_t* body
    if partition.producers != NULL and partition.producers.saved_at <= position:
        n = producers_size(partition.producers)
        body = <uint8_t*>malloc(n if n else 1)
        if body == NULL:
            why = NO_MEMORY
        else:
            producers_save(partition.producers, body)
            head.kind = ENTRY_PRODUCERS
            head.flags = 0
            head.leader_epoch = 0
            head.stream = partition.stream
            head.base_offset = partition.end
            head.origin = 0
            head.aux = 0
            why = journal_try_append(partition.journal, &head, body, n, NULL, 0, &partition.producers.saved_at)
            free(body)
    return why


cdef Status partition_save_producers(Partition* partition, uint64_t position) noexcept nogil:
    cdef Status why = NEED_MORE
    while why == NEED_MORE:
        spin_lock(&partition.lock)
        why = save_producers_locked(partition, position)
        spin_unlock(&partition.lock)
        if why == NEED_MORE:
            why = journal_prepare(partition.journal)
            if why == OK:
                why = NEED_MORE
    return why
