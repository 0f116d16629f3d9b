/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <apr_errno.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/pem.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "tls/quic_cert.h"

/* What the steps of loading share; `certs` is the chain while its length is unknown. */
typedef struct loading {
    quic_cert *cert;
    apr_array_header_t *certs; /* CRYPTO_BUFFER * */
    apr_pool_t *pool;
    const char **whose_fault;
} loading;

static apr_status_t free_cert(void *data);
static apr_status_t fault(loading *l, const char *directive, const char *file, const char *what);
static apr_status_t damaged(loading *l, const char *directive, const char *file, const char *what);
static int is_whole(const char *file);
static int is_end_of_pem(void);
static const char *last_reason(void);
static apr_status_t open_file(BIO **bio, loading *l, const char *directive, const char *file);
static apr_status_t load_chain(loading *l, const char *cert_file);
static apr_status_t keep_pem(loading *l);
static apr_status_t append_chain(loading *l, BIO *bio, const char *directive, const char *file);
static int push_cert(loading *l, X509 *x509);
static int no_passphrase(char *buf, int size, int rwflag, void *asked);
static apr_status_t load_key(loading *l, const char *cert_file, const char *key_file);
static apr_status_t check_key(loading *l, const char *cert_file, const char *directive,
                              const char *key_file);
static int classify_key(quic_cert *cert);

apr_status_t quic_cert_load(quic_cert **cert, const char *cert_file, const char *key_file,
                            const char *chain_file, apr_pool_t *pool, const char **whose_fault)
{
    loading l = { apr_pcalloc(pool, sizeof(quic_cert)),
                  apr_array_make(pool, 4, sizeof(CRYPTO_BUFFER *)), pool, whose_fault };
    apr_status_t rv;
    BIO *bio;

    apr_pool_cleanup_register(pool, l.cert, free_cert, apr_pool_cleanup_null);
    rv = load_chain(&l, cert_file);
    /* Where one file is both, its chain has been read already; mod_ssl does the same. */
    if (rv == APR_SUCCESS && chain_file && strcmp(chain_file, cert_file) != 0) {
        rv = open_file(&bio, &l, "SSLCertificateChainFile", chain_file);
        if (rv == APR_SUCCESS) {
            rv = append_chain(&l, bio, "SSLCertificateChainFile", chain_file);
            BIO_free(bio);
        }
    }
    l.cert->chain = (CRYPTO_BUFFER **)l.certs->elts;
    l.cert->chain_len = (size_t)l.certs->nelts;
    if (rv == APR_SUCCESS) {
        rv = load_key(&l, cert_file, key_file);
    }
    ERR_clear_error();
    *cert = rv == APR_SUCCESS ? l.cert : NULL;
    return rv;
}

static apr_status_t free_cert(void *data)
{
    quic_cert *cert = data;
    size_t i;

    for (i = 0; i < cert->chain_len; ++i) {
        CRYPTO_BUFFER_free(cert->chain[i]);
    }
    EVP_PKEY_free(cert->key);
    X509_free(cert->leaf);
    return APR_SUCCESS;
}

static apr_status_t fault(loading *l, const char *directive, const char *file, const char *what)
{
    *l->whose_fault = apr_psprintf(l->pool, "%s %s: %s", directive, file, what);
    return APR_EGENERAL;
}

/*
 * A file that is cut short, or is not PEM, is a mistake for mod_ssl as well. A whole certificate
 * that BoringSSL cannot read may be fine for OpenSSL: that turns HTTP/3 off, but does not keep the
 * server from starting.
 */
static apr_status_t damaged(loading *l, const char *directive, const char *file, const char *what)
{
    const char *reason = last_reason();
    int whole = is_whole(file);

    (void)fault(l, directive, file,
                apr_psprintf(l->pool, whole ? "%s cannot be read (%s)" : "%s is damaged (%s)", what,
                             reason));
    return whole ? APR_ENOTIMPL : APR_EGENERAL;
}

/* Is each PEM block of the file one whole DER element? */
static int is_whole(const char *file)
{
    BIO *bio = BIO_new_file(file, "r");
    char *name, *header;
    uint8_t *data;
    long len;
    int whole = bio != NULL;

    ERR_clear_error();
    while (whole && PEM_read_bio(bio, &name, &header, &data, &len)) {
        CBS cbs;

        CBS_init(&cbs, data, (size_t)len);
        whole = CBS_get_any_asn1_element(&cbs, NULL, NULL, NULL) && CBS_len(&cbs) == 0;
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(data);
    }
    whole = whole && is_end_of_pem();
    BIO_free(bio);
    return whole;
}

