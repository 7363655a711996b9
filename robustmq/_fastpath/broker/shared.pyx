"""Shared subscriptions: see shared.pxd."""
from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset
from robustmq._fastpath.atomic cimport load_acquire_ptr, load_relaxed_u32, store_release_ptr, store_release_u32
from robustmq._fastpath.batch cimport BATCH_HEADER, RecordView, record_next
from robustmq._fastpath.block cimport Block, Ref, block_data, block_new, ref_release, ref_retain
from robustmq._fastpath.broker.routes cimport GROUP_BUCKETS, RUN_FRAMES
from robustmq._fastpath.broker.seen cimport Seen, seen_has
from robustmq._fastpath.broker.topic cimport Topic, topic_mqtt_name
from robustmq._fastpath.cursor cimport Cursor, cursor_init
from robustmq._fastpath.mailbox cimport mail_init, mailbox_post
from robustmq._fastpath.qsbr cimport qsbr_retire


cdef struct Share:                      # some records on their way to a member of another reactor, or back to the group
    Mail mail
    Exchange* exchange
    Route route                         # consumer NULL: back to the group
    Run run
    Topic topic                         # a stand-in with id, hash and MQTT name: the real one may be gone by then
    # the MQTT name follows


cdef inline Route* routes(Members* members) noexcept nogil:
    return <Route*>(<char*>members + sizeof(Members))


cdef Group* group_new(Exchange* exchange, uint32_t reactor, uint64_t key) noexcept nogil:
    cdef Group* group = <Group*>calloc(1, sizeof(Group))
    if group != NULL:
        group.exchange = exchange
        group.consumer.number = key
        group.consumer.reactor = reactor
        group.consumer.deliver = group_deliver
        group.next = <Group*>exchange.groups[key % GROUP_BUCKETS]
        store_release_ptr(&exchange.groups[key % GROUP_BUCKETS], group)
    return group


cdef Group* group_find(Exchange* exchange, uint64_t key) noexcept nogil:
    """Inside a QSBR section, or the control plane; NULL: there is none now."""
    cdef Group* group = <Group*>load_acquire_ptr(&exchange.groups[key % GROUP_BUCKETS])
    while group != NULL and group.consumer.number != key:
        group = <Group*>load_acquire_ptr(&group.next)
    return group


cdef void group_free(void* retired) noexcept nogil:
    free((<Group*>retired).members)
    free((<Group*>retired).consumer.subscriptions.places)
    free(retired)


cdef void group_end(Group* group) noexcept nogil:
    cdef Consumer** head = &group.exchange.groups[group.consumer.number % GROUP_BUCKETS]
    cdef Group* before = <Group*>head[0]
    if before == group:
        store_release_ptr(head, group.next)
    else:
        while before.next != group:
            before = before.next
        store_release_ptr(&before.next, group.next)
    qsbr_retire(group, group_free)


cdef uint32_t position(const Members* members, const Consumer* member) noexcept nogil:
    """Of the member; the number of members when it is none of them."""
    cdef uint32_t i
    for i in range(members.count):
        if routes(<Members*>members)[i].consumer == member:
            return i
    return members.count


cdef bint group_has(const Group* group, const Consumer* member) noexcept nogil:
    return group.members != NULL and position(group.members, member) < group.members.count


cdef bint group_join(Group* group, const Route* member, bint* existed) noexcept nogil:
    cdef Members* old = group.members
    cdef uint32_t count = old.count if old != NULL else 0
    cdef uint32_t at = position(old, member.consumer) if count else 0
    cdef Members* members
    existed[0] = at < count
    if at == MEMBERS_MAX:
        return False
    members = <Members*>malloc(sizeof(Members) + (count + 1) * sizeof(Route))
    if members == NULL:
        return False
    if count:
        memcpy(routes(members), routes(old), count * sizeof(Route))
    routes(members)[at] = member[0]
    routes(members)[at].group = group.consumer.number
    members.count = count if existed[0] else count + 1
    store_release_ptr(&group.members, members)
    if old != NULL:
        qsbr_retire(old, free)
    return True


cdef bint group_leave(Group* group, Consumer* member, uint32_t* left) noexcept nogil:
    cdef Members* old = group.members
    cdef Members* members
    cdef uint32_t i
    left[0] = old.count if old != NULL else 0
    i = position(old, member) if left[0] else 0
    if i == left[0]:
        return False
    members = <Members*>malloc(sizeof(Members) + old.count * sizeof(Route))
    if members == NULL:                 # it must go all the same: its session is about to be freed
        routes(old)[i] = routes(old)[old.count - 1]
        store_release_u32(&old.count, old.count - 1)
        left[0] = old.count
        return True
    memcpy(routes(members), routes(old), i * sizeof(Route))
    memcpy(routes(members) + i, routes(old) + i + 1, (old.count - i - 1) * sizeof(Route))
    members.count = left[0] = old.count - 1
    store_release_ptr(&group.members, members)
    qsbr_retire(old, free)
    return True


cdef uint32_t next_member(Group* group, Members* members) noexcept nogil:
    """The next one that is not busy; the next one at all when all are."""
    cdef uint32_t i, at
    for i in range(members.count):
        at = (group.turn + i) % members.count
        if not load_relaxed_u32(&routes(members)[at].consumer.busy):
            group.turn = at + 1
            return at
    at = group.turn % members.count
    group.turn = at + 1
    return at


cdef void run_share(Mail* mail, void* receiver, int64_t now_ns) noexcept nogil:
    """On the member's reactor; for what comes back, on the group's."""
    cdef Share* share = <Share*>mail
    if share.route.consumer != NULL:
        share.route.consumer.deliver(share.route.consumer, &share.route, &share.run, now_ns)
    else:
        take_back(share, now_ns)
    release_frames(&share.run)
    ref_release(share.run.ref)
    free(share)


