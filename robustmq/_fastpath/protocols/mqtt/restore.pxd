"""A session of the broker's last life, from what the journal says of it. At start, by one thread, inside a QSBR section
and session_log_hold."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from robustmq._fastpath.protocols.mqtt.session cimport Session
from robustmq._fastpath.stores.sessions cimport SessionMark


# Rebuild window, queue and open identifiers; what was taken already goes into exchange.seen. `exchange` is the Exchange,
# where the session's subscriptions are again. Entries that cannot be read are left out; how many. MemoryError.
cdef int restore_session(Session* session, const SessionMark* mark, object exchange) except -1

# Where in an uncompressed batch the record of offset `record` begins. Any thread.
cdef bint find_record(const uint8_t* batch, uint64_t n, uint64_t record, uint32_t* offset) noexcept nogil
