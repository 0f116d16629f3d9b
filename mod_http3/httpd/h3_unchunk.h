/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes HTTP/1.1's chunk framing (RFC 9112 section 7.1) off a body that comes in pieces: of a
 * script that writes its own head and asks for it there.
 *
 * Pure; one thread at a time.
 */
#ifndef H3_UNCHUNK_H
#define H3_UNCHUNK_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
    H3_UNCHUNK_SIZE, /* the first digit of a chunk's size */
    H3_UNCHUNK_DIGITS,
    H3_UNCHUNK_EXTENSION,
    H3_UNCHUNK_SIZE_LF,
    H3_UNCHUNK_DATA,
    H3_UNCHUNK_DATA_CR,
    H3_UNCHUNK_DATA_LF,
    H3_UNCHUNK_TRAILER, /* the start of a line after the last chunk */
    H3_UNCHUNK_TRAILER_LINE,
    H3_UNCHUNK_TRAILER_LF,
    H3_UNCHUNK_END,
    H3_UNCHUNK_BAD
} h3_unchunk_state;

/* All zero at the start of a body. Whole when `state` is H3_UNCHUNK_END. */
typedef struct h3_unchunk {
    h3_unchunk_state state;
    uint64_t left; /* bytes of the chunk that are still to come */
} h3_unchunk;

/*
 * Takes framing from the start of `data`, up to the next body byte. Returns the bytes it took; of
 * those that follow *body are body, and count as taken. What follows the end is taken and given to
 * nobody. State H3_UNCHUNK_BAD: these are no chunks; nothing more is taken.
 */
size_t h3_unchunk_next(h3_unchunk *u, const char *data, size_t len, size_t *body);

#endif /* H3_UNCHUNK_H */
