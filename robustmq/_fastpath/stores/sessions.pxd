"""What a subscriber's durable session is made of in the journal: snapshots, and small events since the last one.

    ENTRY_SESSION   stream = number of the session, aux = sequence of the entry in its session,
                    flags = SESSION_SNAPSHOT: base_offset = floor, body as its protocol defines it
                    flags = 0, events:        base_offset = the journal's tail just before, body likewise

Every batch below the floor has been considered for the session: it is in the snapshot, or was acknowledged, or did not
concern it. So a restart delivers again what matches from the floor on, but what later entries say was taken already.

A snapshot lives while there is no newer one. Events live while no newer snapshot has them (sequence), and beyond that
while they may name a batch from the floor on. What lives is carried to the journal's heir when its segment is retired;
sequences put the entries back in order. A batch may name packet identifiers that it opened (Entry.aux): they count until an entry
of its publisher's session comes behind it.

Concurrency: `sessions_lock` covers the table of sessions; a session's entries have one writer, which orders them. A
session that is not known any more has left the table: its entries are not written again, and a restart finds nobody who
wants them. With a memory-only log nothing is kept.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.core cimport LogCore
from robustmq._fastpath.stores.journal cimport Entry, Journal


cdef enum:
    SESSION_SNAPSHOT = 1            # Entry.flags


cdef struct SessionPlace:
    uint64_t place                  # of an entry (core.pxd)
    uint64_t value                  # sequence of events; aux of a batch


cdef struct SessionPlaces:
    SessionPlace* list
    uint64_t count
    uint64_t cap


cdef struct SessionMark:
    uint64_t number
    uint64_t snapshot_place         # 0: none
    uint64_t snapshot_sequence
    uint64_t floor
    uint32_t known                  # somebody has begun it; what is not known at session_log_recovered goes
    uint32_t reserved
    SessionPlaces events            # recovery only, in no order, twice where a copy was carried; the keeper keeps them right
    SessionPlaces opened            # recovery only: batches with packet identifiers and no entry behind them


# The session's entries count from now on. False: memory is out.
cdef bint session_log_begin(LogCore* core, uint64_t number) noexcept nogil

# They do not count any more.
cdef void session_log_end(LogCore* core, uint64_t number) noexcept nogil

# `tail`: of the journal before what the events say; they may be written later than that.
# Both: STORE_FULL, STORE_FAILED, TOO_LARGE, NO_MEMORY as journal_append. OK without doing anything in memory.
cdef Status session_log_events(LogCore* core, uint64_t number, uint64_t sequence, uint64_t tail, const uint8_t* body,
                               uint64_t n) noexcept nogil

# `*durable_at`: where journal_durable must be before the snapshot survives power loss.
cdef Status session_log_snapshot(LogCore* core, uint64_t number, uint64_t sequence, uint64_t floor, const uint8_t* body,
                                 uint64_t n, uint64_t* durable_at) noexcept nogil

# After recovery, before sessions are begun by others: what the journal knows of a session (NULL: nothing), then the end of
# it. The keeper may be retiring segments: places are read, and what stands there, between hold and release.
cdef SessionMark* session_log_found(LogCore* core, uint64_t number) noexcept nogil
cdef void session_log_hold(LogCore* core) noexcept nogil
cdef void session_log_release(LogCore* core) noexcept nogil
cdef const Entry* session_log_entry(LogCore* core, uint64_t place) noexcept nogil       # NULL: retired, it did not live
cdef void session_log_recovered(LogCore* core) noexcept nogil

# For core and recovery.
cdef void session_log_init(LogCore* core) noexcept nogil
cdef void session_log_free(LogCore* core) noexcept nogil
cdef Status session_log_carry(LogCore* core, Journal* journal, const Entry* entry, uint64_t place) noexcept nogil
cdef bint session_log_recover(LogCore* core, const Entry* entry, uint64_t place) noexcept nogil
cdef uint64_t session_log_highest(LogCore* core) noexcept nogil        # floor, or tail at which events were written; 0: none
cdef bint session_log_recover_batch(LogCore* core, const Entry* entry, uint64_t position) noexcept nogil
