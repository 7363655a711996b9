"""The timer wheel's hand and its lists."""
from libc.stdint cimport int64_t, uint32_t, uint64_t


cdef extern from * nogil:
    int leading_zeros "__builtin_clzll"(uint64_t v)
    int trailing_zeros "__builtin_ctzll"(uint64_t v)


cdef enum:
    DIGIT_BITS = 6
    DIGIT_MASK = 63

cdef int64_t NS_PER_TICK = 1000000
cdef uint64_t LAST_TICK = (<uint64_t>1 << WHEEL_LEVELS * DIGIT_BITS) - 1


cdef inline void list_init(Timer* head) noexcept nogil:
    head.next = head
    head.prev = head


cdef void wheel_init(Wheel* wheel, int64_t now_ns) noexcept nogil:
    cdef uint32_t i
    wheel.tick = <uint64_t>(now_ns // NS_PER_TICK)
    for i in range(WHEEL_LEVELS):
        wheel.used[i] = 0
    for i in range(WHEEL_LEVELS * WHEEL_SLOTS):
        list_init(&wheel.slots[i])


# Link `timer` where its tick belongs; its tick is ahead of the hand.
cdef void place(Wheel* wheel, Timer* timer) noexcept nogil:
    cdef uint32_t level = <uint32_t>(63 - leading_zeros(timer.tick ^ wheel.tick | DIGIT_MASK)) // DIGIT_BITS
    cdef uint32_t digit = <uint32_t>(timer.tick >> level * DIGIT_BITS) & DIGIT_MASK
    cdef Timer* head = &wheel.slots[level * WHEEL_SLOTS + digit]
    timer.next = head
    timer.prev = head.prev
    head.prev.next = timer
    head.prev = timer
    wheel.used[level] |= <uint64_t>1 << digit


cdef void wheel_arm(Wheel* wheel, Timer* timer, int64_t deadline_ns) noexcept nogil:
    cdef uint64_t tick = <uint64_t>((deadline_ns - 1) // NS_PER_TICK + 1) if deadline_ns > 0 else 0
    wheel_disarm(wheel, timer)
    if tick > LAST_TICK:
        tick = LAST_TICK
    timer.tick = tick if tick > wheel.tick else wheel.tick + 1
    place(wheel, timer)


cdef void wheel_disarm(Wheel* wheel, Timer* timer) noexcept nogil:
    cdef Timer* next = timer.next
    cdef uint64_t index
    if next == NULL:
        return
    next.prev = timer.prev
    timer.prev.next = next
    timer.next = NULL
    if next.next == next:                       # only the list's head is left: of a slot, or of a list that is firing
        index = (<uint64_t>next - <uint64_t>&wheel.slots[0]) // sizeof(Timer)
        if index < WHEEL_LEVELS * WHEEL_SLOTS:
            wheel.used[index // WHEEL_SLOTS] &= ~(<uint64_t>1 << (index & DIGIT_MASK))


# The first tick of the first slot in use; False: none is.
cdef bint first_slot(const Wheel* wheel, uint32_t* index, uint64_t* tick) noexcept nogil:
    cdef uint32_t level, digit
    cdef uint64_t upper
    for level in range(WHEEL_LEVELS):
        if wheel.used[level]:
            digit = <uint32_t>trailing_zeros(wheel.used[level])
            upper = wheel.tick >> (level + 1) * DIGIT_BITS
            index[0] = level * WHEEL_SLOTS + digit
            tick[0] = (upper << DIGIT_BITS | digit) << level * DIGIT_BITS
            return True
    return False


# Fire or deal out everything in slot `index`, whose time is the hand's.
cdef void empty_slot(Wheel* wheel, uint32_t index, int64_t now_ns) noexcept nogil:
    cdef Timer* head = &wheel.slots[index]
    cdef Timer* timer
    cdef Timer due
    due.next = head.next                        # off the wheel, so that what is armed meanwhile is not met here
    due.prev = head.prev
    due.next.prev = &due
    due.prev.next = &due
    list_init(head)
    wheel.used[index // WHEEL_SLOTS] &= ~(<uint64_t>1 << (index & DIGIT_MASK))
    while due.next != &due:
        timer = due.next
        due.next = timer.next
        timer.next.prev = &due
        timer.next = NULL
        if timer.tick > wheel.tick:
            place(wheel, timer)
        else:
            timer.fire(timer, now_ns)


cdef void wheel_advance(Wheel* wheel, int64_t now_ns) noexcept nogil:
    cdef uint64_t now = <uint64_t>(now_ns // NS_PER_TICK)
    cdef uint64_t tick = 0
    cdef uint32_t index = 0
    while first_slot(wheel, &index, &tick) and tick <= now:
        wheel.tick = tick
        empty_slot(wheel, index, now_ns)
    if now > wheel.tick:
        wheel.tick = now


cdef int64_t wheel_next_ns(const Wheel* wheel) noexcept nogil:
    cdef uint64_t tick = 0
    cdef uint32_t index = 0
    if not first_slot(wheel, &index, &tick):
        return -1
    return <int64_t>tick * NS_PER_TICK
