/* SPDX-License-Identifier: Apache-2.0 */
#include "h3_connrec.h"

#include <stdlib.h>
#include <unistd.h>
#include <apr_allocator.h>
#include <apr_buckets.h>
#include <apr_strings.h>
#include "ap_mpm.h"
#include "http_core.h"
#include "http_log.h"
#include "http_main.h"
#include "http_vhost.h"
#include "scoreboard.h"
#include "h3_pipe.h"

APLOG_USE_MODULE(http3);

/* httpd 2.4 appends members to conn_rec; a module built against a later one may look at them. */
#define CONN_REC_SLACK 256
/* What a pool keeps for the next request instead of giving it back to the system. */
#define C2_MAX_FREE (256 * 1024)
/* Blocks that wait for their next request. Those of responses on their way are not among them. */
#define FREE_SLOTS 128
/* How long the memory of a late c2 rests. */
#define REST_TIME apr_time_from_sec(60)
/* Rows of the scoreboard: see bind_row(). */
#define NO_CHILD -1

/* Of the process; set in child_init, before any thread starts, except where said. */
static struct {
    apr_socket_t *dummy;
    module *event; /* the event MPM, or NULL */
    int threads_per_child, thread_limit;
    int child;               /* number in the scoreboard; atomic, found out when first needed */
    h3_c2 *free[FREE_SLOTS]; /* atomic */
    h3_c2 *resting;          /* atomic; a stack that is taken whole */
} child;

/* The event MPM copies from its own slot of c1; all zero is what a fresh connection has. */
static const char event_state[4096];

static void set_sockaddr(apr_sockaddr_t *sa, apr_pool_t *pool, const quic_addr *a, apr_port_t port);
static conn_rec *make_c1(apr_pool_t *pool, const quic_addr *local, apr_port_t tcp_port,
                         const quic_addr *remote, const char *conn_id);
static int is_server_named(void *name, conn_rec *c, server_rec *s);
static h3_c2 *make_block(void);
static h3_c2 *take_block(int index);
static void give_block(h3_c2 *c2, int index);
static conn_rec *make_c2(h3_c2 *c2, conn_rec *c1);
static int own_child(void);
static void destroy_block(h3_c2 *c2);
static void rest(h3_c2 *c2);

apr_status_t h3_connrec_child_init(apr_pool_t *p, server_rec *s)
{
    module **m;

    (void)s;
    child.child = NO_CHILD;
    for (m = ap_loaded_modules; *m; m++) {
        if (strcmp((*m)->name, "event.c") == 0) {
            child.event = *m;
        }
    }
    ap_mpm_query(AP_MPMQ_MAX_THREADS, &child.threads_per_child);
    ap_mpm_query(AP_MPMQ_HARD_LIMIT_THREADS, &child.thread_limit);
    /* Modules set timeouts on the connection's socket and hand it to APR: there must be one. */
    return apr_socket_create(&child.dummy, APR_INET, SOCK_STREAM, APR_PROTO_TCP, p);
}

/* ---- c1 ---- */

static apr_abortfunc_t abort_function(void)
{
    return apr_pool_abort_get(ap_server_conf->process->pool);
}

h3_connrec *h3_connrec_make(const quic_addr *local, apr_port_t tcp_port, const quic_addr *remote,
                            const struct ssl_st *ssl, const char *conn_id)
{
    apr_pool_t *pool;
    h3_connrec *cr;

    /* An unmanaged pool has no parent whose locks and life it would share. */
    if (apr_pool_create_unmanaged_ex(&pool, abort_function(), NULL) != APR_SUCCESS) {
        return NULL;
    }
    apr_pool_tag(pool, "h3_connrec");
    cr = apr_pcalloc(pool, sizeof(*cr));
    cr->pool = pool;
    cr->refs = 1;
    cr->conn_id = apr_pstrdup(pool, conn_id);
    quic_tls_get_info(ssl, &cr->tls, pool);
    cr->server = cr->tls.host ? quic_tls_host_server(cr->tls.host) : NULL;
    cr->c1 = make_c1(pool, local, tcp_port, remote, cr->conn_id);
    if (!cr->server) {
        cr->server = cr->c1->base_server;
    }
    ap_set_module_config(cr->c1->conn_config, &http3_module, cr);
    return cr;
}

static conn_rec *make_c1(apr_pool_t *pool, const quic_addr *local, apr_port_t tcp_port,
                         const quic_addr *remote, const char *conn_id)
{
    conn_rec *c = apr_pcalloc(pool, sizeof(*c) + CONN_REC_SLACK);

    c->pool = pool;
    c->base_server = ap_server_conf;
    c->local_addr = apr_palloc(pool, sizeof(*c->local_addr));
    set_sockaddr(c->local_addr, pool, local, tcp_port);
    c->client_addr = apr_palloc(pool, sizeof(*c->client_addr));
    set_sockaddr(c->client_addr, pool, remote, quic_addr_port(remote));
    apr_sockaddr_ip_get(&c->local_ip, c->local_addr);
    apr_sockaddr_ip_get(&c->client_ip, c->client_addr);
    c->conn_config = ap_create_conn_config(pool);
    c->notes = apr_table_make(pool, 1);
    c->log_id = conn_id;
    ap_set_core_module_config(c->conn_config, child.dummy);
    if (child.event) {
        ap_set_module_config(c->conn_config, child.event, (void *)event_state);
    }
    ap_update_vhost_given_ip(c);
    return c;
}

