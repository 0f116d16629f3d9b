/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/quic_endpoint.h"

#include <stdlib.h>
#include "quic/quic_conn.h"
#include "quic/quic_dispatch.h"
#include "quic/quic_env.h"
#include "quic/quic_udp.h"

/* Datagrams of one socket in one turn, so that timers and other sockets get theirs. */
#define RECV_BUDGET 256
/* What one call asks for; GRO may bring more in each message, never fewer. */
#define RECV_FULL 16

struct quic_endpoint {
    quic_env env;
    quic_dispatch dispatch;
    quic_udp_batch *batch;
};

static void try_gro_again(quic_endpoint *ep);

quic_endpoint *quic_endpoint_create(const quic_endpoint_config *conf, apr_pool_t *pool)
{
    quic_endpoint *ep = calloc(1, sizeof(*ep));
    quic_env *env;

    if (!ep) {
        return NULL;
    }
    env = &ep->env;
    env->server = conf->server;
    env->group = conf->group;
    env->app = conf->app;
    env->app_env = conf->app_env;
    env->any_host = conf->any_host;
    env->limits = conf->limits;
    env->handshake_timeout = conf->handshake_timeout;
    env->max_connections = conf->max_connections;
    env->max_half_open = (conf->max_connections + 3) / 4;
    env->qlog_dir = conf->qlog_dir;
    quic_timer_heap_init(&env->timers);
    quic_dispatch_init(&ep->dispatch, env);
    ep->batch = quic_udp_batch_create(pool);
    env->table = quic_cid_table_create();
    if (!ep->batch || !env->table) {
        quic_endpoint_destroy(ep);
        return NULL;
    }
    return ep;
}

void quic_endpoint_destroy(quic_endpoint *ep)
{
    while (ep->env.all) {
        quic_conn_destroy(ep->env.all);
    }
    quic_timer_heap_free(&ep->env.timers);
    quic_cid_table_destroy(ep->env.table);
    free(ep);
}

void quic_endpoint_serve(quic_endpoint *ep, uint8_t slot, uint8_t epoch, quic_stats *stats)
{
    const quic_group *group = ep->env.group;
    int i;

    ep->env.slot = ep->env.out.slot = slot;
    ep->env.epoch = epoch;
    ep->env.stats = ep->env.out.stats = stats;
    for (i = 0; i < group->n; i++) {
        /* The slot's last owner may have ended while it was off. */
        quic_listener_gro(group->listeners[i], slot, 1);
    }
}

/* ---- a turn ---- */

void quic_endpoint_begin_turn(quic_endpoint *ep, uint64_t now)
{
    ep->env.now = now;
}

void quic_endpoint_recv(quic_endpoint *ep, quic_listener *listener)
{
    int fd = listener->fd[ep->env.slot], budget = RECV_BUDGET, n, i;
    uint16_t port = quic_addr_port(&listener->addr);
    const quic_datagram *dg;

    while (budget > 0 && (n = quic_udp_recv(ep->batch, fd, port, &dg)) > 0) {
        for (i = 0; i < n; i++) {
            quic_dispatch_datagram(&ep->dispatch, listener, &dg[i]);
        }
        if (n < RECV_FULL) {
            break; /* there were fewer than asked for: epoll tells of those that come now */
        }
        budget -= n;
    }
}

void quic_endpoint_unblock(quic_endpoint *ep)
{
    quic_out_unblock(&ep->env.out);
}

void quic_endpoint_tick(quic_endpoint *ep)
{
    quic_conn *conn, *next;

    for (conn = ep->env.all; conn; conn = next) {
        next = conn->next;
        if (conn->app) {
            ep->env.app->tick(conn->app);
        }
    }
    try_gro_again(ep);
}

static void try_gro_again(quic_endpoint *ep)
{
    const quic_group *group = ep->env.group;
    quic_listener *l;
    int i;

    for (i = 0; i < group->n; i++) {
        l = group->listeners[i];
        if (l->gro_off_until && ep->env.now >= l->gro_off_until) {
            l->gro_off_until = 0;
            quic_listener_gro(l, ep->env.slot, 1);
        }
    }
}

void quic_endpoint_end_turn(quic_endpoint *ep)
{
    quic_timer_heap *timers = &ep->env.timers;
    quic_timer *t;
    quic_conn *conn;

    while ((t = quic_timer_first(timers)) && t->at <= ep->env.now) {
        quic_timer_set(timers, t, QUIC_TIMER_NEVER);
        quic_conn_expire(t->owner);
    }
    while ((conn = quic_out_next(&ep->env.out))) {
        quic_conn_write(conn);
    }
}

uint64_t quic_endpoint_next_turn(const quic_endpoint *ep)
{
    const quic_timer *t = quic_timer_first(&ep->env.timers);

    return t ? t->at : QUIC_TIMER_NEVER;
}

unsigned quic_endpoint_connections(const quic_endpoint *ep)
{
    return ep->env.connections;
}

/* ---- the end ---- */

int quic_endpoint_drain(quic_endpoint *ep)
{
    const quic_app_ops *app = ep->env.app;
    quic_conn *conn, *next;

    for (conn = ep->env.all; conn; conn = next) {
        next = conn->next;
        if (conn->state != QUIC_CONN_OPEN || !conn->app) {
            continue;
        }
        app->shutdown(conn->app);
        if (app->is_drained(conn->app)) {
            quic_conn_close(conn);
        }
    }
    return !ep->env.connections && !ep->env.closing;
}

void quic_endpoint_close_all(quic_endpoint *ep)
{
    quic_conn *conn, *next;

    for (conn = ep->env.all; conn; conn = next) {
        next = conn->next;
        quic_conn_close(conn);
    }
}
