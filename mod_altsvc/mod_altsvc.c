/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mod_altsvc tells clients where else a virtual host can be found, above all over HTTP/3: by an
 * Alt-Svc header field in every response, or by an ALTSVC frame at the beginning of HTTP/2
 * connections (RFC 7838). Nothing over clear text, and never both on one connection.
 */
#include <string.h>
#include <strings.h>
#include <apr_strings.h>
#include "httpd.h"
#include "http_connection.h"
#include "http_core.h"
#include "http_log.h"
#include "http_protocol.h"
#include "http_request.h"
#include "http_ssl.h"
#include "http_vhost.h"
#include "mod_ssl.h"
#include "altsvc_config.h"
#include "altsvc_h2.h"
#include "altsvc_interim.h"
#include "altsvc_report.h"

#define FIELD "Alt-Svc"

/* In the order of life; workers read it to know whether the connection has the frame. */
typedef enum {
    FRAME_NONE,   /* responses have the header */
    FRAME_COMING, /* HTTP/2 has been agreed on, its first octets have not been written */
    FRAME_SENT
} frame_state;

/* What a connection needs; made when the need arises, and gone with the connection. */
typedef struct {
    const altsvc_config *conf; /* in frame mode: of the virtual host that SNI chose */
    const char *host;          /* of an HTTP/2 connection: SNI in lower case */
    altsvc_h2_scanner scan;
    frame_state frame; /* see frame_of() */
    int has_interim_filter;
    altsvc_interim_state interim; /* of the one request on an HTTP/1.1 or c2 connection */
} conn_ctx;

/* One request's header. */
typedef struct {
    const request_rec *r; /* whose value `ours` is: redirects change it */
    const char *ours;
    const char *kept; /* what the administrator has set by `Header always` */
} header_ctx;

typedef struct {
    const char *host;
    server_rec *found;
} vhost_search;

static APR_OPTIONAL_FN_TYPE(ssl_ext_list) * ssl_ext_list_fn;
static ap_filter_rec_t *header_filter, *strip_filter, *frame_filter, *interim_filter;

static int check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);
static int check_dump(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);
static void test_config(apr_pool_t *pconf, server_rec *s);
static int protocol_switch(conn_rec *c, request_rec *r, server_rec *s, const char *protocol);
static apr_status_t filter_frame(ap_filter_t *f, apr_bucket_brigade *bb);
static int insert_frames(conn_rec *c, const conn_ctx *state, apr_bucket *next);
static int create_request(request_rec *r);
static apr_status_t filter_header(ap_filter_t *f, apr_bucket_brigade *bb);
static void insert_filter(request_rec *r);
static apr_status_t filter_strip(ap_filter_t *f, apr_bucket_brigade *bb);
static apr_status_t filter_interim(ap_filter_t *f, apr_bucket_brigade *bb);

