"""A connection's birth, its events, and what its protocol may ask of the reactor (the Host table)."""
from libc.stdint cimport uint32_t, uint64_t
from robustmq._fastpath.reactor.core cimport Connection, Reactor


# Takes `fd`, which placement has counted for this reactor already; closes it when the connection cannot be made.
cdef void connection_open(Reactor* reactor, int fd, uint32_t protocol, uint32_t listener) noexcept nogil

cdef void connection_event(Connection* connection, uint32_t ready) noexcept nogil

# Leave the reactor, to arrive at another by connection_attach on its thread. The id is void in between.
cdef void connection_detach(Connection* connection) noexcept nogil

# False: memory is out, the connection is gone.
cdef bint connection_attach(Connection* connection, Reactor* reactor) noexcept nogil
