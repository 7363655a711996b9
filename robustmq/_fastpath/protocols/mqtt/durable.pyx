"""Events and snapshots of a session; the contract is in durable.pxd."""
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memmove
from robustmq._fastpath.broker.routes cimport REACTORS_MAX
from robustmq._fastpath.link cimport Link
from robustmq._fastpath.mailbox cimport mail_init, mailbox_post
from robustmq._fastpath.out cimport out_clear
from robustmq._fastpath.protocols.mqtt.rings cimport SlotBits, slots_at, slots_count
from robustmq._fastpath.protocols.mqtt.session cimport Grant, Ledger, SessionState, session_move
from robustmq._fastpath.stores.journal cimport journal_tail, journal_will_have_room
from robustmq._fastpath.stores.sessions cimport session_log_events, session_log_snapshot


cdef enum:
    LEDGER_FIRST = 4096
    LEDGER_MAX = 65536          # bytes of one entry of events, about


cdef struct Kept:               # before the events of an entry that is to be written later
    uint64_t tail
    uint64_t n


# --- encoding ---------------------------------------------------------------------------------------------------------

cdef bint room(Ledger* ledger, uint32_t n) noexcept nogil:
    cdef uint8_t* wider
    cdef uint32_t cap = ledger.cap * 2 if ledger.cap else LEDGER_FIRST
    if ledger.len + n <= ledger.cap:
        return True
    while cap < ledger.len + n:
        cap *= 2
    wider = <uint8_t*>realloc(ledger.data, cap)
    if wider == NULL:
        return False
    ledger.data = wider
    ledger.cap = cap
    return True


cdef bint put_event(Ledger* ledger, EventKind kind, uint8_t bits, uint16_t id) noexcept nogil:
    cdef Event event
    if not room(ledger, sizeof(Event)):
        return False
    event.kind = <uint8_t>kind
    event.bits = bits
    event.id = id
    memcpy(ledger.data + ledger.len, &event, sizeof(Event))
    ledger.len += sizeof(Event)
    return True


cdef bint put_message(Ledger* ledger, const Session* session, EventKind kind, const Slot* slot) noexcept nogil:
    cdef EventMessage message
    cdef const Grant* grant = &session.grants[slot.grant] if slot.grant else NULL
    message.stream = slot.stream
    message.record = slot.record
    message.group = 0
    message.id_count = 0
    if grant != NULL:
        message.id_count = grant.count
        message.group = grant.group
    if not room(ledger, <uint32_t>(sizeof(Event) + sizeof(EventMessage) + 4 * message.id_count)):
        return False
    put_event(ledger, kind, slot.bits & <uint8_t>~SlotBits.SLOT_KEPT, slot.packet_id)
    memcpy(ledger.data + ledger.len, &message, sizeof(EventMessage))
    ledger.len += sizeof(EventMessage)
    if message.id_count:
        memcpy(ledger.data + ledger.len, grant.ids, 4 * message.id_count)
        ledger.len += 4 * message.id_count
    return True


# --- events -----------------------------------------------------------------------------------------------------------

cdef inline Ledger* ledger_of(Session* session) noexcept nogil:
    return &session.core.ledgers[session.consumer.reactor]


cdef void ledger_slot(Session* session, EventKind kind, const Slot* slot) noexcept nogil:
    if not put_message(ledger_of(session), session, kind, slot):
        session.counters.events_lost += 1
    if ledger_of(session).len > LEDGER_MAX:
        ledger_write(session)


cdef void ledger_id(Session* session, EventKind kind, uint16_t id) noexcept nogil:
    if not put_event(ledger_of(session), kind, 0, id):
        session.counters.events_lost += 1
    if ledger_of(session).len > LEDGER_MAX:
        ledger_write(session)


cdef void wish(Session* session) noexcept nogil:
    """Ask for a snapshot, once until there is one."""
    if session.wished or session.core.control == NULL:
        return
    session.wished = tell(session, NEWS_WISH, 0)


cdef bint tell(Session* session, uint32_t kind, uint64_t value) noexcept nogil:
    cdef News* news = <News*>malloc(sizeof(News))
    if news == NULL:
        return False
    mail_init(&news.mail, session.core.on_news)
    news.number = session.consumer.number
    news.value = value
    news.kind = kind
    mailbox_post(session.core.control, &news.mail)
    return True


cdef Status put_entry(Session* session, uint64_t tail, const uint8_t* body, uint32_t n) noexcept nogil:
    cdef Core* core = session.core
    cdef Status status = session_log_events(core.log, session.consumer.number, session.sequence + 1, tail, body, n)
    if status == Status.OK:
        session.sequence += 1
        session.events_end = journal_tail(core.wal)
        session.events_bytes += n
    return status


cdef bint keep(Session* session, uint64_t tail, const Ledger* ledger) noexcept nogil:
    """Events for later. False: memory is out."""
    cdef Kept head
    if not room(&session.backlog, <uint32_t>sizeof(Kept) + ledger.len):
        return False
    head.tail = tail
    head.n = ledger.len
    memcpy(session.backlog.data + session.backlog.len, &head, sizeof(Kept))
    memcpy(session.backlog.data + session.backlog.len + sizeof(Kept), ledger.data, ledger.len)
    session.backlog.len += <uint32_t>sizeof(Kept) + ledger.len
    return True


