"""The hot half of the MQTT load: connections that have been greeted, their frames and their acknowledgements.

A publisher owns one buffer of `batch` pre-encoded PUBLISH frames; before each write only stamps, packet identifiers and
topic numbers are patched. A subscriber walks what it receives by lengths alone. The first 8 bytes of a payload are the
time at which the message was *meant* to be sent (CLOCK_MONOTONIC, ns), so that a stalled broker is charged for every
message that it held up (no coordinated omission).

Owner: the thread in `run_load`.
"""
from libc.stdint cimport int64_t, int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from robustmq.bench.histogram cimport HistogramData


cdef enum:
    PUBLISHER = 1
    SUBSCRIBER = 2

    READ_MOST = 256 << 10
    FRAME_MOST = 4 << 20            # a longer frame ends its connection
    TOPIC_DIGITS = 7                # of the topic's number, in place

cdef struct Peer:
    int fd                          # -1: closed
    uint8_t roles
    bint readable
    bint writable
    bint queued                     # it waits in the queue for its turn
    # frames being written
    uint8_t* frames
    uint32_t frames_len
    uint32_t frames_at
    # acknowledgements being written
    uint8_t* acks
    uint32_t acks_len
    uint32_t acks_at
    # the beginning of a frame whose rest has not come
    uint8_t* carry
    uint32_t carry_len
    uint32_t carry_cap
    # publisher
    uint32_t number
    int64_t* sent_ns                # when a packet identifier was sent; 0: it is free
    uint32_t inflight
    uint16_t next_id
    uint64_t sent                   # messages
    uint64_t owed                   # messages that are due and not yet sent (rated load)
    uint64_t topic

cdef struct Load:
    # what to do
    uint32_t publishers
    uint32_t subscribers
    uint32_t batch
    uint32_t window                 # packet identifiers of one publisher
    int64_t credit                  # deliveries that may be outstanding, all together; 0: no bound
    uint64_t topics
    uint64_t each                   # messages that a publisher sends at most; 0: no bound
    double interval_ns              # between two batches, all publishers together; 0: as fast as it goes
    uint8_t qos
    bint v5
    bint spin                       # never sleep: what is measured is the broker's wake, not ours
    # the frame and what is patched in it
    const uint8_t* frame
    uint32_t frame_len
    uint32_t topic_at               # 0: nothing to patch
    uint32_t id_at                  # 0: QoS 0
    uint32_t stamp_at               # 0: the payload has no room
    # time, ns
    int64_t now
    int64_t start
    int64_t measure_from
    int64_t measure_until
    int64_t last_arrival
    uint64_t batches_due
    # peers and those of them that have work
    Peer* peers                     # publishers first
    uint32_t count
    uint32_t* queue                 # a ring of count + 1
    uint32_t head
    uint32_t tail
    uint8_t* input
    # what happened
    uint64_t sent                   # messages
    uint64_t acked
    uint64_t received               # deliveries
    int64_t expected                # deliveries that were sent out for, less those given up as lost
    uint64_t lost                   # given up because nothing arrived any more
    uint64_t closed
    uint64_t refused                # negative acknowledgements (MQTT 5)
    uint64_t malformed
    HistogramData* delivery
    HistogramData* ack


# Into the queue, unless it is there.
cdef inline void enqueue(Load* l, Peer* p) noexcept nogil:
    if p.queued or p.fd < 0:
        return
    p.queued = True
    l.queue[l.tail] = <uint32_t>(p - l.peers)
    l.tail = l.tail + 1 if l.tail < l.count else 0


# Deliveries that one message on `topic` brings: as mqtt.py shares the topics out.
cdef inline uint32_t fan_out(const Load* l, uint64_t topic) noexcept nogil:
    if l.subscribers < l.topics:
        return 1 if l.subscribers else 0
    return <uint32_t>((l.subscribers - topic + l.topics - 1) // l.topics)
