"""Topic names across protocols: see names.pxd for the rule.

MQTT to Kafka is written from the right, because whether an underscore needs an escape depends on what follows it.
"""
from libc.string cimport memcpy


cdef uint8_t CLASS[256]             # how a byte of an MQTT topic goes over
cdef enum:
    PLAIN = 0
    SLASH = 1
    UNDERSCORE = 2
    ESCAPED = 3


def _classes():
    for byte in range(256):
        char = chr(byte)
        CLASS[byte] = (PLAIN if byte < 128 and (char.isalnum() or char == "-") else SLASH if char == "/"
                       else UNDERSCORE if char == "_" else ESCAPED)


_classes()


cdef inline bint is_hex(uint8_t c) noexcept nogil:
    return c >= c"0" and c <= c"9" or c >= c"a" and c <= c"f"


cdef inline bint escapable(uint32_t cp) noexcept nogil:
    """Code points that are written as an escape: all that a topic name may hold and Kafka's alphabet does not."""
    if cp < 128:
        return cp != 0 and CLASS[cp] == ESCAPED and cp != c"+" and cp != c"#"
    return cp <= 0x10FFFF and not 0xD800 <= cp <= 0xDFFF


cdef uint32_t escape_body(const uint8_t* p, const uint8_t* end, uint32_t* cp) noexcept nogil:
    """Length of `_HEX_` at p and its code point; 0 when there is none."""
    cdef uint32_t digits = 0
    cp[0] = 0
    if p >= end or p[0] != c"_":
        return 0
    p += 1
    while p < end and digits < 6 and is_hex(p[0]):
        cp[0] = cp[0] << 4 | <uint32_t>(p[0] - (c"0" if p[0] <= c"9" else c"a" - 10))
        digits += 1
        p += 1
    if digits == 0 or p >= end or p[0] != c"_" or (p - digits)[0] == c"0":
        return 0
    return digits + 2


cdef uint32_t begins_escape(const uint8_t* rest, const uint8_t* end, uint32_t* cp) noexcept nogil:
    """Whether an underscore before `rest` begins an escape; length of the escape's rest, else 0.

    An escaped underscore counts only where it had to be escaped: when what follows it would begin an escape as well.
    """
    cdef uint32_t first = escape_body(rest, end, cp)
    cdef uint32_t n = first
    cdef uint32_t code = cp[0]
    while n and code == c"_":
        rest += n
        n = escape_body(rest, end, &code)
    return first if n and escapable(code) else 0


cdef uint32_t utf8_before(const uint8_t* start, const uint8_t* end, uint32_t* cp) noexcept nogil:
    """Bytes of the UTF-8 character that ends at `end`, and its code point; 0 when it is not well-formed."""
    cdef uint32_t n = 1
    cdef uint32_t code, least, i
    while n < 4 and end - n > start and (end - n)[0] & 0xC0 == 0x80:
        n += 1
    cdef uint8_t lead = (end - n)[0]
    if lead < 0x80:
        cp[0] = lead
        return 1 if n == 1 else 0
    if lead & 0xE0 == 0xC0:
        code, least = lead & 0x1F, 0x80
        if n != 2:
            return 0
    elif lead & 0xF0 == 0xE0:
        code, least = lead & 0x0F, 0x800
        if n != 3:
            return 0
    elif lead & 0xF8 == 0xF0:
        code, least = lead & 0x07, 0x10000
        if n != 4:
            return 0
    else:
        return 0
    for i in range(1, n):
        code = code << 6 | (end - n + i)[0] & 0x3F
    cp[0] = code
    return n if code >= least else 0


cdef uint8_t* put_escape_before(uint8_t* at, uint8_t* room, uint32_t cp) noexcept nogil:
    """`__HEX_` ending at `at`; NULL when it does not fit after `room`."""
    cdef uint32_t digit
    if at - room < 9:
        return NULL
    at -= 1
    at[0] = c"_"
    while cp:
        digit = cp & 15
        at -= 1
        at[0] = <uint8_t>(c"0" + digit if digit < 10 else c"a" + digit - 10)
        cp >>= 4
    at -= 2
    at[0] = at[1] = c"_"
    return at


