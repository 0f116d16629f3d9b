/* SPDX-License-Identifier: Apache-2.0 */
#include "h3_ssl_config.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "http_log.h"
#include "http_ssl.h"
#include "h3_config.h"
#include "quic_crypto.h"

APLOG_USE_MODULE(http3);

/* What mod_ssl keeps once per server process. */
static const h3_ssl_setting *sni_policy, *fips;
static apr_array_header_t *denied_dirs; /* const h3_ssl_setting * */

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

/* The members that are a single setting, for merging. */
#define MEMBER(m) APR_OFFSETOF(h3_ssl_config, m)
static const size_t single_settings[] = {
    MEMBER(engine),      MEMBER(protocol),     MEMBER(ciphers),         MEMBER(ciphers13),
    MEMBER(chain_file),  MEMBER(tickets),      MEMBER(ticket_key_file), MEMBER(verify_client),
    MEMBER(ca_path),     MEMBER(verify_depth), MEMBER(ca_file),         MEMBER(ca_dn_path),
    MEMBER(ca_dn_file),  MEMBER(crl_path),     MEMBER(crl_file),        MEMBER(crl_check),
    MEMBER(ocsp_enable), MEMBER(strict_sni),   MEMBER(ocsp_override),   MEMBER(ocsp_responder),
    MEMBER(srp_verifier)
};
#define NSINGLE (sizeof(single_settings) / sizeof(single_settings[0]))

typedef const h3_ssl_setting *setting;

static setting *at(const h3_ssl_config *ssl, size_t offset);
static const char *record(setting *s, cmd_parms *cmd, const char *value);
static const char *record_file(setting *s, cmd_parms *cmd, const char *arg);
static const char *mod_ssl_lacks(cmd_parms *cmd);
static h3_ssl_config *server_of(cmd_parms *cmd);
static setting *server_setting(cmd_parms *cmd);
static void note_denied(cmd_parms *cmd, setting s);
static apr_array_header_t *merge_files(apr_pool_t *p, const apr_array_header_t *base,
                                       const apr_array_header_t *add);
static int option_bit(const char *word);
static const char *text(setting s);
static int is_on(setting s);
static int verifies(setting s);
static int protocol_has_tls13(setting s, apr_pool_t *p);
static int allows_all_suites(setting s, apr_pool_t *p);
static const char *boringssl_groups(const char *openssl, apr_pool_t *p);
static int is_groups(setting cmd);
static const char *make_policy(const h3_ssl_config *ssl, const quic_tls_host_spec *spec,
                               apr_pool_t *p);
static const char *sorted(const apr_array_header_t *strings, apr_pool_t *p);
static apr_array_header_t *values_of(const apr_array_header_t *settings, apr_pool_t *p);
static apr_status_t add_foreign_files(server_rec *s, quic_tls_host_spec *spec, apr_pool_t *p);

/* ---- create and merge ---- */

h3_ssl_config *h3_ssl_config_create(apr_pool_t *p)
{
    h3_ssl_config *ssl = apr_pcalloc(p, sizeof(*ssl));

    ssl->cert_files = apr_array_make(p, 2, sizeof(setting));
    ssl->key_files = apr_array_make(p, 2, sizeof(setting));
    ssl->conf_cmds = apr_array_make(p, 0, sizeof(setting));
    return ssl;
}

h3_ssl_config *h3_ssl_config_merge(apr_pool_t *p, const h3_ssl_config *base,
                                   const h3_ssl_config *add)
{
    h3_ssl_config *ssl = apr_pcalloc(p, sizeof(*ssl));
    size_t i;

    for (i = 0; i < NSINGLE; ++i) {
        setting own = *at(add, single_settings[i]);

        *at(ssl, single_settings[i]) = own ? own : *at(base, single_settings[i]);
    }
    ssl->cert_files = merge_files(p, base->cert_files, add->cert_files);
    ssl->key_files = merge_files(p, base->key_files, add->key_files);
    ssl->conf_cmds = apr_array_append(p, base->conf_cmds, add->conf_cmds);
    return ssl;
}

/* As mod_ssl does: the i-th file of the virtual host takes the place of the server's i-th. */
static apr_array_header_t *merge_files(apr_pool_t *p, const apr_array_header_t *base,
                                       const apr_array_header_t *add)
{
    apr_array_header_t *files = apr_array_copy(p, add);
    int i;

    for (i = add->nelts; i < base->nelts; ++i) {
        APR_ARRAY_PUSH(files, setting) = APR_ARRAY_IDX(base, i, setting);
    }
    return files;
}

void *h3_ssl_config_create_dir(apr_pool_t *p, char *path)
{
    h3_ssl_dir *dir = apr_pcalloc(p, sizeof(*dir));

    (void)path;
    dir->options = H3_SSL_OPT_RELATIVE;
    return dir;
}

