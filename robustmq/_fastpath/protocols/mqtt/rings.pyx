"""Containers of a session; the contract is in rings.pxd."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy


cdef enum:
    FIRST_CAP = 8


cdef void* grown(void* ring, uint32_t cap, uint32_t head, uint32_t size) noexcept nogil:
    """A copy of a full ring with twice its room, in order for the same free-running head; NULL: memory is out."""
    cdef uint32_t i
    cdef uint32_t room = cap * 2 if cap else FIRST_CAP
    cdef uint8_t* wider = <uint8_t*>malloc(<uint64_t>room * size)
    if wider == NULL:
        return NULL
    for i in range(cap):
        memcpy(wider + <uint64_t>((head + i) & (room - 1)) * size,
               <uint8_t*>ring + <uint64_t>((head + i) & (cap - 1)) * size, size)
    free(ring)
    return wider


cdef Slot* slots_push(Slots* slots) noexcept nogil:
    cdef void* wider
    if slots.tail - slots.head == slots.cap:
        wider = grown(slots.ring, slots.cap, slots.head, sizeof(Slot))
        if wider == NULL:
            return NULL
        slots.ring = <Slot*>wider
        slots.cap = slots.cap * 2 if slots.cap else FIRST_CAP
    slots.tail += 1
    return &slots.ring[(slots.tail - 1) & (slots.cap - 1)]


cdef void slots_free(Slots* slots) noexcept nogil:
    free(slots.ring)
    slots.ring = NULL
    slots.cap = slots.head = slots.tail = 0


cdef PendingAck* acks_push(Acks* acks) noexcept nogil:
    cdef void* wider
    if acks.tail - acks.head == acks.cap:
        wider = grown(acks.ring, acks.cap, acks.head, sizeof(PendingAck))
        if wider == NULL:
            return NULL
        acks.ring = <PendingAck*>wider
        acks.cap = acks.cap * 2 if acks.cap else FIRST_CAP
    acks.tail += 1
    return &acks.ring[(acks.tail - 1) & (acks.cap - 1)]


cdef void acks_free(Acks* acks) noexcept nogil:
    free(acks.ring)
    acks.ring = NULL
    acks.cap = acks.head = acks.tail = 0


cdef int ids_add(IdSet** set, uint16_t id) noexcept nogil:
    cdef IdPage* page
    cdef uint64_t bit = <uint64_t>1 << (id & 63)
    if set[0] == NULL:
        set[0] = <IdSet*>calloc(1, sizeof(IdSet))
        if set[0] == NULL:
            return -1
    page = set[0].pages[id >> 10]
    if page == NULL:
        page = <IdPage*>calloc(1, sizeof(IdPage))
        if page == NULL:
            return -1
        set[0].pages[id >> 10] = page
    if page.bits[(id >> 6) & 15] & bit:
        return 0
    page.bits[(id >> 6) & 15] |= bit
    page.count += 1
    set[0].count += 1
    return 1


cdef bint ids_remove(IdSet** set, uint16_t id) noexcept nogil:
    cdef IdPage* page = set[0].pages[id >> 10] if set[0] != NULL else NULL
    cdef uint64_t bit = <uint64_t>1 << (id & 63)
    if page == NULL or not page.bits[(id >> 6) & 15] & bit:
        return False
    page.bits[(id >> 6) & 15] &= ~bit
    page.count -= 1
    set[0].count -= 1
    if page.count == 0 and set[0].count:
        free(page)              # the identifiers moved on; the last page stays, it is needed again
        set[0].pages[id >> 10] = NULL
    return True


cdef void ids_free(IdSet** set) noexcept nogil:
    cdef uint32_t i
    if set[0] != NULL:
        for i in range(64):
            free(set[0].pages[i])
        free(set[0])
        set[0] = NULL
