/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least that a unit test needs to speak TAP (testanything.org): one line per
 * assertion on stdout, the plan at the end, so that a test which dies early has
 * no plan and fails. One test program includes this once.
 *
 *     ok(x == y, "x is y");  is_int(n, 3, "three");  is_str(s, "a", "it is a");
 *     is_mem(p, q, len, "same bytes");  skip("no such CPU");  return done_testing();
 *
 * Each returns whether it passed. Names may hold printf directives.
 */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int tap_run;
static int tap_failed;

/* Not every program uses every helper. */
#define TAP_UNUSED __attribute__((unused))

#define ok(cond, ...) tap_ok(!!(cond), __FILE__, __LINE__, __VA_ARGS__)
#define is_int(got, want, ...) \
    tap_is_int((long long)(got), (long long)(want), __FILE__, __LINE__, __VA_ARGS__)
#define is_str(got, want, ...) tap_is_str((got), (want), __FILE__, __LINE__, __VA_ARGS__)
#define is_mem(got, want, len, ...) \
    tap_is_mem((got), (want), (len), __FILE__, __LINE__, __VA_ARGS__)
#define fail(...) tap_ok(0, __FILE__, __LINE__, __VA_ARGS__)

TAP_UNUSED static int tap_vok(int cond, const char *file, int line, const char *fmt, va_list ap)
{
    printf("%s %d - ", cond ? "ok" : "not ok", ++tap_run);
    vprintf(fmt, ap);
    printf("\n");
    if (!cond) {
        ++tap_failed;
        printf("#   failed at %s:%d\n", file, line);
    }
    fflush(stdout);
    return cond;
}

TAP_UNUSED __attribute__((format(printf, 4, 5))) static int tap_ok(int cond, const char *file,
                                                                   int line, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    tap_vok(cond, file, line, fmt, ap);
    va_end(ap);
    return cond;
}

TAP_UNUSED __attribute__((format(printf, 5, 6))) static int tap_is_int(long long got,
                                                                       long long want,
                                                                       const char *file, int line,
                                                                       const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    if (!tap_vok(got == want, file, line, fmt, ap))
        printf("#   got %lld, want %lld\n", got, want);
    va_end(ap);
    return got == want;
}

TAP_UNUSED __attribute__((format(printf, 5, 6))) static int tap_is_str(const char *got,
                                                                       const char *want,
                                                                       const char *file, int line,
                                                                       const char *fmt, ...)
{
    int same = got && want ? strcmp(got, want) == 0 : got == want;
    va_list ap;

    va_start(ap, fmt);
    if (!tap_vok(same, file, line, fmt, ap))
        printf("#   got '%s', want '%s'\n", got ? got : "(null)", want ? want : "(null)");
    va_end(ap);
    return same;
}

TAP_UNUSED __attribute__((format(printf, 6, 7))) static int tap_is_mem(const void *got,
                                                                       const void *want, size_t len,
                                                                       const char *file, int line,
                                                                       const char *fmt, ...)
{
    int same = memcmp(got, want, len) == 0;
    va_list ap;

    va_start(ap, fmt);
    if (!tap_vok(same, file, line, fmt, ap)) {
        size_t i;

        for (i = 0; i < len && ((const char *)got)[i] == ((const char *)want)[i]; ++i)
            ;
        printf("#   first difference at byte %zu of %zu: got %02x, want %02x\n", i, len,
               ((const unsigned char *)got)[i], ((const unsigned char *)want)[i]);
    }
    va_end(ap);
    return same;
}

/* Counts as passed; says why nothing was looked at. */
TAP_UNUSED static void skip(const char *why)
{
    printf("ok %d # SKIP %s\n", ++tap_run, why);
    fflush(stdout);
}

TAP_UNUSED static void diag(const char *text)
{
    printf("# %s\n", text);
    fflush(stdout);
}

/* Prints the plan; the program's exit status: 0, or 1 if any assertion failed or none ran. */
TAP_UNUSED static int done_testing(void)
{
    printf("1..%d\n", tap_run);
    if (tap_failed)
        printf("# %d of %d failed\n", tap_failed, tap_run);
    fflush(stdout);
    return tap_failed || tap_run == 0;
}

#endif /* TAP_H */
