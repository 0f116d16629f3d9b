/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/h3_sockets.h"

#include <errno.h>
#include <stdlib.h>
#include "ap_mpm.h"
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"
#include "conf/h3_config.h"
#include "conf/h3_listen.h"
#include "conf/h3_retained.h"
#include "quic/quic_route.h"

APLOG_USE_MODULE(http3);

static int slots_wanted(void);
static quic_listener *take_open(quic_group *group, const h3_listen_plan *planned);
static void close_all(quic_group *group);
static quic_listener *open_one(const h3_listen_plan *planned, int nslots, int bufsize,
                               server_rec *s);
static int bind_one(quic_listener *l, server_rec *s);
static void log_failure(const quic_addr *addr, const char *what, apr_status_t rv, int waiting,
                        server_rec *s);
static void warn_of_the_kernel(const quic_group *group, int wanted, server_rec *s);
static int reads_twice(void);

void h3_sockets_open(server_rec *main_server)
{
    const h3_config *cfg = h3_config_get(main_server);
    const apr_array_header_t *plan = h3_listen_planned();
    h3_retained *r = plan->nelts ? h3_retained_create(slots_wanted()) : h3_retained_get();
    quic_group *group;
    quic_listener **kept;
    int i;

    if (!r) {
        if (plan->nelts && !reads_twice()) {
            ap_log_error(APLOG_MARK, APLOG_CRIT, errno, main_server,
                         APLOGNO(20105) "no shared memory for HTTP/3's slots: the server goes on "
                                        "without HTTP/3");
        }
        return;
    }
    group = &r->group;
    kept = calloc((size_t)plan->nelts + 1, sizeof(*kept));
    ap_assert(kept != NULL);
    for (i = 0; i < plan->nelts; ++i) {
        kept[i] = take_open(group, APR_ARRAY_IDX(plan, i, const h3_listen_plan *));
    }
    /* Closed before others are opened: [::]:443 may have to make room for 192.0.2.1:443. */
    close_all(group);
    group->listeners = kept;
    for (i = 0; i < plan->nelts; ++i) {
        quic_listener *l = kept[i];

        if (l) {
            quic_listener_set_bufsize(l, cfg->socket_buffer_size);
        }
        else {
            l = open_one(APR_ARRAY_IDX(plan, i, const h3_listen_plan *),
                         quic_route_nslots(group->route), cfg->socket_buffer_size, main_server);
        }
        if (l && bind_one(l, main_server)) {
            kept[group->n++] = l;
        }
        else if (l) {
            quic_listener_close(l);
        }
    }
    if (group->n) {
        quic_route_attach(group);
        if (!reads_twice()) {
            warn_of_the_kernel(group, cfg->socket_buffer_size, main_server);
        }
    }
}

/* As many as there can be children: a draining one keeps its place in the scoreboard as well. */
static int slots_wanted(void)
{
    int daemons = 0;

    ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &daemons);
    return daemons < 1 ? 1 : daemons > QUIC_SLOTS_MAX ? QUIC_SLOTS_MAX : daemons;
}

/* The open listener of this address, taken out of the group; NULL if there is none. */
static quic_listener *take_open(quic_group *group, const h3_listen_plan *planned)
{
    int i;

    for (i = 0; i < group->n; ++i) {
        quic_listener *l = group->listeners[i];

        if (l && quic_addr_equal(&l->addr, &planned->addr) && l->v6only == planned->v6only) {
            group->listeners[i] = NULL;
            l->tcp_port = planned->tcp_port;
            return l;
        }
    }
    return NULL;
}

/* Those that have not been taken out. */
static void close_all(quic_group *group)
{
    int i;

    for (i = 0; i < group->n; ++i) {
        if (group->listeners[i]) {
            quic_listener_close(group->listeners[i]);
        }
    }
    free(group->listeners);
    group->listeners = NULL;
    group->n = 0;
}

static quic_listener *open_one(const h3_listen_plan *planned, int nslots, int bufsize,
                               server_rec *s)
{
    const char *what = "socket";
    quic_listener *l;
    apr_status_t rv = quic_listener_open(&l, &planned->addr, planned->tcp_port, planned->v6only,
                                         nslots, bufsize, &what);

    if (rv != APR_SUCCESS) {
        log_failure(&planned->addr, what, rv, 0, s);
    }
    return l;
}

/*
 * 1 if it is bound, or will be when its address is free. Its sockets are kept for that: children
 * inherit only what there is at the fork, but what the parent binds later is bound in all of them.
 */
