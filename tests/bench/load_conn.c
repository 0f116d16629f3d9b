/* SPDX-License-Identifier: Apache-2.0 */
#include "load_conn.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "../../mod_http3/tls/quic_keys.h"
#include "load_sock.h"
#include "load_tls.h"

#define CID_LEN 8
#define BATCHES_PER_EVENT 16
#define SEND_BUFFER 65487
#define BURST_PACKETS 64
#define TIMER_SLACK (NGTCP2_MICROSECONDS * 100)
#define IDLE_TIMEOUT (60 * NGTCP2_SECONDS)
#define HANDSHAKE_TIMEOUT (20 * NGTCP2_SECONDS)

static void touch(load_conn *c);
static int open_socket(load_conn *c, uint64_t number);
static int make_quic(load_conn *c);
static void set_callbacks(ngtcp2_callbacks *cb);
static void receive(load_conn *c);
static int read_datagram(load_conn *c, const quic_datagram *d);
static void send_packets(load_conn *c);
static int flush_unsent(load_conn *c);
static int keep_unsent(load_conn *c, const uint8_t *data, size_t len, size_t segsize, uint8_t ecn);
static void rebind(load_conn *c);
static void set_timer(load_conn *c);
static void watch(load_conn *c, int op, uint32_t events);
static void broken(load_conn *c, int liberr);
static void send_close(load_conn *c);
static void gone(load_conn *c);
static void count_peers_close(load_conn *c);

/* ngtcp2 callbacks */
static int on_handshake_completed(ngtcp2_conn *quic, void *user);
static int on_handshake_confirmed(ngtcp2_conn *quic, void *user);
static int on_stream_data(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t offset,
                          const uint8_t *data, size_t len, void *user, void *stream);
static int on_acked(ngtcp2_conn *quic, int64_t id, uint64_t offset, uint64_t len, void *user,
                    void *stream);
static int on_stream_close(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t code, void *user,
                           void *stream);
static int on_stream_reset(ngtcp2_conn *quic, int64_t id, uint64_t size, uint64_t code, void *user,
                           void *stream);
static int on_more_credit(ngtcp2_conn *quic, int64_t id, uint64_t max, void *user, void *stream);
static int on_stateless_reset(ngtcp2_conn *quic, const ngtcp2_pkt_stateless_reset2 *sr, void *user);
static int on_new_cid(ngtcp2_conn *quic, ngtcp2_cid *cid, ngtcp2_stateless_reset_token *token,
                      size_t cidlen, void *user);
static void on_rand(uint8_t *dest, size_t len, const ngtcp2_rand_ctx *ctx);
static ngtcp2_ssize on_write_pkt(ngtcp2_conn *quic, ngtcp2_path *path, ngtcp2_pkt_info *pi,
                                 uint8_t *dest, size_t destlen, ngtcp2_tstamp ts, void *user);
static void on_log(void *user, const char *format, ...);

load_conn *load_conn_new(load_env *env, uint64_t number, int64_t remaining)
{
    load_conn *c = calloc(1, sizeof(*c));

    if (!c) {
        load_stat_complain(env->stat, "out of memory");
        return NULL;
    }
    c->env = env;
    c->timer.owner = c;
    c->opened = env->now;
    c->fd = -1;
    ngtcp2_ccerr_default(&c->ccerr);
    load_http_init(&c->http, env->opts, env->stat, remaining);
    ++env->stat->opened;
    c->tls = load_tls_new(env->tls, env->opts);
    if (!c->tls || open_socket(c, number) || make_quic(c)) {
        load_stat_complain(env->stat, "no connection: %s", strerror(errno));
        ++env->stat->conn_failed;
        load_http_gone(&c->http, 0);
        load_conn_free(c);
        return NULL;
    }
    watch(c, EPOLL_CTL_ADD, EPOLLIN);
    touch(c);
    send_packets(c);
    return c;
}

static void touch(load_conn *c)
{
    c->http.now = c->env->now;
    if (!c->is_touched) {
        c->is_touched = 1;
        c->touched_next = c->env->touched;
        c->env->touched = c;
    }
}

void load_conn_inherit(load_conn *c, load_conn *from)
{
    load_http_inherit(&c->http, &from->http);
}

