# SPDX-License-Identifier: Apache-2.0

# H3_APXS
# Finds httpd by its own tool. Sets APXS, HTTPD, HTTPD_VERSION, APXS_LIBEXECDIR, HTTPD_CPPFLAGS,
# APR_LIBS.
AC_DEFUN([H3_APXS], [
AC_ARG_WITH([apxs],
    [AS_HELP_STRING([--with-apxs=FILE], [the apxs of the httpd to build for])],
    [], [with_apxs=yes])
AS_CASE([$with_apxs],
    [yes], [AC_PATH_PROGS([APXS], [apxs apxs2], [], [$PATH:/usr/local/apache2/bin:/usr/sbin])],
    [APXS=$with_apxs])
AS_IF([test -z "$APXS" || test ! -x "$APXS"],
    [AC_MSG_ERROR([No apxs found: install the Debian package apache2-dev, or say where it is by --with-apxs=FILE.])])

APXS_INCLUDEDIR=$("$APXS" -q INCLUDEDIR)
APXS_LIBEXECDIR=$("$APXS" -q LIBEXECDIR)
h3_apr_config=$("$APXS" -q APR_CONFIG 2>/dev/null)
AS_IF([test ! -x "$h3_apr_config"],
    [AC_MSG_ERROR([apxs names no usable apr-1-config: install the Debian package libapr1-dev.])])
HTTPD_CPPFLAGS="$("$APXS" -q EXTRA_CPPFLAGS) -I$APXS_INCLUDEDIR $("$h3_apr_config" --includes)"
h3_apu_config=$("$APXS" -q APU_CONFIG 2>/dev/null)
AS_IF([test -x "$h3_apu_config"],
    [HTTPD_CPPFLAGS="$HTTPD_CPPFLAGS $("$h3_apu_config" --includes)"
     APR_LIBS="$("$h3_apu_config" --link-ld)"],
    [AC_MSG_ERROR([apxs names no usable apu-1-config: install the Debian package libaprutil1-dev.])])
APR_LIBS="$APR_LIBS $("$h3_apr_config" --link-ld)"

h3_sbindir=$("$APXS" -q SBINDIR 2>/dev/null)
h3_progname=$("$APXS" -q PROGNAME 2>/dev/null)
AC_PATH_PROGS([HTTPD], [${h3_progname:-httpd} httpd apache2], [],
              [$h3_sbindir:$PATH:/usr/sbin:/usr/local/sbin])

AC_MSG_CHECKING([for httpd >= 2.4.58])
h3_save_CPPFLAGS=$CPPFLAGS
CPPFLAGS="$CPPFLAGS $HTTPD_CPPFLAGS"
AC_PREPROC_IFELSE([AC_LANG_SOURCE([[
#include <ap_release.h>
#if AP_SERVER_MAJORVERSION_NUMBER != 2 || AP_SERVER_MINORVERSION_NUMBER != 4 \
    || AP_SERVER_PATCHLEVEL_NUMBER < 58
#error too old
#endif
]])], [], [
    AC_MSG_RESULT([no])
    AC_MSG_ERROR([The headers in $APXS_INCLUDEDIR are not those of an httpd 2.4.58 or later: install the Debian package apache2-dev, or name another httpd by --with-apxs=FILE.])])
HTTPD_VERSION=$(printf '#include <ap_release.h>\nh3 AP_SERVER_PATCHLEVEL_NUMBER\n' |
    $CPP $CPPFLAGS - 2>/dev/null | sed -n 's/^h3  *\(@<:@0-9@:>@*\).*/2.4.\1/p')
CPPFLAGS=$h3_save_CPPFLAGS
AC_MSG_RESULT([${HTTPD_VERSION:-yes}])

AC_SUBST([APXS])
AC_SUBST([HTTPD])
AC_SUBST([HTTPD_CPPFLAGS])
AC_SUBST([APR_LIBS])
AC_SUBST([APXS_LIBEXECDIR])
])
