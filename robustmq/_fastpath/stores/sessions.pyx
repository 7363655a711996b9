"""Entries of durable sessions: see sessions.pxd."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset
from robustmq._fastpath.hash cimport hash_mix
from robustmq._fastpath.platform cimport (
    pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock,
)
from robustmq._fastpath.status cimport OK, UNKNOWN_TOPIC
from robustmq._fastpath.stores.arrays cimport array_grow
from robustmq._fastpath.stores.core cimport core_copy, core_entry
from robustmq._fastpath.stores.journal cimport (
    ENTRY_SESSION, EntryHead, journal_append, journal_tail,
)
from robustmq._fastpath.stores.table cimport table_add, table_each, table_find, table_free, table_init, table_remove


cdef inline uint64_t number_hash(uint64_t number) noexcept nogil:
    return hash_mix(number, <uint64_t>0x9E3779B97F4A7C15)


cdef uint64_t hash_of(const void* item) noexcept nogil:
    return number_hash((<const SessionMark*>item).number)


cdef bint same(const void* item, const void* key) noexcept nogil:
    return (<const SessionMark*>item).number == (<const uint64_t*>key)[0]


cdef void session_log_init(LogCore* core) noexcept nogil:
    pthread_mutex_init(&core.sessions_lock, NULL)
    table_init(&core.sessions, hash_of)


cdef void forget_places(SessionMark* mark) noexcept nogil:
    free(mark.events.list)
    free(mark.opened.list)
    memset(&mark.events, 0, sizeof(SessionPlaces))
    memset(&mark.opened, 0, sizeof(SessionPlaces))


cdef void drop(LogCore* core, SessionMark* mark) noexcept nogil:
    table_remove(&core.sessions, mark)
    forget_places(mark)
    free(mark)


cdef void session_log_free(LogCore* core) noexcept nogil:
    cdef uint64_t at = 0
    cdef SessionMark* mark = <SessionMark*>table_each(&core.sessions, &at)
    while mark != NULL:
        forget_places(mark)
        free(mark)
        mark = <SessionMark*>table_each(&core.sessions, &at)
    table_free(&core.sessions)
    pthread_mutex_destroy(&core.sessions_lock)


cdef SessionMark* find(LogCore* core, uint64_t number) noexcept nogil:
    return <SessionMark*>table_find(&core.sessions, number_hash(number), same, &number)


cdef SessionMark* find_or_add(LogCore* core, uint64_t number) noexcept nogil:
    cdef SessionMark* mark = find(core, number)
    if mark == NULL:
        mark = <SessionMark*>calloc(1, sizeof(SessionMark))
        if mark == NULL:
            return NULL
        mark.number = number
        if not table_add(&core.sessions, mark):
            free(mark)
            return NULL
    return mark


cdef bint session_log_begin(LogCore* core, uint64_t number) noexcept nogil:
    cdef SessionMark* mark
    if core.wal == NULL:
        return True
    pthread_mutex_lock(&core.sessions_lock)
    mark = find_or_add(core, number)
    if mark != NULL:
        mark.known = 1
    pthread_mutex_unlock(&core.sessions_lock)
    return mark != NULL


cdef void session_log_end(LogCore* core, uint64_t number) noexcept nogil:
    cdef SessionMark* mark
    pthread_mutex_lock(&core.sessions_lock)
    mark = find(core, number)
    if mark != NULL:
        drop(core, mark)
    pthread_mutex_unlock(&core.sessions_lock)


# --- writing ----------------------------------------------------------------------------------------------------------

cdef Status write(Journal* journal, uint64_t number, uint16_t flags, uint64_t sequence, uint64_t base_offset,
                  const uint8_t* body, uint64_t n, uint64_t* position) noexcept nogil:
    cdef EntryHead head
    head.kind = ENTRY_SESSION
    head.flags = flags
    head.leader_epoch = 0
    head.stream = number
    head.base_offset = base_offset
    head.origin = 0
    head.aux = sequence
    return journal_append(journal, &head, body, n, NULL, 0, position)


cdef Status session_log_events(LogCore* core, uint64_t number, uint64_t sequence, uint64_t tail, const uint8_t* body,
                               uint64_t n) noexcept nogil:
    cdef uint64_t position = 0
    if core.wal == NULL:
        return OK
    return write(core.wal, number, 0, sequence, tail, body, n, &position)


cdef Status session_log_snapshot(LogCore* core, uint64_t number, uint64_t sequence, uint64_t floor, const uint8_t* body,
                                 uint64_t n, uint64_t* durable_at) noexcept nogil:
    cdef SessionMark* mark
    cdef uint64_t position = 0
    cdef Status why = UNKNOWN_TOPIC
    durable_at[0] = 0
    if core.wal == NULL:
        return OK
    pthread_mutex_lock(&core.sessions_lock)
    mark = find(core, number)
    if mark != NULL:
        why = write(core.wal, number, SESSION_SNAPSHOT, sequence, floor, body, n, &position)
    if why == OK:
        mark.snapshot_place = position
        mark.snapshot_sequence = sequence
        mark.floor = floor
    pthread_mutex_unlock(&core.sessions_lock)
    durable_at[0] = journal_tail(core.wal)
    return why


cdef bint lives(const SessionMark* mark, const Entry* entry, uint64_t place) noexcept nogil:
    if entry.flags & SESSION_SNAPSHOT:
        return mark.snapshot_place == place
    return (mark.snapshot_place == 0 or entry.aux > mark.snapshot_sequence or entry.base_offset >= mark.floor)


cdef void move_place(SessionPlaces* places, uint64_t old, uint64_t now_at) noexcept nogil:
    """Nobody may have asked for them yet."""
    cdef uint32_t i
    for i in range(places.count):
        if places.list[i].place == old:
            places.list[i].place = now_at


cdef Status session_log_carry(LogCore* core, Journal* journal, const Entry* entry, uint64_t place) noexcept nogil:
    cdef SessionMark* mark
    cdef uint64_t now_at
    cdef Status why = OK
    pthread_mutex_lock(&core.sessions_lock)
    mark = find(core, entry.stream)
    if mark != NULL and lives(mark, entry, place):
        why = core_copy(core, journal.heir, entry, entry.base_offset, &now_at)
        if why == OK and entry.flags & SESSION_SNAPSHOT:
            mark.snapshot_place = now_at
        elif why == OK:
            move_place(&mark.events, place, now_at)
    pthread_mutex_unlock(&core.sessions_lock)
    return why


# --- recovery ---------------------------------------------------------------------------------------------------------

cdef bint add_place(SessionPlaces* places, uint64_t place, uint64_t value) noexcept nogil:
    if not array_grow(<void**>&places.list, places.count, &places.cap, sizeof(SessionPlace)):
        return False
    places.list[places.count].place = place
    places.list[places.count].value = value
    places.count += 1
    return True


cdef bint session_log_recover(LogCore* core, const Entry* entry, uint64_t place) noexcept nogil:
    """An ENTRY_SESSION found in the journal. False: memory is out."""
    cdef SessionMark* mark = find_or_add(core, entry.stream)
    if mark == NULL:
        return False
    if entry.flags & SESSION_SNAPSHOT:
        if mark.snapshot_place == 0 or entry.aux >= mark.snapshot_sequence:
            mark.snapshot_place = place
            mark.snapshot_sequence = entry.aux
            mark.floor = entry.base_offset
        return True
    # Whatever its publisher opened before this entry is said by it; a carried copy is read before all batches.
    while mark.opened.count and mark.opened.list[mark.opened.count - 1].place < entry.base_offset:
        mark.opened.count -= 1
    return add_place(&mark.events, place, entry.aux)


cdef bint session_log_recover_batch(LogCore* core, const Entry* entry, uint64_t position) noexcept nogil:
    """A batch with packet identifiers. False: memory is out."""
    cdef SessionMark* mark = find_or_add(core, entry.origin)
    return mark != NULL and add_place(&mark.opened, position, entry.aux)


cdef uint64_t session_log_highest(LogCore* core) noexcept nogil:
    cdef uint64_t at = 0, highest = 0
    cdef uint32_t i
    cdef SessionMark* mark = <SessionMark*>table_each(&core.sessions, &at)
    while mark != NULL:
        highest = max(highest, mark.floor)
        for i in range(mark.events.count):
            highest = max(highest, session_log_entry(core, mark.events.list[i].place).base_offset)
        mark = <SessionMark*>table_each(&core.sessions, &at)
    return highest


cdef SessionMark* session_log_found(LogCore* core, uint64_t number) noexcept nogil:
    return find(core, number)


cdef void session_log_hold(LogCore* core) noexcept nogil:
    pthread_mutex_lock(&core.sessions_lock)


cdef void session_log_release(LogCore* core) noexcept nogil:
    pthread_mutex_unlock(&core.sessions_lock)


cdef const Entry* session_log_entry(LogCore* core, uint64_t place) noexcept nogil:
    return core_entry(core, core.wal, place)


cdef void session_log_recovered(LogCore* core) noexcept nogil:
    cdef uint64_t at = 0
    cdef SessionMark* mark
    pthread_mutex_lock(&core.sessions_lock)
    mark = <SessionMark*>table_each(&core.sessions, &at)
    while mark != NULL:
        if mark.known:
            forget_places(mark)
        else:
            drop(core, mark)
        mark = <SessionMark*>table_each(&core.sessions, &at)
    pthread_mutex_unlock(&core.sessions_lock)
