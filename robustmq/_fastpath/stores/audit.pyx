"""The end of recovery: see audit.pxd."""
from libc.stdint cimport uint32_t, uint64_t
from robustmq._fastpath.stores.core cimport core_entry
from robustmq._fastpath.stores.index cimport IndexItem, index_find_offset
from robustmq._fastpath.stores.journal cimport Journal
from robustmq._fastpath.stores.partition cimport Partition
from robustmq._fastpath.stores.runs cimport SealedRun, runs_all, runs_end
from robustmq._fastpath.stores.streams cimport Listed, log_each_stream


cdef enum:
    SENTENCES_MAX = 20


cdef report_holes(LogCore* core, Journal* journal, list notes):
    cdef uint64_t at = 0
    cdef uint64_t start, holes = 0
    cdef uint32_t i
    cdef Listed one
    cdef Partition* partition
    cdef SealedRun* run
    cdef const IndexItem* item
    while log_each_stream(core, &at, &one):
        partition = one.partition
        if partition.journal != journal:
            continue
        start = core_entry(core, journal, partition.directory_position).aux
        if partition.start > start:
            holes += hole(notes, holes, &one, start, partition.start)
        for i in range(1, partition.runs.count if partition.runs != NULL else 0):
            run = &runs_all(partition.runs)[i]
            start = max((run - 1).row.end_offset, partition.start)
            if run.row.base_offset > start:
                holes += hole(notes, holes, &one, start, run.row.base_offset)
        start = max(runs_end(partition.runs), partition.start)
        item = index_find_offset(&partition.index, start) if partition.bytes else NULL
        if item != NULL and item.base_offset > start:
            holes += hole(notes, holes, &one, start, item.base_offset)
        elif partition.bytes == 0 and partition.end > start:
            holes += hole(notes, holes, &one, start, partition.end)
    if holes > SENTENCES_MAX:
        notes.append(f"offsets are missing in {holes - SENTENCES_MAX} more places")


cdef uint64_t hole(list notes, uint64_t before, const Listed* one, uint64_t first, uint64_t end):
    if before < SENTENCES_MAX:
        notes.append(f"{one.name[:one.name_len].decode(errors='replace')}-{one.partition.number}: "
                     f"offsets {first} to {end - 1} are missing")
    return 1
