/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/h3_files.h"

#include <apr_buckets.h>
#include "http_request.h"
#include "util_filter.h"

/* In c2's pool. */
typedef struct h3_open_file {
    struct h3_open_file *next;
    apr_file_t *file; /* NULL: its pool is gone */
} h3_open_file;

static ap_filter_rec_t *files_filter;

static void insert_filter(request_rec *r);
static apr_status_t filter_files(ap_filter_t *f, apr_bucket_brigade *bb);
static apr_status_t forget_file(void *baton);

void h3_files_register_hooks(apr_pool_t *p)
{
    (void)p;
    files_filter = ap_register_output_filter("H3_FILES", filter_files, NULL, AP_FTYPE_RESOURCE - 5);
    ap_hook_insert_filter(insert_filter, NULL, NULL, APR_HOOK_REALLY_FIRST);
}

/* Subrequests, too: their pools live as long as the request's, as a rule. */
static void insert_filter(request_rec *r)
{
    h3_c2 *c2 = h3_c2_of(r->connection);

    if (c2) {
        ap_add_output_filter_handle(files_filter, c2, r, r->connection);
    }
}

static apr_status_t filter_files(ap_filter_t *f, apr_bucket_brigade *bb)
{
    apr_bucket *e;

    for (e = APR_BRIGADE_FIRST(bb); e != APR_BRIGADE_SENTINEL(bb); e = APR_BUCKET_NEXT(e)) {
        if (APR_BUCKET_IS_FILE(e)) {
            h3_files_note(f->ctx, ((apr_bucket_file *)e->data)->fd);
        }
    }
    return ap_pass_brigade(f->next, bb);
}

void h3_files_note(h3_c2 *c2, apr_file_t *file)
{
    apr_pool_t *pool = apr_file_pool_get(file);
    h3_open_file *o;

    if (!c2->r || !apr_pool_is_ancestor(c2->r->pool, pool)) {
        return;
    }
    for (o = c2->files; o; o = o->next) {
        if (o->file == file) {
            return;
        }
    }
    o = apr_palloc(c2->pool, sizeof(*o));
    o->file = file;
    o->next = c2->files;
    c2->files = o;
    apr_pool_cleanup_register(pool, o, forget_file, apr_pool_cleanup_null);
}

/* Its pool is destroyed, and the file closed. */
static apr_status_t forget_file(void *baton)
{
    h3_open_file *o = baton;

    o->file = NULL;
    return APR_SUCCESS;
}

void h3_files_close(h3_c2 *c2)
{
    h3_open_file *o;

    for (o = c2->files; o; o = o->next) {
        if (o->file) {
            apr_pool_cleanup_kill(apr_file_pool_get(o->file), o, forget_file);
            apr_file_close(o->file);
        }
    }
    c2->files = NULL;
}
