/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/h3_listen.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <apr_strings.h>
#include "ap_listen.h"
#include "http_core.h"
#include "http_log.h"
#include "conf/h3_config.h"

APLOG_USE_MODULE(http3);

static apr_array_header_t *plan; /* const h3_listen_plan *; of the configuration being served */

static const char *parse_address(h3_listen *l, const char *arg, apr_pool_t *p);
static apr_status_t plan_h3listen(const h3_listen *l, server_rec *main_server, apr_pool_t *p);
static void plan_tcp(apr_pool_t *p);
static int family_works(int family);
static int is_planned(const quic_addr *addr);
static int dual_stack_is_planned(apr_port_t port);
static void drop_idle(const apr_array_header_t *listens, server_rec *main_server);
static void warn_of_idle(const h3_listen *l, server_rec *main_server);
static const h3_listen_plan *first_for(const server_rec *s);
static int host_is_on(const h3_listen_plan *planned, const server_rec *s);

/* ---- the directive ---- */

const char *h3_listen_add(cmd_parms *cmd, void *dir, const char *udp, const char *tcp)
{
    h3_config *cfg = h3_config_get(cmd->server);
    const char *err = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    h3_listen *l = apr_pcalloc(cmd->pool, sizeof(*l));
    char *end;
    long port;
    int i;

    (void)dir;
    if (err) {
        return err;
    }
    l->directive = cmd->directive;
    if ((err = parse_address(l, udp, cmd->pool))) {
        return err;
    }
    l->tcp_port = l->port;
    if (tcp) {
        port = strtol(tcp, &end, 10);
        if (*end || port < 1 || port > 65535) {
            return apr_psprintf(cmd->pool, "H3Listen: '%s' is not a TCP port", tcp);
        }
        l->tcp_port = (apr_port_t)port;
    }
    for (i = 0; i < cfg->listens->nelts; ++i) {
        const h3_listen *other = APR_ARRAY_IDX(cfg->listens, i, h3_listen *);

        if (other->port == l->port
            && strcmp(other->addr ? other->addr : "", l->addr ? l->addr : "") == 0) {
            return apr_psprintf(cmd->pool, "H3Listen: '%s' is there twice", udp);
        }
    }
    APR_ARRAY_PUSH(cfg->listens, h3_listen *) = l;
    return NULL;
}

/* Numbers only: a name that resolves differently tomorrow would move the socket at a restart. */
static const char *parse_address(h3_listen *l, const char *arg, apr_pool_t *p)
{
    unsigned char binary[sizeof(struct in6_addr)];
    char *host, *scope;
    apr_port_t port;

    if (apr_parse_addr_port(&host, &scope, &port, arg, p) != APR_SUCCESS || port == 0
        || (host && strcmp(host, "*") != 0 && inet_pton(AF_INET, host, binary) != 1
            && inet_pton(AF_INET6, host, binary) != 1)) {
        return apr_psprintf(p, "H3Listen: '%s' is not [address:]port with a numeric address", arg);
    }
    if (host && strcmp(host, "*") != 0) {
        l->addr = host;
        l->scope = scope;
    }
    l->port = port;
    return NULL;
}

/* ---- the plan ---- */

apr_status_t h3_listen_make_plan(server_rec *main_server, apr_pool_t *pconf)
{
    const h3_config *cfg = h3_config_get(main_server);
    apr_status_t rv = APR_SUCCESS;
    server_rec *s;
    int i;

    plan = apr_array_make(pconf, 4, sizeof(const h3_listen_plan *));
    for (i = 0; rv == APR_SUCCESS && i < cfg->listens->nelts; ++i) {
        rv = plan_h3listen(APR_ARRAY_IDX(cfg->listens, i, h3_listen *), main_server, pconf);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (cfg->listens->nelts == 0) {
        plan_tcp(pconf);
    }
    drop_idle(cfg->listens, main_server);
    for (s = main_server; s; s = s->next) {
        h3_config *host = h3_config_get(s);

        if (!host->off_reason && !first_for(s)) {
            host->off_reason = cfg->listens->nelts ? "no H3Listen stands for its address"
                                                   : "no Listen stands for its address";
        }
    }
    return APR_SUCCESS;
}

static apr_status_t plan_h3listen(const h3_listen *l, server_rec *main_server, apr_pool_t *p)
{
    h3_listen_plan *planned = apr_pcalloc(p, sizeof(*planned));
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
    planned->addr = quic_addr_of(sa);
    planned->tcp_port = l->tcp_port;
    /* [::] written out is as wide as Listen makes it; without an address it is always both. */
#ifndef AP_ENABLE_V4_MAPPED
    planned->v6only = l->addr != NULL && planned->addr.sa.sa_family == AF_INET6;
#endif
    APR_ARRAY_PUSH(plan, const h3_listen_plan *) = planned;
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
            h3_listen_plan *planned;
            quic_addr addr = quic_addr_of(lr->bind_addr);

            if (addr.sa.sa_family != family || is_planned(&addr)
                || (quic_addr_is_any(&addr) && family == AF_INET
                    && dual_stack_is_planned(lr->bind_addr->port))
                || (quic_addr_is_any(&addr) && !family_works(family))) {
                continue;
            }
            planned = apr_pcalloc(p, sizeof(*planned));
            planned->addr = addr;
            planned->tcp_port = lr->bind_addr->port;
#ifndef AP_ENABLE_V4_MAPPED
            planned->v6only = family == AF_INET6;
#endif
            APR_ARRAY_PUSH(plan, const h3_listen_plan *) = planned;
        }
    }
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

