"""Python's handle of Kafka."""
from libc.stdint cimport uint32_t, uintptr_t
from libc.stdlib cimport calloc, free
from robustmq._fastpath.atomic cimport load_relaxed_u64
from robustmq._fastpath.broker.routes cimport REACTORS_MAX, Exchange
from robustmq._fastpath.broker.topic cimport Topics
from robustmq._fastpath.link cimport OUT_HIGH_WATER, ProtocolHandle
from robustmq._fastpath.protocols.kafka.errors cimport ERROR_COUNT, ERROR_LOWEST
from robustmq._fastpath.protocols.kafka.session cimport session_table
from robustmq._fastpath.protocols.kafka.state cimport Api, Counters, Kafka, Lane
from robustmq._fastpath.protocols.kafka.wire cimport (
    API_KEYS, FETCH_NEWEST, FETCH_OLDEST, PRODUCE_NEWEST, PRODUCE_OLDEST, ApiKey)

HOT_APIS = {0: (0, PRODUCE_NEWEST), 1: (FETCH_OLDEST, FETCH_NEWEST)}
"""What is served here, as it is advertised: API key -> oldest and newest version (Produce 0-2 are refused)."""


cdef class KafkaProtocol(ProtocolHandle):
    """Kafka over one log and one exchange.

    `cold_apis` is what the control plane serves: API key -> (oldest, newest version). With HOT_APIS it is all that
    ApiVersions advertises, and all that is let in.
    """

    def __cinit__(self, Topics topics, exchange, dict cold_apis, *, uint32_t max_request_bytes=100 << 20,
                  uint32_t high_water_bytes=OUT_HIGH_WATER):
        self.kafka = <Kafka*>calloc(1, sizeof(Kafka))
        if self.kafka == NULL:
            raise MemoryError("Kafka protocol tables")
        self.keep = (topics, exchange)
        self.kafka.exchange = <Exchange*><uintptr_t>exchange.ptr()
        self.kafka.topics = topics.table
        self.kafka.max_request_bytes = max_request_bytes
        self.kafka.high_water_bytes = high_water_bytes
        session_table(&self.kafka.protocol)
        for key, (oldest, newest) in {**cold_apis, **HOT_APIS}.items():
            if not 0 <= key < API_KEYS:
                raise ValueError(f"API key {key} is outside 0..{API_KEYS - 1}")
            self.kafka.apis[key] = Api(oldest, newest, True, 0)
        self.kafka.apis[<int>ApiKey.PRODUCE].oldest = PRODUCE_OLDEST
        self.table = &self.kafka.protocol

    def __dealloc__(self):
        cdef Lane* lane
        cdef int i
        if self.kafka == NULL:
            return
        for i in range(REACTORS_MAX):
            lane = &self.kafka.lanes[i]
            free(lane.scratch)
            free(lane.pieces)
        free(self.kafka)

    def counters(self):
        """Sums over all reactors: the fields of state.pxd's Counters; `requests` by API key, `errors` by code."""
        cdef Counters* c
        cdef int i, j
        sums = dict.fromkeys(("produced_bytes", "produced_records", "fetched_bytes", "fetched_records",
                              "fetches_parked", "fetches_waiting", "connections"), 0)
        requests = dict.fromkeys((key for key in range(API_KEYS) if self.kafka.apis[key].served), 0)
        errors = {}
        for i in range(REACTORS_MAX):
            c = &self.kafka.lanes[i].counters
            sums["produced_bytes"] += load_relaxed_u64(&c.produced_bytes)
            sums["produced_records"] += load_relaxed_u64(&c.produced_records)
            sums["fetched_bytes"] += load_relaxed_u64(&c.fetched_bytes)
            sums["fetched_records"] += load_relaxed_u64(&c.fetched_records)
            sums["fetches_parked"] += load_relaxed_u64(&c.fetches_parked)
            sums["fetches_waiting"] += load_relaxed_u64(&c.fetches_waiting)
            sums["connections"] += load_relaxed_u64(&c.connections)
            for j in requests:
                requests[j] += load_relaxed_u64(&c.requests[j])
            for j in range(ERROR_COUNT):
                if c.errors[j]:
                    errors[j + ERROR_LOWEST] = errors.get(j + ERROR_LOWEST, 0) + load_relaxed_u64(&c.errors[j])
        return {**sums, "requests": requests, "errors": errors}
