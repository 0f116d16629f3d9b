/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which UDP sockets there are to be, and which virtual hosts each of them stands for: one for every
 * TCP Listen of a virtual host with HTTP/3, or those of H3Listen instead. Nothing is opened here
 * (h3_sockets does that).
 *
 * H3Listen is read, and the plan made, by the parent; both are read-only after check_config, when
 * any thread may read them.
 */
#ifndef H3_LISTEN_H
#define H3_LISTEN_H

#include "httpd.h"
#include "http_config.h"
#include "quic/quic_addr.h"

/* One H3Listen. */
typedef struct h3_listen {
    const char *addr;                /* numeric, NULL: all addresses */
    const char *scope;               /* of a link-local address, or NULL */
    apr_port_t port;                 /* UDP */
    apr_port_t tcp_port;             /* whose virtual hosts it stands for */
    const ap_directive_t *directive; /* for messages with file and line */
} h3_listen;

/* A UDP socket that the configuration asks for. */
typedef struct h3_listen_plan {
    quic_addr addr; /* with the UDP port */
    int v6only;
    apr_port_t tcp_port; /* whose virtual hosts it stands for */
} h3_listen_plan;

/*
 * check_config: makes the plan for the virtual hosts without off_reason, and gives those an
 * off_reason for which no socket stands. Logs its errors.
 */
apr_status_t h3_listen_make_plan(server_rec *main_server, apr_pool_t *pconf);

/* The plan (const h3_listen_plan *); empty if nothing is to be served. */
const apr_array_header_t *h3_listen_planned(void);

/* The UDP port of the first planned socket that stands for an address of `s`, or 0. */
apr_port_t h3_listen_planned_port(const server_rec *s);

/* Does the planned socket stand for a TCP address of virtual host `s`? */
int h3_listen_stands_for(const h3_listen_plan *planned, const server_rec *s);

/* Does it stand for an address of any virtual host that has HTTP/3? */
int h3_listen_is_needed(const h3_listen_plan *planned, server_rec *main_server);

/* Can a connection to `a` be one to `host`? httpd takes a wildcard of either family for both. */
int h3_listen_covers(const quic_addr *a, const apr_sockaddr_t *host);

/* TCP addresses of virtual hosts with HTTP/3 that no UDP socket stands for, in `p`; "" if none. */
const char *h3_listen_without_udp(server_rec *main_server, apr_pool_t *p);

/* The row for the module's command table. */
const char *h3_listen_add(cmd_parms *cmd, void *dir, const char *udp, const char *tcp);

#define H3_LISTEN_COMMANDS                                     \
    AP_INIT_TAKE12("H3Listen", h3_listen_add, NULL, RSRC_CONF, \
                   "[address:]port [tcp-port]: a UDP socket, instead of those that follow Listen")

#endif /* H3_LISTEN_H */
