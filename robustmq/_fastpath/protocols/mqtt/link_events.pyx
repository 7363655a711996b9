"""The functions of MQTT's Protocol table (link.pxd). A connection has no session until its CONNECT was accepted: then the
only packet it may send is CONNECT, it must come within mqtt.connect_timeout_ms, and its size is bounded more tightly.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy
from robustmq._fastpath.atomic cimport store_release_ptr
from robustmq._fastpath.block cimport Block, ref_retain
from robustmq._fastpath.link cimport Link, Protocol
from robustmq._fastpath.out cimport out_commit, out_copy, out_reserve
from robustmq._fastpath.protocols.mqtt.answers cimport answers_sync_failed, answers_synced
from robustmq._fastpath.protocols.mqtt.collector cimport collector_of
from robustmq._fastpath.protocols.mqtt.durable cimport ledger_catch_up, ledger_flush
from robustmq._fastpath.protocols.mqtt.inbound cimport (
    inbound_drop, inbound_flush, inbound_publish, inbound_released, inbound_room,
)
from robustmq._fastpath.protocols.mqtt.outbound cimport deliver
from robustmq._fastpath.protocols.mqtt.requests cimport request_answer
from robustmq._fastpath.protocols.mqtt.session cimport (
    AnswerKind, Attach, Collector, ControlKind, Session, SessionState, core_of, session_attach, session_detach,
    session_goodbye, session_move, session_trim,
)
from robustmq._fastpath.protocols.mqtt.stalled cimport stalled_init
from robustmq._fastpath.protocols.mqtt.window cimport window_acked, window_pump, window_resume
from robustmq._fastpath.protocols.mqtt.wire cimport (
    Ack, Disconnect, PacketType, Reason, decode_ack, decode_disconnect, read_header, reason_of,
)
from robustmq._fastpath.status cimport Status


# What becomes of a packet that an accepted client sends, by type [MQTT-2.1.2].
cdef enum Rule:
    FORBIDDEN = 0               # the server's own, CONNECT again [MQTT-3.1.0-2], AUTH without a method [MQTT-3.15]
    MESSAGE = 1                 # PUBLISH
    ACKNOWLEDGEMENT = 2         # of a message that went out
    RELEASE = 3                 # PUBREL
    REQUEST = 4                 # answered here, or by the cold half and the link is parked
    PING = 5
    GOODBYE = 6                 # DISCONNECT

cdef uint8_t[16] RULES
RULES[:] = [
    Rule.FORBIDDEN,             # 0 reserved
    Rule.FORBIDDEN,             # CONNECT
    Rule.FORBIDDEN,             # CONNACK
    Rule.MESSAGE,
    Rule.ACKNOWLEDGEMENT,       # PUBACK
    Rule.ACKNOWLEDGEMENT,       # PUBREC
    Rule.RELEASE,
    Rule.ACKNOWLEDGEMENT,       # PUBCOMP
    Rule.REQUEST,               # SUBSCRIBE
    Rule.FORBIDDEN,             # SUBACK
    Rule.REQUEST,               # UNSUBSCRIBE
    Rule.FORBIDDEN,             # UNSUBACK
    Rule.PING,
    Rule.FORBIDDEN,             # PINGRESP
    Rule.GOODBYE,
    Rule.FORBIDDEN,             # AUTH
]


cdef inline uint32_t reactor_of(const Link* link) noexcept nogil:
    return <uint32_t>(link.id >> 56)


cdef Status on_open(Link* link, int64_t now_ns) noexcept nogil:
    link.session = NULL
    store_release_ptr(&core_of(link).boxes[reactor_of(link)], link.host.mailbox(link))
    link.host.set_timer(link, now_ns + core_of(link).limits.connect_timeout_ns)
    return Status.OK


cdef void to_control(Link* link, ControlKind kind, Block* block, const uint8_t* data, uint64_t n) noexcept nogil:
    ref_retain(&block.ref)
    link.host.to_control(link, kind, block, data, n)


cdef Status first_packet(Link* link, Block* block, const uint8_t* data, uint64_t n, uint64_t* used,
                         uint64_t* need) noexcept nogil:
    """CONNECT, whole, to the cold half; nothing else may come first [MQTT-3.1.0-1]."""
    cdef uint32_t header = 0
    cdef uint32_t total = 0
    cdef Status status
    if n and data[0] != PacketType.CONNECT << 4:
        return Status.PROTOCOL_ERROR
    status = read_header(data, n, &header, &total)
    if status != Status.OK:
        return status
    if total > core_of(link).limits.first_packet_size:
        return Status.TOO_LARGE
    if total > n:
        need[0] = total
        return Status.NEED_MORE
    link.parked = 1
    used[0] = total
    to_control(link, ControlKind.FROM_LINK_PACKET, block, data, total)
    return Status.PARKED


cdef Status put_pingresp(Session* session) noexcept nogil:
    cdef uint8_t* p = out_reserve(&session.link.out, 2)
    if p == NULL:
        return Status.NO_MEMORY
    p[0] = PacketType.PINGRESP << 4
    p[1] = 0
    out_commit(&session.link.out, 2)
    session.counters.sent[<uint32_t>PacketType.PINGRESP] += 1
    return Status.OK


cdef Status on_disconnect(Session* session, Block* block, const uint8_t* frame, uint32_t header,
                          uint32_t total) noexcept nogil:
    """The client leaves; whether its will goes out and when its session expires is the cold half's to decide."""
    cdef Disconnect bye
    cdef uint8_t first = frame[0]
    cdef Status status = decode_disconnect(frame + header, total - header, first, session.version, &bye)
    if status != Status.OK:
        return status
    if bye.has_session_expiry and bye.session_expiry_s and not session.persistent:
        return Status.PROTOCOL_ERROR                                    # 0 at CONNECT stays 0 [MQTT-3.14.2-2]
    to_control(session.link, ControlKind.FROM_LINK_GOODBYE, block, frame, total)
    session.said_goodbye = 1
    session_move(session, SessionState.CLOSING)
    session.link.host.close(session.link, Status.PEER_CLOSED)
    return Status.OK


