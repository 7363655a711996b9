"""The log of one broker: its journals, and the streams in them.

`Log` opens the data directory (or memory only), recovers every stream, runs the commit, pre-fault and retire threads,
and makes partitions. One per broker, created by the control plane before the reactors start, closed after they end.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.journal cimport Journal
from robustmq._fastpath.stores.partition cimport Partition


cdef struct LogCore         # private: stores/log.pyx


cdef class Log:
    """Python's handle. `core` is what nogil code uses."""
    cdef LogCore* core


# A new stream for partition `number` of `topic` (canonical name), written to the directory of the journal that
# `durability` asks for (DURABLE_MEMORY: the memory journal, forgotten at restart). Any thread.
cdef Status log_create_stream(LogCore* core, const uint8_t* name, uint32_t name_len, const uint8_t* topic_id,
                              uint32_t number, uint32_t durability, void* topic, Partition** result) noexcept nogil

# The partition that a journal entry's `stream` belongs to; NULL when it was deleted. Inside a QSBR read section: readers
# that keep positions only (an MQTT session's queue) find their topic through it.
cdef Partition* log_find_stream(LogCore* core, uint64_t stream) noexcept nogil

# Ends the stream; memory goes back after a grace period.
cdef Status log_delete_stream(LogCore* core, Partition* partition) noexcept nogil

cdef Journal* log_wal(LogCore* core) noexcept nogil         # NULL with a memory-only log
cdef Journal* log_memory(LogCore* core) noexcept nogil
