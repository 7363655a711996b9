"""The end of recovery: see audit.pxd."""
from libc.stdint cimport uint32_t, uint64_t
from robustmq._fastpath.stores.core cimport core_entry
from robustmq._fastpath.stores.index cimport IndexItem, index_find_offset, index_prefetch
from robustmq._fastpath.stores.journal cimport Journal
from robustmq._fastpath.stores.partition cimport Partition, partition_free
from robustmq._fastpath.stores.runs cimport SealedRun, runs_all, runs_end
from robustmq._fastpath.stores.sessions cimport session_log_highest
from robustmq._fastpath.stores.streams cimport Listed, log_list_stream
from robustmq._fastpath.stores.table cimport table_each, table_peek, table_remove

from contextlib import suppress
from pathlib import Path


cdef enum:
    SENTENCES_MAX = 20
    AHEAD = 4                           # slots, between two steps of index_prefetch


cdef inline bint is_orphan(const Partition* partition, const Journal* journal) noexcept nogil:
    return partition.journal == journal and partition.directory_position == 0


cdef uint64_t drop_orphans(LogCore* core, Journal* journal) noexcept nogil:
    cdef uint64_t at = 0, dropped = 0
    cdef Partition* partition = <Partition*>table_each(&core.streams, &at)
    while partition != NULL:
        if is_orphan(partition, journal):
            dropped += 1
            table_remove(&core.streams, partition)
            partition_free(partition)
        partition = <Partition*>table_each(&core.streams, &at)
    return dropped


cdef set files_of_orphans(LogCore* core, Journal* journal):
    """Ids of the sealed files that streams without a directory entry use."""
    cdef uint64_t at = 0
    cdef uint32_t i
    cdef set found = set()
    cdef Partition* partition = <Partition*>table_each(&core.streams, &at)
    while partition != NULL:
        if is_orphan(partition, journal) and partition.runs != NULL:
            for i in range(partition.runs.count):
                found.add(runs_all(partition.runs)[i].file.id)
        partition = <Partition*>table_each(&core.streams, &at)
    return found


cdef keep_orphans(LogCore* core, Journal* journal, list notes):
    for number in sorted(files_of_orphans(core, journal)):
        path = Path(core.sealed.directory.decode()) / f"{number:016x}.sealed"
        with suppress(FileExistsError):
            path.with_suffix(".orphaned").hardlink_to(path)
        notes.append(f"{path} holds streams whose topics the journal does not know any more; it stays as {path.stem}.orphaned, "
                     "delete that if the topics had been deleted")


cdef uint64_t tail_above(LogCore* core, Journal* journal) noexcept nogil:
    cdef uint64_t highest = session_log_highest(core)
    cdef uint64_t at = 0
    cdef uint32_t i
    cdef Partition* partition = <Partition*>table_each(&core.streams, &at)
    while partition != NULL:
        for i in range(partition.runs.count if partition.runs != NULL else 0):
            highest = max(highest, runs_all(partition.runs)[i].row.last_position)
        partition = <Partition*>table_each(&core.streams, &at)
    return (highest >> journal.segments.shift) + 1 + journal.segments.limit << journal.segments.shift if highest else 0


cdef inline bint may_begin_late(const Partition* partition) noexcept nogil:
    """What begins at 0 and has nothing sealed has its first batch in the journal; of it the index is not looked at."""
    return partition.start > 0 or partition.runs != NULL


cdef report_holes(LogCore* core, Journal* journal, list notes):
    cdef uint64_t at = 0
    cdef uint64_t start, holes = 0
    cdef uint32_t i
    cdef Partition* partition
    cdef Partition* soon
    cdef SealedRun* run
    cdef const IndexItem* item
    while True:
        partition = <Partition*>table_each(&core.streams, &at)
        if partition == NULL:
            break
        for i in range(3):
            soon = <Partition*>table_peek(&core.streams, at, AHEAD * (3 - i))
            if soon != NULL and may_begin_late(soon):
                index_prefetch(soon.index, i)
        if partition.journal != journal:
            continue
        if partition.start:
            start = core_entry(core, journal, partition.directory_position).aux
            if partition.start > start:
                holes += hole(core, partition, notes, holes, start, partition.start)
        for i in range(1, partition.runs.count if partition.runs != NULL else 0):
            run = &runs_all(partition.runs)[i]
            start = max((run - 1).row.end_offset, partition.start)
            if run.row.base_offset > start:
                holes += hole(core, partition, notes, holes, start, run.row.base_offset)
        start = max(runs_end(partition.runs), partition.start)
        item = index_find_offset(&partition.index, start) if partition.bytes and may_begin_late(partition) else NULL
        if item != NULL and item.base_offset > start:
            holes += hole(core, partition, notes, holes, start, item.base_offset)
        elif partition.bytes == 0 and partition.end > start:
            holes += hole(core, partition, notes, holes, start, partition.end)
    if holes > SENTENCES_MAX:
        notes.append(f"offsets are missing in {holes - SENTENCES_MAX} more places")


cdef uint64_t hole(LogCore* core, Partition* partition, list notes, uint64_t before, uint64_t first, uint64_t end):
    cdef Listed one
    if before < SENTENCES_MAX:
        log_list_stream(core, partition, &one)
        notes.append(f"{one.name[:one.name_len].decode(errors='replace')}-{partition.number}: "
                     f"offsets {first} to {end - 1} are missing")
    return 1
