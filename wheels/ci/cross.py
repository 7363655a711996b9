"""Compile every extension's C for macOS, musl and arm64 with Zig's C compiler, which has the headers of all three.

A check, for whoever has none of these machines: nothing is linked, and the headers of Python are this machine's (64-bit
platforms agree in what they say). `make cross` runs it behind a build.
"""
from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path.cwd()))
from setup import GENERATED_C, INCLUDE, JOBS, flags

TARGETS = ("aarch64-macos", "x86_64-macos", "aarch64-linux-musl")


def compile_one(target: str, source: Path, directory: Path) -> str:
    """What the compiler has to say, warnings included; nothing when all is well."""
    command = [sys.executable, "-m", "ziglang", "cc", "-target", target, *flags()[0], "-Werror", "-O0", "-fPIC",
               "-I", INCLUDE, "-isystem", str(directory / "python"),
               "-c", str(source), "-o", str(directory / f"{target}-{source.stem}.o")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"{target}: {source}\n{done.stderr}"


def main() -> int:
    """0: each extension compiles everywhere."""
    sources = sorted(path for path in (GENERATED_C / "robustmq").rglob("*.c") if not path.name.endswith(".checked.c"))
    if not sources:
        print("no generated C in build/: run make build first", file=sys.stderr)
        return 2
    with TemporaryDirectory() as name, ThreadPoolExecutor(JOBS) as pool:
        # A copy: /usr/include itself would bring this machine's libc along, and Debian's pyconfig.h knows Debian only.
        include = Path(sysconfig.get_path("include"))
        headers = shutil.copytree(include, Path(name) / "python")
        for real in include.parent.glob(f"{platform.machine()}-linux-gnu/{include.name}/pyconfig.h"):
            shutil.copy(real, headers)
        said = list(pool.map(lambda job: compile_one(*job, Path(name)), product(TARGETS, sources)))
    failures = [text for text in said if text]
    print("\n".join(failures) or f"cross: {len(sources)} extensions compile for {', '.join(TARGETS)}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
