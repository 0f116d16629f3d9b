/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handlers that no stock module has: each does one thing that httpd lets a handler do. The query
 * says which, by name.
 */
#include "httpd.h"
#include "http_config.h"
#include "http_connection.h"
#include "http_protocol.h"
#include "http_request.h"
#include "util_filter.h"

static void pass(request_rec *r, apr_bucket *e, int eos)
{
    apr_bucket_alloc_t *list = r->connection->bucket_alloc;
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, list);

    if (e) {
        APR_BRIGADE_INSERT_TAIL(bb, e);
    }
    if (eos) {
        APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(list));
    }
    ap_pass_brigade(r->output_filters, bb);
}

static int two_pieces(request_rec *r)
{
    ap_rputs("hello ", r);
    ap_rflush(r);
    ap_rputs("world\n", r);
    return OK;
}

static int chunked(request_rec *r)
{
    r->chunked = 1;
    return two_pieces(r);
}

static int chunked_and_length(request_rec *r)
{
    ap_set_content_length(r, 99);
    return chunked(r);
}

static int chunked_field(request_rec *r)
{
    apr_table_setn(r->headers_out, "Transfer-Encoding", "chunked");
    return chunked(r);
}

static int chunked_error(request_rec *r)
{
    r->chunked = 1;
    apr_table_setn(r->err_headers_out, "Transfer-Encoding", "chunked");
    return HTTP_NOT_FOUND;
}

static int chunked_by_filter(request_rec *r)
{
    ap_add_output_filter("ODD_CHUNKED", NULL, r, r->connection);
    return two_pieces(r);
}

static int keeps_alive(request_rec *r)
{
    r->connection->keepalive = AP_CONN_KEEPALIVE;
    return two_pieces(r);
}

static int no_head(request_rec *r)
{
    r->assbackwards = 1;
    return two_pieces(r);
}

/* As mod_cgi does for an nph- script. */
static void drop_filters(request_rec *r)
{
    r->output_filters = r->proto_output_filters = r->connection->output_filters;
}

static int nothing(request_rec *r)
{
    drop_filters(r);
    return OK;
}

static int only_eos(request_rec *r)
{
    drop_filters(r);
    pass(r, NULL, 1);
    return OK;
}

static int only_error(request_rec *r)
{
    drop_filters(r);
    pass(r, ap_bucket_error_create(502, NULL, r->pool, r->connection->bucket_alloc), 1);
    return OK;
}

static int filter_error(request_rec *r)
{
    (void)r;
    return AP_FILTER_ERROR;
}

static int error_bucket(request_rec *r)
{
    ap_rputs("never sent\n", r);
    pass(r, ap_bucket_error_create(502, NULL, r->pool, r->connection->bucket_alloc), 1);
    return OK;
}

static int status_101(request_rec *r)
{
    r->status = HTTP_SWITCHING_PROTOCOLS;
    return two_pieces(r);
}

static int control_byte(request_rec *r)
{
    apr_table_setn(r->headers_out, "Foo", "b\001ar");
    return two_pieces(r);
}

static int line_feed(request_rec *r)
{
    apr_table_setn(r->headers_out, "Foo", "b\nSet-Cookie: a=b");
    ap_rputs("in one piece\n", r);
    return OK;
}

static int empty_name(request_rec *r)
{
    apr_table_setn(r->headers_out, "", "bar");
    ap_rputs("in one piece\n", r);
    return OK;
}

static int huge_head(request_rec *r)
{
    size_t len = 1100000;
    char *value = memset(apr_palloc(r->pool, len + 1), 'x', len);

    value[len] = '\0';
    apr_table_setn(r->headers_out, "Foo", value);
    return two_pieces(r);
}

static int drops_connection(request_rec *r)
{
    r->connection->aborted = 1;
    return OK;
}

static int end_of_connection(request_rec *r)
{
    pass(r, ap_bucket_eoc_create(r->connection->bucket_alloc), 0);
    return OK;
}

/* Descriptors that nobody else knows of, until the client has 4 KB. */
static int holds_files(request_rec *r)
{
    apr_file_t *file;
    int i;

    for (i = 0; i < 2; i++) {
        if (apr_file_open(&file, "/dev/null", APR_FOPEN_READ, 0, r->pool) != APR_SUCCESS) {
            return HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    ap_rprintf(r, "%4096d", 0);
    return OK;
}

/* Until the test has opened the gate. */
static int wait_at_gate(request_rec *r)
{
    const char *gate = ap_server_root_relative(r->pool, "run/odd-gate");
    apr_finfo_t finfo;
    int i;

    for (i = 0; i < 1000; i++) {
        if (apr_stat(&finfo, gate, APR_FINFO_TYPE, r->pool) == APR_SUCCESS) {
            return OK;
        }
        apr_sleep(20000);
    }
    return HTTP_INTERNAL_SERVER_ERROR;
}

static apr_bucket *text(request_rec *r, const char *s)
{
    return apr_bucket_immortal_create(s, strlen(s), r->connection->bucket_alloc);
}

static int passes_then_waits(request_rec *r)
{
    pass(r, text(r, "a piece\n"), 0);
    return wait_at_gate(r);
}

static int passes_nothing_then_waits(request_rec *r)
{
    pass(r, text(r, ""), 0);
    return wait_at_gate(r);
}

static int ends_then_waits(request_rec *r)
{
    pass(r, text(r, "a piece\n"), 1);
    return wait_at_gate(r);
}

static apr_status_t filter_chunked(ap_filter_t *f, apr_bucket_brigade *bb)
{
    f->r->chunked = 1;
    return ap_pass_brigade(f->next, bb);
}

static int handler(request_rec *r)
{
    static const struct {
        const char *name;
        int (*run)(request_rec *r);
    } handlers[] = {
        { "chunked", chunked },
        { "chunked_and_length", chunked_and_length },
        { "chunked_field", chunked_field },
        { "chunked_error", chunked_error },
        { "chunked_by_filter", chunked_by_filter },
        { "keeps_alive", keeps_alive },
        { "no_head", no_head },
        { "nothing", nothing },
        { "only_eos", only_eos },
        { "only_error", only_error },
        { "filter_error", filter_error },
        { "error_bucket", error_bucket },
        { "status_101", status_101 },
        { "control_byte", control_byte },
        { "line_feed", line_feed },
        { "empty_name", empty_name },
        { "huge_head", huge_head },
        { "drops_connection", drops_connection },
        { "end_of_connection", end_of_connection },
        { "holds_files", holds_files },
        { "passes_then_waits", passes_then_waits },
        { "passes_nothing_then_waits", passes_nothing_then_waits },
        { "ends_then_waits", ends_then_waits },
    };
    size_t i;

    if (!r->handler || strcmp(r->handler, "odd")) {
        return DECLINED;
    }
    ap_set_content_type(r, "text/plain");
    for (i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
        if (r->args && strcmp(r->args, handlers[i].name) == 0) {
            return handlers[i].run(r);
        }
    }
    return HTTP_NOT_FOUND;
}

static void register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_register_output_filter("ODD_CHUNKED", filter_chunked, NULL, AP_FTYPE_CONTENT_SET);
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_MIDDLE);
}

module AP_MODULE_DECLARE_DATA odd_module = { STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL,
                                             register_hooks };
