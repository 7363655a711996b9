"""Open addressing with linear probing: see table.pxd."""
from libc.stdlib cimport calloc, free
from robustmq._fastpath.atomic cimport load_acquire_ptr, store_release_ptr
from robustmq._fastpath.platform cimport memory_prefetch
from robustmq._fastpath.qsbr cimport qsbr_retire


cdef enum:
    CACHE_LINE = 64
    EACH_AHEAD = 8                      # items


cdef struct Slots:
    uint64_t mask
    # void*[mask + 1] follows


cdef char removed                       # its address marks a slot whose item has gone


cdef inline void** slot(Slots* slots, uint64_t i) noexcept nogil:
    return <void**>(<char*>slots + sizeof(Slots)) + (i & slots.mask)


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
    cdef void* item
    if slots == NULL:
        return NULL
    while True:
        item = load_acquire_ptr(slot(slots, hash))
        if item == NULL:
            return NULL
        if item != <void*>&removed and same(item, key):
            return item
        hash += 1


cdef void table_prefetch(Table* table, uint64_t hash) noexcept nogil:
    cdef Slots* slots = <Slots*>load_acquire_ptr(&table.slots)
    if slots != NULL:
        memory_prefetch(slot(slots, hash))


cdef void table_prefetch_item(Table* table, uint64_t hash, uint64_t size) noexcept nogil:
    cdef Slots* slots = <Slots*>load_acquire_ptr(&table.slots)
    cdef char* item = <char*>load_acquire_ptr(slot(slots, hash)) if slots != NULL else NULL
    cdef uint64_t at = 0
    while item != NULL and item != &removed and at < size:
        memory_prefetch(item + at)
        at += CACHE_LINE


cdef void place(Slots* slots, uint64_t hash, void* item) noexcept nogil:
    while slot(slots, hash)[0] != NULL:
        hash += 1
    store_release_ptr(slot(slots, hash), item)


cdef bint make_room(Table* table) noexcept nogil:
    """At most three quarters of the slots are used: grow, or leave the removed behind."""
    cdef Slots* old = table.slots
    cdef Slots* grown
    cdef uint64_t cap = 8, i
    cdef void* item
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
            item = slot(old, i)[0]
            if item != NULL and item != <void*>&removed:
                place(grown, table.hash_of(item), item)
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
    while slot(table.slots, hash)[0] != item:
        hash += 1
    store_release_ptr(slot(table.slots, hash), <void*>&removed)
    table.live -= 1


cdef void* table_each(Table* table, uint64_t* at) noexcept nogil:
    cdef void* item
    if table.slots == NULL:
        return NULL
    while at[0] <= table.slots.mask:
        item = slot(table.slots, at[0])[0]
        at[0] += 1
        memory_prefetch(slot(table.slots, at[0] + EACH_AHEAD)[0])
        if item != NULL and item != <void*>&removed:
            return item
    return NULL
