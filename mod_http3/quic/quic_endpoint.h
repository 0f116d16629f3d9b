/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The QUIC of one child: all of its connections, and what comes of datagrams that belong to none.
 * This is what the child's loop sees of it.
 *
 * One per child, all of it on the I/O thread; it may be made before that runs.
 */
#ifndef QUIC_ENDPOINT_H
#define QUIC_ENDPOINT_H

#include <stdint.h>
#include <apr_pools.h>
#include "quic/quic_app.h"
#include "quic/quic_group.h"
#include "quic/quic_limits.h"
#include "quic/quic_log.h"
#include "quic/quic_stats.h"

typedef struct quic_endpoint quic_endpoint;

/* All that it points to outlives the endpoint. */
typedef struct quic_endpoint_config {
    server_rec *server; /* for logs */
    const quic_group *group;
    const quic_app_ops *app;
    void *app_env;                 /* for app->open */
    const quic_tls_host *any_host; /* for the first SSL_CTX of a connection */
    quic_limits limits;            /* until the virtual host is known */
    uint64_t handshake_timeout;    /* nanoseconds */
    unsigned max_connections;      /* a quarter of them half-open */
    const char *qlog_dir;          /* or NULL */
} quic_endpoint_config;

/* Its receive buffers are in `pool`, which outlives it. NULL: no memory. */
quic_endpoint *quic_endpoint_create(const quic_endpoint_config *conf, apr_pool_t *pool);

/* Frees its connections, without a word, and itself. */
void quic_endpoint_destroy(quic_endpoint *ep);

/* From here on it can receive: with the sockets of `slot`, and IDs that name it and `epoch`. */
void quic_endpoint_serve(quic_endpoint *ep, uint8_t slot, uint8_t epoch, quic_stats *stats);

/* A turn of the loop begins, at `now`, nanoseconds of CLOCK_MONOTONIC. */
void quic_endpoint_begin_turn(quic_endpoint *ep, uint64_t now);

/* Takes what waits in the socket of `listener`, but not more than other sockets can wait for. */
void quic_endpoint_recv(quic_endpoint *ep, quic_listener *listener);

/* A socket is writable again, its `full` is 0: those that waited for it go on. */
void quic_endpoint_unblock(quic_endpoint *ep);

/* About once a second. */
void quic_endpoint_tick(quic_endpoint *ep);

/*
 * The turn ends: runs the timers that are due, and sends what connections have, one batch each in
 * turn, until all are done or wait for a socket.
 */
void quic_endpoint_end_turn(quic_endpoint *ep);

/* When the next timer is due, QUIC_TIMER_NEVER: there is none. */
uint64_t quic_endpoint_next_turn(const quic_endpoint *ep);

/* Connections that are open or half-open. */
unsigned quic_endpoint_connections(const quic_endpoint *ep);

/*
 * Graceful end, to be called again and again: announces it on each connection, closes those on
 * which nothing is under way any more. 1: there is none left, not even a closing one, for which
 * another child would answer with a stateless reset (RFC 9000 section 10.2).
 */
int quic_endpoint_drain(quic_endpoint *ep);

/* Closes every connection now. */
void quic_endpoint_close_all(quic_endpoint *ep);

#endif /* QUIC_ENDPOINT_H */
