"""Topic aliases of a connection: what the client said, and what we told it. They end with it [MQTT-3.3.2-7].

Owner: the session's reactor.
"""
from robustmq._fastpath.protocols.mqtt.session cimport Session
from robustmq._fastpath.protocols.mqtt.wire cimport Publish
from robustmq._fastpath.status cimport Status


# Learn or apply the topic alias of a PUBLISH [MQTT-3.3.2.3.4]. OUT_OF_RANGE: the client goes beyond our maximum;
# PROTOCOL_ERROR: it was never set; INVALID_TOPIC, NO_MEMORY.
cdef Status alias_take(Session* session, Publish* view) noexcept nogil

cdef void aliases_forget(Session* session) noexcept nogil
