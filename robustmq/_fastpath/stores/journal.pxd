"""One append-only journal of framed entries in recycled segments; the file-backed and the memory store are the same
code over two backings (docs/formats/journal.md).

    position = segment sequence * segment size + offset in the segment         (64 bits, never reused)

    entry    | mark u64 | crc u32 | kind u16 | flags u16 | stream u64 | base_offset u64 | origin u64 | aux u64 | body ...
             0          8         12         14          16           24                32           40        48
    mark     = segment nonce << 32 | length << 2 | pad << 1 | reserved, where length = header + body, without padding.
               Written twice: with `reserved` when the space is taken (so that a hole has a length and recovery walks over
               it), without when the entry is complete (release). The nonce is random for each life of a segment: what a
               recycled segment held before is never taken for an entry, not even when a peer chose those bytes.
    crc      = CRC32C of header[12..48) and the body; for kind BATCH of header[12..48) and the first 61 bytes of the
               body, whose own CRC32C covers the rest.
    entries start on 8-byte boundaries; an entry never spans segments. A pad is only its mark: it
    fills the page that a group commit closed, the rest of a segment, or what recovery had to drop.

Promises: `journal_append` returns when the bytes are in the mapping (they survive SIGKILL of the process). They survive
power loss once `durable >= position + length`.

Concurrency: any thread appends. `lock` covers taking the space and the first mark (a few stores); the copy happens outside.
`tail` and `durable` are written with release. Readers follow a position that a partition published to them and hold a
segment reference (or are inside a QSBR read section) while they look. Lock order: a partition's lock, roll_lock,
commit_lock, lock. An append waits for nothing but these locks, so that the keeper may take a partition's lock.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from robustmq._fastpath.atomic cimport load_acquire_u32, load_relaxed_u32, load_relaxed_u64, store_relaxed_u64
from robustmq._fastpath.block cimport Ref
from robustmq._fastpath.mailbox cimport Mail, Mailbox
from robustmq._fastpath.platform cimport pthread_cond_t, pthread_mutex_t, pthread_t, waker_t
from robustmq._fastpath.status cimport OK, STORE_FAILED, STORE_FULL, Status
from robustmq._fastpath.stores.producers cimport ProducerBounds
from robustmq._fastpath.stores.segment cimport Segment, SegmentStore


cdef enum EntryKind:
    ENTRY_BATCH = 1         # a record batch v2 of `stream`
    ENTRY_STREAM = 2        # the directory: `stream` is partition N of topic NAME, whose end was base_offset then
    ENTRY_STREAM_END = 3    # the stream was deleted
    ENTRY_STATE = 4         # a key of the state table, rebuilt at start and carried forward when its segment is retired
    ENTRY_PRODUCERS = 5     # the idempotent producers of `stream` as they stood here
    ENTRY_SESSION = 6       # a subscriber's durable session (sessions.pxd); `stream` is its number


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


cdef enum:
    MARK_RESERVED = 1
    MARK_PAD = 2
    SYNC_LISTENERS_MAX = 72             # every reactor, the control plane, room


cdef inline uint64_t entry_length(const Entry* entry) noexcept nogil:
    return <uint32_t>entry.mark >> 2


cdef inline uint8_t* entry_body(const Entry* entry) noexcept nogil:
    return <uint8_t*>entry + sizeof(Entry)


cdef inline uint64_t entry_body_length(const Entry* entry) noexcept nogil:
    return entry_length(entry) - sizeof(Entry)


# Bytes from an entry of this length to the next one.
cdef inline uint64_t entry_stride(uint64_t length) noexcept nogil:
    return (length + 7) & ~<uint64_t>7


# What an entry's header must say besides its mark.
cdef struct EntryHead:
    uint16_t kind
    uint16_t flags
    uint32_t leader_epoch               # BATCH: patched into the copy, with base_offset
    uint64_t stream
    uint64_t base_offset
    uint64_t origin
    uint64_t aux


cdef struct JournalCounters:
    uint64_t entries                    # under `lock`
    uint64_t bytes                      # under `lock`
    uint64_t syncs                      # these four under commit_lock
    uint64_t sync_ns
    uint64_t sync_ns_max
    uint64_t sync_buckets[32]           # sync_buckets[i]: syncs of less than 2^i µs
    uint64_t rolls                      # these two under roll_lock
    uint64_t roll_makes                 # appends that found no spare segment and had to make one
    uint64_t presses                    # these two under roll_lock
    uint64_t chokes
    uint64_t retired                    # who retires


# Each counter has one writer at a time; whoever reads takes what is there.
cdef inline void count(uint64_t* counter, uint64_t n) noexcept nogil:
    store_relaxed_u64(counter, load_relaxed_u64(counter) + n)


cdef struct Listener:
    Mailbox* box
    Mail* mail
    uint64_t wanted                     # 0: nothing
    uint32_t wants_room                 # once
    uint32_t watches_room               # for good


# Private to stores/; others use the functions below.
cdef struct Journal:
    # Read by everybody, written seldom.
    SegmentStore segments
    uint32_t memory                     # 1: anonymous memory, nothing is ever synced
    uint32_t health                     # Status; sticky, release
    uint64_t start                      # release by who retires: the keeper, or (behind != NULL) the sealer
    uint64_t most_segments              # above it the oldest is retired
    uint8_t[64] apart_1
    # The appenders' cache line.
    uint64_t tail                       # release under `lock`
    uint64_t prefault_at                # the tail that calls the keeper; under `lock`
    uint32_t lock
    uint32_t reserved
    uint8_t[64] apart_2
    uint64_t durable                    # release under commit_lock
    uint64_t wanted                     # somebody waits for durability up to here; atomic
    uint32_t stopping
    uint32_t threads                    # how many of keeper and committer run
    Segment* spare                      # prepared for the next roll; under roll_lock
    uint32_t pressed                    # 1: the keeper is behind; see journal_pressed
    uint32_t reserved_2
    pthread_cond_t relieved             # with roll_lock: pressed is 0 again
    uint64_t window                     # bytes to pre-fault ahead of the tail; keeper only
    uint64_t syncs_seen                 # counters.syncs when pages were last faulted ahead; keeper only
    uint64_t forgotten                  # first sequence still mapped into this process by recent appends; keeper only
    pthread_mutex_t roll_lock
    pthread_mutex_t commit_lock
    waker_t keeper_waker
    waker_t commit_waker
    waker_t* behind                     # rung when there may be segments to retire, whose retirer is not the keeper
    pthread_t keeper
    pthread_t committer
    Listener watcher                    # of the health; box NULL: nobody
    uint32_t listeners_lock
    uint32_t listener_count
    Listener listeners[SYNC_LISTENERS_MAX]
    ProducerBounds producers            # of each partition in it; bounds are set before threads run
    void* owner                         # for `carry`
    Journal* heir                       # where what must outlive a segment goes: itself, or the state log; set before threads run
    Journal* elder                      # whose heir it is: what fails here has failed there, too; NULL. Set before threads run
    # Called by who retires for each entry of a segment that is about to be given up: carry to `heir` what must outlive it,
    # move its partition's start. Anything but OK: not possible now (a journal is unhealthy).
    Status (*carry)(void* owner, Journal* journal, const Entry* entry, uint64_t position) noexcept nogil
    JournalCounters counters


# The longest body that an entry may have: with its header a quarter of a segment.
cdef inline uint64_t journal_body_most(const Journal* journal) noexcept nogil:
    return (journal.segments.size >> 2) - sizeof(Entry)


# Append one entry; the body comes in one or two parts, both copied. `*position` = where it stands.
# STORE_FULL, STORE_FAILED (the journal's health, sticky), TOO_LARGE (more than journal_body_most), NO_MEMORY; also
# STORE_FULL while retirement is far behind or readers hold too much, although the health is OK: journal_want_room tells when to
# try again. STORE_FAILED also when the health has turned to it meanwhile: what was written may be gone.
cdef Status journal_append(Journal* journal, const EntryHead* head, const uint8_t* body, uint64_t n,
                           const uint8_t* more, uint64_t more_n, uint64_t* position) noexcept nogil

# The same for who holds a spin lock: never a system call. NEED_MORE: the next segment is not prepared yet; let go of the
# lock, journal_prepare, try again.
cdef Status journal_try_append(Journal* journal, const EntryHead* head, const uint8_t* body, uint64_t n,
                               const uint8_t* more, uint64_t more_n, uint64_t* position) noexcept nogil
cdef Status journal_prepare(Journal* journal) noexcept nogil

# The entry at `position`; NULL when its segment has been retired. Valid inside a QSBR read section, and beyond it for
# who retains `*ref`, its segment's (`ref` NULL: not wanted).
cdef const Entry* journal_at(Journal* journal, uint64_t position, Ref** ref) noexcept nogil

# The same for who believes what stands there: a look at all of its pages. OUT_OF_RANGE: retired. STORE_FAILED: its segment has
# lost pages (guard.pxd); nothing of it is read any more.
cdef Status journal_read(Journal* journal, uint64_t position, const Entry** entry, Ref** ref) noexcept nogil

cdef uint64_t journal_tail(Journal* journal) noexcept nogil         # first position not yet taken
cdef uint64_t journal_start(Journal* journal) noexcept nogil        # first position not yet retired
cdef uint64_t journal_durable(Journal* journal) noexcept nogil      # all before it survives power loss
cdef bint journal_is_memory(Journal* journal) noexcept nogil

# OK or, sticky: STORE_FULL: no space for a further segment, nothing more is appended; what is there still becomes durable.
# STORE_FAILED: a write or a sync failed; `durable` never moves again, and no sync is ever tried again, by no thread.
cdef Status journal_health(Journal* journal) noexcept nogil
cdef void journal_fail(Journal* journal, Status why) noexcept nogil

cdef inline bint journal_may_sync(Journal* journal) noexcept nogil:
    return load_acquire_u32(&journal.health) != <uint32_t>STORE_FAILED

# Post `mail` to `box` when the health changes. One mail, set before any thread runs.
cdef void journal_watch(Journal* journal, Mailbox* box, Mail* mail) noexcept nogil

# Appends outrun retirement (a disk that writes slower than clients do). Retirement needs every reader to pass a quiescent
# state, so no append may wait for it: whoever makes load asks between two turns of its loop, and waits while it is
# offline (QSBR) and holds no lock. Returns at once when there is room, when the journal fails and when it closes.
cdef inline bint journal_pressed(Journal* journal) noexcept nogil:
    return load_relaxed_u32(&journal.pressed)

cdef void journal_wait_room(Journal* journal) noexcept nogil

# Readers hold so much of what was retired that nearly no segment is left, or none was. Sleeping does not help: what they hold may
# be on its way to sockets of the very thread that asks. Whoever makes load does the rest of its work, and comes back when it gets
# the mail. The memory of the slack is for what must still be written meanwhile.
cdef inline bint journal_choked(Journal* journal) noexcept nogil:
    return load_relaxed_u32(&journal.segments.choked)

# Post `mail` to `box` whenever the journal chokes, retires a segment while it is choked, and has room again: who holds segments
# can let go of them (out_unpin). Registered as for journal_want_sync, with which it shares mail and box.
cdef void journal_watch_room(Journal* journal, Mailbox* box, Mail* mail) noexcept nogil

# Post `mail` to `box` once the journal is not choked (at once if it is not now), or fails, or closes. Registered as for
# journal_want_sync, with which it shares mail and box.
cdef void journal_want_room(Journal* journal, Mailbox* box, Mail* mail) noexcept nogil

# A STORE_FULL that will pass: nothing is wrong with the disk.
cdef inline bint journal_will_have_room(Journal* journal, Status why) noexcept nogil:
    return why == STORE_FULL and load_acquire_u32(&journal.health) == <uint32_t>OK

# Ask the commit thread to make everything up to `position` durable, and to post `mail` to `box` each time `durable` has
# moved until it is there (also when the journal fails: durable then never comes). One mail per thread, at most
# SYNC_LISTENERS_MAX in all; it stays registered until journal_forget, after which it is not posted again.
cdef void journal_want_sync(Journal* journal, uint64_t position, Mailbox* box, Mail* mail) noexcept nogil
cdef void journal_forget(Journal* journal, Mail* mail) noexcept nogil

# Whether the crc of a complete entry matches, the batch's own included.
cdef bint entry_intact(const Entry* entry) noexcept nogil

# Complete an entry of `length` bytes that is made outside of a journal: its mark (of no segment) and its crc.
cdef void entry_finish(Entry* entry, uint64_t length) noexcept nogil

# Construction, for stores/log.pyx and recovery. `tail` 0: no segment was found. A write-ahead log then makes the first, to
# learn at once whether the disk takes it; the others wait for their first entry.
# `slack_bytes`: as in segments_init.
cdef Status journal_init(Journal* journal, const char* directory, uint64_t segment_bytes, uint64_t most_segments,
                         uint64_t slack_bytes, bint memory) noexcept nogil
cdef Status journal_begin(Journal* journal, uint64_t tail) noexcept nogil
cdef void journal_close(Journal* journal) noexcept nogil

# For keeper.pyx.
cdef void tell_listeners(Journal* journal) noexcept nogil
cdef void tell_of_room(Journal* journal) noexcept nogil
cdef void tell_of_choke(Journal* journal) noexcept nogil
