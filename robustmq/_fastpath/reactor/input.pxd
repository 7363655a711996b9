"""From the socket to the protocol.

A socket is read into the reactor's own block, 256 KiB at most per iteration, so that one loud peer does not starve the
others. What a protocol leaves of it (a partial frame, frames behind a parked one) moves to a block of the connection's
own, made as large as the protocol says the frame is, or grown by doubling, and freed when it is used up: an idle
connection owns no buffer. When a protocol retained the reactor's block, the next read goes behind what it holds.

Not read: a parked link; a link whose own output is above twice the high-water mark (a peer that sends requests and does
not take the answers) until that has drained. Its bytes stay in the kernel, whose window stops the peer.
"""
from robustmq._fastpath.reactor.core cimport Connection, Reactor
from libc.stdint cimport uint32_t


# Parse what waits, read once, come back in the next iteration if there is more.
cdef void input_progress(Connection* connection) noexcept nogil

# The reactor's block with at least `room` bytes free behind `len`; False: memory is out.
cdef bint input_block(Reactor* reactor, uint32_t room) noexcept nogil
