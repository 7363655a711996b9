"""A round through all reactors finds the floor: the journal position below which every batch has been delivered.

    the journal's tail is T; a grace period passes       whoever appended below T has posted the mail of its feeds
    a mark through each reactor's mailbox                those feeds have run, or are in the list of those behind
    a second one                                         what shared groups sent to other reactors has arrived

The floor is T, or the position of the oldest batch that a feed behind has not delivered.

Concurrency: started by the control plane, one at a time; `done` is posted to it. The list of the feeds behind belongs to
their reactor; those of them that wait for the blob store look again on mail (feeds_wake).
"""
from libc.stdint cimport uint32_t, uint64_t
from robustmq._fastpath.broker.routes cimport REACTORS_MAX, Exchange, Feed
from robustmq._fastpath.mailbox cimport Mail, Mailbox
from robustmq._fastpath.stores.journal cimport Journal


cdef struct Mark:
    Mail mail
    Round* round
    uint32_t reactor
    uint32_t reserved


cdef struct Round:
    Exchange* exchange
    Mailbox* box                    # for `done`
    Mail done                       # the owner gives it its function; the floor stands then
    uint64_t floor
    uint64_t left                   # reactors that the mark has not passed; atomic
    uint64_t second                 # 1: the second mark is on its way
    uint64_t lows[REACTORS_MAX]
    Mark marks[REACTORS_MAX]


# The calling thread is in no QSBR section; waits for the grace period, which is one turn of the slowest reactor.
cdef void round_start(Round* round, Exchange* exchange, Journal* journal, Mailbox* box) noexcept nogil

# Something may have come from the blob store: on every reactor the feeds that wait for it look again. Any thread.
cdef void feeds_wake(Exchange* exchange) noexcept nogil

# Before the first feed.
cdef void feeds_init(Exchange* exchange) noexcept nogil

# The feed has something left from `position` on, or has caught up. On its reactor.
cdef void feed_behind(Feed* feed, uint64_t position) noexcept nogil
cdef void feed_caught_up(Feed* feed) noexcept nogil
