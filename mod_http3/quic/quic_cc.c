/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/quic_cc.h"

#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    ngtcp2_cc_algo algo;
} known[] = {
    [QUIC_CC_BBR] = { "bbr", NGTCP2_CC_ALGO_BBR },
    [QUIC_CC_CUBIC] = { "cubic", NGTCP2_CC_ALGO_CUBIC },
    [QUIC_CC_RENO] = { "reno", NGTCP2_CC_ALGO_RENO },
};
#define NKNOWN (sizeof(known) / sizeof(known[0]))

int quic_cc_parse(quic_cc *cc, const char *name)
{
    size_t i;

    for (i = 0; i < NKNOWN; i++) {
        if (strcasecmp(name, known[i].name) == 0) {
            *cc = (quic_cc)i;
            return 0;
        }
    }
    return -1;
}

const char *quic_cc_name(quic_cc cc)
{
    return known[cc].name;
}

/* bbr2 and bbr3 are BBR, and so is our choice where TCP's has no counterpart here. */
quic_cc quic_cc_like_tcp(const char *name)
{
    if (name && strcmp(name, "cubic") == 0) {
        return QUIC_CC_CUBIC;
    }
    if (name && strcmp(name, "reno") == 0) {
        return QUIC_CC_RENO;
    }
    return QUIC_CC_BBR;
}

ngtcp2_cc_algo quic_cc_algo(quic_cc cc)
{
    return known[cc].algo;
}
