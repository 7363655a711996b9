"""Segments of a journal: see segment.pxd."""
from libc.errno cimport EINVAL, EIO, ENOMEM, errno
from libc.stdint cimport int64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset
from robustmq._fastpath.atomic cimport (
    fence_seq_cst, fetch_add_u32, fetch_sub_u32, load_acquire_ptr, load_acquire_u32, spin_lock, spin_unlock, store_release_ptr,
)
from robustmq._fastpath.block cimport REF_MAPPED, ref_failed, ref_retire, ref_revive
from robustmq._fastpath.crc cimport crc32c
from robustmq._fastpath.platform cimport (
    MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, MAP_SHARED, O_CLOEXEC, O_CREAT, O_RDWR, PROT_READ, PROT_WRITE, clock_wall_ms, close,
    directory_sync, file_preallocate, file_size, file_sync, memory_huge, memory_load, memory_sync, mmap, munmap, open, random_u32,
    rename, set_errno, unlink, waker_ring,
)
from robustmq._fastpath.stores.guard cimport Guarded, guard_add, guard_remove


cdef struct SegmentHead:
    uint8_t magic[8]
    uint32_t version
    uint32_t nonce
    uint64_t sequence
    uint64_t size
    uint32_t crc                # of what stands before it


cdef const char* MAGIC = b"RMQJRNL1"
cdef uint32_t CRC_AT = 32
cdef uint32_t UNSYNCED_AT = 36
cdef uint32_t SETTLED_AT = 40


cdef bint segments_init(SegmentStore* store, const char* directory, uint64_t size, uint64_t most, uint64_t slack_bytes,
                        bint memory) noexcept nogil:
    cdef uint64_t slots = 8
    memset(store, 0, sizeof(SegmentStore))
    store.size = size
    while (<uint64_t>1 << store.shift) < size:
        store.shift += 1
    store.enough = <uint32_t>(2 * most + 4)
    store.limit = <uint32_t>(2 * most + 4 + ((slack_bytes + size - 1) >> store.shift))
    while slots < store.limit:          # room for segments that readers pin while the tail goes on
        slots *= 2
    store.slots = <Segment**>calloc(slots, sizeof(Segment*))
    store.mask = slots - 1
    store.memory = memory
    if directory != NULL:
        snprintf(store.directory, sizeof(store.directory), b"%s", directory)
    return store.slots != NULL


cdef void segment_destroy(Segment* segment) noexcept nogil:
    fetch_sub_u32(&segment.store.made, 1)
    guard_remove(segment.guard)
    munmap(segment.base, segment.store.size)
    if segment.fd >= 0:
        close(segment.fd)
    free(segment)


cdef void segments_close(SegmentStore* store) noexcept nogil:
    """After the last reader: every thread that could hold a reference has ended."""
    cdef Segment* segment
    cdef uint64_t i
    if store.slots == NULL:
        return
    for i in range(store.mask + 1):
        if store.slots[i] != NULL:
            segment_destroy(store.slots[i])
    while store.free_list != NULL:
        segment = store.free_list
        store.free_list = segment.next
        segment_destroy(segment)
    free(store.slots)
    store.slots = NULL


cdef void segment_freed(Ref* ref) noexcept nogil:
    """The last reference is gone: the segment may be used again. No system call but while somebody waits for that: this may
    be a reactor."""
    cdef Segment* segment = <Segment*>ref
    cdef SegmentStore* store = segment.store
    spin_lock(&store.free_lock)
    segment.next = store.free_list
    store.free_list = segment
    spin_unlock(&store.free_lock)
    fetch_sub_u32(&store.pinned, 1)
    fence_seq_cst()
    if load_acquire_u32(&store.choked):
        waker_ring(store.bell)


cdef Segment* segment_wrap(SegmentStore* store, uint8_t* base, int fd) noexcept nogil:
    cdef Segment* segment = <Segment*>calloc(1, sizeof(Segment))
    if segment != NULL:
        segment.ref.free = segment_freed
        segment.ref.kind = REF_MAPPED
        segment.store = store
        segment.base = base
        segment.fd = fd
        fetch_add_u32(&store.made, 1)
    return segment