cdef int32_t to_kafka_escaped(const uint8_t* topic, uint32_t n, uint8_t* out) noexcept nogil:
    cdef uint8_t room[KAFKA_NAME_MAX + 16]
    cdef uint8_t* end = room + sizeof(room)
    cdef uint8_t* at = end
    cdef const uint8_t* p = topic + n
    cdef uint32_t cp = 0
    cdef uint32_t size
    cdef uint32_t ignored
    while p > topic:
        size = utf8_before(topic, p, &cp)
        p -= size
        if size == 0 or at - room < 10:
            return -1
        if cp < 128 and CLASS[cp] == PLAIN or cp == c"_" and not begins_escape(at, end, &ignored):
            at -= 1
            at[0] = <uint8_t>cp
        elif cp == c"/":
            at -= 1
            at[0] = c"."
        elif cp == c"_" or escapable(cp):
            at = put_escape_before(at, room, cp)
            if at == NULL:
                return -1
        else:
            return -1
    n = <uint32_t>(end - at)
    if n > KAFKA_NAME_MAX:
        return -1
    memcpy(out, at, n)
    return <int32_t>n


cdef int32_t name_to_kafka(const uint8_t* topic, uint32_t n, uint8_t* out) noexcept nogil:
    cdef uint32_t i
    cdef uint8_t kind
    if n == 0:
        return -1
    for i in range(n if n < KAFKA_NAME_MAX else KAFKA_NAME_MAX):
        kind = CLASS[topic[i]]
        if kind == PLAIN:
            out[i] = topic[i]
        elif kind == SLASH:
            out[i] = c"."
        elif kind == UNDERSCORE and (i + 1 == n or topic[i + 1] != c"_"):
            out[i] = c"_"
        else:
            return to_kafka_escaped(topic, n, out)      # rare: something that may need an escape
    if n > KAFKA_NAME_MAX or n <= 2 and out[0] == c"." and out[n - 1] == c".":
        return -1
    return <int32_t>n


cdef inline uint8_t* put_utf8(uint8_t* p, uint32_t cp) noexcept nogil:
    if cp < 0x80:
        p[0] = <uint8_t>cp
        return p + 1
    if cp < 0x800:
        p[0] = <uint8_t>(0xC0 | cp >> 6)
        p[1] = <uint8_t>(0x80 | cp & 0x3F)
        return p + 2
    if cp < 0x10000:
        p[0] = <uint8_t>(0xE0 | cp >> 12)
        p[1] = <uint8_t>(0x80 | cp >> 6 & 0x3F)
        p[2] = <uint8_t>(0x80 | cp & 0x3F)
        return p + 3
    p[0] = <uint8_t>(0xF0 | cp >> 18)
    p[1] = <uint8_t>(0x80 | cp >> 12 & 0x3F)
    p[2] = <uint8_t>(0x80 | cp >> 6 & 0x3F)
    p[3] = <uint8_t>(0x80 | cp & 0x3F)
    return p + 4


cdef int32_t name_to_mqtt(const uint8_t* name, uint32_t n, uint8_t* out) noexcept nogil:
    cdef const uint8_t* p = name
    cdef const uint8_t* end = name + n
    cdef uint8_t* to = out
    cdef uint32_t cp = 0
    cdef uint32_t size
    if n == 0 or n > KAFKA_NAME_MAX or n <= 2 and name[0] == c"." and name[n - 1] == c".":
        return -1
    while p < end:
        size = begins_escape(p + 1, end, &cp) if p[0] == c"_" else 0
        if size:
            to = put_utf8(to, cp)
            p += 1 + size
            continue
        if p[0] == c".":
            to[0] = c"/"
        elif CLASS[p[0]] == PLAIN or p[0] == c"_":
            to[0] = p[0]
        else:
            return -1
        to += 1
        p += 1
    return <int32_t>(to - out)


def to_kafka(str topic not None):
    """The canonical (Kafka) name of an MQTT topic. ValueError when it has none."""
    cdef bytes raw = topic.encode()
    cdef uint8_t out[KAFKA_NAME_MAX]
    cdef int32_t n = name_to_kafka(raw, <uint32_t>len(raw), out)
    if n < 0:
        raise ValueError(f"MQTT topic {topic!r} has no Kafka name: at most {KAFKA_NAME_MAX} bytes, no wildcards, not '/'")
    return out[:n].decode()


def to_mqtt(str name not None):
    """The MQTT topic of a canonical (Kafka) name. ValueError when the name is not legal."""
    cdef bytes raw = name.encode()
    cdef uint8_t out[MQTT_NAME_MAX]
    cdef int32_t n = name_to_mqtt(raw, <uint32_t>len(raw), out)
    if n < 0:
        raise ValueError(f"{name!r} is not a Kafka topic name: 1 to {KAFKA_NAME_MAX} of [A-Za-z0-9._-], not '.' or '..'")
    return out[:n].decode()
