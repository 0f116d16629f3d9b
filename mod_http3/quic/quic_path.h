/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two addresses between which a connection's packets travel, and the socket that has ours.
 *
 * A value; for any thread. ngtcp2 has its own type for it, which only points to addresses.
 */
#ifndef QUIC_PATH_H
#define QUIC_PATH_H

#include <ngtcp2/ngtcp2.h>
#include "quic/quic_listener.h"

typedef struct quic_path {
    quic_addr local, remote;
    quic_listener *listener;
} quic_path;

/* `to` points into `path` then. */
void quic_path_show(ngtcp2_path *to, quic_path *path);

/* A copy of what quic_path_show has shown; `listener` where ngtcp2 has lost it. */
void quic_path_copy(quic_path *path, const ngtcp2_path *from, quic_listener *listener);

int quic_path_equal(const quic_path *a, const quic_path *b);

/* Do they differ in nothing but the client's port? That is most likely a NAT's doing. */
int quic_path_same_but_port(const quic_path *a, const quic_path *b);

#endif /* QUIC_PATH_H */
