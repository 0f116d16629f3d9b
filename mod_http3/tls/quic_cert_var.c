/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <apr_cstr.h>
#include <apr_strings.h>

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "tls/quic_cert_var.h"

static const char *version_var(const quic_cert *cert, apr_pool_t *pool);
static const char *serial_var(const quic_cert *cert, apr_pool_t *pool);
static const char *start_var(const quic_cert *cert, apr_pool_t *pool);
static const char *end_var(const quic_cert *cert, apr_pool_t *pool);
static const char *remain_var(const quic_cert *cert, apr_pool_t *pool);
static const char *subject_var(const quic_cert *cert, apr_pool_t *pool);
static const char *issuer_var(const quic_cert *cert, apr_pool_t *pool);
static const char *signature_var(const quic_cert *cert, apr_pool_t *pool);
static const char *key_var(const quic_cert *cert, apr_pool_t *pool);
static const char *pem_var(const quic_cert *cert, apr_pool_t *pool);
static const char *name_part(const X509_NAME *name, const char *part, apr_pool_t *pool);
static int attribute_nid(const char *name, size_t len);
static const char *san_part(const quic_cert *cert, const char *part, apr_pool_t *pool);
static const ASN1_STRING *alt_name_value(const GENERAL_NAME *name, int type, const char *other);

static const char *bio_text(BIO *bio, int written, apr_pool_t *pool);
static const char *string_text(const ASN1_STRING *str, int raw, apr_pool_t *pool);
static const char *time_text(const ASN1_TIME *time, apr_pool_t *pool);
static const char *name_text(const X509_NAME *name, apr_pool_t *pool);
static const char *algorithm_text(const ASN1_OBJECT *algorithm);

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

/* ---- whole values ---- */

static const char *version_var(const quic_cert *cert, apr_pool_t *pool)
{
    return apr_ltoa(pool, X509_get_version(cert->leaf) + 1);
}

static const char *serial_var(const quic_cert *cert, apr_pool_t *pool)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int written = bio && i2a_ASN1_INTEGER(bio, X509_get_serialNumber(cert->leaf)) > 0;

    return bio_text(bio, written, pool);
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

static const char *signature_var(const quic_cert *cert, apr_pool_t *pool)
{
    const ASN1_OBJECT *algorithm;

    (void)pool;
    X509_ALGOR_get0(&algorithm, NULL, NULL, X509_get0_tbs_sigalg(cert->leaf));
    return algorithm_text(algorithm);
}

static const char *key_var(const quic_cert *cert, apr_pool_t *pool)
{
    ASN1_OBJECT *algorithm = NULL;

    (void)pool;
    X509_PUBKEY_get0_param(&algorithm, NULL, NULL, NULL, X509_get_X509_PUBKEY(cert->leaf));
    return algorithm_text(algorithm);
}

static const char *pem_var(const quic_cert *cert, apr_pool_t *pool)
{
    return apr_pstrdup(pool, cert->pem);
}

/* ---- parts of names ---- */

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
    if (OBJ_obj2txt(oid, sizeof(oid), name->d.otherName->type_id, 1) < 0
        || strcmp(oid, other) != 0) {
        return NULL;
    }
    if (value->type == V_ASN1_UTF8STRING) {
        return value->value.utf8string;
    }
    return value->type == V_ASN1_IA5STRING ? value->value.ia5string : NULL;
}

/* ---- texts ---- */

/*
 * Takes `bio`, which may be NULL. NULL where writing has failed: half a name might be taken for
 * another.
 */
static const char *bio_text(BIO *bio, int written, apr_pool_t *pool)
{
    const uint8_t *data;
    const char *text = NULL;
    size_t len;

    if (written && BIO_mem_contents(bio, &data, &len)) {
        text = apr_pstrndup(pool, (const char *)data, len);
    }
    if (!text) {
        ERR_clear_error();
    }
    BIO_free(bio);
    return text;
}

static const char *string_text(const ASN1_STRING *str, int raw, apr_pool_t *pool)
{
    unsigned long flags = ASN1_STRFLGS_ESC_CTRL | (raw ? 0 : ASN1_STRFLGS_UTF8_CONVERT);
    BIO *bio = BIO_new(BIO_s_mem());
    int written = bio && ASN1_STRING_print_ex(bio, str, flags) >= 0;

    return bio_text(bio, written, pool);
}

static const char *time_text(const ASN1_TIME *time, apr_pool_t *pool)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int written = bio != NULL;

    if (bio) {
        /* Of a date that is none it writes "Bad time value", which is mod_ssl's value too. */
        (void)ASN1_TIME_print(bio, time);
    }
    return bio_text(bio, written, pool);
}

/* RFC 2253, but UTF-8 left as it is. */
static const char *name_text(const X509_NAME *name, apr_pool_t *pool)
{
    unsigned long flags = XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB;
    BIO *bio = BIO_new(BIO_s_mem());
    int written = bio && X509_NAME_print_ex(bio, name, 0, flags) >= 0;

    return bio_text(bio, written, pool);
}

static const char *algorithm_text(const ASN1_OBJECT *algorithm)
{
    int nid = OBJ_obj2nid(algorithm);

    return nid == NID_undef ? "UNKNOWN" : OBJ_nid2ln(nid);
}
