"""The frames that come back: PUBLISH to a subscriber, acknowledgements to a publisher."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memcpy
from robustmq._fastpath.cursor cimport Cursor, cursor_init, cursor_left, cursor_skip, cursor_u16, cursor_vbi, load_be16
from robustmq._fastpath.cursor cimport store_be16
from robustmq.bench.histogram cimport histogram_record
from robustmq.bench.mqtt_load cimport FRAME_MOST, READ_MOST, Load, Peer
from robustmq.bench.net cimport clock_now_ns, net_read, would_block


cdef enum:
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    REFUSED = 0x80                  # reason codes from here on [MQTT5-2.4]


cdef void answer(Peer* p, uint8_t first, uint16_t packet_id) noexcept nogil:
    cdef uint8_t* at = p.acks + p.acks_len
    if p.acks == NULL:
        return
    at[0] = first
    at[1] = 2
    store_be16(at + 2, packet_id)
    p.acks_len += 4


cdef void on_publish(Load* l, Peer* p, uint8_t first, const uint8_t* body, uint32_t n) noexcept nogil:
    cdef Cursor c
    cdef int qos = (first >> 1) & 3
    cdef uint16_t packet_id = 0
    cdef int64_t stamp
    cursor_init(&c, body, n)
    cursor_skip(&c, cursor_u16(&c))
    if qos:
        packet_id = cursor_u16(&c)
    if l.v5:
        cursor_skip(&c, cursor_vbi(&c))
    if c.bad:
        l.malformed += 1
        return
    l.received += 1
    if cursor_left(&c) >= 8:
        memcpy(&stamp, c.p, 8)
        if l.measure_from <= stamp < l.measure_until:
            histogram_record(l.delivery, l.now - stamp)
    if qos:
        answer(p, PUBACK << 4 if qos == 1 else PUBREC << 4, packet_id)


cdef void on_complete(Load* l, Peer* p, uint16_t packet_id, uint8_t reason) noexcept nogil:
    cdef int64_t sent_ns
    if packet_id == 0 or packet_id > l.window or p.sent_ns == NULL or p.sent_ns[packet_id - 1] == 0:
        l.malformed += 1
        return
    sent_ns = p.sent_ns[packet_id - 1]
    p.sent_ns[packet_id - 1] = 0
    p.inflight -= 1
    l.acked += 1
    l.refused += reason >= REFUSED
    if l.measure_from <= sent_ns < l.measure_until:
        histogram_record(l.ack, l.now - sent_ns)


cdef void on_frame(Load* l, Peer* p, uint8_t first, const uint8_t* body, uint32_t n) noexcept nogil:
    cdef int kind = first >> 4
    cdef uint8_t reason = body[2] if n > 2 else 0
    if kind == PUBLISH:
        on_publish(l, p, first, body, n)
    elif PUBACK <= kind <= PUBCOMP:
        if n < 2:
            l.malformed += 1
        elif kind == PUBREC and reason < REFUSED:
            answer(p, PUBREL << 4 | 2, load_be16(body))
        elif kind == PUBREL:
            answer(p, PUBCOMP << 4, load_be16(body))
        else:
            on_complete(l, p, load_be16(body), reason)


# Whole frames from `at`; returns where the first incomplete one begins, NULL when there is nonsense.
cdef const uint8_t* walk(Load* l, Peer* p, const uint8_t* at, const uint8_t* end) noexcept nogil:
    cdef uint32_t length, shift
    cdef const uint8_t* body
    while end - at >= 2:
        body = at + 1
        length = shift = 0
        while body < end and shift < 28:
            length |= <uint32_t>(body[0] & 0x7F) << shift
            body += 1
            if (body - 1)[0] < 0x80:
                break
            shift += 7
        if shift == 28 or length > FRAME_MOST - 8:
            return NULL
        if (body - 1)[0] >= 0x80 or length > end - body:
            return at
        on_frame(l, p, at[0], body, length)
        at = body + length
    return at


cdef bint keep_rest(Peer* p, const uint8_t* at, uint32_t n) noexcept nogil:
    cdef uint8_t* grown
    if n > p.carry_cap:
        grown = <uint8_t*>realloc(p.carry, n)
        if grown == NULL:
            return False
        p.carry = grown
        p.carry_cap = n
    memcpy(p.carry, at, n)
    p.carry_len = n
    return True


cdef void end_peer(Load* l, Peer* p) noexcept nogil:
    l.closed += 1
    p.fd = -1                       # the socket is its Python owner's to close


cdef void peer_read(Load* l, Peer* p) noexcept nogil:
    cdef const uint8_t* end
    cdef const uint8_t* rest
    cdef long long n = net_read(p.fd, l.input + p.carry_len, READ_MOST)
    if n < 0 and would_block():
        p.readable = False
        return
    if n <= 0:
        end_peer(l, p)
        return
    p.readable = n == READ_MOST     # a short read has emptied the socket: the next edge comes with more bytes
    l.now = l.last_arrival = clock_now_ns()
    if p.carry_len:
        memcpy(l.input, p.carry, p.carry_len)
    end = l.input + p.carry_len + n
    p.carry_len = 0
    rest = walk(l, p, l.input, end)
    if rest == NULL or (rest < end and not keep_rest(p, rest, <uint32_t>(end - rest))):
        l.malformed += 1
        end_peer(l, p)
