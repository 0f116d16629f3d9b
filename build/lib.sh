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
    what=$1
    shift
    say "$what"
    mkdir -p "$cache/log"
    log=$cache/log/$(printf %s "$what" | tr -cs 'A-Za-z0-9._-' '-' | cut -c1-60).log
    if ! "$@" >"$log" 2>&1 </dev/null; then
        tail -n 40 "$log" >&2
        fail "This failed: $what. The whole output is in $log."
    fi
}

jobs() {
    nproc 2>/dev/null || echo 1
}
