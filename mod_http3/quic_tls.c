/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <apr_errno.h>
#include <apr_file_io.h>
#include <apr_strings.h>

#include <openssl/base.h>
#include <openssl/cipher.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/hkdf.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/ssl.h>

#include "quic_cert.h"
#include "quic_crypto.h"
#include "quic_tls.h"

#define MAX_HOST_NAME 253 /* RFC 1035 section 2.3.4, in text form */
#define MAX_LABEL 63

/* A ticket's life. Its key is the parent's, so forward secrecy begins only after it. */
#define TICKET_SECONDS (24 * 60 * 60)

struct quic_tls_host {
    void *server;
    const char *groups;
    const quic_tls_ticket_keys *ticket_keys; /* NULL: no session is resumed */
    /* By key type, NULL where the host has none; `first` is the cheapest. */
    struct {
        quic_cert *cert;
        SSL_CTX *ctx;
    } slot[QUIC_CERT_TYPES];
    quic_cert_type first;
};

/* What hangs at an SSL beside its quic_crypto. */
typedef struct tls_state {
    quic_tls_find_host *find;
    void *baton;
    const quic_tls_host *host; /* NULL until chosen, and for good if refused */
    quic_cert_type type;
} tls_state;

static int state_index = -1; /* written once, before there are threads or children */

static apr_status_t free_host(void *data);
static apr_status_t load_certs(quic_tls_host *host, const quic_tls_host_spec *spec,
                               apr_pool_t *pool, const char **whose_fault);
static apr_status_t check_groups(const char *groups, apr_pool_t *pool, const char **whose_fault);
static SSL_CTX *make_ctx(const quic_cert *cert, const quic_tls_host_spec *spec);
static void free_state(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
                       void *argp);

static tls_state *state_of(const SSL *ssl);
static enum ssl_select_cert_result_t choose_host(const SSL_CLIENT_HELLO *hello);
static const char *normalise_name(char out[MAX_HOST_NAME + 1], const char *name);
static quic_cert_type choose_type(const quic_tls_host *host, const SSL_CLIENT_HELLO *hello);
static int judge_name(SSL *ssl, int *alert, void *arg);
static int choose_alpn(SSL *ssl, const uint8_t **out, uint8_t *outlen, const uint8_t *in,
                       unsigned int inlen, void *arg);
static int ticket_key(SSL *ssl, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher, HMAC_CTX *hmac,
                      int encrypt);

/* At configuration time. */

apr_status_t quic_tls_host_make(quic_tls_host **host, const quic_tls_host_spec *spec,
                                apr_pool_t *pool, const char **whose_fault)
{
    quic_tls_host *h = apr_pcalloc(pool, sizeof(*h));
    apr_status_t rv;
    int i;

    *host = NULL;
    if (state_index < 0) {
        state_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_state);
        if (state_index < 0) {
            return APR_ENOMEM;
        }
    }
    h->server = spec->server;
    h->groups = spec->groups;
    if (spec->tickets && spec->ticket_keys && spec->ticket_keys->nkeys > 0) {
        h->ticket_keys = spec->ticket_keys;
    }
    apr_pool_cleanup_register(pool, h, free_host, apr_pool_cleanup_null);
    rv = load_certs(h, spec, pool, whose_fault);
    if (rv == APR_SUCCESS && spec->groups) {
        rv = check_groups(spec->groups, pool, whose_fault);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    h->first = QUIC_CERT_TYPES;
    for (i = QUIC_CERT_TYPES; i-- > 0;) {
        if (!h->slot[i].cert) {
            continue;
        }
        h->first = (quic_cert_type)i;
        h->slot[i].ctx = make_ctx(h->slot[i].cert, spec);
        if (!h->slot[i].ctx) {
            *whose_fault = apr_psprintf(pool, "certificate of %s: %s", spec->name,
                                        ERR_reason_error_string(ERR_peek_error()));
            ERR_clear_error();
            return APR_EGENERAL;
        }
    }
    *host = h;
    return APR_SUCCESS;
}

static apr_status_t free_host(void *data)
{
    quic_tls_host *host = data;
    int i;

    for (i = 0; i < QUIC_CERT_TYPES; ++i) {
        SSL_CTX_free(host->slot[i].ctx);
    }
    return APR_SUCCESS;
}

