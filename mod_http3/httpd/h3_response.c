/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/h3_response.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <apr_buckets.h>
#include <apr_portable.h>
#include "http_connection.h"
#include "http_core.h"
#include "http_log.h"
#include "http_protocol.h"
#include "http_request.h"
#include "util_filter.h"
#include "httpd/h3_answer.h"
#include "httpd/h3_files.h"
#include "httpd/h3_response_head.h"
#include "httpd/h3_unchunk.h"
#include "border/h3_error.h"
#include "border/h3_pipe.h"

APLOG_USE_MODULE(http3);

/* Core sets no limit to a head; a module that never ends one must not fill the memory. */
#define MAX_HEAD (1024 * 1024)
#define READ_SIZE (16 * 1024)
/* Files up to this are copied at once: a span costs a descriptor. */
#define COPY_MAX (256 * 1024)

typedef enum {
    OUT_HEAD, /* no final head yet */
    OUT_BODY,
    OUT_ENDED /* for the pipe; EOR may still come */
} response_state;

/* The filter's memory; used by one thread at a time, as all of c2. */
typedef struct response_ctx {
    h3_c2 *c2;
    h3_pipe *pipe;
    response_state state;
    char *text; /* a head that has come in part */
    size_t text_len, text_cap;
    int no_body;        /* HEAD, 204, 304: what comes is not sent */
    int broken;         /* an error or end-of-connection bucket has come after the head */
    int dropped;        /* an end-of-connection bucket has come before it */
    int refused;        /* there is no head to be made of what came, and no final one has gone */
    int chunked;        /* a script has framed its body itself */
    h3_unchunk unchunk; /* takes that off */
    apr_off_t expected; /* Content-Length, or -1 */
    apr_off_t passed;   /* body bytes */
} response_ctx;

static ap_filter_rec_t *response_filter;

static apr_status_t filter_response(ap_filter_t *f, apr_bucket_brigade *bb);
static void meta_bucket(response_ctx *ctx, apr_bucket *e);
static void capture_eor(response_ctx *ctx, apr_bucket *e);
static void answer_instead(response_ctx *ctx);
static void end(response_ctx *ctx, int complete);
static void give_up(response_ctx *ctx, apr_status_t rv);
static void end_of_stream(response_ctx *ctx);
static apr_status_t data_bucket(response_ctx *ctx, apr_bucket *e);
static apr_status_t head_bytes(response_ctx *ctx, const char *data, size_t len, size_t *used);
static apr_status_t take_head(response_ctx *ctx, const char *text, size_t len);
static apr_status_t file_bucket(response_ctx *ctx, apr_bucket *e);
static apr_status_t read_file(response_ctx *ctx, int fd, apr_off_t offset, apr_off_t len);
static apr_status_t body_bytes(response_ctx *ctx, const char *data, size_t len);
static apr_status_t chunked_bytes(response_ctx *ctx, const char *data, size_t len);
static int fits(response_ctx *ctx, apr_off_t len);
static apr_interval_time_t timeout_of(const response_ctx *ctx);

void h3_response_register_hooks(apr_pool_t *p)
{
    h3_answer_register_hooks(p);
    h3_files_register_hooks(p);
    response_filter =
        ap_register_output_filter("H3_RESPONSE", filter_response, NULL, AP_FTYPE_NETWORK);
}

void h3_response_insert(h3_c2 *c2)
{
    response_ctx *ctx = apr_pcalloc(c2->pool, sizeof(*ctx));

    ctx->c2 = c2;
    ctx->pipe = c2->txn->pipe;
    ctx->expected = -1;
    ap_add_output_filter_handle(response_filter, ctx, NULL, c2->c);
}

/*
 * After a failure the rest of the brigade is only searched for EOR: the request has to end in any
 * case.
 */
static apr_status_t filter_response(ap_filter_t *f, apr_bucket_brigade *bb)
{
    response_ctx *ctx = f->ctx;
    int began_with_head = ctx->state == OUT_HEAD;
    apr_status_t rv = APR_SUCCESS;
    apr_bucket *e;

    if (ctx->state != OUT_ENDED && h3_c2_is_dropped(ctx->c2)) {
        h3_pipe_w_end(ctx->pipe, H3_REQUEST_CANCELLED);
        end(ctx, 0);
        ctx->c2->c->aborted = 1;
    }
    while (!APR_BRIGADE_EMPTY(bb)) {
        e = APR_BRIGADE_FIRST(bb);
        if (AP_BUCKET_IS_EOR(e)) {
            capture_eor(ctx, e);
            return rv; /* nothing of c2 is ours any more if this was a SUSPENDED request */
        }
        if (APR_BUCKET_IS_METADATA(e)) {
            meta_bucket(ctx, e);
        }
        else if (ctx->c2->c->aborted) {
            /* By us, or a module that wants the connection dropped: nothing more goes. */
            if (!ctx->refused) {
                end(ctx, 0);
            }
            rv = rv == APR_SUCCESS ? APR_ECONNABORTED : rv;
        }
        else if (ctx->state != OUT_ENDED && (rv = data_bucket(ctx, e)) != APR_SUCCESS) {
            give_up(ctx, rv);
        }
        apr_bucket_delete(e);
    }
    /* Core passes the head, then at once what the handler has passed: one ring for both. */
    if (ctx->state != OUT_HEAD && !(began_with_head && ctx->passed == 0)) {
        h3_pipe_w_pass(ctx->pipe);
    }
    return rv;
}

