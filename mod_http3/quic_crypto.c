/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <openssl/aead.h>
#include <openssl/aes.h>
#include <openssl/chacha.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/hkdf.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include "quic_crypto.h"

/* All three AEADs of RFC 9001 take a nonce of 12 bytes; no key is longer than 32. */
#define IV_LEN 12
#define MAX_KEY_LEN 32
#define INITIAL_SECRET_LEN 32

/* What differs between versions: RFC 9001 sections 5.1, 5.2, 5.8, 6.1, RFC 9369 section 3.3. */
typedef struct quic_version {
    uint32_t number;
    uint8_t salt[20];
    const char *key;
    const char *iv;
    const char *hp;
    const char *ku;
    const char *retry_key;
} quic_version;

static const quic_version versions[] = {
    { NGTCP2_PROTO_VER_V1,
      { 0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
        0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a },
      "quic key",
      "quic iv",
      "quic hp",
      "quic ku",
      NGTCP2_RETRY_KEY_V1 },
    { NGTCP2_PROTO_VER_V2,
      { 0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
        0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9 },
      "quicv2 key",
      "quicv2 iv",
      "quicv2 hp",
      "quicv2 ku",
      NGTCP2_RETRY_KEY_V2 },
};

/* A cipher suite; ngtcp2_crypto_ctx.hp carries a pointer to its row. */
typedef struct quic_suite {
    uint32_t id;
    const EVP_AEAD *(*aead)(void);
    const EVP_MD *(*md)(void);
    int hp_chacha;
    uint64_t max_encryption; /* RFC 9001 section 6.6, as is the next */
    uint64_t max_decryption_failure;
} quic_suite;

static const quic_suite suites[] = {
    { TLS1_CK_AES_128_GCM_SHA256, EVP_aead_aes_128_gcm, EVP_sha256, 0, 1ULL << 23, 1ULL << 52 },
    { TLS1_CK_AES_256_GCM_SHA384, EVP_aead_aes_256_gcm, EVP_sha384, 0, 1ULL << 23, 1ULL << 52 },
    { TLS1_CK_CHACHA20_POLY1305_SHA256, EVP_aead_chacha20_poly1305, EVP_sha256, 1, 1ULL << 62,
      1ULL << 36 },
};

/* Initial packets: AES-128-GCM whatever TLS negotiates. RFC 9001 section 5.2 */
#define INITIAL_SUITE (&suites[0])

/* What ngtcp2_crypto_cipher_ctx.native_handle points to: an expanded key. RFC 9001 section 5.4 */
typedef struct hp_key {
    int chacha;
    union {
        AES_KEY aes;
        uint8_t chacha20[32];
    } key;
} hp_key;

/* One direction's packet protection; owned by ngtcp2_conn once installed. */
typedef struct protection {
    ngtcp2_crypto_aead_ctx aead;
    ngtcp2_crypto_cipher_ctx hp;
    uint8_t iv[IV_LEN];
} protection;

static const quic_version *version_of(uint32_t number);
static const quic_suite *suite_of(const SSL_CIPHER *cipher);
static int expand_label(uint8_t *out, size_t outlen, const EVP_MD *md, const uint8_t *secret,
                        size_t secretlen, const char *label);
static int aead_new(ngtcp2_crypto_aead_ctx *ctx, uint8_t iv[IV_LEN], const quic_version *version,
                    const EVP_AEAD *aead, const EVP_MD *md, const uint8_t *secret,
                    size_t secretlen);
static int hp_new(ngtcp2_crypto_cipher_ctx *ctx, const quic_version *version,
                  const quic_suite *suite, const uint8_t *secret, size_t secretlen);
static int protection_new(protection *p, const quic_version *version, const quic_suite *suite,
                          const uint8_t *secret, size_t secretlen);
static void protection_free(protection *p);
static int initial_new(protection *client, protection *server, const quic_version *version,
                       const ngtcp2_cid *dcid);
static void describe_suite(ngtcp2_crypto_ctx *ctx, const quic_suite *suite);
static int install_initial(ngtcp2_conn *conn, const ngtcp2_cid *dcid);
static int install_retry(ngtcp2_conn *conn, const quic_version *version);
static enum ssl_encryption_level_t ssl_level(ngtcp2_encryption_level level);
static int drive_handshake(quic_crypto *qc);
static int handshake_failed(quic_crypto *qc);

