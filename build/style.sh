#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The style check of make check.
#
#   sh build/style.sh              says what is wrong, one line each: FILE:LINE: what
#   sh build/style.sh --fix        lays out the C files by clang-format, writes the list of floors
#                                  into the docs, then checks
#   sh build/style.sh --no-layout  all but the layout
#
# Checked, of all sources: SPDX line, 100 columns, tabs, trailing space, that a Makefile.am has each
# C file, and the layout by .clang-format (where clang-format 14 is there: each version lays out a
# little differently). Of the modules, by the list of floors in build/layers and by build/rules.awk:
#
#   * an include goes to the same folder or further down, as the list says, and never in a circle
#   * headers and names of httpd and the libraries are only where the list has them
#   * each file is in the list, and what is in the list is there
#   * docs/architecture.md and README.md show the list
#   * what is not static has its file's name as prefix and is in its file's header
#   * a type that is called like a unit is in that unit's header
#   * a function has 80 lines at most
#   * a message of level WARNING and above has an APLOGNO, and each number is used once

set -u
LC_ALL=C.UTF-8
export LC_ALL
cd "$(dirname "$0")/.." || exit 99
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT

c_files=$(find mod_http3 mod_altsvc tests -name '*.[ch]' | sort)
module_files=$(find mod_http3 mod_altsvc -name '*.[ch]' | sort)
text_files=$(find build demo tests .ci -path build/cache -prune -o -path build/autotools -prune \
    -o -type f \( -name '*.sh' -o -name '*.awk' -o -name '*.py' -o -name run -o -name layers \) \
    -print | sort)
clang_format=
case $(clang-format --version 2>/dev/null) in *'version 14.'*) clang_format=clang-format ;; esac

case ${1:-} in
'') ;;
--fix)
    [ -n "$clang_format" ] || { echo "style.sh: clang-format 14 is needed for --fix." >&2; exit 1; }
    $clang_format -i $c_files
    sh build/includes.sh --docs
    ;;
--no-layout) clang_format= ;;
*)
    echo "style.sh: unknown argument $1; the head of this script says which there are." >&2
    exit 1
    ;;
esac

lines() {
    awk '
    FNR == 1 { licence = 0 }
    FNR <= 2 && /SPDX-License-Identifier: Apache-2.0/ { licence = 1 }
    FNR == 2 && !licence { print FILENAME ":1: no SPDX line" }
    length > 100 { print FILENAME ":" FNR ": " length " columns, at most 100" }
    /\t/ { print FILENAME ":" FNR ": a tab" }
    /[ \t]$/ { print FILENAME ":" FNR ": space at the end of the line" }
    ' "$@"
}

# One line for each file, with its first place.
layout() {
    [ -n "$clang_format" ] || return 0
    $clang_format --dry-run -Werror "$@" 2>&1 |
        awk -F: '/: error: / && !seen[$1]++ {
            print $1 ":" $2 ": not laid out by .clang-format (sh build/style.sh --fix)"
        }'
}

# What no Makefile.am names would not be built, nor be in the tar file.
in_makefiles() {
    awk '
    FNR == 1 { folder = FILENAME; sub(/[^\/]*$/, "", folder) }
    FILENAME ~ /Makefile[.]am$/ {
        for (i = 1; i <= NF; i++)
            named[folder $i] = named[folder $i ".c"] = 1
        next
    }
    FNR == 1 && !(FILENAME in named) {
        sub(/\/.*/, "", folder)
        print FILENAME ":1: not in " folder "/Makefile.am"
    }
    ' mod_http3/Makefile.am mod_altsvc/Makefile.am tests/Makefile.am "$@"
}

{
    lines $c_files $text_files
    LC_ALL=C awk -f build/layers.awk -f build/rules.awk build/layers $module_files ||
        echo "build/rules.awk:1: awk ended with $?"
    sh build/includes.sh --check
    in_makefiles $c_files
    layout $c_files
} >"$tmp/found"
if [ -s "$tmp/found" ]; then
    cat "$tmp/found"
    echo "style.sh: $(wc -l <"$tmp/found") findings." >&2
    exit 1
fi
echo "style.sh: no findings in $(echo $c_files $text_files | wc -w) files."
