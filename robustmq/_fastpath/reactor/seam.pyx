"""The SPSC ring between a reactor and the control plane, and what waits beside it when it is full."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from robustmq._fastpath.atomic cimport (
    exchange_u32, fence_seq_cst, load_acquire_u32, load_acquire_u64, store_release_u32, store_release_u64,
)
from robustmq._fastpath.block cimport Block, ref_release
from robustmq._fastpath.mailbox cimport Mail, mail_init, mailbox_post
from robustmq._fastpath.reactor.core cimport (
    SEAM_WAITS, TOLD_CONTROL, Connection, Reactor, SeamItem, SeamOverflow, SeamRing, Shared, connection_ready, count,
)
from robustmq._fastpath.reactor.links cimport links_find


cdef extern from "bell.h" nogil:
    void bell_ring(int ring_fd)
    void bell_quiet(int wait_fd)


cdef bint seam_init(Reactor* reactor, uint64_t items) noexcept nogil:
    reactor.ring.items = <SeamItem*>calloc(items, sizeof(SeamItem))
    reactor.ring.mask = items - 1
    mail_init(&reactor.seam_mail, room_again)
    return reactor.ring.items != NULL


cdef void seam_free(Reactor* reactor) noexcept nogil:
    cdef SeamItem item
    cdef SeamOverflow* node
    while seam_take(reactor, &item):
        if item.block != NULL:
            ref_release(&item.block.ref)
    while reactor.overflow != NULL:
        node = reactor.overflow
        reactor.overflow = node.next
        if node.item.block != NULL:
            ref_release(&node.item.block.ref)
        free(node)
    free(reactor.ring.items)
    reactor.ring.items = NULL


cdef inline bint ring_put(Reactor* reactor, const SeamItem* item) noexcept nogil:
    cdef SeamRing* ring = &reactor.ring
    if ring.tail - load_acquire_u64(&ring.head) > ring.mask:
        return False
    ring.items[ring.tail & ring.mask] = item[0]
    store_release_u64(&ring.tail, ring.tail + 1)
    reactor.seam_news = 1
    return True


cdef bint seam_push(Connection* connection, uint32_t kind, Block* block, const uint8_t* data, uint64_t n) noexcept nogil:
    cdef Reactor* reactor = connection.reactor
    cdef SeamItem item
    cdef SeamOverflow* node
    item.link_id = connection.link.id
    item.protocol = connection.protocol
    item.kind = kind
    item.block = block
    item.data = data
    item.n = n
    connection.flags |= TOLD_CONTROL
    count(&reactor.counters.parks, 1)
    if reactor.overflow == NULL and ring_put(reactor, &item):
        return True
    node = <SeamOverflow*>malloc(sizeof(SeamOverflow))
    if node == NULL:
        if block != NULL:
            ref_release(&block.ref)
        return False
    node.next = NULL
    node.item = item
    if reactor.overflow == NULL:
        reactor.overflow = node
    else:
        reactor.overflow_last.next = node
    reactor.overflow_last = node
    connection.flags |= SEAM_WAITS
    move_overflow(reactor)
    return True


# Into the ring what fits; the links it belongs to are parsed on.
cdef void move_overflow(Reactor* reactor) noexcept nogil:
    cdef SeamOverflow* node
    cdef Connection* connection
    while reactor.overflow != NULL:
        node = reactor.overflow
        if not ring_put(reactor, &node.item):
            if exchange_u32(&reactor.ring.starved, 1):
                return
            fence_seq_cst()             # `starved` before one more look at the ring; its partner is in seam_taken
            if not ring_put(reactor, &node.item):
                return
        reactor.overflow = node.next
        connection = links_find(&reactor.links, node.item.link_id)
        if connection != NULL:
            connection.flags &= ~SEAM_WAITS
            connection_ready(connection)
        free(node)


cdef void room_again(Mail* mail, void* receiver, int64_t now_ns) noexcept nogil:
    move_overflow(<Reactor*>receiver)


cdef void seam_announce(Reactor* reactor) noexcept nogil:
    cdef Shared* shared = reactor.shared
    if reactor.seam_news == 0:
        return
    reactor.seam_news = 0
    fence_seq_cst()                     # the ring's tail before the look at `control_asleep`
    if load_acquire_u32(&shared.control_asleep) and exchange_u32(&shared.control_asleep, 0):
        bell_ring(shared.seam_ring_fd)


cdef bint seam_take(Reactor* reactor, SeamItem* item) noexcept nogil:
    cdef SeamRing* ring = &reactor.ring
    if ring.head == load_acquire_u64(&ring.tail):
        return False
    item[0] = ring.items[ring.head & ring.mask]
    store_release_u64(&ring.head, ring.head + 1)
    return True


cdef void seam_taken(Reactor* reactor) noexcept nogil:
    fence_seq_cst()
    if load_acquire_u32(&reactor.ring.starved) and exchange_u32(&reactor.ring.starved, 0):
        mailbox_post(&reactor.mailbox, &reactor.seam_mail)


cdef void seam_sleep(Shared* shared) noexcept nogil:
    cdef uint32_t i
    cdef SeamRing* ring
    bell_quiet(shared.seam_fd)
    store_release_u32(&shared.control_asleep, 1)
    fence_seq_cst()
    for i in range(shared.count):
        ring = &shared.reactors[i].ring
        if ring.head != load_acquire_u64(&ring.tail):
            if exchange_u32(&shared.control_asleep, 0):
                bell_ring(shared.seam_ring_fd)
            return
