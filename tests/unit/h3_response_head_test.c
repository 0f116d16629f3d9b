/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include "httpd/h3_response_head.h"
#include "tap.h"

static const char *value_of(const h3_head *h, const char *name)
{
    size_t i;

    for (i = 0; i < h->nfields; i++) {
        if (strcmp(h3_head_name(h, &h->fields[i]), name) == 0) {
            return h3_head_value(h, &h->fields[i]);
        }
    }
    return NULL;
}

static void lengths_of(const char *text, size_t head)
{
    size_t len, seen, bad = 0;

    is_int(h3_response_head_len(text, strlen(text), 0), head, "found before the body");
    is_int(h3_response_head_len(text, 0, 0), 0, "nothing in nothing");
    /* However it is cut in two, the end is found with the second piece and not before. */
    for (seen = 0; seen < head; seen++) {
        bad += h3_response_head_len(text, seen, 0) != 0;
        bad += h3_response_head_len(text, strlen(text), seen) != head;
    }
    is_int(bad, 0, "found at every cut");
    for (len = 0, bad = 0; len < head; len++) {
        bad += h3_response_head_len(text, len, len > 0 ? len - 1 : 0) != 0;
    }
    is_int(bad, 0, "not found a byte too early");
}

static void lengths(void)
{
    const char crlf[] = "HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\r\n\r\n";
    const char lf[] = "HTTP/1.1 200 OK\nA: b\n\nbody\n\n";
    const char crlf_lf[] = "HTTP/1.1 200 OK\r\nA: b\n\nC: d\r\n\r\n";
    const char lf_crlf[] = "HTTP/1.1 200 OK\nA: b\r\n\r\nC: d\n\n";
    const char empty_lf[] = "HTTP/1.1 200 OK\r\nA: b\r\n\nC: d\r\n\r\n";
    const char empty_crlf[] = "HTTP/1.1 200 OK\nA: b\n\r\nC: d\n\n";
    const char cr[] = "HTTP/1.1 200 OK\r\rA: b\r\n\r\r\n \r\n\r\n";

    lengths_of(crlf, strlen("HTTP/1.1 200 OK\r\nA: b\r\n\r\n"));
    lengths_of(lf, strlen("HTTP/1.1 200 OK\nA: b\n\n"));
    lengths_of(crlf_lf, strlen(crlf_lf) - strlen("C: d\r\n\r\n"));
    lengths_of(lf_crlf, strlen(lf_crlf) - strlen("C: d\n\n"));
    lengths_of(empty_lf, strlen(empty_lf) - strlen("C: d\r\n\r\n"));
    lengths_of(empty_crlf, strlen(empty_crlf) - strlen("C: d\n\n"));
    lengths_of(cr, strlen(cr));
}

static void final(void)
{
    const char text[] = "HTTP/1.1 404 Not Found\r\n"
                        "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                        "X-Spaces: \t a b \t \r\n"
                        "X-Empty:\r\n"
                        "Set-Cookie: a=b\r\n"
                        "Set-Cookie: c=d\r\n"
                        "Connection: close\r\n"
                        "Keep-Alive: timeout=5\r\n"
                        "Upgrade: h2\r\n"
                        "Proxy-Connection: x\r\n"
                        "X-Latin: caf\xe9\r\n"
                        "Content-Length: 17\r\n"
                        "\r\n";
    const char *error;
    h3_head *h = h3_response_head_parse(text, strlen(text), &error);

    if (!ok(h != NULL, "parsed")) {
        diag(error);
        return;
    }
    is_str(error, NULL, "no error");
    is_int(h->status, 404, "status");
    is_int(h->nfields, 7, "connection-specific fields are left out");
    is_str(value_of(h, "date"), "Sun, 06 Nov 1994 08:49:37 GMT",
           "lower-case name, value as it was");
    is_str(value_of(h, "x-spaces"), "a b", "white space round the value is gone");
    is_str(value_of(h, "x-empty"), "", "empty value");
    is_str(value_of(h, "x-latin"), "caf\xe9", "obs-text passes");
    is_str(value_of(h, "connection"), NULL, "no connection");
    is_int(h->chunked, 0, "no chunks");
    is_int(h->fields[3].sensitive, 1, "Set-Cookie is sensitive");
    is_str(h3_head_value(h, &h->fields[4]), "c=d", "both Set-Cookie are there");
    is_int(h->fields[0].sensitive, 0, "Date is not");
    is_int(h->content_length, 17, "content length");
    h3_head_destroy(h);
}

static void interim(void)
{
    const char early[] = "HTTP/1.1 103 Early Hints\r\nLink: </s.css>; rel=preload\r\n"
                         "Content-Length: 3\r\n\r\n";
    const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const char bare[] = "HTTP/1.1 204\r\nContent-Length: 0\r\n\r\n";
    const char *error;
    h3_head *h = h3_response_head_parse(early, strlen(early), &error);

    is_int(h->status, 103, "103");
    is_str(value_of(h, "link"), "</s.css>; rel=preload", "with its field");
    is_int(h->nfields, 1, "and without a length");
    h3_head_destroy(h);
    h = h3_response_head_parse(go_on, strlen(go_on), &error);
    is_int(h->status, 100, "100");
    is_int(h->nfields, 0, "has no fields");
    h3_head_destroy(h);
    h = h3_response_head_parse(bare, strlen(bare), &error);
    is_int(h->status, 204, "no reason phrase");
    is_int(h->nfields, 0, "no Content-Length with 204");
    h3_head_destroy(h);
}

