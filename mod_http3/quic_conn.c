/* SPDX-License-Identifier: Apache-2.0 */
#include "quic_conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "http_config.h"

APLOG_USE_MODULE(http3);

/* Path MTU candidates of one address family. */
#define PROBES 4
/* Uni streams: control, QPACK encoder and decoder, and room for greased ones. */
#define UNI_STREAMS 8
#define UNI_WINDOW (64 * 1024)
/* ngtcp2 keeps a list of the packets it has sent; GSO takes at most 64 segments. */
#define BATCH_PACKETS 48
/* More ids than a connection can have at once: ngtcp2 keeps 8, and those that are being retired. */
#define CIDS_MAX 64
/* How often a path validation that has a path to fall back to is looked after. */
#define PATH_CHECK (1 * NGTCP2_SECONDS)
/* A closing connection answers its 1st, 2nd, 4th, 8th ... packet. RFC 9000 section 10.2.1 */
#define CLOSE_ANSWER_MAX 0x10000u
/* 3 PTOs of a fast path are milliseconds: late packets would meet a stateless reset then. */
#define CLOSE_MIN (1 * NGTCP2_SECONDS)

/*
 * What ngtcp2 may hold of what a client has sent, beside the windows: in the handshake, where the
 * client may be forged, a ClientHello in pieces; later, for each stream, the block of 8 KiB in
 * which something has come out of order, and the gaps of a network that loses much.
 */
#define MEM_HALF_OPEN (128 * 1024)
#define MEM_OPEN (256 * 1024)
#define MEM_STREAM (12 * 1024)

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

static void write_one(quic_conn *conn);
static int send_batch(quic_conn *conn, const ngtcp2_path *path, uint8_t ecn, size_t len,
                      size_t segsize);
static void block(quic_conn *conn);
static int flush_pending(quic_conn *conn);
static void update_timer(quic_conn *conn);
static void fail(quic_conn *conn, int rv);
static void enter(quic_conn *conn, quic_conn_state state);
static void let_go(quic_conn *conn);

/* ---- birth ---- */

static void to_path(ngtcp2_path *path, quic_addr *local, quic_addr *remote, quic_listener *l)
{
    path->local.addr = &local->sa;
    path->local.addrlen = quic_addr_len(local);
    path->remote.addr = &remote->sa;
    path->remote.addrlen = quic_addr_len(remote);
    path->user_data = l;
}

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
    const uint16_t *probes = conn->remote.sa.sa_family == AF_INET6 ? ipv6_probes : ipv4_probes;

    ngtcp2_settings_default(st);
    st->initial_ts = conn->env->now;
    st->handshake_timeout = conn->env->handshake_timeout;
    /* Ethernet's 1500 bytes less IP and UDP; probes find out what the path carries (RFC 8899). */
    st->max_tx_udp_payload_size = probes[0];
    st->pmtud_probes = probes;
    st->pmtud_probeslen = PROBES;
    st->available_versions = versions;
    st->available_versionslen = sizeof(versions) / sizeof(versions[0]);
    if (conn->qlog) {
        st->qlog_write = on_qlog;
    }
}

static void fill_params(ngtcp2_transport_params *tp, const quic_limits *limits)
{
    tp->initial_max_stream_data_bidi_remote = limits->window;
    tp->initial_max_stream_data_uni = UNI_WINDOW;
    tp->initial_max_data = limits->conn_window;
    tp->initial_max_streams_bidi = limits->streams;
    tp->initial_max_streams_uni = UNI_STREAMS;
    tp->max_idle_timeout = limits->idle;
    tp->active_connection_id_limit = 7;
    tp->grease_quic_bit = 1;
}

static void open_qlog(quic_conn *conn, const ngtcp2_cid *odcid)
{
    char path[1024];
    size_t i, n;

    n = (size_t)snprintf(path, sizeof(path) - 2 * NGTCP2_MAX_CIDLEN - 8, "%s/",
                         conn->env->qlog_dir);
    if (n >= sizeof(path) - 2 * NGTCP2_MAX_CIDLEN - 8) {
        return;
    }
    for (i = 0; i < odcid->datalen; i++) {
        n += (size_t)snprintf(path + n, 3, "%02x", odcid->data[i]);
    }
    memcpy(path + n, ".sqlog", sizeof(".sqlog"));
    conn->qlog = fopen(path, "wxe");
    if (!conn->qlog) {
        QUIC_CONN_LOG(conn, APLOG_WARNING, "cannot write qlog file %s", path);
    }
}

