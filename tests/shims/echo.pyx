"""A protocol that uses everything a link and its host offer, for tests of the reactor.

frame = total length u32 | op u8 | payload          (big-endian, total counts the header's 5 bytes)

    e   echo by copy                        r   echo by reference into the block that was read
    c   park, ask the control plane; its answer comes back as payload of `a`
    n   tell the control plane, do not park
    t   payload u32 ms: answer after so long
    s   payload u64: answer when that journal position is durable
    x   payload u32: answer after a visit to that reactor's mailbox
    b   payload u32: answer with so many bytes
    q   close with ADMIN_CLOSED
    d   count of on_drained so far, u32
on_close queues `D` with the status as payload.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset
from robustmq._fastpath.atomic cimport fetch_add_u64, load_acquire_u64, load_relaxed_u64, store_release_u64
from robustmq._fastpath.block cimport Block, ref_retain
from robustmq._fastpath.cursor cimport load_be32, load_be64, store_be32
from robustmq._fastpath.link cimport Link, Protocol, ProtocolHandle
from robustmq._fastpath.mailbox cimport Mail, Mailbox, mail_init, mailbox_post
from robustmq._fastpath.out cimport out_commit, out_copy, out_ref, out_reserve
from robustmq._fastpath.reactor.reactors cimport (
    Reactors, reactor_link, reactors_await_from, reactors_count, reactors_mailbox,
)
from robustmq._fastpath.status cimport Status


cdef enum:
    HEADER = 5
    FRAME_MOST = 1 << 20

cdef struct Session:
    uint32_t drains
    uint64_t number

cdef uint64_t opened = 0            # atomic
cdef uint64_t closed = 0            # atomic
cdef uint64_t last_why = 0          # atomic
cdef Mailbox* boxes[64]
cdef uint32_t box_count = 0


cdef bint reply(Link* link, uint8_t op, const uint8_t* data, uint32_t n) noexcept nogil:
    cdef uint8_t* to = out_reserve(&link.out, HEADER)
    if to == NULL:
        return False
    store_be32(to, HEADER + n)
    to[4] = op
    out_commit(&link.out, HEADER)
    return out_copy(&link.out, data, n)


cdef Status opening(Link* link, int64_t now_ns) noexcept nogil:
    link.session = calloc(1, sizeof(Session))
    fetch_add_u64(&opened, 1)
    return Status.OK if link.session != NULL else Status.NO_MEMORY


cdef struct Visit:
    Mail mail
    uint64_t link_id
    Mailbox* home
    uint32_t there


cdef void visit(Mail* mail, void* receiver, int64_t now_ns) noexcept nogil:
    cdef Visit* self = <Visit*>mail
    cdef Link* link
    if not self.there:
        self.there = 1
        mailbox_post(self.home, mail)
        return
    link = reactor_link(receiver, self.link_id)
    if link != NULL:
        reply(link, c"x", <const uint8_t*>&self.there, 4)
        link.host.touch(link)
    free(self)


cdef Status frame(Link* link, Block* block, const uint8_t* data, uint32_t n, int64_t now_ns) noexcept nogil:
    cdef const uint8_t* payload = data + HEADER
    cdef uint32_t size = n - HEADER
    cdef uint8_t op = data[4]
    cdef Visit* going
    cdef uint8_t zeros[1024]
    if op == c"e":
        out_copy(&link.out, data, n)
    elif op == c"r":
        out_ref(&link.out, &block.ref, data, n)
    elif op == c"c" or op == c"n":
        ref_retain(&block.ref)
        link.parked = op == c"c"
        link.host.to_control(link, op, block, payload, size)
        if op == c"c":
            return Status.PARKED
    elif size == 4 and op == c"t":
        link.host.set_timer(link, now_ns + <int64_t>load_be32(payload) * 1000000)
    elif size == 8 and op == c"s":
        link.host.await_sync(link, load_be64(payload))
    elif size == 4 and op == c"x" and load_be32(payload) < box_count:
        going = <Visit*>malloc(sizeof(Visit))
        mail_init(&going.mail, visit)
        going.link_id = link.id
        going.home = link.host.mailbox(link)
        going.there = 0
        mailbox_post(boxes[load_be32(payload)], &going.mail)
    elif size == 4 and op == c"b":
        size = load_be32(payload)
        reply(link, op, NULL, 0)
        memset(zeros, 0, 1024)
        while size >= 1024:
            out_copy(&link.out, zeros, 1024)
            size -= 1024
    elif op == c"q":
        link.host.close(link, Status.ADMIN_CLOSED)
    elif op == c"d":
        reply(link, op, <const uint8_t*>&(<Session*>link.session).drains, 4)
    else:
        return Status.MALFORMED
    return Status.OK


cdef Status on_bytes(Link* link, Block* block, const uint8_t* data, uint64_t n, uint64_t* used, uint64_t* need,
                     int64_t now_ns) noexcept nogil:
    cdef uint32_t size
    cdef Status status
    while n - used[0] >= HEADER:
        size = load_be32(data + used[0])
        if size < HEADER:
            return Status.MALFORMED
        if size > FRAME_MOST:
            return Status.TOO_LARGE
        if size > n - used[0]:
            need[0] = size
            return Status.NEED_MORE
        status = frame(link, block, data + used[0], size, now_ns)
        used[0] += size
        if status != Status.OK:
            return status
        if link.out.bytes > 4 << 20:
            return Status.OK
    return Status.NEED_MORE


cdef Status on_answer(Link* link, uint32_t kind, const uint8_t* data, uint64_t n, void* object,
                      int64_t now_ns) noexcept nogil:
    if kind == 99:
        return Status.NOT_AUTHORIZED
    reply(link, c"a", data, <uint32_t>n)
    if link.parked:
        link.host.unpark(link)
    return Status.OK


cdef void on_timer(Link* link, int64_t now_ns) noexcept nogil:
    reply(link, c"t", NULL, 0)


cdef void on_drained(Link* link, int64_t now_ns) noexcept nogil:
    (<Session*>link.session).drains += 1


cdef void on_synced(Link* link, uint64_t position, int64_t now_ns) noexcept nogil:
    reply(link, c"s", <const uint8_t*>&position, 8)


cdef void on_close(Link* link, Status why, int64_t now_ns) noexcept nogil:
    cdef uint8_t byte = <uint8_t>why
    reply(link, c"D", &byte, 1)
    free(link.session)
    link.session = NULL
    store_release_u64(&last_why, why)
    fetch_add_u64(&closed, 1)


cdef Protocol TABLE
TABLE.name = b"echo"
TABLE.open = opening
TABLE.on_bytes = on_bytes
TABLE.on_answer = on_answer
TABLE.on_timer = on_timer
TABLE.on_drained = on_drained
TABLE.on_synced = on_synced
TABLE.on_close = on_close


cdef class Echo(ProtocolHandle):
    def __cinit__(self):
        self.table = &TABLE


def attach(Reactors reactors):
    """Let `x` know the mailboxes."""
    global box_count
    box_count = reactors_count(reactors)
    for i in range(box_count):
        boxes[i] = reactors_mailbox(reactors, i)


def totals():
    """(opened, closed) since import"""
    return load_relaxed_u64(&opened), load_relaxed_u64(&closed)


def why():
    """The status of the last close."""
    return load_acquire_u64(&last_why)


cdef struct Wish:
    Mailbox* box
    Mail* mail


cdef class Durable:
    """A journal that is durable as far as the test says."""
    cdef uint64_t position
    cdef uint64_t wanted
    cdef Wish[64] wishes
    cdef uint64_t wish_count

    def attach(self, Reactors reactors):
        reactors_await_from(reactors, durable, want, <void*>self)

    def set(self, uint64_t position):
        cdef uint64_t i
        store_release_u64(&self.position, position)
        for i in range(load_acquire_u64(&self.wish_count)):
            mailbox_post(self.wishes[i].box, self.wishes[i].mail)

    @property
    def asked(self):
        return load_acquire_u64(&self.wanted)


cdef uint64_t durable(void* source) noexcept nogil:
    return load_acquire_u64(&(<Durable>source).position)


cdef void want(void* source, uint64_t position, Mailbox* box, Mail* mail) noexcept nogil:
    cdef uint64_t i = fetch_add_u64(&(<Durable>source).wish_count, 0)
    if i < 64:
        (<Durable>source).wishes[i].box = box
        (<Durable>source).wishes[i].mail = mail
        fetch_add_u64(&(<Durable>source).wish_count, 1)
    store_release_u64(&(<Durable>source).wanted, position)
