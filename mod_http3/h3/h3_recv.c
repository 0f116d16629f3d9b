/* SPDX-License-Identifier: Apache-2.0 */
#include "h3/h3_recv.h"

#include "h3/h3_fields.h"

/* Bytes of a connection that carry nothing, in excess of its payload, before it is ended. */
#define USELESS_BYTES (1024 * 1024)
#define USELESS_RATIO 8
/*
 * A FIN that is lost comes again in a fraction of that; a client that never sends it is served
 * after all.
 */
#define END_WAIT (5 * NGTCP2_SECONDS)

static nghttp3_ssize recv_request(h3_session *ss, int64_t id, const uint8_t *data, size_t len,
                                  int fin);
static h3_stream *make_stream(h3_session *ss, int64_t id);
static void recv_rest(h3_session *ss, h3_rest *rest, size_t len, int fin);
static void refuse_line(h3_session *ss, h3_stream *s);
static int is_useless(const h3_session *ss);

static int http3_recv_head_begin(nghttp3_conn *h3, int64_t id, void *user, void *stream_user);
static int http3_recv_field(nghttp3_conn *h3, int64_t id, int32_t token, nghttp3_rcbuf *name,
                            nghttp3_rcbuf *value, uint8_t flags, void *user, void *stream_user);
static int http3_recv_head_end(nghttp3_conn *h3, int64_t id, int fin, void *user,
                               void *stream_user);
static int http3_recv_data(nghttp3_conn *h3, int64_t id, const uint8_t *data, size_t len,
                           void *user, void *stream_user);
static int http3_recv_fin(nghttp3_conn *h3, int64_t id, void *user, void *stream_user);
static int http3_has_consumed(nghttp3_conn *h3, int64_t id, size_t len, void *user,
                              void *stream_user);
static int http3_wants_stop_sending(nghttp3_conn *h3, int64_t id, uint64_t error, void *user,
                                    void *stream_user);
static int http3_wants_reset(nghttp3_conn *h3, int64_t id, uint64_t error, void *user,
                             void *stream_user);
static void run_request(h3_session *ss, h3_stream *s, int no_body);
static h3_connrec *connrec_of(h3_session *ss);

void h3_recv_callbacks(nghttp3_callbacks *cb)
{
    cb->begin_headers = http3_recv_head_begin;
    cb->recv_header = http3_recv_field;
    cb->end_headers = http3_recv_head_end;
    cb->recv_data = http3_recv_data;
    cb->deferred_consume = http3_has_consumed;
    cb->end_stream = http3_recv_fin;
    cb->stop_sending = http3_wants_stop_sending;
    cb->reset_stream = http3_wants_reset;
}

/* ---- from QUIC ---- */

