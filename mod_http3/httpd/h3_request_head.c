/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/h3_request_head.h"

#include <string.h>
#include <apr_strings.h>
#include "http_log.h"
#include "http_protocol.h"

APLOG_USE_MODULE(http3);

typedef struct merged_fields {
    request_rec *r;
    const server_rec *limits;
} merged_fields;

static int is_dropped(const char *name, size_t len);
static void camel_case(char *name);
static const char *join_cookies(const apr_array_header_t *crumbs, apr_pool_t *p);
static int check_length(void *baton, const char *name, const char *value);
static int set_host(request_rec *r, const h3_head *head, const char *host);

/* ---- fields ---- */

int h3_request_head_set_fields(request_rec *r, h3_head *head, const server_rec *limits)
{
    merged_fields merged = { r, limits };
    apr_array_header_t *crumbs = NULL;
    const char *host = NULL;
    int status = OK, te = 0, rv;
    size_t i;

    for (i = 0; i < head->nfields; i++) {
        const h3_head_field *f = &head->fields[i];
        char *name = head->bytes + f->name;
        const char *value = head->bytes + f->value;

        if (is_dropped(name, f->name_len)) {
            continue;
        }
        if (f->name_len == 4 && memcmp(name, "host", 4) == 0) {
            if (host) {
                status = HTTP_BAD_REQUEST;
            }
            host = value;
            continue;
        }
        /* RFC 9114 section 4.2: only "trailers", which nghttp3 sees to, and only once. */
        if (f->name_len == 2 && memcmp(name, "te", 2) == 0 && te++) {
            status = HTTP_BAD_REQUEST;
            continue;
        }
        if (f->name_len == 6 && memcmp(name, "cookie", 6) == 0) {
            if (!crumbs) {
                crumbs = apr_array_make(r->pool, 8, sizeof(const char *));
            }
            APR_ARRAY_PUSH(crumbs, const char *) = value;
            continue;
        }
        camel_case(name);
        apr_table_addn(r->headers_in, name, value);
    }
    if (crumbs) {
        apr_table_addn(r->headers_in, "Cookie", join_cookies(crumbs, r->pool));
    }
    /* As core: fields of one name become one (RFC 9110 section 5.3), which has a limit, too. */
    apr_table_compress(r->headers_in, APR_OVERLAP_TABLES_MERGE);
    if (!apr_table_do(check_length, &merged, r->headers_in, NULL) && status == OK) {
        status = HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE;
    }
    rv = set_host(r, head, host);
    return status == OK ? rv : status;
}

/* Of a connection, not of a message (RFC 9114 section 4.2). nghttp3 refuses most of them. */
static int is_dropped(const char *name, size_t len)
{
    switch (len) {
    case 7:
        return memcmp(name, "upgrade", 7) == 0;
    case 10:
        return memcmp(name, "connection", 10) == 0 || memcmp(name, "keep-alive", 10) == 0;
    case 14:
        return memcmp(name, "http2-settings", 14) == 0;
    case 16:
        return memcmp(name, "proxy-connection", 16) == 0;
    case 17:
        return memcmp(name, "transfer-encoding", 17) == 0;
    default:
        return 0;
    }
}

/* As clients of HTTP/1.1 write them, and mod_http2 passes them on. */
static void camel_case(char *name)
{
    int start = 1;

    for (; *name; name++) {
        if (start && *name >= 'a' && *name <= 'z') {
            *name -= 'a' - 'A';
        }
        start = *name == '-';
    }
}

