"""A log's numbers as Python sees them: each is read on its own, while its owner goes on counting."""
from robustmq._fastpath.stores.core cimport LogCore


cdef dict log_stats(LogCore* core)
