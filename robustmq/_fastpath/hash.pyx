"""Owner of the process's hash seed; written once at import, read-only afterwards."""
import os


cdef uint64_t SEED = int.from_bytes(os.urandom(8), "little")


cdef uint64_t hash_seed() noexcept nogil:
    return SEED


cdef uint64_t hash_bytes(const uint8_t* p, uint64_t n) noexcept nogil:
    return hash_with(SEED, p, n)