static int open_socket(load_conn *c, uint64_t number)
{
    const load_opts *o = c->env->opts;

    c->remote = o->remote;
    if (o->nlocals) {
        c->local = o->local[number % (uint64_t)o->nlocals];
    }
    else if (o->source_port) {
        c->local.sa.sa_family = o->remote.sa.sa_family;
    }
    if (o->source_port) {
        /* The port stands at the same place in both families. */
        c->local.in.sin_port = htons((uint16_t)o->source_port);
    }
    c->fd = load_sock_open(&c->local, &c->remote);
    return c->fd < 0 ? -1 : 0;
}

static ngtcp2_path path_of(load_conn *c)
{
    ngtcp2_path path = { { &c->local.sa, quic_addr_len(&c->local) },
                         { &c->remote.sa, quic_addr_len(&c->remote) },
                         NULL };

    return path;
}

static int make_quic(load_conn *c)
{
    const load_opts *o = c->env->opts;
    ngtcp2_path path = path_of(c);
    ngtcp2_callbacks cb;
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    ngtcp2_cid dcid = { .datalen = 18 }, scid = { .datalen = CID_LEN };

    set_callbacks(&cb);
    ngtcp2_settings_default(&settings);
    settings.initial_ts = c->env->now;
    settings.handshake_timeout = HANDSHAKE_TIMEOUT;
    settings.log_printf = o->verbose > 1 ? on_log : NULL;
    ngtcp2_transport_params_default(&params);
    params.initial_max_stream_data_bidi_local = (uint64_t)o->window;
    params.initial_max_stream_data_uni = 256 << 10;
    params.initial_max_data = (uint64_t)o->conn_window;
    params.initial_max_streams_uni = 100;
    params.max_idle_timeout = IDLE_TIMEOUT;
    params.active_connection_id_limit = 7;
    params.grease_quic_bit = 1;
    quic_keys_rand(dcid.data, dcid.datalen);
    quic_keys_rand(scid.data, scid.datalen);
    if (ngtcp2_conn_client_new(&c->quic, &dcid, &scid, &path, NGTCP2_PROTO_VER_V1, &cb, &settings,
                               &params, NULL, c)) {
        errno = ENOMEM;
        return -1;
    }
    if (quic_crypto_attach(&c->crypto, c->quic, c->tls, 0)) {
        errno = ENOMEM;
        return -1;
    }
    if (o->keep_alive > 0) {
        ngtcp2_conn_set_keep_alive_timeout(c->quic, (ngtcp2_duration)(o->keep_alive * 1e9));
    }
    return 0;
}

static void set_callbacks(ngtcp2_callbacks *cb)
{
    memset(cb, 0, sizeof(*cb));
    quic_crypto_callbacks(cb);
    cb->handshake_completed = on_handshake_completed;
    cb->handshake_confirmed = on_handshake_confirmed;
    cb->recv_stream_data = on_stream_data;
    cb->acked_stream_data_offset = on_acked;
    cb->stream_close = on_stream_close;
    cb->stream_reset = on_stream_reset;
    cb->extend_max_stream_data = on_more_credit;
    cb->recv_stateless_reset2 = on_stateless_reset;
    cb->get_new_connection_id2 = on_new_cid;
    cb->rand = on_rand;
}

void load_conn_on_event(load_conn *c, uint32_t events)
{
    if (c->state == LOAD_CONN_GONE) {
        return;
    }
    touch(c);
    if (events & EPOLLOUT && flush_unsent(c)) {
        return;
    }
    receive(c);
    if (c->state != LOAD_CONN_GONE) {
        send_packets(c);
    }
}

void load_conn_on_timer(load_conn *c)
{
    int rv;

    touch(c);
    load_http_give_credit(&c->http);
    if (ngtcp2_conn_get_expiry(c->quic) <= c->env->now) {
        rv = ngtcp2_conn_handle_expiry(c->quic, c->env->now);
        if (rv) {
            broken(c, rv);
            return;
        }
    }
    send_packets(c);
}

void load_conn_close(load_conn *c)
{
    ngtcp2_ccerr_set_application_error(&c->ccerr, NGHTTP3_H3_NO_ERROR, NULL, 0);
    send_close(c);
    gone(c);
}

