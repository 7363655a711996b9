#!/bin/sh
# Build a copy of the tree with a sanitizer and run the tests that matter for it.
#
#   tests/sanitize.sh address [pytest arguments]     ASan + UBSan: unit tests and wire vectors
#   tests/sanitize.sh thread  [pytest arguments]     TSan: whatever several threads share
#
# The copy lies in build/sanitize-<kind> and is built again only where sources changed. CC names the compiler (gcc or clang);
# PYTHON the interpreter whose environment has the development dependencies.
set -eu
cd "$(dirname "$0")/.."
kind=${1:?usage: tests/sanitize.sh address|thread [pytest arguments]}
shift
python=${PYTHON:-python3}
compiler=${CC:-gcc}
copy=build/sanitize-$kind

case $kind in
address)
    runtime=libasan.so
    tests="tests/unit tests/spec"
    # The interpreter never frees everything; a pool of its own would hide errors in our buffers.
    export ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1:log_path=$PWD/$copy/report"
    export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:log_path=$PWD/$copy/report"
    export PYTHONMALLOC=malloc
    ;;
thread)
    runtime=libtsan.so
    tests="tests/unit/test_mailbox.py tests/unit/test_qsbr.py tests/unit/test_reactor.py"
    for more in tests/unit/test_*journal*.py tests/unit/test_*partition*.py tests/unit/test_*log*.py; do
        [ -e "$more" ] && tests="$tests $more"
    done
    export TSAN_OPTIONS="exitcode=66:log_path=$PWD/$copy/report"
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
ROBUSTMQ_SANITIZE=$kind ROBUSTMQ_SHIMS=1 $python setup.py -q build_ext --inplace
library=$($compiler -print-file-name=$runtime)
[ "$#" -gt 0 ] || set -- -q $tests
rm -f report.*
status=0
LD_PRELOAD=$library $python -m pytest -p no:cacheprovider "$@" || status=$?
cat report.* 2>/dev/null || true          # pytest captures stderr: the findings are here
exit $status