cdef bint segment_guard(Segment* segment) noexcept nogil:
    cdef SegmentStore* store = segment.store
    cdef Guarded mapping = Guarded(segment.base, store.size, PROT_READ | PROT_WRITE, &segment.ref, store.health, store.lost,
                                   store.journal)
    segment.guard = guard_add(&mapping)
    return segment.guard != NULL


cdef Segment* segment_map(SegmentStore* store, int fd) noexcept nogil:
    """Map an open file of the right size, or anonymous memory for fd -1; owns `fd` afterwards, also on failure."""
    cdef void* base = mmap(NULL, store.size, PROT_READ | PROT_WRITE,
                           MAP_SHARED if fd >= 0 else MAP_PRIVATE | MAP_ANONYMOUS, fd, 0)
    cdef Segment* segment = NULL
    if base != MAP_FAILED:
        if fd < 0:
            memory_huge(<uint8_t*>base, store.size)
        segment = segment_wrap(store, <uint8_t*>base, fd)
        if segment == NULL:
            munmap(base, store.size)
            set_errno(ENOMEM)
    if segment == NULL and fd >= 0:
        close(fd)
    if segment != NULL and fd >= 0 and not segment_guard(segment):
        segment_destroy(segment)
        set_errno(ENOMEM)
        return NULL
    return segment


cdef void segment_path(SegmentStore* store, uint64_t sequence, char* path, size_t room) noexcept nogil:
    snprintf(path, room, b"%s/%016llx.journal", <const char*>store.directory, <unsigned long long>sequence)


cdef Segment* segment_create(SegmentStore* store, const char* path) noexcept nogil:
    """A new file with all its blocks. A file that cannot get them is not left behind."""
    cdef int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o640)
    cdef int failed
    if fd < 0:
        return NULL
    failed = file_preallocate(fd, store.size)
    if failed:
        close(fd)
        unlink(path)
        set_errno(failed)
        return NULL
    return segment_map(store, fd)


cdef bint segment_stamp(Segment* segment, uint64_t sequence) noexcept nogil:
    """A new life: sequence, nonce, header; durable for a file. False with errno."""
    cdef SegmentHead head
    segment.sequence = sequence
    segment.nonce = random_u32() | 1
    segment.prefaulted = 0
    segment.opened_ms = clock_wall_ms()
    segment.ref.refs = 1
    memset(&head, 0, sizeof(head))
    memcpy(head.magic, MAGIC, 8)
    head.version = SEGMENT_VERSION
    head.nonce = segment.nonce
    head.sequence = sequence
    head.size = segment.store.size
    head.crc = crc32c(0, <uint8_t*>&head, CRC_AT)
    memset(segment.base, 0, SEGMENT_HEADER + 8)
    memcpy(segment.base, &head, CRC_AT + 4)
    return segment.fd < 0 or memory_sync(segment.base, SEGMENT_HEADER, segment.fd) == 0


cdef Segment* segment_prepare(SegmentStore* store, uint64_t sequence) noexcept nogil:
    cdef char path[4200]
    cdef char old[4200]
    cdef int failed = 0
    cdef Segment* segment = pop_free(store, False)
    if segment != NULL:
        ref_revive(&segment.ref)
    if store.memory:
        if segment == NULL:
            segment = segment_map(store, -1)
        if segment != NULL:
            segment_stamp(segment, sequence)
        return segment
    segment_path(store, sequence, path, sizeof(path))
    if segment == NULL:
        segment = segment_create(store, path)
        if segment == NULL:
            return NULL
        segment.fresh = 1
    else:
        segment_path(store, segment.sequence, old, sizeof(old))
        segment.fresh = 0
        failed = errno if rename(old, path) != 0 else 0
    # The name first: no power cut may leave a header that contradicts its file's name.
    if failed == 0:
        failed = directory_sync(store.directory)
    if failed == 0 and (not segment_stamp(segment, sequence) or file_sync(segment.fd) != 0):
        failed = errno
    if failed == 0 and ref_failed(&segment.ref):
        failed = EIO                    # its header went to a page of zeros
    if failed:
        segment_destroy(segment)
        set_errno(failed)
        return NULL
    return segment


