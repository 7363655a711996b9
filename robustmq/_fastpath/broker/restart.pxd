"""Deliver the log again at start: the feeds of topics that have subscribers begin at their floors instead of at the end.

restart_feeds: one thread, before the reactors start, inside a QSBR section; the feeds' mail is posted and runs on whoever
empties the mailboxes then.
"""
from libc.stdint cimport uint64_t
from robustmq._fastpath.broker.routes cimport Exchange, Feed
from robustmq._fastpath.stores.partition cimport Partition


# How many feeds have something to deliver; they count in exchange.restarting until they have. `lowest`: the lowest floor,
# for topics whose records are of many MQTT topics.
cdef uint64_t restart_feeds(Exchange* exchange, uint64_t lowest) noexcept nogil

# A feed has delivered again what it should, or ends; with the last one `seen` goes. On its reactor, or while there are
# none.
cdef void restart_done(Feed* feed) noexcept nogil

# The first offset whose batch stands at journal position `floor` or above; the end when there is none.
cdef uint64_t offset_from(Partition* partition, uint64_t floor) noexcept nogil
