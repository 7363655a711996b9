"""Decoders of the packets that reactors handle themselves; the contract is in wire.pxd."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from robustmq._fastpath.cursor cimport load_be16, load_be32
from robustmq._fastpath.status cimport Status


cdef enum Shape:                # of a property's value [MQTT-2.2.2.2]
    BYTE = 1
    TWO_BYTES = 2
    FOUR_BYTES = 3
    STRING = 4
    BINARY = 5
    PAIR = 6


cdef struct Item:               # one property as it stands
    uint32_t id
    uint32_t number             # BYTE, TWO_BYTES, FOUR_BYTES
    Bytes text                  # STRING, BINARY, PAIR (its name)
    Bytes value                 # PAIR


cdef uint32_t shape_of(uint32_t id) noexcept nogil:
    """The shape of a property that may stand in a packet of this file, 0 for all others [MQTT-2.2.2-2]."""
    if id == Property.USER_PROPERTY:
        return Shape.PAIR
    if id == Property.PAYLOAD_FORMAT:
        return Shape.BYTE
    if id == Property.TOPIC_ALIAS:
        return Shape.TWO_BYTES
    if id == Property.MESSAGE_EXPIRY or id == Property.SESSION_EXPIRY:
        return Shape.FOUR_BYTES
    if id == Property.CORRELATION_DATA:
        return Shape.BINARY
    if id == Property.CONTENT_TYPE or id == Property.RESPONSE_TOPIC or id == Property.REASON_STRING:
        return Shape.STRING
    return 0


cdef Status take_bytes(const uint8_t** at, const uint8_t* end, Bytes* out) noexcept nogil:
    cdef const uint8_t* p = at[0]
    if end - p < 2:
        return Status.MALFORMED
    out.n = load_be16(p)
    out.data = p + 2
    if end - out.data < <int64_t>out.n:
        return Status.MALFORMED
    at[0] = out.data + out.n
    return Status.OK


cdef Status take_string(const uint8_t** at, const uint8_t* end, Bytes* out) noexcept nogil:
    if take_bytes(at, end, out) != Status.OK or not valid_utf8(out.data, out.n):
        return Status.MALFORMED                                         # [MQTT-1.5.4-1]
    return Status.OK


cdef Status take_varint(const uint8_t** at, const uint8_t* end, uint32_t* out) noexcept nogil:
    cdef uint32_t value = 0
    cdef uint32_t i
    cdef const uint8_t* p = at[0]
    for i in range(4):
        if p + i >= end:
            return Status.MALFORMED
        value |= <uint32_t>(p[i] & 127) << (7 * i)
        if p[i] < 128:
            at[0] = p + i + 1
            out[0] = value
            return Status.OK
    return Status.MALFORMED


cdef Status take_item(const uint8_t** at, const uint8_t* end, Item* item) noexcept nogil:
    """One property, its id and value; MALFORMED for an id that no packet of this file carries."""
    cdef uint32_t shape
    cdef uint32_t size
    memset(item, 0, sizeof(Item))
    if take_varint(at, end, &item.id) != Status.OK:
        return Status.MALFORMED
    shape = shape_of(item.id)
    if shape == Shape.PAIR:
        if take_string(at, end, &item.text) != Status.OK:
            return Status.MALFORMED
        return take_string(at, end, &item.value)
    if shape == Shape.STRING:
        return take_string(at, end, &item.text)
    if shape == Shape.BINARY:
        return take_bytes(at, end, &item.text)
    size = 1 if shape == Shape.BYTE else 2 if shape == Shape.TWO_BYTES else 4 if shape == Shape.FOUR_BYTES else 0
    if size == 0 or end - at[0] < size:
        return Status.MALFORMED
    item.number = at[0][0] if size == 1 else load_be16(at[0]) if size == 2 else load_be32(at[0])
    at[0] += size
    return Status.OK


cdef Status take_section(const uint8_t** at, const uint8_t* end, Bytes* section) noexcept nogil:
    """The length of the properties and the stretch that they fill."""
    cdef uint32_t n = 0
    if take_varint(at, end, &n) != Status.OK or end - at[0] < <int64_t>n:
        return Status.MALFORMED
    section.data = at[0]
    section.n = n
    at[0] += n
    return Status.OK


cdef Status publish_properties(Publish* out) noexcept nogil:
    cdef const uint8_t* at = out.properties.data
    cdef const uint8_t* end = at + out.properties.n
    cdef Item item
    cdef uint32_t i
    while at < end:
        if take_item(&at, end, &item) != Status.OK:
            # A server never gets a subscription identifier in a PUBLISH [MQTT-3.3.4-6].
            return Status.PROTOCOL_ERROR if item.id == Property.SUBSCRIPTION_ID else Status.MALFORMED
        if item.id == Property.USER_PROPERTY:
            out.user_count += 1                                         # may repeat [MQTT-3.3.2-18]
        elif item.id == Property.PAYLOAD_FORMAT:
            if out.payload_format or item.number > 1:
                return Status.PROTOCOL_ERROR                            # [MQTT-3.3.2.3.2]
            out.payload_format = <uint8_t>(1 + item.number)
        elif item.id == Property.MESSAGE_EXPIRY:
            if out.has_expiry:
                return Status.PROTOCOL_ERROR                            # [MQTT-3.3.2.3.3]
            out.has_expiry = 1
            out.expiry_s = item.number
        elif item.id == Property.TOPIC_ALIAS:
            if out.alias or item.number == 0:                           # 0 is not allowed [MQTT-3.3.2-8]
                return Status.PROTOCOL_ERROR
            out.alias = <uint16_t>item.number
        elif item.id == Property.CONTENT_TYPE:
            if out.content_type.data:
                return Status.PROTOCOL_ERROR                            # [MQTT-3.3.2.3.9]
            out.content_type = item.text
        elif item.id == Property.CORRELATION_DATA:
            if out.correlation.data:
                return Status.PROTOCOL_ERROR                            # [MQTT-3.3.2.3.6]
            out.correlation = item.text
        elif item.id == Property.RESPONSE_TOPIC:
            if out.response_topic.data:
                return Status.PROTOCOL_ERROR                            # [MQTT-3.3.2.3.5]
            for i in range(item.text.n):
                if item.text.data[i] == c'+' or item.text.data[i] == c'#':
                    return Status.PROTOCOL_ERROR                        # [MQTT-3.3.2-14]
            out.response_topic = item.text
        else:
            return Status.MALFORMED                                     # not a property of PUBLISH [MQTT-2.2.2-2]
    return Status.OK


cdef Status decode_publish(const uint8_t* body, uint32_t n, uint8_t first, uint8_t version,
                           Publish* out) noexcept nogil:
    cdef const uint8_t* at = body
    cdef const uint8_t* end = body + n
    cdef Status status
    memset(out, 0, sizeof(Publish))
    out.qos = (first >> 1) & 3
    out.retain = first & FLAG_RETAIN
    out.dup = (first >> 3) & 1
    if out.qos == 3:
        return Status.MALFORMED                                         # [MQTT-3.3.1-4]
    if out.dup and out.qos == 0:
        return Status.MALFORMED                                         # [MQTT-3.3.1-2]
    if take_bytes(&at, end, &out.topic) != Status.OK:
        return Status.MALFORMED
    if out.qos:
        if end - at < 2:
            return Status.MALFORMED
        out.packet_id = load_be16(at)
        at += 2
        if out.packet_id == 0:
            return Status.MALFORMED                                     # [MQTT-2.2.1-3]
    if version == Version.V5:
        if take_section(&at, end, &out.properties) != Status.OK:
            return Status.MALFORMED
        if out.properties.n:
            status = publish_properties(out)
            if status != Status.OK:
                return status
    if out.topic.n == 0 and out.alias == 0:
        # An empty name needs an alias [MQTT-3.3.2.1]; 3.1.1 has none [MQTT-4.7.3-1].
        return Status.PROTOCOL_ERROR if version == Version.V5 else Status.MALFORMED
    out.payload.data = at
    out.payload.n = <uint32_t>(end - at)
    return Status.OK


cdef bint valid_ack_reason(uint32_t packet, uint8_t reason) noexcept nogil:
    """Tables 3-4 to 3-7 of version 5."""
    if reason == Reason.SUCCESS:
        return True
    if packet == PacketType.PUBREL or packet == PacketType.PUBCOMP:
        return reason == Reason.PACKET_ID_NOT_FOUND
    return (reason == 0x10 or reason == Reason.UNSPECIFIED or reason == Reason.IMPLEMENTATION
            or reason == Reason.NOT_AUTHORIZED_REASON or reason == Reason.TOPIC_NAME_INVALID or reason == 0x91
            or reason == Reason.QUOTA_EXCEEDED or reason == 0x99)


cdef Status reason_properties(const uint8_t** at, const uint8_t* end, uint32_t packet,
                              Disconnect* out) noexcept nogil:
    """Properties of acknowledgements and of DISCONNECT; nothing may follow them."""
    cdef Bytes section
    cdef Item item
    cdef bint reason_string = False
    if take_section(at, end, &section) != Status.OK or at[0] != end:
        return Status.MALFORMED
    at[0] = section.data
    while at[0] < end:
        if take_item(at, end, &item) != Status.OK:
            # Only a server sends a server reference [MQTT-3.14.2.2.5].
            return Status.PROTOCOL_ERROR if item.id == Property.SERVER_REFERENCE else Status.MALFORMED
        if item.id == Property.USER_PROPERTY:
            continue
        if item.id == Property.REASON_STRING:
            if reason_string:
                return Status.PROTOCOL_ERROR                            # [MQTT-3.4.2.2.2]
            reason_string = True
        elif item.id == Property.SESSION_EXPIRY and packet == PacketType.DISCONNECT:
            if out.has_session_expiry:
                return Status.PROTOCOL_ERROR                            # [MQTT-3.14.2.2.2]
            out.has_session_expiry = 1
            out.session_expiry_s = item.number
        else:
            return Status.MALFORMED                                     # [MQTT-2.2.2-2]
    return Status.OK


cdef Status decode_ack(const uint8_t* body, uint32_t n, uint8_t first, uint8_t version, Ack* out) noexcept nogil:
    cdef uint32_t packet = first >> 4
    cdef const uint8_t* at = body + 3
    cdef Disconnect unused
    if (first & 15) != (2 if packet == PacketType.PUBREL else 0) and (version != Version.V31 or first & 5):
        return Status.MALFORMED             # [MQTT-2.1.3-1]; 3.1 has DUP and QoS bits in PUBREL and ignores them
    if n < 2:
        return Status.MALFORMED
    out.packet_id = load_be16(body)
    out.reason = Reason.SUCCESS
    if out.packet_id == 0:
        return Status.MALFORMED                                         # [MQTT-2.2.1-3]
    if n == 2:
        return Status.OK
    if version != Version.V5:
        return Status.MALFORMED
    out.reason = body[2]
    if not valid_ack_reason(packet, out.reason):
        return Status.MALFORMED                                         # [MQTT-3.4.2-1] and its like
    return Status.OK if n == 3 else reason_properties(&at, body + n, packet, &unused)


cdef Status decode_disconnect(const uint8_t* body, uint32_t n, uint8_t first, uint8_t version,
                              Disconnect* out) noexcept nogil:
    cdef const uint8_t* at = body + 1
    memset(out, 0, sizeof(Disconnect))
    if first & 15:
        return Status.MALFORMED                                         # [MQTT-3.14.1-1]
    if n == 0:
        return Status.OK
    if version != Version.V5:
        return Status.MALFORMED
    out.reason = body[0]
    # What a client may say [MQTT-3.14.2-1], table 3-10.
    if (out.reason != 0 and out.reason != Reason.DISCONNECT_WITH_WILL and not 0x80 <= out.reason <= 0x83
            and out.reason != 0x90 and not 0x93 <= out.reason <= 0x99):
        return Status.MALFORMED
    return Status.OK if n == 1 else reason_properties(&at, body + n, PacketType.DISCONNECT, out)


cdef bint next_user_property(const uint8_t** at, const uint8_t* end, Bytes* key, Bytes* value) noexcept nogil:
    cdef Item item
    while at[0] < end:
        if take_item(at, end, &item) != Status.OK:
            return False
        if item.id == Property.USER_PROPERTY:
            key[0] = item.text
            value[0] = item.value
            return True
    return False


cdef uint64_t ascii_prefix(const uint8_t* p, uint64_t n) noexcept nogil:
    """How many bytes at `p` are 0x01-0x7F, in steps of eight."""
    cdef uint64_t i = 0
    cdef uint64_t word
    while i + 8 <= n:
        memcpy(&word, p + i, 8)
        if (word | (word - 0x0101010101010101ULL)) & 0x8080808080808080ULL:
            break
        i += 8
    return i


cdef bint valid_utf8(const uint8_t* p, uint64_t n) noexcept nogil:
    cdef uint64_t i = ascii_prefix(p, n)
    cdef uint32_t lead
    cdef uint32_t size
    cdef uint32_t low
    cdef uint32_t high
    while i < n:
        lead = p[i]
        if lead < 0x80:
            if lead == 0:
                return False
            i += 1
            continue
        # Table 3-7 of the Unicode standard: the second byte's range excludes overlong forms and surrogates.
        low = 0x80
        high = 0xBF
        if 0xC2 <= lead <= 0xDF:
            size = 2
        elif 0xE0 <= lead <= 0xEF:
            size = 3
            low = 0xA0 if lead == 0xE0 else 0x80
            high = 0x9F if lead == 0xED else 0xBF
        elif 0xF0 <= lead <= 0xF4:
            size = 4
            low = 0x90 if lead == 0xF0 else 0x80
            high = 0x8F if lead == 0xF4 else 0xBF
        else:
            return False
        if n - i < size or not low <= p[i + 1] <= high:
            return False
        if size > 2 and (p[i + 2] & 0xC0) != 0x80:
            return False
        if size > 3 and (p[i + 3] & 0xC0) != 0x80:
            return False
        i += size
    return True


cdef bint valid_topic_name(const uint8_t* p, uint64_t n) noexcept nogil:
    cdef uint64_t i
    if n == 0:
        return False
    for i in range(n):
        if p[i] == c'+' or p[i] == c'#':
            return False
    return valid_utf8(p, n)


cdef uint8_t reason_of(Status status) noexcept nogil:
    if status == Status.OK or status == Status.DUPLICATE:
        return Reason.SUCCESS
    if status == Status.MALFORMED:
        return Reason.MALFORMED_PACKET
    if status == Status.PROTOCOL_ERROR or status == Status.UNSUPPORTED:
        return Reason.PROTOCOL
    if status == Status.TOO_LARGE:
        return Reason.PACKET_TOO_LARGE
    if status == Status.NOT_AUTHORIZED:
        return Reason.NOT_AUTHORIZED_REASON
    if status == Status.INVALID_TOPIC or status == Status.UNKNOWN_TOPIC:
        return Reason.TOPIC_NAME_INVALID
    if status == Status.OUT_OF_RANGE:
        return Reason.TOPIC_ALIAS_INVALID
    if status == Status.QUOTA or status == Status.STORE_FULL:
        return Reason.QUOTA_EXCEEDED
    if status == Status.TIMED_OUT:
        return Reason.KEEP_ALIVE_TIMEOUT
    if status == Status.TAKEN_OVER:
        return Reason.SESSION_TAKEN_OVER
    if status == Status.SHUTTING_DOWN:
        return Reason.SHUTDOWN
    if status == Status.ADMIN_CLOSED:
        return Reason.ADMINISTRATIVE
    if status == Status.NO_MEMORY:
        return Reason.SERVER_BUSY
    if status == Status.INTERNAL or status == Status.INVALID_RECORD or status == Status.CORRUPT or status == Status.OUT_OF_ORDER \
            or status == Status.STALE_EPOCH:
        return Reason.IMPLEMENTATION
    return Reason.UNSPECIFIED           # STORE_FAILED, READ_ONLY; NEED_MORE, PARKED, ELSEWHERE, PEER_CLOSED: never sent


cdef uint8_t ack_reason_of(Status status) noexcept nogil:
    cdef uint8_t reason = reason_of(status)
    if status == Status.TOO_LARGE or status == Status.NO_MEMORY:
        return Reason.QUOTA_EXCEEDED
    return reason if valid_ack_reason(PacketType.PUBACK, reason) else <uint8_t>Reason.UNSPECIFIED
