/* SPDX-License-Identifier: Apache-2.0 */
#include "h3_request.h"

#include <string.h>
#include <apr_buckets.h>
#include <apr_lib.h>
#include <apr_optional.h>
#include <apr_strings.h>
#include <nghttp3/nghttp3.h>
#include "http_core.h"
#include "http_log.h"
#include "http_protocol.h"
#include "http_request.h"
#include "http_vhost.h"
#include "mod_core.h"
#include "scoreboard.h"
#include "util_filter.h"
#include "h3_response.h"
#include "h3_ssl.h"

APLOG_USE_MODULE(http3);

/* One piece of a body; with its framing it fills what the allocator gives. */
#define IN_PIECE (16 * 1024 - 256)
/* "ffffffff\r\n" before a chunk, "\r\n" behind it (RFC 9112 section 7.1). */
#define CHUNK_HEAD 10
#define CHUNK_TAIL 2

/* The input filter's memory; used by one thread at a time, as all of c2. */
typedef struct in_ctx {
    h3_c2 *c2;
    h3_pipe *pipe;
    apr_bucket_brigade *bb; /* read from the pipe, not yet asked for */
    int chunked;            /* the length is unknown: HTTP_IN gets chunks */
    int eof;                /* the pipe has no more */
    apr_status_t failed;    /* the body will never be complete */
} in_ctx;

static ap_filter_rec_t *in_filter;
static APR_OPTIONAL_FN_TYPE(ap_logio_add_bytes_in) * add_bytes_in;
static APR_OPTIONAL_FN_TYPE(ap_logio_add_bytes_out) * add_bytes_out;

static void find_logio(void);
static int insert_filters(conn_rec *c, void *csd);
static int check_misdirected(request_rec *r);
static apr_status_t request_gone(void *baton);
static int set_fields(request_rec *r, h3_head *head);
static int add_field(request_rec *r, char *name, const char *value, size_t max);
static int is_dropped(const char *name, size_t len);
static void camel_case(char *name);
static int set_host(request_rec *r, const h3_head *head, const char *host);
static int check_target(request_rec *r, const h3_head *head);
static in_ctx *in_ctx_of(const conn_rec *c);
static int has_body(h3_txn *txn, in_ctx *ctx);
static int prepare(h3_txn *txn, request_rec *r);
static int parse(request_rec *r, const h3_head *head);
static void die(request_rec *r, int status);
static apr_status_t filter_in(ap_filter_t *f, apr_bucket_brigade *bb, ap_input_mode_t mode,
                              apr_read_type_e block, apr_off_t readbytes);
static apr_status_t fill(in_ctx *ctx, apr_read_type_e block);
static void frame(in_ctx *ctx, char *piece, size_t len);
static apr_status_t copy_ahead(apr_bucket_brigade *to, apr_bucket_brigade *from, apr_off_t len);

/* ---- hooks ---- */