cdef void take_back(Share* share, int64_t now_ns) noexcept nogil:
    cdef Group* group = group_find(share.exchange, share.route.group)
    if group == NULL:
        return
    if group.consumer.reactor == share.route.reactor:
        group_deliver(&group.consumer, &share.route, &share.run, now_ns)
    else:                               # it ended meanwhile, and lives elsewhere again
        shared_return(share.exchange, share.route.group, &share.run)


cdef void release_frames(Run* run) noexcept nogil:
    cdef int i
    for i in range(RUN_FRAMES):
        if run.frames[i] != NULL:
            ref_release(&run.frames[i].ref)
            run.frames[i] = NULL


cdef void send_share(Exchange* exchange, const Route* route, const Run* run) noexcept nogil:
    """By mail, with a reference of its own; without the shared frames, which belong to the run's owner."""
    cdef const Topic* topic = run.topic
    cdef Share* share = <Share*>malloc(sizeof(Share) + topic.mqtt_len)
    if share == NULL:
        return
    mail_init(&share.mail, run_share)
    share.exchange = exchange
    share.route = route[0]
    share.run = run[0]
    memset(&share.topic, 0, sizeof(Topic))
    memcpy(share.topic.id, topic.id, 16)
    share.topic.hash = topic.hash
    share.topic.mqtt_len = topic.mqtt_len
    memcpy(<uint8_t*>share + sizeof(Share), topic_mqtt_name(topic), topic.mqtt_len)
    share.run.topic = &share.topic
    memset(share.run.frames, 0, sizeof(share.run.frames))
    memset(share.run.frames_info, 0, sizeof(share.run.frames_info))
    ref_retain(run.ref)
    mailbox_post(exchange.boxes[route.reactor], &share.mail)


cdef void give(Group* group, const Route* route, Run* run, int64_t now_ns) noexcept nogil:
    if route.consumer.reactor == group.consumer.reactor:
        route.consumer.deliver(route.consumer, route, run, now_ns)
    else:
        send_share(group.exchange, route, run)


cdef Block* copy_records(const Run* run, const uint32_t* owner, uint32_t member, uint32_t* count) noexcept nogil:
    """A batch of the records that belong to one member; NULL when there are none (or memory is out)."""
    cdef Block* block
    cdef Cursor c
    cdef RecordView record
    cdef uint32_t i, size = 0
    cdef uint8_t* to
    count[0] = 0
    for i in range(run.count):
        count[0] += owner[i] == member
    if count[0] == 0:
        return NULL
    block = block_new(<uint32_t>run.n)
    if block == NULL:
        return NULL
    to = block_data(block)
    memcpy(to, run.batch, BATCH_HEADER)
    to += BATCH_HEADER
    cursor_init(&c, run.batch + BATCH_HEADER, run.n - BATCH_HEADER)
    i = 0
    while i < run.count and record_next(&c, &record):
        if owner[i] == member:
            size = <uint32_t>(c.p - record.start)
            memcpy(to, record.start, size)
            to += size
        i += 1
    block.len = <uint32_t>(to - block_data(block))
    return block


cdef void deal_again(Group* group, Members* members, const Run* run, uint32_t* owner) noexcept nogil:
    """The same at a restart: what a member had taken before is nobody's."""
    cdef Cursor c
    cdef RecordView record
    cdef uint32_t i = 0
    memset(owner, 0xFF, run.count * sizeof(uint32_t))
    cursor_init(&c, run.batch + BATCH_HEADER, run.n - BATCH_HEADER)
    while i < run.count and record_next(&c, &record):
        if not seen_has(<const Seen*>load_acquire_ptr(&group.exchange.seen), group.consumer.number, run.partition.stream,
                        run.base_offset + <uint64_t>record.offset_delta):
            owner[i] = next_member(group, members)
        i += 1


cdef void deal(Group* group, Members* members, const Run* whole, int64_t now_ns) noexcept nogil:
    """Several records to several members: a batch for each."""
    cdef uint32_t* owner = <uint32_t*>malloc(whole.count * sizeof(uint32_t))
    cdef uint32_t i, count
    cdef Block* block
    cdef Run run
    if owner == NULL:
        return
    if load_acquire_ptr(&group.exchange.seen) == NULL:
        for i in range(whole.count):
            owner[i] = next_member(group, members)
    else:
        deal_again(group, members, whole, owner)
    for i in range(members.count):
        block = copy_records(whole, owner, i, &count)
        if block == NULL:
            continue
        run = whole[0]
        memset(run.frames, 0, sizeof(run.frames))
        memset(run.frames_info, 0, sizeof(run.frames_info))
        run.batch = block_data(block)
        run.n = block.len
        run.count = count
        run.ref = &block.ref
        give(group, &routes(members)[i], &run, now_ns)
        release_frames(&run)
        ref_release(&block.ref)
    free(owner)


cdef void group_deliver(Consumer* self, const Route* route, Run* run, int64_t now_ns) noexcept nogil:
    cdef Group* group = <Group*>self
    cdef Members* members = <Members*>load_acquire_ptr(&group.members)
    if members == NULL or members.count == 0:
        return
    if (run.count == 1 or members.count == 1) and load_acquire_ptr(&group.exchange.seen) == NULL:
        give(group, &routes(members)[next_member(group, members)], run, now_ns)
    else:
        deal(group, members, run, now_ns)


cdef void shared_return(Exchange* exchange, uint64_t key, const Run* run) noexcept nogil:
    cdef Group* group = group_find(exchange, key)
    cdef Route back
    if group == NULL:
        return
    memset(&back, 0, sizeof(back))
    back.group = key
    back.reactor = group.consumer.reactor
    send_share(exchange, &back, run)
