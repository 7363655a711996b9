"""Taking back a Produce response that was written before its sync failed."""
from libc.stdint cimport int16_t, uint8_t, uint64_t


# Turn each success in the whole response [data, data + n) of `version` into KAFKA_STORAGE_ERROR without offsets; in place.
cdef void produce_withdraw(uint8_t* data, uint64_t n, int16_t version) noexcept nogil
