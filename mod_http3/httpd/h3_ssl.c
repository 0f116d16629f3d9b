/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/h3_ssl.h"

#include <string.h>
#include <apr_strings.h>
#include "ap_provider.h"
#include "http_config.h"
#include "http_connection.h"
#include "http_core.h"
#include "http_log.h"
#include "http_protocol.h"
#include "http_request.h"
#include "http_ssl.h"
#include "mod_auth.h"
#include "conf/h3_config.h"
#include "httpd/h3_connrec.h"
#include "conf/h3_ssl_config.h"
#include "httpd/h3_ssl_var.h"

APLOG_USE_MODULE(http3);

static const authz_provider *mod_ssl_require_ssl; /* set in pre_config */

static int ssl_conn_is_ssl(conn_rec *c);
static const char *http_scheme(const request_rec *r);
static apr_port_t default_port(const request_rec *r);
static const char *protocol_get(const conn_rec *c);
static int post_read_request(request_rec *r);
static int check_access(request_rec *r);
static int restore_config(request_rec *r);
static const char *why_denied(const request_rec *r, const h3_ssl_config_dir *dir,
                              const h3_ssl_setting **culprit);
static void set_user(request_rec *r, const h3_ssl_config_dir *dir);
static void hide_require_ssl(request_rec *r);
static int fixups(request_rec *r);
static int fixups_last(request_rec *r);
static authz_status require_ssl_check(request_rec *r, const char *line, const void *parsed);
static const char *require_ssl_parse(cmd_parms *cmd, const char *line, const void **parsed);

