"""Links that wait for the journal: one list per reactor, one wish per iteration, one mail per commit.

A link keeps its first position until that is durable (a later one would starve it under steady load); its protocol
acknowledges everything up to the position that on_synced brings, and awaits again if more is open.

Owner: the reactor.
"""
from libc.stdint cimport uint64_t
from robustmq._fastpath.reactor.core cimport Connection, Reactor


cdef void sync_init(Reactor* reactor) noexcept nogil
cdef void sync_await(Connection* connection, uint64_t position) noexcept nogil
cdef void sync_forget(Connection* connection) noexcept nogil

# Tell the links whose position is durable; ask for the others.
cdef void sync_pass(Reactor* reactor) noexcept nogil
