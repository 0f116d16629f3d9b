/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/h3_hosts.h"

#include <string.h>
#include <unistd.h>
#include <apr_strings.h>
#include "ap_mpm.h"
#include "http_core.h"
#include "http_log.h"
#include "http_protocol.h"
#include "conf/h3_listen.h"
#include "conf/h3_ssl_config.h"
#include "conf/h3_ssl_plan.h"
#include "conf/h3_vhost.h"

APLOG_USE_MODULE(http3);

static int mpm_has_threads(void);
static const char *first_reason(server_rec *s, apr_pool_t *pconf);
static apr_status_t check_certificates(server_rec *s, apr_pool_t *pconf, apr_pool_t *ptemp);
static const char *place_of(const char *fault, const h3_ssl_config *ssl, apr_pool_t *p);
static void warn_of_denials(server_rec *main_server, apr_pool_t *p);
static void warn_of_congestion(server_rec *main_server, apr_pool_t *p);
static const server_rec *first_with_other_cc(server_rec *s);
static const server_rec *first_at(const h3_listen_plan *planned, const server_addr_rec *sar,
                                  server_rec *s);
static void load_one(server_rec *s, h3_retained *retained, apr_pool_t *pconf);
static void load_ticket_keys(server_rec *main_server, h3_retained *retained, apr_pool_t *p);

apr_status_t h3_hosts_check(server_rec *main_server, apr_pool_t *pconf, apr_pool_t *ptemp)
{
    apr_status_t rv = APR_SUCCESS, one;
    int threads = mpm_has_threads(), without_threads = 0;
    server_rec *s;

    for (s = main_server; s; s = s->next) {
        h3_config *cfg = h3_config_get(s);

        cfg->wants_h3 = ap_is_allowed_protocol(NULL, NULL, s, "h3");
        if (!cfg->wants_h3) {
            cfg->off_reason = "no h3 in its Protocols";
        }
        else if (!threads) {
            cfg->off_reason = "the prefork MPM runs no threads";
            without_threads = without_threads || h3_ssl_config_enabled(s);
        }
        else {
            cfg->off_reason = first_reason(s, pconf);
            if (!cfg->off_reason) {
                one = check_certificates(s, pconf, ptemp);
                rv = rv == APR_SUCCESS ? one : rv;
            }
        }
    }
    if (without_threads) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, main_server,
                     APLOGNO(20109) "HTTP/3 is off with the prefork MPM, whose modules need "
                                    "not be thread safe: use event or worker");
    }
    if (rv == APR_SUCCESS) {
        rv = h3_listen_make_plan(main_server, pconf);
    }
    if (rv == APR_SUCCESS) {
        warn_of_denials(main_server, ptemp);
        warn_of_congestion(main_server, ptemp);
    }
    return rv;
}

static int mpm_has_threads(void)
{
    int threaded = AP_MPMQ_NOT_SUPPORTED;

    ap_mpm_query(AP_MPMQ_IS_THREADED, &threaded);
    return threaded != AP_MPMQ_NOT_SUPPORTED;
}

int h3_hosts_any(const server_rec *main_server)
{
    const server_rec *s = main_server;

    while (s && h3_config_get(s)->off_reason) {
        s = s->next;
    }
    return s != NULL;
}

const char *h3_hosts_name(const server_rec *s, apr_pool_t *p)
{
    unsigned port = s->port ? s->port : s->addrs ? s->addrs->host_port : 0;
    const char *name = s->server_hostname ? s->server_hostname : "(no ServerName)";

    return port ? apr_psprintf(p, "%s:%u", name, port) : name;
}

static const char *first_reason(server_rec *s, apr_pool_t *pconf)
{
    const h3_ssl_setting *culprit;
    const char *reason = h3_ssl_plan_off_reason(s, pconf, &culprit);

    /* Virtual hosts without TLS often inherit Protocols: nothing to warn of. */
    if (reason && culprit) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     APLOGNO(20110) "HTTP/3 is off for %s: %s (%s:%d)", h3_hosts_name(s, pconf),
                     reason, culprit->file, culprit->line);
    }
    return reason;
}

apr_status_t h3_hosts_try(const quic_tls_host **host, server_rec *s, apr_pool_t *p,
                          const char **whose_fault)
{
    quic_tls_ticket_keys keys;
    quic_tls_host_plan plan;
    quic_tls_host *made;
    apr_status_t rv = h3_ssl_plan_make(&plan, s, 0, p);

    *host = NULL;
    *whose_fault = "no SSLCertificateFile";
    if (rv == APR_SUCCESS) {
        memset(&keys, 0, sizeof(keys));
        plan.ticket_keys = &keys;
        plan.tickets = 0;
        rv = quic_tls_host_make(&made, &plan, p, whose_fault);
    }
    if (rv == APR_SUCCESS) {
        *host = made;
    }
    return rv;
}

