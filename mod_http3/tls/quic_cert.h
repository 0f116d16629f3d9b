/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One certificate chain with its private key, read from the files that the SSL* directives name.
 *
 * Loaded by the parent in post_config and read-only afterwards, on any thread. Freed with the pool
 * that it was loaded into.
 */
#ifndef QUIC_CERT_H
#define QUIC_CERT_H

#include <stddef.h>
#include <stdint.h>
#include <apr_pools.h>

struct crypto_buffer_st;
struct evp_pkey_st;
struct x509_st;

/* Ordered by what a signature costs the server; the first that the client accepts is used. */
typedef enum quic_cert_type {
    QUIC_CERT_ECDSA,
    QUIC_CERT_ED25519,
    QUIC_CERT_RSA,
    QUIC_CERT_TYPES
} quic_cert_type;

typedef struct quic_cert {
    quic_cert_type type;
    uint16_t schemes[3]; /* SignatureScheme (RFC 8446 section 4.2.3) that the key signs with, */
    int nschemes;        /* any of which makes the certificate fit a client */
    struct crypto_buffer_st **chain; /* DER; [0] is the leaf */
    size_t chain_len;
    struct evp_pkey_st *key;
    struct x509_st *leaf;
    const char *pem; /* the leaf's text */
} quic_cert;

/*
 * Reads the chain from `cert_file` (leaf first), the key from `key_file` or, where that is NULL,
 * from `cert_file` too, and appends the certificates of `chain_file` (NULL: none) that are not
 * there yet. Never asks for a passphrase. On failure *cert is NULL and *whose_fault a sentence in
 * `pool` that names directive and file. APR_ENOTIMPL: the file is whole, but BoringSSL cannot use
 * it (the type of the key, or an encrypted one), while OpenSSL might.
 */
apr_status_t quic_cert_load(quic_cert **cert, const char *cert_file, const char *key_file,
                            const char *chain_file, apr_pool_t *pool, const char **whose_fault);

/*
 * Does `schemes`, the body of a client's signature_algorithms extension (RFC 8446 section 4.2.3),
 * list one that the key signs with?
 */
int quic_cert_fits(const quic_cert *cert, const uint8_t *schemes, size_t len);

#endif /* QUIC_CERT_H */
