"""The table of topics: see topic.pxd."""
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy
from robustmq._fastpath.atomic cimport (
    load_acquire_ptr, load_acquire_u32, load_acquire_u64, spin_lock, spin_unlock, store_release_ptr, store_release_u32,
    store_release_u64,
)
from robustmq._fastpath.block cimport ref_release
from robustmq._fastpath.broker.adopt cimport topics_adopt
from robustmq._fastpath.broker.mapping cimport (
    KEY_CLIENT_ID, KEY_LEVEL, KEY_NONE, KEY_TOPIC, Slice, filter_matches, mapping_key, partition_of_key,
)
from robustmq._fastpath.broker.names cimport KAFKA_NAME_MAX, MQTT_NAME_MAX, name_to_kafka, name_to_mqtt
from robustmq._fastpath.hash cimport hash_bytes, hash_pair, hash_step
from robustmq._fastpath.platform cimport memory_prefetch
from robustmq._fastpath.qsbr cimport (
    qsbr_collect, qsbr_offline, qsbr_online, qsbr_register, qsbr_retire, qsbr_unregister,
)
from robustmq._fastpath.status cimport INVALID_TOPIC, NO_MEMORY, OK, QUOTA, UNKNOWN_TOPIC
from robustmq._fastpath.stores.log cimport Log
from robustmq._fastpath.stores.partition cimport DURABLE_DISK, DURABLE_MEMORY, DURABLE_PROCESS
from robustmq._fastpath.stores.streams cimport log_create_stream, log_delete_stream

import os

from robustmq._fastpath.broker import names
from robustmq._fastpath.broker.mapping import check_filter


cdef enum:
    EACH_AHEAD = 8                          # slots

cdef Topic* GONE = <Topic*>1                # a slot whose topic was deleted


cdef inline Topic** slots_of(TopicSlots* slots) noexcept nogil:
    return <Topic**>(<char*>slots + sizeof(TopicSlots))


cdef TopicSlots* slots_new(uint64_t size) noexcept nogil:
    cdef TopicSlots* slots = <TopicSlots*>calloc(1, sizeof(TopicSlots) + size * sizeof(Topic*))
    if slots != NULL:
        slots.mask = size - 1
    return slots


cdef inline uint64_t id_hash(const uint8_t* id) noexcept nogil:
    return hash_bytes(id, 16)


cdef Topic* topic_find(TopicTable* table, const uint8_t* name, uint32_t n) noexcept nogil:
    cdef uint64_t hash = hash_bytes(name, n)
    cdef TopicSlots* slots = <TopicSlots*>load_acquire_ptr(&table.by_name)
    cdef uint64_t i = hash & slots.mask
    cdef Topic* topic
    while True:
        topic = <Topic*>load_acquire_ptr(&slots_of(slots)[i])
        if topic == NULL:
            return NULL
        if topic != GONE and topic.hash == hash and topic.name_len == n and memcmp(topic_name(topic), name, n) == 0:
            return topic
        i = (i + 1) & slots.mask


cdef Topic* topic_find_id(TopicTable* table, const uint8_t* id) noexcept nogil:
    cdef TopicSlots* slots = <TopicSlots*>load_acquire_ptr(&table.by_id)
    cdef uint64_t i = id_hash(id) & slots.mask
    cdef Topic* topic
    while True:
        topic = <Topic*>load_acquire_ptr(&slots_of(slots)[i])
        if topic == NULL:
            return NULL
        if topic != GONE and memcmp(topic.id, id, 16) == 0:
            return topic
        i = (i + 1) & slots.mask


cdef void topic_prefetch(TopicTable* table, const uint8_t* name, uint32_t n, const uint8_t* id) noexcept nogil:
    memory_prefetch(&slots_of(table.by_name)[hash_bytes(name, n) & table.by_name.mask])
    memory_prefetch(&slots_of(table.by_id)[id_hash(id) & table.by_id.mask])


cdef uint64_t topic_epoch(TopicTable* table) noexcept nogil:
    return load_acquire_u64(&table.epoch)


