/* SPDX-License-Identifier: Apache-2.0 */
#include "altsvc_report.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include "ap_listen.h"
#include "http_config.h"
#include "http_core.h"
#include "http_protocol.h"

#define TTL 3600
/* RFC 1035 section 2.3.4, as text without the final dot */
#define NAME_MAX_TEXT 253
#define LABEL_MAX 63

/* What follows an HTTPS record's priority. */
typedef struct dns_record {
    const char *target; /* without the final dot; NULL: the origin's own host */
    const char *params; /* each with a blank before it */
} dns_record;

static int reports_on(const altsvc_config *conf);
static int speaks_tls(const server_rec *s);
static void print_server(apr_pool_t *p, apr_file_t *out, const altsvc_config *conf);
static void print_value(apr_pool_t *p, apr_file_t *out, const altsvc_config *conf);
static void print_records(apr_pool_t *p, apr_file_t *out, const altsvc_config *conf);

void altsvc_report_print(apr_pool_t *p, server_rec *main_server)
{
    apr_array_header_t *found = apr_array_make(p, 8, sizeof(altsvc_config *));
    apr_file_t *out;
    server_rec *s;

    if (!ap_exists_config_define("DUMP_HTTP3") || apr_file_open_stdout(&out, p) != APR_SUCCESS) {
        return;
    }
    apr_file_printf(out, "Alternative services (mod_altsvc), over TLS only:\n");
    for (s = main_server; s; s = s->next) {
        if (reports_on(altsvc_config_get(s))) {
            APR_ARRAY_PUSH(found, const altsvc_config *) = altsvc_config_get(s);
        }
    }
    if (!found->nelts) {
        apr_file_printf(out, "  no virtual host with TLS has an AltSvc directive or HTTP/3\n");
    }
    /* The list of servers runs from the last to the first. */
    while (found->nelts) {
        print_server(p, out, *(const altsvc_config **)apr_array_pop(found));
    }
}

/* mod_http3 does the same: whichever comes first runs the reports of both. */
void altsvc_report_alone(apr_pool_t *pconf, server_rec *main_server)
{
    if (ap_exists_config_define("DUMP_HTTP3") && ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_NORMAL
        && ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        ap_run_test_config(pconf, main_server);
        exit(0); /* httpd's own way would unload this code first; nothing is open yet */
    }
}

/* The main server is reported only where it answers requests, having no virtual hosts. */
static int reports_on(const altsvc_config *conf)
{
    const server_rec *s = conf->server;

    return (conf->says != ALTSVC_SILENT || !altsvc_config_auto_off_reason(conf)) && speaks_tls(s)
           && (s->is_virtual || !s->next);
}

static const char *last_value(const ap_directive_t *in, const char *name)
{
    const char *value = NULL;

    for (; in; in = in->next) {
        if (!strcasecmp(in->directive, name)) {
            value = in->args;
        }
    }
    return value;
}

/* Core gives the protocol of a Listen to its virtual hosts, but only at startup. */
static int listens_for_https(const server_rec *s)
{
    const char *protocol = ap_get_server_protocol((server_rec *)s);
    const server_addr_rec *addr;
    const ap_listen_rec *listener;

    for (addr = s->addrs; addr && !protocol; addr = addr->next) {
        for (listener = ap_listeners; listener && !protocol; listener = listener->next) {
            if (apr_sockaddr_equal(listener->bind_addr, addr->host_addr)
                && listener->bind_addr->port == addr->host_port) {
                protocol = listener->protocol;
            }
        }
    }
    return protocol && !strcmp(protocol, "https");
}

/*
 * At configtest mod_ssl tells nobody which virtual hosts it serves, so its directive is looked up
 * in the configuration as read: in the block that is this virtual host's, then outside all blocks.
 */
