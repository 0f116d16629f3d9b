/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/h3_report.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <apr_file_io.h>
#include <apr_strings.h>
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"
#include "http_protocol.h"
#include "mod_status.h"
#include "conf/h3_hosts.h"
#include "conf/h3_listen.h"
#include "conf/h3_retained.h"
#include "conf/h3_ssl_config.h"
#include "conf/h3_sysctl.h"
#include "quic/quic_route.h"

APLOG_USE_MODULE(http3);

#define VERSION "mod_http3/" MOD_HTTP3_VERSION

typedef struct {
    apr_file_t *out;
    const char *indent;
} dump_baton;

/* In server-status. */
typedef struct {
    const char *key, *text;
    size_t offset; /* in h3_retained_stats */
    int is_gauge;
} counter;

static const char *sockets(const h3_retained *r, int bound, apr_pool_t *p);
static const char *without(server_rec *main_server, apr_pool_t *p);
static void dump_sockets(apr_file_t *out, server_rec *main_server, apr_pool_t *p);
static void dump_host(apr_file_t *out, server_rec *s, server_rec *main_server, apr_pool_t *p);
static void dump_certificates(apr_file_t *out, server_rec *s, apr_pool_t *p);
static void dump_value(void *baton, const char *name, const char *value);
static void dump_warnings(apr_file_t *out, server_rec *main_server, apr_pool_t *p);
static const char *udp_ports(apr_pool_t *p);
static apr_int64_t sum_of(const counter *c, const h3_retained *retained);

/* ---- the start ---- */

void h3_report_notice(server_rec *main_server, apr_pool_t *p)
{
    const h3_retained *r = h3_retained_get();
    const char *open = sockets(r, 1, p), *waiting = sockets(r, 0, p);
    const char *off = without(main_server, p);
    int served = 0, wanted = 0;
    server_rec *s;

    for (s = main_server; s; s = s->next) {
        const h3_config *cfg = h3_config_get(s);

        served += !cfg->off_reason;
        wanted += cfg->wants_h3 && h3_ssl_config_enabled(s);
    }
    if (served) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, main_server,
                     "HTTP/3 on %s%s%s%s: %d virtual host%s (" VERSION ")%s%s",
                     *open ? "UDP " : "no UDP socket", open, *waiting ? ", not yet on UDP " : "",
                     waiting, served, served == 1 ? "" : "s", *off ? "; without: " : "", off);
    }
    else if (wanted) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, main_server,
                     "HTTP/3 on no UDP socket (" VERSION "); without: %s", off);
    }
}

/* Those that are bound, or those that are to be. */
static const char *sockets(const h3_retained *r, int bound, apr_pool_t *p)
{
    const char *list = "";
    char str[QUIC_ADDR_STRLEN];
    int i;

    for (i = 0; r && i < r->group.n; ++i) {
        const quic_listener *l = r->group.listeners[i];

        if (quic_listener_is_bound(l) == bound) {
            list = apr_pstrcat(p, list, *list ? ", " : "", quic_addr_str(str, &l->addr), NULL);
        }
    }
    return list;
}

/* Only those that want it and speak TLS: nobody expects it of others. httpd's list is reversed. */
static const char *without(server_rec *main_server, apr_pool_t *p)
{
    const char *list = "";
    server_rec *s;

    for (s = main_server; s; s = s->next) {
        const h3_config *cfg = h3_config_get(s);

        if (cfg->off_reason && cfg->wants_h3 && h3_ssl_config_enabled(s)) {
            list = apr_pstrcat(p, h3_hosts_name(s, p), " (because ", cfg->off_reason, ")",
                               *list ? ", " : "", list, NULL);
        }
    }
    return list;
}

/* ---- -D DUMP_HTTP3 ---- */

/* mod_altsvc does the same: whichever comes first runs the reports of both. */
void h3_report_alone(server_rec *main_server, apr_pool_t *pconf)
{
    if (ap_exists_config_define("DUMP_HTTP3") && ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_NORMAL
        && ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        ap_run_test_config(pconf, main_server);
        exit(0); /* httpd's own way would unload this code first; nothing is open yet */
    }
}

void h3_report_dump(server_rec *main_server, apr_pool_t *p)
{
    apr_array_header_t *hosts = apr_array_make(p, 8, sizeof(server_rec *));
    dump_baton baton;
    apr_file_t *out;
    server_rec *s;

    if (apr_file_open_stdout(&out, p) != APR_SUCCESS) {
        return;
    }
    dump_sockets(out, main_server, p);
    apr_file_printf(out, "HTTP/3 virtual hosts (mod_http3):\n");
    for (s = main_server; s; s = s->next) {
        if (s->is_virtual || h3_ssl_config_enabled(s)) {
            APR_ARRAY_PUSH(hosts, server_rec *) = s;
        }
    }
    if (!hosts->nelts) {
        apr_file_printf(out, "  none\n");
    }
    while (hosts->nelts) { /* httpd's list has the virtual hosts last to first */
        dump_host(out, *(server_rec **)apr_array_pop(hosts), main_server, p);
    }
    if (h3_hosts_any(main_server)) {
        apr_file_printf(out, "HTTP/3 limits of the server (mod_http3):\n");
        baton.out = out;
        baton.indent = "  ";
        h3_config_each(main_server, NULL, p, dump_value, &baton);
        dump_warnings(out, main_server, p);
    }
}

