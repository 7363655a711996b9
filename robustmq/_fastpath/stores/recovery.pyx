"""Recovery: see recovery.pxd for the rules."""
from libc.errno cimport EINVAL, EPROTO, errno
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset, strerror
from robustmq._fastpath.batch cimport batch_base_offset, batch_producer_id
from robustmq._fastpath.block cimport ref_failed, ref_holds, ref_release
from robustmq._fastpath.platform cimport file_sync, file_write_back, file_zero, memory_forget
from robustmq._fastpath.qsbr cimport qsbr_collect
from robustmq._fastpath.stores.audit cimport drop_orphans, keep_orphans, report_holes, tail_above
from robustmq._fastpath.stores.core cimport STREAM_NAME_AT, core_find, core_guess, core_place, core_prefetch
from robustmq._fastpath.stores.index cimport index_prefetch
from robustmq._fastpath.stores.journal cimport (
    ENTRY_BATCH, ENTRY_PRODUCERS, ENTRY_SESSION, ENTRY_STATE, ENTRY_STREAM, ENTRY_STREAM_END, MARK_PAD, MARK_RESERVED, Entry,
    entry_body, entry_body_length, entry_intact, entry_stride,
)
from robustmq._fastpath.stores.partition cimport (
    Partition, partition_free, partition_load_producers, partition_new, partition_recover, partition_trim,
)
from robustmq._fastpath.stores.prover cimport Prover, chain_stride, is_marked, prover_start, prover_stop, prover_wait
from robustmq._fastpath.stores.runs cimport runs_add, runs_all, runs_drop_before, runs_end
from robustmq._fastpath.stores.sealed cimport SealedFile, sealed_drop, sealed_open, sealed_use
from robustmq._fastpath.stores.segment cimport (
    SEGMENT_HEADER, Segment, segment_destroy, segment_is_settled, segment_list, segment_open, segment_settle,
)
from robustmq._fastpath.stores.sessions cimport session_log_recover, session_log_recover_batch
from robustmq._fastpath.stores.state cimport state_recover
from robustmq._fastpath.stores.table cimport table_add, table_remove

import os
from pathlib import Path

from robustmq._fastpath.stores.files import LogError, set_aside


# Ahead of the scan: with very many streams each entry's partition would be waited for.
cdef enum:
    AHEAD = 32                      # entries
    AHEAD_MASK = AHEAD - 1
    AHEAD_PARTITION = 24
    AHEAD_INDEX = 17                # its directory
    AHEAD_CHUNK = 11
    AHEAD_ITEM = 5

cdef struct Ahead:
    uint64_t offset                 # of the next entry to look at
    uint64_t count                  # entries looked at
    uint64_t scanned                # entries applied; the one that is being applied has this number
    uint64_t streams[AHEAD]
    Partition* partitions[AHEAD]    # of nearly all of them; NULL: not known yet, or gone


cdef struct Scan:
    LogCore* core
    Journal* journal                # of the partitions
    Journal* scanned                # that one, or the state log
    bint last                       # no settled segment comes after this one: what is missing was never durable
    bint torn                       # something of that kind is missing
    bint unnamed                    # a directory entry was dropped
    uint64_t damage                 # position of the last damage in an older segment
    uint64_t entries
    uint64_t bytes
    uint64_t dropped
    uint64_t gaps
    uint64_t orphans
    Ahead ahead
    Prover prover


cdef inline void load_index(Ahead* ahead, uint64_t number, uint32_t step) noexcept nogil:
    cdef Partition* partition = ahead.partitions[number & AHEAD_MASK] if number < ahead.count else NULL
    if partition != NULL:
        index_prefetch(partition.index, step)


cdef void forget_ahead(Ahead* ahead, const Partition* partition) noexcept nogil:
    cdef uint32_t i
    for i in range(AHEAD):
        if ahead.partitions[i] == partition:
            ahead.partitions[i] = NULL


cdef Partition* stream_of(Scan* scan, uint64_t stream) noexcept nogil:
    """The stream of an entry; new and without a directory entry when it was not heard of. NULL: memory is out."""
    cdef Partition* partition = scan.ahead.partitions[scan.ahead.scanned & AHEAD_MASK]
    if partition == NULL or partition.stream != stream:
        partition = core_find(scan.core, stream)
    if partition == NULL:
        partition = partition_new(scan.journal, stream, 0, 0, 0)
        if partition != NULL and not table_add(&scan.core.streams, partition):
            partition_free(partition)
            return NULL
    if stream >= scan.core.next_stream:
        scan.core.next_stream = stream + 1
    return partition


