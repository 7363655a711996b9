"""Topic aliases; the contract is in aliases.pxd."""
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memcpy
from robustmq._fastpath.protocols.mqtt.session cimport AliasIn
from robustmq._fastpath.protocols.mqtt.wire cimport valid_topic_name


cdef Status alias_take(Session* session, Publish* view) noexcept nogil:
    cdef AliasIn* alias
    cdef uint8_t* name
    if view.alias > session.core.limits.topic_alias_max:
        return Status.OUT_OF_RANGE                                      # [MQTT-3.3.2-9]
    if session.aliases_in == NULL:
        session.aliases_in = <AliasIn*>calloc(session.core.limits.topic_alias_max, sizeof(AliasIn))
        if session.aliases_in == NULL:
            return Status.NO_MEMORY
    alias = &session.aliases_in[view.alias - 1]
    if view.topic.n == 0:
        if alias.name == NULL:
            return Status.PROTOCOL_ERROR                                # an alias that was never set
        view.topic.data = alias.name
        view.topic.n = alias.n
        return Status.OK
    if alias.n == view.topic.n and memcmp(alias.name, view.topic.data, alias.n) == 0:
        return Status.OK
    if not valid_topic_name(view.topic.data, view.topic.n):
        return Status.INVALID_TOPIC
    name = <uint8_t*>realloc(alias.name, view.topic.n)
    if name == NULL:
        return Status.NO_MEMORY
    memcpy(name, view.topic.data, view.topic.n)
    alias.name = name
    alias.n = view.topic.n
    return Status.OK


cdef void aliases_forget(Session* session) noexcept nogil:
    cdef uint32_t i
    if session.aliases_in != NULL:
        for i in range(session.core.limits.topic_alias_max):
            free(session.aliases_in[i].name)
        free(session.aliases_in)
        session.aliases_in = NULL
    free(session.aliases_out)
    session.aliases_out = NULL
    session.alias_out_count = 0
