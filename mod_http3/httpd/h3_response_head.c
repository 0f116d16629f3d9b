/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/h3_response_head.h"

#include <string.h>
#include <strings.h>

static size_t eol_len(const char *text, size_t len);
static size_t line_len(const char *text, const char *end, const char **next);
static size_t field_len(const char *text, const char *end, const char **next);
static int parse_status(const char *line, size_t len);
static const char *add_line(h3_head *h, const char *line, size_t len);
static int is_blank(char c);
static int is_eol(char c);
static int is_token(char *s, size_t len);
static int is_field_content(const char *s, size_t len);
static void unfold(char *s, size_t len);
static int is_hop_by_hop(const char *name, size_t len);
static int is_named(const char *name, size_t len, const char *wanted);
static int take_length(h3_head *h, const char *value, size_t len);
static void drop_length(h3_head *h);

size_t h3_response_head_len(const char *text, size_t len, size_t seen)
{
    /* The empty line that ends it may have begun in what was seen. */
    const char *end = text + len, *next = text + (seen > 2 ? seen - 2 : 0);
    size_t n = seen < 2 ? eol_len(text, len) : 0;

    while (n == 0 && next < end && (next = memchr(next, '\n', (size_t)(end - next)))) {
        next++;
        n = eol_len(next, (size_t)(end - next));
    }
    return n ? (size_t)(next - text) + n : 0;
}

/*
 * Length of the line end at the start of `text`, or 0. Any line may have either: so do scripts
 * write their own heads (nph-*.cgi), and so do clients of HTTP/1.1 take them. CR alone ends nothing
 * (RFC 9112 section 2.2).
 */
static size_t eol_len(const char *text, size_t len)
{
    if (len > 0 && text[0] == '\n') {
        return 1;
    }
    return len > 1 && text[0] == '\r' && text[1] == '\n' ? 2 : 0;
}

/* The line at `text`, without its end; *next is what follows that. */
static size_t line_len(const char *text, const char *end, const char **next)
{
    const char *lf = memchr(text, '\n', (size_t)(end - text));

    *next = lf ? lf + 1 : end;
    if (!lf) {
        return (size_t)(end - text);
    }
    return (size_t)(lf - text) - (lf > text && lf[-1] == '\r');
}

/* Like line_len(), with the lines that continue the field (RFC 9112 section 5.2). */
static size_t field_len(const char *text, const char *end, const char **next)
{
    size_t len = line_len(text, end, next);

    while (*next < end && is_blank(**next)) {
        len = (size_t)(*next - text);
        len += line_len(*next, end, next);
    }
    return len;
}

h3_head *h3_response_head_parse(const char *text, size_t len, const char **error)
{
    const char *end = text + len, *next;
    h3_head *h = h3_head_create();

    *error = h ? NULL : "out of memory";
    len = line_len(text, end, &next);
    if (h) {
        h->status = parse_status(text, len);
        if (h->status == 0) {
            *error = "not a status line";
        }
    }
    while (!*error && next < end) {
        text = next;
        len = field_len(text, end, &next);
        if (len == 0) {
            break;
        }
        *error = add_line(h, text, len);
    }
    if (*error) {
        h3_head_destroy(h);
        return NULL;
    }
    if (h->chunked) {
        drop_length(h);
    }
    h3_head_complete(h);
    return h;
}

/* "HTTP/1.1 200 OK": the status, or 0. */
static int parse_status(const char *line, size_t len)
{
    int i, status = 0;

    if (len < 12 || memcmp(line, "HTTP/", 5) != 0 || line[8] != ' ' || (len > 12 && line[12] != ' ')
        || memchr(line, '\r', len)) {
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
    h3_head_field *f;

    for (name_len = colon ? (size_t)(colon - line) : 0;
         name_len > 0 && is_blank(line[name_len - 1]); name_len--) {} /* RFC 9112 section 5.1 */
    if (name_len == 0) {
        return "a field without a name";
    }
    value = colon + 1;
    if (!is_field_content(value, (size_t)(end - value))) {
        return "a control character in a field's value";
    }
    for (; value < end && (is_blank(*value) || is_eol(*value)); value++) {}
    while (end > value && (is_blank(end[-1]) || is_eol(end[-1]))) {
        end--;
    }
    if (is_named(line, name_len, "transfer-encoding")) {
        h->chunked = is_named(value, (size_t)(end - value), "chunked");
        return h->chunked ? NULL : "a transfer coding that cannot be undone";
    }
    if (is_hop_by_hop(line, name_len)) {
        return NULL;
    }
    if (is_named(line, name_len, "content-length")
        && !take_length(h, value, (size_t)(end - value))) {
        return NULL;
    }
    if (h3_head_add(h, line, name_len, value, (size_t)(end - value)) < 0) {
        return "out of memory";
    }
    f = &h->fields[h->nfields - 1];
    if (!is_token(h->bytes + f->name, name_len)) {
        return "a character in a field's name that does not belong there";
    }
    unfold(h->bytes + f->value, f->value_len);
    f->sensitive = name_len == 10 && memcmp(h3_head_name(h, f), "set-cookie", 10) == 0;
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

static int is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static int is_eol(char c)
{
    return c == '\r' || c == '\n';
}

/* RFC 9110 section 5.5; HTTP/3 forbids what is left out here as malformed. Folded lines pass. */
static int is_field_content(const char *s, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        i += eol_len(s + i, len - i);
        if (i < len && (((unsigned char)s[i] < 0x20 && s[i] != '\t') || s[i] == 0x7f)) {
            return 0;
        }
    }
    return 1;
}

/* RFC 9112 section 5.2: blanks in the place of a line's end. */
static void unfold(char *s, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        if (is_eol(s[i])) {
            s[i] = ' ';
        }
    }
}

static int is_hop_by_hop(const char *name, size_t len)
{
    static const struct {
        size_t len;
        const char *name;
    } hop[] = {
        { 10, "connection" }, { 10, "keep-alive" }, { 16, "proxy-connection" },
        { 7, "upgrade" },     { 2, "te" },
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
 * would make the whole response malformed (RFC 9114 section 4.1.2). 0: the field is left out.
 */
static int take_length(h3_head *h, const char *value, size_t len)
{
    int64_t length = 0;
    size_t i;

    if (h->content_length >= 0 || len == 0 || len > 18 || h->status < 200 || h->status == 204) {
        return 0; /* the first is what the body is held to */
    }
    for (i = 0; i < len; i++) {
        if (value[i] < '0' || value[i] > '9') {
            return 0;
        }
        length = length * 10 + (value[i] - '0');
    }
    h->content_length = length;
    return 1;
}

/* The chunks say how long the body is (RFC 9112 section 6.3). */
static void drop_length(h3_head *h)
{
    size_t i;

    h->content_length = -1;
    for (i = 0; i < h->nfields; i++) {
        if (is_named(h3_head_name(h, &h->fields[i]), h->fields[i].name_len, "content-length")) {
            memmove(&h->fields[i], &h->fields[i + 1], (--h->nfields - i) * sizeof(h->fields[0]));
            return; /* there is one at most */
        }
    }
}
