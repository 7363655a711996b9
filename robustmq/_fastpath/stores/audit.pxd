"""What recovery has to say about streams once everything is read."""
from libc.stdint cimport uint64_t
from robustmq._fastpath.stores.core cimport LogCore
from robustmq._fastpath.stores.journal cimport Journal


# Streams whose directory entry never came: they were deleted, and the end of them has been retired. How many there were. Before it,
# if the journal was damaged and may have known whose these are: their sealed files get a second name, which outlives the first.
cdef uint64_t drop_orphans(LogCore* core, Journal* journal) noexcept nogil
cdef keep_orphans(LogCore* core, Journal* journal, list notes)

# Where the tail of a journal that has lost all its segments goes: to the begin of a segment above every position that sealed files
# and sessions name, and as far above it as the journal may have reached behind that. 0: nothing is named.
cdef uint64_t tail_above(LogCore* core, Journal* journal) noexcept nogil

# A sentence for offsets that were not deleted and that neither a sealed file nor the journal holds.
cdef report_holes(LogCore* core, Journal* journal, list notes)
