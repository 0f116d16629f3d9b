/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/quic_conn.h"

#include <stdlib.h>
#include <string.h>
#include "quic/quic_env.h"
#include "tls/quic_keys.h"

/* Sizes of path MTU probes, for one address family. */
#define PROBES 4
/* More IDs than a connection can have at once: ngtcp2 keeps 8, and those being retired. */
#define CIDS_MAX 64
/* How often a path validation with a path to fall back on is looked at. */
#define PATH_CHECK (1 * NGTCP2_SECONDS)
/* The same for a timer while the socket takes nothing. */
#define BLOCKED_CHECK (5 * NGTCP2_MILLISECONDS)
/* Of one connection, before it is another one's turn. */
#define BATCHES 4

typedef enum {
    BATCH_NONE, /* there is nothing to send, or the socket takes nothing */
    BATCH_SENT, /* and that was probably all */
    BATCH_FULL, /* there may be more */
    BATCH_FAILED
} batch_result;

static int on_recv_stream_data(ngtcp2_conn *nc, uint32_t flags, int64_t stream_id, uint64_t offset,
                               const uint8_t *data, size_t len, void *user, void *stream_user);
static int on_acked(ngtcp2_conn *nc, int64_t stream_id, uint64_t offset, uint64_t len, void *user,
                    void *stream_user);
static int on_stream_close(ngtcp2_conn *nc, uint32_t flags, int64_t stream_id, uint64_t error,
                           void *user, void *stream_user);
static int on_stream_reset(ngtcp2_conn *nc, int64_t stream_id, uint64_t final_size, uint64_t error,
                           void *user, void *stream_user);
static int on_stream_stop_sending(ngtcp2_conn *nc, int64_t stream_id, uint64_t error, void *user,
                                  void *stream_user);
static int on_extend_max_stream_data(ngtcp2_conn *nc, int64_t stream_id, uint64_t max, void *user,
                                     void *stream_user);
static int on_extend_max_streams(ngtcp2_conn *nc, uint64_t max, void *user);
static int on_handshake_completed(ngtcp2_conn *nc, void *user);
static int on_tx_key(ngtcp2_conn *nc, ngtcp2_encryption_level level, void *user);
static int on_new_cid(ngtcp2_conn *nc, ngtcp2_cid *cid, ngtcp2_stateless_reset_token *token,
                      size_t len, void *user);
static int on_remove_cid(ngtcp2_conn *nc, const ngtcp2_cid *cid, void *user);
static int on_begin_path_validation(ngtcp2_conn *nc, uint32_t flags, const ngtcp2_path *path,
                                    const ngtcp2_path *fallback, void *user);
static int on_path_validation(ngtcp2_conn *nc, uint32_t flags, const ngtcp2_path *path,
                              const ngtcp2_path *fallback, ngtcp2_path_validation_result res,
                              void *user);
static void on_rand(uint8_t *dest, size_t len, const ngtcp2_rand_ctx *ctx);
static void on_qlog(void *user, uint32_t flags, const void *data, size_t len);

static ngtcp2_ssize write_pkt(ngtcp2_conn *nc, ngtcp2_path *path, ngtcp2_pkt_info *pi,
                              uint8_t *dest, size_t destlen, ngtcp2_tstamp ts, void *user);
static void write_batches(quic_conn *conn);
static batch_result write_batch(quic_conn *conn);
static void update_timer(quic_conn *conn);
static void fail(quic_conn *conn, int rv);
static void set_state(quic_conn *conn, quic_conn_state state);
static void count_state(quic_conn *conn, int add);
static void end(quic_conn *conn, quic_conn_state state);
static void let_go(quic_conn *conn);

/* ---- birth ---- */

static void fill_callbacks(ngtcp2_callbacks *cb)
{
    memset(cb, 0, sizeof(*cb));
    quic_crypto_callbacks(cb);
    cb->recv_stream_data = on_recv_stream_data;
    cb->acked_stream_data_offset = on_acked;
    cb->stream_close = on_stream_close;
    cb->stream_reset = on_stream_reset;
    cb->stream_stop_sending = on_stream_stop_sending;
    cb->extend_max_stream_data = on_extend_max_stream_data;
    cb->extend_max_remote_streams_bidi = on_extend_max_streams;
    cb->handshake_completed = on_handshake_completed;
    cb->recv_tx_key = on_tx_key;
    cb->get_new_connection_id2 = on_new_cid;
    cb->remove_connection_id = on_remove_cid;
    cb->begin_path_validation = on_begin_path_validation;
    cb->path_validation = on_path_validation;
    cb->rand = on_rand;
}

