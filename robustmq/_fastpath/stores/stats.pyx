"""Numbers of a log: see stats.pxd."""
from libc.stdint cimport uint64_t
from robustmq._fastpath.atomic cimport load_acquire_u32, load_relaxed_u64
from robustmq._fastpath.stores.journal cimport Journal, JournalCounters, journal_durable, journal_start, journal_tail
from robustmq._fastpath.stores.loader cimport LoaderCounters
from robustmq._fastpath.stores.sealed cimport SealedCounters
from robustmq._fastpath.stores.sealer cimport SealerCounters


cdef void take(const void* counters, void* copy, size_t n) noexcept nogil:
    """A struct of 64-bit counters, one relaxed load each."""
    cdef size_t i
    for i in range(n // sizeof(uint64_t)):
        (<uint64_t*>copy)[i] = load_relaxed_u64(<const uint64_t*>counters + i)


cdef dict journal_stats(Journal* journal):
    cdef JournalCounters c
    take(&journal.counters, &c, sizeof(c))
    return {
        "entries": c.entries, "bytes": c.bytes, "syncs": c.syncs, "sync_ns": c.sync_ns, "sync_ns_max": c.sync_ns_max,
        "sync_buckets": list(c.sync_buckets), "rolls": c.rolls, "roll_makes": c.roll_makes,
        "retired": c.retired, "presses": c.presses, "chokes": c.chokes, "segments": load_acquire_u32(&journal.segments.made),
        "pinned": load_acquire_u32(&journal.segments.pinned), "segment_bytes": journal.segments.size,
        "start": journal_start(journal), "tail": journal_tail(journal), "durable": journal_durable(journal),
        "bytes_kept": journal_tail(journal) - journal_start(journal),
        "producers_evicted": load_relaxed_u64(&journal.producers.evicted),
    }


cdef dict sealed_stats(LogCore* core):
    cdef SealedCounters files
    cdef SealerCounters sealer
    cdef LoaderCounters loader
    take(&core.sealed.counters, &files, sizeof(files))
    take(&core.sealer.counters, &sealer, sizeof(sealer))
    take(&core.sealed.loader.counters, &loader, sizeof(loader))
    return <dict>files | <dict>sealer | <dict>loader


cdef dict log_stats(LogCore* core):
    found = {"memory": journal_stats(core.memory)}
    if core.wal != NULL:
        found["wal"] = journal_stats(core.wal)
        found["state"] = journal_stats(core.state_log)
        found["sealed"] = sealed_stats(core)
    return found


cdef uint64_t log_unreadable(LogCore* core) noexcept nogil:
    return load_relaxed_u64(&core.sealed.counters.lost) + load_relaxed_u64(&core.sealed.loader.counters.unreadable)
