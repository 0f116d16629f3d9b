/* SPDX-License-Identifier: Apache-2.0 */
/*
 * First Initials that came before their turn: they carry a piece of a ClientHello, but not its
 * beginning. They wait here for the datagram that has it, so that the client need not repeat them
 * (RFC 9000 section 7.5).
 *
 * A ring of fixed size, part of the I/O thread's quic_dispatch; all zeros is empty. Anybody can
 * fill it, from forged addresses too: then the oldest goes first, which costs its client a probe
 * timeout.
 */
#ifndef QUIC_HOLD_H
#define QUIC_HOLD_H

#include <stdint.h>
#include <ngtcp2/ngtcp2.h>
#include "quic/quic_datagram.h"
#include "quic/quic_listener.h"

#define QUIC_HOLD_MAX 64
/* Of one client: what a ClientHello of 6,000 bytes needs; a longer one has to be repeated. */
#define QUIC_HOLD_PER_CLIENT 4
/* Ethernet's MTU; longer ones are not held. */
#define QUIC_HOLD_SIZE 1500
/* The beginning may have been lost: clients repeat it after 1, 3 and 7 seconds (RFC 9002 6.2). */
#define QUIC_HOLD_TIME (10 * NGTCP2_SECONDS)

typedef struct quic_held {
    uint64_t at; /* env->now; 0: free */
    ngtcp2_cid dcid;
    quic_listener *listener;
    quic_datagram dg; /* its data is the entry's own */
    uint8_t data[QUIC_HOLD_SIZE];
} quic_held;

typedef struct quic_hold {
    unsigned number; /* entries that are not free: 0 spares the search */
    unsigned next;   /* the next one to be written: the oldest */
    quic_held all[QUIC_HOLD_MAX];
} quic_hold;

/*
 * Copies a datagram for the connection that will be born with the ID `dcid` and its address.
 * Returns how many datagrams are lost by it: 1 if an older one had to go or this one cannot be
 * kept, else 0.
 */
int quic_hold_put(quic_hold *h, uint64_t now, const ngtcp2_cid *dcid, quic_listener *listener,
                  const quic_datagram *dg);

/* Is the very same datagram here already? */
int quic_hold_has(const quic_hold *h, uint64_t now, const ngtcp2_cid *dcid,
                  const quic_datagram *dg);

/*
 * Takes out the oldest one for this ID and address; NULL: there is none, or none left. Valid until
 * the next put.
 */
const quic_held *quic_hold_take(quic_hold *h, uint64_t now, const ngtcp2_cid *dcid,
                                const quic_addr *remote);

#endif /* QUIC_HOLD_H */
