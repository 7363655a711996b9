"""PUBLISH packets towards clients; the contract is in encode.pxd."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from robustmq._fastpath.batch cimport BATCH_HEADER, RecordView, record_next
from robustmq._fastpath.block cimport Block, Ref, block_data, block_new, ref_holds, ref_release
from robustmq._fastpath.broker.topic cimport topic_mqtt_name
from robustmq._fastpath.cursor cimport Cursor, cursor_init
from robustmq._fastpath.out cimport Out, out_commit, out_ref, out_reserve
from robustmq._fastpath.protocols.mqtt.message cimport Message, message_alive, message_read, users_size, users_write
from robustmq._fastpath.protocols.mqtt.wire cimport (
    FLAG_DUP, FLAG_RETAIN, FRAME_MAX, PacketType, Property, Version, put_bytes, put_u16, put_u32,
)
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.writer cimport put_vbi, vbi_size


cdef enum:
    RESERVE_MAX = 65536         # out_reserve's bound
    SHARED_MAX = 1 << 20        # a longer run is not worth one block: its sessions reference or copy on their own
    PACKET_OVERHEAD = 16


cdef uint32_t properties_size(const Frame* frame, const Message* message) noexcept nogil:
    cdef uint32_t i
    cdef uint32_t n = 0
    for i in range(frame.id_count):
        n += 1 + vbi_size(frame.ids[i])
    if frame.alias:
        n += 3
    if message.payload_format:
        n += 2
    if message.has_expiry:
        n += 5
    if message.content_type.data != NULL:
        n += 3 + message.content_type.n
    if message.response_topic.data != NULL:
        n += 3 + message.response_topic.n
    if message.correlation.data != NULL:
        n += 3 + message.correlation.n
    return n + users_size(message) if message.has_users else n


cdef uint8_t* properties_write(uint8_t* p, const Frame* frame, const Message* message) noexcept nogil:
    cdef uint32_t i
    for i in range(frame.id_count):
        p[0] = Property.SUBSCRIPTION_ID
        p = put_vbi(p + 1, frame.ids[i])
    if frame.alias:
        p[0] = Property.TOPIC_ALIAS
        p = put_u16(p + 1, frame.alias)
    if message.payload_format:
        p[0] = Property.PAYLOAD_FORMAT
        p[1] = message.payload_format - 1
        p += 2
    if message.has_expiry:
        p[0] = Property.MESSAGE_EXPIRY
        p = put_u32(p + 1, frame.expiry_left_s)                         # [MQTT-3.3.2-6]
    if message.content_type.data != NULL:
        p[0] = Property.CONTENT_TYPE
        p = put_bytes(p + 1, message.content_type.data, message.content_type.n)
    if message.response_topic.data != NULL:
        p[0] = Property.RESPONSE_TOPIC
        p = put_bytes(p + 1, message.response_topic.data, message.response_topic.n)
    if message.correlation.data != NULL:
        p[0] = Property.CORRELATION_DATA
        p = put_bytes(p + 1, message.correlation.data, message.correlation.n)
    return users_write(message, p) if message.has_users else p


cdef uint32_t frame_size(const Frame* frame, const Message* message, uint32_t* head) noexcept nogil:
    cdef uint64_t n = 2 + <uint64_t>frame.topic.n + (2 if frame.qos else 0)
    cdef uint32_t properties
    if frame.version == Version.V5:
        properties = properties_size(frame, message)
        n += vbi_size(properties) + properties
    if n + message.payload.n > FRAME_MAX - 5:
        return 0
    head[0] = <uint32_t>n + 1 + vbi_size(<uint32_t>n + message.payload.n)
    return head[0] + message.payload.n


cdef uint8_t* head_write(uint8_t* p, const Frame* frame, const Message* message, uint32_t size,
                         uint32_t head) noexcept nogil:
    """All before the payload: `head` bytes."""
    cdef uint32_t header = 2 if size < 130 else 3 if size < 16387 else 4 if size < 2097156 else 5
    p[0] = <uint8_t>(PacketType.PUBLISH << 4 | (FLAG_DUP if frame.dup else 0) | frame.qos << 1 |
                     (FLAG_RETAIN if frame.retain else 0))
    p = put_vbi(p + 1, size - header)
    p = put_bytes(p, frame.topic.data, frame.topic.n)
    if frame.qos:
        p = put_u16(p, frame.packet_id)
    if frame.version == Version.V5:
        if frame.id_count == 0 and frame.alias == 0 and message.headers_len == 0 and not message.has_users:
            p[0] = 0
            return p + 1
        p = put_vbi(p, properties_size(frame, message))
        p = properties_write(p, frame, message)
    return p


cdef Status frame_put(Out* out, const Frame* frame, const Message* message, uint32_t size, uint32_t head,
                      Ref* ref) noexcept nogil:
    cdef Block* block
    cdef uint8_t* p
    cdef bint whole = message.payload.n <= COPY_MAX
    cdef uint32_t n = size if whole else head
    cdef bint done
    if n <= RESERVE_MAX:
        p = out_reserve(out, n)
        if p == NULL:
            return Status.NO_MEMORY
        p = head_write(p, frame, message, size, head)
        if whole and message.payload.n:
            memcpy(p, message.payload.data, message.payload.n)
        if not ref_holds(ref):
            return Status.NO_MEMORY
        out_commit(out, n)
    else:
        block = block_new(n)
        if block == NULL:
            return Status.NO_MEMORY
        p = head_write(block_data(block), frame, message, size, head)
        if whole and message.payload.n:
            memcpy(p, message.payload.data, message.payload.n)
        block.len = n
        done = ref_holds(ref) and out_ref(out, &block.ref, block_data(block), n)
        ref_release(&block.ref)
        if not done:
            return Status.NO_MEMORY
    if not whole and not out_ref(out, ref, message.payload.data, message.payload.n):
        return Status.NO_MEMORY
    return Status.OK


cdef uint64_t shared_frames(Run* run, uint32_t form, int64_t wall_ms, uint64_t* expired) noexcept nogil:
    cdef uint64_t info = SharedBits.SHARED_BUILT
    cdef uint64_t room = run.n + <uint64_t>run.count * (run.topic.mqtt_len + PACKET_OVERHEAD)
    cdef uint64_t largest = 0
    cdef uint64_t count = 0
    cdef uint64_t too_old = 0
    cdef Block* block
    cdef Cursor cursor
    cdef RecordView record
    cdef Message message
    cdef Frame frame
    cdef uint8_t* p
    cdef uint32_t size
    cdef uint32_t head = 0
    if run.frames_info[form]:
        return run.frames_info[form]
    run.frames_info[form] = info
    block = block_new(<uint32_t>room) if room <= SHARED_MAX else NULL
    if block == NULL:
        return info
    memset(&frame, 0, sizeof(frame))
    frame.version = Version.V5 if form == SHARED_V5 else Version.V311
    p = block_data(block)
    cursor_init(&cursor, run.batch + BATCH_HEADER, run.n - BATCH_HEADER)
    while record_next(&cursor, &record):
        message_read(&record, run.base_timestamp_ms, run.flags, &message)
        frame.topic.data = topic_mqtt_name(run.topic)
        frame.topic.n = run.topic.mqtt_len
        if message.topic.data != NULL:
            frame.topic = message.topic
        if not message_alive(&message, wall_ms, &frame.expiry_left_s):
            too_old += 1
            continue
        size = frame_size(&frame, &message, &head)
        if size == 0 or message.payload.n > COPY_MAX or <uint64_t>(p - block_data(block)) + size > block.cap:
            ref_release(&block.ref)
            return info
        p = head_write(p, &frame, &message, size, head)
        if message.payload.n:
            memcpy(p, message.payload.data, message.payload.n)
            p += message.payload.n
        if message.qos:
            info |= SharedBits.SHARED_HAS_QOS
        if message.retain:
            info |= SharedBits.SHARED_HAS_RETAIN
        largest = size if size > largest else largest
        count += 1
    if not ref_holds(run.ref):
        ref_release(&block.ref)
        return info
    block.len = <uint32_t>(p - block_data(block))
    expired[0] += too_old
    run.frames[form] = block
    run.frames_info[form] = info | count << SharedBits.SHARED_COUNT_SHIFT | largest << SharedBits.SHARED_LARGEST_SHIFT
    return run.frames_info[form]
