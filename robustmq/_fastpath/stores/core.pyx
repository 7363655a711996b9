"""Streams by number, and what happens to each entry of a segment that is retired: see core.pxd."""
from libc.stdint cimport INT64_MAX, uint32_t
from libc.stdlib cimport calloc, free
from robustmq._fastpath.atomic cimport load_acquire_u64
from robustmq._fastpath.batch cimport batch_producer_id
from robustmq._fastpath.hash cimport hash_mix
from robustmq._fastpath.platform cimport (
    pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock,
    waker_destroy,
)
from robustmq._fastpath.qsbr cimport qsbr_offline, qsbr_online
from robustmq._fastpath.status cimport NO_MEMORY, OK, UNKNOWN_TOPIC
from robustmq._fastpath.stores.journal cimport (
    ENTRY_BATCH, ENTRY_PRODUCERS, ENTRY_SESSION, ENTRY_STATE, ENTRY_STREAM, ENTRY_STREAM_END, EntryHead, entry_body, entry_body_length,
    journal_append,
)
from robustmq._fastpath.stores.partition cimport (
    CLEANUP_DELETE, Policy, partition_free, partition_retire, partition_save_producers, partition_trim,
)
from robustmq._fastpath.stores.runs cimport runs_add, runs_drop_before, runs_end
from robustmq._fastpath.stores.sealed cimport sealed_bury, sealed_take_doomed
from robustmq._fastpath.stores.sessions cimport session_log_carry, session_log_free, session_log_init
from robustmq._fastpath.stores.state cimport state_carry, state_free, state_init
from robustmq._fastpath.stores.table cimport (
    table_each, table_find, table_free, table_guess, table_init, table_prefetch,
)


cdef enum:
    DAY_MS = 86_400_000


cdef enum:
    NEIGHBOURS = 8                  # streams that stand together in the table: a cache line of slots


