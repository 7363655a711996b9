"""Retained messages: see retained.pxd."""
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memcpy, memset
from robustmq._fastpath.atomic cimport load_acquire_u32, load_relaxed_u32, spin_lock, spin_unlock
from robustmq._fastpath.batch cimport BATCH_HEADER, RecordView, batch_base_timestamp, batch_intact, record_next
from robustmq._fastpath.block cimport Ref, block_data, block_new, ref_release, ref_retain
from robustmq._fastpath.broker.mapping cimport filter_matches
from robustmq._fastpath.broker.routes cimport RUN_FRAMES, RUN_RETAINED, Retained, Run
from robustmq._fastpath.broker.topic cimport TOPIC_DELETED, topic_find, topic_mqtt_name, topic_name
from robustmq._fastpath.cursor cimport Cursor, cursor_init, store_be32
from robustmq._fastpath.mailbox cimport mail_init, mailbox_post
from robustmq._fastpath.status cimport MALFORMED, NO_MEMORY, OK, QUOTA
from robustmq._fastpath.stores.journal cimport FROM_MQTT
from robustmq._fastpath.stores.partition cimport DURABLE_DISK, DURABLE_MEMORY, Appended
from robustmq._fastpath.stores.state cimport log_state_put, log_state_scan


cdef Block* copy_of(const uint8_t* batch, const uint8_t* record, uint64_t size) noexcept nogil:
    """A batch of one record, in a block of its own size class."""
    cdef Block* block = block_new(<uint32_t>(BATCH_HEADER + size))
    if block != NULL:
        memcpy(block_data(block), batch, BATCH_HEADER)
        memcpy(block_data(block) + BATCH_HEADER, record, size)
        store_be32(block_data(block) + 8, <uint32_t>(BATCH_HEADER + size - 12))
        store_be32(block_data(block) + 23, 0)
        store_be32(block_data(block) + 57, 1)
        block.len = <uint32_t>(BATCH_HEADER + size)
    return block


cdef Block* cut_record(const uint8_t* batch, uint64_t n, uint32_t number) noexcept nogil:
    cdef Cursor c
    cdef RecordView record
    cursor_init(&c, batch + BATCH_HEADER, n - BATCH_HEADER)
    while record_next(&c, &record):
        if number == 0:
            return copy_of(batch, record.start, <uint64_t>(c.p - record.start))
        number -= 1
    return NULL


cdef Status list_add(Retained* store, Topic* topic) noexcept nogil:
    cdef Topic** wider
    if store.count == store.most:
        return QUOTA
    if store.count == store.cap:
        wider = <Topic**>realloc(store.list, (store.cap * 2 + 64) * sizeof(Topic*))
        if wider == NULL:
            return NO_MEMORY
        store.list = wider
        store.cap = store.cap * 2 + 64
    topic.retained_at = store.count
    store.list[store.count] = topic
    store.count += 1
    return OK


cdef void list_remove(Retained* store, Topic* topic) noexcept nogil:
    store.count -= 1
    store.list[topic.retained_at] = store.list[store.count]
    store.list[topic.retained_at].retained_at = topic.retained_at


cdef Status swap(Exchange* exchange, Topic* topic, Block* block, uint64_t mark, bint* stored) noexcept nogil:
    """Under no lock; takes over `block` (NULL: clear), also when it fails. *stored: the topic has changed; it has not when
    a later one came first."""
    cdef Retained* store = &exchange.retained
    cdef Block* old
    cdef Status status = OK
    stored[0] = False
    spin_lock(&store.lock)
    old = topic.retained
    if load_acquire_u32(&topic.flags) & TOPIC_DELETED or mark < topic.retained_mark:
        old = block
    elif block == NULL:
        topic.retained_mark = mark
        if old != NULL:
            list_remove(store, topic)
            stored[0] = True
        topic.retained = NULL
    else:
        if old == NULL:
            status = list_add(store, topic)
        if status == OK:
            topic.retained_mark = mark
            topic.retained = block
            stored[0] = True
        else:
            old = block
    spin_unlock(&store.lock)
    if old != NULL:
        ref_release(&old.ref)
    return status


cdef Block* current(Exchange* exchange, Topic* topic) noexcept nogil:
    """The topic's retained message with a reference, NULL: none."""
    cdef Block* block
    spin_lock(&exchange.retained.lock)
    block = topic.retained
    if block != NULL:
        ref_retain(&block.ref)
    spin_unlock(&exchange.retained.lock)
    return block


