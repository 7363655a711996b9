"""Delivery to one client; the contract is in outbound.pxd."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport malloc
from libc.string cimport memset
from robustmq._fastpath.atomic cimport load_acquire_ptr
from robustmq._fastpath.batch cimport BATCH_HEADER, RecordView, record_next
from robustmq._fastpath.block cimport Block, block_data, ref_retain
from robustmq._fastpath.broker.routes cimport Consumer, Route, Run, RunFlags
from robustmq._fastpath.broker.seen cimport Seen, seen_has
from robustmq._fastpath.cursor cimport Cursor, cursor_init
from robustmq._fastpath.link cimport Link
from robustmq._fastpath.out cimport out_copy, out_ref
from robustmq._fastpath.protocols.mqtt.durable cimport EventKind, ledger_considered, ledger_flush, ledger_slot
from robustmq._fastpath.protocols.mqtt.encode cimport SHARED_V3, SHARED_V5, Frame, SharedBits, shared_frames
from robustmq._fastpath.protocols.mqtt.message cimport Message, message_read, wall_ms
from robustmq._fastpath.protocols.mqtt.rings cimport NO_RECORD, Slot, SlotBits, slots_at, slots_count, slots_push
from robustmq._fastpath.protocols.mqtt.send cimport (
    Source, count_failure, drop, emit, fly, has_room, note_busy, unfly, window_open,
)
from robustmq._fastpath.protocols.mqtt.session cimport Dropped, Kept, Session, SessionState, session_grant
from robustmq._fastpath.protocols.mqtt.window cimport window_pump
from robustmq._fastpath.protocols.mqtt.wire cimport PacketType, Version
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.journal cimport entry_body
from robustmq._fastpath.stores.partition cimport ReadSpan, partition_at


cdef enum:
    SHARE_BY_REF = 512          # a shared block below this is copied: cheaper than an iovec and a reference


cdef bint keep(Session* session, const Run* run, Slot* slot) noexcept nogil:
    """Let the slot own the run's bytes: the journal holds them compressed. A run's slots share one Kept."""
    cdef Kept* kept
    cdef Slot* last
    if slots_count(&session.queue) > 1:
        last = slots_at(&session.queue, slots_count(&session.queue) - 2)
        kept = <Kept*>last.position
        if last.bits & SlotBits.SLOT_KEPT and kept.batch == run.batch:
            kept.uses += 1
            slot.position = last.position
            slot.bits |= SlotBits.SLOT_KEPT
            return True
    kept = <Kept*>malloc(sizeof(Kept))
    if kept == NULL:
        return False
    ref_retain(run.ref)
    kept.ref = run.ref
    kept.batch = run.batch
    kept.n = run.n
    kept.uses = 1
    kept.flags = run.flags
    slot.position = <uint64_t>kept
    slot.bits |= SlotBits.SLOT_KEPT
    return True


cdef bint in_log(const Run* run) noexcept nogil:
    """Whether the run's bytes are the log's own (a compressed batch's are not)."""
    cdef ReadSpan span
    return partition_at(run.partition, run.position, &span) == Status.OK and entry_body(span.entry) == run.batch


cdef void place(const Run* run, const RecordView* record, Slot* slot) noexcept nogil:
    slot.position = run.position
    slot.stream = run.partition.stream
    slot.record = NO_RECORD if run.flags & RunFlags.RUN_RETAINED else run.base_offset + <uint64_t>record.offset_delta
    slot.offset = <uint32_t>(record.start - run.batch)


cdef void enqueue(Session* session, const Route* route, const Run* run, const RecordView* record, uint8_t bits,
                  bint direct) noexcept nogil:
    """One message more that waits. The newest is what a full queue drops; QoS 0 fills at most half of it."""
    cdef uint32_t limit = session.core.limits.max_queued
    cdef Slot* slot
    if not bits & SlotBits.SLOT_QOS:
        if session.queued_qos0 >= limit // 2 or slots_count(&session.queue) >= limit:
            drop(session, Dropped.DROP_SLOW)
            return
    elif slots_count(&session.queue) >= limit:
        drop(session, Dropped.DROP_QUEUE_FULL)
        return
    slot = slots_push(&session.queue)
    if slot == NULL:
        drop(session, Dropped.DROP_NO_MEMORY)
        return
    slot.bits = bits
    slot.packet_id = 0
    slot.grant = 0
    place(run, record, slot)
    if not direct and not keep(session, run, slot):
        session.queue.tail -= 1
        drop(session, Dropped.DROP_NO_MEMORY)
        return
    slot.grant = session_grant(session, route)
    session.queued_qos0 += 0 if bits & SlotBits.SLOT_QOS else 1
    session.counters.queued += 1
    if session.durable and bits & SlotBits.SLOT_QOS and (route.group or run.flags & RunFlags.RUN_RETAINED):
        ledger_slot(session, EventKind.EVENT_QUEUED, slot)              # a restart does not deliver it again


cdef bint deliver_shared(Session* session, const Route* route, Run* run) noexcept nogil:
    """The whole run as bytes that other sessions use as well; False when this session needs its own."""
    cdef Link* link = session.link
    cdef uint32_t form = SHARED_V5 if session.version == Version.V5 else SHARED_V3
    cdef uint64_t info = run.frames_info[form]
    cdef uint64_t count
    cdef Block* block
    cdef bint sent
    if route.id_count or session.alias_out_max or run.flags & RunFlags.RUN_RETAINED:
        return False
    if info == 0:
        info = shared_frames(run, form, wall_ms(), &session.counters.dropped[<uint32_t>Dropped.DROP_EXPIRED])
    block = run.frames[form]
    if (block == NULL or (route.qos and info & SharedBits.SHARED_HAS_QOS)
            or (route.retain_as_published and info & SharedBits.SHARED_HAS_RETAIN)
            or info >> SharedBits.SHARED_LARGEST_SHIFT > session.max_packet_out):
        return False
    if block.len < SHARE_BY_REF:
        sent = out_copy(&link.out, block_data(block), block.len)
    else:
        sent = out_ref(&link.out, &block.ref, block_data(block), block.len)
    if not sent:
        link.host.close(link, Status.NO_MEMORY)
        return True
    count = info >> SharedBits.SHARED_COUNT_SHIFT & 0xFFFFFF
    session.counters.messages_out[0] += count
    session.counters.sent[<uint32_t>PacketType.PUBLISH] += count
    session.counters.bytes_out += block.len
    return True


cdef Status deliver_now(Session* session, const Route* route, const Run* run, const Source* source,
                        const RecordView* record, Message* message, uint8_t bits, int64_t wall) noexcept nogil:
    """One message straight into the output; QoS 1 and 2 take a slot of the window."""
    cdef Slot* slot
    cdef Status status
    cdef Frame frame
    memset(&frame, 0, sizeof(Frame))
    frame.qos = bits & SlotBits.SLOT_QOS
    frame.retain = bits & SlotBits.SLOT_RETAIN
    frame.ids = <const uint32_t*>route.ids
    frame.id_count = route.id_count if session.version == Version.V5 else 0
    if frame.qos == 0:
        return emit(session, source, message, &frame, wall)
    slot = fly(session, bits)
    if slot == NULL:
        return Status.NO_MEMORY
    frame.packet_id = slot.packet_id
    status = emit(session, source, message, &frame, wall)
    if status != Status.OK:
        unfly(session)
        return status
    place(run, record, slot)
    slot.grant = session_grant(session, route)
    if session.durable:
        ledger_slot(session, EventKind.EVENT_FLIGHT, slot)
    return Status.OK


cdef void deliver(Consumer* self, const Route* route, Run* run, int64_t now_ns) noexcept nogil:
    cdef Session* session = <Session*>self
    cdef bint online = session.state == SessionState.ONLINE
    cdef bint again
    cdef bint direct
    cdef int64_t wall
    cdef uint8_t bits
    cdef Source source
    cdef Cursor cursor
    cdef RecordView record
    cdef Message message
    if route.no_local and run.origin == self.number:
        return                                                          # [MQTT-3.8.3-3]
    if not online and not (session.persistent and route.qos):
        session.counters.dropped[<uint32_t>Dropped.DROP_OFFLINE] += run.count
        if session.durable:
            ledger_considered(session, run.count)
        return
    if online and slots_count(&session.queue) == 0 and session.resent == slots_count(&session.flight) \
            and has_room(session) and load_acquire_ptr(&session.core.exchange.seen) == NULL \
            and deliver_shared(session, route, run):
        session.link.host.touch(session.link)
        note_busy(session)
        if session.durable:
            ledger_considered(session, run.count)
        return
    again = load_acquire_ptr(&session.core.exchange.seen) != NULL and route.group == 0
    direct = in_log(run)
    wall = wall_ms() if online else 0
    source.topic = run.topic
    source.partition = run.partition
    source.ref = run.ref
    source.batch = run.batch
    source.n = run.n
    source.flags = run.flags
    cursor_init(&cursor, run.batch + BATCH_HEADER, run.n - BATCH_HEADER)
    while record_next(&cursor, &record):
        if again and seen_has(<const Seen*>load_acquire_ptr(&session.core.exchange.seen), self.number, run.partition.stream,
                              run.base_offset + <uint64_t>record.offset_delta):
            continue                                                    # it had it before the restart
        message_read(&record, run.base_timestamp_ms, run.flags, &message)
        bits = message.qos if message.qos < route.qos else route.qos    # [MQTT-3.8.4-8]
        if run.flags & RunFlags.RUN_RETAINED or (route.retain_as_published and message.retain):
            bits |= SlotBits.SLOT_RETAIN                                # [MQTT-3.3.1-8, MQTT-3.3.1-13]
        if not online and not bits & SlotBits.SLOT_QOS:
            drop(session, Dropped.DROP_OFFLINE)
        elif (online and slots_count(&session.queue) == 0 and session.resent == slots_count(&session.flight)
              and has_room(session) and (direct or not bits & SlotBits.SLOT_QOS)
              and (not bits & SlotBits.SLOT_QOS or window_open(session))):
            count_failure(session, deliver_now(session, route, run, &source, &record, &message, bits, wall))
        else:
            enqueue(session, route, run, &record, bits, direct)
    if online:
        window_pump(session)
        session.link.host.touch(session.link)
    else:
        note_busy(session)
    if session.durable:
        ledger_considered(session, run.count)
        ledger_flush(session)
