"""What a Kafka connection and its reactor remember.

    Kafka ── lanes[reactor] ── counters, scratch                     a lane belongs to one reactor thread
      └── Session (one per connection)
            ├── pending   produce responses in request order, each until the journal is durable up to its position
            └── plan      the Fetch that is being answered, or is parked until records, its deadline or an error come

Bounds per connection: pending by PENDING_MAX responses and PENDING_BYTES_MAX bytes, plan by PARTITIONS_MAX partitions,
one parked request, and what link.out holds by high_water_bytes plus one response.

Owner: a Session and a Lane belong to one reactor thread. Counters are read by others (relaxed).
"""
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from robustmq._fastpath.block cimport Ref
from robustmq._fastpath.broker.routes cimport REACTORS_MAX, Exchange
from robustmq._fastpath.broker.topic cimport TopicTable
from robustmq._fastpath.link cimport Link, Protocol
from robustmq._fastpath.mailbox cimport Mail
from robustmq._fastpath.protocols.kafka.errors cimport ERROR_COUNT
from robustmq._fastpath.protocols.kafka.wire cimport API_KEYS, Request
from robustmq._fastpath.stores.partition cimport Partition, Waiter


cdef enum:
    PENDING_MAX = 256               # produce responses that wait; beyond it the connection is parked
    PENDING_BYTES_MAX = 1048576
    COLD_REQUEST_MAX = 8388608      # any request but Produce: the control plane's share of memory
    FETCH_BYTES_MAX = 57671680      # of records in one response, whatever the client asks for (Kafka's fetch.max.bytes)
    PIECES_MAX = 8192               # batches in one response
    PLAN_KEPT = 64                  # partitions whose room a connection keeps between fetches


# Why no further request of a connection is parsed.
cdef enum Wait:
    WAIT_NONE = 0
    WAIT_CONTROL = 1                # the control plane has a frame
    WAIT_RECORDS = 2                # a Fetch is parked
    WAIT_SYNC = 3                   # the next request has its turn once all pending responses are out
    WAIT_LOAD = 4                   # a Fetch waits for the disk


cdef struct Api:
    int16_t oldest
    int16_t newest
    uint16_t served                 # 0: not advertised; a request for it closes the connection
    uint16_t reserved


cdef struct Counters:
    uint64_t requests[API_KEYS]
    uint64_t errors[ERROR_COUNT]    # by code - ERROR_LOWEST, in responses of the hot half
    uint64_t produced_bytes
    uint64_t produced_records
    uint64_t fetched_bytes
    uint64_t fetched_records
    uint64_t fetches_parked         # ever
    uint64_t fetches_waiting        # now
    uint64_t connections            # now


# A batch on its way into a Fetch response. With `ref` it is sent from where it lies, without it is small and copied.
cdef struct Piece:
    Ref* ref                        # retained when `held`
    const uint8_t* data
    uint64_t n
    bint held                       # what is copied is sent before its segment can go


cdef struct Lane:
    Counters counters
    uint8_t* scratch                # a Produce response while it is encoded
    uint64_t scratch_cap
    Piece* pieces                   # PIECES_MAX of them, made by the first Fetch
    uint32_t piece_count


cdef struct Pending:
    Pending* next
    uint64_t position               # journal_durable() must reach it; 0: it only waits for its turn
    uint64_t n
    int16_t version                 # of the Produce
    # bytes follow


# A Produce that the log had no room for (it will have), up to the partition that waits: the request comes again.
cdef struct Begun:
    uint8_t* response               # so far; NULL: none has begun
    uint64_t n
    uint64_t durable_at
    uint32_t steps                  # topics and partitions that are in it
    bint failed


# One partition of a Fetch.
cdef struct Want:
    Waiter waiter                   # linked while the request is parked
    Partition* partition            # NULL: `error` says why
    uint64_t offset                 # asked for
    uint64_t counted_to             # whole batches of [offset, counted_to) are in `bytes`
    uint64_t bytes
    uint32_t max_bytes
    uint32_t topic_at               # its topic's name or id in Plan.frame
    uint32_t siblings               # of the topic's first partition: how many the topic has here; else 0
    int32_t number
    uint32_t pieces
    uint16_t topic_n
    uint16_t linked
    int16_t error


cdef struct Plan:
    Want* wants
    uint32_t count
    uint32_t cap
    uint32_t topic_count
    uint32_t max_bytes
    uint64_t min_bytes
    int64_t deadline_ns
    Request request
    int16_t error                   # of the whole response (KIP-227)
    const uint8_t* frame            # the request: in its block, or `copy` while it is parked
    uint8_t* copy


cdef struct Session:
    Mail news                       # first: what appends post while a Fetch is parked
    Link* link                      # NULL: closed, `news` is still on its way and frees the session
    Kafka* kafka
    Lane* lane
    Wait wait
    uint32_t loading                # loads under way for its Fetch; the session is not freed before they have come
    uint32_t pending_count
    uint64_t pending_bytes
    Pending* pending_first
    Pending* pending_last
    Begun begun
    Plan plan


cdef struct Kafka:
    Protocol protocol               # first: Link.protocol points to it
    Exchange* exchange
    TopicTable* topics
    uint32_t max_request_bytes
    uint32_t high_water_bytes       # queued output above which no further request is served until it has drained
    Api apis[API_KEYS]
    Lane lanes[REACTORS_MAX]
