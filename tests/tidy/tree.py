"""The files of the project, as git knows them (or as they lie there, in an unpacked source distribution)."""
from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


@cache
def files(*suffixes: str) -> list[Path]:
    """Project files with one of the suffixes (all when none is given), relative to the root, sorted."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                            capture_output=True, text=True, check=False)
    names = listed.stdout.splitlines() if listed.returncode == 0 else [
        str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file() and "build" not in path.parts]
    return sorted(Path(name) for name in names
                  if (ROOT / name).is_file() and (not suffixes or Path(name).suffix in suffixes))


@cache
def text(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")