void h3_ssl_register_hooks(apr_pool_t *p)
{
    h3_ssl_var_register_hooks(p);
    ap_hook_ssl_conn_is_ssl(ssl_conn_is_ssl, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_http_scheme(http_scheme, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_default_port(default_port, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_protocol_get(protocol_get, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_read_request(post_read_request, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_check_access(check_access, NULL, NULL, APR_HOOK_REALLY_FIRST,
                         AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_check_access(restore_config, NULL, NULL, APR_HOOK_REALLY_LAST,
                         AP_AUTH_INTERNAL_PER_CONF);
    /* Under `Satisfy Any` a request goes on after a checker has denied it. */
    ap_hook_check_access_ex(restore_config, NULL, NULL, APR_HOOK_REALLY_FIRST,
                            AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_fixups(fixups, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_fixups(fixups_last, NULL, NULL, APR_HOOK_REALLY_LAST);
}

/* ---- what kind of connection it is ---- */

static int ssl_conn_is_ssl(conn_rec *c)
{
    return h3_connrec_of(c) ? OK : DECLINED;
}

static const char *http_scheme(const request_rec *r)
{
    return h3_connrec_of(r->connection) ? "https" : NULL;
}

static apr_port_t default_port(const request_rec *r)
{
    return h3_connrec_of(r->connection) ? DEFAULT_HTTPS_PORT : 0;
}

static const char *protocol_get(const conn_rec *c)
{
    return h3_connrec_of(c) ? "h3" : NULL;
}

/* ---- virtual hosts on one connection ---- */

int h3_ssl_same_trust(const server_rec *handshake, const server_rec *request)
{
    const h3_config *a = h3_config_get(handshake), *b = h3_config_get(request);

    if (b->off_reason || !b->tls_host) {
        return 0;
    }
    switch (h3_ssl_config_sni_policy()) {
    case H3_SSL_CONFIG_SNI_INSECURE:
        return 1;
    case H3_SSL_CONFIG_SNI_STRICT:
        return handshake == request;
    default:
        return handshake == request
               || (a->ssl->policy && b->ssl->policy && strcmp(a->ssl->policy, b->ssl->policy) == 0);
    }
}

/* SSLStrictSNIVHostCheck: no request without a name in the handshake. */
static int post_read_request(request_rec *r)
{
    const h3_connrec *cr = h3_connrec_of(r->connection);

    if (!cr || cr->tls.sni || !ap_is_initial_req(r) || !r->connection->vhost_lookup_data
        || (!h3_ssl_config_strict_sni(r->server) && !h3_ssl_config_strict_sni(cr->server))) {
        return DECLINED;
    }
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  "no server name in the TLS handshake, SSLStrictSNIVHostCheck wants one");
    apr_table_setn(r->notes, "error-notes",
                   "Reason: The client software did not provide a hostname using Server Name "
                   "Indication (SNI), which is required to access this server.<br />\n");
    return HTTP_FORBIDDEN;
}

/* ---- access ---- */

/*
 * Where the connection is not its own, mod_ssl silently skips a directory's SSLVerifyClient,
 * SSLRequire and SSLCipherSuite; so these are denied before it is asked.
 */
static int check_access(request_rec *r)
{
    const h3_ssl_setting *culprit = NULL;
    const h3_ssl_config_dir *dir;
    const char *why;

    if (!h3_connrec_of(r->connection)) {
        return DECLINED;
    }
    dir = ap_get_module_config(r->per_dir_config, &http3_module);
    why = why_denied(r, dir, &culprit);
    if (why) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                      "access to %s denied over HTTP/3, which does not do %s here (%s:%d)",
                      r->filename ? r->filename : r->uri, why, culprit ? culprit->file : "-",
                      culprit ? culprit->line : 0);
        /* What mod_ssl leaves for SSLOptions +StrictRequire, which it checks itself. */
        apr_table_setn(r->notes, "ssl-access-forbidden", "1");
        return HTTP_FORBIDDEN;
    }
    set_user(r, dir);
    if (dir->require_ssl) {
        hide_require_ssl(r);
    }
    return DECLINED;
}

static const char *why_denied(const request_rec *r, const h3_ssl_config_dir *dir,
                              const h3_ssl_setting **culprit)
{
    if (h3_config_get(r->server)->off_reason) {
        return "this virtual host";
    }
    if (h3_ssl_setting_verifies(*culprit = dir->verify_client)) {
        return "SSLVerifyClient";
    }
    if ((*culprit = dir->ciphers) != NULL) {
        return "SSLCipherSuite";
    }
    if ((*culprit = dir->require) != NULL) {
        return "SSLRequire";
    }
    return NULL;
}

/* As over TCP without a client certificate: that certificate's variables name nobody. */
static void set_user(request_rec *r, const h3_ssl_config_dir *dir)
{
    const char *user;

    if (dir->user_name && !(dir->options & H3_SSL_CONFIG_OPT_FAKEBASICAUTH)) {
        user = ap_ssl_var_lookup(r->pool, r->server, r->connection, r, dir->user_name->value);
        if (user && *user) {
            r->user = apr_pstrdup(r->pool, user);
            r->ap_auth_type = "ClientCert";
        }
    }
}

/*
 * mod_ssl answers SSLRequireSSL with 403 on connections that are not its own, and there is no hook
 * to tell it that ours are TLS as well. For the access phase it gets a fresh, empty configuration
 * of the directory; whatever else it could have checked there has been denied above.
 * restore_config puts the real one back, which the rest of mod_ssl and mod_proxy need.
 */
static void hide_require_ssl(request_rec *r)
{
    module *ssl = ap_find_linked_module("mod_ssl.c");
    ap_conf_vector_t *copy = ap_create_per_dir_config(r->pool);
    module *m;

    for (m = ap_top_module; m; m = m->next) {
        ap_set_module_config(copy, m, ap_get_module_config(r->per_dir_config, m));
    }
    ap_set_module_config(copy, ssl, ssl->create_dir_config(r->pool, NULL));
    /* Of this request only: an error page that follows it shares its pool. */
    ap_set_module_config(r->request_config, &http3_module, r->per_dir_config);
    r->per_dir_config = copy;
}

static int restore_config(request_rec *r)
{
    ap_conf_vector_t *kept = ap_get_module_config(r->request_config, &http3_module);

    if (kept) {
        ap_set_module_config(r->request_config, &http3_module, NULL);
        r->per_dir_config = kept;
    }
    return DECLINED;
}

/* ---- scripts ---- */

/* The environment of scripts: SSLOptions. */
static int fixups(request_rec *r)
{
    const h3_connrec *cr = h3_connrec_of(r->connection);
    apr_table_t *env = r->subprocess_env;
    const h3_ssl_config_dir *dir;

    if (!cr) {
        return DECLINED;
    }
    dir = ap_get_module_config(r->per_dir_config, &http3_module);
    apr_table_setn(env, "HTTPS", "on");
    if (cr->tls.sni) {
        apr_table_setn(env, "SSL_TLS_SNI", cr->tls.sni);
    }
    if (dir->options & H3_SSL_CONFIG_OPT_STDENVVARS) {
        h3_ssl_var_std_env(env, r);
    }
    if (dir->options & H3_SSL_CONFIG_OPT_EXPORTCERTDATA) {
        h3_ssl_var_cert_env(env, r);
    }
    return DECLINED;
}

/* When all conditions have been looked at: one of them asked for what we cannot answer. */
static int fixups_last(request_rec *r)
{
    const char *name = h3_connrec_of(r->connection) ? h3_ssl_var_unanswered(r) : NULL;

    if (!name) {
        return DECLINED;
    }
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  "access to %s denied over HTTP/3: a condition asks for %s, which has no value "
                  "here",
                  r->uri, name);
    return HTTP_FORBIDDEN;
}

/* ---- Require ssl ---- */

void h3_ssl_pre_config(apr_pool_t *pconf)
{
    static const authz_provider ours = { require_ssl_check, require_ssl_parse };

    h3_ssl_var_pre_config(pconf);
    mod_ssl_require_ssl = ap_lookup_provider(AUTHZ_PROVIDER_GROUP, "ssl", AUTHZ_PROVIDER_VERSION);
    if (mod_ssl_require_ssl) {
        /*
         * Not ap_register_auth_provider: it counts providers, to see whether all are per
         * configuration, and this one takes the place of one that it has counted already.
         */
        ap_register_provider(pconf, AUTHZ_PROVIDER_GROUP, "ssl", AUTHZ_PROVIDER_VERSION, &ours);
    }
}

static authz_status require_ssl_check(request_rec *r, const char *line, const void *parsed)
{
    if (h3_connrec_of(r->connection)) {
        return AUTHZ_GRANTED;
    }
    return mod_ssl_require_ssl->check_authorization(r, line, parsed);
}

static const char *require_ssl_parse(cmd_parms *cmd, const char *line, const void **parsed)
{
    return mod_ssl_require_ssl->parse_require_line(cmd, line, parsed);
}
