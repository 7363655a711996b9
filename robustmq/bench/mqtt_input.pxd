"""What a load's connection receives: deliveries are counted, handshakes of QoS 1 and 2 are answered."""
from robustmq.bench.mqtt_load cimport Load, Peer


# Read once (at most READ_MOST bytes) and walk the frames. A connection that ended or speaks nonsense has fd -1 after it.
# The caller has written out all of p.acks before.
cdef void peer_read(Load* l, Peer* p) noexcept nogil
