"""The loop."""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from robustmq._fastpath.block cimport block_pool_drain, ref_release
from robustmq._fastpath.mailbox cimport (
    mailbox_awake, mailbox_close, mailbox_init, mailbox_may_sleep, mailbox_run,
)
from robustmq._fastpath.qsbr cimport qsbr_offline, qsbr_online, qsbr_quiescent, qsbr_register, qsbr_unregister
from robustmq._fastpath.reactor.connection cimport connection_event
from robustmq._fastpath.reactor.core cimport (
    DEAD, GONE, IN_READY, TURN_BUCKETS, Connection, Listener, Reactor, Shared, brake_pressed, connection_end, count,
)
from robustmq._fastpath.reactor.input cimport input_progress
from robustmq._fastpath.reactor.links cimport links_free
from robustmq._fastpath.reactor.listener cimport listener_accept, listener_start
from robustmq._fastpath.reactor.output cimport output_bury, output_flush_touched, output_unpin
from robustmq._fastpath.reactor.seam cimport seam_announce, seam_free, seam_init
from robustmq._fastpath.reactor.sync cimport sync_init, sync_pass
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.wheel cimport Timer, timer_init, wheel_advance, wheel_init, wheel_next_ns


cdef extern from "poller.h" nogil:
    enum:
        POLLER_BATCH
        WATCH_LEVEL_READ

    struct poller_event:
        uint64_t tag
        uint32_t ready

    int poller_open()
    int poller_add(int poller, int fd, uint64_t tag, int watch)
    int poller_wait(int poller, poller_event* events, int64_t timeout_ns)
    void poller_close(int poller)

cdef extern from "net.h" nogil:
    int64_t clock_now_ns()


cdef enum:
    MAILS_PER_TURN = 256
    LAST_MAILS = 65536
    TAG_LISTENER = 1        # in the lowest bits of a poller's tag; a connection has none
    TAG_BELL = 2
    TAG_MASK = 3


cdef void nothing(Timer* timer, int64_t now_ns) noexcept nogil:
    pass


cdef Reactor* reactor_new(Shared* shared, uint32_t index, uint64_t seam_items) noexcept nogil:
    cdef Reactor* reactor = <Reactor*>calloc(1, sizeof(Reactor))
    if reactor == NULL:
        return NULL
    reactor.shared = shared
    reactor.index = index
    reactor.mailbox.event_fd = -1
    reactor.mailbox.ring_fd = -1
    reactor.poller = poller_open()
    wheel_init(&reactor.wheel, clock_now_ns())
    timer_init(&reactor.stop_timer, nothing)
    sync_init(reactor)
    if reactor.poller < 0 or not seam_init(reactor, seam_items) or mailbox_init(&reactor.mailbox, reactor) < 0 or \
            poller_add(reactor.poller, reactor.mailbox.event_fd, <uint64_t>reactor | TAG_BELL, WATCH_LEVEL_READ) < 0:
        reactor_free(reactor)
        return NULL
    return reactor


cdef void reactor_free(Reactor* reactor) noexcept nogil:
    if reactor.ring.items != NULL:
        seam_free(reactor)
    mailbox_close(&reactor.mailbox)
    if reactor.poller >= 0:
        poller_close(reactor.poller)
    links_free(&reactor.links)
    free(reactor)


cdef inline void count_turn(Reactor* reactor, uint64_t ns) noexcept nogil:
    cdef int bucket = 0
    while bucket < TURN_BUCKETS - 1 and ns >> bucket >= 1000:
        bucket += 1
    count(&reactor.turn_buckets[bucket], 1)
    count(&reactor.counters.busy_ns, ns)


# Sleep, if there is nothing to do, and read the clock. Returns the number of events.
cdef int wait(Reactor* reactor, poller_event* events) noexcept nogil:
    cdef int64_t before_ns = clock_now_ns(), deadline_ns, timeout_ns
    cdef int n
    count_turn(reactor, <uint64_t>(before_ns - reactor.now_ns))
    if reactor.ready != NULL and not reactor.choked or reactor.touched != NULL:
        timeout_ns = 0
    else:
        n = spin(reactor, events, before_ns)
        if n:
            return n
        deadline_ns = wheel_next_ns(&reactor.wheel)
        timeout_ns = -1 if deadline_ns < 0 else deadline_ns - before_ns if deadline_ns > before_ns else 0
        if not mailbox_may_sleep(&reactor.mailbox):
            timeout_ns = 0
    if timeout_ns == 0:
        n = poller_wait(reactor.poller, events, 0)
        mailbox_awake(&reactor.mailbox, False)
        reactor.now_ns = before_ns
        return n
    qsbr_offline(reactor.qsbr)
    n = poller_wait(reactor.poller, events, timeout_ns)
    qsbr_online(reactor.qsbr)
    mailbox_awake(&reactor.mailbox, False)
    count(&reactor.counters.wakes, 1)
    reactor.now_ns = clock_now_ns()
    return n


