"""Produce; the contract is in produce.pxd."""
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset, strlen
from robustmq._fastpath.atomic cimport load_acquire_ptr, load_acquire_u32
from robustmq._fastpath.batch cimport (
    ATTRIBUTE_LOG_APPEND_TIME, ATTRIBUTE_TRANSACTIONAL, BATCH_HEADER, CODEC_NONE, CODEC_ZSTD, RecordView,
    batch_attributes, batch_codec, batch_producer_id, batch_record_count, batch_validate, record_next)
from robustmq._fastpath.broker.routes cimport routes_notify, routes_refresh
from robustmq._fastpath.broker.topic cimport Topic, TopicFlags, topic_find, topic_find_id
from robustmq._fastpath.cursor cimport (
    Cursor, cursor_compact, cursor_count, cursor_i16, cursor_i32, cursor_init, cursor_kbytes, cursor_ok,
    cursor_skip_tags, store_be32)
from robustmq._fastpath.platform cimport clock_wall_ms
from robustmq._fastpath.protocols.kafka.errors cimport ERROR_LOWEST, KafkaError, error_of
from robustmq._fastpath.protocols.kafka.pending cimport pending_send
from robustmq._fastpath.protocols.kafka.state cimport Begun, Lane, Session
from robustmq._fastpath.protocols.kafka.wire cimport (
    PARTITIONS_MAX, PRODUCE_FLEXIBLE, PRODUCE_LOG_START, PRODUCE_RECORD_ERRORS, PRODUCE_TOPIC_IDS, PRODUCE_ZSTD,
    Request, read_string, read_topic, skip_header)
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.journal cimport EntryFlags, journal_will_have_room
from robustmq._fastpath.stores.partition cimport Appended, Partition, partition_append_aux
from robustmq._fastpath.writer cimport (
    Writer, write_bytes, write_count, write_kstring, write_u16, write_u32, write_u64, write_u8,
    writer_init, writer_ok)


cdef enum:
    SCRATCH_KEPT = 65536            # bytes a lane keeps between requests
    HEAD_ROOM = 32                  # size, correlation id, tags, array count; at the end: throttle time, tags
    TOPIC_ROOM = 16                 # beside its name
    PARTITION_ROOM = 384            # with both messages at their longest


cdef struct Head:
    int16_t acks
    int16_t error                   # of every partition, when the request itself cannot be served
    const char* message
    int32_t topics


cdef struct Outcome:
    int64_t base_offset
    int64_t log_start
    int64_t append_time_ms
    uint64_t durable_at             # journal position; 0: the promise holds already
    const char* message             # at most 120 bytes; NULL: none
    int32_t record                  # index of the record at fault, -1: none in particular
    int16_t error


cdef const uint8_t* read_records(Cursor* c, bint flexible, int32_t* n) noexcept nogil:
    return cursor_compact(c, n) if flexible else cursor_kbytes(c, n)


cdef bint read_head(Cursor* c, const Request* request, Head* head) noexcept nogil:
    """Everything before the first topic."""
    cdef bint flexible = request.version >= PRODUCE_FLEXIBLE
    cdef int32_t transactional = -1
    skip_header(c, flexible)
    read_string(c, flexible, &transactional)
    head.acks = cursor_i16(c)
    cursor_i32(c)                                                       # timeout: a sync is not given up half-way
    head.topics = cursor_count(c, flexible, 2)
    head.error = KafkaError.NONE
    head.message = NULL
    if transactional >= 0:
        head.error = KafkaError.INVALID_TXN_STATE
        head.message = "this broker does not serve transactions; produce without a transactional.id"
    elif head.acks < -1 or head.acks > 1:
        head.error = KafkaError.INVALID_REQUIRED_ACKS
        head.message = "acks must be 0, 1 or -1 (all)"
    return cursor_ok(c) and head.topics >= 0


cdef bint well_formed(Cursor c, const Request* request, int32_t topics) noexcept nogil:
    """Whether all topics and partitions are there, and nothing behind them."""
    cdef bint flexible = request.version >= PRODUCE_FLEXIBLE
    cdef int32_t n = 0
    cdef int32_t partitions
    cdef int64_t total = 0
    while topics > 0 and cursor_ok(&c):
        topics -= 1
        read_topic(&c, request.version >= PRODUCE_TOPIC_IDS, flexible, &n)
        partitions = cursor_count(&c, flexible, 5)
        total += partitions
        if partitions < 0 or total > PARTITIONS_MAX:
            return False
        while partitions > 0 and cursor_ok(&c):
            partitions -= 1
            cursor_i32(&c)
            read_records(&c, flexible, &n)
            if flexible:
                cursor_skip_tags(&c)
        if flexible:
            cursor_skip_tags(&c)
    if flexible:
        cursor_skip_tags(&c)
    return cursor_ok(&c) and c.p == c.end


