"""What one broker's log is made of; private to stores/, others know it by the functions of log.pxd.

Lock order: runs_lock, streams_lock, a partition's lock, then the journal's own. state_lock and
sessions_lock are taken without the others.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from robustmq._fastpath.atomic cimport load_acquire_ptr
from robustmq._fastpath.block cimport Ref
from robustmq._fastpath.platform cimport pthread_mutex_t
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.journal cimport Entry, Journal, journal_at, journal_read
from robustmq._fastpath.stores.partition cimport Partition, Policy
from robustmq._fastpath.stores.sealed cimport SealedFile, SealedStore
from robustmq._fastpath.stores.sealer cimport Sealer
from robustmq._fastpath.stores.table cimport Table


cdef enum:
    STREAM_NAME_AT = 24             # ENTRY_STREAM's body: topic id[16], number u32, durability u8, 0, name length u16, name


cdef struct LogCore:
    Journal* wal                    # NULL: memory only
    Journal* state_log              # the heir of `wal`: what outlives its segments and is no batch; NULL: memory only
    Journal* memory
    pthread_mutex_t streams_lock    # writers of `streams`, directory_position, next_stream, last_ended
    Table streams                   # Partition* by stream id; readers in a QSBR section
    uint64_t next_stream
    uint64_t last_ended             # highest number with an ENTRY_STREAM_END in the write-ahead log; 0: none
    pthread_mutex_t state_lock
    Table state                     # State* (state.pyx) by space and key; all under state_lock
    pthread_mutex_t sessions_lock
    Table sessions                  # SessionMark* (sessions.pxd) by number; all under sessions_lock
    Sealer* sealer                  # NULL: memory only
    SealedStore sealed              # of the write-ahead log
    pthread_mutex_t runs_lock       # writers of every Partition.runs
    Policy policy                   # of partitions without their own; written before threads start


# stores/core.pyx
cdef LogCore* core_new() noexcept nogil
cdef void core_free(LogCore* core) noexcept nogil           # after the journals are closed and all readers have gone
cdef Partition* core_find(LogCore* core, uint64_t stream) noexcept nogil
# Load what core_find will want soon: the slot, and some time later the partition, which is nearly always the right one, or NULL.
cdef void core_prefetch(LogCore* core, uint64_t stream) noexcept nogil
cdef Partition* core_guess(LogCore* core, uint64_t stream) noexcept nogil

# What is kept where an entry stands (of a stream's directory, a value, a session) names its journal, too: a place is a position
# in the log's first journal, or one in the state log.
cdef inline uint64_t core_place(LogCore* core, const Journal* journal, uint64_t position) noexcept nogil:
    return position | <uint64_t>(journal == core.state_log) << 63


# The entry at a place of `journal` or of the state log. As journal_at; beside who retires only under the lock that covers what
# named the place.
cdef inline const Entry* core_entry(LogCore* core, Journal* journal, uint64_t place) noexcept nogil:
    return journal_at(core.state_log if place >> 63 else journal, place & ((<uint64_t>1 << 63) - 1), NULL)


# The same as journal_read; what it stands in is not retired meanwhile.
cdef inline Status core_read(LogCore* core, Journal* journal, uint64_t place, const Entry** entry) noexcept nogil:
    cdef Ref* ref = NULL
    return journal_read(core.state_log if place >> 63 else journal, place & ((<uint64_t>1 << 63) - 1), entry, &ref)


# An entry of a segment that goes, once more in its heir; `*place` (NULL: not wanted) is where. As journal_append.
cdef Status core_copy(LogCore* core, Journal* heir, const Entry* entry, uint64_t base_offset, uint64_t* place) noexcept nogil

cdef Status core_write_stream(LogCore* core, Partition* partition, const uint8_t* body, uint64_t n) noexcept nogil

# Records below `offset` (at most the end) go: `*moved` when there were any. First the stream's directory entry is written again
# (a restart begins at the new start, and never below the end), then the runs go; their files are deleted after a sync.
# Under runs_lock, inside a QSBR section. STORE_FULL, STORE_FAILED: they have gone until a restart.
cdef Status core_trim(LogCore* core, Partition* partition, uint64_t offset, bint* moved) noexcept nogil

# Give each run of a file that writer_finish made to its partition, where it takes the place of the runs that it covers. `slot`
# is the caller's in QSBR, offline. NO_MEMORY: some runs are missing until a restart.
cdef Status core_publish(LogCore* core, SealedFile* file, int slot) noexcept nogil

# What holds for the partition; inside a QSBR section.
cdef inline const Policy* core_policy(LogCore* core, Partition* partition) noexcept nogil:
    cdef const Policy* own = <const Policy*>load_acquire_ptr(<void**>&partition.policy)
    return own if own != NULL else &core.policy

# Journal.carry of all journals; `owner` is the LogCore.
cdef Status core_carry(void* owner, Journal* journal, const Entry* entry, uint64_t position) noexcept nogil
