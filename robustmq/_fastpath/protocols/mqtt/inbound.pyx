"""PUBLISH packets from clients into the log; the contract is in inbound.pxd."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memcpy
from robustmq._fastpath.batch cimport BatchBuilder, builder_add, builder_begin, builder_finish, builder_free, builder_init
from robustmq._fastpath.broker.mapping cimport Slice, mapping_key
from robustmq._fastpath.broker.retained cimport retained_set
from robustmq._fastpath.broker.routes cimport REACTORS_MAX, routes_notify, routes_refresh
from robustmq._fastpath.broker.topic cimport Topic, TopicFlags, topic_epoch, topic_for_mqtt, topic_mqtt_name
from robustmq._fastpath.link cimport Link
from robustmq._fastpath.out cimport out_commit, out_reserve
from robustmq._fastpath.protocols.mqtt.aliases cimport alias_take
from robustmq._fastpath.protocols.mqtt.durable cimport EventKind, ledger_id
from robustmq._fastpath.protocols.mqtt.message cimport wall_ms
from robustmq._fastpath.protocols.mqtt.record cimport Headers, headers_free, headers_write
from robustmq._fastpath.protocols.mqtt.rings cimport (
    PendingAck, acks_at, acks_count, acks_push, ids_add, ids_has, ids_remove,
)
from robustmq._fastpath.protocols.mqtt.session cimport (
    Dropped, session_client_id, session_goodbye,
)
from robustmq._fastpath.protocols.mqtt.wire cimport (
    Bytes, PacketType, Publish, Reason, Version, ack_reason_of, decode_publish, put_ack, read_header, valid_topic_name,
)
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.journal cimport EntryFlags, journal_body_most, journal_durable
from robustmq._fastpath.stores.partition cimport Appended, Partition, partition_append_aux


cdef enum:
    SLABS = 8                   # partitions that one read collects for at a time
    NO_SLAB = 255               # an acknowledgement whose message is stored already, or was refused
    ACKS_MAX = 65535            # acknowledgements that may wait for the disk
    OPENS_SPAN = 48             # packet identifiers that an entry can name


cdef struct Slab:               # the batch of one partition
    Topic* topic
    Partition* partition
    BatchBuilder builder
    Appended appended
    uint32_t n                  # bytes of the finished batch
    Status status
    uint64_t opens              # QoS 2 identifiers of a durable session in it, see `opens_with`


cdef struct Owed:               # an acknowledgement of this read, in the order of the packets
    uint16_t packet_id
    uint8_t packet
    uint8_t slab
    uint8_t reason              # for NO_SLAB


cdef struct Retain:             # a retained message of this read
    uint32_t slab
    uint32_t record             # its number in the batch
    uint32_t clears             # an empty payload [MQTT-3.3.1-10]


cdef struct Collector:
    Core* core
    int64_t wall                # ms, of this read
    uint32_t used               # slabs
    uint32_t owed_count
    uint32_t owed_cap
    uint32_t retain_count
    uint32_t retain_cap
    uint32_t index              # thread
    Owed* owed
    Retain* retains
    Headers headers
    Slab slabs[SLABS]


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


cdef bint owe(Collector* collector, uint16_t packet_id, uint8_t packet, uint8_t slab, uint8_t reason) noexcept nogil:
    cdef Owed* wider
    if collector.owed_count == collector.owed_cap:
        wider = <Owed*>realloc(collector.owed, (collector.owed_cap * 2 + 64) * sizeof(Owed))
        if wider == NULL:
            return False
        collector.owed = wider
        collector.owed_cap = collector.owed_cap * 2 + 64
    wider = &collector.owed[collector.owed_count]
    wider.packet_id = packet_id
    wider.packet = packet
    wider.slab = slab
    wider.reason = reason
    collector.owed_count += 1
    return True


cdef inline bint is_topic(const Topic* topic, const Bytes* name) noexcept nogil:
    return topic.mqtt_len == name.n and memcmp(topic_mqtt_name(topic), name.data, name.n) == 0


cdef Status find_topic(Session* session, const Bytes* name, Topic** topic, uint32_t* number) noexcept nogil:
    """The topic to append to: the one of the last message, or whatever the table says."""
    cdef Core* core = session.core
    cdef uint64_t epoch = topic_epoch(core.topics)
    cdef Status status
    if session.topic != NULL and session.topic_epoch == epoch and is_topic(session.topic, name):
        topic[0] = session.topic
        number[0] = session.topic_partition
        return Status.OK
    if not valid_topic_name(name.data, name.n):
        return Status.INVALID_TOPIC                                     # [MQTT-3.3.2-2]
    status = topic_for_mqtt(core.topics, name.data, name.n, session_client_id(session), session.client_id_len, topic,
                            number)
    if status == Status.OK:
        session.topic = topic[0]
        session.topic_epoch = epoch
        session.topic_partition = number[0]
    return status


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
    slab.opens = 0
    builder_begin(&slab.builder, collector.wall, <uint32_t>min(<uint64_t>collector.core.limits.max_packet_size + 65536,
                                                               journal_body_most(partition.journal)))
    index[0] = collector.used
    collector.used += 1
    return Status.OK


cdef Status collect_one(Collector* collector, const Publish* view, const Bytes* client_id, Topic* topic,
                        uint32_t number, uint32_t* index) noexcept nogil:
    """Put the message into its partition's batch. QUOTA, TOO_LARGE: flush, then it has room if it ever has."""
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


