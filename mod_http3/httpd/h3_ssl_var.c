/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/h3_ssl_var.h"

#include <string.h>
#include <apr_strings.h>
#include "ap_expr.h"
#include "http_config.h"
#include "http_protocol.h"
#include "http_request.h"
#include "http_ssl.h"
#include "mod_log_config.h"
#include "conf/h3_config.h"
#include "httpd/h3_connrec.h"
#include "conf/h3_ssl_config.h"

#define UNANSWERED_NOTE "http3-unanswered-variable"

/* What an expression calls: ours for our connections, else what mod_ssl had registered. */
typedef struct {
    const char *name;
    const void *theirs; /* function */
    const void *theirs_data;
} lookup_data;

static const char *answer(apr_pool_t *p, const h3_connrec *cr, const char *name);
static int is_unanswerable(const h3_connrec *cr, const request_rec *r, const char *name);
static const char *ssl_var_lookup(apr_pool_t *p, server_rec *s, conn_rec *c, request_rec *r,
                                  const char *name);
static int expr_lookup(ap_expr_lookup_parms *parms);
static const char *expr_var(ap_expr_eval_ctx_t *ctx, const void *data);
static const char *expr_func(ap_expr_eval_ctx_t *ctx, const void *data, const char *arg);
static const char *log_x(request_rec *r, char *name);
static const char *log_c(request_rec *r, char *name);
static const char *log_value(request_rec *r, const char *value);
static void add_numbered(apr_table_t *env, request_rec *r, const char *prefix, int bare_first);

void h3_ssl_var_register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_ssl_var_lookup(ssl_var_lookup, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_expr_lookup(expr_lookup, NULL, NULL, APR_HOOK_FIRST);
}

/* ---- values ---- */

const char *h3_ssl_var(apr_pool_t *p, const conn_rec *c, request_rec *r, const char *name)
{
    const h3_connrec *cr = c ? h3_connrec_of(c) : NULL;

    if (!cr) {
        return NULL;
    }
    if (strcasecmp(name, "HTTPS") == 0) {
        return "on";
    }
    if (strncasecmp(name, "SSL_", 4) != 0 || strncasecmp(name, "SSL_VERSION_", 12) == 0) {
        return NULL;
    }
    if (is_unanswerable(cr, r, name + 4)) {
        if (r) {
            apr_table_set(r->notes, UNANSWERED_NOTE, name);
        }
        return "";
    }
    return answer(p, cr, name + 4);
}

const char *h3_ssl_var_unanswered(const request_rec *r)
{
    return apr_table_get(r->notes, UNANSWERED_NOTE);
}

/*
 * To say nothing would be a lie here, and "!=" would take it for a yes: names in the server's
 * certificate other than DNS and mail, the old form of its names, an id that could not be made.
 */
static int is_unanswerable(const h3_connrec *cr, const request_rec *r, const char *name)
{
    const h3_ssl_config_dir *dir;

    if (strncasecmp(name, "SERVER_SAN_OTHER_", 17) == 0) {
        return 1;
    }
    if (strcasecmp(name, "SESSION_ID") == 0) {
        return !*cr->tls.session_id;
    }
    if (strcasecmp(name, "SERVER_S_DN") != 0 && strcasecmp(name, "SERVER_I_DN") != 0) {
        return 0;
    }
    dir = r && r->per_dir_config ? ap_get_module_config(r->per_dir_config, &http3_module) : NULL;
    return dir && (dir->options & H3_SSL_CONFIG_OPT_LEGACYDN);
}

