"""Mail between threads: an intrusive multi-producer, single-consumer queue with an eventfd.

A `Mail` is embedded in what it is about (a feed, a waiter, an answer) and carries the function that its receiver runs.
Posting is a wait-free exchange; the eventfd is written only when the receiver announced that it sleeps. A mail that is
already queued is not queued again (`queued`), so a mailbox never holds more than the things that exist: it needs no
bound of its own.

    producer: exchange(queued)=1 -> exchange(head) -> prev.next = mail -> if sleeping: write(eventfd)
    consumer: before it sleeps: sleeping=1, fence, look once more; awake: sleeping=0

Owner: `head` and `sleeping` are shared (seq-cst exchange); `tail` belongs to the receiver.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t


cdef struct Mail:
    Mail* next                                                              # atomic, release by producer
    uint32_t queued                                                         # atomic exchange
    uint32_t reserved
    # Runs on the receiver's thread. `queued` is 0 again before the call, so news that arrives meanwhile queues
    # the mail again. `receiver` is Mailbox.receiver. May free the mail.
    void (*run)(Mail* self, void* receiver, int64_t now_ns) noexcept nogil


cdef struct Mailbox:
    Mail* head              # shared: last posted
    uint32_t sleeping       # shared: 1 while the receiver is in (or about to enter) epoll_wait
    int event_fd            # the receiver waits for it
    int ring_fd             # producers write it; the same one where there is eventfd
    void* receiver
    Mail* tail              # receiver only
    Mail stub


cdef int mailbox_init(Mailbox* box, void* receiver) noexcept nogil       # 0, or -1 with errno
cdef void mailbox_close(Mailbox* box) noexcept nogil

cdef inline void mail_init(Mail* mail, void (*run)(Mail*, void*, int64_t) noexcept nogil) noexcept nogil:
    mail.next = NULL
    mail.queued = 0
    mail.run = run

# From any thread. False when the mail was queued already (then it will run, and see what was written before this call).
cdef bint mailbox_post(Mailbox* box, Mail* mail) noexcept nogil

# Receiver: run what is queued, at most `most`; returns how many ran.
cdef uint32_t mailbox_run(Mailbox* box, uint32_t most, int64_t now_ns) noexcept nogil

# Receiver: announce sleep. False when mail is there (do not sleep). mailbox_awake() after epoll_wait; it drains the
# eventfd when `rung`.
cdef bint mailbox_may_sleep(Mailbox* box) noexcept nogil
cdef void mailbox_awake(Mailbox* box, bint rung) noexcept nogil
