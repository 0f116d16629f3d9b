/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A response on its way out, in its order: pieces, each of which is bytes in memory (a chunk) or a
 * stretch of a file (a span).
 *
 * A list is of the thread that holds it, or under that one's lock. No list is bounded here.
 */
#ifndef H3_PIECE_H
#define H3_PIECE_H

#include <stddef.h>
#include "border/h3_chunk.h"
#include "border/h3_span.h"

typedef struct h3_piece {
    struct h3_piece *next;
    h3_chunk *chunk; /* or, if NULL, */
    h3_span span;
} h3_piece;

/* Zeroed, it is empty. */
typedef struct h3_piece_list {
    h3_piece *first, *last;
} h3_piece_list;

/*
 * Copies bytes to the end, as many as one chunk takes, and returns how many, at least one. `len` >
 * 0. Many small writes share a chunk. 0: no memory.
 */
size_t h3_piece_append_bytes(h3_piece_list *list, const void *data, size_t len);

/* The span is the list's then. 0, or -1 without memory: it stays the caller's. */
int h3_piece_append_span(h3_piece_list *list, const h3_span *span);

/* Moves all pieces of `from` to the end of the list; `from` is empty then. */
void h3_piece_append_list(h3_piece_list *list, h3_piece_list *from);

/* The first piece, which is the caller's then. NULL: the list is empty. */
h3_piece *h3_piece_pop(h3_piece_list *list);

/* The same where the first piece is a chunk; the chunk is the caller's. */
h3_chunk *h3_piece_pop_chunk(h3_piece_list *list);

/* Frees the chunk, closes the span. */
void h3_piece_destroy(h3_piece *piece);

/* Destroys all pieces. */
void h3_piece_clear(h3_piece_list *list);

#endif /* H3_PIECE_H */
