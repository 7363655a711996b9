"""The record headers of a PUBLISH; the correspondence is in message.pxd."""
from libc.stdint cimport int32_t, uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy
from robustmq._fastpath.protocols.mqtt.wire cimport Bytes, Publish, next_user_property
from robustmq._fastpath.writer cimport put_varint


cdef enum:
    PER_HEADER = 24             # two lengths and the longest prefix
    FIXED = 256                 # all names and small values that are not user properties


cdef inline void add(Headers* headers, const char* name, uint32_t name_len, const uint8_t* value,
                     uint32_t n) noexcept nogil:
    cdef uint8_t* p = put_varint(headers.data + headers.len, <int32_t>name_len)
    memcpy(p, name, name_len)
    p = put_varint(p + name_len, <int32_t>n)
    if n:
        memcpy(p, value, n)
    headers.len = <uint32_t>(p + n - headers.data)
    headers.count += 1


cdef void add_number(Headers* headers, const char* name, uint32_t name_len, uint32_t value) noexcept nogil:
    cdef uint8_t text[10]
    cdef uint32_t i = 10
    while True:
        i -= 1
        text[i] = <uint8_t>(c'0' + value % 10)
        value //= 10
        if value == 0:
            break
    add(headers, name, name_len, text + i, 10 - i)


cdef inline bint reserved(const Bytes* name) noexcept nogil:
    return ((name.n >= 5 and memcmp(name.data, b"mqtt.", 5) == 0)
            or (name.n >= 6 and memcmp(name.data, b"kafka.", 6) == 0))


cdef void add_users(Headers* headers, const Publish* view) noexcept nogil:
    cdef const uint8_t* at = view.properties.data
    cdef const uint8_t* end = at + view.properties.n
    cdef Bytes name
    cdef Bytes value
    cdef uint8_t* p
    while next_user_property(&at, end, &name, &value):
        if name.n == 9 and memcmp(name.data, b"kafka.key", 9) == 0:
            headers.key = value
            continue
        if not reserved(&name):
            add(headers, <const char*>name.data, name.n, value.data, value.n)
            continue
        p = put_varint(headers.data + headers.len, <int32_t>name.n + 10)
        memcpy(p, b"mqtt.user.", 10)
        memcpy(p + 10, name.data, name.n)
        p = put_varint(p + 10 + name.n, <int32_t>value.n)
        memcpy(p, value.data, value.n)
        headers.len = <uint32_t>(p + value.n - headers.data)
        headers.count += 1


cdef bint headers_write(Headers* headers, const Publish* view, const Bytes* topic) noexcept nogil:
    cdef uint32_t room = FIXED + view.properties.n + (view.user_count * PER_HEADER) + (topic.n if topic != NULL else 0)
    if room > headers.cap:
        free(headers.data)
        headers.cap = room
        headers.data = <uint8_t*>malloc(room)
        if headers.data == NULL:
            headers.cap = 0
            return False
    headers.len = 0
    headers.count = 0
    headers.key.data = NULL
    headers.key.n = 0
    if topic != NULL:
        add(headers, b"mqtt.topic", 10, topic.data, topic.n)
    if view.qos:
        add(headers, b"mqtt.qos", 8, b"2" if view.qos == 2 else b"1", 1)
    if view.retain:
        add(headers, b"mqtt.retain", 11, b"1", 1)
    if view.properties.n == 0:
        return True
    if view.payload_format:
        add(headers, b"mqtt.payload-format", 19, b"1" if view.payload_format == 2 else b"0", 1)
    if view.has_expiry:
        add_number(headers, b"mqtt.expiry", 11, view.expiry_s)
    if view.content_type.data != NULL:
        add(headers, b"mqtt.content-type", 17, view.content_type.data, view.content_type.n)
    if view.response_topic.data != NULL:
        add(headers, b"mqtt.response-topic", 19, view.response_topic.data, view.response_topic.n)
    if view.correlation.data != NULL:
        add(headers, b"mqtt.correlation-data", 21, view.correlation.data, view.correlation.n)
    if view.user_count:
        add_users(headers, view)
    return True


cdef void headers_free(Headers* headers) noexcept nogil:
    free(headers.data)
    headers.data = NULL
    headers.cap = 0
