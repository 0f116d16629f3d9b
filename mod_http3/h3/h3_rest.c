/* SPDX-License-Identifier: Apache-2.0 */
#include "h3/h3_rest.h"

#include <stdlib.h>

/* Where the body's length is known (core's own limit to a body), and where it is not. */
#define BYTES_KNOWN (1024 * 1024 * 1024)
#define BYTES_UNKNOWN (64 * 1024 * 1024)
/* A rest that comes at this rate does not run out of time. */
#define BYTES_PER_SEC (16 * 1024)
#define NSEC_PER_SEC 1000000000ull
/* Of one connection at once. */
#define RESTS_MAX 100

static h3_rest **find(h3_rest **at, int64_t stream_id);

h3_rest *h3_rest_begin(h3_rest_list *list, int64_t stream_id, int64_t length, uint64_t body_in,
                       uint64_t until)
{
    h3_rest *rest;

    if (list->n >= RESTS_MAX || length > (int64_t)body_in + BYTES_KNOWN) {
        return NULL;
    }
    rest = malloc(sizeof(*rest));
    if (rest) {
        rest->stream_id = stream_id;
        rest->until = until;
        rest->left = length < 0 ? BYTES_UNKNOWN : BYTES_KNOWN;
        rest->stopped = 0;
        rest->next = list->first;
        list->first = rest;
        list->n++;
    }
    return rest;
}

static h3_rest **find(h3_rest **at, int64_t stream_id)
{
    while (*at && (*at)->stream_id != stream_id) {
        at = &(*at)->next;
    }
    return at;
}

h3_rest *h3_rest_find(const h3_rest_list *list, int64_t stream_id)
{
    h3_rest *rest = list->first;

    return *find(&rest, stream_id);
}

int h3_rest_recv(h3_rest *rest, size_t len)
{
    rest->left -= len < rest->left ? len : rest->left;
    rest->until += len * NSEC_PER_SEC / BYTES_PER_SEC;
    return !rest->left;
}

int h3_rest_end(h3_rest_list *list, int64_t stream_id)
{
    h3_rest **at = find(&list->first, stream_id), *rest = *at;

    if (rest) {
        *at = rest->next;
        list->n--;
        free(rest);
    }
    return rest != NULL;
}

int h3_rest_is_expected(const h3_rest_list *list)
{
    const h3_rest *rest;

    for (rest = list->first; rest && rest->stopped; rest = rest->next) {}
    return rest != NULL;
}

void h3_rest_clear(h3_rest_list *list)
{
    while (list->first) {
        h3_rest_end(list, list->first->stream_id);
    }
}
