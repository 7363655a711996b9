"""Readers and a writer over one shared pointer, for tests of QSBR."""
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc
from robustmq._fastpath.atomic cimport (
    fetch_add_u64, load_acquire_ptr, load_relaxed_u64, store_release_ptr, store_relaxed_u64,
)
from robustmq._fastpath.qsbr cimport (
    qsbr_collect, qsbr_offline, qsbr_online, qsbr_quiescent, qsbr_register, qsbr_retire, qsbr_synchronize,
    qsbr_unregister,
)


cdef struct Thing:
    uint64_t alive          # ALIVE until it is freed
    uint64_t copy

cdef enum:
    ALIVE = 0x5A5A5A5A

cdef uint64_t freed_count = 0
cdef uint64_t stop_flag = 0
cdef Thing* shared = NULL


cdef void thing_free(void* p) noexcept nogil:
    (<Thing*>p).alive = 0
    fetch_add_u64(&freed_count, 1)
    free(p)


cdef Thing* thing_new() noexcept nogil:
    cdef Thing* thing = <Thing*>malloc(sizeof(Thing))
    thing.alive = ALIVE
    thing.copy = ALIVE
    return thing


def register() -> int:
    return qsbr_register()


def unregister(int slot) -> None:
    qsbr_unregister(slot)


def quiescent(int slot) -> None:
    qsbr_quiescent(slot)


def offline(int slot) -> None:
    qsbr_offline(slot)


def online(int slot) -> None:
    qsbr_online(slot)


def collect() -> None:
    qsbr_collect()


def synchronize() -> None:
    with nogil:
        qsbr_synchronize()


def retire() -> None:
    qsbr_retire(thing_new(), thing_free)


def freed() -> int:
    return load_relaxed_u64(&freed_count)


def stop(bint value) -> None:
    store_relaxed_u64(&stop_flag, value)


def publish() -> None:
    """Put a first thing where readers look."""
    store_release_ptr(&shared, thing_new())


def read_until_stopped() -> int:
    """A reader thread: how many dead things it saw (must be 0); sleeps offline now and then."""
    cdef uint64_t dead = 0, round = 0
    cdef int slot, i
    cdef Thing* thing
    with nogil:
        slot = qsbr_register()
        while not load_relaxed_u64(&stop_flag):
            thing = <Thing*>load_acquire_ptr(&shared)
            for i in range(20):
                dead += thing.alive != ALIVE or thing.copy != ALIVE
            round += 1
            if round % 64 == 0:
                qsbr_offline(slot)
                qsbr_online(slot)
            else:
                qsbr_quiescent(slot)
        qsbr_unregister(slot)
    return dead


def replace(uint64_t times) -> None:
    """The writer: replace the shared thing, retire the old one."""
    cdef uint64_t t
    cdef Thing* old
    with nogil:
        for t in range(times):
            old = <Thing*>load_acquire_ptr(&shared)
            store_release_ptr(&shared, thing_new())
            qsbr_retire(old, thing_free)
            if t % 16 == 0:
                qsbr_collect()
            if t % 1000 == 0:
                qsbr_synchronize()
