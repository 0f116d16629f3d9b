/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/quic_timer.h"

#include <stdlib.h>
#include <string.h>

static void put(quic_timer_heap *ts, size_t i, quic_timer *t);
static void sift_up(quic_timer_heap *ts, size_t i);
static void sift_down(quic_timer_heap *ts, size_t i);

void quic_timer_heap_init(quic_timer_heap *ts)
{
    memset(ts, 0, sizeof(*ts));
}

void quic_timer_heap_free(quic_timer_heap *ts)
{
    free(ts->heap);
    memset(ts, 0, sizeof(*ts));
}

static void put(quic_timer_heap *ts, size_t i, quic_timer *t)
{
    ts->heap[i] = t;
    t->place = i + 1;
}

static void sift_up(quic_timer_heap *ts, size_t i)
{
    quic_timer *t = ts->heap[i];

    while (i > 0 && ts->heap[(i - 1) / 2]->at > t->at) {
        put(ts, i, ts->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(ts, i, t);
}

static void sift_down(quic_timer_heap *ts, size_t i)
{
    quic_timer *t = ts->heap[i];
    size_t child;

    while ((child = 2 * i + 1) < ts->count) {
        if (child + 1 < ts->count && ts->heap[child + 1]->at < ts->heap[child]->at) {
            child++;
        }
        if (ts->heap[child]->at >= t->at) {
            break;
        }
        put(ts, i, ts->heap[child]);
        i = child;
    }
    put(ts, i, t);
}

static void take_out(quic_timer_heap *ts, quic_timer *t)
{
    size_t i = t->place - 1;
    quic_timer *last = ts->heap[--ts->count];

    t->place = 0;
    if (last != t) {
        put(ts, i, last);
        sift_up(ts, i);
        sift_down(ts, last->place - 1);
    }
}

int quic_timer_set(quic_timer_heap *ts, quic_timer *t, uint64_t at)
{
    quic_timer **heap;

    if (at == QUIC_TIMER_NEVER) {
        if (t->place) {
            take_out(ts, t);
        }
        t->at = at;
        return 0;
    }
    t->at = at;
    if (!t->place) {
        if (ts->count == ts->cap) {
            heap = realloc(ts->heap, (ts->cap ? 2 * ts->cap : 64) * sizeof(*heap));
            if (!heap) {
                return -1;
            }
            ts->heap = heap;
            ts->cap = ts->cap ? 2 * ts->cap : 64;
        }
        put(ts, ts->count++, t);
    }
    sift_up(ts, t->place - 1);
    sift_down(ts, t->place - 1);
    return 0;
}

quic_timer *quic_timer_first(const quic_timer_heap *ts)
{
    return ts->count ? ts->heap[0] : NULL;
}