cdef inline uint64_t stream_hash(uint64_t stream) noexcept nogil:
    """Streams that were made one after the other are close to each other, as their entries and partitions are, so that who
    goes through all of them does not go through all memory. The upper bits, by which a slot knows its item, differ."""
    cdef uint64_t place = stream % NEIGHBOURS
    return hash_mix(stream // NEIGHBOURS + 1, <uint64_t>0x9E3779B97F4A7C15) * NEIGHBOURS + place ^ place << 61


cdef uint64_t hash_of(const void* item) noexcept nogil:
    return stream_hash((<const Partition*>item).stream)


cdef bint same(const void* item, const void* key) noexcept nogil:
    return (<const Partition*>item).stream == (<const uint64_t*>key)[0]


cdef void policy_init(Policy* policy) noexcept nogil:
    """Everything is kept; the rest as Kafka's defaults."""
    policy.retention_ms = -1
    policy.retention_bytes = -1
    policy.segment_bytes = 1 << 30
    policy.segment_ms = 7 * DAY_MS
    policy.min_compaction_lag_ms = 0
    policy.max_compaction_lag_ms = INT64_MAX
    policy.delete_retention_ms = DAY_MS
    policy.min_cleanable_dirty_ratio = 0.5
    policy.cleanup = CLEANUP_DELETE
    policy.remote = 0


cdef LogCore* core_new() noexcept nogil:
    cdef LogCore* core = <LogCore*>calloc(1, sizeof(LogCore))
    if core != NULL:
        pthread_mutex_init(&core.streams_lock, NULL)
        pthread_mutex_init(&core.runs_lock, NULL)
        table_init(&core.streams, hash_of)
        core.next_stream = 1
        policy_init(&core.policy)
        state_init(core)
        session_log_init(core)
    return core


cdef void core_free(LogCore* core) noexcept nogil:
    cdef uint64_t at = 0
    cdef void* partition = table_each(&core.streams, &at)
    while partition != NULL:
        partition_free(partition)
        partition = table_each(&core.streams, &at)
    table_free(&core.streams)
    state_free(core)
    session_log_free(core)
    if core.sealer != NULL:
        sealed_bury(&core.sealed, sealed_take_doomed(&core.sealed), False)      # that is all of them
        waker_destroy(&core.sealer.bell)
        free(core.sealer)
    pthread_mutex_destroy(&core.streams_lock)
    pthread_mutex_destroy(&core.runs_lock)
    free(core)


cdef Partition* core_find(LogCore* core, uint64_t stream) noexcept nogil:
    return <Partition*>table_find(&core.streams, stream_hash(stream), same, &stream)


cdef void core_prefetch(LogCore* core, uint64_t stream) noexcept nogil:
    table_prefetch(&core.streams, stream_hash(stream))


cdef Partition* core_guess(LogCore* core, uint64_t stream) noexcept nogil:
    return <Partition*>table_guess(&core.streams, stream_hash(stream), sizeof(Partition))


cdef Status core_write_stream(LogCore* core, Partition* partition, const uint8_t* body, uint64_t n) noexcept nogil:
    """The directory entry of a stream; under streams_lock."""
    cdef EntryHead head
    cdef uint64_t position = 0
    cdef Status why
    head.kind = ENTRY_STREAM
    head.flags = 0
    head.leader_epoch = 0
    head.stream = partition.stream
    head.base_offset = load_acquire_u64(&partition.end)     # a batch that comes in between says more
    head.origin = 0
    head.aux = load_acquire_u64(&partition.start)
    why = journal_append(partition.journal, &head, body, n, NULL, 0, &position)
    if why == OK:
        partition.directory_position = position
    return why


cdef Status rewrite_stream(LogCore* core, Partition* partition) noexcept nogil:
    cdef Status why = UNKNOWN_TOPIC
    cdef const Entry* entry
    pthread_mutex_lock(&core.streams_lock)      # the entry stays where it is
    if core_find(core, partition.stream) == partition:
        entry = core_entry(core, partition.journal, partition.directory_position)
        why = core_write_stream(core, partition, entry_body(entry), entry_body_length(entry))
    pthread_mutex_unlock(&core.streams_lock)
    return why


cdef Status core_trim(LogCore* core, Partition* partition, uint64_t offset, bint* moved) noexcept nogil:
    cdef Status why
    moved[0] = partition_trim(partition, offset)
    if not moved[0]:
        return OK
    why = rewrite_stream(core, partition)
    if why == OK and not runs_drop_before(&partition.runs, load_acquire_u64(&partition.start)):
        why = NO_MEMORY
    return why


cdef Status core_publish(LogCore* core, SealedFile* file, int slot) noexcept nogil:
    cdef Partition* partition
    cdef uint32_t i
    cdef Status why = OK
    pthread_mutex_lock(&core.runs_lock)
    qsbr_online(slot)
    for i in range(file.row_count):
        partition = core_find(core, file.rows[i].stream)
        if (partition != NULL and why == OK and file.rows[i].end_offset > load_acquire_u64(&partition.start)
                and not runs_add(&partition.runs, file, &file.rows[i])):
            why = NO_MEMORY
    qsbr_offline(slot)
    pthread_mutex_unlock(&core.runs_lock)
    return why


cdef Status core_copy(LogCore* core, Journal* heir, const Entry* entry, uint64_t base_offset, uint64_t* place) noexcept nogil:
    cdef EntryHead head
    cdef uint64_t position = 0
    cdef Status why
    head.kind = entry.kind
    head.flags = entry.flags
    head.leader_epoch = 0
    head.stream = entry.stream
    head.base_offset = base_offset
    head.origin = entry.origin
    head.aux = entry.aux
    why = journal_append(heir, &head, entry_body(entry), entry_body_length(entry), NULL, 0, &position)
    if why == OK and place != NULL:
        place[0] = core_place(core, heir, position)
    return why


cdef Status carry_stream(LogCore* core, Journal* journal, const Entry* entry, uint64_t place) noexcept nogil:
    """The directory entry of a stream, as it stands: whoever moved the start since has written another. Its end is what is
    sealed by now: a lost file leaves a hole that is seen, and the batches that are still in the journal come after it."""
    cdef Partition* partition
    cdef Status why = OK
    pthread_mutex_lock(&core.runs_lock)
    pthread_mutex_lock(&core.streams_lock)
    partition = core_find(core, entry.stream)
    if partition != NULL and partition.directory_position == place:
        why = core_copy(core, journal.heir, entry, max(entry.base_offset, runs_end(partition.runs)),
                        &partition.directory_position)
    pthread_mutex_unlock(&core.streams_lock)
    pthread_mutex_unlock(&core.runs_lock)
    return why


cdef Status carry_end(LogCore* core, Journal* journal, const Entry* entry) noexcept nogil:
    """What it ends may stand in the heir; there it goes before its end does. The highest number that was ended stays known, or
    the next stream after a restart would have it."""
    cdef Status why = OK
    pthread_mutex_lock(&core.streams_lock)
    if journal.heir != journal or entry.stream == core.last_ended:
        why = core_copy(core, journal.heir, entry, 0, NULL)
    pthread_mutex_unlock(&core.streams_lock)
    return why


cdef Status carry_locked(Partition* partition, const Entry* entry, uint64_t position) noexcept nogil:
    if entry.kind == ENTRY_BATCH:
        partition_retire(partition, entry, position, partition.journal.memory != 0)
        if batch_producer_id(entry_body(entry)) < 0:
            return OK
        return partition_save_producers(partition, position)
    if entry.kind == ENTRY_PRODUCERS:
        return partition_save_producers(partition, position)
    return OK


cdef Status core_carry(void* owner, Journal* journal, const Entry* entry, uint64_t position) noexcept nogil:
    cdef LogCore* core = <LogCore*>owner
    cdef Partition* partition
    cdef Status why = OK
    if entry.kind == ENTRY_STATE:
        return state_carry(core, journal, entry, core_place(core, journal, position))
    if entry.kind == ENTRY_SESSION:
        return session_log_carry(core, journal, entry, core_place(core, journal, position))
    if entry.kind == ENTRY_STREAM:
        return carry_stream(core, journal, entry, core_place(core, journal, position))
    if entry.kind == ENTRY_STREAM_END:
        return carry_end(core, journal, entry)
    pthread_mutex_lock(&core.streams_lock)
    partition = core_find(core, entry.stream)
    if partition != NULL and partition.journal == journal:
        why = carry_locked(partition, entry, position)
    pthread_mutex_unlock(&core.streams_lock)
    return why
