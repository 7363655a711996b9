"""A Kafka connection; the contract is in session.pxd."""
from libc.stdint cimport int16_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from robustmq._fastpath.atomic cimport load_acquire_u32
from robustmq._fastpath.block cimport Block, ref_retain
from robustmq._fastpath.cursor cimport load_be32, store_be32
from robustmq._fastpath.link cimport Link, Protocol
from robustmq._fastpath.mailbox cimport Mail, mail_init
from robustmq._fastpath.out cimport out_commit, out_copy, out_reserve
from robustmq._fastpath.protocols.kafka.fetch cimport fetch, fetch_answer, fetch_drop, fetch_ready
from robustmq._fastpath.protocols.kafka.pending cimport pending_clear, pending_full, pending_sync_failed, pending_synced
from robustmq._fastpath.protocols.kafka.plan cimport plan_free
from robustmq._fastpath.protocols.kafka.produce cimport produce, produce_forget
from robustmq._fastpath.protocols.kafka.state cimport (
    COLD_REQUEST_MAX, Api, Kafka, Session, Wait)
from robustmq._fastpath.protocols.kafka.wire cimport API_KEYS, HEADER_PREFIX, ApiKey, Request, read_prefix
from robustmq._fastpath.status cimport Status


cdef Status open_session(Link* link, int64_t now_ns) noexcept nogil:
    cdef Kafka* kafka = <Kafka*>link.protocol
    cdef Session* session = <Session*>calloc(1, sizeof(Session))
    if session == NULL:
        return Status.NO_MEMORY
    mail_init(&session.news, on_news)
    session.link = link
    session.kafka = kafka
    session.lane = &kafka.lanes[link.id >> 56]
    session.lane.counters.connections += 1
    link.session = session
    return Status.OK


cdef Status admit(const Kafka* kafka, const Request* request, uint32_t size) noexcept nogil:
    """Whether a frame of `size` bytes may be read, judged by its first bytes: before room is made for the rest."""
    cdef const Api* api
    if request.key < 0 or request.key >= <int16_t>API_KEYS or not kafka.apis[request.key].served:
        return Status.UNSUPPORTED
    api = &kafka.apis[request.key]
    if request.key != ApiKey.API_VERSIONS and not (api.oldest <= request.version <= api.newest):
        return Status.UNSUPPORTED
    if request.key != ApiKey.PRODUCE and size > <uint32_t>COLD_REQUEST_MAX:
        return Status.TOO_LARGE
    return Status.OK


cdef Status wait_for_turn(Session* session) noexcept nogil:
    session.wait = Wait.WAIT_SYNC
    session.link.parked = 1
    return Status.PARKED


cdef Status serve(Session* session, Block* block, const Request* request, const uint8_t* frame, uint64_t n,
                  int64_t now_ns) noexcept nogil:
    """One whole request; PARKED: it was taken, and nothing after it is parsed for now."""
    cdef Status status
    session.lane.counters.requests[request.key] += 1
    if request.key == ApiKey.PRODUCE:
        status = produce(session, request, frame, n)
        if status == Status.OK and pending_full(session):
            return wait_for_turn(session)
        return status
    if request.key == ApiKey.FETCH:
        return fetch(session, request, frame, n, now_ns)
    ref_retain(&block.ref)
    session.wait = Wait.WAIT_CONTROL
    session.link.parked = 1
    session.link.host.to_control(session.link, Post.FRAME, block, frame, n)
    return Status.PARKED


cdef Status on_bytes(Link* link, Block* block, const uint8_t* data, uint64_t n, uint64_t* used, uint64_t* need,
                     int64_t now_ns) noexcept nogil:
    cdef Session* session = <Session*>link.session
    cdef Kafka* kafka = session.kafka
    cdef const uint8_t* at
    cdef uint32_t size
    cdef Request request
    cdef Status status
    used[0] = 0
    while link.out.bytes <= kafka.high_water_bytes:
        at = data + used[0]
        if n - used[0] < 4:
            return Status.NEED_MORE
        size = load_be32(at)
        if size < <uint32_t>HEADER_PREFIX:
            return Status.MALFORMED
        if size > kafka.max_request_bytes:
            return Status.TOO_LARGE
        if n - used[0] < 4 + <uint64_t>HEADER_PREFIX:
            return Status.NEED_MORE
        read_prefix(at + 4, &request)
        status = admit(kafka, &request, size)
        if status != Status.OK:
            return status
        if n - used[0] - 4 < size:
            need[0] = 4 + <uint64_t>size
            return Status.NEED_MORE
        if request.key != ApiKey.PRODUCE and session.pending_first != NULL:
            return wait_for_turn(session)
        used[0] += 4 + <uint64_t>size
        status = serve(session, block, &request, at + 4, size, now_ns)
        if session.begun.response != NULL:
            used[0] -= 4 + <uint64_t>size
            session.lane.counters.requests[request.key] -= 1
        if status != Status.OK:
            return status
    return Status.OK