/* Was the last failure only that there is no further block of the wanted kind? */
static int is_end_of_pem(void)
{
    uint32_t err = ERR_peek_last_error();

    return ERR_GET_LIB(err) == ERR_LIB_PEM && ERR_GET_REASON(err) == PEM_R_NO_START_LINE;
}

static const char *last_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());

    return reason ? reason : "unknown reason";
}

static apr_status_t open_file(BIO **bio, loading *l, const char *directive, const char *file)
{
    char buf[256];
    apr_status_t rv;

    ERR_clear_error();
    errno = 0;
    *bio = BIO_new_file(file, "r");
    if (*bio) {
        return APR_SUCCESS;
    }
    rv = APR_FROM_OS_ERROR(errno ? errno : ENOMEM);
    *l->whose_fault =
        apr_psprintf(l->pool, "%s %s: %s", directive, file, apr_strerror(rv, buf, sizeof(buf)));
    return rv;
}

static apr_status_t load_chain(loading *l, const char *cert_file)
{
    static const char directive[] = "SSLCertificateFile";
    BIO *bio;
    apr_status_t rv = open_file(&bio, l, directive, cert_file);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    l->cert->leaf = PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, NULL);
    if (!l->cert->leaf) {
        rv = is_end_of_pem() ? fault(l, directive, cert_file, "no certificate in PEM form in it")
                             : damaged(l, directive, cert_file, "the certificate");
    }
    else if (!push_cert(l, l->cert->leaf)) {
        rv = fault(l, directive, cert_file, last_reason());
    }
    else {
        rv = append_chain(l, bio, directive, cert_file);
    }
    BIO_free(bio);
    return rv == APR_SUCCESS ? keep_pem(l) : rv;
}

/* The leaf's text, which SSL_SERVER_CERT asks for again and again. */
static apr_status_t keep_pem(loading *l)
{
    BIO *bio = BIO_new(BIO_s_mem());
    const uint8_t *data;
    size_t len;
    int ok = bio && PEM_write_bio_X509(bio, l->cert->leaf) && BIO_mem_contents(bio, &data, &len);

    if (ok) {
        l->cert->pem = apr_pstrndup(l->pool, (const char *)data, len);
    }
    BIO_free(bio);
    return ok ? APR_SUCCESS : APR_ENOMEM;
}

static apr_status_t append_chain(loading *l, BIO *bio, const char *directive, const char *file)
{
    X509 *x509;
    int pushed = 1;

    while (pushed && (x509 = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL) {
        pushed = push_cert(l, x509);
        X509_free(x509);
    }
    if (!pushed || !is_end_of_pem()) {
        return damaged(l, directive, file, "a certificate of the chain");
    }
    ERR_clear_error();
    return APR_SUCCESS;
}

/* A certificate that both files hold is sent once: every byte of the first flight counts. */
static int push_cert(loading *l, X509 *x509)
{
    uint8_t *der = NULL;
    int i, len = i2d_X509(x509, &der);
    CRYPTO_BUFFER *buffer, *other;

    if (len < 0) {
        return 0;
    }
    buffer = CRYPTO_BUFFER_new(der, (size_t)len, NULL);
    OPENSSL_free(der);
    if (!buffer) {
        return 0;
    }
    for (i = 0; i < l->certs->nelts; ++i) {
        other = APR_ARRAY_IDX(l->certs, i, CRYPTO_BUFFER *);
        if (CRYPTO_BUFFER_len(other) == CRYPTO_BUFFER_len(buffer)
            && memcmp(CRYPTO_BUFFER_data(other), CRYPTO_BUFFER_data(buffer),
                      CRYPTO_BUFFER_len(buffer))
                   == 0) {
            CRYPTO_BUFFER_free(buffer);
            return 1;
        }
    }
    APR_ARRAY_PUSH(l->certs, CRYPTO_BUFFER *) = buffer;
    return 1;
}

/* mod_ssl asks for it at startup and keeps the decrypted key to itself: nobody is left to ask. */
static int no_passphrase(char *buf, int size, int rwflag, void *asked)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    if (asked) {
        *(int *)asked = 1;
    }
    return -1;
}

