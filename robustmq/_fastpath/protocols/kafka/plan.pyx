"""A Fetch request as a plan; the contract is in plan.pxd."""
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset
from robustmq._fastpath.atomic cimport load_acquire_ptr, load_acquire_u32
from robustmq._fastpath.broker.topic cimport Topic, TopicFlags, topic_find, topic_find_id
from robustmq._fastpath.cursor cimport (
    Cursor, cursor_count, cursor_i16, cursor_i32, cursor_i64, cursor_i8, cursor_init, cursor_ok, cursor_skip,
    cursor_skip_tags)
from robustmq._fastpath.protocols.kafka.errors cimport KafkaError
from robustmq._fastpath.protocols.kafka.state cimport FETCH_BYTES_MAX, PLAN_KEPT, Plan, Session, Want
from robustmq._fastpath.protocols.kafka.wire cimport (
    FETCH_FLEXIBLE, FETCH_LEADER_EPOCH, FETCH_LOG_START, FETCH_RACK, FETCH_REPLICA_STATE, FETCH_SESSIONS,
    FETCH_TOPIC_IDS, PARTITIONS_MAX, Request, read_string, read_topic, skip_header)
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.partition cimport Partition


cdef enum:
    LEADER_EPOCH = 0                # of every partition: one broker never truncates what it showed
    NS_PER_MS = 1000000


cdef Status make_room(Plan* plan, uint32_t more) noexcept nogil:
    cdef uint32_t cap = plan.cap if plan.cap > 0 else 4
    cdef Want* grown
    if more > PARTITIONS_MAX or plan.count + more > PARTITIONS_MAX:
        return Status.TOO_LARGE
    if plan.count + more > plan.cap:
        while cap < plan.count + more:
            cap *= 2
        grown = <Want*>realloc(plan.wants, cap * sizeof(Want))
        if grown == NULL:
            return Status.NO_MEMORY
        plan.wants = grown
        plan.cap = cap
    return Status.OK


cdef void read_head(Plan* plan, Cursor* c, int64_t now_ns) noexcept nogil:
    """Everything before the first topic."""
    cdef int16_t version = plan.request.version
    cdef int32_t session_epoch
    skip_header(c, version >= FETCH_FLEXIBLE)
    if version < FETCH_REPLICA_STATE:
        cursor_i32(c)
    plan.deadline_ns = now_ns + <int64_t>max(cursor_i32(c), 0) * NS_PER_MS
    plan.min_bytes = <uint64_t>max(cursor_i32(c), 0)
    plan.max_bytes = <uint32_t>min(max(cursor_i32(c), 0), <int32_t>FETCH_BYTES_MAX)
    plan.min_bytes = min(plan.min_bytes, <uint64_t>plan.max_bytes)
    cursor_i8(c)                    # isolation level: without transactions all that is committed is stable
    if version >= FETCH_SESSIONS:
        cursor_i32(c)
        session_epoch = cursor_i32(c)
        if session_epoch > 0:       # we never gave a session away: every request must be a full one (KIP-227)
            plan.error = KafkaError.FETCH_SESSION_ID_NOT_FOUND


cdef void look_up(Want* want, Topic* topic, int32_t epoch, bint by_id) noexcept nogil:
    """The partition, or the error that stands for it."""
    if topic == NULL or load_acquire_u32(&topic.flags) & TopicFlags.TOPIC_DELETED:
        want.error = KafkaError.UNKNOWN_TOPIC_ID if by_id else KafkaError.UNKNOWN_TOPIC_OR_PARTITION
    elif want.number < 0 or <uint32_t>want.number >= load_acquire_u32(&topic.partition_count):
        want.error = KafkaError.UNKNOWN_TOPIC_OR_PARTITION
    elif epoch > LEADER_EPOCH:                                          # KIP-320; -1: not asked
        want.error = KafkaError.UNKNOWN_LEADER_EPOCH
    else:
        want.partition = (<Partition**>load_acquire_ptr(&topic.partitions))[want.number]


