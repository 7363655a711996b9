"""A hierarchical timer wheel: arm and disarm in O(1), 1 ms ticks, no tick without a timer.

    level 0: 64 slots of 1 ms    level 1: 64 slots of 64 ms    ...    level 6: 64 slots of 2.2 years

A timer stands at the level of the highest digit (base 64) in which its tick differs from the wheel's, so every slot in use
lies ahead of the hand, and the lowest level in use holds the next deadline. A slot of a higher level is dealt out to
lower ones when the hand reaches it: at most 6 times in a timer's life (Varghese and Lauck, "Hashed and Hierarchical
Timing Wheels", 1987).

A timer never fires early, and at most one tick late.

Owner: one thread.
"""
from libc.stdint cimport int64_t, uint64_t


cdef enum:
    WHEEL_LEVELS = 7
    WHEEL_SLOTS = 64


# Embedded in what it is about; `next` is NULL while it is not armed.
cdef struct Timer:
    Timer* next
    Timer* prev
    uint64_t tick
    void (*fire)(Timer* self, int64_t now_ns) noexcept nogil    # disarmed before the call: may arm itself or free itself


cdef struct Wheel:
    uint64_t tick                               # the hand: everything up to it has fired
    uint64_t[WHEEL_LEVELS] used                 # bit per slot that is not empty
    Timer[WHEEL_LEVELS * WHEEL_SLOTS] slots     # list heads


cdef void wheel_init(Wheel* wheel, int64_t now_ns) noexcept nogil
cdef void wheel_arm(Wheel* wheel, Timer* timer, int64_t deadline_ns) noexcept nogil     # again: moves it
cdef void wheel_disarm(Wheel* wheel, Timer* timer) noexcept nogil                       # not armed: nothing

# Fire what is due at `now_ns`. A timer that is armed for the past fires at the hand's next tick.
cdef void wheel_advance(Wheel* wheel, int64_t now_ns) noexcept nogil

# When to call wheel_advance next: not later than the first deadline; -1 when nothing is armed.
cdef int64_t wheel_next_ns(const Wheel* wheel) noexcept nogil


cdef inline void timer_init(Timer* timer, void (*fire)(Timer*, int64_t) noexcept nogil) noexcept nogil:
    timer.next = NULL
    timer.prev = NULL
    timer.fire = fire


cdef inline bint timer_armed(const Timer* timer) noexcept nogil:
    return timer.next != NULL
