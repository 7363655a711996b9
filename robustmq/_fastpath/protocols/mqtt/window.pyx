"""The in-flight window and the queue behind it; the contract is in window.pxd."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset
from robustmq._fastpath.batch cimport CODEC_NONE, RecordView, batch_base_timestamp, batch_codec, record_next
from robustmq._fastpath.broker.topic cimport Topic
from robustmq._fastpath.cursor cimport Cursor, cursor_init
from robustmq._fastpath.out cimport out_commit, out_reserve
from robustmq._fastpath.protocols.mqtt.durable cimport EventKind, ledger_id, ledger_slot
from robustmq._fastpath.protocols.mqtt.encode cimport Frame
from robustmq._fastpath.protocols.mqtt.message cimport Message, message_read, wall_ms
from robustmq._fastpath.protocols.mqtt.orphans cimport hand_back, orphans_add
from robustmq._fastpath.protocols.mqtt.restore cimport find_record
from robustmq._fastpath.protocols.mqtt.rings cimport NO_RECORD, Slot, SlotBits, slots_at, slots_count
from robustmq._fastpath.protocols.mqtt.send cimport (
    PACKET_IDS, Source, count_failure, drop, emit, fly, has_room, note_busy, unfly, window_open,
)
from robustmq._fastpath.protocols.mqtt.session cimport Core, Dropped, Grant, Kept, Session, SessionState, session_release
from robustmq._fastpath.protocols.mqtt.stalled cimport stall, stalled_on_disk
from robustmq._fastpath.protocols.mqtt.wire cimport Ack, PacketType, Reason, Version, put_ack
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.journal cimport entry_body, entry_body_length
from robustmq._fastpath.stores.streams cimport log_find_stream
from robustmq._fastpath.stores.partition cimport Partition, ReadSpan, partition_at, partition_seek


cdef Status find_again(Partition* partition, Slot* slot, ReadSpan* span) noexcept nogil:
    """The message by its offset, when it does not stand where it stood: compaction has written its batch again, or it was in
    the blob store when the broker started. Where it stands now is noted in the slot."""
    cdef Status status = partition_seek(partition, slot.record, span)
    if status != Status.OK:
        return Status.ELSEWHERE if status == Status.ELSEWHERE else Status.OUT_OF_RANGE
    if batch_codec(entry_body(span.entry)) != CODEC_NONE \
            or not find_record(entry_body(span.entry), entry_body_length(span.entry), slot.record, &slot.offset):
        return Status.OUT_OF_RANGE
    slot.position = span.position
    return Status.OK


cdef Status open_slot(Session* session, Slot* slot, bint may_wait, Source* source) noexcept nogil:
    """Where the slot's message lies. OUT_OF_RANGE: it left the log or its topic was deleted; ELSEWHERE: it will come, from the
    blob store or, if the session `may_wait` for it, from the disk."""
    cdef Core* core = session.core
    cdef Partition* partition = log_find_stream(core.log, slot.stream)
    cdef const Kept* kept
    cdef ReadSpan span
    cdef Status status
    if partition == NULL or partition.topic == NULL:
        return Status.OUT_OF_RANGE
    if slot.bits & SlotBits.SLOT_KEPT:
        kept = <const Kept*>slot.position
        source.ref = kept.ref
        source.batch = kept.batch
        source.n = kept.n
        source.flags = kept.flags
    elif may_wait and slot.record != NO_RECORD and stalled_on_disk(session, partition, slot.record):
        return Status.ELSEWHERE
    else:
        status = partition_at(partition, slot.position, &span)
        if status == Status.STORE_FAILED:
            return Status.ELSEWHERE                                     # perhaps after a restart
        if status == Status.OUT_OF_RANGE and slot.record != NO_RECORD:
            status = find_again(partition, slot, &span)
        if status != Status.OK:
            return status
        source.ref = span.ref
        source.batch = entry_body(span.entry)
        source.n = entry_body_length(span.entry)
        source.flags = span.entry.flags
    source.topic = <Topic*>partition.topic
    source.partition = partition
    return Status.OK


cdef Status send_slot(Session* session, Slot* slot, uint16_t packet_id, int64_t wall) noexcept nogil:
    """The slot's message, read from the log. OUT_OF_RANGE: it is not there any more; ELSEWHERE: not yet."""
    cdef Source source
    cdef Cursor cursor
    cdef RecordView record
    cdef Message message
    cdef Frame frame
    cdef const Grant* grant
    cdef Status status = open_slot(session, slot, True, &source)
    if status != Status.OK:
        return status
    if slot.offset >= source.n:
        return Status.OUT_OF_RANGE
    cursor_init(&cursor, source.batch + slot.offset, source.n - slot.offset)
    if not record_next(&cursor, &record):
        return Status.OUT_OF_RANGE
    message_read(&record, batch_base_timestamp(source.batch), source.flags, &message)
    memset(&frame, 0, sizeof(Frame))
    frame.qos = slot.bits & SlotBits.SLOT_QOS
    frame.retain = slot.bits & SlotBits.SLOT_RETAIN
    frame.dup = slot.bits & SlotBits.SLOT_SENT                          # [MQTT-3.3.1-1]
    frame.packet_id = packet_id
    if slot.grant and session.version == Version.V5:
        grant = &session.grants[slot.grant]
        frame.ids = <const uint32_t*>grant.ids
        frame.id_count = grant.count
    return emit(session, &source, &message, &frame, wall)


