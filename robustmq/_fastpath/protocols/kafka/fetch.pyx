"""Fetch; the contract is in fetch.pxd."""
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport malloc
from robustmq._fastpath.atomic cimport load_acquire_u32, load_acquire_u64
from robustmq._fastpath.batch cimport batch_last_offset_delta, batch_record_count
from robustmq._fastpath.block cimport ref_release, ref_retain
from robustmq._fastpath.broker.topic cimport Topic, TopicFlags
from robustmq._fastpath.cursor cimport store_be32
from robustmq._fastpath.link cimport Link
from robustmq._fastpath.mailbox cimport Mailbox
from robustmq._fastpath.out cimport Out, out_commit, out_copy_of, out_ref, out_reserve
from robustmq._fastpath.protocols.kafka.errors cimport ERROR_LOWEST, KafkaError, error_of
from robustmq._fastpath.protocols.kafka.plan cimport plan_clear, plan_keep_frame, plan_read
from robustmq._fastpath.protocols.kafka.state cimport PIECES_MAX, Lane, Piece, Plan, Session, Wait, Want
from robustmq._fastpath.protocols.kafka.warm cimport warm_ahead, warm_ask
from robustmq._fastpath.protocols.kafka.wire cimport (
    FETCH_FLEXIBLE, FETCH_LOG_START, FETCH_RACK, FETCH_SESSIONS, FETCH_TOPIC_IDS, Request)
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.journal cimport entry_body, entry_body_length
from robustmq._fastpath.stores.partition cimport (
    Partition, ReadSpan, partition_next, partition_seek, partition_unwait, partition_wait)
from robustmq._fastpath.writer cimport (
    Writer, uvarint_size, write_bytes, write_count, write_kstring, write_u16, write_u32, write_u64, write_u8,
    write_uvarint, writer_init)


cdef enum:
    HEAD_ROOM = 64
    PARTITION_ROOM = 64


cdef inline uint64_t offset_after(const ReadSpan* span) noexcept nogil:
    return span.base_offset + <uint64_t>batch_last_offset_delta(entry_body(span.entry)) + 1


cdef bint take_piece(Lane* lane, Want* want, const ReadSpan* span, uint64_t n) noexcept nogil:
    """Add the batch at `span` to the response. False: the journal has retired it, or memory is out."""
    cdef Piece* piece = lane.pieces + lane.piece_count
    piece.ref = span.ref
    piece.held = n >= <uint64_t>COPY_BELOW
    if piece.held:
        ref_retain(piece.ref)
    piece.data = entry_body(span.entry)
    piece.n = n
    lane.piece_count += 1
    want.pieces += 1
    want.bytes += n
    return True


cdef void gather(Lane* lane, Want* want, uint64_t total, uint64_t room) noexcept nogil:
    """Whole batches of one partition; `total` bytes are in the response already, `room` more may come."""
    cdef uint64_t limit = min(<uint64_t>want.max_bytes, room)
    cdef uint64_t n
    cdef uint64_t next = want.offset
    cdef ReadSpan span
    cdef Status status = partition_seek(want.partition, want.offset, &span)
    if status != Status.OK and status != Status.NEED_MORE and status != Status.ELSEWHERE:
        want.error = error_of(status)
        return
    while status == Status.OK and lane.piece_count < <uint32_t>PIECES_MAX:
        n = entry_body_length(span.entry)
        if want.bytes + n > limit and total + want.bytes > 0:           # KIP-74
            break
        if not take_piece(lane, want, &span, n):
            return
        next = offset_after(&span)
        if span.file != NULL and span.next_at >= span.run_end and warm_ahead(want, next):
            return                                                      # what follows is on the disk only: the next Fetch's
        status = partition_next(want.partition, &span)
    if next > want.offset and span.file != NULL:
        warm_ahead(want, next)


cdef void drop_pieces(Lane* lane) noexcept nogil:
    cdef uint32_t i
    for i in range(lane.piece_count):
        if lane.pieces[i].held:
            ref_release(lane.pieces[i].ref)
    lane.piece_count = 0


