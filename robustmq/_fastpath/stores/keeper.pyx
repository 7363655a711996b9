"""The keeper and the committer of a journal: see keeper.pxd."""
from libc.errno cimport EDQUOT, EFBIG, ENOSPC, errno
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from robustmq._fastpath.atomic cimport (
    cas_u32, cpu_pause, fence_seq_cst, load_acquire_u32, load_acquire_u64, load_relaxed_u32, load_relaxed_u64, spin_lock,
    spin_unlock, store_relaxed_u64, store_release_u32, store_release_u64,
)
from robustmq._fastpath.block cimport ref_failed, ref_release
from robustmq._fastpath.platform cimport (
    MADV_RANDOM, clock_monotonic_ns, file_size, madvise, memory_forget, memory_prefault, memory_sync, memory_want,
    pthread_cond_broadcast, pthread_join, pthread_mutex_lock, pthread_mutex_trylock, pthread_mutex_unlock, thread_name,
    thread_start, waker_ring, waker_wait,
)
from robustmq._fastpath.qsbr cimport qsbr_offline, qsbr_online, qsbr_register, qsbr_synchronize, qsbr_unregister
from robustmq._fastpath.status cimport NEED_MORE, NO_MEMORY, OK, STORE_FAILED, STORE_FULL
from robustmq._fastpath.stores.journal cimport (
    ENTRY_BATCH, MARK_PAD, MARK_RESERVED, Entry, count, entry_intact, entry_length, entry_stride, journal_at, journal_durable,
    journal_fail, journal_health, journal_may_sync, journal_start, journal_tail, tell_listeners, tell_of_choke, tell_of_room,
)
from robustmq._fastpath.stores.segment cimport (
    SEGMENT_HEADER, Segment, segment_list, segment_of, segment_prepare, segment_settle, segment_unlist, segments_full, segments_trim,
)

cdef extern from "sched.h" nogil:
    int sched_yield()


cdef enum:
    PAGE = 4096                         # what a commit writes back; more where pages are larger
    STEP = 1 << 16                      # of pre-faulting: a multiple of every system's page
    WINDOW_MIN = 1 << 20                # an idle broker touches no more than this
    WINDOW_MAX = 16 << 20
    PRESSED = 2                         # segments above the bound that are nothing unusual


cdef void write_pad(Segment* segment, uint64_t offset, uint64_t n) noexcept nogil:
    """A pad of n bytes, a multiple of 8."""
    store_release_u64(&(<Entry*>(segment.base + offset)).mark, <uint64_t>segment.nonce << 32 | n << 2 | MARK_PAD)


cdef bint crowded(Journal* journal) noexcept nogil:
    return journal_listed(journal) + load_acquire_u32(&journal.segments.pinned) > journal.segments.enough


cdef void choke(Journal* journal) noexcept nogil:
    """Under roll_lock. The keeper looks whether somebody has let go meanwhile."""
    if cas_u32(&journal.segments.choked, 0, 1):
        count(&journal.counters.chokes, 1)
        tell_of_choke(journal)
    fence_seq_cst()
    waker_ring(&journal.keeper_waker)


cdef Status make_spare(Journal* journal) noexcept nogil:
    """The segment that comes next; under roll_lock. What is wrong with the disk is sticky: who waited for the lock while
    another thread found out does not try again."""
    cdef uint64_t sequence = (journal_tail(journal) - 1 >> journal.segments.shift) + 1
    if journal_health(journal) != OK:
        return journal_health(journal)
    if segments_full(&journal.segments, sequence):
        choke(journal)                  # all slots taken. Not the disk's fault, so not sticky
        return STORE_FULL
    journal.spare = segment_prepare(&journal.segments, sequence)
    if journal.spare == NULL:
        if journal.memory:
            return NO_MEMORY
        journal_fail(journal, STORE_FULL if errno == ENOSPC or errno == EFBIG or errno == EDQUOT else STORE_FAILED)
        return journal_health(journal)
    return OK


