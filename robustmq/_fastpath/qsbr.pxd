"""Quiescent-state-based reclamation: readers pay nothing, writers free late.

A registered thread reads shared structures (topic index, topic table, partition index, route sets) without a lock.
Between two of its loop iterations it holds no pointer into them and says so (`qsbr_quiescent`); while it sleeps it is
offline and never delays anybody. What a writer unlinks is retired and freed once every thread has passed a quiescent
state after the retirement (Desnoyers et al., "User-Level Implementations of Read-Copy Update", 2012).

Owner: each slot's epoch is written by its thread (release) and read by whoever retires (acquire).
"""
from libc.stdint cimport uint64_t


cdef int qsbr_register() noexcept nogil                 # a slot (0..63) for the calling thread, online; -1 when full
cdef void qsbr_unregister(int slot) noexcept nogil
cdef void qsbr_quiescent(int slot) noexcept nogil       # between loop iterations; also frees what has become free
cdef void qsbr_offline(int slot) noexcept nogil         # before sleeping
cdef void qsbr_online(int slot) noexcept nogil          # after waking, before reading anything shared

# `free(p)` runs on some thread after every reader that could hold `p` has moved on: in a later qsbr_quiescent,
# qsbr_collect or qsbr_synchronize of any thread, never inside this call (so it may be made under a lock). Thread-safe.
# When memory is out for the note itself, `p` is leaked: the only safe answer.
cdef void qsbr_retire(void* p, void (*free)(void* p) noexcept nogil) noexcept nogil

# Free what has become free. For threads that retire much while every registered thread may be asleep.
cdef void qsbr_collect() noexcept nogil

# Block until everything retired so far could be freed (shutdown, tests, segment recycling; never on a reactor, nor on any
# thread whose own slot is online, nor with a lock held that a `free` takes).
cdef void qsbr_synchronize() noexcept nogil