cdef Status one_packet(Session* session, Collector* collector, Block* block, const uint8_t* frame, uint32_t header,
                       uint32_t total, int64_t now_ns) noexcept nogil:
    cdef uint32_t packet = frame[0] >> 4
    cdef uint32_t rule = RULES[packet]
    cdef Ack ack
    cdef Status status
    if rule == Rule.MESSAGE:
        return inbound_publish(session, collector, frame + header, total - header, frame[0], now_ns)
    if rule == Rule.ACKNOWLEDGEMENT or rule == Rule.RELEASE:
        status = decode_ack(frame + header, total - header, frame[0], session.version, &ack)
        if status != Status.OK:
            return status
        return inbound_released(session, collector, ack.packet_id) if rule == Rule.RELEASE else \
            window_acked(session, packet, &ack)
    if rule == Rule.PING:
        return put_pingresp(session) if frame[0] & 15 == 0 and total == 2 else Status.MALFORMED
    if rule == Rule.FORBIDDEN:
        return Status.PROTOCOL_ERROR
    status = inbound_flush(session, collector, now_ns)                  # what came before comes before
    if status != Status.OK:
        return status
    if rule == Rule.GOODBYE:
        return on_disconnect(session, block, frame, header, total)
    status = request_answer(session, frame, header, total)
    if status == Status.PARKED:
        session.link.parked = 1
        to_control(session.link, ControlKind.FROM_LINK_PACKET, block, frame, total)
    return status


cdef Status on_bytes(Link* link, Block* block, const uint8_t* data, uint64_t n, uint64_t* used, uint64_t* need,
                     int64_t now_ns) noexcept nogil:
    cdef Session* session = <Session*>link.session
    cdef Collector* collector
    cdef uint64_t at = 0
    cdef uint32_t header = 0
    cdef uint32_t total = 0
    cdef Status status = Status.OK
    cdef Status flushed
    if session == NULL:
        return first_packet(link, block, data, n, used, need)
    if session.unstored != NULL:
        return Status.PARKED
    collector = collector_of(session.core, session.consumer.reactor)
    if collector == NULL:
        return Status.NO_MEMORY
    session.last_seen_ns = now_ns
    while at < n and status == Status.OK and link.out.bytes <= session.core.limits.high_water:
        if session.state != SessionState.ONLINE:
            at = n                                                      # after a DISCONNECT nothing counts
            break
        status = read_header(data + at, n - at, &header, &total)
        if status != Status.OK:
            break
        if total > session.core.limits.max_packet_size:
            status = Status.TOO_LARGE                                   # before any of it is buffered
            break
        if total > n - at:
            need[0] = total
            status = Status.NEED_MORE
            break
        session.counters.received[data[at] >> 4] += 1
        status = one_packet(session, collector, block, data + at, header, total, now_ns)
        if session.unstored != NULL:
            session.counters.received[data[at] >> 4] -= 1
            break                                                       # what came before it waits: it comes again
        at += total
    used[0] = at
    flushed = inbound_flush(session, collector, now_ns) if session.unstored == NULL else Status.PARKED
    if flushed == Status.OK:
        flushed = window_pump(session)
    ledger_flush(session)
    return status if status != Status.OK and status != Status.NEED_MORE or flushed == Status.OK else flushed


