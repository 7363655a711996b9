"""From the output queue to the socket, and the end of a connection.

    open --connection_end--> (end of the iteration) on_close, last frames queued --> CLOSING
    CLOSING --output sent--> FIN --> DRAINING --peer's FIN, or 1 s--> DEAD --> freed at the end of the iteration
    CLOSING --peer gone, or reactor.write_timeout_ms--> DEAD

Draining exists because a close with unread input sends RST, which may destroy the last frame before the peer reads it.
"""
from libc.stdint cimport int64_t
from robustmq._fastpath.reactor.core cimport Connection, Reactor
from robustmq._fastpath.wheel cimport Timer


# One writev per touched connection; marks, resumption, closing. Output that callbacks make meanwhile waits for the
# next iteration, which follows at once.
cdef void output_flush_touched(Reactor* reactor) noexcept nogil

# The store needs back what connections hold of it: copied, up to reactor.high_water_bytes for each; who holds more is closed.
cdef void output_unpin(Reactor* reactor) noexcept nogil

# DRAINING: throw away what the peer still sends.
cdef void output_drain(Connection* connection) noexcept nogil

# The write timer: stalled, or done waiting.
cdef void output_timer(Timer* timer, int64_t now_ns) noexcept nogil

# Free what was closed, unless a list of the next iteration still names it.
cdef void output_bury(Reactor* reactor) noexcept nogil
