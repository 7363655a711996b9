"""PUBACK, PUBREC and PUBCOMP; the contract is in answers.pxd."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from robustmq._fastpath.link cimport Link
from robustmq._fastpath.out cimport out_commit, out_reserve
from robustmq._fastpath.protocols.mqtt.collector cimport Owed, Slab, slab_of
from robustmq._fastpath.protocols.mqtt.durable cimport EventKind, ledger_id, ledger_write
from robustmq._fastpath.protocols.mqtt.rings cimport PendingAck, acks_at, acks_count, acks_push, ids_add, ids_remove
from robustmq._fastpath.protocols.mqtt.session cimport Core
from robustmq._fastpath.protocols.mqtt.wire cimport PacketType, Reason, Version, ack_reason_of, put_ack
from robustmq._fastpath.stores.journal cimport journal_durable
from robustmq._fastpath.stores.partition cimport DURABLE_DISK


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


cdef inline bint closes(const Session* session, const Owed* owed) noexcept nogil:
    return session.durable and owed.packet == PacketType.PUBCOMP and owed.reason == Reason.SUCCESS


cdef void answers_note(Session* session, Collector* collector, bint* closing) noexcept nogil:
    cdef const Owed* owed
    cdef const Slab* slab
    cdef uint32_t i
    for i in range(collector.owed_count):
        owed = &collector.owed[i]
        slab = slab_of(collector, owed)
        if closes(session, owed):
            ledger_id(session, EventKind.EVENT_CLOSED, owed.packet_id)
            closing[0] = True
        if slab == NULL:
            continue
        if slab.status == Status.OK and slab.appended.durable_at:
            session.on_disk = 1
        if owed.packet != PacketType.PUBREC:
            continue
        if slab.waits or ack_reason_of(slab.status):
            ids_remove(&session.received, owed.packet_id)               # free again [MQTT-4.3.3-9]
        elif session.durable:
            ledger_id(session, EventKind.EVENT_OPENED, owed.packet_id)


cdef Status acknowledge(Session* session, const Owed* owed, const Slab* slab, uint64_t durable) noexcept nogil:
    """One acknowledgement, now or behind those that wait for the disk already."""
    cdef PendingAck* pending
    cdef uint8_t reason = owed.reason
    cdef uint64_t durable_at = 0
    if slab != NULL:
        reason = ack_reason_of(slab.status)
        durable_at = slab.appended.durable_at if slab.status == Status.OK else 0
        if reason and session.version != Version.V5:
            return slab.status
    elif owed.packet == PacketType.PUBCOMP and session.durable \
            and (session.on_disk or session.core.topics.durability == DURABLE_DISK):
        durable_at = session.events_end
    if durable_at <= durable and (acks_count(&session.acks) == 0 or owed.packet == PacketType.PUBCOMP):
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


cdef void reopen(Session* session, uint16_t packet_id) noexcept nogil:
    """The journal does not say that it is free, so the client is not told."""
    if ids_add(&session.received, packet_id) > 0:
        session.unacked_in += 1


cdef Status answers_send(Session* session, Collector* collector) noexcept nogil:
    cdef Core* core = session.core
    cdef Status status = Status.OK
    cdef Status written = Status.OK
    cdef Status one
    cdef const Owed* owed
    cdef bint closing = False
    cdef uint64_t durable
    cdef uint32_t i
    answers_note(session, collector, &closing)
    if closing:
        written = ledger_write(session)
        if session.backlog.len:
            written = Status.OK                                         # the callback ends with ledger_flush: nothing goes out
    durable = journal_durable(core.wal) if core.wal != NULL else 0
    for i in range(collector.owed_count):
        owed = &collector.owed[i]
        if written != Status.OK and closes(session, owed):
            reopen(session, owed.packet_id)
            status = written
            continue
        one = acknowledge(session, owed, slab_of(collector, owed), durable)
        status = one if one != Status.OK else status
    await_disk(session)
    return status


cdef void await_disk(Session* session) noexcept nogil:
    cdef Link* link = session.link
    if acks_count(&session.acks):
        link.host.await_sync(link, acks_at(&session.acks, 0).durable_at)


cdef void answers_synced(Session* session, uint64_t position) noexcept nogil:
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


cdef void answers_sync_failed(Session* session) noexcept nogil:
    cdef PendingAck* pending
    cdef uint8_t refusal = ack_reason_of(Status.STORE_FAILED)
    cdef uint8_t reason
    if session.version != Version.V5:
        session.link.host.close(session.link, Status.STORE_FAILED)
        return
    while acks_count(&session.acks):
        pending = acks_at(&session.acks, 0)
        reason = pending.reason
        if pending.packet == PacketType.PUBCOMP:                        # has no word for that
            reopen(session, pending.packet_id)
            session.link.host.close(session.link, Status.STORE_FAILED)
            return
        if reason == 0 and pending.durable_at:
            reason = refusal
            if pending.packet == PacketType.PUBREC:
                ids_remove(&session.received, pending.packet_id)        # free again [MQTT-4.3.3-9]
        if put_reply(session, pending.packet, pending.packet_id, reason) != Status.OK:
            session.link.host.close(session.link, Status.NO_MEMORY)
            return
        session.acks.head += 1
        session.counters.awaiting_disk -= 1