cdef bint gather_all(Session* session, uint64_t* total) noexcept nogil:
    """Collect the response's batches in the lane. True: a partition has an error, which is told at once."""
    cdef Plan* plan = &session.plan
    cdef Want* want
    cdef bint failed = plan.error != KafkaError.NONE
    cdef uint32_t i
    total[0] = 0
    for i in range(plan.count):
        want = plan.wants + i
        want.bytes = 0
        want.pieces = 0
        if want.partition != NULL and want.error == KafkaError.NONE:
            gather(session.lane, want, total[0], plan.max_bytes - min(total[0], <uint64_t>plan.max_bytes))
            total[0] += want.bytes
        failed = failed or want.error != KafkaError.NONE
    return failed


cdef void write_want(Writer* w, const Want* want, int16_t version) noexcept nogil:
    """A partition's fields up to its records' bytes; offsets are -1 beside an error."""
    cdef bint flexible = version >= FETCH_FLEXIBLE
    cdef uint64_t end = <uint64_t>-1
    cdef uint64_t start = <uint64_t>-1
    if want.error == KafkaError.NONE:
        end = load_acquire_u64(&want.partition.end)
        start = load_acquire_u64(&want.partition.start)
    write_u32(w, <uint32_t>want.number)
    write_u16(w, <uint16_t>want.error)
    write_u64(w, end)                                                   # high watermark
    write_u64(w, end)                                                   # last stable offset
    if version >= FETCH_LOG_START:
        write_u64(w, start)
    write_count(w, 0, flexible)                                         # aborted transactions
    if version >= FETCH_RACK:
        write_u32(w, <uint32_t>-1)                                      # preferred read replica: this one
    if flexible:
        write_uvarint(w, <uint32_t>want.bytes + 1)
    else:
        write_u32(w, <uint32_t>want.bytes)


cdef bint send_pieces(Out* out, Lane* lane, uint32_t first, uint32_t count) noexcept nogil:
    cdef const Piece* piece
    cdef bint sent = True
    cdef uint32_t i
    for i in range(first, first + count):
        piece = lane.pieces + i
        lane.counters.fetched_bytes += piece.n
        lane.counters.fetched_records += <uint64_t>batch_record_count(piece.data)
        if piece.held:
            sent = out_ref(out, piece.ref, piece.data, piece.n) and sent
        else:
            sent = out_copy_of(out, piece.ref, piece.data, <uint32_t>piece.n) and sent
    return sent


cdef uint8_t* write_head(Session* session) noexcept nogil:
    """Everything before the first topic; returns where the size goes, NULL: memory is out."""
    cdef Plan* plan = &session.plan
    cdef int16_t version = plan.request.version
    cdef bint flexible = version >= FETCH_FLEXIBLE
    cdef uint8_t* at = out_reserve(&session.link.out, HEAD_ROOM)
    cdef Writer w
    if at == NULL:
        return NULL
    writer_init(&w, at, HEAD_ROOM)
    write_u32(&w, 0)
    write_u32(&w, <uint32_t>plan.request.correlation_id)
    if flexible:
        write_u8(&w, 0)                                                 # response header v1
    write_u32(&w, 0)                                                    # throttle_time_ms
    if version >= FETCH_SESSIONS:
        write_u16(&w, <uint16_t>plan.error)
        write_u32(&w, 0)                                                # session id: full fetches only
    write_count(&w, <int32_t>plan.topic_count, flexible)
    out_commit(&session.link.out, <uint32_t>(w.p - at))
    return at


