/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/h3_vhost.h"

#include <string.h>
#include "http_core.h"
#include "http_main.h"
#include "http_vhost.h"
#include "conf/h3_config.h"

typedef struct named_server {
    const char *name;
    server_rec *server;
} named_server;

/* As much of a connection as httpd looks at to find the virtual hosts of an address. */
typedef struct visit {
    union {
        conn_rec c;
        char size[H3_VHOST_CONN_SIZE];
    } to;
    apr_sockaddr_t addr;
} visit;

static void arrive(visit *v, const quic_addr *local, apr_port_t tcp_port);
static int is_server(void *baton, conn_rec *c, server_rec *s);
static int is_server_named(void *baton, conn_rec *c, server_rec *s);
static int is_one_of(const apr_array_header_t *names, const char *name, int wild);

void h3_vhost_set_sockaddr(apr_sockaddr_t *sa, apr_pool_t *pool, const quic_addr *addr,
                           apr_port_t port)
{
    quic_addr a = *addr;

    quic_addr_unmap(&a);
    memset(sa, 0, sizeof(*sa));
    sa->pool = pool;
    sa->port = port;
    sa->family = a.sa.sa_family;
    if (sa->family == AF_INET) {
        sa->sa.sin = a.in;
        sa->sa.sin.sin_port = htons(port);
        sa->salen = sizeof(sa->sa.sin);
        sa->addr_str_len = 16;
        sa->ipaddr_ptr = &sa->sa.sin.sin_addr;
        sa->ipaddr_len = sizeof(sa->sa.sin.sin_addr);
    }
    else {
        sa->sa.sin6 = a.in6;
        sa->sa.sin6.sin6_port = htons(port);
        sa->salen = sizeof(sa->sa.sin6);
        sa->addr_str_len = 46;
        sa->ipaddr_ptr = &sa->sa.sin6.sin6_addr;
        sa->ipaddr_len = sizeof(sa->sa.sin6.sin6_addr);
    }
}

const quic_tls_host *h3_vhost_find(const quic_addr *local, apr_port_t tcp_port, const char *sni)
{
    named_server named = { sni, NULL };
    visit v;

    arrive(&v, local, tcp_port);
    if (!sni || !ap_vhost_iterate_given_conn(&v.to.c, is_server_named, &named)) {
        named.server = v.to.c.base_server;
    }
    return h3_config_get(named.server)->tls_host;
}

const server_rec *h3_vhost_default(const quic_addr *local, apr_port_t tcp_port)
{
    visit v;

    arrive(&v, local, tcp_port);
    return v.to.c.base_server;
}

int h3_vhost_has(const quic_addr *local, apr_port_t tcp_port, server_rec *s)
{
    visit v;

    arrive(&v, local, tcp_port);
    return v.to.c.base_server == s || ap_vhost_iterate_given_conn(&v.to.c, is_server, s);
}

static void arrive(visit *v, const quic_addr *local, apr_port_t tcp_port)
{
    memset(v, 0, sizeof(*v));
    h3_vhost_set_sockaddr(&v->addr, NULL, local, tcp_port);
    v->to.c.local_addr = &v->addr;
    v->to.c.base_server = ap_server_conf;
    ap_update_vhost_given_ip(&v->to.c);
}

static int is_server(void *baton, conn_rec *c, server_rec *s)
{
    (void)c;
    return s == baton;
}

/* In mod_ssl's order: the name, the aliases, those with wildcards. */
static int is_server_named(void *baton, conn_rec *c, server_rec *s)
{
    named_server *named = baton;

    (void)c;
    if ((s->server_hostname && strcasecmp(named->name, s->server_hostname) == 0)
        || is_one_of(s->names, named->name, 0) || is_one_of(s->wild_names, named->name, 1)) {
        named->server = s;
        return 1;
    }
    return 0;
}

static int is_one_of(const apr_array_header_t *names, const char *name, int wild)
{
    int i;

    for (i = 0; names && i < names->nelts; i++) {
        const char *n = APR_ARRAY_IDX(names, i, const char *);

        if (n && (wild ? ap_strcasecmp_match(name, n) : strcasecmp(name, n)) == 0) {
            return 1;
        }
    }
    return 0;
}
