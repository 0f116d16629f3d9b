# SPDX-License-Identifier: Apache-2.0

# H3_PKG(VARIABLE-PREFIX, pkg-config NAME, VERSION, DEBIAN-PACKAGE)
AC_DEFUN([H3_PKG], [
m4_ifndef([PKG_CHECK_MODULES],
    [m4_fatal([pkg.m4 is missing: install the Debian package pkg-config (or pkgconf)])])
AC_REQUIRE([PKG_PROG_PKG_CONFIG])
AS_IF([test -z "$PKG_CONFIG"],
    [AC_MSG_ERROR([No pkg-config found: install the Debian package pkg-config (or pkgconf).])])
PKG_CHECK_MODULES([$1], [$2 >= $3], [], [
    h3_found=$($PKG_CONFIG --modversion $2 2>/dev/null)
    AC_MSG_ERROR([$2 $3 or later is needed (found: ${h3_found:-none}): install the Debian package $4, on Debian 12 and 13 from trixie-backports (build/setup.sh does that), or set PKG_CONFIG_PATH.])])
])

# H3_FLAGS
# Warnings, hardening, sanitizers: H3_CPPFLAGS, H3_CFLAGS for every object; H3_DSO_LDFLAGS,
# H3_EXE_LDFLAGS for linking modules and programs.
AC_DEFUN([H3_FLAGS], [
# For recvmmsg, preadv2 and others. Empty, as a "#define _GNU_SOURCE" in a file is.
H3_CPPFLAGS="-U_GNU_SOURCE -D_GNU_SOURCE="
H3_CFLAGS="-Wall -Wextra -Wno-unused-parameter -Werror=implicit-function-declaration -Wformat -Wformat-security -Wstrict-prototypes -Wpointer-arith"
# clang sees that in APR's own macros (APR_OFFSETOF, APR_BUCKET rings); gcc does not know the option.
AC_MSG_CHECKING([whether $CC knows -Wnull-pointer-subtraction])
h3_save_CFLAGS=$CFLAGS
CFLAGS="$CFLAGS -Werror -Wnull-pointer-subtraction"
AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
    [AC_MSG_RESULT([yes])
     H3_CFLAGS="$H3_CFLAGS -Wno-null-pointer-subtraction"],
    [AC_MSG_RESULT([no])])
CFLAGS=$h3_save_CFLAGS
AS_IF([test "$enable_werror" = yes], [H3_CFLAGS="$H3_CFLAGS -Werror"])
# -fPIC also for the unit tests, which link the modules' own objects.
H3_CFLAGS="$H3_CFLAGS -fPIC -fno-strict-aliasing -fstack-protector-strong"
H3_HARDEN_LDFLAGS="-Wl,-z,relro -Wl,-z,now"
AS_CASE([$enable_sanitizers],
    [yes],
    [H3_CFLAGS="$H3_CFLAGS -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
     H3_HARDEN_LDFLAGS="$H3_HARDEN_LDFLAGS -fsanitize=address,undefined"],
    [thread],
    [H3_CFLAGS="$H3_CFLAGS -fsanitize=thread -fno-omit-frame-pointer"
     H3_HARDEN_LDFLAGS="$H3_HARDEN_LDFLAGS -fsanitize=thread"],
    [H3_CPPFLAGS="$H3_CPPFLAGS -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2"])
# -z nodelete: httpd unloads modules at a restart, BoringSSL's thread keys would point into nothing.
# -Bsymbolic and the version script: mod_ssl brings OpenSSL's symbols of the same names into the
# process. Not -z defs: httpd itself defines what a module calls; tests/symbols.sh checks instead
# that nothing else stays undefined.
H3_DSO_LDFLAGS="-shared -Wl,-z,nodelete -Wl,-Bsymbolic -Wl,--exclude-libs,ALL -Wl,--as-needed $H3_HARDEN_LDFLAGS"
H3_EXE_LDFLAGS="-Wl,--as-needed $H3_HARDEN_LDFLAGS"
AC_SUBST([H3_CPPFLAGS])
AC_SUBST([H3_CFLAGS])
AC_SUBST([H3_DSO_LDFLAGS])
AC_SUBST([H3_EXE_LDFLAGS])
])
