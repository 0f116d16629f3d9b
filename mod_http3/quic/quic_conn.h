/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One QUIC connection: its ngtcp2_conn and SSL, and their way from the first Initial through the
 * closing and draining states of RFC 9000 section 10.2.
 *
 * On the I/O thread, by which it is made (quic_dispatch) and freed, at the latest with its
 * quic_endpoint. The layer above is called through quic_app_ops; it gets the bare ngtcp2_conn and
 * its ngtcp2_ccerr, so that it never has to ask for transport work.
 */
#ifndef QUIC_CONN_H
#define QUIC_CONN_H

#include <stdint.h>
#include <ngtcp2/ngtcp2.h>
#include "quic/quic_app.h"
#include "quic/quic_cc.h"
#include "quic/quic_cid.h"
#include "quic/quic_closing.h"
#include "quic/quic_datagram.h"
#include "quic/quic_limits.h"
#include "quic/quic_log.h"
#include "quic/quic_mem.h"
#include "quic/quic_out.h"
#include "quic/quic_path.h"
#include "quic/quic_qlog.h"
#include "quic/quic_timer.h"
#include "tls/quic_crypto.h"
#include "tls/quic_tls.h"

struct quic_env;

/* In the order of life. From CLOSING on its IDs, a CONNECTION_CLOSE packet and a timer are left. */
typedef enum {
    QUIC_CONN_HANDSHAKE, /* half-open */
    QUIC_CONN_OPEN,
    QUIC_CONN_CLOSING,  /* we closed: answers packets with its CONNECTION_CLOSE, ever more rarely */
    QUIC_CONN_DRAINING, /* the client closed: silent */
    QUIC_CONN_DEAD      /* about to be freed */
} quic_conn_state;

struct quic_conn {
    struct quic_env *env;
    quic_conn *next, *prev; /* env->all */
    quic_conn_state state;
    ngtcp2_conn *nc; /* NULL from CLOSING on, as ssl and app */
    struct ssl_st *ssl;
    void *app; /* what the layer above calls its own; NULL before it is opened */
    quic_crypto crypto;
    quic_mem mem; /* nc's */
    quic_out out;
    quic_closing closing;
    quic_timer timer;
    quic_log log;
    quic_qlog qlog;
    ngtcp2_ccerr ccerr; /* why it is to be closed */
    quic_cc cc;         /* from its beginning to its end */
    quic_path path;     /* the last validated one */
    int is_validating;  /* another one, with this to fall back on */
    uint64_t born;
    char id[2 * QUIC_CID_LEN + 1]; /* H3_CONN_ID and logs: our first ID in hexadecimal */
    /* The ID that the client made up; ngtcp2 forgets it when the first packet fails. */
    ngtcp2_cid client_dcid;
};

/*
 * A connection for a client's first Initial, `hd` as ngtcp2_accept decoded it. The datagram itself
 * is still to be given to quic_conn_recv. NULL: no memory, or the ID is taken.
 */
quic_conn *quic_conn_create(struct quic_env *env, quic_listener *listener, const quic_datagram *dg,
                            const ngtcp2_pkt_hd *hd);

/*
 * What its virtual host grants; only from find_host. 0, or -1 with the reason in ccerr: no memory.
 */
int quic_conn_set_limits(quic_conn *conn, const quic_limits *limits);

/* The client may send `by` more bytes at once than it was granted in the handshake. */
void quic_conn_grow_window(quic_conn *conn, uint64_t by);

/*
 * A datagram whose ID is this connection's. The connection may be gone after the call. Returns 0;
 * NGTCP2_ERR_RETRY for the first datagram if the beginning of the ClientHello is in none yet: the
 * connection is gone without a trace, and another may be created when that has come.
 */
int quic_conn_recv(quic_conn *conn, quic_listener *listener, const quic_datagram *dg);

/* Nanoseconds of CLOCK_MONOTONIC, read once per turn of the loop. */
uint64_t quic_conn_now(const quic_conn *conn);

/* There may be something to send: it stands in line for quic_conn_write. */
void quic_conn_wants_write(quic_conn *conn);

/*
 * Its turn to send: one batch. With more to say it stands in line again, after the others. The
 * connection may be gone after the call.
 */
void quic_conn_write(quic_conn *conn);

/* Its timer is due, and unset. The connection may be gone after the call. */
void quic_conn_expire(quic_conn *conn);

/*
 * Closes with conn->ccerr (default: no error of the application). Its `app` is gone after the call,
 * and the connection may be. Not from within ngtcp2.
 */
void quic_conn_close(quic_conn *conn);

/* Frees at once, without a word. Not from within ngtcp2. */
void quic_conn_destroy(quic_conn *conn);

#endif /* QUIC_CONN_H */
