#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Installs what mod_http3 needs on Debian, builds BoringSSL and the modules in build/cache/. Safe to
# repeat; a second run takes seconds. As root the first time, because of the packages.
#
#   sh build/setup.sh            for running (build/demo.sh calls it)
#   sh build/setup.sh --tests    also what the tests need (build/check.sh calls it)
#
# BORINGSSL_DIR=DIR takes another build of BoringSSL, APXS=FILE another httpd.

set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/apt.sh"

tests=${SETUP_TESTS:-0}
case ${1:-} in
'') ;;
--tests) tests=1 ;;
*) fail "unknown argument $1; there is --tests." ;;
esac

packages="gcc g++ make cmake autoconf automake libc6-dev dpkg-dev ca-certificates openssl
    apache2-bin apache2-dev libapr1-dev libaprutil1-dev"
# Its name changed in Debian 13; either brings the command.
command -v pkg-config >/dev/null || packages="$packages pkg-config"
if [ "$tests" = 1 ]; then
    # redis-tools holds the server too; php-fpm brings a service, which the tests do not use.
    packages="$packages apache2-utils chromium clang clang-format curl git iproute2
        libaprutil1-dbd-mysql libaprutil1-dbd-odbc libaprutil1-dbd-pgsql libaprutil1-dbd-sqlite3
        libclang-rt-dev libsqliteodbc litmus nghttp2-client nodejs php-fpm procps python3
        python3-venv redis-tools uwsgi-core uwsgi-plugin-python3 valgrind"
    command -v go >/dev/null || packages="$packages golang-go"
    # Beside Debian's service they would switch themselves on there; their tests are skipped then.
    [ -e /usr/share/apache2/apache2-maintscript-helper ] ||
        packages="$packages libapache2-mod-qos libapache2-mod-security2 modsecurity-crs"
fi

# The venv's name tells what is in it, so that other requirements make another one.
make_venv() {
    requirements=$top/tests/requirements.txt
    venv=$cache/venv-$(cksum <"$requirements" | cut -d' ' -f1)
    if [ ! -e "$venv/complete" ]; then
        rm -rf "$cache"/venv-*
        run "making a Python environment" /usr/bin/python3 -m venv "$venv"
        run "installing the Python packages of the tests" \
            "$venv/bin/python" -m pip install --disable-pip-version-check -r "$requirements"
        touch "$venv/complete"
    fi
    ln -sfn "$(basename "$venv")" "$cache/venv"
}

# An ACME server for the tests: the newest release that the compilers of Debian 12 and 13 build.
make_pebble() {
    release=v2.4.0
    pebble=$cache/pebble-$release
    if [ ! -x "$pebble" ]; then
        go_minor=$(go env GOVERSION | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
        go_flags=
        # What a library of that time does by itself needs a word to the linker since Go 1.23.
        [ "${go_minor:-0}" -lt 23 ] || go_flags=-ldflags=-checklinkname=0
        rm -rf "$cache/pebble-work"
        run "building pebble $release" env GOPATH="$cache/pebble-work" GOBIN="$cache/pebble-work" \
            GOCACHE="$cache/pebble-work/cache" GOTOOLCHAIN=local CGO_ENABLED=0 \
            go install -modcacherw $go_flags "github.com/letsencrypt/pebble/v2/cmd/pebble@$release"
        mv "$cache/pebble-work/pebble" "$pebble"
        rm -rf "$cache/pebble-work"
    fi
    ln -sfn "$(basename "$pebble")" "$cache/pebble"
}

must_be_buildable "The source tree" "$top"
must_be_buildable "The folder to build in" "$cache"
cd "$top"
mkdir -p "$cache"
install_packages $packages
[ -n "${BORINGSSL_DIR:-}" ] || sh "$top/build/boringssl.sh"
if [ "$tests" = 1 ]; then
    make_venv
    make_pebble
else
    build_tree "$cache/obj" ${APXS:+--with-apxs="$APXS"}
    say "the modules are $cache/obj/mod_http3/mod_http3.so and $cache/obj/mod_altsvc/mod_altsvc.so"
fi