static void register_hooks(apr_pool_t *p)
{
    /* After mod_http3, which then knows what it will serve. */
    static const char *const after[] = { "mod_http3.c", NULL };

    ap_hook_check_config(check_config, after, NULL, APR_HOOK_LAST);
    ap_hook_check_config(check_dump, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_test_config(test_config, after, NULL, APR_HOOK_LAST);
    ap_hook_protocol_switch(protocol_switch, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_create_request(create_request, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_insert_filter(insert_filter, NULL, NULL, APR_HOOK_LAST);
    ap_hook_insert_error_filter(insert_filter, NULL, NULL, APR_HOOK_LAST);

    /* Above TLS, so that SETTINGS and ALTSVC leave in one record. */
    frame_filter =
        ap_register_output_filter("ALTSVC_FRAME", filter_frame, NULL, AP_FTYPE_CONNECTION + 2);
    /* The first of the protocol's filters: after mod_headers and mod_cache, before HTTP_HEADER. */
    header_filter =
        ap_register_output_filter("ALTSVC_HEADER", filter_header, NULL, AP_FTYPE_PROTOCOL);
    strip_filter =
        ap_register_output_filter("ALTSVC_STRIP", filter_strip, NULL, AP_FTYPE_CONTENT_SET - 1);
    interim_filter =
        ap_register_output_filter("ALTSVC_INTERIM", filter_interim, NULL, AP_FTYPE_CONNECTION);
}

AP_DECLARE_MODULE(altsvc) = { STANDARD20_MODULE_STUFF,
                              altsvc_config_create_dir,
                              altsvc_config_merge_dir,
                              altsvc_config_create_server,
                              altsvc_config_merge_server,
                              altsvc_config_cmds,
                              register_hooks,
                              AP_MODULE_FLAG_NONE };

static int check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    (void)plog;
    (void)ptemp;
    ssl_ext_list_fn = APR_RETRIEVE_OPTIONAL_FN(ssl_ext_list);
    altsvc_config_finish(pconf, s);
    return OK;
}

static int check_dump(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    (void)plog;
    (void)ptemp;
    altsvc_report_alone(pconf, s);
    return OK;
}

static void test_config(apr_pool_t *pconf, server_rec *s)
{
    altsvc_report_print(pconf, s);
}

static conn_rec *connection_of(const request_rec *r)
{
    return r->connection->master ? r->connection->master : r->connection;
}

static conn_ctx *state_of(conn_rec *c)
{
    conn_ctx *state = ap_get_module_config(c->conn_config, &altsvc_module);

    if (!state) {
        state = apr_pcalloc(c->pool, sizeof(*state));
        ap_set_module_config(c->conn_config, &altsvc_module, state);
    }
    return state;
}

/*
 * The connection's own thread writes the state, workers read it. gcc's builtins, because the thread
 * sanitizer does not see APR's atomics; nothing else depends on the value, so no order is needed.
 */
static frame_state frame_of(const conn_ctx *state)
{
    return __atomic_load_n(&state->frame, __ATOMIC_RELAXED);
}

static void set_frame(conn_ctx *state, frame_state frame)
{
    __atomic_store_n(&state->frame, frame, __ATOMIC_RELAXED);
}

/* ---- the frame ---- */

static const char *server_name(apr_pool_t *p, conn_rec *c, server_rec *s)
{
    char *name = apr_pstrdup(p, ap_ssl_var_lookup(p, s, c, NULL, "SSL_TLS_SNI"));

    if (!name || !*name) {
        return NULL;
    }
    ap_str_tolower(name);
    return name;
}

/*
 * mod_ssl asks in the middle of the handshake, when ALPN has chosen, with the virtual host that SNI
 * has chosen. An Upgrade (r is there) and prior knowledge come without ALPN: they get the header.
 */
static int protocol_switch(conn_rec *c, request_rec *r, server_rec *s, const char *protocol)
{
    const altsvc_config *conf = altsvc_config_get(s);
    conn_ctx *state;

    if (c->master || c->outgoing || strcmp(protocol, "h2")) {
        return DECLINED;
    }
    state = state_of(c);
    state->host = server_name(c->pool, c, s);
    if (r || !conf->frame || (conf->says != ALTSVC_LIST && conf->says != ALTSVC_CLEAR)) {
        return DECLINED;
    }
    if (!state->host) {
        ap_log_cerror(APLOG_MARK, APLOG_DEBUG, 0, c,
                      "no ALTSVC frame: the client named no server (SNI)");
        return DECLINED;
    }
    state->conf = conf;
    set_frame(state, FRAME_COMING);
    ap_add_output_filter_handle(frame_filter, state, NULL, c);
    return DECLINED;
}

static apr_status_t filter_frame(ap_filter_t *f, apr_bucket_brigade *bb)
{
    conn_ctx *state = f->ctx;
    frame_state frame = FRAME_NONE;
    apr_bucket *next;

    switch (altsvc_h2_scan(&state->scan, bb, &next)) {
    case ALTSVC_H2_WAITING:
        return ap_pass_brigade(f->next, bb);
    case ALTSVC_H2_FOUND:
        frame = insert_frames(f->c, state, next) ? FRAME_SENT : FRAME_NONE;
        break;
    case ALTSVC_H2_FOREIGN:
        ap_log_cerror(APLOG_MARK, APLOG_DEBUG, state->scan.rv, f->c,
                      "no ALTSVC frame: the connection does not begin with SETTINGS");
        break;
    }
    set_frame(state, frame);
    ap_remove_output_filter(f);
    return ap_pass_brigade(f->next, bb);
}

/* The subjectAltName of the certificate that this connection shows, in one look at it. */
static const char *certificate_names(apr_pool_t *p, conn_rec *c)
{
    apr_array_header_t *texts = ssl_ext_list_fn ? ssl_ext_list_fn(p, c, 0, "subjectAltName") : NULL;

    return texts ? apr_array_pstrcat(p, texts, ',') : "";
}

/* Puts one frame in front of `next`; 0 if there is nothing to say. */
static int insert_frame(apr_pool_t *p, conn_rec *c, const char *origin, const char *value,
                        apr_bucket *next)
{
    const char *frame;
    apr_bucket *bucket;
    apr_size_t len;

    frame = value ? altsvc_h2_frame(p, origin, value, &len) : NULL;
    if (!frame) {
        return 0;
    }
    bucket = apr_bucket_heap_create(frame, len, NULL, c->bucket_alloc);
    APR_BUCKET_INSERT_BEFORE(next, bucket);
    ap_log_cerror(APLOG_MARK, APLOG_DEBUG, 0, c, "ALTSVC frame: %s %s", origin, value);
    return 1;
}

/*
 * The connection must be authoritative for the origin (RFC 7838 section 4). The client takes that
 * from the certificate, and so do we; the name is in lower case, as origins are compared (RFC 6454
 * section 5).
 */
static int insert_frames(conn_rec *c, const conn_ctx *state, apr_bucket *next)
{
    const altsvc_config *conf = state->conf;
    int i, port = conf->server->port ? conf->server->port : c->local_addr->port;
    const char *names, *own = NULL;
    apr_pool_t *p;

    if (c->aborted) {
        return 0; /* certificate refused after ALPN: mod_http2 writes, but TLS is gone */
    }
    apr_pool_create(&p, c->pool);
    apr_pool_tag(p, "altsvc_frames");
    names = certificate_names(p, c);
    if (!altsvc_value_check_host(p, state->host) && altsvc_h2_covered(p, names, state->host)) {
        own = altsvc_h2_origin(p, state->host, port);
    }
    else {
        ap_log_cerror(APLOG_MARK, APLOG_DEBUG, 0, c,
                      "no ALTSVC frame: the certificate does not cover the server name");
    }
    if (own && !insert_frame(p, c, own, altsvc_config_value(p, conf, c), next)) {
        ap_log_cerror(APLOG_MARK, APLOG_DEBUG, 0, c,
                      "no ALTSVC frame: there is nothing to advertise at the moment");
        own = NULL;
    }
    for (i = 0; own && conf->origins && i < conf->origins->nelts; i++) {
        const altsvc_config_origin *sibling =
            &APR_ARRAY_IDX(conf->origins, i, altsvc_config_origin);
        const char *origin =
            altsvc_h2_origin(p, sibling->host, sibling->port ? sibling->port : port);

        if (strcasecmp(origin, own) && altsvc_h2_covered(p, names, sibling->host)) {
            insert_frame(p, c, origin, altsvc_config_sibling_value(p, sibling, c), next);
        }
    }
    i = own != NULL;
    apr_pool_destroy(p);
    return i;
}

/* ---- the header ---- */

static int create_request(request_rec *r)
{
    if (!r->main && !r->prev && !r->connection->outgoing) {
        header_ctx *header = apr_pcalloc(r->pool, sizeof(*header));

        ap_add_output_filter_handle(header_filter, header, r, r->connection);
    }
    return OK;
}

static int match_vhost(void *searchv, conn_rec *c, server_rec *s)
{
    vhost_search *search = searchv;

    if (altsvc_config_answers_to(s, search->host)) {
        search->found = s;
        return 1;
    }
    return 0;
}

/*
 * The name in SNI. A request of HTTP/2 runs on another thread than its connection, which frees TLS
 * when a record is broken: there it is the name that was kept since ALPN.
 */
static const char *called_name(const request_rec *r)
{
    conn_rec *c = connection_of(r);
    const conn_ctx *state;

    if (strcmp(ap_get_protocol(c), "h2")) {
        return server_name(r->pool, c, r->server);
    }
    state = ap_get_module_config(c->conn_config, &altsvc_module);
    return state ? state->host : NULL;
}

/*
 * A request that was refused before its Host was read has the first virtual host of its address;
 * but what is advertised is for the name that the client called.
 */
static const altsvc_config *config_of(request_rec *r)
{
    conn_rec *c = connection_of(r);
    vhost_search search = { NULL, r->server };

    if (!r->hostname) {
        search.host = called_name(r);
        if (search.host) {
            ap_vhost_iterate_given_conn(c, match_vhost, &search);
        }
    }
    return altsvc_config_get(search.found);
}

static int has_frame(const request_rec *r)
{
    const conn_ctx *state = ap_get_module_config(connection_of(r)->conn_config, &altsvc_module);

    return state && frame_of(state) != FRAME_NONE;
}

static const char *value_for(const request_rec *r, const altsvc_config *conf)
{
    conn_rec *c = connection_of(r);

    if (!ap_ssl_conn_is_ssl(c) || altsvc_config_off_in_directory(r)) {
        return NULL;
    }
    return altsvc_config_value(r->pool, conf, c);
}

/*
 * Is it a response of ours, with something to say or to take out? That of a forward proxy speaks
 * for another origin.
 */
static int concerns_us(const request_rec *r, const altsvc_config *conf)
{
    return r->proxyreq != PROXYREQ_PROXY
           && (conf->says != ALTSVC_SILENT || altsvc_config_off_in_directory(r));
}

/* Leaves one field in one table, or none. */
static void put_field(request_rec *r, const char *value)
{
    apr_table_unset(r->headers_out, FIELD);
    if (value) {
        apr_table_setn(r->err_headers_out, FIELD, value);
    }
    else {
        apr_table_unset(r->err_headers_out, FIELD);
    }
}

static void set_header(header_ctx *header, request_rec *r, const altsvc_config *conf)
{
    const char *always = apr_table_getm(r->pool, r->err_headers_out, FIELD);
    const char *theirs = apr_table_getm(r->pool, r->headers_out, FIELD);

    if (always && (!header->ours || strcmp(always, header->ours))) {
        header->kept = always;
    }
    if (theirs && !conf->override && !header->kept
        && (!header->ours || strcmp(theirs, header->ours))) {
        header->kept = theirs;
    }
    if (header->r != r) {
        header->r = r;
        header->ours = value_for(r, conf);
    }
    put_field(r, header->kept ? header->kept : header->ours);
}

/*
 * Stays for the whole response: a 416 is made by a later filter after the first brigade, and the
 * error page comes by here again. Clients ignore the field in a 421 (RFC 7838 section 6).
 */
static apr_status_t filter_header(ap_filter_t *f, apr_bucket_brigade *bb)
{
    request_rec *r = f->r;
    const altsvc_config *conf = config_of(r);
    conn_ctx *state = ap_get_module_config(r->connection->conn_config, &altsvc_module);

    if (state) {
        state->interim = ALTSVC_INTERIM_IDLE;
    }
    if (has_frame(r) && r->proxyreq != PROXYREQ_PROXY) {
        put_field(r, NULL);
        apr_table_unset(r->trailers_out, FIELD);
    }
    else if (concerns_us(r, conf)) {
        if (conf->override) {
            apr_table_unset(r->trailers_out, FIELD);
        }
        if (r->status == HTTP_MISDIRECTED_REQUEST || ap_is_HTTP_INFO(r->status)) {
            put_field(r, NULL);
        }
        else {
            set_header(f->ctx, r, conf);
        }
    }
    return ap_pass_brigade(f->next, bb);
}

/* Only a backend's interim responses have fields. The filter stays on the connection, idle. */
static void expect_interim(conn_rec *c)
{
    conn_ctx *state = state_of(c);

    state->interim = ALTSVC_INTERIM_WAITING;
    if (!state->has_interim_filter) {
        state->has_interim_filter = 1;
        ap_add_output_filter_handle(interim_filter, state, NULL, c);
    }
}

static void insert_filter(request_rec *r)
{
    const altsvc_config *conf = altsvc_config_get(r->server);

    if (r->main || !concerns_us(r, conf)) {
        return;
    }
    if (conf->override) {
        ap_add_output_filter_handle(strip_filter, NULL, r, r->connection);
    }
    if (r->proxyreq != PROXYREQ_NONE) {
        expect_interim(r->connection);
    }
}

/*
 * Scripts and backends have spoken, mod_headers has not: what is there now is not the
 * administrator's. After mod_headers a script's field could not be told from `Header always`.
 */
static apr_status_t filter_strip(ap_filter_t *f, apr_bucket_brigade *bb)
{
    apr_table_unset(f->r->headers_out, FIELD);
    apr_table_unset(f->r->err_headers_out, FIELD);
    ap_remove_output_filter(f);
    return ap_pass_brigade(f->next, bb);
}

static apr_status_t filter_interim(ap_filter_t *f, apr_bucket_brigade *bb)
{
    conn_ctx *state = f->ctx;

    if (state->interim != ALTSVC_INTERIM_IDLE) {
        state->interim = altsvc_interim_strip(state->interim, bb);
    }
    return ap_pass_brigade(f->next, bb);
}
