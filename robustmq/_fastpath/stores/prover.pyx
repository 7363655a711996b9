"""Ahead of the scan: see prover.pxd."""
from libc.string cimport memset
from robustmq._fastpath.block cimport ref_holds
from robustmq._fastpath.platform cimport (
    memory_resident, memory_want, pthread_cond_broadcast, pthread_cond_destroy, pthread_cond_init, pthread_cond_wait, pthread_join,
    pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock, thread_name, thread_start,
)
from robustmq._fastpath.stores.journal cimport MARK_RESERVED, entry_intact
from robustmq._fastpath.stores.segment cimport SEGMENT_HEADER


cdef enum:
    STEP = 256 << 10                # bytes after which the prover tells where it is: they fit into a core's cache
    LEAD = 16 << 20                 # bytes before the scan
    WANT_AHEAD = 32 << 20           # bytes before the prover: more than the disk reads in a while


cdef void want(Prover* prover, uint64_t at, uint64_t offset, uint64_t n) noexcept nogil:
    """The disk reads `n` bytes from `offset` on of a segment, or of the next one when that is behind its end."""
    cdef Segment* segment = prover.segments[at]
    if offset >= segment.store.size:
        offset -= segment.store.size
        at += 1
    if at == prover.count or offset >= segment.store.size:
        return
    segment = prover.segments[at]
    n = min(n, segment.store.size - offset)
    if not memory_resident(segment.base + offset, n):
        memory_want(segment.base + offset, n)


cdef uint64_t prove_step(Prover* prover) noexcept nogil:
    """Prove STEP bytes, or to the end of the segment; the position that was reached. Not behind the last segment."""
    cdef Segment* segment = prover.segments[prover.at]
    cdef uint64_t base = segment.sequence << segment.store.shift
    cdef uint64_t until = prover.offset + STEP
    cdef uint64_t stride = 1
    cdef Entry* entry
    while prover.wanted < prover.offset:
        want(prover, prover.at, prover.wanted + WANT_AHEAD, STEP)
        prover.wanted += STEP
    while stride and prover.offset < until:
        stride = chain_stride(segment, prover.offset)
        entry = <Entry*>(segment.base + prover.offset)
        if stride and not entry.mark & (MARK_PAD | MARK_RESERVED) and not entry_intact(entry) and ref_holds(&segment.ref):
            entry.mark |= MARK_RESERVED
        prover.offset += stride
    if stride:
        return base + prover.offset
    prover.at += 1
    prover.offset = SEGMENT_HEADER
    prover.wanted = 0
    return base + segment.store.size


cdef bint tell(Prover* prover, uint64_t reached) noexcept nogil:
    """Say where the prover is, and wait for the scan if that is too far. False: nobody waits for it any more."""
    cdef bint going
    pthread_mutex_lock(&prover.lock)
    prover.reached = reached
    pthread_cond_broadcast(&prover.moved)
    while not prover.stopping and reached > prover.scanned + LEAD:
        pthread_cond_wait(&prover.moved, &prover.lock)
    going = not prover.stopping
    pthread_mutex_unlock(&prover.lock)
    return going


cdef void* prover_main(void* arg) noexcept nogil:
    cdef Prover* prover = <Prover*>arg
    thread_name(b"prover")
    while prover.at < prover.count and tell(prover, prove_step(prover)):
        pass
    return NULL


cdef void prover_start(Prover* prover, Segment** segments, uint64_t count, bint threads) noexcept nogil:
    memset(prover, 0, sizeof(Prover))
    prover.segments = segments
    prover.count = count
    prover.offset = SEGMENT_HEADER
    prover.scanned = segments[0].sequence << segments[0].store.shift
    pthread_mutex_init(&prover.lock, NULL)
    pthread_cond_init(&prover.moved, NULL)
    want(prover, 0, 0, WANT_AHEAD)
    prover.running = threads and thread_start(&prover.thread, prover_main, prover) == 0


cdef void prover_wait(Prover* prover, uint64_t position) noexcept nogil:
    pthread_mutex_lock(&prover.lock)
    prover.scanned = position
    pthread_cond_broadcast(&prover.moved)
    while prover.reached <= position:
        if prover.running:
            pthread_cond_wait(&prover.moved, &prover.lock)
        else:
            prover.reached = prove_step(prover)
    prover.known = min(prover.reached, position + LEAD // 4)        # the prover hears often how far the scan is
    pthread_mutex_unlock(&prover.lock)


cdef void prover_stop(Prover* prover) noexcept nogil:
    pthread_mutex_lock(&prover.lock)
    prover.stopping = True
    pthread_cond_broadcast(&prover.moved)
    pthread_mutex_unlock(&prover.lock)
    if prover.running:
        pthread_join(prover.thread, NULL)
    pthread_cond_destroy(&prover.moved)
    pthread_mutex_destroy(&prover.lock)
