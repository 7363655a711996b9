"""Subscriptions as the control plane changes them: see exchange.pxd and routes.pxd.

A consumer is named by its address: the protocol's struct starts with a Consumer, and the protocol keeps it alive until
after `unsubscribe`, or the last mail that `unsubscribe` may have left in its reactor's mailbox.
"""
cimport cython
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free
from libc.string cimport memset
from robustmq._fastpath.atomic cimport load_relaxed_u32, load_relaxed_u64, store_release_u32
from robustmq._fastpath.broker.index cimport Sub, index_free, index_init
from robustmq._fastpath.broker.retained cimport replay_start, replay_stop, retained_forget, retained_recover
from robustmq._fastpath.broker.rounds cimport feeds_init, feeds_wake
from robustmq._fastpath.broker.routes cimport REACTORS_MAX, Consumer, Feed, Route, routes_close, routes_forget
from robustmq._fastpath.broker.shared cimport (
    SHARED_GROUPS_MAX, group_end, group_has, group_join, group_leave, group_new,
)
from robustmq._fastpath.broker.subscriptions cimport (
    subscriptions_add, subscriptions_end, subscriptions_full, subscriptions_remove,
)
from robustmq._fastpath.broker.topic cimport Topic, Topics
from robustmq._fastpath.broker.restart cimport restart_feeds
from robustmq._fastpath.broker.seen cimport seen_free, seen_new
from robustmq._fastpath.mailbox cimport Mail, Mailbox, mailbox_awake, mailbox_may_sleep, mailbox_run
from robustmq._fastpath.qsbr cimport qsbr_collect, qsbr_register, qsbr_synchronize, qsbr_unregister
from robustmq._fastpath.reactor.core cimport SYNC_FAILED, Brake
from robustmq._fastpath.reactor.reactors cimport (
    Reactors, reactors_await_from, reactors_brake_by, reactors_count, reactors_mailbox,
)
from robustmq._fastpath.status cimport OK, QUOTA, STORE_FAILED, Status
from robustmq._fastpath.stores.journal cimport Journal, journal_durable, journal_health, journal_want_sync
from robustmq._fastpath.stores.log cimport Log, LogCore, log_choked, log_forget, log_pressed, log_wait_room, log_wal, log_watch_room

import hashlib
import select

SHARE = "$share/"


class SubscribeError(Exception):
    """A subscription that cannot be made; `status` is the data plane's (status.pxd)."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


cdef void forget(void* owner, Topic* topic) noexcept nogil:
    """TopicTable.forget."""
    routes_forget(owner, topic)
    retained_forget(<Core*>owner, topic)


cdef uint64_t durable(void* journal) noexcept nogil:
    """Up to where acknowledgements may go out; SYNC_FAILED once that will never move again."""
    if journal_health(<Journal*>journal) == STORE_FAILED:
        return SYNC_FAILED
    return journal_durable(<Journal*>journal)


cdef void want(void* journal, uint64_t position, Mailbox* box, Mail* mail) noexcept nogil:
    journal_want_sync(<Journal*>journal, position, box, mail)


cdef bint pressed(void* core) noexcept nogil:
    return log_pressed(<LogCore*>core) or log_choked(<LogCore*>core)


cdef void wait_room(void* core) noexcept nogil:
    log_wait_room(<LogCore*>core)


cdef bint choked(void* core) noexcept nogil:
    return log_choked(<LogCore*>core)


cdef void watch_room(void* core, Mailbox* box, Mail* mail) noexcept nogil:
    log_watch_room(<LogCore*>core, box, mail)


cdef void forget_room(void* core, Mail* mail) noexcept nogil:
    log_forget(<LogCore*>core, mail)


def split_shared(str filter not None):
    """(group, inner filter) of `$share/GROUP/FILTER`; ("", filter) of an ordinary one [MQTT-4.8.2-1]."""
    if not filter.startswith(SHARE):
        return "", filter
    group, _, inner = filter[len(SHARE):].partition("/")
    return group, inner


def group_key(str name not None, str filter not None):
    """What names a shared group in the journal; above every consumer's number."""
    digest = hashlib.blake2b(f"{name}/{filter}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") | 1 << 63


