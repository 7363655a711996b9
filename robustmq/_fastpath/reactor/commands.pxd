"""What other threads ask of a reactor, as mails that it runs and frees: answers, closes, moves, new sockets, stop.

Each returns False when memory is out. A command for a link that is gone does nothing.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from robustmq._fastpath.reactor.core cimport Shared
from robustmq._fastpath.status cimport Status


# Protocol.on_answer on the link's reactor; the bytes are copied, `object` is passed on.
cdef bint command_answer(Shared* shared, uint64_t link_id, uint32_t kind, const uint8_t* data, uint64_t n,
                         void* object) noexcept nogil

cdef bint command_close(Shared* shared, uint64_t link_id, Status why) noexcept nogil

# To reactor `target`, then the answer. The control plane hears LINK_MOVED under the old id first, unless the link is at
# home there already.
cdef bint command_move(Shared* shared, uint64_t link_id, uint32_t target, uint32_t kind, const uint8_t* data,
                       uint64_t n, void* object) noexcept nogil

# A connected, non-blocking socket, counted by the caller for reactor `target`.
cdef bint command_adopt(Shared* shared, uint32_t target, int fd, uint32_t protocol, uint32_t listener) noexcept nogil

# Close the listeners and every link (SHUTTING_DOWN), leave when the last output is sent, or after `grace_ns`.
cdef bint command_stop(Shared* shared, uint32_t target, int64_t grace_ns) noexcept nogil