static void fill_settings(ngtcp2_settings *st, quic_conn *conn)
{
    static const uint32_t versions[] = { NGTCP2_PROTO_VER_V1 };
    static const uint16_t ipv4_probes[PROBES] = { 1472, 1444, 1406, 1342 };
    static const uint16_t ipv6_probes[PROBES] = { 1452, 1432, 1392, 1342 };
    const uint16_t *probes = conn->path.remote.sa.sa_family == AF_INET6 ? ipv6_probes : ipv4_probes;

    ngtcp2_settings_default(st);
    st->initial_ts = conn->env->now;
    st->handshake_timeout = conn->env->handshake_timeout;
    st->cc_algo = quic_cc_algo(conn->cc);
    /* Ethernet's 1500 bytes less IP and UDP; probes find out what the path carries (RFC 8899). */
    st->max_tx_udp_payload_size = probes[0];
    st->pmtud_probes = probes;
    st->pmtud_probeslen = PROBES;
    st->available_versions = versions;
    st->available_versionslen = sizeof(versions) / sizeof(versions[0]);
    if (conn->qlog.file) {
        st->qlog_write = on_qlog;
    }
}

static int make_nc(quic_conn *conn, const ngtcp2_pkt_hd *hd, const ngtcp2_cid *scid)
{
    quic_env *env = conn->env;
    ngtcp2_callbacks cb;
    ngtcp2_settings st;
    ngtcp2_transport_params tp;
    ngtcp2_path path;

    fill_callbacks(&cb);
    fill_settings(&st, conn);
    ngtcp2_transport_params_default(&tp);
    quic_limits_fill(&tp, &env->limits);
    tp.original_dcid = hd->dcid;
    tp.original_dcid_present = 1;
    quic_cid_reset_token(tp.stateless_reset_token, &env->group->secret, scid->data, scid->datalen);
    tp.stateless_reset_token_present = 1;
    quic_path_show(&path, &conn->path);
    quic_mem_init(&conn->mem, QUIC_LIMITS_MEM_HALF_OPEN);
    return ngtcp2_conn_server_new(&conn->nc, &hd->scid, scid, &path, hd->version, &cb, &st, &tp,
                                  &conn->mem.mem, conn);
}

static const quic_tls_host *find_host(void *baton, const char *sni)
{
    quic_conn *conn = baton;

    return conn->env->app->find_host(conn, sni);
}

static void to_hex(char *out, const ngtcp2_cid *cid)
{
    static const char digits[] = "0123456789abcdef";
    size_t i;

    for (i = 0; i < cid->datalen; i++) {
        *out++ = digits[cid->data[i] >> 4];
        *out++ = digits[cid->data[i] & 15];
    }
    *out = '\0';
}

