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

#include "tls/quic_keys.h"

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
    uint16_t number; /* RFC 8446 section B.4 */
    const EVP_AEAD *(*aead)(void);
    const EVP_MD *(*md)(void);
    int hp_chacha;
    uint64_t max_encryption; /* RFC 9001 section 6.6, as is the next */
    uint64_t max_decryption_failure;
} quic_suite;

static const quic_suite suites[] = {
    { 0x1301, EVP_aead_aes_128_gcm, EVP_sha256, 0, 1ULL << 23, 1ULL << 52 },
    { 0x1302, EVP_aead_aes_256_gcm, EVP_sha384, 0, 1ULL << 23, 1ULL << 52 },
    { 0x1303, EVP_aead_chacha20_poly1305, EVP_sha256, 1, 1ULL << 62, 1ULL << 36 },
};

/* Of Initial packets, whatever TLS negotiates. RFC 9001 section 5.2 */
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
static const quic_suite *suite_of(uint16_t number);
static int expand_label(uint8_t *out, size_t outlen, const EVP_MD *md, const uint8_t *secret,
                        size_t secretlen, const char *label);
static int aead_new(ngtcp2_crypto_aead_ctx *ctx, uint8_t iv[IV_LEN], const quic_version *version,
                    const EVP_AEAD *aead, const EVP_MD *md, const uint8_t *secret,
                    size_t secretlen);
static void aead_free(ngtcp2_crypto_aead_ctx *ctx);
static int hp_new(ngtcp2_crypto_cipher_ctx *ctx, const quic_version *version,
                  const quic_suite *suite, const uint8_t *secret, size_t secretlen);
static void hp_free(ngtcp2_crypto_cipher_ctx *ctx);
static int protection_new(protection *p, const quic_version *version, const quic_suite *suite,
                          const uint8_t *secret, size_t secretlen);
static void protection_free(protection *p);
static int initial_new(protection *client, protection *server, const quic_version *version,
                       const ngtcp2_cid *dcid);
static void describe_suite(ngtcp2_crypto_ctx *ctx, const quic_suite *suite);

static int install_initial(ngtcp2_conn *conn, const ngtcp2_cid *dcid);
static int install_retry(ngtcp2_conn *conn);
typedef int install_handshake_fn(ngtcp2_conn *, const ngtcp2_crypto_aead_ctx *, const uint8_t *,
                                 size_t, const ngtcp2_crypto_cipher_ctx *);
typedef int install_1rtt_fn(ngtcp2_conn *, const uint8_t *, size_t, const ngtcp2_crypto_aead_ctx *,
                            const uint8_t *, size_t, const ngtcp2_crypto_cipher_ctx *);

static int install(ngtcp2_conn *conn, ngtcp2_encryption_level level, uint16_t suite,
                   const uint8_t *secret, size_t secretlen, install_handshake_fn *install_handshake,
                   install_1rtt_fn *install_1rtt);
static int secret_new(protection *p, ngtcp2_conn *conn, uint16_t number, const uint8_t *secret,
                      size_t secretlen);

static int on_recv_client_initial(ngtcp2_conn *conn, const ngtcp2_cid *dcid, void *user_data);
static int on_recv_retry(ngtcp2_conn *conn, const ngtcp2_pkt_hd *hd, void *user_data);
static int on_version_negotiation(ngtcp2_conn *conn, uint32_t number, const ngtcp2_cid *client_dcid,
                                  void *user_data);
static int on_encrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead,
                      const ngtcp2_crypto_aead_ctx *ctx, const uint8_t *plaintext,
                      size_t plaintextlen, const uint8_t *nonce, size_t noncelen,
                      const uint8_t *aad, size_t aadlen);
static int on_decrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead,
                      const ngtcp2_crypto_aead_ctx *ctx, const uint8_t *ciphertext,
                      size_t ciphertextlen, const uint8_t *nonce, size_t noncelen,
                      const uint8_t *aad, size_t aadlen);
static int on_hp_mask(uint8_t *dest, const ngtcp2_crypto_cipher *hp,
                      const ngtcp2_crypto_cipher_ctx *ctx, const uint8_t *sample);
static int on_update_key(ngtcp2_conn *conn, uint8_t *rx_secret, uint8_t *tx_secret,
                         ngtcp2_crypto_aead_ctx *rx_aead, uint8_t *rx_iv,
                         ngtcp2_crypto_aead_ctx *tx_aead, uint8_t *tx_iv,
                         const uint8_t *old_rx_secret, const uint8_t *old_tx_secret,
                         size_t secretlen, void *user_data);
