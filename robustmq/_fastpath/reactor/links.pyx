"""The table of a reactor's links: slots with generations, reused last in, first out."""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from robustmq._fastpath.reactor.core cimport Connection, LinkSlot, LinkTable


cdef enum:
    SLOTS_MOST = 1 << 24


cdef bint grow(LinkTable* table) noexcept nogil:
    cdef uint32_t cap = table.cap * 2 if table.cap else 64
    cdef LinkSlot* slots
    if cap > SLOTS_MOST:
        return False
    slots = <LinkSlot*>realloc(table.slots, cap * sizeof(LinkSlot))
    if slots == NULL:
        return False
    table.slots = slots
    table.cap = cap
    return True


cdef bint links_add(LinkTable* table, uint32_t reactor, Connection* connection) noexcept nogil:
    cdef uint32_t slot
    if table.first_free:
        slot = table.first_free - 1
        table.first_free = table.slots[slot].next_free
    else:
        if table.used == table.cap and not grow(table):
            return False
        slot = table.used
        table.used += 1
        table.slots[slot].generation = 1
    table.slots[slot].connection = connection
    table.count += 1
    connection.link.id = <uint64_t>reactor << 56 | <uint64_t>table.slots[slot].generation << 24 | slot
    return True


cdef void links_retire(LinkTable* table, Connection* connection) noexcept nogil:
    table.slots[connection.link.id & 0xFFFFFF].generation += 1


cdef void links_remove(LinkTable* table, Connection* connection) noexcept nogil:
    cdef uint32_t slot = <uint32_t>connection.link.id & 0xFFFFFF
    table.slots[slot].connection = NULL
    table.slots[slot].next_free = table.first_free
    table.first_free = slot + 1
    table.count -= 1


cdef void links_free(LinkTable* table) noexcept nogil:
    free(table.slots)
    table.slots = NULL
    table.cap = 0
    table.used = 0
    table.first_free = 0
