"""Records read as MQTT messages; the correspondence is in message.pxd."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec
from robustmq._fastpath.batch cimport HeaderView, RecordView, header_next
from robustmq._fastpath.cursor cimport Cursor, cursor_init
from robustmq._fastpath.protocols.mqtt.wire cimport Bytes, Property, put_bytes, put_u16, valid_utf8
from robustmq._fastpath.stores.journal cimport EntryFlags


cdef const uint8_t* BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
cdef const uint8_t* KEY_NAME = b"kafka.key"
cdef const uint8_t* BINARY_SUFFIX = b";base64"          # behind the name of a property whose value is not UTF-8


cdef enum:
    KEY_NAME_LEN = 9
    BINARY_SUFFIX_LEN = 7
    MQTT_PREFIX_LEN = 5             # "mqtt."
    USER_PREFIX_LEN = 10            # "mqtt.user."
    TEXT_MAX = 65535


cdef inline bint is_name(const Bytes* name, const char* text, uint32_t n) noexcept nogil:
    return name.n == n and memcmp(name.data, text, n) == 0


cdef uint32_t decimal(const Bytes* text) noexcept nogil:
    cdef uint64_t value = 0
    cdef uint32_t i
    for i in range(text.n):
        if not c'0' <= text.data[i] <= c'9' or value > 0xFFFFFFFFU:
            return 0xFFFFFFFFU                      # what is not a number never expires
        value = value * 10 + text.data[i] - c'0'
    return <uint32_t>value if value < 0xFFFFFFFFU else 0xFFFFFFFFU


cdef void read_mqtt_header(Message* out, const Bytes* name, const Bytes* value) noexcept nogil:
    """`name` begins with "mqtt."."""
    if is_name(name, b"mqtt.qos", 8):
        out.qos = 2 if value.n and value.data[0] == c'2' else 1 if value.n and value.data[0] == c'1' else 0
    elif is_name(name, b"mqtt.retain", 11):
        out.retain = 1
    elif is_name(name, b"mqtt.expiry", 11):
        out.has_expiry = 1
        out.expiry_s = decimal(value)
    elif is_name(name, b"mqtt.payload-format", 19):
        out.payload_format = 2 if value.n and value.data[0] == c'1' else 1
    elif is_name(name, b"mqtt.topic", 10):
        out.topic = value[0]
    elif value.n <= TEXT_MAX:
        if is_name(name, b"mqtt.content-type", 17) and valid_utf8(value.data, value.n):
            out.content_type = value[0]
        elif is_name(name, b"mqtt.response-topic", 19) and valid_utf8(value.data, value.n):
            out.response_topic = value[0]
        elif is_name(name, b"mqtt.correlation-data", 21):
            out.correlation = value[0]
        elif name.n >= USER_PREFIX_LEN and memcmp(name.data, b"mqtt.user.", USER_PREFIX_LEN) == 0:
            out.has_users = 1


cdef inline bint has_prefix(const HeaderView* header, const char* prefix, uint32_t n) noexcept nogil:
    return header.key_len >= <int32_t>n and memcmp(header.key, prefix, n) == 0


cdef inline void take_header(const HeaderView* header, Bytes* name, Bytes* value) noexcept nogil:
    name.data = header.key
    name.n = <uint32_t>header.key_len
    value.data = header.value if header.value != NULL else header.key        # a null value reads as an empty one
    value.n = <uint32_t>header.value_len if header.value_len > 0 else 0


cdef void message_read(const RecordView* record, int64_t base_timestamp_ms, uint16_t flags, Message* out) noexcept nogil:
    cdef Cursor headers
    cdef HeaderView header
    cdef Bytes name
    cdef Bytes value
    memset(out, 0, sizeof(Message))
    out.timestamp_ms = base_timestamp_ms + record.timestamp_delta
    out.key.data = record.key
    out.key.n = <uint32_t>record.key_len if record.key_len > 0 else 0
    out.payload.data = record.value
    out.payload.n = <uint32_t>record.value_len if record.value_len > 0 else 0
    out.headers = record.headers
    out.headers_len = record.headers_len
    out.qos = 0 if flags & EntryFlags.FROM_MASK == EntryFlags.FROM_MQTT else 1
    out.has_users = record.key != NULL
    if record.header_count == 0:
        return
    cursor_init(&headers, record.headers, record.headers_len)
    while header_next(&headers, &header):
        if has_prefix(&header, b"mqtt.", MQTT_PREFIX_LEN):
            take_header(&header, &name, &value)
            read_mqtt_header(out, &name, &value)
        else:
            out.has_users = 1


cdef inline bint fits(const Bytes* text) noexcept nogil:
    """Whether MQTT can carry it, as it is or in base64."""
    return text.n <= TEXT_MAX // 4 * 3 or (text.n <= TEXT_MAX and valid_utf8(text.data, text.n))


cdef bint next_user(Cursor* headers, Bytes* name, Bytes* value) noexcept nogil:
    """The next header that is a user property, its name without the prefix."""
    cdef HeaderView header
    while header_next(headers, &header):
        take_header(&header, name, value)
        if has_prefix(&header, b"mqtt.", MQTT_PREFIX_LEN):
            if not has_prefix(&header, b"mqtt.user.", USER_PREFIX_LEN):
                continue
            name.data += USER_PREFIX_LEN
            name.n -= USER_PREFIX_LEN
        if name.n <= TEXT_MAX - BINARY_SUFFIX_LEN and fits(value) and valid_utf8(name.data, name.n):
            return True
    return False


cdef uint32_t user_size(const Bytes* name, const Bytes* value) noexcept nogil:
    if valid_utf8(value.data, value.n):
        return 5 + name.n + value.n
    return 5 + name.n + BINARY_SUFFIX_LEN + (value.n + 2) // 3 * 4


cdef uint8_t* user_write(uint8_t* p, const Bytes* name, const Bytes* value) noexcept nogil:
    cdef uint32_t i
    cdef uint32_t word
    p[0] = Property.USER_PROPERTY
    if valid_utf8(value.data, value.n):
        p = put_bytes(p + 1, name.data, name.n)
        return put_bytes(p, value.data, value.n)
    p = put_u16(p + 1, name.n + BINARY_SUFFIX_LEN)
    memcpy(p, name.data, name.n)
    memcpy(p + name.n, BINARY_SUFFIX, BINARY_SUFFIX_LEN)
    p = put_u16(p + name.n + BINARY_SUFFIX_LEN, (value.n + 2) // 3 * 4)
    for i in range(0, value.n, 3):
        word = <uint32_t>value.data[i] << 16
        word |= <uint32_t>value.data[i + 1] << 8 if i + 1 < value.n else 0
        word |= value.data[i + 2] if i + 2 < value.n else 0
        p[0] = BASE64[word >> 18]
        p[1] = BASE64[word >> 12 & 63]
        p[2] = BASE64[word >> 6 & 63] if i + 1 < value.n else c'='
        p[3] = BASE64[word & 63] if i + 2 < value.n else c'='
        p += 4
    return p


cdef uint32_t users_size(const Message* message) noexcept nogil:
    cdef Cursor headers
    cdef Bytes name
    cdef Bytes value
    cdef uint32_t size = 0
    if not message.has_users:
        return 0
    if message.key.data != NULL and fits(&message.key):
        name.data = KEY_NAME
        name.n = KEY_NAME_LEN
        size += user_size(&name, &message.key)
    cursor_init(&headers, message.headers, message.headers_len)
    while next_user(&headers, &name, &value):
        size += user_size(&name, &value)
    return size


cdef uint8_t* users_write(const Message* message, uint8_t* p) noexcept nogil:
    cdef Cursor headers
    cdef Bytes name
    cdef Bytes value
    if not message.has_users:
        return p
    if message.key.data != NULL and fits(&message.key):
        name.data = KEY_NAME
        name.n = KEY_NAME_LEN
        p = user_write(p, &name, &message.key)
    cursor_init(&headers, message.headers, message.headers_len)
    while next_user(&headers, &name, &value):
        p = user_write(p, &name, &value)
    return p


cdef bint message_alive(const Message* message, int64_t wall_ms, uint32_t* left) noexcept nogil:
    cdef int64_t waited_s
    left[0] = 0
    if not message.has_expiry:
        return True
    waited_s = (wall_ms - message.timestamp_ms) // 1000
    if waited_s <= 0:
        left[0] = message.expiry_s
        return message.expiry_s > 0
    if waited_s >= message.expiry_s:
        return False                                # [MQTT-3.3.2-5]
    left[0] = message.expiry_s - <uint32_t>waited_s # [MQTT-3.3.2-6]
    return True


cdef int64_t wall_ms() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_REALTIME, &now)
    return <int64_t>now.tv_sec * 1000 + now.tv_nsec // 1000000
