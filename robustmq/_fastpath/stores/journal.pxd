"""One append-only journal of framed entries in recycled segments; the file-backed and the memory store are the same
code over two backings.

    position = segment sequence * segment size + offset in the segment         (64 bits, never reused)

    entry    | mark u64 | crc u32 | kind u16 | flags u16 | stream u64 | base_offset u64 | origin u64 | aux u64 | body ...
             0          8         12         14          16           24                32           40        48
    mark     = segment nonce << 32 | total length (header + body, without padding); written last (release).
               The nonce is random for each life of a segment: what a recycled segment held before is never taken for
               an entry, not even when a peer chose those bytes.
    crc      = CRC32C of header[12..48) and the body; for kind BATCH of header[12..48) and the first 61 bytes of the
               body, whose own CRC32C covers the rest.
    entries start on 8-byte boundaries; an entry never spans segments.

Promises: `journal_append` returns when the bytes are in the mapping (they survive SIGKILL of the process). They
survive power loss once `durable >= position + length`.

Concurrency: any thread appends (space is reserved with one fetch_add, copied without a lock, published by the mark).
One commit thread syncs; it writes `durable` (release). Readers follow a position that a partition published to them and
hold a segment reference (or are inside a QSBR read section) while they look.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from robustmq._fastpath.block cimport Ref
from robustmq._fastpath.mailbox cimport Mail, Mailbox
from robustmq._fastpath.status cimport Status


cdef enum EntryKind:
    ENTRY_PAD = 0           # skip; to the next page after a group commit, or the rest of a segment
    ENTRY_BATCH = 1         # a record batch v2 of `stream`
    ENTRY_STREAM = 2        # the directory: `stream` is partition N of topic NAME (body: docs/formats/journal.md)
    ENTRY_STREAM_END = 3    # the stream was deleted
    ENTRY_STATE = 4         # state that is rebuilt at start and carried forward when its segment is retired


cdef enum EntryFlags:
    FROM_MQTT = 1           # records carry MQTT semantics (QoS headers)
    FROM_KAFKA = 2
    FROM_AMQP = 3
    FROM_MASK = 15


cdef struct Entry:
    uint64_t mark
    uint32_t crc
    uint16_t kind
    uint16_t flags
    uint64_t stream
    uint64_t base_offset
    uint64_t origin         # who published (an MQTT session's number), for no-local; 0 unknown
    uint64_t aux            # by kind
    # body follows


cdef inline uint32_t entry_length(const Entry* entry) noexcept nogil:
    return <uint32_t>entry.mark


cdef inline uint8_t* entry_body(const Entry* entry) noexcept nogil:
    return <uint8_t*>entry + sizeof(Entry)


cdef inline uint32_t entry_body_length(const Entry* entry) noexcept nogil:
    return <uint32_t>entry.mark - <uint32_t>sizeof(Entry)


cdef struct Journal         # private: stores/journal.pyx


# Append one entry; `body` may come in two parts (both copied). `*position` = where it stands.
# STORE_FULL, READ_ONLY, TOO_LARGE (more than a quarter of a segment), NO_MEMORY.
cdef Status journal_append(Journal* journal, uint16_t kind, uint16_t flags, uint64_t stream, uint64_t base_offset,
                           uint64_t origin, uint64_t aux, const uint8_t* body, uint64_t n,
                           uint64_t* position) noexcept nogil

# The entry at `position`; NULL when its segment has been retired. Valid inside a QSBR read section, or as long as the
# reference from journal_pin is held.
cdef const Entry* journal_at(Journal* journal, uint64_t position) noexcept nogil

# The segment that holds `position`, with one reference more; NULL when retired.
cdef Ref* journal_pin(Journal* journal, uint64_t position) noexcept nogil

cdef uint64_t journal_tail(Journal* journal) noexcept nogil         # first position not yet reserved
cdef uint64_t journal_start(Journal* journal) noexcept nogil        # first position not yet retired
cdef uint64_t journal_durable(Journal* journal) noexcept nogil      # all before it survives power loss
cdef bint journal_is_memory(Journal* journal) noexcept nogil
cdef Status journal_health(Journal* journal) noexcept nogil         # OK, or the sticky STORE_FULL / STORE_FAILED

# Ask the commit thread to make everything up to `position` durable, and to post `mail` to `box` whenever `durable`
# has moved. The mail is queued at most once at a time.
cdef void journal_want_sync(Journal* journal, uint64_t position, Mailbox* box, Mail* mail) noexcept nogil
