"""A host for MQTT links without sockets: bytes in, bytes out, and what the session asked its host for.

Time is what the test says it is. `Host.awaited` is the journal position that a link waits for, `Host.control` what went
to the control plane, `Host.closed` the status with which the session asked to close.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from robustmq._fastpath.block cimport Block, block_data, block_new, ref_release
from robustmq._fastpath.link cimport Host, Link, ProtocolHandle
from robustmq._fastpath.mailbox cimport Mailbox, mailbox_run
from robustmq._fastpath.out cimport out_clear, out_init, out_take
from robustmq._fastpath.reactor.reactors cimport Reactors, reactors_mailbox
from robustmq._fastpath.status cimport Status


cdef struct HostData:
    void* owner                 # FakeLink
    Mailbox* box


cdef class FakeReactor:
    """The mailbox of the first of `reactors` (never started), which runs when the test says so."""
    cdef Mailbox* box
    cdef Reactors reactors

    def __init__(self, Reactors reactors):
        self.reactors = reactors
        self.box = reactors_mailbox(reactors, 0)

    def run_one(self):
        """Deliver the first mail alone."""
        with nogil:
            mailbox_run(self.box, 1, 0)

    def run(self, int64_t now_ns=0):
        """Deliver all mail; how many."""
        cdef uint32_t n = 1
        cdef uint32_t all = 0
        while n:
            with nogil:
                n = mailbox_run(self.box, 1000, now_ns)
            all += n
        return all


cdef class FakeLink:
    """One connection of `protocol` on `reactor` (index `number`)."""
    cdef Link link
    cdef HostData data
    cdef ProtocolHandle protocol
    cdef FakeReactor reactor
    cdef public list control
    cdef public object closed
    cdef public int64_t timer
    cdef public uint64_t awaited
    cdef public int touched
    cdef public bint waits_room
    cdef public bytes pending
    cdef bint gone

    def __init__(self, ProtocolHandle protocol, FakeReactor reactor, uint64_t id=1, int64_t now=0):
        memset(&self.link, 0, sizeof(Link))
        self.protocol = protocol
        self.reactor = reactor
        self.control = []
        self.closed = None
        self.pending = b""
        self.data.owner = <void*>self
        self.data.box = reactor.box
        self.link.id = id
        self.link.protocol = protocol.table
        self.link.host = &HOST
        self.link.host_data = &self.data
        out_init(&self.link.out)
        assert protocol.table.open(&self.link, now) == Status.OK

    def feed(self, bytes data, int64_t now=0):
        """Bytes from the client; the status. What is left of a partial frame waits for the next call."""
        cdef bytes whole = self.pending + data
        cdef uint64_t n = len(whole)
        cdef uint64_t used = 0, need = 0
        cdef Block* block = block_new(<uint32_t>n or 1)
        cdef Status status
        memcpy(block_data(block), <const uint8_t*>whole, n)
        block.len = <uint32_t>n
        with nogil:
            status = self.link.protocol.on_bytes(&self.link, block, block_data(block), n, &used, &need, now)
        ref_release(&block.ref)
        self.pending = whole[used:]
        if status not in (Status.OK, Status.NEED_MORE, Status.PARKED):
            self.close(int(status), now)
        return int(status)

    def answer(self, uint32_t kind, bytes data, uintptr_t object_=0, int64_t now=0):
        """The control plane's answer; then what is pending is parsed on."""
        cdef Status status = self.link.protocol.on_answer(&self.link, kind, data, len(data), <void*>object_, now)
        if status != Status.OK:
            self.close(int(status), now)
        return int(status)

    def take(self):
        """What the client would read now."""
        cdef uint8_t buffer[65536]
        out = b""
        while self.link.out.bytes:
            n = out_take(&self.link.out, buffer, 65536)
            out += buffer[:n]
        return out

    def queued(self):
        return self.link.out.bytes

    def fire(self, int64_t now):
        self.link.protocol.on_timer(&self.link, now)

    def synced(self, uint64_t position, int64_t now=0):
        self.awaited = 0
        self.link.protocol.on_synced(&self.link, position, now)

    def sync_failed(self, int64_t now=0):
        self.awaited = 0
        self.link.protocol.on_sync_failed(&self.link, now)

    def room(self, int64_t now=0):
        """The store may have room; then what is pending is parsed on."""
        self.waits_room = False
        self.link.protocol.on_room(&self.link, now)
        return self.feed(b"", now) if self.pending and not self.waits_room and not self.gone else 0

    def drained(self, int64_t now=0):
        self.link.protocol.on_drained(&self.link, now)

    def close(self, int why=31, int64_t now=0):
        if not self.gone:
            self.gone = True
            self.closed = why
            self.link.protocol.on_close(&self.link, <Status>why, now)

    @property
    def parked(self):
        return bool(self.link.parked)

    def __dealloc__(self):
        out_clear(&self.link.out)


cdef FakeLink owner(Link* link):
    return <FakeLink>(<HostData*>link.host_data).owner


cdef void set_timer(Link* link, int64_t deadline_ns) noexcept with gil:
    cdef FakeLink one = owner(link)
    one.timer = deadline_ns


cdef void to_control(Link* link, uint32_t kind, Block* block, const uint8_t* data, uint64_t n) noexcept with gil:
    cdef FakeLink one = owner(link)
    one.control.append((kind, data[:n]))
    ref_release(&block.ref)


cdef void unpark(Link* link) noexcept nogil:
    link.parked = 0


cdef void close_link(Link* link, Status why) noexcept with gil:
    cdef FakeLink one = owner(link)
    if one.closed is None:
        one.closed = int(why)


cdef void touch(Link* link) noexcept with gil:
    cdef FakeLink one = owner(link)
    one.touched += 1


cdef void await_sync(Link* link, uint64_t position) noexcept with gil:
    cdef FakeLink one = owner(link)
    one.awaited = position


cdef void await_room(Link* link) noexcept with gil:
    cdef FakeLink one = owner(link)
    one.waits_room = True


cdef Mailbox* mailbox(Link* link) noexcept nogil:
    return (<HostData*>link.host_data).box


cdef Host HOST
HOST.set_timer = set_timer
HOST.to_control = to_control
HOST.unpark = unpark
HOST.close = close_link
HOST.touch = touch
HOST.await_sync = await_sync
HOST.await_room = await_room
HOST.mailbox = mailbox
