"""Bringing cold pages into memory: see loader.pxd."""
from libc.stdlib cimport free, malloc
from robustmq._fastpath.atomic cimport load_acquire_u32, spin_lock, spin_unlock, store_release_u32
from robustmq._fastpath.block cimport REF_FAILED, ref_release, ref_retain
from robustmq._fastpath.mailbox cimport mail_init, mailbox_post
from robustmq._fastpath.platform cimport (
    clock_monotonic_ns, memory_load, memory_want, pthread_join, thread_name, thread_start, waker_destroy, waker_init,
    waker_ring, waker_wait,
)
from robustmq._fastpath.status cimport NO_MEMORY, OK
from robustmq._fastpath.stores.journal cimport count


cdef void push(Loader* loader, Load* load) noexcept nogil:
    spin_lock(&loader.lock)
    if loader.last == NULL:
        loader.first = load
    else:
        loader.last.next = load
    loader.last = load
    loader.queued += 1
    spin_unlock(&loader.lock)
    waker_ring(&loader.bell)


cdef Load* take_all(Loader* loader) noexcept nogil:
    cdef Load* load
    spin_lock(&loader.lock)
    load = loader.first
    loader.first = loader.last = NULL
    loader.queued = 0
    spin_unlock(&loader.lock)
    return load


cdef bint loader_ask(const Cold* cold, Mailbox* box, void (*run)(Mail*, void*, int64_t) noexcept nogil,
                     void* owner) noexcept nogil:
    cdef Load* load = <Load*>malloc(sizeof(Load))
    if load == NULL:
        return False
    mail_init(&load.mail, run)
    load.next = NULL
    load.owner = owner
    load.cold = cold[0]
    load.box = box
    ref_retain(cold.ref)
    push(cold.loader, load)
    return True


cdef void loader_ahead(const Cold* cold) noexcept nogil:
    if cold.loader.queued < LOADS_AHEAD:
        loader_ask(cold, NULL, NULL, NULL)


cdef void finish(Load* load) noexcept nogil:
    cdef Mailbox* box = load.box
    ref_release(load.cold.ref)
    if box != NULL:
        mailbox_post(box, &load.mail)
    else:
        free(load)


cdef void loader_tell(Loader* loader) noexcept nogil:
    if loader.news_box != NULL:
        mailbox_post(loader.news_box, loader.news)


cdef void perform(Loader* loader, Load* load) noexcept nogil:
    cdef int64_t began = clock_monotonic_ns()
    if memory_load(load.cold.data, load.cold.n) != 0:
        store_release_u32(&load.cold.ref.kind, REF_FAILED)
        count(&loader.counters.unreadable, 1)
        loader_tell(loader)
    count(&loader.counters.loads, 1)
    count(&loader.counters.load_bytes, load.cold.n)
    count(&loader.counters.load_ns, <uint64_t>(clock_monotonic_ns() - began))


cdef void perform_all(Loader* loader, Load* first) noexcept nogil:
    """The disk hears of all before the first is waited for."""
    cdef Load* load = first
    while load != NULL and not load_acquire_u32(&loader.stopping):
        memory_want(load.cold.data, load.cold.n)
        load = load.next
    while first != NULL:
        load = first
        first = load.next
        if not load_acquire_u32(&loader.stopping):
            perform(loader, load)
        finish(load)


cdef void* loader_main(void* arg) noexcept nogil:
    cdef Loader* loader = <Loader*>arg
    cdef Load* first
    thread_name(b"loader")
    while True:
        first = take_all(loader)
        if first != NULL:
            perform_all(loader, first)
        elif load_acquire_u32(&loader.stopping):
            return NULL
        else:
            waker_wait(&loader.bell)


cdef Status loader_start(Loader* loader) noexcept nogil:
    waker_init(&loader.bell)
    if thread_start(&loader.thread, loader_main, loader) != 0:
        return NO_MEMORY
    loader.running = 1
    return OK


cdef void loader_stop(Loader* loader) noexcept nogil:
    if not loader.running:
        return
    store_release_u32(&loader.stopping, 1)
    waker_ring(&loader.bell)
    pthread_join(loader.thread, NULL)
    waker_destroy(&loader.bell)
    loader.running = 0
