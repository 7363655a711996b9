"""The data plane. Its extensions say here which headers they were compiled with; only those that agree are let in.

Structs, enums and inline functions live in `.pxd` and `.h` files and are compiled into each extension that uses them.
Python compares none of that: an extension from an older build would read one field where another has written a
different one. setup.py compiles the hashes of its headers into each extension, the tests' and the benchmark's too.
"""
from __future__ import annotations

from pathlib import Path

_ROOT = Path(__file__).parents[2]
_compiled: dict[str, tuple[str, str]] = {}      # header: its hash, and the first extension that was compiled with it


def compiled_with(extension: str, headers: str) -> None:
    """An extension calls this before it initializes. headers: "path=hash path=hash …", as it was compiled with them.

    ImportError, when an extension that came before was compiled with another text of one of them.
    """
    for header in headers.split():
        path, _, digest = header.partition("=")
        known, first = _compiled.setdefault(path, (digest, extension))
        if known != digest:
            stale = _stale(path, {first: known, extension: digest})
            raise ImportError(f"{stale} is stale: {extension} and {first} were compiled with different versions of "
                              f"{path}. Run `make build` in the source tree, or install robustmq again.",
                              name=extension)


def _stale(path: str, compiled: dict[str, str]) -> str:
    """Which of two was not compiled with the header that lies here; both, when none does."""
    from hashlib import sha256

    try:
        digest = sha256((_ROOT / path).read_bytes()).hexdigest()[:16]
    except OSError:
        digest = ""
    return " or ".join(sorted(name for name, own in compiled.items() if own != digest))