static int make_nc(quic_conn *conn, const quic_datagram *dg, const ngtcp2_pkt_hd *hd,
                   const ngtcp2_cid *scid)
{
    quic_env *env = conn->env;
    ngtcp2_callbacks cb;
    ngtcp2_settings st;
    ngtcp2_transport_params tp;
    ngtcp2_path path;
    quic_addr local = dg->local, remote = dg->remote;

    fill_callbacks(&cb);
    fill_settings(&st, conn);
    ngtcp2_transport_params_default(&tp);
    fill_params(&tp, &env->limits);
    tp.original_dcid = hd->dcid;
    tp.original_dcid_present = 1;
    quic_cid_reset_token(tp.stateless_reset_token, env->secret, scid->data, scid->datalen);
    tp.stateless_reset_token_present = 1;
    to_path(&path, &local, &remote, conn->listener);
    quic_mem_init(&conn->mem, MEM_HALF_OPEN);
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
    conn->listener = listener;
    conn->local = dg->local;
    conn->remote = dg->remote;
    conn->timer.owner = conn;
    conn->born = env->now;
    ngtcp2_ccerr_default(&conn->ccerr);
    conn->client_dcid = hd->dcid;
    quic_cid_make(&scid, env->secret, env->slot, env->epoch);
    to_hex(conn->id, &scid);
    if (env->qlog_dir) {
        open_qlog(conn, &hd->dcid);
    }
    if (make_nc(conn, dg, hd, &scid) != 0
        || !(conn->ssl = quic_tls_new(env->any_host, find_host, conn))) {
        goto failed;
    }
    quic_crypto_attach(&conn->crypto, conn->nc, conn->ssl, 1);
    if (quic_cid_table_add(env->table, scid.data, scid.datalen, conn) < 0) {
        goto failed;
    }
    /* The client uses the id it made up until it has ours. */
    if (quic_cid_table_add(env->table, hd->dcid.data, hd->dcid.datalen, conn) < 0) {
        quic_cid_table_remove(env->table, scid.data, scid.datalen);
        goto failed;
    }
    conn->next = env->all;
    if (env->all) {
        env->all->prev = conn;
    }
    env->all = conn;
    env->connections++;
    env->half_open++;
    QUIC_STATS_ADD(env->stats, connections, 1);
    QUIC_STATS_ADD(env->stats, half_open, 1);
    QUIC_STATS_ADD(env->stats, accepted, 1);
    QUIC_CONN_LOG(conn, APLOG_DEBUG, "new, version 0x%x", hd->version);
    return conn;

failed:
    ngtcp2_conn_del(conn->nc);
    if (conn->ssl) {
        quic_tls_free(conn->ssl);
    }
    if (conn->qlog) {
        fclose(conn->qlog);
    }
    free(conn);
    return NULL;
}

void quic_conn_set_limits(quic_conn *conn, const quic_limits *limits)
{
    ngtcp2_transport_params tp = *ngtcp2_conn_get_local_transport_params(conn->nc);

    fill_params(&tp, limits);
    if (ngtcp2_conn_set_local_transport_params(conn->nc, &tp) == 0) {
        quic_crypto_set_local_params(&conn->crypto);
    }
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
    return result(conn->env->app->recv_stream_data(conn->app, flags, stream_id, data, len));
}

static int on_acked(ngtcp2_conn *nc, int64_t stream_id, uint64_t offset, uint64_t len, void *user,
                    void *stream_user)
{
    quic_conn *conn = user;

    (void)nc, (void)offset, (void)stream_user;
    return conn->app ? result(conn->env->app->acked(conn->app, stream_id, len)) : 0;
}

