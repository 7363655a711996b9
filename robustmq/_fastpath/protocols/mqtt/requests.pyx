"""SUBSCRIBE and UNSUBSCRIBE in the reactor: see requests.pxd."""
from libc.stdint cimport uint16_t
from libc.string cimport memcmp, memset
from robustmq._fastpath.broker.index cimport LEVELS_MAX, Sub, index_place
from robustmq._fastpath.broker.retained cimport replay_start, replay_stop
from robustmq._fastpath.broker.subscriptions cimport subscriptions_add, subscriptions_full, subscriptions_remove
from robustmq._fastpath.cursor cimport load_be16
from robustmq._fastpath.out cimport out_commit, out_reserve
from robustmq._fastpath.protocols.mqtt.wire cimport (
    Bytes, PacketType, Property, Reason, Version, put_u16, take_section, take_string, take_varint,
)


cdef enum:
    FILTERS_MAX = 64            # of a request that is answered here: its answer's header has two bytes
    ANSWER_MAX = 5 + FILTERS_MAX
    NO_SUBSCRIPTION_EXISTED = 0x11

cdef enum Option:               # [MQTT-3.8.3.1]
    QOS = 3
    NO_LOCAL = 4
    RETAIN_AS_PUBLISHED = 8
    RETAIN_HANDLING = 0x30
    RETAIN_IF_NEW = 0x10
    RETAIN_NEVER = 0x20


cdef struct Wanted:
    Bytes filter
    uint8_t options


cdef struct Request:
    uint32_t identifier         # subscription identifier, 0 none
    uint32_t count
    uint16_t packet_id
    Wanted wanted[FILTERS_MAX]


cdef bint plain(const Bytes* filter) noexcept nogil:
    """A valid topic filter [MQTT-4.7.1-1, -2, 4.7.3-1] that is no shared one and not too deep for the index."""
    cdef const uint8_t* p = filter.data
    cdef uint32_t i, levels = 1
    if filter.n == 0 or (filter.n > 6 and memcmp(p, b"$share/", 7) == 0):
        return False
    for i in range(filter.n):
        if p[i] == c"/":
            levels += 1
        elif p[i] == c"+" or p[i] == c"#":
            if i > 0 and p[i - 1] != c"/" or i + 1 < filter.n and (p[i] == c"#" or p[i + 1] != c"/"):
                return False
    return levels <= LEVELS_MAX


cdef bint read_properties(const uint8_t** at, const uint8_t* end, bint subscribe, Request* out) noexcept nogil:
    cdef Bytes section, skipped
    cdef uint32_t id = 0
    cdef const uint8_t* p
    if take_section(at, end, &section) != Status.OK:
        return False
    p = section.data
    end = p + section.n
    while p < end:
        if take_varint(&p, end, &id) != Status.OK:
            return False
        if id == Property.USER_PROPERTY:
            if take_string(&p, end, &skipped) != Status.OK or take_string(&p, end, &skipped) != Status.OK:
                return False
        elif id != Property.SUBSCRIPTION_ID or not subscribe or out.identifier:     # once [MQTT-3.8.2.1.2]
            return False
        elif take_varint(&p, end, &out.identifier) != Status.OK or out.identifier == 0:
            return False
    return True


cdef bint read_request(const Session* session, const uint8_t* frame, uint32_t header, uint32_t total,
                       Request* out) noexcept nogil:
    """False: something in it is not to be granted here."""
    cdef bint subscribe = frame[0] >> 4 == PacketType.SUBSCRIBE
    cdef bint v5 = session.version == Version.V5
    cdef const uint8_t* at = frame + header + 2
    cdef const uint8_t* end = frame + total
    cdef Wanted* wanted
    out.identifier = out.count = 0
    if frame[0] & 15 != 2 or end < at:
        return False
    out.packet_id = load_be16(frame + header)
    if out.packet_id == 0 or (v5 and not read_properties(&at, end, subscribe, out)):
        return False
    while at < end:
        if out.count == FILTERS_MAX:
            return False
        wanted = &out.wanted[out.count]
        if take_string(&at, end, &wanted.filter) != Status.OK or not plain(&wanted.filter):
            return False
        if subscribe:
            if at == end or index_place(&session.core.denied, wanted.filter.data, wanted.filter.n) != NULL:
                return False
            wanted.options = at[0]
            at += 1
            if (wanted.options & Option.QOS == 3 or wanted.options & (0xC0 if v5 else 0xFC)
                    or wanted.options & Option.RETAIN_HANDLING == Option.RETAIN_HANDLING):
                return False
        out.count += 1
    return out.count > 0


