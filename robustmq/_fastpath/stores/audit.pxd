"""What recovery has to say about streams once everything is read."""
from libc.stdint cimport uint64_t
from robustmq._fastpath.stores.core cimport LogCore
from robustmq._fastpath.stores.journal cimport Journal


# Where the tail of a journal that has lost all its segments goes: to the begin of a segment above every position that sealed files
# and sessions name, and as far above it as the journal may have reached behind that. 0: nothing is named.
cdef uint64_t tail_above(LogCore* core, Journal* journal) noexcept nogil

# A sentence for offsets that were not deleted and that neither a sealed file nor the journal holds.
cdef report_holes(LogCore* core, Journal* journal, list notes)
