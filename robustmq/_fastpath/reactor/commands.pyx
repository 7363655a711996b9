"""Commands, on the sender's and on the receiver's side."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from robustmq._fastpath.atomic cimport fetch_add_u64
from robustmq._fastpath.block cimport Block, block_data, block_new
from robustmq._fastpath.link cimport LINK_MOVED
from robustmq._fastpath.mailbox cimport Mail, mail_init, mailbox_post
from robustmq._fastpath.reactor.connection cimport connection_attach, connection_detach, connection_open
from robustmq._fastpath.reactor.core cimport (
    WANTS_CLOSE, Connection, Reactor, Shared, connection_end, connection_ready, connection_touch,
)
from robustmq._fastpath.reactor.links cimport link_reactor, links_find
from robustmq._fastpath.reactor.seam cimport seam_push
from robustmq._fastpath.reactor.sync cimport sync_await
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.wheel cimport timer_armed, wheel_arm


cdef extern from "<unistd.h>" nogil:
    int close(int fd)


cdef struct Command:
    Mail mail
    Shared* shared
    uint64_t link_id
    uint32_t kind               # of an answer; why of a close; protocol of an adoption
    uint32_t target             # reactor of a move; listener of an adoption
    int fd
    Connection* connection      # on its way to another reactor
    uint64_t awaits_sync        # its wishes there
    int64_t timer_ns
    void* object
    uint64_t n
    # the answer's bytes follow


cdef inline uint8_t* command_data(Command* command) noexcept nogil:
    return <uint8_t*>command + sizeof(Command)


cdef Command* command_new(Shared* shared, uint64_t link_id, const uint8_t* data, uint64_t n,
                          void (*run)(Mail*, void*, int64_t) noexcept nogil) noexcept nogil:
    cdef Command* command = <Command*>malloc(sizeof(Command) + n)
    if command == NULL:
        return NULL
    mail_init(&command.mail, run)
    command.shared = shared
    command.link_id = link_id
    command.n = n
    if n:
        memcpy(command_data(command), data, n)
    return command


cdef bint post(Command* command, uint32_t target) noexcept nogil:
    if target >= command.shared.count:
        free(command)
        return True
    mailbox_post(&command.shared.reactors[target].mailbox, &command.mail)
    return True


# The link a command is about, unless it is gone or going.
cdef Connection* subject(Command* command, Reactor* reactor) noexcept nogil:
    cdef Connection* connection = links_find(&reactor.links, command.link_id)
    return NULL if connection == NULL or connection.flags & WANTS_CLOSE else connection


cdef bint command_answer(Shared* shared, uint64_t link_id, uint32_t kind, const uint8_t* data, uint64_t n,
                         void* object) noexcept nogil:
    cdef Command* command = command_new(shared, link_id, data, n, run_answer)
    if command == NULL:
        return False
    command.kind = kind
    command.object = object
    return post(command, link_reactor(link_id))


cdef void answer(Command* command, Connection* connection) noexcept nogil:
    cdef Status status = connection.link.protocol.on_answer(
        &connection.link, command.kind, command_data(command), command.n, command.object, connection.reactor.now_ns)
    if status > Status.PARKED:
        connection_end(connection, status)
    connection_touch(connection)


cdef void run_answer(Mail* mail, void* receiver, int64_t now_ns) noexcept nogil:
    cdef Command* command = <Command*>mail
    cdef Connection* connection = subject(command, <Reactor*>receiver)
    if connection != NULL:
        answer(command, connection)
    free(command)


cdef bint command_close(Shared* shared, uint64_t link_id, Status why) noexcept nogil:
    cdef Command* command = command_new(shared, link_id, NULL, 0, run_close)
    if command == NULL:
        return False
    command.kind = <uint32_t>why
    return post(command, link_reactor(link_id))


cdef void run_close(Mail* mail, void* receiver, int64_t now_ns) noexcept nogil:
    cdef Command* command = <Command*>mail
    cdef Connection* connection = subject(command, <Reactor*>receiver)
    if connection != NULL:
        connection_end(connection, <Status>command.kind)
    free(command)


cdef bint command_move(Shared* shared, uint64_t link_id, uint32_t target, uint32_t kind, const uint8_t* data,
                       uint64_t n, void* object) noexcept nogil:
    cdef Command* command = command_new(shared, link_id, data, n, run_leave)
    if command == NULL:
        return False
    command.kind = kind
    command.target = target
    command.object = object
    return post(command, link_reactor(link_id))


cdef void run_leave(Mail* mail, void* receiver, int64_t now_ns) noexcept nogil:
    cdef Command* command = <Command*>mail
    cdef Reactor* reactor = <Reactor*>receiver
    cdef Connection* connection = subject(command, reactor)
    if connection == NULL:
        free(command)
        return
    if command.target == reactor.index or command.target >= command.shared.count:
        answer(command, connection)
        free(command)
        return
    command.connection = connection
    command.awaits_sync = connection.link.awaits_sync
    command.timer_ns = <int64_t>connection.timer.timer.tick * 1000000 if timer_armed(&connection.timer.timer) else 0
    connection_detach(connection)
    fetch_add_u64(&command.shared.reactors[command.target].connections, 1)
    mail_init(&command.mail, run_arrive)
    post(command, command.target)


cdef void run_arrive(Mail* mail, void* receiver, int64_t now_ns) noexcept nogil:
    cdef Command* command = <Command*>mail
    cdef Reactor* reactor = <Reactor*>receiver
    cdef Connection* connection = command.connection
    cdef uint64_t new_id
    cdef Block* block = NULL
    if connection_attach(connection, reactor):
        new_id = connection.link.id
        block = block_new(8)
        if block == NULL:
            connection_end(connection, Status.NO_MEMORY)
        else:
            memcpy(block_data(block), &new_id, 8)
            connection.link.id = command.link_id        # told under the name that the control plane knows
            seam_push(connection, LINK_MOVED, block, block_data(block), 8)
            connection.link.id = new_id
            if command.timer_ns:
                wheel_arm(&reactor.wheel, &connection.timer.timer, command.timer_ns)
            if command.awaits_sync:
                sync_await(connection, command.awaits_sync)
            if reactor.stopping:
                connection_end(connection, Status.SHUTTING_DOWN)
            else:
                answer(command, connection)
                connection_ready(connection)
    free(command)


cdef bint command_adopt(Shared* shared, uint32_t target, int fd, uint32_t protocol, uint32_t listener) noexcept nogil:
    cdef Command* command = command_new(shared, 0, NULL, 0, run_adopt)
    if command == NULL:
        return False
    command.kind = protocol
    command.target = listener
    command.fd = fd
    return post(command, target)


cdef void run_adopt(Mail* mail, void* receiver, int64_t now_ns) noexcept nogil:
    cdef Command* command = <Command*>mail
    connection_open(<Reactor*>receiver, command.fd, command.kind, command.target)
    free(command)


cdef bint command_stop(Shared* shared, uint32_t target, int64_t grace_ns) noexcept nogil:
    cdef Command* command = command_new(shared, 0, NULL, 0, run_stop)
    if command == NULL:
        return False
    command.timer_ns = grace_ns
    return post(command, target)


cdef void run_stop(Mail* mail, void* receiver, int64_t now_ns) noexcept nogil:
    cdef Command* command = <Command*>mail
    cdef Reactor* reactor = <Reactor*>receiver
    cdef uint32_t i
    reactor.stopping = 1
    reactor.stop_by_ns = now_ns + command.timer_ns
    wheel_arm(&reactor.wheel, &reactor.stop_timer, reactor.stop_by_ns)     # an end to the last sleep
    for i in range(reactor.listener_count):
        if reactor.listeners[i].fd >= 0:
            close(reactor.listeners[i].fd)
            reactor.listeners[i].fd = -1
    for i in range(reactor.links.used):
        if reactor.links.slots[i].connection != NULL:
            connection_end(reactor.links.slots[i].connection, Status.SHUTTING_DOWN)
    free(command)
