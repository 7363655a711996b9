"""Produce responses are encoded when their batches are appended; see withdraw.pxd."""
from libc.stdint cimport int32_t
from libc.string cimport memset
from robustmq._fastpath.cursor cimport (
    Cursor, cursor_count, cursor_i16, cursor_init, cursor_ok, cursor_skip, cursor_skip_tags, store_be16)
from robustmq._fastpath.protocols.kafka.errors cimport KafkaError
from robustmq._fastpath.protocols.kafka.wire cimport (
    PRODUCE_FLEXIBLE, PRODUCE_LOG_START, PRODUCE_RECORD_ERRORS, PRODUCE_TOPIC_IDS, read_string, read_topic)


cdef void skip_record_errors(Cursor* c, bint flexible) noexcept nogil:
    """The records at fault, and the partition's message."""
    cdef int32_t n = 0
    cdef int32_t count = cursor_count(c, flexible, 4)
    while count > 0 and cursor_ok(c):
        count -= 1
        cursor_skip(c, 4)
        read_string(c, flexible, &n)
        if flexible:
            cursor_skip_tags(c)
    read_string(c, flexible, &n)


cdef void withdraw_partition(Cursor* c, int16_t version) noexcept nogil:
    cdef bint flexible = version >= PRODUCE_FLEXIBLE
    cdef uint8_t* error
    cursor_skip(c, 4)                                                   # index
    error = <uint8_t*>c.p
    if cursor_i16(c) == KafkaError.NONE and cursor_ok(c):
        store_be16(error, KafkaError.KAFKA_STORAGE_ERROR)
        memset(error + 2, 0xFF, 24 if version >= PRODUCE_LOG_START else 16)     # -1: offset, append time, log start
    cursor_skip(c, 24 if version >= PRODUCE_LOG_START else 16)
    if version >= PRODUCE_RECORD_ERRORS:
        skip_record_errors(c, flexible)
    if flexible:
        cursor_skip_tags(c)


cdef void produce_withdraw(uint8_t* data, uint64_t n, int16_t version) noexcept nogil:
    cdef bint flexible = version >= PRODUCE_FLEXIBLE
    cdef int32_t name_n = 0, topics, partitions
    cdef Cursor c
    cursor_init(&c, data, n)
    cursor_skip(&c, 8)                                                  # size, correlation id
    if flexible:
        cursor_skip_tags(&c)
    topics = cursor_count(&c, flexible, 2)
    while topics > 0 and cursor_ok(&c):
        topics -= 1
        read_topic(&c, version >= PRODUCE_TOPIC_IDS, flexible, &name_n)
        partitions = cursor_count(&c, flexible, 4)
        while partitions > 0 and cursor_ok(&c):
            partitions -= 1
            withdraw_partition(&c, version)
        if flexible:
            cursor_skip_tags(&c)
