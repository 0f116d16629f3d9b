/* SPDX-License-Identifier: Apache-2.0 */
#include "altsvc_h2.h"

#include <string.h>
#include <strings.h>
#include <apr_strings.h>

#define TYPE_SETTINGS 0x04
#define TYPE_ALTSVC 0x0a
#define SETTING_LEN 6
#define MAX_PAYLOAD 16384

static altsvc_h2_verdict read_head(altsvc_h2_scanner *scan);
static altsvc_h2_verdict read_octets(altsvc_h2_scanner *scan, apr_bucket *b, apr_size_t *used);

/* On stream 0, no flag (ACK would answer the client's), whole settings. RFC 9113 section 6.5 */
static altsvc_h2_verdict read_head(altsvc_h2_scanner *scan)
{
    const unsigned char *h = scan->head;
    apr_size_t len = (apr_size_t)h[0] << 16 | (apr_size_t)h[1] << 8 | h[2];

    if (h[3] != TYPE_SETTINGS || h[4] != 0 || (h[5] & 0x7f) || h[6] || h[7] || h[8]
        || len % SETTING_LEN || len > MAX_PAYLOAD) {
        return ALTSVC_H2_FOREIGN;
    }
    scan->left = len;
    return len ? ALTSVC_H2_WAITING : ALTSVC_H2_FOUND;
}

/* `*used` counts the octets of `b` that belong to the first frame. */
static altsvc_h2_verdict read_octets(altsvc_h2_scanner *scan, apr_bucket *b, apr_size_t *used)
{
    const char *data;
    apr_size_t len;

    scan->rv = apr_bucket_read(b, &data, &len, APR_BLOCK_READ);
    if (scan->rv != APR_SUCCESS) {
        return ALTSVC_H2_FOREIGN;
    }
    for (*used = 0; *used < len && scan->have < ALTSVC_H2_FRAME_HEAD; (*used)++) {
        scan->head[scan->have++] = (unsigned char)data[*used];
        if (scan->have == ALTSVC_H2_FRAME_HEAD) {
            altsvc_h2_verdict verdict = read_head(scan);

            if (verdict != ALTSVC_H2_WAITING) {
                (*used)++;
                return verdict;
            }
        }
    }
    if (scan->have == ALTSVC_H2_FRAME_HEAD) {
        apr_size_t payload = len - *used < scan->left ? len - *used : scan->left;

        *used += payload;
        scan->left -= payload;
        return scan->left ? ALTSVC_H2_WAITING : ALTSVC_H2_FOUND;
    }
    return ALTSVC_H2_WAITING;
}

altsvc_h2_verdict altsvc_h2_scan(altsvc_h2_scanner *scan, apr_bucket_brigade *bb, apr_bucket **next)
{
    apr_bucket *b;

    for (b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb); b = APR_BUCKET_NEXT(b)) {
        altsvc_h2_verdict verdict;
        apr_size_t used = 0;

        if (APR_BUCKET_IS_METADATA(b)) {
            continue;
        }
        verdict = read_octets(scan, b, &used);
        if (verdict == ALTSVC_H2_FOUND) {
            if (used < b->length) {
                scan->rv = apr_bucket_split(b, used);
                if (scan->rv != APR_SUCCESS) {
                    return ALTSVC_H2_FOREIGN;
                }
            }
            *next = APR_BUCKET_NEXT(b);
        }
        if (verdict != ALTSVC_H2_WAITING) {
            return verdict;
        }
    }
    return ALTSVC_H2_WAITING;
}

const char *altsvc_h2_frame(apr_pool_t *p, const char *origin, const char *value, apr_size_t *len)
{
    apr_size_t origin_len = strlen(origin), value_len = strlen(value);
    apr_size_t payload = 2 + origin_len + value_len;
    unsigned char *frame;

    if (payload > MAX_PAYLOAD) {
        return NULL;
    }
    frame = apr_pcalloc(p, ALTSVC_H2_FRAME_HEAD + payload);
    frame[1] = (unsigned char)(payload >> 8);
    frame[2] = (unsigned char)payload;
    frame[3] = TYPE_ALTSVC;
    frame[9] = (unsigned char)(origin_len >> 8);
    frame[10] = (unsigned char)origin_len;
    memcpy(frame + 11, origin, origin_len);
    memcpy(frame + 11 + origin_len, value, value_len);
    *len = ALTSVC_H2_FRAME_HEAD + payload;
    return (const char *)frame;
}

const char *altsvc_h2_origin(apr_pool_t *p, const char *host, int port)
{
    return port == 443 ? apr_pstrcat(p, "https://", host, NULL)
                       : apr_psprintf(p, "https://%s:%d", host, port);
}

int altsvc_h2_covers(const char *pattern, const char *host)
{
    if (pattern[0] == '*' && pattern[1] == '.') {
        const char *dot = strchr(host, '.');

        return dot && dot > host && strchr(pattern + 2, '*') == NULL && strchr(dot + 1, '.') != NULL
               && !strcasecmp(pattern + 1, dot);
    }
    return *host && !strcasecmp(pattern, host);
}

int altsvc_h2_covered(apr_pool_t *p, const char *names, const char *host)
{
    char *state, *name, *list = apr_pstrdup(p, names);

    for (name = apr_strtok(list, ", ", &state); name; name = apr_strtok(NULL, ", ", &state)) {
        if (!strncmp(name, "DNS:", 4) && altsvc_h2_covers(name + 4, host)) {
            return 1;
        }
    }
    return 0;
}
