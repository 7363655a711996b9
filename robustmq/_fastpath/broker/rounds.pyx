"""Rounds: see rounds.pxd."""
from libc.stdint cimport int64_t, uint32_t
from robustmq._fastpath.atomic cimport fetch_add_u64, store_release_u64
from robustmq._fastpath.broker.routes cimport REACTORS_MAX, Wake
from robustmq._fastpath.mailbox cimport mail_init, mailbox_post
from robustmq._fastpath.qsbr cimport qsbr_synchronize
from robustmq._fastpath.stores.journal cimport journal_tail


cdef void post_marks(Round* round) noexcept nogil:
    cdef uint32_t i
    cdef uint32_t count = round.exchange.reactor_count      # the last mark may end the round, and with it its memory
    store_release_u64(&round.left, count)
    for i in range(count):
        mailbox_post(round.exchange.boxes[i], &round.marks[i].mail)


cdef void run_mark(Mail* mail, void* receiver, int64_t now_ns) noexcept nogil:
    cdef Mark* mark = <Mark*>mail
    cdef Round* round = mark.round
    cdef Feed* feed = round.exchange.behind[mark.reactor]
    cdef uint32_t i
    if not round.second:
        while feed != NULL:
            round.lows[mark.reactor] = min(round.lows[mark.reactor], feed.behind_at)
            feed = feed.behind_next
    if fetch_add_u64(&round.left, <uint64_t>-1) > 1:
        return
    if not round.second:
        round.second = 1
        post_marks(round)
        return
    for i in range(round.exchange.reactor_count):
        round.floor = min(round.floor, round.lows[i])
    mailbox_post(round.box, &round.done)


cdef void round_start(Round* round, Exchange* exchange, Journal* journal, Mailbox* box) noexcept nogil:
    cdef uint32_t i
    round.exchange = exchange
    round.box = box
    round.second = 0
    round.floor = journal_tail(journal)
    for i in range(exchange.reactor_count):
        mail_init(&round.marks[i].mail, run_mark)
        round.marks[i].round = round
        round.marks[i].reactor = i
        round.lows[i] = round.floor
    qsbr_synchronize()
    post_marks(round)


cdef void feed_behind(Feed* feed, uint64_t position) noexcept nogil:
    cdef Feed** head = &feed.exchange.behind[feed.reactor]
    feed_caught_up(feed)
    feed.is_behind = 1
    feed.behind_at = position
    feed.behind_prev = NULL
    feed.behind_next = head[0]
    if head[0] != NULL:
        head[0].behind_prev = feed
    head[0] = feed


cdef void feed_caught_up(Feed* feed) noexcept nogil:
    if not feed.is_behind:
        return
    feed.is_behind = 0
    if feed.behind_next != NULL:
        feed.behind_next.behind_prev = feed.behind_prev
    if feed.behind_prev != NULL:
        feed.behind_prev.behind_next = feed.behind_next
    else:
        feed.exchange.behind[feed.reactor] = feed.behind_next


cdef void look_again(Mail* mail, void* receiver, int64_t now_ns) noexcept nogil:
    cdef Wake* wake = <Wake*>mail
    cdef Feed* feed = wake.exchange.behind[wake.reactor]
    while feed != NULL:
        if feed.elsewhere:
            mailbox_post(wake.exchange.boxes[wake.reactor], &feed.mail)
        feed = feed.behind_next


cdef void feeds_init(Exchange* exchange) noexcept nogil:
    cdef uint32_t i
    for i in range(REACTORS_MAX):
        mail_init(&exchange.wakes[i].mail, look_again)
        exchange.wakes[i].exchange = exchange
        exchange.wakes[i].reactor = i


cdef void feeds_wake(Exchange* exchange) noexcept nogil:
    cdef uint32_t i
    for i in range(exchange.reactor_count):
        mailbox_post(exchange.boxes[i], &exchange.wakes[i].mail)
