/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS 1.3 for QUIC: the certificates of each virtual host, the choice by SNI and by the key types
 * that the client accepts, ALPN "h3", session tickets that every child can open.
 *
 * A `quic_tls_host` is made by the parent in post_config (keys are read there, as root) and is
 * read-only afterwards, in the parent and in all children. An SSL belongs to the I/O thread of its
 * connection.
 */
#ifndef QUIC_TLS_H
#define QUIC_TLS_H

#include <stddef.h>
#include <stdint.h>
#include <apr_pools.h>
#include <apr_tables.h>

struct ssl_st;

/* Keys that seal session tickets; made once by the parent, kept across restarts. */
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
typedef struct quic_tls_host_plan {
    const char *name;               /* for messages: the server's name */
    apr_array_header_t *cert_files; /* const char *; leaf first, chain in the file if any */
    apr_array_header_t *key_files;  /* const char *; i-th belongs to the i-th certificate file;
                                     * shorter or empty: the key stands in the certificate file */
    const char *chain_file;         /* SSLCertificateChainFile or NULL */
    const char *groups;             /* "X25519:P-256", in the order of preference; NULL: default */
    const uint8_t *sid_ctx;         /* trust domain for resumption, 1..32 bytes */
    size_t sid_ctx_len;
    int tickets;                             /* SSLSessionTickets; 0: no session is resumed */
    const quic_tls_ticket_keys *ticket_keys; /* for all hosts the same */
    void *server;                            /* the caller's, returned by quic_tls_host_server() */
} quic_tls_host_plan;

typedef struct quic_tls_host quic_tls_host;

/*
 * The groups of `openssl`, a list as OpenSSL's configuration command Groups takes it, that this TLS
 * library has too, by its own names, in order, in `pool`. Those that it lacks are left out, which
 * allows less. NULL if none is left, or if the list is not a plain one.
 */
const char *quic_tls_groups(const char *openssl, apr_pool_t *pool);

/*
 * Loads certificates and keys and builds the contexts, one per key type (RSA, ECDSA, Ed25519). The
 * host and its contexts are freed with `pool`. On failure *whose_fault is a sentence fit for a log
 * ("SSLCertificateKeyFile X: ...") in `pool`: the file cannot be read, the key does not match.
 * APR_ENOTIMPL where mod_ssl might use what we cannot: a type of key, an encrypted key, a
 * certificate that this TLS library refuses.
 */
apr_status_t quic_tls_host_make(quic_tls_host **host, const quic_tls_host_plan *plan,
                                apr_pool_t *pool, const char **whose_fault);

/* plan->server. */
void *quic_tls_host_server(const quic_tls_host *host);

/*
 * Which host serves a handshake? `sni` is NULL if the client named none, else a valid host name in
 * lower case, without a trailing dot. NULL refuses with unrecognized_name (RFC 6066 section 3; QUIC
 * error 0x170).
 */
typedef const quic_tls_host *quic_tls_find_host(void *baton, const char *sni);

/*
 * A server's SSL for one new connection; host, certificate and ALPN are settled when the
 * ClientHello arrives. `find` is called at most once, from inside the handshake. Free it with
 * quic_tls_free. NULL: out of memory.
 */
struct ssl_st *quic_tls_new(const quic_tls_host *any_host, quic_tls_find_host *find, void *baton);
void quic_tls_free(struct ssl_st *ssl);

/* The host that `find` chose, or NULL before that. */
const quic_tls_host *quic_tls_host_of(const struct ssl_st *ssl);

/* Has the client resumed a session? Only after the handshake. */
int quic_tls_is_resumed(const struct ssl_st *ssl);

/* What the handshake settled, for SSL_* variables and logs. */
typedef struct quic_tls_info {
    const char *protocol; /* "TLSv1.3" */
    const char *cipher;   /* OpenSSL's name: "TLS_AES_128_GCM_SHA256" ... */
    int cipher_bits;      /* 128 or 256 */
    const char *group;    /* "X25519" ... or NULL */
    const char *sni;      /* lower case, without a trailing dot; NULL if none */
    int resumed;
    const quic_tls_host *host;
    char session_id[65]; /* hexadecimal, of this connection's session alone */
} quic_tls_info;

/* Strings are static or copied to `pool`. Only after the handshake. */
void quic_tls_get_info(const struct ssl_st *ssl, quic_tls_info *info, apr_pool_t *pool);

/*
 * The value of SSL_SERVER_`name`, in `pool`; NULL: no such value. It is about the host's
 * certificate of the cheapest key type, the one that most clients are given. Safe on any thread.
 */
const char *quic_tls_server_var(const quic_tls_host *host, const char *name, apr_pool_t *pool);

/* One fresh random key. */
void quic_tls_ticket_keys_make(quic_tls_ticket_keys *keys);

/*
 * The content of an SSLSessionTicketKeyFile (48 or 80 bytes) as the only key. On failure
 * *whose_fault is a sentence as above.
 */
apr_status_t quic_tls_ticket_keys_load(quic_tls_ticket_keys *keys, const char *file,
                                       apr_pool_t *pool, const char **whose_fault);

#endif /* QUIC_TLS_H */
