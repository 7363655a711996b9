"""Feeds that begin at their floors: see restart.pxd."""
from libc.stdint cimport uint32_t
from robustmq._fastpath.atomic cimport exchange_ptr, fetch_add_u64, load_acquire_u64
from robustmq._fastpath.batch cimport batch_last_offset_delta
from robustmq._fastpath.broker.routes cimport Feed, Route, Routes, routes_of, routes_refresh
from robustmq._fastpath.broker.seen cimport Seen, seen_free
from robustmq._fastpath.broker.topic cimport TOPIC_FOLDED, Topic, topic_each
from robustmq._fastpath.mailbox cimport mailbox_post
from robustmq._fastpath.qsbr cimport qsbr_retire
from robustmq._fastpath.status cimport CORRUPT, ELSEWHERE, OK, Status
from robustmq._fastpath.stores.journal cimport entry_body, journal_is_memory
from robustmq._fastpath.stores.partition cimport ReadSpan, partition_seek


cdef uint64_t offset_from(Partition* partition, uint64_t floor) noexcept nogil:
    cdef uint64_t low = load_acquire_u64(&partition.start)
    cdef uint64_t high = load_acquire_u64(&partition.end)
    cdef uint64_t end = high
    cdef uint64_t middle
    cdef ReadSpan span
    cdef Status status
    if low >= high:
        return end
    status = partition_seek(partition, end - 1, &span)
    if status == OK and span.position < floor:
        return end                          # nearly always: nothing new came since
    while low < high:
        middle = low + (high - low) // 2
        status = partition_seek(partition, middle, &span)
        if status == OK and span.position < floor:
            low = span.base_offset + <uint64_t>batch_last_offset_delta(entry_body(span.entry)) + 1
        elif status == OK:
            high = min(middle, span.base_offset)
        elif status == ELSEWHERE and span.position < floor:
            low = min(high, span.base_offset)
        elif status == CORRUPT and span.base_offset < high:
            low = span.base_offset          # the feed counts what is damaged; where it stood is not known
        else:
            high = middle
    return low


cdef void free_seen(void* seen) noexcept nogil:
    seen_free(<Seen*>seen)


cdef void restart_done(Feed* feed) noexcept nogil:
    cdef Exchange* exchange = feed.exchange
    if feed.again_until == 0:
        return
    feed.again_until = 0
    if fetch_add_u64(&exchange.restarting, <uint64_t>-1) == 1:
        qsbr_retire(exchange_ptr(&exchange.seen, NULL), free_seen)


cdef uint64_t floor_of(Routes* routes, uint32_t reactor) noexcept nogil:
    cdef uint64_t floor = <uint64_t>-1
    cdef Route* route
    cdef uint32_t i
    for i in range(routes.count):
        route = &routes_of(routes)[i]
        if route.reactor == reactor:
            floor = min(floor, route.consumer.floor)
    return floor


cdef uint64_t begin_again(Exchange* exchange, Topic* topic, uint64_t lowest) noexcept nogil:
    cdef uint64_t floor, begun = 0
    cdef uint32_t number, reactor
    cdef Feed* feed
    routes_refresh(exchange, topic)
    if topic.routes == NULL or journal_is_memory(topic.partitions[0].journal):
        return 0
    for reactor in range(exchange.reactor_count):
        if not topic.routes.reactors >> reactor & 1:
            continue
        floor = lowest if topic.flags & TOPIC_FOLDED else floor_of(topic.routes, reactor)
        for number in range(topic.partition_count):
            feed = topic.feeds[number * exchange.reactor_count + reactor]
            feed.cursor = offset_from(feed.partition, floor)
            feed.after = floor
            if feed.cursor < load_acquire_u64(&feed.partition.end):
                feed.again_until = load_acquire_u64(&feed.partition.end)
                exchange.restarting += 1        # the reactors do not run yet
                mailbox_post(exchange.boxes[reactor], &feed.mail)
                begun += 1
    return begun


cdef uint64_t restart_feeds(Exchange* exchange, uint64_t lowest) noexcept nogil:
    cdef Topic* topic
    cdef uint64_t at = 0, begun = 0
    while True:
        topic = topic_each(exchange.topics, &at)
        if topic == NULL:
            return begun
        begun += begin_again(exchange, topic, lowest)