cdef void read_want(Want* want, Cursor* c, int16_t version, Topic* topic) noexcept nogil:
    cdef int32_t epoch = -1
    memset(want, 0, sizeof(Want))
    want.number = cursor_i32(c)
    if version >= FETCH_LEADER_EPOCH:
        epoch = cursor_i32(c)
    want.offset = <uint64_t>cursor_i64(c)
    want.counted_to = want.offset
    if version >= FETCH_FLEXIBLE:
        cursor_i32(c)               # last_fetched_epoch: followers' truncation check
    if version >= FETCH_LOG_START:
        cursor_i64(c)
    want.max_bytes = <uint32_t>max(cursor_i32(c), 0)
    if version >= FETCH_FLEXIBLE:
        cursor_skip_tags(c)
    look_up(want, topic, epoch, version >= FETCH_TOPIC_IDS)


cdef Status read_topics(Session* session, Plan* plan, Cursor* c) noexcept nogil:
    cdef int16_t version = plan.request.version
    cdef bint flexible = version >= FETCH_FLEXIBLE
    cdef bint by_id = version >= FETCH_TOPIC_IDS
    cdef const uint8_t* name
    cdef int32_t n = 0, i, partitions, topics = cursor_count(c, flexible, 2)
    cdef Topic* topic
    cdef Want* want
    cdef Status status
    while topics > 0 and cursor_ok(c):
        topics -= 1
        name = read_topic(c, by_id, flexible, &n)
        partitions = cursor_count(c, flexible, 16)
        if not cursor_ok(c) or partitions < 0:
            return Status.MALFORMED
        status = make_room(plan, <uint32_t>partitions)
        if status != Status.OK:
            return status
        topic = topic_find_id(session.kafka.topics, name) if by_id else topic_find(session.kafka.topics, name,
                                                                                   <uint32_t>n)
        for i in range(partitions):
            want = plan.wants + plan.count
            read_want(want, c, version, topic)
            want.topic_at = <uint32_t>(name - plan.frame)
            want.topic_n = <uint16_t>n
            want.siblings = <uint32_t>partitions if i == 0 else 0
            plan.count += 1
        plan.topic_count += 1 if partitions > 0 else 0
        if flexible:
            cursor_skip_tags(c)
    return Status.OK if cursor_ok(c) and topics == 0 else Status.MALFORMED


cdef void skip_forgotten(Cursor* c, int16_t version) noexcept nogil:
    """Partitions that leave a fetch session; there is none to leave."""
    cdef bint flexible = version >= FETCH_FLEXIBLE
    cdef int32_t n = 0, topics = cursor_count(c, flexible, 2)
    while topics > 0 and cursor_ok(c):
        topics -= 1
        read_topic(c, version >= FETCH_TOPIC_IDS, flexible, &n)
        n = cursor_count(c, flexible, 4)
        cursor_skip(c, <uint64_t>max(n, 0) * 4)
        if flexible:
            cursor_skip_tags(c)


cdef Status plan_read(Session* session, const Request* request, const uint8_t* frame, uint64_t n,
                      int64_t now_ns) noexcept nogil:
    cdef Plan* plan = &session.plan
    cdef int16_t version = request.version
    cdef int32_t rack = 0
    cdef Cursor c
    cdef Status status
    plan.request = request[0]
    plan.frame = frame
    plan.error = KafkaError.NONE
    plan.count = 0
    plan.topic_count = 0
    cursor_init(&c, frame, n)
    read_head(plan, &c, now_ns)
    status = read_topics(session, plan, &c)
    if status != Status.OK:
        return status
    if version >= FETCH_SESSIONS:
        skip_forgotten(&c, version)
    if version >= FETCH_RACK:
        read_string(&c, version >= FETCH_FLEXIBLE, &rack)
    if version >= FETCH_FLEXIBLE:
        cursor_skip_tags(&c)
    if plan.error != KafkaError.NONE:
        plan.count = 0
        plan.topic_count = 0
    return Status.OK if cursor_ok(&c) and c.p == c.end else Status.MALFORMED


cdef bint plan_keep_frame(Plan* plan, uint64_t n) noexcept nogil:
    plan.copy = <uint8_t*>malloc(n)
    if plan.copy == NULL:
        return False
    memcpy(plan.copy, plan.frame, n)
    plan.frame = plan.copy
    return True


cdef void plan_clear(Plan* plan) noexcept nogil:
    free(plan.copy)
    plan.copy = NULL
    plan.frame = NULL
    plan.count = 0
    if plan.cap > PLAN_KEPT:
        plan_free(plan)


cdef void plan_free(Plan* plan) noexcept nogil:
    free(plan.copy)
    free(plan.wants)
    memset(plan, 0, sizeof(Plan))
