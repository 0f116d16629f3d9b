/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of a message on its way over the thread border: pseudo fields or status, and the fields
 * in their order, repeated ones apart.
 *
 * Built by one thread, handed over whole, read by the other, freed by whoever holds it. Nearly
 * every head is a single block of memory.
 */
#ifndef H3_HEAD_H
#define H3_HEAD_H

#include <stddef.h>
#include <stdint.h>

/* Offsets into h3_head.bytes; both strings are NUL-terminated there. */
typedef struct h3_head_field {
    uint32_t name, name_len;
    uint32_t value, value_len;
    int sensitive; /* never to be indexed by QPACK (RFC 9204 section 7.1.3) */
} h3_head_field;

typedef struct h3_head {
    int status;  /* responses: 100..999. Requests: 0, or the 4xx with which the limits refuse it */
    int dropped; /* requests: a field is missing here because HTTP does not permit it */
    int64_t content_length; /* of the first content-length field that has one, -1: none */
    int chunked;            /* responses: HTTP/1.1's chunk framing follows this head */
    /* Requests: NULL where absent. Point into bytes: valid only when the head is complete. */
    const char *method, *scheme, *authority, *path;
    h3_head_field *fields;
    size_t nfields, fields_cap;
    char *bytes;
    size_t len, cap;
    uint32_t pseudo[4]; /* offsets+1 of the four while building, 0: absent */
} h3_head;

/* RFC 9114 section 4.3.1 */
enum { H3_HEAD_METHOD, H3_HEAD_SCHEME, H3_HEAD_AUTHORITY, H3_HEAD_PATH };

/* An empty one. NULL: no memory. */
h3_head *h3_head_create(void);

/* NULL is no head. */
void h3_head_destroy(h3_head *h);

/*
 * A field, a pseudo field (H3_HEAD_*; the last one counts). Copies the bytes, of which none is NUL;
 * a field's name is in lower case. 0, or -1 without memory: the head is unchanged then.
 */
int h3_head_add(h3_head *h, const char *name, size_t name_len, const char *value, size_t value_len);
int h3_head_set_pseudo(h3_head *h, int which, const char *value, size_t len);

/*
 * If this is the first content-length, the message has that length: for a field that is not added.
 * The value ends with NUL; what is no number of at most 63 bits is none (RFC 9110 section 8.6).
 */
void h3_head_note_length(h3_head *h, const char *name, size_t name_len, const char *value);

/* Sets the pointers and the length. Nothing is added afterwards. */
void h3_head_complete(h3_head *h);

static inline const char *h3_head_name(const h3_head *h, const h3_head_field *f)
{
    return h->bytes + f->name;
}

static inline const char *h3_head_value(const h3_head *h, const h3_head_field *f)
{
    return h->bytes + f->value;
}

#endif /* H3_HEAD_H */