cdef bint apply_stream(Scan* scan, const Entry* entry, uint64_t place) noexcept nogil:
    cdef const uint8_t* body = entry_body(entry)
    cdef uint64_t n = entry_body_length(entry)
    cdef uint16_t name_len = 0
    cdef Partition* partition
    if n >= STREAM_NAME_AT:
        memcpy(&name_len, body + 22, 2)
    if n < STREAM_NAME_AT or n != STREAM_NAME_AT + <uint64_t>name_len:
        return False
    partition = stream_of(scan, entry.stream)
    if partition == NULL:
        return False
    memcpy(&partition.number, body + 16, 4)
    partition.durability = body[20]
    partition.directory_position = place
    # What came between is lost, or was deleted. If it was never durable, its offsets are given out again.
    if partition.end < entry.base_offset and (not scan.torn or entry.aux >= entry.base_offset):
        partition.end = entry.base_offset
        if partition.bytes == 0 and partition.runs == NULL:
            partition.start = entry.base_offset
    return not partition_trim(partition, entry.aux) or runs_drop_before(&partition.runs, partition.start)


cdef bint apply_batch(Scan* scan, const Entry* entry, uint64_t position) noexcept nogil:
    cdef Partition* partition = stream_of(scan, entry.stream)
    cdef uint64_t base = entry.base_offset
    if partition == NULL or base != <uint64_t>batch_base_offset(entry_body(entry)):
        return False
    if base > partition.end and base >= runs_end(partition.runs) and (partition.end > 0 or partition.directory_position):
        if scan.last and (partition.last_position > scan.damage or scan.torn and scan.damage == 0):
            return False
        if partition.last_position:     # before the first of them stand sealed runs, of which retention leaves some: audit.pyx
            scan.gaps += 1
    if entry.aux and batch_producer_id(entry_body(entry)) < 0 and not session_log_recover_batch(scan.core, entry, position):
        return False
    return partition_recover(partition, entry, position)


cdef bint apply_end(Scan* scan, const Entry* entry) noexcept nogil:
    cdef Partition* partition = stream_of(scan, entry.stream)
    scan.core.last_ended = max(scan.core.last_ended, entry.stream)
    if partition != NULL:
        table_remove(&scan.core.streams, partition)
        forget_ahead(&scan.ahead, partition)
        partition_free(partition)
    return True


cdef bint apply_producers(Scan* scan, const Entry* entry, uint64_t position) noexcept nogil:
    cdef Partition* partition = stream_of(scan, entry.stream)
    if scan.torn and partition != NULL and entry.base_offset > partition.end:
        return False                            # of batches that were lost, and come again
    return partition != NULL and partition_load_producers(partition, entry, position)


cdef bint apply(Scan* scan, const Entry* entry, uint64_t position) noexcept nogil:
    cdef uint64_t place = core_place(scan.core, scan.scanned, position)
    if entry.kind == ENTRY_BATCH:
        return apply_batch(scan, entry, position)
    if entry.kind == ENTRY_STATE:
        return state_recover(scan.core, entry, place)
    if entry.kind == ENTRY_SESSION:
        return session_log_recover(scan.core, entry, place)
    if entry.kind == ENTRY_STREAM:
        return apply_stream(scan, entry, place)
    if entry.kind == ENTRY_STREAM_END:
        return apply_end(scan, entry)
    if entry.kind == ENTRY_PRODUCERS:
        return apply_producers(scan, entry, position)
    return False


cdef enum:
    LOST_MOST = 8 << 20             # behind the tail, in which lost entries are looked for

