"""Epochs, slots and the list of what waits to be freed.

    retire:    unlink p, epoch += 1, remember (p, epoch)
    quiescent: slot.seen = epoch                                  it has let go of all that was unlinked before
    free:      p when its epoch <= the smallest `seen` of all online slots

Owner: `slot.seen` by its thread; the list under `list_lock`, which is never held across a callback.
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free as c_free, malloc
from robustmq._fastpath.atomic cimport (
    cas_u64, exchange_u32, fence_seq_cst, fetch_add_u64, load_acquire_u64, load_relaxed_u64, spin_lock, spin_unlock,
    store_release_u64,
)
from robustmq._fastpath.platform cimport (
    pthread_cond_broadcast, pthread_cond_init, pthread_cond_t, pthread_cond_wait, pthread_mutex_init, pthread_mutex_lock,
    pthread_mutex_t, pthread_mutex_unlock,
)


cdef enum:
    SLOTS = 64

cdef uint64_t AWAY = <uint64_t>-1       # a slot that is offline or nobody's


cdef struct Slot:
    uint64_t seen           # epoch at the last quiescent state, or AWAY
    uint64_t taken
    uint64_t[6] padding     # a cache line each: threads write them at every iteration


cdef struct Retired:
    Retired* next
    uint64_t epoch
    void* p
    void (*free)(void* p) noexcept nogil


cdef Slot[SLOTS] slots
cdef uint64_t epoch = 1                 # atomic
cdef uint64_t waiting = 0               # atomic: how many retired things are not freed yet
cdef uint32_t list_lock = 0
cdef uint64_t synchronizing = 0         # atomic: threads in qsbr_synchronize, which a passing slot wakes
cdef pthread_mutex_t passing_lock
cdef pthread_cond_t passing
pthread_mutex_init(&passing_lock, NULL)
pthread_cond_init(&passing, NULL)
cdef Retired* oldest = NULL             # by epoch
cdef Retired* newest = NULL
cdef uint32_t slot_index
for slot_index in range(SLOTS):
    slots[slot_index].seen = AWAY


cdef int qsbr_register() noexcept nogil:
    cdef int slot
    for slot in range(SLOTS):
        if load_relaxed_u64(&slots[slot].taken) == 0 and cas_u64(&slots[slot].taken, 0, 1):
            qsbr_online(slot)
            return slot
    return -1


cdef void qsbr_unregister(int slot) noexcept nogil:
    qsbr_offline(slot)
    store_release_u64(&slots[slot].taken, 0)


cdef void qsbr_quiescent(int slot) noexcept nogil:
    cdef uint64_t now = load_acquire_u64(&epoch)
    if slots[slot].seen != now:
        store_release_u64(&slots[slot].seen, now)
        wake_synchronizers()
    if load_relaxed_u64(&waiting):
        qsbr_collect()


cdef void qsbr_offline(int slot) noexcept nogil:
    store_release_u64(&slots[slot].seen, AWAY)
    wake_synchronizers()


cdef void wake_synchronizers() noexcept nogil:
    """After a slot's `seen` was stored. The fence pairs with the one in smallest_seen: one side sees the other."""
    fence_seq_cst()
    if load_relaxed_u64(&synchronizing):
        pthread_mutex_lock(&passing_lock)
        pthread_cond_broadcast(&passing)
        pthread_mutex_unlock(&passing_lock)


cdef void qsbr_online(int slot) noexcept nogil:
    store_release_u64(&slots[slot].seen, load_acquire_u64(&epoch))
    fence_seq_cst()                     # seen before the first read; its partner is in smallest_seen


cdef uint64_t smallest_seen() noexcept nogil:
    cdef uint64_t smallest = AWAY, seen
    cdef int slot
    fence_seq_cst()
    for slot in range(SLOTS):
        seen = load_acquire_u64(&slots[slot].seen)
        if seen < smallest:
            smallest = seen
    return smallest


cdef void qsbr_retire(void* p, void (*free)(void* p) noexcept nogil) noexcept nogil:
    cdef Retired* node = <Retired*>malloc(sizeof(Retired))
    if node == NULL:
        return
    node.next = NULL
    node.p = p
    node.free = free
    spin_lock(&list_lock)
    node.epoch = fetch_add_u64(&epoch, 1) + 1
    global oldest, newest
    if newest == NULL:
        oldest = node
    else:
        newest.next = node
    newest = node
    fetch_add_u64(&waiting, 1)
    spin_unlock(&list_lock)


# Cut off what every online slot has passed.
cdef Retired* take_free() noexcept nogil:
    global oldest, newest
    cdef Retired* first
    cdef Retired* last = NULL
    cdef Retired* node
    cdef uint64_t passed
    spin_lock(&list_lock)
    passed = smallest_seen() if oldest != NULL else 0
    first = oldest
    node = oldest
    while node != NULL and node.epoch <= passed:
        last = node
        node = node.next
    oldest = node
    if node == NULL:
        newest = NULL
    spin_unlock(&list_lock)
    if last == NULL:
        return NULL
    last.next = NULL
    return first


cdef void qsbr_collect() noexcept nogil:
    cdef Retired* node = take_free()
    cdef Retired* next
    while node != NULL:
        next = node.next
        node.free(node.p)
        c_free(node)
        fetch_add_u64(&waiting, <uint64_t>-1)
        node = next


cdef void qsbr_synchronize() noexcept nogil:
    cdef uint64_t target = fetch_add_u64(&epoch, 1) + 1
    pthread_mutex_lock(&passing_lock)
    fetch_add_u64(&synchronizing, 1)
    while smallest_seen() < target:     # ends within one loop iteration of the slowest thread; sleepers do not count
        pthread_cond_wait(&passing, &passing_lock)
    fetch_add_u64(&synchronizing, <uint64_t>-1)
    pthread_mutex_unlock(&passing_lock)
    qsbr_collect()
