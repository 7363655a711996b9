"""Waiting for the blob store or the disk: see stalled.pxd."""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free
from robustmq._fastpath.atomic cimport load_acquire_ptr
from robustmq._fastpath.broker.routes cimport REACTORS_MAX
from robustmq._fastpath.mailbox cimport Mail, Mailbox, mail_init, mailbox_post
from robustmq._fastpath.platform cimport memory_resident
from robustmq._fastpath.protocols.mqtt.orphans cimport orphans_try
from robustmq._fastpath.protocols.mqtt.session cimport Arrival
from robustmq._fastpath.stores.loader cimport Cold, Load, loader_ask
from robustmq._fastpath.stores.partition cimport partition_stretch


cdef enum:
    STRETCH = 512 << 10                 # bytes that a session asks for at a time; half of them pass before it looks again


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
    orphans_try(arrival.core, arrival.reactor)


cdef void stalled_init(Core* core, void (*on_arrival)(Session* session, int64_t now_ns) noexcept nogil) noexcept nogil:
    cdef uint32_t i
    for i in range(REACTORS_MAX):
        mail_init(&core.arrivals[i].mail, run_arrival)
        core.arrivals[i].core = core
        core.arrivals[i].reactor = i
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


cdef void on_loaded(Mail* mail, void* receiver, int64_t now_ns) noexcept nogil:
    cdef Load* load = <Load*>mail
    cdef Arrival* arrival = <Arrival*>load.owner
    free(load)
    arrival.loaded += 1
    run_arrival(&arrival.mail, receiver, now_ns)


cdef bint stalled_on_disk(Session* session, Partition* partition, uint64_t offset) noexcept nogil:
    cdef Arrival* arrival = &session.core.arrivals[session.consumer.reactor]
    cdef Cold stretch
    cdef uint64_t at
    cdef bint cold
    if session.load > arrival.loaded:
        return True
    if not partition_stretch(partition, offset, STRETCH, &stretch):
        return False
    at = <uint64_t>stretch.data
    if session.warm_from <= at < session.warm_to:
        return False
    cold = not memory_resident(stretch.data, stretch.n)
    if cold and not loader_ask(&stretch, session.box, on_loaded, arrival):
        return False
    session.warm_from = at                      # once loaded it is taken as it is: memory may be short
    session.warm_to = at + STRETCH // 2
    if cold:
        arrival.asked += 1
        session.load = arrival.asked
    return cold


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