cdef void look_ahead(Scan* scan, Segment* segment) noexcept nogil:
    """Up to AHEAD entries before the one that is scanned; the nearer, the more of what it will touch is loaded."""
    cdef Ahead* ahead = &scan.ahead
    cdef const Entry* entry
    cdef uint64_t scanned = ahead.scanned
    cdef uint64_t proven = min(segment.store.size, scan.prover.known - (segment.sequence << segment.store.shift))
    cdef uint64_t stride
    while ahead.count < scanned + AHEAD and ahead.offset + sizeof(Entry) <= proven:     # a pad may be a mark and no more
        stride = chain_stride(segment, ahead.offset)
        if stride == 0:
            break
        entry = <const Entry*>(segment.base + ahead.offset)
        ahead.streams[ahead.count & AHEAD_MASK] = entry.stream
        ahead.partitions[ahead.count & AHEAD_MASK] = NULL
        core_prefetch(scan.core, entry.stream)
        ahead.count += 1
        ahead.offset += stride
    if scanned + AHEAD_PARTITION < ahead.count:
        ahead.partitions[(scanned + AHEAD_PARTITION) & AHEAD_MASK] = \
            core_guess(scan.core, ahead.streams[(scanned + AHEAD_PARTITION) & AHEAD_MASK])
    load_index(ahead, scanned + AHEAD_INDEX, 0)
    load_index(ahead, scanned + AHEAD_CHUNK, 1)
    load_index(ahead, scanned + AHEAD_ITEM, 2)


cdef uint64_t scan_segment(Scan* scan, Segment* segment) noexcept nogil:
    """Apply its entries, turn what is no good into pads; returns the offset where the chain of marks ends."""
    cdef uint64_t size = segment.store.size
    cdef uint64_t base = segment.sequence << segment.store.shift
    cdef uint64_t offset = SEGMENT_HEADER
    cdef uint64_t stride
    cdef Entry* entry
    scan.ahead.offset, scan.ahead.count, scan.ahead.scanned = offset, 0, 0
    while offset < size:
        if base + offset >= scan.prover.known:
            prover_wait(&scan.prover, base + offset)
        stride = chain_stride(segment, offset)
        if stride == 0 or ref_failed(&segment.ref):
            break
        look_ahead(scan, segment)
        entry = <Entry*>(segment.base + offset)
        if not entry.mark & MARK_PAD:
            if not entry.mark & MARK_RESERVED and apply(scan, entry, base + offset):
                scan.entries += 1
                scan.bytes += stride
            else:
                entry.mark = <uint64_t>segment.nonce << 32 | stride << 2 | MARK_PAD
                scan.dropped += 1
                scan.unnamed |= entry.kind == ENTRY_STREAM
                if scan.last:
                    scan.torn = True
                else:
                    scan.damage = base + offset
        scan.ahead.scanned += 1
        offset += stride
    if offset < size and not scan.last:
        scan.damage = base + size
    scan.torn |= offset < size and scan.last
    return offset


cdef int refuse_lost(const Segment* segment, str what) except -1:
    """What the disk could not give may be whole once it can: nothing is mended over it."""
    if not ref_holds(&segment.ref):
        raise LogError(f"cannot read {what} {segment.sequence:016x}: the disk has lost a page of it; look at the "
                       "kernel's log, repair or replace the disk")
    return 0


cdef Segment* open_segment(Journal* journal, str path, list notes) except? NULL:
    """None of a segment on its way to a new life; LogError when it cannot be read."""
    cdef bytes name = path.encode()
    cdef const char* c_name = name
    cdef Segment* segment
    cdef int failed
    with nogil:
        segment = segment_open(&journal.segments, c_name)
        failed = errno
    if segment != NULL:
        if segment.sequence == int(Path(path).stem, 16):
            return segment
        segment_destroy(segment)
        failed = EINVAL
    if failed != EINVAL:
        raise LogError(f"cannot map {path}: {strerror(failed).decode()}; repair the disk or the permissions")
    notes.extend(set_aside(Path(path), SEGMENT_HEADER))
    return NULL


cdef uint64_t find_entry(Segment* segment, uint64_t offset) noexcept nogil:
    """The first whole entry of this life from `offset` on, within LOST_MOST bytes; 0: there is none."""
    cdef uint64_t until = min(segment.store.size, offset + LOST_MOST)
    cdef const Entry* entry
    offset = (offset + 7) & ~<uint64_t>7
    while offset + sizeof(Entry) <= until:
        if is_marked(segment, offset):
            entry = <const Entry*>(segment.base + offset)
            if (<uint32_t>entry.mark >> 2) <= segment.store.size - offset and not entry.mark & (MARK_PAD | MARK_RESERVED) \
                    and entry_intact(entry):
                return offset
        offset += 8
    return 0


