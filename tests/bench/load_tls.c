/* SPDX-License-Identifier: Apache-2.0 */
#include "load_tls.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include "../../mod_http3/tls/quic_crypto.h"

#define SESSION_MAX 65536

/* Read once at the start; one client has one session file. */
static SSL_SESSION *session;
static const char *session_path;

static void load_session(SSL_CTX *ctx)
{
    uint8_t *bytes = malloc(SESSION_MAX);
    FILE *f = fopen(session_path, "rb");

    if (f && bytes) {
        session = SSL_SESSION_from_bytes(bytes, fread(bytes, 1, SESSION_MAX, f), ctx);
        ERR_clear_error();
    }
    if (f) {
        fclose(f);
    }
    free(bytes);
}

static int keep_session(SSL *ssl, SSL_SESSION *fresh)
{
    uint8_t *bytes;
    size_t len;
    FILE *f;

    (void)ssl;
    if (!SSL_SESSION_to_bytes(fresh, &bytes, &len)) {
        return 0;
    }
    f = fopen(session_path, "wb");
    if (!f || fwrite(bytes, 1, len, f) != len) {
        fprintf(stderr, "h3load: cannot write %s\n", session_path);
    }
    if (f) {
        fclose(f);
    }
    OPENSSL_free(bytes);
    return 0;
}

SSL_CTX *load_tls_ctx(const load_opts *o)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());

    if (!ctx || quic_crypto_ctx_init(ctx)) {
        fprintf(stderr, "h3load: no TLS context\n");
        SSL_CTX_free(ctx);
        return NULL;
    }
    if (o->cacert) {
        if (!SSL_CTX_load_verify_locations(ctx, o->cacert, NULL)) {
            fprintf(stderr, "h3load: no certificates in %s\n", o->cacert);
            SSL_CTX_free(ctx);
            return NULL;
        }
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    }
    if (o->session_file) {
        session_path = o->session_file;
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(ctx, keep_session);
        load_session(ctx);
    }
    return ctx;
}

static int is_address(const char *name)
{
    uint8_t bytes[16];

    return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

static int expect_name(SSL *ssl, const char *name)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

    if (is_address(name)) {
        return X509_VERIFY_PARAM_set1_ip_asc(param, name);
    }
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set_tlsext_host_name(ssl, name)
           && X509_VERIFY_PARAM_set1_host(param, name, strlen(name));
}

SSL *load_tls_new(SSL_CTX *ctx, const load_opts *o)
{
    static const uint8_t alpn[] = { 2, 'h', '3' };
    SSL *ssl = SSL_new(ctx);

    /* SSL_set_alpn_protos returns 0 on success, unlike its neighbours. */
    if (!ssl || SSL_set_alpn_protos(ssl, alpn, sizeof(alpn)) || !expect_name(ssl, o->sni)) {
        SSL_free(ssl);
        return NULL;
    }
    if (session) {
        SSL_set_session(ssl, session);
    }
    return ssl;
}

void load_tls_free(SSL *ssl)
{
    SSL_free(ssl);
}

int load_tls_is_resumed(const SSL *ssl)
{
    return SSL_session_reused(ssl);
}

const char *load_tls_refusal(const SSL *ssl)
{
    long rv = SSL_get_verify_result(ssl);

    /* X509_V_ERR_INVALID_CALL: no certificate has come yet. */
    return rv == X509_V_OK || rv == X509_V_ERR_INVALID_CALL
                   || SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE
               ? NULL
               : X509_verify_cert_error_string(rv);
}

void load_tls_upload_digest(uint8_t digest[32], const load_opts *o)
{
    SHA256_CTX sha;
    int64_t left = o->upload_size;

    SHA256_Init(&sha);
    while (left > 0) {
        size_t n = (uint64_t)left < o->upload_data_len ? (size_t)left : o->upload_data_len;

        SHA256_Update(&sha, o->upload_data, n);
        left -= (int64_t)n;
    }
    SHA256_Final(digest, &sha);
}
