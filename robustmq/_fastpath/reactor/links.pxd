"""Connections by id: reactor << 56 | generation << 24 | slot. Owner: the reactor; nobody else looks an id up."""
from libc.stdint cimport uint32_t, uint64_t
from robustmq._fastpath.reactor.core cimport Connection, LinkTable


cdef inline uint32_t link_reactor(uint64_t id) noexcept nogil:
    return <uint32_t>(id >> 56)


# Gives the connection an id. False: memory or slots (16 M) are out.
cdef bint links_add(LinkTable* table, uint32_t reactor, Connection* connection) noexcept nogil

# The id is void from now on; the slot stays taken until links_remove.
cdef void links_retire(LinkTable* table, Connection* connection) noexcept nogil
cdef void links_remove(LinkTable* table, Connection* connection) noexcept nogil

# NULL when that link is gone.
cdef inline Connection* links_find(const LinkTable* table, uint64_t id) noexcept nogil:
    cdef uint32_t slot = <uint32_t>id & 0xFFFFFF
    if slot >= table.used or table.slots[slot].generation != <uint32_t>(id >> 24):
        return NULL
    return table.slots[slot].connection


cdef void links_free(LinkTable* table) noexcept nogil
