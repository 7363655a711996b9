"""Sealed files, read: see sealed.pxd."""
from libc.errno cimport EINVAL, EIO, ENOMEM, EPROTO
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset
from robustmq._fastpath.atomic cimport (
    fetch_add_u32, fetch_add_u64, fetch_sub_u32, spin_lock, spin_unlock, store_relaxed_u64,
    store_release_u32,
)
from robustmq._fastpath.batch cimport BATCH_HEADER, batch_last_offset_delta, batch_max_timestamp
from robustmq._fastpath.block cimport REF_FAILED, REF_MAPPED, ref_failed, ref_holds, ref_release
from robustmq._fastpath.crc cimport crc32c
from robustmq._fastpath.mailbox cimport mailbox_post
from robustmq._fastpath.platform cimport (
    MADV_NORMAL, MADV_RANDOM, MAP_FAILED, MAP_SHARED, O_CLOEXEC, O_RDONLY, PROT_READ, close, file_size, madvise, memory_forget,
    memory_load, memory_want, mmap, munmap, open, set_errno, unlink, waker_ring,
)
from robustmq._fastpath.qsbr cimport qsbr_synchronize
from robustmq._fastpath.stores.guard cimport Guarded, guard_add, guard_remove
from robustmq._fastpath.stores.loader cimport LOAD_WINDOW, loader_tell
from robustmq._fastpath.stores.journal cimport (
    ENTRY_BATCH, MARK_PAD, MARK_RESERVED, entry_body, entry_intact, entry_length,
)


cdef const char* DAMAGED = b"its directory does not prove itself and was made again from the records"
cdef const char* SHORT = b"it was cut short; its directory was made again from the records that are left"


cdef void sealed_path(SealedStore* store, uint64_t id, const char* suffix, char* path, size_t room) noexcept nogil:
    snprintf(path, room, b"%s/%016llx%s", <const char*>store.directory, <unsigned long long>id, suffix)


cdef bint sealed_init(SealedStore* store, const char* directory, waker_t* bell) noexcept nogil:
    memset(store, 0, sizeof(SealedStore))
    store.next_id = 1
    store.bell = bell
    return <size_t>snprintf(store.directory, sizeof(store.directory), b"%s", directory) < sizeof(store.directory)


# --- records ----------------------------------------------------------------------------------------------------------

cdef uint32_t prefix_crc(uint64_t position, const Entry* entry) noexcept nogil:
    return crc32c(crc32c(0, <const uint8_t*>&position, 8), <const uint8_t*>&entry.crc, 4)


cdef void record_prefix(uint8_t* to, uint64_t position, const Entry* entry) noexcept nogil:
    (<uint64_t*>to)[0] = position
    (<uint64_t*>to)[1] = prefix_crc(position, entry)


cdef const Entry* any_record(SealedFile* file, uint64_t at, uint64_t end) noexcept nogil:
    cdef const Entry* entry = <const Entry*>(file.base + at + SEALED_PREFIX)
    if (at & 7 or ref_failed(&file.ref) or end > file.size or at + SEALED_PREFIX + sizeof(Entry) + BATCH_HEADER > end
            or entry.mark & (MARK_PAD | MARK_RESERVED) or entry_length(entry) < sizeof(Entry) + BATCH_HEADER
            or record_span(entry) > end - at or entry.kind != ENTRY_BATCH or not entry_intact(entry)
            or (<const uint64_t*>(<const char*>entry - 8))[0] != prefix_crc(record_position(entry), entry)):
        return NULL
    return entry


cdef const Entry* sealed_record(SealedFile* file, uint64_t at, uint64_t end, uint64_t stream) noexcept nogil:
    cdef const Entry* entry = any_record(file, at, end)
    return entry if entry != NULL and entry.stream == stream else NULL


# --- indexes ----------------------------------------------------------------------------------------------------------

cdef enum Key:
    BY_OFFSET
    BY_POSITION
    BY_TIME