quic_conn *quic_conn_create(quic_env *env, quic_listener *listener, const quic_datagram *dg,
                            const ngtcp2_pkt_hd *hd)
{
    quic_conn *conn = calloc(1, sizeof(*conn));
    ngtcp2_cid scid;

    if (!conn) {
        return NULL;
    }
    conn->env = env;
    conn->path = (quic_path){ dg->local, dg->remote, listener };
    conn->log = (quic_log){ env->server, conn->id, &conn->path.remote };
    quic_out_init(&conn->out, &env->out, conn, &conn->log);
    conn->timer.owner = conn;
    conn->born = env->now;
    conn->cc = env->app->choose_cc(conn);
    ngtcp2_ccerr_default(&conn->ccerr);
    conn->client_dcid = hd->dcid;
    quic_cid_make(&scid, &env->group->secret, env->slot, env->epoch);
    to_hex(conn->id, &scid);
    if (env->qlog_dir) {
        quic_qlog_open(&conn->qlog, env->qlog_dir, &conn->client_dcid, &conn->log);
    }
    if (make_nc(conn, hd, &scid) != 0 || !(conn->ssl = quic_tls_new(env->any_host, find_host, conn))
        || quic_crypto_attach(&conn->crypto, conn->nc, conn->ssl, 1) != 0) {
        goto failed;
    }
    if (quic_cid_table_add(env->table, scid.data, scid.datalen, conn) < 0) {
        goto failed;
    }
    /* The client uses the ID it made up until it has ours. */
    if (quic_cid_table_add(env->table, hd->dcid.data, hd->dcid.datalen, conn) < 0) {
        quic_cid_table_remove(env->table, scid.data, scid.datalen);
        goto failed;
    }
    conn->next = env->all;
    if (env->all) {
        env->all->prev = conn;
    }
    env->all = conn;
    count_state(conn, 1);
    QUIC_LOG(&conn->log, APLOG_DEBUG, 0, "new, version 0x%x", hd->version);
    return conn;

failed:
    ngtcp2_conn_del(conn->nc);
    if (conn->ssl) {
        quic_tls_free(conn->ssl);
    }
    quic_qlog_close(&conn->qlog);
    free(conn);
    return NULL;
}

uint64_t quic_conn_now(const quic_conn *conn)
{
    return conn->env->now;
}

int quic_conn_set_limits(quic_conn *conn, const quic_limits *limits)
{
    ngtcp2_transport_params tp = *ngtcp2_conn_get_local_transport_params(conn->nc);

    quic_limits_fill(&tp, limits);
    if (ngtcp2_conn_set_local_transport_params(conn->nc, &tp) != 0
        || quic_crypto_set_local_params(&conn->crypto) < 0) {
        ngtcp2_ccerr_set_transport_error(&conn->ccerr, NGTCP2_INTERNAL_ERROR, NULL, 0);
        return -1;
    }
    return 0;
}

void quic_conn_grow_window(quic_conn *conn, uint64_t by)
{
    conn->mem.limit += quic_limits_mem_of_window(by);
    ngtcp2_conn_extend_max_offset(conn->nc, by);
}

/* ---- what ngtcp2 tells ---- */

