/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What quic/ asks and tells the layer above it (HTTP/3): a table of functions that the layer above
 * fills, so that nothing here needs to know it.
 *
 * All of it on the I/O thread. `app` is what open() returned.
 */
#ifndef QUIC_APP_H
#define QUIC_APP_H

#include <stddef.h>
#include <stdint.h>
#include <ngtcp2/ngtcp2.h>
#include "quic/quic_cc.h"
#include "tls/quic_tls.h"

typedef struct quic_conn quic_conn;

/*
 * A verb asks the layer above to do something; client_* tells what the client has done, the rest
 * what QUIC has done. Functions that return int: 0, or -1 with the reason in the connection's
 * ccerr, with which it is closed. Calls come from within ngtcp2 except where said.
 */
typedef struct quic_app_ops {
    /*
     * With which congestion control? Of a connection that is about to begin: it has its addresses
     * and no more. Not from within ngtcp2.
     */
    quic_cc (*choose_cc)(const quic_conn *conn);
    /*
     * Whose certificate? In the ClientHello; may call quic_conn_set_limits. NULL refuses the
     * client.
     */
    const quic_tls_host *(*find_host)(quic_conn *conn, const char *sni);
    /* 1-RTT data can be sent. `app_env` is the endpoint's. NULL: with ccerr set. */
    void *(*open)(void *app_env, quic_conn *conn);
    /* Writes one packet, as ngtcp2_write_pkt. */
    ngtcp2_ssize (*write_pkt)(void *app, ngtcp2_path *path, ngtcp2_pkt_info *pi, uint8_t *dest,
                              size_t destlen, ngtcp2_tstamp ts);
    /*
     * About once a second, for what takes its time. Not from within ngtcp2; may call
     * quic_conn_close, after which app is gone.
     */
    void (*tick)(void *app);
    /*
     * Graceful end: announce it (GOAWAY), if not yet, when the time has come. Called again and
     * again, not from within ngtcp2.
     */
    void (*shutdown)(void *app);
    /* Nothing is under way any more after shutdown: the connection may be closed. */
    int (*is_drained)(void *app);
    /*
     * The connection is gone. Frees app; what workers still hold stays theirs. Not from within
     * ngtcp2.
     */
    void (*close)(void *app);

    int (*client_sent)(void *app, uint32_t flags, int64_t stream_id, const uint8_t *data,
                       size_t len);
    int (*client_acked)(void *app, int64_t stream_id, uint64_t len);
    /* RESET_STREAM has come. */
    int (*client_reset)(void *app, int64_t stream_id);
    /* MAX_STREAM_DATA has come. */
    int (*client_extended)(void *app, int64_t stream_id);
    /* The client's address has changed, and the new one is validated. */
    void (*client_migrated)(void *app);

    /* The client has proved that it has the handshake's keys. */
    void (*handshake_done)(void *app);
    /* STOP_SENDING of ours is on its way. (ngtcp2 does not tell of the client's.) */
    int (*stopped_reading)(void *app, int64_t stream_id);
    int (*stream_closed)(void *app, uint32_t flags, int64_t stream_id, uint64_t error);
    /* The client may open so many request streams, counted from the first. */
    void (*granted_streams)(void *app, uint64_t max);
    /* A batch of packets has been written. Not from within ngtcp2. */
    void (*batch_written)(void *app);

    /* The code that says "no error" to the client's application. */
    uint64_t no_error;
} quic_app_ops;

#endif /* QUIC_APP_H */
