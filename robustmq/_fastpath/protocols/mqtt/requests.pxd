"""SUBSCRIBE and UNSUBSCRIBE, as far as a reactor answers them itself: a session that ends with the broker, and a request that
can be granted whole. It is in force before anything is read that another client sends behind it.

The rest is the control plane's (service.py), which waits for records, keeps shared groups, and has words for what is wrong.

    reactor          filters without `$share`, none denied, room for all of them, 64 at most
    control plane    sessions that survive the broker; shared, denied, too many or too deep filters; malformed packets
"""
from libc.stdint cimport uint8_t, uint32_t
from robustmq._fastpath.protocols.mqtt.session cimport Session
from robustmq._fastpath.status cimport Status


# `frame` is whole: `header` bytes of fixed header, `total` in all. PARKED: it is not answered here, and nothing has changed.
# Else close the connection: NO_MEMORY; QUOTA: retained messages of mqtt.max_subscriptions_per_session SUBSCRIBEs are still on
# their way to it.
cdef Status request_answer(Session* session, const uint8_t* frame, uint32_t header, uint32_t total) noexcept nogil
