"""CRC-32C (Castagnoli), as in Kafka's record batches, the journal and iSCSI (RFC 3720 B.4)."""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t


# The crc of `seed`'s bytes followed by these; seed 0 for the first. Fast from a few bytes to megabytes.
cdef uint32_t crc32c(uint32_t seed, const uint8_t* p, size_t n) noexcept nogil