static int on_stream_close(ngtcp2_conn *nc, uint32_t flags, int64_t stream_id, uint64_t error,
                           void *user, void *stream_user)
{
    quic_conn *conn = user;

    (void)nc, (void)stream_user;
    if (!conn->app) {
        return 0;
    }
    return result(conn->env->app->stream_close(conn->app, flags, stream_id, error));
}

static int on_stream_reset(ngtcp2_conn *nc, int64_t stream_id, uint64_t final_size, uint64_t error,
                           void *user, void *stream_user)
{
    quic_conn *conn = user;

    (void)nc, (void)final_size, (void)error, (void)stream_user;
    return conn->app ? result(conn->env->app->stream_reset(conn->app, stream_id)) : 0;
}

static int on_stream_stop_sending(ngtcp2_conn *nc, int64_t stream_id, uint64_t error, void *user,
                                  void *stream_user)
{
    quic_conn *conn = user;

    (void)nc, (void)error, (void)stream_user;
    return conn->app ? result(conn->env->app->stream_stop_sending(conn->app, stream_id)) : 0;
}

static int on_extend_max_stream_data(ngtcp2_conn *nc, int64_t stream_id, uint64_t max, void *user,
                                     void *stream_user)
{
    quic_conn *conn = user;

    (void)nc, (void)max, (void)stream_user;
    return conn->app ? result(conn->env->app->extend_max_stream_data(conn->app, stream_id)) : 0;
}

static int on_extend_max_streams(ngtcp2_conn *nc, uint64_t max, void *user)
{
    quic_conn *conn = user;

    (void)nc;
    if (conn->app) {
        conn->env->app->extend_max_streams(conn->app, max);
    }
    return 0;
}

static int on_handshake_completed(ngtcp2_conn *nc, void *user)
{
    const ngtcp2_transport_params *tp = ngtcp2_conn_get_local_transport_params(nc);
    quic_conn *conn = user;

    conn->mem.limit = MEM_OPEN + 2 * (size_t)tp->initial_max_data
                      + MEM_STREAM * (size_t)tp->initial_max_streams_bidi;
    enter(conn, QUIC_CONN_OPEN);
    conn->env->app->established(conn->app);
    return 0;
}

