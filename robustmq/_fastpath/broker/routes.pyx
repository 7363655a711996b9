"""Routes: matching, caching, notifying. See routes.pxd; what a feed does with the mail is in feed.pyx."""
from libc.stdlib cimport calloc, free, malloc, qsort
from libc.string cimport memset
from robustmq._fastpath.atomic cimport (
    fetch_add_u64, load_acquire_ptr, load_acquire_u32, load_acquire_u64, load_relaxed_u64, spin_lock, spin_unlock,
    store_release_ptr, store_release_u32, store_release_u64,
)
from robustmq._fastpath.broker.feed cimport feed_free, feed_new, feed_retire
from robustmq._fastpath.broker.index cimport Matches, Sub, Subs, index_match
from robustmq._fastpath.broker.topic cimport TOPIC_FOLDED, TopicSlots, topic_mqtt_name
from robustmq._fastpath.mailbox cimport mailbox_post
from robustmq._fastpath.qsbr cimport qsbr_retire


cdef int by_reactor(const void* a, const void* b) noexcept nogil:
    """Routes of one reactor together, a consumer's beside each other; shared groups are never merged."""
    cdef const Route* x = <const Route*>a
    cdef const Route* y = <const Route*>b
    if x.reactor != y.reactor:
        return -1 if x.reactor < y.reactor else 1
    if x.consumer != y.consumer:
        return -1 if <size_t>x.consumer < <size_t>y.consumer else 1
    return 0


cdef void merge_into(Route* route, const Route* other) noexcept nogil:
    """Overlapping subscriptions of one client: one copy, the highest QoS, all identifiers [MQTT-3.3.4-2 to -5]."""
    cdef uint32_t i
    route.qos = max(route.qos, other.qos)
    route.no_local &= other.no_local
    route.retain_as_published |= other.retain_as_published
    for i in range(other.id_count):
        if route.id_count < ROUTE_IDS_MAX:
            route.ids[route.id_count] = other.ids[i]
            route.id_count += 1


cdef uint32_t merge(Route* routes, uint32_t count) noexcept nogil:
    cdef uint32_t i, last = 0
    for i in range(1, count):
        if routes[i].consumer == routes[last].consumer and routes[i].group == 0:
            merge_into(&routes[last], &routes[i])
        else:
            last += 1
            routes[last] = routes[i]
    return last + 1


cdef void to_route(const Sub* sub, Consumer* consumer, Route* route) noexcept nogil:
    memset(route, 0, sizeof(Route))
    route.consumer = consumer
    route.group = consumer.number if sub.group else 0
    route.reactor = consumer.reactor
    route.qos = sub.qos
    route.no_local = sub.no_local
    route.retain_as_published = sub.retain_as_published
    if sub.id:
        route.ids[0] = sub.id
        route.id_count = 1


cdef Routes* collect(const Matches* found) noexcept nogil:
    cdef uint32_t i, j, count = 0, total = 0
    cdef Subs* subs
    cdef Sub* sub
    cdef Consumer* consumer
    cdef Routes* routes
    for i in range(found.count):
        total += load_acquire_u32(&found.subs[i].count)
    if total == 0:
        return NULL
    routes = <Routes*>malloc(sizeof(Routes) + total * sizeof(Route))
    if routes == NULL:
        return NULL
    for i in range(found.count):
        subs = found.subs[i]
        for j in range(min(load_acquire_u32(&subs.count), total - count)):
            sub = &(<Sub*>(<char*>subs + sizeof(Subs)))[j]
            consumer = <Consumer*>load_acquire_ptr(&sub.consumer)
            if consumer != NULL:
                to_route(sub, consumer, &routes_of(routes)[count])
                count += 1
    if count == 0:
        free(routes)
        return NULL
    qsort(routes_of(routes), count, sizeof(Route), by_reactor)
    routes.count = merge(routes_of(routes), count)
    routes.reactors = 0
    for i in range(routes.count):
        routes.reactors |= <uint64_t>1 << routes_of(routes)[i].reactor
    return routes


cdef Routes* routes_match(Exchange* exchange, const uint8_t* topic, uint32_t n) noexcept nogil:
    cdef Matches found
    cdef Routes* routes = NULL
    memset(&found, 0, sizeof(found))
    if index_match(&exchange.index, topic, n, &found):
        routes = collect(&found)
    free(found.subs)
    return routes


