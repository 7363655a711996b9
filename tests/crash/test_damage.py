"""A short run of damage.py; `make damage` takes 10,000 places."""
from __future__ import annotations

from pathlib import Path

from tests.crash.damage import run


def test_damage_is_found_and_no_record_is_wrong(tmp_path: Path) -> None:
    assert run(150, 7, 15, tmp_path, step=7) == []
