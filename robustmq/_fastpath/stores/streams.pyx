"""Streams come and go: see streams.pxd."""
from libc.stdint cimport uint16_t
from libc.string cimport memcpy, memset
from robustmq._fastpath.atomic cimport load_acquire_ptr, load_acquire_u64
from robustmq._fastpath.platform cimport memory_prefetch, pthread_mutex_lock, pthread_mutex_unlock
from robustmq._fastpath.qsbr cimport qsbr_retire
from robustmq._fastpath.status cimport INVALID_TOPIC, NO_MEMORY, OK
from robustmq._fastpath.stores.core cimport STREAM_NAME_AT, core_entry, core_find, core_write_stream
from robustmq._fastpath.stores.journal cimport ENTRY_STREAM_END, EntryHead, entry_body, journal_append
from robustmq._fastpath.stores.partition cimport DURABLE_MEMORY, partition_close, partition_free, partition_new
from robustmq._fastpath.stores.table cimport table_add, table_each, table_peek, table_remove


cdef enum:
    NAME_MAX = 1024
    ENTRY_AHEAD = 8                     # slots


cdef Status create_locked(LogCore* core, Partition* partition, const uint8_t* body, uint64_t n) noexcept nogil:
    cdef Status why
    if not table_add(&core.streams, partition):
        return NO_MEMORY
    why = core_write_stream(core, partition, body, n)
    if why != OK:
        table_remove(&core.streams, partition)
    return why


cdef Status log_create_stream(LogCore* core, const uint8_t* name, uint32_t name_len, const uint8_t* topic_id,
                              uint32_t number, uint32_t durability, void* topic, Partition** result) noexcept nogil:
    cdef uint8_t body[STREAM_NAME_AT + NAME_MAX]
    cdef uint16_t length = <uint16_t>name_len
    cdef Partition* partition
    cdef Status why
    if name_len > NAME_MAX:
        return INVALID_TOPIC
    memset(body, 0, STREAM_NAME_AT)
    memcpy(body, topic_id, 16)
    memcpy(body + 16, &number, 4)
    body[20] = <uint8_t>durability
    memcpy(body + 22, &length, 2)
    memcpy(body + STREAM_NAME_AT, name, name_len)
    partition = partition_new(core.wal if core.wal != NULL and durability != DURABLE_MEMORY else core.memory,
                              0, number, durability, 0)
    if partition == NULL:
        return NO_MEMORY
    partition.topic = topic
    pthread_mutex_lock(&core.streams_lock)
    partition.stream = core.next_stream
    core.next_stream += 1
    why = create_locked(core, partition, body, STREAM_NAME_AT + name_len)
    pthread_mutex_unlock(&core.streams_lock)
    if why == OK:
        result[0] = partition
    else:
        qsbr_retire(partition, partition_free)
    return why


cdef Partition* log_find_stream(LogCore* core, uint64_t stream) noexcept nogil:
    return core_find(core, stream)


cdef bint log_each_stream(LogCore* core, uint64_t* at, Listed* found) noexcept nogil:
    cdef Partition* partition = <Partition*>table_each(&core.streams, at)
    cdef Partition* soon
    if partition == NULL:
        return False
    soon = <Partition*>table_peek(&core.streams, at[0], ENTRY_AHEAD)
    if soon != NULL:
        memory_prefetch(core_entry(core, soon.journal, soon.directory_position))
        memory_prefetch(entry_body(core_entry(core, soon.journal, soon.directory_position)) + STREAM_NAME_AT)
    log_list_stream(core, partition, found)
    return True


cdef void log_list_stream(LogCore* core, Partition* partition, Listed* found) noexcept nogil:
    cdef uint16_t length = 0
    cdef const uint8_t* body = entry_body(core_entry(core, partition.journal, partition.directory_position))
    memcpy(&length, body + 22, 2)
    found.partition = partition
    found.topic_id = body
    found.name = body + STREAM_NAME_AT
    found.name_len = length


cdef uint32_t log_next_streams(LogCore* core, uint64_t* at, uint64_t* streams, uint32_t most) noexcept nogil:
    cdef Partition* partition
    cdef uint32_t count = 0
    pthread_mutex_lock(&core.streams_lock)
    while count < most:
        partition = <Partition*>table_each(&core.streams, at)
        if partition == NULL:
            break
        if load_acquire_u64(&partition.end) > load_acquire_u64(&partition.start) \
                or load_acquire_ptr(<void**>&partition.runs) != NULL or load_acquire_ptr(<void**>&partition.producers) != NULL:
            streams[count] = partition.stream
            count += 1
    pthread_mutex_unlock(&core.streams_lock)
    return count


cdef Status log_delete_stream(LogCore* core, Partition* partition) noexcept nogil:
    cdef EntryHead head
    cdef uint64_t position = 0
    cdef Status why
    memset(&head, 0, sizeof(head))
    head.kind = ENTRY_STREAM_END
    head.stream = partition.stream
    pthread_mutex_lock(&core.streams_lock)
    why = journal_append(partition.journal, &head, NULL, 0, NULL, 0, &position)
    if why == OK:
        if partition.journal == core.wal:
            core.last_ended = max(core.last_ended, partition.stream)
        partition_close(partition)
        table_remove(&core.streams, partition)
    pthread_mutex_unlock(&core.streams_lock)
    if why == OK:
        qsbr_retire(partition, partition_free)
    return why
