"""PUBLISH packets towards clients.

    v3    fixed header | topic | packet id (QoS > 0) | payload
    v5    fixed header | topic | packet id (QoS > 0) | properties | payload

Up to COPY_MAX bytes a payload is copied behind its header; a longer one is referenced where it lies. A run that goes out
at QoS 0 with nothing of the session's own in it is encoded once per version and shared (Run.frames).
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from robustmq._fastpath.block cimport Ref
from robustmq._fastpath.broker.routes cimport Run
from robustmq._fastpath.broker.topic cimport Topic
from robustmq._fastpath.out cimport Out
from robustmq._fastpath.protocols.mqtt.message cimport Message
from robustmq._fastpath.protocols.mqtt.wire cimport Bytes
from robustmq._fastpath.status cimport Status


cdef enum:
    COPY_MAX = 1024
    SHARED_V3 = 0               # indices of Run.frames
    SHARED_V5 = 1


# How one message goes to one client.
cdef struct Frame:
    Bytes topic                 # n = 0 behind a known alias
    const uint32_t* ids         # subscription identifiers
    uint32_t id_count
    uint32_t expiry_left_s
    uint16_t packet_id
    uint16_t alias              # 0: none
    uint8_t version
    uint8_t qos
    uint8_t retain
    uint8_t dup


cdef enum SharedBits:           # Run.frames_info
    SHARED_BUILT = 1            # somebody looked; without a block the run cannot be shared
    SHARED_HAS_QOS = 2          # a record of QoS 1 or 2: not for a route that grants it
    SHARED_HAS_RETAIN = 4       # a record with RETAIN: not for retain-as-published
    SHARED_COUNT_SHIFT = 8      # messages in the block, 24 bits
    SHARED_LARGEST_SHIFT = 32   # longest packet in it, bytes


# Length of the whole packet, and of what stands before the payload. 0: longer than MQTT allows.
cdef uint32_t frame_size(const Frame* frame, const Message* message, uint32_t* head) noexcept nogil

# Append the packet of `size` and `head` as frame_size said. `ref` owns the message. NO_MEMORY: the output ends before the packet, which
# cannot be sent; also when the message's file has lost a page (stores/guard.pxd).
cdef Status frame_put(Out* out, const Frame* frame, const Message* message, uint32_t size, uint32_t head,
                      Ref* ref) noexcept nogil

# Make Run.frames[form] (SHARED_V3, SHARED_V5) unless somebody did; returns its frames_info. Expired messages are not in
# it; `*expired` counts them when this call made it.
cdef uint64_t shared_frames(Run* run, uint32_t form, int64_t wall_ms, uint64_t* expired) noexcept nogil
