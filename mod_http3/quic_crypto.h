/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ngtcp2's crypto callbacks on BoringSSL: QUIC packet protection as in RFC 9001
 * section 5 (AES-128-GCM, AES-256-GCM, ChaCha20-Poly1305) and the hand-over of
 * handshake bytes and secrets between SSL and ngtcp2_conn.
 *
 * No state of its own beyond `quic_crypto`, which lives as long as the
 * connection. Every function runs on the thread that owns the connection.
 * Serves both ends, so that the load client of the benchmarks needs no copy.
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
    /* The TLS alert of a failed handshake, 0 if none; already in the
     * connection by ngtcp2_conn_set_tls_alert. RFC 9001 section 4.8 */
    uint8_t alert;
} quic_crypto;

/*
 * Fills the crypto part of `cb`: client_initial, recv_client_initial,
 * recv_crypto_data, encrypt, decrypt, hp_mask, recv_retry, update_key,
 * delete_crypto_aead_ctx, delete_crypto_cipher_ctx, get_path_challenge_data2
 * (or its older name), version_negotiation. Touches no other member.
 *
 * The callbacks expect ngtcp2_conn_get_tls_native_handle() to be a
 * `quic_crypto *` (set by quic_crypto_attach), whatever the user_data is.
 */
void quic_crypto_callbacks(ngtcp2_callbacks *cb);

/* Gives `ctx` the five functions of BoringSSL's QUIC interface. */
void quic_crypto_ctx_init(struct ssl_ctx_st *ctx);

/*
 * Ties the three together: sets qc->conn and qc->ssl, the SSL's app data, the
 * connection's native handle, and the server's or client's state of the SSL.
 * Transport parameters of this end are given to the SSL by the callbacks when
 * the peer's first CRYPTO data is read (server) or at client_initial. `ssl`
 * and `conn` stay the caller's.
 */
void quic_crypto_attach(quic_crypto *qc, ngtcp2_conn *conn, struct ssl_st *ssl, int is_server);

/*
 * Gives the SSL this end's transport parameters as they are now. The callbacks do so at the right
 * moment; to be called after ngtcp2_conn_set_local_transport_params, only before the server's
 * first flight, from inside the choice of the host. 0 or -1.
 */
int quic_crypto_set_local_params(quic_crypto *qc);

/*
 * Writes an Initial packet with CONNECTION_CLOSE and `error` for a client that gets no connection
 * (RFC 9000 section 5.2.2), without any state. `dcid` is the client's source id, `odcid` the
 * destination id of its Initial, `scid` any id of ours. Returns the length, or -1.
 */
long quic_crypto_initial_close(uint8_t *dest, size_t destlen, uint32_t version,
                               const ngtcp2_cid *dcid, const ngtcp2_cid *scid,
                               const ngtcp2_cid *odcid, uint64_t error);

/*
 * HKDF-Expand-Label of TLS 1.3 (RFC 8446 section 7.1) with SHA-256 or SHA-384,
 * empty context. `label` without the "tls13 " prefix. 0, or -1 if the library
 * refuses.
 */
int quic_crypto_expand_label(uint8_t *out, size_t outlen, int use_sha384, const uint8_t *secret,
                             size_t secretlen, const char *label);

/*
 * HMAC-SHA256 of `data`, the whole 32 bytes into `out`; for connection ids,
 * stateless-reset tokens and hash keys. 0 or -1.
 */
int quic_crypto_hmac(uint8_t out[32], const uint8_t *key, size_t keylen, const uint8_t *data,
                     size_t datalen);

/* Random bytes that an attacker cannot guess. Safe on every thread, after a fork too. */
void quic_crypto_rand(uint8_t *out, size_t len);

#endif /* QUIC_CRYPTO_H */
