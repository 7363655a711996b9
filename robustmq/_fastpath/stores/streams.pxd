"""The streams of a log: one per partition, known by number.

Concurrency: making and ending streams is under LogCore.streams_lock; finding one needs a QSBR read section.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.core cimport LogCore
from robustmq._fastpath.stores.partition cimport Partition


# A new stream for partition `number` of `topic` (canonical name), written to the directory of the journal that
# `durability` asks for (DURABLE_MEMORY: the memory journal, forgotten at restart). Any thread.
cdef Status log_create_stream(LogCore* core, const uint8_t* name, uint32_t name_len, const uint8_t* topic_id,
                              uint32_t number, uint32_t durability, void* topic, Partition** result) noexcept nogil

# The partition that a journal entry's `stream` belongs to; NULL when it was deleted. Inside a QSBR read section: readers
# that keep positions only (an MQTT session's queue) find their topic through it. After recovery a partition's `topic` is
# NULL until the topic table adopts it.
cdef Partition* log_find_stream(LogCore* core, uint64_t stream) noexcept nogil

# What the directory says about one stream.
cdef struct Listed:
    Partition* partition
    const uint8_t* topic_id         # 16 bytes
    const uint8_t* name             # canonical name of the topic
    uint32_t name_len


# All streams one by one: start with *at = 0; False at the end. Or a certain one. What it points to stays while streams_lock is held.
cdef bint log_each_stream(LogCore* core, uint64_t* at, Listed* found) noexcept nogil
cdef void log_list_stream(LogCore* core, Partition* partition, Listed* found) noexcept nogil

# Numbers of the next streams that hold something or remember a producer, at most `most`; fewer: there are no more. Start with *at = 0.
cdef uint32_t log_next_streams(LogCore* core, uint64_t* at, uint64_t* streams, uint32_t most) noexcept nogil

# Ends the stream; memory goes back after a grace period.
cdef Status log_delete_stream(LogCore* core, Partition* partition) noexcept nogil
