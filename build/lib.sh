# SPDX-License-Identifier: Apache-2.0
#
# What the scripts of this folder share. Sourced, with $0 still the script that was typed.

top=$(unset CDPATH && cd "$(dirname "$0")/.." && pwd)
me=$(basename "$0")

# absolute PATH: as seen from here, whatever folder the scripts change to.
absolute() {
    case $1 in '' | /*) printf '%s\n' "$1" ;; *) printf '%s\n' "$PWD/$1" ;; esac
}

# Everything these scripts build lies here; safe to delete.
cache=$(absolute "${H3_CACHE:-$top/build/cache}")
[ -z "${H3_CACHE:-}" ] || H3_CACHE=$cache
BORINGSSL_DIR=$(absolute "${BORINGSSL_DIR:-}")
case ${APXS:-} in */*) APXS=$(absolute "$APXS") ;; esac

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

# quoted TEXT: as one word for a shell.
quoted() {
    printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g")"
}

# must_be_buildable WHAT PATH: neither configure nor make can have one with such a character.
must_be_buildable() {
    case $2 in
    *[[:space:]]* | *[[:cntrl:]]*) fail "$1 is '$2', which has a space in it: move it." ;;
    *[\"\'\`\\\$\&\|\;\<\>\(\)\#\,\%\:\*\?\[]* | *]*)
        fail "$1 is '$2', which has a character in it that make or a shell takes for its own:" \
             "move it." ;;
    esac
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
    must_be_buildable "The source tree" "$top"
    must_be_buildable "The folder to build in" "$dir"
    must_be_buildable BORINGSSL_DIR "$BORINGSSL_DIR"
    must_be_buildable APXS "${APXS:-}"
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
    PEBBLE=$cache/pebble
    APXS=$(sed -n 's/^APXS = //p' "$1/Makefile")
    HTTPD=$(sed -n 's/^HTTPD = //p' "$1/Makefile")
    HTTPD_MODULES=$(sed -n 's/^APXS_LIBEXECDIR = //p' "$1/Makefile")
    export H3_SRCDIR H3_BUILDDIR HTTP3_MODULE ALTSVC_MODULE H3LOAD PEBBLE APXS HTTPD HTTPD_MODULES
}
