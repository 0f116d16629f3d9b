/* SPDX-License-Identifier: Apache-2.0 */
#include "load_http.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <openssl/sha.h>
#include "../../mod_http3/tls/quic_keys.h"

#define NS 1000000000ull
#define CREDIT_TICK (NS / 50)
#define UPLOAD_CHUNK 65536
#define VECS 16
#define QPACK_TABLE 4096
#define QPACK_BLOCKED 100

typedef struct load_stream {
    load_http *http;
    struct load_stream *next, **prev;
    int64_t id;
    load_again what;
    int status;
    int ended;       /* the whole response is here */
    int was_reset;   /* by either side */
    int stopped;     /* by the peer's STOP_SENDING */
    int parked;      /* closed in QUIC, its field section still waits for QPACK */
    int turned_away; /* by GOAWAY or H3_REQUEST_REJECTED */
    uint64_t begun;
    uint64_t body;
    uint64_t sent;           /* of the request body */
    uint64_t owed, credited; /* bytes whose credit is held back; given back so far */
    SHA256_CTX sha;
    int out; /* or -1 */
} load_stream;

static int fail(load_http *h, int liberr);
static int begin_one(load_http *h);
static load_stream *stream_new(load_http *h, int64_t id, const load_again *what);
static void stream_free(load_stream *s);
static void count_end(load_stream *s);
static int repeat(load_http *h, const load_again *what);
static void give_credit_to(load_http *h, load_stream *s);
static int close_parked(load_http *h);
static void stopped(load_http *h, int64_t id);

/* nghttp3 callbacks */
static int on_stream_close(nghttp3_conn *conn, int64_t id, uint64_t code, void *user, void *stream);
static int on_acked(nghttp3_conn *conn, int64_t id, uint64_t len, void *user, void *stream);
static int on_data(nghttp3_conn *conn, int64_t id, const uint8_t *data, size_t len, void *user,
                   void *stream);
static int on_deferred(nghttp3_conn *conn, int64_t id, size_t len, void *user, void *stream);
static int on_header(nghttp3_conn *conn, int64_t id, int32_t token, nghttp3_rcbuf *name,
                     nghttp3_rcbuf *value, uint8_t flags, void *user, void *stream);
static int on_end_headers(nghttp3_conn *conn, int64_t id, int fin, void *user, void *stream);
static int on_end_stream(nghttp3_conn *conn, int64_t id, void *user, void *stream);
static int on_stop_sending(nghttp3_conn *conn, int64_t id, uint64_t code, void *user, void *stream);
static int on_reset_stream(nghttp3_conn *conn, int64_t id, uint64_t code, void *user, void *stream);
static int on_goaway(nghttp3_conn *conn, int64_t id, void *user);
static nghttp3_ssize on_read(nghttp3_conn *conn, int64_t id, nghttp3_vec *vec, size_t veccnt,
                             uint32_t *flags, void *user, void *stream);

void load_http_init(load_http *h, const load_opts *o, load_stat *st, int64_t remaining)
{
    memset(h, 0, sizeof(*h));
    h->opts = o;
    h->stat = st;
    h->remaining = remaining;
    h->goaway = -1;
    h->credit_at = UINT64_MAX;
}

void load_http_inherit(load_http *h, load_http *from)
{
    h->remaining = from->remaining;
    h->next_url = from->next_url;
    h->again = from->again;
    h->nagain = from->nagain;
    h->again_size = from->again_size;
    from->remaining = 0;
    from->again = NULL;
    from->nagain = from->again_size = 0;
}

static int fail(load_http *h, int liberr)
{
    ngtcp2_ccerr_set_application_error(h->ccerr, nghttp3_err_infer_quic_app_error_code(liberr),
                                       NULL, 0);
    load_stat_complain(h->stat, "HTTP/3: %s", nghttp3_strerror(liberr));
    return -1;
}

