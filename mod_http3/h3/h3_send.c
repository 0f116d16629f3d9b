/* SPDX-License-Identifier: Apache-2.0 */
#include "h3/h3_send.h"

#include <stdlib.h>
#include <apr_strings.h>

/* Response fields up to this number need no memory of their own on the way to nghttp3. */
#define FIELDS_ON_STACK 64
/* Pieces of a body in one offer; the other vectors are frames' heads. */
#define PIECES 8

static int http3_has_acked(nghttp3_conn *h3, int64_t id, uint64_t len, void *user,
                           void *stream_user);
static nghttp3_ssize http3_wants_body(nghttp3_conn *h3, int64_t id, nghttp3_vec *vec, size_t cnt,
                                      uint32_t *flags, void *user, void *stream_user);
static int submit(h3_session *ss, int64_t id, const h3_head *head, int no_body);
static void fill_fields(nghttp3_nv *nva, const h3_head *head, const char *status);
static int next_offer(h3_session *ss);
static uint32_t offer_flags(const h3_session *ss);
static void take_of_offer(h3_session *ss, size_t len);
static void settle_offer(h3_session *ss);
static void response_unwanted(h3_session *ss, int64_t stream_id);

void h3_send_callbacks(nghttp3_callbacks *cb)
{
    cb->acked_stream_data = http3_has_acked;
}

/* ---- heads ---- */

void h3_send_head(h3_session *ss, h3_stream *s, const h3_head *head, int no_body)
{
    if (h3_stream_is_cut(s)) {
        return;
    }
    if (!h3_stream_takes_head(s) || submit(ss, h3_stream_id(s), head, no_body) != 0) {
        /* Two final heads, or no memory: nothing that a client could make sense of. */
        h3_stream_break(s, H3_INTERNAL_ERROR);
    }
    else if (head->status >= 200) {
        h3_stream_head_sent(s);
    }
}

/* 0, or negative: it cannot be sent. Where nghttp3 is out of memory the session has failed, too. */
static int submit(h3_session *ss, int64_t id, const h3_head *head, int no_body)
{
    static const nghttp3_data_reader reader = { http3_wants_body };
    nghttp3_nv stack[FIELDS_ON_STACK + 1], *nva = stack;
    char status[4];
    int rv;

    if (head->nfields > FIELDS_ON_STACK) {
        nva = malloc((head->nfields + 1) * sizeof(*nva));
        if (!nva) {
            return -1;
        }
    }
    apr_snprintf(status, sizeof(status), "%03d", head->status);
    fill_fields(nva, head, status);
    if (head->status < 200) {
        rv = nghttp3_conn_submit_info(ss->h3, id, nva, head->nfields + 1);
    }
    else {
        rv = nghttp3_conn_submit_response(ss->h3, id, nva, head->nfields + 1,
                                          no_body ? NULL : &reader);
    }
    if (nva != stack) {
        free(nva);
    }
    if (nghttp3_err_is_fatal(rv)) {
        h3_seam_check_http3(ss, rv);
    }
    H3_SEAM_LOG(ss, id, APLOG_TRACE2, 0, "head with status %s%s%s", status,
                no_body ? ", no body" : "", rv == 0 ? "" : ", not taken by nghttp3");
    return rv;
}

/* RFC 9114 section 4.3.2: the pseudo field comes first. */
static void fill_fields(nghttp3_nv *nva, const h3_head *head, const char *status)
{
    size_t i;

    nva[0].name = (const uint8_t *)":status";
    nva[0].namelen = sizeof(":status") - 1;
    nva[0].value = (const uint8_t *)status;
    nva[0].valuelen = 3;
    nva[0].flags = NGHTTP3_NV_FLAG_NONE;
    for (i = 0; i < head->nfields; i++) {
        const h3_head_field *f = &head->fields[i];

        nva[i + 1].name = (const uint8_t *)h3_head_name(head, f);
        nva[i + 1].namelen = f->name_len;
        nva[i + 1].value = (const uint8_t *)h3_head_value(head, f);
        nva[i + 1].valuelen = f->value_len;
        nva[i + 1].flags = f->sensitive ? NGHTTP3_NV_FLAG_NEVER_INDEX : NGHTTP3_NV_FLAG_NONE;
    }
}