cdef Routes* everybody(Exchange* exchange) noexcept nogil:
    """For a folded topic: each record has its own MQTT topic, so every reactor looks at all of them."""
    cdef Routes* routes
    if load_relaxed_u64(&exchange.index.filters) == 0:
        return NULL
    routes = <Routes*>calloc(1, sizeof(Routes))
    if routes != NULL:
        routes.reactors = (<uint64_t>1 << exchange.reactor_count) - 1 if exchange.reactor_count < 64 else <uint64_t>-1
    return routes


cdef bint open_feeds(Exchange* exchange, Topic* topic, uint64_t reactors, uint64_t before) noexcept nogil:
    """Under Topic.lock: a feed for each partition and reactor with routes. One that starts (again) starts at the end."""
    cdef uint32_t partition, reactor
    cdef Feed** feeds = topic.feeds
    cdef Feed** feed
    if feeds == NULL:
        feeds = <Feed**>calloc(<size_t>topic.partition_count * exchange.reactor_count, sizeof(Feed*))
        if feeds == NULL:
            return False
        store_release_ptr(&topic.feeds, feeds)
    for reactor in range(exchange.reactor_count):
        if not reactors >> reactor & 1:
            continue
        for partition in range(topic.partition_count):
            feed = &feeds[partition * exchange.reactor_count + reactor]
            if feed[0] == NULL:
                store_release_ptr(feed, feed_new(exchange, topic, topic.partitions[partition], reactor))
                if feed[0] == NULL:
                    return False
            elif not before >> reactor & 1:
                store_release_u64(&feed[0].skip_to, load_acquire_u64(&topic.partitions[partition].end))
    return True


cdef void rebuild(Exchange* exchange, Topic* topic) noexcept nogil:
    cdef Routes* old
    cdef Routes* routes = NULL
    cdef uint64_t version
    spin_lock(&topic.lock)
    version = load_acquire_u64(&exchange.index.version)
    old = topic.routes
    if topic.routes_version != version and not load_acquire_u32(&topic.flags) & 1:
        if topic.flags & TOPIC_FOLDED:
            routes = everybody(exchange)
        elif topic.mqtt_len:
            routes = routes_match(exchange, topic_mqtt_name(topic), topic.mqtt_len)
        if routes != NULL and not open_feeds(exchange, topic, routes.reactors, old.reactors if old != NULL else 0):
            free(routes)                        # out of memory: nobody for now, the next publish tries again
            store_release_ptr(&topic.routes, NULL)
        else:
            store_release_ptr(&topic.routes, routes)
            store_release_u64(&topic.routes_version, version)
        if old != NULL:                         # it may name a consumer that has ended: never kept
            qsbr_retire(old, free)
        fetch_add_u64(&exchange.refreshes, 1)
    spin_unlock(&topic.lock)


cdef void routes_refresh(Exchange* exchange, Topic* topic) noexcept nogil:
    if load_acquire_u64(&topic.routes_version) != load_acquire_u64(&exchange.index.version):
        rebuild(exchange, topic)


cdef void routes_notify(Exchange* exchange, Topic* topic, Partition* partition) noexcept nogil:
    cdef Routes* routes = <Routes*>load_acquire_ptr(&topic.routes)
    cdef Feed** feeds
    cdef Feed* feed
    cdef uint32_t reactor = 0
    cdef uint64_t left
    if routes == NULL:
        return
    feeds = <Feed**>load_acquire_ptr(&topic.feeds)
    left = routes.reactors
    while left:
        if left & 1:
            feed = <Feed*>load_acquire_ptr(&feeds[partition.number * exchange.reactor_count + reactor])
            if feed != NULL:
                mailbox_post(exchange.boxes[reactor], &feed.mail)
        left >>= 1
        reactor += 1


cdef void routes_forget(void* owner, Topic* topic) noexcept nogil:
    cdef Exchange* exchange = <Exchange*>owner
    cdef uint32_t i
    spin_lock(&topic.lock)                      # TOPIC_DELETED is set: no feed is opened after this
    if topic.feeds != NULL:
        for i in range(topic.partition_count * exchange.reactor_count):
            if topic.feeds[i] != NULL:
                feed_retire(topic.feeds[i])
    spin_unlock(&topic.lock)


cdef void routes_close(Exchange* exchange) noexcept nogil:
    cdef TopicSlots* slots = exchange.topics.by_name
    cdef Topic* topic
    cdef uint64_t i
    cdef uint32_t j
    for i in range(slots.mask + 1):
        topic = (<Topic**>(<char*>slots + sizeof(TopicSlots)))[i]
        if <size_t>topic <= 1 or topic.feeds == NULL:
            continue
        for j in range(topic.partition_count * exchange.reactor_count):
            feed_free(topic.feeds[j])
        free(topic.feeds)
        topic.feeds = NULL