void h3_request_register_hooks(apr_pool_t *p)
{
    (void)p;
    in_filter = ap_register_input_filter("H3_IN", filter_in, NULL, AP_FTYPE_NETWORK);
    /* First: other modules' filters of this type lie above ours, whatever their order. */
    ap_hook_pre_connection(insert_filters, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_post_read_request(check_misdirected, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_optional_fn_retrieve(find_logio, NULL, NULL, APR_HOOK_MIDDLE);
}

static void find_logio(void)
{
    add_bytes_in = APR_RETRIEVE_OPTIONAL_FN(ap_logio_add_bytes_in);
    add_bytes_out = APR_RETRIEVE_OPTIONAL_FN(ap_logio_add_bytes_out);
}

static int insert_filters(conn_rec *c, void *csd)
{
    h3_c2 *c2 = h3_c2_of(c);
    in_ctx *ctx;

    (void)csd;
    if (!c2) {
        return DECLINED;
    }
    ctx = apr_pcalloc(c2->pool, sizeof(*ctx));
    ctx->c2 = c2;
    ctx->pipe = c2->txn->pipe;
    ctx->bb = apr_brigade_create(c2->pool, c->bucket_alloc);
    ap_add_input_filter_handle(in_filter, ctx, NULL, c);
    h3_response_insert(c2);
    return OK;
}

/* The client may repeat it on another connection (RFC 9110 section 15.5.20). */
static int check_misdirected(request_rec *r)
{
    h3_c2 *c2 = h3_c2_of(r->connection);

    if (!c2 || h3_ssl_same_trust(c2->txn->connrec->server, r->server)) {
        return DECLINED;
    }
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  "request for %s on a connection to %s, which it cannot share", r->hostname,
                  c2->txn->connrec->server->server_hostname);
    return HTTP_MISDIRECTED_REQUEST;
}

/* ---- a request's life ---- */

void h3_request_run(h3_txn *txn, h3_worker *w)
{
    h3_c2 *c2;
    apr_status_t rv;
    request_rec *r;
    int status;

    c2 = h3_c2_acquire(txn->connrec, w, txn, &rv);
    if (!c2) {
        ap_log_cerror(APLOG_MARK, APLOG_DEBUG, rv, txn->connrec->c1,
                      "stream %" APR_INT64_T_FMT ": refused before it was a request",
                      txn->stream_id);
        h3_pipe_w_end(txn->pipe, APR_STATUS_IS_ENOMEM(rv) ? NGHTTP3_H3_REQUEST_REJECTED
                                                          : NGHTTP3_H3_INTERNAL_ERROR);
        h3_pipe_w_leave(txn->pipe);
        return;
    }
    txn->c2 = c2;
    c2->parties = 2;
    c2->r = r = ap_create_request(c2->c);
    apr_pool_cleanup_register(r->pool, c2, request_gone, apr_pool_cleanup_null);
    status = prepare(txn, r);
    ap_update_child_status(c2->c->sbh, SERVER_BUSY_WRITE, r);
    if (status == OK) {
        ap_process_request(r);
    }
    else {
        die(r, status);
    }
    h3_c2_unbind(c2);
    h3_c2_party_left(c2, 1);
}

/* EOR that has not reached our filter counts as come: it was destroyed on the way. */
static apr_status_t request_gone(void *baton)
{
    h3_c2 *c2 = baton;

    c2->r = NULL;
    if (!c2->eor_seen) {
        c2->eor_seen = 1;
        h3_c2_party_left(c2, 0);
    }
    return APR_SUCCESS;
}

void h3_request_finish(h3_txn *txn, h3_worker *w)
{
    h3_c2 *c2 = txn->c2;

    if (c2) {
        h3_c2_bind(c2, w);
        if (add_bytes_in) {
            add_bytes_in(c2->c, (apr_off_t)txn->head->len - c2->framing_in);
        }
        if (add_bytes_out) {
            add_bytes_out(c2->c, c2->bytes_out);
        }
        h3_c2_release(c2);
        txn->c2 = NULL;
    }
    /* Not before: the request's fields lie in the head. */
    h3_head_destroy(txn->head);
    txn->head = NULL;
    h3_connrec_unref(txn->connrec);
    txn->connrec = NULL;
}

/* An error page, and EOR for the log, as core ends what it cannot read. */
static void die(request_rec *r, int status)
{
    conn_rec *c = r->connection;
    apr_bucket_brigade *bb = apr_brigade_create(c->pool, c->bucket_alloc);

    r->status = HTTP_OK;
    ap_die(status, r);
    APR_BRIGADE_INSERT_TAIL(bb, ap_bucket_eor_create(c->bucket_alloc, r));
    ap_pass_brigade(c->output_filters, bb);
    apr_brigade_cleanup(bb);
}

/* ---- from head to request_rec ---- */

/* All that ap_read_request does but reading. OK, or the status to die with. */
static int prepare(h3_txn *txn, request_rec *r)
{
    conn_rec *c = r->connection;
    int status = set_fields(r, txn->head);

    if (has_body(txn, in_ctx_of(c)) && txn->head->content_length < 0) {
        apr_table_setn(r->headers_in, "Transfer-Encoding", "chunked");
    }
    ap_run_pre_read_request(r, c);
    /* As core, before anything is refused: a script or backend as ErrorDocument reads the body. */
    ap_add_input_filter_handle(ap_http_input_filter_handle, NULL, r, c);
    r->request_time = apr_time_now();
    if (status == OK) {
        status = check_target(r, txn->head);
    }
    if (txn->head->status) {
        status = txn->head->status; /* a limit was exceeded: what follows is not whole */
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                      "request exceeds LimitRequestLine, LimitRequestFields or "
                      "LimitRequestFieldSize");
    }
    if (parse(r, txn->head) && status == OK) {
        r->status = HTTP_OK;
        status = ap_check_request_header(r) ? OK : r->status;
    }
    else if (status == OK) {
        status = r->status;
    }
    r->per_dir_config = r->server->lookup_defaults;
    return status == OK ? ap_post_read_request(r) : status;
}