cdef Status on_answer(Link* link, uint32_t kind, const uint8_t* data, uint64_t n, void* object,
                      int64_t now_ns) noexcept nogil:
    cdef Session* session = <Session*>link.session
    cdef uint8_t* at
    if session.wait != Wait.WAIT_CONTROL:
        if kind == Answer.ANSWER_AND_CLOSE:                             # a command, not an answer
            link.host.close(link, Status.ADMIN_CLOSED)
        return Status.OK
    if n > 0:
        at = out_reserve(&link.out, 4)
        if at == NULL:
            return Status.NO_MEMORY
        store_be32(at, <uint32_t>n)
        out_commit(&link.out, 4)
        if not out_copy(&link.out, data, n):
            return Status.NO_MEMORY
    session.wait = Wait.WAIT_NONE
    if kind == Answer.ANSWER_AND_CLOSE:
        link.host.close(link, Status.PROTOCOL_ERROR)
    else:
        link.host.unpark(link)
    return Status.OK


cdef void answer_fetch(Session* session) noexcept nogil:
    cdef Link* link = session.link
    cdef Status status = fetch_answer(session)
    if status != Status.OK:
        link.host.close(link, status)
        return
    link.host.unpark(link)
    link.host.touch(link)


cdef void on_news(Mail* mail, void* receiver, int64_t now_ns) noexcept nogil:
    """An append to a partition that a Fetch waits for, or waited for when the mail was posted."""
    cdef Session* session = <Session*>mail
    if session.link == NULL:
        session_free_when_idle(session)
    elif session.wait == Wait.WAIT_RECORDS and fetch_ready(session):
        answer_fetch(session)


cdef void on_timer(Link* link, int64_t now_ns) noexcept nogil:
    cdef Session* session = <Session*>link.session
    if session.wait == Wait.WAIT_RECORDS:
        answer_fetch(session)


cdef void on_drained(Link* link, int64_t now_ns) noexcept nogil:
    """The host brings back what on_bytes left."""


cdef void on_synced(Link* link, uint64_t position, int64_t now_ns) noexcept nogil:
    cdef Session* session = <Session*>link.session
    go_on(session, pending_synced(session, position))


cdef void on_sync_failed(Link* link, int64_t now_ns) noexcept nogil:
    cdef Session* session = <Session*>link.session
    go_on(session, pending_sync_failed(session))


cdef void go_on(Session* session, Status status) noexcept nogil:
    cdef Link* link = session.link
    if status != Status.OK:
        link.host.close(link, status)
    elif session.wait == Wait.WAIT_SYNC and session.pending_first == NULL:
        session.wait = Wait.WAIT_NONE
        link.host.unpark(link)


cdef void on_close(Link* link, Status why, int64_t now_ns) noexcept nogil:
    cdef Session* session = <Session*>link.session
    if session == NULL:
        return
    link.session = NULL
    fetch_drop(session)
    plan_free(&session.plan)
    pending_clear(session)
    produce_forget(session)
    session.lane.counters.connections -= 1
    session.link = NULL
    session_free_when_idle(session)


cdef void session_free_when_idle(Session* session) noexcept nogil:
    if load_acquire_u32(&session.news.queued) == 0 and session.loading == 0:    # no waiter is linked: it stays so
        free(session)


cdef void session_table(Protocol* table) noexcept nogil:
    table.name = "kafka"
    table.open = open_session
    table.on_bytes = on_bytes
    table.on_answer = on_answer
    table.on_timer = on_timer
    table.on_drained = on_drained
    table.on_synced = on_synced
    table.on_sync_failed = on_sync_failed
    table.on_close = on_close