static void has_length(const char *text, size_t fields, int64_t length, const char *what)
{
    const char *error;
    h3_head *h = h3_response_head_parse(text, strlen(text), &error);

    is_int(h->nfields, fields, "%s: the fields that are left", what);
    is_int(h->content_length, length, "%s: the length", what);
    h3_head_destroy(h);
}

/* The end of the stream ends the body: a length that is none is left out. */
static void lengths_that_are_none(void)
{
    static const char *const values[] = {
        "", "x", "-1", "+5", "0x5", "5, 5", "5;", "99999999999999999999", "5 6",
    };
    char text[120];
    size_t i;

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %s\r\nA: b\r\n\r\n",
                 values[i]);
        has_length(text, 1, -1, values[i]);
    }
    has_length("HTTP/1.1 200 OK\r\nContent-Length: 5\r\ncontent-length: 6\r\n\r\n", 1, 5,
               "the first of two");
    has_length("HTTP/1.1 200 OK\r\nContent-Length: x\r\nContent-Length: 6\r\n\r\n", 1, 6,
               "the one that is a length");
    has_length("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: b\r\nContent-Length: 6\r\n\r\n", 2, 0,
               "0 is a length");
}

static void lines_of(const char *text, const char *what)
{
    const char *error;
    h3_head *h = h3_response_head_parse(text, strlen(text), &error);

    if (!ok(h != NULL, "%s: taken (%s)", what, error)) {
        return;
    }
    is_int(h->status, 201, "%s: the status", what);
    is_int(h->nfields, 2, "%s: the fields", what);
    is_str(value_of(h, "content-type"), "text/plain", "%s: the first", what);
    is_str(value_of(h, "set-cookie"), "a=b", "%s: the last", what);
    h3_head_destroy(h);
}

static void chunks(void)
{
    static const char *const heads[] = {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nContent-Length: 5\r\nA: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    };
    const char *error;
    h3_head *h;
    size_t i;

    for (i = 0; i < 2; i++) {
        h = h3_response_head_parse(heads[i], strlen(heads[i]), &error);
        if (ok(h != NULL, "chunks: taken (%s)", error)) {
            is_int(h->chunked, 1, "chunks follow");
            is_int(h->nfields, 1, "neither Transfer-Encoding nor Content-Length");
            is_str(value_of(h, "a"), "b", "the other field");
            is_int(h->content_length, -1, "no length");
        }
        h3_head_destroy(h);
    }
}

/* What a shell script writes with echo, and what others mix with that. */
static void line_ends(void)
{
    lines_of("HTTP/1.1 201 Created\nContent-Type: text/plain\nSet-Cookie: a=b\n\n", "LF");
    lines_of("HTTP/1.1 201 Created\r\nContent-Type: text/plain\nSet-Cookie: a=b\n\n",
             "CR LF, then LF");
    lines_of("HTTP/1.1 201 Created\nContent-Type: text/plain\r\nSet-Cookie: a=b\r\n\r\n",
             "LF, then CR LF");
    lines_of("HTTP/1.1 201 Created\r\nContent-Type: text/plain\nSet-Cookie: a=b\r\n\n", "in turn");
    lines_of("HTTP/1.1 201 Created\nContent-Type: text/plain\nSet-Cookie: a=b\n\r\n",
             "an empty line by CR LF");
    lines_of("HTTP/1.1 201 Created\r\nContent-Type\t : text/plain\r\nSet-Cookie: a=b\r\n\r\n",
             "blanks before the colon");
}

static void folds_to(const char *fold, const char *value)
{
    char text[120];
    const char *error;
    h3_head *h;

    snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nA:%s\r\nB: c\r\n\r\n", fold);
    h = h3_response_head_parse(text, strlen(text), &error);
    if (ok(h != NULL, "folded: taken (%s)", error)) {
        is_int(h->nfields, 2, "folded: the fields");
        is_str(value_of(h, "a"), value, "folded: the value");
    }
    h3_head_destroy(h);
}

/* RFC 9112 section 5.2 */
static void folded(void)
{
    folds_to(" b\r\n c", "b   c");
    folds_to(" b\n\tc\r\n  d", "b \tc    d");
    folds_to("\r\n b", "b");
    folds_to(" b\r\n \t", "b");
    folds_to("\r\n\t", "");
    has_length("HTTP/1.1 200 OK\r\nConnection: close,\r\n x\r\nA: b\r\n\r\n", 1, -1,
               "a field that is left out, with its folded line");
    has_length("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n 2\r\nA: b\r\n\r\n", 1, -1,
               "a folded length is none");
}

static void refused(void)
{
    static const char *const bad[] = {
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        "<html>\r\n\r\n",
        "\r\n\r\n",
        "HTTP/1.1 200 OK\rA: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA B: c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA\xe9: c\r\n\r\n",
        "HTTP/1.1 200 OK\r\n : no name\r\n\r\n",
        "HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\rB: c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA:\rb\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\rd\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n \x01\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA\r: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\rA: b\r\n\r\n",
        "HTTP/1.1 200 OK\nA: b\rB: c\n\n",
        "HTTP/1.1 200 OK\nno colon\n\n",
        "\n\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: \x01\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: \x7f\r\n\r\n",
    };
    size_t i;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *error = NULL;
        char *copy = malloc(strlen(bad[i])); /* without a NUL: reading beyond it is seen */
        h3_head *h;

        memcpy(copy, bad[i], strlen(bad[i]));
        h = h3_response_head_parse(copy, strlen(bad[i]), &error);
        ok(!h && error, "refused: case %d (%s)", (int)i, error ? error : "was taken");
        h3_head_destroy(h);
        free(copy);
    }
}

int main(void)
{
    lengths();
    final();
    interim();
    lengths_that_are_none();
    chunks();
    line_ends();
    folded();
    refused();
    return done_testing();
}