/* Sets the_request and what follows from it, also where the request is refused: for the log. */
static int parse(request_rec *r, const h3_head *head)
{
    const char *method = head->method && *head->method ? head->method : "-";
    const char *target = strcmp(method, "CONNECT") == 0 ? head->authority : head->path;
    const char *line =
        apr_pstrcat(r->pool, method, " ", target && *target ? target : "/", " HTTP/3.0", NULL);
    int good;

    r->the_request = apr_pstrdup(r->pool, line);
    r->hostname = NULL;
    good = ap_parse_request_line(r);
    if (!good) {
        /* What core made of a line that does not end where it should. */
        r->the_request = (char *)line;
        r->protocol = apr_pstrdup(r->pool, "HTTP/3.0");
        r->proto_num = HTTP_VERSION(3, 0);
        r->assbackwards = 0;
    }
    return good;
}

/* The table's strings lie in the head, which lives longer. OK or a status. */
static int set_fields(request_rec *r, h3_head *head)
{
    /* As the I/O thread: r->server is the address's default host until Host has been looked at. */
    const server_rec *limits = h3_c2_of(r->connection)->txn->connrec->server;
    const char *host = NULL;
    int status = OK, te = 0, rv;
    size_t i;

    for (i = 0; i < head->nfields; i++) {
        const h3_field *f = &head->fields[i];
        char *name = head->bytes + f->name;
        const char *value = head->bytes + f->value;

        if (is_dropped(name, f->name_len)) {
            continue;
        }
        if (f->name_len == 4 && memcmp(name, "host", 4) == 0) {
            if (host) {
                status = HTTP_BAD_REQUEST;
            }
            host = value;
            continue;
        }
        /* RFC 9114 section 4.2: nothing but "trailers", which nghttp3 sees to, and once. */
        if (f->name_len == 2 && memcmp(name, "te", 2) == 0 && te++) {
            status = HTTP_BAD_REQUEST;
            continue;
        }
        camel_case(name);
        rv = add_field(r, name, value, (size_t)limits->limit_req_fieldsize);
        if (rv != OK && status == OK) {
            ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                          "field exceeds LimitRequestFieldSize after merging: %s", name);
            status = rv;
        }
    }
    rv = set_host(r, head, host);
    return status == OK ? rv : status;
}

/*
 * Fields of one name become one: cookies by "; " (RFC 9114 section 4.2.1), others by ", ", as
 * core does (RFC 9110 section 5.3). What is too long is not put together first: a hundred lines
 * of full length would be a hundred copies of all that came before them.
 */
static int add_field(request_rec *r, char *name, const char *value, size_t max)
{
    const char *first = apr_table_get(r->headers_in, name);

    if (!first) {
        apr_table_addn(r->headers_in, name, value);
        return OK;
    }
    if (strlen(first) + 2 + strlen(value) > max) {
        return HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE;
    }
    value = apr_pstrcat(r->pool, first, strcmp(name, "Cookie") == 0 ? "; " : ", ", value, NULL);
    apr_table_setn(r->headers_in, name, value);
    return OK;
}

/* Of a connection, not of a message (RFC 9114 section 4.2). nghttp3 refuses most of them. */
static int is_dropped(const char *name, size_t len)
{
    switch (len) {
    case 7:
        return memcmp(name, "upgrade", 7) == 0;
    case 10:
        return memcmp(name, "connection", 10) == 0 || memcmp(name, "keep-alive", 10) == 0;
    case 14:
        return memcmp(name, "http2-settings", 14) == 0;
    case 16:
        return memcmp(name, "proxy-connection", 16) == 0;
    case 17:
        return memcmp(name, "transfer-encoding", 17) == 0;
    default:
        return 0;
    }
}

