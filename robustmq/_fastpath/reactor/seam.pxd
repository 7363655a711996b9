"""The seam: frames that the reactor's protocols hand to the control plane, in order, none lost, none copied.

    reactor: seam_push -> ring -> (end of the iteration) one write to the bell, if the control plane sleeps
    control: bell -> seam_take until empty -> sleep
    full:    the frame waits in the reactor, its link is not parsed on (SEAM_WAITS); when the control plane has taken
             something it posts `seam_mail`, and the reactor moves on what waited

So a reactor holds at most the frames of one callback per link, and the ring is bounded.

Owner: seam_push and seam_announce by the reactor, seam_take and seam_sleep by one control-plane thread.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from robustmq._fastpath.block cimport Block
from robustmq._fastpath.reactor.core cimport Connection, Reactor, SeamItem, Shared


cdef bint seam_init(Reactor* reactor, uint64_t items) noexcept nogil          # `items` is a power of two
cdef void seam_free(Reactor* reactor) noexcept nogil

# Takes the reference to `block`. False: memory is out (the frame is dropped; the link must be closed).
cdef bint seam_push(Connection* connection, uint32_t kind, Block* block, const uint8_t* data, uint64_t n) noexcept nogil

# End of an iteration: wake the control plane if it sleeps and there is news.
cdef void seam_announce(Reactor* reactor) noexcept nogil

# The oldest frame of that reactor; its block's reference goes to the caller. False: none.
cdef bint seam_take(Reactor* reactor, SeamItem* item) noexcept nogil

# After taking: let a reactor that waited for room go on.
cdef void seam_taken(Reactor* reactor) noexcept nogil

# Everything was taken: quiet the bell and announce sleep. Frames that arrived meanwhile ring it again.
cdef void seam_sleep(Shared* shared) noexcept nogil
