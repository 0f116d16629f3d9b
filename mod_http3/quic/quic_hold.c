/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/quic_hold.h"

#include <string.h>

/* This client's, and not too old? */
static int is_theirs(const quic_held *e, uint64_t now, const ngtcp2_cid *dcid,
                     const quic_addr *remote)
{
    return e->at && now - e->at < QUIC_HOLD_TIME && e->dcid.datalen == dcid->datalen
           && memcmp(e->dcid.data, dcid->data, dcid->datalen) == 0
           && quic_addr_equal(&e->dg.remote, remote);
}

int quic_hold_put(quic_hold *h, uint64_t now, const ngtcp2_cid *dcid, quic_listener *listener,
                  const quic_datagram *dg)
{
    quic_held *e = &h->all[h->next];
    int i, of_client = 0, displaced = e->at != 0;

    for (i = 0; i < QUIC_HOLD_MAX; i++) {
        of_client += is_theirs(&h->all[i], now, dcid, &dg->remote);
    }
    if (dg->len > sizeof(e->data) || of_client >= QUIC_HOLD_PER_CLIENT) {
        return 1;
    }
    h->next = (h->next + 1) % QUIC_HOLD_MAX;
    h->number += !displaced;
    e->at = now;
    e->dcid = *dcid;
    e->listener = listener;
    e->dg = *dg;
    e->dg.data = e->data;
    memcpy(e->data, dg->data, dg->len);
    return displaced;
}

int quic_hold_has(const quic_hold *h, uint64_t now, const ngtcp2_cid *dcid, const quic_datagram *dg)
{
    const quic_held *e;

    for (e = h->all; h->number && e < h->all + QUIC_HOLD_MAX; e++) {
        if (is_theirs(e, now, dcid, &dg->remote) && e->dg.len == dg->len
            && memcmp(e->data, dg->data, dg->len) == 0) {
            return 1;
        }
    }
    return 0;
}

const quic_held *quic_hold_take(quic_hold *h, uint64_t now, const ngtcp2_cid *dcid,
                                const quic_addr *remote)
{
    quic_held *e;
    unsigned i;

    /* From the oldest on. */
    for (i = 0; h->number && i < QUIC_HOLD_MAX; i++) {
        e = &h->all[(h->next + i) % QUIC_HOLD_MAX];
        if (is_theirs(e, now, dcid, remote)) {
            e->at = 0;
            h->number--;
            return e;
        }
    }
    return NULL;
}