static int bind_one(quic_listener *l, server_rec *s)
{
    const char *what;
    apr_status_t rv = quic_listener_bind(l, &what);

    l->waiting = rv == APR_FROM_OS_ERROR(EADDRINUSE) || rv == APR_FROM_OS_ERROR(EADDRNOTAVAIL);
    if (rv != APR_SUCCESS) {
        log_failure(&l->addr, what, rv, l->waiting, s);
    }
    return rv == APR_SUCCESS || l->waiting;
}

static void log_failure(const quic_addr *addr, const char *what, apr_status_t rv, int waiting,
                        server_rec *s)
{
    char str[QUIC_ADDR_STRLEN];

    if (reads_twice()) {
        return; /* the second time decides */
    }
    ap_log_error(
        APLOG_MARK, APLOG_CRIT, rv, s, APLOGNO(20106) "could not open UDP address %s (%s)%s; %s",
        quic_addr_str(str, addr), what,
        rv == APR_FROM_OS_ERROR(EADDRINUSE) ? ": another program has it, maybe another server with "
                                              "HTTP/3, or one of before that ends its last requests"
                                            : "",
        waiting ? "HTTP/3 begins there as soon as it can, until then the server goes on without it"
                : "the server goes on without HTTP/3 on it");
}

static void warn_of_the_kernel(const quic_group *group, int wanted, server_rec *s)
{
    char str[QUIC_ADDR_STRLEN];
    int i;

    if (!quic_route_is_steered(group->route)) {
        ap_log_error(
            APLOG_MARK, APLOG_WARNING, 0, s,
            APLOGNO(20107) "the kernel refuses SO_ATTACH_REUSEPORT_CBPF: only one child at a time "
                           "serves HTTP/3");
    }
    for (i = 0; i < group->n; ++i) {
        const quic_listener *l = group->listeners[i];
        int small = l->rcvbuf < wanted;

        if (small || l->sndbuf < wanted) {
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                         APLOGNO(20108) "the %s buffer of UDP %s has %d bytes, "
                                        "H3SocketBufferSize is %d: raise net.core.%s",
                         small ? "receive" : "send", quic_addr_str(str, &l->addr),
                         small ? l->rcvbuf : l->sndbuf, wanted, small ? "rmem_max" : "wmem_max");
        }
    }
}

/* At the start httpd reads its configuration, and opens all, once more after this. */
static int reads_twice(void)
{
    return ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG;
}

void h3_sockets_close_idle(server_rec *main_server)
{
    h3_retained *r = h3_retained_get();
    int i, kept = 0;

    for (i = 0; r && i < r->group.n; ++i) {
        quic_listener *l = r->group.listeners[i];
        const h3_listen_plan planned = { l->addr, l->v6only, l->tcp_port };

        if (h3_listen_is_needed(&planned, main_server)) {
            r->group.listeners[kept++] = l;
        }
        else {
            quic_listener_close(l);
        }
    }
    if (r) {
        r->group.n = kept;
    }
}

void h3_sockets_retry(server_rec *main_server)
{
    h3_retained *r = h3_retained_get();
    char str[QUIC_ADDR_STRLEN];
    int i, bound = 0;

    for (i = 0; r && i < r->group.n; ++i) {
        quic_listener *l = r->group.listeners[i];
        const char *what;
        apr_status_t rv;

        if (!l->waiting) {
            continue;
        }
        rv = quic_listener_bind(l, &what);
        if (rv == APR_FROM_OS_ERROR(EADDRINUSE) || rv == APR_FROM_OS_ERROR(EADDRNOTAVAIL)) {
            continue; /* said at the start, and maybe true for ever */
        }
        l->waiting = 0;
        if (rv != APR_SUCCESS) {
            log_failure(&l->addr, what, rv, 0, main_server);
            continue;
        }
        ++bound;
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, main_server,
                     APLOGNO(20119) "HTTP/3 on UDP %s: the address has become free",
                     quic_addr_str(str, &l->addr));
    }
    if (bound) {
        quic_route_refresh(&r->group);
    }
}

int h3_sockets_look(const quic_group *group)
{
    int i, bound = 0;

    for (i = 0; i < group->n; ++i) {
        bound += quic_listener_look(group->listeners[i]);
    }
    return bound;
}

apr_port_t h3_sockets_port_for(const apr_sockaddr_t *local)
{
    const h3_retained *r = h3_retained_get();
    int i;

    for (i = 0; r && i < r->group.n; ++i) {
        const quic_listener *l = r->group.listeners[i];

        if (l->tcp_port == local->port && quic_listener_is_bound(l)
            && h3_listen_covers(&l->addr, local)) {
            return quic_addr_port(&l->addr);
        }
    }
    return 0;
}
