/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of a message on its way over the thread border: pseudo fields or
 * status, and the fields, all in one block of memory.
 *
 * Built by one thread, handed over whole, read by the other, freed by whoever
 * holds it. Pure: knows neither httpd nor the libraries.
 */
#ifndef H3_HEAD_H
#define H3_HEAD_H

#include <stddef.h>
#include <stdint.h>

/* Offsets into h3_head.bytes; both strings are NUL-terminated there. */
typedef struct h3_field {
    uint32_t name, name_len;
    uint32_t value, value_len;
    int sensitive; /* never to be indexed by QPACK (RFC 9204 section 7.1.3) */
} h3_field;

typedef struct h3_head {
    int status; /* responses: 100..999. Requests: 0, or the 4xx with which the limits refuse it */
    int64_t content_length; /* of the content-length field, -1 if there is none */
    /* Requests: NULL where absent. Point into bytes: valid only when the head is complete. */
    const char *method, *scheme, *authority, *path;
    h3_field *fields;
    size_t nfields, fields_cap;
    char *bytes;
    size_t len, cap;
    uint32_t pseudo[4]; /* offsets+1 of the four while building, 0: absent */
} h3_head;

enum { H3_HEAD_METHOD, H3_HEAD_SCHEME, H3_HEAD_AUTHORITY, H3_HEAD_PATH };

h3_head *h3_head_create(void); /* malloc; NULL: no memory */
void h3_head_destroy(h3_head *h);

/* Copies the bytes. 0, or -1 without memory (the head is unchanged then). */
int h3_head_add(h3_head *h, const char *name, size_t name_len, const char *value, size_t value_len);
int h3_head_set_pseudo(h3_head *h, int which, const char *value, size_t len);

/* Sets the pointers; nothing is added afterwards. */
void h3_head_complete(h3_head *h);

static inline const char *h3_field_name(const h3_head *h, const h3_field *f)
{
    return h->bytes + f->name;
}
static inline const char *h3_field_value(const h3_head *h, const h3_field *f)
{
    return h->bytes + f->value;
}

#endif /* H3_HEAD_H */
