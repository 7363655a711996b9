"""A feed: one reactor's reading of one partition for its subscribers (see routes.pxd).

It ends in two steps, because a publisher may still post its mail: `dead` and a grace period, then `bye`, which is behind
every earlier mail in the mailbox and frees it.
"""
from libc.stdint cimport int64_t, uint32_t
from robustmq._fastpath.block cimport Block
from robustmq._fastpath.broker.routes cimport Exchange, Feed
from robustmq._fastpath.broker.topic cimport Topic
from robustmq._fastpath.stores.partition cimport Partition


# Starts at the partition's end. NULL: memory is out.
cdef Feed* feed_new(Exchange* exchange, Topic* topic, Partition* partition, uint32_t reactor) noexcept nogil

cdef void feed_retire(Feed* feed) noexcept nogil

cdef void feed_free(Feed* feed) noexcept nogil          # at once; NULL is nothing

# The inflater's answer, on the feed's reactor; takes over `block` (NULL: it could not be inflated).
cdef void feed_inflated(Feed* feed, Block* block, int64_t now_ns) noexcept nogil