static int is_planned(const quic_addr *addr)
{
    int i;

    for (i = 0; i < plan->nelts; ++i) {
        if (quic_addr_equal(&APR_ARRAY_IDX(plan, i, const h3_listen_plan *)->addr, addr)) {
            return 1;
        }
    }
    return 0;
}

static int dual_stack_is_planned(apr_port_t port)
{
    int i;

    for (i = 0; i < plan->nelts; ++i) {
        const h3_listen_plan *planned = APR_ARRAY_IDX(plan, i, const h3_listen_plan *);

        if (planned->addr.sa.sa_family == AF_INET6 && !planned->v6only
            && quic_addr_is_any(&planned->addr) && quic_addr_port(&planned->addr) == port) {
            return 1;
        }
    }
    return 0;
}

/* Leaves out what no virtual host needs. `listens`: what was planned one for one, or empty. */
static void drop_idle(const apr_array_header_t *listens, server_rec *main_server)
{
    int i, kept = 0;

    for (i = 0; i < plan->nelts; ++i) {
        const h3_listen_plan *planned = APR_ARRAY_IDX(plan, i, const h3_listen_plan *);

        if (h3_listen_is_needed(planned, main_server)) {
            APR_ARRAY_IDX(plan, kept++, const h3_listen_plan *) = planned;
        }
        else if (listens->nelts) {
            warn_of_idle(APR_ARRAY_IDX(listens, i, h3_listen *), main_server);
        }
    }
    plan->nelts = kept;
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

/* ---- what it says ---- */

const apr_array_header_t *h3_listen_planned(void)
{
    return plan;
}

apr_port_t h3_listen_planned_port(const server_rec *s)
{
    const h3_listen_plan *planned = first_for(s);

    return planned ? quic_addr_port(&planned->addr) : 0;
}

static const h3_listen_plan *first_for(const server_rec *s)
{
    int i;

    for (i = 0; i < plan->nelts; ++i) {
        const h3_listen_plan *planned = APR_ARRAY_IDX(plan, i, const h3_listen_plan *);

        if (h3_listen_stands_for(planned, s)) {
            return planned;
        }
    }
    return NULL;
}

int h3_listen_stands_for(const h3_listen_plan *planned, const server_rec *s)
{
    const server_rec *other;

    if (s->is_virtual) {
        return host_is_on(planned, s);
    }
    /* The main server gets what no virtual host claims. */
    for (other = s->next; other; other = other->next) {
        const server_addr_rec *sar;

        for (sar = other->addrs; sar; sar = sar->next) {
            quic_addr a = quic_addr_of(sar->host_addr);

            if ((sar->host_port == 0 || sar->host_port == planned->tcp_port)
                && (quic_addr_is_any(&a)
                    || (!quic_addr_is_any(&planned->addr)
                        && h3_listen_covers(&planned->addr, sar->host_addr)))) {
                return 0;
            }
        }
    }
    return 1;
}

static int host_is_on(const h3_listen_plan *planned, const server_rec *s)
{
    const server_addr_rec *sar;

    for (sar = s->addrs; sar; sar = sar->next) {
        if ((sar->host_port == 0 || sar->host_port == planned->tcp_port)
            && h3_listen_covers(&planned->addr, sar->host_addr)) {
            return 1;
        }
    }
    return 0;
}

int h3_listen_is_needed(const h3_listen_plan *planned, server_rec *main_server)
{
    server_rec *s;

    for (s = main_server; s; s = s->next) {
        if (!h3_config_get(s)->off_reason && h3_listen_stands_for(planned, s)) {
            return 1;
        }
    }
    return 0;
}

/* Can a connection to `a` be one to `host`? httpd takes a wildcard of either family for both. */
int h3_listen_covers(const quic_addr *a, const apr_sockaddr_t *host)
{
    quic_addr b = quic_addr_of(host);
    quic_addr left = *a;

    if (quic_addr_is_any(a) || quic_addr_is_any(&b)) {
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

const char *h3_listen_without_udp(server_rec *main_server, apr_pool_t *p)
{
    const char *list = "";
    const ap_listen_rec *lr;
    char str[QUIC_ADDR_STRLEN];
    int i;

    for (lr = ap_listeners; lr; lr = lr->next) {
        const h3_listen_plan tcp = { quic_addr_of(lr->bind_addr), 0, lr->bind_addr->port };

        for (i = 0; i < plan->nelts; ++i) {
            const h3_listen_plan *planned = APR_ARRAY_IDX(plan, i, const h3_listen_plan *);

            if (planned->tcp_port == tcp.tcp_port
                && h3_listen_covers(&planned->addr, lr->bind_addr)) {
                break;
            }
        }
        if (i == plan->nelts && h3_listen_is_needed(&tcp, main_server)) {
            list = apr_pstrcat(p, list, *list ? ", " : "", quic_addr_str(str, &tcp.addr), NULL);
        }
    }
    return list;
}
