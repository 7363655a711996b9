"""A thread before recovery's scan: it has the disk read the segments of a journal, and checks the crc of each entry, so that the
scan finds what it comes to in memory and proven. Who has one core has no such thread: the scan proves a step, and goes on.

    segment    | entries, applied | proven, LEAD at most | the disk reads it, WANT_AHEAD | ...
                                  ^ scanned              ^ reached

An entry that does not prove itself becomes one that was never finished: its mark gets MARK_RESERVED, as an append that was killed
leaves it. So the verdict stands where the scan looks, and a start that is killed in between leaves nothing new. Nothing is written
to a segment that has lost a page (guard.pxd): its entries may be whole on the disk.

Concurrency: `reached` and `scanned` are under `lock`. From `reached` on the segments are the prover's, before it the scan's.
"""
from libc.stdint cimport uint32_t, uint64_t
from robustmq._fastpath.platform cimport pthread_cond_t, pthread_mutex_t, pthread_t
from robustmq._fastpath.stores.journal cimport MARK_PAD, Entry, entry_stride
from robustmq._fastpath.stores.segment cimport Segment


cdef struct Prover:
    Segment** segments              # in order
    uint64_t count
    uint64_t at                     # number of the segment that is being proven, and the entry in it; the prover's, as what follows
    uint64_t offset
    uint64_t wanted                 # offset of the step that the disk is asked for next, less WANT_AHEAD
    uint64_t known                  # `reached`, as the scan has last seen it, or less; the scan's
    uint64_t reached                # position of the first entry that was not looked at
    uint64_t scanned                # position of the scan, or less
    bint running                    # there is a thread
    bint stopping                   # under `lock`
    pthread_t thread
    pthread_mutex_t lock
    pthread_cond_t moved            # one of the two positions, or `stopping`


cdef inline bint is_marked(const Segment* segment, uint64_t offset) noexcept nogil:
    return (offset + sizeof(uint64_t) <= segment.store.size
            and (<uint64_t*>(segment.base + offset))[0] >> 32 == segment.nonce)


# Bytes from the entry or pad at `offset` to the next one; 0: the chain of marks ends here.
cdef inline uint64_t chain_stride(const Segment* segment, uint64_t offset) noexcept nogil:
    cdef uint64_t mark, length
    if not is_marked(segment, offset):
        return 0
    mark = (<uint64_t*>(segment.base + offset))[0]
    length = <uint32_t>mark >> 2
    if entry_stride(length) > segment.store.size - offset or length < (sizeof(uint64_t) if mark & MARK_PAD else sizeof(Entry)):
        return 0
    return entry_stride(length)


# Begin, with `threads` in a thread of its own. Segments stay mapped, and `prover` where it is, until prover_stop.
cdef void prover_start(Prover* prover, Segment** segments, uint64_t count, bint threads) noexcept nogil

# The scan is at `position`: wait until what stands there is proven, and more of what follows. `known` is above it then.
cdef void prover_wait(Prover* prover, uint64_t position) noexcept nogil

cdef void prover_stop(Prover* prover) noexcept nogil