/* `port` is the virtual hosts', which need not be the UDP port. */
static void set_sockaddr(apr_sockaddr_t *sa, apr_pool_t *pool, const quic_addr *addr,
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

h3_connrec *h3_connrec_ref(h3_connrec *cr)
{
    __atomic_add_fetch(&cr->refs, 1, __ATOMIC_RELAXED);
    return cr;
}

void h3_connrec_unref(h3_connrec *cr)
{
    if (__atomic_sub_fetch(&cr->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        apr_pool_destroy(cr->pool);
    }
}

h3_connrec *h3_connrec_of(const conn_rec *c)
{
    const conn_rec *c1 = c->master ? c->master : c;

    return ap_get_module_config(c1->conn_config, &http3_module);
}

/* ---- virtual host ---- */

typedef struct named_server {
    const char *name;
    server_rec *server;
} named_server;

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

const quic_tls_host *h3_connrec_find_host(const quic_addr *local, apr_port_t tcp_port,
                                          const char *sni)
{
    union {
        conn_rec c;
        char slack[sizeof(conn_rec) + CONN_REC_SLACK];
    } tmp;
    named_server named = { sni, NULL };
    apr_sockaddr_t addr;

    memset(&tmp, 0, sizeof(tmp));
    set_sockaddr(&addr, NULL, local, tcp_port);
    tmp.c.local_addr = &addr;
    tmp.c.base_server = ap_server_conf;
    ap_update_vhost_given_ip(&tmp.c);
    if (!sni || !ap_vhost_iterate_given_conn(&tmp.c, is_server_named, &named)) {
        named.server = tmp.c.base_server;
    }
    return h3_config_get(named.server)->tls_host;
}

/* ---- c2 ---- */

h3_c2 *h3_c2_of(const conn_rec *c)
{
    return c->master ? ap_get_module_config(c->conn_config, &http3_module) : NULL;
}

static h3_c2 *make_block(void)
{
    apr_allocator_t *allocator;
    h3_c2 *c2 = calloc(1, sizeof(*c2));

    if (!c2) {
        return NULL;
    }
    if (apr_allocator_create(&allocator) != APR_SUCCESS) {
        free(c2);
        return NULL;
    }
    apr_allocator_max_free_set(allocator, C2_MAX_FREE);
    if (apr_pool_create_unmanaged_ex(&c2->pool, abort_function(), allocator) != APR_SUCCESS) {
        apr_allocator_destroy(allocator);
        free(c2);
        return NULL;
    }
    apr_allocator_owner_set(allocator, c2->pool);
    apr_pool_tag(c2->pool, "h3_c2");
    return c2;
}

static void destroy_block(h3_c2 *c2)
{
    apr_pool_destroy(c2->pool);
    free(c2);
}

/*
 * Without a lock: a place is emptied and filled by one atomic operation each, and a worker
 * begins to look at its own.
 */
static h3_c2 *take_block(int index)
{
    h3_c2 *c2;
    int i;

    for (i = 0; i < FREE_SLOTS; i++) {
        h3_c2 **place = &child.free[(index + i) % FREE_SLOTS];

        if (__atomic_load_n(place, __ATOMIC_RELAXED)
            && (c2 = __atomic_exchange_n(place, NULL, __ATOMIC_ACQ_REL))) {
            return c2;
        }
    }
    return NULL;
}

static void give_block(h3_c2 *c2, int index)
{
    h3_c2 *none;
    int i;

    for (i = 0; i < FREE_SLOTS; i++) {
        h3_c2 **place = &child.free[(index + i) % FREE_SLOTS];

        none = NULL;
        if (!__atomic_load_n(place, __ATOMIC_RELAXED)
            && __atomic_compare_exchange_n(place, &none, c2, 0, __ATOMIC_ACQ_REL,
                                           __ATOMIC_RELAXED)) {
            return;
        }
    }
    destroy_block(c2);
}

h3_c2 *h3_c2_acquire(h3_connrec *cr, h3_worker *w, h3_txn *txn, apr_status_t *rv)
{
    h3_c2 *c2 = take_block(w->index);
    apr_pool_t *pool;
    int rc;

    if (!c2 && !(c2 = make_block())) {
        *rv = APR_ENOMEM;
        return NULL;
    }
    pool = c2->pool;
    memset(c2, 0, sizeof(*c2));
    c2->pool = pool;
    c2->txn = txn;
    c2->c = make_c2(c2, cr->c1);
    h3_c2_bind(c2, w);
    rc = ap_run_pre_connection(c2->c, child.dummy);
    if ((rc != OK && rc != DONE) || c2->c->aborted) {
        *rv = APR_EACCES;
        h3_c2_release(c2);
        return NULL;
    }
    *rv = APR_SUCCESS;
    return c2;
}

static conn_rec *make_c2(h3_c2 *c2, conn_rec *c1)
{
    conn_rec *c = apr_pmemdup(c2->pool, c1, sizeof(*c) + CONN_REC_SLACK);

    c->pool = c2->pool;
    c->master = c1;
    c->conn_config = ap_create_conn_config(c->pool);
    c->notes = apr_table_make(c->pool, 5);
    c->bucket_alloc = apr_bucket_alloc_create(c->pool);
    /*
     * No later request: nothing to look for before it, no body to read only to be rid of it.
     * No earlier one either: on a connection that had one, mod_proxy gives no answer when a
     * backend fails, for the client to repeat the request. Over HTTP/3 no client would.
     */
    c->keepalives = 0;
    c->keepalive = AP_CONN_CLOSE;
    /* The MPM must not look at the socket: there is none. */
    c->clogging_input_filters = 1;
    ap_set_core_module_config(c->conn_config, child.dummy);
    if (child.event) {
        ap_set_module_config(c->conn_config, child.event, (void *)event_state);
    }
    ap_set_module_config(c->conn_config, &http3_module, c2);
    return c;
}

/*
 * Our number in the scoreboard. The parent writes it there after the fork, maybe after
 * child_init. Our rows are behind the MPM's, which resets only its own:
 * whoever finds out the number resets ours, which a crashed predecessor may have left busy.
 */
static int own_child(void)
{
    int number = __atomic_load_n(&child.child, __ATOMIC_RELAXED), none = NO_CHILD, i;
    apr_proc_t me;

    if (number != NO_CHILD) {
        return number;
    }
    me.pid = getpid();
    number = ap_find_child_by_pid(&me);
    if (number >= 0
        && __atomic_compare_exchange_n(&child.child, &none, number, 0, __ATOMIC_RELAXED,
                                       __ATOMIC_RELAXED)) {
        for (i = child.threads_per_child; i < child.thread_limit; i++) {
            ap_update_child_status_from_indexes(number, i, SERVER_DEAD, NULL);
        }
    }
    return number < 0 ? NO_CHILD : number;
}

void h3_c2_bind(h3_c2 *c2, h3_worker *w)
{
    conn_rec *c = c2->c;
    ap_sb_handle_t *sbh = NULL;
    int number = own_child(), row = child.threads_per_child + w->index;
    long slot = number == NO_CHILD ? (long)getpid() & 0x7fff : number;

    /*
     * mod_cgid and mod_unique_id want an id that no other running request of the
     * whole server has, in 31 bits. The MPMs' are below child times ThreadLimit,
     * mod_http2's are those shifted by 8: neither reaches bit 30.
     */
    if (!c2->r) {
        c->id = 0x40000000L | slot << 15 | (w->index & 0x7fff);
    }
    c->current_thread = w->thread;
    if (number != NO_CHILD && row < child.thread_limit) {
        ap_create_sb_handle(&sbh, c->pool, number, row);
    }
    c->sbh = sbh;
}

void h3_c2_party_left(h3_c2 *c2, int is_worker)
{
    if (__atomic_sub_fetch(&c2->parties, 1, __ATOMIC_ACQ_REL) == 0) {
        c2->late = !is_worker;
        h3_pipe_w_leave(c2->txn->pipe);
    }
}

void h3_c2_unbind(h3_c2 *c2)
{
    ap_update_child_status(c2->c->sbh, SERVER_DEAD, NULL);
}

void h3_c2_release(h3_c2 *c2)
{
    if (c2->eor) {
        apr_bucket *eor = c2->eor;

        c2->eor = NULL;
        apr_bucket_destroy(eor);
    }
    h3_c2_unbind(c2);
    if (c2->late) {
        rest(c2);
    }
    else {
        int index = (int)(c2->c->id & 0x7fff);

        apr_pool_clear(c2->pool);
        give_block(c2, index);
    }
}

static void push_resting(h3_c2 *c2)
{
    c2->next = __atomic_load_n(&child.resting, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&child.resting, &c2->next, c2, 1, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED)) {}
}

/* Lays it to rest, and ends those that have rested. */
static void rest(h3_c2 *c2)
{
    apr_time_t now = apr_time_now();
    h3_c2 *next;

    c2->released = now;
    c2->next = __atomic_exchange_n(&child.resting, NULL, __ATOMIC_ACQ_REL);
    for (; c2; c2 = next) {
        next = c2->next;
        if (now - c2->released > REST_TIME) {
            destroy_block(c2);
        }
        else {
            push_resting(c2);
        }
    }
}
