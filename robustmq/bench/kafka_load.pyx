"""One thread, one loop over Kafka connections. See kafka_load.pxd."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset
from cpython.exc cimport PyErr_CheckSignals
from robustmq.bench.histogram cimport Histogram
from robustmq.bench.kafka_input cimport peer_read
from robustmq.bench.kafka_load cimport CONSUMER, PRODUCER, Load, Peer
from robustmq.bench.kafka_output cimport fetch, flush, produce
from robustmq.bench.net cimport (
    POLLER_BATCH, READY_END, READY_ERROR, READY_READ, READY_WRITE, WATCH_EDGES, clock_now_ns, least,
    poller_add, poller_close, poller_event, poller_open, poller_wait,
)


cdef enum:
    SLICE_NS = 200000000            # how long the loop runs before Python may look for a Ctrl-C
    QUIET_NS = 1000000000           # after the end: nothing arrives for so long, nothing more will
    DRAIN_NS = 5000000000
    PARTITION_BEFORE_BATCH = 8      # partition index i32, size of the records i32, the records

cdef struct Marks:
    int64_t at                      # ns
    uint64_t sent
    uint64_t acked
    uint64_t received


cdef Marks marks(const Load* l) noexcept nogil:
    cdef Marks m
    m.at, m.sent, m.acked, m.received = l.now, l.sent, l.acked, l.received
    return m


# One turn of one connection. True: it did something, so it may have more.
cdef bint serve(Load* l, Peer* p, bint sending) noexcept nogil:
    cdef bint worked = False
    if p.fd < 0:
        return False
    if p.readable:
        peer_read(l, p)
        worked = True
    if p.fd < 0 or not p.writable or not flush(l, p):
        return worked
    if p.role == CONSUMER:
        return fetch(l, p) or worked
    return (sending and produce(l, p)) or worked


cdef void schedule(Load* l) noexcept nogil:
    while l.start + <int64_t>(<double>l.requests_due * l.interval_ns) <= least(l.now, l.measure_until - 1):
        l.peers[l.requests_due % l.producers].owed += 1
        l.requests_due += 1


cdef void collect(Load* l, int poller, int64_t timeout_ns) noexcept nogil:
    cdef poller_event events[POLLER_BATCH]
    cdef Peer* p
    cdef int n = poller_wait(poller, events, timeout_ns)
    cdef int i
    for i in range(n):
        p = &l.peers[events[i].tag]
        if events[i].ready & (READY_READ | READY_END | READY_ERROR):
            p.readable = True
        if events[i].ready & READY_WRITE:
            p.writable = True


# How long the loop may sleep when nobody had work.
cdef int64_t patience(const Load* l, int64_t until) noexcept nogil:
    if l.spin:
        return 0
    if l.interval_ns > 0 and l.producers and l.now < l.measure_until:
        until = least(until, l.start + <int64_t>(<double>l.requests_due * l.interval_ns))
    return 0 if until <= l.now else least(until - l.now, SLICE_NS)


cdef void run_until(Load* l, int poller, int64_t until) noexcept nogil:
    cdef bint worked = True
    cdef bint sending
    cdef uint32_t i
    while l.now < until and l.closed < l.count and not finished(l):
        collect(l, poller, 0 if worked else patience(l, until))
        l.now = clock_now_ns()
        sending = l.now < l.measure_until
        if sending and l.interval_ns > 0 and l.producers:
            schedule(l)
        worked = False
        for i in range(l.count):
            worked = serve(l, &l.peers[i], sending) or worked


# A load with an end has reached it.
cdef bint finished(const Load* l) noexcept nogil:
    return l.stop_after > 0 and l.sent >= l.stop_after and (not l.acks or l.acked >= l.sent)


cdef bint settled(const Load* l) noexcept nogil:
    cdef bint acked = not l.acks or l.acked >= l.sent
    cdef bint delivered = l.count == l.producers or l.received >= l.sent
    if l.producers == 0 or (acked and delivered):
        return True
    return l.now - l.last_arrival > QUIET_NS and l.now - l.measure_until > QUIET_NS


cdef int start_peer(Load* l, uint32_t i, int fd, bytes request, int role, int poller) except -1:
    cdef Peer* p = &l.peers[i]
    p.fd = fd
    p.role = role
    p.number = i if role == PRODUCER else i - l.producers
    p.readable = p.writable = True      # an edge that came before the watch is not told again
    p.request_len = p.request_at = len(request)
    p.request = <uint8_t*>malloc(p.request_len)
    p.sent_ns = <int64_t*>calloc(l.window, sizeof(int64_t))
    if p.request == NULL or p.sent_ns == NULL:
        raise MemoryError
    memcpy(p.request, <const uint8_t*>request, p.request_len)
    if poller_add(poller, fd, i, WATCH_EDGES) != 0:
        raise OSError("a connection could not be watched: too many open files?")
    return 0


cdef int start_producer(Load* l, uint32_t i, tuple given, int poller) except -1:
    fd, request, batch_at, values_at, first, stride, partitions = given
    cdef Peer* p = &l.peers[i]
    cdef uint32_t k
    start_peer(l, i, fd, request, PRODUCER, poller)
    p.batch_at = batch_at
    p.partition_at = batch_at - PARTITION_BEFORE_BATCH
    p.partition = p.first_partition = first
    p.stride, p.partitions = stride, partitions
    if values_at:
        p.values_at = <uint32_t*>calloc(l.records, sizeof(uint32_t))
        if p.values_at == NULL:
            raise MemoryError
        for k in range(l.records):
            p.values_at[k] = values_at[k]
    return 0


cdef int start_consumer(Load* l, uint32_t i, tuple given, int poller) except -1:
    fd, request, offset_at, offset, wrap_at = given
    start_peer(l, i, fd, request, CONSUMER, poller)
    l.peers[i].offset_at, l.peers[i].offset, l.peers[i].wrap_at = offset_at, offset, wrap_at
    return 0


cdef void free_load(Load* l) noexcept:
    cdef uint32_t i
    if l.peers != NULL:
        for i in range(l.count):
            free(l.peers[i].request)
            free(l.peers[i].input)
            free(l.peers[i].values_at)
            free(l.peers[i].sent_ns)
    free(l.peers)


cdef int run_slices(Load* l, int poller, int64_t until) except -1:
    while l.now < until and l.closed < l.count and not finished(l):
        with nogil:
            run_until(l, poller, least(until, l.now + SLICE_NS))
        PyErr_CheckSignals()
    return 0


def run_load(producers, consumers, *, records, window, acks, rate, spin, stop_after, warmup_s, seconds):
    """Run one load over connected, non-blocking sockets and count.

    A producer is (descriptor, Produce request with its size, position of the batch, positions of the values to stamp or
    none, first partition, stride, partitions): its requests go to the first partition, then to every stride-th below
    `partitions`, and round again. A consumer is (descriptor, Fetch request with its size, position of the offset, first offset, offset at which
    to begin again or -1). `rate` is records a second of all producers together, 0 for as fast as it goes. The load ends
    early when `stop_after` records (0: no such end) are sent and answered. Counts are records of the measured
    `elapsed_s`; `total_…` those of the whole run.
    """
    cdef Load l
    cdef Histogram delivery = Histogram()
    cdef Histogram ack = Histogram()
    cdef Marks begun, ended
    cdef int poller
    memset(&l, 0, sizeof(l))
    l.producers, l.count = len(producers), len(producers) + len(consumers)
    l.records, l.window, l.acks, l.spin, l.stop_after = records, window, acks, spin, stop_after
    l.interval_ns = records * 1e9 / rate if rate else 0
    l.delivery, l.ack = &delivery.data, &ack.data
    l.peers = <Peer*>calloc(l.count, sizeof(Peer))
    poller = poller_open()
    try:
        if l.peers == NULL:
            raise MemoryError
        if poller < 0:
            raise OSError("no poller: too many open files?")
        for i, producer in enumerate(producers):
            start_producer(&l, i, producer, poller)
        for i, consumer in enumerate(consumers):
            start_consumer(&l, l.producers + i, consumer, poller)
        l.now = l.start = l.last_arrival = clock_now_ns()
        l.measure_from = l.start + <int64_t>(warmup_s * 1e9)
        l.measure_until = l.measure_from + <int64_t>(seconds * 1e9)
        run_slices(&l, poller, l.measure_from)
        begun = marks(&l)
        run_slices(&l, poller, l.measure_until)
        ended = marks(&l)
        while not settled(&l) and l.now < l.measure_until + DRAIN_NS and l.closed < l.count:
            run_slices(&l, poller, l.now + SLICE_NS // 10)
    finally:
        free_load(&l)
        poller_close(poller)
    return {
        "elapsed_s": <double>(ended.at - begun.at) / 1e9,
        "sent": ended.sent - begun.sent, "total_sent": l.sent,
        "acked": ended.acked - begun.acked, "total_acked": l.acked,
        "received": ended.received - begun.received, "total_received": l.received,
        "bytes_in": l.bytes_in, "closed": l.closed, "errors": l.errors, "corrupt": l.corrupt, "error_code": l.last_error,
        "delivery": delivery, "ack": ack,
    }
