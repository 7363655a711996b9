"""Waiting for the blob store: see stalled.pxd."""
from libc.stdint cimport uint32_t
from robustmq._fastpath.atomic cimport load_acquire_ptr
from robustmq._fastpath.broker.routes cimport REACTORS_MAX
from robustmq._fastpath.mailbox cimport Mail, Mailbox, mail_init, mailbox_post
from robustmq._fastpath.protocols.mqtt.session cimport Arrival


cdef void run_arrival(Mail* mail, void* receiver, int64_t now_ns) noexcept nogil:
    cdef Arrival* arrival = <Arrival*>mail
    cdef Session* session = arrival.stalled
    cdef Session* next
    arrival.stalled = NULL
    while session != NULL:              # whoever stalls again is on a new list
        next = session.stalled_next
        session.stalled = 0
        arrival.on_arrival(session, now_ns)
        session = next


cdef void stalled_init(Core* core, void (*on_arrival)(Session* session, int64_t now_ns) noexcept nogil) noexcept nogil:
    cdef uint32_t i
    for i in range(REACTORS_MAX):
        mail_init(&core.arrivals[i].mail, run_arrival)
        core.arrivals[i].on_arrival = on_arrival


cdef void stall(Session* session) noexcept nogil:
    cdef Session** head = &session.core.arrivals[session.consumer.reactor].stalled
    if session.stalled:
        return
    session.stalled = 1
    session.stalled_prev = NULL
    session.stalled_next = head[0]
    if head[0] != NULL:
        head[0].stalled_prev = session
    head[0] = session


cdef void unstall(Session* session) noexcept nogil:
    if not session.stalled:
        return
    session.stalled = 0
    if session.stalled_next != NULL:
        session.stalled_next.stalled_prev = session.stalled_prev
    if session.stalled_prev != NULL:
        session.stalled_prev.stalled_next = session.stalled_next
    else:
        session.core.arrivals[session.consumer.reactor].stalled = session.stalled_next


cdef void stalled_wake(Core* core) noexcept nogil:
    cdef Mailbox* box
    cdef uint32_t i
    for i in range(REACTORS_MAX):
        box = <Mailbox*>load_acquire_ptr(&core.boxes[i])
        if box != NULL:
            mailbox_post(box, &core.arrivals[i].mail)