/* RFC 9114 section 4.2.1 */
static const char *join_cookies(const apr_array_header_t *crumbs, apr_pool_t *p)
{
    size_t len = 0, n;
    char *joined, *to;
    int i;

    if (crumbs->nelts == 1) {
        return APR_ARRAY_IDX(crumbs, 0, const char *);
    }
    for (i = 0; i < crumbs->nelts; i++) {
        len += strlen(APR_ARRAY_IDX(crumbs, i, const char *)) + 2;
    }
    joined = to = apr_palloc(p, len + 1);
    for (i = 0; i < crumbs->nelts; i++) {
        n = strlen(APR_ARRAY_IDX(crumbs, i, const char *));
        memcpy(to, APR_ARRAY_IDX(crumbs, i, const char *), n);
        memcpy(to + n, "; ", 2);
        to += n + 2;
    }
    to[-2] = '\0';
    return joined;
}

/* 0 ends the walk over the fields. */
static int check_length(void *baton, const char *name, const char *value)
{
    const merged_fields *merged = baton;

    if (strlen(value) <= (size_t)merged->limits->limit_req_fieldsize) {
        return 1;
    }
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, merged->r,
                  "field exceeds LimitRequestFieldSize after merging: %s", name);
    return 0;
}

/* Without an empty port or the scheme's default one (RFC 9110 section 4.2.3). */
static size_t authority_len(const char *authority)
{
    size_t len = strlen(authority);

    if (len > 4 && memcmp(authority + len - 4, ":443", 4) == 0) {
        return len - 4;
    }
    return len && authority[len - 1] == ':' ? len - 1 : len;
}

static int is_same_authority(const char *a, const char *b)
{
    size_t len = authority_len(a);

    return len == authority_len(b) && ap_cstr_casecmpn(a, b, len) == 0;
}

/* RFC 9114 section 4.3.1: :authority and Host say the same, and neither is empty. */
static int set_host(request_rec *r, const h3_head *head, const char *host)
{
    const char *authority = head->authority;

    if (authority && (!*authority || strchr(authority, '@'))) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, "unusable :authority '%s'", authority);
        return HTTP_BAD_REQUEST;
    }
    if (authority && host && !is_same_authority(authority, host)) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, "Host '%s' is not :authority '%s'", host,
                      authority);
        return HTTP_BAD_REQUEST;
    }
    if (authority || host) {
        apr_table_addn(r->headers_in, "Host", authority ? authority : host);
    }
    return OK;
}

/* ---- the request line ---- */

int h3_request_head_check_target(request_rec *r, const h3_head *head)
{
    const char *p = head->path;

    if (!head->method || strcmp(head->method, "CONNECT") == 0) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, "CONNECT is not supported over HTTP/3");
        return HTTP_NOT_IMPLEMENTED;
    }
    if (!head->scheme || ap_cstr_casecmp(head->scheme, "https") != 0) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, "scheme '%s' is not https",
                      head->scheme ? head->scheme : "");
        return HTTP_BAD_REQUEST;
    }
    if (!p || (*p != '/' && !(strcmp(p, "*") == 0 && strcmp(head->method, "OPTIONS") == 0))) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, "unusable :path '%s'", p ? p : "");
        return HTTP_BAD_REQUEST;
    }
    for (; *p; p++) {
        if ((unsigned char)*p <= ' ' || *p == 0x7f || *p == '#') {
            ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, "character 0x%02x in :path",
                          (unsigned char)*p);
            return HTTP_BAD_REQUEST;
        }
    }
    return OK;
}

int h3_request_head_parse_line(request_rec *r, const h3_head *head)
{
    const char *method = head->method && *head->method ? head->method : "-";
    const char *target = strcmp(method, "CONNECT") == 0 ? head->authority : head->path;
    const char *line =
        apr_pstrcat(r->pool, method, " ", target && *target ? target : "/", " HTTP/3.0", NULL);
    int good;

    r->the_request = apr_pstrdup(r->pool, line);
    r->hostname = NULL;
    good = ap_parse_request_line(r);
    if (!good) {
        /* In place of what core made of a line that does not end where it should. */
        r->the_request = (char *)line;
        r->protocol = apr_pstrdup(r->pool, "HTTP/3.0");
        r->proto_num = HTTP_VERSION(3, 0);
        r->assbackwards = 0;
    }
    return good;
}
