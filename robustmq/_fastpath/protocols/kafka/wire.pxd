"""Kafka's bytes that the hot half shares: API keys, where versions change the layout, and the request header.

    request   | size i32 | api_key i16 | version i16 | correlation_id i32 | client_id | v2 header: tags | body
    response  | size i32 | correlation_id i32 | flexible, but for ApiVersions: tags | body

`client_id` is a NULLABLE_STRING with a 16-bit length in every header version (KIP-482 left it alone). Header v0 had none;
only ControlledShutdown v0 used it, and that is not served.
"""
from libc.stdint cimport int16_t, int32_t, uint8_t, uint32_t
from robustmq._fastpath.cursor cimport (
    Cursor, cursor_compact, cursor_i16, cursor_i32, cursor_kstring, cursor_ok, cursor_skip_tags, cursor_take, load_be16,
    load_be32)


cdef enum ApiKey:
    PRODUCE = 0
    FETCH = 1
    API_VERSIONS = 18


cdef enum:
    API_KEYS = 128                  # rows of the table; higher keys are not served

    PRODUCE_OLDEST = 3              # 0-2 are advertised (KAFKA-18659: librdkafka stops compressing else) and refused
    PRODUCE_LOG_START = 5           # the response carries log_start_offset
    PRODUCE_ZSTD = 7                # KIP-110
    PRODUCE_RECORD_ERRORS = 8       # KIP-467
    PRODUCE_FLEXIBLE = 9            # KIP-482
    PRODUCE_TOPIC_IDS = 13          # KIP-516
    PRODUCE_NEWEST = 13

    FETCH_OLDEST = 4
    FETCH_LOG_START = 5
    FETCH_SESSIONS = 7              # KIP-227
    FETCH_LEADER_EPOCH = 9          # KIP-320
    FETCH_RACK = 11                 # KIP-392
    FETCH_FLEXIBLE = 12
    FETCH_TOPIC_IDS = 13
    FETCH_REPLICA_STATE = 15        # replica_id moves into a tag (KIP-903)
    FETCH_NEWEST = 18

    HEADER_PREFIX = 8               # api_key, version, correlation_id: what every frame starts with
    TOPIC_ID_BYTES = 16
    STRING_MAX = 32767              # also of a COMPACT_STRING, as in Kafka's own protocol code
    PARTITIONS_MAX = 100000         # in one request


cdef struct Request:
    int16_t key
    int16_t version
    int32_t correlation_id


# Topic name, nullable or not: NULL and *n = -1 for null. Longer than STRING_MAX is bad.
cdef inline const uint8_t* read_string(Cursor* c, bint flexible, int32_t* n) noexcept nogil:
    cdef const uint8_t* at = cursor_compact(c, n) if flexible else cursor_kstring(c, n)
    if n[0] > STRING_MAX:
        c.bad = True
    return at


# How a request names a topic: 16 bytes of id, or its name (never null).
cdef inline const uint8_t* read_topic(Cursor* c, bint by_id, bint flexible, int32_t* n) noexcept nogil:
    cdef const uint8_t* at
    if by_id:
        n[0] = TOPIC_ID_BYTES
        return cursor_take(c, TOPIC_ID_BYTES)
    at = read_string(c, flexible, n)
    if at == NULL:
        c.bad = True
    return at


cdef inline void read_prefix(const uint8_t* frame, Request* request) noexcept nogil:
    request.key = <int16_t>load_be16(frame)
    request.version = <int16_t>load_be16(frame + 2)
    request.correlation_id = <int32_t>load_be32(frame + 4)


# What follows the prefix in header v1 and, `flexible`, v2. False: malformed.
cdef inline bint skip_header(Cursor* c, bint flexible) noexcept nogil:
    cdef int32_t n = 0
    cursor_take(c, HEADER_PREFIX)
    cursor_kstring(c, &n)
    if flexible:
        cursor_skip_tags(c)
    return cursor_ok(c)
