"""Mapping rules: see mapping.pxd."""
from libc.string cimport memcmp


cdef uint32_t level_end(const uint8_t* p, uint32_t n, uint32_t at) noexcept nogil:
    while at < n and p[at] != c"/":
        at += 1
    return at


cdef bint filter_matches(const uint8_t* filter, uint32_t filter_len, const uint8_t* topic, uint32_t n) noexcept nogil:
    cdef uint32_t f = 0, t = 0, f_end, t_end
    if n > 0 and topic[0] == c"$" and filter_len > 0 and (filter[0] == c"+" or filter[0] == c"#"):
        return False                                                    # [MQTT-4.7.2-1]
    while True:
        f_end = level_end(filter, filter_len, f)
        if f_end - f == 1 and filter[f] == c"#":
            return True                                                 # [MQTT-4.7.1-2]
        t_end = level_end(topic, n, t)
        if not (f_end - f == 1 and filter[f] == c"+"):                  # [MQTT-4.7.1-3]
            if f_end - f != t_end - t or memcmp(filter + f, topic + t, f_end - f) != 0:
                return False
        if t_end == n:                                                  # `a/#` matches `a` too
            return f_end == filter_len or (filter_len - f_end == 2 and filter[f_end + 1] == c"#")
        if f_end == filter_len:
            return False
        f = f_end + 1
        t = t_end + 1


cdef Slice mapping_key(const Mapping* mapping, const uint8_t* topic, uint32_t n, const uint8_t* client_id,
                       uint32_t client_id_len) noexcept nogil:
    cdef Slice key
    cdef uint32_t level = 0, at = 0
    key.p = NULL
    key.n = 0
    if mapping.key == KEY_TOPIC:
        key.p = topic
        key.n = n
    elif mapping.key == KEY_CLIENT_ID:
        key.p = client_id
        key.n = client_id_len
    elif mapping.key == KEY_LEVEL:
        while level < mapping.level and at < n:
            at = level_end(topic, n, at) + 1
            level += 1
        if level == mapping.level and at <= n:
            key.p = topic + at
        key.n = level_end(topic, n, at) - at
    return key


cdef uint32_t murmur2(const uint8_t* p, uint32_t n) noexcept nogil:
    """Kafka's org.apache.kafka.common.utils.Utils.murmur2: Austin Appleby's MurmurHash2 with its own seed."""
    cdef uint32_t m = 0x5BD1E995
    cdef uint32_t h = 0x9747B28CU ^ n
    cdef uint32_t k
    while n >= 4:
        k = p[0] | <uint32_t>p[1] << 8 | <uint32_t>p[2] << 16 | <uint32_t>p[3] << 24
        k *= m
        k ^= k >> 24
        h = h * m ^ k * m
        p += 4
        n -= 4
    if n >= 3:
        h ^= <uint32_t>p[2] << 16
    if n >= 2:
        h ^= <uint32_t>p[1] << 8
    if n >= 1:
        h = (h ^ p[0]) * m
    h = (h ^ h >> 13) * m
    return h ^ h >> 15


cdef uint32_t partition_of_key(const uint8_t* key, uint32_t n, uint32_t partitions) noexcept nogil:
    return (murmur2(key, n) & 0x7FFFFFFF) % partitions


def partition_for(bytes key not None, uint32_t partitions):
    """The partition of a key, as Kafka's default partitioner says."""
    if partitions < 1:
        raise ValueError(f"a topic has at least one partition, not {partitions}")
    return partition_of_key(key, <uint32_t>len(key), partitions)


def check_filter(str filter not None):
    """ValueError for what is no MQTT topic filter [MQTT-4.7.1-1 to -3, MQTT-4.7.3-1, -2]."""
    *upper, last = filter.split("/")
    if not filter or "\0" in filter:
        raise ValueError(f"{filter!r} is no topic filter: it has one character at least, and no U+0000")
    if "#" in "".join(upper) or ("#" in last and last != "#"):
        raise ValueError(f"{filter!r} is no topic filter: '#' stands alone in the last level")
    if any("+" in level and level != "+" for level in (*upper, last)):
        raise ValueError(f"{filter!r} is no topic filter: '+' stands alone in its level")


def matches(str filter not None, str topic not None):
    """Whether an MQTT topic matches a filter."""
    cdef bytes f = filter.encode(), t = topic.encode()
    return filter_matches(f, <uint32_t>len(f), t, <uint32_t>len(t))
