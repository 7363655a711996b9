"""The index of a partition: see index.pxd."""
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from robustmq._fastpath.atomic cimport load_acquire_ptr, load_acquire_u32, store_release_ptr, store_release_u32
from robustmq._fastpath.platform cimport memory_prefetch
from robustmq._fastpath.qsbr cimport qsbr_retire


cdef enum:
    CHUNK_FIRST = 2                 # items in a partition's first chunk
    CHUNK_MAX = 512
    DIRECTORY_FIRST = 3             # chunks in a partition's first directory: 42 batches, and malloc has no smaller piece
    PAGE = 4096

cdef enum Key:
    BY_OFFSET
    BY_TIME


cdef inline IndexChunk** chunks(Index* index) noexcept nogil:
    return <IndexChunk**>(<char*>index + sizeof(Index))


cdef inline IndexItem* items(IndexChunk* chunk) noexcept nogil:
    return <IndexItem*>(<char*>chunk + sizeof(IndexChunk))


cdef Index* directory_grown(Index* old) noexcept nogil:
    """A directory with room for one more chunk; keeps the live chunks of `old`."""
    cdef uint32_t live = old.count - old.head if old != NULL else 0
    cdef uint32_t cap = live * 2 if live > 0 else <uint32_t>DIRECTORY_FIRST
    cdef Index* grown = <Index*>malloc(sizeof(Index) + cap * sizeof(IndexChunk*))
    if grown != NULL:
        grown.cap = cap
        grown.head = 0
        grown.count = live
        grown.reserved = 0
        if live > 0:
            memcpy(chunks(grown), chunks(old) + old.head, live * sizeof(IndexChunk*))
    return grown


cdef void touch_pages(IndexChunk* chunk, uint32_t cap) noexcept nogil:
    """Take the page faults of a fresh chunk in one append rather than in one of every 128."""
    cdef uint32_t i = 0
    while i < cap:
        items(chunk)[i].position = 0
        i += PAGE // <uint32_t>sizeof(IndexItem)


cdef IndexChunk* chunk_after(Index* index) noexcept nogil:
    """A new, empty chunk, larger than the last one."""
    cdef uint32_t cap = CHUNK_FIRST
    cdef IndexChunk* chunk
    if index != NULL and index.count > index.head:
        cap = min(chunks(index)[index.count - 1].cap * 4, <uint32_t>CHUNK_MAX)
    chunk = <IndexChunk*>malloc(sizeof(IndexChunk) + cap * sizeof(IndexItem))
    if chunk != NULL:
        chunk.cap = cap
        chunk.count = 0
        touch_pages(chunk, cap)
    return chunk


cdef bint add_chunk(Index** index) noexcept nogil:
    cdef Index* old = index[0]
    cdef Index* grown = old
    cdef IndexChunk* chunk = chunk_after(old)
    if chunk == NULL:
        return False
    if old == NULL or old.count == old.cap:
        grown = directory_grown(old)
        if grown == NULL:
            free(chunk)
            return False
    chunks(grown)[grown.count] = chunk
    store_release_u32(&grown.count, grown.count + 1)
    if grown != old:
        store_release_ptr(index, grown)
        if old != NULL:
            qsbr_retire(old, free)
    return True


cdef bint index_reserve(Index** index) noexcept nogil:
    cdef Index* dir = index[0]
    cdef IndexChunk* last
    if dir != NULL and dir.count > dir.head:
        last = chunks(dir)[dir.count - 1]
        if last.count < last.cap:
            return True
    return add_chunk(index)


cdef void index_push(Index** index, const IndexItem* item) noexcept nogil:
    cdef IndexChunk* last = chunks(index[0])[index[0].count - 1]
    items(last)[last.count] = item[0]
    store_release_u32(&last.count, last.count + 1)


cdef void index_prefetch(Index* index, uint32_t step) noexcept nogil:
    cdef IndexChunk* last
    if step == 0:
        memory_prefetch(index)
    elif index != NULL and index.head < index.count:
        last = chunks(index)[index.count - 1]
        if step == 1:
            memory_prefetch(chunks(index)[index.head])
            memory_prefetch(last)
        else:
            memory_prefetch(items(last) + last.count)


cdef void index_drop_before(Index** index, uint64_t position) noexcept nogil:
    cdef Index* dir = index[0]
    cdef IndexChunk* chunk
    while dir != NULL and dir.head < dir.count:
        chunk = chunks(dir)[dir.head]
        if chunk.count == 0 or items(chunk)[chunk.count - 1].position >= position:
            return
        store_release_u32(&dir.head, dir.head + 1)
        qsbr_retire(chunk, free)
    if dir != NULL:
        store_release_ptr(index, NULL)
        qsbr_retire(dir, free)


cdef inline bint reaches(const IndexItem* item, Key key, uint64_t value) noexcept nogil:
    if key == BY_OFFSET:
        return item.last_offset >= value
    return item.max_timestamp >= <int64_t>value


cdef const IndexItem* find(Index** index, Key key, uint64_t value) noexcept nogil:
    """The first item that reaches `value`: a binary search over chunks by their last item, then inside one."""
    cdef Index* dir = <Index*>load_acquire_ptr(index)
    cdef IndexChunk* chunk
    cdef uint32_t low, high, middle, count, end
    if dir == NULL:
        return NULL
    end = load_acquire_u32(&dir.count)
    low = load_acquire_u32(&dir.head)
    high = end
    while low < high:
        middle = low + (high - low) // 2
        chunk = chunks(dir)[middle]
        count = load_acquire_u32(&chunk.count)
        # Only the last chunk can be empty, between index_reserve and index_push: nothing is to its right.
        if count == 0 or reaches(&items(chunk)[count - 1], key, value):
            high = middle
        else:
            low = middle + 1
    if low == end:
        return NULL
    chunk = chunks(dir)[low]
    count = load_acquire_u32(&chunk.count)
    low = 0
    high = count
    while low < high:
        middle = low + (high - low) // 2
        if reaches(&items(chunk)[middle], key, value):
            high = middle
        else:
            low = middle + 1
    return &items(chunk)[low] if low < count else NULL


cdef const IndexItem* index_find_offset(Index** index, uint64_t offset) noexcept nogil:
    return find(index, BY_OFFSET, offset)


cdef const IndexItem* index_find_time(Index** index, int64_t timestamp_ms) noexcept nogil:
    return find(index, BY_TIME, <uint64_t>timestamp_ms)


cdef void index_free(Index** index) noexcept nogil:
    cdef uint32_t i
    if index[0] == NULL:
        return
    for i in range(index[0].head, index[0].count):
        free(chunks(index[0])[i])
    free(index[0])
    index[0] = NULL