cdef void put(TopicSlots* slots, uint64_t hash, Topic* topic) noexcept nogil:
    cdef uint64_t i = hash & slots.mask
    while slots_of(slots)[i] != NULL:
        i = (i + 1) & slots.mask
    slots.used += 1
    store_release_ptr(&slots_of(slots)[i], topic)


cdef bint topic_room(TopicTable* table) noexcept nogil:
    """Under lock: both tables stay at most half full, tombstones included."""
    cdef TopicSlots* old = table.by_name
    cdef TopicSlots* names
    cdef TopicSlots* ids
    cdef uint64_t size = old.mask + 1
    cdef uint64_t i
    cdef Topic* topic
    if (old.used + 1) * 2 <= size:
        return True
    while (table.count + 1) * 4 > size:
        size *= 2
    names = slots_new(size)
    ids = slots_new(size)
    if names == NULL or ids == NULL:
        free(names)
        free(ids)
        return False
    for i in range(old.mask + 1):
        topic = slots_of(old)[i]
        memory_prefetch(slots_of(old)[(i + EACH_AHEAD) & old.mask])
        if topic != NULL and topic != GONE:
            put(names, topic.hash, topic)
            put(ids, id_hash(topic.id), topic)
    store_release_ptr(&table.by_name, names)
    qsbr_retire(old, free)
    old = table.by_id
    store_release_ptr(&table.by_id, ids)
    qsbr_retire(old, free)
    return True


cdef void unlink_one(TopicSlots* slots, uint64_t hash, Topic* topic) noexcept nogil:
    cdef uint64_t i = hash & slots.mask
    while slots_of(slots)[i] != topic:
        i = (i + 1) & slots.mask
    store_release_ptr(&slots_of(slots)[i], GONE)


cdef void new_id(TopicTable* table, uint8_t* id) noexcept nogil:
    """A random UUID, version 4; under lock."""
    cdef uint64_t words[2]
    cdef int i
    for i in range(2):
        table.random[i] = hash_step(table.random[i])
        words[i] = hash_pair(table.random[i], table.random[1 - i])
    memcpy(id, words, 16)
    id[6] = id[6] & 0x0F | 0x40
    id[8] = id[8] & 0x3F | 0x80


cdef Topic* topic_alloc(TopicTable* table, const uint8_t* name, uint32_t n, uint32_t count) noexcept nogil:
    cdef uint8_t mqtt[MQTT_NAME_MAX]
    cdef int32_t mqtt_len = name_to_mqtt(name, n, mqtt)
    cdef Topic* topic
    if mqtt_len < 0:
        mqtt_len = 0
    topic = <Topic*>calloc(1, sizeof(Topic) + n + <uint32_t>mqtt_len)
    if topic == NULL:
        return NULL
    topic.partitions = &topic.single
    if count > 1:
        topic.partitions = <Partition**>calloc(count, sizeof(Partition*))
        if topic.partitions == NULL:
            free(topic)
            return NULL
    topic.partition_count = count
    topic.hash = hash_bytes(name, n)
    topic.name_len = <uint16_t>n
    topic.mqtt_len = <uint16_t>mqtt_len
    topic.max_message_bytes = table.max_message_bytes
    memcpy(<uint8_t*>topic + sizeof(Topic), name, n)
    memcpy(<uint8_t*>topic + sizeof(Topic) + n, mqtt, <size_t>mqtt_len)
    adopt_mapping(table, topic)
    return topic


cdef void adopt_mapping(TopicTable* table, Topic* topic) noexcept nogil:
    cdef uint32_t i
    for i in range(table.mapping_count):
        if (table.mappings[i].target_len == topic.name_len
                and memcmp(table.mappings[i].target, topic_name(topic), topic.name_len) == 0):
            topic.mapping = &table.mappings[i]
            topic.flags |= TOPIC_FOLDED
            return


cdef void topic_free(void* p) noexcept nogil:
    cdef Topic* topic = <Topic*>p
    if topic.retained != NULL:
        ref_release(&topic.retained.ref)
    if topic.partitions != &topic.single:
        free(topic.partitions)
    free(topic.routes)
    free(topic.feeds)
    free(topic)


