"""Idempotent producers of one partition (KIP-98; Kafka's ProducerStateManager): the last five batches of each.

A producer that appended nothing for ProducerBounds.expiration_ms is as unknown as one that never did: it may begin anywhere. What
it left is forgotten when it comes back, when another one needs the room, and by producers_expire.

Times are wall clock in ms, said by whoever appends. 0: not known, of a batch that an earlier version wrote; the time of such a
producer begins with the next producers_expire.

Concurrency: everything under Partition.lock; whether there are any (the pointer) may be asked without it.
"""
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from robustmq._fastpath.status cimport Status


cdef enum:
    PRODUCER_BATCHES = 5
    PRODUCERS_MOST = 2500           # the highest bound: so many make one entry of the smallest journal segment


cdef struct ProducerBounds:
    int64_t expiration_ms           # producer.id.expiration.ms
    uint32_t most                   # per partition; the one that was silent longest goes first
    uint64_t evicted                # how often one went that was not silent for too long; atomic


cdef struct ProducerBatch:
    int32_t first_sequence
    int32_t last_sequence
    uint64_t base_offset


cdef struct Producer:
    int64_t id
    uint64_t used                   # a count of appends, for least recently used
    int16_t epoch
    uint16_t count                  # batches below
    uint32_t seen_s                 # seconds (rounded up) of its last append; 0: not known
    ProducerBatch batches[PRODUCER_BATCHES]     # oldest first


cdef struct Producers:
    uint32_t count
    uint32_t cap
    uint64_t clock
    uint64_t saved_at               # journal position of the last ENTRY_PRODUCERS of this state; 0: none
    Producer* table                 # in no order: few producers write to one partition


# Whether batch `b` (validated, producer id >= 0) may be appended at `now_ms`.
#   DUPLICATE      *offset = its old base offset
#   OUT_OF_ORDER   a gap, or older than the five batches that are remembered
#   STALE_EPOCH    a newer producer with the same id has taken over
cdef Status producers_check(Producers* producers, const uint8_t* b, const ProducerBounds* bounds, int64_t now_ms,
                            uint64_t* offset) noexcept nogil

# Room for the producer of `b`. False: memory is out (the batch must not be appended).
cdef bint producers_reserve(Producers** producers, const uint8_t* b, ProducerBounds* bounds, int64_t now_ms) noexcept nogil

# Remember that `b` was appended at `base_offset`, after producers_reserve.
cdef void producers_appended(Producers* producers, const uint8_t* b, uint64_t base_offset, int64_t now_ms) noexcept nogil

# Forget who has been silent for too long and give the memory back; nobody left: NULL.
cdef void producers_expire(Producers** producers, const ProducerBounds* bounds, int64_t now_ms) noexcept nogil

cdef void producers_free(Producers* producers) noexcept nogil

cdef struct ProducerLast:
    int64_t id
    uint64_t base_offset            # of its last batch


# The last batch of each that is not too old, into room for PRODUCERS_MOST; how many.
cdef uint32_t producers_last(const Producers* producers, const ProducerBounds* bounds, int64_t now_ms, ProducerLast* to) noexcept nogil

# The whole state as bytes and back, for a journal's ENTRY_PRODUCERS. Sizes in bytes; producers_load refuses nonsense, and of more
# than `bounds` allows it keeps those that appended last.
cdef uint64_t producers_size(const Producers* producers) noexcept nogil
cdef void producers_save(const Producers* producers, uint8_t* to) noexcept nogil
cdef bint producers_load(Producers** producers, const uint8_t* data, uint64_t n, const ProducerBounds* bounds) noexcept nogil