void h3_send_reset_if_broken(h3_session *ss, h3_stream *s)
{
    uint64_t error = h3_stream_error(s);

    if (error) {
        H3_SEAM_LOG(ss, h3_stream_id(s), APLOG_DEBUG, 0, "reset with 0x%" APR_UINT64_T_HEX_FMT,
                    (apr_uint64_t)error);
        h3_seam_cancel(ss, s, H3_NO_ERROR, error);
    }
}

/* ---- bodies ---- */

static nghttp3_ssize http3_wants_body(nghttp3_conn *h3, int64_t id, nghttp3_vec *vec, size_t cnt,
                                      uint32_t *flags, void *user, void *stream_user)
{
    h3_session *ss = user;
    h3_stream *s = stream_user;
    struct iovec iov[PIECES];
    int i, n, eof;

    (void)h3, (void)id;
    n = h3_stream_read(s, iov, cnt < PIECES ? (int)cnt : PIECES, &eof);
    if (n < 0) {
        if (h3_stream_error(s)) {
            ss->broken = s;
        }
        return NGHTTP3_ERR_WOULDBLOCK;
    }
    for (i = 0; i < n; i++) {
        vec[i].base = iov[i].iov_base;
        vec[i].len = iov[i].iov_len;
    }
    if (eof) {
        *flags |= NGHTTP3_DATA_FLAG_EOF;
    }
    return n;
}

int h3_send_client_acked(void *app, int64_t stream_id, uint64_t len)
{
    h3_session *ss = app;
    h3_stream *s;

    if (h3_seam_check_http3(ss, nghttp3_conn_add_ack_offset(ss->h3, stream_id, len)) < 0) {
        return -1;
    }
    s = h3_seam_stream(ss, stream_id);
    if (s) {
        h3_stream_step(s, h3_seam_now(ss));
        h3_stream_arrived(s, len);
        h3_share_adjust(&ss->share, s);
        /* A file that waited for room in the pipe goes on. */
        if (h3_stream_is_open(s) && h3_stream_has_more(s)) {
            h3_seam_check_http3(ss, nghttp3_conn_resume_stream(ss->h3, stream_id));
        }
        h3_seam_let_go_if_answered(ss, s);
    }
    return h3_seam_result(ss);
}

/* Of the body's own bytes. */
static int http3_has_acked(nghttp3_conn *h3, int64_t id, uint64_t len, void *user,
                           void *stream_user)
{
    h3_session *ss = user;
    h3_stream *s = stream_user;

    (void)h3;
    if (s) {
        h3_stream_acked(s, (size_t)len);
    }
    H3_SEAM_LOG(ss, id, APLOG_TRACE2, 0, "%" APR_UINT64_T_FMT " bytes of its body acknowledged",
                (apr_uint64_t)len);
    return 0;
}

int h3_send_client_extended(void *app, int64_t stream_id)
{
    h3_session *ss = app;

    h3_seam_check_http3(ss, nghttp3_conn_unblock_stream(ss->h3, stream_id));
    return h3_seam_result(ss);
}

/* ---- packets ---- */

/* What nghttp3 wants to send next, if the last offer is used up. 0, or -1: the session failed. */
static int next_offer(h3_session *ss)
{
    h3_seam_offer *o = &ss->offer;
    nghttp3_ssize n;

    if (ss->connrec && h3_connrec_is_refused(ss->connrec)) {
        h3_seam_fail(ss, H3_EXCESSIVE_LOAD, "a module has refused the connection");
    }
    if (ss->failed) {
        return -1;
    }
    if (o->first < o->end) {
        return 0;
    }
    settle_offer(ss);
    if (!ngtcp2_conn_get_max_data_left(ss->nc)) {
        return h3_seam_result(ss);
    }
    o->fin = 0;
    n = nghttp3_conn_writev_stream(ss->h3, &o->stream_id, &o->fin, o->vec, H3_SEAM_OFFER_VECS);
    if (h3_seam_check_http3(ss, n) < 0) {
        return -1;
    }
    o->end = (size_t)n;
    if (o->stream_id >= 0) {
        H3_SEAM_LOG(ss, o->stream_id, APLOG_TRACE2, 0, "%" APR_UINT64_T_FMT " bytes offered%s",
                    (apr_uint64_t)nghttp3_vec_len(o->vec, o->end), o->fin ? ", FIN" : "");
    }
    if (ss->broken) {
        h3_send_reset_if_broken(ss, ss->broken);
        ss->broken = NULL;
    }
    return h3_seam_result(ss);
}

