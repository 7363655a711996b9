"""What keeps a journal going beside the appends: two threads per journal that sleep until they are rung.

    keeper      pre-faults pages ahead of the tail, prepares the next segment; in memory it retires the oldest
    committer   makes what is complete durable when somebody waits for it (group commit)

Concurrency: the lock order is roll_lock, then commit_lock, then Journal.lock; a partition's lock may be held
outside all. The keeper holds none of them while it carries entries forward.
"""
from libc.stdint cimport uint64_t
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.journal cimport Journal


# The segment at `tail` cannot take an entry: close it and open the next, which the keeper has prepared. OK when the caller
# should try again. NEED_MORE: it has not prepared it yet, journal_make_spare first (on a thread that may block). Waits for
# nothing.
cdef Status journal_roll(Journal* journal, uint64_t tail) noexcept nogil

# Prepare the segment that comes next, unless that has been done or the one at the tail is new and holds less than `filled`
# bytes. STORE_FULL without a sticky health: retirement is far behind.
cdef Status journal_make_spare(Journal* journal, uint64_t filled) noexcept nogil

# Make everything that was complete at the time of the call durable. On any thread that may block.
cdef Status journal_commit(Journal* journal) noexcept nogil

# Close the segment at the tail, if it holds anything, and go on in the next.
cdef Status journal_close_segment(Journal* journal) noexcept nogil

# For who retires (the keeper of a memory journal, the sealer of a write-ahead log and of its state log): segments listed, and
# giving up the oldest, after what must outlive it was carried to the heir and is durable, and so is all in `newest`, the journal
# in which entries are superseded. Else why not: STORE_FULL, STORE_FAILED (of one of the three), NO_MEMORY.
cdef uint64_t journal_listed(Journal* journal) noexcept nogil
cdef Status journal_retire_oldest(Journal* journal, Journal* newest) noexcept nogil

cdef Status keeper_start(Journal* journal) noexcept nogil
cdef void keeper_stop(Journal* journal) noexcept nogil
