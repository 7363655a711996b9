"""The names of one topic: MQTT's `a/b/c` is Kafka's `a.b.c` (docs/protocols/mapping.md).

A bijection between all legal Kafka names and the MQTT topics that fit:

    MQTT            Kafka
    /               .
    [A-Za-z0-9_-]   the same
    anything else   __HEX_        the code point, lower-case hexadecimal without leading zeros: space is __20_, a dot __2e_
    _               __5f_         only where a plain _ would be read as the begin of an escape

An escape that nobody would have written (of a letter, of a wildcard, of no character) is not one: it stands for itself. So
every Kafka name has exactly one MQTT topic and the other way round. Not mapped: what is longer than 249 bytes in Kafka's
form, and the topics `/` and `//`, whose forms Kafka forbids.

Concurrency: pure functions.
"""
from libc.stdint cimport int32_t, uint8_t, uint32_t


cdef enum:
    KAFKA_NAME_MAX = 249
    MQTT_NAME_MAX = 249             # an escape is longer than the character that it stands for


# Writes at most KAFKA_NAME_MAX bytes; returns their number, or -1: not UTF-8, a character that no topic name has
# (wildcards, U+0000), or no room.
cdef int32_t name_to_kafka(const uint8_t* topic, uint32_t n, uint8_t* out) noexcept nogil

# Writes at most MQTT_NAME_MAX bytes; returns their number, or -1: not a legal Kafka name.
cdef int32_t name_to_mqtt(const uint8_t* name, uint32_t n, uint8_t* out) noexcept nogil
