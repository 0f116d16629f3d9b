/* SPDX-License-Identifier: Apache-2.0 */
#include "h3_ssl_spec.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "http_ssl.h"
#include "h3_config.h"
#include "h3_ssl_config.h"
#include "quic_crypto.h"

typedef const h3_ssl_setting *setting;

/* Groups that BoringSSL has, by the names that OpenSSL may give them. */
static const struct {
    const char *openssl, *boringssl;
} group_names[] = {
    { "X25519", "X25519" },   { "P-256", "P-256" },     { "prime256v1", "P-256" },
    { "secp256r1", "P-256" }, { "P-384", "P-384" },     { "secp384r1", "P-384" },
    { "P-521", "P-521" },     { "secp521r1", "P-521" },
};
/* What BoringSSL negotiates; it cannot be told to leave one out. RFC 8446 section 9.1 */
static const char *const tls13_suites[] = { "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                            "TLS_CHACHA20_POLY1305_SHA256" };

static int protocol_has_tls13(setting s, apr_pool_t *p);
static int allows_all_suites(setting s, apr_pool_t *p);
static const char *boringssl_groups(const char *openssl, apr_pool_t *p);
static int is_groups(setting cmd);
static const char *make_policy(const h3_ssl_config *ssl, const quic_tls_host_spec *spec,
                               apr_pool_t *p);
static const char *sorted(const apr_array_header_t *strings, apr_pool_t *p);
static apr_array_header_t *values_of(const apr_array_header_t *settings, apr_pool_t *p);
static apr_status_t add_foreign_files(server_rec *s, quic_tls_host_spec *spec, apr_pool_t *p);
static const char *text(setting s);

void h3_ssl_spec_complete(server_rec *main_server, apr_pool_t *pconf)
{
    server_rec *s;
    int i;

    for (s = main_server; s; s = s->next) {
        h3_ssl_config *ssl = h3_config_get(s)->ssl;

        for (i = 0; i < ssl->conf_cmds->nelts; ++i) {
            setting cmd = APR_ARRAY_IDX(ssl->conf_cmds, i, setting);

            if (is_groups(cmd)) {
                ssl->groups = boringssl_groups(strchr(cmd->value, ' ') + 1, pconf);
            }
        }
    }
}

const char *h3_ssl_spec_off_reason(const server_rec *s, apr_pool_t *p, setting *culprit)
{
    const h3_ssl_config *ssl = h3_config_get(s)->ssl;
    int i;

    *culprit = NULL;
    if (!h3_ssl_config_enabled(s)) {
        return "SSLEngine is not on";
    }
    if (!protocol_has_tls13(*culprit = ssl->protocol, p)) {
        return "SSLProtocol forbids TLSv1.3";
    }
    if (!allows_all_suites(*culprit = ssl->ciphers13, p)) {
        return "SSLCipherSuite TLSv1.3 forbids a cipher suite that cannot be switched off";
    }
    if (h3_ssl_setting_verifies(*culprit = ssl->verify_client)) {
        return apr_psprintf(p, "SSLVerifyClient is %s", ssl->verify_client->value);
    }
    if (h3_ssl_setting_is_on(*culprit = h3_ssl_config_fips())) {
        return "SSLFIPS is on";
    }
    for (i = 0; i < ssl->conf_cmds->nelts; ++i) {
        *culprit = APR_ARRAY_IDX(ssl->conf_cmds, i, setting);
        if (!is_groups(*culprit) || !ssl->groups) {
            return apr_psprintf(p, "SSLOpenSSLConfCmd %s cannot be honoured", (*culprit)->value);
        }
    }
    for (i = 0; i < ssl->cert_files->nelts + ssl->key_files->nelts; ++i) {
        *culprit = i < ssl->cert_files->nelts
                       ? APR_ARRAY_IDX(ssl->cert_files, i, setting)
                       : APR_ARRAY_IDX(ssl->key_files, i - ssl->cert_files->nelts, setting);
        if (strncmp((*culprit)->value, "pkcs11:", 7) == 0) {
            return apr_psprintf(p, "%s is in a PKCS#11 token", (*culprit)->directive);
        }
    }
    *culprit = NULL;
    return NULL;
}

/* mod_ssl's reading: signs add and take away, a bare word replaces; without the directive: all. */
static int protocol_has_tls13(setting s, apr_pool_t *p)
{
    const char *args = text(s);
    int has = s == NULL;

    while (*args) {
        const char *word = ap_getword_conf(p, &args);
        char sign = *word == '+' || *word == '-' ? *word++ : '\0';
        int names_it = strcasecmp(word, "TLSv1.3") == 0 || strcasecmp(word, "all") == 0;

        if (!sign) {
            has = names_it;
        }
        else if (names_it) {
            has = sign == '+';
        }
    }
    return has;
}

static int allows_all_suites(setting s, apr_pool_t *p)
{
    size_t i;

    for (i = 0; s && i < sizeof(tls13_suites) / sizeof(tls13_suites[0]); ++i) {
        char *list = apr_pstrdup(p, s->value), *last;
        const char *suite = apr_strtok(list, ":, ", &last);

        while (suite && strcmp(suite, tls13_suites[i]) != 0) {
            suite = apr_strtok(NULL, ":, ", &last);
        }
        if (!suite) {
            return 0;
        }
    }
    return 1;
}

static int is_groups(setting cmd)
{
    return strncasecmp(cmd->value, "Groups ", 7) == 0 || strncasecmp(cmd->value, "Curves ", 7) == 0;
}

/*
 * The groups of OpenSSL's list that BoringSSL has, in order; those that it has
 * not are left out, which allows less. NULL if none is left, or if the list
 * is not a plain one.
 */
static const char *boringssl_groups(const char *openssl, apr_pool_t *p)
{
    char *list = apr_pstrdup(p, openssl), *last;
    const char *group, *groups = NULL;
    size_t i;

    for (group = apr_strtok(list, ":", &last); group; group = apr_strtok(NULL, ":", &last)) {
        group +=
            *group == '?' || *group == '*'; /* "if known", "send a key share": both mean allowed */
        if (strpbrk(group, "/-") && strncasecmp(group, "P-", 2) != 0) {
            return NULL;
        }
        for (i = 0; i < sizeof(group_names) / sizeof(group_names[0]); ++i) {
            if (strcasecmp(group, group_names[i].openssl) == 0) {
                const char *name = group_names[i].boringssl;

                groups = groups ? apr_pstrcat(p, groups, ":", name, NULL) : name;
                break;
            }
        }
    }
    return groups;
}

/*
 * What mod_ssl compares under SSLVHostSNIPolicy: how clients are authenticated
 * and, unless only that counts, protocols, ciphers and certificates.
 */
static const char *make_policy(const h3_ssl_config *ssl, const quic_tls_host_spec *spec,
                               apr_pool_t *p)
{
    const char *auth, *cmds = "";
    int i;

    for (i = 0; i < ssl->conf_cmds->nelts; ++i) {
        cmds = apr_pstrcat(p, cmds, text(APR_ARRAY_IDX(ssl->conf_cmds, i, setting)), "\n", NULL);
    }
    auth = apr_pstrcat(p, text(ssl->verify_client), "\n", text(ssl->verify_depth), "\n",
                       text(ssl->ca_path), "\n", text(ssl->ca_file), "\n", text(ssl->ca_dn_path),
                       "\n", text(ssl->ca_dn_file), "\n", text(ssl->crl_path), "\n",
                       text(ssl->crl_file), "\n", text(ssl->crl_check), "\n",
                       text(ssl->ocsp_enable), "\n", text(ssl->ocsp_override), "\n",
                       text(ssl->ocsp_responder), "\n", text(ssl->srp_verifier), "\n", cmds, NULL);
    if (h3_ssl_config_sni_policy() == H3_SNI_AUTHONLY) {
        return auth;
    }
    return apr_pstrcat(p, auth, text(ssl->protocol), "\n", text(ssl->ciphers), "\n",
                       text(ssl->ciphers13), "\n", sorted(spec->cert_files, p), "\n",
                       sorted(spec->key_files, p), NULL);
}

static const char *text(setting s)
{
    return s ? s->value : "";
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *sorted(const apr_array_header_t *strings, apr_pool_t *p)
{
    apr_array_header_t *copy = apr_array_copy(p, strings);

    qsort(copy->elts, (size_t)copy->nelts, sizeof(const char *), compare_strings);
    return apr_array_pstrcat(p, copy, '\n');
}

static apr_array_header_t *values_of(const apr_array_header_t *settings, apr_pool_t *p)
{
    apr_array_header_t *values = apr_array_make(p, settings->nelts + 1, sizeof(const char *));
    int i;

    for (i = 0; i < settings->nelts; ++i) {
        APR_ARRAY_PUSH(values, const char *) = APR_ARRAY_IDX(settings, i, setting)->value;
    }
    return values;
}

/* ---- towards quic_tls ---- */

apr_status_t h3_ssl_spec_make(quic_tls_host_spec *spec, server_rec *s, int final, apr_pool_t *p)
{
    static const uint8_t label[] = "mod_http3 session id context";
    h3_ssl_config *ssl = h3_config_get(s)->ssl;
    uint8_t *sid_ctx = apr_palloc(p, 32);
    const char *domain;
    apr_status_t rv = APR_SUCCESS;

    memset(spec, 0, sizeof(*spec));
    spec->name = s->server_hostname ? s->server_hostname : "the main server";
    spec->cert_files = values_of(ssl->cert_files, p);
    spec->key_files = values_of(ssl->key_files, p);
    spec->chain_file = ssl->chain_file ? ssl->chain_file->value : NULL;
    spec->groups = ssl->groups;
    spec->tickets = !ssl->tickets || h3_ssl_setting_is_on(ssl->tickets);
    spec->server = s;
    if (final) {
        rv = add_foreign_files(s, spec, p);
    }
    if (rv == APR_SUCCESS && spec->cert_files->nelts == 0) {
        rv = APR_ENOENT;
    }

    ssl->policy = make_policy(ssl, spec, p);

    /*
     * A ticket names no host (RFC 8446 section 4.6.1), so it opens only where
     * the virtual host and all that guards it are the same. No pointers go in: the
     * context has to be equal after a restart and on another machine.
     */
    domain = apr_psprintf(p, "%s:%u\n%s", spec->name, (unsigned)s->port, ssl->policy);
    if (quic_crypto_hmac(sid_ctx, label, sizeof(label), (const uint8_t *)domain, strlen(domain))) {
        return APR_ENOMEM;
    }
    spec->sid_ctx = sid_ctx;
    spec->sid_ctx_len = 32;
    return rv;
}

/* In mod_ssl's order: other modules' certificates after its own, a fallback only without any. */
static apr_status_t add_foreign_files(server_rec *s, quic_tls_host_spec *spec, apr_pool_t *p)
{
    int own = spec->cert_files->nelts;
    apr_array_header_t *certs, *keys;
    apr_status_t rv;

    rv = ap_ssl_add_cert_files(s, p, spec->cert_files, spec->key_files);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (spec->cert_files->nelts > own) {
        spec->chain_file = NULL;
    }
    if (spec->cert_files->nelts == 0) {
        certs = apr_array_make(p, 1, sizeof(const char *));
        keys = apr_array_make(p, 1, sizeof(const char *));
        rv = ap_ssl_add_fallback_cert_files(s, p, certs, keys);
        return rv == APR_SUCCESS && certs->nelts ? APR_EGENERAL : APR_ENOENT;
    }
    return APR_SUCCESS;
}
