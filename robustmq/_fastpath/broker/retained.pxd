"""Retained messages (MQTT 5, 3.3.1.3): the last message of a topic that was published with RETAIN.

A topic holds its message as a record batch of one record. A durable topic's is in the log's state table as well, and is
there again after a restart. A new subscription gets what matches through a `Replay`, a walk over the list of topics with a
retained message that pauses while the consumer is busy, so that a subscription to `#` streams instead of queueing.

Concurrency: list and Topic.retained under Retained.lock, held for at most WALK topics. A Replay belongs to the consumer's
home reactor from its first mail on.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from robustmq._fastpath.block cimport Block
from robustmq._fastpath.broker.routes cimport Consumer, Exchange, Replay, Route
from robustmq._fastpath.broker.topic cimport Topic
from robustmq._fastpath.mailbox cimport Mail
from robustmq._fastpath.status cimport Status


cdef enum:
    STATE_RETAINED = 1              # the state table's space; key = canonical topic name
    WALK = 512                      # topics looked at in one turn


cdef struct Replay:
    Mail mail
    Replay* next                    # of the consumer, while it waits for it
    Exchange* exchange
    Route route                     # options of the subscription; consumer NULL: cancelled
    uint32_t at                     # topics of the list still to look at are [0, at)
    uint32_t begun
    uint32_t filter_len
    uint32_t linked                 # in Consumer.replays
    # the filter follows


# The record number `record` of `batch` (written by an MQTT publisher, and appended already at `offset`) is the topic's
# retained message from now on; `clears`: there is none any more. Of two that reactors set at the same moment the one with
# the higher offset stays, here and in the state table. *durable_at = when that is durable, 0: now.
# QUOTA: mqtt.max_retained topics have one already (the message is published all the same).
# STORE_FULL, STORE_FAILED: it is so here, but not in the state table: retained_keep.
cdef Status retained_set(Exchange* exchange, Topic* topic, const uint8_t* batch, uint64_t n, uint32_t record,
                         uint64_t offset, bint clears, uint64_t* durable_at) noexcept nogil

# Write to the state table what is retained now.
cdef Status retained_keep(Exchange* exchange, Topic* topic, uint64_t* durable_at) noexcept nogil

# Before the topic is freed.
cdef void retained_forget(Exchange* exchange, Topic* topic) noexcept nogil

# From the state table, after recovery and before the reactors start.
cdef Status retained_recover(Exchange* exchange) noexcept nogil

# Send the consumer the retained messages that match `filter`, at `qos` at most and with RETAIN set, behind all that is in
# its output already; as far as it can take them, the rest as it can. NO_MEMORY. On its home reactor, or (`elsewhere`) on the
# thread that will also post the mail by which the consumer ends.
cdef Status replay_start(Exchange* exchange, Consumer* consumer, const uint8_t* filter, uint32_t n, uint8_t qos,
                         uint32_t identifier, bint elsewhere) noexcept nogil

# The consumer has unsubscribed from `filter`: what is still to come of it stays away. Where, as replay_start.
cdef void replay_stop(Exchange* exchange, Consumer* consumer, const uint8_t* filter, uint32_t n,
                      bint elsewhere) noexcept nogil

# Home reactor: the consumer is no longer busy; it has ended.
cdef void replay_resume(Consumer* consumer) noexcept nogil
cdef void replay_cancel(Consumer* consumer) noexcept nogil
