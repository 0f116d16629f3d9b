/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which UDP sockets there are to be, and which virtual hosts each of them
 * stands for: one for every TCP Listen of a virtual host with HTTP/3, or those
 * of H3Listen instead.
 *
 * The plan is made at check_config and is read-only from then on; sockets are
 * opened, kept and closed by the parent in open_logs, without threads.
 */
#ifndef H3_LISTEN_H
#define H3_LISTEN_H

#include "h3_config.h"

/* A UDP socket that the configuration asks for. */
typedef struct h3_planned {
    quic_addr addr; /* with the UDP port */
    int v6only;
    apr_port_t tcp_port; /* whose virtual hosts it stands for */
} h3_planned;

/*
 * Makes the plan (const h3_planned *) for the virtual hosts without off_reason,
 * and gives those an off_reason for which no socket stands. Logs its errors.
 */
apr_status_t h3_listen_plan(server_rec *main_server, apr_pool_t *pconf);

/* The plan; empty if nothing is to be served. */
const apr_array_header_t *h3_listen_planned(void);

/* Does the planned socket stand for a TCP address of virtual host `s`? */
int h3_listen_stands_for(const h3_planned *planned, const server_rec *s);

/* TCP addresses of virtual hosts with HTTP/3 that no UDP socket stands for, in `p`; "" if none. */
const char *h3_listen_without_udp(server_rec *main_server, apr_pool_t *p);

/*
 * Opens what is planned and not open yet, closes what is planned no longer, in
 * h3_retained. A busy port or the like is logged and an error. With an empty
 * plan nothing is made.
 */
apr_status_t h3_listen_open(server_rec *main_server);

/* The UDP port of the open socket that stands for TCP address `local`, or 0. Any thread. */
apr_port_t h3_listen_port_for(const apr_sockaddr_t *local);

#endif /* H3_LISTEN_H */
