"""Compressed batches for subscribers who cannot read them: out to a Python thread and back.

A feed that meets one hands it over with a reference on its segment and waits; other feeds go on. The thread (it blocks in
read() until there is work) inflates with the field's libraries and mails the result to the feed's reactor. At most one batch per feed is out, so
the queue is bounded by the feeds that exist.

Concurrency: the queue is a lock-guarded list; a Job belongs to the reactor until it is queued, then to the thread.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from robustmq._fastpath.block cimport Block, Ref
from robustmq._fastpath.broker.routes cimport Exchange, Feed
from robustmq._fastpath.mailbox cimport Mail


cdef struct Job:
    Mail mail                       # the answer: runs on the feed's reactor, which alone touches the feed
    Block* inflated
    Job* next
    Feed* feed
    const uint8_t* batch
    uint64_t n
    Ref* ref                        # owns `batch`


cdef struct Jobs:
    uint32_t lock
    int ring                        # write end of a pipe: a byte per job; -1 after the end
    Job* head
    Job* tail


cdef class Inflater:
    cdef Exchange* exchange
    cdef Jobs jobs
    cdef int rung                   # the pipe's read end
    cdef object thread

    cdef begin(self, Exchange* exchange)
    cdef end(self)
    cdef finish(self, Job* job)
