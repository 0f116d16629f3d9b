/* SPDX-License-Identifier: Apache-2.0 */
#include "border/h3_chunk.h"

#include <stdlib.h>
#include <string.h>

h3_chunk *h3_chunk_create(size_t cap)
{
    h3_chunk *c = malloc(sizeof(*c) + cap);

    if (c) {
        c->next = NULL;
        c->len = 0;
        c->cap = cap;
    }
    return c;
}

size_t h3_chunk_fill(h3_chunk *c, const void *data, size_t len)
{
    if (len > c->cap - c->len) {
        len = c->cap - c->len;
    }
    memcpy(c->data + c->len, data, len);
    c->len += len;
    return len;
}

void h3_chunk_append(h3_chunk_list *list, h3_chunk *c)
{
    c->next = NULL;
    if (list->last) {
        list->last->next = c;
    }
    else {
        list->first = c;
    }
    list->last = c;
}

h3_chunk *h3_chunk_pop(h3_chunk_list *list)
{
    h3_chunk *c = list->first;

    if (c) {
        list->first = c->next;
        if (!list->first) {
            list->last = NULL;
        }
    }
    return c;
}

void h3_chunk_clear(h3_chunk_list *list)
{
    h3_chunk *c;

    while ((c = h3_chunk_pop(list))) {
        free(c);
    }
}
