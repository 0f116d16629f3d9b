/* SPDX-License-Identifier: Apache-2.0 */
#include "h3_listen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <apr_strings.h>
#include "ap_listen.h"
#include "ap_mpm.h"
#include "http_core.h"
#include "http_log.h"

APLOG_USE_MODULE(http3);

static apr_array_header_t *plan; /* const h3_planned *; of the configuration being served */

static int is_any(const quic_addr *a);
static quic_addr from_sockaddr(const apr_sockaddr_t *sa);
static int covers(const quic_addr *a, const apr_sockaddr_t *host);
static int host_is_on(const h3_planned *planned, const server_rec *s);
static int family_works(int family);
static apr_status_t plan_h3listen(const h3_listen *l, server_rec *main_server, apr_pool_t *p);
static void plan_tcp(apr_pool_t *p);
static void warn_of_idle(const h3_listen *l, server_rec *main_server);
static int is_planned(const quic_addr *addr);
static int anybody_is_served(const h3_planned *planned, server_rec *main_server);
static int dual_stack_is_planned(apr_port_t port);
static int slots_wanted(void);
static apr_status_t open_one(quic_listener **l, const h3_planned *planned, int nslots, int bufsize,
                             server_rec *s);
static int is_restart(void);
static quic_listener *take_open(h3_retained *r, const h3_planned *planned);
static void warn_of_the_kernel(const h3_retained *r, int wanted, server_rec *s);

/* ---- the plan ---- */

apr_status_t h3_listen_plan(server_rec *main_server, apr_pool_t *pconf)
{
    const h3_config *cfg = h3_config_get(main_server);
    apr_status_t rv = APR_SUCCESS;
    server_rec *s;
    int i, kept;

    plan = apr_array_make(pconf, 4, sizeof(const h3_planned *));
    for (i = 0; rv == APR_SUCCESS && i < cfg->listens->nelts; ++i) {
        rv = plan_h3listen(APR_ARRAY_IDX(cfg->listens, i, h3_listen *), main_server, pconf);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (cfg->listens->nelts == 0) {
        plan_tcp(pconf);
    }
    for (i = 0, kept = 0; i < plan->nelts; ++i) {
        const h3_planned *planned = APR_ARRAY_IDX(plan, i, const h3_planned *);

        if (anybody_is_served(planned, main_server)) {
            APR_ARRAY_IDX(plan, kept++, const h3_planned *) = planned;
        }
        else if (cfg->listens->nelts) {
            warn_of_idle(APR_ARRAY_IDX(cfg->listens, i, h3_listen *), main_server);
        }
    }
    plan->nelts = kept;

    for (s = main_server; s; s = s->next) {
        h3_config *host = h3_config_get(s);

        for (i = 0; !host->off_reason && i < plan->nelts; ++i) {
            if (h3_listen_stands_for(APR_ARRAY_IDX(plan, i, const h3_planned *), s)) {
                break;
            }
        }
        if (!host->off_reason && i == plan->nelts) {
            host->off_reason = cfg->listens->nelts ? "no H3Listen stands for its address"
                                                   : "no Listen stands for its address";
        }
    }
    return APR_SUCCESS;
}

/* Where nobody wants HTTP/3 at all there is nothing to warn of. */
static void warn_of_idle(const h3_listen *l, server_rec *main_server)
{
    server_rec *s = main_server;

    while (s && h3_config_get(s)->off_reason) {
        s = s->next;
    }
    if (s) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, main_server,
                     APLOGNO(20103) "H3Listen %d (%s:%d) is not opened: no virtual host with "
                                    "HTTP/3 has TCP port "
                                    "%d on this address",
                     l->port, l->directive->filename, l->directive->line_num, l->tcp_port);
    }
}

const apr_array_header_t *h3_listen_planned(void)
{
    return plan;
}