int load_http_open(load_http *h, ngtcp2_conn *quic, ngtcp2_ccerr *ccerr)
{
    nghttp3_callbacks cb;
    nghttp3_settings settings;
    int64_t id[3];
    int i, rv;

    memset(&cb, 0, sizeof(cb));
    cb.acked_stream_data = on_acked;
    cb.stream_close = on_stream_close;
    cb.recv_data = on_data;
    cb.deferred_consume = on_deferred;
    cb.recv_header = on_header;
    cb.end_headers = on_end_headers;
    cb.end_stream = on_end_stream;
    cb.stop_sending = on_stop_sending;
    cb.reset_stream = on_reset_stream;
    cb.shutdown = on_goaway;
    cb.rand = quic_keys_rand;
    nghttp3_settings_default(&settings);
    settings.qpack_max_dtable_capacity = QPACK_TABLE;
    settings.qpack_encoder_max_dtable_capacity = QPACK_TABLE;
    settings.qpack_blocked_streams = QPACK_BLOCKED;
    h->quic = quic;
    h->ccerr = ccerr;
    rv = nghttp3_conn_client_new(&h->h3, &cb, &settings, NULL, h);
    if (rv) {
        return fail(h, rv);
    }
    for (i = 0; i < 3; ++i) {
        if (ngtcp2_conn_open_uni_stream(quic, &id[i], NULL)) {
            /* RFC 9114 section 6.2: a peer that grants less is a broken one. */
            load_stat_complain(h->stat, "the server grants fewer than 3 unidirectional streams");
            return -1;
        }
    }
    rv = nghttp3_conn_bind_control_stream(h->h3, id[0]);
    if (!rv) {
        rv = nghttp3_conn_bind_qpack_streams(h->h3, id[1], id[2]);
    }
    return rv ? fail(h, rv) : 0;
}

int load_http_begin(load_http *h)
{
    while (h->h3 && h->goaway < 0 && h->nstreams < h->opts->streams && (h->remaining || h->nagain)
           && ngtcp2_conn_get_streams_bidi_left(h->quic)) {
        if (begin_one(h)) {
            return -1;
        }
    }
    return 0;
}

static int begin_one(load_http *h)
{
    nghttp3_data_reader reader = { .read_data = on_read };
    load_again what;
    const load_url *u;
    load_stream *s;
    int64_t id;
    int rv;

    if (h->nagain) {
        what = h->again[--h->nagain];
    }
    else {
        what.url = h->next_url;
        what.number = h->stat->requests++;
        h->next_url = (h->next_url + 1) % h->opts->nurls;
        h->remaining -= h->remaining > 0;
    }
    u = &h->opts->url[what.url];
    if (ngtcp2_conn_open_bidi_stream(h->quic, &id, NULL)) {
        ++h->stat->failed;
        return fail(h, NGHTTP3_ERR_NOMEM);
    }
    s = stream_new(h, id, &what);
    if (!s) {
        ++h->stat->failed;
        return fail(h, NGHTTP3_ERR_NOMEM);
    }
    ngtcp2_conn_set_stream_user_data(h->quic, id, s);
    rv = nghttp3_conn_submit_request(h->h3, id, u->field, u->nfields,
                                     h->opts->upload_size >= 0 ? &reader : NULL, s);
    return rv ? fail(h, rv) : 0;
}

static load_stream *stream_new(load_http *h, int64_t id, const load_again *what)
{
    load_stream *s = calloc(1, sizeof(*s));
    char name[4096];

    if (!s) {
        return NULL;
    }
    s->http = h;
    s->id = id;
    s->what = *what;
    s->begun = h->now;
    s->out = -1;
    if (h->opts->sha256) {
        SHA256_Init(&s->sha);
    }
    if (h->opts->out) {
        snprintf(name, sizeof(name), what->number ? "%s.%" PRIu64 : "%s", h->opts->out,
                 what->number);
        s->out = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (s->out < 0) {
            load_stat_complain(h->stat, "%s: %s", name, strerror(errno));
            free(s);
            return NULL;
        }
    }
    s->prev = &h->streams;
    s->next = h->streams;
    if (s->next) {
        s->next->prev = &s->next;
    }
    h->streams = s;
    ++h->nstreams;
    return s;
}

static void stream_free(load_stream *s)
{
    *s->prev = s->next;
    if (s->next) {
        s->next->prev = s->prev;
    }
    --s->http->nstreams;
    if (s->out >= 0) {
        close(s->out);
    }
    free(s);
}

/* One request is over, well or not. */
static void count_end(load_stream *s)
{
    load_http *h = s->http;
    load_stat *st = h->stat;
    const load_opts *o = h->opts;
    uint8_t digest[32];

    if (s->turned_away && !s->ended && o->retry_goaway && !repeat(h, &s->what)) {
        ++st->repeated;
        return;
    }
    if (s->ended) {
        ++st->status[s->status];
        if (o->sha256) {
            SHA256_Final(digest, &s->sha);
            load_stat_response(st, o->url[s->what.url].text, s->status, s->body, digest);
        }
        if (o->verify ? s->status == o->verify : s->status < 400) {
            ++st->ok;
            return;
        }
    }
    ++st->failed;
    load_stat_complain(st, "%s: %s, status %d, %" PRIu64 " bytes", o->url[s->what.url].text,
                       s->ended ? "unwanted answer" : "no whole answer", s->status, s->body);
}

