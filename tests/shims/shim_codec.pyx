"""The tests' door into crc, cursor and batch."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from robustmq._fastpath.batch cimport (
    BATCH_HEADER, BatchBuilder, HeaderView, RecordView, batch_size, batch_validate, builder_add, builder_begin, builder_finish,
    builder_free, builder_init, header_next, record_next,
)
from robustmq._fastpath.cursor cimport (
    Cursor, cursor_compact, cursor_count, cursor_init, cursor_kbytes, cursor_kstring, cursor_lp16, cursor_skip_tags,
    cursor_u8, cursor_u16, cursor_u32, cursor_u64, cursor_uvarint, cursor_uvarlong, cursor_varint, cursor_varlong,
    cursor_vbi,
)
from robustmq._fastpath.hash cimport hash_with
from robustmq._fastpath.writer cimport (
    Writer, put_uvarint, put_uvarlong, put_varint, put_varlong, uvarint_size, varint_size, varlong_size, write_u16,
    write_u32, write_u64, writer_init,
)


cdef extern from "crc32c.h" nogil:
    void crc32c_init()
    uint32_t crc32c_portable(uint32_t seed, const uint8_t* p, size_t n)
    uint32_t crc32c_best(uint32_t seed, const uint8_t* p, size_t n)


cdef extern from *:
    """
    #if defined(__x86_64__)
    static int shim_has_sse42(void) { return crc32c_has_sse42(); }
    static unsigned shim_sse42(unsigned s, const unsigned char *p, size_t n) { return crc32c_sse42(s, p, n); }
    #else
    static int shim_has_sse42(void) { return 0; }
    static unsigned shim_sse42(unsigned s, const unsigned char *p, size_t n) { return crc32c_portable(s, p, n); }
    #endif
    """
    bint shim_has_sse42() nogil
    uint32_t shim_sse42(uint32_t seed, const uint8_t* p, size_t n) nogil

crc32c_init()

HAS_SSE42 = shim_has_sse42()


def crc(str way, bytes data, int skip=0, uint32_t seed=0):
    """CRC-32C of data[skip:] by one named implementation, so that alignment varies."""
    cdef const uint8_t* p = data
    cdef size_t n = len(data) - skip
    if way == "portable":
        return crc32c_portable(seed, p + skip, n)
    if way == "sse42":
        return shim_sse42(seed, p + skip, n)
    return crc32c_best(seed, p + skip, n)


def read(str what, bytes data):
    """One read by name: (value, bytes consumed), or None when the cursor went bad."""
    cdef Cursor c
    cdef int32_t n32 = 0
    cdef uint32_t u32 = 0
    cdef const uint8_t* at
    cdef const uint8_t* start = data
    cursor_init(&c, start, len(data))
    value = None
    if what == "u8":
        value = cursor_u8(&c)
    elif what == "u16":
        value = cursor_u16(&c)
    elif what == "u32":
        value = cursor_u32(&c)
    elif what == "u64":
        value = cursor_u64(&c)
    elif what == "uvarint":
        value = cursor_uvarint(&c)
    elif what == "uvarlong":
        value = cursor_uvarlong(&c)
    elif what == "varint":
        value = cursor_varint(&c)
    elif what == "varlong":
        value = cursor_varlong(&c)
    elif what == "vbi":
        value = cursor_vbi(&c)
    elif what == "tags":
        cursor_skip_tags(&c)
    elif what == "count32":
        value = cursor_count(&c, False, 2)
    elif what == "compact_count":
        value = cursor_count(&c, True, 2)
    else:
        if what == "lp16":
            at = cursor_lp16(&c, &u32)
            n32 = <int32_t>u32
        elif what == "kstring":
            at = cursor_kstring(&c, &n32)
        elif what == "kbytes":
            at = cursor_kbytes(&c, &n32)
        elif what == "compact":
            at = cursor_compact(&c, &n32)
        else:
            raise ValueError(what)
        if at != NULL and not c.bad:
            value = at[:n32]
    return None if c.bad else (value, c.p - start)


def put(str what, object value):
    """One value by name, through the writer's leaf functions; asserts that its size was foretold."""
    cdef uint8_t room[16]
    cdef uint8_t* end
    cdef uint32_t size = 0
    if what == "uvarint":
        end = put_uvarint(room, value)
        size = uvarint_size(value)
    elif what == "varint":
        end = put_varint(room, value)
        size = varint_size(value)
    elif what == "varlong":
        end = put_varlong(room, value)
        size = varlong_size(value)
    else:
        end = put_uvarlong(room, value)
        size = <uint32_t>(end - room)
    assert size == end - room
    return room[:size]