int h3_listen_stands_for(const h3_planned *planned, const server_rec *s)
{
    const server_rec *other;

    if (s->is_virtual) {
        return host_is_on(planned, s);
    }
    /* The main server gets what no virtual host claims. */
    for (other = s->next; other; other = other->next) {
        const server_addr_rec *sar;

        for (sar = other->addrs; sar; sar = sar->next) {
            quic_addr a = from_sockaddr(sar->host_addr);

            if ((sar->host_port == 0 || sar->host_port == planned->tcp_port)
                && (is_any(&a)
                    || (!is_any(&planned->addr) && covers(&planned->addr, sar->host_addr)))) {
                return 0;
            }
        }
    }
    return 1;
}

static int host_is_on(const h3_planned *planned, const server_rec *s)
{
    const server_addr_rec *sar;

    for (sar = s->addrs; sar; sar = sar->next) {
        if ((sar->host_port == 0 || sar->host_port == planned->tcp_port)
            && covers(&planned->addr, sar->host_addr)) {
            return 1;
        }
    }
    return 0;
}

const char *h3_listen_without_udp(server_rec *main_server, apr_pool_t *p)
{
    const char *list = "";
    const ap_listen_rec *lr;
    char str[QUIC_ADDR_STRLEN];
    int i;

    for (lr = ap_listeners; lr; lr = lr->next) {
        const h3_planned tcp = { from_sockaddr(lr->bind_addr), 0, lr->bind_addr->port };

        for (i = 0; i < plan->nelts; ++i) {
            const h3_planned *planned = APR_ARRAY_IDX(plan, i, const h3_planned *);

            if (planned->tcp_port == tcp.tcp_port && covers(&planned->addr, lr->bind_addr)) {
                break;
            }
        }
        if (i == plan->nelts && anybody_is_served(&tcp, main_server)) {
            list = apr_pstrcat(p, list, *list ? ", " : "", quic_addr_str(str, &tcp.addr), NULL);
        }
    }
    return list;
}

static int anybody_is_served(const h3_planned *planned, server_rec *main_server)
{
    server_rec *s;

    for (s = main_server; s; s = s->next) {
        if (!h3_config_get(s)->off_reason && h3_listen_stands_for(planned, s)) {
            return 1;
        }
    }
    return 0;
}

static apr_status_t plan_h3listen(const h3_listen *l, server_rec *main_server, apr_pool_t *p)
{
    h3_planned *planned = apr_pcalloc(p, sizeof(*planned));
    const char *addr = l->addr ? l->addr : family_works(AF_INET6) ? "::" : "0.0.0.0";
    apr_sockaddr_t *sa;
    apr_status_t rv;

    rv = apr_sockaddr_info_get(&sa, addr, APR_UNSPEC, l->port, 0, p);
    if (rv == APR_SUCCESS && l->scope) {
        rv = apr_sockaddr_zone_set(sa, l->scope);
    }
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_ERR, rv, main_server,
                     APLOGNO(20104) "H3Listen (%s:%d): address %s cannot be used",
                     l->directive->filename, l->directive->line_num, addr);
        return rv;
    }
    planned->addr = from_sockaddr(sa);
    planned->tcp_port = l->tcp_port;
    /* [::] written out is as wide as Listen makes it; without an address it is always both. */
#ifndef AP_ENABLE_V4_MAPPED
    planned->v6only = l->addr != NULL && planned->addr.sa.sa_family == AF_INET6;
#endif
    APR_ARRAY_PUSH(plan, const h3_planned *) = planned;
    return APR_SUCCESS;
}

static void plan_tcp(apr_pool_t *p)
{
    const ap_listen_rec *lr;
    int family, i;
    static const int order[] = { AF_INET6, AF_INET };

    /* IPv6 first: before open_logs both wildcards may still be in ap_listeners in either order. */
    for (i = 0; i < 2; ++i) {
        family = order[i];
        for (lr = ap_listeners; lr; lr = lr->next) {
            h3_planned *planned;
            quic_addr addr = from_sockaddr(lr->bind_addr);

            if (addr.sa.sa_family != family || is_planned(&addr)
                || (is_any(&addr) && family == AF_INET
                    && dual_stack_is_planned(lr->bind_addr->port))
                || (is_any(&addr) && !family_works(family))) {
                continue;
            }
            planned = apr_pcalloc(p, sizeof(*planned));
            planned->addr = addr;
            planned->tcp_port = lr->bind_addr->port;
#ifndef AP_ENABLE_V4_MAPPED
            planned->v6only = family == AF_INET6;
#endif
            APR_ARRAY_PUSH(plan, const h3_planned *) = planned;
        }
    }
}

