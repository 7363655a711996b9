"""The table of topics: canonical (Kafka) name -> Topic, topic id -> Topic.

Readers (reactors) look up without a lock inside a QSBR read section. Writers (a reactor that creates a topic on its first
MQTT publish, the control plane) serialise on one lock. A deleted topic is unlinked, then retired.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from robustmq._fastpath.block cimport Block
from robustmq._fastpath.broker.mapping cimport MAPPINGS_MAX, Mapping
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.log cimport LogCore
from robustmq._fastpath.stores.partition cimport Partition


cdef enum:
    TOPIC_NAME_MAX = 249            # Kafka's own limit for a name
    TOPIC_LEVELS_MAX = 128          # of an MQTT topic or filter
    TOPIC_PARTITIONS_MAX = 10000


cdef enum TopicFlags:
    TOPIC_DELETED = 1
    TOPIC_COMPACTED = 2
    TOPIC_INTERNAL = 4
    TOPIC_EXPLICIT = 8              # created by an administrator: listed in the MetaStore
    TOPIC_FOLDED = 16               # target of a [[mapping]]: records carry their MQTT topic in a header


cdef struct Routes                  # broker/routes.pxd
cdef struct Feed


cdef struct Topic:
    uint8_t id[16]                  # UUID, as Kafka shows it
    uint64_t hash                   # of name
    uint32_t flags                  # TopicFlags; TOPIC_DELETED is set with release
    uint32_t partition_count        # release; grows only
    Partition** partitions          # QSBR
    Partition* single               # what `partitions` points to when there is one
    const Mapping* mapping          # of a folded topic
    uint64_t routes_version         # of the index that `routes` was matched against; release
    Routes* routes                  # who subscribes, NULL: nobody; QSBR, see broker/routes.pxd
    Feed** feeds                    # [partition][reactor], NULL until somebody subscribes; under `lock`, release
    Block* retained                 # MQTT's retained message, see broker/retained.pxd; under the retained lock
    uint32_t retained_at            # its place in the retained list
    uint32_t retained_lock          # held while it is written to the state table; before the retained lock
    uint64_t retained_mark          # 1 + the offset that set or cleared it last, 0: none since the start; retained lock
    uint32_t lock                   # for routes and feeds
    uint32_t max_message_bytes
    uint16_t name_len
    uint16_t mqtt_len               # 0: the name has no MQTT form
    # name (canonical), then the MQTT topic, follow


cdef inline const uint8_t* topic_name(const Topic* topic) noexcept nogil:
    return <const uint8_t*>topic + sizeof(Topic)


cdef inline const uint8_t* topic_mqtt_name(const Topic* topic) noexcept nogil:
    return <const uint8_t*>topic + sizeof(Topic) + topic.name_len


cdef struct TopicSlots:             # open addressing; QSBR
    uint64_t mask
    uint64_t used                   # tombstones included
    # Topic*[mask + 1] follows


cdef struct TopicTable:
    TopicSlots* by_name             # QSBR; release under lock
    TopicSlots* by_id
    uint64_t epoch                  # release under lock
    uint64_t count                  # under lock; relaxed reads
    uint64_t most
    uint64_t random[2]              # for ids; under lock
    LogCore* log
    uint32_t lock
    uint32_t durability             # of new topics, enum Durability
    uint32_t auto_create
    uint32_t max_message_bytes
    uint32_t mapping_count
    # The exchange lets go of a topic's routes and feeds; called once, before the topic is retired.
    void (*forget)(void* owner, Topic* topic) noexcept nogil
    void* owner
    Mapping mappings[MAPPINGS_MAX]


cdef class Topics:
    """Python's handle: create, delete, list, look up."""
    cdef TopicTable* table
    cdef object log
    cdef int slot                       # QSBR; online only inside a look-up
    cdef add_mapping(self, str filter, str target, uint32_t partitions, str key)
    cdef describe(self, Topic* topic)


cdef Topic* topic_find(TopicTable* table, const uint8_t* name, uint32_t n) noexcept nogil
cdef Topic* topic_find_id(TopicTable* table, const uint8_t* id) noexcept nogil

# Moves (release) after a topic is unlinked and before it is retired. Whoever keeps a Topic* from one loop iteration to the
# next takes the epoch (acquire) before it looks a topic up, and uses the pointer only while the epoch is the same.
cdef uint64_t topic_epoch(TopicTable* table) noexcept nogil

# The topic of an MQTT topic name (valid, without wildcards), through the name mapping and the [[mapping]] rules; created
# when it does not exist and auto-creation is on. `*number` = the partition: of a folded topic by its key; else by the
# publisher, so that each publisher's messages stay in order.
# INVALID_TOPIC, UNKNOWN_TOPIC, QUOTA (limits.max_topics), or the store's.
cdef Status topic_for_mqtt(TopicTable* table, const uint8_t* topic, uint32_t n, const uint8_t* client_id,
                           uint32_t client_id_len, Topic** result, uint32_t* number) noexcept nogil

# Private to the table and to adopt.pyx; under lock, or at start. Load the slots that topic_find_id and topic_link want soon:
cdef void topic_prefetch(TopicTable* table, const uint8_t* name, uint32_t n, const uint8_t* id) noexcept nogil
cdef bint topic_room(TopicTable* table) noexcept nogil
cdef Topic* topic_alloc(TopicTable* table, const uint8_t* name, uint32_t n, uint32_t count) noexcept nogil
cdef void topic_link(TopicTable* table, Topic* topic) noexcept nogil
cdef Topic* topic_each(TopicTable* table, uint64_t* at) noexcept nogil     # one by one: start with *at = 0; NULL at the end

# A topic with `count` new streams; the existing one when there is one. Any thread.
cdef Status topic_create(TopicTable* table, const uint8_t* name, uint32_t n, const uint8_t* id, uint32_t count,
                         uint32_t durability, uint32_t flags, Topic** result) noexcept nogil
