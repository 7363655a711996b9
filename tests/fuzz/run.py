"""Build the project with coverage instrumentation under ASan and UBSan, then fuzz.

    python -m tests.fuzz.run [--seconds N] [TARGET... | TARGET FILE]
"""
import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "fuzz"
TREE = BUILD / "tree"
TARGETS = ("batch", "frame", "mqtt", "kafka")


def clang_file(name: str) -> str:
    asked = subprocess.run(["clang", f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    return asked.stdout.strip()


def build() -> dict[str, str]:
    """Compile a copy of the project; returns the environment to run it in."""
    ignore = shutil.ignore_patterns("*.so", "__pycache__")
    for name in ("robustmq", "tests"):
        shutil.copytree(ROOT / name, TREE / name, dirs_exist_ok=True, ignore=ignore)
    for name in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copy2(ROOT / name, TREE / name)
    cache = ["ccache"] if shutil.which("ccache") else []
    shared = " ".join(sysconfig.get_config_var("LDSHARED").split()[1:])
    env = os.environ | {"CC": " ".join([*cache, "clang"]), "LDSHARED": f"clang {shared}", "ROBUSTMQ_SANITIZE": "fuzz",
                        "ROBUSTMQ_SHIMS": "1", "ROBUSTMQ_BUILD_DIR": "build"}
    subprocess.run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=TREE, env=env, check=True)
    library = BUILD / "libfuzzer.so"
    archive = clang_file("libclang_rt.fuzzer_no_main-x86_64.a")
    subprocess.run(["clang", "-shared", "-o", library, "-Wl,--whole-archive", archive, "-Wl,--no-whole-archive",
                    "-lstdc++", "-lm", "-lpthread", "-ldl"], check=True)
    # libFuzzer comes before ASan, whose runtime has weak stand-ins for the coverage callbacks.
    return os.environ | {
        "LIBFUZZER": str(library), "LD_PRELOAD": f"{library} {clang_file('libclang_rt.asan-x86_64.so')}",
        "PYTHONMALLOC": "malloc", "UBSAN_OPTIONS": "print_stacktrace=1",
        "ASAN_OPTIONS": "detect_leaks=0:verify_asan_link_order=0:allocator_may_return_null=1",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="of fuzzing, for each target")
    parser.add_argument("what", nargs="*", help=f"targets, of {', '.join(TARGETS)}; or one target and a file to repeat")
    args = parser.parse_args()
    env = build()
    crashes = BUILD / "crashes"
    crashes.mkdir(parents=True, exist_ok=True)
    files = [str(Path(word).absolute()) for word in args.what if word not in TARGETS]
    failed = 0
    for name in [word for word in args.what if word in TARGETS] or TARGETS:
        options = files or [f"-max_total_time={args.seconds}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=4096",
                            "-print_final_stats=1", f"-artifact_prefix={crashes}/{name}-"]
        failed |= subprocess.run([sys.executable, "-m", "tests.fuzz.target", name, BUILD / "corpus" / name, *options],
                                 cwd=TREE, env=env).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
