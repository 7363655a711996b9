"""Who gets the messages of a topic: subscriptions, resolved and cached per topic.

Each change of the subscription index moves its `version`. A topic caches the result of its last match as an immutable
`Routes`; a publisher that sees another version matches again (about a microsecond) and swaps it in (release), the old one
is retired (QSBR).

How a message reaches a subscriber, the same for every protocol and reactor:

    publisher's reactor                       subscriber's reactor
    routes_refresh(topic)
    partition_append(...)
    routes_notify(topic, partition)  --mail-> feed runs: reads entries [cursor, end) of the partition from the log
                                              for each local route: consumer.deliver(consumer, route, run)
                                              flush: one writev per connection

so every subscriber sees log order, a burst costs one mail, a slow reactor gets larger bursts, and a record that Kafka
produced takes the same way. The publisher's own reactor uses the same mail; it runs later in the same loop iteration.

Concurrency: a topic's routes and feeds change under Topic.lock, published with release; a feed's cursor belongs to its
reactor.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from robustmq._fastpath.block cimport Block, Ref
from robustmq._fastpath.broker.index cimport Index
from robustmq._fastpath.broker.seen cimport Seen
from robustmq._fastpath.broker.subscriptions cimport Subscriptions
from robustmq._fastpath.broker.topic cimport Feed, Routes, Topic, TopicTable
from robustmq._fastpath.mailbox cimport Mail, Mailbox
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.journal cimport Entry
from robustmq._fastpath.stores.partition cimport Partition


cdef enum:
    REACTORS_MAX = 64
    RUN_FRAMES = 4                  # encoded forms of a run that are shared between consumers
    ROUTE_IDS_MAX = 8
    GROUP_BUCKETS = 4096


cdef struct Replay                  # broker/retained.pxd


cdef enum RunFlags:                 # beside EntryFlags
    RUN_RETAINED = 256              # a retained message, replayed to a new subscription


# One batch of records on its way to the consumers of one reactor.
cdef struct Run:
    Topic* topic
    Partition* partition
    const uint8_t* batch            # record batch v2, uncompressed
    uint64_t n                      # its bytes
    uint32_t count                  # records in it
    uint16_t flags                  # EntryFlags: which protocol wrote it; RunFlags
    uint16_t reserved
    Ref* ref                        # owns `batch`; retain to keep references into it
    uint64_t position               # journal position of its entry; the entry's bytes may differ (compressed, folded)
    uint64_t base_offset
    int64_t base_timestamp_ms
    uint64_t origin                 # publisher's number (no-local), 0 unknown
    Block* frames[RUN_FRAMES]       # made by the first consumer that needs a form, released by the feed
    uint64_t frames_info[RUN_FRAMES]


# Whoever gets messages: an MQTT session, a shared group, later an AMQP consumer. Embedded at the head of the protocol's
# own struct.
cdef struct Consumer:
    uint64_t number                 # never reused; `origin` of what it publishes. Of a shared group: its key
    uint32_t reactor                # its home: deliver() runs there
    # 1 while a message would have to wait: away, window full, link above the high-water mark. Written by the home
    # reactor (relaxed); a shared group prefers others, a replay of retained messages pauses.
    uint32_t busy
    void (*deliver)(Consumer* self, const Route* route, Run* run, int64_t now_ns) noexcept nogil
    Replay* replays                 # home reactor; see retained.pxd
    uint64_t floor                  # what was delivered again at start and lies below it was considered before
    Subscriptions subscriptions
    uint32_t replaying              # how many `replays` there are; home reactor
    uint32_t reserved


cdef struct Route:
    Consumer* consumer
    uint64_t group                  # key of a shared group, for shared_return; 0: an ordinary subscription
    uint32_t reactor
    uint8_t qos                     # highest granted
    uint8_t no_local
    uint8_t retain_as_published
    uint8_t id_count                # subscription identifiers
    uint32_t ids[ROUTE_IDS_MAX]


cdef struct Feed:                   # one per (partition, reactor) that has routes
    Mail mail
    Mail bye                        # the last mail; frees the feed
    Exchange* exchange
    Topic* topic
    Partition* partition
    uint64_t cursor                 # next offset to deliver; reactor
    uint64_t after                  # journal position behind the last batch that was delivered; 0: none was; reactor
    uint64_t again_until            # below this offset the log is delivered again after a start; 0: that is done; reactor
    uint64_t skip_to                # release by whoever gives the reactor its first route again
    uint32_t reactor
    uint32_t dead                   # the topic was deleted; release
    uint32_t inflating              # a compressed batch is with the inflater; reactor
    uint64_t inflating_offset       # its base offset; reactor
    uint32_t orphan                 # `bye` came while inflating; reactor
    uint32_t answered               # the inflater is done with it, `inflated` is what it made; reactor
    Block* inflated                 # NULL: it could not be inflated; reactor
    Feed* behind_next               # the list of those that have something left, see rounds.pxd; reactor
    Feed* behind_prev
    uint64_t behind_at              # position of the first batch that is left; 0: not known
    uint32_t is_behind
    uint32_t elsewhere              # what is left is in the blob store; reactor


cdef struct Routes:
    uint64_t reactors               # bit per reactor that has a route
    uint32_t count
    uint32_t reserved
    # Route[count] follows, sorted by reactor


cdef struct FeedCounters:           # per reactor; written by it, read relaxed
    uint64_t runs
    uint64_t records
    uint64_t lost                   # records that were retired before they were delivered
    uint64_t undecodable            # batches that could not be inflated


# Hands a compressed batch to whoever can inflate it (broker/inflate.pxd), with a reference on its segment; the feed waits,
# nothing else does. False: not possible, the reference stays with the caller.
ctypedef bint (*Inflate)(void* owner, Feed* feed, const uint8_t* batch, uint64_t n, Ref* ref) noexcept nogil


cdef struct Retained:               # broker/retained.pxd; everything under `lock`
    uint32_t lock
    uint32_t count
    uint32_t cap
    uint32_t most
    Topic** list                    # topics with a retained message, in no order


cdef struct Wake:                   # rounds.pxd, feeds_wake; one per reactor
    Mail mail
    Exchange* exchange
    uint32_t reactor
    uint32_t reserved


cdef struct Exchange:
    TopicTable* topics
    Index index
    uint32_t reactor_count
    uint32_t reserved
    Mailbox* boxes[REACTORS_MAX]
    uint64_t refreshes              # relaxed
    Inflate inflate
    void* inflater
    Retained retained
    Feed* behind[REACTORS_MAX]      # rounds.pxd; each belongs to its reactor
    Consumer* groups[GROUP_BUCKETS] # shared groups by key, see shared.pxd; release by the control plane
    Seen* seen                      # while the log is delivered again after a start, NULL from then on; QSBR
    uint64_t restarting             # feeds that have not delivered again all that they should; atomic
    FeedCounters counters[REACTORS_MAX]
    Wake wakes[REACTORS_MAX]


# Make the topic's routes current. Call before the append, so that a new feed starts at the first message after it.
cdef void routes_refresh(Exchange* exchange, Topic* topic) noexcept nogil

# After the append: mail to each reactor that has routes.
cdef void routes_notify(Exchange* exchange, Topic* topic, Partition* partition) noexcept nogil

# Routes for any MQTT topic name, to be freed by the caller; NULL when nobody subscribes (or memory is out).
cdef Routes* routes_match(Exchange* exchange, const uint8_t* topic, uint32_t n) noexcept nogil

cdef inline Route* routes_of(Routes* routes) noexcept nogil:
    return <Route*>(<char*>routes + sizeof(Routes))

# TopicTable.forget: the topic's feeds end.
cdef void routes_forget(void* exchange, Topic* topic) noexcept nogil

# Shutdown, after the reactors: frees every feed.
cdef void routes_close(Exchange* exchange) noexcept nogil