static int repeat(load_http *h, const load_again *what)
{
    if (h->nagain == h->again_size) {
        size_t size = h->again_size ? 2 * h->again_size : 16;
        load_again *again = realloc(h->again, size * sizeof(*again));

        if (!again) {
            return -1;
        }
        h->again = again;
        h->again_size = size;
    }
    h->again[h->nagain++] = *what;
    return 0;
}

void load_http_stop(load_http *h)
{
    h->remaining = 0;
}

void load_http_give_credit(load_http *h)
{
    load_stream *s;

    if (h->credit_at > h->now) {
        return;
    }
    h->credit_at = UINT64_MAX;
    for (s = h->streams; s; s = s->next) {
        give_credit_to(h, s);
    }
}

static void give_credit_to(load_http *h, load_stream *s)
{
    double seconds = (double)(h->now - s->begun) / (double)NS;
    uint64_t allowed = (uint64_t)(seconds * (double)h->opts->rate_limit);
    uint64_t n = allowed > s->credited ? allowed - s->credited : 0;

    if (n > s->owed) {
        n = s->owed;
    }
    if (n) {
        s->owed -= n;
        s->credited += n;
        ngtcp2_conn_extend_max_stream_offset(h->quic, s->id, n);
    }
    if (s->owed && h->credit_at > h->now + CREDIT_TICK) {
        h->credit_at = h->now + CREDIT_TICK;
    }
}

ngtcp2_ssize load_http_write_pkt(load_http *h, ngtcp2_path *path, ngtcp2_pkt_info *pi,
                                 uint8_t *dest, size_t destlen, ngtcp2_tstamp ts)
{
    nghttp3_vec vec[VECS];
    ngtcp2_ssize len, taken;
    nghttp3_ssize n;
    uint32_t flags;
    int64_t id;
    int fin;

    for (;;) {
        n = 0;
        id = -1;
        fin = 0;
        if (h->h3 && ngtcp2_conn_get_max_data_left(h->quic)) {
            n = nghttp3_conn_writev_stream(h->h3, &id, &fin, vec, VECS);
            if (n < 0) {
                fail(h, (int)n);
                return NGTCP2_ERR_CALLBACK_FAILURE;
            }
        }
        flags = NGTCP2_WRITE_STREAM_FLAG_MORE | (fin ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0);
        len = ngtcp2_conn_writev_stream(h->quic, path, pi, dest, destlen, &taken, flags, id,
                                        (const ngtcp2_vec *)vec, (size_t)n, ts);
        if (len == NGTCP2_ERR_STREAM_DATA_BLOCKED) {
            nghttp3_conn_block_stream(h->h3, id);
            continue;
        }
        if (len == NGTCP2_ERR_STREAM_SHUT_WR || len == NGTCP2_ERR_STREAM_NOT_FOUND) {
            stopped(h, id);
            continue;
        }
        if (id >= 0 && taken >= 0 && (len >= 0 || len == NGTCP2_ERR_WRITE_MORE)
            && nghttp3_conn_add_write_offset(h->h3, id, (size_t)taken)) {
            fail(h, NGHTTP3_ERR_NOMEM);
            return NGTCP2_ERR_CALLBACK_FAILURE;
        }
        if (len != NGTCP2_ERR_WRITE_MORE) {
            return len;
        }
    }
}

/* ngtcp2 answers STOP_SENDING by itself, and says so only when more is to be sent. */
static void stopped(load_http *h, int64_t id)
{
    load_stream *s = ngtcp2_conn_get_stream_user_data(h->quic, id);

    nghttp3_conn_shutdown_stream_write(h->h3, id);
    if (s && !s->was_reset && !s->stopped) {
        s->stopped = 1;
        ++h->stat->stopped;
    }
}

