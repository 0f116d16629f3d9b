/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All UDP sockets of the server and what decides which of them gets a datagram: the listeners, the
 * slots in shared memory (quic_route), and the secret of the connection ids that name a slot.
 *
 * Made by the parent, which alone opens and closes listeners, before it starts children. A child
 * inherits it by fork; there its I/O thread alone uses it.
 */
#ifndef QUIC_GROUP_H
#define QUIC_GROUP_H

#include "quic/quic_cid.h"
#include "quic/quic_listener.h"

typedef struct quic_group {
    struct quic_route *route; /* shared memory */
    quic_cid_secret secret;
    quic_listener **listeners; /* malloc'ed array; each has a socket for every slot of the route */
    int n;
} quic_group;

#endif /* QUIC_GROUP_H */
