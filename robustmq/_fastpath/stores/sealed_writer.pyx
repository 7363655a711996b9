"""Writing a sealed file: see sealed_writer.pxd."""
from libc.errno cimport EDQUOT, EFBIG, ENOSPC, errno
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from robustmq._fastpath.atomic cimport fetch_add_u64
from robustmq._fastpath.batch cimport batch_max_timestamp
from robustmq._fastpath.platform cimport (
    O_CLOEXEC, O_CREAT, O_RDWR, O_TRUNC, close, directory_sync, file_sync, file_write, file_write_back, open, rename, unlink,
)
from robustmq._fastpath.status cimport NO_MEMORY, OK, STORE_FAILED, STORE_FULL
from robustmq._fastpath.stores.arrays cimport array_grow
from robustmq._fastpath.stores.journal cimport entry_body, entry_length
from robustmq._fastpath.stores.sealed cimport (
    INDEX_EVERY, SEALED_FOOTER, SEALED_HEADER, SEALED_PREFIX, record_prefix, record_span, row_elsewhere, sealed_foot, sealed_head,
    sealed_open, sealed_path, sealed_use,
)


cdef enum:
    WRITE_BACK = 8 << 20                # bytes between two requests to the kernel to begin writing


cdef Status disk_status(int failed) noexcept nogil:
    return STORE_FULL if failed == ENOSPC or failed == EFBIG or failed == EDQUOT else STORE_FAILED


cdef Status writer_open(Writer* writer, SealedStore* store) noexcept nogil:
    cdef char path[4200]
    memset(writer, 0, sizeof(Writer))
    writer.store = store
    writer.fd = -1
    writer.id = fetch_add_u64(&store.next_id, 1)
    writer.buffer = <uint8_t*>malloc(WRITER_CHUNK)
    if writer.buffer == NULL:
        return NO_MEMORY
    sealed_path(store, writer.id, b".writing", path, sizeof(path))
    writer.fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o640)
    if writer.fd < 0:
        return disk_status(errno)
    sealed_head(writer.buffer, writer.id)
    writer.buffered = SEALED_HEADER
    writer.at = SEALED_HEADER
    return OK


cdef Status flush(Writer* writer) noexcept nogil:
    cdef uint64_t begun = writer.at - writer.buffered
    cdef int failed = file_write(writer.fd, writer.buffer, writer.buffered, begun)
    if failed:
        return disk_status(failed)
    fetch_add_u64(&writer.store.counters.written, writer.buffered)
    if writer.pause != NULL:
        writer.pause(writer.context, writer.buffered)
    writer.buffered = 0
    if writer.at - writer.written_back >= <uint64_t>WRITE_BACK:
        file_write_back(writer.fd, writer.written_back, writer.at - writer.written_back)
        writer.written_back = writer.at
    return OK


cdef Status put(Writer* writer, const uint8_t* data, uint64_t n) noexcept nogil:
    cdef uint64_t part
    cdef Status why
    while n > 0:
        part = min(n, <uint64_t>WRITER_CHUNK - writer.buffered)
        memcpy(writer.buffer + writer.buffered, data, part)
        writer.buffered += <uint32_t>part
        writer.at += part
        data += part
        n -= part
        if writer.buffered == WRITER_CHUNK:
            why = flush(writer)
            if why != OK:
                return why
    return OK


cdef Status writer_begin_run(Writer* writer, uint64_t stream, uint64_t base_offset, uint64_t cleaned_at) noexcept nogil:
    cdef SealedRow* row
    if not array_grow(<void**>&writer.rows, writer.row_count, &writer.row_cap, sizeof(SealedRow)):
        return NO_MEMORY
    row = &writer.rows[writer.row_count]
    memset(row, 0, sizeof(SealedRow))
    row.stream = stream
    row.base_offset = base_offset
    row.at = writer.at
    row.max_timestamp = -1
    row.index_at = writer.index_count
    row.cleaned_at = cleaned_at
    writer.indexed_at = writer.at
    writer.row_count += 1
    return OK


