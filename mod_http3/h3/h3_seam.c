/* SPDX-License-Identifier: Apache-2.0 */
#include "h3/h3_seam.h"

#define SAME_ERROR(name) \
    _Static_assert(H3_##name == NGHTTP3_H3_##name, "border/h3_error.h must agree with nghttp3")
SAME_ERROR(NO_ERROR);
SAME_ERROR(INTERNAL_ERROR);
SAME_ERROR(STREAM_CREATION_ERROR);
SAME_ERROR(EXCESSIVE_LOAD);
SAME_ERROR(REQUEST_REJECTED);
SAME_ERROR(REQUEST_CANCELLED);
SAME_ERROR(REQUEST_INCOMPLETE);

/*
 * Half of the shortest H3IdleTimeout: a client may say that it is gone after a millisecond, and
 * would be sent a PING each half of it.
 */
#define KEEP_ALIVE_MIN (50 * NGTCP2_MILLISECONDS)

/* ---- the session ---- */

uint64_t h3_seam_now(const h3_session *ss)
{
    return quic_conn_now(ss->conn);
}

uint64_t h3_seam_patience(const h3_session *ss)
{
    return (uint64_t)ss->conf->server->timeout * 1000;
}

void h3_seam_enter(h3_session *ss, h3_seam_state state)
{
    ap_assert(state > ss->state); /* states only go forward */
    ss->state = state;
    ss->state_since = h3_seam_now(ss);
}

void h3_seam_fail(h3_session *ss, uint64_t error, const char *why)
{
    if (ss->failed) {
        return;
    }
    ss->failed = 1;
    ngtcp2_ccerr_set_application_error(&ss->conn->ccerr, error, NULL, 0);
    QUIC_LOG(&ss->conn->log, APLOG_DEBUG, 0, "%s", why);
    h3_seam_wants_write(ss);
}

int h3_seam_check_http3(h3_session *ss, nghttp3_ssize rv)
{
    if (rv < 0) {
        h3_seam_fail(ss, nghttp3_err_infer_quic_app_error_code((int)rv), nghttp3_strerror((int)rv));
        return -1;
    }
    return 0;
}

/* Of what is asked of ngtcp2 here nothing fails but for memory, or by a mistake of ours. */
int h3_seam_check_quic(h3_session *ss, ngtcp2_ssize rv)
{
    if (rv < 0) {
        h3_seam_fail(ss, H3_INTERNAL_ERROR, ngtcp2_strerror((int)rv));
        return -1;
    }
    return 0;
}

int h3_seam_result(const h3_session *ss)
{
    return ss->failed ? -1 : 0;
}

int h3_seam_http3_result(const h3_session *ss)
{
    return ss->failed ? NGHTTP3_ERR_CALLBACK_FAILURE : 0;
}

void h3_seam_wants_write(h3_session *ss)
{
    quic_conn_wants_write(ss->conn);
}

void h3_seam_keep_alive(h3_session *ss, int on)
{
    uint64_t idle = ngtcp2_conn_get_local_transport_params(ss->nc)->max_idle_timeout;
    const ngtcp2_transport_params *peer = ngtcp2_conn_get_remote_transport_params(ss->nc);

    if (peer && peer->max_idle_timeout && peer->max_idle_timeout < idle) {
        idle = peer->max_idle_timeout;
    }
    idle = idle / 2 > KEEP_ALIVE_MIN ? idle / 2 : KEEP_ALIVE_MIN;
    ngtcp2_conn_set_keep_alive_timeout(ss->nc, on ? idle : UINT64_MAX);
}

/* ---- its streams ---- */

h3_stream *h3_seam_stream(const h3_session *ss, int64_t stream_id)
{
    return ngtcp2_conn_get_stream_user_data(ss->nc, stream_id);
}

void h3_seam_forget(h3_session *ss, h3_stream *s)
{
    h3_share_end(&ss->share, s);
    h3_stream_unlink(&ss->streams, s);
    if (!ss->streams) {
        h3_seam_keep_alive(ss, 0);
    }
}

/* ---- flow control ---- */

void h3_seam_credit(h3_session *ss, int64_t stream_id, uint64_t n)
{
    if (n) {
        H3_SEAM_LOG(ss, stream_id, APLOG_TRACE2, 0, "credit for %" APR_UINT64_T_FMT " bytes",
                    (apr_uint64_t)n);
    }
    h3_seam_conn_credit(ss, n);
    h3_seam_check_quic(ss, ngtcp2_conn_extend_max_stream_offset(ss->nc, stream_id, n));
    h3_seam_check_quic(ss, h3_share_credit(&ss->share, h3_seam_stream(ss, stream_id), n));
}

void h3_seam_conn_credit(h3_session *ss, uint64_t n)
{
    ngtcp2_conn_extend_max_offset(ss->nc, n);
}

void h3_seam_stream_credit(h3_session *ss)
{
    ngtcp2_conn_extend_max_streams_bidi(ss->nc, 1);
}

/* ---- breaking off ---- */

void h3_seam_reset(h3_session *ss, int64_t stream_id, uint64_t error)
{
    H3_SEAM_LOG(ss, stream_id, APLOG_TRACE2, 0, "RESET_STREAM with 0x%" APR_UINT64_T_HEX_FMT,
                (apr_uint64_t)error);
    H3_STATS_ADD(ss->env->stats, streams_reset, 1);
    nghttp3_conn_shutdown_stream_write(ss->h3, stream_id);
    h3_seam_check_quic(ss, ngtcp2_conn_shutdown_stream_write(ss->nc, 0, stream_id, error));
}

void h3_seam_stop_reading(h3_session *ss, h3_stream *s, uint64_t error)
{
    int64_t id = h3_stream_id(s);
    h3_rest *rest = h3_rest_find(&ss->rests, id);

    if (rest) {
        h3_seam_stop_rest(ss, rest, error);
    }
    else if (h3_stream_end_request(s)) {
        H3_SEAM_LOG(ss, id, APLOG_TRACE2, 0, "STOP_SENDING with 0x%" APR_UINT64_T_HEX_FMT,
                    (apr_uint64_t)error);
        h3_seam_check_http3(ss, nghttp3_conn_shutdown_stream_read(ss->h3, id));
        h3_seam_check_quic(ss, ngtcp2_conn_shutdown_stream_read(ss->nc, 0, id, error));
    }
}

/* More than will be read is not asked for at all. */
void h3_seam_begin_rest(h3_session *ss, h3_stream *s)
{
    int64_t id = h3_stream_id(s);

    if (h3_stream_is_request_over(s)) {
        return;
    }
    if (!h3_rest_begin(&ss->rests, id, h3_stream_body_length(s), h3_stream_body_received(s),
                       h3_seam_now(ss) + h3_seam_patience(ss))) {
        h3_seam_stop_reading(ss, s, H3_NO_ERROR);
        return;
    }
    h3_stream_end_request(s);
    h3_seam_check_http3(ss, nghttp3_conn_shutdown_stream_read(ss->h3, id));
}

void h3_seam_stop_rest(h3_session *ss, h3_rest *rest, uint64_t error)
{
    if (!rest->stopped) {
        H3_SEAM_LOG(ss, rest->stream_id, APLOG_TRACE2, 0,
                    "STOP_SENDING with 0x%" APR_UINT64_T_HEX_FMT " for the rest of its body",
                    (apr_uint64_t)error);
        rest->stopped = 1;
        h3_seam_check_quic(ss, ngtcp2_conn_shutdown_stream_read(ss->nc, 0, rest->stream_id, error));
        h3_seam_wants_write(ss);
    }
}

void h3_seam_abort(h3_session *ss, h3_stream *s)
{
    h3_seam_conn_credit(ss, h3_stream_abort(s));
}

void h3_seam_cancel(h3_session *ss, h3_stream *s, uint64_t stop_error, uint64_t reset_error)
{
    h3_seam_stop_reading(ss, s, stop_error);
    h3_seam_reset(ss, h3_stream_id(s), reset_error);
    h3_seam_abort(ss, s);
}

void h3_seam_give_up(h3_session *ss, h3_stream *s, uint64_t error, const char *why)
{
    H3_SEAM_LOG(ss, h3_stream_id(s), APLOG_INFO, 0, "%s", why);
    h3_seam_cancel(ss, s, error, error);
    h3_stream_give_up(s);
    h3_seam_wants_write(ss);
}

void h3_seam_let_go_if_answered(h3_session *ss, h3_stream *s)
{
    int64_t id = h3_stream_id(s);

    if (h3_stream_is_answered(s) && h3_rest_find(&ss->rests, id)) {
        h3_seam_check_http3(ss, nghttp3_conn_set_stream_user_data(ss->h3, id, NULL));
        h3_seam_check_quic(ss, ngtcp2_conn_set_stream_user_data(ss->nc, id, NULL));
        h3_seam_forget(ss, s);
        h3_stream_closed(s);
    }
}
