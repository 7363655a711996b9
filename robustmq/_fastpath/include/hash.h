/* Folded-multiply hash of bytes; see hash.pxd. */
#ifndef ROBUSTMQ_HASH_H
#define ROBUSTMQ_HASH_H

#include <stdint.h>
#include <string.h>

static inline uint64_t hash_mix(uint64_t a, uint64_t b) {
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* The next state of a Weyl sequence, and the hash of a pair: (parent, part) -> child. */
static inline uint64_t hash_step(uint64_t state) { return state + 0x9e3779b97f4a7c15ull; }
static inline uint64_t hash_pair(uint64_t a, uint64_t b) { return hash_mix(a ^ 0x9e3779b97f4a7c15ull, b ^ 0xbf58476d1ce4e5b9ull); }

static inline uint64_t hash_load(const uint8_t *p, uint64_t n) {   /* n <= 8 bytes, zero-extended */
    uint64_t v = 0;
    if (n >= 8) memcpy(&v, p, 8);
    else if (n >= 4) {
        uint32_t lo, hi;
        memcpy(&lo, p, 4);
        memcpy(&hi, p + n - 4, 4);
        v = (uint64_t)hi << 32 | lo;
    } else if (n > 0) v = (uint64_t)p[0] << 16 | (uint64_t)p[n >> 1] << 8 | p[n - 1];
    return v;
}

static inline uint64_t hash_with(uint64_t seed, const uint8_t *p, uint64_t n) {
    const uint64_t k0 = 0xa0761d6478bd642full, k1 = 0xe7037ed1a0b428dbull, k2 = 0x8ebc6af09c88c6e3ull;
    uint64_t h = seed ^ hash_mix(seed ^ k0, n ^ k1);
    uint64_t left = n;
    for (; left > 16; left -= 16, p += 16) h = hash_mix(hash_load(p, 8) ^ k1, hash_load(p + 8, 8) ^ h);
    uint64_t a = hash_load(p, left < 8 ? left : 8), b = left > 8 ? hash_load(p + 8, left - 8) : 0;
    return hash_mix(k2 ^ n, hash_mix(a ^ k1, b ^ h));
}

#endif
