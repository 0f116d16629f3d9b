/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS 1.3 for QUIC: the SSL_CTX of each virtual host, choice by SNI and by the
 * key types that the client accepts, ALPN "h3", session tickets that open in
 * every child.
 *
 * A `quic_tls_host` is made in post_config (as root, keys are read there) and
 * is read-only afterwards, in the parent and in all children. An SSL belongs to
 * its connection's I/O thread.
 */
#ifndef QUIC_TLS_H
#define QUIC_TLS_H

#include <stddef.h>
#include <stdint.h>
#include <apr_pools.h>
#include <apr_tables.h>

struct ssl_st;

/* Keys that seal session tickets; made once by the parent, kept over restarts. */
typedef struct quic_tls_ticket_keys {
    /* [0] seals, all open: name (16), HMAC key (32), AES key (32). */
    struct {
        uint8_t name[16];
        uint8_t hmac_key[32];
        uint8_t aes_key[32];
    } key[2];
    int nkeys;
} quic_tls_ticket_keys;

/* What one virtual host brings; all strings are the caller's and live as long as the host. */
typedef struct quic_tls_host_spec {
    const char *name;               /* for messages: the server's name */
    apr_array_header_t *cert_files; /* const char *; leaf first, chain in the file if any */
    apr_array_header_t *key_files;  /* const char *; i-th belongs to the i-th certificate file;
                                     * shorter or empty: the key stands in the certificate file */
    const char *chain_file;         /* SSLCertificateChainFile or NULL */
    const char *groups;             /* "X25519:P-256" for SSL_CTX_set1_curves_list, NULL: default */
    const uint8_t *sid_ctx;         /* trust domain for resumption, 1..32 bytes */
    size_t sid_ctx_len;
    int tickets;                             /* SSLSessionTickets; 0: no session is resumed */
    const quic_tls_ticket_keys *ticket_keys; /* for all hosts the same */
    void *server;                            /* the caller's, returned by quic_tls_host_server() */
} quic_tls_host_spec;

typedef struct quic_tls_host quic_tls_host;

/*
 * Loads certificates and keys and builds the contexts, one per key type (RSA,
 * ECDSA, Ed25519). The host and its contexts are freed with `pool`. On failure
 * *whose_fault is a sentence fit for a log ("SSLCertificateKeyFile X: ...") in
 * `pool`: file not readable, key does not match; APR_ENOTIMPL where mod_ssl
 * might use the key and we cannot: its type, an encrypted one.
 */
apr_status_t quic_tls_host_make(quic_tls_host **host, const quic_tls_host_spec *spec,
                                apr_pool_t *pool, const char **whose_fault);

void *quic_tls_host_server(const quic_tls_host *host);

/*
 * The PEM text of the certificate that `ssl` presented (or, with ssl NULL, of
 * the host's first), in `pool`; for SSL_SERVER_CERT and its like.
 */
const char *quic_tls_host_cert_pem(const quic_tls_host *host, const struct ssl_st *ssl,
                                   apr_pool_t *pool);

/*
 * Which host serves a handshake? `sni` is NULL when the client named none,
 * else lower case, without a trailing dot, a syntactically valid host name.
 * NULL refuses with unrecognized_name (QUIC error 0x170).
 */
typedef const quic_tls_host *quic_tls_find_host(void *baton, const char *sni);

/*
 * A server SSL for one new connection; ALPN and certificate are settled when
 * the ClientHello arrives. `find` is called at most once, from inside
 * SSL_do_handshake. Frees with quic_tls_free. NULL: out of memory.
 */
struct ssl_st *quic_tls_new(const quic_tls_host *any_host, quic_tls_find_host *find, void *baton);
void quic_tls_free(struct ssl_st *ssl);

/* The host that `find` chose, or NULL before that. */
const quic_tls_host *quic_tls_host_of(const struct ssl_st *ssl);

/* What the handshake settled, for SSL_* variables and logs. */
typedef struct quic_tls_info {
    const char *protocol; /* "TLSv1.3" */
    const char *cipher;   /* OpenSSL's name: "TLS_AES_128_GCM_SHA256" ... */
    int cipher_bits;      /* 128 or 256 */
    const char *group;    /* "X25519" ... or NULL */
    const char *sni;      /* lower case, without a trailing dot; NULL if none */
    int resumed;
    const quic_tls_host *host;
    char session_id[65]; /* hexadecimal, "" if none */
} quic_tls_info;

/* Strings are static or copied to `pool`. Only after the handshake. */
void quic_tls_get_info(const struct ssl_st *ssl, quic_tls_info *info, apr_pool_t *pool);

/*
 * Values about certificates for SSL_SERVER_* variables: name without the
 * "SSL_SERVER_" prefix: "S_DN", "I_DN", "S_DN_CN", "M_SERIAL", "V_START",
 * "V_END", "A_KEY", "A_SIG", "M_VERSION", "CERT", "SAN_DNS_0"... NULL: no such
 * value. In `pool`. Of the host's first certificate, which is the one that most
 * clients are given: the cheapest key type. Safe on any thread.
 */
const char *quic_tls_server_var(const quic_tls_host *host, const char *name, apr_pool_t *pool);

/* Fills `keys` with one fresh random key. */
void quic_tls_ticket_keys_make(quic_tls_ticket_keys *keys);

/* An SSLSessionTicketKeyFile (48 or 80 bytes) as key [0]; the sentence as above. */
apr_status_t quic_tls_ticket_keys_load(quic_tls_ticket_keys *keys, const char *file,
                                       apr_pool_t *pool, const char **whose_fault);

#endif /* QUIC_TLS_H */