static void on_delete_aead(ngtcp2_conn *conn, ngtcp2_crypto_aead_ctx *ctx, void *user_data);
static void on_delete_cipher(ngtcp2_conn *conn, ngtcp2_crypto_cipher_ctx *ctx, void *user_data);
static int on_get_path_challenge_data(ngtcp2_conn *conn, ngtcp2_path_challenge_data *data,
                                      void *user_data);

void quic_keys_callbacks(ngtcp2_callbacks *cb)
{
    cb->recv_client_initial = on_recv_client_initial;
    cb->recv_retry = on_recv_retry;
    cb->version_negotiation = on_version_negotiation;
    cb->encrypt = on_encrypt;
    cb->decrypt = on_decrypt;
    cb->hp_mask = on_hp_mask;
    cb->update_key = on_update_key;
    cb->delete_crypto_aead_ctx = on_delete_aead;
    cb->delete_crypto_cipher_ctx = on_delete_cipher;
    cb->get_path_challenge_data2 = on_get_path_challenge_data;
}

/* ---- from a secret to keys ---- */

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

static const quic_suite *suite_of(uint16_t number)
{
    size_t i;

    for (i = 0; i < sizeof(suites) / sizeof(suites[0]); ++i) {
        if (suites[i].number == number) {
            return &suites[i];
        }
    }
    return NULL;
}

