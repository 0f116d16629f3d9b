/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a datagram: its connection gets it, or it begins one, or it is answered, or it is
 * dropped (RFC 9000 section 5.2).
 *
 * Part of the thread's quic_endpoint, on the I/O thread; the verdict itself is pure. Nothing is
 * kept of a datagram that gives no connection, but for an Initial that came before its turn
 * (quic_hold).
 */
#ifndef QUIC_DISPATCH_H
#define QUIC_DISPATCH_H

#include <ngtcp2/ngtcp2.h>
#include "quic/quic_answer.h"
#include "quic/quic_hold.h"
#include "quic/quic_datagram.h"
#include "quic/quic_listener.h"

struct quic_env;

typedef struct quic_dispatch {
    struct quic_env *env;
    quic_answer answer;
    quic_hold hold; /* Initials that came before the one that begins their connection */
} quic_dispatch;

void quic_dispatch_init(quic_dispatch *d, struct quic_env *env);

/* Whatever a socket has received; valid during the call only. */
void quic_dispatch_datagram(quic_dispatch *d, quic_listener *l, const quic_datagram *dg);

typedef enum {
    QUIC_DISPATCH_DROP,
    QUIC_DISPATCH_FOREIGN, /* another child's, which the steering program did not see: dropped */
    QUIC_DISPATCH_CONN,    /* goes to its connection */
    QUIC_DISPATCH_VERSION, /* is answered with Version Negotiation */
    QUIC_DISPATCH_RESET,   /* with a stateless reset */
    QUIC_DISPATCH_REFUSE,  /* with CONNECTION_REFUSED */
    QUIC_DISPATCH_ACCEPT   /* a client's first Initial: begins a connection */
} quic_dispatch_verdict;

/* Who has, or had, the connection with this ID? */
typedef enum {
    QUIC_OWNER_NOBODY, /* the ID is not of our making */
    QUIC_OWNER_US,     /* this child, in which the connection is known or gone */
    QUIC_OWNER_CHILD,  /* another child, which lives */
    QUIC_OWNER_GONE,   /* a child that has certainly gone */
    QUIC_OWNER_NO_SLOT /* it looks like ours, but names a slot that there is not: by chance? */
} quic_dispatch_owner;

/* What else has to be known for a verdict. */
typedef struct quic_dispatch_facts {
    int has_conn; /* there is a connection with its ID */
    int is_full;  /* no further connection is taken */
    quic_dispatch_owner owner;
} quic_dispatch_facts;

/*
 * Ids and version of a datagram. 0; NGTCP2_ERR_VERSION_NEGOTIATION: of a version that the library
 * does not speak, `vc` is filled all the same; other errors: no QUIC packet.
 */
int quic_dispatch_decode(ngtcp2_version_cid *vc, const quic_datagram *dg);

/*
 * The verdict on a datagram for which quic_dispatch_decode has returned `decoded`. Fills *hd for
 * REFUSE and ACCEPT.
 */
quic_dispatch_verdict quic_dispatch_judge(const quic_datagram *dg, int decoded,
                                          const ngtcp2_version_cid *vc,
                                          const quic_dispatch_facts *facts, ngtcp2_pkt_hd *hd);

#endif /* QUIC_DISPATCH_H */
