"""CRC-32C behind one function pointer, chosen at import for this processor (include/crc32c.h)."""


cdef extern from "crc32c.h" nogil:
    ctypedef uint32_t (*crc32c_fn)(uint32_t, const uint8_t*, size_t) noexcept
    crc32c_fn crc32c_best
    void crc32c_init()


cdef uint32_t crc32c(uint32_t seed, const uint8_t* p, size_t n) noexcept nogil:
    return crc32c_best(seed, p, n)


def crc32c_bytes(const uint8_t[::1] data, uint32_t seed=0):
    """CRC-32C of a bytes-like object, continuing from `seed`."""
    return crc32c(seed, &data[0], <size_t>data.shape[0]) if data.shape[0] else seed


crc32c_init()
