"""Retention: what is too old or too much goes (Kafka's retention.ms, retention.bytes, segment.ms; KIP-107's DeleteRecords).

Sealed runs go whole, batches of the journal one by one; both only from the start of a partition. Idempotent producers that have been
silent for too long are forgotten (producer.id.expiration.ms). Runs on a thread of the control plane, every now and then; appends
and reads go on.
"""
from libc.stdint cimport int64_t, uint64_t
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.core cimport LogCore
from robustmq._fastpath.stores.partition cimport Partition, Policy


# One pass over all partitions at wall time `now_ms`; `*trimmed` = partitions that lost something. Also has the journal sealed when a partition's
# segment.ms asks for it. Not inside a QSBR section.
cdef Status log_retain(LogCore* core, int64_t now_ms, uint64_t* trimmed) noexcept nogil

# Records below `offset` (at most the end) go for good: after a sync of the journal no restart brings them back. Inside a QSBR
# section. STORE_FULL, STORE_FAILED: they have gone until a restart.
cdef Status log_trim(LogCore* core, Partition* partition, uint64_t offset) noexcept nogil

# `policy` with some fields changed; ValueError names one that does not exist.
cdef Policy policy_edited(Policy policy, dict fields) except *
