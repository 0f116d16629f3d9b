/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/h3_ssl_plan.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "http_ssl.h"
#include "mod_ssl.h"
#include "conf/h3_config.h"
#include "conf/h3_ssl_config.h"
#include "tls/quic_keys.h"

typedef const h3_ssl_setting *setting;

/* What BoringSSL negotiates; it cannot be told to leave one out. RFC 8446 section 9.1 */
static const char *const tls13_suites[] = { "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                            "TLS_CHACHA20_POLY1305_SHA256" };

static int protocol_has_tls13(setting s, apr_pool_t *p);
static int allows_all_suites(setting s, apr_pool_t *p);
static int is_groups(setting cmd);
static const char *make_policy(const h3_ssl_config *ssl, const quic_tls_host_plan *plan,
                               apr_pool_t *p);
static const char *sorted(const apr_array_header_t *strings, apr_pool_t *p);
static apr_array_header_t *values_of(const apr_array_header_t *settings, apr_pool_t *p);
static apr_status_t add_foreign_files(server_rec *s, quic_tls_host_plan *plan, apr_pool_t *p);
static void ask_old_hook(const char *name, server_rec *s, apr_pool_t *p, apr_array_header_t *certs,
                         apr_array_header_t *keys);
static const char *text(setting s);

void h3_ssl_plan_complete(server_rec *main_server, apr_pool_t *pconf)
{
    server_rec *s;
    int i;

    for (s = main_server; s; s = s->next) {
        h3_ssl_config *ssl = h3_config_get(s)->ssl;

        for (i = 0; i < ssl->conf_cmds->nelts; ++i) {
            setting cmd = APR_ARRAY_IDX(ssl->conf_cmds, i, setting);

            if (is_groups(cmd)) {
                ssl->groups = quic_tls_groups(strchr(cmd->value, ' ') + 1, pconf);
            }
        }
    }
}

const char *h3_ssl_plan_off_reason(const server_rec *s, apr_pool_t *p, setting *culprit)
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
 * What mod_ssl compares under SSLVHostSNIPolicy: how clients are authenticated and, unless that
 * alone counts, protocols, ciphers and certificates.
 */
static const char *make_policy(const h3_ssl_config *ssl, const quic_tls_host_plan *plan,
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
    if (h3_ssl_config_sni_policy() == H3_SSL_CONFIG_SNI_AUTHONLY) {
        return auth;
    }
    return apr_pstrcat(p, auth, text(ssl->protocol), "\n", text(ssl->ciphers), "\n",
                       text(ssl->ciphers13), "\n", sorted(plan->cert_files, p), "\n",
                       sorted(plan->key_files, p), NULL);
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

apr_status_t h3_ssl_plan_make(quic_tls_host_plan *plan, server_rec *s, int final, apr_pool_t *p)
{
    static const uint8_t label[] = "mod_http3 session id context";
    h3_ssl_config *ssl = h3_config_get(s)->ssl;
    uint8_t *sid_ctx = apr_palloc(p, 32);
    const char *domain;
    apr_status_t rv = APR_SUCCESS;

    memset(plan, 0, sizeof(*plan));
    plan->name = s->server_hostname ? s->server_hostname : "the main server";
    plan->cert_files = values_of(ssl->cert_files, p);
    plan->key_files = values_of(ssl->key_files, p);
    plan->chain_file = ssl->chain_file ? ssl->chain_file->value : NULL;
    plan->groups = ssl->groups;
    plan->tickets = !ssl->tickets || h3_ssl_setting_is_on(ssl->tickets);
    plan->server = s;
    if (final) {
        rv = add_foreign_files(s, plan, p);
    }
    if (rv == APR_SUCCESS && plan->cert_files->nelts == 0) {
        rv = APR_ENOENT;
    }

    ssl->policy = make_policy(ssl, plan, p);

    /*
     * A ticket names no host (RFC 8446 section 4.6.1), so it opens only where the virtual host and
     * all that guards it are the same. No pointers go into it: the context has to be the same after
     * a restart, and on another machine.
     */
    domain = apr_psprintf(p, "%s:%u\n%s", plan->name, (unsigned)s->port, ssl->policy);
    if (quic_keys_hmac(sid_ctx, label, sizeof(label), (const uint8_t *)domain, strlen(domain))) {
        return APR_ENOMEM;
    }
    plan->sid_ctx = sid_ctx;
    plan->sid_ctx_len = 32;
    return rv;
}

/*
 * In mod_ssl's order: other modules' certificates after its own, a fallback only where there are
 * none. As in mod_ssl, only the arrays count: the functions return an error also where a hook has
 * given files and says DONE, as mod_md's does.
 */
static apr_status_t add_foreign_files(server_rec *s, quic_tls_host_plan *plan, apr_pool_t *p)
{
    int own = plan->cert_files->nelts;
    apr_array_header_t *certs, *keys;

    (void)ap_ssl_add_cert_files(s, p, plan->cert_files, plan->key_files);
    ask_old_hook("add_cert_files", s, p, plan->cert_files, plan->key_files);
    if (plan->cert_files->nelts > own) {
        plan->chain_file = NULL;
    }
    if (plan->cert_files->nelts > 0) {
        return APR_SUCCESS;
    }
    certs = apr_array_make(p, 1, sizeof(const char *));
    keys = apr_array_make(p, 1, sizeof(const char *));
    (void)ap_ssl_add_fallback_cert_files(s, p, certs, keys);
    ask_old_hook("add_fallback_cert_files", s, p, certs, keys);
    return certs->nelts ? APR_EGENERAL : APR_ENOENT;
}

/* mod_ssl's own hooks from before core had them, as it runs them: until one gives something. */
static void ask_old_hook(const char *name, server_rec *s, apr_pool_t *p, apr_array_header_t *certs,
                         apr_array_header_t *keys)
{
    const apr_array_header_t *hooks = apr_optional_hook_get(name);
    int i, rv = DECLINED;

    for (i = 0; hooks && i < hooks->nelts && (rv == OK || rv == DECLINED); ++i) {
        rv = APR_ARRAY_IDX(hooks, i, ssl_LINK_add_cert_files_t).pFunc(s, p, certs, keys);
    }
}
