/* SPDX-License-Identifier: Apache-2.0 */
#include "h3_session.h"

#include <stdlib.h>
#include <string.h>
#include <nghttp3/nghttp3.h>
#include "apr_strings.h"
#include "http_config.h"
#include "http_log.h"

APLOG_USE_MODULE(http3);

/* QPACK's dynamic tables, both ways; what RFC 9204 leaves to the implementation. */
#define QPACK_TABLE 4096
#define QPACK_BLOCKED_STREAMS 100
/* Response fields up to this number need no memory of their own on the way to nghttp3. */
#define FIELDS_ON_STACK 64
/* Bytes of a connection that carry nothing, in excess of its payload, before it is ended. */
#define USELESS_BYTES (1024 * 1024)
#define USELESS_RATIO 8
/*
 * Half of the shortest H3IdleTimeout: a client may say that it is gone after a millisecond, and
 * would be sent a PING each half of it.
 */
#define KEEP_ALIVE_MIN (50 * NGTCP2_MILLISECONDS)
/* GOAWAY goes out twice (RFC 9114 section 5.2); a client is given so many PTOs in between. */
#define GOAWAY_PTOS 3

typedef enum {
    SESSION_OPEN,
    SESSION_NOTICED, /* GOAWAY with the largest id is sent: the end is near */
    SESSION_GOAWAY   /* GOAWAY with the last id is sent: later requests are rejected */
} session_state;

/* Vectors of one offer: a DATA frame's head and a piece or two are usual. */
#define OFFER_VECS 16

/*
 * What nghttp3 has offered to send on one stream. One offer fills many packets of a batch; nghttp3
 * hears at its end, or at the end of the batch, how much of it went.
 */
typedef struct session_offer {
    int64_t stream_id; /* -1: none */
    int fin;
    nghttp3_vec vec[OFFER_VECS];
    size_t first, end; /* what is left of vec */
    size_t taken;      /* bytes that went into packets */
    int touched;       /* some, or an empty FIN, did */
} session_offer;

typedef struct h3_session {
    quic_conn *conn;
    ngtcp2_conn *nc; /* conn's, for short */
    nghttp3_conn *h3;
    h3_stream_env *env;
    const h3_config *conf; /* of the virtual host named in the handshake */
    h3_connrec *connrec;   /* for requests from the present address; NULL: to be made */
    h3_stream *streams;
    h3_stream *orphans; /* closed, still in httpd's hands: they count as streams of the client */
    h3_stream *broken;  /* its file could not be read; met inside of nghttp3 */
    session_offer offer;
    session_state state;
    uint64_t state_since;
    uint64_t idle_since;           /* nanoseconds; as far as h3_session_tick has seen */
    uint64_t bytes_in, payload_in; /* for the ratio of useless bytes */
} h3_session;

static void *session_open(quic_conn *conn);
static int close_with(h3_session *ss, int rv);
static int give_credit(h3_session *ss, int64_t stream_id, uint64_t n);
static void reset_stream(h3_session *ss, int64_t stream_id, uint64_t error);
static void stop_reading(h3_session *ss, h3_stream *s, uint64_t error);
static void submit_head(h3_session *ss, h3_stream *s, h3_head *head, int no_body);
static int submit_response(h3_session *ss, h3_stream *s, const h3_head *head, int no_body);
static void check_end(h3_session *ss, h3_stream *s);
static void session_shutdown(void *app);
static int session_is_drained(void *app);

/* ---- what nghttp3 tells ---- */

static void link_stream(h3_stream **list, h3_stream *s)
{
    s->prev = NULL;
    s->next = *list;
    if (s->next) {
        s->next->prev = s;
    }
    *list = s;
}

static void unlink_stream(h3_stream **list, h3_stream *s)
{
    if (s->next) {
        s->next->prev = s->prev;
    }
    if (s->prev) {
        s->prev->next = s->next;
    }
    else {
        *list = s->next;
    }
    s->next = s->prev = NULL;
}

