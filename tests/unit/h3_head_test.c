/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include "border/h3_head.h"
#include "tap.h"

static void empty(void)
{
    h3_head *h = h3_head_create();

    h3_head_complete(h);
    ok(!h->method && !h->scheme && !h->authority && !h->path, "no pseudo fields");
    is_int(h->nfields, 0, "no fields");
    is_int(h->content_length, -1, "no content length");
    is_int(h->status, 0, "no status");
    h3_head_destroy(h);
    h3_head_destroy(NULL);
}

static void small(void)
{
    h3_head *h = h3_head_create();

    is_int(h3_head_set_pseudo(h, H3_HEAD_METHOD, "POST", 4), 0, "a method");
    is_int(h3_head_set_pseudo(h, H3_HEAD_PATH, "/a?b and more", 4), 0, "a path");
    is_int(h3_head_set_pseudo(h, H3_HEAD_SCHEME, "", 0), 0, "an empty scheme");
    is_int(h3_head_add(h, "cookie", 6, "a=b", 3), 0, "a short cookie");
    is_int(h3_head_add(h, "cookie", 6, "a=b0123456789012345678901234567890", 34), 0,
           "a long cookie");
    is_int(h3_head_add(h, "authorization", 13, "Basic x", 7), 0, "a secret");
    is_int(h3_head_add(h, "content-length", 14, "0042", 4), 0, "a length");
    is_int(h3_head_add(h, "x-empty", 7, "", 0), 0, "an empty value");
    h3_head_complete(h);
    is_str(h->method, "POST", "method");
    is_str(h->path, "/a?b", "path, cut to its length");
    is_str(h->scheme, "", "present but empty scheme");
    is_str(h->authority, NULL, "absent authority");
    is_int(h->nfields, 5, "five fields");
    is_str(h3_head_name(h, &h->fields[0]), "cookie", "name in order");
    is_str(h3_head_value(h, &h->fields[0]), "a=b", "value");
    is_int(h->fields[0].sensitive, 1, "short cookie is sensitive");
    is_int(h->fields[1].sensitive, 0, "long cookie is not");
    is_int(h->fields[2].sensitive, 1, "authorization is");
    is_int(h->fields[4].value_len, 0, "empty value");
    is_int(h->content_length, 42, "content length");
    h3_head_destroy(h);
}

/* Grows beyond what is allocated at first, in fields and in bytes. */
static void large(void)
{
    h3_head *h = h3_head_create();
    char name[32], *big = malloc(100000);
    int i, same = 1;

    memset(big, 'x', 100000);
    h3_head_set_pseudo(h, H3_HEAD_AUTHORITY, "example.org", 11);
    for (i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "x-field-%d", i);
        if (h3_head_add(h, name, strlen(name), big, (size_t)i) < 0) {
            fail("field %d", i);
        }
    }
    is_int(h3_head_add(h, "big", 3, big, 100000), 0, "100,000 bytes");
    h3_head_complete(h);
    is_str(h->authority, "example.org", "what came before the growth is there");
    is_int(h->nfields, 501, "all fields");
    for (i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "x-field-%d", i);
        same = same && strcmp(h3_head_name(h, &h->fields[i]), name) == 0
               && h->fields[i].value_len == (uint32_t)i
               && strlen(h3_head_value(h, &h->fields[i])) == (size_t)i;
    }
    ok(same, "names and values are what was added");
    is_mem(h3_head_value(h, &h->fields[500]), big, 100000, "the big value");
    h3_head_destroy(h);
    free(big);
}

static void lengths(void)
{
    static const struct {
        const char *text;
        int64_t want;
    } t[] = {
        { "0", 0 },
        { "9223372036854775799", 9223372036854775799LL },
        { "9223372036854775807", 9223372036854775807LL },
        { "9223372036854775808", -1 },
        { "99999999999999999999", -1 },
        { "", -1 },
        { "-1", -1 },
        { "+1", -1 },
        { "1 ", -1 },
        { "0x10", -1 },
    };
    size_t i;

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        h3_head *h = h3_head_create();

        h3_head_add(h, "content-length", 14, t[i].text, strlen(t[i].text));
        h3_head_complete(h);
        is_int(h->content_length, t[i].want, "content-length '%s'", t[i].text);
        h3_head_destroy(h);
    }
}

int main(void)
{
    empty();
    small();
    large();
    lengths();
    return done_testing();
}