cdef Status on_attach(Link* link, const uint8_t* data, uint64_t n, Session* session, int64_t now_ns) noexcept nogil:
    cdef Attach how
    cdef Status status
    memcpy(&how, data, sizeof(Attach))
    if how.order < session.attached:
        return Status.TAKEN_OVER                                        # a later one did not have to move [MQTT-3.1.4-3]
    inbound_drop(session)
    if session.backlog.len and ledger_catch_up(session) != Status.OK and session.backlog.len:
        return Status.STORE_FULL
    status = session_attach(session, link, &how, data + sizeof(Attach), n - sizeof(Attach), now_ns)
    if status != Status.OK:
        return status
    link.host.unpark(link)
    status = window_resume(session)
    ledger_flush(session)
    return status


cdef Status on_answer(Link* link, uint32_t kind, const uint8_t* data, uint64_t n, void* object,
                      int64_t now_ns) noexcept nogil:
    cdef Session* session = <Session*>link.session
    if kind == AnswerKind.TO_LINK_ATTACH:
        return on_attach(link, data, n, <Session*>object, now_ns)
    if kind == AnswerKind.TO_LINK_REFUSE:
        if n > 1 and not out_copy(&link.out, data + 1, n - 1):
            return Status.NO_MEMORY
        if session != NULL:
            session.said_goodbye = 1
            session_move(session, SessionState.CLOSING)
        link.host.close(link, <Status>data[0])
        return Status.OK
    if session == NULL or session.state != SessionState.ONLINE:
        return Status.OK
    if not out_copy(&link.out, data, n):
        return Status.NO_MEMORY
    if n:
        session.counters.sent[data[0] >> 4] += 1
    link.host.unpark(link)
    return Status.OK


cdef void on_timer(Link* link, int64_t now_ns) noexcept nogil:
    cdef Session* session = <Session*>link.session
    if session == NULL:
        link.host.close(link, Status.TIMED_OUT)                         # no CONNECT in time [MQTT-3.1.4]
        return
    if session.keep_alive_ns == 0:
        return
    if now_ns - session.last_seen_ns < session.keep_alive_ns:
        session_trim(session)
        link.host.set_timer(link, session.last_seen_ns + session.keep_alive_ns)
        return
    session.counters.keep_alive_expired += 1
    session_goodbye(session, Reason.KEEP_ALIVE_TIMEOUT)                 # [MQTT-3.1.2-22]
    link.host.close(link, Status.TIMED_OUT)


cdef void on_drained(Link* link, int64_t now_ns) noexcept nogil:
    if link.session == NULL:
        return
    if window_pump(<Session*>link.session) != Status.OK:
        link.host.close(link, Status.NO_MEMORY)
    ledger_flush(<Session*>link.session)
    link.host.touch(link)


cdef void on_room(Link* link, int64_t now_ns) noexcept nogil:
    cdef Session* session = <Session*>link.session
    cdef Status status
    if session == NULL or session.unstored == NULL:
        return
    status = inbound_room(session, now_ns)
    if status == Status.OK:
        status = window_pump(session)
    ledger_flush(session)
    if status != Status.OK and status != Status.PARKED:
        link.host.close(link, status)


cdef void on_arrival(Session* session, int64_t now_ns) noexcept nogil:
    if session.link != NULL:
        on_drained(session.link, now_ns)


cdef void on_sync_failed(Link* link, int64_t now_ns) noexcept nogil:
    if link.session != NULL:
        answers_sync_failed(<Session*>link.session)


cdef void on_synced(Link* link, uint64_t position, int64_t now_ns) noexcept nogil:
    if link.session != NULL:
        answers_synced(<Session*>link.session, position)
        link.host.touch(link)


cdef void on_close(Link* link, Status why, int64_t now_ns) noexcept nogil:
    cdef Session* session = <Session*>link.session
    if session == NULL:
        return
    if why != Status.PEER_CLOSED and not session.said_goodbye:
        if why < Status.PEER_CLOSED:
            session.counters.refused += 1
        session_goodbye(session, reason_of(why))                        # [MQTT-4.13.1-1]
    inbound_drop(session)
    session_detach(session)


cdef void events_install(Core* core) noexcept nogil:
    core.deliver = deliver
    stalled_init(core, on_arrival)
    core.table.name = b"mqtt"
    core.table.open = on_open
    core.table.on_bytes = on_bytes
    core.table.on_answer = on_answer
    core.table.on_timer = on_timer
    core.table.on_drained = on_drained
    core.table.on_synced = on_synced
    core.table.on_sync_failed = on_sync_failed
    core.table.on_room = on_room
    core.table.on_close = on_close
