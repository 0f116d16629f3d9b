/* SPDX-License-Identifier: Apache-2.0 */
#include "h3_response_head.h"

#include <string.h>
#include <strings.h>

static int ends_lines_by_lf(const char *text, size_t len);
static int parse_status(const char *line, size_t len);
static const char *add_line(h3_head *h, const char *line, size_t len);
static int is_token(char *s, size_t len);
static int is_field_content(const char *s, size_t len);
static int is_hop_by_hop(const char *name, size_t len);
static int is_named(const char *name, size_t len, const char *wanted);
static int is_length(const h3_head *h, const char *value, size_t len);

size_t h3_response_head_len(const char *text, size_t len, size_t seen)
{
    int lf = ends_lines_by_lf(text, len);
    const char *mark = lf ? "\n\n" : "\r\n\r\n";
    size_t mark_len = lf ? 2 : 4, from = seen >= mark_len ? seen - mark_len + 1 : 0;
    const char *end = len > from ? memmem(text + from, len - from, mark, mark_len) : NULL;

    return end ? (size_t)(end - text) + mark_len : 0;
}

/*
 * As the scripts do that write their own heads (nph-*.cgi), and clients of HTTP/1.1 take it
 * (RFC 9112 section 2.2). The first line says how all the others end: where that is CR LF a lone
 * LF is no line's end, but a field that somebody has tried to put into another.
 */
static int ends_lines_by_lf(const char *text, size_t len)
{
    const char *lf = memchr(text, '\n', len);

    return lf && (lf == text || lf[-1] != '\r');
}

h3_head *h3_response_head_parse(const char *text, size_t len, const char **error)
{
    size_t eol_len = ends_lines_by_lf(text, len) ? 1 : 2;
    int eol_char = eol_len == 1 ? '\n' : '\r';
    const char *end = text + len - eol_len; /* of the last field's line */
    const char *eol = memchr(text, eol_char, len);
    h3_head *h = h3_head_create();

    *error = "out of memory";
    if (h) {
        *error = NULL;
        h->status = eol && eol[eol_len - 1] == '\n' ? parse_status(text, (size_t)(eol - text)) : 0;
        if (h->status == 0) {
            *error = "not a status line";
        }
    }
    while (!*error && eol + eol_len < end) {
        text = eol + eol_len;
        eol = memchr(text, eol_char, (size_t)(end - text));
        if (!eol || eol[eol_len - 1] != '\n') {
            *error = "a carriage return inside a field";
            break;
        }
        *error = add_line(h, text, (size_t)(eol - text));
    }
    if (*error) {
        h3_head_destroy(h);
        return NULL;
    }
    h3_head_complete(h);
    return h;
}

/* "HTTP/1.1 200 OK": the status, or 0. */
static int parse_status(const char *line, size_t len)
{
    int i, status = 0;

    if (len < 12 || memcmp(line, "HTTP/", 5) != 0 || line[8] != ' '
        || (len > 12 && line[12] != ' ')) {
        return 0;
    }
    for (i = 9; i < 12; i++) {
        if (line[i] < '0' || line[i] > '9') {
            return 0;
        }
        status = status * 10 + (line[i] - '0');
    }
    return status >= 100 ? status : 0;
}

/* NULL, or what is wrong with the line. */
static const char *add_line(h3_head *h, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    const char *value, *end = line + len;
    size_t name_len;
    h3_field *f;

    if (!colon || colon == line) {
        return "a field without a name";
    }
    name_len = (size_t)(colon - line);
    for (value = colon + 1; value < end && (*value == ' ' || *value == '\t'); value++) {}
    while (end > value && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }
    if (!is_field_content(value, (size_t)(end - value))) {
        return "a control character in a field's value";
    }
    if (is_hop_by_hop(line, name_len)) {
        return NULL;
    }
    if (is_named(line, name_len, "content-length") && !is_length(h, value, (size_t)(end - value))) {
        return NULL;
    }
    if (h3_head_add(h, line, name_len, value, (size_t)(end - value)) < 0) {
        return "out of memory";
    }
    f = &h->fields[h->nfields - 1];
    if (!is_token(h->bytes + f->name, name_len)) {
        return "a character in a field's name that does not belong there";
    }
    f->sensitive = name_len == 10 && memcmp(h3_field_name(h, f), "set-cookie", 10) == 0;
    return NULL;
}

/* RFC 9110 section 5.6.2. Makes it lower case on the way (RFC 9114 section 4.2). */
static int is_token(char *s, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        if (s[i] >= 'A' && s[i] <= 'Z') {
            s[i] += 'a' - 'A';
        }
        else if (!((s[i] >= 'a' && s[i] <= 'z') || s[i] == '-' || (s[i] >= '0' && s[i] <= '9')
                   || (s[i] && strchr("!#$%&'*+.^_`|~", s[i])))) {
            return 0;
        }
    }
    return 1;
}

/* RFC 9110 section 5.5; HTTP/3 forbids what is left out here as malformed. */
static int is_field_content(const char *s, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        if (((unsigned char)s[i] < 0x20 && s[i] != '\t') || s[i] == 0x7f) {
            return 0;
        }
    }
    return 1;
}

static int is_hop_by_hop(const char *name, size_t len)
{
    static const struct {
        size_t len;
        const char *name;
    } hop[] = {
        { 10, "connection" },        { 10, "keep-alive" }, { 16, "proxy-connection" },
        { 17, "transfer-encoding" }, { 7, "upgrade" },     { 2, "te" },
    };
    size_t i;

    for (i = 0; i < sizeof(hop) / sizeof(hop[0]); i++) {
        if (len == hop[i].len && strncasecmp(name, hop[i].name, len) == 0) {
            return 1;
        }
    }
    return 0;
}

static int is_named(const char *name, size_t len, const char *wanted)
{
    return len == strlen(wanted) && strncasecmp(name, wanted, len) == 0;
}

/*
 * RFC 9110 section 8.6: digits, and none with 1xx and 204. mod_proxy leaves a backend's field of a
 * 1xx in the final head. The end of the stream says where the body ends; a length that is none
 * would make the whole response malformed (RFC 9114 section 4.1.2).
 */
static int is_length(const h3_head *h, const char *value, size_t len)
{
    size_t i;

    for (i = 0; i < len && value[i] >= '0' && value[i] <= '9'; i++) {}
    if (len == 0 || len > 18 || i < len || h->status < 200 || h->status == 204) {
        return 0;
    }
    for (i = 0; i < h->nfields; i++) {
        if (is_named(h3_field_name(h, &h->fields[i]), h->fields[i].name_len, "content-length")) {
            return 0; /* the first is what the body is held to */
        }
    }
    return 1;
}
