/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "tls/quic_crypto.h"
#include "tls/quic_keys.h"

static int on_client_initial(ngtcp2_conn *conn, void *user_data);
static int on_recv_crypto_data(ngtcp2_conn *conn, ngtcp2_encryption_level level, uint64_t offset,
                               const uint8_t *data, size_t datalen, void *user_data);
static int drive_handshake(quic_crypto *qc);
static int handshake_failed(quic_crypto *qc);

static int tls_set_read_secret(SSL *ssl, enum ssl_encryption_level_t level,
                               const SSL_CIPHER *cipher, const uint8_t *secret, size_t secretlen);
static int tls_set_write_secret(SSL *ssl, enum ssl_encryption_level_t level,
                                const SSL_CIPHER *cipher, const uint8_t *secret, size_t secretlen);
static int tls_add_handshake_data(SSL *ssl, enum ssl_encryption_level_t level, const uint8_t *data,
                                  size_t len);
static int tls_flush_flight(SSL *ssl);
static int tls_send_alert(SSL *ssl, enum ssl_encryption_level_t level, uint8_t alert);
static int settle_version(quic_crypto *qc, enum ssl_encryption_level_t level);
static int set_remote_params(quic_crypto *qc);

static enum ssl_encryption_level_t ssl_level(ngtcp2_encryption_level level);
static ngtcp2_encryption_level ngtcp2_level(enum ssl_encryption_level_t level);

/* ---- for the owner of both ---- */

void quic_crypto_callbacks(ngtcp2_callbacks *cb)
{
    quic_keys_callbacks(cb);
    cb->client_initial = on_client_initial;
    cb->recv_crypto_data = on_recv_crypto_data;
}

int quic_crypto_ctx_init(struct ssl_ctx_st *ctx)
{
    static const SSL_QUIC_METHOD method = {
        tls_set_read_secret, tls_set_write_secret, tls_add_handshake_data,
        tls_flush_flight,    tls_send_alert,
    };

    return SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION)
                   && SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION)
                   && SSL_CTX_set_quic_method(ctx, &method)
               ? 0
               : -1;
}

int quic_crypto_attach(quic_crypto *qc, ngtcp2_conn *conn, struct ssl_st *ssl, int is_server)
{
    if (!SSL_set_app_data(ssl, qc)) {
        return -1;
    }
    qc->conn = conn;
    qc->ssl = ssl;
    qc->alert = 0;
    ngtcp2_conn_set_tls_native_handle(conn, qc);
    if (is_server) {
        SSL_set_accept_state(ssl);
    }
    else {
        SSL_set_connect_state(ssl);
    }
    return 0;
}

int quic_crypto_set_local_params(quic_crypto *qc)
{
    uint8_t buf[512];
    ngtcp2_ssize len = ngtcp2_conn_encode_local_transport_params(qc->conn, buf, sizeof(buf));

    if (len < 0) {
        ngtcp2_conn_set_tls_error(qc->conn, (int)len);
        return -1;
    }
    return SSL_set_quic_transport_params(qc->ssl, buf, (size_t)len) ? 0 : -1;
}

/* ---- ngtcp2's callbacks ---- */

