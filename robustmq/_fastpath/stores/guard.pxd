"""Mapped files whose pages may be lost: a disk that cannot read or write one, a file that was cut short under the broker, a file
system without room for a copy on write. The kernel says so by a SIGBUS to whoever touches the page.

    signal      the words that say "lost" are set; when each writev is over that began before, the page becomes zeros, which never
                reach the disk or a socket (out.pxd); the thread goes on
    watchman    a thread of its own, asleep until then, calls `tell`: it may do what a signal handler may not

So who reads zeros there sees the words when he looks at them after the bytes (acquire), on any thread. He must look: zeros are
no message. Who appended there must look before he acknowledges.

    ref.kind    REF_FAILED. Nothing of the mapping is sent or believed any more; what was queued closes its connection
    health      STORE_FAILED, of the journal that the mapping is a segment of

A fault at any other address goes to the handler that was installed before. Threads must not block SIGBUS (thread_start does not).

Concurrency: any thread adds and removes; the handler walks the table without a lock (include/guard.h).
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from robustmq._fastpath.block cimport Ref


cdef struct Guarded:
    uint8_t* base
    uint64_t size
    int protection
    Ref* ref
    uint32_t* health                            # NULL: none
    void (*tell)(void* owner) noexcept nogil    # on the watchman's thread, once for each time that it finds new faults; takes no
    void* owner                                 # lock under which guard_add or guard_remove is called


# A handle for guard_remove; NULL: no memory, descriptors or threads. The first call installs the handler.
cdef void* guard_add(const Guarded* mapping) noexcept nogil

# Before the mapping goes; `tell` is not called any more. NULL does nothing.
cdef void guard_remove(void* handle) noexcept nogil

cdef uint64_t guard_faults() noexcept nogil     # pages lost since start
