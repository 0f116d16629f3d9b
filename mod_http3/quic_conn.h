/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One QUIC connection: its ngtcp2_conn and SSL, receiving, sending, timers,
 * and the closing and draining states of RFC 9000 section 10.2.
 *
 * Everything here runs on the child's I/O thread. The layer above (HTTP/3) is
 * reached through quic_app_ops; it gets the bare ngtcp2_conn and its
 * ngtcp2_ccerr, so that it never has to call back for transport work.
 */
#ifndef QUIC_CONN_H
#define QUIC_CONN_H

#include <stdint.h>
#include <ngtcp2/ngtcp2.h>
#include "httpd.h"
#include "http_log.h"
#include "quic_cid.h"
#include "quic_crypto.h"
#include "quic_mem.h"
#include "quic_route.h"
#include "quic_stats.h"
#include "quic_timer.h"
#include "quic_tls.h"
#include "quic_udp.h"

typedef struct quic_conn quic_conn;

/*
 * What the layer above does. `app` is what open() returned. Functions that
 * return int: 0, or -1 with the reason in the connection's ccerr: the connection is closed
 * with it. Calls come from within ngtcp2 except where said.
 */
typedef struct quic_app_ops {
    /* Which certificate? In the ClientHello; may call quic_conn_set_limits. */
    const quic_tls_host *(*find_host)(quic_conn *conn, const char *sni);
    /* 1-RTT data can be sent. NULL: with ccerr set. */
    void *(*open)(quic_conn *conn);
    /* The client has proved that it has the handshake's keys. */
    void (*established)(void *app);
    int (*recv_stream_data)(void *app, uint32_t flags, int64_t stream_id, const uint8_t *data,
                            size_t len);
    int (*acked)(void *app, int64_t stream_id, uint64_t len);
    int (*stream_reset)(void *app, int64_t stream_id);
    /* We read no more of it. (ngtcp2 does not tell of the client's STOP_SENDING.) */
    int (*stream_stop_sending)(void *app, int64_t stream_id);
    int (*stream_close)(void *app, uint32_t flags, int64_t stream_id, uint64_t error);
    int (*extend_max_stream_data)(void *app, int64_t stream_id);
    /* The client may open so many request streams, counted from the first. */
    void (*extend_max_streams)(void *app, uint64_t max);
    /* Writes one packet, as ngtcp2_write_pkt. */
    ngtcp2_ssize (*write_pkt)(void *app, ngtcp2_path *path, ngtcp2_pkt_info *pi, uint8_t *dest,
                              size_t destlen, ngtcp2_tstamp ts);
    /* The end of a batch of packets. Not from within ngtcp2. */
    void (*written)(void *app);
    /* The client's address has changed, and the new one is validated. */
    void (*migrated)(void *app);
    /* Begin of a graceful end: announce it (GOAWAY). Not from within ngtcp2. */
    void (*shutdown)(void *app);
    /* Nothing is under way any more after shutdown: the connection may be closed. */
    int (*is_drained)(void *app);
    /*
     * The connection is gone. Frees app; what workers still hold stays theirs. Not from within
     * ngtcp2.
     */
    void (*close)(void *app);
    /* The code that says "no error" to the peer's application. */
    uint64_t no_error;
} quic_app_ops;

/* What the server grants a client; from the directives of the virtual host. */
typedef struct quic_limits {
    uint64_t window;      /* bytes per stream */
    uint64_t conn_window; /* bytes per connection */
    uint64_t streams;     /* request streams at once */
    uint64_t idle;        /* nanoseconds */
} quic_limits;

/* What all connections of one I/O thread share. */
typedef struct quic_env {
    server_rec *server; /* for logs */
    quic_cid_table *table;
    const quic_cid_secret *secret;
    quic_route *route;
    uint8_t slot, epoch;
    quic_stats *stats;
    quic_timers timers;
    uint64_t now; /* nanoseconds of CLOCK_MONOTONIC, read once per turn */
    const quic_app_ops *app;
    void *app_env;                 /* the layer above's own */
    const quic_tls_host *any_host; /* for the first SSL_CTX of a connection */
    quic_limits limits;            /* until the virtual host is known */
    uint64_t handshake_timeout;    /* nanoseconds */
    unsigned max_connections, max_half_open;
    unsigned connections, half_open;
    unsigned closing;                    /* CLOSING or DRAINING: not among `connections` */
    const char *qlog_dir;                /* or NULL */
    quic_conn *all;                      /* every connection, closing ones too */
    quic_conn *write_first, *write_last; /* have something to send */
    quic_conn *blocked_first;            /* wait for their socket */
    uint64_t reset_tokens, reset_at; /* rate limit of stateless resets and version negotiation */
    uint8_t tx[65536];               /* one batch of packets on its way to the kernel */
} quic_env;