int load_http_recv(load_http *h, int64_t id, const uint8_t *data, size_t len, int fin)
{
    nghttp3_ssize n;

    if (!h->h3) {
        return 0;
    }
    n = nghttp3_conn_read_stream2(h->h3, id, data, len, fin, h->now);
    if (n < 0) {
        fail(h, (int)n);
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    ngtcp2_conn_extend_max_stream_offset(h->quic, id, (uint64_t)n);
    ngtcp2_conn_extend_max_offset(h->quic, (uint64_t)n);
    return h->nparked && close_parked(h) ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

int load_http_acked(load_http *h, int64_t id, uint64_t len)
{
    int rv = h->h3 ? nghttp3_conn_add_ack_offset(h->h3, id, len) : 0;

    return rv ? (fail(h, rv), NGTCP2_ERR_CALLBACK_FAILURE) : 0;
}

int load_http_unblock(load_http *h, int64_t id)
{
    int rv = h->h3 ? nghttp3_conn_unblock_stream(h->h3, id) : 0;

    return rv ? (fail(h, rv), NGTCP2_ERR_CALLBACK_FAILURE) : 0;
}

int load_http_reset(load_http *h, int64_t id, uint64_t code, load_stream *s)
{
    int rv = h->h3 ? nghttp3_conn_shutdown_stream_read(h->h3, id) : 0;

    load_stat_code(&h->stat->resets, code);
    if (rv) {
        fail(h, rv);
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    if (s) {
        s->was_reset = 1;
    }
    if (s && !s->ended) {
        s->turned_away |= code == NGHTTP3_H3_REQUEST_REJECTED;
        /* No answer will come: there is nobody to send the rest of the body to. */
        ngtcp2_conn_shutdown_stream_write(h->quic, 0, id, NGHTTP3_H3_REQUEST_CANCELLED);
    }
    return 0;
}

/*
 * A response may be here to its end before the QPACK instructions that it needs.
 * nghttp3 forgets a stream that is closed then, so it hears of it later.
 */
int load_http_closed(load_http *h, int64_t id, uint64_t code, load_stream *s)
{
    int rv;

    if (s && !s->ended && !s->was_reset) {
        s->parked = 1;
        ++h->nparked;
        return 0;
    }
    rv = h->h3 ? nghttp3_conn_close_stream(h->h3, id, code) : 0;
    if (rv && rv != NGHTTP3_ERR_STREAM_NOT_FOUND) {
        fail(h, rv);
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
}

static int close_parked(load_http *h)
{
    load_stream *s, *next;

    for (s = h->streams; s && h->nparked; s = next) {
        next = s->next;
        if (s->parked && s->ended) {
            --h->nparked;
            if (load_http_closed(h, s->id, NGHTTP3_H3_NO_ERROR, s)) {
                return -1;
            }
        }
    }
    return 0;
}

int load_http_has_work(const load_http *h)
{
    return h->remaining || h->nagain || h->nstreams;
}

void load_http_gone(load_http *h, int may_go_on)
{
    uint64_t unsent;

    while (h->streams) {
        count_end(h->streams);
        stream_free(h->streams);
    }
    if (may_go_on) {
        return;
    }
    unsent = (h->remaining > 0 ? (uint64_t)h->remaining : 0) + h->nagain;
    h->stat->unsent += unsent;
    h->stat->failed += unsent;
    h->remaining = 0;
    h->nagain = 0;
}

void load_http_free(load_http *h)
{
    nghttp3_conn_del(h->h3);
    free(h->again);
}

static int on_stream_close(nghttp3_conn *conn, int64_t id, uint64_t code, void *user, void *stream)
{
    load_stream *s = stream;

    (void)conn;
    (void)id;
    (void)code;
    (void)user;
    if (s) {
        count_end(s);
        stream_free(s);
    }
    return 0;
}

static int on_acked(nghttp3_conn *conn, int64_t id, uint64_t len, void *user, void *stream)
{
    (void)conn;
    (void)id;
    (void)stream;
    ((load_http *)user)->stat->upload += len;
    return 0;
}

static int on_data(nghttp3_conn *conn, int64_t id, const uint8_t *data, size_t len, void *user,
                   void *stream)
{
    load_http *h = user;
    load_stream *s = stream;

    (void)conn;
    s->body += len;
    h->stat->body += len;
    if (h->opts->sha256) {
        SHA256_Update(&s->sha, data, len);
    }
    if (s->out >= 0 && write(s->out, data, len) != (ssize_t)len) {
        load_stat_complain(h->stat, "%s: %s", h->opts->out, strerror(errno));
        return NGHTTP3_ERR_CALLBACK_FAILURE;
    }
    ngtcp2_conn_extend_max_offset(h->quic, len);
    if (h->opts->rate_limit) {
        s->owed += len;
        give_credit_to(h, s);
    }
    else {
        ngtcp2_conn_extend_max_stream_offset(h->quic, id, len);
    }
    return 0;
}

static int on_deferred(nghttp3_conn *conn, int64_t id, size_t len, void *user, void *stream)
{
    load_http *h = user;

    (void)conn;
    (void)stream;
    ngtcp2_conn_extend_max_stream_offset(h->quic, id, len);
    ngtcp2_conn_extend_max_offset(h->quic, len);
    return 0;
}

static int on_header(nghttp3_conn *conn, int64_t id, int32_t token, nghttp3_rcbuf *name,
                     nghttp3_rcbuf *value, uint8_t flags, void *user, void *stream)
{
    load_http *h = user;
    load_stream *s = stream;
    nghttp3_vec n = nghttp3_rcbuf_get_buf(name), v = nghttp3_rcbuf_get_buf(value);

    (void)conn;
    (void)flags;
    if (token == NGHTTP3_QPACK_TOKEN__STATUS && s) {
        /* nghttp3 has checked that these are three digits. */
        s->status = (v.base[0] - '0') * 100 + (v.base[1] - '0') * 10 + (v.base[2] - '0');
        s->status = s->status < 600 ? s->status : 599;
    }
    if (h->opts->verbose) {
        fprintf(stderr, "[%" PRId64 "] %.*s: %.*s\n", id, (int)n.len, (const char *)n.base,
                (int)v.len, (const char *)v.base);
    }
    return 0;
}

static int on_end_headers(nghttp3_conn *conn, int64_t id, int fin, void *user, void *stream)
{
    load_http *h = user;
    load_stream *s = stream;

    (void)conn;
    (void)id;
    (void)fin;
    if (s && s->status < 200) {
        ++h->stat->informational;
    }
    return 0;
}

static int on_end_stream(nghttp3_conn *conn, int64_t id, void *user, void *stream)
{
    load_http *h = user;
    load_stream *s = stream;

    (void)conn;
    (void)id;
    if (s) {
        s->ended = 1;
        load_stat_sample(&h->stat->request_time, h->now - s->begun);
    }
    return 0;
}

static int on_stop_sending(nghttp3_conn *conn, int64_t id, uint64_t code, void *user, void *stream)
{
    load_http *h = user;
    load_stream *s = stream;

    (void)conn;
    if (s) {
        s->was_reset = 1;
    }
    return ngtcp2_conn_shutdown_stream_read(h->quic, 0, id, code) ? NGHTTP3_ERR_CALLBACK_FAILURE
                                                                  : 0;
}

static int on_reset_stream(nghttp3_conn *conn, int64_t id, uint64_t code, void *user, void *stream)
{
    load_http *h = user;
    load_stream *s = stream;

    (void)conn;
    if (s) {
        s->was_reset = 1;
    }
    return ngtcp2_conn_shutdown_stream_write(h->quic, 0, id, code) ? NGHTTP3_ERR_CALLBACK_FAILURE
                                                                   : 0;
}

/* RFC 9114 section 5.2: what is at or above the id was not and will not be processed. */
static int on_goaway(nghttp3_conn *conn, int64_t id, void *user)
{
    load_http *h = user;
    load_stream *s;

    (void)conn;
    if (h->goaway < 0) {
        ++h->stat->goaway;
    }
    h->goaway = id;
    for (s = h->streams; s; s = s->next) {
        if (s->id >= id && !s->ended && !s->turned_away) {
            s->turned_away = s->was_reset = 1;
            ngtcp2_conn_shutdown_stream(h->quic, 0, s->id, NGHTTP3_H3_REQUEST_CANCELLED);
        }
    }
    return 0;
}

static nghttp3_ssize on_read(nghttp3_conn *conn, int64_t id, nghttp3_vec *vec, size_t veccnt,
                             uint32_t *flags, void *user, void *stream)
{
    load_http *h = user;
    load_stream *s = stream;
    const load_opts *o = h->opts;
    uint64_t left = (uint64_t)o->upload_size - s->sent;
    size_t at;

    (void)conn;
    (void)id;
    (void)veccnt;
    if (left == 0) {
        *flags |= NGHTTP3_DATA_FLAG_EOF;
        return 0;
    }
    at = s->sent % o->upload_data_len;
    vec->base = (uint8_t *)(uintptr_t)(o->upload_data + at);
    vec->len = o->upload_data_len - at;
    if (vec->len > UPLOAD_CHUNK) {
        vec->len = UPLOAD_CHUNK;
    }
    if (vec->len > left) {
        vec->len = (size_t)left;
    }
    s->sent += vec->len;
    if (vec->len == left) {
        *flags |= NGHTTP3_DATA_FLAG_EOF;
    }
    return 1;
}
