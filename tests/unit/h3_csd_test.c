/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <apr_general.h>
#include <apr_signal.h>
#include "httpd/h3_csd.h"
#include "httpd/h3_pool.h"
#include "tap.h"

static void set_addr(apr_sockaddr_t *addr, int family, const char *ip, apr_port_t port)
{
    memset(addr, 0, sizeof(*addr));
    addr->family = family;
    addr->port = port;
    if (family == AF_INET) {
        inet_pton(AF_INET, ip, &addr->sa.sin.sin_addr);
        addr->ipaddr_ptr = &addr->sa.sin.sin_addr;
    }
    else {
        inet_pton(AF_INET6, ip, &addr->sa.sin6.sin6_addr);
        addr->ipaddr_ptr = &addr->sa.sin6.sin6_addr;
    }
    addr->ipaddr_len = family == AF_INET ? 4 : 16;
    addr->addr_str_len = family == AF_INET ? 16 : 46;
    addr->hostname = (char *)"not copied";
}

static void has_addr(apr_socket_t *socket, apr_interface_e which, const char *ip, apr_port_t port)
{
    apr_sockaddr_t *addr = NULL;
    char text[64] = "";

    is_int(apr_socket_addr_get(&addr, which, socket), APR_SUCCESS, "the socket has an address");
    apr_sockaddr_ip_getbuf(text, sizeof(text), addr);
    is_str(text, ip, "of this host");
    is_int(addr->port, port, "and port");
    ok(!addr->hostname, "whose name nobody has looked up");
}

static void lent(h3_csd *csd, apr_pool_t *p)
{
    static server_rec server = { .timeout = 7000000 };
    apr_sockaddr_t local, remote;
    conn_rec c = { .pool = p, .base_server = &server };
    apr_interval_time_t timeout = 0;

    c.local_addr = &local;
    c.client_addr = &remote;
    set_addr(&local, AF_INET, "192.0.2.1", 443);
    set_addr(&remote, AF_INET, "198.51.100.2", 50000);
    h3_csd_lend(csd, &c);
    has_addr(csd->socket, APR_LOCAL, "192.0.2.1", 443);
    has_addr(csd->socket, APR_REMOTE, "198.51.100.2", 50000);
    set_addr(&local, AF_INET6, "2001:db8::1", 8443);
    set_addr(&remote, AF_INET6, "2001:db8::2", 50001);
    h3_csd_lend(csd, &c);
    has_addr(csd->socket, APR_LOCAL, "2001:db8::1", 8443);
    has_addr(csd->socket, APR_REMOTE, "2001:db8::2", 50001);
    apr_socket_timeout_get(csd->socket, &timeout);
    is_int(timeout, 7000000, "its timeout is the server's");
}

static void nobody_at_the_other_end(h3_csd *csd)
{
    char buf[1];
    apr_size_t len = sizeof(buf);

    apr_socket_timeout_set(csd->socket, 0);
    ok(APR_STATUS_IS_EOF(apr_socket_recv(csd->socket, buf, &len)), "nothing can be read");
    len = 1;
    is_int(apr_socket_send(csd->socket, "x", &len), EPIPE, "nor written");
}

int main(void)
{
    apr_pool_t *pconf;
    h3_csd *csd, *other;

    apr_initialize();
    apr_signal_block(SIGPIPE);
    apr_pool_create(&pconf, NULL);
    h3_pool_child_init(pconf);
    csd = h3_csd_create();
    other = h3_csd_create();
    ok(csd && other, "a socket");
    ok(!h3_csd_is_closed(csd), "is open at first");
    lent(csd, pconf);
    nobody_at_the_other_end(csd);
    apr_socket_close(csd->socket);
    ok(h3_csd_is_closed(csd), "it is seen when somebody closes it");
    h3_csd_retire(csd);
    has_addr(csd->socket, APR_LOCAL, "2001:db8::1", 8443);
    lent(other, pconf);
    h3_csd_retire(other);
    ok(h3_csd_is_closed(other), "it gives its descriptor back");
    has_addr(other->socket, APR_REMOTE, "2001:db8::2", 50001);
    h3_csd_destroy(csd);
    h3_csd_destroy(other);
    apr_pool_destroy(pconf);
    return done_testing();
}