cdef int32_t keyless_record(const uint8_t* batch, uint64_t n) noexcept nogil:
    """Index of the first record without a key, -1: none. A compressed batch is taken as it is."""
    cdef Cursor c
    cdef RecordView view
    cdef int32_t i
    if batch_codec(batch) != CODEC_NONE:
        return -1
    cursor_init(&c, batch + BATCH_HEADER, n - BATCH_HEADER)
    for i in range(batch_record_count(batch)):
        if not record_next(&c, &view):
            return -1
        if view.key == NULL:
            return i
    return -1


cdef bint refuse(Outcome* outcome, int16_t error, const char* message) noexcept nogil:
    outcome.error = error
    outcome.message = message
    return True


cdef bint refused(const Topic* topic, const uint8_t* batch, int32_t n, int16_t version, Outcome* outcome) noexcept nogil:
    """Whether the batch may not be appended; `outcome` says why, in Kafka's words."""
    cdef Status status
    if batch == NULL:
        return refuse(outcome, KafkaError.INVALID_RECORD, "a partition needs exactly one record batch")
    status = batch_validate(batch, <uint64_t>n, topic.max_message_bytes)
    if status == Status.MALFORMED:
        return refuse(outcome, KafkaError.INVALID_RECORD, "a partition needs exactly one record batch")
    if status == Status.UNSUPPORTED:
        return refuse(outcome, KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT, "only record batches v2 are stored")
    if status == Status.TOO_LARGE:
        return refuse(outcome, KafkaError.MESSAGE_TOO_LARGE, "the batch is larger than max.message.bytes")
    if status == Status.INVALID_RECORD:
        return refuse(outcome, KafkaError.INVALID_RECORD, "record count, offsets or producer fields contradict")
    if status != Status.OK:
        return refuse(outcome, error_of(status), NULL)
    if batch_codec(batch) == CODEC_ZSTD and version < PRODUCE_ZSTD:
        return refuse(outcome, KafkaError.UNSUPPORTED_COMPRESSION_TYPE, "zstd needs Produce version 7 (KIP-110)")
    if batch_attributes(batch) & ATTRIBUTE_LOG_APPEND_TIME:
        return refuse(outcome, KafkaError.INVALID_TIMESTAMP, "LogAppendTime is the broker's to set")
    if batch_attributes(batch) & ATTRIBUTE_TRANSACTIONAL:
        return refuse(outcome, KafkaError.INVALID_TXN_STATE, "this broker does not serve transactions")
    if topic.flags & TopicFlags.TOPIC_COMPACTED:
        outcome.record = keyless_record(batch, <uint64_t>n)
        if outcome.record >= 0:
            return refuse(outcome, KafkaError.INVALID_RECORD, "a compacted topic takes no record without a key")
    return False


cdef Partition* writable(Topic* topic, int32_t number, bint by_id, Outcome* outcome) noexcept nogil:
    """The partition that a batch is for; NULL: `outcome` says why not."""
    cdef uint32_t flags = load_acquire_u32(&topic.flags) if topic != NULL else <uint32_t>TopicFlags.TOPIC_DELETED
    if flags & TopicFlags.TOPIC_DELETED:
        refuse(outcome, KafkaError.UNKNOWN_TOPIC_ID if by_id else KafkaError.UNKNOWN_TOPIC_OR_PARTITION, NULL)
        return NULL
    if flags & TopicFlags.TOPIC_INTERNAL:
        refuse(outcome, KafkaError.INVALID_TOPIC_EXCEPTION, "an internal topic takes no records from clients")
        return NULL
    if number < 0 or <uint32_t>number >= load_acquire_u32(&topic.partition_count):
        refuse(outcome, KafkaError.UNKNOWN_TOPIC_OR_PARTITION, NULL)
        return NULL
    return (<Partition**>load_acquire_ptr(&topic.partitions))[number]