/* As clients of HTTP/1.1 write them, and mod_http2 passes them on. */
static void camel_case(char *name)
{
    int start = 1;

    for (; *name; name++) {
        if (start && *name >= 'a' && *name <= 'z') {
            *name -= 'a' - 'A';
        }
        start = *name == '-';
    }
}

/* RFC 9114 section 4.3.1: :authority and Host say the same, and neither is empty. */
static int set_host(request_rec *r, const h3_head *head, const char *host)
{
    const char *authority = head->authority;

    if (authority && (!*authority || strchr(authority, '@'))) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, "unusable :authority '%s'", authority);
        return HTTP_BAD_REQUEST;
    }
    if (authority && host && ap_cstr_casecmp(authority, host) != 0) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, "Host '%s' is not :authority '%s'", host,
                      authority);
        return HTTP_BAD_REQUEST;
    }
    if (authority || host) {
        apr_table_addn(r->headers_in, "Host", authority ? authority : host);
    }
    return OK;
}

static int check_target(request_rec *r, const h3_head *head)
{
    const char *p = head->path;

    if (!head->method || strcmp(head->method, "CONNECT") == 0) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, "CONNECT is not supported over HTTP/3");
        return HTTP_NOT_IMPLEMENTED;
    }
    if (!head->scheme || ap_cstr_casecmp(head->scheme, "https") != 0) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, "scheme '%s' is not https",
                      head->scheme ? head->scheme : "");
        return HTTP_BAD_REQUEST;
    }
    if (!p || (*p != '/' && !(strcmp(p, "*") == 0 && strcmp(head->method, "OPTIONS") == 0))) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, "unusable :path '%s'", p ? p : "");
        return HTTP_BAD_REQUEST;
    }
    for (; *p; p++) {
        if ((unsigned char)*p <= ' ' || *p == 0x7f || *p == '#') {
            ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, "character 0x%02x in :path",
                          (unsigned char)*p);
            return HTTP_BAD_REQUEST;
        }
    }
    return OK;
}

static in_ctx *in_ctx_of(const conn_rec *c)
{
    const ap_filter_t *f = c->input_filters;

    while (f->frec != in_filter) {
        f = f->next;
    }
    return f->ctx;
}

/*
 * A client may end its stream behind the head: without content-length, that there
 * is no body is known only then. Often it is by now.
 */
static int has_body(h3_txn *txn, in_ctx *ctx)
{
    if (txn->head_only_eof) {
        return 0;
    }
    if (txn->head->content_length >= 0) {
        return txn->head->content_length > 0;
    }
    ctx->chunked = 1;
    if (fill(ctx, APR_NONBLOCK_READ) == APR_SUCCESS && ctx->eof) {
        ctx->chunked = 0;
        apr_brigade_cleanup(ctx->bb);
        ctx->c2->framing_in = 0;
        return 0;
    }
    return 1;
}

/* ---- the body ---- */

