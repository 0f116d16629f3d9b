/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/h3_connrec.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"
#include "http_main.h"
#include "http_vhost.h"
#include "conf/h3_config.h"
#include "conf/h3_vhost.h"
#include "httpd/h3_admit.h"
#include "httpd/h3_mpm.h"
#include "httpd/h3_pool.h"

APLOG_USE_MODULE(http3);

/* Immutable once it is known; one that says more takes its place, and is freed with it. */
typedef struct h3_client_name {
    struct h3_client_name *less;
    int double_reverse;
    char host[];
} h3_client_name;

static conn_rec *make_c1(apr_pool_t *pool, const quic_addr *local, apr_port_t tcp_port,
                         const quic_addr *remote, const char *conn_id);
static void run_end(h3_job *job, h3_worker *w);
static void destroy(h3_connrec *cr);
static h3_connrec_admission ask_modules(h3_connrec *cr, h3_worker *w);

apr_status_t h3_connrec_child_init(server_rec *s)
{
    h3_mpm_child_init();
    h3_admit_child_init();
    return h3_pool_child_init(s->process->pconf);
}

h3_connrec *h3_connrec_make(const quic_addr *local, apr_port_t tcp_port, const quic_addr *remote,
                            const struct ssl_st *ssl, const char *conn_id)
{
    apr_pool_t *pool = h3_pool_make("h3_connrec", APR_ALLOCATOR_MAX_FREE_UNLIMITED);
    h3_connrec *cr;

    if (!pool) {
        return NULL;
    }
    cr = apr_pcalloc(pool, sizeof(*cr));
    cr->pool = pool;
    cr->refs = 1;
    cr->admission = h3_admit_is_wanted() ? H3_CONNREC_NOT_ASKED : H3_CONNREC_ADMITTED;
    pthread_mutex_init(&cr->lock, NULL);
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
    conn_rec *c = apr_pcalloc(pool, H3_VHOST_CONN_SIZE);

    c->pool = pool;
    c->base_server = ap_server_conf;
    c->local_addr = apr_palloc(pool, sizeof(*c->local_addr));
    h3_vhost_set_sockaddr(c->local_addr, pool, local, tcp_port);
    c->client_addr = apr_palloc(pool, sizeof(*c->client_addr));
    h3_vhost_set_sockaddr(c->client_addr, pool, remote, quic_addr_port(remote));
    apr_sockaddr_ip_get(&c->local_ip, c->local_addr);
    apr_sockaddr_ip_get(&c->client_ip, c->client_addr);
    c->conn_config = ap_create_conn_config(pool);
    c->notes = apr_table_make(pool, 1);
    c->log_id = conn_id;
    h3_mpm_add_state(c);
    ap_update_vhost_given_ip(c);
    return c;
}

h3_connrec *h3_connrec_ref(h3_connrec *cr)
{
    __atomic_add_fetch(&cr->refs, 1, __ATOMIC_RELAXED);
    return cr;
}

/* Other modules' cleanups may wait for locks that processes share: not on the I/O thread. */
void h3_connrec_unref(h3_connrec *cr)
{
    if (__atomic_sub_fetch(&cr->refs, 1, __ATOMIC_ACQ_REL) != 0) {
        return;
    }
    if (cr->workers) {
        cr->end.run = run_end;
        h3_workers_push(cr->workers, &cr->end, H3_JOB_SHORT);
    }
    else {
        destroy(cr);
    }
}

static void run_end(h3_job *job, h3_worker *w)
{
    (void)w;
    destroy((h3_connrec *)((char *)job - offsetof(h3_connrec, end)));
}

static void destroy(h3_connrec *cr)
{
    h3_csd *csd = cr->csd;
    h3_client_name *name, *less;

    for (name = cr->name; name; name = less) {
        less = name->less;
        free(name);
    }
    pthread_mutex_destroy(&cr->lock);
    apr_pool_destroy(cr->pool);
    if (csd) {
        h3_csd_destroy(csd);
    }
}

int h3_connrec_is_refused(const h3_connrec *cr)
{
    return __atomic_load_n(&cr->admission, __ATOMIC_ACQUIRE) == H3_CONNREC_REFUSED;
}