cdef Status collect(Session* session, Collector* collector, const Publish* view, Topic* topic, uint32_t number,
                    uint32_t* index, int64_t now_ns) noexcept nogil:
    """The same; a full collector or batch is flushed first."""
    cdef Bytes client_id
    cdef Status status
    client_id.data = session_client_id(session)
    client_id.n = session.client_id_len
    status = collect_one(collector, view, &client_id, topic, number, index)
    if status != Status.QUOTA and status != Status.TOO_LARGE:
        return status
    status = inbound_flush(session, collector, now_ns)
    return collect_one(collector, view, &client_id, topic, number, index) if status == Status.OK else status


cdef Status refuse(Session* session, Collector* collector, const Publish* view, Status why) noexcept nogil:
    """A message that is not stored: version 5 says so in the acknowledgement, others can only close [MQTT-4.13]."""
    session.counters.dropped[<uint32_t>Dropped.DROP_UNPUBLISHABLE] += 1
    if view.qos == 0:
        return why if why == Status.INVALID_TOPIC or why == Status.UNKNOWN_TOPIC else Status.OK
    if session.version != Version.V5:
        return why
    session.unacked_in += 1
    if not owe(collector, view.packet_id, PacketType.PUBACK if view.qos == 1 else PacketType.PUBREC, NO_SLAB,
               ack_reason_of(why)):
        return Status.NO_MEMORY
    return Status.OK


cdef bint note_retained(Collector* collector, uint32_t index, bint clears) noexcept nogil:
    cdef Retain* wider
    if collector.retain_count == collector.retain_cap:
        wider = <Retain*>realloc(collector.retains, (collector.retain_cap * 2 + 16) * sizeof(Retain))
        if wider == NULL:
            return False
        collector.retains = wider
        collector.retain_cap = collector.retain_cap * 2 + 16
    wider = &collector.retains[collector.retain_count]
    wider.slab = index
    wider.record = <uint32_t>(collector.slabs[index].builder.count - 1)
    wider.clears = clears
    collector.retain_count += 1
    return True


cdef Status inbound_publish(Session* session, Collector* collector, const uint8_t* body, uint32_t n, uint8_t first,
                            int64_t now_ns) noexcept nogil:
    cdef Publish view
    cdef Topic* topic = NULL
    cdef uint32_t number = 0
    cdef uint32_t index = 0
    cdef Status status = decode_publish(body, n, first, session.version, &view)
    if status != Status.OK:
        return status
    session.counters.messages_in[view.qos] += 1
    session.counters.bytes_in += n
    if view.alias:
        status = alias_take(session, &view)
        if status != Status.OK:
            return status
    if view.qos:
        if view.qos == 2 and ids_has(session.received, view.packet_id):
            session.counters.duplicates_in += 1
            if not owe(collector, view.packet_id, PacketType.PUBREC, NO_SLAB, Reason.SUCCESS):
                return Status.NO_MEMORY
            return Status.OK                                            # stored already [MQTT-4.3.3-10]
        if session.version == Version.V5 and session.unacked_in >= session.core.limits.receive_maximum:
            session_goodbye(session, Reason.RECEIVE_MAXIMUM_EXCEEDED)   # [MQTT-3.3.4-9]
            return Status.QUOTA
        if acks_count(&session.acks) + collector.owed_count >= ACKS_MAX:
            return Status.QUOTA
    status = find_topic(session, &view.topic, &topic, &number)
    if status == Status.OK and view.qos == 2 and session.durable:
        status = make_opens_room(session, collector, topic.partitions[number], view.packet_id, now_ns)
    if status == Status.OK:
        status = collect(session, collector, &view, topic, number, &index, now_ns)
    if status != Status.OK:
        return refuse(session, collector, &view, status)
    if view.retain and not note_retained(collector, index, view.payload.n == 0):
        return Status.NO_MEMORY
    if view.qos == 0:
        return Status.OK
    session.unacked_in += 1
    if view.qos == 2 and ids_add(&session.received, view.packet_id) < 0:
        return Status.NO_MEMORY
    if view.qos == 2 and session.durable:
        collector.slabs[index].opens = opens_with(collector.slabs[index].opens, view.packet_id)
    if not owe(collector, view.packet_id, PacketType.PUBACK if view.qos == 1 else PacketType.PUBREC, <uint8_t>index, 0):
        return Status.NO_MEMORY
    return Status.OK


