"""Feeds: from the log to the consumers of one reactor. See feed.pxd and routes.pxd."""
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint64_t
from robustmq._fastpath.atomic cimport load_acquire_ptr, load_acquire_u32, load_acquire_u64, store_release_u32
from robustmq._fastpath.batch cimport (
    BATCH_HEADER, CODEC_NONE, HeaderView, RecordView, batch_base_timestamp, batch_codec, batch_last_offset_delta,
    batch_record_count, header_next, record_next,
)
from robustmq._fastpath.block cimport Block, Ref, block_data, block_new, ref_holds, ref_release, ref_retain
from robustmq._fastpath.broker.names cimport KAFKA_NAME_MAX, name_to_kafka
from robustmq._fastpath.broker.restart cimport restart_done
from robustmq._fastpath.broker.rounds cimport feed_behind, feed_caught_up
from robustmq._fastpath.broker.routes cimport RUN_FRAMES, Route, Routes, Run, routes_match, routes_of, routes_refresh
from robustmq._fastpath.broker.topic cimport TOPIC_FOLDED, topic_mqtt_name
from robustmq._fastpath.cursor cimport Cursor, cursor_init
from robustmq._fastpath.mailbox cimport Mail, mail_init, mailbox_post
from robustmq._fastpath.qsbr cimport qsbr_retire
from robustmq._fastpath.status cimport CORRUPT, ELSEWHERE, NEED_MORE, OK, OUT_OF_RANGE, STORE_FAILED, Status
from robustmq._fastpath.stores.journal cimport entry_body, entry_body_length
from robustmq._fastpath.stores.partition cimport ReadSpan, partition_next, partition_seek


cdef enum:
    TURN_ENTRIES = 256                  # of one mail: then other work of the reactor has its turn
    TURN_BYTES = 1 << 20
    RECORD_MIN = 7

cdef const char* MQTT_TOPIC = b"mqtt.topic"


cdef Feed* feed_new(Exchange* exchange, Topic* topic, Partition* partition, uint32_t reactor) noexcept nogil:
    cdef Feed* feed = <Feed*>calloc(1, sizeof(Feed))
    if feed != NULL:
        mail_init(&feed.mail, feed_run)
        mail_init(&feed.bye, feed_bye)
        feed.exchange = exchange
        feed.topic = topic
        feed.partition = partition
        feed.reactor = reactor
        feed.cursor = load_acquire_u64(&partition.end)
    return feed


cdef inline Feed* feed_of_bye(Mail* mail) noexcept nogil:
    return <Feed*>(<char*>mail - sizeof(Mail))


cdef void post_bye(void* p) noexcept nogil:
    cdef Feed* feed = <Feed*>p
    mailbox_post(feed.exchange.boxes[feed.reactor], &feed.bye)


cdef void feed_retire(Feed* feed) noexcept nogil:
    store_release_u32(&feed.dead, 1)
    qsbr_retire(feed, post_bye)


cdef void feed_free(Feed* feed) noexcept nogil:
    if feed == NULL:
        return
    feed_caught_up(feed)
    restart_done(feed)
    if feed.inflated != NULL:
        ref_release(&feed.inflated.ref)
    free(feed)


cdef void feed_bye(Mail* mail, void* receiver, int64_t now_ns) noexcept nogil:
    cdef Feed* feed = feed_of_bye(mail)
    if feed.inflating and not feed.answered:
        feed.orphan = 1                 # the inflater still knows it; its answer frees it
    else:
        feed_free(feed)


cdef void deliver_to(Feed* feed, Routes* routes, Run* run, int64_t now_ns) noexcept nogil:
    """One run to each route of this reactor."""
    cdef Route* all = routes_of(routes)
    cdef uint32_t low = 0, high = routes.count, middle
    cdef uint32_t reactor = feed.reactor
    cdef bint again = load_acquire_ptr(&feed.exchange.seen) != NULL
    while low < high:
        middle = low + (high - low) // 2
        if all[middle].reactor < reactor:
            low = middle + 1
        else:
            high = middle
    while low < routes.count and all[low].reactor == reactor:
        if not (all[low].no_local and all[low].consumer.number == run.origin        # [MQTT-3.8.3-3]
                or again and run.position < all[low].consumer.floor):
            all[low].consumer.deliver(all[low].consumer, &all[low], run, now_ns)
        low += 1


cdef void release_frames(Run* run) noexcept nogil:
    cdef int i
    for i in range(RUN_FRAMES):
        if run.frames[i] != NULL:
            ref_release(&run.frames[i].ref)
            run.frames[i] = NULL
        run.frames_info[i] = 0


