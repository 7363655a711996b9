"""Kafka's record batch v2 (KIP-98), the log's native unit: validate, patch, walk, encode.

    field               offset  width
    base_offset              0      8   patched at append; outside the CRC
    batch_length             8      4   bytes after this field
    partition_leader_epoch  12      4   patched at append; outside the CRC
    magic                   16      1   2
    crc                     17      4   CRC-32C of everything from attributes on
    attributes              21      2   0-2 codec, 3 log-append time, 4 transactional, 5 control, 6 delete horizon
    last_offset_delta       23      4
    base_timestamp          27      8   ms
    max_timestamp           35      8   ms
    producer_id             43      8   -1: none
    producer_epoch          51      2
    base_sequence           53      4
    record_count            57      4
    records                 61

    record = varint length, int8 attributes, varlong timestamp delta, varint offset delta,
             varint key length (-1 null), key, varint value length (-1 null), value,
             varint header count, (varint key length, key, varint value length (-1 null), value)*

Concurrency: pure functions over the caller's memory. A BatchBuilder belongs to one thread.
"""
from libc.stdint cimport int16_t, int32_t, int64_t, int8_t, uint8_t, uint16_t, uint32_t, uint64_t
from robustmq._fastpath.cursor cimport Cursor, load_be16, load_be32, load_be64, store_be32, store_be64
from robustmq._fastpath.status cimport Status


cdef enum:
    BATCH_BASE_OFFSET = 0
    BATCH_LENGTH = 8
    BATCH_LEADER_EPOCH = 12
    BATCH_MAGIC = 16
    BATCH_CRC = 17
    BATCH_ATTRIBUTES = 21
    BATCH_LAST_OFFSET_DELTA = 23
    BATCH_BASE_TIMESTAMP = 27
    BATCH_MAX_TIMESTAMP = 35
    BATCH_PRODUCER_ID = 43
    BATCH_PRODUCER_EPOCH = 51
    BATCH_BASE_SEQUENCE = 53
    BATCH_RECORD_COUNT = 57
    BATCH_HEADER = 61               # bytes before the first record

    CODEC_MASK = 7
    CODEC_NONE = 0
    CODEC_GZIP = 1
    CODEC_SNAPPY = 2
    CODEC_LZ4 = 3
    CODEC_ZSTD = 4
    ATTRIBUTE_LOG_APPEND_TIME = 8
    ATTRIBUTE_TRANSACTIONAL = 16
    ATTRIBUTE_CONTROL = 32


cdef inline int64_t batch_base_offset(const uint8_t* b) noexcept nogil:
    return <int64_t>load_be64(b + BATCH_BASE_OFFSET)

# Bytes of the whole batch, header included.
cdef inline uint64_t batch_size(const uint8_t* b) noexcept nogil:
    return <uint64_t>load_be32(b + BATCH_LENGTH) + 12

cdef inline uint16_t batch_attributes(const uint8_t* b) noexcept nogil:
    return load_be16(b + BATCH_ATTRIBUTES)

cdef inline int batch_codec(const uint8_t* b) noexcept nogil:
    return batch_attributes(b) & CODEC_MASK

cdef inline int32_t batch_last_offset_delta(const uint8_t* b) noexcept nogil:
    return <int32_t>load_be32(b + BATCH_LAST_OFFSET_DELTA)

cdef inline int64_t batch_base_timestamp(const uint8_t* b) noexcept nogil:
    return <int64_t>load_be64(b + BATCH_BASE_TIMESTAMP)

cdef inline int64_t batch_max_timestamp(const uint8_t* b) noexcept nogil:
    return <int64_t>load_be64(b + BATCH_MAX_TIMESTAMP)

cdef inline int64_t batch_producer_id(const uint8_t* b) noexcept nogil:
    return <int64_t>load_be64(b + BATCH_PRODUCER_ID)

cdef inline int16_t batch_producer_epoch(const uint8_t* b) noexcept nogil:
    return <int16_t>load_be16(b + BATCH_PRODUCER_EPOCH)

cdef inline int32_t batch_base_sequence(const uint8_t* b) noexcept nogil:
    return <int32_t>load_be32(b + BATCH_BASE_SEQUENCE)

cdef inline int32_t batch_record_count(const uint8_t* b) noexcept nogil:
    return <int32_t>load_be32(b + BATCH_RECORD_COUNT)

cdef inline void batch_patch(uint8_t* b, int64_t base_offset, int32_t leader_epoch) noexcept nogil:
    store_be64(b + BATCH_BASE_OFFSET, <uint64_t>base_offset)
    store_be32(b + BATCH_LEADER_EPOCH, <uint32_t>leader_epoch)


# A client's batch at `b`: exactly one batch in `n` bytes.
#   MALFORMED       shorter than a header, or its length field is not n - 12
#   UNSUPPORTED     magic 0 or 1 (Kafka 4 has no down-conversion), an unknown codec
#   TOO_LARGE       n > max_bytes
#   CORRUPT         the CRC does not match, or the records of an uncompressed batch are not well-formed
#   INVALID_RECORD  count < 1 or != last_offset_delta + 1, a control batch, a producer id without a sequence
cdef Status batch_validate(const uint8_t* b, uint64_t n, uint64_t max_bytes) noexcept nogil

# As found in a file: length, magic and CRC only.
cdef bint batch_intact(const uint8_t* b, uint64_t n) noexcept nogil


cdef struct RecordView:
    const uint8_t* key              # NULL: null
    const uint8_t* value            # NULL: null
    const uint8_t* headers          # encoded headers, after their count
    int32_t key_len                 # -1: null
    int32_t value_len               # -1: null
    uint32_t headers_len
    int32_t header_count
    int32_t offset_delta
    int64_t timestamp_delta         # ms
    const uint8_t* start            # the record's length field


cdef struct HeaderView:
    const uint8_t* key
    const uint8_t* value            # NULL: null
    int32_t key_len
    int32_t value_len               # -1: null


# The record at the cursor; moves to the next. False: no whole, well-formed record is there (the cursor is bad then).
# The cursor spans uncompressed records: from BATCH_HEADER to the batch's end.
cdef bint record_next(Cursor* c, RecordView* view) noexcept nogil

# The header at the cursor, which spans a RecordView's headers.
cdef bint header_next(Cursor* c, HeaderView* view) noexcept nogil


# Encodes one batch into a buffer that grows once and is reused: no allocation in steady state.
cdef struct BatchBuilder:
    uint8_t* data
    uint32_t cap
    uint32_t len                    # bytes written, header included; 0: nothing begun
    uint32_t max_bytes              # bound on this batch
    int32_t count
    int64_t base_timestamp          # ms
    int64_t max_timestamp           # ms


cdef void builder_init(BatchBuilder* b) noexcept nogil
cdef void builder_free(BatchBuilder* b) noexcept nogil
cdef void builder_begin(BatchBuilder* b, int64_t timestamp_ms, uint32_t max_bytes) noexcept nogil

# One record; lengths of -1 are null. `headers` are encoded headers (after their count), `header_count` of them.
# TOO_LARGE: the batch is full (finish it and begin another, unless it is empty); NO_MEMORY.
cdef Status builder_add(BatchBuilder* b, int64_t timestamp_ms, const uint8_t* key, int32_t key_len,
                        const uint8_t* value, int32_t value_len, const uint8_t* headers, uint32_t headers_len,
                        int32_t header_count) noexcept nogil

# The batch: b.data, returned length. Base offset 0, no producer; the builder is empty again (data stays until the next
# begin).
cdef uint32_t builder_finish(BatchBuilder* b) noexcept nogil
