"""The hot half of the Kafka load: producers that send one pre-encoded batch again and again, consumers that walk what
they fetch.

A producer patches the correlation id of its Produce (v7) and, in every value, the first 8 bytes with the time at which
the batch was *meant* to be sent (CLOCK_MONOTONIC, ns); then it reseals the batch's CRC. A consumer patches the offset of
its Fetch (v4), asks on as soon as a response is whole, as clients that fetch ahead do, and then checks the CRC of every
batch and walks every record.

Owner: the thread in `run_load`.
"""
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from robustmq.bench.histogram cimport HistogramData


cdef enum:
    PRODUCER = 1
    CONSUMER = 2

    RESPONSE_MOST = 256 << 20
    RESPONSE_FIRST = 64 << 10
    CORRELATION_AT = 8              # in a request: size 4, api 2, version 2

cdef struct Peer:
    int fd                          # -1: closed
    int role
    uint32_t number                 # among those of its role
    bint readable
    bint writable
    # the request, patched in place; all of it is written before the next is patched
    uint8_t* request
    uint32_t request_len
    uint32_t request_at
    int32_t correlation
    # responses
    uint8_t* input
    uint32_t input_len
    uint32_t input_cap
    # producer
    uint32_t batch_at               # in the request; the batch reaches to its end
    uint32_t partition_at           # of the partition's number, in the request
    uint32_t partition              # of the next request
    uint32_t first_partition        # this, then every `stride`th below `partitions`
    uint32_t stride
    uint32_t partitions
    uint32_t* values_at             # of each record's value, in the request; none: nothing is stamped
    int64_t* sent_ns                # by correlation id modulo window
    uint32_t inflight
    uint64_t requests
    uint64_t owed                   # requests that are due and not yet sent (rated load)
    # consumer
    uint32_t offset_at              # in the request
    int64_t offset
    int64_t wrap_at                 # from here it reads from 0 again; -1: it follows the tail
    bint asked

cdef struct Load:
    uint32_t producers
    uint32_t count                  # producers first
    uint32_t records                # of one batch
    uint32_t window                 # requests of one producer without an answer
    double interval_ns              # between two requests, all producers together; 0: as fast as it goes
    bint acks                       # producers get answers
    bint spin
    uint64_t stop_after             # records to send in all; 0: no bound
    Peer* peers
    # time, ns
    int64_t now
    int64_t start
    int64_t measure_from
    int64_t measure_until
    int64_t last_arrival
    uint64_t requests_due
    # what happened, in records
    uint64_t sent
    uint64_t acked
    uint64_t received
    uint64_t bytes_in               # of batches fetched
    uint64_t closed
    uint64_t errors
    uint64_t corrupt
    int16_t last_error              # Kafka's code
    HistogramData* delivery
    HistogramData* ack
