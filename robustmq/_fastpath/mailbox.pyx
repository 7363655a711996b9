"""Vyukov's intrusive MPSC queue ("Intrusive MPSC node-based queue", 1024cores.net) and its doorbell."""
from libc.stdint cimport int64_t, uint32_t
from robustmq._fastpath.atomic cimport (
    exchange_ptr, exchange_u32, fence_seq_cst, load_acquire_ptr, load_acquire_u32, store_release_ptr, store_release_u32,
)


cdef extern from "bell.h" nogil:
    int bell_open(int* wait_fd, int* ring_fd)
    void bell_close(int wait_fd, int ring_fd)
    void bell_ring(int ring_fd)
    void bell_quiet(int wait_fd)


cdef int mailbox_init(Mailbox* box, void* receiver) noexcept nogil:
    box.receiver = receiver
    box.sleeping = 0
    mail_init(&box.stub, NULL)
    box.head = &box.stub
    box.tail = &box.stub
    return bell_open(&box.event_fd, &box.ring_fd)


cdef void mailbox_close(Mailbox* box) noexcept nogil:
    bell_close(box.event_fd, box.ring_fd)
    box.event_fd = -1
    box.ring_fd = -1


cdef inline void push(Mailbox* box, Mail* mail) noexcept nogil:
    cdef Mail* before
    store_release_ptr(&mail.next, NULL)
    before = <Mail*>exchange_ptr(&box.head, mail)
    store_release_ptr(&before.next, mail)


cdef bint mailbox_post(Mailbox* box, Mail* mail) noexcept nogil:
    if exchange_u32(&mail.queued, 1):
        return False
    push(box, mail)
    fence_seq_cst()                     # the push before the look at `sleeping`; its partner is in mailbox_may_sleep
    if load_acquire_u32(&box.sleeping) and exchange_u32(&box.sleeping, 0):
        bell_ring(box.ring_fd)
    return True


# The oldest mail, or NULL: empty, or a producer stands between its two steps.
cdef Mail* pop(Mailbox* box) noexcept nogil:
    cdef Mail* tail = box.tail
    cdef Mail* next = <Mail*>load_acquire_ptr(&tail.next)
    if tail == &box.stub:
        if next == NULL:
            return NULL
        box.tail = next
        tail = next
        next = <Mail*>load_acquire_ptr(&tail.next)
    if next != NULL:
        box.tail = next
        return tail
    if tail != <Mail*>load_acquire_ptr(&box.head):
        return NULL
    push(box, &box.stub)                # the last mail can be taken only when something stands behind it
    next = <Mail*>load_acquire_ptr(&tail.next)
    if next == NULL:
        return NULL
    box.tail = next
    return tail


cdef uint32_t mailbox_run(Mailbox* box, uint32_t most, int64_t now_ns) noexcept nogil:
    cdef uint32_t count = 0
    cdef Mail* mail
    while count < most:
        mail = pop(box)
        if mail == NULL:
            break
        count += 1
        exchange_u32(&mail.queued, 0)   # reads the last post's write: what was written before it is seen by run()
        mail.run(mail, box.receiver, now_ns)
    return count


cdef bint mailbox_may_sleep(Mailbox* box) noexcept nogil:
    exchange_u32(&box.sleeping, 1)
    fence_seq_cst()
    if box.tail == &box.stub and load_acquire_ptr(&box.head) == &box.stub:
        return True
    store_release_u32(&box.sleeping, 0)
    return False


cdef void mailbox_awake(Mailbox* box, bint rung) noexcept nogil:
    store_release_u32(&box.sleeping, 0)
    if rung:
        bell_quiet(box.event_fd)
