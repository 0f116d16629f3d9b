# SPDX-License-Identifier: Apache-2.0
#
# What the scripts of this folder share. Sourced, with $0 still the script that was typed.

top=$(cd "$(dirname "$0")/.." && pwd)
# Everything these scripts build lies here; safe to delete.
cache=${H3_CACHE:-$top/build/cache}
me=$(basename "$0")

say() {
    printf '%s: %s\n' "$me" "$*"
}

fail() {
    printf '%s: %s\n' "$me" "$*" >&2
    exit 1
}

# run WHAT COMMAND...: says what it does; the command's output only matters when it fails.
run() {
    run_what=$1
    shift
    say "$run_what"
    mkdir -p "$cache/log"
    run_log=$cache/log/$(printf %s "$run_what" | tr -cs 'A-Za-z0-9._-' '-' | cut -c1-60).log
    if ! "$@" >"$run_log" 2>&1 </dev/null; then
        tail -n 40 "$run_log" >&2
        fail "This failed: $run_what. The whole output is in $run_log."
    fi
}

bootstrap() {
    for input in configure.ac build/m4/*.m4 Makefile.am */Makefile.am; do
        if [ ! configure -nt "$input" ]; then
            run "autoreconf" autoreconf -fi
            return 0
        fi
    done
}

# build_tree DIR CONFIGURE-ARGUMENTS...: configures if anything about that changed, and makes.
build_tree() (
    dir=$1
    shift
    cd "$top"
    # Neither configure nor make can have one there.
    case $top$dir in
    *[[:space:]]*) fail "The path $top or $dir has a space in it: move it." ;;
    esac
    [ ! -e config.status ] ||
        fail "The source tree itself is configured: run 'make distclean' in $top first."
    bootstrap
    mkdir -p "$dir"
    cd "$dir"
    wanted="$* $(cksum <"$top/configure") $(readlink -f "${BORINGSSL_DIR:-$cache/boringssl}")"
    if [ ! -e config.status ] || [ "$(cat .configured 2>/dev/null)" != "$wanted" ]; then
        rm -f .configured
        run "configuring in $dir" "$top/configure" \
            --with-boringssl="${BORINGSSL_DIR:-$cache/boringssl}" "$@"
        # Objects of another BoringSSL or of other flags must not be mixed in.
        run "making $dir clean" make clean
        echo "$wanted" >.configured
    fi
    run "make in $dir" make -j"$(nproc)"
)

# The environment in which the tests and the demo find what build_tree made in DIR.
export_tree() {
    H3_SRCDIR=$top
    H3_BUILDDIR=$1
    HTTP3_MODULE=$1/mod_http3/mod_http3.so
    ALTSVC_MODULE=$1/mod_altsvc/mod_altsvc.so
    H3LOAD=$1/tests/bench/h3load
    APXS=$(sed -n 's/^APXS = //p' "$1/Makefile")
    HTTPD=$(sed -n 's/^HTTPD = //p' "$1/Makefile")
    HTTPD_MODULES=$(sed -n 's/^APXS_LIBEXECDIR = //p' "$1/Makefile")
    export H3_SRCDIR H3_BUILDDIR HTTP3_MODULE ALTSVC_MODULE H3LOAD APXS HTTPD HTTPD_MODULES
}
