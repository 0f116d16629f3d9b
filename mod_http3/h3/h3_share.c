/* SPDX-License-Identifier: Apache-2.0 */
#include "h3/h3_share.h"

/* Windows in the handshake: what an ordinary form needs, and a path that is not far. */
#define WINDOW_FIRST (256 * 1024)
#define CONN_WINDOW_FIRST (1024 * 1024)
/* Of response bytes: an ordinary page, so that its worker is done with it at once. */
#define SEND_FIRST (256 * 1024)
#define SEND_LEAST 4096
/* A limit that is so near to what it should be is left alone. */
#define NEAR_PART 8

static size_t first(const h3_config *conf);
static size_t pool(const h3_config *conf);
static void set_limit(h3_share *sh, h3_stream *s, size_t limit);
static void count(h3_share *sh, h3_stream_share *its, int counts);
static void grow_conn(h3_share *sh, uint64_t by);

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void h3_share_limits(quic_limits *limits, const h3_config *conf)
{
    limits->window = least((uint64_t)conf->window_size, WINDOW_FIRST);
    limits->conn_window = least((uint64_t)conf->conn_window_size, CONN_WINDOW_FIRST);
}

void h3_share_open(h3_share *sh, const h3_config *conf, quic_conn *conn, h3_budget *windows_budget)
{
    quic_limits limits;

    sh->conf = conf;
    sh->conn = conn;
    sh->windows_budget = windows_budget;
    h3_share_limits(&limits, conf);
    h3_window_init(&sh->window, limits.conn_window, (uint64_t)conf->conn_window_size,
                   quic_conn_now(conn));
}

void h3_share_close(h3_share *sh)
{
    if (sh->windows_budget) {
        h3_budget_give(sh->windows_budget, sh->window_held);
    }
}

void h3_share_begin(h3_share *sh, h3_stream *s)
{
    quic_limits limits;

    h3_share_limits(&limits, sh->conf);
    h3_window_init(&h3_stream_share_of(s)->window, limits.window, (uint64_t)sh->conf->window_size,
                   quic_conn_now(sh->conn));
}

/* ---- outwards ---- */

/* Every stream may have so much, however many there are. */
static size_t first(const h3_config *conf)
{
    uint64_t each = (uint64_t)conf->conn_max_mem / (uint64_t)conf->max_session_streams;

    each = least(least(each, SEND_FIRST), (uint64_t)conf->stream_max_mem);
    return each > SEND_LEAST ? (size_t)each : SEND_LEAST;
}

/* What there is beyond that. */
static size_t pool(const h3_config *conf)
{
    uint64_t firsts = (uint64_t)first(conf) * (uint64_t)conf->max_session_streams;

    return (uint64_t)conf->conn_max_mem > firsts ? (size_t)conf->conn_max_mem - (size_t)firsts : 0;
}

size_t h3_share_at_first(const h3_share *sh)
{
    return first(sh->conf);
}

/* The pipe does not go below what is in memory. */
static void set_limit(h3_share *sh, h3_stream *s, size_t limit)
{
    h3_stream_share *its = h3_stream_share_of(s);
    size_t base = first(sh->conf), left = pool(sh->conf), others = sh->send_extra - its->extra;

    left = left > others ? left - others : 0;
    limit = limit > base ? limit : base;
    limit = h3_stream_set_limit(s, limit - base < left ? limit : base + left);
    its->extra = limit > base ? limit - base : 0;
    sh->send_extra = others + its->extra;
}

static void count(h3_share *sh, h3_stream_share *its, int counts)
{
    sh->senders += (unsigned)(counts - its->counts);
    its->counts = counts;
}

void h3_share_run(h3_share *sh, h3_stream *s)
{
    count(sh, h3_stream_share_of(s), 1);
    h3_share_adjust(sh, s);
}

void h3_share_adjust(h3_share *sh, h3_stream *s)
{
    h3_stream_share *its = h3_stream_share_of(s);
    size_t has = first(sh->conf) + its->extra, want = 0, off;
    ngtcp2_conn_info info;

    if (its->counts && h3_stream_is_left(s) && !h3_stream_has_more(s)) {
        count(sh, its, 0); /* all that there is has been read */
    }
    if (its->counts) {
        ngtcp2_conn_get_conn_info(sh->conn->nc, &info);
        want = (size_t)least(h3_window_to_send(info.cwnd) / sh->senders,
                             (uint64_t)sh->conf->stream_max_mem);
    }
    off = want > has ? want - has : has - want;
    if (off > has / NEAR_PART && (want > has || its->extra)) {
        set_limit(sh, s, want);
    }
}

void h3_share_end(h3_share *sh, h3_stream *s)
{
    h3_stream_share *its = h3_stream_share_of(s);

    count(sh, its, 0);
    sh->send_extra -= its->extra;
    its->extra = 0;
}

/* ---- inwards ---- */

int h3_share_credit(h3_share *sh, h3_stream *s, uint64_t n)
{
    uint64_t now = quic_conn_now(sh->conn), more;
    ngtcp2_conn_info info;
    h3_window *w;

    ngtcp2_conn_get_conn_info(sh->conn->nc, &info);
    more = h3_window_used(&sh->window, n, now, info.smoothed_rtt);
    if (more) {
        grow_conn(sh, more);
    }
    if (!s) {
        return 0;
    }
    w = &h3_stream_share_of(s)->window;
    more = h3_window_used(w, n, now, info.smoothed_rtt);
    if (!more || w->size + more > sh->window.size) {
        return 0; /* one stream takes no more than its connection has */
    }
    h3_window_grow(w, more);
    return ngtcp2_conn_extend_max_stream_offset(sh->conn->nc, h3_stream_id(s), more);
}

static void grow_conn(h3_share *sh, uint64_t by)
{
    size_t cost = quic_limits_mem_of_window(by);

    if (sh->window_held + cost <= h3_budget_share(sh->windows_budget)
        && h3_budget_take(sh->windows_budget, cost)) {
        sh->window_held += cost;
        h3_window_grow(&sh->window, by);
        quic_conn_grow_window(sh->conn, by);
    }
}
