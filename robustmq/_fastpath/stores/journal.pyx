"""The journal's hot half: taking space, writing entries, finding them again. See journal.pxd for the promises.

What happens beside it (rolling, pre-faulting, retiring, syncing) is in keeper.pyx.
"""
from libc.stdint cimport int32_t
from libc.string cimport memcpy, memset
from robustmq._fastpath.atomic cimport (
    cas_u32, cas_u64, fence_signal, load_acquire_u32, load_acquire_u64, spin_lock, spin_unlock, store_relaxed_u64, store_release_u64,
)
from robustmq._fastpath.batch cimport BATCH_HEADER, batch_intact, batch_patch
from robustmq._fastpath.block cimport Ref, ref_holds
from robustmq._fastpath.crc cimport crc32c
from robustmq._fastpath.mailbox cimport mailbox_post
from robustmq._fastpath.platform cimport (
    memory_touch, pthread_cond_destroy, pthread_cond_init, pthread_cond_wait, pthread_mutex_destroy, pthread_mutex_init,
    pthread_mutex_lock, pthread_mutex_unlock, waker_destroy, waker_init, waker_ring,
)
from robustmq._fastpath.status cimport NEED_MORE, NO_MEMORY, OK, OUT_OF_RANGE, STORE_FULL, TOO_LARGE
from robustmq._fastpath.stores.keeper cimport journal_make_spare, journal_roll, keeper_start, keeper_stop
from robustmq._fastpath.stores.segment cimport SEGMENT_HEADER, segment_mark_unsynced, segment_of, segments_close, segments_init


cdef enum:
    CRC_FROM = 12                       # of an entry: kind .. end


cdef inline uint64_t crc_span(uint16_t kind, uint64_t length) noexcept nogil:
    """Bytes under an entry's crc, from CRC_FROM on."""
    cdef uint64_t head = sizeof(Entry) + BATCH_HEADER
    return (head if kind == ENTRY_BATCH and length > head else length) - CRC_FROM


cdef bint entry_intact(const Entry* entry) noexcept nogil:
    cdef uint64_t length = entry_length(entry)
    if length < sizeof(Entry) or entry.crc != crc32c(0, <const uint8_t*>entry + CRC_FROM, crc_span(entry.kind, length)):
        return False
    return entry.kind != ENTRY_BATCH or batch_intact(<const uint8_t*>entry + sizeof(Entry), entry_body_length(entry))


cdef void entry_finish(Entry* entry, uint64_t length) noexcept nogil:
    entry.mark = length << 2
    entry.crc = crc32c(0, <const uint8_t*>entry + CRC_FROM, crc_span(entry.kind, length))


cdef Entry* take_space(Journal* journal, uint64_t length, uint64_t* position, uint64_t* mark, Status* why) noexcept nogil:
    """Space for one entry, its reserved mark written; NULL with the reason."""
    cdef uint64_t need = entry_stride(length)
    cdef uint64_t size = journal.segments.size
    cdef uint64_t tail, offset
    cdef Segment* segment
    cdef Entry* entry
    cdef bint call_keeper
    while True:
        spin_lock(&journal.lock)
        tail = journal.tail
        offset = tail & (size - 1)
        if offset >= SEGMENT_HEADER and offset + need <= size:
            segment = segment_of(&journal.segments, tail >> journal.segments.shift)
            entry = <Entry*>(segment.base + offset)
            mark[0] = <uint64_t>segment.nonce << 32 | length << 2
            store_relaxed_u64(&entry.mark, mark[0] | MARK_RESERVED)
            store_release_u64(&journal.tail, tail + need)
            call_keeper = tail + need > journal.prefault_at
            if call_keeper:
                journal.prefault_at = <uint64_t>-1
            count(&journal.counters.entries, 1)
            count(&journal.counters.bytes, length)
            spin_unlock(&journal.lock)
            if call_keeper:
                waker_ring(&journal.keeper_waker)
            position[0] = tail
            return entry
        spin_unlock(&journal.lock)
        why[0] = journal_roll(journal, tail)
        if why[0] != OK:
            return NULL