static const char *answer(apr_pool_t *p, const h3_connrec *cr, const char *name)
{
    const quic_tls_info *tls = &cr->tls;
    const char *value = NULL;
    const struct {
        const char *name, *value;
    } known[] = {
        { "PROTOCOL", tls->protocol },
        { "CIPHER", tls->cipher },
        { "CIPHER_EXPORT", "false" },
        { "COMPRESS_METHOD", "NULL" }, /* TLS 1.3 has none. RFC 8446 section 4.1.2 */
        { "SECURE_RENEG", "true" },    /* nor this, but OpenSSL says so of TLS 1.3, too */
        { "SESSION_ID", tls->session_id },
        { "SESSION_RESUMED", tls->resumed ? "Resumed" : "Initial" },
        { "TLS_SNI", tls->sni },
        { "CLIENT_VERIFY", "NONE" },
    };
    size_t i;

    if (strncasecmp(name, "SERVER_", 7) == 0) {
        value = quic_tls_server_var(tls->host, name + 7, p);
    }
    else if (strcasecmp(name, "CIPHER_USEKEYSIZE") == 0
             || strcasecmp(name, "CIPHER_ALGKEYSIZE") == 0) {
        value = apr_itoa(p, tls->cipher_bits);
    }
    else {
        for (i = 0; i < sizeof(known) / sizeof(known[0]); ++i) {
            if (strcasecmp(name, known[i].name) == 0) {
                value = known[i].value ? apr_pstrdup(p, known[i].value) : NULL;
            }
        }
    }
    return value ? value : "";
}

/* RUN_FIRST: NULL leaves connections of others, and all that is no SSL_* variable, to mod_ssl. */
static const char *ssl_var_lookup(apr_pool_t *p, server_rec *s, conn_rec *c, request_rec *r,
                                  const char *name)
{
    (void)s;
    return h3_ssl_var(p, c ? c : r ? r->connection : NULL, r, name);
}

/* ---- expressions ---- */

/*
 * mod_ssl answers expressions from its own connection record, without ap_ssl_var_lookup. So its
 * functions are wrapped: the same hook is run for them, with ourselves out of the way.
 * Configurations are read by one thread, .htaccess files by many.
 */
static int expr_lookup(ap_expr_lookup_parms *parms)
{
    static __thread int asking;
    lookup_data *data;
    int rv, is_var = parms->type == AP_EXPR_FUNC_VAR && strncasecmp(parms->name, "SSL_", 4) == 0;

    if (asking
        || (!is_var
            && (parms->type != AP_EXPR_FUNC_STRING || strcasecmp(parms->name, "SSL") != 0))) {
        return DECLINED;
    }
    asking = 1;
    rv = ap_run_expr_lookup(parms);
    asking = 0;
    if (rv != OK) {
        return rv;
    }
    data = apr_palloc(parms->pool, sizeof(*data));
    data->name = apr_pstrdup(parms->pool, parms->name);
    data->theirs = *parms->func;
    data->theirs_data = *parms->data;
    *parms->func = is_var ? (const void *)expr_var : (const void *)expr_func;
    *parms->data = data;
    return OK;
}

static const char *expr_var(ap_expr_eval_ctx_t *ctx, const void *datav)
{
    const lookup_data *data = datav;

    if (!ctx->c || !h3_connrec_of(ctx->c)) {
        return ((ap_expr_var_func_t *)data->theirs)(ctx, data->theirs_data);
    }
    return ap_ssl_var_lookup(ctx->p, ctx->s, ctx->c, ctx->r, data->name);
}

static const char *expr_func(ap_expr_eval_ctx_t *ctx, const void *datav, const char *arg)
{
    const lookup_data *data = datav;

    if (!ctx->c || !h3_connrec_of(ctx->c)) {
        return ((ap_expr_string_func_t *)data->theirs)(ctx, data->theirs_data, arg);
    }
    return arg ? ap_ssl_var_lookup(ctx->p, ctx->s, ctx->c, ctx->r, arg) : NULL;
}

/* ---- log formats ---- */

void h3_ssl_var_pre_config(apr_pool_t *pconf)
{
    APR_OPTIONAL_FN_TYPE(ap_register_log_handler) *reg =
        APR_RETRIEVE_OPTIONAL_FN(ap_register_log_handler);

    /* Without mod_ssl these formats do not exist. */
    if (reg && ap_find_linked_module("mod_ssl.c")) {
        reg(pconf, "x", log_x, 0);
        reg(pconf, "c", log_c, 0);
    }
}

static const char *log_x(request_rec *r, char *name)
{
    return log_value(r, ap_ssl_var_lookup(r->pool, r->server, r->connection, r, name));
}