cdef bint write_partitions(Session* session) noexcept nogil:
    """Topics and partitions with their records. False: memory is out."""
    cdef Plan* plan = &session.plan
    cdef Out* out = &session.link.out
    cdef int16_t version = plan.request.version
    cdef bint flexible = version >= FETCH_FLEXIBLE
    cdef const Want* want
    cdef uint8_t* at
    cdef uint32_t i, room, sent = 0, tags = 0
    cdef Writer w
    for i in range(plan.count):
        want = plan.wants + i
        room = <uint32_t>PARTITION_ROOM + (want.topic_n if want.siblings > 0 else 0)
        at = out_reserve(out, room)
        if at == NULL:
            return False
        writer_init(&w, at, room)
        while tags > 0:                                                 # that close what stood before this partition
            write_u8(&w, 0)
            tags -= 1
        if want.siblings > 0:
            if version >= FETCH_TOPIC_IDS:
                write_bytes(&w, plan.frame + want.topic_at, want.topic_n)
            else:
                write_kstring(&w, plan.frame + want.topic_at, want.topic_n, flexible)
            write_count(&w, <int32_t>want.siblings, flexible)
        write_want(&w, want, version)
        out_commit(out, <uint32_t>(w.p - at))
        if not send_pieces(out, session.lane, sent, want.pieces):
            return False
        sent += want.pieces
        if want.error != KafkaError.NONE:
            session.lane.counters.errors[want.error - ERROR_LOWEST] += 1
        if flexible:
            tags = 2 if i + 1 == plan.count or plan.wants[i + 1].siblings > 0 else 1
    if flexible:
        at = out_reserve(out, 4)
        if at == NULL:
            return False
        writer_init(&w, at, 4)
        while tags > 0:
            write_u8(&w, 0)
            tags -= 1
        write_u8(&w, 0)                                                 # the response's own
        out_commit(out, <uint32_t>(w.p - at))
    return True


cdef Status send(Session* session) noexcept nogil:
    """The response, from the plan and the gathered pieces; both are empty again after it."""
    cdef uint64_t before = session.link.out.bytes
    cdef uint8_t* size_at = write_head(session)
    cdef bint sent = size_at != NULL and write_partitions(session)
    if sent:
        store_be32(size_at, <uint32_t>(session.link.out.bytes - before - 4))
    if session.plan.error != KafkaError.NONE:
        session.lane.counters.errors[session.plan.error - ERROR_LOWEST] += 1
    drop_pieces(session.lane)
    plan_clear(&session.plan)
    return Status.OK if sent else Status.NO_MEMORY


cdef void count(Want* want) noexcept nogil:
    """Add what was appended since the last look to `want.bytes`, as far as the client's limit makes it matter."""
    cdef ReadSpan span
    cdef Status status
    if want.bytes >= want.max_bytes or load_acquire_u64(&want.partition.end) == want.counted_to:
        return
    status = partition_seek(want.partition, want.counted_to, &span)
    if status != Status.OK and status != Status.NEED_MORE and status != Status.ELSEWHERE:
        want.error = error_of(status)
    while status == Status.OK and want.bytes < want.max_bytes:
        want.bytes += entry_body_length(span.entry)
        want.counted_to = offset_after(&span)
        status = partition_next(want.partition, &span)


cdef bint fetch_ready(Session* session) noexcept nogil:
    cdef Plan* plan = &session.plan
    cdef uint64_t total = 0
    cdef Want* want
    cdef uint32_t i
    for i in range(plan.count):
        want = plan.wants + i
        if not still_there(want, plan.request.version):
            return True
        count(want)
        total += want.bytes
        if want.error != KafkaError.NONE or total >= plan.min_bytes:
            return True
    return False


cdef bint still_there(Want* want, int16_t version) noexcept nogil:
    """False, with the error set: the topic was deleted while the request waited."""
    if want.linked and load_acquire_u32(&want.waiter.gone) == 0:
        return True
    want.linked = False
    want.partition = NULL
    want.error = (KafkaError.UNKNOWN_TOPIC_ID if version >= FETCH_TOPIC_IDS else
                  KafkaError.UNKNOWN_TOPIC_OR_PARTITION)
    return False


cdef void link_waiters(Session* session) noexcept nogil:
    cdef Mailbox* box = session.link.host.mailbox(session.link)
    cdef Want* want
    cdef uint32_t i
    for i in range(session.plan.count):
        want = session.plan.wants + i
        if want.partition == NULL:
            continue
        want.waiter.mail = &session.news
        want.waiter.box = box
        want.bytes = 0
        want.counted_to = want.offset
        want.linked = True
        partition_wait(want.partition, &want.waiter)