cdef Status keep(Exchange* exchange, Topic* topic, Appended* stored) noexcept nogil:
    """Write what is retained now to the state table, which so goes through the messages in their order."""
    cdef Block* block
    cdef Status status = OK
    spin_lock(&topic.retained_lock)
    if not load_acquire_u32(&topic.flags) & TOPIC_DELETED:      # else the name may be another topic's
        block = current(exchange, topic)
        status = log_state_put(exchange.topics.log, STATE_RETAINED, topic_name(topic), topic.name_len,
                               block_data(block) if block != NULL else NULL,
                               <int64_t>block.len if block != NULL else -1, stored)
        if block != NULL:
            ref_release(&block.ref)
    spin_unlock(&topic.retained_lock)
    return status


cdef Status retained_keep(Exchange* exchange, Topic* topic, uint64_t* durable_at) noexcept nogil:
    cdef uint32_t durability = topic.partitions[0].durability
    cdef Appended stored
    cdef Status status
    stored.durable_at = 0
    status = keep(exchange, topic, &stored)
    durable_at[0] = stored.durable_at if durability == DURABLE_DISK else 0
    return status


cdef Status retained_set(Exchange* exchange, Topic* topic, const uint8_t* batch, uint64_t n, uint32_t record,
                         uint64_t offset, bint clears, uint64_t* durable_at) noexcept nogil:
    cdef Block* block = NULL
    cdef Status status
    cdef bint changed = False
    cdef uint32_t durability = topic.partitions[0].durability
    durable_at[0] = 0
    if not clears:
        block = cut_record(batch, n, record)
        if block == NULL:
            return NO_MEMORY
    status = swap(exchange, topic, block, offset + 1, &changed)
    if status == OK and changed and durability != DURABLE_MEMORY:
        status = retained_keep(exchange, topic, durable_at)
    return status


cdef void retained_forget(Exchange* exchange, Topic* topic) noexcept nogil:
    cdef Retained* store = &exchange.retained
    cdef Appended stored
    cdef Block* old
    cdef bint kept
    spin_lock(&store.lock)
    old = topic.retained
    kept = old != NULL or topic.retained_mark
    if old != NULL:
        list_remove(store, topic)
        topic.retained = NULL
    spin_unlock(&store.lock)
    if old != NULL:
        ref_release(&old.ref)
    if kept:
        spin_lock(&topic.retained_lock)         # TOPIC_DELETED is set: who keeps a message now is the last one
        log_state_put(exchange.topics.log, STATE_RETAINED, topic_name(topic), topic.name_len, NULL, -1, &stored)
        spin_unlock(&topic.retained_lock)


cdef Status recover_one(void* context, const uint8_t* key, uint32_t key_len, const uint8_t* value,
                        uint64_t n) noexcept nogil:
    cdef Exchange* exchange = <Exchange*>context
    cdef Topic* topic = topic_find(exchange.topics, key, key_len)
    cdef Block* block
    cdef bint changed = False
    if topic == NULL or n <= BATCH_HEADER or n > 0x7FFFFFFF:
        return OK                       # its topic is gone
    block = block_new(<uint32_t>n)
    if block == NULL:
        return NO_MEMORY
    memcpy(block_data(block), value, n)
    block.len = <uint32_t>n
    return swap(exchange, topic, block, 0, &changed)


cdef Status retained_recover(Exchange* exchange) noexcept nogil:
    return log_state_scan(exchange.topics.log, STATE_RETAINED, recover_one, exchange)


# --- replay -----------------------------------------------------------------------------------------------------------

cdef inline uint8_t* filter_of(Replay* replay) noexcept nogil:
    return <uint8_t*>replay + sizeof(Replay)


cdef Replay* replay_new(Exchange* exchange, Consumer* consumer, const uint8_t* filter, uint32_t n,
                        void (*run)(Mail*, void*, int64_t) noexcept nogil) noexcept nogil:
    cdef Replay* replay = <Replay*>calloc(1, sizeof(Replay) + n)
    if replay != NULL:
        mail_init(&replay.mail, run)
        replay.exchange = exchange
        replay.route.consumer = consumer
        replay.route.reactor = consumer.reactor
        replay.filter_len = n
        memcpy(filter_of(replay), filter, n)
    return replay


cdef Status replay_start(Exchange* exchange, Consumer* consumer, const uint8_t* filter, uint32_t n, uint8_t qos,
                         uint32_t identifier, bint elsewhere) noexcept nogil:
    cdef Replay* replay = replay_new(exchange, consumer, filter, n, replay_run)
    if replay == NULL:
        return NO_MEMORY
    replay.route.qos = qos
    replay.route.retain_as_published = 1
    replay.route.ids[0] = identifier
    replay.route.id_count = 1 if identifier else 0
    if not elsewhere:
        link_replay(consumer, replay)       # the end of the consumer may be in the mailbox already
    mailbox_post(exchange.boxes[consumer.reactor], &replay.mail)
    return OK


