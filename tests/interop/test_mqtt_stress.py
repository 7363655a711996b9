"""Clients that do anything, with each of the settings; `python -m tests.interop.mqtt_stress` does more."""
from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.mqtt_stress import SETTINGS, run


@pytest.mark.parametrize("seed", range(len(SETTINGS)))
def test_others_are_served_beside_them(seed: int, tmp_path: Path) -> None:
    run(seed, 1500, tmp_path)