/* ---- metadata ---- */

static void meta_bucket(response_ctx *ctx, apr_bucket *e)
{
    H3_C2_LOG(ctx->c2, APR_BUCKET_IS_FLUSH(e) ? APLOG_TRACE4 : APLOG_TRACE2, 0, "response: %s",
              e->type->name);
    if (APR_BUCKET_IS_FLUSH(e)) {
        h3_pipe_w_flush(ctx->pipe); /* after EOS, too: a suspended request's EOR may be far off */
    }
    else if (ctx->state == OUT_ENDED) {
        return;
    }
    else if (APR_BUCKET_IS_EOS(e)) {
        end_of_stream(ctx);
    }
    else if (ctx->state == OUT_HEAD) {
        ctx->dropped |= AP_BUCKET_IS_EOC(e);
    }
    else if (AP_BUCKET_IS_EOC(e) || AP_BUCKET_IS_ERROR(e)) {
        ctx->broken = 1;
    }
}

/* The handler is to stop. Where nothing has gone yet, core's own answer still may afterwards. */
static void give_up(response_ctx *ctx, apr_status_t rv)
{
    H3_C2_LOG(ctx->c2, APLOG_TRACE2, rv, "response: the handler is to stop");
    if (ctx->state == OUT_HEAD && rv != APR_ECONNABORTED) {
        ctx->refused = 1;
    }
    else {
        end(ctx, 0);
    }
    ctx->c2->c->aborted = 1;
}

static void end_of_stream(response_ctx *ctx)
{
    if (ctx->state != OUT_BODY) {
        return; /* there is no response: seen when EOR comes */
    }
    if (ctx->c2->c->aborted) {
        end(ctx, 0);
    }
    else if (ctx->no_body) {
        end(ctx, 1);
    }
    else if (ctx->chunked) {
        end(ctx, ctx->unchunk.state == H3_UNCHUNK_END);
    }
    else if (ctx->expected >= 0) {
        end(ctx, ctx->passed == ctx->expected);
    }
    else {
        end(ctx, !ctx->broken);
    }
}

/* A response that is cut short must not look whole: no FIN then (RFC 9114 section 4.1.2). */
static void end(response_ctx *ctx, int complete)
{
    if (ctx->state == OUT_ENDED) {
        return;
    }
    if (!complete) {
        H3_C2_LOG(ctx->c2, APLOG_DEBUG, 0,
                  "response ends early%s, %" APR_OFF_T_FMT " of %" APR_OFF_T_FMT " bytes",
                  ctx->state == OUT_HEAD ? ", without a head" : "", ctx->passed, ctx->expected);
    }
    else {
        H3_C2_LOG(ctx->c2, APLOG_TRACE2, 0, "response: complete, %" APR_OFF_T_FMT " bytes",
                  ctx->passed);
    }
    h3_pipe_w_end(ctx->pipe, complete ? 0 : H3_INTERNAL_ERROR);
    ctx->state = OUT_ENDED;
}

static void capture_eor(response_ctx *ctx, apr_bucket *e)
{
    H3_C2_LOG(ctx->c2, APLOG_TRACE2, 0, "response: EOR");
    if (ctx->state == OUT_HEAD) {
        answer_instead(ctx);
    }
    /* Core eats all that follows the head of a HEAD response, sometimes EOS too. */
    end(ctx, ctx->state == OUT_BODY && ctx->no_body);
    APR_BUCKET_REMOVE(e);
    ctx->c2->eor = e;
    ctx->c2->eor_seen = 1;
    h3_files_close(ctx->c2);
    if (__atomic_load_n(&ctx->c2->parties, __ATOMIC_RELAXED) == 2) {
        h3_pipe_w_settle(ctx->pipe, timeout_of(ctx)); /* a thread that is not ours does not wait */
        H3_C2_LOG(ctx->c2, APLOG_TRACE2, 0, "response: settled");
    }
    h3_c2_party_left(ctx->c2, 0);
}

/*
 * Nothing that a client would understand has come (an nph- script that fails ...). A client that
 * is gone needs no answer, and a module that aborts or passes EOC wants none.
 */
