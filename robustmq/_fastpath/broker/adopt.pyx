"""Streams become topics again: see adopt.pxd."""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy
from robustmq._fastpath.broker.topic cimport Topic, TopicTable, topic_alloc, topic_each, topic_find_id, topic_link, topic_name, topic_prefetch, topic_room
from robustmq._fastpath.platform cimport pthread_mutex_lock, pthread_mutex_unlock
from robustmq._fastpath.status cimport NO_MEMORY, OK
from robustmq._fastpath.stores.partition cimport Partition
from robustmq._fastpath.stores.streams cimport Listed, log_create_stream, log_each_stream


cdef enum:
    GROUP = 16                          # streams whose slots are loaded together


cdef inline uint32_t room_for(uint32_t count) noexcept nogil:
    cdef uint32_t room = 1
    while room < count:
        room *= 2
    return room


cdef bint extend(Topic* topic, uint32_t count) noexcept nogil:
    """At least `count` partitions, those not heard of are NULL; the array doubles."""
    cdef Partition** more
    if count <= topic.partition_count:
        return True
    if room_for(count) > room_for(topic.partition_count):
        more = <Partition**>calloc(room_for(count), sizeof(Partition*))
        if more == NULL:
            return False
        memcpy(more, topic.partitions, topic.partition_count * sizeof(Partition*))
        if topic.partitions != &topic.single:
            free(topic.partitions)
        topic.partitions = more
    topic.partition_count = count
    return True


cdef bint adopt(TopicTable* table, const Listed* one) noexcept nogil:
    cdef Topic* topic = topic_find_id(table, one.topic_id)
    if topic == NULL:
        topic = topic_alloc(table, one.name, one.name_len, 1) if topic_room(table) else NULL
        if topic == NULL:
            return False
        memcpy(topic.id, one.topic_id, 16)
        topic_link(table, topic)
    if not extend(topic, one.partition.number + 1):
        return False
    topic.partitions[one.partition.number] = one.partition
    one.partition.topic = topic
    return True


cdef Status fill(TopicTable* table, Topic* topic) noexcept nogil:
    """New streams for the partitions that it lost; the last one is never among them."""
    cdef uint32_t durability
    cdef Status status = OK
    cdef uint32_t i
    for i in range(topic.partition_count):
        if status == OK and topic.partitions[i] == NULL:
            durability = topic.partitions[topic.partition_count - 1].durability
            status = log_create_stream(table.log, topic_name(topic), topic.name_len, topic.id, i, durability, topic,
                                       &topic.partitions[i])
    return status


cdef Status topics_adopt(TopicTable* table) noexcept nogil:
    cdef Listed[GROUP] group
    cdef Topic* topic
    cdef uint64_t at = 0
    cdef uint32_t count = GROUP
    cdef uint32_t i
    cdef Status status = OK
    pthread_mutex_lock(&table.log.streams_lock)
    while status == OK and count == GROUP:
        count = 0
        while count < GROUP and log_each_stream(table.log, &at, &group[count]):
            topic_prefetch(table, group[count].name, group[count].name_len, group[count].topic_id)
            count += 1
        for i in range(count):
            if status == OK and not adopt(table, &group[i]):
                status = NO_MEMORY
    pthread_mutex_unlock(&table.log.streams_lock)
    at = 0
    topic = topic_each(table, &at)
    while status == OK and topic != NULL:
        status = fill(table, topic)
        topic = topic_each(table, &at)
    return status