static int speaks_tls(const server_rec *s)
{
    const char *engine = NULL;
    const ap_directive_t *d;

    if (!ap_find_linked_module("mod_ssl.c")) {
        return 1;
    }
    for (d = s->is_virtual ? ap_conftree : NULL; d; d = d->next) {
        if (!strcasecmp(d->directive, "<VirtualHost") && s->defn_name
            && !strcmp(d->filename, s->defn_name) && d->line_num == (int)s->defn_line_number) {
            engine = last_value(d->first_child, "SSLEngine");
        }
    }
    if (!engine) {
        engine = last_value(ap_conftree, "SSLEngine");
    }
    if (!engine) {
        return listens_for_https(s);
    }
    return !strcasecmp(ap_getword_conf(s->process->pconf, &engine), "on");
}

static int origin_port(const server_rec *s)
{
    if (s->port) {
        return s->port;
    }
    return s->addrs && s->addrs->host_port ? s->addrs->host_port : 443;
}

static void print_server(apr_pool_t *p, apr_file_t *out, const altsvc_config *conf)
{
    const server_rec *s = conf->server;

    apr_file_printf(out, "  %s:%d", s->server_hostname ? s->server_hostname : "(no ServerName)",
                    origin_port(s));
    if (s->defn_name) {
        apr_file_printf(out, " (%s:%u)", s->defn_name, s->defn_line_number);
    }
    apr_file_printf(out, "\n");
    if (conf->says == ALTSVC_SILENT) {
        apr_file_printf(out, "    Alt-Svc: nothing (no AltSvc directive, though HTTP/3 is on)\n");
        return;
    }
    print_value(p, out, conf);
    print_records(p, out, conf);
}

static void print_value(apr_pool_t *p, apr_file_t *out, const altsvc_config *conf)
{
    const char *value = altsvc_config_value(p, conf, NULL);
    int i;

    if (!value) {
        const char *reason =
            conf->says == ALTSVC_OFF ? "AltSvc off" : altsvc_config_auto_off_reason(conf);

        apr_file_printf(out, "    Alt-Svc: nothing (%s)\n",
                        reason ? reason : "no UDP socket stands for its addresses");
        return;
    }
    apr_file_printf(out, "    Alt-Svc: %s\n", value);
    apr_file_printf(out, "    sent as: %s\n",
                    conf->frame ? "ALTSVC frame on HTTP/2 connections, header on others"
                                : "header");
    for (i = 0; conf->frame && conf->origins && i < conf->origins->nelts; i++) {
        const altsvc_config_origin *origin = &APR_ARRAY_IDX(conf->origins, i, altsvc_config_origin);
        const char *theirs = altsvc_config_value(p, origin->of, NULL);

        apr_file_printf(out, "    also for: https://%s:%d %s\n", origin->host,
                        origin->port ? origin->port : origin_port(conf->server),
                        theirs ? theirs : "nothing");
    }
}

/*
 * The name as in a zone file, without the final dot, or NULL if it is none for the DNS: an address,
 * a pattern, one with octets that would have to be escaped (RFC 1035 section 5.1), or one that is
 * too long with `more` octets in front of it (RFC 1035 section 2.3.4).
 */
static const char *dns_name(apr_pool_t *p, const char *name, size_t more)
{
    size_t len = strlen(name), label = 0, i;
    int numeric = 1;

    if (len && name[len - 1] == '.') {
        --len;
    }
    if (len == 0 || len + more > NAME_MAX_TEXT) {
        return NULL;
    }
    for (i = 0; i < len; i++) {
        if (name[i] == '.') {
            if (label == 0) {
                return NULL;
            }
            label = 0;
            numeric = 1;
            continue;
        }
        if (!(apr_isalnum(name[i]) && apr_isascii(name[i])) && name[i] != '-' && name[i] != '_') {
            return NULL;
        }
        numeric = numeric && apr_isdigit(name[i]);
        if (++label > LABEL_MAX) {
            return NULL;
        }
    }
    return label && !numeric ? apr_pstrndup(p, name, len) : NULL;
}

/*
 * A record's target is a name; in its protocols, what delimits lists and strings would have to be
 * escaped (RFC 9460 section 7.1.1).
 */
static int fits_dns(apr_pool_t *p, const altsvc_value_alt *alt)
{
    const char *c;

    for (c = alt->protocol; *c; c++) {
        if (!apr_isgraph(*c) || strchr(",\\\"", *c)) {
            return 0;
        }
    }
    return *alt->host == '\0' || dns_name(p, alt->host, 0);
}