static int client_initial(ngtcp2_conn *conn, void *user_data);
static int recv_client_initial(ngtcp2_conn *conn, const ngtcp2_cid *dcid, void *user_data);
static int recv_crypto_data(ngtcp2_conn *conn, ngtcp2_encryption_level level, uint64_t offset,
                            const uint8_t *data, size_t datalen, void *user_data);
static int recv_retry(ngtcp2_conn *conn, const ngtcp2_pkt_hd *hd, void *user_data);
static int version_negotiation(ngtcp2_conn *conn, uint32_t number, const ngtcp2_cid *client_dcid,
                               void *user_data);
static int encrypt_packet(uint8_t *dest, const ngtcp2_crypto_aead *aead,
                          const ngtcp2_crypto_aead_ctx *ctx, const uint8_t *plaintext,
                          size_t plaintextlen, const uint8_t *nonce, size_t noncelen,
                          const uint8_t *aad, size_t aadlen);
static int decrypt_packet(uint8_t *dest, const ngtcp2_crypto_aead *aead,
                          const ngtcp2_crypto_aead_ctx *ctx, const uint8_t *ciphertext,
                          size_t ciphertextlen, const uint8_t *nonce, size_t noncelen,
                          const uint8_t *aad, size_t aadlen);
static int hp_mask(uint8_t *dest, const ngtcp2_crypto_cipher *hp,
                   const ngtcp2_crypto_cipher_ctx *ctx, const uint8_t *sample);
static int update_key(ngtcp2_conn *conn, uint8_t *rx_secret, uint8_t *tx_secret,
                      ngtcp2_crypto_aead_ctx *rx_aead, uint8_t *rx_iv,
                      ngtcp2_crypto_aead_ctx *tx_aead, uint8_t *tx_iv, const uint8_t *old_rx_secret,
                      const uint8_t *old_tx_secret, size_t secretlen, void *user_data);
static void delete_aead(ngtcp2_conn *conn, ngtcp2_crypto_aead_ctx *ctx, void *user_data);
static void delete_cipher(ngtcp2_conn *conn, ngtcp2_crypto_cipher_ctx *ctx, void *user_data);
static int path_challenge_data(ngtcp2_conn *conn, ngtcp2_path_challenge_data *data,
                               void *user_data);

static const quic_version *prepare_secret(quic_crypto *qc, enum ssl_encryption_level_t level,
                                          const quic_suite *suite);
static int set_remote_params(quic_crypto *qc);
static int set_read_secret(SSL *ssl, enum ssl_encryption_level_t level, const SSL_CIPHER *cipher,
                           const uint8_t *secret, size_t secretlen);
static int set_write_secret(SSL *ssl, enum ssl_encryption_level_t level, const SSL_CIPHER *cipher,
                            const uint8_t *secret, size_t secretlen);
static int add_handshake_data(SSL *ssl, enum ssl_encryption_level_t level, const uint8_t *data,
                              size_t len);
static int flush_flight(SSL *ssl);
static int send_alert(SSL *ssl, enum ssl_encryption_level_t level, uint8_t alert);

/* The interface of both ends to their owner. */

void quic_crypto_callbacks(ngtcp2_callbacks *cb)
{
    cb->client_initial = client_initial;
    cb->recv_client_initial = recv_client_initial;
    cb->recv_crypto_data = recv_crypto_data;
    cb->recv_retry = recv_retry;
    cb->version_negotiation = version_negotiation;
    cb->encrypt = encrypt_packet;
    cb->decrypt = decrypt_packet;
    cb->hp_mask = hp_mask;
    cb->update_key = update_key;
    cb->delete_crypto_aead_ctx = delete_aead;
    cb->delete_crypto_cipher_ctx = delete_cipher;
    cb->get_path_challenge_data2 = path_challenge_data;
}

void quic_crypto_ctx_init(struct ssl_ctx_st *ctx)
{
    static const SSL_QUIC_METHOD method = {
        set_read_secret, set_write_secret, add_handshake_data, flush_flight, send_alert,
    };

    SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
    SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION);
    SSL_CTX_set_quic_method(ctx, &method);
}

