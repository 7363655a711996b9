"""To the client: delivery of what is new.

A run of records reaches `deliver` on the session's home reactor, in log order. What can go out at once is encoded into
the link's output, or shared with every other session that needs the same bytes (encode.pxd); what cannot (the window is
full, the output is above its high-water mark, the client is away) joins the queue as 16 bytes: where it stands in the log.
Once something is queued, all that follows queues behind it [MQTT-4.6.0-5].
"""
from libc.stdint cimport int64_t
from robustmq._fastpath.broker.routes cimport Consumer, Route, Run


# Consumer.deliver of a session.
cdef void deliver(Consumer* self, const Route* route, Run* run, int64_t now_ns) noexcept nogil