static apr_status_t filter_in(ap_filter_t *f, apr_bucket_brigade *bb, ap_input_mode_t mode,
                              apr_read_type_e block, apr_off_t readbytes)
{
    in_ctx *ctx = f->ctx;
    apr_status_t rv = APR_SUCCESS;
    apr_bucket *e, *last;

    if (mode == AP_MODE_INIT) {
        return APR_SUCCESS;
    }
    if (mode == AP_MODE_EATCRLF) {
        return APR_EOF; /* there is no second request to look for */
    }
    if (APR_BRIGADE_EMPTY(ctx->bb)) {
        rv = ctx->eof ? APR_EOF : fill(ctx, block);
    }
    if (mode == AP_MODE_EXHAUSTIVE) {
        while (rv == APR_SUCCESS && !ctx->eof) {
            rv = fill(ctx, block);
        }
        if (APR_STATUS_IS_EAGAIN(rv) && !APR_BRIGADE_EMPTY(ctx->bb)) {
            rv = APR_SUCCESS;
        }
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    switch (mode) {
    case AP_MODE_GETLINE:
        return apr_brigade_split_line(bb, ctx->bb, block, HUGE_STRING_LEN);
    case AP_MODE_SPECULATIVE:
        return copy_ahead(bb, ctx->bb, readbytes);
    case AP_MODE_EXHAUSTIVE:
        APR_BRIGADE_CONCAT(bb, ctx->bb);
        return APR_SUCCESS;
    case AP_MODE_READBYTES:
        rv = apr_brigade_partition(ctx->bb, readbytes, &e);
        if (rv != APR_SUCCESS && rv != APR_INCOMPLETE) {
            return rv;
        }
        for (last = APR_BRIGADE_FIRST(ctx->bb); last != e; last = APR_BRIGADE_FIRST(ctx->bb)) {
            APR_BUCKET_REMOVE(last);
            APR_BRIGADE_INSERT_TAIL(bb, last);
        }
        return APR_SUCCESS;
    default:
        return APR_ENOTIMPL;
    }
}

/* Bytes that are left where they are. */
static apr_status_t copy_ahead(apr_bucket_brigade *to, apr_bucket_brigade *from, apr_off_t len)
{
    apr_status_t rv = APR_SUCCESS;
    apr_bucket *e, *copy;

    for (e = APR_BRIGADE_FIRST(from); e != APR_BRIGADE_SENTINEL(from) && len > 0 && !rv;
         e = APR_BUCKET_NEXT(e)) {
        if ((rv = apr_bucket_copy(e, &copy)) != APR_SUCCESS) {
            break;
        }
        APR_BRIGADE_INSERT_TAIL(to, copy);
        if ((apr_off_t)copy->length > len) {
            rv = apr_bucket_split(copy, (apr_size_t)len);
            apr_bucket_delete(APR_BUCKET_NEXT(copy));
        }
        len -= (apr_off_t)copy->length;
    }
    return rv;
}

/*
 * One read of the pipe. A reset by the client is an error here, now and ever
 * after: the end of a body is told only when it has come, or a proxy would take
 * the half for the whole and the backend's connection for clean.
 */
static apr_status_t fill(in_ctx *ctx, apr_read_type_e block)
{
    conn_rec *c = ctx->c2->c;
    const server_rec *s = ctx->c2->r ? ctx->c2->r->server : c->base_server;
    size_t room = CHUNK_HEAD + IN_PIECE + CHUNK_TAIL, len = IN_PIECE;
    apr_status_t rv = ctx->failed;
    char *piece;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    piece = apr_bucket_alloc(room, c->bucket_alloc);
    rv = h3_pipe_w_read(ctx->pipe, piece + CHUNK_HEAD, &len, block == APR_BLOCK_READ, s->timeout);
    if (rv == APR_SUCCESS) {
        frame(ctx, piece, len);
        return rv;
    }
    apr_bucket_free(piece);
    if (APR_STATUS_IS_EOF(rv)) {
        ctx->eof = 1;
        if (ctx->chunked) {
            APR_BRIGADE_INSERT_TAIL(ctx->bb,
                                    apr_bucket_immortal_create("0\r\n\r\n", 5, c->bucket_alloc));
            ctx->c2->framing_in += 5;
        }
        APR_BRIGADE_INSERT_TAIL(ctx->bb, apr_bucket_eos_create(c->bucket_alloc));
        return APR_SUCCESS;
    }
    if (!APR_STATUS_IS_EAGAIN(rv)) {
        ctx->failed = rv;
        if (!APR_STATUS_IS_TIMEUP(rv)) {
            c->aborted = 1;
        }
    }
    return rv;
}

/* `piece` holds `len` bytes behind the room for a chunk's size; it becomes a bucket. */
static void frame(in_ctx *ctx, char *piece, size_t len)
{
    apr_bucket_alloc_t *list = ctx->c2->c->bucket_alloc;
    size_t start = CHUNK_HEAD, end = CHUNK_HEAD + len;
    char size[CHUNK_HEAD + 1];
    apr_bucket *e;
    int n;

    if (ctx->chunked) {
        n = apr_snprintf(size, sizeof(size), "%x\r\n", (unsigned)len);
        start -= (size_t)n;
        memcpy(piece + start, size, (size_t)n);
        memcpy(piece + end, "\r\n", CHUNK_TAIL);
        end += CHUNK_TAIL;
        ctx->c2->framing_in += n + CHUNK_TAIL;
    }
    e = apr_bucket_heap_create(piece, end, apr_bucket_free, list);
    e->start = (apr_off_t)start;
    e->length = end - start;
    APR_BRIGADE_INSERT_TAIL(ctx->bb, e);
}
