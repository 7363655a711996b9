"""Python's handle of MQTT: made by the composition root, commanded by the cold half (service.py).

A session is named by its address, an int that the cold half got from `session_open` and gives up with `session_end`. What
changes a session travels to its home reactor as mail, in the order in which it was sent.
"""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset
from robustmq._fastpath.broker.index cimport Node, Sub, index_free, index_init, index_subscribe
from robustmq._fastpath.broker.retained cimport replay_cancel
from robustmq._fastpath.broker.routes cimport REACTORS_MAX, Exchange
from robustmq._fastpath.broker.subscriptions cimport subscriptions_end
from robustmq._fastpath.broker.topic cimport Topics
from robustmq._fastpath.link cimport OUT_HIGH_WATER, Link
from robustmq._fastpath.mailbox cimport (
    Mail, mail_init, mailbox_awake, mailbox_close, mailbox_init, mailbox_may_sleep, mailbox_post, mailbox_run,
)
from robustmq._fastpath.broker.rounds cimport round_start
from robustmq._fastpath.protocols.mqtt.durable cimport NEWS_SAVED, News, SnapshotCommand, ledgers_free, run_snapshot
from robustmq._fastpath.protocols.mqtt.orphans cimport orphans_free
from robustmq._fastpath.protocols.mqtt.restore cimport restore_session
from robustmq._fastpath.stores.sessions cimport (
    SessionMark, session_log_begin, session_log_end, session_log_found, session_log_hold, session_log_recovered,
    session_log_release,
)
from robustmq._fastpath.protocols.mqtt.collector cimport collector_free
from robustmq._fastpath.protocols.mqtt.inbound cimport inbound_drop, inbound_publish_frame
from robustmq._fastpath.protocols.mqtt.link_events cimport events_install
from robustmq._fastpath.protocols.mqtt.session cimport (
    DROPS, Attach, Core, Counters, Session, SessionState, session_detach, session_forget, session_free, session_goodbye,
    session_again, session_move, session_new,
)
from robustmq._fastpath.protocols.mqtt.window cimport window_give_back
from robustmq._fastpath.protocols.mqtt.wire cimport Reason
from robustmq._fastpath.qsbr cimport qsbr_offline, qsbr_online, qsbr_register, qsbr_retire, qsbr_unregister
from robustmq._fastpath.protocols.mqtt.stalled cimport stalled_wake
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.journal cimport journal_forget, journal_health, journal_want_room
from robustmq._fastpath.stores.log cimport Log, log_wal


DROP_REASONS = ("queue_full", "offline", "expired", "evicted", "too_large", "slow_client", "no_memory", "unpublishable")
PACKETS = ("reserved", "connect", "connack", "publish", "puback", "pubrec", "pubrel", "pubcomp", "subscribe", "suback",
           "unsubscribe", "unsuback", "pingreq", "pingresp", "disconnect", "auth")
assert len(DROP_REASONS) == DROPS


cdef struct EndCommand:         # the session's last mail
    Mail mail
    Session* session
    uint8_t reason


cdef void free_session(void* session) noexcept nogil:
    session_free(<Session*>session)


cdef void run_end(Mail* mail, void* receiver, int64_t now_ns) noexcept nogil:
    cdef EndCommand* command = <EndCommand*>mail
    cdef Session* session = command.session
    cdef Link* link = session.link
    if link != NULL:
        session_goodbye(session, command.reason)
        link.host.touch(link)
        inbound_drop(session)
        session_detach(session)
        link.host.close(link, Status.TAKEN_OVER if command.reason == Reason.SESSION_TAKEN_OVER else Status.ADMIN_CLOSED)
    session_move(session, SessionState.ENDED)
    subscriptions_end(&session.consumer.subscriptions, &session.core.exchange.index, session)
    replay_cancel(&session.consumer)
    window_give_back(session)
    session_forget(session)
    qsbr_retire(session, free_session)          # a feed may be delivering to it by routes of a moment ago
    free(command)


cdef void run_news(Mail* mail, void* receiver, int64_t now_ns) noexcept with gil:
    """On the control plane's thread."""
    cdef News* news = <News*>mail
    (<MqttProtocol>receiver).on_news(news.kind, news.number, news.value)
    free(news)


