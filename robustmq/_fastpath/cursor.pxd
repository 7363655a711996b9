"""A bounded reader over bytes that a peer sent: big-endian, sticky failure, nothing consumed unless committed.

A read past the end sets `bad`; every later read returns 0 and moves nothing. A decoder reads a whole frame, asks
`cursor_ok` once, and only then commits to what it read. No read touches a byte outside [p, end).

Owner: the stack of one decoder.
"""
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "bytes.h" nogil:
    uint16_t load_be16(const uint8_t* p)
    uint32_t load_be32(const uint8_t* p)
    uint64_t load_be64(const uint8_t* p)
    void store_be16(uint8_t* p, uint16_t v)
    void store_be32(uint8_t* p, uint32_t v)
    void store_be64(uint8_t* p, uint64_t v)


cdef struct Cursor:
    const uint8_t* p
    const uint8_t* end
    bint bad


cdef inline void cursor_init(Cursor* c, const uint8_t* p, uint64_t n) noexcept nogil:
    c.p = p
    c.end = p + n
    c.bad = False


cdef inline bint cursor_ok(const Cursor* c) noexcept nogil:
    return not c.bad


cdef inline uint64_t cursor_left(const Cursor* c) noexcept nogil:
    return 0 if c.bad else <uint64_t>(c.end - c.p)


# `n` bytes in place; NULL when they are not there.
cdef inline const uint8_t* cursor_take(Cursor* c, uint64_t n) noexcept nogil:
    cdef const uint8_t* at = c.p
    if c.bad or n > <uint64_t>(c.end - c.p):
        c.bad = True
        return NULL
    c.p += n
    return at


cdef inline void cursor_skip(Cursor* c, uint64_t n) noexcept nogil:
    cursor_take(c, n)


cdef inline uint8_t cursor_u8(Cursor* c) noexcept nogil:
    cdef const uint8_t* at = cursor_take(c, 1)
    return at[0] if at != NULL else 0


cdef inline uint16_t cursor_u16(Cursor* c) noexcept nogil:
    cdef const uint8_t* at = cursor_take(c, 2)
    return load_be16(at) if at != NULL else 0


cdef inline uint32_t cursor_u32(Cursor* c) noexcept nogil:
    cdef const uint8_t* at = cursor_take(c, 4)
    return load_be32(at) if at != NULL else 0


cdef inline uint64_t cursor_u64(Cursor* c) noexcept nogil:
    cdef const uint8_t* at = cursor_take(c, 8)
    return load_be64(at) if at != NULL else 0


cdef inline int8_t cursor_i8(Cursor* c) noexcept nogil:
    return <int8_t>cursor_u8(c)


cdef inline int16_t cursor_i16(Cursor* c) noexcept nogil:
    return <int16_t>cursor_u16(c)


cdef inline int32_t cursor_i32(Cursor* c) noexcept nogil:
    return <int32_t>cursor_u32(c)


cdef inline int64_t cursor_i64(Cursor* c) noexcept nogil:
    return <int64_t>cursor_u64(c)


# Little-endian base-128, at most 5 bytes (Kafka's unsigned varint, protobuf's encoding).
cdef inline uint32_t cursor_uvarint(Cursor* c) noexcept nogil:
    cdef uint32_t value = 0
    cdef int shift = 0
    cdef uint8_t byte
    while shift < 35:
        byte = cursor_u8(c)
        if shift == 28 and byte > 0x0F:
            break
        value |= <uint32_t>(byte & 0x7F) << shift
        if byte < 0x80:
            return value
        shift += 7
    c.bad = True
    return 0


cdef inline uint64_t cursor_uvarlong(Cursor* c) noexcept nogil:
    cdef uint64_t value = 0
    cdef int shift = 0
    cdef uint8_t byte
    while shift < 70:
        byte = cursor_u8(c)
        if shift == 63 and byte > 1:
            break
        value |= <uint64_t>(byte & 0x7F) << shift
        if byte < 0x80:
            return value
        shift += 7
    c.bad = True
    return 0