# reactor.spin_us: look again and again before sleeping. Events, or 0 when the time is over or there is mail.
cdef int spin(Reactor* reactor, poller_event* events, int64_t since_ns) noexcept nogil:
    cdef int64_t until_ns = since_ns + reactor.shared.spin_ns
    cdef int n
    if reactor.shared.spin_ns == 0:
        return 0
    while True:
        n = poller_wait(reactor.poller, events, 0)
        reactor.now_ns = clock_now_ns()
        if n or reactor.now_ns >= until_ns or not mailbox_may_sleep(&reactor.mailbox):
            mailbox_awake(&reactor.mailbox, False)
            return n
        mailbox_awake(&reactor.mailbox, False)
        qsbr_quiescent(reactor.qsbr)


cdef void dispatch(Reactor* reactor, poller_event* events, int n) noexcept nogil:
    cdef int i
    cdef uint64_t tag
    for i in range(n):
        tag = events[i].tag
        if tag & TAG_MASK == 0:
            connection_event(<Connection*>tag, events[i].ready)
        elif tag & TAG_BELL:
            mailbox_awake(&reactor.mailbox, True)
        else:
            listener_accept(<Listener*>(tag & ~<uint64_t>TAG_MASK))


# What the last turn left ready; what becomes ready meanwhile waits for the next.
cdef void progress_ready(Reactor* reactor) noexcept nogil:
    cdef Connection* connection = reactor.ready
    cdef Connection* next
    reactor.ready = NULL
    while connection != NULL:
        next = connection.next_ready
        connection.flags &= ~IN_READY
        if not connection.flags & DEAD:
            input_progress(connection)
        connection = next


cdef void turn(Reactor* reactor, poller_event* events, int n) noexcept nogil:
    cdef uint32_t mails
    cdef bint choked
    progress_ready(reactor)
    dispatch(reactor, events, n)
    mails = mailbox_run(&reactor.mailbox, MAILS_PER_TURN, reactor.now_ns)
    wheel_advance(&reactor.wheel, reactor.now_ns)
    if reactor.await_check:
        sync_pass(reactor)
    output_flush_touched(reactor)
    if reactor.dead != NULL:
        output_bury(reactor)
    seam_announce(reactor)
    qsbr_quiescent(reactor.qsbr)
    if brake_pressed(&reactor.shared.brake):
        qsbr_offline(reactor.qsbr)
        reactor.shared.brake.wait(reactor.shared.brake.source)
        qsbr_online(reactor.qsbr)
        choked = reactor.shared.brake.choked(reactor.shared.brake.source)
        if choked and not reactor.choked:
            output_unpin(reactor)
        reactor.choked = choked
    else:
        reactor.choked = 0
    count(&reactor.counters.mails, mails)
    count(&reactor.counters.loops, 1)


cdef bint finished(const Reactor* reactor) noexcept nogil:
    return reactor.stopping and (reactor.links.count == 0 or reactor.now_ns >= reactor.stop_by_ns)


# The grace is over: what could not send its last output in time goes without it.
cdef void abandon(Reactor* reactor) noexcept nogil:
    cdef Connection* connection
    cdef uint32_t slot
    mailbox_run(&reactor.mailbox, LAST_MAILS, reactor.now_ns)
    for slot in range(reactor.links.used):
        connection = reactor.links.slots[slot].connection
        if connection != NULL:
            connection.flags |= GONE
            connection_end(connection, Status.SHUTTING_DOWN)
    while reactor.touched != NULL:
        output_flush_touched(reactor)
    progress_ready(reactor)
    output_bury(reactor)
    seam_announce(reactor)


cdef bint reactor_run(Reactor* reactor) noexcept nogil:
    cdef poller_event[POLLER_BATCH] events
    cdef uint32_t i
    cdef int n
    reactor.qsbr = qsbr_register()
    if reactor.qsbr < 0:
        return False
    if reactor.shared.brake.watch != NULL:
        reactor.shared.brake.watch(reactor.shared.brake.source, &reactor.mailbox, &reactor.sync_mail)
    reactor.now_ns = clock_now_ns()
    for i in range(reactor.listener_count):
        listener_start(&reactor.listeners[i])
    while not finished(reactor):
        n = wait(reactor, events)
        turn(reactor, events, n)
    abandon(reactor)
    if reactor.block != NULL:
        ref_release(&reactor.block.ref)
        reactor.block = NULL
    if reactor.shared.brake.forget != NULL:
        reactor.shared.brake.forget(reactor.shared.brake.source, &reactor.sync_mail)
    qsbr_unregister(reactor.qsbr)
    block_pool_drain()
    return True
