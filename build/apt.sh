# SPDX-License-Identifier: Apache-2.0
#
# Debian packages for build/setup.sh. Sourced after lib.sh. Every mirror and key comes from the
# machine's own apt sources, so that a private mirror stays the only place that is asked.

sources_d=/etc/apt/sources.list.d
backports_file=$sources_d/mod-http3-backports.sources
source_file=$sources_d/mod-http3-boringssl.sources
pin_file=/etc/apt/preferences.d/mod-http3

apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -y -o DPkg::Lock::Timeout=300 "$@"
}

installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Those of the named packages that are not installed.
missing_of() {
    for package; do
        installed "$package" || printf '%s ' "$package"
    done
}

must_be_root() {
    [ "$(id -u)" = 0 ] || fail "$1 Run this once as root, or do it by hand."
}

debian_codename() (
    . /etc/os-release
    [ "${ID:-}" = debian ] && echo "${VERSION_CODENAME:-sid}"
)

# "URI FILE:LINE" of the machine's own source of Debian's main archive, in either notation of apt.
own_source() {
    apt-get indextargets --format '$(REPO_URI) $(SOURCESENTRY)' 'Created-By: Packages' \
        "Codename: $1" 'Component: main' 'Origin: Debian' | grep -v '^cdrom:' | head -n 1
}

own_mirror() {
    own_source "$1" | cut -d' ' -f1
}

# The keyring file named there, else Debian's own.
own_keyring() {
    entry=$(own_source "$1" | cut -d' ' -f2)
    named=$(sed -n -e 's/^Signed-By: *\(\/[^ ]*\).*/\1/p' \
        -e 's/.*signed-by=\(\/[^] ]*\).*/\1/p' "${entry%:*}" 2>/dev/null | head -n 1)
    echo "${named:-/usr/share/keyrings/debian-archive-keyring.gpg}"
}

# write_source FILE TYPE SUITE
write_source() {
    codename=$(debian_codename)
    mirror=$(own_mirror "$codename")
    [ -n "$mirror" ] ||
        fail "apt has no source of Debian $codename main, so none can be derived for $3."
    must_be_root "$1 has to be written."
    cat >"$1" <<END
# Made by mod_http3's build/setup.sh from this machine's own sources; safe to delete.
Types: $2
URIs: $mirror
Suites: $3
Components: main
Signed-By: $(own_keyring "$codename")
END
    chmod 644 "$1"
}

# The candidate version of a package, 0 if there is none.
candidate() {
    found=$(apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: //p')
    case $found in '' | '(none)') echo 0 ;; *) echo "$found" ;; esac
}

libraries_are_new() {
    dpkg --compare-versions "$1" ge 1.22.1 && dpkg --compare-versions "$2" ge 1.15.0
}

libraries_are_installed() {
    for package in libngtcp2-dev libnghttp3-dev; do
        installed "$package" || return 1
    done
    libraries_are_new "$(dpkg-query -W -f '${Version}' libngtcp2-dev)" \
        "$(dpkg-query -W -f '${Version}' libnghttp3-dev)"
}

# ngtcp2 and nghttp3 new enough: from main if it has them, else from trixie-backports, and then
# nothing else from there.
offer_libraries() {
    ! libraries_are_new "$(candidate libngtcp2-dev)" "$(candidate libnghttp3-dev)" || return 0
    case $(debian_codename) in
    bookworm | trixie) ;;
    *) fail "This release has no libngtcp2-dev >= 1.22.1 and libnghttp3-dev >= 1.15: install" \
            "them by hand, then use ./configure (see README.md)." ;;
    esac
    must_be_root "ngtcp2 and nghttp3 from trixie-backports are needed."
    has_backports=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
        'Codename: trixie-backports' 'Component: main' | head -n 1)
    say "pinning libngtcp2* and libnghttp3* to trixie-backports in $pin_file"
    {
        if [ -z "$has_backports" ] || [ -e "$backports_file" ]; then
            # Ours alone: on Debian 12 the rest of that suite is for another release.
            printf '%s\n' 'Package: *' 'Pin: release n=trixie-backports' 'Pin-Priority: -1' ''
        fi
        printf '%s\n' 'Package: libngtcp2* libnghttp3*' 'Pin: release n=trixie-backports' \
            'Pin-Priority: 600'
    } >"$pin_file"
    chmod 644 "$pin_file"
    if [ -z "$has_backports" ]; then
        say "adding trixie-backports in $backports_file"
        write_source "$backports_file" deb trixie-backports
        run "apt-get update (with trixie-backports)" apt update
    fi
    libraries_are_new "$(candidate libngtcp2-dev)" "$(candidate libnghttp3-dev)" ||
        fail "The mirror $(own_mirror "$(debian_codename)") offers no libngtcp2-dev >= 1.22.1" \
             "and libnghttp3-dev >= 1.15 in trixie-backports."
}

# Debian 12 carries the source of BoringSSL; a later release may have dropped it.
offer_boringssl_source() {
    apt-cache showsrc android-platform-external-boringssl 2>/dev/null |
        grep -q "^Version: 13\.0\.0+r24-" && return 0
    must_be_root "The source of BoringSSL is needed from Debian 12 (bookworm)."
    say "adding bookworm's sources (deb-src) in $source_file"
    write_source "$source_file" deb-src bookworm
    run "apt-get update (with bookworm's sources)" apt update
}

install_packages() {
    what=$(missing_of "$@")
    libraries=
    libraries_are_installed || libraries="libngtcp2-dev libnghttp3-dev"
    needs_source=
    [ -e "$cache/boringssl/libssl.a" ] || [ -n "${BORINGSSL_DIR:-}" ] || needs_source=yes
    if [ -z "$what$libraries$needs_source" ]; then
        say "all packages are there"
        return 0
    fi
    debian_codename >/dev/null ||
        fail "This script knows Debian only. Elsewhere: install httpd with apxs, ngtcp2 1.22.1," \
             "nghttp3 1.15 and BoringSSL, then use ./configure (see README.md)."
    if [ -n "$what$libraries" ]; then
        must_be_root "These packages are missing: $what$libraries."
        run "apt-get update" apt update
        [ -z "$libraries" ] || offer_libraries
        # apache2-bin is httpd without the service, so nothing starts on port 80.
        run "installing $what$libraries" apt install --no-install-recommends $what $libraries
    fi
    [ -z "$needs_source" ] || offer_boringssl_source
}