void load_conn_free(load_conn *c)
{
    quic_timer_set(&c->env->timers, &c->timer, QUIC_TIMER_NEVER);
    load_http_free(&c->http);
    ngtcp2_conn_del(c->quic);
    load_tls_free(c->tls);
    if (c->fd >= 0) {
        close(c->fd);
    }
    free(c->unsent);
    free(c);
}

static void receive(load_conn *c)
{
    const quic_datagram *d;
    int i, n, turns;

    for (turns = 0; turns < BATCHES_PER_EVENT; ++turns) {
        n = quic_udp_recv(c->env->batch, c->fd, quic_addr_port(&c->local), &d);
        for (i = 0; i < n; ++i) {
            if (read_datagram(c, &d[i])) {
                return;
            }
        }
        if (n <= 0) {
            return;
        }
    }
}

static int read_datagram(load_conn *c, const quic_datagram *d)
{
    load_stat *st = c->env->stat;
    ngtcp2_path path = path_of(c);
    ngtcp2_pkt_info pi = { .ecn = d->ecn };
    int rv;

    if (load_sock_is_lost(c->env->opts->loss)) {
        ++st->dropped_in;
        return 0;
    }
    ++st->dgram_in;
    st->dgram_in_bytes += d->len;
    rv = ngtcp2_conn_read_pkt(c->quic, &path, &pi, d->data, d->len, c->env->now);
    if (rv) {
        broken(c, rv);
    }
    return rv;
}

/* Begins what may be begun and writes until nothing is left to say or the socket is full. */
static void send_packets(load_conn *c)
{
    static uint8_t buffer[SEND_BUFFER];
    load_env *env = c->env;
    ngtcp2_path_storage ps;
    ngtcp2_pkt_info pi;
    ngtcp2_ssize n = 0;
    size_t segsize, done = 0;
    double loss = env->opts->loss;

    if (load_http_begin(&c->http)) {
        broken(c, NGTCP2_ERR_CALLBACK_FAILURE);
        return;
    }
    ngtcp2_path_storage_zero(&ps);
    while (!c->unsent_len) {
        n = ngtcp2_conn_write_aggregate_pkt2(c->quic, &ps.path, &pi, buffer, sizeof(buffer),
                                             &segsize, on_write_pkt, BURST_PACKETS, env->now);
        if (n <= 0) {
            break;
        }
        if (env->opts->rebind && c->state == LOAD_CONN_CONFIRMED
            && c->sent_since_rebind >= (uint64_t)env->opts->rebind) {
            rebind(c);
            loss = 0; /* or the server would never hear of the new port */
        }
        done = load_sock_send(c->fd, &c->local, &c->remote, pi.ecn, buffer, (size_t)n, segsize,
                              loss, env->stat);
        loss = env->opts->loss;
        c->sent_since_rebind += ((size_t)n + segsize - 1) / segsize;
        if (done < (size_t)n && keep_unsent(c, buffer + done, (size_t)n - done, segsize, pi.ecn)) {
            n = NGTCP2_ERR_NOMEM;
            break;
        }
    }
    if (n < 0) {
        broken(c, (int)n);
        return;
    }
    ngtcp2_conn_update_pkt_tx_time(c->quic, env->now);
    set_timer(c);
}

static int keep_unsent(load_conn *c, const uint8_t *data, size_t len, size_t segsize, uint8_t ecn)
{
    c->unsent = malloc(len);
    if (!c->unsent) {
        return -1;
    }
    memcpy(c->unsent, data, len);
    c->unsent_len = len;
    c->unsent_segsize = segsize;
    c->unsent_ecn = ecn;
    watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    return 0;
}

/* 1 while the socket is still full. */
static int flush_unsent(load_conn *c)
{
    size_t done;

    if (!c->unsent_len) {
        return 0;
    }
    done = load_sock_send(c->fd, &c->local, &c->remote, c->unsent_ecn, c->unsent, c->unsent_len,
                          c->unsent_segsize, c->env->opts->loss, c->env->stat);
    c->unsent_len -= done;
    if (c->unsent_len) {
        memmove(c->unsent, c->unsent + done, c->unsent_len);
        return 1;
    }
    free(c->unsent);
    c->unsent = NULL;
    watch(c, EPOLL_CTL_MOD, EPOLLIN);
    return 0;
}