cdef void run_floor(Mail* mail, void* receiver, int64_t now_ns) noexcept with gil:
    """Round.done."""
    (<MqttProtocol>receiver).on_floor()


cdef void run_room(Mail* mail, void* receiver, int64_t now_ns) noexcept with gil:
    (<MqttProtocol>receiver).on_room()


def nobody():
    """Waits for room."""


cdef settle(list futures, uint64_t value):
    for future in futures:
        if not future.done():
            future.set_result(value)


cdef dict counters_dict(const Counters* c):
    """One reactor's counters by name."""
    named = {
        **{f"dropped_{reason}": c.dropped[i] for i, reason in enumerate(DROP_REASONS)},
        **{f"received_{name}": c.received[i] for i, name in enumerate(PACKETS)},
        **{f"sent_{name}": c.sent[i] for i, name in enumerate(PACKETS)},
        **{f"messages_in_qos{qos}": c.messages_in[qos] for qos in range(3)},
        **{f"messages_out_qos{qos}": c.messages_out[qos] for qos in range(3)},
    }
    named.update(
        bytes_in=c.bytes_in, bytes_out=c.bytes_out, redelivered=c.redelivered, duplicates_in=c.duplicates_in,
        batches_in=c.batches_in, refused=c.refused, keep_alive_expired=c.keep_alive_expired, retained_refused=c.retained_refused,
        events_lost=c.events_lost, snapshots_lost=c.snapshots_lost, queued=c.queued,
        inflight=c.inflight, awaiting_disk=c.awaiting_disk, connected=c.connected, orphans=c.orphans,
    )
    return named


