"""A hash table of pointers to items that know their own hash; readers may look up without a lock.

Concurrency: one writer at a time (its owner's lock). A reader without that lock is inside a QSBR section, and so are the
items it finds: whoever removes one retires it. Slots are published with release; a removed slot keeps its place until the
table grows, and the old slots are retired. A slot holds 16 bits of its item's hash, too: who looks up reads no item but its own.
"""
from libc.stdint cimport uint64_t


cdef struct Slots                       # private: mask, then mask + 1 slots


cdef struct Table:
    Slots* slots                        # QSBR; NULL while nothing was ever added
    uint64_t live
    uint64_t used                       # live and removed
    uint64_t (*hash_of)(const void* item) noexcept nogil


cdef void table_init(Table* table, uint64_t (*hash_of)(const void* item) noexcept nogil) noexcept nogil
cdef void table_free(Table* table) noexcept nogil       # the items are the caller's; nobody reads any more

# The item with this hash for which `same(item, key)`; NULL.
cdef void* table_find(Table* table, uint64_t hash, bint (*same)(const void* item, const void* key) noexcept nogil,
                      const void* key) noexcept nogil

# For who looks up many: load the slot of a hash, and later the `size` bytes of the item that stands there: all but always the
# right one, or NULL. As a reader.
cdef void table_prefetch(Table* table, uint64_t hash) noexcept nogil
cdef void* table_guess(Table* table, uint64_t hash, uint64_t size) noexcept nogil

cdef bint table_add(Table* table, void* item) noexcept nogil        # it is not there yet. False: memory is out
cdef void table_remove(Table* table, void* item) noexcept nogil     # it is there

# Items one by one, under the owner's lock: start with *at = 0; NULL at the end.
cdef void* table_each(Table* table, uint64_t* at) noexcept nogil

# What table_each will come to in less than 16 slots, NULL: nothing. The nearer, the surer is it loaded. After a table_each that
# found something.
cdef void* table_peek(Table* table, uint64_t at, uint64_t ahead) noexcept nogil
