/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <apr_cstr.h>
#include <apr_errno.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include <openssl/asn1.h>
#include <openssl/bio.h>
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
#include <openssl/x509v3.h>

#include "quic_cert.h"

/* What loading needs at hand; `certs` is the chain while its length is unknown. */
typedef struct loading {
    quic_cert *cert;
    apr_array_header_t *certs; /* CRYPTO_BUFFER * */
    apr_pool_t *pool;
    const char **whose_fault;
} loading;

static apr_status_t free_cert(void *data);
static apr_status_t fault(loading *l, const char *directive, const char *file, const char *what);
static int is_end_of_pem(void);
static const char *last_reason(void);
static apr_status_t open_file(BIO **bio, loading *l, const char *directive, const char *file);
static apr_status_t load_chain(loading *l, const char *cert_file);
static apr_status_t append_chain(loading *l, BIO *bio, const char *directive, const char *file);
static int push_cert(loading *l, X509 *x509);
static int no_passphrase(char *buf, int size, int rwflag, void *asked);
static apr_status_t load_key(loading *l, const char *cert_file, const char *key_file);
static apr_status_t check_key(loading *l, const char *cert_file, const char *directive,
                              const char *key_file);
static int classify_key(quic_cert *cert);

static const char *bio_text(BIO *bio, apr_pool_t *pool);
static const char *string_text(const ASN1_STRING *str, int raw, apr_pool_t *pool);
static const char *time_text(const ASN1_TIME *time, apr_pool_t *pool);
static const char *name_text(const X509_NAME *name, apr_pool_t *pool);
static const char *name_part(const X509_NAME *name, const char *part, apr_pool_t *pool);
static const char *san_part(const quic_cert *cert, const char *part, apr_pool_t *pool);

apr_status_t quic_cert_load(quic_cert **cert, const char *cert_file, const char *key_file,
                            const char *chain_file, apr_pool_t *pool, const char **whose_fault)
{
    loading l = { apr_pcalloc(pool, sizeof(quic_cert)),
                  apr_array_make(pool, 4, sizeof(CRYPTO_BUFFER *)), pool, whose_fault };
    apr_status_t rv;
    BIO *bio;

    apr_pool_cleanup_register(pool, l.cert, free_cert, apr_pool_cleanup_null);
    rv = load_chain(&l, cert_file);
    /* A file that is both is whole already, as for mod_ssl. */
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
    BIO *bio, *text;
    apr_status_t rv = open_file(&bio, l, directive, cert_file);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    l->cert->leaf = PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, NULL);
    if (!l->cert->leaf) {
        rv = fault(l, directive, cert_file,
                   is_end_of_pem()
                       ? "no certificate in PEM form in it"
                       : apr_psprintf(l->pool, "the certificate is damaged (%s)", last_reason()));
    }
    else if (!push_cert(l, l->cert->leaf)) {
        rv = fault(l, directive, cert_file, last_reason());
    }
    else {
        rv = append_chain(l, bio, directive, cert_file);
    }
    BIO_free(bio);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    text = BIO_new(BIO_s_mem());
    if (!text) {
        return APR_ENOMEM;
    }
    PEM_write_bio_X509(text, l->cert->leaf);
    l->cert->pem = bio_text(text, l->pool);
    return APR_SUCCESS;
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
        return fault(
            l, directive, file,
            apr_psprintf(l->pool, "a certificate of the chain is damaged (%s)", last_reason()));
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

/* mod_ssl asks at the start and keeps the decrypted key to itself; there is nobody to ask here. */
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
    /* mod_ssl may have a use for a key that is whole; a file without any is a mistake. */
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

/* Variables: each row of the table is one name. The formats are those of mod_ssl's variables. */

static const char *version_var(const quic_cert *cert, apr_pool_t *pool)
{
    return apr_ltoa(pool, X509_get_version(cert->leaf) + 1);
}

static const char *serial_var(const quic_cert *cert, apr_pool_t *pool)
{
    BIO *bio = BIO_new(BIO_s_mem());

    if (bio) {
        i2a_ASN1_INTEGER(bio, X509_get_serialNumber(cert->leaf));
    }
    return bio_text(bio, pool);
}

static const char *start_var(const quic_cert *cert, apr_pool_t *pool)
{
    return time_text(X509_get0_notBefore(cert->leaf), pool);
}

static const char *end_var(const quic_cert *cert, apr_pool_t *pool)
{
    return time_text(X509_get0_notAfter(cert->leaf), pool);
}

