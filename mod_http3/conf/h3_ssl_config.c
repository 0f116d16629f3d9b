/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/h3_ssl_config.h"

#include <string.h>
#include <apr_strings.h>
#include "ap_listen.h"
#include "http_core.h"
#include "conf/h3_config.h"

/* What mod_ssl keeps once per server process. */
static const h3_ssl_setting *sni_policy, *fips;
static apr_array_header_t *denied_dirs; /* const h3_ssl_setting * */

/* The members that are a single setting, for merging. */
#define MEMBER(m) offsetof(h3_ssl_config, m)
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
static int listens_for_https(const server_rec *s);

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
    h3_ssl_config_dir *dir = apr_pcalloc(p, sizeof(*dir));

    (void)path;
    dir->options = H3_SSL_CONFIG_OPT_RELATIVE;
    return dir;
}

void *h3_ssl_config_merge_dir(apr_pool_t *p, void *basev, void *addv)
{
    const h3_ssl_config_dir *base = basev, *add = addv;
    h3_ssl_config_dir *dir = apr_pmemdup(p, add, sizeof(*add));

    dir->require_ssl = base->require_ssl || add->require_ssl;
    if (add->options & H3_SSL_CONFIG_OPT_RELATIVE) {
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
    given->server = cmd->server;
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
    h3_ssl_config_dir *dir = dirv;
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
    h3_ssl_config_dir *dir = dirv;
    const char *err;

    if (!cmd->path) {
        return record(server_setting(cmd), cmd, arg);
    }
    err = record(&dir->verify_client, cmd, arg);
    if (!err && h3_ssl_setting_verifies(dir->verify_client)) {
        note_denied(cmd, dir->verify_client);
    }
    return err;
}

const char *h3_ssl_config_set_require(cmd_parms *cmd, void *dirv, const char *arg)
{
    h3_ssl_config_dir *dir = dirv;
    const char *err = record(&dir->require, cmd, arg);

    if (!err) {
        note_denied(cmd, dir->require);
    }
    return err;
}

const char *h3_ssl_config_set_require_ssl(cmd_parms *cmd, void *dir)
{
    ((h3_ssl_config_dir *)dir)->require_ssl = 1;
    return mod_ssl_lacks(cmd);
}

const char *h3_ssl_config_set_user(cmd_parms *cmd, void *dir, const char *arg)
{
    return record(&((h3_ssl_config_dir *)dir)->user_name, cmd, arg);
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
    } options[] = { { "StdEnvVars", H3_SSL_CONFIG_OPT_STDENVVARS },
                    { "ExportCertData", H3_SSL_CONFIG_OPT_EXPORTCERTDATA },
                    { "FakeBasicAuth", H3_SSL_CONFIG_OPT_FAKEBASICAUTH },
                    { "LegacyDNStringFormat", H3_SSL_CONFIG_OPT_LEGACYDN } };
    size_t i;

    for (i = 0; i < sizeof(options) / sizeof(options[0]); ++i) {
        if (strcasecmp(word, options[i].word) == 0) {
            return options[i].bit;
        }
    }
    return H3_SSL_CONFIG_OPT_OTHER;
}

/* A word without a sign replaces all before it, on its own line too. */
const char *h3_ssl_config_set_options(cmd_parms *cmd, void *dirv, const char *arg)
{
    h3_ssl_config_dir *dir = dirv;
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

/* ---- values ---- */

int h3_ssl_config_enabled(const server_rec *s)
{
    setting engine = h3_config_get(s)->ssl->engine;

    return engine ? h3_ssl_setting_is_on(engine) : listens_for_https(s);
}

/*
 * `Listen 443`, or any port followed by `https`, switches mod_ssl on where SSLEngine is not given.
 * Core gives the listener's protocol to the virtual host only in open_logs; this is how it does.
 */
static int listens_for_https(const server_rec *s)
{
    const char *protocol = ap_get_server_protocol((server_rec *)s);
    const server_addr_rec *sar;
    ap_listen_rec *lr;

    for (sar = s->addrs; sar && !protocol; sar = sar->next) {
        for (lr = ap_listeners; lr && !protocol; lr = lr->next) {
            if (apr_sockaddr_equal(lr->bind_addr, sar->host_addr)
                && lr->bind_addr->port == sar->host_port) {
                protocol = lr->protocol;
            }
        }
    }
    return protocol && strcmp(protocol, "https") == 0;
}

int h3_ssl_config_strict_sni(const server_rec *s)
{
    return h3_ssl_setting_is_on(h3_config_get(s)->ssl->strict_sni);
}

h3_ssl_config_sni h3_ssl_config_sni_policy(void)
{
    const char *name = sni_policy ? sni_policy->value : "";

    return strcasecmp(name, "strict") == 0     ? H3_SSL_CONFIG_SNI_STRICT
           : strcasecmp(name, "insecure") == 0 ? H3_SSL_CONFIG_SNI_INSECURE
           : strcasecmp(name, "authonly") == 0 ? H3_SSL_CONFIG_SNI_AUTHONLY
                                               : H3_SSL_CONFIG_SNI_SECURE;
}

const apr_array_header_t *h3_ssl_config_denied_dirs(void)
{
    return denied_dirs;
}

const h3_ssl_setting *h3_ssl_config_fips(void)
{
    return fips;
}
