"""What a load's connection receives: answers to Produce v7 and Fetch v4."""
from robustmq.bench.kafka_load cimport Load, Peer


# Read once and take whole responses. A connection that ended or speaks nonsense has fd -1 after it.
cdef void peer_read(Load* l, Peer* p) noexcept nogil