static apr_status_t load_key(loading *l, const char *cert_file, const char *key_file)
{
    const char *directive = key_file ? "SSLCertificateKeyFile" : "SSLCertificateFile";
    const char *file = key_file ? key_file : cert_file;
    const char *what = NULL;
    int asked = 0, unusable = 0;
    BIO *bio;
    apr_status_t rv = open_file(&bio, l, directive, file);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    l->cert->key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &asked);
    BIO_free(bio);
    if (l->cert->key) {
        return check_key(l, cert_file, directive, file);
    }
    if (asked) {
        what = "the private key is encrypted, and there is nobody to ask for its passphrase";
    }
    else if (!is_end_of_pem()) {
        unusable = 1;
        what = apr_psprintf(l->pool, "the private key cannot be used (%s)", last_reason());
    }
    else if (key_file) {
        what = "no private key in PEM form in it";
    }
    else {
        what = "no private key in it, and no SSLCertificateKeyFile goes with it";
    }
    (void)fault(l, directive, file, what);
    /* mod_ssl may have a use for a key that is whole; a file without one is a mistake. */
    return asked || unusable ? APR_ENOTIMPL : APR_EGENERAL;
}

static apr_status_t check_key(loading *l, const char *cert_file, const char *directive,
                              const char *key_file)
{
    quic_cert *cert = l->cert;
    ASN1_OBJECT *algorithm = NULL;
    EVP_PKEY *public_key = X509_get_pubkey(cert->leaf);
    int matches = public_key && EVP_PKEY_cmp(public_key, cert->key) == 1;

    EVP_PKEY_free(public_key);
    if (!public_key || !classify_key(cert)) {
        X509_PUBKEY_get0_param(&algorithm, NULL, NULL, NULL, X509_get_X509_PUBKEY(cert->leaf));
        (void)fault(l, "SSLCertificateFile", cert_file,
                    apr_psprintf(l->pool, "a key of this type (%s) cannot be used",
                                 OBJ_nid2ln(OBJ_obj2nid(algorithm))));
        return APR_ENOTIMPL;
    }
    if (!matches) {
        return fault(l, directive, key_file,
                     apr_psprintf(l->pool, "the private key does not match the certificate in %s",
                                  cert_file));
    }
    return APR_SUCCESS;
}

/* TLS 1.3 ties each curve to one hash, and RSA to PSS. RFC 8446 section 4.2.3. 0 if unusable. */
static int classify_key(quic_cert *cert)
{
    static const uint16_t rsa[] = { SSL_SIGN_RSA_PSS_RSAE_SHA256, SSL_SIGN_RSA_PSS_RSAE_SHA384,
                                    SSL_SIGN_RSA_PSS_RSAE_SHA512 };
    int curve;

    cert->nschemes = 1;
    switch (EVP_PKEY_id(cert->key)) {
    case EVP_PKEY_RSA:
        cert->type = QUIC_CERT_RSA;
        memcpy(cert->schemes, rsa, sizeof(rsa));
        cert->nschemes = 3;
        return 1;
    case EVP_PKEY_ED25519:
        cert->type = QUIC_CERT_ED25519;
        cert->schemes[0] = SSL_SIGN_ED25519;
        return 1;
    case EVP_PKEY_EC:
        cert->type = QUIC_CERT_ECDSA;
        curve = EC_GROUP_get_curve_name(EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(cert->key)));
        cert->schemes[0] = curve == NID_X9_62_prime256v1 ? SSL_SIGN_ECDSA_SECP256R1_SHA256
                           : curve == NID_secp384r1      ? SSL_SIGN_ECDSA_SECP384R1_SHA384
                           : curve == NID_secp521r1      ? SSL_SIGN_ECDSA_SECP521R1_SHA512
                                                         : 0;
        return cert->schemes[0] != 0;
    default:
        return 0;
    }
}

int quic_cert_fits(const quic_cert *cert, const uint8_t *schemes, size_t len)
{
    size_t i, listed;
    int n;

    /* A list that is not well-formed fits nothing here; TLS answers it with decode_error. */
    if (len < 2 || (listed = (size_t)schemes[0] << 8 | schemes[1]) != len - 2 || listed % 2 != 0) {
        return 0;
    }
    for (i = 2; i < len; i += 2) {
        for (n = 0; n < cert->nschemes; ++n) {
            if (cert->schemes[n] == (schemes[i] << 8 | schemes[i + 1])) {
                return 1;
            }
        }
    }
    return 0;
}
