"""A mailbox whose mails count, for tests with several producer threads."""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from robustmq._fastpath.atomic cimport fetch_add_u64, load_relaxed_u64, store_relaxed_u64
from robustmq._fastpath.mailbox cimport (
    Mail, Mailbox, mail_init, mailbox_awake, mailbox_close, mailbox_init, mailbox_may_sleep, mailbox_post, mailbox_run,
)


cdef extern from "<poll.h>" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    int POLLIN
    int poll(pollfd* fds, unsigned long n, int timeout_ms)


cdef struct Counter:
    Mail mail
    uint64_t written        # atomic: how often producers wanted it to run
    uint64_t seen           # receiver: `written` at its last run
    uint64_t runs


cdef void counter_run(Mail* mail, void* receiver, int64_t now_ns) noexcept nogil:
    cdef Counter* counter = <Counter*>mail
    counter.seen = load_relaxed_u64(&counter.written)
    counter.runs += 1


cdef class Box:
    """A mailbox and `n` mails."""
    cdef Mailbox box
    cdef Counter* counters
    cdef uint32_t n
    cdef uint64_t wakes

    def __cinit__(self, uint32_t n):
        cdef uint32_t i
        self.n = n
        self.counters = <Counter*>calloc(n, sizeof(Counter))
        if self.counters == NULL or mailbox_init(&self.box, NULL) < 0:
            raise MemoryError
        for i in range(n):
            mail_init(&self.counters[i].mail, counter_run)

    def __dealloc__(self):
        mailbox_close(&self.box)
        free(self.counters)

    def post(self, uint32_t i):
        fetch_add_u64(&self.counters[i].written, 1)
        return bool(mailbox_post(&self.box, &self.counters[i].mail))

    def post_many(self, uint32_t first, uint64_t times):
        """From any thread: post mails first, first+1, … in turn."""
        cdef uint64_t t
        cdef Counter* counter
        with nogil:
            for t in range(times):
                counter = &self.counters[(first + t) % self.n]
                fetch_add_u64(&counter.written, 1)
                mailbox_post(&self.box, &counter.mail)

    def run(self, uint32_t most=1 << 30):
        return mailbox_run(&self.box, most, 0)

    def may_sleep(self):
        return bool(mailbox_may_sleep(&self.box))

    def awake(self, bint rung):
        mailbox_awake(&self.box, rung)

    cdef bint receive(self, uint64_t total) noexcept nogil:
        cdef uint64_t seen
        cdef uint32_t i
        cdef pollfd bell
        bell.fd = self.box.event_fd
        bell.events = POLLIN
        while True:
            while mailbox_run(&self.box, 64, 0):
                pass
            seen = 0
            for i in range(self.n):
                seen += self.counters[i].seen
            if seen >= total:
                return True
            if mailbox_may_sleep(&self.box):
                if poll(&bell, 1, 5000) == 0:
                    return False
                self.wakes += 1
                mailbox_awake(&self.box, True)

    def receive_until(self, uint64_t total):
        """Sleep, wake, run, until all that producers wrote was seen. False: slept 5 s although something was missing."""
        cdef bint complete
        with nogil:
            complete = self.receive(total)
        return bool(complete)

    @property
    def runs(self):
        return [self.counters[i].runs for i in range(self.n)]

    @property
    def event_fd(self):
        return self.box.event_fd