cdef void unlink_waiters(Session* session) noexcept nogil:
    cdef Want* want
    cdef uint32_t i
    for i in range(session.plan.count):
        want = session.plan.wants + i
        if want.linked and still_there(want, session.plan.request.version):
            partition_unwait(want.partition, &want.waiter)
        want.linked = False


cdef void unpark(Session* session) noexcept nogil:
    unlink_waiters(session)
    session.wait = Wait.WAIT_NONE
    session.lane.counters.fetches_waiting -= 1
    session.link.host.set_timer(session.link, 0)


cdef Status park(Session* session, uint64_t n) noexcept nogil:
    """Wait for more than there is now. Appends between the look and the link are seen by the second look."""
    if not plan_keep_frame(&session.plan, n):
        plan_clear(&session.plan)
        return Status.NO_MEMORY
    return wait_for_records(session)


cdef Status wait_for_records(Session* session) noexcept nogil:
    link_waiters(session)
    session.wait = Wait.WAIT_RECORDS
    session.lane.counters.fetches_parked += 1
    session.lane.counters.fetches_waiting += 1
    if fetch_ready(session):
        return fetch_answer(session)
    session.link.host.set_timer(session.link, session.plan.deadline_ns)
    session.link.parked = 1
    return Status.PARKED


cdef Status fetch(Session* session, const Request* request, const uint8_t* frame, uint64_t n,
                  int64_t now_ns) noexcept nogil:
    cdef Plan* plan = &session.plan
    cdef Lane* lane = session.lane
    cdef uint64_t total = 0
    cdef Status status = plan_read(session, request, frame, n, now_ns)
    if status == Status.OK and lane.pieces == NULL:
        lane.pieces = <Piece*>malloc(PIECES_MAX * sizeof(Piece))
        status = Status.OK if lane.pieces != NULL else Status.NO_MEMORY
    if status != Status.OK:
        plan_clear(plan)
        return status
    if warm_ask(session) > 0:
        return wait_for_disk(session, n)
    if gather_all(session, &total) or total >= plan.min_bytes or plan.deadline_ns <= now_ns or plan.count == 0:
        return send(session)
    drop_pieces(lane)
    return park(session, n)


cdef Status wait_for_disk(Session* session, uint64_t n) noexcept nogil:
    """The loads are under way. The waiters tell of a partition that goes meanwhile."""
    if not plan_keep_frame(&session.plan, n):
        plan_clear(&session.plan)
        return Status.NO_MEMORY
    link_waiters(session)
    session.wait = Wait.WAIT_LOAD
    session.link.parked = 1
    return Status.PARKED


cdef void fetch_loaded(Session* session, int64_t now_ns) noexcept nogil:
    cdef Link* link = session.link
    cdef Plan* plan = &session.plan
    cdef uint64_t total = 0
    cdef Status status
    if session.wait != Wait.WAIT_LOAD:                                  # it was dropped meanwhile
        return
    unlink_waiters(session)
    session.wait = Wait.WAIT_NONE
    if gather_all(session, &total) or total >= plan.min_bytes or plan.deadline_ns <= now_ns:
        status = send(session)
    else:
        drop_pieces(session.lane)
        status = wait_for_records(session)
    if status == Status.OK:
        link.host.unpark(link)
        link.host.touch(link)
    elif status != Status.PARKED:
        link.host.close(link, status)


cdef Status fetch_answer(Session* session) noexcept nogil:
    cdef uint64_t total = 0
    unpark(session)
    gather_all(session, &total)
    return send(session)


cdef void fetch_drop(Session* session) noexcept nogil:
    if session.wait == Wait.WAIT_RECORDS:
        unpark(session)
    elif session.wait == Wait.WAIT_LOAD:
        unlink_waiters(session)
    plan_clear(&session.plan)
