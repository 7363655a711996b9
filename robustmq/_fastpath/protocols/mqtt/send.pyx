"""One message into a connection's output; the contract is in send.pxd."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc
from libc.string cimport memcpy
from robustmq._fastpath.atomic cimport store_release_u32
from robustmq._fastpath.broker.retained cimport replay_resume
from robustmq._fastpath.broker.topic cimport Topic, topic_mqtt_name
from robustmq._fastpath.link cimport Link
from robustmq._fastpath.protocols.mqtt.encode cimport COPY_MAX, Frame, frame_put, frame_size
from robustmq._fastpath.protocols.mqtt.message cimport Message, message_alive
from robustmq._fastpath.protocols.mqtt.rings cimport Slot, SlotBits, slots_count, slots_push
from robustmq._fastpath.protocols.mqtt.session cimport AliasOut, Dropped, Session, SessionState
from robustmq._fastpath.protocols.mqtt.wire cimport PacketType
from robustmq._fastpath.status cimport Status


cdef uint32_t alias_of(Session* session, const Topic* topic, bint* known) noexcept nogil:
    """The alias to send for the topic, 0 when there is none; `known`: the client has it already."""
    cdef uint64_t id
    cdef uint32_t i
    memcpy(&id, topic.id, 8)
    if session.aliases_out == NULL:
        session.aliases_out = <AliasOut*>calloc(session.alias_out_max, 8)
        if session.aliases_out == NULL:
            return 0
    for i in range(session.alias_out_count):
        if session.aliases_out.topics[i] == id:
            known[0] = True
            return i + 1
    if session.alias_out_count == session.alias_out_max:
        return 0
    session.aliases_out.topics[session.alias_out_count] = id
    return session.alias_out_count + 1


cdef Status emit(Session* session, const Source* source, Message* message, Frame* frame, int64_t wall) noexcept nogil:
    cdef Link* link = session.link
    cdef Status status
    cdef bint known = False
    cdef uint32_t size
    cdef uint32_t head = 0
    if not message_alive(message, wall, &frame.expiry_left_s):
        return Status.TIMED_OUT
    frame.version = session.version
    frame.topic = message.topic
    if message.topic.data == NULL:
        frame.topic.data = topic_mqtt_name(source.topic)
        frame.topic.n = source.topic.mqtt_len
        if session.alias_out_max:
            frame.alias = <uint16_t>alias_of(session, source.topic, &known)
            if known:
                frame.topic.n = 0
    size = frame_size(frame, message, &head)
    if size == 0 or size > session.max_packet_out:
        return Status.TOO_LARGE                                         # [MQTT-3.1.2-25]
    status = frame_put(&link.out, frame, message, size, head, source.ref)
    if status != Status.OK:
        link.host.close(link, status)
        return status
    if frame.alias and not known:
        session.alias_out_count = frame.alias
    session.counters.messages_out[frame.qos] += 1
    session.counters.bytes_out += size
    session.counters.sent[<uint32_t>PacketType.PUBLISH] += 1
    return Status.OK


cdef void count_failure(Session* session, Status status) noexcept nogil:
    if status == Status.TIMED_OUT:
        drop(session, Dropped.DROP_EXPIRED)
    elif status == Status.TOO_LARGE:
        drop(session, Dropped.DROP_TOO_LARGE)
    elif status == Status.OUT_OF_RANGE:
        drop(session, Dropped.DROP_EVICTED)
    elif status != Status.OK:
        drop(session, Dropped.DROP_NO_MEMORY)


cdef Slot* fly(Session* session, uint8_t bits) noexcept nogil:
    cdef Slot* slot = slots_push(&session.flight)
    if slot == NULL:
        return NULL
    session.last_packet_id = 1 if session.last_packet_id == PACKET_IDS else session.last_packet_id + 1
    slot.packet_id = session.last_packet_id
    slot.bits = bits | SlotBits.SLOT_SENT
    slot.grant = 0
    session.resent += 1
    session.on_wire += 1
    session.unacked_out += 1
    session.counters.inflight += 1
    return slot


cdef void unfly(Session* session) noexcept nogil:
    session.flight.tail -= 1
    session.last_packet_id = PACKET_IDS if session.last_packet_id == 1 else session.last_packet_id - 1
    session.resent -= 1
    session.on_wire -= 1
    session.unacked_out -= 1
    session.counters.inflight -= 1


cdef void note_busy(Session* session) noexcept nogil:
    cdef uint32_t busy = (session.state != SessionState.ONLINE or slots_count(&session.queue) > 0
                          or session.resent < slots_count(&session.flight) or not has_room(session)
                          or not window_open(session))
    if busy == session.consumer.busy:
        return
    store_release_u32(&session.consumer.busy, busy)
    if not busy and session.consumer.replays != NULL:
        replay_resume(&session.consumer)
