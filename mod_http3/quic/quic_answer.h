/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is sent to those who have no connection here: Version Negotiation, a stateless reset, a
 * refusal. Their addresses may be forged, so of each kind only so many are sent a second.
 *
 * Part of the thread's quic_dispatch, on the I/O thread. Nothing is kept of who was answered.
 */
#ifndef QUIC_ANSWER_H
#define QUIC_ANSWER_H

#include <stddef.h>
#include <stdint.h>
#include <ngtcp2/ngtcp2.h>
#include "quic/quic_bucket.h"
#include "quic/quic_datagram.h"
#include "quic/quic_listener.h"

struct quic_env;

typedef struct quic_answer {
    struct quic_env *env;
    /* Each kind for itself: a flood that uses up one leaves the others. */
    quic_bucket version_negotiations, stateless_resets, refusals;
} quic_answer;

void quic_answer_init(quic_answer *a, struct quic_env *env);

/*
 * Does it come from where no client can be? Port 0, ourselves, and services that answer whatever
 * they get, which we would be made to attack (RFC 9000 section 21.5).
 */
int quic_answer_is_reflector(const quic_datagram *dg);

/*
 * How long a stateless reset for a datagram of `len` bytes is, 0: there is none for so short a one.
 * It is always shorter, so two servers do not reset each other for ever (RFC 9000 sections 10.3 and
 * 10.3.3).
 */
size_t quic_answer_reset_len(size_t len);

/* The three: 1: sent; 0: too many this second. */

/* Version Negotiation (RFC 9000 section 6.1, RFC 8999 section 6). */
int quic_answer_version(quic_answer *a, quic_listener *l, const quic_datagram *dg,
                        const ngtcp2_version_cid *vc);

/* A stateless reset for the ID that `dg` begins with, one of ours in a short header. */
int quic_answer_reset(quic_answer *a, quic_listener *l, const quic_datagram *dg);

/* CONNECTION_REFUSED for a first Initial, `hd` as ngtcp2_accept decoded it (section 5.2.2). */
int quic_answer_refusal(quic_answer *a, quic_listener *l, const quic_datagram *dg,
                        const ngtcp2_pkt_hd *hd);

/*
 * The pure part of Version Negotiation: the packet for a client's `vc`, of four random bytes. Its
 * length, or an error of ngtcp2's.
 */
#define QUIC_ANSWER_VERSION_MAX (7 + 255 + 255 + 2 * 4)
ngtcp2_ssize quic_answer_version_packet(uint8_t packet[QUIC_ANSWER_VERSION_MAX],
                                        const ngtcp2_version_cid *vc, const uint8_t random[4]);

#endif /* QUIC_ANSWER_H */
