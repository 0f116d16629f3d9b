/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One QUIC connection of the load client: its socket, its ngtcp2_conn, its
 * timer. Everything runs on the one thread.
 */
#ifndef LOAD_CONN_H
#define LOAD_CONN_H

#include <stddef.h>
#include <stdint.h>
#include "../../mod_http3/tls/quic_crypto.h"
#include "load_http.h"
#include "load_opts.h"
#include "load_stat.h"
#include "../../mod_http3/quic/quic_timer.h"

/* What all connections share. */
typedef struct load_env {
    const load_opts *opts;
    load_stat *stat;
    struct ssl_ctx_st *tls;
    quic_udp_batch *batch;
    quic_timer_heap timers;
    int epoll;
    uint64_t now;              /* of this turn of the loop, CLOCK_MONOTONIC, nanoseconds */
    struct load_conn *touched; /* what had an event in this turn, by touched_next */
} load_env;

typedef enum {
    LOAD_CONN_HANDSHAKE,
    LOAD_CONN_CONNECTED, /* the handshake is over for us */
    LOAD_CONN_CONFIRMED, /* and for the server */
    LOAD_CONN_GONE
} load_conn_state;

typedef struct load_conn {
    quic_timer timer;
    load_env *env;
    load_conn_state state;
    int fd;
    quic_addr remote;
    quic_addr local; /* as the connection knows it */
    uint64_t opened;
    uint64_t sent_since_rebind;
    ngtcp2_conn *quic;
    struct ssl_st *tls;
    quic_crypto crypto;
    ngtcp2_ccerr ccerr;
    int was_reset;   /* by a stateless reset */
    int turned_away; /* by GOAWAY, or closed without an error: the rest may go on elsewhere */
    uint8_t *unsent; /* what the full socket did not take */
    size_t unsent_len, unsent_segsize;
    uint8_t unsent_ecn;
    load_http http;
    struct load_conn *next, **prev; /* the caller's list */
    struct load_conn *touched_next;
    int is_touched;
} load_conn;

/*
 * Opens a socket from the `number`-th local address and sends the first packet.
 * `remaining` requests are its share. NULL after a message.
 */
load_conn *load_conn_new(load_env *env, uint64_t number, int64_t remaining);
/* Takes over the requests of a connection that was turned away. */
void load_conn_inherit(load_conn *c, load_conn *from);

/* To be called when epoll or the timer says so. The state may be GONE afterwards. */
void load_conn_on_event(load_conn *c, uint32_t events);
void load_conn_on_timer(load_conn *c);
/* Says goodbye with H3_NO_ERROR. */
void load_conn_close(load_conn *c);
/* Only once it is GONE. */
void load_conn_free(load_conn *c);

#endif /* LOAD_CONN_H */