h3_connrec *h3_connrec_of(const conn_rec *c)
{
    const conn_rec *c1 = c->master ? c->master : c;

    return ap_get_module_config(c1->conn_config, &http3_module);
}

/* ---- other modules ---- */

/* What modules may want of a connection is there while they are asked, and no longer. */
static h3_connrec_admission ask_modules(h3_connrec *cr, h3_worker *w)
{
    conn_rec *c1 = cr->c1;
    const char *refused_by;

    if (!(cr->csd = h3_csd_create())) {
        return H3_CONNREC_NOT_ASKED;
    }
    cr->workers = w->workers;
    h3_csd_lend(cr->csd, c1);
    ap_set_core_module_config(c1->conn_config, cr->csd->socket);
    h3_mpm_identify(c1, w);
    h3_mpm_lend_row(c1);
    refused_by = h3_admit(c1, cr->csd);
    h3_csd_retire(cr->csd);
    c1->sbh = NULL;
    c1->current_thread = NULL;
    c1->bucket_alloc = NULL;
    c1->cs = NULL;
    cr->notes = apr_table_copy(cr->pool, c1->notes);
    if (refused_by) {
        ap_log_cerror(APLOG_MARK, APLOG_INFO, 0, c1, "connection refused by %s", refused_by);
    }
    return refused_by ? H3_CONNREC_REFUSED : H3_CONNREC_ADMITTED;
}

int h3_connrec_is_admitted(h3_connrec *cr, h3_worker *w)
{
    if (__atomic_load_n(&cr->admission, __ATOMIC_ACQUIRE) == H3_CONNREC_NOT_ASKED) {
        pthread_mutex_lock(&cr->lock);
        if (cr->admission == H3_CONNREC_NOT_ASKED) {
            __atomic_store_n(&cr->admission, ask_modules(cr, w), __ATOMIC_RELEASE);
        }
        pthread_mutex_unlock(&cr->lock);
    }
    return __atomic_load_n(&cr->admission, __ATOMIC_ACQUIRE) == H3_CONNREC_ADMITTED;
}

/* ---- the client's name ---- */

void h3_connrec_take_name(const h3_connrec *cr, conn_rec *c)
{
    const h3_client_name *name = __atomic_load_n(&cr->name, __ATOMIC_ACQUIRE);

    if (!name) {
        return;
    }
    if (!c->remote_host) {
        c->remote_host = apr_pstrdup(c->pool, name->host);
    }
    if (!c->double_reverse) {
        c->double_reverse = name->double_reverse;
    }
}

/* Does `c` know something that `name` does not say? */
static int is_news(const h3_client_name *name, const conn_rec *c)
{
    return c->remote_host && (!name || (!name->double_reverse && c->double_reverse));
}

static void keep_name_locked(h3_connrec *cr, const conn_rec *c)
{
    h3_client_name *name;
    size_t len;

    if (!is_news(cr->name, c)) {
        return;
    }
    len = strlen(c->remote_host);
    name = malloc(sizeof(*name) + len + 1);
    if (name) {
        name->less = cr->name;
        name->double_reverse = c->double_reverse;
        memcpy(name->host, c->remote_host, len + 1);
        __atomic_store_n(&cr->name, name, __ATOMIC_RELEASE);
    }
}

void h3_connrec_keep_name(h3_connrec *cr, const conn_rec *c)
{
    if (is_news(__atomic_load_n(&cr->name, __ATOMIC_ACQUIRE), c)) {
        pthread_mutex_lock(&cr->lock);
        keep_name_locked(cr, c);
        pthread_mutex_unlock(&cr->lock);
    }
}

void h3_connrec_lock_name(h3_connrec *cr, conn_rec *c)
{
    pthread_mutex_lock(&cr->lock);
    h3_connrec_take_name(cr, c);
}

void h3_connrec_unlock_name(h3_connrec *cr, const conn_rec *c)
{
    keep_name_locked(cr, c);
    pthread_mutex_unlock(&cr->lock);
}
