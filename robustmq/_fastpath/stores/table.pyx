"""Open addressing with linear probing: see table.pxd."""
from libc.stdlib cimport calloc, free
from robustmq._fastpath.atomic cimport load_acquire_ptr, store_release_ptr
from robustmq._fastpath.platform cimport memory_prefetch
from robustmq._fastpath.qsbr cimport qsbr_retire


cdef enum:
    CACHE_LINE = 64
    EACH_AHEAD = 16                     # items
    TAG_AT = 48                         # addresses of a process end there


cdef struct Slots:
    uint64_t mask
    # void*[mask + 1] follows: an item's address, and above it the upper bits of its hash


cdef char removed                       # its address marks a slot whose item has gone


cdef inline void** slot(Slots* slots, uint64_t i) noexcept nogil:
    return <void**>(<char*>slots + sizeof(Slots)) + (i & slots.mask)


cdef inline void* tagged(void* item, uint64_t hash) noexcept nogil:
    return <void*>(<uint64_t>item | hash >> TAG_AT << TAG_AT)


cdef inline void* untagged(void* held) noexcept nogil:
    return <void*>(<uint64_t>held & ((<uint64_t>1 << TAG_AT) - 1))


cdef inline bint is_item(void* held) noexcept nogil:
    return held != NULL and held != <void*>&removed


cdef void table_init(Table* table, uint64_t (*hash_of)(const void* item) noexcept nogil) noexcept nogil:
    table.slots = NULL
    table.live = 0
    table.used = 0
    table.hash_of = hash_of


cdef void table_free(Table* table) noexcept nogil:
    free(table.slots)
    table_init(table, table.hash_of)


cdef void* table_find(Table* table, uint64_t hash, bint (*same)(const void* item, const void* key) noexcept nogil,
                      const void* key) noexcept nogil:
    cdef Slots* slots = <Slots*>load_acquire_ptr(&table.slots)
    cdef uint64_t tag = hash >> TAG_AT
    cdef void* held
    if slots == NULL:
        return NULL
    while True:
        held = load_acquire_ptr(slot(slots, hash))
        if held == NULL:
            return NULL
        if <uint64_t>held >> TAG_AT == tag and held != <void*>&removed and same(untagged(held), key):
            return untagged(held)
        hash += 1


cdef void table_prefetch(Table* table, uint64_t hash) noexcept nogil:
    cdef Slots* slots = <Slots*>load_acquire_ptr(&table.slots)
    if slots != NULL:
        memory_prefetch(slot(slots, hash))


cdef bint always(const void* item, const void* key) noexcept nogil:
    return True


cdef void* table_guess(Table* table, uint64_t hash, uint64_t size) noexcept nogil:
    cdef char* item = <char*>table_find(table, hash, always, NULL)
    cdef uint64_t at = 0
    while item != NULL and at < size:
        memory_prefetch(item + at)
        at += CACHE_LINE
    return item


cdef void place(Slots* slots, uint64_t hash, void* item) noexcept nogil:
    cdef void* held = tagged(item, hash)
    while slot(slots, hash)[0] != NULL:
        hash += 1
    store_release_ptr(slot(slots, hash), held)


cdef bint make_room(Table* table) noexcept nogil:
    """At most three quarters of the slots are used: grow, or leave the removed behind."""
    cdef Slots* old = table.slots
    cdef Slots* grown
    cdef uint64_t cap = 8, i
    cdef void* held
    if old != NULL and (table.used + 1) * 4 <= (old.mask + 1) * 3:
        return True
    while cap < (table.live + 1) * 2:
        cap *= 2
    grown = <Slots*>calloc(1, sizeof(Slots) + cap * sizeof(void*))
    if grown == NULL:
        return False
    grown.mask = cap - 1
    if old != NULL:
        for i in range(old.mask + 1):
            held = slot(old, i)[0]
            memory_prefetch(untagged(slot(old, i + EACH_AHEAD)[0]))
            if is_item(held):
                place(grown, table.hash_of(untagged(held)), untagged(held))
    table.used = table.live
    store_release_ptr(&table.slots, grown)
    if old != NULL:
        qsbr_retire(old, free)
    return True


cdef bint table_add(Table* table, void* item) noexcept nogil:
    if not make_room(table):
        return False
    place(table.slots, table.hash_of(item), item)
    table.live += 1
    table.used += 1
    return True


cdef void table_remove(Table* table, void* item) noexcept nogil:
    cdef uint64_t hash = table.hash_of(item)
    cdef void* held = tagged(item, hash)
    while slot(table.slots, hash)[0] != held:
        hash += 1
    store_release_ptr(slot(table.slots, hash), <void*>&removed)
    table.live -= 1


cdef void* table_each(Table* table, uint64_t* at) noexcept nogil:
    cdef void* held
    if table.slots == NULL:
        return NULL
    while at[0] <= table.slots.mask:
        held = slot(table.slots, at[0])[0]
        at[0] += 1
        memory_prefetch(untagged(slot(table.slots, at[0] + EACH_AHEAD)[0]))
        if is_item(held):
            return untagged(held)
    return NULL


cdef void* table_peek(Table* table, uint64_t at, uint64_t ahead) noexcept nogil:
    cdef void* held = slot(table.slots, at + ahead)[0]
    return untagged(held) if is_item(held) else NULL