@cython.no_gc_clear         # the end of it walks the topics, which must not be freed before
cdef class Exchange:
    """Who gets what, over one table of topics. `max_retained` bounds the topics with a retained message."""

    def __cinit__(self, Topics topics not None, *, uint32_t max_retained=1_000_000):
        memset(&self.core, 0, sizeof(Core))
        self.topics = topics
        self.core.topics = topics.table
        feeds_init(&self.core)
        self.core.retained.most = max_retained
        self.groups = {}
        if not index_init(&self.core.index):
            raise MemoryError("subscription index")
        topics.table.owner = &self.core
        topics.table.forget = forget
        if retained_recover(&self.core) != OK:
            raise MemoryError("retained messages")

    def __dealloc__(self):
        if self.core.topics != NULL:
            routes_close(&self.core)
            self.core.topics.forget = NULL
        for address in (self.groups or {}).values():
            group_end(<Group*><uintptr_t>address)
        qsbr_collect()
        index_free(&self.core.index)
        free(self.core.retained.list)

    def attach(self, Reactors reactors not None, Log log not None):
        """Before the reactors start: where feeds run, and whose durability acknowledgements wait for."""
        cdef uint32_t i
        if log_wal(log.core) != NULL:
            reactors_await_from(reactors, durable, want, log_wal(log.core))
        reactors_brake_by(reactors, Brake(log.core, pressed, wait_room, choked, watch_room, forget_room))
        self.core.reactor_count = reactors_count(reactors)
        for i in range(self.core.reactor_count):
            self.core.boxes[i] = reactors_mailbox(reactors, i)
        self.inflater = Inflater()
        self.inflater.begin(&self.core)

    def close(self):
        """After the reactors have stopped."""
        if self.inflater is not None:
            self.inflater.end()
            self.inflater = None

    def ptr(self):
        """The address of the struct Exchange (routes.pxd), for the protocols."""
        return <uintptr_t>&self.core

    cdef Group* group_at(self, tuple key):
        address = self.groups.get(key)
        return <Group*><uintptr_t>address if address is not None else NULL

    def subscribe(self, uintptr_t consumer, str filter not None, *, uint8_t qos, bint no_local=False,
                  bint retain_as_published=False, uint32_t identifier=0, uint32_t most=0xFFFFFFFF):
        """Add or replace a subscription (the filter may be `$share/GROUP/FILTER`); True when it replaced one.

        The filter is valid [MQTT-4.7.1-1 to -3]. SubscribeError: too many levels, too many groups, more than `most` of this
        consumer, no memory.
        """
        cdef Consumer* who = <Consumer*>consumer
        cdef Sub sub
        cdef bint existed = False
        cdef bytes raw
        cdef Status status
        name, inner = split_shared(filter)
        memset(&sub, 0, sizeof(sub))
        sub.consumer = who
        sub.id = identifier
        sub.qos = qos
        sub.no_local = no_local
        sub.retain_as_published = retain_as_published
        if name:
            existed = self.join((name, inner), &sub, most)
        else:
            raw = inner.encode()
            status = subscriptions_add(&who.subscriptions, &self.core.index, raw, <uint32_t>len(raw), &sub, most, &existed)
            if status != OK:
                raise SubscribeError(status, f"cannot subscribe to {filter!r} (status {status})")
        qsbr_collect()
        return existed

    cdef Group* group_made(self, tuple key, uint32_t reactor) except NULL:
        """A new group, in the index; without a member it delivers nothing."""
        cdef bytes raw = key[1].encode()
        cdef Group* group
        cdef Sub sub
        cdef bint existed = False
        cdef Status status
        if len(self.groups) >= SHARED_GROUPS_MAX:
            raise SubscribeError(QUOTA, f"{len(self.groups)} shared groups exist: no more are made")
        group = group_new(&self.core, reactor, group_key(*key))
        if group == NULL:
            raise MemoryError("shared group")
        memset(&sub, 0, sizeof(sub))
        sub.consumer = group
        sub.group = 1
        sub.qos = 2
        status = subscriptions_add(&group.consumer.subscriptions, &self.core.index, raw, <uint32_t>len(raw), &sub, 1, &existed)
        if status != OK:
            group_end(group)
            raise SubscribeError(status, f"cannot subscribe to {key[1]!r} (status {status})")
        self.groups[key] = <uintptr_t>group
        return group

    cdef bint join(self, tuple key, const Sub* sub, uint32_t most) except -1:
        """True: it was a member before."""
        cdef Consumer* consumer = <Consumer*>sub.consumer
        cdef Group* group = self.group_at(key)
        cdef bint existed = False
        cdef Route route
        if subscriptions_full(&consumer.subscriptions, 1, most) and not (group != NULL and group_has(group, consumer)):
            raise SubscribeError(QUOTA, f"a session has {most} subscriptions at most")
        if group == NULL:
            group = self.group_made(key, consumer.reactor)
        group.consumer.floor = max(group.consumer.floor, consumer.floor)
        memset(&route, 0, sizeof(route))
        route.consumer = consumer
        route.reactor = consumer.reactor
        route.qos = sub.qos
        route.retain_as_published = sub.retain_as_published
        route.ids[0] = sub.id
        route.id_count = 1 if sub.id else 0
        if not group_join(group, &route, &existed):
            self.end_if_empty(key, group)
            raise SubscribeError(QUOTA, f"the shared group {key[0]!r} has no room for another member")
        if not existed:
            self.members += 1
            store_release_u32(&consumer.subscriptions.shared, consumer.subscriptions.shared + 1)
        return existed

    cdef bint leave(self, tuple key, Consumer* consumer) except -1:
        """False: it was no member. The group ends with its last one."""
        cdef uint32_t left = 0
        cdef Group* group = self.group_at(key)
        if group == NULL or not group_leave(group, consumer, &left):
            return False
        self.members -= 1
        store_release_u32(&consumer.subscriptions.shared, consumer.subscriptions.shared - 1)
        self.end_if_empty(key, group)
        return True

    cdef end_if_empty(self, tuple key, Group* group):
        if group.members != NULL and group.members.count:
            return
        subscriptions_end(&group.consumer.subscriptions, &self.core.index, group)
        del self.groups[key]
        group_end(group)                # no feed begins with a route to it any more

    def unsubscribe(self, uintptr_t consumer, str filter not None):
        """Remove; False when there was no such subscription."""
        cdef Consumer* who = <Consumer*>consumer
        cdef bytes raw
        cdef bint gone
        name, inner = split_shared(filter)
        if not name:
            raw = inner.encode()
            gone = subscriptions_remove(&who.subscriptions, &self.core.index, raw, <uint32_t>len(raw), who)
            if gone:
                replay_stop(&self.core, who, raw, <uint32_t>len(raw), True)
            qsbr_collect()
            return gone
        if not self.leave((name, inner), who):
            return False
        # The group's reactor may be sending the leaver its share: after this, what it sent is in the mailbox.
        with nogil:
            qsbr_synchronize()
        return True

    @staticmethod
    def subscriptions(uintptr_t consumer):
        """How many a consumer has, shared ones with them."""
        cdef Consumer* who = <Consumer*>consumer
        return load_relaxed_u32(&who.subscriptions.count) + load_relaxed_u32(&who.subscriptions.shared)

    def restart_begin(self):
        """At start, before the sessions of the last life are made: from here on what they took is remembered."""
        self.core.seen = seen_new()
        if self.core.seen == NULL:
            raise MemoryError("restart")

    def restart(self, uint64_t lowest):
        """Deliver to them what the log holds from their floors on (the lowest of them is `lowest`). After `attach`, before
        the reactors start: until then this thread is every reactor. Returns the number of records. What is in the blob
        store comes when it is here (`wake`)."""
        cdef int slot = qsbr_register()
        cdef uint64_t before = self.delivered()
        if slot < 0:
            raise RuntimeError("no QSBR slot is left for the start")
        try:
            with nogil:
                restart_feeds(&self.core, lowest)
            while self.run_mail():
                pass
            return self.delivered() - before
        finally:
            qsbr_unregister(slot)
            if self.core.restarting == 0:
                seen_free(self.core.seen)
                self.core.seen = NULL

    def wake(self):
        """Something may have come from the blob store: feeds that wait for it look again, and ask again for what has not."""
        feeds_wake(&self.core)

    cdef uint64_t delivered(self):
        cdef uint64_t records = 0
        for i in range(self.core.reactor_count):
            records += self.core.counters[i].records
        return records

    cdef bint run_mail(self):
        """Run what is in the mailboxes; wait for the inflater while a feed waits for it. False: all is done."""
        cdef uint32_t i, ran = 0
        cdef Feed* feed
        cdef bint waiting = False
        cdef list bells = []
        for i in range(self.core.reactor_count):
            with nogil:
                ran += mailbox_run(self.core.boxes[i], 4096, 0)
            feed = self.core.behind[i]
            while feed != NULL:
                waiting |= not feed.elsewhere
                feed = feed.behind_next
        if ran or not waiting:
            return ran > 0
        for i in range(self.core.reactor_count):
            if not mailbox_may_sleep(self.core.boxes[i]):
                bells.clear()
                break
            bells.append(self.core.boxes[i].event_fd)
        rung = select.select(bells, [], [])[0] if bells else []
        for i in range(self.core.reactor_count):
            mailbox_awake(self.core.boxes[i], self.core.boxes[i].event_fd in rung)
        return True

    def replay(self, uintptr_t consumer, str filter not None, uint8_t qos, uint32_t identifier=0):
        """Send the consumer the retained messages that match, as far as it can take them; the rest as it can."""
        cdef bytes raw = filter.encode()
        if replay_start(&self.core, <Consumer*>consumer, raw, <uint32_t>len(raw), qos, identifier, True) != OK:
            raise MemoryError("replay of retained messages")

    def counters(self):
        """What /metrics shows of the exchange; sums over reactors."""
        cdef int i
        sums = {"subscriptions": load_relaxed_u64(&self.core.index.filters) - len(self.groups) + self.members,
                "retained": self.core.retained.count, "shared_groups": len(self.groups), "route_refreshes": self.core.refreshes,
                "feed_runs": 0, "records_delivered": 0, "records_lost": 0, "batches_undecodable": 0}
        for i in range(REACTORS_MAX):
            sums["feed_runs"] += load_relaxed_u64(&self.core.counters[i].runs)
            sums["records_delivered"] += load_relaxed_u64(&self.core.counters[i].records)
            sums["records_lost"] += load_relaxed_u64(&self.core.counters[i].lost)
            sums["batches_undecodable"] += load_relaxed_u64(&self.core.counters[i].undecodable)
        return sums
