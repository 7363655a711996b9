"""A host for one link, for any protocol: a test feeds bytes and sees output, posted frames, timers and closes.

Input lies in blocks of exactly its size, so that a sanitizer sees a read behind the last byte.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset
from robustmq._fastpath.block cimport Block, Ref, block_data, ref_release
from robustmq._fastpath.link cimport Host, Link, Protocol, ProtocolHandle
from robustmq._fastpath.mailbox cimport Mailbox, mailbox_close, mailbox_init, mailbox_run
from robustmq._fastpath.out cimport out_clear, out_init, out_take
from robustmq._fastpath.qsbr cimport qsbr_offline, qsbr_online, qsbr_register, qsbr_unregister
from robustmq._fastpath.status cimport Status

OPEN = 0


cdef void free_block(Ref* ref) noexcept nogil:
    free(ref)


cdef Block* exact_block(const uint8_t* data, uint64_t n) noexcept nogil:
    cdef Block* block = <Block*>malloc(sizeof(Block) + n)
    memset(block, 0, sizeof(Block))
    block.ref.refs = 1
    block.ref.free = free_block
    block.cap = <uint32_t>n
    block.len = <uint32_t>n
    memcpy(block_data(block), data, n)
    return block


cdef inline Seen* seen(Link* link) noexcept nogil:
    return <Seen*>link.host_data


cdef void set_timer(Link* link, int64_t deadline_ns) noexcept nogil:
    seen(link).deadline_ns = deadline_ns


cdef void to_control(Link* link, uint32_t kind, Block* block, const uint8_t* data, uint64_t n) noexcept nogil:
    cdef Posted* posted = <Posted*>malloc(sizeof(Posted) + n)
    posted.next = NULL
    posted.kind = kind
    posted.n = n
    memcpy(<uint8_t*>posted + sizeof(Posted), data, n)
    if seen(link).last != NULL:
        seen(link).last.next = posted
    else:
        seen(link).first = posted
    seen(link).last = posted
    if block != NULL:
        ref_release(&block.ref)


cdef void unpark(Link* link) noexcept nogil:
    link.parked = 0


cdef void close_link(Link* link, Status why) noexcept nogil:
    seen(link).closing = why


cdef void touch(Link* link) noexcept nogil:
    seen(link).touched += 1


cdef void await_sync(Link* link, uint64_t position) noexcept nogil:
    link.awaits_sync = position


cdef void await_room(Link* link) noexcept nogil:
    seen(link).waits_room = True


cdef Mailbox* mailbox(Link* link) noexcept nogil:
    return seen(link).box


cdef Host HOST = Host(set_timer, to_control, unpark, close_link, touch, await_sync, await_room, mailbox)


cdef void link_prepare(Link* link, Seen* seen, const Protocol* protocol, uint64_t link_id) noexcept nogil:
    memset(link, 0, sizeof(Link))
    link.id = link_id
    link.protocol = protocol
    link.host = &HOST
    link.host_data = seen
    out_init(&link.out)


cdef bint take_posted(Seen* seen, uint32_t* kind) noexcept nogil:
    cdef Posted* posted = seen.first
    if posted == NULL:
        return False
    kind[0] = posted.kind
    seen.first = posted.next
    if seen.first == NULL:
        seen.last = NULL
    free(posted)
    return True


cdef class LinkHost:
    """One open connection. `status` is the status that closed it, 0 while it is open."""
    cdef Link link
    cdef Seen seen
    cdef Mailbox box
    cdef ProtocolHandle handle
    cdef bytes rest
    cdef int slot
    cdef readonly int status
    cdef readonly uint64_t need
    cdef public int64_t now_ns

    def __cinit__(self, ProtocolHandle handle, uint64_t link_id=1 << 24):
        self.handle = handle
        self.rest = b""
        self.slot = qsbr_register()
        mailbox_init(&self.box, NULL)
        self.seen.box = &self.box
        link_prepare(&self.link, &self.seen, handle.table, link_id)
        self.now_ns = 1_000_000_000
        self.status = handle.table.open(&self.link, self.now_ns)
        qsbr_offline(self.slot)

    def __dealloc__(self):
        self.close(31)
        qsbr_online(self.slot)
        mailbox_run(&self.box, 1000, self.now_ns)
        mailbox_close(&self.box)
        self.posted()
        qsbr_unregister(self.slot)

    def feed(self, bytes data):
        """Bytes from the peer; returns what the link sends."""
        self.rest += data
        return self.pump()

    def pump(self):
        """Parse what is there, unless parked; returns what the link sends."""
        cdef Block* block
        cdef uint64_t used
        cdef Status status
        qsbr_online(self.slot)
        while self.status == OPEN and not self.seen.closing and not self.link.parked and not self.seen.waits_room and self.rest:
            block = exact_block(self.rest, len(self.rest))
            used = 0
            self.need = 0
            status = self.link.protocol.on_bytes(&self.link, block, block_data(block), len(self.rest), &used,
                                                 &self.need, self.now_ns)
            ref_release(&block.ref)
            self.rest = self.rest[used:]
            if status == Status.OK and self.rest or status == Status.NEED_MORE:
                break
            if status != Status.OK and status != Status.PARKED:
                self.close(status)
        qsbr_offline(self.slot)
        sent = self.take()
        if self.seen.closing and self.status == OPEN:
            self.close(self.seen.closing)
        return sent

    def take(self):
        cdef uint64_t n = self.link.out.bytes
        cdef uint8_t* buffer = <uint8_t*>malloc(n + 1)
        try:
            n = out_take(&self.link.out, buffer, n)
            return buffer[:n]
        finally:
            free(buffer)

    def posted(self):
        """Frames for the control plane since the last call: (kind, bytes)."""
        cdef Posted* item
        found = []
        while self.seen.first != NULL:
            item = self.seen.first
            found.append((item.kind, (<uint8_t*>item + sizeof(Posted))[:item.n]))
            self.seen.first = item.next
            free(item)
        self.seen.last = NULL
        return found

    def rounds(self, bytes data, int n):
        """Feed the same whole frames `n` times and drop what the link sends: a loop for benchmarks."""
        cdef Block* block = exact_block(data, len(data))
        cdef uint64_t size = len(data)
        cdef uint64_t used = 0
        cdef uint64_t need = 0
        cdef int i
        cdef Status status = Status.OK
        with nogil:
            for i in range(n):
                qsbr_online(self.slot)
                used = 0
                status = self.link.protocol.on_bytes(&self.link, block, block_data(block), size, &used, &need, self.now_ns)
                if used != size:
                    qsbr_offline(self.slot)
                    break
                if self.link.awaits_sync:
                    self.link.awaits_sync = 0
                    self.link.protocol.on_synced(&self.link, <uint64_t>-1 >> 1, self.now_ns)
                out_clear(&self.link.out)
                qsbr_offline(self.slot)
        ref_release(&block.ref)
        if used != size:
            raise RuntimeError(f"status {status}")

    def answer(self, uint32_t kind, bytes data):
        cdef Status status
        qsbr_online(self.slot)
        status = self.link.protocol.on_answer(&self.link, kind, data, len(data), NULL, self.now_ns)
        if status != Status.OK:
            self.close(status)
        return self.pump()

    def mail(self):
        """Run the mailbox; returns what the link sends."""
        qsbr_online(self.slot)
        mailbox_run(&self.box, 1000, self.now_ns)
        return self.pump()

    def fire(self):
        """Let the link's timer run out."""
        assert self.seen.deadline_ns > 0
        self.now_ns = max(self.now_ns, self.seen.deadline_ns)
        self.seen.deadline_ns = 0
        qsbr_online(self.slot)
        self.link.protocol.on_timer(&self.link, self.now_ns)
        return self.pump()

    @property
    def waits_room(self):
        return bool(self.seen.waits_room)

    def room(self):
        """The store may have room."""
        self.seen.waits_room = False
        if self.link.protocol.on_room != NULL:
            qsbr_online(self.slot)
            self.link.protocol.on_room(&self.link, self.now_ns)
        return self.pump()

    def sync(self, position=None):
        """The journal is durable up to what the link waits for, or up to `position`."""
        cdef uint64_t to = self.link.awaits_sync if position is None else position
        if self.link.awaits_sync and to >= self.link.awaits_sync:
            self.link.awaits_sync = 0
            qsbr_online(self.slot)
            self.link.protocol.on_synced(&self.link, to, self.now_ns)
        return self.pump()

    def sync_failed(self):
        """What the link waits for will never be durable."""
        if self.link.awaits_sync:
            self.link.awaits_sync = 0
            qsbr_online(self.slot)
            self.link.protocol.on_sync_failed(&self.link, self.now_ns)
        return self.pump()

    def close(self, int why):
        if self.status == OPEN and self.link.session != NULL:
            self.status = why
            qsbr_online(self.slot)
            self.link.protocol.on_close(&self.link, <Status>why, self.now_ns)
        out_clear(&self.link.out)
        qsbr_offline(self.slot)

    @property
    def awaits_sync(self):
        return self.link.awaits_sync

    @property
    def parked(self):
        return bool(self.link.parked)

    @property
    def deadline_ns(self):
        return self.seen.deadline_ns

    @property
    def touched(self):
        return self.seen.touched

    @property
    def unparsed(self):
        return len(self.rest)
