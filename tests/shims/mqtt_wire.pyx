"""The hot half's MQTT decoders, for tests: one frame in, a status and what was read out."""
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from robustmq._fastpath.protocols.mqtt.wire cimport (
    Ack, Bytes, Disconnect, PacketType, Publish, decode_ack, decode_disconnect, decode_publish, next_user_property,
    ack_reason_of, put_ack, read_header, reason_of, valid_topic_name, valid_utf8,
)
from robustmq._fastpath.status cimport Status


cdef object text(Bytes* part):
    return None if part.data == NULL else part.data[:part.n]


cdef dict publish_dict(Publish* view):
    cdef const uint8_t* at = view.properties.data
    cdef const uint8_t* end = at + view.properties.n
    cdef Bytes key, value
    users = []
    while next_user_property(&at, end, &key, &value):
        users.append((text(&key), text(&value)))
    return {
        "topic": text(&view.topic), "payload": text(&view.payload), "qos": view.qos, "retain": view.retain,
        "dup": view.dup, "packet_id": view.packet_id, "alias": view.alias, "users": users,
        "expiry": view.expiry_s if view.has_expiry else None, "format": view.payload_format - 1,
        "content_type": text(&view.content_type), "response_topic": text(&view.response_topic),
        "correlation": text(&view.correlation), "user_count": view.user_count,
    }


def decode(bytes frame, int version):
    """(status, fields) of a frame that the hot half reads. The copy has no byte to spare, so that ASan sees an overread."""
    cdef uint32_t header = 0, total = 0
    cdef Publish publish
    cdef Ack ack
    cdef Disconnect bye
    cdef uint32_t n = <uint32_t>len(frame)
    cdef uint8_t* copy = <uint8_t*>malloc(n or 1)
    cdef Status status
    memcpy(copy, <const uint8_t*>frame, n)
    try:
        status = read_header(copy, n, &header, &total)
        if status != Status.OK:
            return int(status), None
        if n < total:
            return int(Status.NEED_MORE), None
        packet = copy[0] >> 4
        if packet == PacketType.PUBLISH:
            status = decode_publish(copy + header, total - header, copy[0], <uint8_t>version, &publish)
            if status == Status.OK and publish.topic.n and not valid_topic_name(publish.topic.data, publish.topic.n):
                status = Status.INVALID_TOPIC
            return int(status), publish_dict(&publish) if status == Status.OK else None
        if PacketType.PUBACK <= packet <= PacketType.PUBCOMP:
            status = decode_ack(copy + header, total - header, copy[0], <uint8_t>version, &ack)
            return int(status), {"packet_id": ack.packet_id, "reason": ack.reason} if status == Status.OK else None
        status = decode_disconnect(copy + header, total - header, copy[0], <uint8_t>version, &bye)
        return int(status), {"reason": bye.reason, "expiry": bye.session_expiry_s if bye.has_session_expiry else None}
    finally:
        free(copy)


def utf8(bytes data):
    return valid_utf8(data, len(data))


def ack(int packet, int packet_id, int reason, int version):
    cdef uint8_t buffer[8]
    cdef uint8_t* end = put_ack(buffer, packet, packet_id, <uint8_t>reason, <uint8_t>version)
    return buffer[:end - buffer]


def reason(int status):
    return reason_of(<Status>status)


def ack_reason(int status):
    return ack_reason_of(<Status>status)
