/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which virtual host a QUIC connection is for: by the address that the client called, and by the
 * name in its ClientHello.
 *
 * Start-up data, read only: the I/O thread asks inside the ClientHello, workers could as well.
 */
#ifndef H3_VHOST_H
#define H3_VHOST_H

#include "httpd.h"
#include "quic/quic_addr.h"
#include "tls/quic_tls.h"

/*
 * The size of each conn_rec of ours: httpd 2.4 appends members to it, and httpd or a module of a
 * later release may look at them.
 */
#define H3_VHOST_CONN_SIZE (sizeof(conn_rec) + 256)

/*
 * `addr` as httpd knows addresses, IPv4 where it is mapped into IPv6, but with `port`: that of the
 * virtual hosts, which need not be the UDP port. `pool` is where httpd keeps what it looks up for
 * it; NULL where nobody will.
 */
void h3_vhost_set_sockaddr(apr_sockaddr_t *sa, apr_pool_t *pool, const quic_addr *addr,
                           apr_port_t port);

/*
 * The virtual host for a ClientHello, as mod_ssl finds it: ServerName, ServerAlias, wildcards
 * among those of the address `local` (PKTINFO) and the port that its socket stands for. No SNI
 * (NULL), or nobody's name: the address's default. NULL: that one has no HTTP/3.
 */
const quic_tls_host *h3_vhost_find(const quic_addr *local, apr_port_t tcp_port, const char *sni);

/*
 * The default virtual host of an address, its first one, with or without HTTP/3; the main server
 * where there is none.
 */
const server_rec *h3_vhost_default(const quic_addr *local, apr_port_t tcp_port);

/* Is `s` the default virtual host of this address, or one that a client may name there? */
int h3_vhost_has(const quic_addr *local, apr_port_t tcp_port, server_rec *s);

#endif /* H3_VHOST_H */
