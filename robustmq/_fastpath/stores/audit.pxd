"""What recovery has to say about streams once everything is read."""
from robustmq._fastpath.stores.core cimport LogCore
from robustmq._fastpath.stores.journal cimport Journal


# A sentence for offsets that were not deleted and that neither a sealed file nor the journal holds.
cdef report_holes(LogCore* core, Journal* journal, list notes)
