/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/h3_c2.h"

#include <string.h>
#include <apr_buckets.h>
#include <apr_strings.h>
#include "http_config.h"
#include "http_connection.h"
#include "http_core.h"
#include "scoreboard.h"
#include "conf/h3_config.h"
#include "conf/h3_vhost.h"
#include "httpd/h3_connrec.h"
#include "httpd/h3_mpm.h"
#include "border/h3_pipe.h"

APLOG_USE_MODULE(http3);

/* Of the child; set in child_init, before any thread starts. */
static struct {
    h3_csd *spare;        /* for workers that get no socket: no descriptor is left */
    apr_size_t conf_size; /* of a conn_config */
} child;

static conn_rec *make_c2(h3_c2 *c2, const h3_connrec *cr);
static void bind_csd(h3_c2 *c2, h3_worker *w);

apr_status_t h3_c2_child_init(void)
{
    module **m;
    int top = 0;

    for (m = ap_loaded_modules; *m; m++) {
        if ((*m)->module_index > top) {
            top = (*m)->module_index;
        }
    }
    /* A vector of pointers, as http_config.h's macros know it. */
    child.conf_size = (apr_size_t)(top + 1) * sizeof(void *);
    child.spare = h3_csd_create();
    return child.spare ? APR_SUCCESS : APR_EMFILE;
}

h3_c2 *h3_c2_of(const conn_rec *c)
{
    return c->master ? ap_get_module_config(c->conn_config, &http3_module) : NULL;
}

h3_c2 *h3_c2_acquire(h3_connrec *cr, h3_worker *w, h3_txn *txn, apr_status_t *rv)
{
    h3_block *block;
    h3_c2 *c2;
    int rc;

    if (!h3_connrec_is_admitted(cr, w)) {
        *rv = h3_connrec_is_refused(cr) ? APR_EACCES : APR_ENOMEM;
        return NULL;
    }
    if (!(block = h3_block_take(w->index))) {
        *rv = APR_ENOMEM;
        return NULL;
    }
    c2 = apr_pcalloc(block->pool, sizeof(*c2));
    c2->block = block;
    c2->pool = block->pool;
    c2->txn = txn;
    c2->c = make_c2(c2, cr);
    h3_connrec_take_name(cr, c2->c);
    h3_c2_bind(c2, w);
    rc = ap_run_pre_connection(c2->c, c2->csd->socket);
    if ((rc != OK && rc != DONE) || c2->c->aborted || h3_c2_is_dropped(c2)) {
        *rv = APR_EACCES;
        h3_c2_release(c2);
        return NULL;
    }
    *rv = APR_SUCCESS;
    return c2;
}

static apr_sockaddr_t *copy_addr(const apr_sockaddr_t *addr, apr_pool_t *pool)
{
    apr_sockaddr_t *copy = apr_palloc(pool, sizeof(*copy));

    h3_csd_copy_addr(copy, addr, pool);
    return copy;
}

/* c1 as this request's modules see it, and may write to it. */
static conn_rec *make_master(const h3_connrec *cr, apr_pool_t *pool)
{
    const conn_rec *c1 = cr->c1;
    conn_rec *c = apr_pmemdup(pool, c1, H3_VHOST_CONN_SIZE);

    c->pool = pool;
    c->conn_config = ap_create_conn_config(pool);
    memcpy(c->conn_config, c1->conn_config, child.conf_size);
    c->notes = cr->notes ? apr_table_copy(pool, cr->notes) : apr_table_make(pool, 1);
    c->local_addr = copy_addr(c1->local_addr, pool);
    c->client_addr = copy_addr(c1->client_addr, pool);
    return c;
}

static conn_rec *make_c2(h3_c2 *c2, const h3_connrec *cr)
{
    conn_rec *master = make_master(cr, c2->pool);
    conn_rec *c = apr_pmemdup(c2->pool, master, H3_VHOST_CONN_SIZE);

    c->master = master;
    c->conn_config = ap_create_conn_config(c->pool);
    c->notes = apr_table_make(c->pool, 5);
    c->bucket_alloc = apr_bucket_alloc_create(c->pool);
    /*
     * There is no later request: none to look for, and no body to be read only to get rid of it.
     * Nor is there an earlier one: on a connection that had one, mod_proxy gives no answer when a
     * backend fails, so that the client repeats the request. Over HTTP/3 no client would.
     */
    c->keepalives = 0;
    c->keepalive = AP_CONN_CLOSE;
    /* The MPM must not look at the socket: there is none. */
    c->clogging_input_filters = 1;
    h3_mpm_add_state(c);
    ap_set_module_config(c->conn_config, &http3_module, c2);
    return c;
}

void h3_c2_bind(h3_c2 *c2, h3_worker *w)
{
    long id = c2->c->id;

    h3_mpm_identify(c2->c, w);
    if (c2->r) {
        c2->c->id = id;
    }
    c2->worker = w;
    bind_csd(c2, w);
}

static void bind_csd(h3_c2 *c2, h3_worker *w)
{
    if (!c2->csd) {
        if (!w->own) {
            w->own = h3_csd_create();
        }
        c2->csd = w->own ? w->own : child.spare;
        h3_csd_lend(c2->csd, c2->c);
    }
    ap_set_core_module_config(c2->c->conn_config, c2->csd->socket);
    ap_set_core_module_config(c2->c->master->conn_config, c2->csd->socket);
}

int h3_c2_is_dropped(const h3_c2 *c2)
{
    return c2->csd && c2->csd != child.spare && h3_csd_is_closed(c2->csd);
}

void h3_c2_party_left(h3_c2 *c2, int is_worker)
{
    if (__atomic_sub_fetch(&c2->parties, 1, __ATOMIC_ACQ_REL) == 0) {
        c2->late = !is_worker;
        H3_C2_LOG(c2, APLOG_TRACE2, 0, "leaves the pipe, with %s",
                  is_worker ? "its worker" : "EOR");
        h3_pipe_w_leave(c2->txn->pipe);
    }
}

void h3_c2_unbind(h3_c2 *c2)
{
    ap_update_child_status(c2->c->sbh, SERVER_DEAD, NULL);
    if (c2->csd != child.spare && c2->csd != c2->worker->own) {
        return; /* kept already */
    }
    if (h3_c2_is_dropped(c2) || __atomic_load_n(&c2->parties, __ATOMIC_ACQUIRE) == 2) {
        c2->worker->own = NULL;
    }
    else {
        c2->csd = NULL;
    }
}

/* ---- the end ---- */

void h3_c2_release(h3_c2 *c2)
{
    h3_block *block = c2->block;
    apr_bucket *eor = c2->eor;

    if (eor) {
        c2->eor = NULL;
        apr_bucket_destroy(eor);
    }
    h3_connrec_keep_name(c2->txn->connrec, c2->c);
    h3_c2_unbind(c2);
    block->csd = c2->csd == child.spare ? NULL : c2->csd;
    if (c2->late) {
        h3_block_rest(block);
    }
    else {
        h3_block_give(block, c2->worker->index);
    }
}