cdef bint append(Session* session, Topic* topic, Partition* partition, const uint8_t* batch, int32_t n,
                 int16_t version, Outcome* outcome) noexcept nogil:
    """False: the journal has no room, but will have."""
    cdef Appended appended
    cdef Status status
    cdef int64_t now_ms = 0
    if refused(topic, batch, n, version, outcome):
        return True
    memset(&appended, 0, sizeof(Appended))
    if batch_producer_id(batch) >= 0:
        now_ms = clock_wall_ms()
    status = partition_append_aux(partition, batch, <uint64_t>n, EntryFlags.FROM_KAFKA, 0, <uint64_t>now_ms, &appended)
    if journal_will_have_room(partition.journal, status):
        return False
    outcome.error = error_of(status)
    if status != Status.OK and status != Status.DUPLICATE:
        return True
    outcome.base_offset = <int64_t>appended.base_offset
    outcome.log_start = <int64_t>appended.log_start
    outcome.append_time_ms = appended.append_time_ms
    outcome.durable_at = appended.durable_at
    if status == Status.DUPLICATE:
        return True
    session.lane.counters.produced_bytes += <uint64_t>n
    session.lane.counters.produced_records += <uint64_t>batch_record_count(batch)
    routes_notify(session.kafka.exchange, topic, partition)
    return True


cdef bint make_room(Lane* lane, Writer* w, uint64_t n) noexcept nogil:
    """At least `n` more bytes in the lane's scratch. False: memory is out."""
    cdef uint64_t used = <uint64_t>(w.p - lane.scratch)
    cdef uint64_t cap = lane.scratch_cap if lane.scratch_cap > 0 else 4096
    cdef uint8_t* grown
    if used + n > lane.scratch_cap:
        while cap < used + n:
            cap *= 2
        grown = <uint8_t*>realloc(lane.scratch, cap)
        if grown == NULL:
            return False
        lane.scratch = grown
        lane.scratch_cap = cap
    w.p = lane.scratch + used
    w.end = lane.scratch + lane.scratch_cap
    return True


cdef void write_outcome(Writer* w, int32_t number, int16_t version, const Outcome* outcome) noexcept nogil:
    cdef bint flexible = version >= PRODUCE_FLEXIBLE
    cdef const uint8_t* message = <const uint8_t*>outcome.message
    cdef uint32_t message_n = <uint32_t>strlen(outcome.message) if message != NULL else 0
    write_u32(w, <uint32_t>number)
    write_u16(w, <uint16_t>outcome.error)
    write_u64(w, <uint64_t>outcome.base_offset)
    write_u64(w, <uint64_t>outcome.append_time_ms)
    if version >= PRODUCE_LOG_START:
        write_u64(w, <uint64_t>outcome.log_start)
    if version >= PRODUCE_RECORD_ERRORS:
        write_count(w, 1 if outcome.record >= 0 else 0, flexible)
        if outcome.record >= 0:
            write_u32(w, <uint32_t>outcome.record)
            write_kstring(w, message, message_n, flexible)
            if flexible:
                write_u8(w, 0)
        write_kstring(w, message, message_n, flexible)
    if flexible:
        write_u8(w, 0)


cdef void write_topic(Writer* w, const uint8_t* name, int32_t n, bint by_id, bint flexible) noexcept nogil:
    if by_id:
        write_bytes(w, name, <uint64_t>n)
    else:
        write_kstring(w, name, <uint32_t>n, flexible)