static int is_planned(const quic_addr *addr)
{
    int i;

    for (i = 0; i < plan->nelts; ++i) {
        if (quic_addr_equal(&APR_ARRAY_IDX(plan, i, const h3_planned *)->addr, addr)) {
            return 1;
        }
    }
    return 0;
}

static int dual_stack_is_planned(apr_port_t port)
{
    int i;

    for (i = 0; i < plan->nelts; ++i) {
        const h3_planned *planned = APR_ARRAY_IDX(plan, i, const h3_planned *);

        if (planned->addr.sa.sa_family == AF_INET6 && !planned->v6only && is_any(&planned->addr)
            && quic_addr_port(&planned->addr) == port) {
            return 1;
        }
    }
    return 0;
}

/* ---- addresses ---- */

static int is_any(const quic_addr *a)
{
    return a->sa.sa_family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr)
                                       : a->in.sin_addr.s_addr == INADDR_ANY;
}

static quic_addr from_sockaddr(const apr_sockaddr_t *sa)
{
    quic_addr a;

    memset(&a, 0, sizeof(a));
    if (sa->family == APR_INET6) {
        a.in6 = sa->sa.sin6;
    }
    else {
        a.in = sa->sa.sin;
    }
    return a;
}

/* Can a connection to `a` be one to `host`? httpd takes a wildcard of either family for both. */
static int covers(const quic_addr *a, const apr_sockaddr_t *host)
{
    quic_addr b = from_sockaddr(host);
    quic_addr left = *a;

    if (is_any(a) || is_any(&b)) {
        return 1;
    }
    quic_addr_unmap(&left);
    quic_addr_unmap(&b);
    if (left.sa.sa_family != b.sa.sa_family) {
        return 0;
    }
    return b.sa.sa_family == AF_INET6 ? IN6_ARE_ADDR_EQUAL(&left.in6.sin6_addr, &b.in6.sin6_addr)
                                      : left.in.sin_addr.s_addr == b.in.sin_addr.s_addr;
}

static int family_works(int family)
{
    quic_addr any;
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int works;

    if (fd < 0) {
        return 0;
    }
    memset(&any, 0, sizeof(any));
    any.sa.sa_family = (sa_family_t)family;
    works = bind(fd, &any.sa, quic_addr_len(&any)) == 0;
    close(fd);
    return works;
}

/* ---- sockets ---- */

apr_status_t h3_listen_open(server_rec *main_server)
{
    const h3_config *cfg = h3_config_get(main_server);
    h3_retained *r = plan->nelts ? h3_retained_create(slots_wanted()) : h3_retained_get();
    quic_listener **kept;
    apr_status_t rv = APR_SUCCESS;
    int i;

    if (!r) {
        if (plan->nelts) {
            rv = APR_FROM_OS_ERROR(errno);
            ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_CRIT, rv, main_server,
                         APLOGNO(20105) "no shared memory for HTTP/3's slots");
        }
        return rv;
    }
    kept = calloc((size_t)plan->nelts + 1, sizeof(*kept));
    ap_assert(kept != NULL);
    for (i = 0; i < plan->nelts; ++i) {
        kept[i] = take_open(r, APR_ARRAY_IDX(plan, i, const h3_planned *));
    }
    /* Closed before others are opened: [::]:443 may have to make room for 192.0.2.1:443. */
    for (i = 0; i < r->nlisteners; ++i) {
        if (r->listeners[i]) {
            quic_listener_close(r->listeners[i]);
        }
    }
    free(r->listeners);
    r->listeners = kept;
    r->nlisteners = 0;
    for (i = 0; rv == APR_SUCCESS && i < plan->nelts; ++i) {
        quic_listener *l = kept[i];

        if (l) {
            quic_listener_set_bufsize(l, cfg->socket_buffer_size);
        }
        else {
            rv = open_one(&l, APR_ARRAY_IDX(plan, i, const h3_planned *),
                          quic_route_nslots(r->route), cfg->socket_buffer_size, main_server);
        }
        if (rv == APR_SUCCESS) {
            kept[r->nlisteners++] = l;
        }
        else if (is_restart()) {
            rv = APR_SUCCESS; /* to fail now would end the whole running server */
        }
    }
    if (rv == APR_SUCCESS && r->nlisteners) {
        quic_route_attach(r->route, &r->cid_secret, r->listeners, r->nlisteners);
        if (ap_state_query(AP_SQ_MAIN_STATE) != AP_SQ_MS_CREATE_PRE_CONFIG) {
            warn_of_the_kernel(r, cfg->socket_buffer_size, main_server);
        }
    }
    return rv;
}