static void answer_instead(response_ctx *ctx)
{
    conn_rec *c = ctx->c2->c;
    int i;

    if (h3_pipe_w_is_aborted(ctx->pipe) || !ctx->c2->r
        || (!ctx->refused && (c->aborted || ctx->dropped))) {
        return;
    }
    if (!ctx->refused) {
        ap_log_cerror(APLOG_MARK, APLOG_ERR, 0, c,
                      APLOGNO(20364) "a response that ends %s its head",
                      ctx->text_len ? "inside" : "before");
    }
    /* The second time without ErrorDocument, which may be a script of the same kind. */
    for (i = 0; i < 2 && ctx->state == OUT_HEAD; i++) {
        c->aborted = 0;
        ctx->refused = 0;
        ctx->text_len = 0;
        h3_answer_error(ctx->c2->r);
    }
}

/* ---- data ---- */

static apr_status_t data_bucket(response_ctx *ctx, apr_bucket *e)
{
    apr_read_type_e block = e->length == (apr_size_t)-1 ? APR_NONBLOCK_READ : APR_BLOCK_READ;
    const char *data;
    apr_size_t len;
    apr_status_t rv;
    size_t used;

    if (ctx->state == OUT_BODY && ctx->no_body) {
        return APR_SUCCESS;
    }
    if (ctx->state == OUT_BODY && APR_BUCKET_IS_FILE(e) && !ctx->chunked) {
        return file_bucket(ctx, e);
    }
    rv = apr_bucket_read(e, &data, &len, block);
    if (APR_STATUS_IS_EAGAIN(rv)) {
        /* A slow source (CGI, a pipe): what it has given so far is not to wait for the rest. */
        h3_pipe_w_flush(ctx->pipe);
        rv = apr_bucket_read(e, &data, &len, APR_BLOCK_READ);
    }
    if (APR_STATUS_IS_EOF(rv)) {
        return APR_SUCCESS;
    }
    while (rv == APR_SUCCESS && len && ctx->state == OUT_HEAD) {
        rv = head_bytes(ctx, data, len, &used);
        data += used;
        len -= used;
    }
    if (rv == APR_SUCCESS && len && !ctx->no_body) {
        rv = ctx->chunked ? chunked_bytes(ctx, data, len) : body_bytes(ctx, data, len);
    }
    return rv;
}

/* *used of the bytes belong to a head: all of them until its end has come. */
static apr_status_t head_bytes(response_ctx *ctx, const char *data, size_t len, size_t *used)
{
    size_t n, before = ctx->text_len, cap;
    char *text;

    *used = len;
    if (before == 0 && (n = h3_response_head_len(data, len, 0)) > 0) {
        *used = n;
        return take_head(ctx, data, n); /* in one piece, as nearly always */
    }
    if (before + len > ctx->text_cap) {
        if (before + len > MAX_HEAD) {
            ap_log_cerror(APLOG_MARK, APLOG_ERR, 0, ctx->c2->c,
                          APLOGNO(20360) "a response head of more than %d bytes", MAX_HEAD);
            return APR_ENOSPC;
        }
        cap = 2 * (before + len);
        text = apr_palloc(ctx->c2->pool, cap);
        if (before) {
            memcpy(text, ctx->text, before);
        }
        ctx->text = text;
        ctx->text_cap = cap;
    }
    memcpy(ctx->text + before, data, len);
    ctx->text_len += len;
    if ((n = h3_response_head_len(ctx->text, ctx->text_len, before)) == 0) {
        return APR_SUCCESS;
    }
    *used = n - before;
    ctx->text_len = 0;
    return take_head(ctx, ctx->text, n);
}

static apr_status_t take_head(response_ctx *ctx, const char *text, size_t len)
{
    conn_rec *c = ctx->c2->c;
    const char *error;
    h3_head *h = h3_response_head_parse(text, len, &error);

    if (!h) {
        ap_log_cerror(APLOG_MARK, APLOG_ERR, 0, c, APLOGNO(20361) "unusable response head: %s",
                      error);
        return APR_EGENERAL;
    }
    if (h->status == HTTP_SWITCHING_PROTOCOLS) {
        h3_head_destroy(h);
        ap_log_cerror(APLOG_MARK, APLOG_ERR, 0, c,
                      APLOGNO(20362) "HTTP/3 has no 101 (Switching Protocols), a handler sent one");
        return APR_EGENERAL;
    }
    H3_C2_LOG(ctx->c2, APLOG_TRACE2, 0, "response: head %d, %" APR_SIZE_T_FMT " fields", h->status,
              h->nfields);
    if (h->status >= 200) {
        ctx->state = OUT_BODY;
        ctx->chunked = h->chunked;
        ctx->expected = h->content_length;
        ctx->no_body = (ctx->c2->r && ctx->c2->r->header_only) || h->status == HTTP_NO_CONTENT
                       || h->status == HTTP_NOT_MODIFIED;
    }
    return h3_pipe_w_head(ctx->pipe, h);
}

