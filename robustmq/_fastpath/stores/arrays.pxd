"""Arrays that grow, and their order."""
from libc.stdint cimport uint64_t
from libc.stdlib cimport realloc


cdef enum:
    ARRAY_FIRST = 16                    # items of an array that has just begun


# Room for one more item of `each` bytes behind `count`; the capacity doubles. False: memory is out, the array is as it was.
cdef inline bint array_grow(void** items, uint64_t count, uint64_t* cap, size_t each) noexcept nogil:
    cdef uint64_t wanted = cap[0] * 2 if cap[0] else <uint64_t>ARRAY_FIRST
    cdef void* grown
    if count < cap[0]:
        return True
    grown = realloc(items[0], wanted * each)
    if grown == NULL:
        return False
    items[0] = grown
    cap[0] = wanted
    return True


# For qsort, of items that begin with a stream and a place in it.
cdef inline int array_by_stream(const void* a, const void* b) noexcept nogil:
    cdef const uint64_t* x = <const uint64_t*>a
    cdef const uint64_t* y = <const uint64_t*>b
    if x[0] != y[0]:
        return -1 if x[0] < y[0] else 1
    return -1 if x[1] < y[1] else x[1] > y[1]
