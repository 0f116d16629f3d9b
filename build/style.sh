#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The style check of make check.
#
#   sh build/style.sh          says what is wrong, one line each: FILE:LINE: what
#   sh build/style.sh --fix    lays out the C files by clang-format, then checks
#
# Checked: SPDX line, 100 columns, tabs, trailing space; in C also functions below 90 lines, that a
# function which is not static is declared in a header and has its file's layer as prefix, that the
# files include each other without a circle, that a Makefile.am has each file, and the layout by
# .clang-format (where clang-format 14 is there: each version lays out a little differently).

set -u
LC_ALL=C.UTF-8
export LC_ALL
cd "$(dirname "$0")/.." || exit 99
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT

c_files=$(find mod_http3 mod_altsvc tests -name '*.[ch]' | sort)
module_files=$(find mod_http3 mod_altsvc -name '*.[ch]' | sort)
text_files=$(find build demo tests .ci -path build/cache -prune -o -path build/autotools -prune \
    -o -type f \( -name '*.sh' -o -name '*.py' -o -name run \) -print | sort)
clang_format=
case $(clang-format --version 2>/dev/null) in *'version 14.'*) clang_format=clang-format ;; esac

if [ "${1:-}" = --fix ]; then
    [ -n "$clang_format" ] || { echo "style.sh: clang-format 14 is needed for --fix." >&2; exit 1; }
    $clang_format -i $c_files
fi

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

functions() {
    cat $(find mod_http3 mod_altsvc -name '*.h') >"$tmp/headers"
    awk -v headers="$tmp/headers" '
    BEGIN { while ((getline line < headers) > 0) declared = declared "\n" line }
    FNR == 1 { head = ""; name = "" }
    # A head may take several lines: from column 0 up to the brace that stands alone.
    /^[A-Za-z_].*[(,]/ && !/[;}]$/ && !/^(typedef|extern|#)/ { head = before $0; next }
    { before = /^[a-z][A-Za-z0-9_ *]*$/ ? $0 " " : "" }
    head != "" && /^[ ]/ { head = head $0; if (/;$/) head = ""; next }
    /^\{/ && head != "" {
        name = head; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name)
        start = FNR
        base = FILENAME; sub(/.*\//, "", base); layer = base; sub(/[_.].*/, "", layer)
        if (head !~ /^(static|AP_|APR_)/) {
            if (base !~ /^mod_/ && name !~ "^" layer "_")
                print FILENAME ":" FNR ": " name "() has not the prefix " layer "_"
            if (declared !~ "[^A-Za-z_0-9]" name "\\(")
                print FILENAME ":" FNR ": " name "() is in no header and not static"
        }
        head = ""; next
    }
    /^\}/ {
        if (name != "" && FNR - start >= 90)
            print FILENAME ":" start ": " name "() has " FNR - start " lines, at most 89"
        name = ""; head = ""
    }
    ' "$@"
}

circles() {
    found=$(for file in "$@"; do
        from=$(basename "$file" | sed 's/\.[ch]$//')
        sed -n 's/^#include "\([a-z0-9_]*\)\.h".*/\1/p' "$file" | while read -r to; do
            [ ! -e "mod_http3/$to.h" ] && [ ! -e "mod_altsvc/$to.h" ] || [ "$from" = "$to" ] ||
                echo "$from $to"
        done
    done | sort -u | tsort 2>&1 >/dev/null | sed -n 's/^tsort: \([a-z0-9_]*\)$/\1/p' | sort -u)
    [ -z "$found" ] || echo "these files include each other in a circle:" $found
}

layout() {
    [ -n "$clang_format" ] || return 0
    for file in "$@"; do
        $clang_format "$file" | diff "$file" - >"$tmp/diff" ||
            echo "$file:$(sed -n '1s/[^0-9].*//p' "$tmp/diff"): not laid out by .clang-format" \
                 "(sh build/style.sh --fix)"
    done
}

# What no Makefile.am names would not be built, nor be in the tar file.
listed() {
    for file in "$@"; do
        folder=${file%%/*}
        grep -qE "[ /]$(basename "$file" .c)(\.c)?( |\$)" "$folder/Makefile.am" ||
            echo "$file:1: not in $folder/Makefile.am"
    done
}

{
    lines $c_files $text_files
    functions $(echo "$module_files" | grep '\.c$')
    circles $module_files
    listed $(echo "$c_files" | grep '\.c$')
    layout $c_files
} >"$tmp/found"
if [ -s "$tmp/found" ]; then
    cat "$tmp/found"
    echo "style.sh: $(wc -l <"$tmp/found") findings." >&2
    exit 1
fi
echo "style.sh: no findings in $(echo $c_files $text_files | wc -w) files."
