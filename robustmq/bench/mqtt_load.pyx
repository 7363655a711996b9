"""One thread, one loop: due messages out, whatever came in, until the time is over. See mqtt_load.pxd."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset
from cpython.exc cimport PyErr_CheckSignals
from robustmq._fastpath.cursor cimport store_be16
from robustmq.bench.histogram cimport Histogram
from robustmq.bench.mqtt_input cimport peer_read
from robustmq.bench.mqtt_load cimport (
    FRAME_MOST, PUBLISHER, READ_MOST, SUBSCRIBER, TOPIC_DIGITS, Load, Peer, enqueue, fan_out,
)
from robustmq.bench.net cimport (
    MSG_NOSIGNAL, POLLER_BATCH, READY_END, READY_ERROR, READY_READ, READY_WRITE, WATCH_EDGES, clock_now_ns, least,
    poller_add, poller_close, poller_event, poller_open, poller_wait, send, would_block,
)


cdef enum:
    SLICE_NS = 200000000            # how long the loop runs before Python may look for a Ctrl-C
    STALL_NS = 500000000            # nothing arrives for so long: what is outstanding is lost
    QUIET_NS = 500000000            # after the end: nothing arrives for so long, nothing more will
    DRAIN_NS = 5000000000

cdef struct Marks:
    int64_t at                      # ns
    uint64_t sent
    uint64_t acked
    uint64_t received


cdef Marks marks(const Load* l, int64_t now) noexcept nogil:
    cdef Marks m
    m.at, m.sent, m.acked, m.received = now, l.sent, l.acked, l.received
    return m


# Write [at, len); True when all is written.
cdef bint drain(Load* l, Peer* p, const uint8_t* data, uint32_t length, uint32_t* at) noexcept nogil:
    cdef long long n
    while at[0] < length:
        n = send(p.fd, data + at[0], length - at[0], MSG_NOSIGNAL)
        if n <= 0:
            p.writable = False
            if not would_block():
                p.fd = -1
                l.closed += 1
            return False
        at[0] += <uint32_t>n
    return True


# What is half written goes first, then acknowledgements. True: all is written.
cdef bint flush(Load* l, Peer* p) noexcept nogil:
    if p.frames_at < p.frames_len and p.acks_at == 0 and not drain(l, p, p.frames, p.frames_len, &p.frames_at):
        return False
    if p.acks_len:
        if not drain(l, p, p.acks, p.acks_len, &p.acks_at):
            return False
        p.acks_len = p.acks_at = 0
    return True


cdef void put_topic(const Load* l, uint8_t* frame, uint64_t topic) noexcept nogil:
    cdef int i
    for i in range(TOPIC_DIGITS):
        frame[l.topic_at + TOPIC_DIGITS - 1 - i] = <uint8_t>(48 + topic % 10)
        topic //= 10


# When message `m` of a publisher was meant to be sent.
cdef int64_t intended_ns(const Load* l, const Peer* p, uint64_t m) noexcept nogil:
    return l.start + <int64_t>(<double>((m // l.batch) * l.publishers + p.number) * l.interval_ns)


# The next message into its place; False: its packet identifier is still in use.
cdef bint prepare(Load* l, Peer* p, uint8_t* frame, int64_t stamp) noexcept nogil:
    if l.id_at:
        if p.sent_ns[p.next_id - 1]:
            return False
        p.sent_ns[p.next_id - 1] = stamp
        p.inflight += 1
        store_be16(frame + l.id_at, p.next_id)
        p.next_id = 1 if p.next_id == l.window else p.next_id + 1
    if l.stamp_at:
        memcpy(frame + l.stamp_at, &stamp, 8)
    if l.topic_at:
        put_topic(l, frame, p.topic)
    l.expected += fan_out(l, p.topic)
    if l.topics > l.publishers:
        p.topic += l.publishers
        if p.topic >= l.topics:
            p.topic = p.number
    p.sent += 1
    l.sent += 1
    return True


# One batch, one write. False: nothing may be sent now.
cdef bint publish(Load* l, Peer* p) noexcept nogil:
    cdef uint32_t n = l.batch
    cdef uint32_t i = 0
    cdef int64_t now = 0
    if l.credit and l.expected - <int64_t>l.received >= l.credit:
        return False
    if l.interval_ns > 0:
        n = <uint32_t>least(n, <int64_t>p.owed)
    else:
        now = clock_now_ns()
    if l.id_at:
        n = <uint32_t>least(n, l.window - p.inflight)
    if l.each:
        n = <uint32_t>least(n, <int64_t>(l.each - p.sent))
    while i < n and prepare(l, p, p.frames + i * l.frame_len, now if now else intended_ns(l, p, p.sent)):
        i += 1
    if l.interval_ns > 0:
        p.owed -= i
    p.frames_len = i * l.frame_len
    p.frames_at = 0
    drain(l, p, p.frames, p.frames_len, &p.frames_at)
    return i > 0


# One turn of one connection: a read, its answers, a batch. True: it did something.
cdef bint serve(Load* l, Peer* p) noexcept nogil:
    cdef bint worked = False
    cdef bint more = False
    if p.fd < 0:
        return False
    if p.readable and p.acks_len == 0:
        peer_read(l, p)
        worked = True
    if p.fd < 0 or (p.writable and not flush(l, p)) or not p.writable:
        return worked
    if p.roles & PUBLISHER and l.now < l.measure_until:
        more = publish(l, p)
    if p.readable or (more and p.owed):
        enqueue(l, p)
    return worked or more


cdef void schedule(Load* l) noexcept nogil:
    cdef uint32_t i
    cdef Peer* p
    if l.interval_ns <= 0:
        for i in range(l.publishers):
            enqueue(l, &l.peers[i])
        return
    while l.start + <int64_t>(<double>l.batches_due * l.interval_ns) <= least(l.now, l.measure_until - 1):
        p = &l.peers[l.batches_due % l.publishers]
        p.owed += l.batch
        l.batches_due += 1
        enqueue(l, p)


# Events received.
cdef int collect(Load* l, int poller, int64_t timeout_ns) noexcept nogil:
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
        enqueue(l, p)
    return n


# All that waited when the round began gets one turn. True: somebody did something.
cdef bint turn(Load* l) noexcept nogil:
    cdef uint32_t last = l.tail
    cdef bint worked = False
    cdef Peer* p
    while l.head != last:
        p = &l.peers[l.queue[l.head]]
        l.head = l.head + 1 if l.head < l.count else 0
        p.queued = False
        worked = serve(l, p) or worked
    return worked


# How long the loop may sleep when nobody had work.
cdef int64_t patience(const Load* l, int64_t until) noexcept nogil:
    cdef int64_t next_due
    if l.spin or l.head != l.tail:
        return 0
    if l.interval_ns > 0 and l.publishers and l.now < l.measure_until:
        next_due = l.start + <int64_t>(<double>l.batches_due * l.interval_ns)
        until = least(until, next_due)
    return 0 if until <= l.now else least(until - l.now, STALL_NS)


cdef void give_up_lost(Load* l) noexcept nogil:
    cdef int64_t outstanding = l.expected - <int64_t>l.received
    if l.credit and outstanding >= l.credit and l.now - l.last_arrival > STALL_NS:
        l.lost += <uint64_t>outstanding
        l.expected = <int64_t>l.received
        l.last_arrival = l.now


cdef bint settled(const Load* l) noexcept nogil:
    cdef bint acked = l.id_at == 0 or l.acked >= l.sent
    if l.publishers == 0 or (acked and l.expected <= <int64_t>l.received):
        return True
    return l.now - l.last_arrival > QUIET_NS and l.now - l.measure_until > QUIET_NS


# A load with an end has reached it.
cdef bint finished(const Load* l) noexcept nogil:
    return l.each > 0 and l.sent >= l.each * l.publishers and settled(l)


cdef void run_until(Load* l, int poller, int64_t until) noexcept nogil:
    cdef bint worked = True
    cdef int events
    while l.now < until and l.closed < l.count and not finished(l):
        events = collect(l, poller, 0 if worked else patience(l, until))
        l.now = clock_now_ns()
        if l.now < l.measure_until:
            schedule(l)
            if events == 0:             # not when this process slept while messages waited for it
                give_up_lost(l)
        worked = turn(l)


cdef int start_peer(Load* l, uint32_t i, int fd, int poller) except -1:
    cdef Peer* p = &l.peers[i]
    cdef bint publishes = i < l.publishers
    cdef uint32_t k
    p.fd = fd
    p.roles = PUBLISHER if publishes else SUBSCRIBER
    p.number = i
    p.next_id = 1
    p.readable = True               # an edge that came before the watch is not told again
    p.writable = True
    p.topic = i % l.topics
    if publishes:
        p.frames = <uint8_t*>malloc(l.batch * <uint64_t>l.frame_len)
        if p.frames == NULL:
            raise MemoryError
        for k in range(l.batch):
            memcpy(p.frames + k * l.frame_len, l.frame, l.frame_len)
    if publishes and l.qos:
        p.sent_ns = <int64_t*>calloc(l.window, sizeof(int64_t))
        if p.sent_ns == NULL:
            raise MemoryError
    if l.qos:
        p.acks = <uint8_t*>malloc(READ_MOST + FRAME_MOST)
        if p.acks == NULL:
            raise MemoryError
    if poller_add(poller, fd, i, WATCH_EDGES) != 0:
        raise OSError("a connection could not be watched: too many open files?")
    enqueue(l, p)
    return 0


cdef void free_load(Load* l) noexcept:
    cdef uint32_t i
    if l.peers != NULL:
        for i in range(l.count):
            free(l.peers[i].frames)
            free(l.peers[i].acks)
            free(l.peers[i].carry)
            free(l.peers[i].sent_ns)
    free(l.peers)
    free(l.queue)
    free(l.input)


def run_load(publishers: list[int], subscribers: list[int], *, frame: bytes, topic_at: int, id_at: int, stamp_at: int,
             topics: int, batch: int, window: int, credit: int, qos: int, v5: bool, each: int, rate: float, spin: bool,
             warmup_s: float, seconds: float) -> dict[str, object]:
    """Run one load over connected, greeted, non-blocking sockets (file descriptors) and count.

    A descriptor in both lists is one connection that publishes and receives (an echo). `rate` is messages a second of
    all publishers together, 0 for as fast as it goes. Takes at most warmup_s + seconds + 5 s, less when every publisher
    has sent `each` messages (0: no such end) and all are answered. The counts `sent`, `acked`
    and `received` are those of the measured `elapsed_s`; histograms hold what was meant to be sent in it.
    """
    cdef Load l
    cdef Histogram delivery = Histogram()
    cdef Histogram ack = Histogram()
    cdef Marks begun, ended
    cdef int poller
    fds = publishers + [fd for fd in subscribers if fd not in set(publishers)]
    memset(&l, 0, sizeof(l))
    l.publishers, l.subscribers, l.count = len(publishers), len(subscribers), len(fds)
    l.batch, l.window, l.credit, l.qos, l.v5, l.spin, l.topics = batch, window, credit, qos, v5, spin, topics
    l.frame, l.frame_len, l.each = frame, len(frame), each
    l.topic_at, l.id_at, l.stamp_at = topic_at, id_at, stamp_at
    l.interval_ns = batch * 1e9 / rate if rate else 0
    l.delivery, l.ack = &delivery.data, &ack.data
    l.peers = <Peer*>calloc(l.count, sizeof(Peer))
    l.queue = <uint32_t*>calloc(l.count + 1, sizeof(uint32_t))
    l.input = <uint8_t*>malloc(FRAME_MOST + READ_MOST)
    poller = poller_open()
    try:
        if l.peers == NULL or l.queue == NULL or l.input == NULL:
            raise MemoryError
        if poller < 0:
            raise OSError("no poller: too many open files?")
        for i, fd in enumerate(fds):
            start_peer(&l, i, fd, poller)
        l.now = l.start = l.last_arrival = clock_now_ns()
        l.measure_from = l.start + <int64_t>(warmup_s * 1e9)
        l.measure_until = l.measure_from + <int64_t>(seconds * 1e9)
        run_slices(&l, poller, l.measure_from)
        begun = marks(&l, l.now)
        run_slices(&l, poller, l.measure_until)
        ended = marks(&l, l.now)
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
        "lost": l.lost + max(0, l.expected - <int64_t>l.received),
        "closed": l.closed, "refused": l.refused, "malformed": l.malformed, "delivery": delivery, "ack": ack,
    }


cdef int run_slices(Load* l, int poller, int64_t until) except -1:
    while l.now < until and l.closed < l.count and not finished(l):
        with nogil:
            run_until(l, poller, least(until, l.now + SLICE_NS))
        PyErr_CheckSignals()
    return 0
