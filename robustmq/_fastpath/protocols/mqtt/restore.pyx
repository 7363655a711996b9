"""Sessions from the journal; the contract is in restore.pxd, the words in durable.pxd."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc
from libc.string cimport memcpy, memset
from robustmq._fastpath.batch cimport (
    BATCH_HEADER, CODEC_NONE, RecordView, batch_base_offset, batch_codec, record_next,
)
from robustmq._fastpath.block cimport Block, Ref, block_data, block_new, ref_holds, ref_release, ref_retain
from robustmq._fastpath.broker.routes cimport ROUTE_IDS_MAX, Route
from robustmq._fastpath.broker.seen cimport seen_add
from robustmq._fastpath.broker.topic cimport Topic
from robustmq._fastpath.cursor cimport Cursor, cursor_init
from robustmq._fastpath.protocols.mqtt.durable cimport (
    SNAPSHOT_VERSION, Event, EventKind, EventMessage, ledger_id, ledger_write,
)
from robustmq._fastpath.protocols.mqtt.rings cimport (
    NO_RECORD, NOWHERE, Slot, SlotBits, ids_add, ids_remove, slots_at, slots_count, slots_push,
)
from robustmq._fastpath.protocols.mqtt.send cimport FLIGHT_SPAN_MAX, PACKET_IDS
from robustmq._fastpath.protocols.mqtt.session cimport Kept, session_grant, session_release
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.journal cimport Entry, EntryFlags, entry_body, entry_body_length
from robustmq._fastpath.stores.sessions cimport session_log_entry
from robustmq._fastpath.stores.partition cimport Partition, ReadSpan, partition_seek
from robustmq._fastpath.stores.streams cimport log_find_stream

from robustmq._fastpath.broker import codecs


# --- the words --------------------------------------------------------------------------------------------------------

cdef bint note_seen(Session* session, const EventMessage* message) noexcept nogil:
    if message.record == NO_RECORD:
        return True
    return seen_add(session.core.exchange.seen, message.group if message.group else session.consumer.number,
                    message.stream, message.record)


cdef void fill(Session* session, Slot* slot, const EventMessage* message, const uint8_t* ids, object exchange):
    cdef Route route
    memset(&route, 0, sizeof(Route))
    memcpy(route.ids, ids, 4 * message.id_count)
    route.id_count = <uint8_t>message.id_count
    route.group = message.group
    slot.position = NOWHERE
    slot.stream = message.stream
    slot.record = message.record
    slot.offset = 0
    slot.grant = session_grant(session, &route)


cdef Slot* flight_slot(Session* session, uint16_t id) noexcept nogil:
    cdef uint32_t i
    if slots_count(&session.flight) == 0:
        return NULL
    i = <uint32_t>(id + PACKET_IDS - slots_at(&session.flight, 0).packet_id) % PACKET_IDS
    return slots_at(&session.flight, i) if i < slots_count(&session.flight) else NULL


cdef void leave_queue(Session* session, const EventMessage* message) noexcept nogil:
    """The message went out: it does not wait any more."""
    cdef uint32_t i, j
    cdef Slot* slot
    for i in range(slots_count(&session.queue)):
        slot = slots_at(&session.queue, i)
        if slot.stream == message.stream and slot.record == message.record:
            session_release(session, slot)
            j = i
            while j > 0:
                slots_at(&session.queue, j)[0] = slots_at(&session.queue, j - 1)[0]
                j -= 1
            session.queue.head += 1
            session.counters.queued -= 1
            return


cdef Slot* next_flight(Session* session, uint16_t id) except NULL:
    """The slot of `id`; identifiers between the last one and it are done."""
    cdef uint32_t gap
    cdef Slot* slot
    if slots_count(&session.flight) == 0:
        session.last_packet_id = PACKET_IDS if id <= 1 else <uint16_t>(id - 1)
    gap = <uint32_t>(id + PACKET_IDS - session.last_packet_id) % PACKET_IDS
    if gap == 0 or gap + slots_count(&session.flight) > FLIGHT_SPAN_MAX:
        raise ValueError("packet identifiers that do not follow each other")
    while gap:
        slot = slots_push(&session.flight)
        if slot == NULL:
            raise MemoryError
        memset(slot, 0, sizeof(Slot))
        session.last_packet_id = 1 if session.last_packet_id == PACKET_IDS else <uint16_t>(session.last_packet_id + 1)
        slot.packet_id = session.last_packet_id
        slot.bits = SlotBits.SLOT_DONE
        gap -= 1
    return slot


cdef message_event(Session* session, const Event* event, const EventMessage* message, const uint8_t* ids,
                   bint in_snapshot, object exchange):
    cdef Slot* slot
    if event.kind == EventKind.EVENT_FLIGHT:
        if not in_snapshot:
            leave_queue(session, message)
        slot = next_flight(session, event.id)
        fill(session, slot, message, ids, exchange)
        slot.bits = event.bits | SlotBits.SLOT_SENT
        if not slot.bits & SlotBits.SLOT_DONE:
            session.unacked_out += 1
            session.counters.inflight += 1
        return
    slot = slots_push(&session.queue)
    if slot == NULL:
        raise MemoryError
    slot.packet_id = 0
    slot.bits = event.bits
    fill(session, slot, message, ids, exchange)
    session.counters.queued += 1


cdef void id_event(Session* session, const Event* event) noexcept nogil:
    cdef Slot* slot
    if event.kind == EventKind.EVENT_OPENED:
        ids_add(&session.received, event.id)
    elif event.kind == EventKind.EVENT_CLOSED:
        ids_remove(&session.received, event.id)
    else:
        slot = flight_slot(session, event.id)
        if slot == NULL or slot.bits & SlotBits.SLOT_DONE:
            return
        session_release(session, slot)
        if event.kind == EventKind.EVENT_RELEASED:
            slot.bits |= SlotBits.SLOT_RELEASED
            return
        slot.bits |= SlotBits.SLOT_DONE
        session.unacked_out -= 1
        session.counters.inflight -= 1
        while slots_count(&session.flight) and slots_at(&session.flight, 0).bits & SlotBits.SLOT_DONE:
            session.flight.head += 1


cdef apply(Session* session, const uint8_t* body, uint64_t n, bint in_snapshot, bint only_seen, object exchange):
    """One entry's words, in order. ValueError: nonsense, from there on."""
    cdef Event event
    cdef EventMessage message
    cdef uint64_t at = 0
    while at < n:
        if n - at < sizeof(Event):
            raise ValueError("an event that ends early")
        memcpy(&event, body + at, sizeof(Event))
        at += sizeof(Event)
        if event.kind == EventKind.EVENT_FLIGHT or event.kind == EventKind.EVENT_QUEUED:
            if n - at < sizeof(EventMessage):
                raise ValueError("a message that ends early")
            memcpy(&message, body + at, sizeof(EventMessage))
            at += sizeof(EventMessage)
            if message.id_count > ROUTE_IDS_MAX or n - at < 4 * message.id_count:
                raise ValueError("subscription identifiers that end early")
            if not note_seen(session, &message):
                raise MemoryError
            if not only_seen:
                message_event(session, &event, &message, body + at, in_snapshot, exchange)
            at += 4 * message.id_count
        elif event.kind == EventKind.EVENT_START:
            if event.bits != SNAPSHOT_VERSION:
                raise ValueError(f"a snapshot of format {event.bits}; this broker reads {SNAPSHOT_VERSION}")
            session.last_packet_id = event.id
        elif EventKind.EVENT_DONE <= event.kind <= EventKind.EVENT_CLOSED:
            if not only_seen:
                id_event(session, &event)
        else:
            raise ValueError(f"an event of kind {event.kind}")


