"""Build the data plane: every .pyx below robustmq/_fastpath and robustmq/bench becomes one extension module.

Each extension carries the hashes of the headers it depends on (.pxd and .h, in however many steps; an edit of one
compiles again only who depends on it) and tells them to robustmq/_fastpath/__init__.py when it is imported.

Environment:
    ROBUSTMQ_SANITIZE   "address" (ASan + UBSan) or "thread" (TSan), used by `make asan` and `make tsan`; "fuzz" (the
                        first, with clang's coverage), used by `make fuzz`.
    ROBUSTMQ_WERROR     "1": a warning in our own code fails the build (`make build`, CI).
    ROBUSTMQ_SHIMS      "1": also build tests/shims/*.pyx, the tests' doors into functions that Python cannot call.
    ROBUSTMQ_JOBS       parallel compilations (default: number of cores).
"""
import os
import re
from functools import cache
from hashlib import sha256
from pathlib import Path

from Cython.Build import cythonize
from Cython.Build.Dependencies import create_dependency_tree
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
INCLUDE = "robustmq/_fastpath/include"
GENERATED_C = Path(os.environ.get("ROBUSTMQ_BUILD_DIR", "build")) / "cython"
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

# What is compiled in place of Cython's C file: the same module, behind a door that compares headers first.
CHECKED = """\
/* Made by setup.py. */
#define PyInit_{stem} PyInit_{stem}_unchecked
#include "{stem}.c"
#undef PyInit_{stem}

PyMODINIT_FUNC PyInit_{stem}(void) {{
    PyObject* package = PyImport_ImportModule("robustmq._fastpath");
    PyObject* agreed = package ? PyObject_CallMethod(package, "compiled_with", "ss", "{name}",
{headers}) : NULL;
    Py_XDECREF(package);
    Py_XDECREF(agreed);
    return agreed ? PyInit_{stem}_unchecked() : NULL;
}}
"""


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


@cache
def included(path: Path) -> set[Path]:
    """Our C headers that a file names, and those that these name."""
    named = {Path(INCLUDE, name) for name in re.findall(r'"(\w+\.h)"', path.read_text(encoding="utf-8"))}
    found = {header for header in named if header.exists()}
    return found.union(*map(included, found))


def headers_of(source: Path) -> list[Path]:
    """The project's headers that a .pyx depends on, in however many steps."""
    files = {Path(name) for name in create_dependency_tree(quiet=True).all_dependencies(str(source))}
    own = {path for path in files if not path.is_absolute()}
    return sorted({path for path in own if path.suffix == ".pxd"}.union(*map(included, own)))


def checked(extension: Extension) -> Path:
    """Write the C file that compares an extension's headers and includes what Cython makes of its .pyx.

    When they have changed, Cython's file goes: Cython compares times, which a copied or unpacked tree need not keep.
    """
    source = Path(extension.sources[0])
    c_file = GENERATED_C / source.with_suffix(".c")
    target = c_file.with_suffix(".checked.c")
    hashes = [f"{path.as_posix()}={sha256(path.read_bytes()).hexdigest()[:16]}" for path in headers_of(source)]
    code = CHECKED.format(stem=source.stem, name=extension.name,
                          headers="\n".join(f'        "{header} "' for header in hashes) or '        ""')
    if not target.exists() or target.read_text() != code:
        c_file.unlink(missing_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(code)
    return target


def checked_extensions() -> list[Extension]:
    """All extensions, from C files that compare headers."""
    wanted = extensions()
    doors = {extension.name: checked(extension) for extension in wanted}
    made = cythonize(
        wanted,
        nthreads=JOBS,
        build_dir=str(GENERATED_C),
        compiler_directives={
            "language_level": "3",
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
            "embedsignature": True,
        },
    )
    for extension in made:
        extension.depends = [*extension.depends, *extension.sources]
        extension.sources = [str(doors[extension.name])]
    return made


class ParallelBuild(build_ext):
    """Compile extensions side by side."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or JOBS


os.chdir(ROOT)
if __name__ == "__main__":      # the cross check imports what compiles
    setup(ext_modules=checked_extensions(), cmdclass={"build_ext": ParallelBuild})