static int on_begin_headers(nghttp3_conn *h3, int64_t id, void *user, void *stream_user)
{
    h3_session *ss = user;
    h3_stream *s;

    (void)stream_user;
    s = h3_stream_create(ss->env, ss, id, ss->conf->server, (size_t)ss->conf->stream_max_mem,
                         (size_t)ss->conf->window_size / 4, ss->conn->env->now);
    if (!s || nghttp3_conn_set_stream_user_data(h3, id, s) != 0) {
        return NGHTTP3_ERR_CALLBACK_FAILURE;
    }
    ngtcp2_conn_set_stream_user_data(ss->nc, id, s);
    link_stream(&ss->streams, s);
    return 0;
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

static int on_header(nghttp3_conn *h3, int64_t id, int32_t token, nghttp3_rcbuf *name,
                     nghttp3_rcbuf *value, uint8_t flags, void *user, void *stream_user)
{
    h3_session *ss = user;
    h3_stream *s = stream_user;
    nghttp3_vec n = nghttp3_rcbuf_get_buf(name), v = nghttp3_rcbuf_get_buf(value);
    size_t kept;
    int rv;

    (void)h3, (void)id, (void)flags;
    kept = s->field_bytes;
    rv = h3_stream_field(s, pseudo_of(token), (const char *)n.base, n.len, (const char *)v.base,
                         v.len);
    ss->payload_in += s->field_bytes - kept;
    if (rv == -2) {
        ngtcp2_ccerr_set_application_error(&ss->conn->ccerr, NGHTTP3_H3_EXCESSIVE_LOAD, NULL, 0);
    }
    if (token == NGHTTP3_QPACK_TOKEN_CONTENT_LENGTH) {
        /* Digits only: nghttp3 has checked. */
        s->txn.head->content_length = apr_atoi64((const char *)v.base);
    }
    return rv < 0 ? NGHTTP3_ERR_CALLBACK_FAILURE : 0;
}

/* The connection as httpd sees it; made at the first request, and again after a migration. */
static h3_connrec *connrec_of(h3_session *ss)
{
    quic_conn *conn = ss->conn;

    if (!ss->connrec) {
        ss->connrec = h3_connrec_make(&conn->local, conn->listener->tcp_port, &conn->remote,
                                      conn->ssl, conn->id);
    }
    return ss->connrec ? h3_connrec_ref(ss->connrec) : NULL;
}

/*
 * A handler may be silent for longer than the idle timeout: PING then, so that the connection is
 * there for its response (RFC 9000 section 10.1.2). An idle connection is not kept alive by us.
 */
static void keep_alive(h3_session *ss, int on)
{
    uint64_t idle = ngtcp2_conn_get_local_transport_params(ss->nc)->max_idle_timeout;
    const ngtcp2_transport_params *peer = ngtcp2_conn_get_remote_transport_params(ss->nc);

    if (peer && peer->max_idle_timeout && peer->max_idle_timeout < idle) {
        idle = peer->max_idle_timeout;
    }
    idle = idle / 2 > KEEP_ALIVE_MIN ? idle / 2 : KEEP_ALIVE_MIN;
    ngtcp2_conn_set_keep_alive_timeout(ss->nc, on ? idle : UINT64_MAX);
}

static int on_end_headers(nghttp3_conn *h3, int64_t id, int fin, void *user, void *stream_user)
{
    h3_session *ss = user;
    h3_stream *s = stream_user;
    h3_connrec *cr = connrec_of(ss);

    (void)h3, (void)id;
    if (!cr) {
        return NGHTTP3_ERR_CALLBACK_FAILURE;
    }
    h3_stream_run(s, cr, fin);
    keep_alive(ss, 1);
    return 0;
}

static int on_data(nghttp3_conn *h3, int64_t id, const uint8_t *data, size_t len, void *user,
                   void *stream_user)
{
    h3_session *ss = user;
    h3_stream *s = stream_user;

    (void)h3;
    ss->payload_in += len;
    if (s->state != H3_STREAM_RUNNING || s->body_done) {
        return give_credit(ss, id, len); /* nobody will read it */
    }
    return h3_pipe_io_recv(&s->pipe, data, len) < 0 ? NGHTTP3_ERR_CALLBACK_FAILURE : 0;
}

static int on_deferred_consume(nghttp3_conn *h3, int64_t id, size_t len, void *user,
                               void *stream_user)
{
    (void)h3, (void)stream_user;
    return give_credit(user, id, len);
}

/* Only here is the body known to be complete: nghttp3 has compared it with its content-length. */
static int on_end_stream(nghttp3_conn *h3, int64_t id, void *user, void *stream_user)
{
    h3_stream *s = stream_user;

    (void)h3, (void)id, (void)user;
    if (s && s->state == H3_STREAM_RUNNING && !s->body_done) {
        s->body_done = 1;
        h3_pipe_io_recv_eof(&s->pipe);
    }
    return 0;
}

static int on_stop_sending(nghttp3_conn *h3, int64_t id, uint64_t error, void *user,
                           void *stream_user)
{
    h3_session *ss = user;

    (void)h3, (void)stream_user;
    return ngtcp2_conn_shutdown_stream_read(ss->nc, 0, id, error) == 0
               ? 0
               : NGHTTP3_ERR_CALLBACK_FAILURE;
}

static int on_reset_stream(nghttp3_conn *h3, int64_t id, uint64_t error, void *user,
                           void *stream_user)
{
    h3_session *ss = user;

    (void)h3, (void)stream_user;
    QUIC_STATS_ADD(ss->env->stats, streams_reset, 1);
    return ngtcp2_conn_shutdown_stream_write(ss->nc, 0, id, error) == 0
               ? 0
               : NGHTTP3_ERR_CALLBACK_FAILURE;
}

static int on_acked_data(nghttp3_conn *h3, int64_t id, uint64_t len, void *user, void *stream_user)
{
    h3_stream *s = stream_user;

    (void)h3, (void)id, (void)user;
    if (s) {
        h3_stream_acked(s, (size_t)len);
    }
    return 0;
}

/*
 * Another request may come when this one's work is done, not when its stream
 * is closed: so a client that resets what it asked for gains nothing
 * (CVE-2023-44487).
 */
static int on_stream_closed(nghttp3_conn *h3, int64_t id, uint64_t error, void *user,
                            void *stream_user)
{
    h3_session *ss = user;
    h3_stream *s = stream_user;

    (void)h3, (void)error;
    if (!ngtcp2_is_bidi_stream(id)) {
        return 0; /* may come before QUIC has closed it: see session_stream_close */
    }
    if (s) {
        ngtcp2_conn_extend_max_offset(ss->nc, h3_stream_abort(s));
        unlink_stream(&ss->streams, s);
        if (!ss->streams) {
            keep_alive(ss, 0);
        }
        if (!h3_stream_closed(s)) {
            link_stream(&ss->orphans, s);
            return 0; /* credit comes with its last news */
        }
    }
    ngtcp2_conn_extend_max_streams_bidi(ss->nc, 1);
    return 0;
}

static void on_rand(uint8_t *dest, size_t len)
{
    quic_crypto_rand(dest, len);
}

/* ---- begin ---- */

static int bind_streams(h3_session *ss)
{
    int64_t control, encoder, decoder;

    if (ngtcp2_conn_open_uni_stream(ss->nc, &control, NULL) != 0
        || ngtcp2_conn_open_uni_stream(ss->nc, &encoder, NULL) != 0
        || ngtcp2_conn_open_uni_stream(ss->nc, &decoder, NULL) != 0) {
        /* The client grants fewer than three: RFC 9114 section 6.2 */
        ngtcp2_ccerr_set_application_error(&ss->conn->ccerr, NGHTTP3_H3_STREAM_CREATION_ERROR, NULL,
                                           0);
        return -1;
    }
    if (nghttp3_conn_bind_control_stream(ss->h3, control) != 0
        || nghttp3_conn_bind_qpack_streams(ss->h3, encoder, decoder) != 0) {
        return -1;
    }
    return 0;
}

static void fill_settings(nghttp3_settings *st, const server_rec *s)
{
    nghttp3_settings_default(st);
    st->qpack_max_dtable_capacity = QPACK_TABLE;
    st->qpack_encoder_max_dtable_capacity = QPACK_TABLE;
    st->qpack_blocked_streams = QPACK_BLOCKED_STREAMS;
    if (s->limit_req_fields > 0) {
        /* RFC 9114 section 4.2.2 counts 32 bytes for each field. */
        st->max_field_section_size =
            (uint64_t)s->limit_req_line
            + (uint64_t)s->limit_req_fields * ((uint64_t)s->limit_req_fieldsize + 32);
    }
}

static void *session_open(quic_conn *conn)
{
    static const nghttp3_callbacks cb = {
        .acked_stream_data = on_acked_data,
        .stream_close = on_stream_closed,
        .recv_data = on_data,
        .deferred_consume = on_deferred_consume,
        .begin_headers = on_begin_headers,
        .recv_header = on_header,
        .end_headers = on_end_headers,
        .stop_sending = on_stop_sending,
        .end_stream = on_end_stream,
        .reset_stream = on_reset_stream,
        .rand = on_rand,
    };
    const quic_tls_host *host = quic_tls_host_of(conn->ssl);
    h3_session *ss = calloc(1, sizeof(*ss));
    nghttp3_settings st;

    if (!ss || !host) {
        free(ss);
        return NULL;
    }
    ss->conn = conn;
    ss->nc = conn->nc;
    ss->offer.stream_id = -1;
    ss->idle_since = conn->env->now;
    ss->env = conn->env->app_env;
    ss->conf = h3_config_get(quic_tls_host_server(host));
    fill_settings(&st, ss->conf->server);
    if (nghttp3_conn_server_new(&ss->h3, &cb, &st, NULL, ss) != 0) {
        free(ss);
        return NULL;
    }
    nghttp3_conn_set_max_client_streams_bidi(ss->h3, (uint64_t)ss->conf->max_session_streams);
    if (bind_streams(ss) < 0) {
        nghttp3_conn_del(ss->h3);
        free(ss);
        return NULL;
    }
    return ss;
}

static const quic_tls_host *session_find_host(quic_conn *conn, const char *sni)
{
    const quic_tls_host *host = h3_connrec_find_host(&conn->local, conn->listener->tcp_port, sni);
    quic_limits limits;

    if (!host) {
        QUIC_CONN_LOG(conn, APLOG_INFO, "no virtual host with HTTP/3 for %s",
                      sni ? sni : "a client that names none");
        return NULL;
    }
    h3_session_limits(&limits, h3_config_get(quic_tls_host_server(host)));
    quic_conn_set_limits(conn, &limits);
    return host;
}

void h3_session_limits(quic_limits *limits, const h3_config *conf)
{
    limits->window = (uint64_t)conf->window_size;
    limits->conn_window = (uint64_t)conf->conn_window_size;
    limits->streams = (uint64_t)conf->max_session_streams;
    limits->idle = (uint64_t)conf->idle_timeout * 1000;
}

static void session_established(void *app)
{
    h3_session *ss = app;
    quic_tls_info info;
    apr_pool_t *p;

    apr_pool_create(&p, NULL);
    quic_tls_get_info(ss->conn->ssl, &info, p);
    if (info.resumed) {
        QUIC_STATS_ADD(ss->env->stats, resumed, 1);
    }
    QUIC_CONN_LOG(ss->conn, APLOG_DEBUG, "handshake complete: %s, SNI %s%s, virtual host %s",
                  info.cipher, info.sni ? info.sni : "none", info.resumed ? ", resumed" : "",
                  ss->conf->server->server_hostname);
    apr_pool_destroy(p);
}

/* ---- receiving ---- */

/* The error that nghttp3 met, as the connection's reason to close. RFC 9114 section 8 */
static int close_with(h3_session *ss, int rv)
{
    ngtcp2_ccerr *err = &ss->conn->ccerr;

    if (err->type == NGTCP2_CCERR_TYPE_TRANSPORT && err->error_code == NGTCP2_NO_ERROR) {
        ngtcp2_ccerr_set_application_error(err, nghttp3_err_infer_quic_app_error_code(rv), NULL, 0);
    }
    QUIC_CONN_LOG(ss->conn, APLOG_DEBUG, "%s", nghttp3_strerror(rv));
    return -1;
}

static int give_credit(h3_session *ss, int64_t stream_id, uint64_t n)
{
    ngtcp2_conn_extend_max_offset(ss->nc, n);
    return ngtcp2_conn_extend_max_stream_offset(ss->nc, stream_id, n) == 0
               ? 0
               : NGHTTP3_ERR_CALLBACK_FAILURE;
}

/*
 * Empty frames, unknown ones, fields that are dropped: each is cheap and legal,
 * a connection that is made of them is neither. RFC 9114 section 10.5
 */
static int is_useless(h3_session *ss)
{
    return ss->bytes_in / USELESS_RATIO > ss->payload_in + USELESS_BYTES;
}

static int session_recv(void *app, uint32_t flags, int64_t stream_id, const uint8_t *data,
                        size_t len)
{
    h3_session *ss = app;
    nghttp3_ssize n;

    ss->bytes_in += len;
    n = nghttp3_conn_read_stream2(ss->h3, stream_id, data, len,
                                  (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0, ss->conn->env->now);
    if (n < 0) {
        return close_with(ss, (int)n);
    }
    if (is_useless(ss)) {
        ngtcp2_ccerr_set_application_error(&ss->conn->ccerr, NGHTTP3_H3_EXCESSIVE_LOAD, NULL, 0);
        return -1;
    }
    ngtcp2_conn_extend_max_stream_offset(ss->nc, stream_id, (uint64_t)n);
    ngtcp2_conn_extend_max_offset(ss->nc, (uint64_t)n);
    return 0;
}

static h3_stream *find_stream(h3_session *ss, int64_t stream_id)
{
    return ngtcp2_conn_get_stream_user_data(ss->nc, stream_id);
}

/* RESET_STREAM: the request will never be complete, so its response is of no use either. */
static int session_stream_reset(void *app, int64_t stream_id)
{
    h3_session *ss = app;
    h3_stream *s;
    int rv = nghttp3_conn_shutdown_stream_read(ss->h3, stream_id);

    if (rv != 0) {
        return close_with(ss, rv);
    }
    if (!ngtcp2_is_bidi_stream(stream_id)) {
        return 0;
    }
    s = find_stream(ss, stream_id);
    if (s && s->body_done) {
        return 0;
    }
    QUIC_CONN_LOG(ss->conn, APLOG_TRACE1, "stream %" APR_INT64_T_FMT " reset by the client",
                  (apr_int64_t)stream_id);
    if (s) {
        s->body_done = 1;
        ngtcp2_conn_extend_max_offset(ss->nc, h3_stream_abort(s));
    }
    reset_stream(ss, stream_id, NGHTTP3_H3_REQUEST_CANCELLED);
    return 0;
}

/* STOP_SENDING of ours is on its way: QPACK is told too. RFC 9204 section 2.2.2.2 */
static int session_stop_sending(void *app, int64_t stream_id)
{
    h3_session *ss = app;
    int rv = nghttp3_conn_shutdown_stream_read(ss->h3, stream_id);

    return rv == 0 ? 0 : close_with(ss, rv);
}

static int session_stream_close(void *app, uint32_t flags, int64_t stream_id, uint64_t error)
{
    h3_session *ss = app;
    int rv;

    if (!(flags & NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET)) {
        error = NGHTTP3_H3_NO_ERROR;
    }
    rv = nghttp3_conn_close_stream(ss->h3, stream_id, error);
    if (!ngtcp2_is_bidi_stream(stream_id)) {
        ngtcp2_conn_extend_max_streams_uni(ss->nc, 1);
    }
    else if (rv == NGHTTP3_ERR_STREAM_NOT_FOUND) {
        /* Closed before HTTP/3 has seen a byte of it. */
        ngtcp2_conn_extend_max_streams_bidi(ss->nc, 1);
    }
    return rv == 0 || rv == NGHTTP3_ERR_STREAM_NOT_FOUND ? 0 : close_with(ss, rv);
}

/* ---- sending ---- */

static int session_extend(void *app, int64_t stream_id)
{
    h3_session *ss = app;

    return nghttp3_conn_unblock_stream(ss->h3, stream_id) == 0 ? 0 : -1;
}

/*
 * nghttp3 refuses PRIORITY_UPDATE for a stream that the client may not open. RFC 9218 section 7.2
 */
static void session_extend_streams(void *app, uint64_t max)
{
    h3_session *ss = app;

    nghttp3_conn_set_max_client_streams_bidi(ss->h3, max);
}

static int session_acked(void *app, int64_t stream_id, uint64_t len)
{
    h3_session *ss = app;
    h3_stream *s;

    if (nghttp3_conn_add_ack_offset(ss->h3, stream_id, len) != 0) {
        return -1;
    }
    s = find_stream(ss, stream_id);
    if (s) {
        s->waits_since = ss->conn->env->now;
    }
    /* A file that waited for room in the pipe goes on. */
    if (s && s->out_first && s->head_sent) {
        nghttp3_conn_resume_stream(ss->h3, stream_id);
    }
    return 0;
}

static nghttp3_ssize read_body(nghttp3_conn *h3, int64_t id, nghttp3_vec *vec, size_t cnt,
                               uint32_t *flags, void *user, void *stream_user)
{
    h3_session *ss = user;
    h3_stream *s = stream_user;
    struct iovec iov[8];
    int i, n, eof;

    (void)h3, (void)id;
    n = h3_stream_read(s, iov, cnt < 8 ? (int)cnt : 8, &eof);
    if (n < 0) {
        if (s->out_error) {
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

/*
 * The client has sent STOP_SENDING, and ngtcp2 has answered with RESET_STREAM (RFC 9000 section
 * 3.5). Who has more to send hears of it here, others when the stream is closed.
 */
static void response_unwanted(h3_session *ss, int64_t stream_id)
{
    h3_stream *s = find_stream(ss, stream_id);

    nghttp3_conn_shutdown_stream_write(ss->h3, stream_id);
    QUIC_STATS_ADD(ss->env->stats, streams_reset, 1);
    if (s) {
        stop_reading(ss, s, NGHTTP3_H3_NO_ERROR);
        ngtcp2_conn_extend_max_offset(ss->nc, h3_stream_abort(s));
    }
}

/* nghttp3 is told what of the offer has gone into packets. */
static void settle_offer(h3_session *ss)
{
    session_offer *o = &ss->offer;

    if (o->stream_id >= 0 && o->touched) {
        nghttp3_conn_add_write_offset(ss->h3, o->stream_id, o->taken);
    }
    o->stream_id = -1;
    o->first = o->end = 0;
    o->taken = 0;
    o->touched = 0;
}

/* What nghttp3 wants to send next, if the last offer is used up. 0, or -1 with ccerr set. */
static int next_offer(h3_session *ss)
{
    session_offer *o = &ss->offer;
    nghttp3_ssize n;

    if (o->first < o->end) {
        return 0;
    }
    settle_offer(ss);
    if (!ngtcp2_conn_get_max_data_left(ss->nc)) {
        return 0;
    }
    o->fin = 0;
    n = nghttp3_conn_writev_stream(ss->h3, &o->stream_id, &o->fin, o->vec, OFFER_VECS);
    if (n < 0) {
        return close_with(ss, (int)n);
    }
    o->end = (size_t)n;
    if (ss->broken) {
        check_end(ss, ss->broken);
        ss->broken = NULL;
    }
    return 0;
}

static void take_of_offer(h3_session *ss, size_t len)
{
    session_offer *o = &ss->offer;

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

static ngtcp2_ssize session_write_pkt(void *app, ngtcp2_path *path, ngtcp2_pkt_info *pi,
                                      uint8_t *dest, size_t destlen, ngtcp2_tstamp ts)
{
    h3_session *ss = app;
    session_offer *o = &ss->offer;
    ngtcp2_ssize n, taken;
    int64_t stream_id;
    uint32_t flags;

    for (;;) {
        if (next_offer(ss) < 0) {
            return NGTCP2_ERR_CALLBACK_FAILURE;
        }
        flags = NGTCP2_WRITE_STREAM_FLAG_MORE | NGTCP2_WRITE_STREAM_FLAG_PADDING;
        if (o->stream_id >= 0 && o->fin) {
            flags |= NGTCP2_WRITE_STREAM_FLAG_FIN;
        }
        n = ngtcp2_conn_writev_stream(ss->nc, path, pi, dest, destlen, &taken, flags, o->stream_id,
                                      (const ngtcp2_vec *)o->vec + o->first, o->end - o->first, ts);
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

static void session_written(void *app)
{
    settle_offer(app);
}

/* ---- news from the workers ---- */

static void reset_stream(h3_session *ss, int64_t stream_id, uint64_t error)
{
    QUIC_STATS_ADD(ss->env->stats, streams_reset, 1);
    nghttp3_conn_shutdown_stream_write(ss->h3, stream_id);
    ngtcp2_conn_shutdown_stream_write(ss->nc, 0, stream_id, error);
}

/* STOP_SENDING for what is left of a request body. RFC 9114 section 4.1 */
static void stop_reading(h3_session *ss, h3_stream *s, uint64_t error)
{
    if (!s->body_done) {
        s->body_done = 1;
        nghttp3_conn_shutdown_stream_read(ss->h3, s->id);
        ngtcp2_conn_shutdown_stream_read(ss->nc, 0, s->id, error);
    }
}

static void submit_head(h3_session *ss, h3_stream *s, h3_head *head, int no_body)
{
    if (s->head_sent || submit_response(ss, s, head, no_body) != 0) {
        /* Two final heads, or no memory: nothing that a client could make sense of. */
        s->out_end = 1;
        s->out_error = NGHTTP3_H3_INTERNAL_ERROR;
    }
}

static int submit_response(h3_session *ss, h3_stream *s, const h3_head *head, int no_body)
{
    static const nghttp3_data_reader reader = { read_body };
    nghttp3_nv stack[FIELDS_ON_STACK + 1], *nva = stack;
    char status[4];
    size_t i;
    int rv;

    if (head->nfields > FIELDS_ON_STACK) {
        nva = malloc((head->nfields + 1) * sizeof(*nva));
        if (!nva) {
            return -1;
        }
    }
    apr_snprintf(status, sizeof(status), "%03d", head->status);
    nva[0].name = (const uint8_t *)":status";
    nva[0].namelen = sizeof(":status") - 1;
    nva[0].value = (const uint8_t *)status;
    nva[0].valuelen = 3;
    nva[0].flags = NGHTTP3_NV_FLAG_NONE;
    for (i = 0; i < head->nfields; i++) {
        const h3_field *f = &head->fields[i];

        nva[i + 1].name = (const uint8_t *)h3_field_name(head, f);
        nva[i + 1].namelen = f->name_len;
        nva[i + 1].value = (const uint8_t *)h3_field_value(head, f);
        nva[i + 1].valuelen = f->value_len;
        nva[i + 1].flags = f->sensitive ? NGHTTP3_NV_FLAG_NEVER_INDEX : NGHTTP3_NV_FLAG_NONE;
    }
    if (head->status < 200) {
        rv = nghttp3_conn_submit_info(ss->h3, s->id, nva, head->nfields + 1);
    }
    else {
        s->head_sent = 1;
        rv = nghttp3_conn_submit_response(ss->h3, s->id, nva, head->nfields + 1,
                                          no_body ? NULL : &reader);
    }
    if (nva != stack) {
        free(nva);
    }
    return rv;
}

/*
 * httpd is done with the response before it has said how it begins, or has said that it is broken.
 */
static void check_end(h3_session *ss, h3_stream *s)
{
    if (s->out_end && !s->head_sent && !s->out_error) {
        s->out_error = NGHTTP3_H3_INTERNAL_ERROR;
    }
    if (s->out_error) {
        QUIC_CONN_LOG(ss->conn, APLOG_DEBUG,
                      "stream %" APR_INT64_T_FMT " reset with 0x%" APR_UINT64_T_HEX_FMT,
                      (apr_int64_t)s->id, (apr_uint64_t)s->out_error);
        stop_reading(ss, s, NGHTTP3_H3_NO_ERROR);
        reset_stream(ss, s->id, s->out_error);
        ngtcp2_conn_extend_max_offset(ss->nc, h3_stream_abort(s));
        s->out_error = 0;
        s->head_sent = 1;
    }
}

static void stream_news(h3_session *ss, h3_stream *s)
{
    h3_pipe_news news;
    h3_pipe_head *head;

    h3_stream_take(s, &news);
    if (news.consumed) {
        give_credit(ss, s->id, news.consumed);
    }
    while ((head = news.heads)) {
        news.heads = head->next;
        submit_head(ss, s, head->head, s->out_end && !s->out_error && !s->out_first);
        h3_head_destroy(head->head);
        free(head);
    }
    check_end(ss, s);
    if (s->head_sent) {
        nghttp3_conn_resume_stream(ss->h3, s->id);
    }
    if (news.left) {
        s->waits_since = ss->conn->env->now;
        /* The handler did not want the rest of the body. */
        stop_reading(ss, s, NGHTTP3_H3_NO_ERROR);
        ngtcp2_conn_extend_max_offset(ss->nc, h3_pipe_io_abort(&s->pipe));
    }
    quic_conn_wants_write(ss->conn);
}

static void orphan_news(h3_session *ss, h3_stream *s)
{
    if (ss) {
        unlink_stream(&ss->orphans, s);
    }
    if (!h3_stream_left(s)) {
        if (ss) {
            link_stream(&ss->orphans, s);
        }
    }
    else if (ss) {
        ngtcp2_conn_extend_max_streams_bidi(ss->nc, 1);
        quic_conn_wants_write(ss->conn);
    }
}

void h3_session_news(h3_stream_env *env)
{
    h3_pipe *p = h3_bell_take(&env->bell), *next;
    h3_session *ss;
    h3_stream *s;

    for (; p; p = next) {
        next = p->taken_next;
        s = p->owner;
        ss = s->session;
        if (s->state != H3_STREAM_ORPHAN) {
            stream_news(ss, s);
        }
        else {
            orphan_news(ss, s);
        }
    }
}

/* ---- the end ---- */

/* httpd's Timeout, in nanoseconds. */
static uint64_t patience(const h3_session *ss)
{
    return (uint64_t)ss->conf->server->timeout * 1000;
}

/* The client has let Timeout pass without the whole of its head, or a byte of our answer taken. */
static void give_up(h3_session *ss, h3_stream *s, uint64_t error)
{
    QUIC_CONN_LOG(ss->conn, APLOG_INFO, "stream %" APR_INT64_T_FMT ": timeout", (apr_int64_t)s->id);
    s->given_up = 1;
    stop_reading(ss, s, error);
    reset_stream(ss, s->id, error);
    ngtcp2_conn_extend_max_offset(ss->nc, h3_stream_abort(s));
    quic_conn_wants_write(ss->conn);
}

/* A client that was given up may keep its stream open for ever, by not ending its own side. */
static int has_requests(const h3_session *ss)
{
    const h3_stream *s;

    for (s = ss->streams; s && s->given_up; s = s->next) {}
    return s || ss->orphans;
}

/*
 * PINGs keep QUIC's idle timeout off; a connection without requests is ended all the same, as
 * one of HTTP/2 is (RFC 9114 section 5.2).
 */
static void end_if_idle(h3_session *ss)
{
    uint64_t idle = (uint64_t)ss->conf->idle_timeout * 1000;

    if (has_requests(ss)) {
        ss->idle_since = ss->conn->env->now;
    }
    else if (ss->conn->state == QUIC_CONN_OPEN && ss->idle_since + idle < ss->conn->env->now) {
        session_shutdown(ss);
        if (session_is_drained(ss)) {
            quic_conn_close(ss->conn);
        }
    }
}

void h3_session_tick(quic_conn *conn)
{
    h3_session *ss = conn->app;
    h3_stream *s;

    if (!ss || !conn->nc) {
        return;
    }
    for (s = ss->streams; s; s = s->next) {
        if (s->given_up || s->waits_since + patience(ss) >= conn->env->now) {
            continue;
        }
        if (s->state == H3_STREAM_HEAD) {
            give_up(ss, s, NGHTTP3_H3_REQUEST_INCOMPLETE);
        }
        else if (s->state == H3_STREAM_SENDING) {
            give_up(ss, s, NGHTTP3_H3_REQUEST_CANCELLED);
        }
    }
    end_if_idle(ss);
}

static void session_migrated(void *app)
{
    h3_session *ss = app;

    if (ss->connrec) {
        h3_connrec_unref(ss->connrec);
        ss->connrec = NULL;
    }
}

static void session_shutdown(void *app)
{
    h3_session *ss = app;

    if (ss->state == SESSION_OPEN) {
        nghttp3_conn_submit_shutdown_notice(ss->h3);
        ss->state = SESSION_NOTICED;
        ss->state_since = ss->conn->env->now;
        quic_conn_wants_write(ss->conn);
    }
}

/*
 * Requests that the client sent before it saw the first GOAWAY are still served. RFC 9114 section
 * 5.2. A stream on which no head has begun may become one, for as long as a head may take.
 */
static int session_is_drained(void *app)
{
    h3_session *ss = app;
    uint64_t waited = ss->conn->env->now - ss->state_since;
    uint64_t grace = GOAWAY_PTOS * ngtcp2_conn_get_pto(ss->nc);

    if (ss->state == SESSION_NOTICED && waited >= grace) {
        nghttp3_conn_shutdown(ss->h3);
        ss->state = SESSION_GOAWAY;
        ss->state_since = ss->conn->env->now;
        quic_conn_wants_write(ss->conn);
        return 0;
    }
    return ss->state == SESSION_GOAWAY && !has_requests(ss)
           && waited >= (nghttp3_conn_is_drained(ss->h3) ? grace : patience(ss));
}

static void session_close(void *app)
{
    h3_session *ss = app;
    h3_stream *s;

    while ((s = ss->streams)) {
        unlink_stream(&ss->streams, s);
        s->session = NULL;
        h3_stream_closed(s);
    }
    for (s = ss->orphans; s; s = s->next) {
        s->session = NULL;
    }
    nghttp3_conn_del(ss->h3);
    session_migrated(ss);
    free(ss);
}

const quic_app_ops h3_session_ops = {
    .find_host = session_find_host,
    .open = session_open,
    .established = session_established,
    .recv_stream_data = session_recv,
    .acked = session_acked,
    .stream_reset = session_stream_reset,
    .stream_stop_sending = session_stop_sending,
    .stream_close = session_stream_close,
    .extend_max_stream_data = session_extend,
    .extend_max_streams = session_extend_streams,
    .write_pkt = session_write_pkt,
    .written = session_written,
    .migrated = session_migrated,
    .shutdown = session_shutdown,
    .is_drained = session_is_drained,
    .close = session_close,
    .no_error = NGHTTP3_H3_NO_ERROR,
};