# --- where the messages are -------------------------------------------------------------------------------------------

cdef bint find_record(const uint8_t* batch, uint64_t n, uint64_t record, uint32_t* offset) noexcept nogil:
    cdef Cursor c
    cdef RecordView view
    cursor_init(&c, batch + BATCH_HEADER, n - BATCH_HEADER)
    while record_next(&c, &view):
        if <uint64_t>batch_base_offset(batch) + <uint64_t>view.offset_delta == record:
            offset[0] = <uint32_t>(view.start - batch)
            return True
    return False


cdef bint hold(Slot* slot, Ref* ref, const uint8_t* batch, uint64_t n, uint16_t flags) noexcept nogil:
    """Let the slot own bytes that the log does not hold as they are."""
    cdef Kept* kept = <Kept*>calloc(1, sizeof(Kept))
    if kept == NULL:
        return False
    ref_retain(ref)
    kept.ref = ref
    kept.batch = batch
    kept.n = n
    kept.uses = 1
    kept.flags = flags
    slot.position = <uint64_t>kept
    slot.bits |= SlotBits.SLOT_KEPT
    return True


cdef hold_inflated(Slot* slot, const ReadSpan* span, const uint8_t* batch, uint64_t n):
    cdef bytes raw = batch[:n]
    cdef bytes inflated = codecs.inflate_batch(raw) if ref_holds(span.ref) else b""
    cdef Block* block = block_new(<uint32_t>len(inflated))
    if block == NULL:
        raise MemoryError
    memcpy(block_data(block), <const uint8_t*>inflated, len(inflated))
    block.len = <uint32_t>len(inflated)
    if find_record(block_data(block), block.len, slot.record, &slot.offset):
        hold(slot, &block.ref, block_data(block), block.len, span.entry.flags)
    ref_release(&block.ref)


