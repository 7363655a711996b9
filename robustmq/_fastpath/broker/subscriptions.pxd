"""The subscriptions of one consumer: where in the index they are, so that they end with it without being spelled.

Owner: the consumer's home reactor; the control plane while it has a request of the consumer's connection in hand (the
connection is parked), and before the reactors start. Both are ordered by what the seam and the mailbox carry. `shared` is
the control plane's alone: a session that ends leaves its groups while its reactor still serves it. It and `count` are
read (relaxed) by anybody.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from robustmq._fastpath.atomic cimport load_relaxed_u32
from robustmq._fastpath.broker.index cimport Index, Node, Sub
from robustmq._fastpath.status cimport Status


cdef struct Subscriptions:
    Node** places                   # in no order, on demand
    uint64_t cap
    uint32_t count                  # release
    uint32_t shared                 # release; memberships of shared groups, which have places of their own


# Add or replace; *existed says which. QUOTA: it would be more than `most`; else as index_subscribe.
cdef Status subscriptions_add(Subscriptions* own, Index* index, const uint8_t* filter, uint32_t n, const Sub* sub,
                              uint32_t most, bint* existed) noexcept nogil

# False: there was none.
cdef bint subscriptions_remove(Subscriptions* own, Index* index, const uint8_t* filter, uint32_t n,
                               void* consumer) noexcept nogil

# All of them, and the memory; not the memberships.
cdef void subscriptions_end(Subscriptions* own, Index* index, void* consumer) noexcept nogil

cdef inline bint subscriptions_full(const Subscriptions* own, uint64_t more, uint32_t most) noexcept nogil:
    return load_relaxed_u32(&own.count) + more + load_relaxed_u32(&own.shared) > most
