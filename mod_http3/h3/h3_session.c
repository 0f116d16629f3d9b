/* SPDX-License-Identifier: Apache-2.0 */
#include "h3/h3_session.h"

#include <stdlib.h>
#include "conf/h3_vhost.h"
#include "h3/h3_recv.h"
#include "h3/h3_send.h"
#include "tls/quic_keys.h"

/* QPACK's dynamic tables, both ways; what RFC 9204 leaves to the implementation. */
#define QPACK_TABLE 4096
#define QPACK_BLOCKED_STREAMS 100
/* GOAWAY goes out twice (RFC 9114 section 5.2); a client is given so many PTOs in between. */
#define GOAWAY_PTOS 3
/* A client that has just finished its handshake is about to ask: until then it hears of no end. */
#define FIRST_REQUEST NGTCP2_SECONDS

static quic_cc session_choose_cc(const quic_conn *conn);
static const quic_tls_host *session_find_host(quic_conn *conn, const char *sni);
static void *session_open(void *app_env, quic_conn *conn);
static int bind_streams(h3_session *ss);
static void fill_settings(nghttp3_settings *st, const server_rec *s);
static void session_handshake_done(void *app);
static int session_stopped_reading(void *app, int64_t stream_id);
static void session_granted_streams(void *app, uint64_t max);
static int session_stream_closed(void *app, uint32_t flags, int64_t stream_id, uint64_t error);
static int http3_closed_stream(nghttp3_conn *h3, int64_t id, uint64_t error, void *user,
                               void *stream_user);
static void http3_wants_random(uint8_t *dest, size_t len);
static void stream_news(h3_session *ss, h3_stream *s);
static void orphan_news(h3_session *ss, h3_stream *s);
static void session_client_migrated(void *app);
static void session_tick(void *app);
static void go_on_reading(h3_session *ss, h3_stream *s);
static void check_patience(h3_session *ss, h3_stream *s);
static void end_if_idle(h3_session *ss);
static void announce_end(h3_session *ss);
static void session_shutdown(void *app);
static int session_is_drained(void *app);
static void session_close(void *app);
static void free_session(h3_session *ss);

/* ---- begin ---- */

/* The library takes it when the connection is made, before the client has named a virtual host. */
static quic_cc session_choose_cc(const quic_conn *conn)
{
    return h3_config_get(h3_vhost_default(&conn->path.local, conn->path.listener->tcp_port))->cc;
}

static const quic_tls_host *session_find_host(quic_conn *conn, const char *sni)
{
    const quic_tls_host *host =
        h3_vhost_find(&conn->path.local, conn->path.listener->tcp_port, sni);
    quic_limits limits;

    if (!host) {
        QUIC_LOG(&conn->log, APLOG_INFO, 0, "no virtual host with HTTP/3 for %s",
                 sni ? sni : "a client that names none");
        return NULL;
    }
    h3_session_limits(&limits, h3_config_get(quic_tls_host_server(host)));
    return quic_conn_set_limits(conn, &limits) == 0 ? host : NULL;
}

void h3_session_limits(quic_limits *limits, const h3_config *conf)
{
    h3_share_limits(limits, conf);
    limits->streams = (uint64_t)conf->max_session_streams;
    limits->idle = (uint64_t)conf->idle_timeout * 1000;
}

static void *session_open(void *app_env, quic_conn *conn)
{
    const quic_tls_host *host = quic_tls_host_of(conn->ssl);
    h3_session *ss = calloc(1, sizeof(*ss));
    nghttp3_callbacks cb = { .stream_close = http3_closed_stream, .rand = http3_wants_random };
    nghttp3_settings st;

    if (!ss || !host) {
        free(ss);
        ngtcp2_ccerr_set_application_error(&conn->ccerr, H3_INTERNAL_ERROR, NULL, 0);
        return NULL;
    }
    ss->conn = conn;
    ss->nc = conn->nc;
    ss->offer.stream_id = -1;
    ss->idle_since = ss->state_since = h3_seam_now(ss);
    ss->env = app_env;
    ss->conf = h3_config_get(quic_tls_host_server(host));
    h3_share_open(&ss->share, ss->conf, conn, &ss->env->windows_budget);
    h3_recv_callbacks(&cb);
    h3_send_callbacks(&cb);
    fill_settings(&st, ss->conf->server);
    if (h3_seam_check_http3(ss, nghttp3_conn_server_new(&ss->h3, &cb, &st, NULL, ss)) < 0
        || bind_streams(ss) < 0) {
        free_session(ss);
        return NULL;
    }
    nghttp3_conn_set_max_client_streams_bidi(ss->h3, (uint64_t)ss->conf->max_session_streams);
    return ss;
}