static apr_status_t check_certificates(server_rec *s, apr_pool_t *pconf, apr_pool_t *ptemp)
{
    h3_config *cfg = h3_config_get(s);
    const quic_tls_host *host;
    const char *fault, *place;
    apr_status_t rv;

    /* Anybody may run `apachectl -S` and the like: mod_ssl looks at no file then, either. */
    if (ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_DUMP) {
        return APR_SUCCESS;
    }
    rv = h3_hosts_try(&host, s, ptemp, &fault);
    if (rv == APR_SUCCESS || rv == APR_ENOENT) {
        return APR_SUCCESS; /* where there is none, mod_md may bring one at the start */
    }
    place = place_of(fault, cfg->ssl, ptemp);
    if (rv == APR_ENOTIMPL) {
        cfg->off_reason = apr_pstrdup(pconf, fault);
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, APLOGNO(20111) "HTTP/3 is off for %s: %s%s",
                     h3_hosts_name(s, ptemp), fault, place);
        return APR_SUCCESS;
    }
    if (APR_STATUS_IS_EACCES(rv) && geteuid() != 0) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     APLOGNO(20112) "HTTP/3 for %s: only root can check this: %s%s",
                     h3_hosts_name(s, ptemp), fault, place);
        return APR_SUCCESS;
    }
    ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_ERR, 0, s, APLOGNO(20113) "HTTP/3 for %s: %s%s",
                 h3_hosts_name(s, ptemp), fault, place);
    return APR_EGENERAL;
}

/* " (FILE:LINE)" of the directive with which the sentence begins, "" if that is none of ours. */
static const char *place_of(const char *fault, const h3_ssl_config *ssl, apr_pool_t *p)
{
    const apr_array_header_t *lists[] = { ssl->key_files, ssl->cert_files };
    const h3_ssl_setting *setting = ssl->chain_file;
    size_t len, n;
    int i;

    for (n = 0, i = 0;; ++i) {
        if (setting) {
            const char *start = apr_pstrcat(p, setting->directive, " ", setting->value, NULL);

            len = strlen(start);
            if (strncmp(fault, start, len) == 0 && (fault[len] == ':' || fault[len] == ' ')) {
                return apr_psprintf(p, " (%s:%d)", setting->file, setting->line);
            }
        }
        while (n < 2 && i >= lists[n]->nelts) {
            ++n;
            i = 0;
        }
        if (n == 2) {
            return "";
        }
        setting = APR_ARRAY_IDX(lists[n], i, const h3_ssl_setting *);
    }
}

apr_array_header_t *h3_hosts_denied(const server_rec *main_server, apr_pool_t *p)
{
    const apr_array_header_t *all = h3_ssl_config_denied_dirs();
    apr_array_header_t *denied = apr_array_make(p, all->nelts + 1, sizeof(const h3_ssl_setting *));
    int i;

    for (i = 0; i < all->nelts; ++i) {
        const h3_ssl_setting *setting = APR_ARRAY_IDX(all, i, const h3_ssl_setting *);

        if (setting->server == main_server ? h3_hosts_any(main_server)
                                           : !h3_config_get(setting->server)->off_reason) {
            APR_ARRAY_PUSH(denied, const h3_ssl_setting *) = setting;
        }
    }
    return denied;
}

static void warn_of_denials(server_rec *main_server, apr_pool_t *p)
{
    const apr_array_header_t *denied = h3_hosts_denied(main_server, p);
    int i;

    for (i = 0; i < denied->nelts; ++i) {
        const h3_ssl_setting *setting = APR_ARRAY_IDX(denied, i, const h3_ssl_setting *);

        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, main_server,
                     APLOGNO(20114) "%s %s (%s:%d): HTTP/3 cannot do this in a directory and "
                                    "denies access there",
                     setting->directive, setting->value, setting->file, setting->line);
    }
}

static void warn_of_congestion(server_rec *main_server, apr_pool_t *p)
{
    const char *fault;
    server_rec *s;

    for (s = main_server; s; s = s->next) {
        if ((fault = h3_hosts_cc_fault(s, p))) {
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, APLOGNO(20120) "%s", fault);
        }
    }
}

const char *h3_hosts_cc_fault(server_rec *s, apr_pool_t *p)
{
    const h3_config *cfg = h3_config_get(s);
    const server_rec *first = cfg->off_reason || !cfg->cc_at ? NULL : first_with_other_cc(s);

    return first ? apr_psprintf(p,
                                "%s %s (%s:%d) is not used for %s: the first virtual host of its "
                                "address, %s, decides, and has %s",
                                cfg->cc_at->directive, cfg->cc_at->args, cfg->cc_at->filename,
                                cfg->cc_at->line_num, h3_hosts_name(s, p), h3_hosts_name(first, p),
                                quic_cc_name(h3_config_get(first)->cc))
                 : NULL;
}

