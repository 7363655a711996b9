"""Record batch v2: see batch.pxd for the layout and the promises."""
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset
from robustmq._fastpath.crc cimport crc32c
from robustmq._fastpath.cursor cimport (
    cursor_init, cursor_i8, cursor_take, cursor_varint, cursor_varlong, store_be16,
)
from robustmq._fastpath.status cimport (
    CORRUPT, INVALID_RECORD, MALFORMED, NO_MEMORY, OK, TOO_LARGE, UNSUPPORTED,
)
from robustmq._fastpath.writer cimport put_varint, put_varlong, varint_size, varlong_size


cdef bint batch_intact(const uint8_t* b, uint64_t n) noexcept nogil:
    if n < BATCH_HEADER or batch_size(b) != n or b[BATCH_MAGIC] != 2:
        return False
    return crc32c(0, b + BATCH_ATTRIBUTES, n - BATCH_ATTRIBUTES) == load_be32(b + BATCH_CRC)


cdef Status batch_validate(const uint8_t* b, uint64_t n, uint64_t max_bytes) noexcept nogil:
    cdef int32_t count
    cdef uint16_t attributes
    if n < BATCH_HEADER:
        return MALFORMED
    if b[BATCH_MAGIC] != 2:
        return UNSUPPORTED
    if batch_size(b) != n:
        return MALFORMED
    if n > max_bytes:
        return TOO_LARGE
    if not batch_intact(b, n):
        return CORRUPT
    attributes = batch_attributes(b)
    if attributes & CODEC_MASK > CODEC_ZSTD:
        return UNSUPPORTED
    count = batch_record_count(b)
    if count < 1 or count - 1 != batch_last_offset_delta(b) or attributes & ATTRIBUTE_CONTROL:
        return INVALID_RECORD
    if batch_producer_id(b) >= 0 and (batch_base_sequence(b) < 0 or batch_producer_epoch(b) < 0):
        return INVALID_RECORD
    if attributes & CODEC_MASK == CODEC_NONE and not well_formed(b, n, count):
        return CORRUPT
    return OK


cdef bint well_formed(const uint8_t* b, uint64_t n, int32_t count) noexcept nogil:
    """Exactly `count` records with offset deltas 0, 1, 2, … fill the batch."""
    cdef Cursor c
    cdef RecordView view
    cdef int32_t i
    cursor_init(&c, b + BATCH_HEADER, n - BATCH_HEADER)
    for i in range(count):
        if not record_next(&c, &view) or view.offset_delta != i:
            return False
    return c.p == c.end


cdef bint record_next(Cursor* c, RecordView* view) noexcept nogil:
    cdef int32_t length
    cdef Cursor r
    if c.p >= c.end:
        return False
    view.start = c.p
    length = cursor_varint(c)
    if length < 0:
        c.bad = True
    r.p = cursor_take(c, <uint64_t>length)
    if r.p == NULL:
        return False
    r.end = c.p
    r.bad = False
    cursor_i8(&r)
    view.timestamp_delta = cursor_varlong(&r)
    view.offset_delta = cursor_varint(&r)
    view.key = nullable(&r, &view.key_len)
    view.value = nullable(&r, &view.value_len)
    view.header_count = cursor_varint(&r)
    view.headers = r.p
    view.headers_len = <uint32_t>(r.end - r.p)
    if r.bad or view.header_count < 0 or (view.header_count == 0) != (view.headers_len == 0):
        c.bad = True
        return False
    return view.header_count == 0 or headers_fit(c, view)


cdef bint headers_fit(Cursor* c, const RecordView* view) noexcept nogil:
    """Exactly `header_count` headers fill the record's rest."""
    cdef Cursor h
    cdef HeaderView header
    cdef int32_t i
    cursor_init(&h, view.headers, view.headers_len)
    for i in range(view.header_count):
        if not header_next(&h, &header):
            c.bad = True
            return False
    if h.p != h.end:
        c.bad = True
        return False
    return True


cdef inline const uint8_t* nullable(Cursor* c, int32_t* n) noexcept nogil:
    """A slice with a varint length before it; -1 is null."""
    n[0] = cursor_varint(c)
    if n[0] < 0:
        c.bad = c.bad or n[0] != -1
        return NULL
    return cursor_take(c, <uint64_t>n[0])


