/* SPDX-License-Identifier: Apache-2.0 */
#include "altsvc_interim.h"

#include <string.h>
#include <strings.h>

static altsvc_interim_state begin(const char *data, apr_size_t len);
static altsvc_interim_state strip_lines(altsvc_interim_state state, apr_bucket **b);

/* Do these octets, with which a response begins, begin an interim one? */
static altsvc_interim_state begin(const char *data, apr_size_t len)
{
    static const char interim[] = "HTTP/1.1 1", upgrade[] = "HTTP/1.1 101";

    if (len < sizeof(upgrade) || memcmp(data, interim, sizeof(interim) - 1)) {
        return ALTSVC_INTERIM_IDLE;
    }
    return memcmp(data, upgrade, sizeof(upgrade) - 1) ? ALTSVC_INTERIM_HEAD : ALTSVC_INTERIM_LAST;
}

/* Takes `len` octets at `at` out of `*b`; afterwards `*b` is what follows them. */
static apr_status_t cut_out(apr_bucket **b, apr_size_t at, apr_size_t len)
{
    apr_status_t rv = APR_SUCCESS;

    if (at > 0) {
        rv = apr_bucket_split(*b, at);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        *b = APR_BUCKET_NEXT(*b);
    }
    rv = apr_bucket_split(*b, len);
    if (rv == APR_SUCCESS) {
        *b = APR_BUCKET_NEXT(*b);
        apr_bucket_delete(APR_BUCKET_PREV(*b));
    }
    return rv;
}

/* Walks over the lines of `*b`, which may become several buckets: `*b` is the last of them. */
static altsvc_interim_state strip_lines(altsvc_interim_state state, apr_bucket **b)
{
    const char *data;
    apr_size_t len, at = 0;

    while (apr_bucket_read(*b, &data, &len, APR_BLOCK_READ) == APR_SUCCESS && at < len) {
        const char *end = memchr(data + at, '\n', len - at);
        apr_size_t line = end ? (apr_size_t)(end - data) + 1 - at : len - at;

        if (end && line == 2 && data[at] == '\r') {
            return state == ALTSVC_INTERIM_LAST ? ALTSVC_INTERIM_IDLE : ALTSVC_INTERIM_WAITING;
        }
        if (!end || line < 8 || strncasecmp(data + at, "Alt-Svc:", 8)) {
            at += line;
            continue;
        }
        if (cut_out(b, at, line) != APR_SUCCESS) {
            return state;
        }
        at = 0;
    }
    return state;
}

altsvc_interim_state altsvc_interim_strip(altsvc_interim_state state, apr_bucket_brigade *bb)
{
    apr_bucket *b = APR_BRIGADE_FIRST(bb);

    for (; state != ALTSVC_INTERIM_IDLE && b != APR_BRIGADE_SENTINEL(bb); b = APR_BUCKET_NEXT(b)) {
        const char *data;
        apr_size_t len;

        if (APR_BUCKET_IS_METADATA(b)) {
            continue;
        }
        if (apr_bucket_read(b, &data, &len, APR_BLOCK_READ) != APR_SUCCESS) {
            return ALTSVC_INTERIM_IDLE;
        }
        if (state == ALTSVC_INTERIM_WAITING && len > 0) {
            state = begin(data, len);
        }
        if (state == ALTSVC_INTERIM_HEAD || state == ALTSVC_INTERIM_LAST) {
            state = strip_lines(state, &b);
        }
    }
    return state;
}
