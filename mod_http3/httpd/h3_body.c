/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/h3_body.h"

#include <string.h>
#include <apr_buckets.h>
#include <apr_strings.h>
#include "http_protocol.h"
#include "util_filter.h"
#include "border/h3_head.h"
#include "border/h3_pipe.h"

APLOG_USE_MODULE(http3);

/* One piece of a body; with its framing it fills what the allocator gives. */
#define IN_PIECE (16 * 1024 - 256)
/* "ffffffff\r\n" before a chunk, "\r\n" after it (RFC 9112 section 7.1). */
#define CHUNK_HEAD 10
#define CHUNK_TAIL 2

/* The input filter's memory; used by one thread at a time, as all of c2. */
typedef struct body_ctx {
    h3_c2 *c2;
    h3_pipe *pipe;
    apr_bucket_brigade *bb; /* read from the pipe, not yet asked for */
    int chunked;            /* the length is unknown: HTTP_IN gets chunks */
    int eof;                /* the pipe has no more */
    apr_status_t failed;    /* the body will never be complete */
} body_ctx;

static ap_filter_rec_t *body_filter;

static body_ctx *ctx_of(const conn_rec *c);
static apr_status_t filter_body(ap_filter_t *f, apr_bucket_brigade *bb, ap_input_mode_t mode,
                                apr_read_type_e block, apr_off_t readbytes);
static const char *mode_name(ap_input_mode_t mode);
static apr_status_t hand_out(body_ctx *ctx, apr_bucket_brigade *bb, ap_input_mode_t mode,
                             apr_read_type_e block, apr_off_t readbytes);
static apr_status_t take_bytes(apr_bucket_brigade *to, apr_bucket_brigade *from, apr_off_t len);
static apr_status_t copy_ahead(apr_bucket_brigade *to, apr_bucket_brigade *from, apr_off_t len);
static apr_status_t fill(body_ctx *ctx, apr_read_type_e block);
static void frame(body_ctx *ctx, char *piece, size_t len);
static void end_of_body(body_ctx *ctx);

void h3_body_register_hooks(apr_pool_t *p)
{
    (void)p;
    body_filter = ap_register_input_filter("H3_BODY", filter_body, NULL, AP_FTYPE_NETWORK);
}

void h3_body_insert(h3_c2 *c2)
{
    body_ctx *ctx = apr_pcalloc(c2->pool, sizeof(*ctx));

    ctx->c2 = c2;
    ctx->pipe = c2->txn->pipe;
    ctx->bb = apr_brigade_create(c2->pool, c2->c->bucket_alloc);
    ap_add_input_filter_handle(body_filter, ctx, NULL, c2->c);
}

static body_ctx *ctx_of(const conn_rec *c)
{
    const ap_filter_t *f = c->input_filters;

    while (f->frec != body_filter) {
        f = f->next;
    }
    return f->ctx;
}

/*
 * A client may end its stream apart from the head: without content-length, that there is no body
 * is known only then. Often it is by now.
 */
h3_body_kind h3_body_begin(h3_c2 *c2)
{
    const h3_txn *txn = c2->txn;
    body_ctx *ctx = ctx_of(c2->c);

    if (txn->head_only_eof) {
        return H3_BODY_NONE;
    }
    if (txn->head->content_length >= 0) {
        return txn->head->content_length > 0 ? H3_BODY_SIZED : H3_BODY_NONE;
    }
    ctx->chunked = 1;
    if (fill(ctx, APR_NONBLOCK_READ) == APR_SUCCESS && ctx->eof) {
        ctx->chunked = 0;
        apr_brigade_cleanup(ctx->bb);
        c2->framing_in = 0;
        return H3_BODY_NONE;
    }
    return H3_BODY_CHUNKED;
}

