"""Accepting, and who gets a new connection.

Every reactor listens on a socket of its own (SO_REUSEPORT). The one that accepts hands the connection to the reactor that
placement picks: the lowest-numbered one below reactor.pack_connections, so that the publishers and subscribers of a small
system share a core and no message pays for waking another; beyond that, the one with the fewest.

When descriptors or memory are out, accepting pauses for 100 ms: who waits stays in the kernel's backlog, nothing spins.
"""
from libc.stdint cimport uint32_t
from robustmq._fastpath.reactor.core cimport Listener, Reactor, Shared


cdef void listener_start(Listener* listener) noexcept nogil         # on its reactor's thread
cdef void listener_accept(Listener* listener) noexcept nogil        # what waits, at most 64

# Counts one connection more and names its reactor; -1 at reactor.max_connections. Any thread.
cdef int placement_take(Shared* shared) noexcept nogil