def write_past_the_end():
    """A writer of 6 bytes: what is left after u32, u32 (does not fit), u16 (fits, but the writer is bad)."""
    cdef uint8_t room[6]
    cdef Writer w
    writer_init(&w, room, 6)
    write_u32(&w, 1)
    write_u64(&w, 2)
    write_u16(&w, 3)
    return w.bad, w.p - room


def validate(bytes data, uint64_t max_bytes=1 << 20):
    return batch_validate(<const uint8_t*>data, len(data), max_bytes)


def hashed(uint64_t seed, bytes data):
    return hash_with(seed, <const uint8_t*>data, len(data))


def records(bytes batch):
    """[(offset delta, timestamp delta, key, value, [(name, value)])] of an uncompressed batch, or None when malformed."""
    cdef Cursor c, h
    cdef RecordView view
    cdef HeaderView header
    cdef const uint8_t* p = batch
    cursor_init(&c, p + BATCH_HEADER, len(batch) - BATCH_HEADER)
    found = []
    while record_next(&c, &view):
        headers = []
        cursor_init(&h, view.headers, view.headers_len)
        while header_next(&h, &header):
            headers.append((header.key[:header.key_len].decode(),
                            None if header.value_len < 0 else <bytes>header.value[:header.value_len]))
        found.append((view.offset_delta, view.timestamp_delta,
                      None if view.key_len < 0 else <bytes>view.key[:view.key_len],
                      None if view.value_len < 0 else <bytes>view.value[:view.value_len], headers))
    return None if c.bad else found


def build(list items, uint32_t max_bytes=1 << 20):
    """A batch of (timestamp ms, key, value, [(name, value)]); returns (status of the last add, bytes)."""
    cdef BatchBuilder b
    cdef uint32_t n
    cdef int status = 0
    cdef const uint8_t* k
    cdef const uint8_t* v
    cdef const uint8_t* h
    builder_init(&b)
    builder_begin(&b, items[0][0], max_bytes)
    for timestamp, key, value, headers in items:
        encoded = b"".join(put("varint", len(name.encode())) + name.encode()
                           + (put("varint", -1) if one is None else put("varint", len(one)) + one) for name, one in headers)
        raw_key, raw_value = key or b"", value or b""
        k, v, h = raw_key, raw_value, encoded
        status = builder_add(&b, timestamp, k, -1 if key is None else len(key), v, -1 if value is None else len(value),
                             h, len(encoded), len(headers))
        if status:
            break
    n = 0 if status and b.count == 0 else builder_finish(&b)
    out = b.data[:n] if n else b""
    builder_free(&b)
    return status, out


cdef class Rounds:
    """A loop for benchmarks: `n` records of `size` bytes, built or walked `rounds` times without Python."""
    cdef BatchBuilder builder
    cdef bytes value
    cdef bytes batch

    def __cinit__(self, int size, int n):
        builder_init(&self.builder)
        self.value = b"x" * size
        self.encode(n)
        self.batch = self.builder.data[:self.size()]

    def __dealloc__(self):
        builder_free(&self.builder)

    cdef uint64_t size(self):
        return batch_size(self.builder.data)

    def encode(self, int n):
        cdef const uint8_t* p = self.value
        cdef int32_t size = <int32_t>len(self.value)
        cdef int i
        with nogil:
            builder_begin(&self.builder, 1, 1 << 24)
            for i in range(n):
                builder_add(&self.builder, 1, NULL, -1, p, size, NULL, 0, 0)
            builder_finish(&self.builder)

    def walk(self):
        cdef Cursor c
        cdef RecordView view
        cdef const uint8_t* p = self.batch
        cdef uint64_t n = len(self.batch)
        cdef int64_t count = 0
        with nogil:
            cursor_init(&c, p + BATCH_HEADER, n - BATCH_HEADER)
            while record_next(&c, &view):
                count += 1
        return count
