/* SPDX-License-Identifier: Apache-2.0 */
/*
 * c1 and c2: all that httpd wants to find in a conn_rec that has no socket.
 *
 * An h3_connrec holds c1, the connection as httpd's modules see it, and what
 * the handshake settled. It is made by the I/O thread at the first request,
 * is immutable from then on, and shared with workers by reference; after a
 * migration the I/O thread makes another one for later requests. No hook is
 * ever run on c1.
 *
 * An h3_c2 is one request's connection: made (or taken from a free list) by the
 * worker that runs the request, used by one thread at a time, given back by
 * the worker that finishes it.
 */
#ifndef H3_CONNREC_H
#define H3_CONNREC_H

#include "httpd.h"
#include "http_connection.h"
#include "h3_config.h"
#include "h3_worker.h"

typedef struct h3_connrec {
    conn_rec *c1;
    apr_pool_t *pool; /* own allocator; only the maker allocates, before it is shared */
    quic_tls_info tls;
    server_rec *server;  /* chosen by SNI in the handshake */
    const char *conn_id; /* H3_CONN_ID */
    unsigned refs;       /* atomic */
} h3_connrec;

/*
 * Once per child, before any thread starts: dummy socket, event's slot. `p` lives
 * as long as the child.
 */
apr_status_t h3_connrec_child_init(apr_pool_t *p, server_rec *s);

/*
 * `local` is the address the client called (PKTINFO) and `tcp_port` the port
 * whose virtual hosts the socket stands for. The result has one reference. NULL: no memory.
 */
h3_connrec *h3_connrec_make(const quic_addr *local, apr_port_t tcp_port, const quic_addr *remote,
                            const struct ssl_st *ssl, const char *conn_id);
h3_connrec *h3_connrec_ref(h3_connrec *cr);
void h3_connrec_unref(h3_connrec *cr); /* any thread */

/*
 * The virtual host for a ClientHello, as mod_ssl finds it (ServerName,
 * ServerAlias, wildcards among those of this address; no SNI, or nobody's name:
 * the address's default). NULL: that one has no HTTP/3.
 */
const quic_tls_host *h3_connrec_find_host(const quic_addr *local, apr_port_t tcp_port,
                                          const char *sni);

/* The h3_connrec behind one of our connections (c1 or c2), NULL for any other conn_rec. */
h3_connrec *h3_connrec_of(const conn_rec *c);

/* One request on its way through httpd; embedded in its stream. */
typedef struct h3_txn {
    struct h3_pipe *pipe;
    struct h3_connrec *connrec; /* a reference */
    struct h3_head *head;       /* the request's, complete; owned */
    int64_t stream_id;
    int head_only_eof; /* the stream ended with the head: there is no body */
    struct h3_c2 *c2;  /* from run to finish */
} h3_txn;

typedef struct h3_c2 {
    struct h3_c2 *next; /* while it rests */
    apr_pool_t *pool;   /* own allocator; cleared and used again */
    conn_rec *c;
    request_rec *r;  /* NULL until there is one */
    apr_bucket *eor; /* captured; destroying it logs the request and destroys r */
    h3_txn *txn;
    unsigned parties;     /* atomic: worker and EOR; the last one leaves the pipe */
    int eor_seen;         /* EOR has come to us, or was destroyed before it did */
    int late;             /* EOR came after the worker had gone: on a thread that is not ours */
    apr_time_t released;  /* when it began to rest */
    apr_off_t bytes_out;  /* given to the pipe: heads as text, and bodies */
    apr_off_t framing_in; /* chunk framing that no client has sent */
} h3_c2;

/*
 * c2 for a request of `cr` on worker `w`: pre_connection has run (which is where
 * our filters come in). NULL with *rv: APR_ENOMEM, or APR_EACCES: a module's hook refused it.
 */
h3_c2 *h3_c2_acquire(h3_connrec *cr, h3_worker *w, h3_txn *txn, apr_status_t *rv);
/* From here on `w` runs it: thread, scoreboard row. */
void h3_c2_bind(h3_c2 *c2, h3_worker *w);
/* `w` does nothing for it any more: its scoreboard row is free. */
void h3_c2_unbind(h3_c2 *c2);
/*
 * Destroys EOR if it is still there, then what is in the connection's pool; the
 * block is used again. A late one rests before that: the thread that brought
 * EOR may still be on its way back through httpd. On the worker it is bound to.
 */
void h3_c2_release(h3_c2 *c2);

/*
 * The worker, or EOR, is through with c2: the last of the two leaves the pipe.
 * c2 may be finished from then on.
 */
void h3_c2_party_left(h3_c2 *c2, int is_worker);

/* The h3_c2 behind a c2 conn_rec, NULL for any other. */
h3_c2 *h3_c2_of(const conn_rec *c);

#endif /* H3_CONNREC_H */
