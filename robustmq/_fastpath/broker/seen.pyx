"""Messages that were taken before a restart: see seen.pxd."""
from libc.stdlib cimport calloc, free
from robustmq._fastpath.hash cimport hash_mix


cdef enum:
    FIRST_ITEMS = 1024


cdef Seen* seen_new() noexcept nogil:
    cdef Seen* seen = <Seen*>calloc(1, sizeof(Seen))
    if seen != NULL:
        seen.items = <SeenItem*>calloc(FIRST_ITEMS, sizeof(SeenItem))
        seen.mask = FIRST_ITEMS - 1
        if seen.items == NULL:
            free(seen)
            return NULL
    return seen


cdef void seen_free(Seen* seen) noexcept nogil:
    if seen != NULL:
        free(seen.items)
        free(seen)


cdef SeenItem* place(const Seen* seen, uint64_t subscriber, uint64_t stream, uint64_t offset) noexcept nogil:
    """Where the message is, or a vacant place for it."""
    cdef uint64_t at = hash_mix(subscriber ^ hash_mix(stream, <uint64_t>0x9E3779B97F4A7C15), offset ^ <uint64_t>0xD6E8FEB86659FD93)
    cdef SeenItem* item
    while True:
        item = &seen.items[at & seen.mask]
        if item.subscriber == 0 or item.subscriber == subscriber and item.stream == stream and item.offset == offset:
            return item
        at += 1


cdef bint grow(Seen* seen) noexcept nogil:
    cdef Seen wider
    cdef uint64_t i
    cdef SeenItem* item
    wider.count = seen.count
    wider.mask = seen.mask * 2 + 1
    wider.items = <SeenItem*>calloc(wider.mask + 1, sizeof(SeenItem))
    if wider.items == NULL:
        return False
    for i in range(seen.mask + 1):
        item = &seen.items[i]
        if item.subscriber:
            place(&wider, item.subscriber, item.stream, item.offset)[0] = item[0]
    free(seen.items)
    seen[0] = wider
    return True


cdef bint seen_add(Seen* seen, uint64_t subscriber, uint64_t stream, uint64_t offset) noexcept nogil:
    cdef SeenItem* item
    if seen.count * 2 > seen.mask and not grow(seen):
        return False
    item = place(seen, subscriber, stream, offset)
    seen.count += item.subscriber == 0
    item.subscriber = subscriber
    item.stream = stream
    item.offset = offset
    return True


cdef bint seen_has(const Seen* seen, uint64_t subscriber, uint64_t stream, uint64_t offset) noexcept nogil:
    return seen != NULL and place(seen, subscriber, stream, offset).subscriber != 0
