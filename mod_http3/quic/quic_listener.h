/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A listening address, with a socket for each slot: all sockets form one SO_REUSEPORT group, in the
 * order of the slots, and quic_route decides which of them gets a datagram.
 *
 * Opened, bound and closed by the parent, and inherited by its children with the fork. A child's
 * I/O thread alone uses the socket of the child's slot. All sockets are non-blocking and
 * close-on-exec.
 */
#ifndef QUIC_LISTENER_H
#define QUIC_LISTENER_H

#include <stdint.h>
#include <apr_errno.h>
#include "quic/quic_addr.h"

typedef struct quic_listener {
    quic_addr addr;    /* bound address and UDP port */
    uint16_t tcp_port; /* the TCP port whose virtual hosts it stands for, host order */
    int nslots;
    int *fd;            /* [nslots], index = slot */
    int nbound;         /* so many of them are bound; nslots: it receives. Atomic */
    int waiting;        /* of the parent: the address is taken, to be bound when it is free */
    int rcvbuf, sndbuf; /* what the kernel granted, bytes, comparable with what was asked for */
    int v6only;
    int steered; /* quic_route: the group has had its program */
    /* Of the I/O thread, for the socket of its slot. */
    int full;               /* it took nothing more */
    uint64_t gro_off_until; /* nanoseconds; 0: GRO is on */
} quic_listener;

/*
 * Makes nslots sockets for `addr`, unbound. `bufsize` is asked for as SO_RCVBUF and SO_SNDBUF (as
 * root by their FORCE variants). The structure is malloc'ed, since it outlives the configuration.
 * Fails with the errno of the call that failed, which *what names; with EMFILE also where less than
 * a quarter of the process's descriptors would be left for others.
 */
apr_status_t quic_listener_open(quic_listener **l, const quic_addr *addr, uint16_t tcp_port,
                                int v6only, int nslots, int bufsize, const char **what);

/*
 * Binds its sockets, or those that are still unbound; only the parent may do that. The first is
 * bound without SO_REUSEPORT, so that a port in use by another server is EADDRINUSE here and never
 * shared in silence; the others join its group. May be called again after a failure, also when
 * there are children: what one process binds is bound in all that have inherited the socket.
 */
apr_status_t quic_listener_bind(quic_listener *l, const char **what);

/* Any thread. */
int quic_listener_is_bound(const quic_listener *l);

/* By a child: has the parent bound it since the fork? 1 once, on the call that finds it out. */
int quic_listener_look(quic_listener *l);

/* Closes the sockets and frees the structure. */
void quic_listener_close(quic_listener *l);

/* Closes all sockets but slot 0's, so that it gets every datagram; only before the first fork. */
void quic_listener_unshare(quic_listener *l);

/*
 * GRO puts datagrams of one client socket together, also those of two connections that belong to
 * two children; the steering program sees only the first one's connection ID. So a foreign datagram
 * that was `merged` shows that a client has several connections on one socket: then GRO is better
 * off for this slot, for a while.
 */
void quic_listener_gro(quic_listener *l, int slot, int on);

/* Asks for another buffer size, for a listener that is kept over a restart. */
void quic_listener_set_bufsize(quic_listener *l, int bufsize);

#endif /* QUIC_LISTENER_H */
