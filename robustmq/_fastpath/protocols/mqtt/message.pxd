"""A record of the log as an MQTT message, and back: the one place that knows how they correspond.

    MQTT                    record
    payload                 value (a tombstone reads as an empty payload)
    user property NAME      header NAME; a NAME that begins with "mqtt." or "kafka." is stored as "mqtt.user.NAME"
    user property kafka.key key
    QoS 1, 2                header mqtt.qos = "1", "2"; absent: 0 for what MQTT wrote, 1 for all others
    RETAIN                  header mqtt.retain = "1"
    message expiry          header mqtt.expiry = seconds in decimal, counted from the record's timestamp
    content type            header mqtt.content-type
    response topic          header mqtt.response-topic
    correlation data        header mqtt.correlation-data
    payload format          header mqtt.payload-format = "0", "1"
    topic (folded topics)   header mqtt.topic

A header whose value is not UTF-8 reads as the user property "NAME;base64"; one that MQTT cannot carry at all (encoded, its
name or value is beyond 65,535 bytes, or the name is not UTF-8) is left out. docs/protocols/mqtt.md tells users the same.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from robustmq._fastpath.batch cimport RecordView
from robustmq._fastpath.protocols.mqtt.wire cimport Bytes, Publish


cdef struct Message:
    Bytes topic                 # mqtt.topic of a folded topic; data NULL: the Topic's own name
    Bytes key                   # data NULL: none
    Bytes payload
    Bytes content_type
    Bytes response_topic
    Bytes correlation
    const uint8_t* headers      # encoded
    uint32_t headers_len
    int64_t timestamp_ms
    uint32_t expiry_s
    uint8_t has_expiry
    uint8_t qos
    uint8_t retain
    uint8_t payload_format      # 0 absent, else 1 + the value
    uint8_t has_users           # a user property, or a key


# `record` of a batch with `base_timestamp_ms` that was written by `flags` (EntryFlags).
cdef void message_read(const RecordView* record, int64_t base_timestamp_ms, uint16_t flags, Message* out) noexcept nogil

# Encoded size of the message's user properties, and the encoding itself; `p` has room for it.
cdef uint32_t users_size(const Message* message) noexcept nogil
cdef uint8_t* users_write(const Message* message, uint8_t* p) noexcept nogil

# Seconds left of the message's life; False when it has expired. Without an expiry *left = 0 and True.
cdef bint message_alive(const Message* message, int64_t wall_ms, uint32_t* left) noexcept nogil

# CLOCK_REALTIME in milliseconds.
cdef int64_t wall_ms() noexcept nogil
