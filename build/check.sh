#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Installs and builds everything, then runs all tests: make check (unit tests, symbols, style), and
# pytest four times: the subset marked "sanitize" on a build with the address and undefined
# behaviour sanitizers, on one with the thread sanitizer and under valgrind, and all of it on the
# normal build. The last line is pytest's closing line.
#
#   sh build/check.sh                  everything
#   sh build/check.sh --unit           make check only
#   sh build/check.sh --sanitizers     the subset for the sanitizers only
#   sh build/check.sh --threads        the subset for the thread sanitizer only
#   sh build/check.sh --valgrind       the subset for valgrind only
#   sh build/check.sh --pytest ARG...  pytest with these arguments only, on the normal build
#
# H3TEST_PORTS=LOW-HIGH bounds the ports that the tests take; the screenshots and logs that they
# keep go to H3TEST_ARTEFACTS (build/cache/artefacts). With H3TEST_SKIPS=fail none may be skipped.

set -eu
. "$(dirname "$0")/lib.sh"

normal=$cache/obj-check
sanitized=$cache/obj-sanitize
threads=$cache/obj-threads
H3TEST_ARTEFACTS=$(absolute "${H3TEST_ARTEFACTS:-$cache/artefacts}")
export H3TEST_ARTEFACTS
failed=

# A phase that fails does not keep the others from running.
phase() {
    phase_name=$1
    shift
    echo
    say "== $phase_name"
    "$@" || failed="$failed${failed:+, }$phase_name"
}

build_normal() {
    build_tree "$normal" --enable-werror ${APXS_FILE:+--with-apxs="$APXS_FILE"}
}

build_sanitized() {
    build_tree "$sanitized" --enable-werror --enable-sanitizers \
        ${APXS_FILE:+--with-apxs="$APXS_FILE"}
}

build_threads() {
    build_tree "$threads" --enable-werror --enable-sanitizers=thread \
        ${APXS_FILE:+--with-apxs="$APXS_FILE"}
}

make_check() {
    make -C "$1" check
}

# pytest on the build in DIR; its output is the log, each test with its name.
tests_on() {
    export_tree "$1"
    shift
    mkdir -p "$H3TEST_ARTEFACTS"
    (cd "$top/tests" && "$cache/venv/bin/python" -m pytest -v -p no:cacheprovider \
        --durations=10 "$@")
}

sanitizer_runtime() {
    # Both, in this order: the address sanitizer must be the first object of the process.
    printf '%s:%s\n' "$(${CC:-gcc} -print-file-name=libasan.so)" \
        "$(${CC:-gcc} -print-file-name=libubsan.so)"
}

run_sanitized() (
    H3TEST_RUN=asan
    H3TEST_PRELOAD=$(sanitizer_runtime)
    H3TEST_SLOWNESS=${H3TEST_SLOWNESS:-3}
    export H3TEST_RUN H3TEST_PRELOAD H3TEST_SLOWNESS
    tests_on "$sanitized" -m sanitize --timeout=400 "$@"
)

run_threads() (
    H3TEST_RUN=tsan
    H3TEST_PRELOAD=$(${CC:-gcc} -print-file-name=libtsan.so)
    H3TEST_SLOWNESS=${H3TEST_SLOWNESS:-3}
    export H3TEST_RUN H3TEST_PRELOAD H3TEST_SLOWNESS
    tests_on "$threads" -m sanitize --timeout=400 "$@"
)

run_valgrind() (
    H3TEST_RUN=valgrind
    H3TEST_SLOWNESS=${H3TEST_SLOWNESS:-5}
    export H3TEST_RUN H3TEST_SLOWNESS
    tests_on "$normal" -m sanitize --timeout=600 "$@"
)

# The unit tests once more, under valgrind.
unit_valgrind() {
    make -s -C "$normal/tests" check TESTS= >"$cache/log/unit-tests.log" 2>&1 ||
        { cat "$cache/log/unit-tests.log"; return 1; }
    for test in "$normal"/tests/unit/*_test; do
        say "valgrind $(basename "$test")"
        valgrind --quiet --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite \
            "$test" >"$cache/log/valgrind-unit.log" 2>&1 ||
            { cat "$cache/log/valgrind-unit.log"; return 1; }
    done
}

only=${1:-}
[ $# = 0 ] || shift
case $only in
'' | --unit | --sanitizers | --threads | --valgrind | --pytest) ;;
*) fail "unknown argument $only; the head of this script says which there are." ;;
esac
APXS_FILE=${APXS:-}
# Said before all the work, not after it.
must_be_buildable "The source tree" "$top"
must_be_buildable "The folder to build in" "$cache"

sh "$top/build/setup.sh" --tests
case $only in
--sanitizers) build_sanitized ;;
--threads) build_threads ;;
'') build_normal; build_sanitized; build_threads ;;
*) build_normal ;;
esac

case $only in
'' | --unit) phase "unit tests, symbols, style" make_check "$normal" ;;
esac
case $only in
'' | --sanitizers)
    phase "unit tests with sanitizers" make_check "$sanitized"
    phase "pytest with sanitizers" run_sanitized "$@"
    ;;
esac
case $only in
'' | --threads)
    phase "unit tests with the thread sanitizer" make_check "$threads"
    phase "pytest with the thread sanitizer" run_threads "$@"
    ;;
esac
case $only in
'' | --valgrind)
    phase "unit tests under valgrind" unit_valgrind
    phase "pytest under valgrind" run_valgrind "$@"
    ;;
esac
[ -z "$failed" ] || [ -n "$only" ] || say "failed so far: $failed"
case $only in
'' | --pytest) phase "pytest" tests_on "$normal" "$@" ;;
esac

[ -z "$failed" ] || fail "Failed: $failed."
