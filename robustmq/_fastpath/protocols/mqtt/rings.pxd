"""The three containers of a session: what goes to the client, which acknowledgements wait for the disk, and which
QoS 2 packet identifiers are open. Each is empty without memory and grows by doubling; the session frees what stayed empty at its
next keep-alive check, so a busy one allocates nothing.

    Slots   a ring of positions in the log: the in-flight window, and the queue behind it
    Acks    a ring of (journal position, packet id): sent once the journal is durable that far
    IdSet   packet identifiers 1..65535 as pages of 1024 bits

Owner: the session's reactor.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef enum SlotBits:
    SLOT_QOS = 3                # mask: the QoS it goes out with
    SLOT_RETAIN = 4             # goes out with the RETAIN flag
    SLOT_KEPT = 16              # position is a Kept*: bytes that are not in a journal as they are
    SLOT_SENT = 32              # was written to a connection: the next time with DUP
    SLOT_RELEASED = 64          # QoS 2: PUBREC came, PUBREL is due
    SLOT_DONE = 128             # acknowledged or dropped; leaves when it is at the head


cdef extern from "<stdint.h>" nogil:
    const uint64_t NO_RECORD "UINT64_MAX"       # Slot.record of a retained message, which stands in no stream
    const uint64_t NOWHERE "UINT64_MAX"         # Slot.position after a restart, of a message that was not found


cdef struct Slot:
    uint64_t position           # of the batch in its stream's journal, see SlotBits
    uint64_t stream             # of the partition
    uint64_t record             # its offset in the stream: what names it after a restart
    uint32_t offset             # of the record in the batch, bytes
    uint16_t packet_id          # 0 in the queue
    uint8_t bits                # SlotBits
    uint8_t grant               # how it matched: index into the session's grants


cdef struct Slots:
    Slot* ring                  # power of two, NULL while empty
    uint32_t cap
    uint32_t head               # free-running
    uint32_t tail


cdef inline uint32_t slots_count(const Slots* slots) noexcept nogil:
    return slots.tail - slots.head


cdef inline Slot* slots_at(const Slots* slots, uint32_t i) noexcept nogil:
    """The i-th from the head; valid until the next push."""
    return &slots.ring[(slots.head + i) & (slots.cap - 1)]


cdef Slot* slots_push(Slots* slots) noexcept nogil      # room at the tail, not initialised; NULL: memory is out
cdef void slots_free(Slots* slots) noexcept nogil


cdef struct PendingAck:
    uint64_t durable_at         # write it when the journal is durable up to here
    uint16_t packet_id
    uint8_t packet              # PUBACK or PUBREC
    uint8_t reason


cdef struct Acks:
    PendingAck* ring
    uint32_t cap
    uint32_t head
    uint32_t tail


cdef inline uint32_t acks_count(const Acks* acks) noexcept nogil:
    return acks.tail - acks.head


cdef inline PendingAck* acks_at(const Acks* acks, uint32_t i) noexcept nogil:
    return &acks.ring[(acks.head + i) & (acks.cap - 1)]


cdef PendingAck* acks_push(Acks* acks) noexcept nogil
cdef void acks_free(Acks* acks) noexcept nogil


cdef struct IdPage:
    uint64_t bits[16]
    uint32_t count


cdef struct IdSet:
    uint32_t count
    IdPage* pages[64]


# 1: added, 0: was there, -1: memory is out. `set` points at the owner's pointer, NULL while empty.
cdef int ids_add(IdSet** set, uint16_t id) noexcept nogil
cdef inline bint ids_has(const IdSet* set, uint16_t id) noexcept nogil:
    return (set != NULL and set.pages[id >> 10] != NULL
            and set.pages[id >> 10].bits[(id >> 6) & 15] >> (id & 63) & 1)


cdef bint ids_remove(IdSet** set, uint16_t id) noexcept nogil       # True when it was there
cdef void ids_free(IdSet** set) noexcept nogil
