"""Percentiles against sorted samples."""
from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robustmq.bench.histogram import Histogram
from robustmq.bench.result import Latency, microseconds

WIDTH = 1 + 1 / 64


def filled(samples: list[int]) -> Histogram:
    histogram = Histogram()
    for sample in samples:
        histogram.record(sample)
    return histogram


@given(st.lists(st.integers(0, 2**40 - 1), min_size=1, max_size=200), st.sampled_from([0, 50, 90, 99, 99.9, 100]))
def test_a_percentile_is_at_most_a_bucket_above_the_truth(samples: list[int], percent: float) -> None:
    rank = max(1, math.ceil(len(samples) * (percent / 100)))
    truth = sorted(samples)[rank - 1]
    assert truth <= filled(samples).percentile(percent) <= max(truth, truth * WIDTH)


@given(st.lists(st.integers(0, 2**40 - 1), min_size=1, max_size=50))
def test_maximum_mean_and_total_are_exact(samples: list[int]) -> None:
    histogram = filled(samples)
    assert (histogram.total, histogram.max) == (len(samples), max(samples))
    assert histogram.mean == pytest.approx(sum(samples) / len(samples))


def test_small_values_are_exact() -> None:
    for value in range(128):
        assert filled([value]).percentile(50) == value


def test_what_lies_outside_is_kept_at_the_edge() -> None:
    histogram = filled([-5, 2**60])
    assert (histogram.percentile(50), histogram.max) == (0, 2**40 - 1)


def test_the_curve_climbs_to_one() -> None:
    curve = filled([10, 10, 1000, 50_000]).curve()
    assert [share for _, share in curve] == [0.5, 0.75, 1.0]
    assert curve == sorted(curve)
    assert curve[-1][0] == 50_000


def test_nothing_recorded() -> None:
    histogram = Histogram()
    assert (histogram.percentile(99), histogram.max, histogram.mean, histogram.curve()) == (0, 0, 0.0, [])
    assert Latency.of(histogram) is None


def test_a_percentile_beyond_100() -> None:
    with pytest.raises(ValueError, match="between 0 and 100"):
        Histogram().percentile(101)


@pytest.mark.parametrize(("value", "text"), [(0.5, "0.5 µs"), (74.25, "74.2 µs"), (1500.0, "1.5 ms"), (2e6, "2 s")])
def test_people_read_three_digits(value: float, text: str) -> None:
    assert microseconds(value) == text
