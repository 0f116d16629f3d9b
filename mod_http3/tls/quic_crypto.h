/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handshake of QUIC: carries TLS messages, secrets, alerts and transport parameters between
 * TLS and ngtcp2_conn (RFC 9001 section 4). What packets are protected with is quic_keys.
 *
 * No state of its own beyond `quic_crypto`, which lives as long as the connection. Every function
 * runs on the thread that owns the connection, quic_crypto_ctx_init on any. Serves both ends, so
 * that the load client of the benchmarks needs no copy.
 */
#ifndef QUIC_CRYPTO_H
#define QUIC_CRYPTO_H

#include <stddef.h>
#include <stdint.h>
#include <ngtcp2/ngtcp2.h>

struct ssl_st;
struct ssl_ctx_st;

/* Ties one SSL to one ngtcp2_conn; embedded in whatever owns both. */
typedef struct quic_crypto {
    ngtcp2_conn *conn;
    struct ssl_st *ssl;
    /* The TLS alert of a failed handshake, 0 if none; by then the connection has it too, from
     * ngtcp2_conn_set_tls_alert. RFC 9001 section 4.8 */
    uint8_t alert;
} quic_crypto;

/*
 * Fills in what ngtcp2 asks of cryptography: client_initial, recv_crypto_data, and all that
 * quic_keys_callbacks does. Touches no other member of `cb`.
 *
 * The callbacks expect ngtcp2_conn_get_tls_native_handle() to be a `quic_crypto *` (set by
 * quic_crypto_attach), whatever the user_data is. One that fails because of TLS returns
 * NGTCP2_ERR_CRYPTO, the alert in the connection.
 */
void quic_crypto_callbacks(ngtcp2_callbacks *cb);

/* Makes `ctx` one for QUIC: TLS 1.3 and no other, its messages handed to us. 0 or -1. */
int quic_crypto_ctx_init(struct ssl_ctx_st *ctx);

/*
 * Ties the three together: sets qc->conn and qc->ssl, the SSL's app data, the connection's native
 * handle, and makes the SSL a server's or a client's. `ssl` and `conn` stay the caller's, and may
 * be freed in either order. 0, or -1: out of memory, nothing is tied.
 */
int quic_crypto_attach(quic_crypto *qc, ngtcp2_conn *conn, struct ssl_st *ssl, int is_server);

/*
 * Gives the SSL this end's transport parameters as they are now (RFC 9001 section 8.2). The
 * callbacks do so at the right moment; to be called after ngtcp2_conn_set_local_transport_params,
 * only before the server's first flight, from inside the choice of the host. 0 or -1.
 */
int quic_crypto_set_local_params(quic_crypto *qc);

#endif /* QUIC_CRYPTO_H */