/* Adds a protocol to a list with commas, unless it is in there. */
static const char *add_protocol(apr_pool_t *p, const char *list, const char *protocol)
{
    if (strstr(apr_pstrcat(p, ",", list, ",", NULL), apr_pstrcat(p, ",", protocol, ",", NULL))) {
        return list;
    }
    return *list ? apr_pstrcat(p, list, ",", protocol, NULL) : protocol;
}

static void add_record(apr_array_header_t *records, const char *target, const char *params)
{
    dns_record *record = apr_array_push(records);

    record->target = target;
    record->params = params;
}

/* Collects in `records` what is elsewhere; returns the protocols at the origin's own place. */
static const char *sort_alternatives(apr_pool_t *p, const altsvc_config *conf,
                                     apr_array_header_t *records)
{
    int i, own_port = origin_port(conf->server);
    const char *here = "";

    for (i = 0; conf->alts && i < conf->alts->nelts; i++) {
        altsvc_value_alt alt = APR_ARRAY_IDX(conf->alts, i, altsvc_value_alt);

        if (!alt.port) {
            alt.port = altsvc_config_auto_port(conf, NULL);
            alt.host = conf->host ? conf->host : "";
        }
        if (!alt.port || !fits_dns(p, &alt)) {
            continue;
        }
        if (!*alt.host && alt.port == own_port) {
            here = add_protocol(p, here, alt.protocol);
        }
        else {
            add_record(
                records, *alt.host ? dns_name(p, alt.host, 0) : NULL,
                apr_psprintf(p, " alpn=\"%s\" port=%d no-default-alpn", alt.protocol, alt.port));
        }
    }
    if (ap_find_linked_module("mod_http2.c")
        && ap_is_allowed_protocol(NULL, NULL, conf->server, "h2")) {
        here = add_protocol(p, here, "h2");
    }
    return here;
}

/*
 * RFC 9460 section 9.1: a port other than 443 stands before the name. A target of "." would then be
 * that whole owner name (section 2.5), which is no host, so the name is written out.
 */
static void print_name(apr_pool_t *p, apr_file_t *out, int port, const char *server_name,
                       const apr_array_header_t *records, apr_table_t *done)
{
    const char *prefix = port == 443 ? "" : apr_psprintf(p, "_%d._https.", port);
    const char *name = dns_name(p, server_name, strlen(prefix));
    int i;

    if (!name || apr_table_get(done, name)) {
        return;
    }
    apr_table_setn(done, name, "");
    for (i = 0; i < records->nelts; i++) {
        const dns_record *record = &APR_ARRAY_IDX(records, i, dns_record);
        const char *target = record->target ? record->target : *prefix ? name : "";

        apr_file_printf(out, "    DNS: %s%s. %d IN HTTPS %d %s.%s\n", prefix, name, TTL, i + 1,
                        target, record->params);
    }
}

/*
 * RFC 9460: the order of alternatives is the order of priorities; what is served at the origin's
 * own host and port is one record, the last, and has http/1.1 among its protocols by default.
 */
static void print_records(apr_pool_t *p, apr_file_t *out, const altsvc_config *conf)
{
    apr_array_header_t *records = apr_array_make(p, 4, sizeof(dns_record));
    apr_table_t *done = apr_table_make(p, 4);
    const server_rec *s = conf->server;
    int i, port = origin_port(s);
    const char *here;

    if (!s->server_hostname) {
        return;
    }
    here = sort_alternatives(p, conf, records);
    add_record(records, NULL, *here ? apr_pstrcat(p, " alpn=\"", here, "\"", NULL) : "");
    print_name(p, out, port, s->server_hostname, records, done);
    for (i = 0; s->names && i < s->names->nelts; i++) {
        if (APR_ARRAY_IDX(s->names, i, const char *)) {
            print_name(p, out, port, APR_ARRAY_IDX(s->names, i, const char *), records, done);
        }
    }
}
