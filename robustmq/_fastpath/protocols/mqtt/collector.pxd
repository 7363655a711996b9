"""What one read of a session brings, until it is in the log: a batch for each partition, the acknowledgements that it owes.

    inbound.pyx  --collect-->  Collector  --append-->  log, retained messages, subscribers  -->  answers.pyx

What the journal has no room for (its health is OK: it will have) waits in the collector, and is appended later.

Owner: a Collector belongs to one thread and serves all its sessions; it is empty between reads, but for one that stays with a
session (inbound.pxd).
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from robustmq._fastpath.batch cimport BatchBuilder
from robustmq._fastpath.broker.topic cimport Topic
from robustmq._fastpath.protocols.mqtt.record cimport Headers
from robustmq._fastpath.protocols.mqtt.session cimport Collector, Core
from robustmq._fastpath.protocols.mqtt.wire cimport Bytes, Publish
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.partition cimport Appended, Partition


cdef enum:
    SLABS = 8                   # partitions that one read collects for at a time
    NO_SLAB = 255               # an acknowledgement whose message is stored already, or was refused


cdef struct Slab:               # the batch of one partition
    Topic* topic
    Partition* partition
    BatchBuilder builder
    Appended appended
    uint64_t stream             # of `partition`, which may be gone when there is room again
    uint32_t n                  # bytes of the finished batch, 0: not finished
    uint32_t count              # its records
    uint32_t waits              # for room
    Status status
    uint64_t opens              # QoS 2 identifiers of a durable session in it, see `opens_with`


cdef struct Owed:               # an acknowledgement of this read, in the order of the packets
    uint16_t packet_id
    uint8_t packet
    uint8_t slab
    uint8_t reason              # for NO_SLAB


cdef struct Retain:             # a retained message of this read
    uint32_t slab
    uint32_t record             # its number in the batch
    uint32_t clears             # an empty payload [MQTT-3.3.1-10]
    uint32_t state              # RetainState


cdef enum RetainState:
    RETAIN_NEW = 0
    RETAIN_UNWRITTEN = 1        # retained, but the state table had no room
    RETAIN_DONE = 2


cdef struct Collector:
    Core* core
    int64_t wall                # ms, of this read
    uint32_t used               # slabs
    uint32_t owed_count
    uint32_t retain_count
    uint64_t owed_cap
    uint64_t retain_cap
    uint32_t index              # thread
    uint32_t waits              # something of it waits for room
    Owed* owed
    Retain* retains
    Headers headers
    Slab slabs[SLABS]


# The collector of thread `index` (a reactor; REACTORS_MAX for the control plane); NULL: memory is out.
cdef Collector* collector_of(Core* core, uint32_t index) noexcept nogil
cdef void collector_free(Collector* collector) noexcept nogil

# One that stayed with a session is its thread's again, empty.
cdef void collector_return(Core* core, Collector* collector) noexcept nogil

# An acknowledgement, in the order of the packets; for NO_SLAB with its reason. False: memory is out.
cdef bint collector_owe(Collector* collector, uint16_t packet_id, uint8_t packet, uint8_t slab, uint8_t reason) noexcept nogil

# Put the message into its partition's batch. QUOTA, TOO_LARGE: append, then it has room if it ever has.
cdef Status collect_one(Collector* collector, const Publish* view, const Bytes* client_id, Topic* topic,
                        uint32_t number, uint32_t* index) noexcept nogil

# The last message of slab `index` is a retained one; `clears`: an empty one. False: memory is out.
cdef bint note_retained(Collector* collector, uint32_t index, bint clears) noexcept nogil

# Slab.opens with one identifier more: the first << 48 | which of the 48 from it on. 0: no room.
cdef uint64_t opens_with(uint64_t opens, uint16_t id) noexcept nogil

# Each partition's batch into the log, its subscribers told, retained messages kept. A slab's `status` says what became of it;
# collector.waits: something has no room yet, append_rest when it may have.
cdef void append_all(Core* core, Collector* collector, uint64_t origin) noexcept nogil
cdef void append_rest(Core* core, Collector* collector, uint64_t origin) noexcept nogil


cdef inline void collector_clear(Collector* collector) noexcept nogil:
    collector.owed_count = collector.retain_count = collector.used = collector.waits = 0


cdef inline Slab* slab_of(Collector* collector, const Owed* owed) noexcept nogil:
    return &collector.slabs[owed.slab] if owed.slab != NO_SLAB else NULL