/* HKDF-Expand-Label with an empty context. RFC 8446 section 7.1 */
static int expand_label(uint8_t *out, size_t outlen, const EVP_MD *md, const uint8_t *secret,
                        size_t secretlen, const char *label)
{
    static const char prefix[] = "tls13 ";
    const size_t prefixlen = sizeof(prefix) - 1;
    size_t labellen = strlen(label);
    uint8_t info[2 + 1 + 255 + 1]; /* struct HkdfLabel */

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

static void aead_free(ngtcp2_crypto_aead_ctx *ctx)
{
    EVP_AEAD_CTX_free(ctx->native_handle);
    ctx->native_handle = NULL;
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

static void hp_free(ngtcp2_crypto_cipher_ctx *ctx)
{
    if (ctx->native_handle) {
        OPENSSL_cleanse(ctx->native_handle, sizeof(hp_key));
        free(ctx->native_handle);
        ctx->native_handle = NULL;
    }
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
    aead_free(&p->aead);
    hp_free(&p->hp);
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

/* ---- into a connection ---- */

int quic_keys_install_client_initial(ngtcp2_conn *conn)
{
    if (install_initial(conn, ngtcp2_conn_get_dcid(conn)) != 0) {
        return -1;
    }
    return install_retry(conn);
}

static int install_initial(ngtcp2_conn *conn, const ngtcp2_cid *dcid)
{
    const quic_version *version = version_of(ngtcp2_conn_get_client_chosen_version(conn));
    protection client, server, *rx = &client, *tx = &server;
    ngtcp2_crypto_ctx ctx;

    if (!version || initial_new(&client, &server, version, dcid) != 0) {
        return -1;
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
        return -1;
    }
    return 0;
}

/* A client checks the integrity tag of a Retry with this. RFC 9001 section 5.8 */
static int install_retry(ngtcp2_conn *conn)
{
    const quic_version *version = version_of(ngtcp2_conn_get_client_chosen_version(conn));
    const EVP_AEAD *gcm = EVP_aead_aes_128_gcm();
    ngtcp2_crypto_aead aead = { (void *)gcm, EVP_AEAD_max_overhead(gcm) };
    ngtcp2_crypto_aead_ctx ctx;

    if (!version) {
        return -1;
    }
    ctx.native_handle = EVP_AEAD_CTX_new(gcm, (const uint8_t *)version->retry_key,
                                         EVP_AEAD_key_length(gcm), EVP_AEAD_DEFAULT_TAG_LENGTH);
    if (!ctx.native_handle) {
        return -1;
    }
    ngtcp2_conn_set_retry_aead(conn, &aead, &ctx);
    return 0;
}

int quic_keys_install_rx(ngtcp2_conn *conn, ngtcp2_encryption_level level, uint16_t suite,
                         const uint8_t *secret, size_t secretlen)
{
    return install(conn, level, suite, secret, secretlen, ngtcp2_conn_install_rx_handshake_key,
                   ngtcp2_conn_install_rx_key);
}

int quic_keys_install_tx(ngtcp2_conn *conn, ngtcp2_encryption_level level, uint16_t suite,
                         const uint8_t *secret, size_t secretlen)
{
    return install(conn, level, suite, secret, secretlen, ngtcp2_conn_install_tx_handshake_key,
                   ngtcp2_conn_install_tx_key);
}

/* In one direction, by one of ngtcp2's two functions for it. */
static int install(ngtcp2_conn *conn, ngtcp2_encryption_level level, uint16_t suite,
                   const uint8_t *secret, size_t secretlen, install_handshake_fn *install_handshake,
                   install_1rtt_fn *install_1rtt)
{
    protection p;
    int rv;

    if (secret_new(&p, conn, suite, secret, secretlen) != 0) {
        return -1;
    }
    if (level == NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE) {
        rv = install_handshake(conn, &p.aead, p.iv, IV_LEN, &p.hp);
    }
    else {
        rv = install_1rtt(conn, secret, secretlen, &p.aead, p.iv, IV_LEN, &p.hp);
    }
    if (rv != 0) {
        protection_free(&p);
        return -1;
    }
    return 0;
}

/* One direction's protection, by the connection's version and the suite that TLS has chosen. */
static int secret_new(protection *p, ngtcp2_conn *conn, uint16_t number, const uint8_t *secret,
                      size_t secretlen)
{
    const quic_version *version = version_of(ngtcp2_conn_get_negotiated_version(conn));
    const quic_suite *suite = suite_of(number);
    ngtcp2_crypto_ctx ctx;

    if (!version || !suite) {
        return -1;
    }
    if (!ngtcp2_conn_get_crypto_ctx(conn)->aead.native_handle) {
        describe_suite(&ctx, suite);
        ngtcp2_conn_set_crypto_ctx(conn, &ctx);
    }
    return protection_new(p, version, suite, secret, secretlen);
}

/* ---- ngtcp2's callbacks, in the order of a connection's life ---- */

static int on_recv_client_initial(ngtcp2_conn *conn, const ngtcp2_cid *dcid, void *user_data)
{
    (void)user_data;
    return install_initial(conn, dcid) == 0 ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
}

static int on_recv_retry(ngtcp2_conn *conn, const ngtcp2_pkt_hd *hd, void *user_data)
{
    (void)user_data;
    return install_initial(conn, &hd->scid) == 0 ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
}

/* The first Initial's keys stay beside those of the new version. RFC 9368 section 2.3 */
static int on_version_negotiation(ngtcp2_conn *conn, uint32_t number, const ngtcp2_cid *client_dcid,
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

static int on_encrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead,
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

static int on_decrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead,
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
        /* A forged packet is no error of ours: leave none in this thread's queue. */
        ERR_clear_error();
        return NGTCP2_ERR_DECRYPT;
    }
    return 0;
}

/* RFC 9001 sections 5.4.3 and 5.4.4 */
static int on_hp_mask(uint8_t *dest, const ngtcp2_crypto_cipher *hp,
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
static int on_update_key(ngtcp2_conn *conn, uint8_t *rx_secret, uint8_t *tx_secret,
                         ngtcp2_crypto_aead_ctx *rx_aead, uint8_t *rx_iv,
                         ngtcp2_crypto_aead_ctx *tx_aead, uint8_t *tx_iv,
                         const uint8_t *old_rx_secret, const uint8_t *old_tx_secret,
                         size_t secretlen, void *user_data)
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
        aead_free(rx_aead);
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
}

static void on_delete_aead(ngtcp2_conn *conn, ngtcp2_crypto_aead_ctx *ctx, void *user_data)
{
    (void)conn;
    (void)user_data;
    aead_free(ctx);
}

static void on_delete_cipher(ngtcp2_conn *conn, ngtcp2_crypto_cipher_ctx *ctx, void *user_data)
{
    (void)conn;
    (void)user_data;
    hp_free(ctx);
}

static int on_get_path_challenge_data(ngtcp2_conn *conn, ngtcp2_path_challenge_data *data,
                                      void *user_data)
{
    (void)conn;
    (void)user_data;
    quic_keys_rand(data->data, sizeof(data->data));
    return 0;
}

/* ---- without a connection ---- */

long quic_keys_initial_close(uint8_t *dest, size_t destlen, uint32_t version,
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
                                            on_encrypt, &ctx.aead, &server.aead, server.iv,
                                            on_hp_mask, &ctx.hp, &server.hp);
    protection_free(&client);
    protection_free(&server);
    return len < 0 ? -1 : (long)len;
}

int quic_keys_hmac(uint8_t out[32], const uint8_t *key, size_t keylen, const uint8_t *data,
                   size_t datalen)
{
    unsigned int len;

    return HMAC(EVP_sha256(), key, keylen, data, datalen, out, &len) != NULL ? 0 : -1;
}

void quic_keys_rand(uint8_t *out, size_t len)
{
    /* BoringSSL aborts the process rather than return without entropy, and notices a fork. */
    RAND_bytes(out, len);
}