cdef bint mqtt_topic_of(const RecordView* record, const uint8_t** topic, uint32_t* n) noexcept nogil:
    """The MQTT topic of a folded record; False where it has none that an MQTT client may be sent."""
    cdef Cursor c
    cdef HeaderView header
    cdef uint8_t canonical[KAFKA_NAME_MAX]
    cursor_init(&c, record.headers, record.headers_len)
    while header_next(&c, &header):
        if header.key_len == 10 and memcmp(header.key, MQTT_TOPIC, 10) == 0 and header.value_len > 0:
            topic[0] = header.value
            n[0] = <uint32_t>header.value_len
            return name_to_kafka(header.value, n[0], canonical) > 0     # any Kafka producer can write the header
    return False


cdef Block* single_record(const uint8_t* batch, const RecordView* record, uint64_t size) noexcept nogil:
    """A batch of its own for one record: the header as it is, then the record."""
    cdef Block* block = block_new(<uint32_t>(BATCH_HEADER + size))
    if block != NULL:
        memcpy(block_data(block), batch, BATCH_HEADER)
        memcpy(block_data(block) + BATCH_HEADER, record.start, size)
        block.len = <uint32_t>(BATCH_HEADER + size)
    return block


cdef Topic* stand_in(const Topic* topic, const uint8_t* name, uint32_t n) noexcept nogil:
    """A topic of that MQTT name for the time of one delivery."""
    cdef Topic* alias = <Topic*>calloc(1, sizeof(Topic) + n)
    if alias != NULL:
        memcpy(alias.id, topic.id, 16)
        alias.hash = topic.hash
        alias.mqtt_len = <uint16_t>n
        memcpy(<uint8_t*>alias + sizeof(Topic), name, n)
    return alias


cdef void deliver_folded(Feed* feed, const Run* whole, int64_t now_ns) noexcept nogil:
    """Each record by its own MQTT topic."""
    cdef Run run
    cdef Cursor c
    cdef RecordView record
    cdef Routes* routes
    cdef Block* block
    cdef const uint8_t* name = NULL
    cdef uint32_t n = 0
    cursor_init(&c, whole.batch + BATCH_HEADER, whole.n - BATCH_HEADER)
    while record_next(&c, &record):
        if not mqtt_topic_of(&record, &name, &n):
            continue
        routes = routes_match(feed.exchange, name, n)
        if routes == NULL:
            continue
        block = single_record(whole.batch, &record, <uint64_t>(c.p - record.start))
        if block != NULL and not ref_holds(whole.ref):
            ref_release(&block.ref)
            block = NULL                # zeros
        run = whole[0]
        run.topic = stand_in(feed.topic, name, n)
        if block != NULL and run.topic != NULL:
            run.batch = block_data(block)
            run.n = block.len
            run.count = 1
            run.ref = &block.ref
            deliver_to(feed, routes, &run, now_ns)
            release_frames(&run)
        if block != NULL:
            ref_release(&block.ref)
        free(run.topic)
        free(routes)


