# SPDX-License-Identifier: Apache-2.0

# H3_BORINGSSL
# Finds the static BoringSSL and how to link it. Sets BORINGSSL_DIR, BORINGSSL_CPPFLAGS,
# BORINGSSL_LIBS, and H3_LINKER: the compiler driver (with flags) that links everything which
# contains BoringSSL. Newer BoringSSL needs a C++ runtime; then that is linked in statically, so
# that httpd gets no libstdc++ that other modules could collide with.
AC_DEFUN([H3_BORINGSSL], [
AC_ARG_WITH([boringssl],
    [AS_HELP_STRING([--with-boringssl=DIR],
        [a build of BoringSSL: DIR/include, DIR/libssl.a, DIR/libcrypto.a (default: what build/boringssl.sh made)])],
    [], [with_boringssl=yes])
AS_CASE([$with_boringssl],
    [no], [AC_MSG_ERROR([mod_http3 cannot be built without BoringSSL.])],
    [yes], [BORINGSSL_DIR=$(cd "$srcdir" && pwd)/build/cache/boringssl],
    [BORINGSSL_DIR=$(cd "$with_boringssl" 2>/dev/null && pwd)
     test -n "$BORINGSSL_DIR" || BORINGSSL_DIR=$with_boringssl])
AC_MSG_CHECKING([for BoringSSL])
for h3_file in include/openssl/ssl.h libssl.a libcrypto.a; do
    AS_IF([test ! -f "$BORINGSSL_DIR/$h3_file"], [
        AC_MSG_RESULT([no])
        AC_MSG_ERROR([$BORINGSSL_DIR/$h3_file does not exist: run "sh build/boringssl.sh", or name a build of BoringSSL by --with-boringssl=DIR.])])
done
BORINGSSL_CPPFLAGS="-I$BORINGSSL_DIR/include"
BORINGSSL_LIBS="$BORINGSSL_DIR/libssl.a $BORINGSSL_DIR/libcrypto.a -lpthread"

h3_save_CPPFLAGS=$CPPFLAGS
CPPFLAGS="$BORINGSSL_CPPFLAGS $CPPFLAGS"
AC_COMPILE_IFELSE([AC_LANG_SOURCE([[
#include <openssl/ssl.h>
#ifndef OPENSSL_IS_BORINGSSL
#error not BoringSSL
#endif
int f(SSL_CTX *ctx, const SSL_QUIC_METHOD *m) { return SSL_CTX_set_quic_method(ctx, m); }
]])], [], [
    AC_MSG_RESULT([no])
    AC_MSG_ERROR([$BORINGSSL_DIR is not a BoringSSL with the QUIC interface: name another by --with-boringssl=DIR.])])
h3_boringssl_api=$(printf '#include <openssl/base.h>\nh3 BORINGSSL_API_VERSION\n' |
    $CPP $CPPFLAGS - 2>/dev/null | sed -n 's/^h3  *//p')
CPPFLAGS=$h3_save_CPPFLAGS
AC_MSG_RESULT([$BORINGSSL_DIR, API version $h3_boringssl_api])

# All members of both archives, in a shared object, nothing undefined: what a module would be.
AC_MSG_CHECKING([whether BoringSSL needs a C++ runtime])
h3_save_LDFLAGS=$LDFLAGS
h3_save_LIBS=$LIBS
h3_save_CC=$CC
h3_whole="-shared -fPIC -Wl,--no-undefined"
LIBS="-Wl,--whole-archive $BORINGSSL_DIR/libssl.a $BORINGSSL_DIR/libcrypto.a -Wl,--no-whole-archive -lpthread $LIBS"
LDFLAGS="$LDFLAGS $h3_whole"
h3_need_cxx=
AC_LINK_IFELSE([AC_LANG_SOURCE([[int h3_probe(void) { return 0; }]])],
    [h3_need_cxx=no
     H3_LINKER=$CC],
    [AS_IF([test -n "$CXX"], [
        AC_LANG_PUSH([C++])
        LDFLAGS="$LDFLAGS -static-libstdc++ -static-libgcc"
        AC_LINK_IFELSE([AC_LANG_SOURCE([[extern "C" int h3_probe(void) { return 0; }]])],
            [h3_need_cxx=yes
             H3_LINKER="$CXX -static-libstdc++ -static-libgcc"])
        AC_LANG_POP([C++])])])
LDFLAGS=$h3_save_LDFLAGS
LIBS=$h3_save_LIBS
CC=$h3_save_CC
AS_IF([test -z "$h3_need_cxx"], [
    AC_MSG_RESULT([unknown])
    AC_MSG_ERROR([$BORINGSSL_DIR/libssl.a and libcrypto.a cannot be linked into a module (config.log says why): build them with -fPIC, and install the Debian package g++ if they need a C++ runtime.])])
AC_MSG_RESULT([$h3_need_cxx])

AC_SUBST([BORINGSSL_DIR])
AC_SUBST([BORINGSSL_CPPFLAGS])
AC_SUBST([BORINGSSL_LIBS])
AC_SUBST([H3_LINKER])
])
