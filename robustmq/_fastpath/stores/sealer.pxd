"""The sealer: one thread that turns the oldest segments of a write-ahead log into sealed files, and deletes dead files.

A segment is sealed once `lag` younger ones are complete: its batches are copied, stream by stream, into new sealed files; when
those are durable their runs are published; then whatever else must outlive the segment is carried to the state log and the
segment is recycled. A crash in between leaves files that cover batches which are also in the journal: recovery skips those.

The state log is a chain of segments like the journal. For each byte that comes to it two are given up at its other end, and
what lives of those comes to it again: so it settles at twice what lives, and each entry is written a few times, not once per
turn of the journal. Segments of which less than half lives go beyond that: they pay for themselves.

Streams with an eighth of a segment or more get a file of their own, the others share one. Writing gives way to appends while
less than half of the journal's bound is used: it goes at that share of `bytes_per_s` which the journal has of that half. What
fails here is the disk: the journal turns read-only.

Concurrency: `asked`, `sealed`, `stopping` under `lock`; counters have the sealer as their one writer.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from robustmq._fastpath.platform cimport pthread_cond_t, pthread_mutex_t, pthread_t, waker_t
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.journal cimport Journal


cdef struct SealerCounters:
    uint64_t sealings                   # segments since start
    uint64_t batches
    uint64_t batch_bytes                # of batches and what proves them
    uint64_t sealing_ns


cdef struct Sealer:
    void* core                          # LogCore*
    Journal* journal
    waker_t bell                        # rung by the keeper after each roll, by seal_all and by doomed files
    waker_t never                       # waited for with a time: how writing gives way
    pthread_t thread
    pthread_mutex_t lock
    pthread_cond_t moved                # `sealed` has grown, or the sealer stops
    uint64_t asked                      # seal all segments below this sequence, whatever the lag
    uint64_t sealed                     # segments below this sequence are gone
    uint64_t lag
    uint64_t debt                       # bytes of the state log to give up, between two segments at most one's; sealer only
    uint64_t bytes_per_s
    uint32_t stopping
    uint32_t running
    uint32_t failed                     # Status that ended sealing; sticky, as the journal's health
    SealerCounters counters


cdef Status sealer_start(Sealer* sealer) noexcept nogil
cdef void sealer_stop(Sealer* sealer) noexcept nogil

# Have everything sealed that was appended before the call; `*until` (NULL: not wanted) is what `sealed` will be then.
cdef Status sealer_ask(Sealer* sealer, uint64_t* until) noexcept nogil

# The same, and wait for it. OK, or why the journal is unhealthy; SHUTTING_DOWN.
cdef Status sealer_seal_all(Sealer* sealer) noexcept nogil