/*
 * As a NAT does it: the datagrams come from another port from now on, and the
 * connection knows nothing of it. Only with something to send at hand: a server
 * that hears nothing from the new port can but talk to the old one.
 * RFC 9000 section 9.3.3
 */
static void rebind(load_conn *c)
{
    quic_addr local = c->local;
    int fd;

    local.in.sin_port = 0;
    c->sent_since_rebind = 0;
    fd = load_sock_open(&local, &c->remote);
    if (fd < 0) {
        load_stat_complain(c->env->stat, "no other port: %s", strerror(errno));
        return;
    }
    close(c->fd);
    c->fd = fd;
    watch(c, EPOLL_CTL_ADD, EPOLLIN);
    ++c->env->stat->rebinds;
}

static void set_timer(load_conn *c)
{
    ngtcp2_tstamp when = ngtcp2_conn_get_expiry(c->quic);

    if (c->http.credit_at < when) {
        when = c->http.credit_at;
    }
    if (when <= c->env->now) {
        /* The socket is full, or the next packet is due: not again in this turn. */
        when = c->env->now + TIMER_SLACK;
    }
    if (quic_timer_set(&c->env->timers, &c->timer, when)) {
        broken(c, NGTCP2_ERR_NOMEM);
    }
}

static void watch(load_conn *c, int op, uint32_t events)
{
    struct epoll_event ev = { .events = events, .data.ptr = c };

    if (epoll_ctl(c->env->epoll, op, c->fd, &ev)) {
        load_stat_complain(c->env->stat, "epoll: %s", strerror(errno));
    }
}

static const char *reason_of(const load_conn *c, int liberr)
{
    const char *refusal = load_tls_refusal(c->tls);

    return refusal ? refusal : ngtcp2_strerror(liberr);
}

/* The connection ended by an error, or by the peer. */
static void broken(load_conn *c, int liberr)
{
    load_stat *st = c->env->stat;
    int was_closed = liberr == NGTCP2_ERR_DRAINING;

    if (c->state == LOAD_CONN_GONE) {
        return;
    }
    if (was_closed && !c->was_reset) {
        count_peers_close(c);
    }
    c->turned_away |= c->http.goaway >= 0 && was_closed;
    if (c->state == LOAD_CONN_HANDSHAKE) {
        load_stat_complain(st, "no handshake: %s (alert %u)", reason_of(c, liberr),
                           c->crypto.alert);
        ++st->conn_failed;
    }
    else if (!c->turned_away || c->env->opts->idle >= 0
             || (c->http.nstreams && !c->env->opts->retry_goaway)) {
        load_stat_complain(st, "connection lost: %s", ngtcp2_strerror(liberr));
        ++st->conn_lost;
    }
    if (!was_closed && liberr != NGTCP2_ERR_IDLE_CLOSE && liberr != NGTCP2_ERR_HANDSHAKE_TIMEOUT) {
        if (liberr == NGTCP2_ERR_CRYPTO) {
            ngtcp2_ccerr_set_tls_alert(&c->ccerr, c->crypto.alert, NULL, 0);
        }
        else if (c->ccerr.error_code == NGTCP2_NO_ERROR) {
            ngtcp2_ccerr_set_liberr(&c->ccerr, liberr, NULL, 0);
        }
        send_close(c);
    }
    gone(c);
}

static void count_peers_close(load_conn *c)
{
    const ngtcp2_ccerr *e = ngtcp2_conn_get_ccerr(c->quic);
    int is_app = e->type == NGTCP2_CCERR_TYPE_APPLICATION;

    load_stat_code(is_app ? &c->env->stat->app_closes : &c->env->stat->transport_closes,
                   e->error_code);
    /* A server may also say goodbye to an idle connection without GOAWAY. */
    c->turned_away |= is_app && e->error_code == NGHTTP3_H3_NO_ERROR && !c->http.nstreams;
}