cdef bint header_next(Cursor* c, HeaderView* view) noexcept nogil:
    if c.p >= c.end:
        return False
    view.key = nullable(c, &view.key_len)
    view.value = nullable(c, &view.value_len)
    if view.key_len < 0:
        c.bad = True
    return not c.bad


cdef void builder_init(BatchBuilder* b) noexcept nogil:
    memset(b, 0, sizeof(BatchBuilder))


cdef void builder_free(BatchBuilder* b) noexcept nogil:
    free(b.data)
    b.data = NULL
    b.cap = b.len = 0


cdef void builder_begin(BatchBuilder* b, int64_t timestamp_ms, uint32_t max_bytes) noexcept nogil:
    b.max_bytes = max_bytes
    b.len = BATCH_HEADER
    b.count = 0
    b.base_timestamp = b.max_timestamp = timestamp_ms


cdef bint builder_grow(BatchBuilder* b, uint64_t need) noexcept nogil:
    cdef uint64_t cap = b.cap if b.cap else 4096
    cdef uint8_t* data
    while cap < need:
        cap *= 2
    data = <uint8_t*>realloc(b.data, cap)
    if data == NULL:
        return False
    b.data = data
    b.cap = <uint32_t>cap
    return True


cdef Status builder_add(BatchBuilder* b, int64_t timestamp_ms, const uint8_t* key, int32_t key_len,
                        const uint8_t* value, int32_t value_len, const uint8_t* headers, uint32_t headers_len,
                        int32_t header_count) noexcept nogil:
    cdef int64_t delta = timestamp_ms - b.base_timestamp
    cdef uint64_t body = (1 + varlong_size(delta) + varint_size(b.count) + varint_size(key_len)
                          + varint_size(value_len) + varint_size(header_count) + <uint64_t>headers_len)
    cdef uint64_t size
    cdef uint8_t* p
    if key_len > 0:
        body += <uint64_t>key_len
    if value_len > 0:
        body += <uint64_t>value_len
    size = body + 5
    if b.len + size > b.max_bytes:
        return TOO_LARGE
    if b.len + size > b.cap and not builder_grow(b, b.len + size):
        return NO_MEMORY
    p = put_varint(b.data + b.len, <int32_t>body)
    p[0] = 0
    p = put_varlong(p + 1, delta)
    p = put_varint(p, b.count)
    p = put_slice(p, key, key_len)
    p = put_slice(p, value, value_len)
    p = put_varint(p, header_count)
    if headers_len > 0:
        memcpy(p, headers, headers_len)
        p += headers_len
    b.len = <uint32_t>(p - b.data)
    b.count += 1
    if timestamp_ms > b.max_timestamp:
        b.max_timestamp = timestamp_ms
    return OK


cdef inline uint8_t* put_slice(uint8_t* p, const uint8_t* data, int32_t n) noexcept nogil:
    p = put_varint(p, n)
    if n > 0:
        memcpy(p, data, <size_t>n)
        p += n
    return p


cdef uint32_t builder_finish(BatchBuilder* b) noexcept nogil:
    cdef uint8_t* d = b.data
    cdef uint32_t n = b.len
    store_be64(d + BATCH_BASE_OFFSET, 0)
    store_be32(d + BATCH_LENGTH, n - 12)
    store_be32(d + BATCH_LEADER_EPOCH, 0)
    d[BATCH_MAGIC] = 2
    store_be16(d + BATCH_ATTRIBUTES, 0)
    store_be32(d + BATCH_LAST_OFFSET_DELTA, <uint32_t>(b.count - 1))
    store_be64(d + BATCH_BASE_TIMESTAMP, <uint64_t>b.base_timestamp)
    store_be64(d + BATCH_MAX_TIMESTAMP, <uint64_t>b.max_timestamp)
    store_be64(d + BATCH_PRODUCER_ID, <uint64_t>-1)
    store_be16(d + BATCH_PRODUCER_EPOCH, 0xFFFF)
    store_be32(d + BATCH_BASE_SEQUENCE, 0xFFFFFFFF)
    store_be32(d + BATCH_RECORD_COUNT, <uint32_t>b.count)
    store_be32(d + BATCH_CRC, crc32c(0, d + BATCH_ATTRIBUTES, n - BATCH_ATTRIBUTES))
    b.len = 0
    b.count = 0
    return n
