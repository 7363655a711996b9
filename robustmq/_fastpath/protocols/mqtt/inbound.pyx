"""PUBLISH packets from clients into the log; the contract is in inbound.pxd."""
from libc.string cimport memcmp
from robustmq._fastpath.broker.routes cimport REACTORS_MAX
from robustmq._fastpath.broker.topic cimport Topic, topic_epoch, topic_for_mqtt, topic_mqtt_name
from robustmq._fastpath.protocols.mqtt.aliases cimport alias_take
from robustmq._fastpath.protocols.mqtt.answers cimport ACKS_MAX, answers_note, answers_send
from robustmq._fastpath.protocols.mqtt.collector cimport (
    NO_SLAB, append_all, append_rest, collect_one, collector_clear, collector_of, collector_owe, collector_return, note_retained,
    opens_with,
)
from robustmq._fastpath.protocols.mqtt.durable cimport ledger_write
from robustmq._fastpath.protocols.mqtt.rings cimport acks_count, ids_add, ids_has, ids_remove
from robustmq._fastpath.protocols.mqtt.session cimport Dropped, session_client_id, session_goodbye
from robustmq._fastpath.protocols.mqtt.wire cimport (
    Bytes, PacketType, Publish, Reason, Version, ack_reason_of, decode_publish, read_header, valid_topic_name,
)
from robustmq._fastpath.stores.log cimport log_will_have_room
from robustmq._fastpath.stores.partition cimport Partition


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


cdef Status collect(Session* session, Collector* collector, const Publish* view, Topic* topic, uint32_t number,
                    uint32_t* index, int64_t now_ns) noexcept nogil:
    """Put it into its partition's batch; a full collector or batch is flushed first."""
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
    if not collector_owe(collector, view.packet_id, PacketType.PUBACK if view.qos == 1 else PacketType.PUBREC, NO_SLAB,
               ack_reason_of(why)):
        return Status.NO_MEMORY
    return Status.OK


cdef Status wait_for_topic(Session* session, Collector* collector, int64_t now_ns) noexcept nogil:
    """There is no room for a new topic: what came before goes first, then the link waits, and the packet comes again."""
    cdef Status status = inbound_flush(session, collector, now_ns)
    if status == Status.OK:
        collector.waits = 1
        status = finish(session, collector)
    return status


cdef inline void count_in(Session* session, const Publish* view, uint32_t n) noexcept nogil:
    session.counters.messages_in[view.qos] += 1
    session.counters.bytes_in += n


cdef Status inbound_publish(Session* session, Collector* collector, const uint8_t* body, uint32_t n, uint8_t first,
                            int64_t now_ns) noexcept nogil:
    cdef Publish view
    cdef Topic* topic = NULL
    cdef uint32_t number = 0
    cdef uint32_t index = 0
    cdef Status status = decode_publish(body, n, first, session.version, &view)
    if status != Status.OK:
        return status
    if view.alias:
        status = alias_take(session, &view)
        if status != Status.OK:
            return status
    if view.qos:
        if view.qos == 2 and ids_has(session.received, view.packet_id):
            count_in(session, &view, n)
            session.counters.duplicates_in += 1
            if not collector_owe(collector, view.packet_id, PacketType.PUBREC, NO_SLAB, Reason.SUCCESS):
                return Status.NO_MEMORY
            return Status.OK                                            # stored already [MQTT-4.3.3-10]
        if session.version == Version.V5 and session.unacked_in >= session.core.limits.receive_maximum:
            session_goodbye(session, Reason.RECEIVE_MAXIMUM_EXCEEDED)   # [MQTT-3.3.4-9]
            return Status.QUOTA
        if acks_count(&session.acks) + collector.owed_count >= ACKS_MAX:
            return Status.QUOTA
    status = find_topic(session, &view.topic, &topic, &number)
    if log_will_have_room(session.core.log, status):
        return wait_for_topic(session, collector, now_ns)
    if status == Status.OK and view.qos == 2 and session.durable:
        status = make_opens_room(session, collector, topic.partitions[number], view.packet_id, now_ns)
    if status == Status.OK:
        status = collect(session, collector, &view, topic, number, &index, now_ns)
    if session.unstored != NULL:
        return Status.PARKED
    count_in(session, &view, n)
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
    if not collector_owe(collector, view.packet_id, PacketType.PUBACK if view.qos == 1 else PacketType.PUBREC, <uint8_t>index, 0):
        return Status.NO_MEMORY
    return Status.OK


cdef Status make_opens_room(Session* session, Collector* collector, Partition* partition, uint16_t id,
                            int64_t now_ns) noexcept nogil:
    """Flush, when the partition's open batch cannot name the identifier as well."""
    cdef uint32_t i
    for i in range(collector.used):
        if collector.slabs[i].partition == partition and opens_with(collector.slabs[i].opens, id) == 0:
            return inbound_flush(session, collector, now_ns)
    return Status.OK


cdef Status finish(Session* session, Collector* collector) noexcept nogil:
    """What was collected is stored or refused: say so. Or it waits."""
    cdef Status status = Status.OK
    if collector.waits:
        session.core.collectors[collector.index] = NULL
        session.unstored = collector
        session.link.host.await_room(session.link)
        return Status.PARKED
    if collector.owed_count:
        status = answers_send(session, collector)
    collector_clear(collector)
    return status


cdef Status inbound_flush(Session* session, Collector* collector, int64_t now_ns) noexcept nogil:
    if collector.used:
        append_all(session.core, collector, session.consumer.number)
    return finish(session, collector)


cdef Status inbound_room(Session* session, int64_t now_ns) noexcept nogil:
    cdef Collector* collector = session.unstored
    cdef Status status
    session.unstored = NULL
    append_rest(session.core, collector, session.consumer.number)
    if collector.waits:
        session.unstored = collector
        session.link.host.await_room(session.link)
        return Status.PARKED
    status = finish(session, collector)
    collector_return(session.core, collector)
    return status


cdef void inbound_drop(Session* session) noexcept nogil:
    cdef Collector* collector = session.unstored
    cdef bint closing = False
    cdef uint32_t i
    if collector == NULL:
        return
    session.unstored = NULL
    for i in range(collector.used):
        if collector.slabs[i].waits:
            session.counters.dropped[<uint32_t>Dropped.DROP_UNPUBLISHABLE] += collector.slabs[i].count
    answers_note(session, collector, &closing)
    if session.durable:
        ledger_write(session)
    collector_return(session.core, collector)


cdef Status inbound_released(Session* session, Collector* collector, uint16_t packet_id) noexcept nogil:
    cdef uint8_t reason = Reason.PACKET_ID_NOT_FOUND
    if acks_count(&session.acks) + collector.owed_count >= ACKS_MAX:
        return Status.QUOTA
    if ids_remove(&session.received, packet_id):
        session.unacked_in -= 1
        reason = Reason.SUCCESS
    return Status.OK if collector_owe(collector, packet_id, PacketType.PUBCOMP, NO_SLAB, reason) else Status.NO_MEMORY


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
    collector_clear(collector)
    return status if status != Status.OK else collector.slabs[index].status
