"""A bounded writer: big-endian, sticky failure, the counterpart of cursor.pxd.

The caller sizes the room first (vbi_size, uvarint_size, …); a write past `end` sets `bad` and writes nothing.

Owner: the stack of one encoder.
"""
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy
from robustmq._fastpath.cursor cimport store_be16, store_be32, store_be64


cdef struct Writer:
    uint8_t* p
    uint8_t* end
    bint bad


cdef inline void writer_init(Writer* w, uint8_t* p, uint64_t n) noexcept nogil:
    w.p = p
    w.end = p + n
    w.bad = False


cdef inline bint writer_ok(const Writer* w) noexcept nogil:
    return not w.bad


# Room for `n` bytes, to be filled by the caller; NULL when there is none.
cdef inline uint8_t* writer_room(Writer* w, uint64_t n) noexcept nogil:
    cdef uint8_t* at = w.p
    if w.bad or n > <uint64_t>(w.end - w.p):
        w.bad = True
        return NULL
    w.p += n
    return at


cdef inline void write_u8(Writer* w, uint8_t v) noexcept nogil:
    cdef uint8_t* at = writer_room(w, 1)
    if at != NULL:
        at[0] = v


cdef inline void write_u16(Writer* w, uint16_t v) noexcept nogil:
    cdef uint8_t* at = writer_room(w, 2)
    if at != NULL:
        store_be16(at, v)


cdef inline void write_u32(Writer* w, uint32_t v) noexcept nogil:
    cdef uint8_t* at = writer_room(w, 4)
    if at != NULL:
        store_be32(at, v)


cdef inline void write_u64(Writer* w, uint64_t v) noexcept nogil:
    cdef uint8_t* at = writer_room(w, 8)
    if at != NULL:
        store_be64(at, v)


cdef inline void write_bytes(Writer* w, const uint8_t* p, uint64_t n) noexcept nogil:
    cdef uint8_t* at = writer_room(w, n)
    if at != NULL and n > 0:
        memcpy(at, p, n)


cdef inline uint32_t uvarint_size(uint32_t v) noexcept nogil:
    return 1 if v < 1 << 7 else 2 if v < 1 << 14 else 3 if v < 1 << 21 else 4 if v < 1 << 28 else 5


cdef inline uint8_t* put_uvarint(uint8_t* p, uint32_t v) noexcept nogil:
    while v >= 0x80:
        p[0] = <uint8_t>(v | 0x80)
        p += 1
        v >>= 7
    p[0] = <uint8_t>v
    return p + 1


cdef inline uint8_t* put_uvarlong(uint8_t* p, uint64_t v) noexcept nogil:
    while v >= 0x80:
        p[0] = <uint8_t>(v | 0x80)
        p += 1
        v >>= 7
    p[0] = <uint8_t>v
    return p + 1


cdef inline uint32_t zigzag32(int32_t v) noexcept nogil:
    return (<uint32_t>v << 1) ^ <uint32_t>(v >> 31)


cdef inline uint64_t zigzag64(int64_t v) noexcept nogil:
    return (<uint64_t>v << 1) ^ <uint64_t>(v >> 63)


cdef inline uint32_t varint_size(int32_t v) noexcept nogil:
    return uvarint_size(zigzag32(v))


cdef inline uint32_t varlong_size(int64_t v) noexcept nogil:
    cdef uint64_t raw = zigzag64(v)
    cdef uint32_t n = 1
    while raw >= 0x80:
        raw >>= 7
        n += 1
    return n


cdef inline uint8_t* put_varint(uint8_t* p, int32_t v) noexcept nogil:
    return put_uvarint(p, zigzag32(v))


cdef inline uint8_t* put_varlong(uint8_t* p, int64_t v) noexcept nogil:
    return put_uvarlong(p, zigzag64(v))


cdef inline void write_uvarint(Writer* w, uint32_t v) noexcept nogil:
    cdef uint8_t* at = writer_room(w, uvarint_size(v))
    if at != NULL:
        put_uvarint(at, v)


# MQTT's variable byte integer: the same base-128 encoding, at most 4 bytes, in its shortest form [MQTT-1.5.5-1].
cdef inline uint32_t vbi_size(uint32_t v) noexcept nogil:
    return uvarint_size(v)


cdef inline uint8_t* put_vbi(uint8_t* p, uint32_t v) noexcept nogil:
    return put_uvarint(p, v)


cdef inline void write_vbi(Writer* w, uint32_t v) noexcept nogil:
    write_uvarint(w, v)


cdef inline void write_lp16(Writer* w, const uint8_t* p, uint16_t n) noexcept nogil:
    write_u16(w, n)
    write_bytes(w, p, n)


# Kafka STRING (int16 length) or COMPACT_STRING; p == NULL writes null.
cdef inline void write_kstring(Writer* w, const uint8_t* p, uint32_t n, bint compact) noexcept nogil:
    if compact:
        write_uvarint(w, n + 1 if p != NULL else 0)
    else:
        write_u16(w, <uint16_t>n if p != NULL else 0xFFFF)
    if p != NULL:
        write_bytes(w, p, n)


# An array's count; -1 writes null.
cdef inline void write_count(Writer* w, int32_t count, bint compact) noexcept nogil:
    if compact:
        write_uvarint(w, <uint32_t>(count + 1))
    else:
        write_u32(w, <uint32_t>count)
