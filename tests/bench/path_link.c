/* SPDX-License-Identifier: Apache-2.0 */
#include "path_link.h"

#include <stdlib.h>
#include <string.h>

#define MS 1000000.0
#define LATE 1000000
/* A path without limits must not eat the machine's memory. */
#define HELD_MAX (256u << 20)

static uint64_t limit_of(const path_link_conf *conf, double rtt_ms);
static void leave_queue(path_link *link, uint64_t now);
static void onto_wire(path_link *link, path_packet *p);
static int is_lost(path_link *link);
static double draw(path_link *link);
static int push(path_link *link, path_packet *p);
static path_packet *pop(path_link *link);
static int goes_before(const path_packet *a, const path_packet *b);

void path_link_init(path_link *link, const path_link_conf *conf, double rtt_ms, uint64_t seed,
                    uint64_t now)
{
    memset(link, 0, sizeof(*link));
    link->conf = *conf;
    link->begun = now;
    link->random = seed;
    link->queue_limit = limit_of(conf, rtt_ms);
    link->last = &link->first;
}

static uint64_t limit_of(const path_link_conf *conf, double rtt_ms)
{
    double bytes = conf->queue;

    if (conf->rate <= 0) {
        return UINT64_MAX;
    }
    if (bytes < 0) {
        bytes = -conf->queue * conf->rate * 1e6 / 8 * rtt_ms / 1e3;
        bytes = bytes < PATH_LINK_QUEUE_MIN ? PATH_LINK_QUEUE_MIN : bytes;
    }
    return (uint64_t)bytes;
}

void path_link_free(path_link *link)
{
    path_packet *p;

    while ((p = link->first) != NULL) {
        link->first = p->next;
        free(p);
    }
    while (link->nheap) {
        free(link->heap[--link->nheap]);
    }
    free(link->heap);
}

int path_link_offer(path_link *link, const uint8_t *data, size_t len, uint64_t since, uint64_t now)
{
    const path_link_conf *conf = &link->conf;
    path_link_stat *st = &link->stat;
    path_packet *p;

    ++st->packets;
    st->bytes += len;
    leave_queue(link, now);
    if (conf->later_mtu > 0 && (double)len > conf->later_mtu
        && (double)(now - link->begun) >= conf->later * 1e9) {
        ++st->dropped_mtu;
        return -1;
    }
    p = link->queued + len > link->queue_limit || link->held + len > HELD_MAX
            ? NULL
            : malloc(sizeof(*p) + len);
    if (!p) {
        ++st->dropped_queue;
        return -1;
    }
    memcpy(p->data, data, len);
    p->len = len;
    p->next = NULL;
    p->came = p->leaves = now;
    if (conf->rate > 0) {
        link->free_at = link->free_at > since ? link->free_at : since;
        link->free_at += (uint64_t)((double)len * 8000 / conf->rate);
        p->leaves = link->free_at;
    }
    *link->last = p;
    link->last = &p->next;
    link->held += len;
    link->queued += len;
    st->max_queue = link->queued > st->max_queue ? link->queued : st->max_queue;
    return 0;
}

static void leave_queue(path_link *link, uint64_t now)
{
    path_packet *p;

    while ((p = link->first) != NULL && p->leaves <= now) {
        link->first = p->next;
        if (!link->first) {
            link->last = &link->first;
        }
        link->queued -= p->len;
        onto_wire(link, p);
    }
}

