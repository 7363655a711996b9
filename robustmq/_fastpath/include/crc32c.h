/* CRC-32C (Castagnoli, reflected polynomial 0x82F63B78; RFC 3720 B.4), three ways behind one function.
 *
 *   x86-64 with SSE4.2 + PCLMULQDQ   three interleaved crc32 streams, joined by one carry-less multiplication each
 *                                    (Gopal et al., "Fast CRC Computation for iSCSI Polynomial", Intel 2011)
 *   x86-64 with AVX-512 + VPCLMULQDQ folding of four 64-byte lanes for long inputs, then the above
 *   AArch64 with the crc extension   crc32cd
 *   anything else                    slicing by 8 tables
 *
 * The choice is made once, at import (crc32c_init). Concurrency: `crc32c_tables` and the function pointer are written
 * by crc32c_init before any other thread calls; read-only afterwards.
 */
#ifndef ROBUSTMQ_CRC32C_H
#define ROBUSTMQ_CRC32C_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CRC32C_POLY 0x82F63B78u

typedef uint32_t (*crc32c_fn)(uint32_t, const uint8_t *, size_t);

static uint32_t crc32c_tables[8][256];

static void crc32c_make_tables(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) c = c & 1 ? (c >> 1) ^ CRC32C_POLY : c >> 1;
        crc32c_tables[0][i] = c;
    }
    for (int t = 1; t < 8; t++)
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t c = crc32c_tables[t - 1][i];
            crc32c_tables[t][i] = (c >> 8) ^ crc32c_tables[0][c & 0xFF];
        }
}

static uint32_t crc32c_portable(uint32_t seed, const uint8_t *p, size_t n) {
    uint32_t c = ~seed;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        word ^= c;
        c = crc32c_tables[7][word & 0xFF] ^ crc32c_tables[6][(word >> 8) & 0xFF] ^
            crc32c_tables[5][(word >> 16) & 0xFF] ^ crc32c_tables[4][(word >> 24) & 0xFF] ^
            crc32c_tables[3][(word >> 32) & 0xFF] ^ crc32c_tables[2][(word >> 40) & 0xFF] ^
            crc32c_tables[1][(word >> 48) & 0xFF] ^ crc32c_tables[0][word >> 56];
    }
    while (n--) c = (c >> 8) ^ crc32c_tables[0][(c ^ *p++) & 0xFF];
    return ~c;
}

/* x^(8 * bytes - 33) mod P, reflected: multiplying a stream's crc by it (carry-less) and reducing with crc32q moves the
 * crc over `bytes` zero bytes. Computed, not copied, so that nobody has to trust a table. */
static uint32_t crc32c_shift_constant(size_t bytes) {
    uint32_t r = 1u << 31;                                /* x^0, reflected */
    for (size_t bit = 0; bit < bytes * 8 - 33; bit++) r = r & 1 ? (r >> 1) ^ CRC32C_POLY : r >> 1;
    return r;
}

#if defined(__x86_64__)
#include <immintrin.h>

enum { CRC_LONG = 1024, CRC_SHORT = 128 };                /* bytes per stream */
static uint64_t crc_shift_long[2], crc_shift_short[2];    /* over two streams, over one */
static uint64_t crc_fold256[2], crc_fold64[2];         /* over 256 bytes, over 64: low half, high half */

__attribute__((target("sse4.2,crc32,pclmul")))
static inline uint64_t crc_shift(uint64_t crc, uint64_t constant) {
    __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)crc), _mm_cvtsi64_si128((int64_t)constant), 0);
    return (uint64_t)_mm_cvtsi128_si64(product);
}

/* One round over three adjacent streams of `stream` bytes. */
#define CRC_THREE(stream, constants)                                                                                   \
    while (n >= 3 * (stream)) {                                                                                        \
        uint64_t a = c, b = 0, d = 0;                                                                                  \
        for (size_t i = 0; i < (stream); i += 8) {                                                                     \
            uint64_t wa, wb, wd;                                                                                       \
            memcpy(&wa, p + i, 8);                                                                                     \
            memcpy(&wb, p + (stream) + i, 8);                                                                          \
            memcpy(&wd, p + 2 * (stream) + i, 8);                                                                      \
            a = _mm_crc32_u64(a, wa);                                                                                  \
            b = _mm_crc32_u64(b, wb);                                                                                  \
            d = _mm_crc32_u64(d, wd);                                                                                  \
        }                                                                                                              \
        c = d ^ _mm_crc32_u64(0, crc_shift(a, (constants)[0]) ^ crc_shift(b, (constants)[1]));                         \
        p += 3 * (stream);                                                                                             \
        n -= 3 * (stream);                                                                                             \
    }