cdef Status journal_roll(Journal* journal, uint64_t tail) noexcept nogil:
    cdef uint64_t size = journal.segments.size
    cdef uint64_t offset
    cdef Status why = OK
    cdef Segment* next
    if pthread_mutex_trylock(&journal.roll_lock) != 0:
        return NEED_MORE                # perhaps the keeper, which is making a file: the caller may hold a spin lock
    if journal_tail(journal) != tail:
        pthread_mutex_unlock(&journal.roll_lock)
        return OK
    if journal.spare == NULL:
        why = NEED_MORE
    else:
        next = journal.spare
        journal.spare = NULL
        segment_list(&journal.segments, next)
        spin_lock(&journal.lock)
        offset = journal.tail & (size - 1)
        if offset != 0:
            write_pad(segment_of(&journal.segments, journal.tail >> journal.segments.shift), offset, size - offset)
        store_release_u64(&journal.tail, (next.sequence << journal.segments.shift) + SEGMENT_HEADER)
        journal.prefault_at = journal.tail
        spin_unlock(&journal.lock)
        count(&journal.counters.rolls, 1)
        if not journal.pressed and journal_listed(journal) > journal.most_segments + PRESSED:
            count(&journal.counters.presses, 1)
            store_release_u32(&journal.pressed, 1)
        if crowded(journal):
            choke(journal)
    pthread_mutex_unlock(&journal.roll_lock)
    return why


cdef Status journal_make_spare(Journal* journal, uint64_t filled) noexcept nogil:
    cdef Status why = OK
    cdef uint64_t mask = journal.segments.size - 1
    pthread_mutex_lock(&journal.roll_lock)
    if journal.spare == NULL and (journal_tail(journal) - 1 & mask) + 1 >= filled:
        count(&journal.counters.roll_makes, 1)
        why = make_spare(journal)
    pthread_mutex_unlock(&journal.roll_lock)
    return why


cdef Status journal_close_segment(Journal* journal) noexcept nogil:
    cdef uint64_t tail = journal_tail(journal)
    cdef Status why = OK
    cdef uint64_t sequence = tail - 1 >> journal.segments.shift
    while why == OK and tail & (journal.segments.size - 1) != SEGMENT_HEADER \
            and tail - 1 >> journal.segments.shift == sequence:
        why = journal_roll(journal, tail)
        if why == NEED_MORE:
            why = journal_make_spare(journal, 0)
        tail = journal_tail(journal)
    return why


# --- group commit -----------------------------------------------------------------------------------------------------

cdef uint64_t close_page(Journal* journal) noexcept nogil:
    """Let later appends begin on a page that this commit does not write back; returns the end of what came before."""
    cdef uint64_t end, offset, pad
    spin_lock(&journal.lock)
    end = journal.tail
    offset = end & (journal.segments.size - 1)
    pad = (PAGE - offset % PAGE) % PAGE
    if pad and end > journal.durable and offset + pad <= journal.segments.size:
        write_pad(segment_of(&journal.segments, end >> journal.segments.shift), offset, pad)
        end += pad
        store_release_u64(&journal.tail, end)
    spin_unlock(&journal.lock)
    return end


cdef void await_complete(Journal* journal, uint64_t position, uint64_t end) noexcept nogil:
    """Until no entry in [position, end), within one segment, is still being copied: at most one memcpy away. Zeros where a mark
    should be are a lost page: whoever made it one has set the journal's health."""
    cdef const Entry* entry
    cdef uint32_t spins
    while position < end:
        entry = journal_at(journal, position, NULL)
        spins = 0
        while load_acquire_u64(&entry.mark) & MARK_RESERVED:
            spins += 1
            if spins & 63:
                cpu_pause()
            else:
                sched_yield()
        if entry_length(entry) == 0:
            return
        position += entry_stride(entry_length(entry))