void quic_crypto_attach(quic_crypto *qc, ngtcp2_conn *conn, struct ssl_st *ssl, int is_server)
{
    qc->conn = conn;
    qc->ssl = ssl;
    qc->alert = 0;
    SSL_set_app_data(ssl, qc);
    ngtcp2_conn_set_tls_native_handle(conn, qc);
    if (is_server) {
        SSL_set_accept_state(ssl);
    }
    else {
        SSL_set_connect_state(ssl);
    }
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

long quic_crypto_initial_close(uint8_t *dest, size_t destlen, uint32_t version,
                               const ngtcp2_cid *dcid, const ngtcp2_cid *scid,
                               const ngtcp2_cid *odcid, uint64_t error)
{
    const quic_version *v = version_of(version);
    protection client, server;
    ngtcp2_crypto_ctx ctx;
    ngtcp2_ssize len;

    if (!v || initial_new(&client, &server, v, odcid) != 0) {
        return -1;
    }
    describe_suite(&ctx, INITIAL_SUITE);
    len = ngtcp2_pkt_write_connection_close(dest, destlen, version, dcid, scid, error, NULL, 0,
                                            encrypt_packet, &ctx.aead, &server.aead, server.iv,
                                            hp_mask, &ctx.hp, &server.hp);
    protection_free(&client);
    protection_free(&server);
    return len < 0 ? -1 : (long)len;
}

int quic_crypto_expand_label(uint8_t *out, size_t outlen, int use_sha384, const uint8_t *secret,
                             size_t secretlen, const char *label)
{
    return expand_label(out, outlen, use_sha384 ? EVP_sha384() : EVP_sha256(), secret, secretlen,
                        label);
}

int quic_crypto_hmac(uint8_t out[32], const uint8_t *key, size_t keylen, const uint8_t *data,
                     size_t datalen)
{
    unsigned int len;

    return HMAC(EVP_sha256(), key, keylen, data, datalen, out, &len) != NULL ? 0 : -1;
}

void quic_crypto_rand(uint8_t *out, size_t len)
{
    /* BoringSSL aborts the process rather than return without entropy, and notices a fork. */
    RAND_bytes(out, len);
}

/* From a secret to keys. */

static const quic_version *version_of(uint32_t number)
{
    size_t i;

    for (i = 0; i < sizeof(versions) / sizeof(versions[0]); ++i) {
        if (versions[i].number == number) {
            return &versions[i];
        }
    }
    return NULL;
}

static const quic_suite *suite_of(const SSL_CIPHER *cipher)
{
    size_t i;

    for (i = 0; i < sizeof(suites) / sizeof(suites[0]); ++i) {
        if (suites[i].id == SSL_CIPHER_get_id(cipher)) {
            return &suites[i];
        }
    }
    return NULL;
}

static int expand_label(uint8_t *out, size_t outlen, const EVP_MD *md, const uint8_t *secret,
                        size_t secretlen, const char *label)
{
    static const char prefix[] = "tls13 ";
    const size_t prefixlen = sizeof(prefix) - 1;
    size_t labellen = strlen(label);
    uint8_t info[2 + 1 + 255 + 1]; /* struct HkdfLabel, RFC 8446 section 7.1 */

    if (outlen > UINT16_MAX || labellen > 255 - prefixlen) {
        return -1;
    }
    info[0] = (uint8_t)(outlen >> 8);
    info[1] = (uint8_t)outlen;
    info[2] = (uint8_t)(prefixlen + labellen);
    memcpy(info + 3, prefix, prefixlen);
    memcpy(info + 3 + prefixlen, label, labellen);
    info[3 + prefixlen + labellen] = 0;
    if (!HKDF_expand(out, outlen, md, secret, secretlen, info, 3 + prefixlen + labellen + 1)) {
        return -1;
    }
    return 0;
}

static int aead_new(ngtcp2_crypto_aead_ctx *ctx, uint8_t iv[IV_LEN], const quic_version *version,
                    const EVP_AEAD *aead, const EVP_MD *md, const uint8_t *secret, size_t secretlen)
{
    uint8_t key[MAX_KEY_LEN];
    size_t keylen = EVP_AEAD_key_length(aead);

    ctx->native_handle = NULL;
    if (expand_label(key, keylen, md, secret, secretlen, version->key) == 0
        && expand_label(iv, IV_LEN, md, secret, secretlen, version->iv) == 0) {
        ctx->native_handle = EVP_AEAD_CTX_new(aead, key, keylen, EVP_AEAD_DEFAULT_TAG_LENGTH);
    }
    OPENSSL_cleanse(key, sizeof(key));
    return ctx->native_handle ? 0 : -1;
}

static int hp_new(ngtcp2_crypto_cipher_ctx *ctx, const quic_version *version,
                  const quic_suite *suite, const uint8_t *secret, size_t secretlen)
{
    uint8_t key[MAX_KEY_LEN];
    size_t keylen = EVP_AEAD_key_length(suite->aead());
    hp_key *hp = malloc(sizeof(*hp));
    int rv = -1;

    ctx->native_handle = NULL;
    if (!hp) {
        return -1;
    }
    hp->chacha = suite->hp_chacha;
    if (expand_label(key, keylen, suite->md(), secret, secretlen, version->hp) != 0) {
        goto cleanup;
    }
    if (hp->chacha) {
        memcpy(hp->key.chacha20, key, sizeof(hp->key.chacha20));
    }
    else if (AES_set_encrypt_key(key, (unsigned)keylen * 8, &hp->key.aes) != 0) {
        goto cleanup;
    }
    ctx->native_handle = hp;
    rv = 0;

cleanup:
    OPENSSL_cleanse(key, sizeof(key));
    if (rv != 0) {
        free(hp);
    }
    return rv;
}

static int protection_new(protection *p, const quic_version *version, const quic_suite *suite,
                          const uint8_t *secret, size_t secretlen)
{
    p->hp.native_handle = NULL;
    if (aead_new(&p->aead, p->iv, version, suite->aead(), suite->md(), secret, secretlen) != 0) {
        return -1;
    }
    if (hp_new(&p->hp, version, suite, secret, secretlen) != 0) {
        protection_free(p);
        return -1;
    }
    return 0;
}

static void protection_free(protection *p)
{
    delete_aead(NULL, &p->aead, NULL);
    delete_cipher(NULL, &p->hp, NULL);
}

/* RFC 9001 section 5.2. Both directions or neither. */
static int initial_new(protection *client, protection *server, const quic_version *version,
                       const ngtcp2_cid *dcid)
{
    const EVP_MD *md = INITIAL_SUITE->md();
    uint8_t initial[INITIAL_SECRET_LEN], secret[INITIAL_SECRET_LEN];
    size_t len = sizeof(initial);

    if (!HKDF_extract(initial, &len, md, dcid->data, dcid->datalen, version->salt,
                      sizeof(version->salt))
        || expand_label(secret, sizeof(secret), md, initial, len, "client in") != 0
        || protection_new(client, version, INITIAL_SUITE, secret, sizeof(secret)) != 0) {
        return -1;
    }
    if (expand_label(secret, sizeof(secret), md, initial, len, "server in") != 0
        || protection_new(server, version, INITIAL_SUITE, secret, sizeof(secret)) != 0) {
        protection_free(client);
        return -1;
    }
    return 0;
}

/* What ngtcp2 wants to know about a suite; the casts only drop const. */
static void describe_suite(ngtcp2_crypto_ctx *ctx, const quic_suite *suite)
{
    ctx->aead.native_handle = (void *)suite->aead();
    ctx->aead.max_overhead = EVP_AEAD_max_overhead(suite->aead());
    ctx->md.native_handle = (void *)suite->md();
    ctx->hp.native_handle = (void *)suite;
    ctx->max_encryption = suite->max_encryption;
    ctx->max_decryption_failure = suite->max_decryption_failure;
}

static int install_initial(ngtcp2_conn *conn, const ngtcp2_cid *dcid)
{
    const quic_version *version = version_of(ngtcp2_conn_get_client_chosen_version(conn));
    protection client, server, *rx = &client, *tx = &server;
    ngtcp2_crypto_ctx ctx;

    if (!version || initial_new(&client, &server, version, dcid) != 0) {
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    if (!ngtcp2_conn_is_server(conn)) {
        rx = &server;
        tx = &client;
    }
    describe_suite(&ctx, INITIAL_SUITE);
    ngtcp2_conn_set_initial_crypto_ctx(conn, &ctx);
    if (ngtcp2_conn_install_initial_key(conn, &rx->aead, rx->iv, &rx->hp, &tx->aead, tx->iv,
                                        &tx->hp, IV_LEN)
        != 0) {
        protection_free(&client);
        protection_free(&server);
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
}

/* A client checks the integrity tag of a Retry with this. RFC 9001 section 5.8 */
static int install_retry(ngtcp2_conn *conn, const quic_version *version)
{
    const EVP_AEAD *gcm = EVP_aead_aes_128_gcm();
    ngtcp2_crypto_aead aead = { (void *)gcm, EVP_AEAD_max_overhead(gcm) };
    ngtcp2_crypto_aead_ctx ctx;

    ctx.native_handle = EVP_AEAD_CTX_new(gcm, (const uint8_t *)version->retry_key,
                                         EVP_AEAD_key_length(gcm), EVP_AEAD_DEFAULT_TAG_LENGTH);
    if (!ctx.native_handle) {
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    ngtcp2_conn_set_retry_aead(conn, &aead, &ctx);
    return 0;
}

/* ngtcp2's callbacks, in the order of a connection's life. */

static int client_initial(ngtcp2_conn *conn, void *user_data)
{
    quic_crypto *qc = ngtcp2_conn_get_tls_native_handle(conn);
    const quic_version *version = version_of(ngtcp2_conn_get_client_chosen_version(conn));

    (void)user_data;
    if (!version || install_initial(conn, ngtcp2_conn_get_dcid(conn)) != 0
        || install_retry(conn, version) != 0 || quic_crypto_set_local_params(qc) != 0) {
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    return drive_handshake(qc) == 0 ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
}

static int recv_client_initial(ngtcp2_conn *conn, const ngtcp2_cid *dcid, void *user_data)
{
    (void)user_data;
    return install_initial(conn, dcid);
}

static int recv_retry(ngtcp2_conn *conn, const ngtcp2_pkt_hd *hd, void *user_data)
{
    (void)user_data;
    return install_initial(conn, &hd->scid);
}

/* Compatible version negotiation: the first Initial's keys stay beside. RFC 9368 section 2.3 */
static int version_negotiation(ngtcp2_conn *conn, uint32_t number, const ngtcp2_cid *client_dcid,
                               void *user_data)
{
    const quic_version *version = version_of(number);
    protection client, server, *rx = &client, *tx = &server;

    (void)user_data;
    if (!version || initial_new(&client, &server, version, client_dcid) != 0) {
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    if (!ngtcp2_conn_is_server(conn)) {
        rx = &server;
        tx = &client;
    }
    if (ngtcp2_conn_install_vneg_initial_key(conn, number, &rx->aead, rx->iv, &rx->hp, &tx->aead,
                                             tx->iv, &tx->hp, IV_LEN)
        != 0) {
        protection_free(&client);
        protection_free(&server);
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
}

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

static int recv_crypto_data(ngtcp2_conn *conn, ngtcp2_encryption_level level, uint64_t offset,
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

    /* The reasons belong to this thread's next user as little as to its log. */
    ERR_clear_error();
    if (error != 0) {
        return error;
    }
    /* Some failures inside TLS have no alert of their own; the peer is owed one all the same. */
    if (qc->alert == 0) {
        send_alert(qc->ssl, ssl_encryption_initial, SSL_AD_INTERNAL_ERROR);
    }
    return NGTCP2_ERR_CRYPTO;
}

/* BoringSSL's callbacks. They return 1, or 0 to end the handshake. */

/*
 * The suite and the version are settled before the first secret comes out. A
 * server learns the client's transport parameters here, because what follows
 * (version, limits, its own parameters) depends on them.
 */
static const quic_version *prepare_secret(quic_crypto *qc, enum ssl_encryption_level_t level,
                                          const quic_suite *suite)
{
    ngtcp2_conn *conn = qc->conn;
    ngtcp2_crypto_ctx ctx;

    /* 0-RTT is not offered, so no such secret may come. */
    if (!suite || (level != ssl_encryption_handshake && level != ssl_encryption_application)) {
        return NULL;
    }
    if (ngtcp2_conn_is_server(conn) && ngtcp2_conn_get_negotiated_version(conn) == 0
        && set_remote_params(qc) != 0) {
        return NULL;
    }
    if (!ngtcp2_conn_get_crypto_ctx(conn)->aead.native_handle) {
        describe_suite(&ctx, suite);
        ngtcp2_conn_set_crypto_ctx(conn, &ctx);
    }
    return version_of(ngtcp2_conn_get_negotiated_version(conn));
}

static int set_read_secret(SSL *ssl, enum ssl_encryption_level_t level, const SSL_CIPHER *cipher,
                           const uint8_t *secret, size_t secretlen)
{
    quic_crypto *qc = SSL_get_app_data(ssl);
    const quic_suite *suite = suite_of(cipher);
    const quic_version *version = prepare_secret(qc, level, suite);
    protection p;
    int rv;

    if (!version) {
        return 0;
    }
    /* A client has them since EncryptedExtensions, and must know them before 1-RTT begins. */
    if (level == ssl_encryption_application && !ngtcp2_conn_is_server(qc->conn)
        && set_remote_params(qc) != 0) {
        return 0;
    }
    if (protection_new(&p, version, suite, secret, secretlen) != 0) {
        return 0;
    }
    if (level == ssl_encryption_handshake) {
        rv = ngtcp2_conn_install_rx_handshake_key(qc->conn, &p.aead, p.iv, IV_LEN, &p.hp);
    }
    else {
        rv = ngtcp2_conn_install_rx_key(qc->conn, secret, secretlen, &p.aead, p.iv, IV_LEN, &p.hp);
    }
    if (rv != 0) {
        protection_free(&p);
    }
    return rv == 0;
}

static int set_write_secret(SSL *ssl, enum ssl_encryption_level_t level, const SSL_CIPHER *cipher,
                            const uint8_t *secret, size_t secretlen)
{
    quic_crypto *qc = SSL_get_app_data(ssl);
    const quic_suite *suite = suite_of(cipher);
    const quic_version *version = prepare_secret(qc, level, suite);
    protection p;
    int rv;

    if (!version || protection_new(&p, version, suite, secret, secretlen) != 0) {
        return 0;
    }
    if (level == ssl_encryption_handshake) {
        rv = ngtcp2_conn_install_tx_handshake_key(qc->conn, &p.aead, p.iv, IV_LEN, &p.hp);
    }
    else {
        rv = ngtcp2_conn_install_tx_key(qc->conn, secret, secretlen, &p.aead, p.iv, IV_LEN, &p.hp);
    }
    if (rv != 0) {
        protection_free(&p);
        return 0;
    }
    /* The last moment before EncryptedExtensions, which carries them. */
    if (level == ssl_encryption_handshake && ngtcp2_conn_is_server(qc->conn)) {
        return quic_crypto_set_local_params(qc) == 0;
    }
    return 1;
}

static int add_handshake_data(SSL *ssl, enum ssl_encryption_level_t level, const uint8_t *data,
                              size_t len)
{
    quic_crypto *qc = SSL_get_app_data(ssl);
    ngtcp2_encryption_level to = level == ssl_encryption_initial ? NGTCP2_ENCRYPTION_LEVEL_INITIAL
                                 : level == ssl_encryption_handshake
                                     ? NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE
                                     : NGTCP2_ENCRYPTION_LEVEL_1RTT;
    int rv = ngtcp2_conn_submit_crypto_data(qc->conn, to, data, len);

    if (rv != 0) {
        ngtcp2_conn_set_tls_error(qc->conn, rv);
    }
    return rv == 0;
}

/* ngtcp2 packs what it has when it is asked for a packet; there is no flight to flush. */
static int flush_flight(SSL *ssl)
{
    (void)ssl;
    return 1;
}

static int send_alert(SSL *ssl, enum ssl_encryption_level_t level, uint8_t alert)
{
    quic_crypto *qc = SSL_get_app_data(ssl);

    (void)level;
    qc->alert = alert;
    ngtcp2_conn_set_tls_alert(qc->conn, alert);
    return 1;
}

/* BoringSSL has refused a peer without them by now. RFC 9001 section 8.2 */
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

/* Per packet. */

static int encrypt_packet(uint8_t *dest, const ngtcp2_crypto_aead *aead,
                          const ngtcp2_crypto_aead_ctx *ctx, const uint8_t *plaintext,
                          size_t plaintextlen, const uint8_t *nonce, size_t noncelen,
                          const uint8_t *aad, size_t aadlen)
{
    size_t len;

    if (!EVP_AEAD_CTX_seal(ctx->native_handle, dest, &len, plaintextlen + aead->max_overhead, nonce,
                           noncelen, plaintext, plaintextlen, aad, aadlen)) {
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
}

static int decrypt_packet(uint8_t *dest, const ngtcp2_crypto_aead *aead,
                          const ngtcp2_crypto_aead_ctx *ctx, const uint8_t *ciphertext,
                          size_t ciphertextlen, const uint8_t *nonce, size_t noncelen,
                          const uint8_t *aad, size_t aadlen)
{
    size_t len;

    if (ciphertextlen < aead->max_overhead) {
        return NGTCP2_ERR_DECRYPT;
    }
    if (!EVP_AEAD_CTX_open(ctx->native_handle, dest, &len, ciphertextlen - aead->max_overhead,
                           nonce, noncelen, ciphertext, ciphertextlen, aad, aadlen)) {
        /* A forged packet is nobody's error; leave none in this thread's queue. */
        ERR_clear_error();
        return NGTCP2_ERR_DECRYPT;
    }
    return 0;
}

/* RFC 9001 sections 5.4.3 and 5.4.4 */
static int hp_mask(uint8_t *dest, const ngtcp2_crypto_cipher *hp,
                   const ngtcp2_crypto_cipher_ctx *ctx, const uint8_t *sample)
{
    static const uint8_t zeros[NGTCP2_HP_MASKLEN];
    const hp_key *key = ctx->native_handle;
    uint32_t counter;

    (void)hp;
    if (!key->chacha) {
        AES_encrypt(sample, dest, &key->key.aes);
        return 0;
    }
    counter = (uint32_t)sample[0] | (uint32_t)sample[1] << 8 | (uint32_t)sample[2] << 16
              | (uint32_t)sample[3] << 24;
    CRYPTO_chacha_20(dest, zeros, sizeof(zeros), key->key.chacha20, sample + 4, counter);
    return 0;
}

/* RFC 9001 section 6.1; the header protection key stays. */
static int update_key(ngtcp2_conn *conn, uint8_t *rx_secret, uint8_t *tx_secret,
                      ngtcp2_crypto_aead_ctx *rx_aead, uint8_t *rx_iv,
                      ngtcp2_crypto_aead_ctx *tx_aead, uint8_t *tx_iv, const uint8_t *old_rx_secret,
                      const uint8_t *old_tx_secret, size_t secretlen, void *user_data)
{
    const ngtcp2_crypto_ctx *ctx = ngtcp2_conn_get_crypto_ctx(conn);
    const quic_version *version = version_of(ngtcp2_conn_get_negotiated_version(conn));
    const EVP_AEAD *aead = ctx->aead.native_handle;
    const EVP_MD *md = ctx->md.native_handle;

    (void)user_data;
    if (!version
        || expand_label(rx_secret, secretlen, md, old_rx_secret, secretlen, version->ku) != 0
        || expand_label(tx_secret, secretlen, md, old_tx_secret, secretlen, version->ku) != 0
        || aead_new(rx_aead, rx_iv, version, aead, md, rx_secret, secretlen) != 0) {
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    if (aead_new(tx_aead, tx_iv, version, aead, md, tx_secret, secretlen) != 0) {
        delete_aead(conn, rx_aead, user_data);
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
}

static void delete_aead(ngtcp2_conn *conn, ngtcp2_crypto_aead_ctx *ctx, void *user_data)
{
    (void)conn;
    (void)user_data;
    EVP_AEAD_CTX_free(ctx->native_handle);
    ctx->native_handle = NULL;
}

static void delete_cipher(ngtcp2_conn *conn, ngtcp2_crypto_cipher_ctx *ctx, void *user_data)
{
    (void)conn;
    (void)user_data;
    if (ctx->native_handle) {
        OPENSSL_cleanse(ctx->native_handle, sizeof(hp_key));
        free(ctx->native_handle);
        ctx->native_handle = NULL;
    }
}

static int path_challenge_data(ngtcp2_conn *conn, ngtcp2_path_challenge_data *data, void *user_data)
{
    (void)conn;
    (void)user_data;
    quic_crypto_rand(data->data, sizeof(data->data));
    return 0;
}
