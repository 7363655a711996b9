"""Latencies in logarithmic buckets: 1.6 % wide, exact below 128 ns, up to 18 minutes, 18 KiB in all.

Owner: one load generator's thread writes; Python reads when it has ended.
"""
from libc.stdint cimport int64_t, uint64_t


cdef enum:
    HISTOGRAM_SUB_BITS = 6                                   # 64 buckets for each power of two
    HISTOGRAM_SUB = 1 << HISTOGRAM_SUB_BITS
    HISTOGRAM_BITS = 40                                      # longer is counted as 2**40 - 1 ns
    HISTOGRAM_BUCKETS = HISTOGRAM_SUB * (HISTOGRAM_BITS - HISTOGRAM_SUB_BITS + 1)


cdef extern from * nogil:
    int __builtin_clzll(unsigned long long v)


cdef struct HistogramData:
    uint64_t counts[HISTOGRAM_BUCKETS]
    uint64_t total
    uint64_t sum                    # ns
    uint64_t most                   # ns


cdef inline unsigned int histogram_bucket(uint64_t ns) noexcept nogil:
    cdef unsigned int shift = 0
    if ns >= 2 * HISTOGRAM_SUB:
        shift = 63 - HISTOGRAM_SUB_BITS - __builtin_clzll(ns)
    return HISTOGRAM_SUB * shift + <unsigned int>(ns >> shift)


# One latency; a negative one (clocks of two machines) counts as 0.
cdef inline void histogram_record(HistogramData* h, int64_t ns) noexcept nogil:
    cdef uint64_t value = 0 if ns < 0 else <uint64_t>ns
    if value >> HISTOGRAM_BITS:
        value = (<uint64_t>1 << HISTOGRAM_BITS) - 1
    h.counts[histogram_bucket(value)] += 1
    h.total += 1
    h.sum += value
    if value > h.most:
        h.most = value


cdef class Histogram:
    cdef HistogramData data
