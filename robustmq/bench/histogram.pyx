"""Reading a histogram: percentiles, mean and the curve that a plot draws."""
from math import ceil

from libc.string cimport memset


cdef uint64_t upper_edge(unsigned int bucket) noexcept nogil:
    cdef unsigned int shift = 0
    if bucket >= 2 * HISTOGRAM_SUB:
        shift = bucket // HISTOGRAM_SUB - 1
    return ((<uint64_t>(bucket - HISTOGRAM_SUB * shift) + 1) << shift) - 1


cdef class Histogram:
    """Latencies in ns; every value it answers is the upper edge of a bucket (at most 1.6 % above the truth)."""

    def __cinit__(self):
        memset(&self.data, 0, sizeof(self.data))

    def record(self, ns: int) -> None:
        """Count one latency."""
        histogram_record(&self.data, ns)

    @property
    def total(self) -> int:
        """Latencies counted."""
        return self.data.total

    @property
    def max(self) -> int:
        """The longest, exact, in ns; 0 when there is none."""
        return self.data.most

    @property
    def mean(self) -> float:
        """In ns; 0.0 when there is none."""
        return <double>self.data.sum / <double>self.data.total if self.data.total else 0.0

    def percentile(self, percent: float) -> int:
        """The latency in ns that `percent` of all do not exceed; 0 when there is none."""
        if not 0 <= percent <= 100:
            raise ValueError(f"a percentile lies between 0 and 100, not {percent}")
        cdef uint64_t rank = max(1, ceil(self.data.total * (percent / 100)))
        cdef uint64_t seen = 0
        cdef unsigned int i
        for i in range(HISTOGRAM_BUCKETS):
            seen += self.data.counts[i]
            if seen >= rank:
                return min(upper_edge(i), self.data.most)
        return self.data.most

    def curve(self) -> list[tuple[int, float]]:
        """(latency in ns, share of all that are at most so long), one point for each bucket in use."""
        cdef uint64_t seen = 0
        cdef unsigned int i
        points = []
        for i in range(HISTOGRAM_BUCKETS):
            if self.data.counts[i]:
                seen += self.data.counts[i]
                points.append((min(upper_edge(i), self.data.most), <double>seen / <double>self.data.total))
        return points
