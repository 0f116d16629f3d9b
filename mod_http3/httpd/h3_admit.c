/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/h3_admit.h"

#include <string.h>
#include <apr_buckets.h>
#include <apr_tables.h>
#include "http_config.h"
#include "http_connection.h"

/*
 * Of httpd's own modules none limits connections there: they set up TCP, TLS or a protocol, or
 * watch bytes. mod_http2 would crash.
 */
static const char *const not_asked[] = {
    "core.c",         "http_core.c", "event.c",          "worker.c",     "prefork.c",
    "mod_ssl.c",      "mod_http2.c", "mod_reqtimeout.c", "mod_logio.c",  "mod_dumpio.c",
    "mod_remoteip.c", "mod_echo.c",  "mod_http3.c",      "mod_altsvc.c",
};

static int wanted; /* set in child_init */

static int is_asked(const char *module)
{
    size_t i;

    for (i = 0; module && i < sizeof(not_asked) / sizeof(not_asked[0]); i++) {
        if (strcmp(module, not_asked[i]) == 0) {
            return 0;
        }
    }
    return module != NULL;
}

void h3_admit_child_init(void)
{
    const apr_array_header_t *pre = ap_hook_get_pre_connection();
    const apr_array_header_t *process = ap_hook_get_process_connection();
    int i;

    wanted = 0;
    for (i = 0; pre && i < pre->nelts; i++) {
        wanted |= is_asked(APR_ARRAY_IDX(pre, i, ap_LINK_pre_connection_t).szName);
    }
    for (i = 0; process && i < process->nelts; i++) {
        wanted |= is_asked(APR_ARRAY_IDX(process, i, ap_LINK_process_connection_t).szName);
    }
}

int h3_admit_is_wanted(void)
{
    return wanted;
}

/*
 * A filter would wait for bytes that never come, and its module might take that for slowness. A
 * socket that was closed, a connection that was aborted or is to linger: it is over.
 */
static int is_over(conn_rec *c1, const h3_csd *csd)
{
    c1->input_filters = c1->output_filters = NULL;
    return c1->aborted || h3_csd_is_closed(csd) || c1->cs->state == CONN_STATE_LINGER;
}

/* As ap_run_pre_connection: anything but OK and DECLINED ends it, DONE without refusing. */
static const char *ask_pre_connection(conn_rec *c1, h3_csd *csd)
{
    const apr_array_header_t *hooks = ap_hook_get_pre_connection();
    int i, rv = DECLINED;

    for (i = 0; hooks && i < hooks->nelts && rv != DONE; i++) {
        const ap_LINK_pre_connection_t *link = &APR_ARRAY_IDX(hooks, i, ap_LINK_pre_connection_t);

        if (!is_asked(link->szName)) {
            continue;
        }
        rv = link->pFunc(c1, csd->socket);
        if ((rv != OK && rv != DECLINED && rv != DONE) || is_over(c1, csd)) {
            return link->szName;
        }
    }
    return NULL;
}

/* As ap_run_process_connection: whoever does not decline has dealt with the connection. */
static const char *ask_process_connection(conn_rec *c1, h3_csd *csd)
{
    const apr_array_header_t *hooks = ap_hook_get_process_connection();
    int i;

    for (i = 0; hooks && i < hooks->nelts; i++) {
        const ap_LINK_process_connection_t *link =
            &APR_ARRAY_IDX(hooks, i, ap_LINK_process_connection_t);

        if (is_asked(link->szName) && (link->pFunc(c1) != DECLINED || is_over(c1, csd))) {
            return link->szName;
        }
    }
    return NULL;
}

const char *h3_admit(conn_rec *c1, h3_csd *csd)
{
    const char *refused_by;

    c1->bucket_alloc = apr_bucket_alloc_create(c1->pool);
    c1->cs = apr_pcalloc(c1->pool, sizeof(*c1->cs));
    c1->cs->state = CONN_STATE_READ_REQUEST_LINE;
    refused_by = ask_pre_connection(c1, csd);
    if (!refused_by) {
        refused_by = ask_process_connection(c1, csd);
    }
    return refused_by;
}
