"""broker/retained.pxd by itself, as reactors call it."""
from libc.stdint cimport uint32_t, uint64_t, uint8_t
from robustmq._fastpath.block cimport block_data
from robustmq._fastpath.broker.exchange cimport Exchange
from robustmq._fastpath.broker.retained cimport retained_set
from robustmq._fastpath.broker.topic cimport Topic, topic_find
from robustmq._fastpath.qsbr cimport qsbr_register, qsbr_unregister
from robustmq._fastpath.status cimport Status


cdef Topic* topic_of(Exchange exchange, bytes name) except NULL:
    cdef Topic* topic = topic_find(exchange.core.topics, <const uint8_t*>name, <uint32_t>len(name))
    if topic == NULL:
        raise LookupError(name)
    return topic


def retain(Exchange exchange not None, bytes name not None, list batches not None, uint64_t first, uint64_t step):
    """One reactor: batch i was appended at offset first + i * step; None clears. Without the GIL between two of them."""
    cdef Topic* topic = topic_of(exchange, name)
    cdef uint64_t offset = first, durable_at, n
    cdef const uint8_t* data
    cdef bint clears
    cdef bytes raw
    cdef Status status
    cdef int slot = qsbr_register()
    for batch in batches:
        clears = batch is None
        raw = batch or b""
        data = raw
        n = <uint64_t>len(raw)
        with nogil:
            status = retained_set(&exchange.core, topic, data, n, 0, offset, clears, &durable_at)
        if status != Status.OK:
            raise RuntimeError(f"status {<int>status}")
        offset += step
    qsbr_unregister(slot)


def retained(Exchange exchange not None, bytes name not None):
    """The batch that is kept, or None."""
    cdef Topic* topic = topic_of(exchange, name)
    if topic.retained == NULL:
        return None
    return block_data(topic.retained)[:topic.retained.len]
