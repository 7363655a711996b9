"""The hot path never takes the GIL: proven on the C that Cython generated.

Every cdef function that is declared `noexcept nogil` must compile to C without a call into Python's runtime. Hidden
ones come from `raise`, memoryview indexing, checked division, a missing `noexcept` of a callee and the like.
"""
from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tidy.tree import ROOT, files, text

FORBIDDEN = re.compile(r"\b(PyGILState_\w+|__Pyx_PyGILState_\w+|PyErr_\w+|__Pyx_WriteUnraisable|"
                       r"__Pyx_ErrOccurredWithGIL|__Pyx_ErrFetch\w*|__Pyx_ErrRestore\w*|PyEval_\w+|Py_(?:X?)(?:INC|DEC)REF|__Pyx_Raise\w*|"
                       r"__Pyx_AddTraceback)\b")
DECLARED = re.compile(r"^cdef\s+(?:inline\s+)?[^\n(=]*?\b(\w+)\s*\((?:[^()]|\([^()]*\))*\)\s*noexcept\s+nogil\s*:",
                      re.MULTILINE)
CODE = ROOT / "build" / "cython"
MODULES = [path for path in files(".pyx") if path.parts[:2] == ("robustmq", "_fastpath")]
HEADERS = [path for path in files(".pxd", ".pyx") if path.parts[:2] == ("robustmq", "_fastpath")]


def functions(c: str) -> dict[str, str]:
    """C function definitions by name, with their bodies."""
    found = {}
    for match in re.finditer(r"^(?:static\s+)?[^\n;#{}]*?\b(__pyx_f_\w+)\([^;{]*\)\s*\{\n", c, re.MULTILINE):
        end = c.find("\n}\n", match.end())
        found[match.group(1)] = c[match.end():end]
    return found


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_nogil_functions_never_touch_python(path: Path) -> None:
    generated = CODE / path.with_suffix(".c")
    assert generated.exists(), f"{generated} is missing: build in place first (make build)"
    assert generated.stat().st_mtime >= (ROOT / path).stat().st_mtime, f"{generated} is older than {path}: make build"
    declared = set(DECLARED.findall(text(path)))
    own = "__pyx_f_" + "".join(f"{len(part)}{part}_" for part in path.with_suffix("").parts)
    bodies = functions(generated.read_text())
    missing = [name for name in declared if own + name not in bodies]
    assert not missing, f"not found in the generated C: {missing}"
    for name in declared:
        guilty = FORBIDDEN.findall(bodies[own + name])
        assert not guilty, f"{path}: {name} calls {sorted(set(guilty))}"


@pytest.mark.parametrize("path", HEADERS, ids=str)
def test_every_nogil_function_is_noexcept(path: Path) -> None:
    for line in text(path).splitlines():
        code = line.split("#")[0]
        if re.match(r"\s*(cdef|ctypedef)\b.*\)\s*(except[^:]*)?nogil", code) and "extern" not in code:
            assert "noexcept" in code, f"{path}: {line.strip()}"
