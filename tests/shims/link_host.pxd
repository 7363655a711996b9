"""What a test's host of a link remembers, for other shims that host links."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from robustmq._fastpath.block cimport Block
from robustmq._fastpath.link cimport Link, Protocol
from robustmq._fastpath.mailbox cimport Mailbox


cdef struct Posted:
    Posted* next
    uint32_t kind
    uint64_t n
    # bytes follow


cdef struct Seen:
    Mailbox* box                    # made by whoever hosts
    int64_t deadline_ns
    uint32_t touched
    uint32_t closing                # status of host.close
    bint waits_room
    Posted* first                   # frames for the control plane
    Posted* last


# A block of exactly `n` bytes: a sanitizer sees a read behind the last.
cdef Block* exact_block(const uint8_t* data, uint64_t n) noexcept nogil
cdef void link_prepare(Link* link, Seen* seen, const Protocol* protocol, uint64_t link_id) noexcept nogil

# Drop the oldest posted frame; False: there is none.
cdef bint take_posted(Seen* seen, uint32_t* kind) noexcept nogil