/* As many draws for each packet whatever is asked for: options do not change each other's luck. */
static void onto_wire(path_link *link, path_packet *p)
{
    const path_link_conf *conf = &link->conf;
    int lost = is_lost(link), reordered = draw(link) * 100 < conf->reorder,
        duplicated = draw(link) * 100 < conf->duplicate;
    path_packet *copy;

    if (lost) {
        ++link->stat.lost;
        link->held -= p->len;
        free(p);
        return;
    }
    p->due = (p->leaves > p->came ? p->leaves : p->came) + (uint64_t)(conf->delay * MS);
    if (reordered) {
        ++link->stat.reordered;
        p->due += (uint64_t)(conf->hold * MS);
    }
    copy = duplicated ? malloc(sizeof(*copy) + p->len) : NULL;
    if (copy) {
        memcpy(copy, p, sizeof(*p) + p->len);
    }
    p->number = ++link->number;
    if (push(link, p)) {
        /* Without memory a packet is lost, as in any router. */
        ++link->stat.lost;
        link->held -= p->len;
        free(p);
        free(copy);
        return;
    }
    if (copy) {
        copy->number = ++link->number;
        if (push(link, copy)) {
            free(copy);
            return;
        }
        link->held += copy->len;
        ++link->stat.duplicated;
    }
}

/*
 * Gilbert's model: of two states one loses everything. It is left with the
 * probability 1/burst, and entered so often that `loss` comes out of it.
 */
static int is_lost(path_link *link)
{
    double p = link->conf.loss / 100, burst = link->conf.burst, x = draw(link);

    if (p <= 0 || p >= 1 || burst <= 0) {
        return x < p;
    }
    if (link->in_burst) {
        link->in_burst = x >= 1 / burst;
    }
    else {
        link->in_burst = x < p / (burst * (1 - p));
    }
    return link->in_burst;
}

/* splitmix64, as a number in [0, 1). */
static double draw(path_link *link)
{
    uint64_t z = link->random += 0x9E3779B97F4A7C15u;

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

uint64_t path_link_next(const path_link *link)
{
    uint64_t when = link->nheap ? link->heap[0]->due : PATH_LINK_NEVER, next;

    /* What is in the queue is due no earlier than this; only taking says when exactly. */
    if (link->first) {
        next = link->first->leaves + (uint64_t)(link->conf.delay * MS);
        when = next < when ? next : when;
    }
    return when;
}

path_packet *path_link_take(path_link *link, uint64_t now)
{
    path_link_stat *st = &link->stat;
    path_packet *p;
    uint64_t late;

    leave_queue(link, now);
    if (!link->nheap || link->heap[0]->due > now) {
        return NULL;
    }
    p = pop(link);
    link->held -= p->len;
    ++st->delivered;
    st->delivered_bytes += p->len;
    late = now - p->due;
    st->late += late > LATE;
    st->max_late = late > st->max_late ? late : st->max_late;
    return p;
}

uint64_t path_link_under_way(const path_link *link)
{
    const path_packet *p;
    uint64_t n = link->nheap;

    for (p = link->first; p; p = p->next) {
        ++n;
    }
    return n;
}

static int goes_before(const path_packet *a, const path_packet *b)
{
    return a->due != b->due ? a->due < b->due : a->number < b->number;
}

static int push(path_link *link, path_packet *p)
{
    size_t i, up;

    if (link->nheap == link->heap_size) {
        size_t size = link->heap_size ? 2 * link->heap_size : 1024;
        path_packet **heap = realloc(link->heap, size * sizeof(*heap));

        if (!heap) {
            return -1;
        }
        link->heap = heap;
        link->heap_size = size;
    }
    for (i = link->nheap++; i; i = up) {
        up = (i - 1) / 2;
        if (!goes_before(p, link->heap[up])) {
            break;
        }
        link->heap[i] = link->heap[up];
    }
    link->heap[i] = p;
    return 0;
}

static path_packet *pop(path_link *link)
{
    path_packet *top = link->heap[0], *p = link->heap[--link->nheap];
    size_t i = 0, down;

    while ((down = 2 * i + 1) < link->nheap) {
        if (down + 1 < link->nheap && goes_before(link->heap[down + 1], link->heap[down])) {
            ++down;
        }
        if (!goes_before(link->heap[down], p)) {
            break;
        }
        link->heap[i] = link->heap[down];
        i = down;
    }
    link->heap[i] = p;
    return top;
}