cdef bint sync_range(Journal* journal, uint64_t position, uint64_t end) noexcept nogil:
    """Sync [position, end) segment by segment. Nothing else says that a file was cut short: the pages are gone without an
    error."""
    cdef uint64_t size = journal.segments.size
    cdef uint64_t stop, first
    cdef Segment* segment
    while position < end:
        segment = segment_of(&journal.segments, position >> journal.segments.shift)
        stop = (position | (size - 1)) + 1
        if position & (size - 1) <= SEGMENT_HEADER:
            position = (position & ~(size - 1)) + SEGMENT_HEADER
            segment_settle(segment)
        if stop > end:
            stop = end
        await_complete(journal, position, stop)
        first = position & (size - 1)
        if (memory_sync(segment.base + first, (stop - 1 & (size - 1)) + 1 - first, segment.fd) != 0
                or file_size(segment.fd) < <int64_t>size):
            return False
        position = stop
    return True


cdef Status journal_commit(Journal* journal) noexcept nogil:
    cdef uint64_t end
    cdef int64_t began
    cdef bint synced
    if journal.memory:
        return OK
    pthread_mutex_lock(&journal.commit_lock)
    if journal_may_sync(journal) and journal_tail(journal) > journal.durable:
        end = close_page(journal)
        began = clock_monotonic_ns()
        synced = sync_range(journal, journal.durable, end)
        count_sync(journal, clock_monotonic_ns() - began)
        if synced and journal_may_sync(journal):    # a lost page has become one that syncs well, and goes nowhere
            store_release_u64(&journal.durable, end)
        else:
            journal_fail(journal, STORE_FAILED)
    pthread_mutex_unlock(&journal.commit_lock)
    tell_listeners(journal)
    return OK if journal_may_sync(journal) else STORE_FAILED


cdef void count_sync(Journal* journal, int64_t ns) noexcept nogil:
    cdef int bucket = 0
    while bucket < 31 and ns >> bucket >= 1000:
        bucket += 1
    count(&journal.counters.sync_buckets[bucket], 1)
    count(&journal.counters.syncs, 1)
    count(&journal.counters.sync_ns, <uint64_t>ns)
    if <uint64_t>ns > journal.counters.sync_ns_max:
        store_relaxed_u64(&journal.counters.sync_ns_max, <uint64_t>ns)


cdef void* committer_main(void* arg) noexcept nogil:
    cdef Journal* journal = <Journal*>arg
    thread_name(b"committer")
    while True:
        waker_wait(&journal.commit_waker)
        while load_acquire_u64(&journal.wanted) > journal_durable(journal) and journal_may_sync(journal):
            journal_commit(journal)
        if load_acquire_u32(&journal.stopping):
            return NULL


# --- the keeper -------------------------------------------------------------------------------------------------------

cdef inline void enter(int slot) noexcept nogil:
    """What another thread retires stays mapped until the keeper has left."""
    if slot >= 0:
        qsbr_online(slot)


cdef inline void leave(int slot) noexcept nogil:
    if slot >= 0:
        qsbr_offline(slot)


