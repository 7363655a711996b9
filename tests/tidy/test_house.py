"""Rooms stay small, used and signed."""
from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tidy.tree import ROOT, files, text

LINES_MAX = 500
PROSE = [path for path in files() if path.suffix in {".py", ".pyx", ".pxd", ".h", ".md", ".toml"}]
CODE = [path for path in files(".py", ".pyx", ".pxd", ".h") if "generated" not in path.parts]


@pytest.mark.parametrize("path", CODE, ids=str)
def test_a_file_is_one_idea(path: Path) -> None:
    lines = text(path).count("\n")
    assert lines <= LINES_MAX, f"{path} has {lines} lines: split it by idea"


@pytest.mark.parametrize("path", [p for p in CODE if p.parts[0] == "robustmq" and text(p).strip()], ids=str)
def test_a_file_says_what_it_is(path: Path) -> None:
    first = text(path).lstrip()
    assert first.startswith(('"""', "/*", "# cython", "# distutils")), f"{path} starts without a word about itself"


@pytest.mark.parametrize("path", PROSE, ids=str)
def test_nothing_is_left_for_later(path: Path) -> None:
    if path == Path(__file__).relative_to(ROOT):
        return
    found = re.findall(r"\b(TODO|FIXME|XXX|HACK)\b", text(path))
    assert not found, f"{path}: {found}"


def test_every_header_has_a_reader() -> None:
    everything = "\n".join(text(p) for p in files(".py", ".pyx", ".pxd", ".h"))
    for path in files(".h"):
        assert f'"{path.name}"' in everything, f"nobody includes {path}"


def test_every_module_has_a_reader() -> None:
    """A module of the product is imported by another one, or is a program."""
    statement = re.compile(r"^\s*(?:from\s+\S+\s+)?c?import\s+(?:\([^)]*\)|[^\n]*)", re.MULTILINE)
    imports = {path: " ".join(statement.findall(text(path))) for path in files(".py", ".pyx", ".pxd")
               if path.parts[0] == "robustmq"}
    programs = text(Path("pyproject.toml")) + text(Path("Makefile"))
    for path in imports:
        module = ".".join(path.with_suffix("").parts)
        if path.stem in {"__init__", "__main__"} or module in programs:
            continue
        used = any(re.search(rf"\b{path.stem}\b", found) for other, found in imports.items()
                   if other.with_suffix("") != path.with_suffix(""))
        assert used, f"nothing in the product uses {path}"


def test_nobody_polls() -> None:
    """No sleep in the product: who waits is woken."""
    for path in files(".py", ".pyx"):
        if path.parts[0] == "robustmq":
            found = re.search(r"\b(time\.sleep|usleep|nanosleep|asyncio\.sleep)\s*\(", text(path))
            assert not found, f"{path}: {found.group(0) if found else ''}"