cdef Segment* segment_open(SegmentStore* store, const char* path) noexcept nogil:
    cdef int fd = open(path, O_RDWR | O_CLOEXEC, 0)
    cdef int failed
    cdef Segment* segment
    cdef SegmentHead head
    if fd < 0:
        return NULL
    if file_size(fd) < SEGMENT_HEADER or file_size(fd) > <int64_t>store.size:
        close(fd)
        set_errno(EINVAL)
        return NULL
    segment = segment_map(store, fd)
    if segment == NULL:
        return NULL
    failed = memory_load(segment.base, SEGMENT_HEADER)
    if failed == 0:
        memcpy(&head, segment.base, CRC_AT + 4)
        if (memcmp(head.magic, MAGIC, 8) != 0 or head.version != SEGMENT_VERSION or head.size != store.size
                or head.crc != crc32c(0, <uint8_t*>&head, CRC_AT)):
            failed = EINVAL
    if failed == 0:
        failed = file_preallocate(fd, store.size)       # a copy may have holes, and recovery stores into the mapping
    if failed:
        segment_destroy(segment)
        set_errno(failed)
        return NULL
    segment.sequence = head.sequence
    segment.nonce = head.nonce
    segment.opened_ms = clock_wall_ms()
    segment.ref.refs = 1
    return segment


cdef void segment_mark_unsynced(Segment* segment) noexcept nogil:
    cdef uint32_t unsynced = 1
    if segment.fd >= 0:
        memcpy(segment.base + UNSYNCED_AT, &unsynced, sizeof(unsynced))


cdef void segment_settle(Segment* segment) noexcept nogil:
    cdef uint32_t settled = 1
    memcpy(segment.base + SETTLED_AT, &settled, sizeof(settled))


cdef bint segment_is_settled(const Segment* segment) noexcept nogil:
    cdef uint32_t settled
    memcpy(&settled, segment.base + SETTLED_AT, sizeof(settled))
    return settled == 1


cdef void segment_list(SegmentStore* store, Segment* segment) noexcept nogil:
    store_release_ptr(&store.slots[segment.sequence & store.mask], segment)


cdef bint segments_full(SegmentStore* store, uint64_t sequence) noexcept nogil:
    cdef bint none_free
    if load_acquire_ptr(&store.slots[sequence & store.mask]) != NULL:
        return True
    spin_lock(&store.free_lock)
    none_free = store.free_list == NULL
    spin_unlock(&store.free_lock)
    return none_free and load_acquire_u32(&store.made) >= store.limit


cdef bint segment_unlist(SegmentStore* store, Segment* segment) noexcept nogil:
    memset(segment.base, 0, SEGMENT_HEADER)
    fetch_add_u32(&store.pinned, 1)
    ref_retire(&segment.ref)
    store_release_ptr(&store.slots[segment.sequence & store.mask], NULL)
    return store.memory or (memory_sync(segment.base, SEGMENT_HEADER, segment.fd) == 0 and not ref_failed(&segment.ref))


cdef Segment* pop_free(SegmentStore* store, bint but_one) noexcept nogil:
    cdef Segment* segment
    spin_lock(&store.free_lock)
    segment = store.free_list
    if segment != NULL and but_one and segment.next == NULL:
        segment = NULL
    if segment != NULL:
        store.free_list = segment.next
    spin_unlock(&store.free_lock)
    return segment


cdef void segments_trim(SegmentStore* store) noexcept nogil:
    cdef char path[4200]
    cdef Segment* segment = pop_free(store, True)
    while segment != NULL:
        if not store.memory:
            segment_path(store, segment.sequence, path, sizeof(path))
            unlink(path)
        segment_destroy(segment)
        segment = pop_free(store, True)