cdef inline bint before(const SealedIndexRow* row, Key key, uint64_t value) noexcept nogil:
    """Whether a search for `value` may begin at the row's record."""
    if key == BY_OFFSET:
        return row.base_offset <= value
    if key == BY_POSITION:
        return row.position <= value
    return row.max_timestamp < <int64_t>value


cdef const SealedIndexRow* index_of(SealedFile* file, const SealedRow* run) noexcept nogil:
    """The run's index; NULL when it has none within the file."""
    if run.index_rows == 0 or run.index_at & 7 or run.index_at > file.size \
            or run.index_rows > (file.size - run.index_at) // sizeof(SealedIndexRow):
        return NULL
    return <const SealedIndexRow*>(file.base + run.index_at)


cdef const SealedIndexRow* find(SealedFile* file, const SealedRow* run, Key key, uint64_t value) noexcept nogil:
    """The last index row at which a search for `value` may begin; NULL: at the run's beginning."""
    cdef const SealedIndexRow* rows = index_of(file, run)
    cdef uint32_t low = 0
    cdef uint32_t high, middle
    if rows == NULL:
        return NULL
    high = run.index_rows
    while low < high:
        middle = low + (high - low) // 2
        if before(&rows[middle], key, value):
            low = middle + 1
        else:
            high = middle
    if low == 0 or rows[low - 1].at < run.at or rows[low - 1].at >= run.at + run.bytes:
        return NULL
    return &rows[low - 1]


cdef uint64_t near(SealedFile* file, const SealedRow* run, Key key, uint64_t value) noexcept nogil:
    cdef const SealedIndexRow* row = find(file, run, key, value)
    cdef const Entry* entry
    if row == NULL:
        return run.at
    # A wrong index is found out here: its record is not the one that it names, and the whole run is walked.
    entry = sealed_record(file, row.at, run.at + run.bytes, run.stream)
    if entry == NULL or entry.base_offset != row.base_offset or record_position(entry) != row.position \
            or not proven(entry, key, value):
        return run.at
    return row.at


cdef uint64_t sealed_guess(SealedFile* file, const SealedRow* row, uint64_t offset) noexcept nogil:
    cdef const SealedIndexRow* found = find(file, row, BY_OFFSET, offset)
    return found.at if found != NULL else row.at


cdef bint sealed_stretch(SealedFile* file, uint64_t at, uint64_t n, Cold* stretch) noexcept nogil:
    if at >= file.size or ref_failed(&file.ref):
        return False
    stretch.ref = &file.ref
    stretch.data = file.base + at
    stretch.n = min(n, file.size - at)
    stretch.loader = &file.store.loader
    return True


cdef void page_lost(void* owner) noexcept nogil:
    cdef SealedStore* store = <SealedStore*>owner
    fetch_add_u64(&store.counters.lost, 1)
    loader_tell(&store.loader)


cdef int sealed_load(SealedFile* file, uint64_t at, uint64_t n) noexcept nogil:
    cdef uint64_t end = at + n
    cdef int failed = 0
    while failed == 0 and at < end:
        failed = memory_load(file.base + at, min(end - at, <uint64_t>LOAD_WINDOW))
        at += LOAD_WINDOW
    if failed:
        store_release_u32(&file.ref.kind, REF_FAILED)
        page_lost(file.store)
    return failed


cdef inline bint proven(const Entry* entry, Key key, uint64_t value) noexcept nogil:
    return entry.base_offset <= value if key == BY_OFFSET else key == BY_TIME or record_position(entry) <= value


cdef uint64_t sealed_near_offset(SealedFile* file, const SealedRow* row, uint64_t offset) noexcept nogil:
    return near(file, row, BY_OFFSET, offset)


cdef uint64_t sealed_near_position(SealedFile* file, const SealedRow* row, uint64_t position) noexcept nogil:
    return near(file, row, BY_POSITION, position)


