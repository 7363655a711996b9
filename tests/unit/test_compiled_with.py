"""An extension that was compiled with other headers than its neighbours is refused at import, by name."""
from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from hashlib import sha256
from pathlib import Path

import pytest

from robustmq import _fastpath
from tests.tidy.tree import ROOT, files

SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
SOURCES = files(".pyx")

LOAD = """
import importlib, importlib.util, sys

def stale():
    spec = importlib.util.spec_from_file_location(NAME, COPY)
    module = sys.modules[NAME] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

def fresh():
    importlib.import_module(NEIGHBOUR)

try:
    for load in ORDER:
        load()
except ImportError as error:
    print(error)
"""


def compiled_with(source: Path) -> dict[str, str]:
    """The headers and hashes in the extension of a .pyx, as it lies in the tree."""
    built = ROOT / source.with_name(source.stem + SUFFIX)
    found = re.findall(rb"([\w/]+\.(?:pxd|h))=([0-9a-f]{16}) ", built.read_bytes())
    return {path.decode(): digest.decode() for path, digest in found}


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_every_extension_carries_the_hashes_of_its_headers(source: Path) -> None:
    carried = compiled_with(source)
    own = source.with_suffix(".pxd")
    assert own.as_posix() in carried or not (ROOT / own).exists()
    for path, digest in carried.items():
        assert digest == sha256((ROOT / path).read_bytes()).hexdigest()[:16], f"{source}: {path} is newer: make build"


@pytest.mark.parametrize("order", ["fresh, stale", "stale, fresh"])
@pytest.mark.parametrize("name, neighbour", [("robustmq._fastpath.stores.index", "robustmq._fastpath.stores.log"),
                                             ("robustmq.bench.mqtt_input", "robustmq.bench.relay"),
                                             ("tests.shims.store", "robustmq._fastpath.stores.log")])
def test_a_stale_extension_is_refused(name: str, neighbour: str, order: str, tmp_path: Path) -> None:
    """A copy that differs in one bit of what it was compiled with: the hash of a header that a neighbour uses too."""
    source, other = (Path(*module.split(".")).with_suffix(".pyx") for module in (name, neighbour))
    path = min(compiled_with(source).keys() & compiled_with(other).keys())
    digest = compiled_with(source)[path]
    copy = tmp_path / (source.stem + SUFFIX)
    content = (ROOT / source.with_name(copy.name)).read_bytes()
    copy.write_bytes(content.replace(f"{path}={digest}".encode(), f"{path}={int(digest, 16) ^ 1:016x}".encode()))

    told = f"NAME, COPY, NEIGHBOUR = {name!r}, {str(copy)!r}, {neighbour!r}"
    program = told + LOAD.replace("ORDER", f"({order})")
    said = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"{name} is stale: ")
    assert path in said
    assert "make build" in said


def test_without_the_header_both_are_suspects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fastpath, "_compiled", {})
    _fastpath.compiled_with("one", "gone.pxd=1 ")
    _fastpath.compiled_with("two", "gone.pxd=1 also.pxd=7 ")
    with pytest.raises(ImportError, match=r"^one or three is stale: .* gone\.pxd\."):
        _fastpath.compiled_with("three", "gone.pxd=2 ")