__attribute__((target("sse4.2,crc32,pclmul")))
static uint32_t crc32c_sse42(uint32_t seed, const uint8_t *p, size_t n) {
    uint64_t c = (uint32_t)~seed;
    CRC_THREE((size_t)CRC_LONG, crc_shift_long)
    CRC_THREE((size_t)CRC_SHORT, crc_shift_short)
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        c = _mm_crc32_u64(c, word);
    }
    uint32_t r = (uint32_t)c;
    if (n & 4) { uint32_t word; memcpy(&word, p, 4); r = _mm_crc32_u32(r, word); p += 4; }
    if (n & 2) { uint16_t word; memcpy(&word, p, 2); r = _mm_crc32_u16(r, word); p += 2; }
    if (n & 1) r = _mm_crc32_u8(r, *p);
    return ~r;
}

/* x^(bits) mod P in the form that pclmul-folding of a reflected crc wants (one bit up, 33 bits). */
static uint64_t crc_fold_constant(size_t bits) {
    uint32_t r = 1u << 31;
    for (size_t bit = 0; bit < bits; bit++) r = r & 1 ? (r >> 1) ^ CRC32C_POLY : r >> 1;
    return (uint64_t)r << 1;
}

__attribute__((target("avx512f,avx512vl,vpclmulqdq")))
static inline __m512i crc_fold512(__m512i x, __m512i k, __m512i data) {
    __m512i lo = _mm512_clmulepi64_epi128(x, k, 0x00), hi = _mm512_clmulepi64_epi128(x, k, 0x11);
    return _mm512_ternarylogic_epi64(lo, hi, data, 0x96);
}

__attribute__((target("avx512f,avx512vl,vpclmulqdq,sse4.2,crc32,pclmul")))
static uint32_t crc32c_avx512(uint32_t seed, const uint8_t *p, size_t n) {
    if (n < 512) return crc32c_sse42(seed, p, n);
    __m512i k256 = _mm512_broadcast_i32x4(_mm_set_epi64x((int64_t)crc_fold256[1], (int64_t)crc_fold256[0]));
    __m512i x0 = _mm512_xor_si512(_mm512_loadu_si512(p), _mm512_zextsi128_si512(_mm_cvtsi32_si128((int)~seed)));
    __m512i x1 = _mm512_loadu_si512(p + 64), x2 = _mm512_loadu_si512(p + 128), x3 = _mm512_loadu_si512(p + 192);
    for (p += 256, n -= 256; n >= 256; p += 256, n -= 256) {
        x0 = crc_fold512(x0, k256, _mm512_loadu_si512(p));
        x1 = crc_fold512(x1, k256, _mm512_loadu_si512(p + 64));
        x2 = crc_fold512(x2, k256, _mm512_loadu_si512(p + 128));
        x3 = crc_fold512(x3, k256, _mm512_loadu_si512(p + 192));
    }
    __m512i k64 = _mm512_broadcast_i32x4(_mm_set_epi64x((int64_t)crc_fold64[1], (int64_t)crc_fold64[0]));
    x1 = crc_fold512(x0, k64, x1);
    x2 = crc_fold512(x1, k64, x2);
    x3 = crc_fold512(x2, k64, x3);
    uint8_t lanes[64];
    _mm512_storeu_si512(lanes, x3);
    /* What was read is congruent to the 64 bytes of x3: continue from an empty register (seed ~0) over them. */
    return crc32c_sse42(crc32c_sse42(~0u, lanes, 64), p, n);
}

static int crc32c_has_sse42(void) { return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul"); }
static int crc32c_has_avx512(void) {
    return crc32c_has_sse42() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("vpclmulqdq");
}
#endif

#if defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
static uint32_t crc32c_arm(uint32_t seed, const uint8_t *p, size_t n) {
    uint32_t c = ~seed;
    for (; n >= 8; n -= 8, p += 8) { uint64_t word; memcpy(&word, p, 8); c = __crc32cd(c, word); }
    while (n--) c = __crc32cb(c, *p++);
    return ~c;
}
#endif

static crc32c_fn crc32c_best = crc32c_portable;

static void crc32c_init(void) {
    crc32c_make_tables();
#if defined(__x86_64__)
    crc_shift_long[0] = crc32c_shift_constant(2 * CRC_LONG);
    crc_shift_long[1] = crc32c_shift_constant(CRC_LONG);
    crc_shift_short[0] = crc32c_shift_constant(2 * CRC_SHORT);
    crc_shift_short[1] = crc32c_shift_constant(CRC_SHORT);
    crc_fold256[0] = crc_fold_constant(256 * 8 + 32); crc_fold256[1] = crc_fold_constant(256 * 8 - 32);
    crc_fold64[0] = crc_fold_constant(64 * 8 + 32);   crc_fold64[1] = crc_fold_constant(64 * 8 - 32);
    if (crc32c_has_avx512()) crc32c_best = crc32c_avx512;
    else if (crc32c_has_sse42()) crc32c_best = crc32c_sse42;
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
    crc32c_best = crc32c_arm;
#endif
}

#endif
