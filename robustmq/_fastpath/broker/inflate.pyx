"""The inflater: see inflate.pxd."""
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from robustmq._fastpath.atomic cimport spin_lock, spin_unlock
from robustmq._fastpath.block cimport Block, block_data, block_new, ref_holds, ref_release
from robustmq._fastpath.broker.feed cimport feed_inflated
from robustmq._fastpath.mailbox cimport mail_init, mailbox_post
from robustmq._fastpath.platform cimport thread_name

import logging
import os
import threading

from robustmq._fastpath.broker import codecs

cdef extern from "unistd.h" nogil:
    ssize_t write(int fd, const void* data, size_t n)

log = logging.getLogger("robustmq.inflate")


cdef bint enqueue(void* owner, Feed* feed, const uint8_t* batch, uint64_t n, Ref* ref) noexcept nogil:
    """Exchange.inflate, on a reactor."""
    cdef Jobs* jobs = <Jobs*>owner
    cdef Job* job = <Job*>malloc(sizeof(Job))
    cdef uint8_t byte = 0
    if job == NULL:
        return False
    job.next = NULL
    job.feed = feed
    job.batch = batch
    job.n = n
    job.ref = ref
    spin_lock(&jobs.lock)
    if jobs.tail != NULL:
        jobs.tail.next = job
    else:
        jobs.head = job
    jobs.tail = job
    spin_unlock(&jobs.lock)
    # A full pipe is a thread that is awake anyway: it drains the list, not the bytes.
    write(jobs.ring, &byte, 1)
    return True


cdef void answer(Mail* mail, void* receiver, int64_t now_ns) noexcept nogil:
    """On the feed's reactor."""
    cdef Job* job = <Job*>mail
    feed_inflated(job.feed, job.inflated, now_ns)
    free(job)


cdef Job* take(Jobs* jobs) noexcept nogil:
    cdef Job* job
    spin_lock(&jobs.lock)
    job = jobs.head
    if job != NULL:
        jobs.head = job.next
        if jobs.head == NULL:
            jobs.tail = NULL
    spin_unlock(&jobs.lock)
    return job


cdef class Inflater:
    """One thread for all compressed batches that MQTT subscribers (or others who cannot inflate) want."""

    def __cinit__(self):
        self.rung, self.jobs.ring = os.pipe()
        os.set_blocking(self.jobs.ring, False)
        os.set_inheritable(self.rung, False)

    cdef begin(self, Exchange* exchange):
        self.exchange = exchange
        exchange.inflater = &self.jobs
        exchange.inflate = enqueue
        self.thread = threading.Thread(target=self.run, name="inflater", daemon=True)
        self.thread.start()

    cdef end(self):
        """After the reactors have stopped."""
        cdef Job* job
        self.exchange.inflate = NULL
        os.close(self.jobs.ring)
        self.thread.join()
        os.close(self.rung)
        job = take(&self.jobs)
        while job != NULL:
            ref_release(job.ref)
            free(job)
            job = take(&self.jobs)

    def run(self):
        """Until the pipe is closed."""
        cdef Job* job
        thread_name(b"inflater")
        while os.read(self.rung, 4096):
            job = take(&self.jobs)
            while job != NULL:
                self.finish(job)
                job = take(&self.jobs)

    cdef finish(self, Job* job):
        """Inflate and hand back; an empty block says that it could not be done."""
        cdef Block* block
        cdef bytes raw = job.batch[:job.n]
        cdef bytes batch = b""
        cdef bint whole = ref_holds(job.ref)
        ref_release(job.ref)
        try:
            batch = codecs.inflate_batch(raw) if whole else b""
        except (ValueError, MemoryError) as error:
            log.warning("a compressed batch cannot be delivered: %s", error)
        block = block_new(<uint32_t>len(batch))
        if block != NULL:
            memcpy(block_data(block), <const uint8_t*>batch, len(batch))
            block.len = <uint32_t>len(batch)
        job.inflated = block
        mail_init(&job.mail, answer)
        mailbox_post(self.exchange.boxes[job.feed.reactor], &job.mail)