cdef Status put_pubrel(Session* session, uint16_t packet_id, uint8_t reason) noexcept nogil:
    cdef uint8_t* p = out_reserve(&session.link.out, 5)
    if p == NULL:
        return Status.NO_MEMORY
    out_commit(&session.link.out, <uint32_t>(put_ack(p, PacketType.PUBREL, packet_id, reason, session.version) - p))
    session.counters.sent[<uint32_t>PacketType.PUBREL] += 1
    return Status.OK


cdef void done(Session* session, Slot* slot, uint32_t i) noexcept nogil:
    """The i-th in flight is finished; the window moves on past all that are."""
    if session.durable:
        ledger_id(session, EventKind.EVENT_DONE, slot.packet_id)
    session_release(session, slot)
    slot.bits |= SlotBits.SLOT_DONE
    session.unacked_out -= 1
    session.counters.inflight -= 1
    if i < session.resent:
        session.on_wire -= 1
    while slots_count(&session.flight) and slots_at(&session.flight, 0).bits & SlotBits.SLOT_DONE:
        session.flight.head += 1
        if session.resent:
            session.resent -= 1


cdef void released(Session* session, Slot* slot) noexcept nogil:
    """QoS 2: from here on PUBREL goes out; the payload is not needed any more."""
    if session.durable:
        ledger_id(session, EventKind.EVENT_RELEASED, slot.packet_id)
    session_release(session, slot)
    slot.bits |= SlotBits.SLOT_RELEASED


cdef Status resend(Session* session, Slot* slot, uint32_t i, int64_t wall) noexcept nogil:
    """A slot in flight on a new connection: PUBLISH with DUP, or PUBREL [MQTT-4.4.0-1]."""
    cdef Status status
    session.resent += 1
    session.on_wire += 1
    if slot.bits & SlotBits.SLOT_RELEASED:
        return put_pubrel(session, slot.packet_id, Reason.SUCCESS)
    status = send_slot(session, slot, slot.packet_id, wall)
    if status == Status.OK:
        session.counters.redelivered += 1
        return status
    if status == Status.ELSEWHERE:
        session.resent -= 1
        session.on_wire -= 1
        return status
    if status == Status.NO_MEMORY:
        return status
    count_failure(session, status)
    if slot.bits & SlotBits.SLOT_QOS == 2:
        # The client may have the identifier open: PUBREL closes it, whichever it is.
        released(session, slot)
        return put_pubrel(session, slot.packet_id, Reason.SUCCESS)
    done(session, slot, i)
    return Status.OK


cdef Status send_queued(Session* session, int64_t wall) noexcept nogil:
    """The head of the queue goes out, or is dropped with its reason. ELSEWHERE: it stays there for now."""
    cdef Slot* slot = slots_at(&session.queue, 0)
    cdef Slot* flying
    cdef uint8_t qos = slot.bits & SlotBits.SLOT_QOS
    cdef Status status
    if qos:
        flying = fly(session, slot.bits)
        if flying == NULL:
            return Status.NO_MEMORY
        status = send_slot(session, slot, flying.packet_id, wall)
        if status == Status.OK:
            flying.position = slot.position
            flying.stream = slot.stream
            flying.record = slot.record
            flying.offset = slot.offset
            flying.grant = slot.grant
            if session.durable:
                ledger_slot(session, EventKind.EVENT_FLIGHT, flying)
        else:
            unfly(session)
    else:
        status = send_slot(session, slot, 0, wall)
        if status != Status.ELSEWHERE:
            session.queued_qos0 -= 1
    if status == Status.NO_MEMORY or status == Status.ELSEWHERE:
        return status
    if qos == 0 or status != Status.OK:
        session_release(session, slot)
    count_failure(session, status)
    session.queue.head += 1
    session.counters.queued -= 1
    return Status.OK


