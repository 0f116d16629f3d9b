#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Builds BoringSSL from Debian's source package as two static libraries for the modules, once per
# version. The result is a folder with include/, libssl.a and libcrypto.a, as
# ./configure --with-boringssl=DIR wants it; build/cache/boringssl points to it.
#
#   sh build/boringssl.sh          needs apt's deb-src lines (build/setup.sh adds them), cmake, g++

set -eu
. "$(dirname "$0")/lib.sh"

package=android-platform-external-boringssl
# The newest revision of this release; it is what the code is tested with.
release=${BORINGSSL_RELEASE:-13.0.0+r24}

newest_version() {
    apt-cache showsrc "$package" 2>/dev/null |
        sed -n 's/^Version: //p' | grep -F "$release-" | sort -V | tail -n 1
}

# The version alone would miss a change of our own recipe.
recipe=$(cat "$top/build/boringssl/CMakeLists.txt" | cksum | cut -d' ' -f1)

link_result() {
    ln -sfn "$(basename "$1")" "$cache/boringssl"
    say "BoringSSL is in $cache/boringssl"
}

mkdir -p "$cache"
# An answer without apt: a build of this release and recipe is there already.
for found in "$cache/boringssl-$release"-*".$recipe"; do
    if [ -f "$found/libssl.a" ]; then
        link_result "$found"
        exit 0
    fi
done

for tool in apt-get:apt dpkg-source:dpkg-dev cmake:cmake g++:g++ make:make; do
    command -v "${tool%%:*}" >/dev/null ||
        fail "${tool%%:*} is missing: install the Debian package ${tool#*:}."
done
version=$(newest_version)
[ -n "$version" ] ||
    fail "apt knows no source of $package $release: run build/setup.sh as root once, or add the" \
         "deb-src line of Debian 12 (bookworm), or give another build with --with-boringssl=DIR."

out=$cache/boringssl-$version.$recipe
work=$cache/boringssl-work
rm -rf "$work"
mkdir -p "$work/source"

# apt checks the source against the signed index, dpkg-source unpacks it with Debian's patches.
fetch() (
    cd "$work/source" &&
        apt-get source --download-only --only-source "$package=$version" &&
        dpkg-source --no-check -x ./*.dsc ../tree
)
# As root apt-get downloads as _apt, if that may write there, else as root (a rootless container).
if [ "$(id -u)" = 0 ] && getent passwd _apt >/dev/null; then
    chown _apt "$work/source" || say "apt downloads as root"
fi
run "getting the source of BoringSSL $version" fetch
run "configuring BoringSSL" cmake -S "$top/build/boringssl" -B "$work/build" \
    -DBORINGSSL_SOURCE="$work/tree" -DCMAKE_C_COMPILER="${CC:-cc}" \
    -DCMAKE_CXX_COMPILER="${CXX:-c++}"
run "building BoringSSL (a minute or two)" cmake --build "$work/build" --parallel "$(nproc)"

rm -rf "$out"
mkdir -p "$work/out"
cp -R "$work/tree/src/include" "$work/out/include"
cp "$work/tree/src/LICENSE" "$work/out/LICENSE"
cp "$work/build/libssl.a" "$work/build/libcrypto.a" "$work/out/"
# Last and at once, so that an interrupted build never looks finished.
mv "$work/out" "$out"
rm -rf "$work"
link_result "$out"