static int result(int rv)
{
    return rv < 0 ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_recv_stream_data(ngtcp2_conn *nc, uint32_t flags, int64_t stream_id, uint64_t offset,
                               const uint8_t *data, size_t len, void *user, void *stream_user)
{
    quic_conn *conn = user;

    (void)nc, (void)offset, (void)stream_user;
    if (!conn->app) {
        return 0;
    }
    return result(conn->env->app->client_sent(conn->app, flags, stream_id, data, len));
}

static int on_acked(ngtcp2_conn *nc, int64_t stream_id, uint64_t offset, uint64_t len, void *user,
                    void *stream_user)
{
    quic_conn *conn = user;

    (void)nc, (void)offset, (void)stream_user;
    return conn->app ? result(conn->env->app->client_acked(conn->app, stream_id, len)) : 0;
}

static int on_stream_close(ngtcp2_conn *nc, uint32_t flags, int64_t stream_id, uint64_t error,
                           void *user, void *stream_user)
{
    quic_conn *conn = user;

    (void)nc, (void)stream_user;
    if (!conn->app) {
        return 0;
    }
    return result(conn->env->app->stream_closed(conn->app, flags, stream_id, error));
}

static int on_stream_reset(ngtcp2_conn *nc, int64_t stream_id, uint64_t final_size, uint64_t error,
                           void *user, void *stream_user)
{
    quic_conn *conn = user;

    (void)nc, (void)final_size, (void)error, (void)stream_user;
    return conn->app ? result(conn->env->app->client_reset(conn->app, stream_id)) : 0;
}

static int on_stream_stop_sending(ngtcp2_conn *nc, int64_t stream_id, uint64_t error, void *user,
                                  void *stream_user)
{
    quic_conn *conn = user;

    (void)nc, (void)error, (void)stream_user;
    return conn->app ? result(conn->env->app->stopped_reading(conn->app, stream_id)) : 0;
}

static int on_extend_max_stream_data(ngtcp2_conn *nc, int64_t stream_id, uint64_t max, void *user,
                                     void *stream_user)
{
    quic_conn *conn = user;

    (void)nc, (void)max, (void)stream_user;
    return conn->app ? result(conn->env->app->client_extended(conn->app, stream_id)) : 0;
}

static int on_extend_max_streams(ngtcp2_conn *nc, uint64_t max, void *user)
{
    quic_conn *conn = user;

    (void)nc;
    if (conn->app) {
        conn->env->app->granted_streams(conn->app, max);
    }
    return 0;
}

static int on_handshake_completed(ngtcp2_conn *nc, void *user)
{
    quic_conn *conn = user;

    conn->mem.limit = quic_limits_mem(ngtcp2_conn_get_local_transport_params(nc));
    set_state(conn, QUIC_CONN_OPEN);
    QUIC_STATS_ADD(conn->env->stats, resumed, quic_tls_is_resumed(conn->ssl) != 0);
    conn->env->app->handshake_done(conn->app);
    return 0;
}

static int on_tx_key(ngtcp2_conn *nc, ngtcp2_encryption_level level, void *user)
{
    quic_conn *conn = user;

    (void)nc;
    if (level == NGTCP2_ENCRYPTION_LEVEL_1RTT) {
        conn->app = conn->env->app->open(conn->env->app_env, conn);
        return conn->app ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
}

static int on_new_cid(ngtcp2_conn *nc, ngtcp2_cid *cid, ngtcp2_stateless_reset_token *token,
                      size_t len, void *user)
{
    quic_conn *conn = user;
    quic_env *env = conn->env;

    (void)nc;
    quic_cid_make(cid, &env->group->secret, env->slot, env->epoch);
    quic_cid_reset_token(token->data, &env->group->secret, cid->data, cid->datalen);
    if (len != QUIC_CID_LEN || quic_cid_table_add(env->table, cid->data, cid->datalen, conn) < 0) {
        ngtcp2_ccerr_set_transport_error(&conn->ccerr, NGTCP2_INTERNAL_ERROR, NULL, 0);
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
}

static int on_remove_cid(ngtcp2_conn *nc, const ngtcp2_cid *cid, void *user)
{
    quic_conn *conn = user;

    (void)nc;
    quic_cid_table_remove(conn->env->table, cid->data, cid->datalen);
    return 0;
}

static int on_begin_path_validation(ngtcp2_conn *nc, uint32_t flags, const ngtcp2_path *path,
                                    const ngtcp2_path *fallback, void *user)
{
    quic_conn *conn = user;

    (void)nc, (void)flags, (void)path;
    conn->is_validating = fallback != NULL;
    return 0;
}

/* Only now is the client's new address believed: for logs, access control, REMOTE_ADDR. */
static int on_path_validation(ngtcp2_conn *nc, uint32_t flags, const ngtcp2_path *path,
                              const ngtcp2_path *fallback, ngtcp2_path_validation_result res,
                              void *user)
{
    quic_conn *conn = user;
    quic_path now;

    (void)flags, (void)fallback;
    conn->is_validating = 0;
    if (res != NGTCP2_PATH_VALIDATION_RESULT_SUCCESS
        || !ngtcp2_path_eq(path, ngtcp2_conn_get_path(nc))) {
        return 0;
    }
    quic_path_copy(&now, path, conn->path.listener);
    if (quic_path_equal(&now, &conn->path)) {
        return 0;
    }
    if (!quic_path_same_but_port(&now, &conn->path)) {
        quic_out_new_path(&conn->out);
    }
    conn->path = now;
    QUIC_LOG(&conn->log, APLOG_DEBUG, 0, "has migrated to this address");
    if (conn->app) {
        conn->env->app->client_migrated(conn->app);
    }
    return 0;
}

static void on_rand(uint8_t *dest, size_t len, const ngtcp2_rand_ctx *ctx)
{
    (void)ctx;
    quic_keys_rand(dest, len);
}

static void on_qlog(void *user, uint32_t flags, const void *data, size_t len)
{
    quic_conn *conn = user;

    (void)flags;
    quic_qlog_write(&conn->qlog, data, len);
}

/* ---- receiving ---- */

int quic_conn_recv(quic_conn *conn, quic_listener *listener, const quic_datagram *dg)
{
    quic_path on = { dg->local, dg->remote, listener };
    ngtcp2_pkt_info pi = { .ecn = dg->ecn };
    ngtcp2_path path;
    int rv;

    QUIC_LOG(&conn->log, APLOG_TRACE2, 0, "received %" APR_SIZE_T_FMT " bytes", dg->len);
    if (!conn->nc) {
        if (quic_closing_answers(&conn->closing, dg->len)) {
            quic_out_datagram(&conn->env->out, &on, 0, conn->closing.packet, conn->closing.len);
        }
        return 0;
    }
    quic_path_show(&path, &on);
    conn->mem.receiving = 1;
    rv = ngtcp2_conn_read_pkt(conn->nc, &path, &pi, dg->data, dg->len, conn->env->now);
    conn->mem.receiving = 0;
    if (rv == 0) {
        quic_conn_wants_write(conn);
        return 0;
    }
    if (rv == NGTCP2_ERR_RETRY) {
        quic_qlog_forget(&conn->qlog);
    }
    fail(conn, rv);
    return rv == NGTCP2_ERR_RETRY ? rv : 0;
}

static int has_reason(const quic_conn *conn)
{
    return conn->ccerr.type != NGTCP2_CCERR_TYPE_TRANSPORT
           || conn->ccerr.error_code != NGTCP2_NO_ERROR;
}

/* What ngtcp2's error means for the connection, which may be gone then. */
static void fail(quic_conn *conn, int rv)
{
    switch (rv) {
    case NGTCP2_ERR_DRAINING:
        end(conn, QUIC_CONN_DRAINING);
        break;
    case NGTCP2_ERR_DROP_CONN:
    case NGTCP2_ERR_RETRY:
    case NGTCP2_ERR_CLOSING:
        quic_conn_destroy(conn);
        break;
    case NGTCP2_ERR_IDLE_CLOSE:
        QUIC_LOG(&conn->log, APLOG_DEBUG, 0, "idle timeout");
        quic_conn_destroy(conn);
        break;
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
        QUIC_LOG(&conn->log, APLOG_DEBUG, 0, "handshake timeout");
        quic_conn_destroy(conn);
        break;
    case NGTCP2_ERR_CRYPTO:
        /* Where a callback has refused, the alert only says that it has. */
        if (!has_reason(conn)) {
            ngtcp2_ccerr_set_tls_alert(&conn->ccerr, ngtcp2_conn_get_tls_alert(conn->nc), NULL, 0);
            QUIC_LOG(&conn->log, APLOG_INFO, 0, "handshake failed, TLS alert %d",
                     ngtcp2_conn_get_tls_alert(conn->nc));
        }
        quic_conn_close(conn);
        break;
    default:
        /* A callback that failed has set its reason already. */
        if (!has_reason(conn)) {
            ngtcp2_ccerr_set_liberr(&conn->ccerr, rv, NULL, 0);
        }
        QUIC_LOG(&conn->log, APLOG_INFO, 0, "%s, closed with %s error 0x%" APR_UINT64_T_HEX_FMT,
                 conn->mem.exceeded ? "too much kept for it" : ngtcp2_strerror(rv),
                 conn->ccerr.type == NGTCP2_CCERR_TYPE_APPLICATION ? "HTTP/3" : "QUIC",
                 (apr_uint64_t)conn->ccerr.error_code);
        quic_conn_close(conn);
        break;
    }
}

/* ---- sending ---- */

void quic_conn_wants_write(quic_conn *conn)
{
    if (conn->nc) {
        quic_out_wants(&conn->out);
    }
}

static ngtcp2_ssize write_pkt(ngtcp2_conn *nc, ngtcp2_path *path, ngtcp2_pkt_info *pi,
                              uint8_t *dest, size_t destlen, ngtcp2_tstamp ts, void *user)
{
    quic_conn *conn = user;
    ngtcp2_ssize n;

    n = conn->app ? conn->env->app->write_pkt(conn->app, path, pi, dest, destlen, ts)
                  : ngtcp2_conn_write_pkt(nc, path, pi, dest, destlen, ts);
    if (n > 0) {
        quic_out_wrote(&conn->out, nc, (size_t)n);
    }
    return n;
}

void quic_conn_write(quic_conn *conn)
{
    if (!conn->nc) {
        return;
    }
    if (conn->path.listener->full) {
        quic_out_wait(&conn->out, conn->path.listener);
        return;
    }
    write_batches(conn);
}

/*
 * One batch, and where that was all, another one, which is empty as a rule (it is not after an
 * acknowledgment of its own, or one of the handshake's). The library has to hear that there is no
 * more, and before the pacer has it wait: else it takes the rate of what we have to say for that
 * of the path, and BBR sends no faster from then on.
 */
static void write_batches(quic_conn *conn)
{
    batch_result more = BATCH_SENT;
    int i;

    for (i = 0; i < BATCHES && more == BATCH_SENT; i++) {
        more = write_batch(conn);
    }
    if (more == BATCH_FAILED) {
        return;
    }
    ngtcp2_conn_update_pkt_tx_time(conn->nc, conn->env->now);
    if (more != BATCH_NONE) {
        quic_conn_wants_write(conn);
    }
    update_timer(conn);
}

static batch_result write_batch(quic_conn *conn)
{
    quic_env *env = conn->env;
    quic_out_batch batch;
    ngtcp2_ssize n;

    n = quic_out_make(&conn->out, &batch, conn->nc, write_pkt, conn->path.listener, env->now);
    if (conn->app) {
        env->app->batch_written(conn->app);
    }
    if (n < 0) {
        fail(conn, (int)n);
        return BATCH_FAILED;
    }
    if (n == 0 || !quic_out_send(&conn->out, &batch)) {
        return BATCH_NONE;
    }
    return batch.is_full ? BATCH_FULL : BATCH_SENT;
}

/* ---- timers ---- */

/* Without memory for its timer the connection is gone. */
static void update_timer(quic_conn *conn)
{
    uint64_t at;

    if (!conn->nc) {
        return;
    }
    at = ngtcp2_conn_get_expiry(conn->nc);
    /*
     * ngtcp2 sets no timer while the anti-amplification limit keeps it from another challenge: it
     * has to be asked whether the validation has failed, or a forged address would hold the
     * connection. RFC 9000 section 9.3.2
     */
    if (conn->is_validating && at > conn->env->now + PATH_CHECK) {
        at = conn->env->now + PATH_CHECK;
    }
    if (quic_timer_set(&conn->env->timers, &conn->timer, at) < 0) {
        quic_conn_destroy(conn);
    }
}

void quic_conn_expire(quic_conn *conn)
{
    quic_env *env = conn->env;
    int rv;

    if (!conn->nc) {
        quic_conn_destroy(conn); /* the end of CLOSING or DRAINING */
        return;
    }
    rv = ngtcp2_conn_handle_expiry(conn->nc, env->now);
    if (rv != 0) {
        fail(conn, rv);
        return;
    }
    if (conn->out.state == QUIC_OUT_BLOCKED) {
        /* It cannot send what the timer asks for, which so stays due. The heap has room for it. */
        quic_timer_set(&env->timers, &conn->timer, env->now + BLOCKED_CHECK);
    }
    quic_conn_wants_write(conn);
}

/* ---- the end ---- */

/* The one place where the state changes. */
static void set_state(quic_conn *conn, quic_conn_state state)
{
    ap_assert(state > conn->state); /* states only go forward */
    count_state(conn, -1);
    conn->state = state;
    count_state(conn, 1);
    if (state == QUIC_CONN_OPEN) {
        QUIC_STATS_ADD(conn->env->stats, handshakes, 1);
    }
}

static void count_state(quic_conn *conn, int add)
{
    quic_env *env = conn->env;

    if (conn->state <= QUIC_CONN_OPEN) {
        env->connections += (unsigned)add;
        QUIC_STATS_ADD(env->stats, connections, add);
    }
    if (conn->state == QUIC_CONN_HANDSHAKE) {
        env->half_open += (unsigned)add;
        QUIC_STATS_ADD(env->stats, half_open, add);
    }
    if (conn->state == QUIC_CONN_CLOSING || conn->state == QUIC_CONN_DRAINING) {
        env->closing += (unsigned)add;
    }
}

void quic_conn_close(quic_conn *conn)
{
    quic_env *env = conn->env;
    ngtcp2_path_storage ps;
    ngtcp2_pkt_info pi;
    quic_path path;
    ngtcp2_ssize n;

    if (!conn->nc) {
        return;
    }
    if (!has_reason(conn) && conn->state == QUIC_CONN_OPEN) {
        ngtcp2_ccerr_set_application_error(&conn->ccerr, env->app->no_error, NULL, 0);
    }
    ngtcp2_path_storage_zero(&ps);
    n = ngtcp2_conn_write_connection_close(conn->nc, &ps.path, &pi, env->out.tx,
                                           NGTCP2_MAX_UDP_PAYLOAD_SIZE, &conn->ccerr, env->now);
    if (n <= 0) {
        quic_conn_destroy(conn);
        return;
    }
    quic_path_copy(&path, &ps.path, conn->path.listener);
    quic_out_datagram(&env->out, &path, (uint8_t)pi.ecn, env->out.tx, (size_t)n);
    quic_closing_keep_packet(&conn->closing, env->out.tx, (size_t)n);
    end(conn, QUIC_CONN_CLOSING);
}

/* Enters CLOSING or DRAINING for a while, or is gone at once. */
static void end(quic_conn *conn, quic_conn_state state)
{
    quic_env *env = conn->env;
    uint64_t until = env->now + quic_closing_time(ngtcp2_conn_get_pto(conn->nc));

    QUIC_LOG(&conn->log, APLOG_DEBUG, 0, "%s after %" APR_UINT64_T_FMT " ms",
             state == QUIC_CONN_CLOSING ? "closing" : "closed by the client",
             (apr_uint64_t)((env->now - conn->born) / NGTCP2_MILLISECONDS));
    set_state(conn, state);
    let_go(conn);
    /*
     * As many of them as connections: a flood of ClientHellos that are refused, whose addresses may
     * be forged, takes no more memory than that. RFC 9000 section 10.2
     */
    if (env->closing > env->max_connections || !conn->closing.cids
        || quic_timer_set(&env->timers, &conn->timer, until) < 0) {
        quic_conn_destroy(conn);
    }
}

static void forget_cids(quic_conn *conn, const ngtcp2_cid *cids, size_t n)
{
    while (n-- > 0) {
        quic_cid_table_remove(conn->env->table, cids[n].data, cids[n].datalen);
    }
}

/* Of all that the connection was, only its IDs stay. */
static void let_go(quic_conn *conn)
{
    ngtcp2_cid cids[CIDS_MAX];
    size_t n;

    n = ngtcp2_conn_get_scid(conn->nc, NULL);
    ap_assert(n < CIDS_MAX); /* bounded by active_connection_id_limit of either side */
    n = ngtcp2_conn_get_scid(conn->nc, cids);
    cids[n++] = conn->client_dcid;
    if (quic_closing_keep_cids(&conn->closing, cids, n) < 0) {
        forget_cids(conn, cids, n);
    }
    if (conn->app) {
        conn->env->app->close(conn->app);
        conn->app = NULL;
    }
    ngtcp2_conn_del(conn->nc);
    conn->nc = NULL;
    quic_tls_free(conn->ssl);
    conn->ssl = NULL;
    quic_qlog_close(&conn->qlog);
}

void quic_conn_destroy(quic_conn *conn)
{
    quic_env *env = conn->env;

    set_state(conn, QUIC_CONN_DEAD);
    if (conn->nc) {
        let_go(conn);
    }
    forget_cids(conn, conn->closing.cids, conn->closing.ncids);
    quic_timer_set(&env->timers, &conn->timer, QUIC_TIMER_NEVER);
    if (conn->next) {
        conn->next->prev = conn->prev;
    }
    if (conn->prev) {
        conn->prev->next = conn->next;
    }
    else {
        env->all = conn->next;
    }
    quic_out_destroy(&conn->out);
    quic_closing_free(&conn->closing);
    free(conn);
}
