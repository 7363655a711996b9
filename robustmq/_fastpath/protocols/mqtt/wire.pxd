"""MQTT's bytes, hot half: what a reactor decodes and encodes without Python. SUBSCRIBE and UNSUBSCRIBE are in requests.pyx,
all of their forms and CONNECT in packets.py.

    fixed header   | type << 4 | flags | remaining length, 1-4 bytes, 7 bits each |          [MQTT-2.1]
    PUBLISH        | topic len u16, topic | packet id u16 (QoS > 0) | v5: properties | payload
    acks           | packet id u16 | v5, when longer: reason u8 | v5, when longer: properties

Decoders look at one whole frame and point into it; they never write and never allocate. Peers' errors are statuses
(status.pxd): MALFORMED for bytes that the specification forbids, PROTOCOL_ERROR for what is well-formed but not allowed.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy
from robustmq._fastpath.cursor cimport store_be16, store_be32
from robustmq._fastpath.status cimport Status


cdef enum PacketType:
    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14
    AUTH = 15


cdef enum Version:
    V31 = 3
    V311 = 4
    V5 = 5


cdef enum Property:
    PAYLOAD_FORMAT = 0x01
    MESSAGE_EXPIRY = 0x02
    CONTENT_TYPE = 0x03
    RESPONSE_TOPIC = 0x08
    CORRELATION_DATA = 0x09
    SUBSCRIPTION_ID = 0x0B
    SESSION_EXPIRY = 0x11
    SERVER_REFERENCE = 0x1C
    REASON_STRING = 0x1F
    TOPIC_ALIAS = 0x23
    USER_PROPERTY = 0x26


cdef enum Reason:
    SUCCESS = 0x00
    DISCONNECT_WITH_WILL = 0x04
    UNSPECIFIED = 0x80
    MALFORMED_PACKET = 0x81
    PROTOCOL = 0x82
    IMPLEMENTATION = 0x83
    NOT_AUTHORIZED_REASON = 0x87
    SERVER_BUSY = 0x89
    SHUTDOWN = 0x8B
    KEEP_ALIVE_TIMEOUT = 0x8D
    SESSION_TAKEN_OVER = 0x8E
    TOPIC_NAME_INVALID = 0x90
    PACKET_ID_NOT_FOUND = 0x92
    RECEIVE_MAXIMUM_EXCEEDED = 0x93
    TOPIC_ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    QUOTA_EXCEEDED = 0x97
    ADMINISTRATIVE = 0x98


cdef enum:
    FRAME_MAX = 268435460           # 5 bytes of header and the longest remaining length
    FLAG_DUP = 8
    FLAG_RETAIN = 1


# A stretch of bytes in a frame; `data` is NULL when the property is absent (an empty one has a pointer and n = 0).
cdef struct Bytes:
    const uint8_t* data
    uint32_t n


cdef struct Publish:
    Bytes topic
    Bytes payload
    Bytes content_type
    Bytes response_topic
    Bytes correlation
    Bytes properties                # all of them, for a second walk over the user properties
    uint32_t expiry_s
    uint16_t packet_id              # 0 at QoS 0
    uint16_t alias                  # 0: none
    uint16_t user_count             # user properties
    uint8_t qos
    uint8_t retain
    uint8_t dup
    uint8_t has_expiry
    uint8_t payload_format          # 0 absent, else 1 + the value
    uint8_t reserved


cdef struct Ack:
    uint16_t packet_id
    uint8_t reason


cdef struct Disconnect:
    uint32_t session_expiry_s
    uint8_t has_session_expiry
    uint8_t reason


cdef inline uint8_t* put_u16(uint8_t* p, uint32_t v) noexcept nogil:
    store_be16(p, <uint16_t>v)
    return p + 2


cdef inline uint8_t* put_u32(uint8_t* p, uint32_t v) noexcept nogil:
    store_be32(p, v)
    return p + 4


cdef inline uint8_t* put_bytes(uint8_t* p, const uint8_t* data, uint32_t n) noexcept nogil:
    p = put_u16(p, n)
    if n:
        memcpy(p, data, n)
    return p + n


# The fixed header at `p`: its own length and that of the frame with it. NEED_MORE below a whole header; MALFORMED when
# the length runs to a fifth byte [MQTT-1.5.5-1 asks for the shortest form; readers take what fits in four].
cdef inline Status read_header(const uint8_t* p, uint64_t n, uint32_t* header, uint32_t* total) noexcept nogil:
    cdef uint32_t value = 0
    cdef uint32_t i
    for i in range(4):
        if n < i + 2:
            return Status.NEED_MORE
        value |= <uint32_t>(p[i + 1] & 127) << (7 * i)
        if p[i + 1] < 128:
            header[0] = i + 2
            total[0] = value + i + 2
            return Status.OK
    return Status.MALFORMED


# `body` .. `body + n` is what follows the fixed header whose first byte is `first`.
cdef Status decode_publish(const uint8_t* body, uint32_t n, uint8_t first, uint8_t version,
                           Publish* out) noexcept nogil

# PUBACK, PUBREC, PUBREL, PUBCOMP.
cdef Status decode_ack(const uint8_t* body, uint32_t n, uint8_t first, uint8_t version, Ack* out) noexcept nogil

cdef Status decode_disconnect(const uint8_t* body, uint32_t n, uint8_t first, uint8_t version,
                              Disconnect* out) noexcept nogil

# What stands at *at, which moves behind it; MALFORMED when it does not fit before `end`: a string [MQTT-1.5.4], a variable
# byte integer [MQTT-1.5.5], the length of properties and the stretch that they fill.
cdef Status take_string(const uint8_t** at, const uint8_t* end, Bytes* out) noexcept nogil
cdef Status take_varint(const uint8_t** at, const uint8_t* end, uint32_t* out) noexcept nogil
cdef Status take_section(const uint8_t** at, const uint8_t* end, Bytes* section) noexcept nogil

# Well-formed UTF-8 without U+0000 [MQTT-1.5.4-1, -2].
cdef bint valid_utf8(const uint8_t* p, uint64_t n) noexcept nogil

# A name that may be published to: at least one character, no wildcard, valid UTF-8 [MQTT-3.3.2-2, MQTT-4.7.3-1].
cdef bint valid_topic_name(const uint8_t* p, uint64_t n) noexcept nogil

# The next property in [at, end) of a section that a decoder has accepted; False at the end. For USER_PROPERTY `key`
# and `value` are filled.
cdef bint next_user_property(const uint8_t** at, const uint8_t* end, Bytes* key, Bytes* value) noexcept nogil

# One acknowledgement (PUBACK, PUBREC, PUBREL, PUBCOMP) at `p`, at most 5 bytes; returns its end. A reason other than
# SUCCESS is only written for version 5.
cdef inline uint8_t* put_ack(uint8_t* p, uint32_t packet, uint32_t packet_id, uint8_t reason,
                             uint8_t version) noexcept nogil:
    p[0] = <uint8_t>(packet << 4 | (2 if packet == PacketType.PUBREL else 0))
    p[1] = 3 if version == Version.V5 and reason else 2
    p[2] = <uint8_t>(packet_id >> 8)
    p[3] = <uint8_t>packet_id
    p[4] = reason
    return p + 2 + p[1]

# Version 5's word for a status in a DISCONNECT, and in a PUBACK or PUBREC (which know fewer).
cdef uint8_t reason_of(Status status) noexcept nogil
cdef uint8_t ack_reason_of(Status status) noexcept nogil
