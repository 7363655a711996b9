"""The in-flight window and the queue behind it: what went out and is not acknowledged, what has to wait.

    queue  --window has room-->  flight: sent  --PUBACK, PUBCOMP-->  done
                                     |  PUBREC
                                     v
                                 released (PUBREL went out)  --PUBCOMP-->  done

On a new connection everything in flight goes out again, PUBLISH with DUP or PUBREL, before anything of the queue
[MQTT-4.4.0-1, MQTT-4.6.0-1]. Messages are read from the log by position; one that left it is dropped and counted.
"""
from libc.stdint cimport int64_t, uint32_t
from robustmq._fastpath.protocols.mqtt.session cimport Session
from robustmq._fastpath.protocols.mqtt.wire cimport Ack
from robustmq._fastpath.status cimport Status


# Resend what this connection has not seen, then as much of the queue as window and output allow.
cdef Status window_pump(Session* session) noexcept nogil

# After an attach: all of it, from the start.
cdef Status window_resume(Session* session) noexcept nogil

# PUBACK, PUBREC, PUBCOMP from the client. The caller pumps once it has read them all.
cdef Status window_acked(Session* session, uint32_t packet, const Ack* ack) noexcept nogil

# The session is over: what it did not acknowledge of shared subscriptions goes to the groups' other members; not what went
# out with QoS 2 [MQTT-4.8.2-5].
cdef void window_give_back(Session* session) noexcept nogil
