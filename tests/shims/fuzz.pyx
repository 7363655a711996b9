"""Fuzz targets: one C function per decoder, `int target(const uint8_t* data, size_t n)`, called without the GIL.

Each copies its input to a block of exactly its size, so that AddressSanitizer sees a read behind the last byte.
"""
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport abort
from libc.string cimport memcpy
from robustmq._fastpath.batch cimport (
    BATCH_ATTRIBUTES, BATCH_CRC, BATCH_HEADER, CODEC_NONE, HeaderView, RecordView, batch_codec, batch_record_count,
    batch_validate, header_next, record_next)
from robustmq._fastpath.block cimport Block, block_data, ref_release
from robustmq._fastpath.crc cimport crc32c
from robustmq._fastpath.cursor cimport Cursor, cursor_init, store_be32
from robustmq._fastpath.link cimport Link, Protocol, ProtocolHandle
from robustmq._fastpath.mailbox cimport mailbox_run
from robustmq._fastpath.out cimport out_clear
from robustmq._fastpath.protocols.mqtt.wire cimport (
    Ack, Bytes, Disconnect, PacketType, Publish, decode_ack, decode_disconnect, decode_publish, next_user_property,
    read_header, valid_topic_name)
from robustmq._fastpath.qsbr cimport qsbr_offline, qsbr_online, qsbr_register
from robustmq._fastpath.reactor.reactors cimport Reactors, reactors_mailbox
from robustmq._fastpath.status cimport Status
from tests.shims.link_host cimport Seen, exact_block, link_prepare, take_posted


cdef struct Accept:                 # how an MQTT CONNECT is answered
    uintptr_t session
    uint64_t n
    uint8_t data[256]


cdef const Protocol* TABLE = NULL
cdef Accept[4] ACCEPTS
cdef uint32_t ACCEPTED = 0
cdef Accept* ACCEPT = NULL          # for the current connection
cdef uint8_t[18] CONNECT
CONNECT[:] = [0x10, 16, 0, 4, 0x4D, 0x51, 0x54, 0x54, 4, 2, 0, 0, 0, 4, 0x66, 0x75, 0x7A, 0x7A]
cdef Seen SEEN
cdef int SLOT = -1
cdef uint64_t TURN = 0


cdef int batch_target(const uint8_t* data, size_t n) noexcept nogil:
    """A record batch whose checksum is made right: what validation lets through must walk cleanly."""
    cdef Block* block = exact_block(data, n)
    cdef uint8_t* batch = block_data(block)
    cdef Cursor c, h
    cdef RecordView view
    cdef HeaderView header
    cdef int32_t i
    if n >= BATCH_HEADER:
        store_be32(batch + BATCH_CRC, crc32c(0, batch + BATCH_ATTRIBUTES, n - BATCH_ATTRIBUTES))
    if batch_validate(batch, n, 1 << 20) == Status.OK and batch_codec(batch) == CODEC_NONE:
        cursor_init(&c, batch + BATCH_HEADER, n - BATCH_HEADER)
        for i in range(batch_record_count(batch)):
            if not record_next(&c, &view):
                abort()
            if view.headers != NULL:
                cursor_init(&h, view.headers, view.headers_len)
                while header_next(&h, &header):
                    pass
        if c.p != c.end:
            abort()
    ref_release(&block.ref)
    return 0


cdef int frame_target(const uint8_t* data, size_t n) noexcept nogil:
    """One MQTT frame for the hot decoders; the first byte is the protocol's version."""
    cdef Block* block
    cdef const uint8_t* frame
    cdef const uint8_t* at
    cdef uint32_t header = 0, total = 0
    cdef Publish publish
    cdef Ack ack
    cdef Disconnect bye
    cdef Bytes key, value
    cdef uint8_t version = data[0] % 3 + 3 if n > 0 else 0
    if n < 2:
        return 0
    block = exact_block(data + 1, n - 1)
    frame = block_data(block)
    if read_header(frame, n - 1, &header, &total) == Status.OK and total <= n - 1:
        if frame[0] >> 4 == PacketType.PUBLISH:
            if decode_publish(frame + header, total - header, frame[0], version, &publish) == Status.OK:
                valid_topic_name(publish.topic.data, publish.topic.n)
                at = publish.properties.data
                while at != NULL and next_user_property(&at, publish.properties.data + publish.properties.n, &key,
                                                        &value):
                    pass
        elif frame[0] >> 4 == PacketType.DISCONNECT:
            decode_disconnect(frame + header, total - header, frame[0], version, &bye)
        else:
            decode_ack(frame + header, total - header, frame[0], version, &ack)
    ref_release(&block.ref)
    return 0


