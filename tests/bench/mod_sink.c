/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handler "sink" reads a body as cheaply as a handler can, and answers with its length: what is
 * left of an upload's cost is the server's.
 */
#include "httpd.h"
#include "http_config.h"
#include "http_protocol.h"
#include "util_filter.h"

#define READ_SIZE (64 * 1024)

/* The bytes of one brigade; *eos: they were the last ones. */
static apr_status_t count(apr_bucket_brigade *bb, apr_off_t *got, int *eos)
{
    apr_bucket *e;
    const char *data;
    apr_size_t len;
    apr_status_t rv;

    for (e = APR_BRIGADE_FIRST(bb); e != APR_BRIGADE_SENTINEL(bb); e = APR_BUCKET_NEXT(e)) {
        if (APR_BUCKET_IS_EOS(e)) {
            *eos = 1;
        }
        else if (!APR_BUCKET_IS_METADATA(e)) {
            if ((rv = apr_bucket_read(e, &data, &len, APR_BLOCK_READ)) != APR_SUCCESS) {
                return rv;
            }
            *got += (apr_off_t)len;
        }
    }
    return APR_SUCCESS;
}

static int sink(request_rec *r)
{
    apr_bucket_brigade *bb;
    apr_off_t got = 0;
    int eos = 0;

    if (!r->handler || strcmp(r->handler, "sink")) {
        return DECLINED;
    }
    bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    while (!eos) {
        apr_status_t rv =
            ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES, APR_BLOCK_READ, READ_SIZE);

        if (rv != APR_SUCCESS || (rv = count(bb, &got, &eos)) != APR_SUCCESS) {
            return ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
        }
        apr_brigade_cleanup(bb);
    }
    ap_set_content_type(r, "text/plain");
    ap_rprintf(r, "%" APR_OFF_T_FMT "\n", got);
    return OK;
}

static void register_hooks(apr_pool_t *pool)
{
    (void)pool;
    ap_hook_handler(sink, NULL, NULL, APR_HOOK_MIDDLE);
}

module AP_MODULE_DECLARE_DATA sink_module = { STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL,
                                              register_hooks };