/* In whole days. */
static const char *remain_var(const quic_cert *cert, apr_pool_t *pool)
{
    int days, seconds;

    if (!ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(cert->leaf)) || days < 0
        || seconds < 0) {
        return "0";
    }
    return apr_itoa(pool, days);
}

static const char *subject_var(const quic_cert *cert, apr_pool_t *pool)
{
    return name_text(X509_get_subject_name(cert->leaf), pool);
}

static const char *issuer_var(const quic_cert *cert, apr_pool_t *pool)
{
    return name_text(X509_get_issuer_name(cert->leaf), pool);
}

static const char *algorithm_text(const ASN1_OBJECT *algorithm)
{
    int nid = OBJ_obj2nid(algorithm);

    return nid == NID_undef ? "UNKNOWN" : OBJ_nid2ln(nid);
}

static const char *signature_var(const quic_cert *cert, apr_pool_t *pool)
{
    const ASN1_OBJECT *algorithm;

    (void)pool;
    X509_ALGOR_get0(&algorithm, NULL, NULL, X509_get0_tbs_sigalg(cert->leaf));
    return algorithm_text(algorithm);
}

static const char *key_var(const quic_cert *cert, apr_pool_t *pool)
{
    ASN1_OBJECT *algorithm;

    (void)pool;
    X509_PUBKEY_get0_param(&algorithm, NULL, NULL, NULL, X509_get_X509_PUBKEY(cert->leaf));
    return algorithm_text(algorithm);
}

static const char *pem_var(const quic_cert *cert, apr_pool_t *pool)
{
    return apr_pstrdup(pool, cert->pem);
}

const char *quic_cert_var(const quic_cert *cert, const char *name, apr_pool_t *pool)
{
    static const struct {
        const char *name;
        const char *(*value)(const quic_cert *cert, apr_pool_t *pool);
    } vars[] = {
        { "M_VERSION", version_var }, { "M_SERIAL", serial_var }, { "V_START", start_var },
        { "V_END", end_var },         { "V_REMAIN", remain_var }, { "S_DN", subject_var },
        { "I_DN", issuer_var },       { "A_SIG", signature_var }, { "A_KEY", key_var },
        { "CERT", pem_var },
    };
    size_t i;

    for (i = 0; i < sizeof(vars) / sizeof(vars[0]); ++i) {
        if (apr_cstr_casecmp(name, vars[i].name) == 0) {
            return vars[i].value(cert, pool);
        }
    }
    if (apr_cstr_casecmpn(name, "S_DN_", 5) == 0) {
        return name_part(X509_get_subject_name(cert->leaf), name + 5, pool);
    }
    if (apr_cstr_casecmpn(name, "I_DN_", 5) == 0) {
        return name_part(X509_get_issuer_name(cert->leaf), name + 5, pool);
    }
    if (apr_cstr_casecmpn(name, "SAN_", 4) == 0) {
        return san_part(cert, name + 4, pool);
    }
    return NULL;
}

/* Takes `bio`, which may be NULL. */
static const char *bio_text(BIO *bio, apr_pool_t *pool)
{
    const uint8_t *data;
    const char *text = NULL;
    size_t len;

    if (bio && BIO_mem_contents(bio, &data, &len)) {
        text = apr_pstrndup(pool, (const char *)data, len);
    }
    BIO_free(bio);
    return text;
}

static const char *string_text(const ASN1_STRING *str, int raw, apr_pool_t *pool)
{
    BIO *bio = BIO_new(BIO_s_mem());

    if (bio) {
        ASN1_STRING_print_ex(bio, str,
                             ASN1_STRFLGS_ESC_CTRL | (raw ? 0 : ASN1_STRFLGS_UTF8_CONVERT));
    }
    return bio_text(bio, pool);
}

static const char *time_text(const ASN1_TIME *time, apr_pool_t *pool)
{
    BIO *bio = BIO_new(BIO_s_mem());

    if (bio) {
        ASN1_TIME_print(bio, time);
    }
    return bio_text(bio, pool);
}

/* RFC 2253, but UTF-8 left as it is. */
static const char *name_text(const X509_NAME *name, apr_pool_t *pool)
{
    BIO *bio = BIO_new(BIO_s_mem());

    if (bio) {
        X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
    }
    return bio_text(bio, pool);
}

