"""Produce and Fetch requests: see kafka_output.pxd."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy
from robustmq._fastpath.batch cimport BATCH_ATTRIBUTES, BATCH_CRC
from robustmq._fastpath.crc cimport crc32c
from robustmq._fastpath.cursor cimport store_be32, store_be64
from robustmq.bench.kafka_load cimport CORRELATION_AT, Load, Peer
from robustmq.bench.net cimport MSG_NOSIGNAL, clock_now_ns, send, would_block


cdef bint flush(Load* l, Peer* p) noexcept nogil:
    cdef long long n
    while p.request_at < p.request_len:
        n = send(p.fd, p.request + p.request_at, p.request_len - p.request_at, MSG_NOSIGNAL)
        if n <= 0:
            p.writable = False
            if not would_block():
                p.fd = -1
                l.closed += 1
            return False
        p.request_at += <uint32_t>n
    return True


cdef void begin_request(Peer* p) noexcept nogil:
    p.correlation += 1
    store_be32(p.request + CORRELATION_AT, <uint32_t>p.correlation)
    p.request_at = 0


# The next request goes to the producer's next partition.
cdef void turn_partition(Peer* p) noexcept nogil:
    store_be32(p.request + p.partition_at, p.partition)
    p.partition += p.stride
    if p.partition >= p.partitions:
        p.partition = p.first_partition


cdef void stamp_batch(const Load* l, Peer* p, int64_t stamp) noexcept nogil:
    cdef uint8_t* batch = p.request + p.batch_at
    cdef uint8_t* signed_ = batch + BATCH_ATTRIBUTES
    cdef uint32_t i
    if p.values_at == NULL:
        return
    for i in range(l.records):
        memcpy(p.request + p.values_at[i], &stamp, 8)
    store_be32(batch + BATCH_CRC, crc32c(0, signed_, p.request + p.request_len - signed_))


cdef bint produce(Load* l, Peer* p) noexcept nogil:
    cdef int64_t stamp
    if (l.acks and p.inflight >= l.window) or (l.stop_after and l.sent >= l.stop_after):
        return False
    if l.interval_ns > 0:
        if p.owed == 0:
            return False
        p.owed -= 1
        stamp = l.start + <int64_t>(<double>(p.requests * l.producers + p.number) * l.interval_ns)
    else:
        stamp = clock_now_ns()
    begin_request(p)
    p.sent_ns[<uint32_t>p.correlation % l.window] = stamp
    turn_partition(p)
    stamp_batch(l, p, stamp)
    p.requests += 1
    p.inflight += l.acks
    l.sent += l.records
    flush(l, p)
    return True


cdef bint fetch(Load* l, Peer* p) noexcept nogil:
    if p.asked or p.request_at < p.request_len:
        return False
    begin_request(p)
    store_be64(p.request + p.offset_at, <uint64_t>p.offset)
    p.asked = True
    flush(l, p)
    return True