cdef Status window_pump(Session* session) noexcept nogil:
    cdef Status status = pump(session)
    note_busy(session)
    if status == Status.ELSEWHERE:
        stall(session)
        return Status.OK
    return status


cdef Status pump(Session* session) noexcept nogil:
    cdef Status status = Status.OK
    cdef Slot* slot
    cdef int64_t wall
    if session.state != SessionState.ONLINE:
        return Status.OK
    if session.resent == slots_count(&session.flight) and slots_count(&session.queue) == 0:
        return Status.OK
    wall = wall_ms()
    while status == Status.OK and session.resent < slots_count(&session.flight):
        if session.on_wire >= session.send_maximum or not has_room(session):
            return Status.OK
        slot = slots_at(&session.flight, session.resent)
        if slot.bits & SlotBits.SLOT_DONE:
            session.resent += 1
        else:
            status = resend(session, slot, session.resent, wall)
    while status == Status.OK and slots_count(&session.queue) and has_room(session):
        if slots_at(&session.queue, 0).bits & SlotBits.SLOT_QOS and not window_open(session):
            return Status.OK
        status = send_queued(session, wall)
    return status


cdef Status window_resume(Session* session) noexcept nogil:
    session.resent = 0
    session.on_wire = 0
    return window_pump(session)


cdef Status window_acked(Session* session, uint32_t packet, const Ack* ack) noexcept nogil:
    cdef Slot* slot = NULL
    cdef uint32_t i = 0
    cdef uint8_t qos
    if slots_count(&session.flight):
        i = (ack.packet_id + PACKET_IDS - slots_at(&session.flight, 0).packet_id) % PACKET_IDS
        if i < slots_count(&session.flight):
            slot = slots_at(&session.flight, i)
    if slot == NULL or slot.bits & SlotBits.SLOT_DONE:
        # Not ours, or finished: a PUBREC still gets its PUBREL, so that the client can close the identifier.
        if packet == PacketType.PUBREC and ack.reason < 0x80:
            return put_pubrel(session, ack.packet_id, Reason.PACKET_ID_NOT_FOUND)
        return Status.OK
    qos = slot.bits & SlotBits.SLOT_QOS
    if packet == PacketType.PUBACK:
        if qos != 1:
            return Status.PROTOCOL_ERROR
        done(session, slot, i)
    elif packet == PacketType.PUBREC:
        if qos != 2:
            return Status.PROTOCOL_ERROR
        if ack.reason >= 0x80:
            done(session, slot, i)                                      # the identifier is free [MQTT-4.13.2]
            return Status.OK
        released(session, slot)
        return put_pubrel(session, ack.packet_id, Reason.SUCCESS)       # [MQTT-4.3.3-4]
    elif slot.bits & SlotBits.SLOT_RELEASED:
        done(session, slot, i)
    return Status.OK


cdef void give_back(Session* session, Slot* slot) noexcept nogil:
    """One message of a shared subscription, to the group's other members."""
    cdef Source source
    cdef Status status
    cdef uint64_t group = session.grants[slot.grant].group if slot.grant else 0
    if group == 0 or slot.bits & SlotBits.SLOT_DONE:
        return
    status = open_slot(session, slot, False, &source)
    if status == Status.ELSEWHERE and orphans_add(session, slot, group):
        return
    if status == Status.OK:
        status = hand_back(session.core, &source, slot.offset, slot.record,
                           slot.position if not slot.bits & SlotBits.SLOT_KEPT else 0, group)
    if status != Status.OK:
        drop(session, Dropped.DROP_EVICTED if status != Status.NO_MEMORY else Dropped.DROP_NO_MEMORY)


cdef void window_give_back(Session* session) noexcept nogil:
    cdef uint32_t i
    cdef Slot* slot
    if session.grant_count:
        for i in range(slots_count(&session.flight)):
            slot = slots_at(&session.flight, i)
            if slot.bits & SlotBits.SLOT_QOS == 1:      # of QoS 2 what went out is for nobody else [MQTT-4.8.2-5]
                give_back(session, slot)
        for i in range(slots_count(&session.queue)):
            give_back(session, slots_at(&session.queue, i))