cdef void prefault(Journal* journal) noexcept nogil:
    """Fault in the window ahead of the tail; it doubles each time it is used up."""
    cdef uint64_t tail = journal_tail(journal)
    cdef uint64_t size = journal.segments.size
    cdef uint64_t offset = tail & (size - 1)
    cdef uint64_t until, again
    cdef uint64_t syncs = load_relaxed_u64(&journal.counters.syncs)
    cdef Segment* segment = segment_of(&journal.segments, tail >> journal.segments.shift)
    if segment == NULL:
        return
    journal.window = min(max(journal.window * 2, <uint64_t>WINDOW_MIN), min(<uint64_t>WINDOW_MAX, size))
    until = min((offset + journal.window + STEP - 1) & ~<uint64_t>(STEP - 1), size)
    if until > segment.prefaulted:
        again = max(segment.prefaulted, offset & ~<uint64_t>(STEP - 1))
        if syncs != journal.syncs_seen:
            # A page cache of large folios writes the whole of one for a dirty byte, and each commit makes the last one dirty:
            # without read-around folios are pages. Who never syncs has large ones and fewer faults.
            madvise(segment.base, size, MADV_RANDOM)
        if memory_prefault(segment.base + again, until - again) != 0:
            journal_fail(journal, STORE_FAILED)         # before an append stores there
            return
        if segment.fresh and syncs != journal.syncs_seen:
            # The blocks of a new file are written once ahead of the tail: a commit into blocks that the file system knows
            # only as reserved waits for its journal, too (0.1 ms becomes several).
            if memory_sync(segment.base + again, until - again, segment.fd) != 0:
                journal_fail(journal, STORE_FAILED)     # the kernel tells an error once: the committer would not hear of it
                return
            memory_prefault(segment.base + again, until - again)
        journal.syncs_seen = syncs
        segment.prefaulted = until
    again = until - journal.window // 2 if until < size else <uint64_t>-1
    if offset < size // 2 and again > size // 2:
        again = size // 2               # time to prepare the next segment
    spin_lock(&journal.lock)
    if journal.tail >> journal.segments.shift == segment.sequence and again != <uint64_t>-1:
        journal.prefault_at = (segment.sequence << journal.segments.shift) + again
    spin_unlock(&journal.lock)


cdef uint64_t journal_listed(Journal* journal) noexcept nogil:
    return (journal_tail(journal) - 1 >> journal.segments.shift) - (journal_start(journal) >> journal.segments.shift) + 1


cdef Status carry_forward(Journal* journal, uint64_t first, uint64_t end) noexcept nogil:
    """Show every entry of [first, end) to the log. What is carried gets a new crc, so the old one must hold."""
    cdef const Entry* entry
    cdef Status why = OK
    await_complete(journal, first, end)
    while first < end and why == OK:
        entry = journal_at(journal, first, NULL)
        if entry_length(entry) == 0 or not journal.memory and not entry.mark & MARK_PAD and entry.kind != ENTRY_BATCH \
                and not entry_intact(entry):
            return STORE_FAILED
        if not entry.mark & MARK_PAD and journal.carry != NULL:
            why = journal.carry(journal.owner, journal, entry, first)
        first += entry_stride(entry_length(entry))
    return why


cdef void relieve(Journal* journal) noexcept nogil:
    """The bound is kept again, or never will be."""
    pthread_mutex_lock(&journal.roll_lock)
    store_release_u32(&journal.pressed, 0)
    pthread_cond_broadcast(&journal.relieved)
    pthread_mutex_unlock(&journal.roll_lock)


cdef void unchoke(Journal* journal) noexcept nogil:
    """There is a segment for the next roll and readers hold less than enough, or there never will be."""
    cdef bint over
    if not load_relaxed_u32(&journal.segments.choked):
        return
    pthread_mutex_lock(&journal.roll_lock)
    over = journal_health(journal) != OK or load_acquire_u32(&journal.stopping) or (not crowded(journal) and (
        journal.spare != NULL or not segments_full(&journal.segments, (journal_tail(journal) - 1 >> journal.segments.shift) + 1)))
    if over:
        store_release_u32(&journal.segments.choked, 0)
    pthread_mutex_unlock(&journal.roll_lock)
    if over:
        tell_of_room(journal)


cdef Status journal_retire_oldest(Journal* journal, Journal* newest) noexcept nogil:
    cdef uint64_t sequence = journal.start >> journal.segments.shift
    cdef uint64_t end = sequence + 1 << journal.segments.shift
    cdef Segment* segment = segment_of(&journal.segments, sequence)
    cdef Status why = OK
    if segment != NULL:                 # recovery may have found a gap
        if segment.fd >= 0:
            memory_want(segment.base, journal.segments.size)
        why = carry_forward(journal, (sequence << journal.segments.shift) + SEGMENT_HEADER, end)
        if ref_failed(&segment.ref):
            why = STORE_FAILED
        if why == OK:
            why = journal_commit(newest)
        if why == OK and journal.heir != newest:
            why = journal_commit(journal.heir)
        if why != OK:
            return why
    store_release_u64(&journal.start, end)
    if segment != NULL:
        if not segment_unlist(&journal.segments, segment):
            journal_fail(journal, STORE_FAILED)
            why = STORE_FAILED
        qsbr_synchronize()
        ref_release(&segment.ref)
        count(&journal.counters.retired, 1)
        if load_relaxed_u32(&journal.segments.choked):
            tell_of_choke(journal)              # more that its readers can let go of
    if load_relaxed_u32(&journal.pressed) and journal_listed(journal) <= journal.most_segments:
        relieve(journal)
    return why


