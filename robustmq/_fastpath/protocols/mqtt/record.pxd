"""A PUBLISH as a record: the headers that message.pxd documents, written."""
from libc.stdint cimport int32_t, uint8_t, uint32_t
from robustmq._fastpath.protocols.mqtt.wire cimport Bytes, Publish


cdef struct Headers:            # reused from message to message
    uint8_t* data
    uint32_t cap
    uint32_t len
    int32_t count
    Bytes key                   # of the record, from the user property kafka.key; data NULL: none


# The record headers of `view`; `topic` is written as mqtt.topic unless it is NULL. False: memory is out.
cdef bint headers_write(Headers* headers, const Publish* view, const Bytes* topic) noexcept nogil
cdef void headers_free(Headers* headers) noexcept nogil
