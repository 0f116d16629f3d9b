#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Draws the include graph of the sources by build/layers: the floors from top to bottom with the
# number of includes between them, and what each unit includes.
#
#   sh build/includes.sh           as text
#   sh build/includes.sh --dot     for graphviz: ... | dot -Tsvg >includes.svg
#   sh build/includes.sh --docs    writes the list into docs/architecture.md and README.md, between
#                                  their lines "<!-- build/layers -->" and "<!-- end -->"
#   sh build/includes.sh --check   says where they do not show it, as FILE:LINE: what
#
# The last line of a graph says how many arrows go up, and how many circles there are.

set -eu
LC_ALL=C
export LC_ALL
cd "$(dirname "$0")/.."

show() {
    awk -v format="$1" -f build/layers.awk -f build/includes.awk build/layers \
        $(find mod_http3 mod_altsvc -name '*.[ch]' | sort)
}

# with_list FILE FORMAT: the file with the list as it is now.
with_list() {
    show "$2" | awk '
    FNR == NR { list = list $0 "\n"; next }
    /^<!-- end -->$/ { inside = 0 }
    !inside { print }
    /^<!-- build\/layers -->$/ { printf "%s", list; inside = shown = 1 }
    END { if (!shown) printf "%s", list }
    ' - "$1"
}

write_list() {
    with_list "$1" "$2" >"$1.new"
    cat "$1.new" >"$1"
    rm "$1.new"
}

check_list() {
    line=$(with_list "$1" "$2" | diff "$1" - | sed -n '1s/[^0-9].*//p')
    [ -z "$line" ] || echo "$1:$line: not as build/layers has it (sh build/style.sh --fix)"
}

case ${1:-} in
'') show text ;;
--dot) show dot ;;
--docs)
    write_list docs/architecture.md units
    write_list README.md folders
    ;;
--check)
    check_list docs/architecture.md units
    check_list README.md folders
    ;;
*)
    echo "includes.sh: unknown argument $1; the head of this script says which there are." >&2
    exit 1
    ;;
esac
