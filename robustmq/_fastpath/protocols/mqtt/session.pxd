"""An MQTT session: what the broker keeps for one client identifier, and the protocol's state that all sessions share.

A session outlives its connections. It has a home reactor for life; `link` is its connection there, NULL while the client
is away. Messages for it are not stored in it: its window and its queue hold positions in the log (rings.pxd).

                 ATTACH                          DISCONNECT sent or received
    OFFLINE  ------------->  ONLINE  ----------------------------->  CLOSING
       ^                       |  connection lost                       |
       +-----------------------+----------------------------------------+
       any  -- END -->  ENDED (freed after a grace period: routes may still name it)

Owner: the home reactor's thread, from session_new on. The control plane creates a session, names it by its address and
sends it `Command`s through the reactor's mailbox; it touches no field but subscriptions (broker/subscriptions.pxd). Counters have one writer each, the reactor.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from robustmq._fastpath.block cimport Ref
from robustmq._fastpath.broker.index cimport Index
from robustmq._fastpath.broker.routes cimport REACTORS_MAX, ROUTE_IDS_MAX, Consumer, Exchange, Route, Run
from robustmq._fastpath.broker.topic cimport Topic, TopicTable
from robustmq._fastpath.link cimport Link, Protocol
from robustmq._fastpath.mailbox cimport Mail, Mailbox
from robustmq._fastpath.protocols.mqtt.rings cimport Acks, IdSet, Slot, Slots
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.journal cimport Journal
from robustmq._fastpath.stores.log cimport LogCore


cdef enum SessionState:
    OFFLINE = 0
    ONLINE = 1
    CLOSING = 2
    ENDED = 3


# Why a message did not reach a subscriber. Each is a counter; /metrics names them.
cdef enum Dropped:
    DROP_QUEUE_FULL = 0         # mqtt.max_queued
    DROP_OFFLINE = 1            # QoS 0 (or no session) while the client is away
    DROP_EXPIRED = 2            # message expiry interval
    DROP_EVICTED = 3            # left the log before the client took it
    DROP_TOO_LARGE = 4          # beyond the client's maximum packet size
    DROP_SLOW = 5               # QoS 0 beyond half of the queue, behind a slow client
    DROP_NO_MEMORY = 6
    DROP_UNPUBLISHABLE = 7      # from a client: its topic, or the log, refused it
    DROPS = 8


cdef struct Counters:           # one per reactor; read relaxed by the control plane
    uint64_t received[16]       # packets by type
    uint64_t sent[16]
    uint64_t messages_in[3]     # PUBLISH by QoS
    uint64_t messages_out[3]
    uint64_t bytes_in           # of PUBLISH packets
    uint64_t bytes_out
    uint64_t dropped[8]         # by Dropped
    uint64_t redelivered
    uint64_t duplicates_in      # QoS 2 packets that came again
    uint64_t batches_in         # appends
    uint64_t refused            # connections closed for a fault of the client's
    uint64_t keep_alive_expired
    uint64_t retained_refused   # mqtt.max_retained topics have one: published, not retained
    uint64_t events_lost        # of persistent sessions: the journal did not take them
    uint64_t snapshots_lost
    uint64_t queued             # now
    uint64_t inflight           # now, towards clients
    uint64_t awaiting_disk      # now, acknowledgements
    uint64_t connected          # now
    uint64_t orphans            # now, messages on their way from the blob store to another member of a shared group
    uint64_t padding[5]         # the next reactor's counters start on another cache line


cdef struct Limits:
    uint32_t max_packet_size
    uint32_t first_packet_size  # before CONNECT
    uint32_t max_queued
    uint32_t receive_maximum
    uint32_t topic_alias_max
    uint32_t max_inflight       # towards a 3.x client
    uint32_t high_water
    uint32_t max_orphans        # a reactor
    uint32_t max_subscriptions  # a session
    uint32_t reserved
    int64_t connect_timeout_ns


cdef struct Collector           # collector.pxd; one per reactor


cdef struct Orphans             # private: orphans.pyx; one per reactor


cdef struct Ledger:             # events of a turn on their way to the journal; durable.pxd
    uint8_t* data
    uint32_t len
    uint32_t cap


cdef struct Core
cdef struct Session


cdef struct Arrival:            # stalled.pxd; one per reactor
    Mail mail
    Session* stalled            # its reactor's
    uint64_t asked              # loads, since start; its reactor's
    uint64_t loaded             # of these; its reactor's
    Core* core
    uint32_t reactor
    uint32_t reserved
    void (*on_arrival)(Session* session, int64_t now_ns) noexcept nogil


cdef struct Core:
    Protocol table              # first: link.protocol is the Core
    Exchange* exchange
    TopicTable* topics
    LogCore* log
    Journal* wal                # NULL with a memory-only log
    Limits limits
    Index denied                                # filters that nobody may subscribe to; does not change
    Mailbox* boxes[REACTORS_MAX]                # of the reactors, as their first connection showed them; release
    uint64_t last_number        # Consumer.number; atomic
    void (*deliver)(Consumer* self, const Route* route, Run* run, int64_t now_ns) noexcept nogil    # of every session
    Collector* collectors[REACTORS_MAX + 1]     # the last one belongs to the control plane's thread
    Mailbox* control                            # of the control plane; NULL: sessions end with the broker
    void (*on_news)(Mail* mail, void* receiver, int64_t now_ns) noexcept nogil
    Ledger ledgers[REACTORS_MAX + 1]
    Arrival arrivals[REACTORS_MAX]
    Orphans* orphans[REACTORS_MAX]              # NULL: none yet
    Counters counters[REACTORS_MAX + 1]


cdef inline Core* core_of(const Link* link) noexcept nogil:
    return <Core*>link.protocol


cdef struct AliasIn:            # what the client said an alias means; the name's bytes
    uint8_t* name
    uint32_t n


cdef struct AliasOut:           # what we told the client: topics in the order of their aliases
    uint64_t topics[1]          # first 8 bytes of the topic's random id; `alias_out_max` of them


cdef struct Grant:              # how a message matched, for messages that wait
    uint32_t uses               # slots that name it
    uint32_t count
    uint32_t ids[ROUTE_IDS_MAX] # subscription identifiers to send with it
    uint64_t group              # key of the shared group to give it back to; 0: none


cdef struct Kept:               # bytes that slots need and no journal holds as they are: a batch that was compressed
    Ref* ref
    const uint8_t* batch
    uint64_t n
    uint32_t uses               # slots that name it; of one session
    uint16_t flags              # EntryFlags
    uint16_t reserved


cdef struct Session:
    Consumer consumer           # first: the Consumer is the Session
    Core* core
    Link* link                  # NULL while away
    Mailbox* box                # of the home reactor
    Counters* counters          # of the home reactor
    int64_t last_seen_ns
    int64_t keep_alive_ns       # 1.5 times the agreed one; 0: off
    Slots flight                # QoS > 0, sent; consecutive packet identifiers
    Slots queue                 # not sent yet
    Acks acks                   # to the client, waiting for the disk
    IdSet* received             # QoS 2 identifiers between PUBLISH and PUBREL
    AliasIn* aliases_in         # topic_alias_max of them, on demand
    AliasOut* aliases_out       # on demand
    Grant* grants               # 255 at most, on demand
    Topic* topic                # what was published to last, valid while the table's epoch is `topic_epoch`
    uint64_t topic_epoch
    Session* stalled_next       # stalled.pxd
    Session* stalled_prev
    uint64_t load               # the number of its last one, of its reactor's
    uint64_t warm_from          # addresses: what that brought, or what was in memory already
    uint64_t warm_to
    uint64_t sequence           # of its last entry in the journal
    uint64_t events_end         # the journal's tail behind its last events
    Ledger backlog              # events that the journal had no room for (durable.pxd); it has no connection meanwhile
    Collector* unstored         # messages that it had no room for; the connection waits. inbound.pxd
    uint32_t attached           # Attach.order of its last connection
    uint32_t events_bytes       # since its last snapshot
    uint32_t considered         # records since then
    uint32_t topic_partition
    uint32_t max_packet_out     # the client's
    uint32_t resent             # slots of `flight` that this connection has seen
    uint32_t on_wire            # of those, not yet acknowledged
    uint32_t unacked_out        # in `flight`, not yet acknowledged
    uint32_t unacked_in         # QoS > 0 from the client, not yet acknowledged
    uint32_t queued_qos0
    uint16_t send_maximum       # the client's receive maximum, or mqtt.max_inflight
    uint16_t last_packet_id
    uint16_t alias_out_max
    uint16_t alias_out_count
    uint16_t grant_count
    uint8_t version
    uint8_t state               # SessionState; session_move is its only writer
    uint8_t persistent          # QoS > 0 waits for an absent client
    uint8_t said_goodbye        # a DISCONNECT went out on this connection
    uint8_t durable             # persistent, and the log is on a disk
    uint8_t wished              # a snapshot was asked for
    uint8_t on_disk             # it has published to a topic whose promise is the disk's
    uint8_t stalled             # its next message is in the blob store, or on its way from the disk
    uint16_t client_id_len
    # client identifier follows


cdef inline const uint8_t* session_client_id(const Session* session) noexcept nogil:
    return <const uint8_t*>session + sizeof(Session)


# What a CONNECT negotiated; the ATTACH answer begins with it, the CONNACK follows.
cdef struct Attach:
    int64_t keep_alive_ns
    uint32_t max_packet_out
    uint16_t send_maximum
    uint16_t alias_out_max
    uint8_t version
    uint8_t persistent
    uint8_t reserved[2]
    uint32_t order              # of the session's CONNECTs: a link that moved may arrive behind a later one


# Kinds of `host.to_control` frames and of `on_answer` answers (link.pxd); also in service.py.
cdef enum ControlKind:
    FROM_LINK_CLOSED = 0        # the reactor's own: the connection is gone
    FROM_LINK_PACKET = 1        # CONNECT; SUBSCRIBE, UNSUBSCRIBE that requests.pxd leaves: the link is parked
    FROM_LINK_GOODBYE = 2       # DISCONNECT: reason u8, has expiry u8, expiry u32 little-endian

cdef enum AnswerKind:
    TO_LINK_ATTACH = 1          # object: Session*; data: Attach, CONNACK
    TO_LINK_REPLY = 2           # data: packets to send; parse on
    TO_LINK_REFUSE = 3          # data: status u8, packets to send; then close


# A connection of `reactor` was opened before (it knows the mailbox). NULL: memory is out.
cdef Session* session_new(Core* core, const uint8_t* client_id, uint32_t n, uint32_t reactor) noexcept nogil

# The same for a session of the broker's last life, which keeps its number.
cdef Session* session_again(Core* core, const uint8_t* client_id, uint32_t n, uint32_t reactor,
                            uint64_t number) noexcept nogil

# At once, when nobody can name it any more. It has ended: detached and forgotten before. Its Core may be gone already.
cdef void session_free(Session* session) noexcept nogil

# The only way to another state; False for a move that the picture above does not have.
cdef bint session_move(Session* session, SessionState to) noexcept nogil

# The session's connection is `link` from now on (its own reactor); an older one is told SESSION_TAKEN_OVER and closed.
# The caller resumes the output behind `connack` (window_resume).
cdef Status session_attach(Session* session, Link* link, const Attach* how, const uint8_t* connack, uint64_t n,
                           int64_t now_ns) noexcept nogil

# The connection is gone. What was sent stays in flight, for the next one.
cdef void session_detach(Session* session) noexcept nogil

# Put a DISCONNECT into the output (version 5) and go to CLOSING; the caller closes the link with a status.
cdef void session_goodbye(Session* session, uint8_t reason) noexcept nogil

# Give back the memory of what is empty.
cdef void session_trim(Session* session) noexcept nogil

# A grant equal to the route's, counted once more; 0 when it needs none, or when there is no room for another.
cdef uint8_t session_grant(Session* session, const Route* route) noexcept nogil

# Drop window and queue; the counters follow.
cdef void session_forget(Session* session) noexcept nogil

# What the slot refers to is not needed any more.
cdef void session_release(Session* session, Slot* slot) noexcept nogil