cdef Status ledger_catch_up(Session* session) noexcept nogil:
    cdef Ledger* backlog = &session.backlog
    cdef Status status = Status.OK
    cdef uint32_t at = 0
    cdef Kept head
    while at < backlog.len and status == Status.OK:
        memcpy(&head, backlog.data + at, sizeof(Kept))
        status = put_entry(session, head.tail, backlog.data + at + sizeof(Kept), <uint32_t>head.n)
        if status == Status.OK:
            at += <uint32_t>(sizeof(Kept) + head.n)
    if at < backlog.len and not journal_will_have_room(session.core.wal, status):
        session.counters.events_lost += 1
        at = backlog.len
    if at:
        backlog.len -= at
        memmove(backlog.data, backlog.data + at, backlog.len)
    if backlog.len == 0:
        free(backlog.data)
        backlog.data = NULL
        backlog.cap = 0
    return status


cdef Status ledger_write(Session* session) noexcept nogil:
    cdef Ledger* ledger = ledger_of(session)
    cdef uint64_t tail = journal_tail(session.core.wal)
    cdef Status status = ledger_catch_up(session) if session.backlog.len else Status.OK
    if ledger.len:
        if status == Status.OK:
            status = put_entry(session, tail, ledger.data, ledger.len)
        if status != Status.OK and not (journal_will_have_room(session.core.wal, status) and keep(session, tail, ledger)):
            session.counters.events_lost += 1   # after a restart the session is as it was before this turn
        ledger.len = 0
    if session.events_bytes >= SNAPSHOT_EVENTS:
        wish(session)
    return status


cdef void ledger_end(Session* session) noexcept nogil:
    cdef Link* link = session.link
    ledger_write(session)
    if session.backlog.len == 0 or link == NULL:
        return
    # No word of it may go out. What went out before may have ended within a packet: no word at all.
    out_clear(&link.out)
    session.said_goodbye = 1
    session_move(session, SessionState.CLOSING)
    link.host.close(link, Status.STORE_FULL)


cdef void ledger_considered(Session* session, uint32_t records) noexcept nogil:
    session.considered += records
    if session.considered >= SNAPSHOT_RECORDS:
        wish(session)


# --- snapshots --------------------------------------------------------------------------------------------------------

cdef bint put_received(Ledger* body, const Session* session) noexcept nogil:
    cdef uint32_t page, i
    if session.received == NULL:
        return True
    for page in range(64):
        if session.received.pages[page] == NULL:
            continue
        for i in range(1024):
            if (session.received.pages[page].bits[i >> 6] >> (i & 63) & 1
                    and not put_event(body, EventKind.EVENT_OPENED, 0, <uint16_t>(page << 10 | i))):
                return False
    return True


cdef bint put_all(Ledger* body, Session* session) noexcept nogil:
    cdef uint32_t i
    cdef const Slot* slot
    if not put_event(body, EventKind.EVENT_START, SNAPSHOT_VERSION, session.last_packet_id):
        return False
    for i in range(slots_count(&session.flight)):
        if not put_message(body, session, EventKind.EVENT_FLIGHT, slots_at(&session.flight, i)):
            return False
    for i in range(slots_count(&session.queue)):
        slot = slots_at(&session.queue, i)
        if slot.bits & SlotBits.SLOT_QOS and not put_message(body, session, EventKind.EVENT_QUEUED, slot):
            return False
    return put_received(body, session)


cdef Status durable_snapshot(Session* session, uint64_t floor, uint64_t* durable_at) noexcept nogil:
    cdef Ledger body
    cdef Status status = Status.NO_MEMORY
    durable_at[0] = 0
    body.data = NULL
    body.len = body.cap = 0
    if session.backlog.len:
        ledger_catch_up(session)
    if session.backlog.len or session.unstored != NULL:
        status = Status.STORE_FULL              # identifiers of messages that wait are not open yet
    elif put_all(&body, session):
        session.sequence += 1
        session.consumer.floor = max(session.consumer.floor, floor)
        status = session_log_snapshot(session.core.log, session.consumer.number, session.sequence,
                                      session.consumer.floor, body.data, body.len, durable_at)
    free(body.data)
    if status != Status.OK:
        session.counters.snapshots_lost += 1    # the one before it, and all events since, stay
    session.events_bytes = 0
    session.considered = 0
    session.wished = 0
    return status


cdef void run_snapshot(Mail* mail, void* receiver, int64_t now_ns) noexcept nogil:
    cdef SnapshotCommand* command = <SnapshotCommand*>mail
    cdef uint64_t durable_at = 0
    durable_snapshot(command.session, command.floor, &durable_at)
    tell(command.session, NEWS_SAVED, durable_at)
    free(command)


cdef void ledgers_free(Core* core) noexcept nogil:
    cdef uint32_t i
    for i in range(REACTORS_MAX + 1):
        free(core.ledgers[i].data)