cdef Status put_answer(Session* session, uint32_t packet, const Request* request, const uint8_t* codes) noexcept nogil:
    """SUBACK and UNSUBACK; 3.x has no codes in the latter [MQTT-3.11], and 0x80 for all that fails in the former."""
    cdef uint8_t* p = out_reserve(&session.link.out, ANSWER_MAX)
    cdef bint v5 = session.version == Version.V5
    cdef uint32_t i, n = request.count if v5 or packet == PacketType.SUBACK else 0
    if p == NULL:
        return Status.NO_MEMORY
    p[0] = <uint8_t>(packet << 4)
    p[1] = <uint8_t>(2 + v5 + n)
    p = put_u16(p + 2, request.packet_id)
    if v5:
        p[0] = 0                                                        # no properties
        p += 1
    for i in range(n):
        p[i] = codes[i] if v5 else min(codes[i], <uint8_t>Reason.UNSPECIFIED)
    out_commit(&session.link.out, 4 + v5 + n)
    session.counters.sent[packet] += 1
    return Status.OK


cdef Status replay(Session* session, const Request* request, uint32_t i) noexcept nogil:
    cdef const Wanted* wanted = &request.wanted[i]
    return replay_start(session.core.exchange, &session.consumer, wanted.filter.data, wanted.filter.n,
                        wanted.options & Option.QOS, request.identifier, False)


cdef Status subscribe(Session* session, const Request* request) noexcept nogil:
    cdef uint8_t codes[FILTERS_MAX]
    cdef bint asked[FILTERS_MAX]
    cdef Sub sub
    cdef const Wanted* wanted
    cdef bint existed
    cdef Status status
    cdef uint32_t i
    memset(&sub, 0, sizeof(sub))
    sub.consumer = session
    sub.id = request.identifier
    for i in range(request.count):
        wanted = &request.wanted[i]
        sub.qos = wanted.options & Option.QOS
        sub.no_local = wanted.options & Option.NO_LOCAL != 0
        sub.retain_as_published = wanted.options & Option.RETAIN_AS_PUBLISHED != 0
        status = subscriptions_add(&session.consumer.subscriptions, &session.core.exchange.index, wanted.filter.data,
                                   wanted.filter.n, &sub, session.core.limits.max_subscriptions, &existed)
        codes[i] = sub.qos if status == Status.OK else <uint8_t>Reason.QUOTA_EXCEEDED
        asked[i] = status == Status.OK and not (        # [MQTT-3.3.1-9 to -11]
            wanted.options & Option.RETAIN_NEVER or (existed and wanted.options & Option.RETAIN_IF_NEW))
    status = put_answer(session, PacketType.SUBACK, request, codes)
    for i in range(request.count):
        if status == Status.OK and asked[i]:
            status = replay(session, request, i)
    return status


cdef Status unsubscribe(Session* session, const Request* request) noexcept nogil:
    cdef uint8_t codes[FILTERS_MAX]
    cdef const Bytes* filter
    cdef uint32_t i
    for i in range(request.count):
        filter = &request.wanted[i].filter
        codes[i] = Reason.SUCCESS if subscriptions_remove(
            &session.consumer.subscriptions, &session.core.exchange.index, filter.data, filter.n,
            session) else <uint8_t>NO_SUBSCRIPTION_EXISTED
        if codes[i] == Reason.SUCCESS:                                  # [MQTT-3.10.4-2]
            replay_stop(session.core.exchange, &session.consumer, filter.data, filter.n, False)
    return put_answer(session, PacketType.UNSUBACK, request, codes)


cdef Status request_answer(Session* session, const uint8_t* frame, uint32_t header, uint32_t total) noexcept nogil:
    cdef Request request
    if frame[0] >> 4 == PacketType.SUBSCRIBE and session.consumer.replaying >= session.core.limits.max_subscriptions:
        return Status.QUOTA
    if session.durable or not read_request(session, frame, header, total, &request):
        return Status.PARKED
    if frame[0] >> 4 == PacketType.UNSUBSCRIBE:
        return unsubscribe(session, &request)
    if subscriptions_full(&session.consumer.subscriptions, request.count, session.core.limits.max_subscriptions):
        return Status.PARKED
    return subscribe(session, &request)
