"""The timer wheel, for tests: timers with numbers, what fired as a list."""
from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport calloc, free
from robustmq._fastpath.wheel cimport (
    Timer, Wheel, timer_armed, timer_init, wheel_advance, wheel_arm, wheel_disarm, wheel_init, wheel_next_ns,
)


cdef struct Numbered:
    Timer timer
    uint32_t number
    uint32_t victim             # disarmed when this one fires
    int64_t again_ns            # armed again so much later when it fires
    int64_t fired_at_ns         # -1: not since the last look
    Wheel* wheel
    Numbered* all


cdef void fire(Timer* timer, int64_t now_ns) noexcept nogil:
    cdef Numbered* self = <Numbered*>timer
    self.fired_at_ns = now_ns
    if self.victim != self.number:
        wheel_disarm(self.wheel, &self.all[self.victim].timer)
    if self.again_ns:
        wheel_arm(self.wheel, timer, now_ns + self.again_ns)


cdef class Timers:
    """A wheel and `n` timers."""
    cdef Wheel wheel
    cdef Numbered* timers
    cdef uint32_t n

    def __cinit__(self, uint32_t n, int64_t now_ns):
        cdef uint32_t i
        wheel_init(&self.wheel, now_ns)
        self.n = n
        self.timers = <Numbered*>calloc(n, sizeof(Numbered))
        if self.timers == NULL:
            raise MemoryError
        for i in range(n):
            timer_init(&self.timers[i].timer, fire)
            self.timers[i].number = i
            self.timers[i].victim = i
            self.timers[i].fired_at_ns = -1
            self.timers[i].wheel = &self.wheel
            self.timers[i].all = self.timers

    def __dealloc__(self):
        free(self.timers)

    def arm(self, uint32_t i, int64_t deadline_ns, int64_t again_ns=0):
        self.timers[i].again_ns = again_ns
        wheel_arm(&self.wheel, &self.timers[i].timer, deadline_ns)

    def kills(self, uint32_t i, uint32_t victim):
        self.timers[i].victim = victim

    def disarm(self, uint32_t i):
        wheel_disarm(&self.wheel, &self.timers[i].timer)

    def armed(self, uint32_t i):
        return bool(timer_armed(&self.timers[i].timer))

    def advance(self, int64_t now_ns):
        """Numbers of the timers that fired."""
        cdef uint32_t i
        wheel_advance(&self.wheel, now_ns)
        fired = []
        for i in range(self.n):
            if self.timers[i].fired_at_ns >= 0:
                fired.append(i)
                self.timers[i].fired_at_ns = -1
        return fired

    @property
    def next_ns(self):
        return wheel_next_ns(&self.wheel)