cdef Status note_index(Writer* writer, SealedRow* row, const Entry* entry, uint64_t position) noexcept nogil:
    cdef SealedIndexRow* item
    if not array_grow(<void**>&writer.index, writer.index_count, &writer.index_cap, sizeof(SealedIndexRow)):
        return NO_MEMORY
    item = &writer.index[writer.index_count]
    item.base_offset = entry.base_offset
    item.position = position
    item.max_timestamp = row.max_timestamp
    item.at = writer.at
    writer.index_count += 1
    writer.indexed_at = writer.at
    row.index_rows += 1
    return OK


cdef Status writer_put(Writer* writer, const Entry* entry, uint64_t position) noexcept nogil:
    cdef SealedRow* row = &writer.rows[writer.row_count - 1]
    cdef uint64_t padding = record_span(entry) - SEALED_PREFIX - entry_length(entry)
    cdef uint64_t nothing = 0
    cdef uint8_t prefix[SEALED_PREFIX]
    cdef Status why = OK
    if writer.at - writer.indexed_at >= <uint64_t>INDEX_EVERY:
        why = note_index(writer, row, entry, position)
    if row.batches == 0:
        row.first_position = position
    record_prefix(prefix, position, entry)
    if why == OK:
        why = put(writer, prefix, SEALED_PREFIX)
    if why == OK:
        why = put(writer, <const uint8_t*>entry, entry_length(entry))
    if why == OK:
        why = put(writer, <const uint8_t*>&nothing, padding)
    row.bytes = writer.at - row.at
    row.batches += 1
    row.last_position = position
    row.max_timestamp = max(row.max_timestamp, batch_max_timestamp(entry_body(entry)))
    return why


cdef void writer_end_run(Writer* writer, uint64_t end_offset) noexcept nogil:
    writer.rows[writer.row_count - 1].end_offset = end_offset


cdef Status writer_put_row(Writer* writer, const SealedRow* row) noexcept nogil:
    if not array_grow(<void**>&writer.rows, writer.row_count, &writer.row_cap, sizeof(SealedRow)):
        return NO_MEMORY
    writer.rows[writer.row_count] = row[0]
    writer.row_count += 1
    return OK


cdef Status write_end(Writer* writer) noexcept nogil:
    """Indexes, directory and footer."""
    cdef uint8_t foot[SEALED_FOOTER]
    cdef uint64_t index_at = writer.at
    cdef uint64_t directory_at
    cdef uint64_t i
    cdef Status why = put(writer, <const uint8_t*>writer.index, writer.index_count * sizeof(SealedIndexRow))
    for i in range(writer.row_count):
        if row_elsewhere(&writer.rows[i]):
            continue
        writer.rows[i].index_at = index_at + writer.rows[i].index_at * sizeof(SealedIndexRow)
    directory_at = writer.at
    sealed_foot(foot, writer.id, directory_at, writer.rows, writer.row_count)
    if why == OK:
        why = put(writer, <const uint8_t*>writer.rows, writer.row_count * sizeof(SealedRow))
    if why == OK:
        why = put(writer, foot, SEALED_FOOTER)
    return flush(writer) if why == OK else why


cdef Status writer_finish(Writer* writer, SealedFile** file) noexcept nogil:
    cdef char path[4200]
    cdef char final[4200]
    cdef const char* damage
    cdef Status why = write_end(writer)
    sealed_path(writer.store, writer.id, b".writing", path, sizeof(path))
    sealed_path(writer.store, writer.id, b".sealed", final, sizeof(final))
    if why == OK and (file_sync(writer.fd) != 0 or rename(path, final) != 0):
        why = disk_status(errno)
    if why == OK and directory_sync(writer.store.directory) != 0:
        why = STORE_FAILED
    if why == OK:
        file[0] = sealed_open(writer.store, final, &damage)
        if file[0] == NULL:
            why = NO_MEMORY
        elif damage != NULL:
            why = STORE_FAILED          # what was written is not what stands there
    if why == OK:
        sealed_use(file[0])
        release(writer)
    return why


cdef void release(Writer* writer) noexcept nogil:
    if writer.fd >= 0:
        close(writer.fd)
    writer.fd = -1
    free(writer.buffer)
    free(writer.rows)
    free(writer.index)
    writer.buffer = NULL
    writer.rows = NULL
    writer.index = NULL


cdef void writer_abandon(Writer* writer) noexcept nogil:
    cdef char path[4200]
    if writer.store != NULL and writer.fd >= 0:
        sealed_path(writer.store, writer.id, b".writing", path, sizeof(path))
        unlink(path)
    release(writer)
