"""Types of kafka_load.pyx."""
from collections.abc import Sequence
from typing import Any

def run_load(producers: Sequence[tuple[int, bytes, int, Sequence[int], int, int, int]],
             consumers: Sequence[tuple[int, bytes, int, int, int]], *, records: int, window: int, acks: bool,
             rate: float, spin: bool, stop_after: int, warmup_s: float, seconds: float) -> dict[str, Any]: ...
