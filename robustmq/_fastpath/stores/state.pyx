"""The state table: see state.pxd."""
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy
from robustmq._fastpath.hash cimport hash_bytes, hash_mix
from robustmq._fastpath.platform cimport (
    pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock,
)
from robustmq._fastpath.status cimport NO_MEMORY, OK
from robustmq._fastpath.stores.core cimport core_copy, core_read
from robustmq._fastpath.stores.journal cimport (
    ENTRY_STATE, EntryHead, entry_body, entry_body_length, journal_append, journal_tail,
)
from robustmq._fastpath.stores.table cimport table_add, table_each, table_find, table_free, table_init, table_remove


cdef struct State:
    uint64_t hash
    uint64_t place                  # of the entry with its value (core.pxd)
    uint16_t space
    uint16_t reserved
    uint32_t key_len
    # key follows


cdef struct Key:
    const uint8_t* data
    uint32_t n
    uint16_t space


cdef inline uint8_t* state_key(const State* state) noexcept nogil:
    return <uint8_t*>state + sizeof(State)


cdef inline uint64_t key_hash(const Key* key) noexcept nogil:
    return hash_mix(hash_bytes(key.data, key.n) ^ key.space, <uint64_t>0x9E3779B97F4A7C15)


cdef uint64_t hash_of(const void* item) noexcept nogil:
    return (<const State*>item).hash


cdef bint same(const void* item, const void* wanted) noexcept nogil:
    cdef const State* state = <const State*>item
    cdef const Key* key = <const Key*>wanted
    return state.space == key.space and state.key_len == key.n and memcmp(state_key(state), key.data, key.n) == 0


cdef Journal* journal_of(LogCore* core) noexcept nogil:
    return core.wal if core.wal != NULL else core.memory


cdef void state_init(LogCore* core) noexcept nogil:
    pthread_mutex_init(&core.state_lock, NULL)
    table_init(&core.state, hash_of)


cdef void state_free(LogCore* core) noexcept nogil:
    cdef uint64_t at = 0
    cdef void* state = table_each(&core.state, &at)
    while state != NULL:
        free(state)
        state = table_each(&core.state, &at)
    table_free(&core.state)
    pthread_mutex_destroy(&core.state_lock)


cdef State* find(LogCore* core, const Key* key) noexcept nogil:
    return <State*>table_find(&core.state, key_hash(key), same, key)


cdef State* add(LogCore* core, const Key* key) noexcept nogil:
    cdef State* state = <State*>malloc(sizeof(State) + key.n)
    if state == NULL:
        return NULL
    state.hash = key_hash(key)
    state.place = 0
    state.space = key.space
    state.reserved = 0
    state.key_len = key.n
    memcpy(state_key(state), key.data, key.n)
    if not table_add(&core.state, state):
        free(state)
        return NULL
    return state


cdef void drop(LogCore* core, State* state) noexcept nogil:
    table_remove(&core.state, state)
    free(state)


cdef Status write(Journal* journal, const Key* key, const uint8_t* value, int64_t value_len,
                  uint64_t* position) noexcept nogil:
    cdef EntryHead head
    head.kind = ENTRY_STATE
    head.flags = STATE_GONE if value_len < 0 else 0
    head.leader_epoch = 0
    head.stream = key.space
    head.base_offset = 0
    head.origin = 0
    head.aux = key.n
    return journal_append(journal, &head, key.data, key.n, value, <uint64_t>max(value_len, <int64_t>0), position)


cdef Status put_locked(LogCore* core, const Key* key, const uint8_t* value, int64_t value_len) noexcept nogil:
    cdef State* state = find(core, key)
    cdef bint fresh = state == NULL
    cdef uint64_t position = 0
    cdef Status why
    if fresh and value_len < 0:
        return OK
    if fresh:
        state = add(core, key)
        if state == NULL:
            return NO_MEMORY
    why = write(journal_of(core), key, value, value_len, &position)
    if why == OK:
        state.place = position
    if value_len < 0 and why == OK or fresh and why != OK:
        drop(core, state)
    return why


cdef Status log_state_put(LogCore* core, uint16_t space, const uint8_t* key, uint32_t key_len, const uint8_t* value,
                          int64_t value_len, Appended* result) noexcept nogil:
    cdef Key k = Key(key, key_len, space)
    cdef Status why
    pthread_mutex_lock(&core.state_lock)
    why = put_locked(core, &k, value, value_len)
    pthread_mutex_unlock(&core.state_lock)
    result.durable_at = journal_tail(core.wal) if core.wal != NULL else 0
    return why


cdef Status log_state_scan(LogCore* core, uint16_t space, Status (*visit)(
        void* context, const uint8_t* key, uint32_t key_len, const uint8_t* value, uint64_t value_len) noexcept nogil,
        void* context) noexcept nogil:
    cdef uint64_t at = 0
    cdef Status why = OK
    cdef State* state
    cdef const Entry* entry
    pthread_mutex_lock(&core.state_lock)
    state = <State*>table_each(&core.state, &at)
    while state != NULL and why == OK:
        if state.space == space:        # its segment cannot go: the keeper needs this lock to carry the value
            why = core_read(core, journal_of(core), state.place, &entry)
            if why == OK:
                why = visit(context, state_key(state), state.key_len, entry_body(entry) + state.key_len,
                            entry_body_length(entry) - state.key_len)
        state = <State*>table_each(&core.state, &at)
    pthread_mutex_unlock(&core.state_lock)
    return why


cdef Status state_carry(LogCore* core, Journal* journal, const Entry* entry, uint64_t place) noexcept nogil:
    """The entry's segment is going: write it again, unless something newer is known."""
    cdef Key key = Key(entry_body(entry), <uint32_t>entry.aux, <uint16_t>entry.stream)
    cdef Status why = OK
    cdef State* state
    pthread_mutex_lock(&core.state_lock)
    state = find(core, &key)
    if state != NULL and state.place == place:
        why = core_copy(core, journal.heir, entry, 0, &state.place)
    elif state == NULL and entry.flags & STATE_GONE and journal.heir != journal:
        why = core_copy(core, journal.heir, entry, 0, NULL)
    pthread_mutex_unlock(&core.state_lock)
    return why


cdef bint state_recover(LogCore* core, const Entry* entry, uint64_t place) noexcept nogil:
    """An ENTRY_STATE found in the journal, in order. False: it is nonsense, or memory is out."""
    cdef Key key = Key(entry_body(entry), <uint32_t>entry.aux, <uint16_t>entry.stream)
    cdef State* state
    if entry.aux > entry_body_length(entry):
        return False
    state = find(core, &key)
    if entry.flags & STATE_GONE:
        if state != NULL:
            drop(core, state)
        return True
    if state == NULL:
        state = add(core, &key)
    if state == NULL:
        return False
    state.place = place
    return True
