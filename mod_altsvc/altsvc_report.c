/* SPDX-License-Identifier: Apache-2.0 */

#include "altsvc_report.h"

#include "ap_listen.h"
#include "apr_lib.h"
#include "apr_strings.h"
#include "http_core.h"
#include "http_protocol.h"

#define TTL 3600

static int reports_on(const altsvc_config_t *conf);
static int speaks_tls(const server_rec *s);
static void print_server(apr_pool_t *p, apr_file_t *out, const altsvc_config_t *conf);
static void print_value(apr_pool_t *p, apr_file_t *out, const altsvc_config_t *conf);
static void print_records(apr_pool_t *p, apr_file_t *out, const altsvc_config_t *conf);

void altsvc_report_print(apr_pool_t *p, server_rec *main_server)
{
    apr_array_header_t *found = apr_array_make(p, 8, sizeof(altsvc_config_t *));
    apr_file_t *out;
    server_rec *s;

    if (!ap_exists_config_define("DUMP_HTTP3") || apr_file_open_stdout(&out, p) != APR_SUCCESS) {
        return;
    }
    apr_file_printf(out, "Alternative services (mod_altsvc), over TLS only:\n");
    for (s = main_server; s; s = s->next) {
        if (reports_on(altsvc_config_get(s))) {
            APR_ARRAY_PUSH(found, const altsvc_config_t *) = altsvc_config_get(s);
        }
    }
    if (!found->nelts) {
        apr_file_printf(out, "  no virtual host with TLS has an AltSvc directive or HTTP/3\n");
    }
    /* The list of servers has the virtual hosts last to first. */
    while (found->nelts) {
        print_server(p, out, *(const altsvc_config_t **)apr_array_pop(found));
    }
}

/* The main server is on show only where it answers itself, because nothing else does. */
static int reports_on(const altsvc_config_t *conf)
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

/* As core gives the protocol of a Listen to its virtual hosts, which it does at the start only. */
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
 * mod_ssl tells nobody at configtest which virtual host it serves, so its directive is looked up in
 * the configuration as read: in the block where httpd saw the virtual host, then outside all.
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

static void print_server(apr_pool_t *p, apr_file_t *out, const altsvc_config_t *conf)
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

static void print_value(apr_pool_t *p, apr_file_t *out, const altsvc_config_t *conf)
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
        const altsvc_origin_t *origin = &APR_ARRAY_IDX(conf->origins, i, altsvc_origin_t);
        const char *theirs = altsvc_config_value(p, origin->of, NULL);

        apr_file_printf(out, "    also for: https://%s:%d %s\n", origin->host,
                        origin->port ? origin->port : origin_port(conf->server),
                        theirs ? theirs : "nothing");
    }
}

static int is_name(const char *host)
{
    return *host != '[' && strspn(host, "0123456789.") < strlen(host);
}

/*
 * A record's target is a name; its protocols have a list's and a string's own characters
 * escaped.
 */
static int fits_dns(const altsvc_alt_t *alt)
{
    const char *c;

    for (c = alt->protocol; *c; c++) {
        if (!apr_isgraph(*c) || strchr(",\\\"", *c)) {
            return 0;
        }
    }
    return *alt->host == '\0' || is_name(alt->host);
}

/* Adds a protocol to a list with commas, once. */
static const char *add_protocol(apr_pool_t *p, const char *list, const char *protocol)
{
    if (strstr(apr_pstrcat(p, ",", list, ",", NULL), apr_pstrcat(p, ",", protocol, ",", NULL))) {
        return list;
    }
    return *list ? apr_pstrcat(p, list, ",", protocol, NULL) : protocol;
}

/* Collects in `records` what is elsewhere; the protocols at the origin's own place. */
static const char *sort_alternatives(apr_pool_t *p, const altsvc_config_t *conf,
                                     apr_array_header_t *records)
{
    int i, own_port = origin_port(conf->server);
    const char *here = "";

    for (i = 0; conf->alts && i < conf->alts->nelts; i++) {
        altsvc_alt_t alt = APR_ARRAY_IDX(conf->alts, i, altsvc_alt_t);

        if (!alt.port) {
            alt.port = altsvc_config_auto_port(conf, NULL);
            alt.host = conf->host ? conf->host : "";
        }
        if (!alt.port || !fits_dns(&alt)) {
            continue;
        }
        if (!*alt.host && alt.port == own_port) {
            here = add_protocol(p, here, alt.protocol);
        }
        else {
            APR_ARRAY_PUSH(records, const char *) = apr_psprintf(
                p, "%s. alpn=\"%s\" port=%d no-default-alpn", alt.host, alt.protocol, alt.port);
        }
    }
    if (ap_find_linked_module("mod_http2.c")
        && ap_is_allowed_protocol(NULL, NULL, conf->server, "h2")) {
        here = add_protocol(p, here, "h2");
    }
    return here;
}

static void print_name(apr_pool_t *p, apr_file_t *out, const altsvc_config_t *conf,
                       const char *name, const apr_array_header_t *records)
{
    int i, port = origin_port(conf->server);
    const char *owner = port == 443 ? apr_pstrcat(p, name, ".", NULL)
                                    : apr_psprintf(p, "_%d._https.%s.", port, name);

    if (!is_name(name)) {
        return;
    }
    for (i = 0; i < records->nelts; i++) {
        apr_file_printf(out, "    DNS: %s %d IN HTTPS %d %s\n", owner, TTL, i + 1,
                        APR_ARRAY_IDX(records, i, const char *));
    }
}

/*
 * RFC 9460: the order of alternatives is the order of priorities; what is served at the origin's
 * own host and port is one record, the last, and has http/1.1 among its protocols by default.
 */
static void print_records(apr_pool_t *p, apr_file_t *out, const altsvc_config_t *conf)
{
    apr_array_header_t *records = apr_array_make(p, 4, sizeof(const char *));
    const server_rec *s = conf->server;
    const char *here;
    int i;

    if (!s->server_hostname) {
        return;
    }
    here = sort_alternatives(p, conf, records);
    APR_ARRAY_PUSH(records, const char *) =
        *here ? apr_pstrcat(p, ". alpn=\"", here, "\"", NULL) : ".";
    print_name(p, out, conf, s->server_hostname, records);
    for (i = 0; s->names && i < s->names->nelts; i++) {
        if (APR_ARRAY_IDX(s->names, i, const char *)) {
            print_name(p, out, conf, APR_ARRAY_IDX(s->names, i, const char *), records);
        }
    }
}
