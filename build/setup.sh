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
    packages="$packages apache2-utils chromium clang clang-format curl iproute2
        libclang-rt-dev nghttp2-client nodejs procps python3 python3-venv valgrind"
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

cd "$top"
mkdir -p "$cache"
install_packages $packages
[ -n "${BORINGSSL_DIR:-}" ] || sh "$top/build/boringssl.sh"
if [ "$tests" = 1 ]; then
    make_venv
else
    build_tree "$cache/obj" ${APXS:+--with-apxs="$APXS"}
    say "the modules are $cache/obj/mod_http3/mod_http3.so and $cache/obj/mod_altsvc/mod_altsvc.so"
fi
