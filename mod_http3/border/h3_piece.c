/* SPDX-License-Identifier: Apache-2.0 */
#include "border/h3_piece.h"

#include <stdlib.h>

/* Chunks of a response that is written in many pieces; of the order of what GSO sends at once. */
#define CHUNK_MAX (16 * 1024)
#define CHUNK_MIN 1024

static h3_piece *append(h3_piece_list *list);

static h3_piece *append(h3_piece_list *list)
{
    h3_piece *piece = malloc(sizeof(*piece));

    if (!piece) {
        return NULL;
    }
    piece->next = NULL;
    piece->chunk = NULL;
    if (list->last) {
        list->last->next = piece;
    }
    else {
        list->first = piece;
    }
    list->last = piece;
    return piece;
}

size_t h3_piece_append_bytes(h3_piece_list *list, const void *data, size_t len)
{
    h3_chunk *c = list->last ? list->last->chunk : NULL;
    h3_piece *piece;

    if (!c || c->len == c->cap) {
        c = h3_chunk_create(len < CHUNK_MIN ? CHUNK_MIN : len > CHUNK_MAX ? CHUNK_MAX : len);
        if (!c || !(piece = append(list))) {
            free(c);
            return 0;
        }
        piece->chunk = c;
    }
    return h3_chunk_fill(c, data, len);
}

int h3_piece_append_span(h3_piece_list *list, const h3_span *span)
{
    h3_piece *piece = append(list);

    if (!piece) {
        return -1;
    }
    piece->span = *span;
    return 0;
}

void h3_piece_append_list(h3_piece_list *list, h3_piece_list *from)
{
    if (!from->first) {
        return;
    }
    if (list->last) {
        list->last->next = from->first;
    }
    else {
        list->first = from->first;
    }
    list->last = from->last;
    from->first = from->last = NULL;
}

h3_piece *h3_piece_pop(h3_piece_list *list)
{
    h3_piece *piece = list->first;

    if (piece) {
        list->first = piece->next;
        if (!list->first) {
            list->last = NULL;
        }
    }
    return piece;
}

h3_chunk *h3_piece_pop_chunk(h3_piece_list *list)
{
    h3_piece *piece = h3_piece_pop(list);
    h3_chunk *c = piece->chunk;

    free(piece);
    return c;
}

void h3_piece_destroy(h3_piece *piece)
{
    if (piece->chunk) {
        free(piece->chunk);
    }
    else {
        h3_span_close(&piece->span);
    }
    free(piece);
}

void h3_piece_clear(h3_piece_list *list)
{
    h3_piece *piece;

    while ((piece = h3_piece_pop(list))) {
        h3_piece_destroy(piece);
    }
}