static apr_status_t filter_body(ap_filter_t *f, apr_bucket_brigade *bb, ap_input_mode_t mode,
                                apr_read_type_e block, apr_off_t readbytes)
{
    body_ctx *ctx = f->ctx;
    apr_status_t rv = APR_SUCCESS;

    H3_C2_LOG(ctx->c2, APLOG_TRACE4, 0, "body: asked, %s, %s, %" APR_OFF_T_FMT " bytes",
              mode_name(mode), block == APR_BLOCK_READ ? "blocking" : "non-blocking", readbytes);
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
    return rv == APR_SUCCESS ? hand_out(ctx, bb, mode, block, readbytes) : rv;
}

static const char *mode_name(ap_input_mode_t mode)
{
    static const char *const names[] = { "READBYTES",   "GETLINE",    "EATCRLF",
                                         "SPECULATIVE", "EXHAUSTIVE", "INIT" };

    return (size_t)mode < sizeof(names) / sizeof(names[0]) ? names[mode] : "?";
}

/* What is there already. */
static apr_status_t hand_out(body_ctx *ctx, apr_bucket_brigade *bb, ap_input_mode_t mode,
                             apr_read_type_e block, apr_off_t readbytes)
{
    switch (mode) {
    case AP_MODE_GETLINE:
        return apr_brigade_split_line(bb, ctx->bb, block, HUGE_STRING_LEN);
    case AP_MODE_SPECULATIVE:
        return copy_ahead(bb, ctx->bb, readbytes);
    case AP_MODE_EXHAUSTIVE:
        APR_BRIGADE_CONCAT(bb, ctx->bb);
        return APR_SUCCESS;
    case AP_MODE_READBYTES:
        return take_bytes(bb, ctx->bb, readbytes);
    default:
        return APR_ENOTIMPL;
    }
}

static apr_status_t take_bytes(apr_bucket_brigade *to, apr_bucket_brigade *from, apr_off_t len)
{
    apr_bucket *e, *end;
    apr_status_t rv = apr_brigade_partition(from, len, &end);

    if (rv != APR_SUCCESS && rv != APR_INCOMPLETE) {
        return rv;
    }
    for (e = APR_BRIGADE_FIRST(from); e != end; e = APR_BRIGADE_FIRST(from)) {
        APR_BUCKET_REMOVE(e);
        APR_BRIGADE_INSERT_TAIL(to, e);
    }
    return APR_SUCCESS;
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
 * One read of the pipe. A reset by the client is an error here, now and ever after: the end of a
 * body is told only when it has come, or a proxy would take half a body for the whole and its
 * backend's connection for clean.
 */
static apr_status_t fill(body_ctx *ctx, apr_read_type_e block)
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
        H3_C2_LOG(ctx->c2, APLOG_TRACE4, 0, "body: %" APR_SIZE_T_FMT " bytes", len);
        frame(ctx, piece, len);
        return rv;
    }
    apr_bucket_free(piece);
    if (APR_STATUS_IS_EOF(rv)) {
        end_of_body(ctx);
        return APR_SUCCESS;
    }
    H3_C2_LOG(ctx->c2, APR_STATUS_IS_EAGAIN(rv) ? APLOG_TRACE4 : APLOG_TRACE2, rv,
              "body: nothing to read");
    if (!APR_STATUS_IS_EAGAIN(rv)) {
        ctx->failed = rv;
        if (!APR_STATUS_IS_TIMEUP(rv)) {
            c->aborted = 1;
        }
    }
    return rv;
}

/* `piece` holds `len` bytes, after room for a chunk's size; it becomes a bucket. */
static void frame(body_ctx *ctx, char *piece, size_t len)
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

static void end_of_body(body_ctx *ctx)
{
    apr_bucket_alloc_t *list = ctx->c2->c->bucket_alloc;

    H3_C2_LOG(ctx->c2, APLOG_TRACE2, 0, "body: EOS");
    ctx->eof = 1;
    if (ctx->chunked) {
        APR_BRIGADE_INSERT_TAIL(ctx->bb, apr_bucket_immortal_create("0\r\n\r\n", 5, list));
        ctx->c2->framing_in += 5;
    }
    APR_BRIGADE_INSERT_TAIL(ctx->bb, apr_bucket_eos_create(list));
}