static apr_status_t load_certs(quic_tls_host *host, const quic_tls_host_spec *spec,
                               apr_pool_t *pool, const char **whose_fault)
{
    const apr_array_header_t *keys = spec->key_files;
    const char *cert_file, *key_file;
    quic_cert *cert;
    apr_status_t rv;
    int i;

    for (i = 0; i < spec->cert_files->nelts; ++i) {
        cert_file = APR_ARRAY_IDX(spec->cert_files, i, const char *);
        key_file = keys && i < keys->nelts ? APR_ARRAY_IDX(keys, i, const char *) : NULL;
        rv = quic_cert_load(&cert, cert_file, key_file, spec->chain_file, pool, whose_fault);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        /* A later one of the same type replaces it, as in the server's TLS over TCP. */
        host->slot[cert->type].cert = cert;
    }
    if (spec->cert_files->nelts == 0) {
        *whose_fault = apr_psprintf(pool, "%s has no SSLCertificateFile", spec->name);
        return APR_EGENERAL;
    }
    return APR_SUCCESS;
}

/*
 * SSL_set_SSL_CTX does not carry the groups over, so each SSL gets its host's;
 * but a mistake in them is to be found now.
 */
static apr_status_t check_groups(const char *groups, apr_pool_t *pool, const char **whose_fault)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_with_buffers_method());
    int known = ctx && SSL_CTX_set1_curves_list(ctx, groups);

    SSL_CTX_free(ctx);
    ERR_clear_error();
    if (known) {
        return APR_SUCCESS;
    }
    *whose_fault = apr_psprintf(pool,
                                "SSLOpenSSLConfCmd Groups %s: HTTP/3 does not know all of "
                                "these groups",
                                groups);
    return APR_EGENERAL;
}

/*
 * All contexts are alike but for certificate and session-id context: which of
 * its callbacks follow an SSL to another context differs from one to the next.
 * Without X.509 method: a server that asks for no client certificate need not
 * carry verification parameters in every SSL.
 */
static SSL_CTX *make_ctx(const quic_cert *cert, const quic_tls_host_spec *spec)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_with_buffers_method());

    if (!ctx) {
        return NULL;
    }
    quic_crypto_ctx_init(ctx);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_psk_dhe_timeout(ctx, TICKET_SECONDS);
    SSL_CTX_set_select_certificate_cb(ctx, choose_host);
    SSL_CTX_set_tlsext_servername_callback(ctx, judge_name);
    SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
    SSL_CTX_set_tlsext_ticket_key_cb(ctx, ticket_key);
    if (!SSL_CTX_set_chain_and_key(ctx, cert->chain, cert->chain_len, cert->key, NULL)
        || !SSL_CTX_set_session_id_context(ctx, spec->sid_ctx, spec->sid_ctx_len)) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

void *quic_tls_host_server(const quic_tls_host *host)
{
    return host->server;
}

const char *quic_tls_host_cert_pem(const quic_tls_host *host, const struct ssl_st *ssl,
                                   apr_pool_t *pool)
{
    const tls_state *state = ssl ? state_of(ssl) : NULL;
    quic_cert_type type = state && state->host == host ? state->type : host->first;

    return apr_pstrdup(pool, host->slot[type].cert->pem);
}

const char *quic_tls_server_var(const quic_tls_host *host, const char *name, apr_pool_t *pool)
{
    return quic_cert_var(host->slot[host->first].cert, name, pool);
}

/* A connection's life. */

struct ssl_st *quic_tls_new(const quic_tls_host *any_host, quic_tls_find_host *find, void *baton)
{
    tls_state *state = calloc(1, sizeof(*state));
    SSL *ssl = SSL_new(any_host->slot[any_host->first].ctx);

    if (!state || !ssl || !SSL_set_ex_data(ssl, state_index, state)) {
        free(state);
        SSL_free(ssl);
        return NULL;
    }
    state->find = find;
    state->baton = baton;
    SSL_set_accept_state(ssl);
    SSL_set_shed_handshake_config(ssl, 1);
    return ssl;
}

void quic_tls_free(struct ssl_st *ssl)
{
    SSL_free(ssl);
}

static void free_state(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
                       void *argp)
{
    (void)parent;
    (void)ad;
    (void)index;
    (void)argl;
    (void)argp;
    free(ptr);
}

static tls_state *state_of(const SSL *ssl)
{
    return SSL_get_ex_data(ssl, state_index);
}

