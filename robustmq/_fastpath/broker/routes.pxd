"""Who gets the messages of a topic: subscriptions, resolved and cached per topic.

The subscription index (broker/index) is changed by the control plane only; each change moves `version`. A topic caches
the result of its last match as an immutable `Routes`; a publisher that sees another version matches again (about a
microsecond) and swaps it in (release), the old one is retired (QSBR).

How a message reaches a subscriber, the same for every protocol and reactor:

    publisher's reactor                       subscriber's reactor
    routes_refresh(topic)
    partition_append(...)
    routes_notify(topic, partition)  --mail-> feed runs: reads entries [cursor, end) of the partition from the log
                                              for each local route: consumer.deliver(consumer, run)
                                              flush: one writev per connection

so every subscriber sees log order, a burst costs one mail, a slow reactor gets larger bursts, and a record that Kafka
produced takes the same way. The publisher's own reactor uses the same mail; it runs later in the same loop iteration.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from robustmq._fastpath.block cimport Block, Ref
from robustmq._fastpath.mailbox cimport Mail, Mailbox
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.broker.topic cimport Topic, TopicTable
from robustmq._fastpath.stores.journal cimport Entry
from robustmq._fastpath.stores.partition cimport Partition


cdef enum:
    REACTORS_MAX = 64
    RUN_FRAMES = 4                  # encoded forms of a run that are shared between consumers


# One batch of records on its way to the consumers of one reactor.
cdef struct Run:
    Topic* topic
    Partition* partition
    const uint8_t* batch            # record batch v2, uncompressed
    uint64_t n                      # its bytes
    uint32_t count                  # records in it
    uint16_t flags                  # EntryFlags: which protocol wrote it
    uint16_t reserved
    Ref* ref                        # owns `batch`; retain to keep references into it
    uint64_t position               # journal position of its entry
    uint64_t base_offset
    int64_t base_timestamp_ms
    uint64_t origin                 # publisher's number (no-local), 0 unknown
    Block* frames[RUN_FRAMES]       # made by the first consumer that needs a form, released by the feed
    uint64_t frames_info[RUN_FRAMES]


# Whoever gets messages: an MQTT session, later an AMQP consumer. Embedded at the head of the protocol's own struct.
cdef struct Consumer:
    uint64_t number                 # never reused; `origin` of what it publishes
    uint32_t reactor                # its home: deliver() runs there
    uint32_t reserved
    void (*deliver)(Consumer* self, const Route* route, Run* run, int64_t now_ns) noexcept nogil


cdef struct Route:
    Consumer* consumer              # or the group's turn-taker (broker/shared.pxd)
    uint32_t reactor
    uint8_t qos                     # highest granted
    uint8_t no_local
    uint8_t retain_as_published
    uint8_t id_count                # subscription identifiers, at most 8
    uint32_t ids[8]


cdef struct Feed                    # one per (partition, reactor) that has routes; private: broker/routes.pyx


cdef struct Routes:
    uint64_t version                # of the index it was matched against
    uint64_t reactors               # bit per reactor that has a route
    uint32_t count
    uint32_t reserved
    uint32_t first[REACTORS_MAX + 1]    # routes of reactor r are routes[first[r]] .. routes[first[r + 1]]
    # Route[count] follows, sorted by reactor


cdef struct Exchange                # private: index, version, mailboxes, counters


# Make the topic's routes current. Call before the append, so that a new feed starts at the first message after it.
cdef void routes_refresh(Exchange* exchange, Topic* topic) noexcept nogil

# After the append: mail to each reactor that has routes.
cdef void routes_notify(Exchange* exchange, Topic* topic, Partition* partition) noexcept nogil
