/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/h3_request.h"

#include <apr_buckets.h>
#include <apr_optional.h>
#include <apr_strings.h>
#include "http_connection.h"
#include "http_core.h"
#include "http_log.h"
#include "http_protocol.h"
#include "http_request.h"
#include "mod_core.h"
#include "scoreboard.h"
#include "util_filter.h"
#include "httpd/h3_body.h"
#include "httpd/h3_c2.h"
#include "httpd/h3_request_head.h"
#include "httpd/h3_response.h"
#include "httpd/h3_ssl.h"
#include "border/h3_error.h"
#include "border/h3_head.h"
#include "border/h3_pipe.h"

APLOG_USE_MODULE(http3);

static APR_OPTIONAL_FN_TYPE(ap_logio_add_bytes_in) * add_bytes_in;
static APR_OPTIONAL_FN_TYPE(ap_logio_add_bytes_out) * add_bytes_out;

static void optional_fn_retrieve(void);
static int pre_connection(conn_rec *c, void *csd);
static void set_variables(request_rec *r);
static int post_read_request_redirected(request_rec *r);
static int post_read_request(request_rec *r);
static apr_status_t request_gone(void *baton);
static int prepare(h3_txn *txn, request_rec *r);
static void die(request_rec *r, int status);

/* ---- hooks ---- */

void h3_request_register_hooks(apr_pool_t *p)
{
    h3_body_register_hooks(p);
    /* First: other modules' filters of this type lie above ours, whatever their order. */
    ap_hook_pre_connection(pre_connection, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_post_read_request(post_read_request_redirected, NULL, NULL, APR_HOOK_REALLY_FIRST - 1);
    ap_hook_post_read_request(post_read_request, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_optional_fn_retrieve(optional_fn_retrieve, NULL, NULL, APR_HOOK_MIDDLE);
}

static void optional_fn_retrieve(void)
{
    add_bytes_in = APR_RETRIEVE_OPTIONAL_FN(ap_logio_add_bytes_in);
    add_bytes_out = APR_RETRIEVE_OPTIONAL_FN(ap_logio_add_bytes_out);
}

static int pre_connection(conn_rec *c, void *csd)
{
    h3_c2 *c2 = h3_c2_of(c);

    (void)csd;
    if (!c2) {
        return DECLINED;
    }
    h3_body_insert(c2);
    h3_response_insert(c2);
    return OK;
}

/* Before any other module sees the request, and for those that none will see: they are logged. */
static void set_variables(request_rec *r)
{
    const h3_txn *txn = h3_c2_of(r->connection)->txn;
    apr_table_t *env = r->subprocess_env;

    apr_table_setn(env, "HTTP3", "on");
    apr_table_setn(env, "H3_CONN_ID", txn->connrec->conn_id);
    apr_table_setn(env, "H3_STREAM_ID",
                   apr_psprintf(r->pool, "%" APR_INT64_T_FMT, (apr_int64_t)txn->stream_id));
}

/* An internal redirect begins with an environment of its own; this hook sees it, too. */
static int post_read_request_redirected(request_rec *r)
{
    if (r->prev && h3_c2_of(r->connection)) {
        set_variables(r);
    }
    return DECLINED;
}

/* A misdirected one: the client may repeat it on another connection (RFC 9110 section 15.5.20). */
static int post_read_request(request_rec *r)
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
                      "conn %.8s stream %" APR_INT64_T_FMT ": refused before it was a request",
                      txn->connrec->conn_id, (apr_int64_t)txn->stream_id);
        h3_pipe_w_end(txn->pipe,
                      APR_STATUS_IS_ENOMEM(rv) ? H3_REQUEST_REJECTED : H3_INTERNAL_ERROR);
        h3_pipe_w_leave(txn->pipe);
        return;
    }
    txn->c2 = c2;
    c2->parties = 2;
    H3_C2_LOG(c2, APLOG_TRACE2, 0, "run by worker %d", w->index);
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
    if (h3_c2_is_dropped(c2)) {
        h3_pipe_w_end(txn->pipe, H3_REQUEST_CANCELLED);
    }
    H3_C2_LOG(c2, APLOG_TRACE2, 0, "its handler has returned");
    h3_c2_unbind(c2);
    h3_c2_party_left(c2, 1);
}

/* An EOR that has not reached our filter was destroyed on its way, and counts as come. */
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
        H3_C2_LOG(c2, APLOG_TRACE2, 0, "finished, %" APR_UINT64_T_FMT " bytes sent%s",
                  (apr_uint64_t)txn->sent, txn->whole ? "" : ", not to its end");
        if (add_bytes_in) {
            add_bytes_in(c2->c, (apr_off_t)txn->head->len - c2->framing_in);
        }
        if (add_bytes_out) {
            add_bytes_out(c2->c, (apr_off_t)txn->sent);
        }
        if (!txn->whole) {
            c2->c->aborted = 1; /* for the log */
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
    int status = h3_request_head_set_fields(r, txn->head, txn->connrec->server);

    set_variables(r);
    if (h3_body_begin(txn->c2) == H3_BODY_CHUNKED) {
        apr_table_setn(r->headers_in, "Transfer-Encoding", "chunked");
    }
    ap_run_pre_read_request(r, c);
    /* As core, before anything is refused: a script or backend as ErrorDocument reads the body. */
    ap_add_input_filter_handle(ap_http_input_filter_handle, NULL, r, c);
    r->request_time = apr_time_now();
    if (status == OK) {
        status = h3_request_head_check_target(r, txn->head);
    }
    if (txn->head->status) {
        status = txn->head->status; /* the head is not whole */
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "%s",
                      txn->head->dropped ? "a field has a character that it cannot have, or a "
                                           "blank at an end of its value"
                                         : "request exceeds LimitRequestLine, LimitRequestFields "
                                           "or LimitRequestFieldSize");
    }
    if (h3_request_head_parse_line(r, txn->head) && status == OK) {
        r->status = HTTP_OK;
        status = ap_check_request_header(r) ? OK : r->status;
    }
    else if (status == OK) {
        status = r->status;
    }
    r->per_dir_config = r->server->lookup_defaults;
    return status == OK ? ap_post_read_request(r) : status;
}
