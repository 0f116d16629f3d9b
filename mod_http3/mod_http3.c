/* SPDX-License-Identifier: Apache-2.0 */
#include "mod_http3.h"

#include <apr_strings.h>
#include "ap_mpm.h"
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"
#include "http_request.h"
#include "mod_status.h"
#include "mpm_common.h"
#include "h3/h3_child.h"
#include "httpd/h3_c2.h"
#include "httpd/h3_connrec.h"
#include "httpd/h3_names.h"
#include "httpd/h3_request.h"
#include "httpd/h3_response.h"
#include "httpd/h3_ssl.h"
#include "conf/h3_config.h"
#include "conf/h3_hosts.h"
#include "conf/h3_listen.h"
#include "conf/h3_report.h"
#include "conf/h3_retained.h"
#include "conf/h3_sockets.h"
#include "conf/h3_ssl_config.h"
#include "conf/h3_ssl_plan.h"

static int started;  /* this process runs an I/O thread */
static int stopping; /* and has been told to end; atomic */

static void *create_server(apr_pool_t *p, server_rec *s);
static void *merge_server(apr_pool_t *p, void *base, void *add);
static void register_hooks(apr_pool_t *p);

static const command_rec commands[] = {
    H3_LISTEN_COMMANDS, H3_CONFIG_COMMANDS, H3_SSL_CONFIG_COMMANDS, { .name = NULL }
};

AP_DECLARE_MODULE(http3) = {
    STANDARD20_MODULE_STUFF,
    h3_ssl_config_create_dir,
    h3_ssl_config_merge_dir,
    create_server,
    merge_server,
    commands,
    register_hooks,
    AP_MODULE_FLAG_ALWAYS_MERGE /* off_reason and certificates are each virtual host's own */
};

/* ---- configuration ---- */

static void *create_server(apr_pool_t *p, server_rec *s)
{
    h3_config *cfg = h3_config_create(p, s);

    cfg->ssl = h3_ssl_config_create(p);
    return cfg;
}

static void *merge_server(apr_pool_t *p, void *basev, void *addv)
{
    const h3_config *base = basev, *add = addv;
    h3_config *cfg = h3_config_merge(p, base, add);

    cfg->ssl = h3_ssl_config_merge(p, base->ssl, add->ssl);
    return cfg;
}

/* The DSO stays loaded over restarts: what is static has to be set afresh. */
static int pre_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    (void)plog;
    (void)ptemp;
    started = stopping = 0;
    h3_retained_claim();
    h3_ssl_config_reset(pconf);
    h3_ssl_pre_config(pconf);
    h3_names_pre_config(pconf);
    return OK;
}

/* The last hook of configtest: a mistake found later would kill a running server at its restart. */
static int check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    (void)plog;
    h3_ssl_plan_complete(s, pconf);
    if (h3_config_complete(s, ptemp) != APR_SUCCESS
        || h3_hosts_check(s, pconf, ptemp) != APR_SUCCESS) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}

static int check_dump(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    (void)plog;
    (void)ptemp;
    h3_report_alone(s, pconf);
    return OK;
}

static void test_config(apr_pool_t *pconf, server_rec *s)
{
    if (ap_exists_config_define("DUMP_HTTP3")) {
        h3_report_dump(s, pconf);
    }
}

/* ---- parent ---- */

static int open_logs(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    (void)pconf;
    (void)ptemp;
    h3_sockets_open(s);
    h3_retained_release_unclaimed(plog);
    return OK;
}

static int post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    h3_retained *r = h3_retained_get();

    (void)plog;
    if (r && h3_hosts_any(s)) {
        r->generation++;
        h3_hosts_load(s, r, pconf);
        h3_sockets_close_idle(s);
    }
    h3_hosts_hide_protocol(s);
    if (ap_state_query(AP_SQ_MAIN_STATE) != AP_SQ_MS_CREATE_PRE_CONFIG) {
        h3_report_notice(s, ptemp);
    }
    return OK;
}

static void child_status(server_rec *s, pid_t pid, ap_generation_t gen, int slot,
                         mpm_child_status state)
{
    (void)s;
    (void)gen;
    (void)slot;
    if (state == MPM_CHILD_EXITED) {
        h3_retained_child_ended(pid);
    }
}

/* Every ten seconds or so, in the parent's loop. */
static int monitor(apr_pool_t *pconf, server_rec *s)
{
    (void)pconf;
    h3_sockets_retry(s);
    return DECLINED;
}

/* ---- child ---- */

static void child_init(apr_pool_t *pchild, server_rec *s)
{
    const h3_retained *r = h3_retained_get();
    apr_status_t rv;

    if (!r || !r->group.n || !h3_hosts_any(s)) {
        return;
    }
    rv = h3_connrec_child_init(s);
    if (rv == APR_SUCCESS) {
        rv = h3_c2_child_init();
    }
    if (rv == APR_SUCCESS) {
        rv = h3_child_start(pchild, s);
    }
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s,
                     APLOGNO(20101) "this child will not serve HTTP/3");
        return;
    }
    started = 1;
}

static void child_stopping(apr_pool_t *pchild, int graceful)
{
    (void)pchild;
    if (started) {
        __atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
        h3_child_stopping(graceful);
    }
}

/* ---- what other modules may ask ---- */

/* A child that has just been started claims its slot in a moment; Initials wait for it. */
static int accepts(void)
{
    return h3_retained_live() > 0 || (started && !__atomic_load_n(&stopping, __ATOMIC_RELAXED));
}

static apr_port_t http3_alt_port(const conn_rec *c, const server_rec *s)
{
    const h3_config *cfg = h3_config_get(s);

    if (cfg->off_reason || !cfg->tls_host || !accepts()) {
        return 0;
    }
    return h3_sockets_port_for(c->local_addr);
}

static apr_port_t http3_planned_port(const server_rec *s)
{
    return h3_config_get(s)->off_reason ? 0 : h3_listen_planned_port(s);
}

static const char *http3_off_reason(const server_rec *s)
{
    return h3_config_get(s)->off_reason;
}

static void register_hooks(apr_pool_t *p)
{
    static const char *const after_log_and_ssl[] = { "mod_log_config.c", "mod_ssl.c", NULL };
    static const char *const after_certificates[] = { "mod_ssl.c", "mod_md.c", NULL };

    ap_hook_pre_config(pre_config, after_log_and_ssl, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(check_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(check_dump, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_test_config(test_config, NULL, NULL, APR_HOOK_MIDDLE);
    /* MPMs fill ap_listeners in REALLY_FIRST. */
    ap_hook_open_logs(open_logs, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(post_config, after_certificates, NULL, APR_HOOK_MIDDLE);
    /* No request may run before every other module has set its child up. */
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_child_stopping(child_stopping, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_status(child_status, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_monitor(monitor, NULL, NULL, APR_HOOK_MIDDLE);
    APR_OPTIONAL_HOOK(ap, status_hook, h3_report_status, NULL, NULL, APR_HOOK_MIDDLE);

    APR_REGISTER_OPTIONAL_FN(http3_alt_port);
    APR_REGISTER_OPTIONAL_FN(http3_planned_port);
    APR_REGISTER_OPTIONAL_FN(http3_off_reason);

    h3_names_register_hooks(p);
    h3_request_register_hooks(p);
    h3_response_register_hooks(p);
    h3_ssl_register_hooks(p);
}