cdef uint64_t sealed_near_time(SealedFile* file, const SealedRow* row, int64_t timestamp_ms) noexcept nogil:
    return near(file, row, BY_TIME, <uint64_t>timestamp_ms)


cdef uint64_t sealed_resume(SealedFile* file, const SealedRow* row, uint64_t at) noexcept nogil:
    cdef const SealedIndexRow* rows = index_of(file, row)
    cdef uint64_t end = row.at + row.bytes
    cdef uint32_t i
    if rows != NULL:
        for i in range(row.index_rows):
            if at < rows[i].at < end and sealed_record(file, rows[i].at, end, row.stream) != NULL:
                return rows[i].at
    return end


# --- opening ----------------------------------------------------------------------------------------------------------

cdef struct Head:
    uint8_t magic[8]
    uint32_t version
    uint32_t reserved
    uint64_t id
    uint32_t crc                        # of what stands before it


cdef struct Foot:
    uint64_t directory_at
    uint64_t rows
    uint64_t size                       # of the file
    uint64_t id
    uint32_t directory_crc
    uint32_t version
    uint8_t magic[8]
    uint32_t crc                        # of what stands before it


cdef const char* HEAD_MAGIC = b"RMQSEAL1"
cdef const char* FOOT_MAGIC = b"RMQSEALE"


cdef void sealed_head(uint8_t* to, uint64_t id) noexcept nogil:
    cdef Head* head = <Head*>to
    memset(to, 0, SEALED_HEADER)
    memcpy(head.magic, HEAD_MAGIC, 8)
    head.version = SEALED_VERSION
    head.id = id
    head.crc = crc32c(0, to, 24)


cdef void sealed_foot(uint8_t* to, uint64_t id, uint64_t directory_at, const SealedRow* rows, uint64_t count) noexcept nogil:
    cdef Foot* foot = <Foot*>to
    memset(to, 0, SEALED_FOOTER)
    foot.directory_at = directory_at
    foot.rows = count
    foot.size = directory_at + count * sizeof(SealedRow) + SEALED_FOOTER
    foot.id = id
    foot.directory_crc = crc32c(0, <const uint8_t*>rows, count * sizeof(SealedRow))
    foot.version = SEALED_VERSION
    memcpy(foot.magic, FOOT_MAGIC, 8)
    foot.crc = crc32c(0, to, 48)


cdef inline bint has_footer(SealedFile* file) noexcept nogil:
    return (file.size >= SEALED_HEADER + SEALED_FOOTER and file.size & 7 == 0
            and memcmp((<const Foot*>(file.base + file.size - SEALED_FOOTER)).magic, FOOT_MAGIC, 8) == 0)


cdef bint take_directory(SealedFile* file) noexcept nogil:
    """The directory as it stands, when the footer and it prove themselves; in the mapping until keep_directory."""
    cdef const Foot* foot = <const Foot*>(file.base + file.size - SEALED_FOOTER)
    cdef uint64_t i
    cdef const SealedRow* row
    if (not has_footer(file)
            or foot.crc != crc32c(0, <const uint8_t*>foot, 48) or foot.size != file.size or foot.id != file.id
            or foot.rows > file.size // sizeof(SealedRow) or foot.directory_at < SEALED_HEADER or foot.directory_at & 7
            or foot.directory_at > file.size - SEALED_FOOTER
            or foot.directory_at + foot.rows * sizeof(SealedRow) + SEALED_FOOTER != file.size):
        return False
    file.rows = <SealedRow*>(file.base + foot.directory_at)
    file.row_count = <uint32_t>foot.rows
    memory_want(<const uint8_t*>file.rows, foot.rows * sizeof(SealedRow))       # with a million streams it is large
    if foot.directory_crc != crc32c(0, <const uint8_t*>file.rows, foot.rows * sizeof(SealedRow)):
        return False
    for i in range(foot.rows):
        row = &file.rows[i]
        if row_elsewhere(row) and row.index_rows == 0 and row.end_offset >= row.base_offset:
            continue
        if row.at < SEALED_HEADER or row.at > foot.directory_at or row.bytes > foot.directory_at - row.at \
                or row.end_offset < row.base_offset:
            return False
    return True