static int on_tx_key(ngtcp2_conn *nc, ngtcp2_encryption_level level, void *user)
{
    quic_conn *conn = user;

    (void)nc;
    if (level == NGTCP2_ENCRYPTION_LEVEL_1RTT) {
        conn->app = conn->env->app->open(conn);
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
    if (len != QUIC_CID_LEN) {
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    quic_cid_make(cid, env->secret, env->slot, env->epoch);
    quic_cid_reset_token(token->data, env->secret, cid->data, cid->datalen);
    if (quic_cid_table_add(env->table, cid->data, cid->datalen, conn) < 0) {
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

static void from_ngtcp2_addr(quic_addr *to, const ngtcp2_addr *from)
{
    memset(to, 0, sizeof(*to));
    memcpy(to, from->addr, from->addrlen < sizeof(*to) ? from->addrlen : sizeof(*to));
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
    quic_addr local, remote;

    (void)flags, (void)fallback;
    conn->is_validating = 0;
    if (res != NGTCP2_PATH_VALIDATION_RESULT_SUCCESS
        || !ngtcp2_path_eq(path, ngtcp2_conn_get_path(nc))) {
        return 0;
    }
    from_ngtcp2_addr(&local, &path->local);
    from_ngtcp2_addr(&remote, &path->remote);
    if (quic_addr_equal(&local, &conn->local) && quic_addr_equal(&remote, &conn->remote)) {
        return 0;
    }
    conn->local = local;
    conn->remote = remote;
    conn->listener = path->user_data;
    QUIC_CONN_LOG(conn, APLOG_DEBUG, "%s", "has migrated to this address");
    if (conn->app) {
        conn->env->app->migrated(conn->app);
    }
    return 0;
}

static void on_rand(uint8_t *dest, size_t len, const ngtcp2_rand_ctx *ctx)
{
    (void)ctx;
    quic_crypto_rand(dest, len);
}

static void on_qlog(void *user, uint32_t flags, const void *data, size_t len)
{
    quic_conn *conn = user;

    (void)flags;
    if (conn->qlog) {
        fwrite(data, 1, len, conn->qlog);
    }
}

/* ---- receiving ---- */

static void answer_closing(quic_conn *conn, quic_listener *listener, const quic_datagram *dg)
{
    size_t sent;

    if (conn->state != QUIC_CONN_CLOSING || ++conn->close_recv < conn->close_answer) {
        return;
    }
    if (conn->close_answer < CLOSE_ANSWER_MAX) {
        conn->close_answer *= 2;
    }
    /* Never more than was received: the address of a closing connection may be forged. */
    if (conn->close_len && conn->close_len <= 3 * dg->len) {
        quic_udp_send(listener->fd[conn->env->slot], &dg->local, &dg->remote, 0, conn->close_pkt,
                      conn->close_len, conn->close_len, &sent);
        QUIC_STATS_ADD(conn->env->stats, datagrams_out, 1);
    }
}

void quic_conn_recv(quic_conn *conn, quic_listener *listener, const quic_datagram *dg)
{
    quic_addr local = dg->local, remote = dg->remote;
    ngtcp2_pkt_info pi = { .ecn = dg->ecn };
    ngtcp2_path path;
    int rv;

    QUIC_CONN_LOG(conn, APLOG_TRACE2, "received %" APR_SIZE_T_FMT " bytes", dg->len);
    if (!conn->nc) {
        answer_closing(conn, listener, dg);
        return;
    }
    to_path(&path, &local, &remote, listener);
    conn->mem.receiving = 1;
    rv = ngtcp2_conn_read_pkt(conn->nc, &path, &pi, dg->data, dg->len, conn->env->now);
    conn->mem.receiving = 0;
    if (rv != 0) {
        fail(conn, rv);
    }
    else {
        quic_conn_wants_write(conn);
    }
}

/* What ngtcp2's error means for the connection. */
static void fail(quic_conn *conn, int rv)
{
    switch (rv) {
    case NGTCP2_ERR_DRAINING:
        enter(conn, QUIC_CONN_DRAINING);
        break;
    case NGTCP2_ERR_DROP_CONN:
    case NGTCP2_ERR_RETRY:
    case NGTCP2_ERR_CLOSING:
        enter(conn, QUIC_CONN_DEAD);
        break;
    case NGTCP2_ERR_IDLE_CLOSE:
        QUIC_CONN_LOG(conn, APLOG_DEBUG, "%s", "idle timeout");
        enter(conn, QUIC_CONN_DEAD);
        break;
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
        QUIC_CONN_LOG(conn, APLOG_DEBUG, "%s", "handshake timeout");
        enter(conn, QUIC_CONN_DEAD);
        break;
    case NGTCP2_ERR_CRYPTO:
        if (conn->ccerr.type == NGTCP2_CCERR_TYPE_APPLICATION) {
            quic_conn_close(conn); /* the layer above refused, the alert only says so */
            break;
        }
        ngtcp2_ccerr_set_tls_alert(&conn->ccerr, ngtcp2_conn_get_tls_alert(conn->nc), NULL, 0);
        QUIC_CONN_LOG(conn, APLOG_INFO, "handshake failed, TLS alert %d",
                      ngtcp2_conn_get_tls_alert(conn->nc));
        quic_conn_close(conn);
        break;
    default:
        /* A callback that failed has set its reason already. */
        if (conn->ccerr.type == NGTCP2_CCERR_TYPE_TRANSPORT
            && conn->ccerr.error_code == NGTCP2_NO_ERROR) {
            ngtcp2_ccerr_set_liberr(&conn->ccerr, rv, NULL, 0);
        }
        QUIC_CONN_LOG(conn, APLOG_INFO, "%s, closed with %s error 0x%" APR_UINT64_T_HEX_FMT,
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
    quic_env *env = conn->env;

    if (conn->in_write_queue || !conn->nc) {
        return;
    }
    conn->in_write_queue = 1;
    conn->write_next = NULL;
    if (env->write_last) {
        env->write_last = env->write_last->write_next = conn;
    }
    else {
        env->write_first = env->write_last = conn;
    }
}

void quic_env_write(quic_env *env)
{
    quic_conn *conn;

    while ((conn = env->write_first)) {
        env->write_first = conn->write_next;
        if (!env->write_first) {
            env->write_last = NULL;
        }
        conn->in_write_queue = 0;
        if (!conn->nc || conn->is_blocked) {
            continue;
        }
        if (conn->listener->full) {
            block(conn);
        }
        else {
            write_one(conn);
        }
    }
}

static ngtcp2_ssize write_pkt(ngtcp2_conn *nc, ngtcp2_path *path, ngtcp2_pkt_info *pi,
                              uint8_t *dest, size_t destlen, ngtcp2_tstamp ts, void *user)
{
    quic_conn *conn = user;

    if (!conn->app) {
        return ngtcp2_conn_write_pkt(nc, path, pi, dest, destlen, ts);
    }
    return conn->env->app->write_pkt(conn->app, path, pi, dest, destlen, ts);
}

/* One batch; a connection with more to say stands in line again, behind the others. */
static void write_one(quic_conn *conn)
{
    quic_env *env = conn->env;
    ngtcp2_path_storage ps;
    ngtcp2_pkt_info pi;
    size_t segsize;
    ngtcp2_ssize n;

    ngtcp2_path_storage_zero(&ps);
    n = ngtcp2_conn_write_aggregate_pkt2(conn->nc, &ps.path, &pi, env->tx, sizeof(env->tx),
                                         &segsize, write_pkt, BATCH_PACKETS, env->now);
    if (conn->app) {
        env->app->written(conn->app);
    }
    if (n < 0) {
        fail(conn, (int)n);
        return;
    }
    if (n > 0) {
        ngtcp2_conn_update_pkt_tx_time(conn->nc, env->now);
        if (send_batch(conn, &ps.path, pi.ecn, (size_t)n, segsize)) {
            quic_conn_wants_write(conn);
        }
    }
    update_timer(conn);
}

/* Until its socket takes something again; what it has to say is not even encrypted before that. */
static void block(quic_conn *conn)
{
    conn->is_blocked = 1;
    conn->blocked_next = conn->env->blocked_first;
    conn->env->blocked_first = conn;
}

/* 1: all of it is on its way; 0: the socket is full, the rest is pending. */
static int send_batch(quic_conn *conn, const ngtcp2_path *path, uint8_t ecn, size_t len,
                      size_t segsize)
{
    quic_env *env = conn->env;
    struct quic_pending *p = &conn->pending;
    quic_listener *l = path->user_data ? path->user_data : conn->listener;
    quic_addr local, remote;
    size_t sent = 0;

    from_ngtcp2_addr(&local, &path->local);
    from_ngtcp2_addr(&remote, &path->remote);
    QUIC_CONN_LOG(conn, APLOG_TRACE2, "sending %" APR_SIZE_T_FMT " bytes", len);
    QUIC_STATS_ADD(env->stats, datagrams_out, (len + segsize - 1) / segsize);
    if (quic_udp_send(l->fd[env->slot], &local, &remote, ecn, env->tx, len, segsize, &sent)
        == QUIC_SENT) {
        return 1;
    }
    p->data = malloc(len - sent);
    if (!p->data) {
        return 1; /* lost, as a network may lose */
    }
    memcpy(p->data, env->tx + sent, len - sent);
    p->len = len - sent;
    p->off = 0;
    p->segsize = segsize;
    p->local = local;
    p->remote = remote;
    p->listener = l;
    p->ecn = ecn;
    l->full = 1;
    block(conn);
    return 0;
}

static int flush_pending(quic_conn *conn)
{
    struct quic_pending *p = &conn->pending;
    size_t sent = 0;

    if (!p->data) {
        return !conn->listener->full;
    }
    if (p->listener->full) {
        return 0;
    }
    if (quic_udp_send(p->listener->fd[conn->env->slot], &p->local, &p->remote, p->ecn,
                      p->data + p->off, p->len - p->off, p->segsize, &sent)
        != QUIC_SENT) {
        p->off += sent;
        p->listener->full = 1;
        return 0;
    }
    free(p->data);
    p->data = NULL;
    return 1;
}

void quic_env_unblock(quic_env *env)
{
    quic_conn *conn, *next, *still = NULL;

    for (conn = env->blocked_first; conn; conn = next) {
        next = conn->blocked_next;
        if (flush_pending(conn)) {
            conn->is_blocked = 0;
            quic_conn_wants_write(conn);
        }
        else {
            conn->blocked_next = still;
            still = conn;
        }
    }
    env->blocked_first = still;
}

/* ---- timers ---- */

static void update_timer(quic_conn *conn)
{
    uint64_t at;

    if (!conn->nc) {
        return;
    }
    at = ngtcp2_conn_get_expiry(conn->nc);
    /*
     * ngtcp2 sets no timer while the anti-amplification limit keeps it from
     * another challenge: it has to be asked whether the validation has failed,
     * or a forged address would hold the connection. RFC 9000 section 9.3.2
     */
    if (conn->is_validating && at > conn->env->now + PATH_CHECK) {
        at = conn->env->now + PATH_CHECK;
    }
    if (quic_timer_set(&conn->env->timers, &conn->timer, at) < 0) {
        enter(conn, QUIC_CONN_DEAD);
    }
}

uint64_t quic_env_expire(quic_env *env)
{
    quic_timer *t;
    quic_conn *conn;
    int rv;

    while ((t = quic_timers_first(&env->timers)) && t->at <= env->now) {
        conn = t->owner;
        quic_timer_set(&env->timers, t, QUIC_TIMER_NEVER);
        if (!conn->nc) {
            quic_conn_destroy(conn); /* the end of CLOSING or DRAINING */
            continue;
        }
        rv = ngtcp2_conn_handle_expiry(conn->nc, env->now);
        if (rv != 0) {
            fail(conn, rv);
            continue;
        }
        if (conn->is_blocked) {
            /* Woken by the socket; not later than that for its timers. */
            quic_timer_set(&env->timers, t, env->now + 5 * NGTCP2_MILLISECONDS);
        }
        quic_conn_wants_write(conn);
    }
    t = quic_timers_first(&env->timers);
    if (!t) {
        return QUIC_TIMER_NEVER;
    }
    return t->at > env->now ? t->at - env->now : 0;
}

/* ---- the end ---- */

/* From here on only ids, the close packet and a timer are left of the connection. */
static void let_go(quic_conn *conn)
{
    quic_env *env = conn->env;
    ngtcp2_cid cids[CIDS_MAX];
    size_t n;

    n = ngtcp2_conn_get_scid(conn->nc, NULL);
    ap_assert(n < CIDS_MAX); /* bounded by active_connection_id_limit of either side */
    n = ngtcp2_conn_get_scid(conn->nc, cids);
    cids[n++] = conn->client_dcid;
    conn->cids = malloc(n * sizeof(*cids));
    if (conn->cids) {
        memcpy(conn->cids, cids, n * sizeof(*cids));
        conn->ncids = n;
    }
    else {
        while (n > 0) {
            n--;
            quic_cid_table_remove(env->table, cids[n].data, cids[n].datalen);
        }
    }
    if (conn->app) {
        env->app->close(conn->app);
        conn->app = NULL;
    }
    ngtcp2_conn_del(conn->nc);
    conn->nc = NULL;
    quic_tls_free(conn->ssl);
    conn->ssl = NULL;
    if (conn->qlog) {
        fclose(conn->qlog);
        conn->qlog = NULL;
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

/* The one place where the state changes. */
static void enter(quic_conn *conn, quic_conn_state state)
{
    quic_env *env = conn->env;
    uint64_t pto, wait;

    ap_assert(state > conn->state); /* states only go forward */
    count_state(conn, -1);
    conn->state = state;
    count_state(conn, 1);
    switch (state) {
    case QUIC_CONN_HANDSHAKE:
        break;
    case QUIC_CONN_OPEN:
        QUIC_STATS_ADD(env->stats, handshakes, 1);
        break;
    case QUIC_CONN_CLOSING:
    case QUIC_CONN_DRAINING:
        pto = ngtcp2_conn_get_pto(conn->nc);
        QUIC_CONN_LOG(conn, APLOG_DEBUG, "%s after %" APR_UINT64_T_FMT " ms",
                      state == QUIC_CONN_CLOSING ? "closing" : "closed by the client",
                      (apr_uint64_t)((env->now - conn->born) / NGTCP2_MILLISECONDS));
        let_go(conn);
        wait = 3 * pto > CLOSE_MIN ? 3 * pto : CLOSE_MIN;
        /*
         * As many as connections: a flood of ClientHellos that are refused, whose addresses may be
         * forged, takes no more memory than that. RFC 9000 section 10.2
         */
        if (env->closing <= env->max_connections && conn->cids
            && quic_timer_set(&env->timers, &conn->timer, env->now + wait) == 0) {
            break;
        }
        quic_conn_destroy(conn);
        break;
    case QUIC_CONN_DEAD:
        quic_conn_destroy(conn);
        break;
    }
}

void quic_conn_close(quic_conn *conn)
{
    quic_env *env = conn->env;
    ngtcp2_path_storage ps;
    ngtcp2_pkt_info pi;
    quic_addr local, remote;
    quic_listener *l;
    ngtcp2_ssize n;
    size_t sent;

    if (!conn->nc) {
        return;
    }
    if (conn->ccerr.type == NGTCP2_CCERR_TYPE_TRANSPORT && conn->ccerr.error_code == NGTCP2_NO_ERROR
        && conn->state == QUIC_CONN_OPEN) {
        ngtcp2_ccerr_set_application_error(&conn->ccerr, env->app->no_error, NULL, 0);
    }
    ngtcp2_path_storage_zero(&ps);
    n = ngtcp2_conn_write_connection_close(conn->nc, &ps.path, &pi, env->tx,
                                           NGTCP2_MAX_UDP_PAYLOAD_SIZE, &conn->ccerr, env->now);
    if (n <= 0) {
        enter(conn, QUIC_CONN_DEAD);
        return;
    }
    from_ngtcp2_addr(&local, &ps.path.local);
    from_ngtcp2_addr(&remote, &ps.path.remote);
    l = ps.path.user_data ? ps.path.user_data : conn->listener;
    quic_udp_send(l->fd[env->slot], &local, &remote, pi.ecn, env->tx, (size_t)n, (size_t)n, &sent);
    QUIC_STATS_ADD(env->stats, datagrams_out, 1);
    conn->close_pkt = malloc((size_t)n);
    if (conn->close_pkt) {
        memcpy(conn->close_pkt, env->tx, (size_t)n);
        conn->close_len = (size_t)n;
    }
    conn->close_answer = 1;
    enter(conn, QUIC_CONN_CLOSING);
}

static void leave_lists(quic_conn *conn)
{
    quic_env *env = conn->env;
    quic_conn **at, *last = NULL;

    if (conn->next) {
        conn->next->prev = conn->prev;
    }
    if (conn->prev) {
        conn->prev->next = conn->next;
    }
    else {
        env->all = conn->next;
    }
    if (conn->in_write_queue) {
        for (at = &env->write_first; *at != conn; at = &(*at)->write_next) {
            last = *at;
        }
        *at = conn->write_next;
        if (env->write_last == conn) {
            env->write_last = last;
        }
    }
    if (conn->is_blocked) {
        for (at = &env->blocked_first; *at != conn; at = &(*at)->blocked_next) {}
        *at = conn->blocked_next;
    }
}

void quic_conn_destroy(quic_conn *conn)
{
    quic_env *env = conn->env;
    size_t i;

    if (conn->nc) {
        let_go(conn);
    }
    count_state(conn, -1);
    for (i = 0; i < conn->ncids; i++) {
        quic_cid_table_remove(env->table, conn->cids[i].data, conn->cids[i].datalen);
    }
    quic_timer_set(&env->timers, &conn->timer, QUIC_TIMER_NEVER);
    leave_lists(conn);
    free(conn->cids);
    free(conn->close_pkt);
    free(conn->pending.data);
    free(conn);
}