# Zigzag, as in records (KIP-98). What a record of a few hundred bytes holds takes one byte or two.
cdef inline int32_t cursor_varint(Cursor* c) noexcept nogil:
    cdef uint32_t raw
    if c.end - c.p >= 2 and c.p[0] < 0x80 and not c.bad:
        raw = c.p[0]
        c.p += 1
    elif c.end - c.p >= 2 and c.p[1] < 0x80 and not c.bad:
        raw = <uint32_t>(c.p[0] & 0x7F) | <uint32_t>c.p[1] << 7
        c.p += 2
    else:
        raw = cursor_uvarint(c)
    return <int32_t>(raw >> 1) ^ -<int32_t>(raw & 1)


cdef inline int64_t cursor_varlong(Cursor* c) noexcept nogil:
    cdef uint64_t raw
    if c.p < c.end and c.p[0] < 0x80 and not c.bad:
        raw = c.p[0]
        c.p += 1
    else:
        raw = cursor_uvarlong(c)
    return <int64_t>(raw >> 1) ^ -<int64_t>(raw & 1)


# MQTT's variable byte integer, at most 4 bytes and in its shortest form or not [MQTT-1.5.5-1 binds the encoder].
cdef inline uint32_t cursor_vbi(Cursor* c) noexcept nogil:
    cdef uint32_t value = 0
    cdef int shift = 0
    cdef uint8_t byte
    while shift < 28:
        byte = cursor_u8(c)
        value |= <uint32_t>(byte & 0x7F) << shift
        if byte < 0x80:
            return value
        shift += 7
    c.bad = True
    return 0


# A slice with a 16-bit length before it (MQTT strings and binary data).
cdef inline const uint8_t* cursor_lp16(Cursor* c, uint32_t* n) noexcept nogil:
    n[0] = cursor_u16(c)
    return cursor_take(c, n[0])


# Kafka STRING / NULLABLE_STRING: int16 length, -1 is null (*n = -1, returns NULL).
cdef inline const uint8_t* cursor_kstring(Cursor* c, int32_t* n) noexcept nogil:
    n[0] = cursor_i16(c)
    if n[0] < 0:
        c.bad = c.bad or n[0] != -1
        return NULL
    return cursor_take(c, <uint64_t>n[0])


# Kafka BYTES / RECORDS: int32 length, -1 is null.
cdef inline const uint8_t* cursor_kbytes(Cursor* c, int32_t* n) noexcept nogil:
    n[0] = cursor_i32(c)
    if n[0] < 0:
        c.bad = c.bad or n[0] != -1
        return NULL
    return cursor_take(c, <uint64_t>n[0])


# COMPACT_STRING, COMPACT_BYTES, COMPACT_RECORDS (KIP-482): uvarint length + 1, 0 is null.
cdef inline const uint8_t* cursor_compact(Cursor* c, int32_t* n) noexcept nogil:
    cdef uint32_t raw = cursor_uvarint(c)
    n[0] = <int32_t>raw - 1
    if raw == 0:
        return NULL
    if raw > 0x7FFFFFFF:
        c.bad = True
        return NULL
    return cursor_take(c, raw - 1)


# An array's count, -1 for null. A count that cannot fit in what is left (each element has at least `min_size` bytes)
# is bad: nobody allocates by it.
cdef inline int32_t cursor_count(Cursor* c, bint compact, uint32_t min_size) noexcept nogil:
    cdef int64_t count
    if compact:
        count = <int64_t>cursor_uvarint(c) - 1
    else:
        count = cursor_i32(c)
    if count < -1 or (count > 0 and <uint64_t>count * min_size > cursor_left(c)):
        c.bad = True
        return 0
    return <int32_t>count


# Tagged fields (KIP-482), all of them skipped.
cdef inline void cursor_skip_tags(Cursor* c) noexcept nogil:
    cdef uint32_t count = cursor_uvarint(c)
    while count > 0 and not c.bad:
        cursor_uvarint(c)
        cursor_skip(c, cursor_uvarint(c))
        count -= 1