const quic_tls_host *quic_tls_host_of(const struct ssl_st *ssl)
{
    return state_of(ssl)->host;
}

/*
 * Runs once per connection, before anything in the ClientHello is decided. What
 * it refuses is refused by judge_name, which can choose the alert.
 */
static enum ssl_select_cert_result_t choose_host(const SSL_CLIENT_HELLO *hello)
{
    SSL *ssl = hello->ssl;
    tls_state *state = state_of(ssl);
    const char *sent = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name), *name = NULL;
    char buf[MAX_HOST_NAME + 1];

    if (sent) {
        name = normalise_name(buf, sent);
        if (!name) {
            return ssl_select_cert_success;
        }
    }
    state->host = state->find(state->baton, name);
    if (!state->host) {
        return ssl_select_cert_success;
    }
    state->type = choose_type(state->host, hello);
    if (!SSL_set_SSL_CTX(ssl, state->host->slot[state->type].ctx)) {
        return ssl_select_cert_error;
    }
    if (!state->host->ticket_keys) {
        SSL_set_options(ssl, SSL_OP_NO_TICKET);
    }
    if (state->host->groups && !SSL_set1_curves_list(ssl, state->host->groups)) {
        return ssl_select_cert_error;
    }
    return ssl_select_cert_success;
}

/*
 * Lower case and without the root's dot, or NULL if `name` is no host name of
 * letters, digits, hyphens and, as the DNS is used, underscores. An IPv4 address
 * passes and finds what the caller has for it; RFC 6066 section 3 has none.
 */
static const char *normalise_name(char out[MAX_HOST_NAME + 1], const char *name)
{
    size_t len = strlen(name), i, label = 0;
    char c;

    if (len > 0 && name[len - 1] == '.') {
        --len;
    }
    if (len == 0 || len > MAX_HOST_NAME) {
        return NULL;
    }
    for (i = 0; i < len; ++i) {
        c = name[i] >= 'A' && name[i] <= 'Z' ? name[i] + ('a' - 'A') : name[i];
        out[i] = c;
        if (c == '.') {
            if (label == 0) {
                return NULL;
            }
            label = 0;
        }
        else if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')
                 || ++label > MAX_LABEL) {
            return NULL;
        }
    }
    out[len] = '\0';
    return label > 0 ? out : NULL;
}

/* If none fits, TLS finds that out itself and says so with handshake_failure. */
static quic_cert_type choose_type(const quic_tls_host *host, const SSL_CLIENT_HELLO *hello)
{
    const uint8_t *schemes;
    size_t len;
    int i;

    if (!SSL_early_callback_ctx_extension_get(hello, TLSEXT_TYPE_signature_algorithms, &schemes,
                                              &len)) {
        return host->first;
    }
    for (i = 0; i < QUIC_CERT_TYPES; ++i) {
        if (host->slot[i].cert && quic_cert_fits(host->slot[i].cert, schemes, len)) {
            return (quic_cert_type)i;
        }
    }
    return host->first;
}