cdef void link_replay(Consumer* consumer, Replay* replay) noexcept nogil:
    replay.linked = 1
    replay.next = consumer.replays
    consumer.replays = replay
    consumer.replaying += 1


cdef Topic* next_match(Replay* replay, Block** block, uint32_t* looked) noexcept nogil:
    """The next retained message that matches, with a reference; NULL when the turn or the list is over."""
    cdef Retained* store = &replay.exchange.retained
    cdef Topic* topic = NULL
    cdef Topic* found = NULL
    spin_lock(&store.lock)
    if not replay.begun:
        replay.begun = 1
        replay.at = store.count
    replay.at = min(replay.at, store.count)
    while replay.at > 0 and looked[0] < WALK:
        replay.at -= 1
        looked[0] += 1
        topic = store.list[replay.at]
        if filter_matches(filter_of(replay), replay.filter_len, topic_mqtt_name(topic), topic.mqtt_len):
            found = topic
            block[0] = topic.retained
            ref_retain(&block[0].ref)
            break
    spin_unlock(&store.lock)
    return found


cdef void replay_one(Replay* replay, Topic* topic, Block* block, int64_t now_ns) noexcept nogil:
    cdef Run run
    cdef int i
    memset(&run, 0, sizeof(run))
    run.topic = topic
    run.partition = topic.partitions[0]
    run.batch = block_data(block)
    run.n = block.len
    run.count = 1
    run.flags = FROM_MQTT | RUN_RETAINED
    run.ref = &block.ref
    run.base_timestamp_ms = batch_base_timestamp(run.batch)
    replay.route.consumer.deliver(replay.route.consumer, &replay.route, &run, now_ns)
    for i in range(RUN_FRAMES):
        if run.frames[i] != NULL:
            ref_release(&run.frames[i].ref)


cdef void replay_run(Mail* mail, void* receiver, int64_t now_ns) noexcept nogil:
    """A turn: until the consumer is busy, WALK topics are looked at, or the list is over."""
    cdef Replay* replay = <Replay*>mail
    cdef Consumer* consumer = replay.route.consumer
    cdef uint32_t looked = 0
    cdef Block* block = NULL
    cdef Topic* topic
    if consumer == NULL:
        free(replay)
        return
    if not replay.linked:
        link_replay(consumer, replay)
    while not load_relaxed_u32(&consumer.busy):
        topic = next_match(replay, &block, &looked)
        if topic != NULL:
            replay_one(replay, topic, block, now_ns)
            ref_release(&block.ref)
        elif replay.at == 0:
            unlink_replay(consumer, replay)
            free(replay)
            return
        if looked >= WALK:
            mailbox_post(replay.exchange.boxes[consumer.reactor], &replay.mail)
            return
    # Busy: replay_resume posts it again.


cdef void unlink_replay(Consumer* consumer, Replay* replay) noexcept nogil:
    cdef Replay** at = &consumer.replays
    while at[0] != NULL and at[0] != replay:
        at = &at[0].next
    if at[0] == replay:
        at[0] = replay.next
        consumer.replaying -= 1


cdef void give_up(Replay** at) noexcept nogil:
    """Its mail may be queued: it is freed when that runs."""
    cdef Replay* replay = at[0]
    at[0] = replay.next
    replay.route.consumer.replaying -= 1
    replay.route.consumer = NULL
    mailbox_post(replay.exchange.boxes[replay.route.reactor], &replay.mail)


cdef void stop_all(Consumer* consumer, const uint8_t* filter, uint32_t n) noexcept nogil:
    cdef Replay** at = &consumer.replays
    while at[0] != NULL:
        if at[0].filter_len == n and memcmp(filter_of(at[0]), filter, n) == 0:
            give_up(at)
        else:
            at = &at[0].next


cdef void stop_run(Mail* mail, void* receiver, int64_t now_ns) noexcept nogil:
    cdef Replay* order = <Replay*>mail
    stop_all(order.route.consumer, filter_of(order), order.filter_len)
    free(order)


cdef void replay_stop(Exchange* exchange, Consumer* consumer, const uint8_t* filter, uint32_t n,
                      bint elsewhere) noexcept nogil:
    cdef Replay* order
    if not elsewhere:
        stop_all(consumer, filter, n)
        return
    order = replay_new(exchange, consumer, filter, n, stop_run)
    if order != NULL:                   # else what has begun goes on
        mailbox_post(exchange.boxes[consumer.reactor], &order.mail)


cdef void replay_resume(Consumer* consumer) noexcept nogil:
    cdef Replay* replay = consumer.replays
    while replay != NULL:
        mailbox_post(replay.exchange.boxes[consumer.reactor], &replay.mail)
        replay = replay.next


cdef void replay_cancel(Consumer* consumer) noexcept nogil:
    while consumer.replays != NULL:
        give_up(&consumer.replays)