static void dump_sockets(apr_file_t *out, server_rec *main_server, apr_pool_t *p)
{
    const apr_array_header_t *planned = h3_listen_planned();
    char str[QUIC_ADDR_STRLEN];
    int i;

    apr_file_printf(out, "HTTP/3 sockets (mod_http3):\n");
    for (i = 0; i < planned->nelts; ++i) {
        const h3_listen_plan *one = APR_ARRAY_IDX(planned, i, const h3_listen_plan *);
        const char *names = "";
        server_rec *s;

        for (s = main_server; s; s = s->next) {
            if (!h3_config_get(s)->off_reason && h3_listen_stands_for(one, s)) {
                names = apr_pstrcat(p, h3_hosts_name(s, p), *names ? ", " : "", names, NULL);
            }
        }
        apr_file_printf(out, "  UDP %s for TCP port %d: %s\n", quic_addr_str(str, &one->addr),
                        one->tcp_port, names);
    }
    if (!planned->nelts) {
        apr_file_printf(out, "  none\n");
    }
}

static void dump_host(apr_file_t *out, server_rec *s, server_rec *main_server, apr_pool_t *p)
{
    const h3_config *cfg = h3_config_get(s);
    dump_baton baton = { out, "    " };
    const char *fault;

    apr_file_printf(out, "  %s", h3_hosts_name(s, p));
    if (s->defn_name) {
        apr_file_printf(out, " (%s:%u)", s->defn_name, s->defn_line_number);
    }
    if (cfg->off_reason) {
        apr_file_printf(out, ": off, because %s\n", cfg->off_reason);
        return;
    }
    apr_file_printf(out, ": on\n");
    dump_certificates(out, s, p);
    h3_config_each(s, main_server, p, dump_value, &baton);
    if ((fault = h3_hosts_cc_fault(s, p))) {
        apr_file_printf(out, "    warning: %s\n", fault);
    }
}

static void dump_certificates(apr_file_t *out, server_rec *s, apr_pool_t *p)
{
    const h3_ssl_config *ssl = h3_config_get(s)->ssl;
    const quic_tls_host *host;
    const char *fault, *subject, *issuer, *end;
    int i;

    for (i = 0; i < ssl->cert_files->nelts; ++i) {
        apr_file_printf(out, "    certificate: %s\n",
                        APR_ARRAY_IDX(ssl->cert_files, i, const h3_ssl_setting *)->value);
    }
    if (h3_hosts_try(&host, s, p, &fault) != APR_SUCCESS) {
        apr_file_printf(out, "    certificate: not known before the start (%s)\n", fault);
        return;
    }
    subject = quic_tls_server_var(host, "S_DN", p);
    issuer = quic_tls_server_var(host, "I_DN", p);
    end = quic_tls_server_var(host, "V_END", p);
    apr_file_printf(out, "    of %s, by %s, until %s\n", subject, issuer, end);
    if (subject && issuer && strcmp(subject, issuer) == 0) {
        apr_file_printf(out, "    warning: the certificate is self-signed, browsers will not use "
                             "HTTP/3 with it even after an exception\n");
    }
}

static void dump_value(void *batonv, const char *name, const char *value)
{
    const dump_baton *baton = batonv;

    apr_file_printf(baton->out, "%s%s %s\n", baton->indent, name, value);
}

static void dump_warnings(apr_file_t *out, server_rec *main_server, apr_pool_t *p)
{
    const apr_array_header_t *denied = h3_hosts_denied(main_server, p);
    const char *missing = h3_listen_without_udp(main_server, p);
    int wanted = h3_config_get(main_server)->socket_buffer_size, i;
    static const char *const limits[] = { "rmem_max", "wmem_max" };

    for (i = 0; i < 2; ++i) {
        const char *max = h3_sysctl_get(apr_pstrcat(p, "net/core/", limits[i], NULL), p);

        if (max && strtol(max, NULL, 10) < wanted) {
            apr_file_printf(out,
                            "  warning: H3SocketBufferSize %d is above net.core.%s (%s), which "
                            "only a server started with CAP_NET_ADMIN may pass\n",
                            wanted, limits[i], max);
        }
    }
    apr_file_printf(out,
                    "  warning: firewalls and containers must let UDP port %s through, which "
                    "cannot be seen from here\n",
                    udp_ports(p));
    if (!ap_find_linked_module("mod_altsvc.c")) {
        apr_file_printf(out, "  warning: mod_altsvc is not loaded, so nothing of ours tells "
                             "clients of HTTP/3\n");
    }
    if (*missing) {
        apr_file_printf(out, "  warning: no UDP socket stands for TCP %s\n", missing);
    }
    for (i = 0; i < denied->nelts; ++i) {
        const h3_ssl_setting *setting = APR_ARRAY_IDX(denied, i, const h3_ssl_setting *);

        apr_file_printf(out, "  warning: %s %s (%s:%d): denied over HTTP/3\n", setting->directive,
                        setting->value, setting->file, setting->line);
    }
}

