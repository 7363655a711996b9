"""Cold pages: what a reactor is about to read of a sealed file is brought into memory by a thread that may wait for the disk.

    loader_ask(..., box, mail)      somebody waits: the load's mail comes to `box` when the pages are there
    loader_ahead(...)               nobody waits: read-ahead; skipped when the loader has enough to do

A page that the disk cannot give is found out here, where it is an error of a call and not a signal (guard.pxd): the file is
marked as failed, and readers get CORRUPT.

Concurrency: any thread asks; `lock` covers the queue. A Load belongs to who asked, except while it is queued.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from robustmq._fastpath.block cimport Ref
from robustmq._fastpath.mailbox cimport Mail, Mailbox
from robustmq._fastpath.platform cimport pthread_t, waker_t
from robustmq._fastpath.status cimport Status


cdef enum:
    LOAD_WINDOW = 1 << 20               # bytes that a reader asks for at a time, at most
    LOADS_AHEAD = 32                    # queued loads above which read-ahead is skipped


cdef struct Cold:                       # a stretch of a mapping that is not in memory
    Ref* ref                            # of the mapping, borrowed inside the QSBR section; REF_FAILED when the disk cannot give it
    uint8_t* data
    uint64_t n
    Loader* loader


cdef struct Load:
    Mail mail                           # first: what it gets back is the Load
    Load* next
    void* owner
    Cold cold                           # with one reference
    Mailbox* box


cdef struct LoaderCounters:             # of the loader thread
    uint64_t loads
    uint64_t load_bytes
    uint64_t load_ns
    uint64_t unreadable


cdef struct Loader:
    uint32_t lock
    uint32_t queued                     # under lock
    Load* first                         # under lock
    Load* last                          # under lock
    waker_t bell
    pthread_t thread
    uint32_t stopping
    uint32_t running
    Mailbox* news_box                   # gets `news` when a file has failed; set before any thread runs, NULL: nobody
    Mail* news
    LoaderCounters counters


cdef Status loader_start(Loader* loader) noexcept nogil
cdef void loader_stop(Loader* loader) noexcept nogil            # what is still queued is answered, unloaded

# `mail.run` gets the Load, owns it and frees it. False: memory is out.
cdef bint loader_ask(const Cold* cold, Mailbox* box, void (*run)(Mail*, void*, int64_t) noexcept nogil,
                     void* owner) noexcept nogil

# Somebody else has found out that a file has failed.
cdef void loader_tell(Loader* loader) noexcept nogil

cdef void loader_ahead(const Cold* cold) noexcept nogil
