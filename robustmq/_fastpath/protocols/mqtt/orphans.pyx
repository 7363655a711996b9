"""Messages that go back to their shared group; the contract is in orphans.pxd."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from robustmq._fastpath.batch cimport BATCH_HEADER, CODEC_NONE, RecordView, batch_base_timestamp, batch_codec, record_next
from robustmq._fastpath.block cimport Block, block_data, block_new, ref_release
from robustmq._fastpath.broker.routes cimport REACTORS_MAX, Run
from robustmq._fastpath.broker.shared cimport shared_return
from robustmq._fastpath.broker.topic cimport Topic
from robustmq._fastpath.cursor cimport Cursor, cursor_init
from robustmq._fastpath.protocols.mqtt.restore cimport find_record
from robustmq._fastpath.protocols.mqtt.session cimport Dropped
from robustmq._fastpath.stores.arrays cimport array_grow
from robustmq._fastpath.stores.journal cimport entry_body, entry_body_length
from robustmq._fastpath.stores.partition cimport Partition, ReadSpan, partition_seek
from robustmq._fastpath.stores.streams cimport log_find_stream


cdef struct Orphan:
    uint64_t stream
    uint64_t record
    uint64_t group


cdef struct Orphans:
    Orphan* list
    uint64_t count
    uint64_t cap


cdef Block* alone(const Source* source, const RecordView* record, const uint8_t* end) noexcept nogil:
    """A batch of one record, for whoever takes it over."""
    cdef uint32_t size = <uint32_t>(end - record.start)
    cdef Block* block = block_new(BATCH_HEADER + size)
    if block != NULL:
        memcpy(block_data(block), source.batch, BATCH_HEADER)
        memcpy(block_data(block) + BATCH_HEADER, record.start, size)
        block.len = BATCH_HEADER + size
    return block


cdef Status hand_back(Core* core, const Source* source, uint32_t offset, uint64_t record, uint64_t position,
                      uint64_t group) noexcept nogil:
    cdef Cursor cursor
    cdef RecordView view
    cdef Block* block
    cdef Run run
    if offset >= source.n:
        return Status.OUT_OF_RANGE
    cursor_init(&cursor, source.batch + offset, source.n - offset)
    if not record_next(&cursor, &view):
        return Status.OUT_OF_RANGE
    block = alone(source, &view, cursor.p)
    if block == NULL:
        return Status.NO_MEMORY
    memset(&run, 0, sizeof(Run))
    run.topic = source.topic
    run.partition = source.partition
    run.batch = block_data(block)
    run.n = block.len
    run.count = 1
    run.flags = source.flags
    run.ref = &block.ref
    run.position = position
    run.base_offset = record - <uint64_t>view.offset_delta
    run.base_timestamp_ms = batch_base_timestamp(source.batch)
    shared_return(core.exchange, group, &run)
    ref_release(&block.ref)
    return Status.OK


cdef bint orphans_add(Session* session, const Slot* slot, uint64_t group) noexcept nogil:
    cdef Orphans** orphans = &session.core.orphans[session.consumer.reactor]
    cdef Orphan* orphan
    if orphans[0] == NULL:
        orphans[0] = <Orphans*>calloc(1, sizeof(Orphans))
    if orphans[0] == NULL or orphans[0].count >= session.core.limits.max_orphans \
            or not array_grow(<void**>&orphans[0].list, orphans[0].count, &orphans[0].cap, sizeof(Orphan)):
        return False
    orphan = &orphans[0].list[orphans[0].count]
    orphan.stream = slot.stream
    orphan.record = slot.record
    orphan.group = group
    orphans[0].count += 1
    session.core.counters[session.consumer.reactor].orphans += 1
    return True


cdef Status try_one(Core* core, const Orphan* orphan) noexcept nogil:
    """ELSEWHERE: not yet, it was asked for again."""
    cdef Partition* partition = log_find_stream(core.log, orphan.stream)
    cdef ReadSpan span
    cdef Source source
    cdef uint32_t offset = 0
    cdef Status status
    if partition == NULL or partition.topic == NULL:
        return Status.OUT_OF_RANGE
    status = partition_seek(partition, orphan.record, &span)
    if status != Status.OK:
        return status
    source.topic = <Topic*>partition.topic
    source.partition = partition
    source.ref = span.ref
    source.batch = entry_body(span.entry)
    source.n = entry_body_length(span.entry)
    source.flags = span.entry.flags
    if batch_codec(source.batch) != CODEC_NONE or not find_record(source.batch, source.n, orphan.record, &offset):
        return Status.OUT_OF_RANGE
    return hand_back(core, &source, offset, orphan.record, span.position, orphan.group)


cdef void orphans_try(Core* core, uint32_t reactor) noexcept nogil:
    cdef Orphans* orphans = core.orphans[reactor]
    cdef uint64_t i, left = 0
    cdef Status status
    if orphans == NULL or orphans.count == 0:
        return
    for i in range(orphans.count):
        status = try_one(core, &orphans.list[i])
        if status == Status.ELSEWHERE:
            orphans.list[left] = orphans.list[i]
            left += 1
        elif status != Status.OK:
            core.counters[reactor].dropped[<uint32_t>Dropped.DROP_EVICTED] += 1
    core.counters[reactor].orphans -= orphans.count - left
    orphans.count = left
    if left == 0:
        free(orphans.list)
        orphans.list = NULL
        orphans.cap = 0


cdef void orphans_free(Core* core) noexcept nogil:
    cdef uint32_t i
    for i in range(REACTORS_MAX):
        if core.orphans[i] != NULL:
            free(core.orphans[i].list)
            free(core.orphans[i])