cdef Status produce_topics(Session* session, const Request* request, const Head* head, Cursor* c, Writer* w,
                           uint64_t* durable_at, bint* failed) noexcept nogil:
    """Append every batch, in order, and write its outcome. PARKED: before the step session.begun.steps there is no room; the
    steps before it are not taken again."""
    cdef bint flexible = request.version >= PRODUCE_FLEXIBLE
    cdef bint by_id = request.version >= PRODUCE_TOPIC_IDS
    cdef Lane* lane = session.lane
    cdef const uint8_t* name
    cdef const uint8_t* batch
    cdef int32_t name_n = 0, n = 0, number, partitions, topics = head.topics
    cdef Topic* topic
    cdef Partition* partition
    cdef Outcome outcome
    cdef uint32_t step = 0
    while topics > 0:
        topics -= 1
        name = read_topic(c, by_id, flexible, &name_n)
        partitions = cursor_count(c, flexible, 5)
        if by_id:
            topic = topic_find_id(session.kafka.topics, name)
        else:
            topic = topic_find(session.kafka.topics, name, <uint32_t>name_n)
        if step >= session.begun.steps:
            if not make_room(lane, w, <uint64_t>name_n + TOPIC_ROOM):
                return Status.NO_MEMORY
            write_topic(w, name, name_n, by_id, flexible)
            write_count(w, partitions, flexible)
        step += 1
        if topic != NULL:
            routes_refresh(session.kafka.exchange, topic)
        while partitions > 0:
            partitions -= 1
            number = cursor_i32(c)
            batch = read_records(c, flexible, &n)
            if flexible:
                cursor_skip_tags(c)
            step += 1
            if step <= session.begun.steps:
                continue
            outcome = Outcome(-1, -1, -1, 0, head.message, -1, head.error)
            if head.error == KafkaError.NONE:
                partition = writable(topic, number, by_id, &outcome)
                if partition != NULL and not append(session, topic, partition, batch, n, request.version, &outcome):
                    session.begun.steps = step - 1
                    return Status.PARKED
            durable_at[0] = max(durable_at[0], outcome.durable_at)
            if outcome.error != KafkaError.NONE:
                failed[0] = True
                lane.counters.errors[outcome.error - ERROR_LOWEST] += 1
            if not make_room(lane, w, PARTITION_ROOM):
                return Status.NO_MEMORY
            write_outcome(w, number, request.version, &outcome)
        if flexible:
            cursor_skip_tags(c)
            if step >= session.begun.steps:
                write_u8(w, 0)
        step += 1
    return Status.OK


cdef Status put_aside(Session* session, const Writer* w, uint64_t durable_at, bint failed) noexcept nogil:
    """Until there is room: the request comes again then."""
    cdef Begun* begun = &session.begun
    cdef uint64_t n = <uint64_t>(w.p - session.lane.scratch)
    cdef uint8_t* response = <uint8_t*>malloc(n)
    if response == NULL:
        return Status.NO_MEMORY
    memcpy(response, session.lane.scratch, n)
    free(begun.response)
    begun.response = response
    begun.n = n
    begun.durable_at = durable_at
    begun.failed = failed
    session.link.host.await_room(session.link)
    return Status.PARKED


cdef bint take_up(Session* session, Writer* w, uint64_t* durable_at, bint* failed) noexcept nogil:
    if not make_room(session.lane, w, session.begun.n):
        return False
    write_bytes(w, session.begun.response, session.begun.n)
    durable_at[0] = session.begun.durable_at
    failed[0] = session.begun.failed
    return True


cdef void produce_forget(Session* session) noexcept nogil:
    free(session.begun.response)
    memset(&session.begun, 0, sizeof(Begun))


cdef Status produce(Session* session, const Request* request, const uint8_t* frame, uint64_t n) noexcept nogil:
    cdef bint flexible = request.version >= PRODUCE_FLEXIBLE
    cdef Lane* lane = session.lane
    cdef Cursor c
    cdef Writer w
    cdef Head head
    cdef Status status
    cdef uint64_t durable_at = 0
    cdef bint failed = False
    cursor_init(&c, frame, n)
    if not read_head(&c, request, &head) or not well_formed(c, request, head.topics):
        return Status.MALFORMED
    writer_init(&w, lane.scratch, lane.scratch_cap)
    if not make_room(lane, &w, HEAD_ROOM):
        return Status.NO_MEMORY
    if session.begun.response == NULL:
        w.p += 4
        write_u32(&w, <uint32_t>request.correlation_id)
        if flexible:
            write_u8(&w, 0)                                             # response header v1
        write_count(&w, head.topics, flexible)
    elif not take_up(session, &w, &durable_at, &failed):
        return Status.NO_MEMORY
    status = produce_topics(session, request, &head, &c, &w, &durable_at, &failed)
    if status == Status.PARKED:
        return put_aside(session, &w, durable_at, failed)
    produce_forget(session)
    if status == Status.OK and head.acks == 0:
        status = Status.PROTOCOL_ERROR if failed else Status.OK
    elif status == Status.OK and not make_room(lane, &w, HEAD_ROOM):
        status = Status.NO_MEMORY
    elif status == Status.OK:
        write_u32(&w, 0)                                                # throttle_time_ms
        if flexible:
            write_u8(&w, 0)
        n = <uint64_t>(w.p - lane.scratch)
        store_be32(lane.scratch, <uint32_t>(n - 4))
        status = pending_send(session, request.version, durable_at, lane.scratch, n) if writer_ok(&w) else Status.INTERNAL
    if lane.scratch_cap > SCRATCH_KEPT:
        free(lane.scratch)
        lane.scratch = NULL
        lane.scratch_cap = 0
    return status