cdef void deliver_batch(Feed* feed, Routes* routes, const ReadSpan* span, const uint8_t* batch, uint64_t n, Ref* ref,
                        int64_t now_ns) noexcept nogil:
    cdef Run run
    memset(&run, 0, sizeof(run))
    run.topic = feed.topic
    run.partition = feed.partition
    run.batch = batch
    run.n = n
    # What was compressed was counted by its producer alone: no more than fit, as a record has RECORD_MIN bytes at least.
    run.count = <uint32_t>min(<uint64_t>batch_record_count(batch), (n - BATCH_HEADER) // RECORD_MIN)
    run.flags = span.entry.flags
    run.ref = ref
    run.position = span.position
    run.base_offset = span.base_offset
    run.base_timestamp_ms = batch_base_timestamp(batch)
    run.origin = span.entry.origin
    if feed.topic.flags & TOPIC_FOLDED:
        deliver_folded(feed, &run, now_ns)
    else:
        deliver_to(feed, routes, &run, now_ns)
        release_frames(&run)
    feed.exchange.counters[feed.reactor].runs += 1
    feed.exchange.counters[feed.reactor].records += run.count


cdef bint deliver_entry(Feed* feed, Routes* routes, const ReadSpan* span, int64_t now_ns) noexcept nogil:
    """One entry to everybody here. False: it is compressed, and with the inflater now."""
    cdef const uint8_t* batch = entry_body(span.entry)
    cdef uint64_t n = entry_body_length(span.entry)
    cdef Block* inflated
    if batch_codec(batch) == CODEC_NONE:
        deliver_batch(feed, routes, span, batch, n, span.ref, now_ns)
        return True
    if not feed.inflating:
        return not inflate(feed, span, batch, n)
    if not feed.answered:
        return False
    inflated = feed.inflated
    feed.inflated = NULL
    feed.inflating = feed.answered = 0
    if feed.inflating_offset != span.base_offset:       # the cursor has moved past it meanwhile
        if inflated != NULL:
            ref_release(&inflated.ref)
        return deliver_entry(feed, routes, span, now_ns)
    if inflated != NULL and inflated.len >= BATCH_HEADER:
        deliver_batch(feed, routes, span, block_data(inflated), inflated.len, &inflated.ref, now_ns)
    else:
        feed.exchange.counters[feed.reactor].undecodable += 1
    if inflated != NULL:
        ref_release(&inflated.ref)
    return True


cdef void feed_inflated(Feed* feed, Block* block, int64_t now_ns) noexcept nogil:
    feed.inflated = block
    feed.answered = 1
    if feed.orphan:
        feed_free(feed)
    else:
        mailbox_post(feed.exchange.boxes[feed.reactor], &feed.mail)


cdef bint inflate(Feed* feed, const ReadSpan* span, const uint8_t* batch, uint64_t n) noexcept nogil:
    """Hand the batch over. False: it cannot be, and is skipped."""
    if feed.exchange.inflate != NULL:
        ref_retain(span.ref)
        feed.inflating = 1
        feed.inflating_offset = span.base_offset
        if feed.exchange.inflate(feed.exchange.inflater, feed, batch, n, span.ref):
            return True
        feed.inflating = 0
        ref_release(span.ref)
    feed.exchange.counters[feed.reactor].undecodable += 1
    return False


cdef Status seek(Feed* feed, ReadSpan* span) noexcept nogil:
    """The entry at the cursor; what was retired meanwhile, or is damaged, is counted as lost."""
    cdef Status status = partition_seek(feed.partition, feed.cursor, span)
    cdef uint64_t start
    if status == OUT_OF_RANGE:
        start = load_acquire_u64(&feed.partition.start)
        if start > feed.cursor:
            feed.exchange.counters[feed.reactor].lost += start - feed.cursor
            feed.cursor = start
        status = partition_seek(feed.partition, feed.cursor, span)
    while status == CORRUPT:
        feed.exchange.counters[feed.reactor].lost += span.base_offset - feed.cursor
        feed.cursor = span.base_offset
        status = partition_seek(feed.partition, feed.cursor, span)
    return status


cdef void feed_run(Mail* mail, void* receiver, int64_t now_ns) noexcept nogil:
    cdef Feed* feed = <Feed*>mail
    cdef Routes* routes
    cdef ReadSpan span
    cdef uint32_t entries = 0
    cdef uint64_t bytes = 0
    cdef uint64_t skip_to
    cdef Status status
    feed_caught_up(feed)
    feed.elsewhere = 0
    if load_acquire_u32(&feed.dead):
        return
    routes_refresh(feed.exchange, feed.topic)       # a consumer that has ended is in no current route
    routes = <Routes*>load_acquire_ptr(&feed.topic.routes)
    skip_to = load_acquire_u64(&feed.skip_to)
    if skip_to > feed.cursor:
        feed.cursor = skip_to
    if routes == NULL:
        feed.cursor = load_acquire_u64(&feed.partition.end)
        restart_done(feed)
        return
    status = seek(feed, &span)
    while status == OK:
        if entries == TURN_ENTRIES or bytes >= TURN_BYTES:
            feed_behind(feed, span.position)
            mailbox_post(feed.exchange.boxes[feed.reactor], &feed.mail)
            return
        if not deliver_entry(feed, routes, &span, now_ns):
            feed_behind(feed, span.position)
            return
        entries += 1
        bytes += entry_body_length(span.entry)
        feed.after = span.position + 1
        feed.cursor = span.base_offset + <uint64_t>batch_last_offset_delta(entry_body(span.entry)) + 1
        status = partition_next(feed.partition, &span)
    if status == NEED_MORE:
        restart_done(feed)
    elif status == ELSEWHERE:           # Exchange.wake, when it has come
        feed_behind(feed, feed.after)
        feed.elsewhere = 1
    elif status == STORE_FAILED:        # not before a restart: nothing is passed over
        feed_behind(feed, feed.after)
    elif status == OUT_OF_RANGE or status == CORRUPT:
        feed_behind(feed, 0)
        mailbox_post(feed.exchange.boxes[feed.reactor], &feed.mail)
