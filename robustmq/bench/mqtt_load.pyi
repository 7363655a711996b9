"""Types of mqtt_load.pyx."""
from typing import Any

def run_load(publishers: list[int], subscribers: list[int], *, frame: bytes, topic_at: int, id_at: int, stamp_at: int,
             topics: int, batch: int, window: int, credit: int, qos: int, v5: bool, each: int, rate: float,
             spin: bool, warmup_s: float, seconds: float) -> dict[str, Any]: ...
