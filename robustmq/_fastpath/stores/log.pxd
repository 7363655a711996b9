"""The log of one broker: its journals, and the streams in them.

`Log` opens the data directory (or memory only), recovers every stream, runs the commit, pre-fault and retire threads,
and makes partitions. One per broker, created by the control plane before the reactors start, closed after they end.
The state table (consumer offsets, retained messages) is in state.pxd.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from robustmq._fastpath.mailbox cimport Mail, Mailbox
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.core cimport LogCore
from robustmq._fastpath.stores.journal cimport (
    Journal, journal_choked, journal_forget, journal_pressed, journal_watch_room, journal_will_have_room,
)
from robustmq._fastpath.stores.partition cimport Partition
from robustmq._fastpath.stores.producers cimport ProducerBounds


cdef class Log:
    """Python's handle. `core` is what nogil code uses."""
    cdef LogCore* core
    cdef object directory           # files.Directory, or None
    cdef ProducerBounds producers   # of each partition
    cdef object waiting             # heap of (position, number, future)
    cdef object loop                # the event loop that watches `box`
    cdef uint64_t numbers
    cdef Mailbox box                # of the control plane's thread, for `durable` news
    cdef Mail mail
    cdef Mail alarm
    cdef object told                # when_unwell's callback, and what it was told last
    cdef str healthy
    cdef bint whole                 # nobody was told of unreadable()
    cdef readonly dict recovered    # what recovery found and dropped (recovery.pxd)

    cdef Journal* new_journal(self, path, uint64_t segment_bytes, uint64_t most_bytes, uint64_t slack_bytes) except NULL
    cdef new_sealer(self, uint64_t bytes_per_s)
    cdef open_wal(self)
    cdef settle(self)
    cdef tell(self)
    cdef listen_on(self, loop)


cdef Journal* log_wal(LogCore* core) noexcept nogil         # NULL with a memory-only log

# Whether a journal wants those who append to wait (journal.pxd, journal_pressed), and the waiting.
cdef inline bint log_pressed(LogCore* core) noexcept nogil:
    return core.wal != NULL and journal_pressed(core.wal) or journal_pressed(core.memory)

cdef void log_wait_room(LogCore* core) noexcept nogil

# The same for journal_choked and journal_watch_room.
cdef inline bint log_choked(LogCore* core) noexcept nogil:
    return core.wal != NULL and journal_choked(core.wal) or journal_choked(core.memory)

# journal_will_have_room of where topics and the state table are written.
cdef inline bint log_will_have_room(LogCore* core, Status why) noexcept nogil:
    return journal_will_have_room(core.wal if core.wal != NULL else core.memory, why)

cdef inline void log_watch_room(LogCore* core, Mailbox* box, Mail* mail) noexcept nogil:
    if core.wal != NULL:
        journal_watch_room(core.wal, box, mail)
    journal_watch_room(core.memory, box, mail)

cdef inline void log_forget(LogCore* core, Mail* mail) noexcept nogil:
    if core.wal != NULL:
        journal_forget(core.wal, mail)
    journal_forget(core.memory, mail)
