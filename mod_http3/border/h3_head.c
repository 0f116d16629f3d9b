/* SPDX-License-Identifier: Apache-2.0 */
#include "border/h3_head.h"

#include <stdlib.h>
#include <string.h>

/* Nearly every head fits in this; it is allocated together with the structure. */
#define INLINE_FIELDS 24
#define INLINE_BYTES 1024

typedef struct head_block {
    h3_head head;
    h3_head_field fields[INLINE_FIELDS];
    char bytes[INLINE_BYTES];
} head_block;

static int reserve_bytes(h3_head *h, size_t need);
static int reserve_field(h3_head *h);
static uint32_t append(h3_head *h, const char *s, size_t len);
static int is_sensitive(const char *name, size_t name_len, size_t value_len);
static int64_t parse_length(const char *s);

h3_head *h3_head_create(void)
{
    head_block *b = malloc(sizeof(*b));

    if (!b) {
        return NULL;
    }
    memset(&b->head, 0, sizeof(b->head));
    b->head.content_length = -1;
    b->head.fields = b->fields;
    b->head.fields_cap = INLINE_FIELDS;
    b->head.bytes = b->bytes;
    b->head.cap = INLINE_BYTES;
    return &b->head;
}

void h3_head_destroy(h3_head *h)
{
    head_block *b = (head_block *)h;

    if (!h) {
        return;
    }
    if (h->fields != b->fields) {
        free(h->fields);
    }
    if (h->bytes != b->bytes) {
        free(h->bytes);
    }
    free(b);
}

static int reserve_bytes(h3_head *h, size_t need)
{
    head_block *b = (head_block *)h;
    size_t cap = h->cap;
    char *bytes;

    /* Offsets have 32 bits. */
    if (need > UINT32_MAX / 2 - h->len) {
        return -1;
    }
    if (need <= cap - h->len) {
        return 0;
    }
    while (cap - h->len < need) {
        cap *= 2;
    }
    bytes = h->bytes == b->bytes ? malloc(cap) : realloc(h->bytes, cap);
    if (!bytes) {
        return -1;
    }
    if (h->bytes == b->bytes) {
        memcpy(bytes, b->bytes, h->len);
    }
    h->bytes = bytes;
    h->cap = cap;
    return 0;
}

static int reserve_field(h3_head *h)
{
    head_block *b = (head_block *)h;
    size_t cap = h->fields_cap * 2;
    h3_head_field *fields;

    if (h->nfields < h->fields_cap) {
        return 0;
    }
    fields = h->fields == b->fields ? malloc(cap * sizeof(*fields))
                                    : realloc(h->fields, cap * sizeof(*fields));
    if (!fields) {
        return -1;
    }
    if (h->fields == b->fields) {
        memcpy(fields, b->fields, sizeof(b->fields));
    }
    h->fields = fields;
    h->fields_cap = cap;
    return 0;
}

/* The room has been reserved. */
static uint32_t append(h3_head *h, const char *s, size_t len)
{
    uint32_t at = (uint32_t)h->len;

    if (len) {
        memcpy(h->bytes + at, s, len);
    }
    h->bytes[at + len] = '\0';
    h->len += len + 1;
    return at;
}

/* Secrets, and what is so short that it could be guessed in a table (RFC 9204 section 7.1). */
static int is_sensitive(const char *name, size_t name_len, size_t value_len)
{
    switch (name_len) {
    case 6:
        return value_len < 20 && memcmp(name, "cookie", 6) == 0;
    case 10:
        return memcmp(name, "set-cookie", 10) == 0;
    case 13:
        return memcmp(name, "authorization", 13) == 0;
    case 19:
        return memcmp(name, "proxy-authorization", 19) == 0;
    default:
        return 0;
    }
}

int h3_head_add(h3_head *h, const char *name, size_t name_len, const char *value, size_t value_len)
{
    h3_head_field *f;

    if (name_len > UINT32_MAX / 4 || value_len > UINT32_MAX / 4
        || reserve_bytes(h, name_len + value_len + 2) < 0 || reserve_field(h) < 0) {
        return -1;
    }
    f = &h->fields[h->nfields++];
    f->name = append(h, name, name_len);
    f->name_len = (uint32_t)name_len;
    f->value = append(h, value, value_len);
    f->value_len = (uint32_t)value_len;
    f->sensitive = is_sensitive(name, name_len, value_len);
    return 0;
}

int h3_head_set_pseudo(h3_head *h, int which, const char *value, size_t len)
{
    if (len > UINT32_MAX / 4 || reserve_bytes(h, len + 1) < 0) {
        return -1;
    }
    h->pseudo[which] = append(h, value, len) + 1;
    return 0;
}

void h3_head_complete(h3_head *h)
{
    const char **pseudo[4] = { &h->method, &h->scheme, &h->authority, &h->path };
    size_t i;

    for (i = 0; i < 4; i++) {
        *pseudo[i] = h->pseudo[i] ? h->bytes + h->pseudo[i] - 1 : NULL;
    }
    for (i = 0; i < h->nfields; i++) {
        const h3_head_field *f = &h->fields[i];

        h3_head_note_length(h, h3_head_name(h, f), f->name_len, h3_head_value(h, f));
    }
}

void h3_head_note_length(h3_head *h, const char *name, size_t name_len, const char *value)
{
    if (name_len == 14 && memcmp(name, "content-length", 14) == 0 && h->content_length < 0) {
        h->content_length = parse_length(value);
    }
}

/* RFC 9110 section 8.6: digits only. -1 for anything else. */
static int64_t parse_length(const char *s)
{
    int64_t n = 0;

    if (!*s) {
        return -1;
    }
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || n > (INT64_MAX - (*s - '0')) / 10) {
            return -1;
        }
        n = n * 10 + (*s - '0');
    }
    return n;
}
