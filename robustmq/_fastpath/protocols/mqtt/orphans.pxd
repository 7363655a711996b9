"""Messages of shared subscriptions whose member's session has ended: they go to the group's other members [MQTT-4.8.2-5].

What is in memory or on the disk goes at once (`hand_back`). What is only in the blob store was asked for and waits in its
reactor's list, by stream and offset; each time something has come (stalled.pxd) the list is tried again. It holds
`mqtt.max_orphans` messages; it ends with the broker.

Owner: the reactor.
"""
from libc.stdint cimport uint32_t, uint64_t
from robustmq._fastpath.protocols.mqtt.rings cimport Slot
from robustmq._fastpath.protocols.mqtt.send cimport Source
from robustmq._fastpath.protocols.mqtt.session cimport Core, Orphans, Session
from robustmq._fastpath.status cimport Status


# The record at `offset` of source.batch, to the members of `group` (a key). `position` of the batch, 0: bytes of its own.
# OUT_OF_RANGE: there is none; NO_MEMORY.
cdef Status hand_back(Core* core, const Source* source, uint32_t offset, uint64_t record, uint64_t position,
                      uint64_t group) noexcept nogil

# The same when its bytes are here. False: the list is full, or memory is out.
cdef bint orphans_add(Session* session, const Slot* slot, uint64_t group) noexcept nogil

# Something has come.
cdef void orphans_try(Core* core, uint32_t reactor) noexcept nogil

cdef void orphans_free(Core* core) noexcept nogil