cdef class MqttProtocol(ProtocolHandle):
    """MQTT over one log and one exchange. Limits are those of the configuration's section `mqtt`."""

    def __cinit__(self, *args, **kwargs):
        self.core = <Core*>calloc(1, sizeof(Core))
        if self.core == NULL:
            raise MemoryError
        self.qsbr = -1
        self.on_room = nobody
        self.box.event_fd = -1
        self.durable = {}
        self.wishes = {}
        self.saving = {}
        self.table = &self.core.table

    def __init__(self, Log log, Topics topics, exchange, *, max_packet_size=1 << 20, max_queued=1000,
                 receive_maximum=1024, topic_alias_max=64, max_inflight=1000, max_orphans=100_000,
                 max_subscriptions_per_session=10_000, deny_subscribe=(), connect_timeout_ms=10_000,
                 high_water_bytes=OUT_HIGH_WATER):
        self.keep = (log, topics, exchange)
        self.core.log = log.core
        self.core.wal = log_wal(log.core)
        self.core.topics = topics.table
        self.core.exchange = <Exchange*><uintptr_t>exchange.ptr()
        self.core.limits.max_packet_size = max_packet_size
        self.core.limits.first_packet_size = min(max_packet_size, 65_536)
        self.core.limits.max_queued = max_queued
        self.core.limits.receive_maximum = receive_maximum
        self.core.limits.topic_alias_max = topic_alias_max
        self.core.limits.max_inflight = max_inflight
        self.core.limits.max_orphans = max_orphans
        self.core.limits.max_subscriptions = max_subscriptions_per_session
        self.core.limits.connect_timeout_ns = connect_timeout_ms * 1_000_000
        self.core.limits.high_water = high_water_bytes
        self.deny(deny_subscribe)
        events_install(self.core)
        if self.core.wal != NULL:
            if mailbox_init(&self.box, <void*>self) < 0:
                raise OSError("no descriptor is left for the sessions' mailbox")
            self.core.on_news = run_news
            mail_init(&self.room, run_room)
            self.core.control = &self.box

    def __dealloc__(self):
        cdef uint32_t i
        if self.core != NULL:
            for i in range(REACTORS_MAX + 1):
                collector_free(self.core.collectors[i])
            ledgers_free(self.core)
            orphans_free(self.core)
            index_free(&self.core.denied)
            free(self.core)

    cdef int deny(self, filters) except -1:
        cdef Sub nobody
        cdef Node* place
        cdef bint existed
        cdef bytes raw
        memset(&nobody, 0, sizeof(Sub))
        nobody.consumer = self.core
        if not index_init(&self.core.denied):
            raise MemoryError
        for text in filters:
            raw = text.encode()
            if index_subscribe(&self.core.denied, raw, <uint32_t>len(raw), &nobody, &place, &existed) == Status.NO_MEMORY:
                raise MemoryError
        return 0

    def session_open(self, bytes client_id, uint32_t reactor):
        """A new session whose home is `reactor`: its address. A connection of that reactor was opened before."""
        cdef Session* session = session_new(self.core, <const uint8_t*>client_id, <uint32_t>len(client_id), reactor)
        if session == NULL:
            raise MemoryError
        return <uintptr_t>session

    def session_number(self, uintptr_t address):
        """The number that the session publishes under (no-local)."""
        return (<Session*>address).consumer.number

    def session_end(self, uintptr_t address, uint8_t reason):
        """The session is over, its subscriptions with it; a connection of it is told `reason`. The address is not used after
        this call, and the caller has removed its shared subscriptions."""
        cdef EndCommand* command = <EndCommand*>malloc(sizeof(EndCommand))
        cdef Session* session = <Session*>address
        if command == NULL:
            raise MemoryError
        self.session_drop(address)
        mail_init(&command.mail, run_end)
        command.session = session
        command.reason = reason
        mailbox_post(session.box, &command.mail)

    # --- sessions that survive the broker ---

    @property
    def survives(self):
        """Whether sessions do: the log is on a disk."""
        return self.core.control != NULL

    def watch(self, loop):
        """News of sessions are taken on this event loop from now on, until `close`."""
        if self.core.control != NULL:
            self.loop = loop
            loop.add_reader(self.box.event_fd, self.take_news)
            self.take_news()

    def session_keep(self, uintptr_t address):
        """The session is to survive; before it is attached as a persistent one."""
        cdef Session* session = <Session*>address
        if self.core.control == NULL or session.consumer.number in self.durable:
            return
        if not session_log_begin(self.core.log, session.consumer.number):
            raise MemoryError
        self.durable[session.consumer.number] = address

    def session_drop(self, uintptr_t address):
        """It is not to, any more."""
        number = (<Session*>address).consumer.number
        if self.durable.pop(number, None) is not None:
            session_log_end(self.core.log, number)
            for pending in (self.wishes, self.taken or {}, self.saving):
                settle(pending.pop(number, []), 0)

    def snapshot(self, uintptr_t address):
        """A future: done when the journal holds all of the session as it is now, and in particular everything that was
        published before this call; its value is what Log.wait_durable takes."""
        future = self.loop.create_future()
        number = (<Session*>address).consumer.number
        if number not in self.durable:
            future.set_result(0)
            return future
        self.wishes.setdefault(number, []).append(future)
        self.loop.call_soon(self.begin_round)
        return future

    def begin_round(self):
        """One round for all who wish; what is wished meanwhile is for the next."""
        if self.taken is not None or not self.wishes or self.core.control == NULL:
            return
        self.taken, self.wishes = self.wishes, {}
        mail_init(&self.round.done, run_floor)
        with nogil:
            round_start(&self.round, self.core.exchange, self.core.wal, &self.box)

    cdef void on_floor(self):
        cdef SnapshotCommand* command
        taken, self.taken = self.taken, None
        for number, futures in taken.items():
            command = <SnapshotCommand*>malloc(sizeof(SnapshotCommand))
            if command == NULL:
                settle(futures, 0)
                continue
            mail_init(&command.mail, run_snapshot)
            command.session = <Session*><uintptr_t>self.durable[number]
            command.floor = self.round.floor
            self.saving.setdefault(number, []).extend(futures)
            mailbox_post(command.session.box, &command.mail)
        self.begin_round()

    cdef void on_news(self, uint32_t kind, uint64_t number, uint64_t value):
        if kind == NEWS_SAVED:
            settle(self.saving.pop(number, []), value)
        elif number in self.durable:
            self.wishes.setdefault(number, [])
            if self.loop is not None:
                self.loop.call_soon(self.begin_round)

    def take_news(self):
        """The doorbell rang."""
        if self.core.control == NULL:
            return
        mailbox_awake(&self.box, True)
        while True:
            mailbox_run(&self.box, 256, 0)
            if mailbox_may_sleep(&self.box):
                break

    def number_from(self, uint64_t first):
        """Sessions made from now on get higher numbers: no life of the broker uses another's."""
        self.core.last_number = first

    def session_restore(self, bytes client_id, uint32_t reactor, uint64_t number):
        """A session of the last life: its address. Before the reactors start; then subscribe it, then session_replay."""
        cdef Session* session
        cdef SessionMark* mark = session_log_found(self.core.log, number)
        self.core.boxes[reactor] = self.core.exchange.boxes[reactor]
        session = session_again(self.core, client_id, <uint32_t>len(client_id), reactor, number)
        if session == NULL:
            raise MemoryError
        session.persistent = session.durable = 1
        if mark != NULL:
            session.consumer.floor = mark.floor
        self.session_keep(<uintptr_t>session)
        return <uintptr_t>session

    def session_replay(self, uintptr_t address):
        """Its window, its queue and its open identifiers, as the journal has them. Returns (entries that could not be read,
        floor: what stands in the journal from there on, the exchange has to deliver again)."""
        cdef Session* session = <Session*>address
        cdef SessionMark* mark = session_log_found(self.core.log, session.consumer.number)
        self.online()
        session_log_hold(self.core.log)
        try:
            unreadable = restore_session(session, mark, self.keep[2])
        finally:
            session_log_release(self.core.log)
            qsbr_offline(self.qsbr)
        return unreadable, session.consumer.floor

    def restored(self):
        """Every session that is wanted has been restored."""
        session_log_recovered(self.core.log)

    cdef int online(self) except -1:
        if self.qsbr < 0:
            self.qsbr = qsbr_register()
            if self.qsbr < 0:
                raise RuntimeError("no QSBR slot is left for the control plane's thread")
        qsbr_online(self.qsbr)
        return 0

    @staticmethod
    def attach_payload(bytes connack, *, uint8_t version, int64_t keep_alive_ms, uint32_t max_packet_out,
                       uint16_t send_maximum, uint16_t alias_out_max, bint persistent, uint32_t order=0):
        """What the ATTACH answer carries."""
        cdef Attach how
        memset(&how, 0, sizeof(Attach))
        how.keep_alive_ns = keep_alive_ms * 1_000_000
        how.max_packet_out = max_packet_out
        how.send_maximum = send_maximum
        how.alias_out_max = alias_out_max
        how.version = version
        how.persistent = persistent
        how.order = order
        return PyBytes_FromStringAndSize(<char*>&how, sizeof(Attach)) + connack

    def publish(self, bytes frame, bytes client_id=b"", uint64_t origin=0):
        """Append a PUBLISH packet of version 5 (a will) and tell its subscribers; a Status. Control plane's thread only."""
        cdef Status status
        cdef const uint8_t* data = frame
        cdef uint64_t n = len(frame)
        cdef const uint8_t* client = client_id
        cdef uint32_t client_len = <uint32_t>len(client_id)
        self.online()
        with nogil:
            status = inbound_publish_frame(self.core, data, n, client, client_len, origin)
            qsbr_offline(self.qsbr)
        return int(status)

    def await_room(self, told):
        """After a `publish` of STORE_FULL: call `told` on the watched loop when the journal may have room again. False: it will
        not, the disk is full."""
        if self.core.control == NULL or journal_health(self.core.wal) != Status.OK:
            return False
        self.on_room = told
        journal_want_room(self.core.wal, &self.box, &self.room)
        return True

    def wake(self):
        """Something may have come from the blob store: sessions that wait for a message of theirs look again."""
        stalled_wake(self.core)

    def close(self):
        """Give back what the control plane's thread holds. Same thread as `publish`; after the reactors ended."""
        if self.qsbr >= 0:
            qsbr_unregister(self.qsbr)
            self.qsbr = -1
        if self.core.control != NULL:
            journal_forget(self.core.wal, &self.room)
            self.on_room = nobody
            if self.loop is not None and not self.loop.is_closed():
                self.loop.remove_reader(self.box.event_fd)
            self.loop = None
            mailbox_run(&self.box, <uint32_t>-1, 0)
            self.core.control = NULL
            mailbox_close(&self.box)
            for pending in (self.wishes, self.taken or {}, self.saving):
                for number in list(pending):
                    settle(pending.pop(number), 0)

    def counters(self):
        """One dict per reactor that has had anything to count, and the control plane's last."""
        return [counters_dict(&self.core.counters[i]) for i in range(REACTORS_MAX + 1)]