void *h3_ssl_config_merge_dir(apr_pool_t *p, void *basev, void *addv)
{
    const h3_ssl_dir *base = basev, *add = addv;
    h3_ssl_dir *dir = apr_pmemdup(p, add, sizeof(*add));

    dir->require_ssl = base->require_ssl || add->require_ssl;
    if (add->options & H3_SSL_OPT_RELATIVE) {
        dir->options_add = (base->options_add & ~add->options_del) | add->options_add;
        dir->options_del = (base->options_del & ~add->options_add) | add->options_del;
        dir->options = (base->options & ~dir->options_del) | dir->options_add;
    }
    dir->verify_client = add->verify_client ? add->verify_client : base->verify_client;
    dir->ciphers = add->ciphers ? add->ciphers : base->ciphers;
    dir->require = add->require ? add->require : base->require;
    dir->user_name = add->user_name ? add->user_name : base->user_name;
    return dir;
}

void h3_ssl_config_reset(apr_pool_t *pconf)
{
    sni_policy = fips = NULL;
    denied_dirs = apr_array_make(pconf, 4, sizeof(setting));
}

/* ---- handlers ---- */

static setting *at(const h3_ssl_config *ssl, size_t offset)
{
    return (setting *)((char *)ssl + offset);
}

static h3_ssl_config *server_of(cmd_parms *cmd)
{
    return h3_config_get(cmd->server)->ssl;
}

static setting *server_setting(cmd_parms *cmd)
{
    return at(server_of(cmd), (size_t)cmd->info);
}

/* Without mod_ssl, or one built without this directive, it would be accepted in silence. */
static const char *mod_ssl_lacks(cmd_parms *cmd)
{
    const module *ssl = ap_find_linked_module("mod_ssl.c");
    const command_rec *row;

    if (!ssl) {
        return apr_psprintf(cmd->pool,
                            "%s is a directive of mod_ssl, which is not loaded: mod_http3 takes "
                            "certificates from it and serves nothing without it (LoadModule "
                            "ssl_module ...)",
                            cmd->cmd->name);
    }
    for (row = ssl->cmds; row && row->name; ++row) {
        if (strcasecmp(row->name, cmd->cmd->name) == 0) {
            return NULL;
        }
    }
    return apr_psprintf(cmd->pool, "%s: this mod_ssl does not have it", cmd->cmd->name);
}

static const char *record(setting *s, cmd_parms *cmd, const char *value)
{
    const char *err = mod_ssl_lacks(cmd);
    h3_ssl_setting *given;

    if (err) {
        return err;
    }
    given = apr_pcalloc(cmd->pool, sizeof(*given));
    given->directive = cmd->cmd->name;
    given->value = apr_pstrdup(cmd->pool, value);
    given->file = cmd->directive->filename;
    given->line = cmd->directive->line_num;
    *s = given;
    return NULL;
}

static const char *record_file(setting *s, cmd_parms *cmd, const char *arg)
{
    const char *path = arg;

    if (strncmp(arg, "pkcs11:", 7) != 0) {
        path = ap_server_root_relative(cmd->pool, arg);
    }
    return record(s, cmd, path ? path : arg);
}

const char *h3_ssl_config_set(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    if (cmd->path) { /* SSLVerifyDepth: without a client certificate it bounds nothing */
        return mod_ssl_lacks(cmd);
    }
    return record(server_setting(cmd), cmd, arg);
}

const char *h3_ssl_config_set_file(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    if (cmd->path) { /* mod_ssl refuses it there */
        return mod_ssl_lacks(cmd);
    }
    return record_file(server_setting(cmd), cmd, arg);
}

const char *h3_ssl_config_add_file(cmd_parms *cmd, void *dir, const char *arg)
{
    apr_array_header_t *files;
    setting s = NULL;
    const char *err = record_file(&s, cmd, arg);

    (void)dir;
    if (!err) {
        files = *(apr_array_header_t **)((char *)server_of(cmd) + (size_t)cmd->info);
        APR_ARRAY_PUSH(files, setting) = s;
    }
    return err;
}

const char *h3_ssl_config_set_flag(cmd_parms *cmd, void *dir, int flag)
{
    return h3_ssl_config_set(cmd, dir, flag ? "on" : "off");
}

const char *h3_ssl_config_set_ciphers(cmd_parms *cmd, void *dirv, const char *a, const char *b)
{
    h3_ssl_config *ssl = server_of(cmd);
    h3_ssl_dir *dir = dirv;
    const char *err;

    if (!cmd->path) {
        return record(b && strcmp(a, "TLSv1.3") == 0 ? &ssl->ciphers13 : &ssl->ciphers, cmd,
                      b ? b : a);
    }
    err = record(&dir->ciphers, cmd, b ? b : a);
    if (!err) {
        note_denied(cmd, dir->ciphers);
    }
    return err;
}

const char *h3_ssl_config_add_conf_cmd(cmd_parms *cmd, void *dir, const char *a, const char *b)
{
    setting s = NULL;
    const char *err = record(&s, cmd, apr_pstrcat(cmd->temp_pool, a, " ", b, NULL));

    (void)dir;
    if (!err) {
        APR_ARRAY_PUSH(server_of(cmd)->conf_cmds, setting) = s;
    }
    return err;
}

