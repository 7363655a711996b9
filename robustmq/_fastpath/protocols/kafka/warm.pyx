"""Waiting for the disk off the reactor: see warm.pxd."""
from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport free
from robustmq._fastpath.mailbox cimport Mail, Mailbox
from robustmq._fastpath.protocols.kafka.fetch cimport fetch_loaded
from robustmq._fastpath.protocols.kafka.session cimport session_free_when_idle
from robustmq._fastpath.stores.loader cimport LOAD_WINDOW, Cold, Load, loader_ahead, loader_ask
from robustmq._fastpath.stores.partition cimport partition_cold


cdef void on_loaded(Mail* mail, void* receiver, int64_t now_ns) noexcept nogil:
    cdef Load* load = <Load*>mail
    cdef Session* session = <Session*>load.owner
    free(load)
    session.loading -= 1
    if session.link == NULL:
        session_free_when_idle(session)
    elif session.loading == 0:
        fetch_loaded(session, now_ns)


cdef uint64_t warm_ask(Session* session) noexcept nogil:
    cdef Mailbox* box = session.link.host.mailbox(session.link)
    cdef Want* want
    cdef Cold cold
    cdef uint32_t i
    for i in range(session.plan.count):
        want = session.plan.wants + i
        if (want.partition != NULL and want.error == 0
                and partition_cold(want.partition, want.offset, min(want.max_bytes, <uint32_t>LOAD_WINDOW), &cold)
                and loader_ask(&cold, box, on_loaded, session)):
            session.loading += 1
    return session.loading


cdef bint warm_ahead(const Want* want, uint64_t next_offset) noexcept nogil:
    cdef Cold cold
    if not partition_cold(want.partition, next_offset, LOAD_WINDOW, &cold):
        return False
    loader_ahead(&cold)
    return True
