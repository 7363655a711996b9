"""Idempotent producers: see producers.pxd."""
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memmove, memset
from robustmq._fastpath.atomic cimport fetch_add_u64, store_release_ptr
from robustmq._fastpath.batch cimport (
    batch_base_sequence, batch_last_offset_delta, batch_producer_epoch, batch_producer_id,
)
from robustmq._fastpath.status cimport DUPLICATE, OK, OUT_OF_ORDER, STALE_EPOCH


cdef inline int32_t sequence_after(int32_t sequence, int32_t n) noexcept nogil:
    """2^31 - 1 is followed by 0 (Kafka's DefaultRecordBatch.incrementSequence)."""
    return <int32_t>((<uint32_t>sequence + <uint32_t>n) & 0x7FFFFFFF)


cdef Producer* find(Producers* producers, int64_t id) noexcept nogil:
    cdef uint32_t i
    if producers == NULL:
        return NULL
    for i in range(producers.count):
        if producers.table[i].id == id:
            return &producers.table[i]
    return NULL


cdef inline bint follows(const Producer* producer, int32_t sequence) noexcept nogil:
    """Its last batch, of which there is one."""
    return sequence == sequence_after(producer.batches[producer.count - 1].last_sequence, 1)


cdef inline uint32_t seconds(int64_t ms) noexcept nogil:
    return <uint32_t>((ms + 999) // 1000)


cdef inline bint is_expired(const Producer* producer, const ProducerBounds* bounds, int64_t now_ms) noexcept nogil:
    """Never too early, at most a second late."""
    return producer.seen_s != 0 and now_ms - <int64_t>producer.seen_s * 1000 >= bounds.expiration_ms


cdef inline void forget(Producers* producers, Producer* producer) noexcept nogil:
    producers.count -= 1
    producer[0] = producers.table[producers.count]


cdef void forget_silent(Producers* producers, const ProducerBounds* bounds, int64_t now_ms) noexcept nogil:
    cdef uint32_t i = producers.count
    while i > 0:
        i -= 1
        if is_expired(&producers.table[i], bounds, now_ms):
            forget(producers, &producers.table[i])


cdef void forget_oldest(Producers* producers) noexcept nogil:
    """Of those that are there, the one that appended before all others."""
    cdef uint32_t i, oldest = 0
    for i in range(1, producers.count):
        if producers.table[i].used < producers.table[oldest].used:
            oldest = i
    forget(producers, &producers.table[oldest])


cdef Status producers_check(Producers* producers, const uint8_t* b, const ProducerBounds* bounds, int64_t now_ms,
                            uint64_t* offset) noexcept nogil:
    cdef Producer* producer = find(producers, batch_producer_id(b))
    cdef int16_t epoch = batch_producer_epoch(b)
    cdef int32_t first = batch_base_sequence(b)
    cdef int32_t last = sequence_after(first, batch_last_offset_delta(b))
    cdef uint16_t i
    if producer == NULL or producer.count == 0 or is_expired(producer, bounds, now_ms):
        return OK                                       # an unknown producer may begin anywhere
    if epoch < producer.epoch:
        return STALE_EPOCH
    if epoch > producer.epoch:
        return OK if first == 0 else OUT_OF_ORDER       # a new epoch begins at 0
    for i in range(producer.count):
        if producer.batches[i].first_sequence == first and producer.batches[i].last_sequence == last:
            offset[0] = producer.batches[i].base_offset
            return DUPLICATE
    return OK if follows(producer, first) else OUT_OF_ORDER


cdef bint grow(Producers* producers, uint32_t most) noexcept nogil:
    cdef uint32_t cap = min(max(producers.cap * 2, <uint32_t>2), most)
    cdef Producer* table = <Producer*>realloc(producers.table, cap * sizeof(Producer))
    if table == NULL:
        return False
    producers.table = table
    producers.cap = cap
    return True


cdef bint producers_reserve(Producers** producers, const uint8_t* b, ProducerBounds* bounds, int64_t now_ms) noexcept nogil:
    """Room for one more producer: where one was silent for too long, by growth, or by forgetting the least recently used."""
    cdef Producers* p = producers[0]
    cdef Producer* known
    if p == NULL:
        p = <Producers*>calloc(1, sizeof(Producers))
        if p == NULL:
            return False
        store_release_ptr(<void**>producers, p)
    known = find(p, batch_producer_id(b))
    if known != NULL and not is_expired(known, bounds, now_ms):
        return True
    if known != NULL:
        forget(p, known)
    if p.count == p.cap:
        forget_silent(p, bounds, now_ms)
    if p.count < p.cap:
        return True
    if p.count < bounds.most:
        return grow(p, bounds.most)
    forget_oldest(p)
    fetch_add_u64(&bounds.evicted, 1)
    return True


cdef void producers_appended(Producers* producers, const uint8_t* b, uint64_t base_offset, int64_t now_ms) noexcept nogil:
    cdef Producer* producer = find(producers, batch_producer_id(b))
    cdef ProducerBatch* batch
    if producer == NULL:
        producer = &producers.table[producers.count]
        producers.count += 1
        memset(producer, 0, sizeof(Producer))
        producer.id = batch_producer_id(b)
    # In recovery a batch that does not follow says that its producer had been forgotten, under other bounds than today's.
    if producer.epoch != batch_producer_epoch(b) or producer.count and not follows(producer, batch_base_sequence(b)):
        producer.epoch = batch_producer_epoch(b)
        producer.count = 0
    if producer.count == PRODUCER_BATCHES:
        memmove(&producer.batches[0], &producer.batches[1], (PRODUCER_BATCHES - 1) * sizeof(ProducerBatch))
        producer.count -= 1
    batch = &producer.batches[producer.count]
    batch.first_sequence = batch_base_sequence(b)
    batch.last_sequence = sequence_after(batch.first_sequence, batch_last_offset_delta(b))
    batch.base_offset = base_offset
    producer.count += 1
    producers.clock += 1
    producer.used = producers.clock
    producer.seen_s = seconds(now_ms)


cdef void producers_expire(Producers** producers, const ProducerBounds* bounds, int64_t now_ms) noexcept nogil:
    cdef Producers* p = producers[0]
    cdef Producer* table
    cdef uint32_t i
    if p == NULL:
        return
    for i in range(p.count):
        if p.table[i].seen_s == 0:
            p.table[i].seen_s = seconds(now_ms)
    forget_silent(p, bounds, now_ms)
    if p.count == 0:
        store_release_ptr(<void**>producers, NULL)
        producers_free(p)
    elif p.count <= p.cap // 4:
        table = <Producer*>realloc(p.table, p.count * sizeof(Producer))
        if table != NULL:
            p.table = table
            p.cap = p.count


cdef void producers_free(Producers* producers) noexcept nogil:
    if producers != NULL:
        free(producers.table)
        free(producers)


cdef uint32_t producers_last(const Producers* producers, const ProducerBounds* bounds, int64_t now_ms, ProducerLast* to) noexcept nogil:
    cdef uint32_t found = 0
    cdef uint32_t i
    cdef const Producer* producer
    for i in range(producers.count if producers != NULL else 0):
        producer = &producers.table[i]
        if producer.count and not is_expired(producer, bounds, now_ms):
            to[found].id = producer.id
            to[found].base_offset = producer.batches[producer.count - 1].base_offset
            found += 1
    return found


cdef uint64_t producers_size(const Producers* producers) noexcept nogil:
    return producers.count * sizeof(Producer) if producers != NULL else 0


cdef void producers_save(const Producers* producers, uint8_t* to) noexcept nogil:
    if producers != NULL:
        memcpy(to, producers.table, producers.count * sizeof(Producer))


cdef bint producers_load(Producers** producers, const uint8_t* data, uint64_t n, const ProducerBounds* bounds) noexcept nogil:
    """Replace the state. What later batches in the journal say comes on top."""
    cdef Producers* p
    cdef uint32_t i
    cdef uint32_t count = <uint32_t>(n // sizeof(Producer))
    if n % sizeof(Producer) or n // sizeof(Producer) > PRODUCERS_MOST:
        return False
    p = <Producers*>calloc(1, sizeof(Producers))
    if p == NULL:
        return False
    p.table = <Producer*>calloc(count if count else 1, sizeof(Producer))
    if p.table == NULL:
        free(p)
        return False
    memcpy(p.table, data, n)
    p.count = p.cap = count             # 0 is well: the next reserve grows
    for i in range(count):
        p.clock = max(p.clock, p.table[i].used)
        if p.table[i].count > PRODUCER_BATCHES:
            producers_free(p)
            return False
    while p.count > bounds.most:
        forget_oldest(p)
    p.cap = min(p.cap, bounds.most)
    producers_free(producers[0])
    store_release_ptr(<void**>producers, p)
    return True