static uint32_t offer_flags(const h3_session *ss)
{
    const h3_seam_offer *o = &ss->offer;
    uint32_t flags = NGTCP2_WRITE_STREAM_FLAG_MORE;

    if (o->stream_id >= 0 && o->fin) {
        flags |= NGTCP2_WRITE_STREAM_FLAG_FIN;
    }
    if (o->stream_id >= 0 && ngtcp2_conn_get_max_data_left(ss->nc)) {
        /*
         * If the packet ends with this call, that is because it has no room for more of this:
         * others follow, and GSO wants them to be of one size. One that ends without an offer is
         * the last.
         */
        flags |= NGTCP2_WRITE_STREAM_FLAG_PADDING;
    }
    return flags;
}

static void take_of_offer(h3_session *ss, size_t len)
{
    h3_seam_offer *o = &ss->offer;

    o->touched = 1;
    o->taken += len;
    while (len && len >= o->vec[o->first].len) {
        len -= o->vec[o->first++].len;
    }
    if (len) {
        o->vec[o->first].base += len;
        o->vec[o->first].len -= len;
    }
}

/* nghttp3 is told what of the offer has gone into packets. */
static void settle_offer(h3_session *ss)
{
    h3_seam_offer *o = &ss->offer;
    int end = o->fin && o->first == o->end;
    h3_stream *s;

    if (o->stream_id >= 0 && o->touched) {
        H3_SEAM_LOG(ss, o->stream_id, APLOG_TRACE2, 0, "%" APR_SIZE_T_FMT " bytes sent%s", o->taken,
                    end ? ", FIN" : "");
        h3_seam_check_http3(ss, nghttp3_conn_add_write_offset(ss->h3, o->stream_id, o->taken));
        if ((s = h3_seam_stream(ss, o->stream_id))) {
            h3_stream_sent(s, o->taken, end);
        }
    }
    o->stream_id = -1;
    o->first = o->end = 0;
    o->taken = 0;
    o->touched = 0;
}

/*
 * The client has sent STOP_SENDING, and ngtcp2 has answered with RESET_STREAM (RFC 9000 section
 * 3.5). A stream that has more to send hears of it here, others when they are closed.
 */
static void response_unwanted(h3_session *ss, int64_t stream_id)
{
    h3_stream *s = h3_seam_stream(ss, stream_id);

    H3_SEAM_LOG(ss, stream_id, APLOG_TRACE1, 0, "response not wanted by the client");
    nghttp3_conn_shutdown_stream_write(ss->h3, stream_id);
    H3_STATS_ADD(ss->env->stats, streams_reset, 1);
    if (s) {
        h3_seam_stop_reading(ss, s, H3_NO_ERROR);
        h3_seam_abort(ss, s);
    }
}

ngtcp2_ssize h3_send_packet(void *app, ngtcp2_path *path, ngtcp2_pkt_info *pi, uint8_t *dest,
                            size_t destlen, ngtcp2_tstamp ts)
{
    h3_session *ss = app;
    h3_seam_offer *o = &ss->offer;
    ngtcp2_ssize n, taken;
    int64_t stream_id;

    for (;;) {
        if (next_offer(ss) < 0) {
            return NGTCP2_ERR_CALLBACK_FAILURE;
        }
        n = ngtcp2_conn_writev_stream(ss->nc, path, pi, dest, destlen, &taken, offer_flags(ss),
                                      o->stream_id, (const ngtcp2_vec *)o->vec + o->first,
                                      o->end - o->first, ts);
        stream_id = o->stream_id;
        if (n == NGTCP2_ERR_STREAM_DATA_BLOCKED) {
            settle_offer(ss);
            nghttp3_conn_block_stream(ss->h3, stream_id);
        }
        else if (n == NGTCP2_ERR_STREAM_SHUT_WR || n == NGTCP2_ERR_STREAM_NOT_FOUND) {
            settle_offer(ss);
            response_unwanted(ss, stream_id);
        }
        else {
            if ((n >= 0 || n == NGTCP2_ERR_WRITE_MORE) && taken >= 0) {
                take_of_offer(ss, (size_t)taken);
            }
            if (n != NGTCP2_ERR_WRITE_MORE) {
                return n;
            }
        }
    }
}

void h3_send_batch_written(void *app)
{
    settle_offer(app);
}