cdef Status create_streams(TopicTable* table, Topic* topic, uint32_t durability) noexcept nogil:
    cdef Status status = OK
    cdef uint32_t i
    for i in range(topic.partition_count):
        status = log_create_stream(table.log, topic_name(topic), topic.name_len, topic.id, i, durability, topic,
                                   &topic.partitions[i])
        if status != OK:
            break
    if status != OK:
        while i > 0:
            i -= 1
            log_delete_stream(table.log, topic.partitions[i])
    return status


cdef void topic_link(TopicTable* table, Topic* topic) noexcept nogil:
    put(table.by_name, topic.hash, topic)
    put(table.by_id, id_hash(topic.id), topic)
    table.count += 1


cdef Topic* topic_each(TopicTable* table, uint64_t* at) noexcept nogil:
    cdef Topic* topic = NULL
    while at[0] <= table.by_name.mask and (topic == NULL or topic == GONE):
        topic = slots_of(table.by_name)[at[0]]
        at[0] += 1
        memory_prefetch(slots_of(table.by_name)[(at[0] + EACH_AHEAD) & table.by_name.mask])
    return topic if topic != GONE else NULL


cdef Status topic_create(TopicTable* table, const uint8_t* name, uint32_t n, const uint8_t* id, uint32_t count,
                         uint32_t durability, uint32_t flags, Topic** result) noexcept nogil:
    cdef Topic* topic
    cdef Status status = OK
    spin_lock(&table.lock)
    topic = topic_find(table, name, n)
    if topic == NULL:
        if table.count >= table.most:
            status = QUOTA
        elif not topic_room(table):
            status = NO_MEMORY
        else:
            topic = topic_alloc(table, name, n, count)
            status = NO_MEMORY if topic == NULL else OK
        if status == OK:
            topic.flags |= flags
            if id != NULL:
                memcpy(topic.id, id, 16)
            else:
                new_id(table, topic.id)
            status = create_streams(table, topic, durability)
            if status == OK:
                topic_link(table, topic)
            else:
                topic_free(topic)
    spin_unlock(&table.lock)
    result[0] = topic if status == OK else NULL
    return status


cdef Status topic_for_mqtt(TopicTable* table, const uint8_t* topic, uint32_t n, const uint8_t* client_id,
                           uint32_t client_id_len, Topic** result, uint32_t* number) noexcept nogil:
    cdef uint8_t name[KAFKA_NAME_MAX]
    cdef const uint8_t* at = name
    cdef const Mapping* mapping = NULL
    cdef Slice key
    cdef uint32_t i, count = 1
    cdef int32_t size
    cdef Status status = OK
    for i in range(table.mapping_count):
        if filter_matches(table.mappings[i].filter, table.mappings[i].filter_len, topic, n):
            mapping = &table.mappings[i]
            break
    if mapping != NULL:
        at = &mapping.target[0]
        size = <int32_t>mapping.target_len
        count = mapping.partitions
    else:
        size = name_to_kafka(topic, n, name)
        if size < 0:
            return INVALID_TOPIC
    result[0] = topic_find(table, at, <uint32_t>size)
    if result[0] == NULL:
        if not table.auto_create:
            return UNKNOWN_TOPIC
        status = topic_create(table, at, <uint32_t>size, NULL, count, table.durability, 0, result)
        if status != OK:
            return status
    count = load_acquire_u32(&result[0].partition_count)
    number[0] = 0
    if count > 1:
        key.p = client_id
        key.n = client_id_len
        if mapping != NULL:
            key = mapping_key(mapping, topic, n, client_id, client_id_len)
            if key.p == NULL:
                key.p = topic
                key.n = n
        number[0] = partition_of_key(key.p, key.n, count)
    return status


cdef Topic* unlink_topic(TopicTable* table, const uint8_t* name, uint32_t n) noexcept nogil:
    """Out of both tables, its streams ended, its feeds let go; the caller retires it."""
    cdef Topic* topic
    cdef uint32_t i
    spin_lock(&table.lock)
    topic = topic_find(table, name, n)
    if topic != NULL:
        unlink_one(table.by_name, topic.hash, topic)
        unlink_one(table.by_id, id_hash(topic.id), topic)
        table.count -= 1
        store_release_u32(&topic.flags, topic.flags | TOPIC_DELETED)
        store_release_u64(&table.epoch, table.epoch + 1)
    spin_unlock(&table.lock)
    if topic == NULL:
        return NULL
    if table.forget != NULL:
        table.forget(table.owner, topic)
    for i in range(topic.partition_count):
        log_delete_stream(table.log, topic.partitions[i])
    return topic


