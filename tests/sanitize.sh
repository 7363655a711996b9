#!/bin/sh
# Build a copy of the tree with a sanitizer and run tests under it.
#
#   tests/sanitize.sh address PYTHON tests...     ASan + UBSan
#   tests/sanitize.sh thread  PYTHON tests...     TSan, for whatever several threads share
#
# PYTHON is an interpreter with the development dependencies. The copy lies in build/sanitize-<kind>; only what changed is
# built again. CC names the compiler (gcc or clang). Ends with pytest's status, or the sanitizer's; its reports come last.
set -eu
cd "$(dirname "$0")/.."
usage="usage: tests/sanitize.sh address|thread PYTHON tests..."
kind=${1:?$usage}
python=$(command -v "${2:?$usage}")
case $python in /*) ;; *) python=$PWD/$python ;; esac
shift 2
compiler=${CC:-gcc}
copy=build/sanitize-$kind

case $kind in
address)
    runtime=libasan.so
    # The interpreter never frees everything; a pool of its own would hide errors in our buffers.
    export ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1:log_path=$PWD/$copy/report"
    export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:log_path=$PWD/$copy/report"
    export PYTHONMALLOC=malloc
    ;;
thread)
    runtime=libtsan.so
    export TSAN_OPTIONS="exitcode=66:log_path=$PWD/$copy/report:suppressions=$PWD/tests/tsan.supp"
    # TSan does not model the fence between a store and a load; our orders stand without it.
    CFLAGS="${CFLAGS:-} -Wno-tsan"
    export CFLAGS
    ;;
*)
    echo "unknown sanitizer: $kind (address or thread)" >&2
    exit 2
    ;;
esac

mkdir -p "$copy"
git ls-files -z --cached --others --exclude-standard | tar --null -T - -c --ignore-failed-read 2>/dev/null | tar -x -C "$copy"
cd "$copy"
ROBUSTMQ_SANITIZE=$kind ROBUSTMQ_SHIMS=1 $python setup.py -q build_ext --inplace >build.log 2>&1 || { cat build.log; exit 1; }
library=$($compiler -print-file-name=$runtime)
rm -f report.*
status=0
LD_PRELOAD=$library $python -m pytest -q -p no:cacheprovider "$@" || status=$?
cat report.* 2>/dev/null || true          # pytest captures stderr: the findings are here
exit $status