cdef bint keep_directory(SealedFile* file) noexcept nogil:
    """Rows are searched by every reader, and decide what retention deletes: no page of them may be lost. False: memory is out."""
    cdef uint64_t at = <uint64_t>(<uint8_t*>file.rows - file.base)
    cdef uint64_t bytes = file.row_count * sizeof(SealedRow)
    cdef SealedRow* rows = <SealedRow*>malloc(bytes if bytes else 1)
    if rows != NULL:
        memcpy(rows, file.rows, bytes)
    file.rows = rows
    memory_forget(file.base + at, file.size - at)
    return rows != NULL


cdef SealedRow* row_for(SealedFile* file, const Entry* entry, uint64_t at) noexcept nogil:
    """The row that a found record continues, or a new one; NULL: memory is out."""
    cdef SealedRow* row = &file.rows[file.row_count - 1] if file.row_count else NULL
    cdef SealedRow* grown
    if row != NULL and row.stream == entry.stream and row.end_offset <= entry.base_offset:
        return row
    if file.row_count & (file.row_count - 1) == 0:          # a power of two, or none: double
        grown = <SealedRow*>realloc(file.rows, (file.row_count * 2 if file.row_count else 1) * sizeof(SealedRow))
        if grown == NULL:
            return NULL
        file.rows = grown
    row = &file.rows[file.row_count]
    memset(row, 0, sizeof(SealedRow))
    row.stream = entry.stream
    row.base_offset = entry.base_offset
    row.at = at
    row.max_timestamp = -1
    row.first_position = record_position(entry)
    file.row_count += 1
    return row


cdef bint rebuild_directory(SealedFile* file) noexcept nogil:
    """Rows from whatever records prove themselves, byte eight by byte eight where they do not. False: memory is out."""
    cdef uint64_t at = SEALED_HEADER
    cdef const Entry* entry
    cdef SealedRow* row
    file.rows = NULL
    file.row_count = 0
    while at + SEALED_PREFIX + sizeof(Entry) + BATCH_HEADER <= file.size:
        entry = any_record(file, at, file.size)
        if entry == NULL:
            at += 8
            continue
        row = row_for(file, entry, at)
        if row == NULL:
            return False
        at += record_span(entry)
        row.end_offset = entry.base_offset + <uint64_t>batch_last_offset_delta(entry_body(entry)) + 1
        row.bytes = at - row.at
        row.batches += 1
        row.max_timestamp = max(row.max_timestamp, batch_max_timestamp(entry_body(entry)))
        row.last_position = record_position(entry)
    return True


cdef void file_freed(Ref* ref) noexcept nogil:
    cdef SealedFile* file = <SealedFile*>ref
    guard_remove(file.guard)
    free(file.rows)
    free(file.oldest)
    munmap(file.base, file.size)
    free(file)


cdef SealedFile* map_file(SealedStore* store, int fd, uint64_t size) noexcept nogil:
    cdef SealedFile* file = <SealedFile*>calloc(1, sizeof(SealedFile))
    cdef void* base = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0)
    cdef Guarded mapping
    if file == NULL or base == MAP_FAILED:
        if base != MAP_FAILED:
            munmap(base, size)
        free(file)
        return NULL
    file.ref.refs = 1
    file.ref.kind = REF_MAPPED
    file.ref.free = file_freed
    file.store = store
    file.base = <uint8_t*>base
    file.size = size
    mapping = Guarded(file.base, size, PROT_READ, &file.ref, NULL, page_lost, store)
    file.guard = guard_add(&mapping)
    if file.guard == NULL:
        ref_release(&file.ref)
        set_errno(ENOMEM)
        return NULL
    return file


