"""Waiting for a server that is not ours to say when it is ready."""
from __future__ import annotations

import select


def pause(seconds: float) -> None:
    """Between two tries."""
    select.select([], [], [], seconds)
