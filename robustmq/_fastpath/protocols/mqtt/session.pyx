"""A session's life: made, attached to a connection, detached, ended. The contract is in session.pxd."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memcpy
from robustmq._fastpath.atomic cimport fetch_add_u64, load_acquire_ptr, store_release_u32
from robustmq._fastpath.broker.routes cimport Consumer, Route
from robustmq._fastpath.link cimport Link
from robustmq._fastpath.mailbox cimport Mailbox
from robustmq._fastpath.out cimport out_commit, out_copy, out_reserve
from robustmq._fastpath.block cimport ref_release
from robustmq._fastpath.protocols.mqtt.aliases cimport aliases_forget
from robustmq._fastpath.protocols.mqtt.rings cimport (
    Slot, SlotBits, acks_count, acks_free, ids_free, slots_at, slots_count, slots_free,
)
from robustmq._fastpath.protocols.mqtt.stalled cimport unstall
from robustmq._fastpath.protocols.mqtt.wire cimport PacketType, Reason, Version
from robustmq._fastpath.status cimport Status


# Legal moves: bit `to` of row `from`.
cdef uint32_t[4] MOVES
MOVES[:] = [
    1 << SessionState.ONLINE | 1 << SessionState.ENDED,                                     # OFFLINE
    1 << SessionState.OFFLINE | 1 << SessionState.CLOSING | 1 << SessionState.ENDED,        # ONLINE
    1 << SessionState.OFFLINE | 1 << SessionState.ENDED,                                    # CLOSING
    0,                                                                                      # ENDED
]


cdef bint session_move(Session* session, SessionState to) noexcept nogil:
    if not MOVES[session.state] >> to & 1:
        return False
    if (to == SessionState.ONLINE) != (session.state == SessionState.ONLINE):
        session.counters.connected += 1 if to == SessionState.ONLINE else <uint64_t>-1
    session.state = <uint8_t>to
    if to != SessionState.ONLINE:
        store_release_u32(&session.consumer.busy, 1)
    return True


cdef Session* session_new(Core* core, const uint8_t* client_id, uint32_t n, uint32_t reactor) noexcept nogil:
    return session_again(core, client_id, n, reactor, fetch_add_u64(&core.last_number, 1) + 1)


cdef Session* session_again(Core* core, const uint8_t* client_id, uint32_t n, uint32_t reactor,
                            uint64_t number) noexcept nogil:
    cdef Session* session = <Session*>calloc(1, sizeof(Session) + n)
    if session == NULL:
        return NULL
    session.consumer.number = number
    session.consumer.reactor = reactor
    session.consumer.deliver = core.deliver
    session.consumer.busy = 1
    session.core = core
    session.box = <Mailbox*>load_acquire_ptr(&core.boxes[reactor])
    session.counters = &core.counters[reactor]
    session.client_id_len = <uint16_t>n
    memcpy(<uint8_t*>session + sizeof(Session), client_id, n)
    return session


cdef void session_free(Session* session) noexcept nogil:
    slots_free(&session.flight)
    slots_free(&session.queue)
    acks_free(&session.acks)
    ids_free(&session.received)
    free(session.consumer.subscriptions.places)
    free(session.backlog.data)
    free(session.grants)
    free(session)


cdef void session_goodbye(Session* session, uint8_t reason) noexcept nogil:
    cdef uint8_t* p
    if session.version == Version.V5 and not session.said_goodbye and session.link != NULL:
        p = out_reserve(&session.link.out, 3)
        if p != NULL:
            p[0] = PacketType.DISCONNECT << 4
            p[1] = 1
            p[2] = reason
            out_commit(&session.link.out, 3)
            session.counters.sent[<uint32_t>PacketType.DISCONNECT] += 1
    session.said_goodbye = 1
    session_move(session, SessionState.CLOSING)


cdef void session_detach(Session* session) noexcept nogil:
    if session.link != NULL:
        session.link.session = NULL
        session.link = NULL
    session.counters.awaiting_disk -= acks_count(&session.acks)
    acks_free(&session.acks)            # the client sends again what was not acknowledged [MQTT-4.4.0-1]
    session.unacked_in = 0 if session.received == NULL else session.received.count
    aliases_forget(session)
    unstall(session)
    session_move(session, SessionState.OFFLINE)
    session_trim(session)


cdef Status session_attach(Session* session, Link* link, const Attach* how, const uint8_t* connack, uint64_t n,
                           int64_t now_ns) noexcept nogil:
    cdef Link* before = session.link
    if before != NULL:
        session_goodbye(session, Reason.SESSION_TAKEN_OVER)             # [MQTT-3.1.4-3]
        before.host.touch(before)
        before.host.close(before, Status.TAKEN_OVER)
        session_detach(session)
    if not session_move(session, SessionState.ONLINE):
        return Status.INTERNAL
    session.link = link
    link.session = session
    session.attached = how.order
    session.version = how.version
    session.persistent = how.persistent
    session.durable = how.persistent and session.core.control != NULL
    session.said_goodbye = 0
    session.keep_alive_ns = how.keep_alive_ns
    session.max_packet_out = how.max_packet_out
    session.send_maximum = how.send_maximum
    session.alias_out_max = how.alias_out_max
    session.last_seen_ns = now_ns
    link.host.set_timer(link, now_ns + how.keep_alive_ns if how.keep_alive_ns else 0)
    if not out_copy(&link.out, connack, n):
        return Status.NO_MEMORY
    session.counters.sent[<uint32_t>PacketType.CONNACK] += 1
    return Status.OK


cdef void session_forget(Session* session) noexcept nogil:
    cdef uint32_t i
    for i in range(slots_count(&session.flight)):
        session_release(session, slots_at(&session.flight, i))
    for i in range(slots_count(&session.queue)):
        session_release(session, slots_at(&session.queue, i))
    session.counters.inflight -= session.unacked_out
    session.counters.queued -= slots_count(&session.queue)
    session.unacked_out = session.on_wire = session.resent = session.queued_qos0 = 0
    slots_free(&session.flight)
    slots_free(&session.queue)


cdef void session_release(Session* session, Slot* slot) noexcept nogil:
    cdef Kept* kept
    if slot.bits & SlotBits.SLOT_KEPT:
        kept = <Kept*>slot.position
        kept.uses -= 1
        if kept.uses == 0:
            ref_release(kept.ref)
            free(kept)
        slot.bits &= <uint8_t>~SlotBits.SLOT_KEPT
    if slot.grant:
        session.grants[slot.grant].uses -= 1
        slot.grant = 0


cdef void session_trim(Session* session) noexcept nogil:
    if session.flight.cap and slots_count(&session.flight) == 0:
        slots_free(&session.flight)
    if session.queue.cap and slots_count(&session.queue) == 0:
        slots_free(&session.queue)
    if session.acks.cap and acks_count(&session.acks) == 0:
        acks_free(&session.acks)
    if session.received != NULL and session.received.count == 0:
        ids_free(&session.received)


cdef uint8_t session_grant(Session* session, const Route* route) noexcept nogil:
    cdef Grant* grant
    cdef uint32_t i
    cdef uint32_t vacant = 0
    if route.id_count == 0 and route.group == 0:
        return 0
    for i in range(1, session.grant_count):
        grant = &session.grants[i]
        if (grant.count == route.id_count and grant.group == route.group
                and memcmp(grant.ids, route.ids, 4 * grant.count) == 0):
            grant.uses += 1
            return <uint8_t>i
        if grant.uses == 0:
            vacant = i
    if vacant == 0:
        if session.grant_count == 255:
            return 0
        vacant = session.grant_count if session.grant_count else 1
        grant = <Grant*>realloc(session.grants, (vacant + 1) * sizeof(Grant))
        if grant == NULL:
            return 0
        session.grants = grant
        session.grant_count = <uint16_t>(vacant + 1)
    grant = &session.grants[vacant]
    grant.uses = 1
    grant.count = route.id_count
    grant.group = route.group
    memcpy(grant.ids, route.ids, sizeof(route.ids))
    return <uint8_t>vacant