const char *h3_ssl_config_set_verify(cmd_parms *cmd, void *dirv, const char *arg)
{
    h3_ssl_dir *dir = dirv;
    const char *err;

    if (!cmd->path) {
        return record(server_setting(cmd), cmd, arg);
    }
    err = record(&dir->verify_client, cmd, arg);
    if (!err && verifies(dir->verify_client)) {
        note_denied(cmd, dir->verify_client);
    }
    return err;
}

const char *h3_ssl_config_set_require(cmd_parms *cmd, void *dirv, const char *arg)
{
    h3_ssl_dir *dir = dirv;
    const char *err = record(&dir->require, cmd, arg);

    if (!err) {
        note_denied(cmd, dir->require);
    }
    return err;
}

const char *h3_ssl_config_set_require_ssl(cmd_parms *cmd, void *dir)
{
    ((h3_ssl_dir *)dir)->require_ssl = 1;
    return mod_ssl_lacks(cmd);
}

const char *h3_ssl_config_set_user(cmd_parms *cmd, void *dir, const char *arg)
{
    return record(&((h3_ssl_dir *)dir)->user_name, cmd, arg);
}

const char *h3_ssl_config_set_sni_policy(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return record(&sni_policy, cmd, arg);
}

const char *h3_ssl_config_set_fips(cmd_parms *cmd, void *dir, int flag)
{
    (void)dir;
    return record(&fips, cmd, flag ? "on" : "off");
}

static int option_bit(const char *word)
{
    static const struct {
        const char *word;
        int bit;
    } options[] = { { "StdEnvVars", H3_SSL_OPT_STDENVVARS },
                    { "ExportCertData", H3_SSL_OPT_EXPORTCERTDATA },
                    { "FakeBasicAuth", H3_SSL_OPT_FAKEBASICAUTH },
                    { "LegacyDNStringFormat", H3_SSL_OPT_LEGACYDN } };
    size_t i;

    for (i = 0; i < sizeof(options) / sizeof(options[0]); ++i) {
        if (strcasecmp(word, options[i].word) == 0) {
            return options[i].bit;
        }
    }
    return H3_SSL_OPT_OTHER;
}

/* A word without a sign replaces all before it, on its own line too. */
const char *h3_ssl_config_set_options(cmd_parms *cmd, void *dirv, const char *arg)
{
    h3_ssl_dir *dir = dirv;
    int first = 1;

    while (*arg) {
        const char *word = ap_getword_conf(cmd->temp_pool, &arg);
        char sign = *word == '+' || *word == '-' ? *word++ : '\0';
        int bit = option_bit(word);

        if (!sign && first) {
            dir->options = 0;
            first = 0;
        }
        if (sign == '-') {
            dir->options_add &= ~bit;
            dir->options_del |= bit;
            dir->options &= ~bit;
        }
        else if (sign == '+') {
            dir->options_add |= bit;
            dir->options_del &= ~bit;
            dir->options |= bit;
        }
        else {
            dir->options = dir->options_add = bit;
            dir->options_del = 0;
        }
    }
    return mod_ssl_lacks(cmd);
}

static void note_denied(cmd_parms *cmd, setting s)
{
    if (ap_check_cmd_context(cmd, NOT_IN_HTACCESS) == NULL) {
        APR_ARRAY_PUSH(denied_dirs, setting) = s;
    }
}

/* ---- what follows from them ---- */

static const char *text(setting s)
{
    return s ? s->value : "";
}

static int is_on(setting s)
{
    return s && strcasecmp(s->value, "on") == 0;
}

static int verifies(setting s)
{
    return s && strcasecmp(s->value, "none") != 0 && strcasecmp(s->value, "off") != 0;
}

int h3_ssl_config_enabled(const server_rec *s)
{
    return is_on(h3_config_get(s)->ssl->engine);
}

int h3_ssl_config_strict_sni(const server_rec *s)
{
    return is_on(h3_config_get(s)->ssl->strict_sni);
}

h3_sni_policy h3_ssl_config_sni_policy(void)
{
    const char *name = text(sni_policy);

    return strcasecmp(name, "strict") == 0     ? H3_SNI_STRICT
           : strcasecmp(name, "insecure") == 0 ? H3_SNI_INSECURE
           : strcasecmp(name, "authonly") == 0 ? H3_SNI_AUTHONLY
                                               : H3_SNI_SECURE;
}

const apr_array_header_t *h3_ssl_config_denied_dirs(void)
{
    return denied_dirs;
}

void h3_ssl_config_complete(server_rec *main_server, apr_pool_t *pconf)
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

const char *h3_ssl_config_off_reason(const server_rec *s, apr_pool_t *p, setting *culprit)
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
    if (verifies(*culprit = ssl->verify_client)) {
        return apr_psprintf(p, "SSLVerifyClient is %s", ssl->verify_client->value);
    }
    if (is_on(*culprit = fips)) {
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

apr_status_t h3_ssl_config_host_spec(quic_tls_host_spec *spec, server_rec *s, int final,
                                     apr_pool_t *p)
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
    spec->tickets = !ssl->tickets || is_on(ssl->tickets);
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