cdef uint64_t opens_with(uint64_t opens, uint16_t id) noexcept nogil:
    """Entry.aux of a batch that opens `id`, too: the first identifier << 48 | which of the 48 from it on. 0: no room."""
    cdef uint16_t ahead
    if opens == 0:
        return <uint64_t>id << 48 | 1
    ahead = <uint16_t>(id - <uint16_t>(opens >> 48))
    return opens | <uint64_t>1 << ahead if ahead < OPENS_SPAN else 0


cdef Status make_opens_room(Session* session, Collector* collector, Partition* partition, uint16_t id,
                            int64_t now_ns) noexcept nogil:
    """Flush, when the partition's open batch cannot name the identifier as well."""
    cdef uint32_t i
    for i in range(collector.used):
        if collector.slabs[i].partition == partition and opens_with(collector.slabs[i].opens, id) == 0:
            return inbound_flush(session, collector, now_ns)
    return Status.OK


cdef void append_all(Core* core, Collector* collector, uint64_t origin) noexcept nogil:
    """Each partition's batch into the log, its subscribers told. A slab's `status` says what became of it."""
    cdef Slab* slab
    cdef uint32_t i
    cdef uint32_t count
    for i in range(collector.used):
        slab = &collector.slabs[i]
        slab.appended.durable_at = 0
        slab.status = Status.OK
        if slab.builder.count == 0:
            continue                                    # begun for a message that did not fit
        count = <uint32_t>slab.builder.count
        slab.n = builder_finish(&slab.builder)
        routes_refresh(core.exchange, slab.topic)
        slab.status = partition_append_aux(slab.partition, slab.builder.data, slab.n, EntryFlags.FROM_MQTT, origin,
                                               slab.opens, &slab.appended)
        if slab.status == Status.OK:
            routes_notify(core.exchange, slab.topic, slab.partition)
            core.counters[collector.index].batches_in += 1
        elif slab.status != Status.DUPLICATE:
            core.counters[collector.index].dropped[<uint32_t>Dropped.DROP_UNPUBLISHABLE] += count
    for i in range(collector.retain_count):
        slab = &collector.slabs[collector.retains[i].slab]
        if slab.status == Status.OK:
            retain(core, collector, slab, &collector.retains[i])
    collector.retain_count = 0
    collector.used = 0


cdef void retain(Core* core, Collector* collector, Slab* slab, const Retain* note) noexcept nogil:
    """The message is its topic's retained one; the acknowledgement waits for that, too. Not on folded topics: their
    records are of many MQTT topics."""
    cdef uint64_t durable_at = 0
    if slab.topic.flags & TopicFlags.TOPIC_FOLDED:
        return
    if retained_set(core.exchange, slab.topic, slab.builder.data, slab.n, note.record,
                    slab.appended.base_offset + note.record, note.clears, &durable_at) != Status.OK:
        core.counters[collector.index].retained_refused += 1
    if durable_at > slab.appended.durable_at:
        slab.appended.durable_at = durable_at


cdef Status put_reply(Session* session, uint8_t packet, uint16_t packet_id, uint8_t reason) noexcept nogil:
    """PUBACK, PUBREC or PUBCOMP into the output; what it closes no longer counts against the receive maximum."""
    cdef uint8_t* p = out_reserve(&session.link.out, 5)
    if p == NULL:
        return Status.NO_MEMORY
    out_commit(&session.link.out, <uint32_t>(put_ack(p, packet, packet_id, reason, session.version) - p))
    session.counters.sent[packet] += 1
    if packet == PacketType.PUBACK:
        session.unacked_in -= 1
    elif packet == PacketType.PUBREC and reason >= 0x80:
        session.unacked_in -= 1
    return Status.OK


cdef Status acknowledge(Session* session, const Owed* owed, const Slab* slab, uint64_t durable) noexcept nogil:
    """One acknowledgement, now or behind those that wait for the disk already."""
    cdef PendingAck* pending
    cdef uint8_t reason = owed.reason
    cdef uint64_t durable_at = 0
    if slab != NULL:
        reason = ack_reason_of(slab.status)
        durable_at = slab.appended.durable_at if slab.status == Status.OK else 0
        if reason and owed.packet == PacketType.PUBREC:
            ids_remove(&session.received, owed.packet_id)               # free again [MQTT-4.3.3-9]
        elif owed.packet == PacketType.PUBREC and session.durable:
            ledger_id(session, EventKind.EVENT_OPENED, owed.packet_id)
        if reason and session.version != Version.V5:
            return slab.status
    if durable_at <= durable and acks_count(&session.acks) == 0:
        return put_reply(session, owed.packet, owed.packet_id, reason)
    pending = acks_push(&session.acks)
    if pending == NULL:
        return Status.NO_MEMORY
    pending.durable_at = durable_at
    pending.packet_id = owed.packet_id
    pending.packet = owed.packet
    pending.reason = reason
    session.counters.awaiting_disk += 1
    return Status.OK