cdef Status journal_prepare(Journal* journal) noexcept nogil:
    return journal_make_spare(journal, journal.segments.size // 2)      # entries are smaller than the other half


cdef Status journal_append(Journal* journal, const EntryHead* head, const uint8_t* body, uint64_t n,
                           const uint8_t* more, uint64_t more_n, uint64_t* position) noexcept nogil:
    cdef Status why = journal_try_append(journal, head, body, n, more, more_n, position)
    while why == NEED_MORE:
        why = journal_prepare(journal)
        if why == OK:
            why = journal_try_append(journal, head, body, n, more, more_n, position)
    return why


cdef Status journal_try_append(Journal* journal, const EntryHead* head, const uint8_t* body, uint64_t n,
                               const uint8_t* more, uint64_t more_n, uint64_t* position) noexcept nogil:
    cdef uint64_t length = sizeof(Entry) + n + more_n
    cdef uint64_t mark = 0
    cdef Status why = journal_health(journal)
    cdef Entry* entry
    if why != OK:
        return why
    if n + more_n > journal_body_most(journal):
        return TOO_LARGE
    entry = take_space(journal, length, position, &mark, &why)
    if entry == NULL:
        return why
    entry.kind = head.kind
    entry.flags = head.flags
    entry.stream = head.stream
    entry.base_offset = head.base_offset
    entry.origin = head.origin
    entry.aux = head.aux
    if n > 0:
        memcpy(<uint8_t*>entry + sizeof(Entry), body, n)
    if more_n > 0:
        memcpy(<uint8_t*>entry + sizeof(Entry) + n, more, more_n)
    if head.kind == ENTRY_BATCH:
        batch_patch(<uint8_t*>entry + sizeof(Entry), <int64_t>head.base_offset, <int32_t>head.leader_epoch)
    entry.crc = crc32c(0, <uint8_t*>entry + CRC_FROM, crc_span(head.kind, length))
    store_release_u64(&entry.mark, mark)
    fence_signal()                      # a page that was lost under these stores has said so before they were done
    return OK if journal_may_sync(journal) else STORE_FAILED


cdef const Entry* journal_at(Journal* journal, uint64_t position, Ref** ref) noexcept nogil:
    cdef Segment* segment = segment_of(&journal.segments, position >> journal.segments.shift)
    if segment == NULL:
        return NULL
    if ref != NULL:
        ref[0] = &segment.ref
    return <const Entry*>(segment.base + (position & (journal.segments.size - 1)))


cdef Status journal_read(Journal* journal, uint64_t position, const Entry** entry, Ref** ref) noexcept nogil:
    entry[0] = journal_at(journal, position, ref)
    if entry[0] == NULL:
        return OUT_OF_RANGE
    if not journal.memory:
        memory_touch(<const uint8_t*>entry[0], entry_length(entry[0]))
        if not ref_holds(ref[0]):
            return STORE_FAILED
    return OK


cdef uint64_t journal_tail(Journal* journal) noexcept nogil:
    return load_acquire_u64(&journal.tail)


cdef uint64_t journal_start(Journal* journal) noexcept nogil:
    return load_acquire_u64(&journal.start)


cdef uint64_t journal_durable(Journal* journal) noexcept nogil:
    return load_acquire_u64(&journal.durable)


cdef bint journal_is_memory(Journal* journal) noexcept nogil:
    return journal.memory


cdef Status journal_health(Journal* journal) noexcept nogil:
    return <Status>load_acquire_u32(&journal.health)


cdef void journal_wait_room(Journal* journal) noexcept nogil:
    pthread_mutex_lock(&journal.roll_lock)
    while (journal_pressed(journal) and journal_health(journal) == OK
           and not load_acquire_u32(&journal.stopping)):
        pthread_cond_wait(&journal.relieved, &journal.roll_lock)
    pthread_mutex_unlock(&journal.roll_lock)


cdef void journal_fail(Journal* journal, Status why) noexcept nogil:
    """Sticky, but for the worse."""
    if (cas_u32(&journal.health, OK, <uint32_t>why)
            or why == STORE_FAILED and cas_u32(&journal.health, STORE_FULL, STORE_FAILED)):
        alarm(journal)


cdef void alarm(void* owner) noexcept nogil:
    """Whoever waits is told, and finds the reason in journal_health. Also called by the guard, which has set it already."""
    cdef Journal* journal = <Journal*>owner
    cdef Status why = journal_health(journal)
    cdef Segment* segment = segment_of(&journal.segments, journal_tail(journal) - 1 >> journal.segments.shift)
    if why == STORE_FAILED and segment != NULL:
        segment_mark_unsynced(segment)
    tell_listeners(journal)
    waker_ring(&journal.keeper_waker)           # lets go of those in journal_wait_room
    if journal.watcher.box != NULL:
        mailbox_post(journal.watcher.box, journal.watcher.mail)
    if journal.elder != NULL:
        journal_fail(journal.elder, why)        # it could give up no segment any more, and would hear of that much later


cdef void journal_watch(Journal* journal, Mailbox* box, Mail* mail) noexcept nogil:
    journal.watcher.box = box
    journal.watcher.mail = mail


cdef void tell_listeners(Journal* journal) noexcept nogil:
    cdef uint64_t durable = journal_durable(journal)
    cdef Listener* listener
    cdef uint32_t i
    spin_lock(&journal.listeners_lock)
    for i in range(journal.listener_count):
        listener = &journal.listeners[i]
        if listener.wanted:
            mailbox_post(listener.box, listener.mail)
            if listener.wanted <= durable:
                listener.wanted = 0
    spin_unlock(&journal.listeners_lock)


cdef void tell_of_room(Journal* journal) noexcept nogil:
    cdef Listener* listener
    cdef uint32_t i
    spin_lock(&journal.listeners_lock)
    for i in range(journal.listener_count):
        listener = &journal.listeners[i]
        if listener.wants_room or listener.watches_room:
            listener.wants_room = 0
            mailbox_post(listener.box, listener.mail)
    spin_unlock(&journal.listeners_lock)


cdef void tell_of_choke(Journal* journal) noexcept nogil:
    cdef Listener* listener
    cdef uint32_t i
    spin_lock(&journal.listeners_lock)
    for i in range(journal.listener_count):
        listener = &journal.listeners[i]
        if listener.watches_room:
            mailbox_post(listener.box, listener.mail)
    spin_unlock(&journal.listeners_lock)


cdef Listener* find_listener(Journal* journal, Mail* mail) noexcept nogil:
    cdef uint32_t i
    for i in range(journal.listener_count):
        if journal.listeners[i].mail == mail:
            return &journal.listeners[i]
    return NULL


cdef Listener* listener_of(Journal* journal, Mailbox* box, Mail* mail) noexcept nogil:
    """Under listeners_lock. NULL: there are too many."""
    cdef Listener* listener = find_listener(journal, mail)
    if listener == NULL and journal.listener_count < SYNC_LISTENERS_MAX:
        listener = &journal.listeners[journal.listener_count]
        journal.listener_count += 1
        listener.box = box
        listener.mail = mail
        listener.wanted = 0
        listener.wants_room = listener.watches_room = 0
    return listener


cdef void journal_watch_room(Journal* journal, Mailbox* box, Mail* mail) noexcept nogil:
    cdef Listener* listener
    spin_lock(&journal.listeners_lock)
    listener = listener_of(journal, box, mail)
    if listener != NULL:
        listener.watches_room = 1
    spin_unlock(&journal.listeners_lock)


cdef void journal_want_room(Journal* journal, Mailbox* box, Mail* mail) noexcept nogil:
    cdef Listener* listener
    spin_lock(&journal.listeners_lock)
    listener = listener_of(journal, box, mail)
    if listener != NULL:
        listener.wants_room = 1
    spin_unlock(&journal.listeners_lock)
    if not journal_choked(journal):             # the keeper may not have seen the listener
        mailbox_post(box, mail)


cdef void journal_want_sync(Journal* journal, uint64_t position, Mailbox* box, Mail* mail) noexcept nogil:
    cdef uint64_t wanted = load_acquire_u64(&journal.wanted)
    cdef Listener* listener
    spin_lock(&journal.listeners_lock)
    listener = listener_of(journal, box, mail)
    if listener != NULL and listener.wanted < position:
        listener.wanted = position
    spin_unlock(&journal.listeners_lock)
    while wanted < position and not cas_u64(&journal.wanted, wanted, position):
        wanted = load_acquire_u64(&journal.wanted)
    # `wanted` above before the look at `durable` here: if the committer has passed, it may not have seen the listener.
    if journal.memory or journal_durable(journal) >= position or not journal_may_sync(journal):
        mailbox_post(box, mail)
    else:
        waker_ring(&journal.commit_waker)


cdef void journal_forget(Journal* journal, Mail* mail) noexcept nogil:
    cdef Listener* listener
    spin_lock(&journal.listeners_lock)
    listener = find_listener(journal, mail)
    if listener != NULL:
        journal.listener_count -= 1
        listener[0] = journal.listeners[journal.listener_count]
    spin_unlock(&journal.listeners_lock)


cdef Status journal_init(Journal* journal, const char* directory, uint64_t segment_bytes, uint64_t most_segments,
                         uint64_t slack_bytes, bint memory) noexcept nogil:
    memset(journal, 0, sizeof(Journal))
    journal.memory = memory
    journal.most_segments = most_segments
    journal.heir = journal
    pthread_mutex_init(&journal.roll_lock, NULL)
    pthread_mutex_init(&journal.commit_lock, NULL)
    pthread_cond_init(&journal.relieved, NULL)
    waker_init(&journal.keeper_waker)
    waker_init(&journal.commit_waker)
    if not segments_init(&journal.segments, directory, segment_bytes, most_segments, slack_bytes, memory):
        return NO_MEMORY
    journal.segments.bell = &journal.keeper_waker
    journal.segments.health = &journal.health
    journal.segments.lost = alarm
    journal.segments.journal = journal
    return OK


cdef Status journal_begin(Journal* journal, uint64_t tail) noexcept nogil:
    cdef Status why
    if tail == 0:
        tail = journal.segments.size
        journal.start = tail
    journal.tail = journal.durable = journal.wanted = tail
    journal.prefault_at = tail
    journal.forgotten = tail >> journal.segments.shift
    if journal_health(journal) != OK:
        return journal_health(journal)  # recovery has lost a page
    if journal.heir != journal and tail & (journal.segments.size - 1) == 0:
        why = journal_make_spare(journal, 0)
        if why == OK:
            why = journal_roll(journal, tail)
        if why != OK:
            return why
    return keeper_start(journal)


cdef void journal_close(Journal* journal) noexcept nogil:
    """Sync what is there, end the threads, unmap. No append, read or reference may follow."""
    keeper_stop(journal)
    segments_close(&journal.segments)
    waker_destroy(&journal.keeper_waker)
    waker_destroy(&journal.commit_waker)
    pthread_cond_destroy(&journal.relieved)
    pthread_mutex_destroy(&journal.roll_lock)
    pthread_mutex_destroy(&journal.commit_lock)