cdef void answer_posts(Link* link) noexcept nogil:
    """The control plane says something harmless to each frame; an MQTT CONNECT is accepted."""
    cdef uint8_t[8] answer
    cdef uint32_t kind = 0
    cdef uint32_t say = 1
    cdef Status status
    answer[:] = [0xD0, 0, 0xD0, 0, 0xD0, 0, 0xD0, 0]
    while take_posted(&SEEN, &kind):
        if SEEN.closing:
            continue
        if ACCEPT != NULL and link.session == NULL:
            status = link.protocol.on_answer(link, 1, ACCEPT.data, ACCEPT.n, <void*>ACCEPT.session, 2_000_000)
        else:
            say = 2 if ACCEPT != NULL else 1                            # REPLY, ANSWER
            status = link.protocol.on_answer(link, say, answer, 8, NULL, 2_000_000)
        if status != Status.OK:
            SEEN.closing = status


cdef void run_events(Link* link) noexcept nogil:
    """What a host would bring back to a parked or waiting link."""
    mailbox_run(SEEN.box, 16, 2_000_000)
    if link.awaits_sync:
        link.awaits_sync = 0
        link.protocol.on_synced(link, <uint64_t>-1 >> 1, 2_000_000)
    answer_posts(link)
    if SEEN.deadline_ns and link.parked and not SEEN.closing:
        SEEN.deadline_ns = 0
        link.protocol.on_timer(link, 3_000_000)


cdef bint feed(Link* link, const uint8_t* data, uint64_t n, uint64_t step) noexcept nogil:
    """All of `data`, `step` bytes more each time. False: the link stopped reading."""
    cdef Block* block
    cdef uint64_t start = 0, end = min(step, n), used, need
    cdef Status status
    while start < n and not SEEN.closing:
        block = exact_block(data + start, end - start)
        used = 0
        need = 0
        status = TABLE.on_bytes(link, block, block_data(block), end - start, &used, &need, 1_000_000)
        ref_release(&block.ref)
        if used > end - start:
            abort()
        start += used
        run_events(link)
        out_clear(&link.out)
        if status != Status.OK and status != Status.NEED_MORE and status != Status.PARKED:
            SEEN.closing = status
        elif link.parked or status == Status.NEED_MORE and end == n or status == Status.OK and used == 0:
            break
        end = min(end + step, n)
    return not SEEN.closing and not link.parked


cdef int link_target(const uint8_t* data, size_t n) noexcept nogil:
    """A whole connection. The first byte says how what follows is cut: 0 not at all, else pieces of that many bytes.
    For MQTT the second byte picks the session whose CONNECT comes first."""
    global TURN, ACCEPT
    cdef Link link
    cdef uint32_t kind = 0
    cdef uint64_t head = 1 + (1 if ACCEPTED > 0 else 0)
    if n <= head:
        return 0
    TURN += 1
    SEEN.deadline_ns = 0
    SEEN.closing = 0
    qsbr_online(SLOT)
    ACCEPT = &ACCEPTS[data[1] % ACCEPTED] if ACCEPTED > 0 else NULL
    link_prepare(&link, &SEEN, TABLE, (TURN << 24) % (<uint64_t>1 << 56))
    if TABLE.open(&link, 1_000_000) == Status.OK:
        if ACCEPTED == 0 or feed(&link, CONNECT, sizeof(CONNECT), sizeof(CONNECT)):
            feed(&link, data + head, n - head, data[0] if data[0] else n)
        TABLE.on_close(&link, <Status>(SEEN.closing if SEEN.closing else <uint32_t>Status.PEER_CLOSED), 4_000_000)
    while take_posted(&SEEN, &kind):
        pass
    mailbox_run(SEEN.box, 64, 5_000_000)
    out_clear(&link.out)
    qsbr_offline(SLOT)
    return 0


def accept(uintptr_t session, bytes answer):
    """Connections begin with a CONNECT, which is answered with `answer` and attached to `session`."""
    global ACCEPTED
    ACCEPTS[ACCEPTED].session = session
    ACCEPTS[ACCEPTED].n = len(answer)
    memcpy(ACCEPTS[ACCEPTED].data, <const uint8_t*>answer, len(answer))
    ACCEPTED += 1


def address(str name, ProtocolHandle handle=None, Reactors reactors=None):
    """The address of a target: "batch", "frame", or "link" for connections of the protocol `handle`, whose mail goes
    through the first of `reactors` (never started)."""
    global TABLE, SLOT
    if name == "batch":
        return <uintptr_t>&batch_target
    if name == "frame":
        return <uintptr_t>&frame_target
    TABLE = handle.table
    SEEN.box = reactors_mailbox(reactors, 0)
    SLOT = qsbr_register()
    qsbr_offline(SLOT)
    return <uintptr_t>&link_target
