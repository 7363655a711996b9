"""Who waits for which journal position."""
from libc.stdint cimport int64_t, uint64_t
from robustmq._fastpath.mailbox cimport Mail, mail_init
from robustmq._fastpath.reactor.core cimport (
    AWAITS, CLOSING, SYNC_FAILED, WANTS_CLOSE, Connection, Durability, Reactor, connection_end, connection_touch,
)
from robustmq._fastpath.status cimport Status


cdef void sync_init(Reactor* reactor) noexcept nogil:
    mail_init(&reactor.sync_mail, durable_moved)


cdef void durable_moved(Mail* mail, void* receiver, int64_t now_ns) noexcept nogil:
    (<Reactor*>receiver).choked = 0             # the same mail is the brake's
    sync_pass(<Reactor*>receiver)


cdef inline void enlist(Connection* connection) noexcept nogil:
    cdef Reactor* reactor = connection.reactor
    connection.flags |= AWAITS
    connection.prev_awaiting = NULL
    connection.next_awaiting = reactor.awaiting
    if reactor.awaiting != NULL:
        reactor.awaiting.prev_awaiting = connection
    reactor.awaiting = connection


cdef void sync_await(Connection* connection, uint64_t position) noexcept nogil:
    if connection.flags & (AWAITS | CLOSING):
        return
    connection.link.awaits_sync = position
    connection.reactor.await_check = 1
    enlist(connection)


cdef void sync_forget(Connection* connection) noexcept nogil:
    if not connection.flags & AWAITS:
        return
    connection.flags &= ~AWAITS
    connection.link.awaits_sync = 0
    if connection.prev_awaiting != NULL:
        connection.prev_awaiting.next_awaiting = connection.next_awaiting
    else:
        connection.reactor.awaiting = connection.next_awaiting
    if connection.next_awaiting != NULL:
        connection.next_awaiting.prev_awaiting = connection.prev_awaiting


cdef void sync_pass(Reactor* reactor) noexcept nogil:
    cdef Durability* durability = &reactor.shared.durability
    cdef Connection* connection = reactor.awaiting
    cdef Connection* next
    cdef uint64_t durable, position, furthest = 0
    reactor.await_check = 0
    if connection == NULL:
        return
    durable = durability.durable(durability.source) if durability.durable != NULL else <uint64_t>-1
    reactor.awaiting = NULL             # links close only at the end of an iteration: nobody leaves the list meanwhile
    while connection != NULL:
        next = connection.next_awaiting
        connection.flags &= ~AWAITS
        position = connection.link.awaits_sync
        if durable == SYNC_FAILED:
            connection.link.awaits_sync = 0
            if connection.link.protocol.on_sync_failed == NULL:
                connection_end(connection, Status.STORE_FAILED)
            elif not connection.flags & WANTS_CLOSE:
                connection.link.protocol.on_sync_failed(&connection.link, reactor.now_ns)
                connection_touch(connection)
        elif position > durable:
            enlist(connection)
            furthest = position if position > furthest else furthest
        else:
            connection.link.awaits_sync = 0
            if not connection.flags & WANTS_CLOSE:
                connection.link.protocol.on_synced(&connection.link, durable, reactor.now_ns)
                connection_touch(connection)
        connection = next
    if furthest:
        durability.want(durability.source, furthest, &reactor.mailbox, &reactor.sync_mail)
