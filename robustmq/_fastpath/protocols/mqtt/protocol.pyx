"""Python's handle of MQTT: made by the composition root, commanded by the cold half (service.py).

A session is named by its address, an int that the cold half got from `session_open` and gives up with `session_end`. What
changes a session travels to its home reactor as mail, in the order in which it was sent.
"""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset
from robustmq._fastpath.broker.retained cimport replay_cancel
from robustmq._fastpath.broker.routes cimport REACTORS_MAX, Exchange
from robustmq._fastpath.broker.topic cimport Topics
from robustmq._fastpath.link cimport OUT_HIGH_WATER, Link
from robustmq._fastpath.mailbox cimport Mail, Mailbox, mail_init, mailbox_post
from robustmq._fastpath.protocols.mqtt.inbound cimport collector_free, inbound_publish_frame
from robustmq._fastpath.protocols.mqtt.link_events cimport events_install
from robustmq._fastpath.protocols.mqtt.session cimport (
    DROPS, Attach, Core, Counters, Session, SessionState, session_detach, session_forget, session_free, session_goodbye,
    session_move, session_new,
)
from robustmq._fastpath.protocols.mqtt.window cimport window_give_back
from robustmq._fastpath.protocols.mqtt.wire cimport Reason
from robustmq._fastpath.qsbr cimport qsbr_offline, qsbr_online, qsbr_register, qsbr_retire, qsbr_unregister
from robustmq._fastpath.status cimport Status
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
        session_detach(session)
        link.host.close(link, Status.TAKEN_OVER if command.reason == Reason.SESSION_TAKEN_OVER else Status.ADMIN_CLOSED)
    session_move(session, SessionState.ENDED)
    replay_cancel(&session.consumer)
    window_give_back(session)
    session_forget(session)
    qsbr_retire(session, free_session)          # a feed may be delivering to it by routes of a moment ago
    free(command)


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
        queued=c.queued,
        inflight=c.inflight, awaiting_disk=c.awaiting_disk, connected=c.connected,
    )
    return named


cdef class MqttProtocol(ProtocolHandle):
    """MQTT over one log and one exchange. Limits are those of the configuration's section `mqtt`."""

    def __cinit__(self, *args, **kwargs):
        self.core = <Core*>calloc(1, sizeof(Core))
        if self.core == NULL:
            raise MemoryError
        self.qsbr = -1
        self.table = &self.core.table

    def __init__(self, Log log, Topics topics, exchange, *, max_packet_size=1 << 20, max_queued=1000,
                 receive_maximum=1024, topic_alias_max=64, max_inflight=1000, connect_timeout_ms=10_000,
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
        self.core.limits.connect_timeout_ns = connect_timeout_ms * 1_000_000
        self.core.limits.high_water = high_water_bytes
        events_install(self.core)

    def __dealloc__(self):
        cdef uint32_t i
        if self.core != NULL:
            for i in range(REACTORS_MAX + 1):
                collector_free(self.core.collectors[i])
            free(self.core)

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
        """The session is over; a connection of it is told `reason`. The address is not used after this call, and the
        caller has removed its subscriptions."""
        cdef EndCommand* command = <EndCommand*>malloc(sizeof(EndCommand))
        cdef Session* session = <Session*>address
        if command == NULL:
            raise MemoryError
        mail_init(&command.mail, run_end)
        command.session = session
        command.reason = reason
        mailbox_post(session.box, &command.mail)

    @staticmethod
    def attach_payload(bytes connack, *, uint8_t version, int64_t keep_alive_ms, uint32_t max_packet_out,
                       uint16_t send_maximum, uint16_t alias_out_max, bint persistent):
        """What the ATTACH answer carries."""
        cdef Attach how
        memset(&how, 0, sizeof(Attach))
        how.keep_alive_ns = keep_alive_ms * 1_000_000
        how.max_packet_out = max_packet_out
        how.send_maximum = send_maximum
        how.alias_out_max = alias_out_max
        how.version = version
        how.persistent = persistent
        return PyBytes_FromStringAndSize(<char*>&how, sizeof(Attach)) + connack

    def publish(self, bytes frame, bytes client_id=b"", uint64_t origin=0):
        """Append a PUBLISH packet of version 5 (a will) and tell its subscribers; a Status. Control plane's thread only."""
        cdef Status status
        cdef const uint8_t* data = frame
        cdef uint64_t n = len(frame)
        cdef const uint8_t* client = client_id
        cdef uint32_t client_len = <uint32_t>len(client_id)
        if self.qsbr < 0:
            self.qsbr = qsbr_register()
            if self.qsbr < 0:
                raise RuntimeError("no QSBR slot is left for the control plane's thread")
        with nogil:
            qsbr_online(self.qsbr)
            status = inbound_publish_frame(self.core, data, n, client, client_len, origin)
            qsbr_offline(self.qsbr)
        return int(status)

    def close(self):
        """Give back what the control plane's thread holds. Same thread as `publish`; after the reactors ended."""
        if self.qsbr >= 0:
            qsbr_unregister(self.qsbr)
            self.qsbr = -1

    def counters(self):
        """One dict per reactor that has had anything to count, and the control plane's last."""
        return [counters_dict(&self.core.counters[i]) for i in range(REACTORS_MAX + 1)]
