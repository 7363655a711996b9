"""Retention: see retention.pxd."""
from libc.stdint cimport uint32_t
from robustmq._fastpath.atomic cimport spin_lock, spin_unlock
from robustmq._fastpath.platform cimport pthread_mutex_lock, pthread_mutex_unlock
from robustmq._fastpath.qsbr cimport qsbr_offline, qsbr_online, qsbr_register, qsbr_unregister
from robustmq._fastpath.status cimport NO_MEMORY, OK, UNKNOWN_TOPIC
from robustmq._fastpath.stores.core cimport core_find, core_policy, core_trim
from robustmq._fastpath.stores.index cimport IndexItem, index_find_offset
from robustmq._fastpath.stores.journal cimport Journal, entry_length, entry_stride, journal_at
from robustmq._fastpath.stores.partition cimport CLEANUP_COMPACT, CLEANUP_DELETE, Policy, partition_expire_producers
from robustmq._fastpath.stores.runs cimport Runs, SealedRun, runs_all, runs_bytes, runs_end
from robustmq._fastpath.stores.sealer cimport sealer_ask
from robustmq._fastpath.stores.segment cimport Segment, segment_of
from robustmq._fastpath.stores.streams cimport log_next_streams


cdef enum:
    CHUNK = 1024                        # streams looked at between two holds of streams_lock


cdef uint64_t expired(Partition* partition, int64_t limit_ms) noexcept nogil:
    """First offset whose batch or run is younger than `limit_ms`."""
    cdef uint64_t offset = partition.start
    cdef Runs* runs = partition.runs
    cdef const IndexItem* item
    cdef SealedRun* run
    cdef uint32_t i
    if runs != NULL:
        for i in range(runs.count):
            run = &runs_all(runs)[i]
            if run.row.end_offset <= offset:
                continue
            if run.row.max_timestamp >= limit_ms:
                return offset
            offset = run.row.end_offset
    item = index_find_offset(&partition.index, offset)
    while item != NULL and item.max_timestamp < limit_ms:
        offset = item.last_offset + 1
        item = index_find_offset(&partition.index, offset)
    return offset


cdef uint64_t batch_bytes(Partition* partition, const IndexItem* item) noexcept nogil:
    return entry_stride(entry_length(journal_at(partition.journal, item.position, NULL))) \
        if journal_at(partition.journal, item.position, NULL) != NULL else 0


cdef uint64_t surplus(Partition* partition, uint64_t most) noexcept nogil:
    """First offset such that what begins there is the least that still has `most` bytes."""
    cdef uint64_t offset = partition.start
    cdef uint64_t total = runs_bytes(partition.runs)
    cdef uint64_t over
    cdef bint leaving
    cdef Runs* runs = partition.runs
    cdef const IndexItem* item
    cdef SealedRun* run
    cdef uint32_t i
    spin_lock(&partition.lock)
    total += partition.bytes
    leaving = partition.journal_from < runs_end(runs)
    spin_unlock(&partition.lock)
    if leaving:                         # what is being sealed is in both sums: the next pass
        return offset
    over = total - most if total > most else 0
    if runs != NULL:
        for i in range(runs.count):
            run = &runs_all(runs)[i]
            if run.row.bytes > over:
                return offset
            over -= run.row.bytes
            offset = max(offset, run.row.end_offset)
    item = index_find_offset(&partition.index, offset) if over else NULL
    while item != NULL and batch_bytes(partition, item) <= over:
        over -= batch_bytes(partition, item)
        offset = item.last_offset + 1
        item = index_find_offset(&partition.index, offset) if over else NULL
    return offset


cdef Status retain(LogCore* core, Partition* partition, int64_t now_ms, uint64_t* trimmed) noexcept nogil:
    """What is too old, then what is too much. Inside a QSBR section."""
    cdef const Policy* policy = core_policy(core, partition)
    cdef bint old = False
    cdef bint much = False
    cdef Status why = OK
    if not policy.cleanup & CLEANUP_DELETE:
        return OK
    pthread_mutex_lock(&core.runs_lock)
    if policy.retention_ms >= 0:
        why = core_trim(core, partition, expired(partition, now_ms - policy.retention_ms), &old)
    if why == OK and policy.retention_bytes >= 0:
        why = core_trim(core, partition, surplus(partition, <uint64_t>policy.retention_bytes), &much)
    pthread_mutex_unlock(&core.runs_lock)
    trimmed[0] += 1 if old or much else 0
    return why if why != UNKNOWN_TOPIC else OK              # deleted meanwhile


cdef bint wants_sealing(LogCore* core, Partition* partition, int64_t now_ms) noexcept nogil:
    """Whether its oldest batch in the journal stands there longer than the partition's segment.ms."""
    cdef const Policy* policy = core_policy(core, partition)
    cdef Journal* journal = partition.journal
    cdef int64_t longest = policy.segment_ms
    cdef const IndexItem* item
    cdef Segment* segment
    if journal != core.wal:
        return False
    item = index_find_offset(&partition.index, max(partition.start, partition.journal_from))
    segment = segment_of(&journal.segments, item.position >> journal.segments.shift) if item != NULL else NULL
    if policy.cleanup & CLEANUP_COMPACT:
        longest = min(longest, policy.max_compaction_lag_ms)
    return segment != NULL and now_ms - segment.opened_ms >= longest


cdef Status retain_streams(LogCore* core, const uint64_t* streams, uint32_t count, int64_t now_ms, int slot, bint* seal,
                           uint64_t* trimmed) noexcept nogil:
    cdef Partition* partition
    cdef Status why = OK
    cdef uint32_t i
    for i in range(count):
        qsbr_online(slot)
        partition = core_find(core, streams[i])
        if partition != NULL:
            partition_expire_producers(partition, now_ms)
            why = retain(core, partition, now_ms, trimmed)
            seal[0] = seal[0] or wants_sealing(core, partition, now_ms)
        qsbr_offline(slot)
        if why != OK:
            return why
    return OK


cdef Status log_retain(LogCore* core, int64_t now_ms, uint64_t* trimmed) noexcept nogil:
    cdef uint64_t streams[CHUNK]
    cdef uint64_t at = 0
    cdef uint32_t count = CHUNK
    cdef bint seal = False
    cdef Status why = OK
    cdef int slot = qsbr_register()
    if slot < 0:
        return NO_MEMORY
    qsbr_offline(slot)
    trimmed[0] = 0
    while why == OK and count == CHUNK:
        count = log_next_streams(core, &at, streams, CHUNK)
        why = retain_streams(core, streams, count, now_ms, slot, &seal, trimmed)
    qsbr_unregister(slot)
    if why == OK and seal:
        why = sealer_ask(core.sealer, NULL)
    return why


cdef Status log_trim(LogCore* core, Partition* partition, uint64_t offset) noexcept nogil:
    cdef bint moved
    cdef Status why
    pthread_mutex_lock(&core.runs_lock)
    why = core_trim(core, partition, offset, &moved)
    pthread_mutex_unlock(&core.runs_lock)
    return why


cdef Policy policy_edited(Policy policy, dict fields) except *:
    cdef dict all = policy
    for name, value in fields.items():
        if name not in all:
            raise ValueError(f"a policy has no field {name}; it has {', '.join(all)}")
        if name == "cleanup":
            value = sum({"delete": CLEANUP_DELETE, "compact": CLEANUP_COMPACT}[word.strip()] for word in value.split(","))
        all[name] = value
    return all