/* Some would take what exceeds Content-Length for the next message: none of it goes. */
static int fits(response_ctx *ctx, apr_off_t len)
{
    if (ctx->expected < 0 || len <= ctx->expected - ctx->passed) {
        ctx->passed += len;
        return 1;
    }
    ap_log_cerror(
        APLOG_MARK, APLOG_WARNING, 0, ctx->c2->c,
        APLOGNO(20363) "a response has more bytes than its Content-Length, %" APR_OFF_T_FMT,
        ctx->expected);
    return 0;
}

static apr_status_t body_bytes(response_ctx *ctx, const char *data, size_t len)
{
    H3_C2_LOG(ctx->c2, APLOG_TRACE4, 0, "response: %" APR_SIZE_T_FMT " bytes", len);
    return fits(ctx, (apr_off_t)len) ? h3_pipe_w_write(ctx->pipe, data, len, timeout_of(ctx))
                                     : APR_EGENERAL;
}

static apr_status_t chunked_bytes(response_ctx *ctx, const char *data, size_t len)
{
    apr_status_t rv = APR_SUCCESS;
    size_t used, body;

    while (len && rv == APR_SUCCESS) {
        used = h3_unchunk_next(&ctx->unchunk, data, len, &body);
        if (ctx->unchunk.state == H3_UNCHUNK_BAD) {
            ap_log_cerror(APLOG_MARK, APLOG_ERR, 0, ctx->c2->c,
                          APLOGNO(20365) "a script asks for chunks and writes none");
            return APR_EGENERAL;
        }
        if (body) {
            rv = body_bytes(ctx, data + used, body);
        }
        data += used + body;
        len -= used + body;
    }
    return rv;
}

/*
 * What fits into the pipe is read here and now, where waiting for a disk holds up nobody else.
 * Anything longer crosses as a span, and this worker is free.
 */
static apr_status_t file_bucket(response_ctx *ctx, apr_bucket *e)
{
    apr_bucket_file *file = e->data;
    apr_off_t len = (apr_off_t)e->length;
    const char *data;
    apr_size_t n;
    apr_status_t rv;
    apr_os_file_t fd;

    h3_files_note(ctx->c2, file->fd);
    if (apr_file_flags_get(file->fd) & APR_FOPEN_BUFFERED) {
        /* The descriptor may lag behind what APR has in its buffer. */
        rv = apr_bucket_read(e, &data, &n, APR_BLOCK_READ);
        return rv == APR_SUCCESS && n ? body_bytes(ctx, data, n) : rv;
    }
    if ((rv = apr_os_file_get(&fd, file->fd)) != APR_SUCCESS) {
        return rv;
    }
    if (len == 0) {
        return APR_SUCCESS;
    }
    if (!fits(ctx, len)) {
        return APR_EGENERAL;
    }
    if ((len > COPY_MAX || (apr_size_t)len > h3_pipe_w_room(ctx->pipe))
        && (rv = h3_pipe_w_file(ctx->pipe, fd, e->start, len)) != EMFILE && rv != ENFILE) {
        H3_C2_LOG(ctx->c2, APLOG_TRACE4, rv,
                  "response: %" APR_OFF_T_FMT " bytes of a file, from %" APR_OFF_T_FMT
                  " on, as a span",
                  len, e->start);
        return rv;
    }
    H3_C2_LOG(ctx->c2, APLOG_TRACE4, 0,
              "response: %" APR_OFF_T_FMT " bytes of a file, from %" APR_OFF_T_FMT " on, read here",
              len, e->start);
    return read_file(ctx, fd, e->start, len);
}

static apr_status_t read_file(response_ctx *ctx, int fd, apr_off_t offset, apr_off_t len)
{
    char buf[READ_SIZE];
    apr_status_t rv = APR_SUCCESS;
    ssize_t n;

    while (len > 0 && rv == APR_SUCCESS) {
        n = pread(fd, buf, len < READ_SIZE ? (size_t)len : READ_SIZE, offset);
        if (n > 0) {
            rv = h3_pipe_w_write(ctx->pipe, buf, (size_t)n, timeout_of(ctx));
            offset += n;
            len -= n;
        }
        else if (n == 0) {
            rv = APR_EOF; /* it has been truncated since its length was announced */
        }
        else if (errno != EINTR) {
            rv = errno;
        }
    }
    return rv;
}

static apr_interval_time_t timeout_of(const response_ctx *ctx)
{
    const h3_c2 *c2 = ctx->c2;

    return (c2->r ? c2->r->server : c2->c->base_server)->timeout;
}
