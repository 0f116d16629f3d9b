/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The UDP sockets that are open: opened as h3_listen has planned, bound, kept over restarts in
 * h3_retained, and closed.
 *
 * By the parent, without threads, except where said. What cannot be opened is logged, and never
 * keeps TCP from starting.
 */
#ifndef H3_SOCKETS_H
#define H3_SOCKETS_H

#include "httpd.h"
#include "quic/quic_group.h"

/*
 * open_logs: opens what is planned and not open yet, closes what is no longer planned. A busy
 * address is kept, for h3_sockets_retry to bind. Where nothing is planned no retained data are
 * made.
 */
void h3_sockets_open(server_rec *main_server);

/* post_config: closes what stands for nobody, now that it is known who has a certificate. */
void h3_sockets_close_idle(server_rec *main_server);

/*
 * By the parent now and then: binds what has become free, and says so. No new children are needed:
 * they have the sockets, and see by h3_sockets_look that they are bound. httpd -X has no parent
 * beside its child, whose I/O thread does it then.
 */
void h3_sockets_retry(server_rec *main_server);

/* By a child's I/O thread: how many listeners have been bound since it last looked. */
int h3_sockets_look(const quic_group *group);

/* The UDP port of the bound socket that stands for TCP address `local`, or 0. Any thread. */
apr_port_t h3_sockets_port_for(const apr_sockaddr_t *local);

#endif /* H3_SOCKETS_H */
