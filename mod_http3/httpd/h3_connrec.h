/* SPDX-License-Identifier: Apache-2.0 */
/*
 * c1: all that httpd wants to find in a connection that has no socket.
 *
 * An h3_connrec holds c1, the connection as httpd's modules see it, and what the handshake
 * settled. The I/O thread makes it at the first request; from then on it is immutable, but for
 * what other modules say of the connection and for the client's name, and is shared with workers
 * by reference. After a migration the I/O thread makes another one for later requests. The worker
 * of the first request asks other modules for the connection (h3_admit); no other hook is ever run
 * on c1.
 */
#ifndef H3_CONNREC_H
#define H3_CONNREC_H

#include <pthread.h>
#include "httpd.h"
#include "httpd/h3_csd.h"
#include "quic/quic_addr.h"
#include "tls/quic_tls.h"
#include "border/h3_workers.h"

/* What other modules say of the connection as a whole. */
typedef enum { H3_CONNREC_NOT_ASKED, H3_CONNREC_ADMITTED, H3_CONNREC_REFUSED } h3_connrec_admission;

typedef struct h3_connrec {
    conn_rec *c1;     /* of H3_VHOST_CONN_SIZE, as every conn_rec of ours */
    apr_pool_t *pool; /* own allocator; only the maker allocates, before it is shared */
    quic_tls_info tls;
    server_rec *server;             /* chosen by SNI in the handshake */
    const char *conn_id;            /* H3_CONN_ID */
    unsigned refs;                  /* atomic */
    h3_connrec_admission admission; /* atomic */
    apr_table_t *notes;             /* what other modules have noted; immutable */
    h3_csd *csd;                    /* what they know as its socket; NULL if they were not asked */
    h3_workers *workers;            /* where it ends then; NULL if they were not asked */
    h3_job end;
    pthread_mutex_t lock;        /* held while modules are asked, or the client's name is */
    struct h3_client_name *name; /* atomic; NULL until it is known */
} h3_connrec;

/* child_init, before any thread starts and when all other modules' hooks are there. */
apr_status_t h3_connrec_child_init(server_rec *s);

/*
 * `local` is the address the client called (PKTINFO) and `tcp_port` the port
 * whose virtual hosts the socket stands for. The result has one reference. NULL: no memory.
 */
h3_connrec *h3_connrec_make(const quic_addr *local, apr_port_t tcp_port, const quic_addr *remote,
                            const struct ssl_st *ssl, const char *conn_id);

/* Any thread. The last one to let go of it leaves its end to a worker, if modules were asked. */
h3_connrec *h3_connrec_ref(h3_connrec *cr);
void h3_connrec_unref(h3_connrec *cr);

/*
 * Have other modules admitted the connection? The first worker asks them, others wait for it. 0
 * also where they could not be asked, for want of a descriptor.
 */
int h3_connrec_is_admitted(h3_connrec *cr, h3_worker *w);

/* A module refuses the connection: it is to be closed. Any thread. */
int h3_connrec_is_refused(const h3_connrec *cr);

/* The h3_connrec of a c1 or c2, NULL for any other conn_rec. */
h3_connrec *h3_connrec_of(const conn_rec *c);

/*
 * The client's name, looked up once for a connection, by workers: what one request's `c` has found
 * is kept, and taken over by those that come later. Between lock and unlock no other worker looks
 * for it on behalf of the same connection.
 */
void h3_connrec_take_name(const h3_connrec *cr, conn_rec *c);
void h3_connrec_keep_name(h3_connrec *cr, const conn_rec *c);
void h3_connrec_lock_name(h3_connrec *cr, conn_rec *c);         /* and takes it */
void h3_connrec_unlock_name(h3_connrec *cr, const conn_rec *c); /* and keeps it */

#endif /* H3_CONNREC_H */