/* As many as there can be children: a draining one keeps its place in the scoreboard as well. */
static int slots_wanted(void)
{
    int daemons = 0;

    ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &daemons);
    return daemons < 1 ? 1 : daemons > QUIC_SLOTS_MAX ? QUIC_SLOTS_MAX : daemons;
}

/* The open listener of this address, taken out of r->listeners; NULL if there is none. */
static quic_listener *take_open(h3_retained *r, const h3_planned *planned)
{
    int i;

    for (i = 0; i < r->nlisteners; ++i) {
        quic_listener *l = r->listeners[i];

        if (l && quic_addr_equal(&l->addr, &planned->addr) && l->v6only == planned->v6only) {
            r->listeners[i] = NULL;
            l->tcp_port = planned->tcp_port;
            return l;
        }
    }
    return NULL;
}

static apr_status_t open_one(quic_listener **l, const h3_planned *planned, int nslots, int bufsize,
                             server_rec *s)
{
    char str[QUIC_ADDR_STRLEN];
    const char *what = "socket";
    apr_status_t rv;

    rv = quic_listener_open(l, &planned->addr, planned->tcp_port, planned->v6only, nslots, bufsize,
                            &what);
    if (rv != APR_SUCCESS) {
        ap_log_error(
            APLOG_MARK, APLOG_CRIT, rv, s, APLOGNO(20106) "could not open UDP address %s (%s)%s%s",
            quic_addr_str(str, &planned->addr), what,
            rv == APR_FROM_OS_ERROR(EADDRINUSE) ? ": another program has it, maybe another server "
                                                  "with HTTP/3"
                                                : "",
            is_restart() ? "; the server goes on without HTTP/3 on it" : "");
    }
    return rv;
}

/* httpd reads its configuration twice at the start (generations 0 and 1). */
static int is_restart(void)
{
    return ap_state_query(AP_SQ_CONFIG_GEN) > 1;
}

static void warn_of_the_kernel(const h3_retained *r, int wanted, server_rec *s)
{
    char str[QUIC_ADDR_STRLEN];
    int i;

    if (!quic_route_is_steered(r->route)) {
        ap_log_error(
            APLOG_MARK, APLOG_WARNING, 0, s,
            APLOGNO(20107) "the kernel refuses SO_ATTACH_REUSEPORT_CBPF: only one child at a time "
                           "serves HTTP/3");
    }
    for (i = 0; i < r->nlisteners; ++i) {
        const quic_listener *l = r->listeners[i];
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

apr_port_t h3_listen_port_for(const apr_sockaddr_t *local)
{
    const h3_retained *r = h3_retained_get();
    int i;

    for (i = 0; r && i < r->nlisteners; ++i) {
        const quic_listener *l = r->listeners[i];

        if (l->tcp_port == local->port && covers(&l->addr, local)) {
            return quic_addr_port(&l->addr);
        }
    }
    return 0;
}
