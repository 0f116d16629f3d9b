/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

#include "tls/quic_cert.h"
#include "tls/quic_cert_var.h"
#include "tls/quic_crypto.h"
#include "tls/quic_keys.h"
#include "tls/quic_tls.h"

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

/* What an SSL carries besides its quic_crypto. */
typedef struct tls_state {
    quic_tls_find_host *find;
    void *baton;
    const quic_tls_host *host; /* NULL until chosen, and for good if refused */
} tls_state;

/* The groups that BoringSSL has, by the names that OpenSSL may give them. */
static const struct {
    const char *openssl, *boringssl;
} group_names[] = {
    { "X25519", "X25519" },   { "P-256", "P-256" },     { "prime256v1", "P-256" },
    { "secp256r1", "P-256" }, { "P-384", "P-384" },     { "secp384r1", "P-384" },
    { "P-521", "P-521" },     { "secp521r1", "P-521" },
};

static int state_index = -1; /* written once, before there are threads or children */

static apr_status_t free_host(void *data);
static apr_status_t load_certs(quic_tls_host *host, const quic_tls_host_plan *plan,
                               apr_pool_t *pool, const char **whose_fault);
static apr_status_t check_groups(const char *groups, apr_pool_t *pool, const char **whose_fault);
static SSL_CTX *make_ctx(const quic_cert *cert, const quic_tls_host_plan *plan);

static tls_state *state_of(const SSL *ssl);
static const char *normalise_name(char out[MAX_HOST_NAME + 1], const char *name);
static quic_cert_type choose_type(const quic_tls_host *host, const SSL_CLIENT_HELLO *hello);
static void get_session_id(const SSL *ssl, char id[65]);

static enum ssl_select_cert_result_t tls_choose_host(const SSL_CLIENT_HELLO *hello);
static int tls_judge_name(SSL *ssl, int *alert, void *arg);
static int tls_choose_alpn(SSL *ssl, const uint8_t **out, uint8_t *outlen, const uint8_t *in,
                           unsigned int inlen, void *arg);
static int tls_ticket_key(SSL *ssl, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher,
                          HMAC_CTX *hmac, int encrypt);
static void tls_free_state(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
                           void *argp);

/* ---- at configuration time ---- */

const char *quic_tls_groups(const char *openssl, apr_pool_t *pool)
{
    char *list = apr_pstrdup(pool, openssl), *last;
    const char *group, *groups = NULL;
    size_t i;

    for (group = apr_strtok(list, ":", &last); group; group = apr_strtok(NULL, ":", &last)) {
        /* "If known" and "send a key share": both mean allowed. */
        group += *group == '?' || *group == '*';
        if (strpbrk(group, "/-") && strncasecmp(group, "P-", 2) != 0) {
            return NULL;
        }
        for (i = 0; i < sizeof(group_names) / sizeof(group_names[0]); ++i) {
            if (strcasecmp(group, group_names[i].openssl) == 0) {
                const char *name = group_names[i].boringssl;

                groups = groups ? apr_pstrcat(pool, groups, ":", name, NULL) : name;
                break;
            }
        }
    }
    return groups;
}

