/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/quic_cc.h"
#include "tap.h"

static void test_names(void)
{
    static const struct {
        const char *name;
        quic_cc cc;
        ngtcp2_cc_algo algo;
    } cases[] = {
        { "bbr", QUIC_CC_BBR, NGTCP2_CC_ALGO_BBR },
        { "cubic", QUIC_CC_CUBIC, NGTCP2_CC_ALGO_CUBIC },
        { "reno", QUIC_CC_RENO, NGTCP2_CC_ALGO_RENO },
    };
    static const char *const others[] = { "", "bb", "bbr2", "bbr ", "cubics", "newreno", "auto" };
    quic_cc cc;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        ok(quic_cc_parse(&cc, cases[i].name) == 0 && cc == cases[i].cc, "%s is known",
           cases[i].name);
        is_str(quic_cc_name(cases[i].cc), cases[i].name, "and is called that");
        is_int(quic_cc_algo(cases[i].cc), cases[i].algo, "the library's own");
    }
    ok(quic_cc_parse(&cc, "CUBIC") == 0 && cc == QUIC_CC_CUBIC, "as directives are written");
    for (i = 0; i < sizeof(others) / sizeof(others[0]); ++i) {
        is_int(quic_cc_parse(&cc, others[i]), -1, "'%s' is none", others[i]);
    }
}

static void test_like_tcp(void)
{
    static const struct {
        const char *tcp;
        quic_cc cc;
    } cases[] = {
        { "bbr", QUIC_CC_BBR },     { "bbr2", QUIC_CC_BBR },     { "bbr3", QUIC_CC_BBR },
        { "cubic", QUIC_CC_CUBIC }, { "reno", QUIC_CC_RENO },    { "dctcp", QUIC_CC_BBR },
        { "vegas", QUIC_CC_BBR },   { "cubictcp", QUIC_CC_BBR }, { "renown", QUIC_CC_BBR },
        { "", QUIC_CC_BBR },
    };
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        is_int(quic_cc_like_tcp(cases[i].tcp), cases[i].cc, "where TCP has '%s'", cases[i].tcp);
    }
    is_int(quic_cc_like_tcp(NULL), QUIC_CC_BBR, "where it cannot be read");
}

int main(void)
{
    test_names();
    test_like_tcp();
    return done_testing();
}