cdef void prepare_spare(Journal* journal) noexcept nogil:
    pthread_mutex_lock(&journal.roll_lock)
    if journal.spare == NULL:
        make_spare(journal)
    pthread_mutex_unlock(&journal.roll_lock)


cdef void forget_old(Journal* journal) noexcept nogil:
    """Segments behind the one before the tail leave this process's page table; they stay in the page cache."""
    cdef uint64_t current = journal_tail(journal) - 1 >> journal.segments.shift
    cdef Segment* segment
    while journal.forgotten + 1 < current:
        segment = segment_of(&journal.segments, journal.forgotten)
        if segment != NULL:
            memory_forget(segment.base, journal.segments.size)
        journal.forgotten += 1


cdef void keep(Journal* journal, int slot) noexcept nogil:
    """`slot` in QSBR, offline; -1: nobody else retires."""
    cdef uint64_t half = journal.segments.size // 2
    if journal_health(journal) == OK:
        enter(slot)
        prefault(journal)
        leave(slot)
    if journal_health(journal) != OK:
        relieve(journal)
        unchoke(journal)
        if journal.behind != NULL:
            waker_ring(journal.behind)          # who waits for the sealer is told, too
        return
    if journal.behind != NULL:
        waker_ring(journal.behind)
    else:
        while journal_listed(journal) >= journal.most_segments and journal_retire_oldest(journal, journal) == OK:
            prefault(journal)
    # A roll may have found the bound broken, and say so after the retirer had looked for the last time.
    if load_relaxed_u32(&journal.pressed) and (journal.behind == NULL or journal_listed(journal) <= journal.most_segments):
        relieve(journal)
    unchoke(journal)
    segments_trim(&journal.segments)
    if journal_tail(journal) & (journal.segments.size - 1) >= half and journal_health(journal) == OK:
        prepare_spare(journal)
    if not journal.memory:
        enter(slot)
        forget_old(journal)
        leave(slot)


cdef void* keeper_main(void* arg) noexcept nogil:
    cdef Journal* journal = <Journal*>arg
    cdef int slot = -1
    thread_name(b"keeper")
    if journal.behind != NULL:
        slot = qsbr_register()
        leave(slot)
        if slot < 0:
            journal_fail(journal, STORE_FAILED)
    while not load_acquire_u32(&journal.stopping):
        keep(journal, slot)
        waker_wait(&journal.keeper_waker)
    relieve(journal)
    unchoke(journal)
    if slot >= 0:
        qsbr_unregister(slot)
    return NULL


cdef Status keeper_start(Journal* journal) noexcept nogil:
    if thread_start(&journal.keeper, keeper_main, journal) != 0:
        return NO_MEMORY
    journal.threads = 1
    if thread_start(&journal.committer, committer_main, journal) != 0:
        return NO_MEMORY
    journal.threads = 2
    return OK


cdef void keeper_stop(Journal* journal) noexcept nogil:
    store_release_u32(&journal.stopping, 1)
    if journal.threads >= 1:
        waker_ring(&journal.keeper_waker)
        pthread_join(journal.keeper, NULL)
    if journal.threads == 2:
        waker_ring(&journal.commit_waker)
        pthread_join(journal.committer, NULL)
        journal_commit(journal)
    journal.threads = 0
    if journal.spare != NULL:
        segment_list(&journal.segments, journal.spare)
        journal.spare = NULL
