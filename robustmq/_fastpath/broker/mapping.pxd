"""`[[mapping]]` rules: an MQTT filter whose topics fold into one partitioned Kafka topic (docs/protocols/mapping.md).

The first rule that matches wins. A folded record carries its MQTT topic in the header `mqtt.topic`; its key, and with it
its partition (Kafka's murmur2, so that Kafka's own producers agree), comes from the rule.

Concurrency: written once at construction, read-only afterwards.
"""
from libc.stdint cimport int32_t, uint8_t, uint32_t


cdef enum MappingKey:
    KEY_NONE = 0                # no key; the partition comes from the MQTT topic
    KEY_TOPIC = 1
    KEY_LEVEL = 2               # level number `level`, from 0; no key where the topic has fewer
    KEY_CLIENT_ID = 3


cdef enum:
    MAPPINGS_MAX = 64


cdef struct Mapping:
    uint8_t filter[256]
    uint32_t filter_len
    uint8_t target[249]         # canonical name
    uint32_t target_len
    uint32_t partitions
    uint32_t key                # MappingKey
    uint32_t level


cdef struct Slice:
    const uint8_t* p            # NULL: none
    uint32_t n


# Whether `topic` matches `filter` [MQTT-4.7.1-2, 4.7.1-3, 4.7.2-1]; both well-formed.
cdef bint filter_matches(const uint8_t* filter, uint32_t filter_len, const uint8_t* topic, uint32_t n) noexcept nogil

# What a rule takes as the key of a message.
cdef Slice mapping_key(const Mapping* mapping, const uint8_t* topic, uint32_t n, const uint8_t* client_id,
                       uint32_t client_id_len) noexcept nogil

# Kafka's partitioner for a key: toPositive(murmur2(key)) % partitions.
cdef uint32_t partition_of_key(const uint8_t* key, uint32_t n, uint32_t partitions) noexcept nogil
