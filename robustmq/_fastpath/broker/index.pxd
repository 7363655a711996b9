"""The subscription index: MQTT filters over topic levels (MQTT 5, 4.7).

A node is a level of a filter. Literal children are found in one hash table over (parent, level); `+` and `#` children hang
on the node itself, so that a level where nobody uses wildcards costs one probe. A match walks the topic's levels with an
explicit stack.

    a/+/c      root -a-> node -plus-> node -c-> node: subs
    a/#        root -a-> node -hash-> node: subs

Concurrency: any thread may write; `lock` lets one at a time, for a microsecond but where the table doubles (20 ns a node).
Readers take no lock inside a QSBR section: table, nodes and subscriber lists are published with release; what is replaced
or unlinked is retired.
"""
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from robustmq._fastpath.platform cimport pthread_mutex_t
from robustmq._fastpath.status cimport Status


cdef enum:
    LEVELS_MAX = 128                # of a filter or topic


cdef struct Sub:
    void* consumer                  # NULL (release): cancelled, skipped by readers
    uint32_t id                     # subscription identifier, 0 none
    uint8_t qos
    uint8_t no_local
    uint8_t retain_as_published
    uint8_t group                   # 1: `consumer` is a shared group (broker/shared.pxd)


cdef struct Subs:
    uint32_t cap
    uint32_t count                  # release; grows in place until cap
    uint32_t live
    uint32_t reserved
    # Sub[cap] follows


cdef struct Node:
    uint64_t hash                   # of (parent, level)
    Node* parent
    Subs* subs                      # release
    Node* plus                      # release
    Node* sharp                     # `#`; release
    uint32_t children               # of any kind
    uint16_t len
    uint16_t kind                   # 0 literal, 1 plus, 2 sharp, 3 root
    # the level's bytes follow


cdef struct NodeTable:
    uint64_t mask
    uint64_t used
    # Node*[mask + 1] follows


cdef struct Index:
    pthread_mutex_t lock            # of writers
    NodeTable* table                # release
    uint64_t version                # release; moves behind each change
    uint64_t nodes                  # under `lock`
    uint64_t filters                # subscriptions; release
    Node root


# What a match found: pointers into the index, valid in the QSBR section. Grows, is reused.
cdef struct Matches:
    uint32_t count
    uint32_t cap
    Subs** subs


cdef bint index_init(Index* index) noexcept nogil
cdef void index_free(Index* index) noexcept nogil

# Add or replace the consumer's subscription to `filter` (valid [MQTT-4.7.1-1 to -3], without `$share`); *existed says which.
# *place is the filter's node, which stays where it is while the subscription lasts. TOO_LARGE: more than LEVELS_MAX levels;
# NO_MEMORY.
cdef Status index_subscribe(Index* index, const uint8_t* filter, uint32_t n, const Sub* sub, Node** place,
                            bint* existed) noexcept nogil

# The node of `filter`, NULL when nobody subscribes to it. To be looked into only while a subscription to it lasts.
cdef Node* index_place(Index* index, const uint8_t* filter, uint32_t n) noexcept nogil

# The consumer's subscription at `place` ends. False: it had none (somebody else's lasts there).
cdef bint index_unsubscribe(Index* index, Node* place, void* consumer) noexcept nogil

# The subscriber lists of all filters that match `topic`. False: memory is out, or more than LEVELS_MAX levels.
cdef bint index_match(Index* index, const uint8_t* topic, uint32_t n, Matches* found) noexcept nogil