static int on_client_initial(ngtcp2_conn *conn, void *user_data)
{
    quic_crypto *qc = ngtcp2_conn_get_tls_native_handle(conn);

    (void)user_data;
    if (quic_keys_install_client_initial(conn) != 0 || quic_crypto_set_local_params(qc) != 0) {
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    return drive_handshake(qc) == 0 ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
}

static int on_recv_crypto_data(ngtcp2_conn *conn, ngtcp2_encryption_level level, uint64_t offset,
                               const uint8_t *data, size_t datalen, void *user_data)
{
    quic_crypto *qc = ngtcp2_conn_get_tls_native_handle(conn);

    (void)offset;
    (void)user_data;
    /* TLS data at another level than TLS reads at is not TLS's error. RFC 9001 section 4.1.3 */
    if (SSL_quic_read_level(qc->ssl) != ssl_level(level)) {
        ngtcp2_conn_set_tls_error(conn, NGTCP2_ERR_PROTO);
        return NGTCP2_ERR_PROTO;
    }
    if (!SSL_provide_quic_data(qc->ssl, ssl_level(level), data, datalen)) {
        return handshake_failed(qc);
    }
    return drive_handshake(qc);
}

/* 0, or the error for ngtcp2, already in the connection. */
static int drive_handshake(quic_crypto *qc)
{
    int rv;

    if (SSL_in_init(qc->ssl)) {
        rv = SSL_do_handshake(qc->ssl);
        if (rv != 1) {
            rv = SSL_get_error(qc->ssl, rv);
            return rv == SSL_ERROR_WANT_READ || rv == SSL_ERROR_WANT_WRITE ? 0
                                                                           : handshake_failed(qc);
        }
        ngtcp2_conn_tls_handshake_completed(qc->conn);
    }
    return SSL_process_quic_post_handshake(qc->ssl) ? 0 : handshake_failed(qc);
}

static int handshake_failed(quic_crypto *qc)
{
    int error = ngtcp2_conn_get_tls_error(qc->conn);

    /* This thread's error queue is shared by all connections: leave nothing in it. */
    ERR_clear_error();
    if (error != 0) {
        return error;
    }
    /* Some failures inside TLS have no alert of their own; the peer is owed one all the same. */
    if (qc->alert == 0) {
        tls_send_alert(qc->ssl, ssl_encryption_initial, SSL_AD_INTERNAL_ERROR);
    }
    return NGTCP2_ERR_CRYPTO;
}

/* ---- TLS's callbacks: 1, or 0 to end the handshake ---- */

static int tls_set_read_secret(SSL *ssl, enum ssl_encryption_level_t level,
                               const SSL_CIPHER *cipher, const uint8_t *secret, size_t secretlen)
{
    quic_crypto *qc = SSL_get_app_data(ssl);

    if (settle_version(qc, level) != 0) {
        return 0;
    }
    /* A client has them since EncryptedExtensions, and must know them before 1-RTT begins. */
    if (level == ssl_encryption_application && !ngtcp2_conn_is_server(qc->conn)
        && set_remote_params(qc) != 0) {
        return 0;
    }
    return quic_keys_install_rx(qc->conn, ngtcp2_level(level), SSL_CIPHER_get_protocol_id(cipher),
                                secret, secretlen)
           == 0;
}

static int tls_set_write_secret(SSL *ssl, enum ssl_encryption_level_t level,
                                const SSL_CIPHER *cipher, const uint8_t *secret, size_t secretlen)
{
    quic_crypto *qc = SSL_get_app_data(ssl);

    if (settle_version(qc, level) != 0
        || quic_keys_install_tx(qc->conn, ngtcp2_level(level), SSL_CIPHER_get_protocol_id(cipher),
                                secret, secretlen)
               != 0) {
        return 0;
    }
    /* The last moment before EncryptedExtensions, which carries them. */
    if (level == ssl_encryption_handshake && ngtcp2_conn_is_server(qc->conn)) {
        return quic_crypto_set_local_params(qc) == 0;
    }
    return 1;
}

/*
 * Keys depend on the version. On a server the client's transport parameters settle it (RFC 9368
 * section 3), and those are here as soon as there is a secret.
 */
static int settle_version(quic_crypto *qc, enum ssl_encryption_level_t level)
{
    /* 0-RTT is not offered, so no such secret may come. */
    if (level != ssl_encryption_handshake && level != ssl_encryption_application) {
        return -1;
    }
    if (ngtcp2_conn_is_server(qc->conn) && ngtcp2_conn_get_negotiated_version(qc->conn) == 0) {
        return set_remote_params(qc);
    }
    return 0;
}

static int tls_add_handshake_data(SSL *ssl, enum ssl_encryption_level_t level, const uint8_t *data,
                                  size_t len)
{
    quic_crypto *qc = SSL_get_app_data(ssl);
    int rv = ngtcp2_conn_submit_crypto_data(qc->conn, ngtcp2_level(level), data, len);

    if (rv != 0) {
        ngtcp2_conn_set_tls_error(qc->conn, rv);
    }
    return rv == 0;
}

/* ngtcp2 packs what it has when it is asked for a packet; there is no flight to flush. */
static int tls_flush_flight(SSL *ssl)
{
    (void)ssl;
    return 1;
}

static int tls_send_alert(SSL *ssl, enum ssl_encryption_level_t level, uint8_t alert)
{
    quic_crypto *qc = SSL_get_app_data(ssl);

    (void)level;
    qc->alert = alert;
    ngtcp2_conn_set_tls_alert(qc->conn, alert);
    return 1;
}

/* A peer without any has been refused by now. RFC 9001 section 8.2 */
static int set_remote_params(quic_crypto *qc)
{
    const uint8_t *params;
    size_t len;
    int rv;

    SSL_get_peer_quic_transport_params(qc->ssl, &params, &len);
    rv = ngtcp2_conn_decode_and_set_remote_transport_params(qc->conn, params, len);
    if (rv != 0) {
        ngtcp2_conn_set_tls_error(qc->conn, rv);
    }
    return rv == 0 ? 0 : -1;
}

/* ---- the names that both give to a level ---- */

static enum ssl_encryption_level_t ssl_level(ngtcp2_encryption_level level)
{
    switch (level) {
    case NGTCP2_ENCRYPTION_LEVEL_INITIAL:
        return ssl_encryption_initial;
    case NGTCP2_ENCRYPTION_LEVEL_0RTT:
        return ssl_encryption_early_data;
    case NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE:
        return ssl_encryption_handshake;
    default:
        return ssl_encryption_application;
    }
}

static ngtcp2_encryption_level ngtcp2_level(enum ssl_encryption_level_t level)
{
    switch (level) {
    case ssl_encryption_initial:
        return NGTCP2_ENCRYPTION_LEVEL_INITIAL;
    case ssl_encryption_early_data:
        return NGTCP2_ENCRYPTION_LEVEL_0RTT;
    case ssl_encryption_handshake:
        return NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE;
    default:
        return NGTCP2_ENCRYPTION_LEVEL_1RTT;
    }
}