/* "443, 8443" */
static const char *udp_ports(apr_pool_t *p)
{
    const apr_array_header_t *planned = h3_listen_planned();
    const char *list = "";
    int i, j, port;

    for (i = 0; i < planned->nelts; ++i) {
        port = quic_addr_port(&APR_ARRAY_IDX(planned, i, const h3_listen_plan *)->addr);
        j = 0;
        while (quic_addr_port(&APR_ARRAY_IDX(planned, j, const h3_listen_plan *)->addr) != port) {
            ++j;
        }
        if (j == i) {
            list = apr_psprintf(p, "%s%s%d", list, *list ? ", " : "", port);
        }
    }
    return list;
}

/* ---- server-status ---- */

static const counter counters[] = {
#define GAUGE(member, key, text)                          \
    {                                                     \
        key, text, offsetof(h3_retained_stats, member), 1 \
    }
#define TOTAL(member, key, text)                          \
    {                                                     \
        key, text, offsetof(h3_retained_stats, member), 0 \
    }
    GAUGE(quic.connections, "Connections", "connections"),
    GAUGE(quic.half_open, "HalfOpen", "of these in the handshake"),
    GAUGE(h3.streams, "Streams", "request streams"),
    GAUGE(h3.requests, "Requests", "requests in flight"),
    GAUGE(h3.memory, "Memory", "bytes held for clients"),
    TOTAL(quic.accepted, "Accepted", "connections begun"),
    TOTAL(quic.handshakes, "Handshakes", "handshakes completed"),
    TOTAL(quic.resumed, "Resumed", "of these resumed"),
    TOTAL(h3.requests_total, "TotalRequests", "requests"),
    TOTAL(h3.streams_reset, "StreamResets", "request streams reset"),
    TOTAL(quic.datagrams_in, "DatagramsIn", "datagrams received"),
    TOTAL(quic.datagrams_out, "DatagramsOut", "datagrams sent"),
    TOTAL(quic.foreign, "ForeignDatagrams", "datagrams of another child, dropped"),
    TOTAL(quic.dropped, "DroppedDatagrams", "datagrams dropped for another reason"),
    TOTAL(quic.refused, "Refused", "connections refused"),
    TOTAL(quic.version_negotiations, "VersionNegotiations", "Version Negotiation packets sent"),
    TOTAL(quic.stateless_resets, "StatelessResets", "stateless resets sent"),
    TOTAL(h3.file_refills, "FileRefills", "file reads left to workers"),
};

int h3_report_status(request_rec *r, int flags)
{
    const h3_retained *retained = h3_retained_get();
    int is_short = flags & AP_STATUS_SHORT;
    size_t n;

    if (!retained || !retained->group.n) {
        return DECLINED;
    }
    if (is_short) {
        ap_rprintf(r, "Http3Version: " VERSION "\nHttp3Children: %d\n", h3_retained_live());
    }
    else {
        ap_rprintf(r,
                   "<hr />\n<h1>HTTP/3</h1>\n<dl>\n<dt>Version: " VERSION "</dt>\n"
                   "<dt>%d children accept connections</dt>\n",
                   h3_retained_live());
    }
    for (n = 0; n < sizeof(counters) / sizeof(counters[0]); ++n) {
        ap_rprintf(
            r, is_short ? "Http3%s: %" APR_INT64_T_FMT "\n" : "<dt>%s: %" APR_INT64_T_FMT "</dt>\n",
            is_short ? counters[n].key : counters[n].text, sum_of(&counters[n], retained));
    }
    if (!is_short) {
        ap_rputs("</dl>\n", r);
    }
    return OK;
}

/* Over all slots. A child that was killed leaves its gauges as they were: they count no longer. */
static apr_int64_t sum_of(const counter *c, const h3_retained *retained)
{
    int slot, nslots = quic_route_nslots(retained->group.route);
    apr_int64_t sum = 0;

    for (slot = 0; slot < nslots; ++slot) {
        if (!c->is_gauge || quic_route_is_used(retained->group.route, slot)) {
            const char *block = (const char *)&retained->stats[slot];

            sum += __atomic_load_n((const apr_int64_t *)(block + c->offset), __ATOMIC_RELAXED);
        }
    }
    return sum;
}