cdef SealedFile* sealed_open(SealedStore* store, const char* path, const char** damage) noexcept nogil:
    cdef int fd = open(path, O_RDONLY | O_CLOEXEC, 0)
    cdef int64_t size
    cdef SealedFile* file
    cdef const Head* head
    cdef int failed = 0
    damage[0] = NULL
    if fd < 0:
        return NULL
    size = file_size(fd)
    if size < SEALED_HEADER:
        close(fd)
        set_errno(EINVAL)
        return NULL
    file = map_file(store, fd, <uint64_t>size)
    close(fd)                                               # the mapping lives on
    if file == NULL:
        return NULL
    madvise(file.base, file.size, MADV_RANDOM)              # no read-ahead around a header and a directory
    head = <const Head*>file.base
    if memcmp(head.magic, HEAD_MAGIC, 8) != 0 or head.crc != crc32c(0, file.base, 24) or head.version != SEALED_VERSION:
        failed = EPROTO if memcmp(head.magic, HEAD_MAGIC, 7) == 0 and head.crc == crc32c(0, file.base, 24) else EINVAL
    file.id = head.id
    if failed == 0 and take_directory(file):
        failed = 0 if keep_directory(file) else ENOMEM
    elif failed == 0:
        damage[0] = DAMAGED if has_footer(file) else SHORT
        failed = 0 if rebuild_directory(file) else ENOMEM
    else:
        file.rows = NULL
    if not ref_holds(&file.ref):
        failed = EIO                                        # the disk's fault, and no damage
    if failed:
        ref_release(&file.ref)
        set_errno(failed)
        return NULL
    madvise(file.base, file.size, MADV_NORMAL)
    fetch_add_u64(&store.counters.files, 1)
    fetch_add_u64(&store.counters.file_bytes, file.size)
    return file


# --- lives ------------------------------------------------------------------------------------------------------------

cdef void sealed_use(SealedFile* file) noexcept nogil:
    fetch_add_u32(&file.live, 1)


cdef void sealed_drop(SealedFile* file) noexcept nogil:
    cdef SealedStore* store = file.store
    if fetch_sub_u32(&file.live, 1) != 1:
        return
    spin_lock(&store.doomed_lock)
    file.next = store.doomed
    store.doomed = file
    spin_unlock(&store.doomed_lock)
    waker_ring(store.bell)


cdef void sealed_want(SealedStore* store, const SealedRow* row) noexcept nogil:
    cdef SealedWant* wants = store.wants
    cdef uint32_t i = 0
    spin_lock(&store.wants_lock)
    if store.wants_box != NULL:
        while i < store.want_count and (wants[i].stream != row.stream or wants[i].base_offset != row.base_offset):
            i += 1
        if i == store.want_count and i < <uint32_t>SEALED_WANTS:
            wants[i].stream = row.stream
            wants[i].base_offset = row.base_offset
            store.want_count += 1
        mailbox_post(store.wants_box, store.wants_mail)
    spin_unlock(&store.wants_lock)


cdef SealedFile* sealed_take_doomed(SealedStore* store) noexcept nogil:
    cdef SealedFile* file
    spin_lock(&store.doomed_lock)
    file = store.doomed
    store.doomed = NULL
    spin_unlock(&store.doomed_lock)
    return file


cdef void delete_file(SealedStore* store, SealedFile* file) noexcept nogil:
    cdef char path[4200]
    sealed_path(store, file.id, b".sealed", path, sizeof(path))
    unlink(path)
    store_relaxed_u64(&store.counters.deleted, store.counters.deleted + 1)


cdef void sealed_bury(SealedStore* store, SealedFile* doomed, bint forever) noexcept nogil:
    cdef SealedFile* next
    qsbr_synchronize()
    while doomed != NULL:
        next = doomed.next
        if forever:
            delete_file(store, doomed)
        fetch_add_u64(&store.counters.files, <uint64_t>-1)
        fetch_add_u64(&store.counters.file_bytes, 0 - doomed.size)
        ref_release(&doomed.ref)
        doomed = next