cdef Status inbound_flush(Session* session, Collector* collector, int64_t now_ns) noexcept nogil:
    cdef Core* core = session.core
    cdef Status status = Status.OK
    cdef Status one
    cdef Owed* owed
    cdef uint64_t durable
    cdef uint32_t i
    if collector.used:
        append_all(core, collector, session.consumer.number)
    if collector.owed_count == 0:
        return Status.OK
    durable = journal_durable(core.wal) if core.wal != NULL else 0
    for i in range(collector.owed_count):
        owed = &collector.owed[i]
        one = acknowledge(session, owed, &collector.slabs[owed.slab] if owed.slab != NO_SLAB else NULL, durable)
        status = one if one != Status.OK else status
    collector.owed_count = 0
    await_disk(session)
    return status


cdef void await_disk(Session* session) noexcept nogil:
    cdef Link* link = session.link
    if acks_count(&session.acks):
        link.host.await_sync(link, acks_at(&session.acks, 0).durable_at)


cdef void inbound_synced(Session* session, uint64_t position) noexcept nogil:
    cdef PendingAck* pending
    while acks_count(&session.acks):
        pending = acks_at(&session.acks, 0)
        if pending.durable_at > position:
            break
        if put_reply(session, pending.packet, pending.packet_id, pending.reason) != Status.OK:
            session.link.host.close(session.link, Status.NO_MEMORY)
            return
        session.acks.head += 1
        session.counters.awaiting_disk -= 1
    await_disk(session)


cdef void inbound_sync_failed(Session* session) noexcept nogil:
    cdef PendingAck* pending
    cdef uint8_t refusal = ack_reason_of(Status.STORE_FAILED)
    cdef uint8_t reason
    if session.version != Version.V5:
        session.link.host.close(session.link, Status.STORE_FAILED)
        return
    while acks_count(&session.acks):
        pending = acks_at(&session.acks, 0)
        reason = pending.reason
        if reason == 0 and pending.durable_at:
            reason = refusal
            if pending.packet == PacketType.PUBREC:
                ids_remove(&session.received, pending.packet_id)        # free again [MQTT-4.3.3-9]
        if put_reply(session, pending.packet, pending.packet_id, reason) != Status.OK:
            session.link.host.close(session.link, Status.NO_MEMORY)
            return
        session.acks.head += 1
        session.counters.awaiting_disk -= 1


cdef Status inbound_released(Session* session, uint16_t packet_id) noexcept nogil:
    if ids_remove(&session.received, packet_id):
        session.unacked_in -= 1
        if session.durable:
            ledger_id(session, EventKind.EVENT_CLOSED, packet_id)
        return put_reply(session, PacketType.PUBCOMP, packet_id, Reason.SUCCESS)
    return put_reply(session, PacketType.PUBCOMP, packet_id, Reason.PACKET_ID_NOT_FOUND)


cdef Status inbound_publish_frame(Core* core, const uint8_t* frame, uint64_t n, const uint8_t* client_id,
                                  uint32_t client_id_len, uint64_t origin) noexcept nogil:
    cdef Collector* collector = collector_of(core, REACTORS_MAX)
    cdef Publish view
    cdef Bytes client
    cdef Topic* topic = NULL
    cdef uint32_t number = 0
    cdef uint32_t index = 0
    cdef uint32_t header = 0
    cdef uint32_t total = 0
    cdef Status status
    if collector == NULL:
        return Status.NO_MEMORY
    status = read_header(frame, n, &header, &total)
    if status != Status.OK or total != n:
        return Status.MALFORMED
    status = decode_publish(frame + header, total - header, frame[0], Version.V5, &view)
    if status == Status.OK and not valid_topic_name(view.topic.data, view.topic.n):
        status = Status.INVALID_TOPIC
    if status == Status.OK:
        status = topic_for_mqtt(core.topics, view.topic.data, view.topic.n, client_id, client_id_len, &topic, &number)
    if status == Status.OK:
        client.data = client_id
        client.n = client_id_len
        status = collect_one(collector, &view, &client, topic, number, &index)
    if status == Status.OK and view.retain and not note_retained(collector, index, view.payload.n == 0):
        status = Status.NO_MEMORY
    append_all(core, collector, origin)
    return status if status != Status.OK else collector.slabs[index].status