/* 0, or -1: the session has failed. */
static int bind_streams(h3_session *ss)
{
    int64_t control, encoder, decoder;

    if (ngtcp2_conn_open_uni_stream(ss->nc, &control, NULL) != 0
        || ngtcp2_conn_open_uni_stream(ss->nc, &encoder, NULL) != 0
        || ngtcp2_conn_open_uni_stream(ss->nc, &decoder, NULL) != 0) {
        /* RFC 9114 section 6.2 */
        h3_seam_fail(ss, H3_STREAM_CREATION_ERROR, "the client grants fewer than three streams");
    }
    else if (h3_seam_check_http3(ss, nghttp3_conn_bind_control_stream(ss->h3, control)) == 0) {
        h3_seam_check_http3(ss, nghttp3_conn_bind_qpack_streams(ss->h3, encoder, decoder));
    }
    return h3_seam_result(ss);
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

static void http3_wants_random(uint8_t *dest, size_t len)
{
    quic_keys_rand(dest, len);
}

static void session_handshake_done(void *app)
{
    h3_session *ss = app;
    quic_tls_info info;
    apr_pool_t *p;

    ss->state_since = h3_seam_now(ss);
    if (apr_pool_create(&p, NULL) != APR_SUCCESS) {
        return;
    }
    quic_tls_get_info(ss->conn->ssl, &info, p);
    QUIC_LOG(&ss->conn->log, APLOG_DEBUG, 0,
             "handshake complete: %s, SNI %s%s, virtual host %s, congestion control %s",
             info.cipher, info.sni ? info.sni : "none", info.resumed ? ", resumed" : "",
             ss->conf->server->server_hostname, quic_cc_name(ss->conn->cc));
    apr_pool_destroy(p);
}

/* ---- streams end ---- */

/* STOP_SENDING of ours is on its way: QPACK is told too. RFC 9204 section 2.2.2.2 */
static int session_stopped_reading(void *app, int64_t stream_id)
{
    h3_session *ss = app;

    h3_seam_check_http3(ss, nghttp3_conn_shutdown_stream_read(ss->h3, stream_id));
    return h3_seam_result(ss);
}

/*
 * nghttp3 refuses PRIORITY_UPDATE for a stream that the client may not open. RFC 9218 section 7.2
 */
static void session_granted_streams(void *app, uint64_t max)
{
    h3_session *ss = app;

    nghttp3_conn_set_max_client_streams_bidi(ss->h3, max);
}

static int session_stream_closed(void *app, uint32_t flags, int64_t stream_id, uint64_t error)
{
    h3_session *ss = app;
    int rv;

    if (!(flags & NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET)) {
        error = H3_NO_ERROR;
    }
    rv = nghttp3_conn_close_stream(ss->h3, stream_id, error);
    if (!ngtcp2_is_bidi_stream(stream_id)) {
        ngtcp2_conn_extend_max_streams_uni(ss->nc, 1);
    }
    else if (rv == NGHTTP3_ERR_STREAM_NOT_FOUND) {
        h3_seam_stream_credit(ss); /* closed before HTTP/3 has seen a byte of it */
    }
    if (rv != NGHTTP3_ERR_STREAM_NOT_FOUND) {
        h3_seam_check_http3(ss, rv);
    }
    return h3_seam_result(ss);
}

/*
 * Another request may come when this one's work is done, not when its stream is closed: so a client
 * that resets what it has asked for gains nothing (CVE-2023-44487).
 */
static int http3_closed_stream(nghttp3_conn *h3, int64_t id, uint64_t error, void *user,
                               void *stream_user)
{
    h3_session *ss = user;
    h3_stream *s = stream_user;

    (void)h3, (void)error;
    if (!ngtcp2_is_bidi_stream(id)) {
        return 0; /* may come before QUIC has closed it: see session_stream_closed */
    }
    H3_SEAM_LOG(ss, id, APLOG_TRACE2, 0, "closed");
    h3_rest_end(&ss->rests, id);
    if (s) {
        h3_seam_abort(ss, s);
        h3_seam_forget(ss, s);
        if (!h3_stream_closed(s)) {
            h3_stream_link(&ss->orphans, s);
            return 0; /* credit comes with its last news */
        }
    }
    h3_seam_stream_credit(ss);
    return 0;
}

/* ---- news from the workers ---- */

void h3_session_news(h3_stream_env *env)
{
    h3_bell_entry *e = h3_bell_take(&env->bell), *next;
    h3_stream *s;

    for (; e; e = next) {
        next = e->taken_next;
        s = h3_stream_of(e);
        if (h3_stream_is_orphan(s)) {
            orphan_news(h3_stream_session(s), s);
        }
        else {
            stream_news(h3_stream_session(s), s);
        }
    }
}

static void stream_news(h3_session *ss, h3_stream *s)
{
    h3_pipe_news news;
    h3_pipe_head *head;
    int64_t id = h3_stream_id(s);

    h3_stream_take(s, &news);
    if (ss->failed) {
        h3_pipe_io_drop(&news); /* the connection is about to be closed */
        return;
    }
    if (news.consumed) {
        h3_seam_credit(ss, id, news.consumed);
    }
    while ((head = news.heads)) {
        news.heads = head->next;
        h3_send_head(ss, s, head->head, news.end && !news.error && !h3_stream_has_more(s));
        h3_head_destroy(head->head);
        free(head);
    }
    if (news.end) {
        h3_stream_end_response(s, news.error);
    }
    h3_send_reset_if_broken(ss, s);
    if (h3_stream_is_open(s)) {
        h3_seam_check_http3(ss, nghttp3_conn_resume_stream(ss->h3, id));
    }
    if (news.left) {
        h3_stream_step(s, h3_seam_now(ss));
        h3_seam_credit(ss, id, h3_stream_left(s));
        h3_share_adjust(&ss->share, s);
        h3_seam_begin_rest(ss, s);
        h3_seam_let_go_if_answered(ss, s);
    }
    h3_seam_wants_write(ss);
}

/* `ss` is NULL when the connection is gone, too. */
static void orphan_news(h3_session *ss, h3_stream *s)
{
    if (ss) {
        h3_stream_unlink(&ss->orphans, s);
    }
    if (!h3_stream_orphan_take(s)) {
        if (ss) {
            h3_stream_link(&ss->orphans, s);
        }
    }
    else if (ss) {
        h3_seam_stream_credit(ss);
        h3_seam_wants_write(ss);
    }
}

static void session_client_migrated(void *app)
{
    h3_session *ss = app;

    if (ss->connrec) {
        h3_connrec_unref(ss->connrec);
        ss->connrec = NULL;
    }
}

/* ---- once a second ---- */

/*
 * Resets requests whose client has let Timeout pass, ends a connection that has been without any
 * for H3IdleTimeout.
 */
static void session_tick(void *app)
{
    h3_session *ss = app;
    h3_rest *rest;
    h3_stream *s;

    if (ss->failed) {
        return;
    }
    for (rest = ss->rests.first; rest; rest = rest->next) {
        if (rest->until < h3_seam_now(ss)) {
            h3_seam_stop_rest(ss, rest, H3_NO_ERROR);
        }
    }
    for (s = ss->streams; s; s = h3_stream_next(s)) {
        h3_recv_end_wait(ss, s);
        go_on_reading(ss, s);
        check_patience(ss, s);
    }
    end_if_idle(ss);
}

/* A file whose bytes found no room in the child's budget: nobody else tells when there is some. */
static void go_on_reading(h3_session *ss, h3_stream *s)
{
    if (h3_stream_is_open(s) && h3_stream_has_more(s)) {
        h3_seam_check_http3(ss, nghttp3_conn_resume_stream(ss->h3, h3_stream_id(s)));
        h3_seam_wants_write(ss);
    }
}

/* The client may let Timeout pass neither inside its head nor with our answer. */
static void check_patience(h3_session *ss, h3_stream *s)
{
    if (h3_stream_is_given_up(s) || h3_stream_waited(s, h3_seam_now(ss)) <= h3_seam_patience(ss)) {
        return;
    }
    if (h3_stream_is_in_head(s)) {
        h3_seam_give_up(ss, s, H3_REQUEST_INCOMPLETE, "timeout");
    }
    else if (h3_stream_is_left(s)) {
        h3_seam_give_up(ss, s, H3_REQUEST_CANCELLED, "timeout");
    }
}

/*
 * A client that was given up, or told to stop, may keep its stream open for ever, by not ending
 * its own side.
 */
static int has_requests(const h3_session *ss)
{
    const h3_stream *s;

    for (s = ss->streams; s && h3_stream_is_given_up(s); s = h3_stream_next(s)) {}
    return s || ss->orphans || h3_rest_is_expected(&ss->rests);
}

/*
 * PINGs keep QUIC's idle timeout off; a connection without requests is ended all the same, as
 * one of HTTP/2 is (RFC 9114 section 5.2).
 */
static void end_if_idle(h3_session *ss)
{
    uint64_t idle = (uint64_t)ss->conf->idle_timeout * 1000;

    if (has_requests(ss)) {
        ss->idle_since = h3_seam_now(ss);
    }
    else if (ss->conn->state == QUIC_CONN_OPEN && ss->idle_since + idle < h3_seam_now(ss)) {
        announce_end(ss);
        if (session_is_drained(ss)) {
            quic_conn_close(ss->conn);
        }
    }
}

/* ---- the end ---- */

static void announce_end(h3_session *ss)
{
    if (ss->state < H3_SEAM_NOTICED) {
        h3_seam_check_http3(ss, nghttp3_conn_submit_shutdown_notice(ss->h3));
        h3_seam_enter(ss, H3_SEAM_NOTICED);
        h3_seam_wants_write(ss);
    }
}

static uint64_t goaway_grace(const h3_session *ss)
{
    return GOAWAY_PTOS * ngtcp2_conn_get_pto(ss->nc);
}

/*
 * Some clients (all that use nghttp3) send no request after even the first GOAWAY: on a connection
 * that is brand-new that is not one request fewer, but a failure.
 */
static void session_shutdown(void *app)
{
    h3_session *ss = app;
    uint64_t waited = h3_seam_now(ss) - ss->state_since;

    if (ss->state != H3_SEAM_NEW || (waited >= FIRST_REQUEST && waited >= goaway_grace(ss))) {
        announce_end(ss);
    }
}

/*
 * Requests that the client sent before it saw the first GOAWAY are still served. RFC 9114 section
 * 5.2. A stream on which no head has begun may become one, for as long as a head may take.
 */
static int session_is_drained(void *app)
{
    h3_session *ss = app;
    uint64_t waited = h3_seam_now(ss) - ss->state_since;
    uint64_t grace = goaway_grace(ss);

    if (ss->state == H3_SEAM_NOTICED && waited >= grace) {
        h3_seam_check_http3(ss, nghttp3_conn_shutdown(ss->h3));
        h3_seam_enter(ss, H3_SEAM_GOAWAY);
        h3_seam_wants_write(ss);
        return 0;
    }
    return ss->state == H3_SEAM_GOAWAY && !has_requests(ss)
           && waited >= (nghttp3_conn_is_drained(ss->h3) ? grace : h3_seam_patience(ss));
}

static void session_close(void *app)
{
    h3_session *ss = app;
    h3_stream *s;

    while ((s = ss->streams)) {
        h3_stream_unlink(&ss->streams, s);
        h3_stream_lose_session(s);
        h3_stream_closed(s);
    }
    for (s = ss->orphans; s; s = h3_stream_next(s)) {
        h3_stream_lose_session(s);
    }
    session_client_migrated(ss);
    free_session(ss);
}

static void free_session(h3_session *ss)
{
    h3_share_close(&ss->share);
    h3_rest_clear(&ss->rests);
    nghttp3_conn_del(ss->h3);
    free(ss);
}

const quic_app_ops h3_session_ops = {
    .choose_cc = session_choose_cc,
    .find_host = session_find_host,
    .open = session_open,
    .write_pkt = h3_send_packet,
    .tick = session_tick,
    .shutdown = session_shutdown,
    .is_drained = session_is_drained,
    .close = session_close,
    .client_sent = h3_recv_client_sent,
    .client_acked = h3_send_client_acked,
    .client_reset = h3_recv_client_reset,
    .client_extended = h3_send_client_extended,
    .client_migrated = session_client_migrated,
    .handshake_done = session_handshake_done,
    .stopped_reading = session_stopped_reading,
    .stream_closed = session_stream_closed,
    .granted_streams = session_granted_streams,
    .batch_written = h3_send_batch_written,
    .no_error = H3_NO_ERROR,
};