typedef enum {
    QUIC_CONN_HANDSHAKE, /* half-open */
    QUIC_CONN_OPEN,
    QUIC_CONN_CLOSING,  /* we closed: answers packets with its CONNECTION_CLOSE, ever more rarely */
    QUIC_CONN_DRAINING, /* the client closed: silent */
    QUIC_CONN_DEAD
} quic_conn_state;

struct quic_conn {
    quic_env *env;
    quic_conn *next, *prev; /* env->all */
    quic_conn *write_next;  /* env->write_first */
    quic_conn *blocked_next;
    quic_conn_state state;
    unsigned in_write_queue : 1, is_blocked : 1, has_idle_since : 1, is_validating : 1;
    quic_mem mem;    /* nc's */
    ngtcp2_conn *nc; /* NULL from CLOSING on, as ssl and app */
    struct ssl_st *ssl;
    quic_crypto crypto;
    ngtcp2_ccerr ccerr;
    void *app;
    quic_listener *listener; /* of the first datagram */
    quic_addr local, remote; /* the last validated path */
    quic_timer timer;
    uint64_t born;                 /* env->now */
    char id[2 * QUIC_CID_LEN + 1]; /* H3_CONN_ID and logs: our first id in hexadecimal */
    /* What did not fit into the socket. */
    struct quic_pending {
        uint8_t *data;
        size_t len, off, segsize;
        quic_addr local, remote;
        quic_listener *listener;
        uint8_t ecn;
    } pending;
    /* CLOSING and DRAINING. */
    uint8_t *close_pkt;
    size_t close_len;
    unsigned close_recv, close_answer; /* packets received since, next one that is answered */
    ngtcp2_cid *cids;                  /* ids that are still in the table */
    size_t ncids;
    /* The id that the client made up; ngtcp2 forgets it when the first packet fails. */
    ngtcp2_cid client_dcid;
    void *qlog; /* FILE */
};

/*
 * A connection for a client's first Initial, `hd` as ngtcp2_accept decoded it.
 * The datagram itself is still to be given to quic_conn_recv. NULL: no memory, or the id is taken.
 */
quic_conn *quic_conn_create(quic_env *env, quic_listener *listener, const quic_datagram *dg,
                            const ngtcp2_pkt_hd *hd);

/* A datagram whose id is this connection's. */
void quic_conn_recv(quic_conn *conn, quic_listener *listener, const quic_datagram *dg);

/* There may be something to send: in the next round of quic_env_write. */
void quic_conn_wants_write(quic_conn *conn);

/*
 * Sends what the connections in the queue have, one batch each in turn, until all are done or
 * blocked.
 */
void quic_env_write(quic_env *env);

/* The socket is writable again: those that waited for one go on. */
void quic_env_unblock(quic_env *env);

/* Runs timers that are due; returns nanoseconds until the next one, QUIC_TIMER_NEVER: none. */
uint64_t quic_env_expire(quic_env *env);

/* Closes with conn->ccerr (default: no error of the application). */
void quic_conn_close(quic_conn *conn);

/* Frees at once, without a word. */
void quic_conn_destroy(quic_conn *conn);

/* Values for this connection's virtual host; only from find_host. */
void quic_conn_set_limits(quic_conn *conn, const quic_limits *limits);

/* A debug line with the connection's id and the client's address in front. */
#define QUIC_CONN_LOG(conn, level, fmt, ...)                                                \
    do {                                                                                    \
        if (APLOG_IS_LEVEL((conn)->env->server, (level))) {                                 \
            char addr_[QUIC_ADDR_STRLEN];                                                   \
            ap_log_error(APLOG_MARK, (level), 0, (conn)->env->server, "conn %.8s %s: " fmt, \
                         (conn)->id, quic_addr_str(addr_, &(conn)->remote), __VA_ARGS__);   \
        }                                                                                   \
    } while (0)

#endif /* QUIC_CONN_H */