DURABILITIES = {"memory": DURABLE_MEMORY, "process": DURABLE_PROCESS, "disk": DURABLE_DISK}
KEYS = {"none": KEY_NONE, "topic": KEY_TOPIC, "client_id": KEY_CLIENT_ID}


class TopicError(Exception):
    """A topic that cannot be made; `status` is the data plane's (status.pxd)."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


cdef class Topics:
    """All topics of a broker. For one Python thread, which alone deletes topics.

    `mappings` is a sequence of (filter, target, partitions, key), key being none, topic, client_id or level:N.
    """

    def __cinit__(self, Log log not None, *, str durability="disk", uint64_t max_topics=2_000_000, bint auto_create=True,
                  uint32_t max_message_bytes=1_048_588, mappings=()):
        cdef TopicTable* table = <TopicTable*>calloc(1, sizeof(TopicTable))
        cdef Status status
        if table == NULL:
            raise MemoryError("topic table")
        self.table = table
        self.log = log
        self.slot = qsbr_register()
        if self.slot < 0:
            raise MemoryError("too many reading threads")
        qsbr_offline(self.slot)
        table.log = log.core
        table.most = max_topics
        table.durability = DURABILITIES[durability]
        table.auto_create = auto_create
        table.max_message_bytes = max_message_bytes
        table.by_name = slots_new(1024)
        table.by_id = slots_new(1024)
        if table.by_name == NULL or table.by_id == NULL:
            raise MemoryError("topic table")
        table.random[0], table.random[1] = (int.from_bytes(os.urandom(8), "little") for _ in range(2))
        for mapping in mappings:
            self.add_mapping(mapping[0], mapping[1], mapping[2], mapping[3])
        with nogil:
            status = topics_adopt(table)
        if status != OK:
            raise TopicError(status, "the topics of the log cannot be taken over: memory or disk is full")

    def __dealloc__(self):
        cdef uint64_t i
        cdef Topic* topic
        if self.table == NULL:
            return
        qsbr_unregister(self.slot)
        qsbr_collect()
        if self.table.by_name != NULL:
            for i in range(self.table.by_name.mask + 1):
                topic = slots_of(self.table.by_name)[i]
                if topic != NULL and topic != GONE:
                    topic_free(topic)
        free(self.table.by_name)
        free(self.table.by_id)
        free(self.table)

    cdef add_mapping(self, str filter, str target, uint32_t partitions, str key):
        cdef Mapping* mapping
        raw_filter, raw_target = filter.encode(), target.encode()
        names.to_mqtt(target)
        check_filter(filter)
        if self.table.mapping_count == MAPPINGS_MAX:
            raise ValueError(f"at most {MAPPINGS_MAX} mapping rules")
        if not 0 < len(raw_filter) <= 256 or not 0 < partitions <= TOPIC_PARTITIONS_MAX:
            raise ValueError(f"mapping {filter!r}: a filter of 1 to 256 bytes, 1 to {TOPIC_PARTITIONS_MAX} partitions")
        mapping = &self.table.mappings[self.table.mapping_count]
        memcpy(mapping.filter, <const uint8_t*>raw_filter, len(raw_filter))
        mapping.filter_len = <uint32_t>len(raw_filter)
        memcpy(mapping.target, <const uint8_t*>raw_target, len(raw_target))
        mapping.target_len = <uint32_t>len(raw_target)
        mapping.partitions = partitions
        if key.startswith("level:"):
            mapping.key, mapping.level = KEY_LEVEL, int(key[6:])
        else:
            mapping.key = KEYS[key]
        self.table.mapping_count += 1

    def __len__(self):
        return self.table.count

    def create(self, str name not None, uint32_t partitions=1, *, str durability=None, topic_id=None, bint compacted=False,
               bint internal=False, bint explicit=False, uint32_t max_message_bytes=0):
        """Create a topic (canonical name); False when it exists. TopicError, or ValueError for an illegal name."""
        cdef bytes raw = name.encode()
        cdef Topic* topic = NULL
        cdef uint32_t how = self.table.durability if durability is None else DURABILITIES[durability]
        cdef uint32_t flags = (TOPIC_COMPACTED * compacted | TOPIC_INTERNAL * internal | TOPIC_EXPLICIT * explicit)
        cdef const uint8_t* id = NULL
        cdef Status status
        names.to_mqtt(name)
        if not 0 < partitions <= TOPIC_PARTITIONS_MAX:
            raise ValueError(f"{name}: 1 to {TOPIC_PARTITIONS_MAX} partitions, not {partitions}")
        if self.find(name) is not None:
            return False
        if topic_id is not None:
            id = <const uint8_t*>(<bytes>topic_id)
        status = topic_create(self.table, raw, <uint32_t>len(raw), id, partitions, how, flags, &topic)
        if status != OK:
            raise TopicError(status, f"topic {name} cannot be created (status {status})")
        if max_message_bytes:
            topic.max_message_bytes = max_message_bytes
        return True

    def delete(self, str name not None):
        """Delete a topic and its records; False when there is none."""
        cdef bytes raw = name.encode()
        cdef Topic* topic = unlink_topic(self.table, raw, <uint32_t>len(raw))
        if topic == NULL:
            return False
        qsbr_retire(topic, topic_free)
        qsbr_collect()
        return True

    def configure(self, str name not None, *, compacted=None, explicit=None, max_message_bytes=None):
        """Change what a topic's configuration means to the data plane; KeyError when there is no such topic."""
        cdef bytes raw = name.encode()
        qsbr_online(self.slot)
        cdef Topic* topic = topic_find(self.table, raw, <uint32_t>len(raw))
        qsbr_offline(self.slot)
        if topic == NULL:
            raise KeyError(name)
        if compacted is not None:
            store_release_u32(&topic.flags, topic.flags & ~<uint32_t>TOPIC_COMPACTED | TOPIC_COMPACTED * bool(compacted))
        if explicit is not None:
            store_release_u32(&topic.flags, topic.flags & ~<uint32_t>TOPIC_EXPLICIT | TOPIC_EXPLICIT * bool(explicit))
        if max_message_bytes is not None:
            topic.max_message_bytes = max_message_bytes

    cdef describe(self, Topic* topic):
        streams = [topic.partitions[i].stream for i in range(topic.partition_count)]
        return {"name": topic_name(topic)[:topic.name_len].decode(), "id": <bytes>topic.id[:16], "streams": streams,
                "internal": bool(topic.flags & TOPIC_INTERNAL), "compacted": bool(topic.flags & TOPIC_COMPACTED),
                "explicit": bool(topic.flags & TOPIC_EXPLICIT), "durability": topic.partitions[0].durability,
                "max_message_bytes": topic.max_message_bytes}

    def find(self, str name not None):
        """A topic as a dict (name, id, streams by partition, internal, compacted, explicit, …), or None."""
        cdef bytes raw = name.encode()
        qsbr_online(self.slot)
        cdef Topic* topic = topic_find(self.table, raw, <uint32_t>len(raw))
        qsbr_offline(self.slot)
        return self.describe(topic) if topic != NULL else None

    def find_id(self, bytes topic_id not None):
        """The same by its 16-byte id."""
        qsbr_online(self.slot)
        cdef Topic* topic = topic_find_id(self.table, topic_id) if len(topic_id) == 16 else NULL
        qsbr_offline(self.slot)
        return self.describe(topic) if topic != NULL else None

    def names(self):
        """The names of all topics, in no order."""
        cdef uint64_t i
        cdef Topic* topic
        cdef TopicSlots* slots
        found = []
        qsbr_online(self.slot)
        slots = <TopicSlots*>load_acquire_ptr(&self.table.by_name)
        for i in range(slots.mask + 1):
            topic = <Topic*>load_acquire_ptr(&slots_of(slots)[i])
            if topic != NULL and topic != GONE:
                found.append(topic_name(topic)[:topic.name_len].decode())
        qsbr_offline(self.slot)
        return found