apr_status_t quic_tls_host_make(quic_tls_host **host, const quic_tls_host_plan *plan,
                                apr_pool_t *pool, const char **whose_fault)
{
    quic_tls_host *h = apr_pcalloc(pool, sizeof(*h));
    apr_status_t rv;
    int i;

    *host = NULL;
    if (state_index < 0) {
        state_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, tls_free_state);
        if (state_index < 0) {
            return APR_ENOMEM;
        }
    }
    h->server = plan->server;
    h->groups = plan->groups;
    if (plan->tickets && plan->ticket_keys && plan->ticket_keys->nkeys > 0) {
        h->ticket_keys = plan->ticket_keys;
    }
    apr_pool_cleanup_register(pool, h, free_host, apr_pool_cleanup_null);
    rv = load_certs(h, plan, pool, whose_fault);
    if (rv == APR_SUCCESS && plan->groups) {
        rv = check_groups(plan->groups, pool, whose_fault);
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
        h->slot[i].ctx = make_ctx(h->slot[i].cert, plan);
        if (!h->slot[i].ctx) {
            const char *reason = ERR_reason_error_string(ERR_peek_error());

            *whose_fault = apr_psprintf(pool, "certificate of %s: %s", plan->name,
                                        reason ? reason : "unknown reason");
            ERR_clear_error();
            return APR_ENOTIMPL; /* whole and fitting: OpenSSL may take it */
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

static apr_status_t load_certs(quic_tls_host *host, const quic_tls_host_plan *plan,
                               apr_pool_t *pool, const char **whose_fault)
{
    const apr_array_header_t *keys = plan->key_files;
    const char *cert_file, *key_file;
    quic_cert *cert;
    apr_status_t rv;
    int i;

    for (i = 0; i < plan->cert_files->nelts; ++i) {
        cert_file = APR_ARRAY_IDX(plan->cert_files, i, const char *);
        key_file = keys && i < keys->nelts ? APR_ARRAY_IDX(keys, i, const char *) : NULL;
        rv = quic_cert_load(&cert, cert_file, key_file, plan->chain_file, pool, whose_fault);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        /* A later one of the same type replaces it, as in the server's TLS over TCP. */
        host->slot[cert->type].cert = cert;
    }
    if (plan->cert_files->nelts == 0) {
        *whose_fault = apr_psprintf(pool, "%s has no SSLCertificateFile", plan->name);
        return APR_EGENERAL;
    }
    return APR_SUCCESS;
}

/*
 * SSL_set_SSL_CTX does not carry the groups over, so each SSL is given its host's later; but a
 * mistake in them is to be found now.
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
 * All contexts are alike but for the certificate and the session-ID context, because some callbacks
 * follow an SSL to another context and some do not. They have no X.509 method: a server that asks
 * for no client certificate need not carry verification parameters in every SSL.
 */
static SSL_CTX *make_ctx(const quic_cert *cert, const quic_tls_host_plan *plan)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_with_buffers_method());

    if (!ctx || quic_crypto_ctx_init(ctx) != 0) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_psk_dhe_timeout(ctx, TICKET_SECONDS);
    SSL_CTX_set_select_certificate_cb(ctx, tls_choose_host);
    SSL_CTX_set_alpn_select_cb(ctx, tls_choose_alpn, NULL);
    if (!SSL_CTX_set_tlsext_servername_callback(ctx, tls_judge_name)
        || !SSL_CTX_set_tlsext_ticket_key_cb(ctx, tls_ticket_key)
        || !SSL_CTX_set_chain_and_key(ctx, cert->chain, cert->chain_len, cert->key, NULL)
        || !SSL_CTX_set_session_id_context(ctx, plan->sid_ctx, plan->sid_ctx_len)) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

void *quic_tls_host_server(const quic_tls_host *host)
{
    return host->server;
}

const char *quic_tls_server_var(const quic_tls_host *host, const char *name, apr_pool_t *pool)
{
    return quic_cert_var(host->slot[host->first].cert, name, pool);
}

/* ---- one connection ---- */

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

static tls_state *state_of(const SSL *ssl)
{
    return SSL_get_ex_data(ssl, state_index);
}

const quic_tls_host *quic_tls_host_of(const struct ssl_st *ssl)
{
    return state_of(ssl)->host;
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

int quic_tls_is_resumed(const struct ssl_st *ssl)
{
    return SSL_session_reused(ssl);
}

void quic_tls_get_info(const struct ssl_st *ssl, quic_tls_info *info, apr_pool_t *pool)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
    const char *sent = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    uint16_t group = SSL_get_curve_id(ssl);
    char name[MAX_HOST_NAME + 1];

    memset(info, 0, sizeof(*info));
    info->protocol = SSL_get_version(ssl);
    info->cipher = SSL_CIPHER_standard_name(cipher);
    info->cipher_bits = SSL_CIPHER_get_bits(cipher, NULL);
    info->group = group ? SSL_get_curve_name(group) : NULL;
    info->sni = sent ? apr_pstrdup(pool, normalise_name(name, sent)) : NULL;
    info->resumed = quic_tls_is_resumed(ssl);
    info->host = quic_tls_host_of(ssl);
    get_session_id(ssl, info->session_id);
}

/*
 * In TLS 1.3 a server's session has no ID, but conditions and scripts ask for one, and OpenSSL
 * makes one up. Ours is keying material that is exported from this session, so no other one has it
 * (RFC 8446 section 7.5).
 */
static void get_session_id(const SSL *ssl, char id[65])
{
    static const char label[] = "EXPORTER-mod_http3-session-id", hex[] = "0123456789abcdef";
    uint8_t bytes[32];
    size_t i;

    if (!SSL_export_keying_material((SSL *)ssl, bytes, sizeof(bytes), label, sizeof(label) - 1,
                                    NULL, 0, 0)) {
        id[0] = '\0';
        return;
    }
    for (i = 0; i < sizeof(bytes); ++i) {
        id[2 * i] = hex[bytes[i] >> 4];
        id[2 * i + 1] = hex[bytes[i] & 15];
    }
    id[64] = '\0';
}

/* ---- TLS's callbacks, in the order of a handshake ---- */

/*
 * Runs once per connection, before anything in the ClientHello is decided. What
 * it refuses is refused by tls_judge_name, which can choose the alert.
 */
static enum ssl_select_cert_result_t tls_choose_host(const SSL_CLIENT_HELLO *hello)
{
    SSL *ssl = hello->ssl;
    tls_state *state = state_of(ssl);
    const char *sent = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name), *name = NULL;
    char buf[MAX_HOST_NAME + 1];
    quic_cert_type type;

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
    type = choose_type(state->host, hello);
    if (!SSL_set_SSL_CTX(ssl, state->host->slot[type].ctx)) {
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

/* Called with and without a server_name extension. RFC 6066 section 3 */
static int tls_judge_name(SSL *ssl, int *alert, void *arg)
{
    (void)arg;
    if (state_of(ssl)->host) {
        return SSL_TLSEXT_ERR_OK;
    }
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Without the extension TLS refuses by itself. RFC 9001 section 8.1 */
static int tls_choose_alpn(SSL *ssl, const uint8_t **out, uint8_t *outlen, const uint8_t *in,
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

/*
 * Seals a ticket or opens one: 1, 0 if no key of ours has sealed it, -1 on failure. Constructed as
 * in RFC 5077 section 4.
 */
static int tls_ticket_key(SSL *ssl, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher,
                          HMAC_CTX *hmac, int encrypt)
{
    const quic_tls_ticket_keys *keys = state_of(ssl)->host->ticket_keys;
    int i = 0;

    if (encrypt) {
        memcpy(name, keys->key[0].name, sizeof(keys->key[0].name));
        quic_keys_rand(iv, EVP_CIPHER_iv_length(EVP_aes_256_cbc()));
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

static void tls_free_state(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
                           void *argp)
{
    (void)parent;
    (void)ad;
    (void)index;
    (void)argl;
    (void)argp;
    free(ptr);
}

/* ---- ticket keys ---- */

void quic_tls_ticket_keys_make(quic_tls_ticket_keys *keys)
{
    memset(keys, 0, sizeof(*keys));
    quic_keys_rand((uint8_t *)&keys->key[0], sizeof(keys->key[0]));
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
    /* Separate keys: a ticket that TLS over TCP has sealed with this file must not open here. */
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
