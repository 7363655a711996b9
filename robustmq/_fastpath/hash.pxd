"""A seeded 64-bit hash of bytes for tables whose keys a peer chooses.

The seed is random per process, so that nobody can prepare names that collide. The mix is the folded 64x64 multiplication
of wyhash (Wang Yi, public domain), eight bytes a step.
"""
from libc.stdint cimport uint8_t, uint64_t


cdef extern from "hash.h" nogil:
    uint64_t hash_mix(uint64_t a, uint64_t b)
    uint64_t hash_step(uint64_t state)
    uint64_t hash_pair(uint64_t a, uint64_t b)
    uint64_t hash_with(uint64_t seed, const uint8_t* p, uint64_t n)


cdef uint64_t hash_seed() noexcept nogil

cdef uint64_t hash_bytes(const uint8_t* p, uint64_t n) noexcept nogil
