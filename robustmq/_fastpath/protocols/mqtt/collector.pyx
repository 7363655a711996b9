"""Batches of one read; the contract is in collector.pxd."""
from libc.stdint cimport int32_t
from libc.stdlib cimport calloc, free
from robustmq._fastpath.batch cimport builder_add, builder_begin, builder_finish, builder_free, builder_init
from robustmq._fastpath.broker.mapping cimport Slice, mapping_key
from robustmq._fastpath.broker.retained cimport retained_keep, retained_set
from robustmq._fastpath.broker.routes cimport routes_notify, routes_refresh
from robustmq._fastpath.broker.topic cimport TopicFlags
from robustmq._fastpath.protocols.mqtt.message cimport wall_ms
from robustmq._fastpath.protocols.mqtt.record cimport headers_free, headers_write
from robustmq._fastpath.protocols.mqtt.session cimport Dropped
from robustmq._fastpath.stores.arrays cimport array_grow
from robustmq._fastpath.stores.journal cimport EntryFlags, journal_body_most, journal_will_have_room
from robustmq._fastpath.stores.log cimport log_will_have_room
from robustmq._fastpath.stores.partition cimport partition_append_aux
from robustmq._fastpath.stores.streams cimport log_find_stream


cdef enum:
    OPENS_SPAN = 48             # packet identifiers that an entry can name


cdef Collector* collector_of(Core* core, uint32_t index) noexcept nogil:
    cdef Collector* collector = core.collectors[index]
    cdef uint32_t i
    if collector != NULL:
        return collector
    collector = <Collector*>calloc(1, sizeof(Collector))
    if collector == NULL:
        return NULL
    collector.core = core
    collector.index = index
    for i in range(SLABS):
        builder_init(&collector.slabs[i].builder)
    core.collectors[index] = collector
    return collector


cdef void collector_free(Collector* collector) noexcept nogil:
    cdef uint32_t i
    if collector == NULL:
        return
    for i in range(SLABS):
        builder_free(&collector.slabs[i].builder)
    headers_free(&collector.headers)
    free(collector.owed)
    free(collector.retains)
    free(collector)


cdef void collector_return(Core* core, Collector* collector) noexcept nogil:
    collector_clear(collector)
    if core.collectors[collector.index] == NULL:
        core.collectors[collector.index] = collector
    else:
        collector_free(collector)


cdef bint collector_owe(Collector* collector, uint16_t packet_id, uint8_t packet, uint8_t slab, uint8_t reason) noexcept nogil:
    cdef Owed* owed
    if not array_grow(<void**>&collector.owed, collector.owed_count, &collector.owed_cap, sizeof(Owed)):
        return False
    owed = &collector.owed[collector.owed_count]
    owed.packet_id = packet_id
    owed.packet = packet
    owed.slab = slab
    owed.reason = reason
    collector.owed_count += 1
    return True


cdef Status slab_for(Collector* collector, Topic* topic, uint32_t number, uint32_t* index) noexcept nogil:
    """The open batch of the partition. QUOTA: all slabs are taken by others; flush first."""
    cdef Partition* partition = topic.partitions[number]
    cdef Slab* slab
    cdef uint32_t i = collector.used
    while i > 0:
        i -= 1
        if collector.slabs[i].partition == partition:
            index[0] = i
            return Status.OK
    if collector.used == SLABS:
        return Status.QUOTA
    if collector.used == 0:
        collector.wall = wall_ms()
    slab = &collector.slabs[collector.used]
    slab.topic = topic
    slab.partition = partition
    slab.stream = partition.stream
    slab.n = slab.waits = 0
    slab.opens = 0
    builder_begin(&slab.builder, collector.wall, <uint32_t>min(<uint64_t>collector.core.limits.max_packet_size + 65536,
                                                               journal_body_most(partition.journal)))
    index[0] = collector.used
    collector.used += 1
    return Status.OK


cdef Status collect_one(Collector* collector, const Publish* view, const Bytes* client_id, Topic* topic,
                        uint32_t number, uint32_t* index) noexcept nogil:
    cdef Headers* headers = &collector.headers
    cdef bint folded = topic.flags & TopicFlags.TOPIC_FOLDED
    cdef Slice key
    cdef Status status = slab_for(collector, topic, number, index)
    if status != Status.OK:
        return status
    headers.len = 0
    headers.count = 0
    headers.key.data = NULL
    if view.qos or view.retain or view.properties.n or folded:
        if not headers_write(headers, view, &view.topic if folded else NULL):
            return Status.NO_MEMORY
    if folded:
        key = mapping_key(topic.mapping, view.topic.data, view.topic.n, client_id.data, client_id.n)
        headers.key.data = key.p                                        # the rule's, and with it the partition
        headers.key.n = key.n
    return builder_add(&collector.slabs[index[0]].builder, collector.wall, headers.key.data,
                       <int32_t>headers.key.n if headers.key.data != NULL else -1, view.payload.data,
                       <int32_t>view.payload.n, headers.data, headers.len, headers.count)


