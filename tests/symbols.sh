#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# TAP: what the built modules export and import. mod_ssl's OpenSSL lives in the same process, so
# nothing of BoringSSL may be visible; and a module must find all it calls in httpd and its own
# libraries, because it cannot be linked with -z defs.

set -u
n=0
bad=0

# check STATUS NAME [DETAIL]
check() {
    n=$((n + 1))
    if [ "$1" = 0 ]; then
        echo "ok $n - $2"
    else
        echo "not ok $n - $2"
        [ -z "${3:-}" ] || printf '%s\n' "$3" | sed 's/^/# /'
        bad=1
    fi
}

tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT

# Names that the httpd binary and the libraries of $1 define.
defined_for() {
    {
        echo "$HTTPD"
        ldd "$HTTPD" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }'
        ldd "$1" | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// { print $1 }'
    } | sort -u | while read -r object; do
        nm -D --defined-only "$object" 2>/dev/null
    done | awk '{ sub(/@.*/, "", $NF); print $NF }' | sort -u
}

look_at() {
    module=$1
    record=$2
    name=$(basename "$module")

    exported=$(nm -D --defined-only "$module" | awk '{ print $NF }' | sort)
    [ "$exported" = "$record" ]
    check $? "$name exports $record and nothing else" "it exports: $exported"

    nm -D --undefined-only "$module" | awk '$1 == "U" { sub(/@.*/, "", $2); print $2 }' |
        sort -u >"$tmp/wanted"
    defined_for "$module" >"$tmp/defined"
    missing=$(comm -23 "$tmp/wanted" "$tmp/defined")
    [ -s "$tmp/wanted" ] && [ -z "$missing" ]
    check $? "$name finds every symbol it imports" "missing: $missing"

    collide=$(grep -E '^(SSL|BIO|EVP|X509|CRYPTO|OPENSSL|RSA|EC|ERR)_' "$tmp/wanted")
    [ -z "$collide" ]
    check $? "$name takes no TLS library symbol from elsewhere" "imports: $collide"

    libraries=$(readelf -dW "$module" | grep NEEDED | grep -E 'libssl|libcrypto|libstdc')
    [ -z "$libraries" ]
    check $? "$name needs no TLS library and no C++ runtime" "$libraries"

    readelf -dW "$module" | grep FLAGS_1 | grep NODELETE | grep -q NOW
    check $? "$name is marked nodelete and now"

    readelf -lW "$module" | grep -q GNU_RELRO
    check $? "$name has relro"

    readelf -lW "$module" | awk '$1 == "GNU_STACK" && $7 == "RW" { found = 1 } END { exit !found }'
    check $? "$name has no executable stack"

    ! readelf -dW "$module" | grep -q TEXTREL
    check $? "$name has no text relocations"
}

look_at "$HTTP3_MODULE" http3_module
look_at "$ALTSVC_MODULE" altsvc_module
echo "1..$n"
exit $bad
