"""The state table: small keyed values that live in the log, such as consumer offsets and retained messages.

    ENTRY_STATE   stream = space, aux = key length, flags = STATE_GONE for a deletion, body = key, value

Memory holds the keys and where each value stands, not the values. A live value is carried to the journal's heir when its
segment is retired. So is a deletion, as long as what it hides may stand there; in the heir itself that is older, and gone
first.

Concurrency: everything under LogCore.state_lock. Values of a memory-only log are forgotten at restart.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.core cimport LogCore
from robustmq._fastpath.stores.journal cimport Entry, Journal
from robustmq._fastpath.stores.partition cimport Appended


cdef enum:
    STATE_GONE = 1                  # Entry.flags


# Set (or with value_len -1 delete) one value. Of `result` only durable_at is filled: who promises `disk` acknowledges when
# journal_durable() of log_wal() is >= it; 0 with a memory-only log.
# STORE_FULL, STORE_FAILED, TOO_LARGE, NO_MEMORY: nothing changed.
cdef Status log_state_put(LogCore* core, uint16_t space, const uint8_t* key, uint32_t key_len, const uint8_t* value,
                          int64_t value_len, Appended* result) noexcept nogil

# Call `visit` for each live value of `space`, in no order, under the lock: it must not put. OK, or the first other result;
# STORE_FAILED: a value cannot be read.
cdef Status log_state_scan(LogCore* core, uint16_t space, Status (*visit)(
    void* context, const uint8_t* key, uint32_t key_len, const uint8_t* value, uint64_t value_len) noexcept nogil,
    void* context) noexcept nogil

# For core and recovery.
cdef void state_init(LogCore* core) noexcept nogil
cdef void state_free(LogCore* core) noexcept nogil
cdef Status state_carry(LogCore* core, Journal* journal, const Entry* entry, uint64_t place) noexcept nogil
cdef bint state_recover(LogCore* core, const Entry* entry, uint64_t place) noexcept nogil