static const server_rec *first_with_other_cc(server_rec *s)
{
    const apr_array_header_t *planned = h3_listen_planned();
    const server_addr_rec *sar;
    const server_rec *first;
    int i;

    for (i = 0; i < planned->nelts; ++i) {
        for (sar = s->addrs; sar; sar = sar->next) {
            first = first_at(APR_ARRAY_IDX(planned, i, const h3_listen_plan *), sar, s);
            if (first && h3_config_get(first)->cc != h3_config_get(s)->cc) {
                return first;
            }
        }
    }
    return NULL;
}

/* Who is first where a client of this socket calls `s` by this address. NULL: no client does. */
static const server_rec *first_at(const h3_listen_plan *planned, const server_addr_rec *sar,
                                  server_rec *s)
{
    quic_addr local = quic_addr_of(sar->host_addr);

    if ((sar->host_port != 0 && sar->host_port != planned->tcp_port)
        || !h3_listen_covers(&planned->addr, sar->host_addr)) {
        return NULL;
    }
    if (quic_addr_is_any(&local)) {
        local = planned->addr;
    }
    return h3_vhost_has(&local, planned->tcp_port, s) ? h3_vhost_default(&local, planned->tcp_port)
                                                      : NULL;
}

/* ---- post_config ---- */

void h3_hosts_load(server_rec *main_server, h3_retained *retained, apr_pool_t *pconf)
{
    server_rec *s;

    load_ticket_keys(main_server, retained, pconf);
    for (s = main_server; s; s = s->next) {
        if (!h3_config_get(s)->off_reason) {
            load_one(s, retained, pconf);
        }
    }
}

static void load_one(server_rec *s, h3_retained *retained, apr_pool_t *pconf)
{
    h3_config *cfg = h3_config_get(s);
    quic_tls_host *host = NULL;
    quic_tls_host_plan plan;
    const char *fault = NULL;
    apr_status_t rv = h3_ssl_plan_make(&plan, s, 1, pconf);

    if (rv == APR_SUCCESS) {
        plan.ticket_keys = &retained->ticket_keys;
        rv = quic_tls_host_make(&host, &plan, pconf, &fault);
    }
    else {
        fault = rv == APR_EGENERAL ? "there is only a fallback certificate, mod_ssl answers 503"
                                   : "no certificate";
    }
    cfg->tls_host = host;
    if (rv != APR_SUCCESS) {
        cfg->off_reason = fault ? fault : "its certificate cannot be loaded";
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, APLOGNO(20115) "HTTP/3 is off for %s: %s",
                     h3_hosts_name(s, pconf), cfg->off_reason);
    }
}

/*
 * One set of keys opens all tickets, so one file is used for all: a ticket comes before it is known
 * whether its virtual host matches, and the session ID context keeps hosts apart. The key that has
 * sealed until now still opens, so tickets survive the restart.
 */
static void load_ticket_keys(server_rec *main_server, h3_retained *retained, apr_pool_t *p)
{
    const h3_ssl_setting *used = NULL;
    quic_tls_ticket_keys fresh;
    const char *fault;
    server_rec *s;

    for (s = main_server; s; s = s->next) {
        const h3_config *cfg = h3_config_get(s);
        const h3_ssl_setting *setting = cfg->ssl->ticket_key_file;

        if (cfg->off_reason || !setting || (used && strcmp(used->value, setting->value) == 0)) {
            continue;
        }
        if (used) {
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                         APLOGNO(20116) "SSLSessionTicketKeyFile %s (%s:%d) is not used for "
                                        "HTTP/3, which has one "
                                        "for all virtual hosts: %s",
                         setting->value, setting->file, setting->line, used->value);
            continue;
        }
        used = setting;
        if (quic_tls_ticket_keys_load(&fresh, setting->value, p, &fault) != APR_SUCCESS) {
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                         APLOGNO(20117) "HTTP/3 seals tickets with a key of its "
                                        "own: %s (%s:%d)",
                         fault, setting->file, setting->line);
        }
        else if (memcmp(&fresh.key[0], &retained->ticket_keys.key[0], sizeof(fresh.key[0])) != 0) {
            fresh.key[1] = retained->ticket_keys.key[0];
            fresh.nkeys = 2;
            retained->ticket_keys = fresh;
        }
    }
}

void h3_hosts_hide_protocol(server_rec *main_server)
{
    server_rec *s;
    int i, kept;

    for (s = main_server; s; s = s->next) {
        core_server_config *core = ap_get_core_module_config(s->module_config);

        for (i = 0, kept = 0; i < core->protocols->nelts; ++i) {
            const char *name = APR_ARRAY_IDX(core->protocols, i, const char *);

            if (strcmp(name, "h3") != 0) {
                APR_ARRAY_IDX(core->protocols, kept++, const char *) = name;
            }
        }
        core->protocols->nelts = kept;
    }
}