cdef find_message(Session* session, Slot* slot):
    """Where the slot's message is now; it stays NOWHERE when it is gone."""
    cdef Partition* partition
    cdef ReadSpan span
    cdef Topic* topic
    cdef const uint8_t* batch
    if slot.bits & (SlotBits.SLOT_DONE | SlotBits.SLOT_RELEASED):
        return
    partition = log_find_stream(session.core.log, slot.stream)
    if partition == NULL or partition.topic == NULL:
        return
    if slot.record == NO_RECORD:
        topic = <Topic*>partition.topic
        if topic.retained != NULL:
            slot.offset = BATCH_HEADER
            hold(slot, &topic.retained.ref, block_data(topic.retained), topic.retained.len, EntryFlags.FROM_MQTT)
        return
    if partition_seek(partition, slot.record, &span) != Status.OK or span.base_offset > slot.record:
        return
    batch = entry_body(span.entry)
    if batch_codec(batch) != CODEC_NONE:
        hold_inflated(slot, &span, batch, entry_body_length(span.entry))
    elif find_record(batch, entry_body_length(span.entry), slot.record, &slot.offset):
        slot.position = span.position


# --- a session --------------------------------------------------------------------------------------------------------

cdef int apply_entries(Session* session, const SessionMark* mark, object exchange) except -1:
    cdef const Entry* entry
    cdef bint before
    cdef int unreadable = 0
    cdef uint32_t i
    places = {}                                 # a carried copy and its original are one
    for i in range(mark.events.count):
        places[mark.events.list[i].value] = mark.events.list[i].place
    if mark.snapshot_place:
        places[mark.snapshot_sequence] = mark.snapshot_place
        session.consumer.floor = mark.floor
    for sequence in sorted(places):
        entry = session_log_entry(session.core.log, places[sequence])
        before = sequence < mark.snapshot_sequence
        session.sequence = sequence
        if entry == NULL or before and entry.base_offset < mark.floor:      # retired: it did not live
            continue
        try:
            apply(session, entry_body(entry), entry_body_length(entry), mark.snapshot_place == places[sequence], before,
                  exchange)
        except ValueError:
            unreadable += 1
    return unreadable


cdef int restore_session(Session* session, const SessionMark* mark, object exchange) except -1:
    cdef uint32_t i, bit
    cdef uint64_t opens
    cdef uint16_t id
    cdef int unreadable = apply_entries(session, mark, exchange)
    for i in range(slots_count(&session.flight)):
        find_message(session, slots_at(&session.flight, i))
    for i in range(slots_count(&session.queue)):
        find_message(session, slots_at(&session.queue, i))
    for i in range(mark.opened.count):          # stored, and killed before the event
        opens = mark.opened.list[i].value
        for bit in range(48):
            if opens >> bit & 1:
                id = <uint16_t>((opens >> 48) + bit)
                ids_add(&session.received, id)
                ledger_id(session, EventKind.EVENT_OPENED, id)
    if mark.opened.count:
        ledger_write(session)
    session.unacked_in = session.received.count if session.received != NULL else 0
    return unreadable
