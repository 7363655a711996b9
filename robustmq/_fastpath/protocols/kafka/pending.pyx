"""Responses in the order of requests; the contract is in pending.pxd."""
from libc.stdint cimport int16_t, uint8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from robustmq._fastpath.out cimport out_copy
from robustmq._fastpath.protocols.kafka.withdraw cimport produce_withdraw
from robustmq._fastpath.protocols.kafka.state cimport PENDING_BYTES_MAX, PENDING_MAX, Pending, Session
from robustmq._fastpath.status cimport Status


cdef Status pending_send(Session* session, int16_t version, uint64_t position, const uint8_t* data, uint64_t n) noexcept nogil:
    cdef Pending* item
    if session.pending_first == NULL and position == 0:
        return Status.OK if out_copy(&session.link.out, data, n) else Status.NO_MEMORY
    item = <Pending*>malloc(sizeof(Pending) + n)
    if item == NULL:
        return Status.NO_MEMORY
    item.next = NULL
    item.position = position
    item.n = n
    item.version = version
    memcpy(<uint8_t*>item + sizeof(Pending), data, n)
    session.pending_count += 1
    session.pending_bytes += n
    if session.pending_first != NULL:
        session.pending_last.next = item
        session.pending_last = item
        return Status.OK
    session.pending_first = item
    session.pending_last = item
    session.link.host.await_sync(session.link, position)
    return Status.OK


cdef Status pending_synced(Session* session, uint64_t position) noexcept nogil:
    cdef Pending* item = session.pending_first
    cdef Status status = Status.OK
    while item != NULL and item.position <= position and status == Status.OK:
        if not out_copy(&session.link.out, <const uint8_t*>item + sizeof(Pending), item.n):
            status = Status.NO_MEMORY
        session.pending_first = item.next
        session.pending_count -= 1
        session.pending_bytes -= item.n
        free(item)
        item = session.pending_first
    if item == NULL:
        session.pending_last = NULL
    elif status == Status.OK:
        session.link.host.await_sync(session.link, item.position)
    return status


cdef Status pending_sync_failed(Session* session) noexcept nogil:
    cdef Pending* item = session.pending_first
    while item != NULL:
        if item.position:
            produce_withdraw(<uint8_t*>item + sizeof(Pending), item.n, item.version)
        item = item.next
    return pending_synced(session, <uint64_t>-1)


cdef bint pending_full(const Session* session) noexcept nogil:
    return session.pending_count >= PENDING_MAX or session.pending_bytes >= PENDING_BYTES_MAX


cdef void pending_clear(Session* session) noexcept nogil:
    cdef Pending* item = session.pending_first
    cdef Pending* after
    while item != NULL:
        after = item.next
        free(item)
        item = after
    session.pending_first = NULL
    session.pending_last = NULL
    session.pending_count = 0
    session.pending_bytes = 0