cdef uint64_t close_tail(Segment* segment, uint64_t end, bint final, bint unsettled, str what, list notes) except? 1:
    """What follows the chain of marks at `end` must never be taken for an entry."""
    cdef uint64_t size = segment.store.size
    cdef uint64_t behind = 0
    if end == size:
        return end
    if final:
        with nogil:
            behind = find_entry(segment, end)
        refuse_lost(segment, what)
        if behind:
            notes.append(f"{what} {segment.sequence:016x} is damaged at byte {end}, or was not synced there: entries from byte "
                         f"{behind} on are lost")
        with nogil:
            file_zero(segment.fd, segment.base, end, size - end)
            segment.fresh = 1
    else:
        (<uint64_t*>(segment.base + end))[0] = <uint64_t>segment.nonce << 32 | (size - end) << 2 | MARK_PAD
        why = "was never synced beyond" if unsettled else "is damaged at"
        notes.append(f"{what} {segment.sequence:016x} {why} byte {end}: the {size - end} bytes after it are lost")
    return end


# --- sealed files -----------------------------------------------------------------------------------------------------

cdef bint adopt_rows(LogCore* core, Journal* journal, SealedFile* file) noexcept nogil:
    """Give each row to its stream. False: memory is out."""
    cdef Scan scan
    cdef Partition* partition
    cdef uint32_t i
    memset(&scan, 0, sizeof(scan))
    scan.core = core
    scan.journal = journal
    for i in range(file.row_count):
        if i + AHEAD < file.row_count:
            core_prefetch(core, file.rows[i + AHEAD].stream)
            core_guess(core, file.rows[i + AHEAD // 2].stream)
        partition = stream_of(&scan, file.rows[i].stream)
        if partition == NULL or not runs_add(&partition.runs, file, &file.rows[i]):
            return False
        partition.start = runs_all(partition.runs)[0].row.base_offset
        partition.end = runs_end(partition.runs)
        partition.journal_from = partition.end
        partition.max_timestamp = max(partition.max_timestamp, file.rows[i].max_timestamp)
    return True


cdef load_sealed(LogCore* core, Journal* journal, list files, dict report):
    cdef bytes name
    cdef const char* path
    cdef const char* damage = NULL
    cdef SealedFile* file
    cdef int failed
    cdef bint adopted
    cdef uint64_t runs = 0
    cdef list notes = report.setdefault("notes", [])
    for text in files:
        name = text.encode()
        path = name
        with nogil:
            file = sealed_open(&core.sealed, path, &damage)
            failed = errno
        core.sealed.next_id = max(core.sealed.next_id, <uint64_t>int(Path(text).stem, 16) + 1)
        if file == NULL and failed == EPROTO:
            raise LogError(f"{text} was written by another version of RobustMQ, in a format that this one does not read; "
                           "start that version, or restore a backup")
        if file == NULL and failed != EINVAL:
            raise LogError(f"cannot map {text}: {strerror(failed).decode()}; repair the disk or the permissions")
        if file == NULL or file.id != <uint64_t>int(Path(text).stem, 16):
            if file != NULL:
                ref_release(&file.ref)
            kept = Path(text).rename(Path(text).with_suffix(".damaged"))
            notes.append(f"the header of {text} is damaged or contradicts its name: what it held is lost, the file is "
                                   f"kept as {kept.name}")
            continue
        if damage != NULL:
            notes.append(f"{text}: {(<bytes>damage).decode()}")
        runs += file.row_count
        with nogil:
            sealed_use(file)
            adopted = adopt_rows(core, journal, file)
            sealed_drop(file)           # nothing uses it: newer files stand for all that it held
            qsbr_collect()              # arrays of runs that grew: nobody reads yet
        if not adopted:
            raise LogError("out of memory while the sealed files were opened; give the broker more memory")
    report.update(sealed_files=len(files), sealed_runs=runs)


cdef list open_segments(Journal* journal, str what, list files, list notes):
    """Addresses of Segments, by sequence."""
    cdef Segment* segment
    cdef uint64_t previous = 0
    cdef list found = []
    for path in files:
        size = os.path.getsize(path)
        segment = open_segment(journal, path, notes)
        if segment != NULL:
            if size < journal.segments.size:
                notes.append(f"{what} {segment.sequence:016x} was cut short at byte {size}: what it held behind that is lost")
            file_write_back(segment.fd, 0, journal.segments.size)
            found.append(<size_t>segment)
            if previous and segment.sequence != previous + 1:
                notes.append(f"{what}s {previous + 1:016x} to {segment.sequence - 1:016x} are missing: "
                             "what they held is lost")
            previous = segment.sequence
    if len(found) > 1:
        segment = <Segment*><size_t>found[len(found) - 1]
        previous = (<Segment*><size_t>found[len(found) - 2]).sequence
        if segment.sequence == previous + 1 and not is_marked(segment, SEGMENT_HEADER):
            refuse_lost(segment, what)
            journal.spare = segment     # prepared, and never needed
            found.pop()
    return found


cdef uint64_t scan_segments(Scan* scan, Segment** segments, size_t count, str what, list notes) except? 1:
    """One after the other; returns the tail."""
    cdef Journal* journal = scan.scanned
    cdef Segment* segment = NULL
    cdef uint64_t end = 0
    cdef int failed = 0
    cdef size_t i
    cdef size_t settled = 0             # index of the last settled segment
    cdef bint final
    for i in range(count):
        segment_list(&journal.segments, segments[i])
        if segment_is_settled(segments[i]):
            settled = i
    for i in range(count):
        segment = segments[i]
        scan.last = i >= settled
        final = i + 1 == count
        if i > 0 and segment.sequence != segments[i - 1].sequence + 1:
            scan.damage = segment.sequence << journal.segments.shift
        with nogil:
            end = scan_segment(scan, segment)
        refuse_lost(segment, what)
        close_tail(segment, end, final, scan.last, what, notes)
        with nogil:
            if i > 0:
                segment_settle(segment)
            failed = file_sync(segment.fd)
            if not final:
                memory_forget(segment.base, journal.segments.size)
        if failed:
            raise LogError(f"cannot sync a {what} after recovery: {strerror(errno).decode()}; repair the disk")
    journal.start = segments[0].sequence << journal.segments.shift
    return (segment.sequence << journal.segments.shift) + end


cdef int cores():
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


cdef uint64_t scan_journal(Scan* scan, Journal* journal, str what, list files, list notes) except? 1:
    """All of its segments, `what` they are; returns the tail, 0 when there are none."""
    cdef list found = open_segments(journal, what, files, notes)
    cdef Segment** segments
    cdef size_t i
    scan.scanned, scan.torn = journal, False
    if not found:
        return 0
    segments = <Segment**>malloc(len(found) * sizeof(Segment*))
    if segments == NULL:
        raise LogError("out of memory while the log was opened; give the broker more memory")
    for i in range(len(found)):
        segments[i] = <Segment*><size_t>found[i]
    prover_start(&scan.prover, segments, len(found), cores() > 1)
    try:
        return scan_segments(scan, segments, len(found), what, notes)
    finally:
        prover_stop(&scan.prover)
        free(segments)


cdef recover(LogCore* core, list files, list state_files, dict report, Tails* tails):
    cdef Scan scan
    cdef list notes = report.setdefault("notes", [])
    cdef Py_ssize_t noted = len(notes)
    cdef bint damaged
    memset(&scan, 0, sizeof(scan))
    scan.core = core
    scan.journal = core.wal
    tails.state_log = scan_journal(&scan, core.state_log, "state segment", state_files, notes)
    damaged = scan.damage != 0
    scan.damage = 0                     # a position of the other chain
    tails.journal = scan_journal(&scan, core.wal, "segment", files, notes)
    if not tails.journal and (tails.state_log or core.sealed.next_id > 1):
        notes.append("all segments of the journal are missing: what they held is lost")
        tails.journal = core.wal.start = tail_above(core, core.wal)
    if damaged or scan.damage or scan.unnamed or len(notes) > noted or not tails.state_log:
        keep_orphans(core, core.wal, notes)
    scan.orphans = drop_orphans(core, core.wal)
    report_holes(core, core.wal, notes)
    report.update(segments=len(files), entries=scan.entries, bytes=scan.bytes, dropped=scan.dropped, gaps=scan.gaps,
                  orphans=scan.orphans)