cdef bint note_retained(Collector* collector, uint32_t index, bint clears) noexcept nogil:
    cdef Retain* retain
    if not array_grow(<void**>&collector.retains, collector.retain_count, &collector.retain_cap, sizeof(Retain)):
        return False
    retain = &collector.retains[collector.retain_count]
    retain.slab = index
    retain.record = <uint32_t>(collector.slabs[index].builder.count - 1)
    retain.clears = clears
    retain.state = RetainState.RETAIN_NEW
    collector.retain_count += 1
    return True


cdef uint64_t opens_with(uint64_t opens, uint16_t id) noexcept nogil:
    cdef uint16_t ahead
    if opens == 0:
        return <uint64_t>id << 48 | 1
    ahead = <uint16_t>(id - <uint16_t>(opens >> 48))
    return opens | <uint64_t>1 << ahead if ahead < OPENS_SPAN else 0


cdef void append_slab(Core* core, Collector* collector, Slab* slab, uint64_t origin) noexcept nogil:
    if slab.n == 0:
        slab.count = <uint32_t>slab.builder.count
        slab.n = builder_finish(&slab.builder)
    routes_refresh(core.exchange, slab.topic)
    slab.status = partition_append_aux(slab.partition, slab.builder.data, slab.n, EntryFlags.FROM_MQTT, origin, slab.opens,
                                       &slab.appended)
    slab.waits = journal_will_have_room(slab.partition.journal, slab.status)
    collector.waits |= slab.waits
    if slab.status == Status.OK:
        routes_notify(core.exchange, slab.topic, slab.partition)
        core.counters[collector.index].batches_in += 1
    elif slab.status != Status.DUPLICATE and not slab.waits:
        core.counters[collector.index].dropped[<uint32_t>Dropped.DROP_UNPUBLISHABLE] += slab.count


cdef void append_all(Core* core, Collector* collector, uint64_t origin) noexcept nogil:
    cdef Slab* slab
    cdef uint32_t i
    for i in range(collector.used):
        slab = &collector.slabs[i]
        slab.appended.durable_at = 0
        slab.status = Status.OK
        if slab.builder.count:                          # else it was begun for a message that did not fit
            append_slab(core, collector, slab, origin)
    retain_all(core, collector)


cdef void append_rest(Core* core, Collector* collector, uint64_t origin) noexcept nogil:
    """Topics may have been deleted meanwhile."""
    cdef Slab* slab
    cdef uint32_t i
    collector.waits = 0
    for i in range(collector.used):
        slab = &collector.slabs[i]
        slab.partition = log_find_stream(core.log, slab.stream)
        slab.topic = <Topic*>slab.partition.topic if slab.partition != NULL else NULL
        if slab.waits and slab.topic != NULL:
            append_slab(core, collector, slab, origin)
        elif slab.waits:
            slab.waits = 0
            slab.status = Status.UNKNOWN_TOPIC
            core.counters[collector.index].dropped[<uint32_t>Dropped.DROP_UNPUBLISHABLE] += slab.count
    retain_all(core, collector)


cdef void retain_all(Core* core, Collector* collector) noexcept nogil:
    cdef Slab* slab
    cdef uint32_t i
    for i in range(collector.retain_count):
        slab = &collector.slabs[collector.retains[i].slab]
        if slab.status == Status.OK and slab.topic != NULL and collector.retains[i].state != RetainState.RETAIN_DONE:
            retain(core, collector, slab, &collector.retains[i])


cdef void retain(Core* core, Collector* collector, Slab* slab, Retain* note) noexcept nogil:
    """The message is its topic's retained one; the acknowledgement waits for that, too. Not on folded topics: their
    records are of many MQTT topics."""
    cdef uint64_t durable_at = 0
    cdef Status status
    cdef uint32_t state = note.state
    note.state = RetainState.RETAIN_DONE
    if slab.topic.flags & TopicFlags.TOPIC_FOLDED:
        return
    if state == RetainState.RETAIN_NEW:
        status = retained_set(core.exchange, slab.topic, slab.builder.data, slab.n, note.record,
                              slab.appended.base_offset + note.record, note.clears, &durable_at)
    else:
        status = retained_keep(core.exchange, slab.topic, &durable_at)
    if log_will_have_room(core.log, status):
        note.state = RetainState.RETAIN_UNWRITTEN
        collector.waits = 1
    elif status != Status.OK:
        core.counters[collector.index].retained_refused += 1
    if durable_at > slab.appended.durable_at:
        slab.appended.durable_at = durable_at
