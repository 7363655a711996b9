"""Latency curves as a picture (the `bench` extra: matplotlib)."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from robustmq.bench.result import BenchError, Result

TICKS = (0.5, 0.9, 0.99, 0.999, 0.9999)


def write_plot(results: Sequence[Result], path: Path) -> None:
    """Left: rates; right: latency against the share of messages that took at most so long."""
    try:
        import matplotlib
    except ImportError as error:
        raise BenchError("plots need matplotlib: pip install 'robustmq[bench]'") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (rates, curves) = pyplot.subplots(1, 2, figsize=(13, 1.5 + max(4.0, 0.35 * len(results))))
    labels = [f"{result.load} · {result.target}" for result in results]
    rates.barh(labels, [result.rate for result in results])
    rates.set_xscale("log")
    rates.invert_yaxis()
    rates.set_xlabel("messages / s")
    for label, result in zip(labels, results, strict=True):
        latency = result.latency or result.ack_latency
        if latency:
            points = [(1 / max(1 - share, 1 / latency.count), us) for us, share in latency.curve]
            curves.plot([x for x, _ in points], [us for _, us in points], label=label, drawstyle="steps-pre")
    curves.set_xscale("log")
    curves.set_yscale("log")
    curves.set_xticks([1 / (1 - tick) for tick in TICKS], [f"{tick * 100:.10g} %" for tick in TICKS])
    curves.set_xlabel("share of messages")
    curves.set_ylabel("latency, µs")
    curves.grid(alpha=0.3)
    if curves.lines:
        curves.legend(fontsize="x-small")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
