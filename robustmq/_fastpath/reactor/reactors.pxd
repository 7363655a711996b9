"""All reactors of a broker: Python's handle, and the doors for nogil code of the layers above.

Made first, filled by `register` / `listen`, then `start`ed. Mailboxes stay valid until the handle is freed, so whoever
posts to them (the journal's commit thread, feeds) may end after `stop`; what is posted then is not run.
"""
from libc.stdint cimport uint32_t, uint64_t
from robustmq._fastpath.link cimport Link
from robustmq._fastpath.mailbox cimport Mail, Mailbox
from robustmq._fastpath.reactor.core cimport Brake, Reactor, Shared


cdef class Reactors:
    cdef Shared shared
    cdef list handles           # of protocols, kept alive
    cdef list threads
    cdef uint32_t listener_count
    cdef uint32_t first_taken   # take() begins at another reactor each time
    cdef bint started
    cdef bint stopped


cdef inline uint32_t reactors_count(Reactors reactors):
    return reactors.shared.count


cdef inline Mailbox* reactors_mailbox(Reactors reactors, uint32_t index):
    return &reactors.shared.reactors[index].mailbox


# Before start: where Host.await_sync's positions become durable (core.pxd, Durability). Without it all are at once.
cdef void reactors_await_from(Reactors reactors, uint64_t (*durable)(void* source) noexcept nogil,
                              void (*want)(void* source, uint64_t position, Mailbox* box, Mail* mail) noexcept nogil,
                              void* source)

# Before start: what may slow the reactors down (core.pxd, Brake).
cdef void reactors_brake_by(Reactors reactors, Brake brake)

# On the thread of the reactor whose mailbox has this receiver (Mail.run's second argument): the open link with that
# id, or NULL.
cdef Link* reactor_link(void* receiver, uint64_t link_id) noexcept nogil
