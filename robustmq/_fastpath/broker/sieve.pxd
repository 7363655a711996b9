"""One batch under compaction: a look at its records, and the batch again with some of them only.

    sieve = sieve_open(entry)               None: it cannot be looked into
    while sieve.next():                     sieve.view is a record, `stay` or leave it
        sieve.stay()
    sieve.put(writer, position, empty)

What is written keeps its offsets, the times of its records, its producer and its codec. In memory are at most the records as
they are without compression (codecs.INFLATED_MAX), once more those that stay, and these compressed.

The entry stays the caller's, where it is. Owner: one thread, with the GIL, which others may have now and then.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from robustmq._fastpath.batch cimport RecordView
from robustmq._fastpath.cursor cimport Cursor
from robustmq._fastpath.status cimport Status
from robustmq._fastpath.stores.journal cimport Entry
from robustmq._fastpath.stores.sealed_writer cimport Writer


cdef class Sieve:
    cdef RecordView view                # the record
    cdef const Entry* entry
    cdef const uint8_t* batch
    cdef object plain                   # owns the records of a compressed batch
    cdef Cursor cursor
    cdef const uint8_t* stretch         # records that stay begin here, and end at `stretch_end`; not yet in `kept`
    cdef const uint8_t* stretch_end
    cdef bytearray kept
    cdef int32_t count                  # records that stay
    cdef int64_t max_timestamp          # ms, of those
    cdef uint32_t turn

    cdef bint next(self)
    cdef int stay(self) except -1

    # Offset of the record.
    cdef uint64_t offset(self) noexcept nogil

    # The batch with the records that stayed, as it is when all did. When none did it is written, empty, if `empty` says so.
    cdef Status put(self, Writer* writer, uint64_t position, bint empty) except *


cdef Sieve sieve_open(const Entry* entry)