/* The attribute types that mod_ssl has names for. */
static int attribute_nid(const char *name, size_t len)
{
    static const struct {
        const char *name;
        int nid;
    } types[] = {
        { "C", NID_countryName },
        { "ST", NID_stateOrProvinceName },
        { "SP", NID_stateOrProvinceName },
        { "L", NID_localityName },
        { "O", NID_organizationName },
        { "OU", NID_organizationalUnitName },
        { "CN", NID_commonName },
        { "T", NID_title },
        { "I", NID_initials },
        { "G", NID_givenName },
        { "S", NID_surname },
        { "D", NID_description },
        { "UID", NID_userId },
        { "Email", NID_pkcs9_emailAddress },
    };
    size_t i;

    for (i = 0; i < sizeof(types) / sizeof(types[0]); ++i) {
        if (strlen(types[i].name) == len && memcmp(types[i].name, name, len) == 0) {
            return types[i].nid;
        }
    }
    return NID_undef;
}

/* "CN", "OU_1" (the second of them), either with "_RAW": not converted to UTF-8. */
static const char *name_part(const X509_NAME *name, const char *part, apr_pool_t *pool)
{
    size_t len = strlen(part);
    int raw = len > 4 && strcmp(part + len - 4, "_RAW") == 0;
    const char *underscore;
    const X509_NAME_ENTRY *entry;
    int i, nid, nth = 0;

    if (raw) {
        part = apr_pstrndup(pool, part, len - 4);
    }
    underscore = strchr(part, '_');
    len = strlen(part);
    if (underscore && underscore[1] && !underscore[1 + strspn(underscore + 1, "0123456789")]) {
        nth = atoi(underscore + 1);
        len = (size_t)(underscore - part);
    }
    nid = attribute_nid(part, len);
    for (i = 0; nid != NID_undef && i < X509_NAME_entry_count(name); ++i) {
        entry = X509_NAME_get_entry(name, i);
        if (OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)) == nid && nth-- == 0) {
            return string_text(X509_NAME_ENTRY_get_data(entry), raw, pool);
        }
    }
    return NULL;
}

/* The value of an alternative name if it is of the wanted kind, else NULL. */
static const ASN1_STRING *alt_name_value(const GENERAL_NAME *name, int type, const char *other)
{
    const ASN1_TYPE *value;
    char oid[64];

    if (name->type != type) {
        return NULL;
    }
    if (type != GEN_OTHERNAME) {
        return name->d.ia5;
    }
    value = name->d.otherName->value;
    OBJ_obj2txt(oid, sizeof(oid), name->d.otherName->type_id, 1);
    if (strcmp(oid, other) != 0) {
        return NULL;
    }
    if (value->type == V_ASN1_UTF8STRING) {
        return value->value.utf8string;
    }
    return value->type == V_ASN1_IA5STRING ? value->value.ia5string : NULL;
}

/* "DNS_0", "Email_0", "OTHER_msUPN_0", "OTHER_dnsSRV_0": kind and number. */
static const char *san_part(const quic_cert *cert, const char *part, apr_pool_t *pool)
{
    static const struct {
        const char *prefix;
        int type;
        const char *other;
    } kinds[] = {
        { "Email_", GEN_EMAIL, NULL },
        { "DNS_", GEN_DNS, NULL },
        { "OTHER_msUPN_", GEN_OTHERNAME, "1.3.6.1.4.1.311.20.2.3" },
        { "OTHER_dnsSRV_", GEN_OTHERNAME, "1.3.6.1.5.5.7.8.7" },
    };
    STACK_OF(GENERAL_NAME) * names;
    const ASN1_STRING *value;
    const char *number, *text = NULL;
    size_t i, k, len;
    int nth;

    for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]); ++k) {
        len = strlen(kinds[k].prefix);
        if (apr_cstr_casecmpn(part, kinds[k].prefix, len) == 0) {
            break;
        }
    }
    if (k == sizeof(kinds) / sizeof(kinds[0])) {
        return NULL;
    }
    number = part + len;
    len = strspn(number, "0123456789");
    if (len < 1 || len > 4 || number[len] != '\0') {
        return NULL;
    }
    nth = atoi(number);
    names = X509_get_ext_d2i(cert->leaf, NID_subject_alt_name, NULL, NULL);
    for (i = 0; !text && names && i < sk_GENERAL_NAME_num(names); ++i) {
        value = alt_name_value(sk_GENERAL_NAME_value(names, i), kinds[k].type, kinds[k].other);
        if (value && nth-- == 0) {
            text = string_text(value, 0, pool);
        }
    }
    sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
    return text;
}
