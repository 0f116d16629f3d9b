/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When does which connection want to be looked at? A binary heap; a timer is part of its owner, and
 * knows its place in the heap.
 *
 * For one thread. A timer leaves the heap before its owner goes.
 */
#ifndef QUIC_TIMER_H
#define QUIC_TIMER_H

#include <stddef.h>
#include <stdint.h>

#define QUIC_TIMER_NEVER UINT64_MAX

typedef struct quic_timer {
    uint64_t at;  /* nanoseconds of CLOCK_MONOTONIC */
    size_t place; /* 1 + index in the heap, 0: not in it */
    void *owner;  /* the caller's */
} quic_timer;

typedef struct quic_timer_heap {
    quic_timer **heap;
    size_t count, cap;
} quic_timer_heap;

void quic_timer_heap_init(quic_timer_heap *heap);
/* The timers stay their owners'. */
void quic_timer_heap_free(quic_timer_heap *heap);

/* Sets or moves a timer; QUIC_TIMER_NEVER takes it out. 0, or -1 without memory. */
int quic_timer_set(quic_timer_heap *heap, quic_timer *t, uint64_t at);

/* The earliest, or NULL. */
quic_timer *quic_timer_first(const quic_timer_heap *heap);

#endif /* QUIC_TIMER_H */
