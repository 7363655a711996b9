"""Responses: framed, matched, walked."""
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memcpy, memmove
from robustmq._fastpath.batch cimport (
    BATCH_HEADER, CODEC_NONE, RecordView, batch_base_offset, batch_codec, batch_intact, batch_last_offset_delta,
    batch_record_count, batch_size, record_next,
)
from robustmq._fastpath.cursor cimport (
    Cursor, cursor_i16, cursor_i32, cursor_init, cursor_kbytes, cursor_kstring, cursor_skip, load_be32,
)
from robustmq.bench.histogram cimport histogram_record
from robustmq.bench.kafka_load cimport PRODUCER, RESPONSE_FIRST, RESPONSE_MOST, Load, Peer
from robustmq.bench.kafka_output cimport fetch
from robustmq.bench.net cimport clock_now_ns, net_read, would_block


cdef enum:
    ERRORS_MOST = 100               # of one connection's answers; then it is closed

cdef void end_peer(Load* l, Peer* p) noexcept nogil:
    l.closed += 1
    p.fd = -1                       # the socket is its Python owner's to close


cdef void on_error(Load* l, Peer* p, int16_t code) noexcept nogil:
    l.errors += 1
    l.last_error = code
    if l.errors >= ERRORS_MOST:
        end_peer(l, p)


# Topic, partition and error code of the only partition that was asked for.
cdef int16_t open_partition(Cursor* c) noexcept nogil:
    cdef int32_t n
    cursor_i32(c)                   # topics: 1
    cursor_kstring(c, &n)
    cursor_i32(c)                   # partitions: 1
    cursor_i32(c)                   # its index
    return cursor_i16(c)


cdef void on_produced(Load* l, Peer* p, Cursor* c, int32_t correlation) noexcept nogil:
    cdef int64_t sent_ns = p.sent_ns[<uint32_t>correlation % l.window]
    cdef int16_t code = open_partition(c)
    if c.bad or p.inflight == 0:
        end_peer(l, p)
        return
    p.inflight -= 1
    if code:
        on_error(l, p, code)
        return
    l.acked += l.records
    if l.measure_from <= sent_ns < l.measure_until:
        histogram_record(l.ack, l.now - sent_ns)


cdef void on_records(Load* l, const uint8_t* batch, uint64_t size) noexcept nogil:
    cdef Cursor c
    cdef RecordView record
    cdef int64_t stamp
    cursor_init(&c, batch + BATCH_HEADER, size - BATCH_HEADER)
    while record_next(&c, &record):
        if record.value_len >= 8:
            memcpy(&stamp, record.value, 8)
            if l.measure_from <= stamp < l.measure_until:
                histogram_record(l.delivery, l.now - stamp)


cdef void on_fetched(Load* l, Peer* p, Cursor* c) noexcept nogil:
    cdef int32_t n
    cdef int16_t code
    cdef const uint8_t* at
    cursor_i32(c)                   # throttle time
    code = open_partition(c)
    cursor_skip(c, 16)              # high watermark, last stable offset
    n = cursor_i32(c)               # aborted transactions, 16 bytes each
    cursor_skip(c, 16 * <uint64_t>n if n > 0 else 0)
    at = cursor_kbytes(c, &n)
    p.asked = False
    if c.bad:
        end_peer(l, p)
        return
    if code:
        on_error(l, p, code)
        return
    ask_ahead(l, p, at, n)
    take_batches(l, p, at, n)


# The batch at `at`, of which `n` bytes are here, is whole: the last one may be cut short.
cdef inline bint whole(const uint8_t* at, int32_t n) noexcept nogil:
    return n > BATCH_HEADER and batch_size(at) > BATCH_HEADER and batch_size(at) <= <uint64_t>n


# Send the next Fetch before the batches are looked into, as the Java client does: the broker answers meanwhile.
cdef void ask_ahead(Load* l, Peer* p, const uint8_t* at, int32_t n) noexcept nogil:
    cdef uint64_t size
    while whole(at, n):
        p.offset = batch_base_offset(at) + batch_last_offset_delta(at) + 1
        size = batch_size(at)
        at += size
        n -= <int32_t>size
    if p.wrap_at >= 0 and p.offset >= p.wrap_at:
        p.offset = 0
    fetch(l, p)


cdef void take_batches(Load* l, Peer* p, const uint8_t* at, int32_t n) noexcept nogil:
    cdef uint64_t size
    while whole(at, n):
        size = batch_size(at)
        if not batch_intact(at, size):
            l.corrupt += 1
            end_peer(l, p)
            return
        if batch_codec(at) == CODEC_NONE:
            on_records(l, at, size)
        l.received += <uint64_t>batch_record_count(at)
        l.bytes_in += size
        at += size
        n -= <int32_t>size


# Room for `n` bytes of responses.
cdef bint reserve(Peer* p, uint64_t n) noexcept nogil:
    cdef uint8_t* grown
    if n <= p.input_cap:
        return True
    if n > RESPONSE_MOST:
        return False
    grown = <uint8_t*>realloc(p.input, n)
    if grown == NULL:
        return False
    p.input = grown
    p.input_cap = <uint32_t>n
    return True


# All whole responses in the input; False: nonsense.
cdef bint take_responses(Load* l, Peer* p) noexcept nogil:
    cdef Cursor c
    cdef uint32_t at = 0
    cdef uint64_t size = 0
    while p.fd >= 0 and p.input_len - at >= 4:
        size = <uint64_t>load_be32(p.input + at) + 4
        if size < 8 or not reserve(p, size):
            return False
        if size > p.input_len - at:
            break
        cursor_init(&c, p.input + at + 4, size - 4)
        if p.role == PRODUCER:
            on_produced(l, p, &c, cursor_i32(&c))
        else:
            cursor_i32(&c)
            on_fetched(l, p, &c)
        at += <uint32_t>size
    if at and at < p.input_len:
        memmove(p.input, p.input + at, p.input_len - at)
    p.input_len -= at
    return True


cdef void peer_read(Load* l, Peer* p) noexcept nogil:
    cdef long long n
    if not reserve(p, RESPONSE_FIRST):
        end_peer(l, p)
        return
    n = net_read(p.fd, p.input + p.input_len, p.input_cap - p.input_len)
    if n < 0 and would_block():
        p.readable = False
        return
    if n <= 0:
        end_peer(l, p)
        return
    p.readable = <uint64_t>n == p.input_cap - p.input_len
    p.input_len += <uint32_t>n
    l.now = l.last_arrival = clock_now_ns()
    if not take_responses(l, p) and p.fd >= 0:
        end_peer(l, p)