static void send_close(load_conn *c)
{
    uint8_t buffer[1500];
    ngtcp2_path_storage ps;
    ngtcp2_pkt_info pi;
    ngtcp2_ssize n;

    ngtcp2_path_storage_zero(&ps);
    n = ngtcp2_conn_write_connection_close(c->quic, &ps.path, &pi, buffer, sizeof(buffer),
                                           &c->ccerr, c->env->now);
    if (n > 0) {
        load_sock_send(c->fd, &c->local, &c->remote, pi.ecn, buffer, (size_t)n, (size_t)n,
                       c->env->opts->loss, c->env->stat);
    }
}

static void gone(load_conn *c)
{
    int was_connected = c->state != LOAD_CONN_HANDSHAKE;

    c->state = LOAD_CONN_GONE;
    quic_timer_set(&c->env->timers, &c->timer, QUIC_TIMER_NEVER);
    load_http_gone(&c->http, was_connected && c->turned_away);
}

static int on_handshake_completed(ngtcp2_conn *quic, void *user)
{
    load_conn *c = user;
    load_stat *st = c->env->stat;

    c->state = LOAD_CONN_CONNECTED;
    ++st->connected;
    st->resumed += (uint64_t)load_tls_is_resumed(c->tls);
    load_stat_sample(&st->connect_time, c->env->now - c->opened);
    if (!c->env->opts->handshakes_only && load_http_open(&c->http, quic, &c->ccerr)) {
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
}

static int on_handshake_confirmed(ngtcp2_conn *quic, void *user)
{
    load_conn *c = user;

    (void)quic;
    c->state = LOAD_CONN_CONFIRMED;
    ++c->env->stat->confirmed;
    return 0;
}

static int on_stream_data(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t offset,
                          const uint8_t *data, size_t len, void *user, void *stream)
{
    load_conn *c = user;

    (void)quic;
    (void)offset;
    (void)stream;
    return load_http_recv(&c->http, id, data, len, !!(flags & NGTCP2_STREAM_DATA_FLAG_FIN));
}

static int on_acked(ngtcp2_conn *quic, int64_t id, uint64_t offset, uint64_t len, void *user,
                    void *stream)
{
    (void)quic;
    (void)offset;
    (void)stream;
    return load_http_acked(&((load_conn *)user)->http, id, len);
}

static int on_stream_close(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t code, void *user,
                           void *stream)
{
    (void)quic;
    if (!(flags & NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET)) {
        code = NGHTTP3_H3_NO_ERROR;
    }
    return load_http_closed(&((load_conn *)user)->http, id, code, stream);
}

static int on_stream_reset(ngtcp2_conn *quic, int64_t id, uint64_t size, uint64_t code, void *user,
                           void *stream)
{
    (void)quic;
    (void)size;
    return load_http_reset(&((load_conn *)user)->http, id, code, stream);
}

static int on_more_credit(ngtcp2_conn *quic, int64_t id, uint64_t max, void *user, void *stream)
{
    (void)quic;
    (void)max;
    (void)stream;
    return load_http_unblock(&((load_conn *)user)->http, id);
}

static int on_stateless_reset(ngtcp2_conn *quic, const ngtcp2_pkt_stateless_reset2 *sr, void *user)
{
    load_conn *c = user;

    (void)quic;
    (void)sr;
    c->was_reset = 1;
    ++c->env->stat->stateless_resets;
    return 0;
}

static int on_new_cid(ngtcp2_conn *quic, ngtcp2_cid *cid, ngtcp2_stateless_reset_token *token,
                      size_t cidlen, void *user)
{
    (void)quic;
    (void)user;
    cid->datalen = cidlen;
    quic_keys_rand(cid->data, cidlen);
    quic_keys_rand(token->data, sizeof(token->data));
    return 0;
}

static void on_rand(uint8_t *dest, size_t len, const ngtcp2_rand_ctx *ctx)
{
    (void)ctx;
    quic_keys_rand(dest, len);
}

static ngtcp2_ssize on_write_pkt(ngtcp2_conn *quic, ngtcp2_path *path, ngtcp2_pkt_info *pi,
                                 uint8_t *dest, size_t destlen, ngtcp2_tstamp ts, void *user)
{
    load_conn *c = user;

    c->http.quic = quic;
    return load_http_write_pkt(&c->http, path, pi, dest, destlen, ts);
}

static void on_log(void *user, const char *format, ...)
{
    va_list ap;

    (void)user;
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
}
