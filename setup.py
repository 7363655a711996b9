"""Build the data plane: every .pyx below robustmq/_fastpath and robustmq/bench becomes one extension module.

Environment:
    ROBUSTMQ_SANITIZE   "address" (ASan + UBSan) or "thread" (TSan), used by `make asan` and `make tsan`; "fuzz" (the
                        first, with clang's coverage), used by `make fuzz`.
    ROBUSTMQ_WERROR     "1": a warning in our own code fails the build (`make build`, CI).
    ROBUSTMQ_SHIMS      "1": also build tests/shims/*.pyx, the tests' doors into functions that Python cannot call.
    ROBUSTMQ_JOBS       parallel compilations (default: number of cores).
"""
import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
INCLUDE = "robustmq/_fastpath/include"
JOBS = int(os.environ.get("ROBUSTMQ_JOBS", os.cpu_count() or 1))

# What Cython generates is not ours to tidy: these warnings fire in its boilerplate only.
GENERATED = ["-Wno-unused-function", "-Wno-unused-parameter", "-Wno-missing-field-initializers",
             "-Wno-cast-function-type", "-Wno-sign-compare", "-Wno-unused-but-set-variable",
             "-Wno-implicit-fallthrough"]
SANITIZE = {
    "address": ["-fsanitize=address,undefined", "-fno-omit-frame-pointer", "-O1", "-g"],
    "fuzz": ["-fsanitize=fuzzer-no-link,address,undefined", "-fno-sanitize-recover=undefined", "-shared-libasan",
             "-fno-omit-frame-pointer", "-O1", "-g"],
    "thread": ["-fsanitize=thread", "-fno-omit-frame-pointer", "-O1", "-g"],
}


def flags() -> tuple[list[str], list[str]]:
    """Compiler and linker flags of every extension."""
    compile_flags = ["-O3", "-std=gnu11", "-fno-strict-aliasing", "-fvisibility=hidden", "-Wall", "-Wextra", *GENERATED]
    link_flags = ["-pthread"]
    if os.environ.get("ROBUSTMQ_WERROR") == "1":
        compile_flags.append("-Werror")
    if sanitize := os.environ.get("ROBUSTMQ_SANITIZE"):
        compile_flags += SANITIZE[sanitize]
        link_flags.append(SANITIZE[sanitize][0])
    return compile_flags, link_flags


def extensions() -> list[Extension]:
    """One extension for each .pyx file, named by its path."""
    compile_flags, link_flags = flags()
    sources = sorted([*Path("robustmq/_fastpath").rglob("*.pyx"), *Path("robustmq/bench").rglob("*.pyx")])
    if os.environ.get("ROBUSTMQ_SHIMS") == "1":
        sources += sorted(Path("tests/shims").glob("*.pyx"))
    headers = sorted(str(path) for path in Path(INCLUDE).glob("*.h"))
    return [
        Extension(".".join(source.with_suffix("").parts), [str(source)], include_dirs=[INCLUDE], depends=headers,
                  extra_compile_args=compile_flags, extra_link_args=link_flags)
        for source in sources
    ]


class ParallelBuild(build_ext):
    """Compile extensions side by side."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or JOBS


os.chdir(ROOT)
setup(
    ext_modules=cythonize(
        extensions(),
        nthreads=JOBS,
        build_dir=os.environ.get("ROBUSTMQ_BUILD_DIR", "build") + "/cython",
        compiler_directives={
            "language_level": "3",
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
            "embedsignature": True,
        },
    ),
    cmdclass={"build_ext": ParallelBuild},
)
