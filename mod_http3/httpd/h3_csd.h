/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's socket, as modules want to find it in a connection that has none.
 *
 * They set timeouts and options on it, ask it for addresses, shut it down, close it to be rid of a
 * client. So there is a real one, whose other end is closed: reading says end of file, writing
 * fails. It is one thread's at a time; a worker lends its own to the requests that it runs, and
 * makes another one when one of them has closed it.
 */
#ifndef H3_CSD_H
#define H3_CSD_H

#include <apr_network_io.h>
#include "httpd.h"

typedef struct h3_csd {
    apr_pool_t *pool; /* its own */
    apr_socket_t *socket;
    apr_sockaddr_t *local, *remote; /* what the socket answers when it is asked */
} h3_csd;

/* NULL: no descriptor is left, or no memory. */
h3_csd *h3_csd_create(void);
void h3_csd_destroy(h3_csd *csd);

/* From here on it is the socket of `c`: its addresses, its server's Timeout. No system call. */
void h3_csd_lend(h3_csd *csd, const conn_rec *c);

/* Gives its descriptor back, and keeps answering for its addresses. */
void h3_csd_retire(h3_csd *csd);

/* Somebody has closed it. */
int h3_csd_is_closed(const h3_csd *csd);

/* A copy whose memory is `pool`'s: names that are looked up for it are kept there. */
void h3_csd_copy_addr(apr_sockaddr_t *to, const apr_sockaddr_t *from, apr_pool_t *pool);

#endif /* H3_CSD_H */
