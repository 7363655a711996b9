"""A reactor's life: one loop, the same order in each turn.

    online -> events: accept, read, parse -> what was left ready -> mail -> timers -> on_synced
           -> flush what was touched, one writev each -> bury the dead -> one bell for the control plane -> quiescent -> sleep

It sleeps until an event, a mail or the next timer; with nothing to do it uses no CPU. Nothing in it holds the GIL.
"""
from libc.stdint cimport uint32_t, uint64_t
from robustmq._fastpath.reactor.core cimport Reactor, Shared


cdef Reactor* reactor_new(Shared* shared, uint32_t index, uint64_t seam_items) noexcept nogil   # NULL with errno
# Until command_stop is done. False: no QSBR slot is free, nothing ran.
cdef bint reactor_run(Reactor* reactor) noexcept nogil

cdef void reactor_free(Reactor* reactor) noexcept nogil         # its thread has ended, or never began
