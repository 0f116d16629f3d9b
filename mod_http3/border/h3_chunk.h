/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for bytes on their way between threads, of a fixed size, filled from its beginning; and a
 * list of such.
 *
 * A chunk is of the thread that holds it: what has been handed over is left alone. It is malloc'ed
 * and given back by free().
 */
#ifndef H3_CHUNK_H
#define H3_CHUNK_H

#include <stddef.h>
#include <stdint.h>

typedef struct h3_chunk {
    struct h3_chunk *next;
    size_t len, cap; /* bytes filled, room */
    uint8_t data[];
} h3_chunk;

/* Zeroed, it is empty. */
typedef struct h3_chunk_list {
    h3_chunk *first, *last;
} h3_chunk_list;

/* An empty one. NULL: no memory. */
h3_chunk *h3_chunk_create(size_t cap);

/* Copies as many bytes as it still has room for, and returns how many. */
size_t h3_chunk_fill(h3_chunk *c, const void *data, size_t len);

void h3_chunk_append(h3_chunk_list *list, h3_chunk *c);

/* The first one, which is the caller's then. NULL: the list is empty. */
h3_chunk *h3_chunk_pop(h3_chunk_list *list);

/* Frees all of them. */
void h3_chunk_clear(h3_chunk_list *list);

#endif /* H3_CHUNK_H */