/* Called with and without a server_name extension. RFC 6066 section 3 */
static int judge_name(SSL *ssl, int *alert, void *arg)
{
    (void)arg;
    if (state_of(ssl)->host) {
        return SSL_TLSEXT_ERR_OK;
    }
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Without the extension BoringSSL refuses by itself: RFC 9001 section 8.1. */
static int choose_alpn(SSL *ssl, const uint8_t **out, uint8_t *outlen, const uint8_t *in,
                       unsigned int inlen, void *arg)
{
    static const uint8_t h3[] = { 'h', '3' };
    const uint8_t *end = in + inlen;

    (void)ssl;
    (void)arg;
    for (; in < end; in += 1 + in[0]) {
        if (in[0] == sizeof(h3) && memcmp(in + 1, h3, sizeof(h3)) == 0) {
            *out = h3;
            *outlen = sizeof(h3);
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL; /* no_application_protocol */
}

void quic_tls_get_info(const struct ssl_st *ssl, quic_tls_info *info, apr_pool_t *pool)
{
    static const char hex[] = "0123456789abcdef";
    const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
    const char *sent = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    uint16_t group = SSL_get_curve_id(ssl);
    char name[MAX_HOST_NAME + 1];
    const uint8_t *id;
    unsigned int len, i;

    memset(info, 0, sizeof(*info));
    info->protocol = SSL_get_version(ssl);
    info->cipher = SSL_CIPHER_standard_name(cipher);
    info->cipher_bits = SSL_CIPHER_get_bits(cipher, NULL);
    info->group = group ? SSL_get_curve_name(group) : NULL;
    info->sni = sent ? apr_pstrdup(pool, normalise_name(name, sent)) : NULL;
    info->resumed = SSL_session_reused(ssl);
    info->host = quic_tls_host_of(ssl);
    id = SSL_SESSION_get_id(SSL_get_session(ssl), &len);
    for (i = 0; i < len && i < (sizeof(info->session_id) - 1) / 2; ++i) {
        info->session_id[2 * i] = hex[id[i] >> 4];
        info->session_id[2 * i + 1] = hex[id[i] & 15];
    }
}

/* Tickets. RFC 5077 section 4's construction, as BoringSSL's callback wants it. */

static int ticket_key(SSL *ssl, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher, HMAC_CTX *hmac,
                      int encrypt)
{
    const quic_tls_ticket_keys *keys = state_of(ssl)->host->ticket_keys;
    int i = 0;

    if (encrypt) {
        memcpy(name, keys->key[0].name, sizeof(keys->key[0].name));
        quic_crypto_rand(iv, EVP_CIPHER_iv_length(EVP_aes_256_cbc()));
    }
    else {
        while (i < keys->nkeys && memcmp(name, keys->key[i].name, sizeof(keys->key[i].name)) != 0) {
            ++i;
        }
        if (i == keys->nkeys) {
            return 0;
        }
    }
    if (!EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, keys->key[i].aes_key, iv, encrypt)
        || !HMAC_Init_ex(hmac, keys->key[i].hmac_key, sizeof(keys->key[i].hmac_key), EVP_sha256(),
                         NULL)) {
        return -1;
    }
    return 1;
}

void quic_tls_ticket_keys_make(quic_tls_ticket_keys *keys)
{
    memset(keys, 0, sizeof(*keys));
    quic_crypto_rand((uint8_t *)&keys->key[0], sizeof(keys->key[0]));
    keys->nkeys = 1;
}

apr_status_t quic_tls_ticket_keys_load(quic_tls_ticket_keys *keys, const char *file,
                                       apr_pool_t *pool, const char **whose_fault)
{
    static const char info[] = "mod_http3 session tickets";
    uint8_t data[80 + 1], derived[64];
    apr_size_t len = 0;
    apr_file_t *f;
    char buf[256];
    apr_status_t rv =
        apr_file_open(&f, file, APR_FOPEN_READ | APR_FOPEN_BINARY, APR_FPROT_OS_DEFAULT, pool);

    if (rv == APR_SUCCESS) {
        rv = apr_file_read_full(f, data, sizeof(data), &len);
        apr_file_close(f);
    }
    if (rv != APR_SUCCESS && rv != APR_EOF) {
        *whose_fault = apr_psprintf(pool, "SSLSessionTicketKeyFile %s: %s", file,
                                    apr_strerror(rv, buf, sizeof(buf)));
        return rv;
    }
    if (len != 48 && len != 80) {
        OPENSSL_cleanse(data, sizeof(data));
        *whose_fault =
            apr_psprintf(pool, "SSLSessionTicketKeyFile %s: must be 48 or 80 bytes long", file);
        return APR_EGENERAL;
    }
    /* Keys of its own: what TLS over TCP sealed with this file must not even open here. */
    if (!HKDF(derived, sizeof(derived), EVP_sha256(), data + 16, len - 16, data, 16,
              (const uint8_t *)info, sizeof(info) - 1)) {
        OPENSSL_cleanse(data, sizeof(data));
        *whose_fault = apr_psprintf(pool, "SSLSessionTicketKeyFile %s: out of memory", file);
        return APR_ENOMEM;
    }
    memset(keys, 0, sizeof(*keys));
    memcpy(keys->key[0].name, data, sizeof(keys->key[0].name));
    memcpy(keys->key[0].hmac_key, derived, sizeof(keys->key[0].hmac_key));
    memcpy(keys->key[0].aes_key, derived + 32, sizeof(keys->key[0].aes_key));
    keys->nkeys = 1;
    OPENSSL_cleanse(data, sizeof(data));
    OPENSSL_cleanse(derived, sizeof(derived));
    return APR_SUCCESS;
}
