/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/quic_closing.h"

#include <stdlib.h>
#include <string.h>

#define ANSWER_AT_MAX 0x10000u
/* What is sent to an address that may be forged: RFC 9000 sections 8.1 and 10.2.1. */
#define AMPLIFICATION 3
#define CLOSING_PTOS 3
/* 3 PTOs of a fast path are milliseconds: late packets would meet a stateless reset then. */
#define CLOSING_TIME_MIN (1 * NGTCP2_SECONDS)

static void *copy(const void *from, size_t len)
{
    void *to = malloc(len);

    if (to) {
        memcpy(to, from, len);
    }
    return to;
}

void quic_closing_keep_packet(quic_closing *c, const uint8_t *packet, size_t len)
{
    c->packet = copy(packet, len);
    c->len = len;
    c->received = 0;
    c->answer_at = 1;
}

int quic_closing_keep_cids(quic_closing *c, const ngtcp2_cid *cids, size_t n)
{
    c->cids = copy(cids, n * sizeof(*cids));
    c->ncids = c->cids ? n : 0;
    return c->cids ? 0 : -1;
}

void quic_closing_free(quic_closing *c)
{
    free(c->packet);
    free(c->cids);
    memset(c, 0, sizeof(*c));
}

int quic_closing_answers(quic_closing *c, size_t len)
{
    if (!c->packet || ++c->received < c->answer_at) {
        return 0;
    }
    if (c->answer_at < ANSWER_AT_MAX) {
        c->answer_at *= 2;
    }
    return c->len <= AMPLIFICATION * len;
}

uint64_t quic_closing_time(uint64_t pto)
{
    return CLOSING_PTOS * pto > CLOSING_TIME_MIN ? CLOSING_PTOS * pto : CLOSING_TIME_MIN;
}
