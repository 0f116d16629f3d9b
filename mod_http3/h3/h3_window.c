/* SPDX-License-Identifier: Apache-2.0 */
#include "h3/h3_window.h"

/* An epoch ends with so much of the window. */
#define EPOCH_PART 4
/* Round trips in which a window that is large enough does not turn over. */
#define TURNOVER_RTTS 4
/* A worker that is woken has to get to its writing first. */
#define SEND_SLACK (64 * 1024)

void h3_window_init(h3_window *w, uint64_t size, uint64_t max, uint64_t now)
{
    w->size = size;
    w->max = max;
    w->used = 0;
    w->since = now;
}

uint64_t h3_window_used(h3_window *w, uint64_t n, uint64_t now, uint64_t rtt)
{
    uint64_t took = now - w->since, used = w->used + n;

    w->used = used;
    if (used < w->size / EPOCH_PART) {
        return 0;
    }
    w->used = 0;
    w->since = now;
    /* took / used < TURNOVER_RTTS * rtt / size; none of them is near 2^32 of its unit. */
    if (w->size >= w->max
        || (double)took * (double)w->size >= (double)TURNOVER_RTTS * (double)rtt * (double)used) {
        return 0;
    }
    return w->size <= w->max - w->size ? w->size : w->max - w->size;
}

void h3_window_grow(h3_window *w, uint64_t by)
{
    w->size += by;
}

size_t h3_window_to_send(uint64_t cwnd)
{
    return 2 * (size_t)cwnd + SEND_SLACK;
}