int h3_recv_client_sent(void *app, uint32_t flags, int64_t stream_id, const uint8_t *data,
                        size_t len)
{
    h3_session *ss = app;
    int fin = (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0;
    nghttp3_ssize n;

    if (ss->failed) {
        return -1;
    }
    ss->bytes_in += len;
    n = ngtcp2_is_bidi_stream(stream_id)
            ? recv_request(ss, stream_id, data, len, fin)
            : nghttp3_conn_read_stream2(ss->h3, stream_id, data, len, fin, h3_seam_now(ss));
    if (h3_seam_check_http3(ss, n) < 0) {
        return -1;
    }
    if (is_useless(ss)) {
        h3_seam_fail(ss, H3_EXCESSIVE_LOAD, "too many bytes that carry nothing");
    }
    h3_seam_credit(ss, stream_id, (uint64_t)n);
    return h3_seam_result(ss);
}

/* As nghttp3_conn_read_stream2, for the bytes of a request stream. */
static nghttp3_ssize recv_request(h3_session *ss, int64_t id, const uint8_t *data, size_t len,
                                  int fin)
{
    h3_stream *s = h3_seam_stream(ss, id), *known = s;
    h3_rest *rest = h3_rest_find(&ss->rests, id);
    nghttp3_ssize n;
    size_t good;

    if (rest) {
        recv_rest(ss, rest, len, fin);
        return (nghttp3_ssize)len;
    }
    if (!s && !(s = make_stream(ss, id))) {
        return NGHTTP3_ERR_NOMEM;
    }
    good = h3_stream_feed(s, data, len);
    n = nghttp3_conn_read_stream2(ss->h3, id, data, good, fin && good == len, h3_seam_now(ss));
    if (n < 0) {
        return n;
    }
    if (!known) {
        h3_seam_check_http3(ss, nghttp3_conn_set_stream_user_data(ss->h3, id, s));
    }
    if (h3_stream_is_excessive(s)) {
        return NGHTTP3_ERR_H3_EXCESSIVE_LOAD;
    }
    if (good < len) {
        refuse_line(ss, s);
    }
    if (fin) {
        h3_rest_end(&ss->rests, id);
    }
    return n + (nghttp3_ssize)(len - good);
}

/* The h3_stream of a request stream, which begins with its first byte. NULL: no memory. */
static h3_stream *make_stream(h3_session *ss, int64_t id)
{
    quic_limits limits;
    h3_stream *s;

    h3_share_limits(&limits, ss->conf);
    s = h3_stream_create(ss->env, ss, id, ss->conf->server, h3_share_at_first(&ss->share),
                         (size_t)limits.window / 4, h3_seam_now(ss));
    if (s) {
        h3_share_begin(&ss->share, s);
        h3_seam_check_quic(ss, ngtcp2_conn_set_stream_user_data(ss->nc, id, s));
        h3_stream_link(&ss->streams, s);
        if (ss->state == H3_SEAM_NEW) {
            h3_seam_enter(ss, H3_SEAM_OPEN);
        }
    }
    return s;
}

/* Past nghttp3: what it holds, nobody wants to know. */
static void recv_rest(h3_session *ss, h3_rest *rest, size_t len, int fin)
{
    ss->payload_in += len;
    H3_SEAM_LOG(ss, rest->stream_id, APLOG_TRACE2, 0, "%" APR_SIZE_T_FMT " bytes thrown away%s",
                len, fin ? ", FIN" : "");
    if (fin) {
        h3_rest_end(&ss->rests, rest->stream_id);
    }
    else if (h3_rest_recv(rest, len)) {
        h3_seam_stop_rest(ss, rest, H3_NO_ERROR);
    }
}

/*
 * A field's name or value is longer than nghttp3 takes without ending the connection for it. In the
 * head it is answered as httpd answers it; in trailers the request has come to nothing.
 */
static void refuse_line(h3_session *ss, h3_stream *s)
{
    H3_SEAM_LOG(ss, h3_stream_id(s), APLOG_DEBUG, 0,
                "a field's name has more than %d bytes, or its value more than %d",
                H3_LINES_NAME_MAX, H3_LINES_VALUE_MAX);
    if (h3_stream_is_in_head(s)) {
        h3_seam_begin_rest(ss, s);
        h3_stream_refuse_head(s, HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE);
        run_request(ss, s, 1);
    }
    else {
        h3_seam_cancel(ss, s, H3_EXCESSIVE_LOAD, H3_EXCESSIVE_LOAD);
    }
}

/*
 * Empty frames, unknown ones, fields that are dropped: each is cheap and legal, a connection that
 * is made of them is neither. RFC 9114 section 10.5
 */
static int is_useless(const h3_session *ss)
{
    return ss->bytes_in / USELESS_RATIO > ss->payload_in + USELESS_BYTES;
}

int h3_recv_client_reset(void *app, int64_t stream_id)
{
    h3_session *ss = app;
    h3_stream *s;

    if (h3_seam_check_http3(ss, nghttp3_conn_shutdown_stream_read(ss->h3, stream_id)) < 0) {
        return -1;
    }
    if (!ngtcp2_is_bidi_stream(stream_id)) {
        return 0;
    }
    s = h3_seam_stream(ss, stream_id);
    if (h3_rest_end(&ss->rests, stream_id) || (s && h3_stream_is_request_over(s))) {
        return 0; /* httpd has answered, or is about to, without more of it */
    }
    H3_SEAM_LOG(ss, stream_id, APLOG_TRACE1, 0, "reset by the client");
    if (s) {
        h3_stream_end_request(s);
        h3_seam_abort(ss, s);
    }
    h3_seam_reset(ss, stream_id, H3_REQUEST_CANCELLED);
    return h3_seam_result(ss);
}

/* ---- from nghttp3 ---- */

static int http3_recv_head_begin(nghttp3_conn *h3, int64_t id, void *user, void *stream_user)
{
    h3_session *ss = user;

    (void)stream_user;
    h3_seam_check_http3(ss, nghttp3_conn_set_stream_user_data(h3, id, h3_seam_stream(ss, id)));
    return h3_seam_http3_result(ss);
}

static int pseudo_of(int32_t token)
{
    switch (token) {
    case NGHTTP3_QPACK_TOKEN__METHOD:
        return H3_HEAD_METHOD;
    case NGHTTP3_QPACK_TOKEN__SCHEME:
        return H3_HEAD_SCHEME;
    case NGHTTP3_QPACK_TOKEN__AUTHORITY:
        return H3_HEAD_AUTHORITY;
    case NGHTTP3_QPACK_TOKEN__PATH:
        return H3_HEAD_PATH;
    default:
        return -1;
    }
}

static int http3_recv_field(nghttp3_conn *h3, int64_t id, int32_t token, nghttp3_rcbuf *name,
                            nghttp3_rcbuf *value, uint8_t flags, void *user, void *stream_user)
{
    h3_session *ss = user;
    h3_stream *s = stream_user;
    nghttp3_vec n = nghttp3_rcbuf_get_buf(name), v = nghttp3_rcbuf_get_buf(value);
    int rv;

    (void)h3, (void)id, (void)flags;
    rv = h3_stream_field(s, pseudo_of(token), (const char *)n.base, n.len, (const char *)v.base,
                         v.len);
    if (rv == H3_FIELDS_EXCESS) {
        h3_seam_fail(ss, H3_EXCESSIVE_LOAD, "far too many fields");
    }
    else if (rv < 0) {
        h3_seam_fail(ss, H3_INTERNAL_ERROR, "no memory");
    }
    else {
        ss->payload_in += (uint64_t)rv;
    }
    return h3_seam_http3_result(ss);
}

static int http3_recv_head_end(nghttp3_conn *h3, int64_t id, int fin, void *user, void *stream_user)
{
    h3_session *ss = user;
    h3_stream *s = stream_user;

    (void)h3, (void)id;
    if (h3_stream_is_in_head(s)) {
        h3_stream_step(s, h3_seam_now(ss));
    }
    if (h3_stream_end_head(s, fin)) {
        run_request(ss, s, fin);
    }
    return h3_seam_http3_result(ss);
}

static int http3_recv_data(nghttp3_conn *h3, int64_t id, const uint8_t *data, size_t len,
                           void *user, void *stream_user)
{
    h3_session *ss = user;
    h3_stream *s = stream_user;
    int taken;

    (void)h3;
    ss->payload_in += len;
    if (h3_stream_awaits_end(s)) {
        run_request(ss, s, 0);
    }
    taken = h3_stream_recv(s, data, len);
    if (taken < 0) {
        h3_seam_fail(ss, H3_INTERNAL_ERROR, "no memory");
    }
    else if (taken) {
        H3_SEAM_LOG(ss, id, APLOG_TRACE2, 0, "%" APR_SIZE_T_FMT " bytes of its body to httpd", len);
    }
    else {
        H3_SEAM_LOG(ss, id, APLOG_TRACE2, 0, "%" APR_SIZE_T_FMT " bytes of its body, for nobody",
                    len);
        h3_seam_credit(ss, id, len);
    }
    return h3_seam_http3_result(ss);
}

/* Only here is the body known to be complete: nghttp3 has compared it with its content-length. */
static int http3_recv_fin(nghttp3_conn *h3, int64_t id, void *user, void *stream_user)
{
    h3_session *ss = user;
    h3_stream *s = stream_user;

    (void)h3, (void)id;
    if (s && h3_stream_awaits_end(s)) {
        run_request(ss, s, 1);
    }
    else if (s && h3_stream_recv_fin(s)) {
        H3_SEAM_LOG(ss, id, APLOG_TRACE2, 0, "its body is complete");
    }
    return h3_seam_http3_result(ss);
}

/* What it held back, for QPACK, has been looked at. */
static int http3_has_consumed(nghttp3_conn *h3, int64_t id, size_t len, void *user,
                              void *stream_user)
{
    (void)h3, (void)stream_user;
    h3_seam_credit(user, id, len);
    return h3_seam_http3_result(user);
}

static int http3_wants_stop_sending(nghttp3_conn *h3, int64_t id, uint64_t error, void *user,
                                    void *stream_user)
{
    h3_session *ss = user;

    (void)h3, (void)stream_user;
    h3_seam_check_quic(ss, ngtcp2_conn_shutdown_stream_read(ss->nc, 0, id, error));
    return h3_seam_http3_result(ss);
}

/* The request came after the last GOAWAY: nobody waits for its head. RFC 9114 section 5.2 */
static int http3_wants_reset(nghttp3_conn *h3, int64_t id, uint64_t error, void *user,
                             void *stream_user)
{
    h3_session *ss = user;
    h3_stream *s = h3_seam_stream(ss, id);

    (void)h3, (void)stream_user;
    if (s) {
        h3_stream_give_up(s);
    }
    H3_STATS_ADD(ss->env->stats, streams_reset, 1);
    h3_seam_check_quic(ss, ngtcp2_conn_shutdown_stream_write(ss->nc, 0, id, error));
    return h3_seam_http3_result(ss);
}

/* ---- requests begin ---- */

static void run_request(h3_session *ss, h3_stream *s, int no_body)
{
    h3_connrec *cr;

    if (!h3_stream_may_run(s)) {
        h3_seam_give_up(ss, s, H3_REQUEST_REJECTED, "too many requests wait for a worker");
        return;
    }
    cr = connrec_of(ss);
    if (!cr) {
        h3_seam_fail(ss, H3_INTERNAL_ERROR, "no memory");
        return;
    }
    h3_share_run(&ss->share, s);
    h3_stream_run(s, cr, no_body);
    h3_seam_keep_alive(ss, 1);
}

/* The connection as httpd sees it; made at the first request, and again after a migration. */
static h3_connrec *connrec_of(h3_session *ss)
{
    quic_conn *conn = ss->conn;

    if (!ss->connrec) {
        ss->connrec = h3_connrec_make(&conn->path.local, conn->path.listener->tcp_port,
                                      &conn->path.remote, conn->ssl, conn->id);
    }
    return ss->connrec ? h3_connrec_ref(ss->connrec) : NULL;
}

void h3_recv_end_wait(h3_session *ss, h3_stream *s)
{
    if (h3_stream_awaits_end(s) && h3_stream_waited(s, h3_seam_now(ss)) > END_WAIT) {
        run_request(ss, s, 0);
    }
}
