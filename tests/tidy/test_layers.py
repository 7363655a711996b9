"""A layer imports only from below, and no protocol knows another (ARCHITECTURE.md)."""
from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tidy.tree import files, text

# Lowest first. A module belongs to the longest prefix that fits.
LAYERS = {
    "robustmq._fastpath": 0,
    "robustmq._fastpath.reactor": 1,
    "robustmq._fastpath.stores": 1,
    "robustmq._fastpath.broker": 2,
    "robustmq._fastpath.protocols": 3,
    "robustmq.server": 4,
    "robustmq.cli": 5,
    "robustmq.bench": 5,
}
IMPORT = re.compile(r"^\s*(?:from\s+(robustmq[\w.]*)\s+c?import|c?import\s+(robustmq[\w.]*))", re.MULTILINE)


def layer_of(module: str) -> tuple[str, int] | None:
    fitting = [prefix for prefix in LAYERS if module == prefix or module.startswith(prefix + ".")]
    return (max(fitting, key=len), LAYERS[max(fitting, key=len)]) if fitting else None


def module_of(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> list[str]:
    return [one or other for one, other in IMPORT.findall(text(path))]


SOURCES = [path for path in files(".py", ".pyx", ".pxd") if path.parts[0] == "robustmq"]
PROTOCOLS = [path for path in SOURCES if "protocols" in path.parts]


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_imports_only_from_below(path: Path) -> None:
    here = layer_of(module_of(path))
    if here is None:
        return
    for module in imports(path):
        there = layer_of(module)
        if there is None:
            continue
        same_room = there[0] == here[0]
        assert same_room or there[1] < here[1], f"{path} ({here[0]}) imports {module} ({there[0]})"


@pytest.mark.parametrize("path", PROTOCOLS, ids=str)
def test_no_protocol_imports_another(path: Path) -> None:
    own = path.parts[3] if len(path.parts) > 4 else None
    for module in imports(path):
        match = re.match(r"robustmq\._fastpath\.protocols\.(\w+)", module)
        assert match is None or own is None or match.group(1) == own, f"{path} imports {module}"


@pytest.mark.parametrize("path", [p for p in PROTOCOLS if p.suffix != ".py"], ids=str)
def test_no_protocol_names_a_socket_or_a_reactor(path: Path) -> None:
    for module in imports(path):
        assert not module.startswith("robustmq._fastpath.reactor"), f"{path} imports {module}"
    assert "sys/socket.h" not in text(path)