static const char *log_c(request_rec *r, char *name)
{
    static const struct {
        const char *name, *variable;
    } formats[] = {
        { "version", "SSL_PROTOCOL" },      { "cipher", "SSL_CIPHER" },
        { "subjectdn", "SSL_CLIENT_S_DN" }, { "clientcert", "SSL_CLIENT_S_DN" },
        { "issuerdn", "SSL_CLIENT_I_DN" },  { "cacert", "SSL_CLIENT_I_DN" },
        { "errstr", "SSL_CLIENT_VERIFY" },
    };
    const char *value = NULL;
    size_t i;

    if (!ap_ssl_conn_is_ssl(r->connection)) {
        return NULL;
    }
    if (strcmp(name, "errcode") == 0) {
        return "-";
    }
    for (i = 0; i < sizeof(formats) / sizeof(formats[0]); ++i) {
        if (strcmp(name, formats[i].name) == 0) {
            value = ap_ssl_var_lookup(r->pool, r->server, r->connection, r, formats[i].variable);
        }
    }
    if (value && strcmp(name, "errstr") == 0) {
        value = strncmp(value, "FAILED:", 7) == 0 ? value + 7 : NULL;
    }
    return log_value(r, value);
}

static const char *log_value(request_rec *r, const char *value)
{
    return value && *value ? ap_escape_logitem(r->pool, value) : NULL;
}

/* ---- environment ---- */

void h3_ssl_var_std_env(apr_table_t *env, request_rec *r)
{
    static const char *const names[] = {
        "SSL_VERSION_INTERFACE", "SSL_VERSION_LIBRARY",   "SSL_PROTOCOL",
        "SSL_SECURE_RENEG",      "SSL_COMPRESS_METHOD",   "SSL_CIPHER",
        "SSL_CIPHER_EXPORT",     "SSL_CIPHER_USEKEYSIZE", "SSL_CIPHER_ALGKEYSIZE",
        "SSL_CLIENT_VERIFY",     "SSL_SERVER_M_VERSION",  "SSL_SERVER_M_SERIAL",
        "SSL_SERVER_V_START",    "SSL_SERVER_V_END",      "SSL_SERVER_S_DN",
        "SSL_SERVER_I_DN",       "SSL_SERVER_A_KEY",      "SSL_SERVER_A_SIG",
        "SSL_SESSION_ID",        "SSL_SESSION_RESUMED",
    };
    static const char *const parts[] = { "C", "ST", "L", "O", "OU",           "CN",  "T",
                                         "I", "G",  "S", "D", "SerialNumber", "UID", "Email" };
    size_t i;

    for (i = 0; i < sizeof(parts) / sizeof(parts[0]); ++i) {
        add_numbered(env, r, apr_pstrcat(r->pool, "SSL_SERVER_S_DN_", parts[i], NULL), 1);
        add_numbered(env, r, apr_pstrcat(r->pool, "SSL_SERVER_I_DN_", parts[i], NULL), 1);
    }
    add_numbered(env, r, "SSL_SERVER_SAN_Email", 0);
    add_numbered(env, r, "SSL_SERVER_SAN_DNS", 0);

    for (i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
        const char *value = ap_ssl_var_lookup(r->pool, r->server, r->connection, NULL, names[i]);

        if (value && *value) {
            apr_table_setn(env, names[i], value);
        }
    }
}

/* PREFIX_0, PREFIX_1 ... as far as there are values; with bare_first the first is just PREFIX. */
static void add_numbered(apr_table_t *env, request_rec *r, const char *prefix, int bare_first)
{
    int i;

    for (i = 0;; ++i) {
        const char *numbered = apr_psprintf(r->pool, "%s_%d", prefix, i);
        const char *value = h3_ssl_var(r->pool, r->connection, NULL, numbered);

        if (!value || !*value) {
            return;
        }
        apr_table_setn(env, i == 0 && bare_first ? prefix : numbered, value);
    }
}

void h3_ssl_var_cert_env(apr_table_t *env, request_rec *r)
{
    apr_table_setn(env, "SSL_SERVER_CERT",
                   h3_ssl_var(r->pool, r->connection, NULL, "SSL_SERVER_CERT"));
    apr_table_setn(env, "SSL_CLIENT_CERT", "");
}
